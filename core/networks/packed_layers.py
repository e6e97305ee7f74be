"""TinyLogBERT's forward pass, for scoring: token ids -> hidden states -> logits of the vocabulary.

Query, key and value are one product; weights are laid out for the processor once; the last layer looks only from the
positions that are read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.networks.tinylogbert import TinyLogBert

LEAST_PRODUCT_ROWS = 256  # with fewer, the long sums of a layer's last product are split, and round otherwise
_Product = Callable[[Tensor], Tensor]


class PackedLayers:
    """The hidden states of a network's last layer.

    Args:
        network: it is copied, not changed.
        dtype: of weights and states.
    """

    def __init__(self, network: TinyLogBert, dtype: torch.dtype) -> None:
        tables: Any = network.bert["embeddings"]
        layers: Any = network.bert["encoder"]["layer"]  # type: ignore[index]
        self._words = tables["word_embeddings"].weight.detach().to(dtype)
        places = tables["position_embeddings"].weight + tables["token_type_embeddings"].weight[0]
        self._places = places.detach().to(dtype)
        self._norm = _norm(tables["LayerNorm"], dtype)
        *self._layers, self._last = (_PackedLayer(layer, dtype) for layer in layers)

    def __call__(self, ids: Tensor, mask: Tensor, positions: Tensor | None = None) -> Tensor:
        """Hidden states.

        Args:
            ids: [B, T] int64 token ids.
            mask: [B, T] bool, true where there is a token, at least one in each row.
            positions: [B, Q] int64, the positions that are read; None reads all, Q = T.

        Returns:
            [B, Q, D].
        """
        hidden = self._norm(functional.embedding(ids, self._words).add_(self._places[: ids.shape[1]]))  # [B, T, D]
        visible = mask[:, None, None, :]  # [B, 1, 1, T]
        for layer in self._layers:
            hidden = layer(hidden, visible)
        return self._last(hidden, visible, positions)


class PackedHead:
    """What the network expects in a place, of all words of the vocabulary; exact for those that are asked after.

    A bfloat16 logit of 15 is rounded to steps of 0.06: enough for the sum over thousands of words, too coarse for one.

    Args:
        network: it is copied, not changed.
        dtype: of the product with the vocabulary.
    """

    def __init__(self, network: TinyLogBert, dtype: torch.dtype) -> None:
        predictions: Any = network.cls["predictions"]
        words: Any = network.bert["embeddings"]["word_embeddings"]  # type: ignore[index]
        self._dtype = dtype
        self._dense = _product(torch.float32, predictions.transform["dense"])
        self._norm = _norm(predictions.transform["LayerNorm"], torch.float32)
        self._words = words.weight.detach().float()
        self._bias = predictions.bias.detach().float()
        self._all = _packed(words.weight.detach(), predictions.bias.detach(), dtype)

    def logits(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Of hidden states [P, D] float32: [P, V] float32 in `dtype`'s steps, and what `exact` needs of them [P, D]."""
        ready = self._norm(functional.gelu(self._dense(hidden)))
        return self._all(ready.to(self._dtype)).float(), ready

    def exact(self, ready: Tensor, tokens: Tensor) -> Tensor:
        """Logits [P] of a token each, [P] int64, unrounded."""
        wide: Tensor = (ready * self._words[tokens]).sum(-1) + self._bias[tokens]
        return wide


class _PackedLayer:
    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        attention = layer.attention
        query, key, value = (attention.self[name] for name in ("query", "key", "value"))
        self._n_heads: int = attention.n_heads
        self._query = _product(dtype, query)
        self._key_value = _product(dtype, key, value)
        self._query_key_value = _product(dtype, query, key, value)
        self._mix = _product(dtype, attention.output["dense"])
        self._mixed_norm = _norm(attention.output["LayerNorm"], dtype)
        self._widen = _product(dtype, layer.intermediate["dense"])
        self._narrow = _product(dtype, layer.output["dense"])
        self._norm = _norm(layer.output["LayerNorm"], dtype)

    def __call__(self, hidden: Tensor, visible: Tensor, positions: Tensor | None = None) -> Tensor:
        if positions is None:
            query, key, value = self._heads(self._query_key_value(hidden), 3)
        else:
            key, value = self._heads(self._key_value(hidden), 2)
            hidden = _taken(hidden, positions)  # [B, Q, D]
            (query,) = self._heads(self._query(hidden), 1)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        hidden = self._mixed_norm(self._mix(mixed.transpose(1, 2).flatten(2)).add_(hidden))
        wide = functional.gelu(self._widen(hidden)).flatten(0, 1)  # [BQ, 4D]
        n_rows = len(wide)
        if n_rows < LEAST_PRODUCT_ROWS:
            wide = functional.pad(wide, (0, 0, 0, LEAST_PRODUCT_ROWS - n_rows))
        return self._norm(self._narrow(wide)[:n_rows].view_as(hidden) + hidden)

    def _heads(self, states: Tensor, n_parts: int) -> Tensor:
        """[B, T, n_parts · D] to [n_parts, B, H, T, D/H]."""
        return states.view(*states.shape[:2], n_parts, self._n_heads, -1).permute(2, 0, 3, 1, 4)


def _taken(hidden: Tensor, positions: Tensor) -> Tensor:
    """[B, T, D] at [B, Q]: [B, Q, D]."""
    n_rows, length, _ = hidden.shape
    flat = positions + torch.arange(0, n_rows * length, length)[:, None]
    return functional.embedding(flat, hidden.flatten(0, 1))


def _product(dtype: torch.dtype, *linears: nn.Linear) -> _Product:
    """Several linear layers of one input as one."""
    weight = torch.cat([linear.weight.detach() for linear in linears])
    return _packed(weight, torch.cat([linear.bias.detach() for linear in linears]), dtype)


def _packed(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> _Product:
    """The product with a weight [O, I], packed where it is bfloat16; in float32 that gained nothing."""
    weight, bias = weight.to(dtype), bias.to(dtype)
    if dtype != torch.bfloat16:
        return lambda inputs: functional.linear(inputs, weight, bias)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    return lambda inputs: torch.ops.mkldnn._linear_pointwise(inputs, packed, bias, "none", [], "")


def _norm(norm: nn.LayerNorm, dtype: torch.dtype) -> _Product:
    shape, epsilon = norm.normalized_shape, norm.eps
    weight, bias = norm.weight.detach().to(dtype), norm.bias.detach().to(dtype)
    return lambda inputs: functional.layer_norm(inputs, shape, weight, bias, epsilon)

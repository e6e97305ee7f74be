"""NetGPT: the network, in plain torch; `flow_encoder.py` runs it over flows.

The network is GPT-2 (Radford et al., 2019) as NetGPT (Meng et al., arXiv 2304.09513) takes it for traffic, with a table
of segments added: which packet of its flow a token belongs to. Every other parameter has the name it has in Hugging
Face's `GPT2LMHeadModel`; its four products a block are stored there the other way round ([in, out]). The output is
tied to the token table and not stored a second time.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.networks.network_files import load_network, save_network, with_weights

NAME = "NetGPT"  # in its files
LAYER_NORM_EPS = 1e-5  # GPT-2's own, as is the spread of the first weights
FIRST_WEIGHTS_STD = 0.02
FEW_TOKENS = 128  # up to here attention is faster as plain products


@dataclasses.dataclass(frozen=True)
class NetGptConfig:
    """The shape.

    Attributes:
        vocab_size: tokens of the tokenizer, then those of tasks and their labels (networks/answers.py).
        hidden_size: a multiple of `n_heads`.
        n_layers: blocks.
        n_heads: of each block's attention.
        max_tokens: of a sequence, its prompt included.
        n_segments: packets that are told apart, and one more for what is of no packet.
    """

    vocab_size: int
    hidden_size: int = 256
    n_layers: int = 4
    n_heads: int = 4
    max_tokens: int = 515
    n_segments: int = 17


PRESETS = {
    "tiny": {"hidden_size": 128, "n_layers": 4, "n_heads": 2},  # trains in half the time of small
    "small": {"hidden_size": 256, "n_layers": 4, "n_heads": 4},  # trains on two cores
    "base": {"hidden_size": 768, "n_layers": 12, "n_heads": 12},  # the paper's; for a GPU
}

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values [B, H, T, D/H] of each block for the tokens already read; empty before the first."""


class NetGpt(nn.Module):
    """GPT-2 with segments: each token's hidden state knows the tokens before it and none after.

    Sequences are padded on the right: no token sees what follows it, so no mask is needed.

    Args:
        config: the shape.
    """

    def __init__(self, config: NetGptConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.transformer = nn.ModuleDict(
            {
                "wte": _embedding(config.vocab_size, width),
                "wpe": _embedding(config.max_tokens, width),
                "segments": _embedding(config.n_segments, width),
                "h": nn.ModuleList(_Block(config) for _ in range(config.n_layers)),
                "ln_f": nn.LayerNorm(width, eps=LAYER_NORM_EPS),
            }
        )

    def forward(self, ids: Tensor, segments: Tensor, cache: Cache | None = None) -> Tensor:
        """Hidden states of the last block, normed.

        Args:
            ids: [B, T] int64 token ids; with the tokens in `cache` before them at most `config.max_tokens`.
            segments: [B, T] int64, 0 to `config.n_segments` - 1.
            cache: what was read before these tokens; these are added to it. None keeps nothing.

        Returns:
            [B, T, D].
        """
        tables: Any = self.transformer
        seen = cache[0][0].shape[2] if cache else 0
        positions = tables["wpe"].weight[seen : seen + ids.shape[1]]
        hidden = tables["wte"](ids) + positions + tables["segments"](segments)  # [B, T, D]
        for number, block in enumerate(tables["h"]):
            hidden = block(hidden, cache, number)
        return tables["ln_f"](hidden)  # type: ignore[no-any-return]

    def token_logits(self, hidden: Tensor) -> Tensor:
        """What the network expects next: hidden states [..., D] to logits [..., V]."""
        tables: Any = self.transformer
        return functional.linear(hidden, tables["wte"].weight)

    def grown(self, vocab_size: int, seed: int = 0) -> NetGpt:
        """A copy with a larger vocabulary: the same for the tokens it has, random weights for the new.

        Raises:
            ValueError: where the vocabulary would shrink.
        """
        n_new = vocab_size - self.config.vocab_size
        if n_new < 0:
            raise ValueError(f"vocab_size {vocab_size} is less than the {self.config.vocab_size} there are")
        draw = torch.Generator().manual_seed(seed)
        new = torch.randn((n_new, self.config.hidden_size), generator=draw) * FIRST_WEIGHTS_STD
        state = {name: weight.detach().clone() for name, weight in self.state_dict().items()}
        state["transformer.wte.weight"] = torch.cat([state["transformer.wte.weight"], new])
        return with_weights(NetGpt, dataclasses.replace(self.config, vocab_size=vocab_size), state)

    def save(self, folder: Path) -> None:
        """Write the network into an existing folder (network_files.py)."""
        save_network(folder, self, self.config, NAME)

    @staticmethod
    def load(folder: Path) -> NetGpt:
        """Read what `save` wrote, as float32.

        Raises:
            BundleError: where a file is missing, damaged, of another format or network, or does not fit the other.
        """
        return load_network(folder, NetGpt, NetGptConfig, NAME)


def random_netgpt(config: NetGptConfig, seed: int = 0) -> NetGpt:
    """A network as GPT-2 starts it: normal weights, the products that end in a block's sum smaller with depth.

    The same seed gives the same network and leaves torch's own draws as they were.
    """
    draw = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in NetGpt(config).state_dict().items()}
    state = {}
    for name, shape in shapes.items():
        if name.endswith("bias"):
            state[name] = torch.zeros(shape)
        elif ".ln_" in name:
            state[name] = torch.ones(shape)
        else:
            spread = FIRST_WEIGHTS_STD / (2 * config.n_layers) ** 0.5 if ".c_proj." in name else FIRST_WEIGHTS_STD
            state[name] = torch.randn(shape, generator=draw) * spread
    return with_weights(NetGpt, config, state)


def _embedding(n_rows: int, width: int) -> nn.Embedding:
    """A table; on the meta device nn.Embedding's own start loads torch's compiler: over a second."""
    weight = torch.empty(n_rows, width)
    return nn.Embedding(n_rows, width, _weight=weight if weight.is_meta else weight.normal_(std=FIRST_WEIGHTS_STD))


class _Block(nn.Module):
    """Attention and a wide layer, each on normed states and added to them (pre-norm)."""

    def __init__(self, config: NetGptConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.n_heads = config.n_heads
        self.ln_1 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(width, 3 * width), "c_proj": nn.Linear(width, width)})
        self.ln_2 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, hidden: Tensor, cache: Cache | None, number: int) -> Tensor:
        hidden = hidden + self._attention(self.ln_1(hidden), cache, number)
        # GPT-2's GELU is tanh's form of this one, within 5e-4 and five times as slow in bfloat16.
        wide = functional.gelu(self.mlp["c_fc"](self.ln_2(hidden)))  # [B, T, 4D]
        return hidden + self.mlp["c_proj"](wide)  # type: ignore[no-any-return]

    def _attention(self, hidden: Tensor, cache: Cache | None, number: int) -> Tensor:
        query, key, value = (  # [B, H, T, D/H]
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in self.attn["c_attn"](hidden).chunk(3, dim=-1)
        )
        seen, new = 0, query.shape[2]
        if cache is not None and number < len(cache):
            seen = cache[number][0].shape[2]
            key, value = (torch.cat([old, now], dim=2) for old, now in zip(cache[number], (key, value), strict=True))
            cache[number] = key, value
        elif cache is not None:
            cache.append((key, value))
        # SDPA's own causal mask starts at the first key, so tokens after others need one that starts where they do.
        visible = query.new_ones((new, seen + new), dtype=torch.bool).tril(seen) if seen and new > 1 else None
        if not seen and query.device.type == "cpu" and (self.training or new <= FEW_TOKENS):
            mixed = _causal_attention(query, key, value)
        else:
            mixed = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=visible, is_causal=visible is None and new > 1
            )
        return self.attn["c_proj"](mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def _causal_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention as plain products, [B, H, T, D/H] each.

    On a processor SDPA's fused kernel is slower forward where there are few tokens, and always backward, three times.
    """
    n_tokens, scale = query.shape[2], query.shape[3] ** -0.5
    later = query.new_full((n_tokens, n_tokens), -torch.inf).triu(1)
    scores = query * scale @ key.transpose(2, 3) + later  # [B, H, T, T]
    with torch.autocast(query.device.type, enabled=False):  # or softmax would be widened to float32
        weights = scores.softmax(-1)
    return torch.matmul(weights, value)

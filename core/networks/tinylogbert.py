"""TinyLogBERT: the weights of the network, read and written; `packed_layers.py` multiplies with them.

The network is BERT (Devlin et al., arXiv 1810.04805) in the BERT-mini size (Turc et al., arXiv 1908.08962) with its
masked-language-model head. Every parameter has the name it has in Hugging Face's `BertForMaskedLM`, so a state dict
moves across by name; the decoder's weight and bias, which are tied there to the word embeddings and to
`cls.predictions.bias`, are not stored a second time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import nn

from core.config import NetworkConfig
from core.networks.network_files import load_network, save_network

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The first entries of every vocabulary, in the order of their ids."""
PAD_ID, UNK_ID, CLS_ID, SEP_ID, MASK_ID = range(5)

LAYER_NORM_EPS = 1e-12  # BERT's own


class TinyLogBert(nn.Module):
    """Weights of a BERT encoder and its masked-language-model head.

    Args:
        config: the shape; `hidden_size` must be a multiple of `n_heads`.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        embeddings = {
            "word_embeddings": _embedding(config.vocab_size, width),
            "position_embeddings": _embedding(config.max_tokens, width),
            "token_type_embeddings": _embedding(2, width),
            "LayerNorm": nn.LayerNorm(width, eps=LAYER_NORM_EPS),
        }
        layers = nn.ModuleList(_Layer(config) for _ in range(config.n_layers))
        self.bert = nn.ModuleDict(
            {"embeddings": nn.ModuleDict(embeddings), "encoder": nn.ModuleDict({"layer": layers})}
        )
        self.cls = nn.ModuleDict({"predictions": _Predictions(config)})

    def save(self, folder: Path) -> None:
        """Write the network into an existing folder (network_files.py)."""
        save_network(folder, self, self.config, None)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, as float32.

        Raises:
            BundleError: where a file is missing, damaged, of another format or network, or does not fit the other.
        """
        return load_network(folder, cls, NetworkConfig, None)


def _embedding(n_rows: int, width: int) -> nn.Embedding:
    """A table as nn.Embedding starts it; on the meta device its own start loads torch's compiler: over a second."""
    weight = torch.empty(n_rows, width)
    return nn.Embedding(n_rows, width, _weight=weight if weight.is_meta else weight.normal_())


class _Attention(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.n_heads = config.n_heads
        self.self = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict(
            {"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=LAYER_NORM_EPS)}
        )


class _Layer(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.attention = _Attention(config)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, 4 * width)})
        self.output = nn.ModuleDict(
            {"dense": nn.Linear(4 * width, width), "LayerNorm": nn.LayerNorm(width, eps=LAYER_NORM_EPS)}
        )


class _Predictions(nn.Module):
    """The head's own part: it makes hidden states ready for the product with the word embeddings."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.transform = nn.ModuleDict(
            {"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=LAYER_NORM_EPS)}
        )

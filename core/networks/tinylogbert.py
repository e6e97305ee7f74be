"""TinyLogBERT: the weights of the network, read and written; `packed_layers.py` multiplies with them.

The network is BERT (Devlin et al., arXiv 1810.04805) in the BERT-mini size (Turc et al., arXiv 1908.08962) with its
masked-language-model head. Every parameter has the name it has in Hugging Face's `BertForMaskedLM`, so a state dict
moves across by name; the decoder's weight and bias, which are tied there to the word embeddings and to
`cls.predictions.bias`, are not stored a second time.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from core.config import NetworkConfig
from core.errors import BundleError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The first entries of every vocabulary, in the order of their ids."""
PAD_ID, UNK_ID, CLS_ID, SEP_ID, MASK_ID = range(5)

FORMAT = 1
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
        """Write `network.safetensors` (float16) and `network.json` into an existing folder."""
        state = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in self.state_dict().items()}
        save_file(state, folder / "network.safetensors")
        described = {"format": FORMAT, "config": dataclasses.asdict(self.config)}
        (folder / "network.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, as float32.

        Raises:
            BundleError: where a file is missing, damaged, of another format or does not fit the other.
        """
        path = folder / "network.json"
        try:
            described = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(f"{path}: cannot be read ({error}); train the model again") from error
        if not isinstance(described, dict) or described.get("format") != FORMAT:
            raise BundleError(f"{path}: not a network of format {FORMAT}; train the model again with this version")
        config = _checked_config(described.get("config"), path)

        path = folder / "network.safetensors"
        try:
            state = {name: tensor.to(torch.float32) for name, tensor in load_file(path).items()}
            with torch.device("meta"):  # no memory is taken for sizes that the file may not have
                network = cls(config)
            network.load_state_dict(state, assign=True)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise BundleError(f"{path}: damaged or not the network of its network.json: {error}") from error
        if not all(tensor.isfinite().all() for tensor in state.values()):
            raise BundleError(f"{path}: damaged, some weights are not finite; train the model again")
        return network.eval()


def _checked_config(values: Any, path: Path) -> NetworkConfig:
    names = {field.name for field in dataclasses.fields(NetworkConfig)}
    if (
        not isinstance(values, dict)
        or set(values) != names
        or not all(type(value) is int and value > 0 for value in values.values())
        or values["hidden_size"] % values["n_heads"]
    ):
        raise BundleError(f"{path}: config must give {', '.join(sorted(names))} as positive whole numbers")
    return NetworkConfig(**values)


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

"""TinyLogBERT: token ids to an embedding and to the surprise of each token, in plain torch.

The network is BERT (Devlin et al., arXiv 1810.04805) in the BERT-mini size (Turc et al., arXiv 1908.08962) with its
masked-language-model head. Every parameter has the name it has in Hugging Face's `BertForMaskedLM`, so a state dict
moves across by name; the decoder's weight and bias, which are tied there to the word embeddings and to
`cls.predictions.bias`, are not stored a second time.

A text's result must not depend on its neighbours, or the same line would score differently in another file. A matrix
product chooses its kernel, and with it the order of its sums, by the shape of its operands. So shapes never vary here:
a text goes to the bucket of its own length, and every batch of a bucket is full, with dummy rows where texts run out.
Alone or in a crowd a text meets the same kernels, and its result is equal to the last bit.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from core.config import NetworkConfig
from core.errors import BundleError
from core.records import Progress, no_progress

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The first entries of every vocabulary, in the order of their ids."""
PAD_ID, UNK_ID, CLS_ID, SEP_ID, MASK_ID = range(5)

FORMAT = 1
LAYER_NORM_EPS = 1e-12  # BERT's own
BATCH_TOKENS = 960  # of every batch: of 256 to 4,096 about 1,000 is fastest a token; whole rows of most bucket lengths
HEAD_ROWS = 128  # positions the vocabulary head sees at once, always
GROUP_BATCHES = 4  # batches of texts, each with its masked copies, whose hidden states are held at once
N_PASSES = 4  # masked passes for a text's surprise; with 6, about the share hidden in training, it ranked no better


class TinyLogBert(nn.Module):
    """BERT encoder with its masked-language-model head.

    Args:
        config: the shape; `hidden_size` must be a multiple of `n_heads`.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        embeddings = {
            "word_embeddings": nn.Embedding(config.vocab_size, width),
            "position_embeddings": nn.Embedding(config.max_tokens, width),
            "token_type_embeddings": nn.Embedding(2, width),
            "LayerNorm": nn.LayerNorm(width, eps=LAYER_NORM_EPS),
        }
        layers = nn.ModuleList(_Layer(config) for _ in range(config.n_layers))
        self.bert = nn.ModuleDict(
            {"embeddings": nn.ModuleDict(embeddings), "encoder": nn.ModuleDict({"layer": layers})}
        )
        self.cls = nn.ModuleDict({"predictions": _Predictions(config)})

    def forward(self, ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Hidden states of the last layer.

        Args:
            ids: [B, T] int64 token ids, T at most `config.max_tokens`.
            attention_mask: [B, T], nonzero where there is a token, at least one in each row.

        Returns:
            [B, T, D]; the first position is the [CLS] embedding.
        """
        tables: Any = self.bert["embeddings"]
        hidden = (  # [B, T, D]
            tables["word_embeddings"](ids)
            + tables["position_embeddings"].weight[: ids.shape[1]]
            + tables["token_type_embeddings"].weight[0]
        )
        hidden = tables["LayerNorm"](hidden)
        visible = attention_mask.bool()[:, None, None, :]  # [B, 1, 1, T]
        layers: Any = self.bert["encoder"]
        for layer in layers["layer"]:
            hidden = layer(hidden, visible)
        return hidden  # type: ignore[no-any-return]

    def token_logits(self, hidden: Tensor) -> Tensor:
        """What the network expects at each position: hidden states [..., D] to logits [..., V]."""
        tables: Any = self.bert["embeddings"]
        predictions: Any = self.cls["predictions"]
        return functional.linear(predictions(hidden), tables["word_embeddings"].weight, predictions.bias)

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


@dataclasses.dataclass(frozen=True)
class Encoded:
    """What `Encoder.encode` makes of N texts; `[n, j]` belongs to `ids[n][1 + j]`.

    Attributes:
        embeddings: [N, D] float32, [CLS] vectors.
        surprise: [N, T] float32 in nats, 0 or more, higher is stranger; NaN past a text's last inner token.
        expected: [N, T] int32, the likeliest token there; PAD past the last.
        expected_p: [N, T] float32, its probability, 0 to 1; NaN past the last.
    """

    embeddings: np.ndarray
    surprise: np.ndarray
    expected: np.ndarray
    expected_p: np.ndarray


class Encoder:
    """Runs a network over texts; a text's result is bit-equal whatever other texts are in the call.

    That holds on one machine for one number of threads, and as far as measured across 1 and 2 threads. Another
    processor may take other kernels: expect differences of about 1% of the embedding's length in bfloat16.

    The vocabulary head always runs in float32: a bfloat16 logit of 15 would be rounded to steps of 0.06.

    Args:
        network: a trained network; it is copied, not changed.
        dtype: of the layers; None takes bfloat16 where the processor multiplies it itself, else float32.

    Attributes:
        precision: "bfloat16" or "float32", as chosen.
    """

    def __init__(self, network: TinyLogBert, dtype: torch.dtype | None = None) -> None:
        if dtype is None:
            dtype = torch.bfloat16 if has_bfloat16() else torch.float32
        self.config = network.config
        self.precision = str(dtype).removeprefix("torch.")
        self.network = copy.deepcopy(network).float().eval()
        self._layers = copy.deepcopy(network).to(dtype).eval()

    @torch.inference_mode()
    def embed(self, ids: Sequence[Sequence[int]], progress: Progress = no_progress) -> np.ndarray:
        """[CLS] vectors only: one pass, about a fifth of the cost of `encode`, and the same bits.

        Args:
            ids: token ids of each text, [CLS] first and [SEP] last, at most `config.max_tokens` long.
            progress: told the texts done.

        Returns:
            [N, D] float32.

        Raises:
            ValueError: where a text is too long or lacks its [CLS] or [SEP].
        """
        embeddings = np.empty((len(ids), self.config.hidden_size), np.float32)
        for length, group in self._groups(ids, progress):
            embeddings[group] = self._hidden([ids[text] for text in group], length)[: len(group), 0].float().numpy()
        return embeddings

    @torch.inference_mode()
    def encode(self, ids: Sequence[Sequence[int]], progress: Progress = no_progress) -> Encoded:
        """[CLS] vectors, the surprise of each token given the rest of its text, and the likeliest token in its place.

        A token's surprise is -ln p(token | the text with it and every fourth other token hidden): the pseudo-likelihood
        of Salazar et al. (arXiv 1910.14659), which hides one token a pass, in at most `N_PASSES` passes a text.

        Args:
            ids: token ids of each text, [CLS] first and [SEP] last, at most `config.max_tokens` long.
            progress: told the texts done.

        Raises:
            ValueError: where a text is too long or lacks its [CLS] or [SEP].
        """
        longest = max((len(text) - 2 for text in ids), default=0)
        encoded = Encoded(
            embeddings=np.empty((len(ids), self.config.hidden_size), np.float32),
            surprise=np.full((len(ids), longest), np.nan, np.float32),
            expected=np.full((len(ids), longest), PAD_ID, np.int32),
            expected_p=np.full((len(ids), longest), np.nan, np.float32),
        )
        for length, group in self._groups(ids, progress):
            rows: list[list[int]] = [list(ids[text]) for text in group]
            places: list[tuple[int, int]] = []  # row and position of each hidden token
            hidden_tokens: list[tuple[int, int]] = []  # its text and its place among the inner tokens
            for text in group:
                for masked, positions in _masked_passes(ids[text]):
                    places += [(len(rows), position) for position in positions]
                    hidden_tokens += [(text, position - 1) for position in positions]
                    rows.append(masked)
            hidden = self._hidden(rows, length)
            encoded.embeddings[group] = hidden[: len(group), 0].float().numpy()
            targets = [ids[text][1 + inner] for text, inner in hidden_tokens]
            done = 0
            for log_p in self._log_probabilities(hidden, places):
                part = slice(done, done + len(log_p))
                picked = log_p.gather(1, torch.tensor(targets[part])[:, None])[:, 0]
                best = log_p.max(dim=1)
                at = tuple(zip(*hidden_tokens[part], strict=True))
                encoded.surprise[at] = -picked.numpy()
                encoded.expected[at] = best.indices.numpy()
                encoded.expected_p[at] = best.values.exp().numpy()
                done += len(log_p)
        return encoded

    @torch.inference_mode()
    def resample(
        self,
        ids: Sequence[Sequence[int]],
        positions: Sequence[Sequence[int]],
        seed: int = 0,
        progress: Progress = no_progress,
    ) -> list[list[int]]:
        """The texts with some tokens written anew: sampled from what the network expects there, never the old token.

        Args:
            ids: token ids of each text, [CLS] first and [SEP] last.
            positions: of the tokens to hide and rewrite, for each text.
            seed: of the samples.
            progress: told the texts done.

        Returns:
            Texts of the same lengths; a special token is never written.
        """
        generator = torch.Generator().manual_seed(seed)
        texts = [list(text) for text in ids]
        for length, group in self._groups(ids, progress):
            rows = [[MASK_ID if p in positions[text] else token for p, token in enumerate(ids[text])] for text in group]
            places = [(row, position) for row, text in enumerate(group) for position in positions[text]]
            done = 0
            for log_p in self._log_probabilities(self._hidden(rows, length), places):
                part = [(group[row], position) for row, position in places[done : done + len(log_p)]]
                log_p[:, : len(SPECIAL_TOKENS)] = -torch.inf
                log_p[range(len(part)), [ids[text][position] for text, position in part]] = -torch.inf
                samples = log_p.softmax(-1).multinomial(1, generator=generator)[:, 0].tolist()
                for (text, position), token in zip(part, samples, strict=True):
                    texts[text][position] = token
                done += len(log_p)
        return texts

    def _groups(self, ids: Sequence[Sequence[int]], progress: Progress) -> Iterator[tuple[int, list[int]]]:
        """Bucket length and text numbers of one bucket, few enough to hold their hidden states."""
        buckets: dict[int, list[int]] = {}
        for number, text in enumerate(ids):
            if not 2 <= len(text) <= self.config.max_tokens or text[0] != CLS_ID or text[-1] != SEP_ID:
                raise ValueError(
                    f"text {number}: expected [CLS] … [SEP] of 2 to {self.config.max_tokens} tokens, found {len(text)}"
                )
            buckets.setdefault(_bucket_length(len(text), self.config.max_tokens), []).append(number)
        done = 0
        for length in sorted(buckets):
            size = GROUP_BATCHES * _batch_rows(length)
            for start in range(0, len(buckets[length]), size):
                group = buckets[length][start : start + size]
                yield length, group
                done += len(group)
                progress("reading with TinyLogBERT", done, len(ids))

    def _hidden(self, rows: Sequence[Sequence[int]], length: int) -> Tensor:
        """Hidden states [R, length, D] of R rows and the dummies after them, in batches of the bucket's one shape."""
        batch = _batch_rows(length)
        n_rows = -(-len(rows) // batch) * batch
        ids = np.full((n_rows, length), PAD_ID, np.int64)
        mask = np.zeros((n_rows, length), np.bool_)
        mask[:, 0] = True  # a dummy row looks at its first position: attention over nothing would be NaN
        for row, text in enumerate(rows):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = True
        parts = [slice(start, start + batch) for start in range(0, n_rows, batch)]
        return torch.cat([self._layers(torch.from_numpy(ids[part]), torch.from_numpy(mask[part])) for part in parts])

    def _log_probabilities(self, hidden: Tensor, places: list[tuple[int, int]]) -> Iterator[Tensor]:
        """Log-probabilities of the vocabulary at (row, position), in order: [P', V] a time, P' at most HEAD_ROWS."""
        for start in range(0, len(places), HEAD_ROWS):
            part = torch.tensor(places[start : start + HEAD_ROWS])
            vectors = torch.zeros((HEAD_ROWS, hidden.shape[-1]))
            vectors[: len(part)] = hidden[part[:, 0], part[:, 1]].float()
            yield self.network.token_logits(vectors).log_softmax(-1)[: len(part)]


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself (AMX or AVX512-BF16); emulated, it is slower than float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def _bucket_length(n_tokens: int, max_tokens: int) -> int:
    """8, 12, 16, 24, 32, 48, 64, 96 or 128."""
    power = max(8, 1 << (n_tokens - 1).bit_length())
    between = power * 3 // 4
    return min(max_tokens, between if 8 < n_tokens <= between else power)


def _batch_rows(length: int) -> int:
    return max(1, BATCH_TOKENS // length)


def _masked_passes(text: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Copies of a text with every k-th inner token hidden, and which: each inner token is hidden in one of them."""
    n_passes = min(N_PASSES, len(text) - 2)
    for first in range(n_passes):
        positions = list(range(1 + first, len(text) - 1, n_passes))
        masked = list(text)
        for position in positions:
            masked[position] = MASK_ID
        yield masked, positions


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


class _Attention(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.n_heads = config.n_heads
        self.self = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict(
            {"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=LAYER_NORM_EPS)}
        )

    def forward(self, hidden: Tensor, visible: Tensor) -> Tensor:
        query, key, value = (  # [B, H, T, D/H]
            self.self[name](hidden).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        mixed = self.output["dense"](mixed.transpose(1, 2).flatten(2))  # [B, T, D]
        return self.output["LayerNorm"](mixed + hidden)  # type: ignore[no-any-return]


class _Layer(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.attention = _Attention(config)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, 4 * width)})
        self.output = nn.ModuleDict(
            {"dense": nn.Linear(4 * width, width), "LayerNorm": nn.LayerNorm(width, eps=LAYER_NORM_EPS)}
        )

    def forward(self, hidden: Tensor, visible: Tensor) -> Tensor:
        hidden = self.attention(hidden, visible)
        wide = functional.gelu(self.intermediate["dense"](hidden))  # [B, T, 4D]
        return self.output["LayerNorm"](self.output["dense"](wide) + hidden)  # type: ignore[no-any-return]


class _Predictions(nn.Module):
    """The head's own part: hidden states made ready for the product with the word embeddings."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.transform = nn.ModuleDict(
            {"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=LAYER_NORM_EPS)}
        )

    def forward(self, hidden: Tensor) -> Tensor:
        return self.transform["LayerNorm"](  # type: ignore[no-any-return]
            functional.gelu(self.transform["dense"](hidden))
        )

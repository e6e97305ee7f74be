"""Token ids -> [CLS] embedding, surprise and likeliest token of each place.

A text's result must not depend on its neighbours, or the same line would score differently in another file. A matrix
product chooses its kernel, and with it the order of its sums, by the shape of its operands. So shapes never vary here:
a text goes to the bucket of its own length, and every batch of a bucket is full, with dummy rows where texts run out.
Alone or in a crowd a text meets the same kernels, and its result is equal to the last bit. One text would drag a whole
batch of dummies along, so there are smaller shapes: they are used only where they were seen to give the same bits.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from core.networks.packed_layers import PackedHead, PackedLayers
from core.networks.tinylogbert import CLS_ID, MASK_ID, PAD_ID, SEP_ID, SPECIAL_TOKENS, TinyLogBert
from core.records import Progress, no_progress

BATCH_TOKENS = 1440  # of every batch: of 256 to 4,096 about 1,000 to 2,000 is fastest a token
HEAD_ROWS = 128  # positions the vocabulary head sees at once
FEW_HEAD_ROWS = 48  # the same for a single text
GROUP_BATCHES = 4  # batches of texts, each with its masked copies, whose hidden states are held at once
N_PASSES = 2  # masked passes for a text's surprise; with 4 or 6 it ranked no better
FEW_ROWS = (1, 1 + N_PASSES)  # shapes for one text: its [CLS] alone; itself and its masked copies


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
        self._layers = PackedLayers(network, dtype)
        self._head = PackedHead(network, dtype)
        self._few_is_equal: dict[tuple[int, int, int], bool] = {}

    @torch.inference_mode()
    def embed(self, ids: Sequence[Sequence[int]], progress: Progress = no_progress) -> np.ndarray:
        """[CLS] vectors only: one pass, about a quarter of the cost of `encode`, and the same bits.

        Args:
            ids: token ids of each text, [CLS] first and [SEP] last, at most `config.max_tokens` long.
            progress: told the texts done.

        Returns:
            [N, D] float32.

        Raises:
            ValueError: where a text is too long or lacks its [CLS] or [SEP].
        """
        embeddings = np.empty((len(ids), self.config.hidden_size), np.float32)

        def embed_group(length: int, group: list[int]) -> None:
            hidden = self._hidden([ids[text] for text in group], length, [[0]] * len(group))
            embeddings[group] = hidden[: len(group), 0].float().numpy()

        self._each_group(ids, embed_group, progress)
        return embeddings

    @torch.inference_mode()
    def encode(self, ids: Sequence[Sequence[int]], progress: Progress = no_progress) -> Encoded:
        """[CLS] vectors, the surprise of each token given the rest of its text, and the likeliest token in its place.

        A token's surprise is -ln p(token | the text with it and every other token hidden): the pseudo-likelihood
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

        def encode_group(length: int, group: list[int]) -> None:
            rows: list[list[int]] = [list(ids[text]) for text in group]
            read = [[0] for _ in group]  # of each row, the positions that are looked at
            places: list[tuple[int, int]] = []  # row and place among those read, of each hidden token
            hidden_tokens: list[tuple[int, int]] = []  # its text and its place among the inner tokens
            for text in group:
                for masked, positions in _masked_passes(ids[text]):
                    places += [(len(rows), place) for place in range(len(positions))]
                    hidden_tokens += [(text, position - 1) for position in positions]
                    rows.append(masked)
                    read.append(positions)
            hidden = self._hidden(rows, length, read)
            encoded.embeddings[group] = hidden[: len(group), 0].float().numpy()
            for start, logits, ready in self._logits(hidden, places):
                tokens = hidden_tokens[start : start + len(logits)]
                target = torch.tensor([ids[text][1 + inner] for text, inner in tokens])
                best = torch.from_numpy(logits.numpy().argmax(1))
                for picked in (target, best):
                    logits.scatter_(1, picked[:, None], self._head.exact(ready, picked)[:, None])
                total = logits.logsumexp(1)
                at = tuple(zip(*tokens, strict=True))
                encoded.surprise[at] = (total - _at(logits, target)).clamp(min=0).numpy()
                encoded.expected[at] = best.numpy()
                encoded.expected_p[at] = (_at(logits, best) - total).exp().clamp(max=1).numpy()

        self._each_group(ids, encode_group, progress)
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
        n_done = 0
        for length, group in self._groups(ids):
            rows = [[MASK_ID if p in positions[text] else token for p, token in enumerate(ids[text])] for text in group]
            places = [(row, position) for row, text in enumerate(group) for position in positions[text]]
            for start, logits, _ in self._logits(self._hidden(rows, length), places):
                part = [(group[row], position) for row, position in places[start : start + len(logits)]]
                logits[:, : len(SPECIAL_TOKENS)] = -torch.inf
                logits[range(len(part)), [ids[text][position] for text, position in part]] = -torch.inf
                samples = logits.softmax(-1).multinomial(1, generator=generator)[:, 0].tolist()
                for (text, position), token in zip(part, samples, strict=True):
                    texts[text][position] = token
            n_done += len(group)
            progress("reading with TinyLogBERT", n_done, len(ids))
        return texts

    def _each_group(
        self, ids: Sequence[Sequence[int]], work: Callable[[int, list[int]], None], progress: Progress
    ) -> None:
        """Call `work` with each group, several at once: two batches on a core each are done sooner than one on both."""
        n_threads = torch.get_num_threads()
        groups = list(self._groups(ids))[::-1]  # the long texts first: threads end at about the same time
        n_done = 0
        if n_threads == 1 or len(groups) == 1:
            for length, group in groups:
                work(length, group)
                n_done += len(group)
                progress("reading with TinyLogBERT", n_done, len(ids))
            return

        @torch.inference_mode()
        def alone(length: int, group: list[int]) -> None:
            work(length, group)

        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            pending = [pool.submit(alone, length, group) for length, group in groups]
            try:
                for (_, group), future in zip(groups, pending, strict=True):
                    future.result()
                    n_done += len(group)
                    progress("reading with TinyLogBERT", n_done, len(ids))
            finally:
                for future in pending:
                    future.cancel()
                torch.set_num_threads(n_threads)  # what the workers set is where every later thread starts

    def _groups(self, ids: Sequence[Sequence[int]]) -> Iterator[tuple[int, list[int]]]:
        """Bucket length and text numbers of one bucket, few enough to hold their hidden states."""
        buckets: dict[int, list[int]] = {}
        for number, text in enumerate(ids):
            if not 2 <= len(text) <= self.config.max_tokens or text[0] != CLS_ID or text[-1] != SEP_ID:
                raise ValueError(
                    f"text {number}: expected [CLS] … [SEP] of 2 to {self.config.max_tokens} tokens, found {len(text)}"
                )
            buckets.setdefault(_bucket_length(len(text), self.config.max_tokens), []).append(number)
        for length in sorted(buckets):
            size = GROUP_BATCHES * _batch_rows(length)
            for start in range(0, len(buckets[length]), size):
                yield length, buckets[length][start : start + size]

    def _hidden(
        self, rows: Sequence[Sequence[int]], length: int, read: Sequence[Sequence[int]] | None = None
    ) -> Tensor:
        """Hidden states of R rows and the dummies after them, in batches of the bucket's one shape.

        Args:
            rows: token ids.
            length: of the bucket.
            read: of each row the positions to return, as many as a masked pass hides at most; None returns all.

        Returns:
            [R', Q, D], Q places to a row: row r's position read[r][q] at [r, q]; or [R', length, D].
        """
        batch = self._rows_of_batch(len(rows), length)
        n_rows = -(-len(rows) // batch) * batch
        ids = np.full((n_rows, length), PAD_ID, np.int64)
        mask = np.zeros((n_rows, length), np.bool_)
        mask[:, 0] = True  # a dummy row looks at its first position: attention over nothing would be NaN
        for row, text in enumerate(rows):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = True
        inputs = [torch.from_numpy(ids), torch.from_numpy(mask)]
        if read is not None:
            positions = np.zeros((n_rows, _most_read(length)), np.int64)
            for row, places in enumerate(read):
                positions[row, : len(places)] = places
            inputs.append(torch.from_numpy(positions))
        parts = [slice(start, start + batch) for start in range(0, n_rows, batch)]
        return torch.cat([self._layers(*(values[part] for values in inputs)) for part in parts])

    def _logits(self, hidden: Tensor, places: list[tuple[int, int]]) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Number of the first, and what `PackedHead.logits` gives at (row, place), HEAD_ROWS at once."""
        n_rows = self._rows_of_head(len(places))
        for start in range(0, len(places), n_rows):
            part = torch.tensor(places[start : start + n_rows])
            vectors = torch.zeros((n_rows, hidden.shape[-1]))
            vectors[: len(part)] = hidden[part[:, 0], part[:, 1]].float()
            logits, ready = self._head.logits(vectors)
            yield start, logits[: len(part)], ready[: len(part)]

    def _rows_of_batch(self, n_rows: int, length: int) -> int:
        """Rows of each batch of a bucket: few where that is enough and gives the bits of a full batch."""
        full = _batch_rows(length)

        def equal() -> bool:
            draw = torch.Generator().manual_seed(length)
            ids = torch.randint(0, self.config.vocab_size, (full, length), generator=draw)
            mask = torch.ones((full, length), dtype=torch.bool)
            read = torch.randint(0, length, (full, _most_read(length)), generator=draw)
            return torch.equal(self._layers(ids[:few], mask[:few], read[:few]), self._layers(ids, mask, read)[:few])

        for few in FEW_ROWS:
            if n_rows <= few < full and self._seen_equal(length, few, equal):
                return few
        return full

    def _rows_of_head(self, n_rows: int) -> int:
        def equal() -> bool:
            draw = torch.Generator().manual_seed(0)
            vectors = torch.randn((HEAD_ROWS, self.config.hidden_size), generator=draw)
            few, full = self._head.logits(vectors[:FEW_HEAD_ROWS]), self._head.logits(vectors)
            return all(torch.equal(some, whole[:FEW_HEAD_ROWS]) for some, whole in zip(few, full, strict=True))

        return FEW_HEAD_ROWS if n_rows <= FEW_HEAD_ROWS and self._seen_equal(0, FEW_HEAD_ROWS, equal) else HEAD_ROWS

    def _seen_equal(self, length: int, few: int, equal: Callable[[], bool]) -> bool:
        """Whether few rows gave the same bits; tried once for each length (0: the head) and number of threads."""
        key = (length, few, torch.get_num_threads())
        if key not in self._few_is_equal:
            self._few_is_equal[key] = equal()
        return self._few_is_equal[key]


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself (AMX or AVX512-BF16); emulated, it is slower than float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def _at(rows: Tensor, columns: Tensor) -> Tensor:
    """[P, V] and [P] to [P]."""
    return rows.gather(1, columns[:, None])[:, 0]


def _bucket_length(n_tokens: int, max_tokens: int) -> int:
    """8, 12, … 32 by 4; 40, … 64 by 8; 80, … 128 by 16: at most a fifth of a row is padding."""
    step = max(4, 1 << max(0, (n_tokens - 1).bit_length() - 3))
    return min(max_tokens, max(8, -(-n_tokens // step) * step))


def _batch_rows(length: int) -> int:
    return max(1, BATCH_TOKENS // length)


def _most_read(length: int) -> int:
    """Positions that a masked pass over a text of a bucket hides at most."""
    return -(-(length - 2) // N_PASSES)


def _masked_passes(text: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Copies of a text with every k-th inner token hidden, and which: each inner token is hidden in one of them."""
    n_passes = min(N_PASSES, len(text) - 2)
    for first in range(n_passes):
        positions = list(range(1 + first, len(text) - 1, n_passes))
        masked = list(text)
        for position in positions:
            masked[position] = MASK_ID
        yield masked, positions

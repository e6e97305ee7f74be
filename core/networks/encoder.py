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
import functools
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.networks.cores import cores
from core.networks.masked_passes import N_PASSES, MaskedPasses, masked_passes, most_read
from core.networks.packed_layers import PackedHead, PackedLayers
from core.networks.tinylogbert import CLS_ID, MASK_ID, PAD_ID, SEP_ID, SPECIAL_TOKENS, TinyLogBert
from core.records import Progress, no_progress

BATCH_TOKENS = 1440  # of every batch: of 256 to 4,096 about 1,000 to 2,000 is fastest a token
HEAD_ROWS = 128  # positions the vocabulary head sees at once
FEW_HEAD_ROWS = 48  # the same for a single text
GROUP_BATCHES = 4  # batches whose hidden states are held at once
FEW_ROWS = (1, N_PASSES)  # shapes for one text: itself; its masked copies
TOKENS_AT_ONCE = 4_096  # whose exact logits are worked out together

_Job = tuple[int, Callable[[], None]]
"""Some work on rows of one bucket, and how many they are."""


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
        goes_on: ids of the tokens that go on with the word before them (`##…`).

    Attributes:
        precision: "bfloat16" or "float32", as chosen.
    """

    def __init__(self, network: TinyLogBert, dtype: torch.dtype | None = None, goes_on: Collection[int] = ()) -> None:
        if dtype is None:
            dtype = torch.bfloat16 if has_bfloat16() else torch.float32
        self.config = network.config
        self.precision = str(dtype).removeprefix("torch.")
        self.network = copy.deepcopy(network).float().eval()
        self._layers = PackedLayers(network, dtype)
        self._head = PackedHead(network, dtype)
        self._goes_on = np.isin(np.arange(self.config.vocab_size), list(goes_on))
        self._few_is_equal: dict[tuple[int, int, int, int], bool] = {}

    @torch.inference_mode()
    def embed(self, ids: Sequence[Sequence[int]], progress: Progress = no_progress) -> np.ndarray:
        """[CLS] vectors only: one pass, about half the cost of `encode`, and the same bits.

        Args:
            ids: token ids of each text, [CLS] first and [SEP] last, at most `config.max_tokens` long.
            progress: told the texts done.

        Returns:
            [N, D] float32.

        Raises:
            ValueError: where a text is too long or lacks its [CLS] or [SEP].
        """
        embeddings = np.empty((len(ids), self.config.hidden_size), np.float32)
        jobs = [
            job
            for length, texts in self._buckets(ids)
            for job in self._embedding_jobs(*_table(ids, texts, length), texts, embeddings)
        ]
        _run(jobs, len(ids), progress)
        return embeddings

    @torch.inference_mode()
    def encode(self, ids: Sequence[Sequence[int]], progress: Progress = no_progress) -> Encoded:
        """[CLS] vectors, the surprise of each token given the rest of its text, and the likeliest token in its place.

        A token's surprise is -ln p(token | the text with it and others hidden): the pseudo-likelihood of Salazar et al.
        (arXiv 1910.14659), which hides one token a pass, in two passes (masked_passes.py says which tokens are hidden).

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
        jobs: list[_Job] = []
        for length, texts in self._buckets(ids):
            tokens, lengths = _table(ids, texts, length)
            jobs += self._embedding_jobs(tokens, lengths, texts, encoded.embeddings)
            jobs += self._surprise_jobs(masked_passes(tokens, lengths, self._goes_on), texts, encoded)
        _run(jobs, len(ids), progress)
        return encoded

    def _embedding_jobs(
        self, tokens: np.ndarray, lengths: np.ndarray, texts: np.ndarray, embeddings: np.ndarray
    ) -> Iterator[_Job]:
        """Writing the embeddings of texts of one bucket, tokens [N, T], into their rows."""
        length = tokens.shape[1]
        # float32 rounds otherwise where a batch reads a single place of each row
        read = np.zeros((len(tokens), 1 if self.precision == "bfloat16" else most_read(length)), np.int64)

        def embed(rows: slice) -> None:
            hidden = self._hidden(tokens[rows], lengths[rows], read[rows])
            embeddings[texts[rows]] = hidden[: len(texts[rows]), 0].float().numpy()

        for rows in _groups(len(tokens), length):
            yield rows.stop - rows.start, functools.partial(embed, rows)

    def _surprise_jobs(self, passes: MaskedPasses, texts: np.ndarray, encoded: Encoded) -> Iterator[_Job]:
        """Writing what is said of each token of one bucket's texts."""

        def foretell(rows: slice) -> None:
            hidden = self._hidden(passes.rows[rows], passes.lengths[rows], passes.read[rows])
            n_read = np.diff(passes.first_place[rows.start : rows.stop + 1])
            is_read = np.arange(hidden.shape[1]) < n_read[:, None]
            vectors = hidden[: len(n_read)][torch.from_numpy(is_read)]
            for start, logits, ready in self._logits(vectors):
                best = torch.from_numpy(logits.numpy().argmax(1))
                likeliest = self._head.exact(ready, best)
                total = logits.scatter_(1, best[:, None], likeliest[:, None]).logsumexp(1)
                best_p = (likeliest - total).exp().clamp(max=1).numpy()
                first = passes.first_place[rows.start] + start
                ends = np.searchsorted(passes.place, [first, first + len(logits)])
                for some in _slices(int(ends[0]), int(ends[1]), TOKENS_AT_ONCE):
                    place = passes.place[some] - first
                    token = torch.from_numpy(passes.token[some])
                    at = texts[passes.text[some]], passes.position[some] - 1
                    surprise = total[place] - self._head.exact(ready[place], token)
                    encoded.surprise[at] = surprise.clamp(min=0).numpy()
                    encoded.expected[at] = best.numpy()[place]
                    encoded.expected_p[at] = best_p[place]

        for rows in _groups(len(passes.rows), passes.rows.shape[1]):
            yield rows.stop - rows.start, functools.partial(foretell, rows)

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
        rewritten = [list(text) for text in ids]
        n_done = 0
        for length, texts in self._buckets(ids):
            tokens, lengths = _table(ids, texts, length)
            for rows in _groups(len(texts), length):
                group = texts[rows].tolist()
                places = [(row, place) for row, text in enumerate(group) for place in positions[text]]
                row, place = np.array(places, np.int64).reshape(-1, 2).T
                hidden = tokens[rows].copy()
                hidden[row, place] = MASK_ID
                vectors = self._hidden(hidden, lengths[rows])[row, place]
                old = torch.from_numpy(tokens[rows][row, place])
                for start, logits, _ in self._logits(vectors):
                    logits[:, : len(SPECIAL_TOKENS)] = -torch.inf
                    logits.scatter_(1, old[start : start + len(logits), None], -torch.inf)
                    samples = logits.softmax(-1).multinomial(1, generator=generator)[:, 0].tolist()
                    for number, token in enumerate(samples, start):
                        rewritten[group[row[number]]][place[number]] = token
                n_done += len(group)
                progress("reading with TinyLogBERT", n_done, len(ids))
        return rewritten

    def _buckets(self, ids: Sequence[Sequence[int]]) -> Iterator[tuple[int, np.ndarray]]:
        """Bucket lengths, ascending, and the numbers of their texts."""
        buckets: dict[int, list[int]] = {}
        for number, text in enumerate(ids):
            if not 2 <= len(text) <= self.config.max_tokens or text[0] != CLS_ID or text[-1] != SEP_ID:
                raise ValueError(
                    f"text {number}: expected [CLS] … [SEP] of 2 to {self.config.max_tokens} tokens, found {len(text)}"
                )
            buckets.setdefault(_bucket_length(len(text), self.config.max_tokens), []).append(number)
        for length in sorted(buckets):
            yield length, np.array(buckets[length])

    def _hidden(self, tokens: np.ndarray, lengths: np.ndarray, read: np.ndarray | None = None) -> Tensor:
        """Hidden states of R rows and the dummies after them, in batches of the bucket's one shape.

        Args:
            tokens: [R, T] ids, T the length of the bucket.
            lengths: [R] tokens of each row.
            read: [R, Q] positions to return; None returns all.

        Returns:
            [R', Q, D]: row r's position read[r][q] at [r, q]; or [R', T, D].
        """
        length = tokens.shape[1]
        batch = self._rows_of_batch(len(tokens), length, length if read is None else read.shape[1])
        n_dummies = -len(tokens) % batch
        # a dummy row looks at its first position: attention over nothing would be NaN
        mask = np.arange(length) < np.pad(lengths, (0, n_dummies), constant_values=1)[:, None]
        inputs = [torch.from_numpy(np.pad(tokens, ((0, n_dummies), (0, 0)))), torch.from_numpy(mask)]
        if read is not None:
            inputs.append(torch.from_numpy(np.pad(read, ((0, n_dummies), (0, 0)))))
        parts = _slices(0, len(mask), batch)
        return torch.cat([self._layers(*(values[part] for values in inputs)) for part in parts])

    def _logits(self, vectors: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Number of the first, and what `PackedHead.logits` gives of hidden states [P, D], HEAD_ROWS at once."""
        n_rows = self._rows_of_head(len(vectors))
        for some in _slices(0, len(vectors), n_rows):
            part = vectors[some].float()
            logits, ready = self._head.logits(functional.pad(part, (0, 0, 0, n_rows - len(part))))
            yield some.start, logits[: len(part)], ready[: len(part)]

    def _rows_of_batch(self, n_rows: int, length: int, n_read: int) -> int:
        """Rows of each batch of a bucket: few where that is enough and gives the bits of a full batch."""
        full = _batch_rows(length)

        def equal() -> bool:
            draw = torch.Generator().manual_seed(length)
            ids = torch.randint(0, self.config.vocab_size, (full, length), generator=draw)
            mask = torch.ones((full, length), dtype=torch.bool)
            read = torch.randint(0, length, (full, n_read), generator=draw)
            return torch.equal(self._layers(ids[:few], mask[:few], read[:few]), self._layers(ids, mask, read)[:few])

        for few in FEW_ROWS:
            if n_rows <= few < full and self._seen_equal((length, n_read, few), equal):
                return few
        return full

    def _rows_of_head(self, n_rows: int) -> int:
        def equal() -> bool:
            draw = torch.Generator().manual_seed(0)
            vectors = torch.randn((HEAD_ROWS, self.config.hidden_size), generator=draw)
            few, full = self._head.logits(vectors[:FEW_HEAD_ROWS]), self._head.logits(vectors)
            return all(torch.equal(some, whole[:FEW_HEAD_ROWS]) for some, whole in zip(few, full, strict=True))

        return (
            FEW_HEAD_ROWS if n_rows <= FEW_HEAD_ROWS and self._seen_equal((0, 0, FEW_HEAD_ROWS), equal) else HEAD_ROWS
        )

    def _seen_equal(self, shape: tuple[int, int, int], equal: Callable[[], bool]) -> bool:
        """Whether few rows gave the same bits; tried once for a shape (length 0: the head) and number of threads."""
        key = (*shape, torch.get_num_threads())
        if key not in self._few_is_equal:
            self._few_is_equal[key] = equal()
        return self._few_is_equal[key]


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself (AMX or AVX512-BF16); emulated, it is slower than float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def _run(jobs: Sequence[_Job], n_texts: int, progress: Progress) -> None:
    """Do all jobs, several at once."""
    jobs = jobs[::-1]  # the long texts first: threads end at about the same time
    n_rows, n_done = sum(rows for rows, _ in jobs), 0

    def done(rows: int) -> None:
        nonlocal n_done
        n_done += rows
        progress("reading with TinyLogBERT", n_texts * n_done // n_rows, n_texts)

    if torch.get_num_threads() == 1 or len(jobs) == 1:
        for rows, work in jobs:
            work()
            done(rows)
        return

    @torch.inference_mode()
    def alone(work: Callable[[], None]) -> None:
        work()

    with cores() as pool:
        pending = [pool.submit(alone, work) for _, work in jobs]
        for (rows, _), future in zip(jobs, pending, strict=True):
            future.result()
            done(rows)


def _table(ids: Sequence[Sequence[int]], texts: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Token ids [N, T] int64 of texts of one bucket, PAD past the last, and their lengths [N]."""
    tokens = np.full((len(texts), length), PAD_ID, np.int64)
    lengths = np.array([len(ids[text]) for text in texts])
    tokens[np.arange(length) < lengths[:, None]] = np.concatenate([ids[text] for text in texts])
    return tokens, lengths


def _groups(n_rows: int, length: int) -> Iterator[slice]:
    """Rows of a bucket, few enough to hold their hidden states."""
    return _slices(0, n_rows, GROUP_BATCHES * _batch_rows(length))


def _slices(start: int, stop: int, step: int) -> Iterator[slice]:
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))


def _bucket_length(n_tokens: int, max_tokens: int) -> int:
    """8, 12, … 32 by 4; 40, … 64 by 8; 80, … 128 by 16: at most a fifth of a row is padding."""
    step = max(4, 1 << max(0, (n_tokens - 1).bit_length() - 3))
    return min(max_tokens, max(8, -(-n_tokens // step) * step))


def _batch_rows(length: int) -> int:
    return max(1, BATCH_TOKENS // length)

"""Distances to the nearest lines, where a distinct text weighs as many lines as had it.

A text's own line is left out once. So a text that several lines share is near to itself, and a text seen in one
line only is as far away as its nearest other text: fitted on a log that still holds its anomalies, a rare anomaly
does not vouch for itself.

Distances to a share of all lines (Ramaswamy et al., SIGMOD 2000, with lines as mass) instead of to a k-th text keep
small groups of equal anomalies from hiding behind each other.

A text that an analyst calls normal does vouch for itself: it weighs like an everyday one, VOUCHED_SHARE of the lines.

Of more than MOST_TEXTS texts a draw of their lines is kept: time grows with the texts, not with their square.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Self

import numpy as np

from core.errors import WorkbenchError
from core.records import EncodedBatch
from core.scoring.scorer import BaseScorer, embeddings_of

ONE_LINE = 0.0
MASS_SHARES = (ONE_LINE, 0.003, 0.03, 0.3)
"""Shares of all lines that a neighbourhood holds, decades apart; at least one line each."""
VOUCHED_SHARE = 0.03
"""Share of all lines that a text judged normal weighs at least."""

DistanceRows = Callable[[np.ndarray], np.ndarray]
"""Given row numbers [b] of the queries, their distances [b, N] to every text of the bank, as a fresh array."""

MOST_TEXTS = 20_000
"""Texts that a bank is made of, about: of more, those that a draw of the lines holds."""

_CHUNK_CELLS = 500_000  # distances that a thread holds at a time: 4 MB, and about three times that while sorting
_MOST_THREADS = 8
_SPREAD_ROWS = 1_000  # texts whose distances to all others give the mean pairwise distance
_OFFSET = 0.1  # in units of the distance: what lies nearer is hardly told apart
_ROUNDING = 6  # decimals kept, so that matrix shapes do not show in a score


class LineBank:
    """The reference side of a neighbour scorer: `N` distinct texts and the lines that had each.

    Args:
        texts: distinct normalized texts, length N, at least one.
        counts: [N] lines that had each.
        n_lines: of which the shares are taken; None for all that the counts add up to.
    """

    def __init__(self, texts: list[str], counts: np.ndarray, n_lines: int | None = None) -> None:
        self.texts = texts
        self.counts = np.asarray(counts, dtype=np.int64)
        self.n_lines = int(self.counts.sum()) if n_lines is None else n_lines
        self._row = {text: row for row, text in enumerate(texts)}

    def own_rows(self, queries: list[str]) -> np.ndarray:
        """[B] the row of each query's own text, -1 where the bank does not hold it."""
        return np.array([self._row.get(text, -1) for text in queries], dtype=np.int64)

    def mass_distance(
        self, queries: list[str], distances: DistanceRows, shares: tuple[float, ...] = MASS_SHARES
    ) -> np.ndarray:
        """Distance within which a share of all lines lies, the query's own line left out; mean over the shares.

        The mean is geometric, of distance + 0.1: a text that nobody has comes out far from every share, a rare page of
        a site only from the large ones, and an arithmetic mean would let the large ones rule.

        Args:
            queries: normalized texts, length B.
            distances: gives their distances to the bank, 0 or more.
            shares: of all lines, each at least one line.

        Returns:
            [B] float64, 0 or more, higher is more abnormal; exact to the decimals kept.
        """
        masses = [max(1, math.ceil(share * self.n_lines)) for share in shares]
        counts = self.counts.astype(np.int32 if int(self.counts.sum()) < 2**31 else np.int64)
        row_bits = (1 << (len(self.texts) - 1).bit_length()) - 1

        def within(rows: np.ndarray, own: np.ndarray) -> np.ndarray:
            # A distance and its text in one number, the text in the bits that count least: floats of 0 or more are
            # ordered as their bits are, and one array is sorted in half the time that a second one takes beside it.
            near = _own_at_zero(distances(rows), own).view(np.int64)
            near &= ~row_bits
            near |= np.arange(near.shape[1])
            near.sort(axis=1)
            reached = np.cumsum(counts[near & row_bits], axis=1, dtype=counts.dtype)  # [b, N] lines within
            total = np.zeros(len(near))
            for mass in masses:
                # the own line is taken off all places, for what lies before it is as near as it is
                wanted = (mass + (own >= 0)).astype(counts.dtype)[:, None]
                # min: the own line left out, fewer lines than the mass may remain
                place = np.minimum(np.count_nonzero(reached < wanted, axis=1), near.shape[1] - 1)
                total += np.log(_OFFSET + (near[np.arange(len(near)), place] & ~row_bits).view(np.float64))
            return np.asarray(np.exp(total / len(masses)) - _OFFSET)

        return np.asarray(np.maximum(self._measured(queries, within), 0.0).round(_ROUNDING))

    def line_distance(self, queries: list[str], distances: DistanceRows) -> np.ndarray:
        """`mass_distance` for the share ONE_LINE alone, without sorting: [B] float64, higher is more abnormal."""

        def nearest(rows: np.ndarray, own: np.ndarray) -> np.ndarray:
            near = _own_at_zero(distances(rows), own)
            alone = (own >= 0) & (self.counts[own] == 1) & (len(self.texts) > 1)
            near[alone, own[alone]] = np.inf
            return np.asarray(near.min(axis=1))

        return self._measured(queries, nearest).round(_ROUNDING)

    def nearest_other(self, queries: list[str], distances: DistanceRows) -> list[str | None]:
        """The nearest text of the bank that is not the query itself; None where the bank holds no other."""
        result: list[str | None] = []
        for rows, own in self._chunks(queries):
            near = _own_at_zero(distances(rows), own)
            near[own >= 0, own[own >= 0]] = np.inf
            best = near.argmin(axis=1)
            result += [self.texts[row] if np.isfinite(near[i, row]) else None for i, row in enumerate(best)]
        return result

    def spread(self, distances: DistanceRows) -> float:
        """Mean distance between two different texts of the bank, over at most 1,000 evenly spaced ones against all.

        Args:
            distances: of the bank's own texts.

        Returns:
            The mean; 1.0 where there are no two different points.
        """
        n_texts = len(self.texts)
        rows = np.unique(np.linspace(0, n_texts - 1, min(n_texts, _SPREAD_ROWS)).astype(np.int64))
        total = 0.0
        for start in range(0, len(rows), self._chunk_rows()):
            some = rows[start : start + self._chunk_rows()]
            total += _own_at_zero(distances(some), some).sum()
        mean = total / max(1, len(rows) * (n_texts - 1))
        return mean if mean > 1e-9 else 1.0

    def vouched(self, texts: list[str]) -> LineBank:
        """The bank with texts judged normal, those it did not hold behind its own.

        Its shares stay those of the lines learnt from, so that no distance to it grows.
        """
        lines = dict(zip(self.texts, self.counts.tolist(), strict=True))
        weight = vouched_lines(self.n_lines)
        lines |= {text: max(weight, lines.get(text, 0)) for text in texts}
        return LineBank(list(lines), np.array(list(lines.values()), dtype=np.int64), self.n_lines)

    def without(self, texts: list[str], counts: np.ndarray) -> tuple[LineBank, np.ndarray]:
        """The bank without these lines of its texts, and which of its rows are left, ascending.

        Raises:
            WorkbenchError: no line is left.
        """
        lines = lines_without(self.texts, self.counts, texts, counts)
        rows = np.array([self._row[text] for text in lines], dtype=np.int64)
        return LineBank(list(lines), np.array(list(lines.values()), dtype=np.int64)), rows

    def _measured(self, queries: list[str], measure: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """[B] what `measure` gives for the rows of each chunk and their own texts' rows, chunks on all cores."""
        chunks = list(self._chunks(queries))
        if len(chunks) < 2:
            return np.concatenate([np.empty(0), *(measure(rows, own) for rows, own in chunks)])
        with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
            return np.concatenate(list(pool.map(measure, *zip(*chunks, strict=True))))

    def _chunk_rows(self) -> int:
        return max(1, _CHUNK_CELLS // len(self.texts))

    def _chunks(self, queries: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers [b] of some queries and the bank rows [b] of their own texts."""
        own = self.own_rows(queries)
        for start in range(0, len(queries), self._chunk_rows()):
            rows = np.arange(start, min(start + self._chunk_rows(), len(queries)))
            yield rows, own[rows]


def vouched_lines(n_lines: int) -> int:
    """Lines that a text judged normal weighs at least, one of them its own, which is left out."""
    return 1 + math.ceil(VOUCHED_SHARE * n_lines)


def lines_without(
    texts: list[str], counts: np.ndarray, forgotten: list[str], forgotten_counts: np.ndarray
) -> dict[str, int]:
    """As `lines_left`.

    Raises:
        WorkbenchError: no line is left.
    """
    if not (left := lines_left(texts, counts, forgotten, forgotten_counts)):
        raise WorkbenchError("every message learnt from is judged abnormal; nothing is left that says what is normal")
    return left


def lines_left(
    texts: list[str], counts: np.ndarray, forgotten: list[str], forgotten_counts: np.ndarray
) -> dict[str, int]:
    """Lines of each text, in order, once those forgotten are taken away; texts without a line are left out."""
    lines = dict(zip(texts, counts.tolist(), strict=True))
    for text, count in zip(forgotten, forgotten_counts.tolist(), strict=True):
        if text in lines:  # a bank of drawn lines may not hold it
            lines[text] -= count
    return {text: count for text, count in lines.items() if count > 0}


def _own_at_zero(distances: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The same array [b, N] with exactly 0 to the query's own text, which rounding would miss."""
    known = np.flatnonzero(own >= 0)
    distances[known, own[known]] = 0.0
    return distances


class EmbeddingNeighbours(BaseScorer):
    """The bank of embeddings behind `knn` and `density`; distances in units of the mean pairwise distance.

    Vectors are centred and scaled before they are kept as float16: [CLS] vectors share one large mean, next to which
    half precision would lose what tells them apart.
    """

    requires = frozenset({"embeddings"})
    fitted: ClassVar[dict[str, type]] = {
        "texts_": list,
        "counts_": np.ndarray,
        "vectors_": np.ndarray,  # [N, D] float16, centred, in units of the spread
        "center_": np.ndarray,  # [D] float32
        "spread_": float,  # mean pairwise distance of the embeddings as they came
    }
    texts_: list[str]
    counts_: np.ndarray
    vectors_: np.ndarray
    center_: np.ndarray
    spread_: float

    def fit(self, batch: EncodedBatch) -> Self:
        """Keep the texts, their counts and their embeddings [N, D].

        Raises:
            WorkbenchError: where the batch is empty or has no embeddings.
        """
        self.check_fit_input(batch)
        self.texts_, self.counts_, rows = bank_texts(batch, self.seed)
        embeddings = embeddings_of(batch)[rows]
        self.center_ = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = embeddings.astype(np.float64) - self.center_
        bank = LineBank(self.texts_, self.counts_)
        self.spread_ = bank.spread(lambda some: euclidean(centred[some], centred))
        self.vectors_ = (centred / self.spread_).astype(np.float16)
        self._index()
        return self

    def vouched(self, batch: EncodedBatch) -> Self:
        """The scorer with these texts among the normal ones; centre and spread stay.

        Raises:
            WorkbenchError: where the scorer is not fitted or the embeddings are of another network.
        """
        self.check_fitted()
        self.check_input(batch)
        embeddings = embeddings_of(batch)
        self.check_width(embeddings, len(self.center_))
        other = copy.copy(self)
        other._bank = self._bank.vouched(batch.texts)
        other.texts_, other.counts_ = other._bank.texts, other._bank.counts
        row = {text: row for row, text in enumerate(batch.texts)}
        new = embeddings[[row[text] for text in other.texts_[len(self.texts_) :]]].astype(np.float64)
        added = ((new - self.center_) / self.spread_).astype(np.float16)
        other.vectors_ = np.concatenate([self.vectors_, added])
        other._index_vectors()
        return other

    def forgetting(self, batch: EncodedBatch) -> Self:
        """The scorer without these texts; centre and spread stay.

        Raises:
            WorkbenchError: where the scorer is not fitted or no text is left.
        """
        self.check_fitted()
        other = copy.copy(self)
        other._bank, rows = self._bank.without(batch.texts, batch.counts)
        other.texts_, other.counts_, other.vectors_ = other._bank.texts, other._bank.counts, self.vectors_[rows]
        other._index_vectors()
        return other

    def bank(self, batch: EncodedBatch) -> tuple[LineBank, DistanceRows]:
        """The fitted texts and the distances of a batch's embeddings to them.

        Raises:
            WorkbenchError: where the scorer is not fitted or the embeddings are of another network.
        """
        self.check_fitted()
        self.check_input(batch)
        embeddings = embeddings_of(batch)
        self.check_width(embeddings, len(self.center_))
        queries = (embeddings.astype(np.float64) - self.center_) / self.spread_
        return self._bank, lambda rows: euclidean(queries[rows], self._vectors, self._squared)

    def check_values(self) -> None:
        """Texts, counts and vectors agree in number, vectors and center in width."""
        check_counts(self.texts_, self.counts_)
        if self.center_.ndim != 1 or self.vectors_.shape != (len(self.texts_), len(self.center_)):
            raise ValueError("texts and vectors differ in number")
        self._index()

    def _index(self) -> None:
        """What every score needs, made once: for a single line it would be most of the work."""
        self._bank = LineBank(self.texts_, self.counts_)
        self._index_vectors()

    def _index_vectors(self) -> None:
        self._vectors = self.vectors_.astype(np.float64)
        self._squared = (self._vectors**2).sum(axis=1)


def distinct_texts(batch: EncodedBatch) -> tuple[list[str], np.ndarray, np.ndarray]:
    """One entry a text: a batch may hold a text once for each level, but a neighbour is a neighbour at any level.

    Returns:
        N texts in order of first appearance, their counts [N] summed over levels, and the row [N] each came from.
    """
    counts: dict[str, int] = {}
    rows: list[int] = []
    for row, (text, count) in enumerate(zip(batch.texts, batch.counts.tolist(), strict=True)):
        if text not in counts:
            rows.append(row)
        counts[text] = counts.get(text, 0) + count
    return list(counts), np.array(list(counts.values()), dtype=np.int64), np.array(rows, dtype=np.int64)


def bank_texts(batch: EncodedBatch, seed: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """As `distinct_texts`, or of more than MOST_TEXTS about so many: those a draw of the lines holds, and lines drawn.

    Each line is drawn with the same chance, so that a share of the lines drawn is, but for luck, that share of all.
    """
    texts, counts, rows = distinct_texts(batch)
    if len(texts) <= MOST_TEXTS:
        return texts, counts, rows
    low, high = 0.0, 1.0
    for _ in range(50):  # each halves what is not known of the chance
        chance = (low + high) / 2
        few = float((1 - (1 - chance) ** counts).sum()) < MOST_TEXTS
        low, high = (chance, high) if few else (low, chance)
    drawn = np.random.default_rng(seed).binomial(counts, low)
    kept = np.flatnonzero(drawn)
    return [texts[row] for row in kept], drawn[kept], rows[kept]


def check_counts(texts: list[str], counts: np.ndarray) -> None:
    """Check loaded texts and counts against each other.

    Raises:
        ValueError: where there are none, they differ in number, or a count is below 1.
    """
    if not texts or counts.shape != (len(texts),) or (counts < 1).any():
        raise ValueError("there are no texts, texts and counts differ in number, or a count is below 1")


def euclidean(queries: np.ndarray, bank: np.ndarray, bank_squared: np.ndarray | None = None) -> np.ndarray:
    """Euclidean distances [b, N] of queries [b, D] to the rows of bank [N, D], float64.

    Centred float64 input keeps the error of the expanded square below 1e-7. `bank_squared` [N] are the squared lengths
    of the bank's rows, where they are known.
    """
    lengths = (bank**2).sum(axis=1) if bank_squared is None else bank_squared
    squared: np.ndarray = (queries**2).sum(axis=1)[:, None] + lengths
    squared -= (2.0 * queries) @ bank.T
    return np.asarray(np.sqrt(np.maximum(squared, 0.0, out=squared), out=squared))

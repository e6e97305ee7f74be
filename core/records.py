"""What crosses stages. Imports nothing of ours, and no heavy library but Polars.

Bulk travels in columns, never as an object a line. Shape letters: `N` records, `B` batch, `T` tokens,
`D` embedding width, `V` vocabulary, `S` scorers. Every score means the same: **higher is more abnormal**.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import numpy as np
import polars as pl

Progress = Callable[[str, int, int], None]
"""`progress(step, done, total)`: called often by long work; total 0 means unknown. May raise JobCancelled."""


def no_progress(step: str, done: int, total: int) -> None:
    """The progress of work nobody watches."""


Measure = Callable[[str, int, float], None]
"""`measure(name, step, value)`: told what long work measures on its way, such as the loss of a training."""


def no_measure(name: str, step: int, value: float) -> None:
    """The measures of work nobody watches."""


LOG_TABLE_SCHEMA = {
    "line_no": pl.Int64,  # from 1; every physical line, blank and rejected ones too
    "timestamp_utc": pl.Datetime("us"),  # null where the line has none
    "level": pl.String,  # as written, upper case; null where the line has none
    "host": pl.String,
    "component": pl.String,
    "session": pl.String,  # null where no session was asked for or found
    "raw": pl.String,
    "rejection": pl.String,  # why the line was not read as its format says; null for a good line
    "text_id": pl.UInt32,  # row of Texts; null for a blank line
}
"""A LogTable is a Polars frame of this schema: one row a physical line, in order."""

TEXTS_SCHEMA = {
    "text_id": pl.UInt32,  # 0 to N-1, in order of first appearance
    "normalized_text": pl.String,
    "level_class": pl.String,  # one of LEVEL_CLASSES, "" where unknown
    "count": pl.Int64,  # lines with this text
    "example": pl.String,  # the first raw line that had it
}
"""Texts is a Polars frame of this schema: the distinct normalized texts, the unit of all neural work."""

LEVEL_CLASSES = ("", "debug", "info", "notice", "warning", "error", "critical")


@dataclass(frozen=True)
class LogRecord:
    """One parsed line, for the API and the detail view only."""

    line_no: int
    timestamp_utc: str | None
    level: str | None
    host: str | None
    component: str | None
    normalized_text: str
    raw: str


@dataclass(frozen=True)
class Rejection:
    """A line that was not read as its format says; the line itself is kept."""

    source: str
    position: int  # line number from 1; 0 for the file as a whole
    reason: str


@dataclass(frozen=True)
class EncodedBatch:
    """All a scorer may see of `B` distinct texts. Labels travel apart.

    Attributes:
        texts: normalized texts, length B.
        counts: [B] int64, lines that had each text.
        levels: level class of each text (LEVEL_CLASSES), length B.
        embeddings: [B, D] float32 [CLS] vectors, or None where no network ran.
        token_surprise: [B, T] float32, -ln p of each token given the others; NaN where there is no token. Or None.
        expected: [B, T] int32, id of the token likeliest in each place, and `expected_p` [B, T] float32, its
            probability. Or None.
        corrupted: the same fields for corrupted texts, handed over for `mlp_head` to learn from; else None.
    """

    texts: list[str]
    counts: np.ndarray
    levels: list[str]
    embeddings: np.ndarray | None = None
    token_surprise: np.ndarray | None = None
    expected: np.ndarray | None = None
    expected_p: np.ndarray | None = None
    corrupted: EncodedBatch | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: np.ndarray) -> EncodedBatch:
        """The batch of these row numbers, in their order; `corrupted` is passed on whole."""
        arrays = {name: getattr(self, name) for name in ("embeddings", "token_surprise", "expected", "expected_p")}
        return EncodedBatch(
            texts=[self.texts[row] for row in rows],
            counts=self.counts[rows],
            levels=[self.levels[row] for row in rows],
            corrupted=self.corrupted,
            **{name: None if values is None else values[rows] for name, values in arrays.items()},
        )


@runtime_checkable
class Scorer(Protocol):
    """One method of scoring. `fit` needs no labels; `score` is finite and higher is more abnormal."""

    name: str
    requires: frozenset[str]  # fields of EncodedBatch beyond texts, counts and levels

    def fit(self, batch: EncodedBatch) -> Self:
        """Learn what is usual from distinct texts and their counts."""
        ...

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """[B] float64, finite, higher is more abnormal; the same for a text whatever else is in the batch."""
        ...

    def save(self, folder: Path) -> None:
        """Write JSON and safetensors into an existing folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; BundleError where it is damaged."""
        ...


@dataclass(frozen=True)
class Decision:
    """The machine's answer for one line."""

    is_anomaly: bool
    fused_score: float  # 0 to 1
    threshold: float
    reasons: list[str]


@dataclass(frozen=True)
class Explanation:
    """Why one line got its score.

    Attributes:
        scores: scorer name to its calibrated score, 0 to 1.
        raw_scores: scorer name to what it said in its own unit; `mlp_head` its sigmoid.
        contributions: scorer name to its share of the fused score; they add up to it (weighted sum).
        tokens: word pieces of the normalized text, continuations marked with ##.
        surprise: -ln p of each token given the others, NaN where no network ran.
        expected: for each token what the network would have put there, and its probability; empty where none ran.
        nearest: the most similar learnt text, or None.
    """

    decision: Decision
    normalized_text: str
    scores: dict[str, float]
    raw_scores: dict[str, float]
    contributions: dict[str, float]
    tokens: list[str]
    surprise: list[float]
    expected: list[tuple[str, float]]
    nearest: str | None

"""What crosses stages. Imports nothing of ours, and no heavy library but Polars.

Bulk travels in columns, never as an object a line. Shape letters: `N` records, `B` batch, `T` tokens,
`D` embedding width, `V` vocabulary, `S` scorers. Every score means the same: **higher is more abnormal**.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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
    "timestamp_utc": pl.Datetime("us"),  # its own, or that of the line it goes on with; null where there is none
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

EVERYDAY_SCHEMA = {
    "score": pl.Float64,  # distinct, ascending
    "lines": pl.Float64,  # to expect with this score
    "messages": pl.Float64,  # distinct texts among them; one with several scores counts for each
    "new": pl.Float64,  # those of them that were never learnt
}
"""What a log would hold if all of it were lines like the learnt ones: a Polars frame of this schema."""

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
    """A line or packet that was not read as its format says; a line itself is kept."""

    source: str
    position: int  # number of the line or packet from 1; 0 for the file as a whole
    reason: str


@dataclass(slots=True)
class Packet:
    """One packet of a flow, never changed once made: freezing it, a million times a capture, takes twice as long.

    Attributes:
        time: seconds since 1970, UTC.
        forward: it goes the way of the flow's first packet.
        data: from the IP header on, as captured, to the end that header names; at most FlowConfig.packet_bytes. Where
            it came through a tunnel (GRE, VXLAN) this is the inner packet.
        length: bytes of the whole frame on the wire, captured or not.
    """

    time: float
    forward: bool
    data: bytes
    length: int


@dataclass(slots=True)
class Flow:
    """Packets between two endpoints, both ways; the initiator `a` sent the first that was seen. Never changed.

    Attributes:
        key: IP protocol number, address a, port a, address b, port b; ports are 0 for ICMP.
        capture: name of the file it was read from.
        first_utc, last_utc: seconds since 1970 of the first and last packet.
        n_packets, n_bytes: both ways, all packets, in bytes on the wire.
        forward_packets, forward_bytes: of these, from a to b.
        packets: the first packets, as many as FlowConfig.keep_packets.
        ended: why it was closed, one of ENDINGS.
        forward_squares, backward_squares: sums of squared packet lengths.
        gap_squares, longest_gap: of the seconds between successive packets.
        tcp_flags: flag byte to the packets that carried it; empty but for TCP.
    """

    key: tuple[int, str, int, str, int]
    capture: str
    first_utc: float
    last_utc: float
    n_packets: int
    n_bytes: int
    forward_packets: int
    forward_bytes: int
    packets: tuple[Packet, ...]
    ended: str = "capture"
    forward_squares: int = 0
    backward_squares: int = 0
    gap_squares: float = 0.0
    longest_gap: float = 0.0
    tcp_flags: dict[int, int] = field(default_factory=dict)

    @property
    def backward_packets(self) -> int:
        """Packets from b to a."""
        return self.n_packets - self.forward_packets

    @property
    def backward_bytes(self) -> int:
        """Bytes on the wire from b to a."""
        return self.n_bytes - self.forward_bytes


ENDINGS = ("fin", "reset", "idle", "active", "crowded", "capture")
"""Both sides said FIN; a reset; silence; a long flow cut; too many open flows; the capture's end."""


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

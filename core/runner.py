"""Where work runs, never what it computes: many files read through one detector, in order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from core.config import ReadConfig
from core.errors import InputError
from core.ingest.ahead import Ahead, Behind
from core.ingest.files import read_chunks
from core.records import Progress, Rejection, no_progress
from core.scoring.bursts import Bursts
from core.scoring.next_template import Transitions
from core.scoring.sessions import Sessions
from core.tokenization.normalize import Normalizer

REJECTIONS_KEPT = 20  # as examples; all are counted, and all are stored with a run's lines


@dataclass
class Reading:
    """What one pass over the inputs found; bulk stays in columns.

    Attributes:
        texts: the distinct texts (records.TEXTS_SCHEMA).
        n_lines: physical lines.
        first_line_nos: of each input, in order.
        n_rejected: lines not read as their format says.
        rejections: the first of them.
        format_counts: format name to lines.
        sessions: what the sessions hold; None without sessions.
        sessions_are_sources: nobody named any, so the lines are told apart by where they come from, for their context
            alone: there may be as many as there are clients, and none of them runs from a start to an end.
    """

    texts: pl.DataFrame
    n_lines: int = 0
    first_line_nos: list[int] = field(default_factory=list)
    n_rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    format_counts: dict[str, int] = field(default_factory=dict)
    sessions: Sessions | None = None
    sessions_are_sources: bool = False

    @property
    def format(self) -> str:
        """The commonest format, with its share where it is not the only one."""
        if not self.format_counts:
            return "plain"
        name, count = max(self.format_counts.items(), key=lambda item: item[1])
        share = count / sum(self.format_counts.values())
        return name if share == 1 else f"{name} ({share:.1%})"


class SessionsSeen:
    """Gathers what sessions hold, chunk after chunk."""

    def __init__(self) -> None:
        self._counts: list[pl.DataFrame] = []
        self._bursts, self._transitions = Bursts(), Transitions()

    def add(self, lines: pl.DataFrame, *, in_order: bool = True) -> None:
        """Count the next lines.

        Args:
            lines: line_no, timestamp_utc, session and text_id.
            in_order: what follows what counts too; a source has so many pairs that it is asked of sessions only.
        """
        self._counts.append(_session_counts(lines))
        self._bursts.add(lines)
        if in_order:
            self._transitions.add(lines)

    def sessions(self) -> Sessions | None:
        """What was gathered; None where no line had a session."""
        joined = _merged(self._counts)
        return None if joined.is_empty() else Sessions(self._bursts.of(joined), self._transitions.table())


class SerialRunner:
    """Reads the inputs one after the other in this process; line numbers go on from file to file."""

    def read(
        self,
        paths: Iterable[str | Path],
        config: ReadConfig,
        *,
        with_labels: bool = False,
        by_source: bool = False,
        keep: Callable[[pl.DataFrame], None] | None = None,
        progress: Progress = no_progress,
    ) -> Reading:
        """Stream files into distinct texts.

        Args:
            paths: logs, or "-" for standard input.
            config: how to read them.
            with_labels: read the labels of a CSV too; only to measure.
            by_source: sessions are by source where neither the config nor a column of the input names them.
            keep: given each chunk's LogTable, to store it; with labels it has the columns label and kind besides.
            progress: told the lines read, and how many there seem to be by the bytes that are left.

        Raises:
            InputError: a file cannot be read, or none holds a line.
        """
        normalizer: Normalizer | None = None
        reading = Reading(pl.DataFrame(), sessions_are_sources=by_source and config.sessions is None)
        sessions = SessionsSeen()
        paths = list(paths)
        total_bytes, bytes_before = sum(map(_size_bytes, paths)), 0
        for path in paths:
            if normalizer is None:
                normalizer = Normalizer(config, by_source=by_source)
            normalizer.begin_file(_written(path))
            told: list[tuple[str, int, int]] = []
            chunks = read_chunks(path, config, with_labels=with_labels, progress=lambda *at, told=told: told.append(at))
            reading.first_line_nos.append(reading.n_lines + 1)
            with Ahead(chunks) as ahead, Behind(keep) as behind:
                for number, chunk in enumerate(ahead):
                    table = normalizer.process(
                        reading.n_lines + 1, chunk.lines, chunk.rejections, chunk.sessions, chunk.said
                    )
                    reading.sessions_are_sources &= chunk.sessions is None
                    reading.n_lines += len(table)
                    _note_rejections(reading, table, str(path))
                    sessions.add(table, in_order=not reading.sessions_are_sources)
                    if chunk.labels is not None and chunk.kinds is not None:
                        table = table.with_columns(chunk.labels.alias("label"), chunk.kinds.alias("kind"))
                    behind.put(table)
                    step, read_bytes, _ = told[number]
                    progress(
                        step, reading.n_lines, _lines_in_all(reading.n_lines, bytes_before + read_bytes, total_bytes)
                    )
            bytes_before += _size_bytes(path)
        if normalizer is None:
            raise InputError("no log was named; name at least one file, or - for standard input")
        reading.texts = normalizer.texts()
        reading.format_counts = normalizer.format_counts
        reading.sessions = sessions.sessions()
        return reading


def _size_bytes(path: str | Path) -> int:
    return 0 if str(path) == "-" or not Path(path).exists() else Path(path).stat().st_size


def _lines_in_all(n_lines: int, n_bytes: int, total_bytes: int) -> int:
    """How many lines there will be, by the bytes they took so far; 0 where that cannot be told."""
    return round(n_lines * max(1.0, total_bytes / n_bytes)) if n_bytes else 0


def _written(path: str | Path) -> dt.datetime | None:
    if str(path) == "-" or not Path(path).exists():
        return None
    return dt.datetime.fromtimestamp(Path(path).stat().st_mtime, dt.UTC)


def _note_rejections(reading: Reading, table: pl.DataFrame, source: str) -> None:
    rejected = table.filter(pl.col("rejection").is_not_null())
    reading.n_rejected += len(rejected)
    for line_no, reason in rejected.select("line_no", "rejection").head(REJECTIONS_KEPT).iter_rows():
        if len(reading.rejections) < REJECTIONS_KEPT:
            reading.rejections.append(Rejection(source, line_no, reason))


def _session_counts(table: pl.DataFrame) -> pl.DataFrame:
    return (
        table.drop_nulls(["session", "text_id"])
        .group_by("session", "text_id")
        .agg(pl.len().cast(pl.Int64).alias("count"), pl.col("line_no").min().alias("first_line_no"))
    )


def _merged(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return (
        pl.concat(parts)
        .group_by("session", "text_id")
        .agg(pl.col("count").sum(), pl.col("first_line_no").min())
        .sort("first_line_no", "session", "text_id")
    )

"""Incidents of a run: its flagged lines, folded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from core.config import ReadConfig
from core.incidents import MOST_LINES, Incidents, fold
from core.store import RunInfo, RunReader
from core.tokenization.normalize import formats_of

LEAST_GAP = timedelta(minutes=30)
LEAST_GAP_LINES = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHARE_OF_RUN = 50  # of a long log, half an hour would part what belongs together


def incidents(reader: RunReader, threshold: float, gap: timedelta | int | None = None) -> Incidents:
    """The flagged lines of a run as incidents; of more than 100,000 those with the highest scores.

    Args:
        reader: the run.
        threshold: lines at or above it are flagged, unless their message is muted.
        gap: what parts two incidents, a time or, where the run has no times, a number of lines; None as `usual_gap`.

    Raises:
        StoreError: the run cannot be read.
    """
    info = reader.info
    flagged = reader.flagged_lines(threshold, MOST_LINES)
    flagged = flagged.with_columns(go_on(flagged, reader).alias("goes_on"))
    gap = usual_gap(info) if gap is None else gap
    if isinstance(gap, timedelta):
        span = (_microseconds(info.first_utc), _microseconds(info.last_utc))
        flagged = flagged.with_columns(pl.col("timestamp_utc").dt.epoch("us").alias("position"))
        length = gap.total_seconds() * 1e6
    else:
        span, length = (1, info.n_lines), float(gap)
        flagged = flagged.with_columns(pl.col("line_no").alias("position"))
    return fold(flagged, reader.texts(), threshold, span, length)


def usual_gap(info: RunInfo) -> timedelta | int:
    """Half an hour, or a fiftieth of the log's time where that is longer; of a log without times as many lines."""
    if info.first_utc is None or info.last_utc is None:
        return max(LEAST_GAP_LINES, info.n_lines // _SHARE_OF_RUN)
    return max(LEAST_GAP, (_time(info.last_utc) - _time(info.first_utc)) / _SHARE_OF_RUN)


def go_on(flagged: pl.DataFrame, reader: RunReader) -> pl.Series:
    """Which lines are of one event with the flagged line before: without a header, they took its time and logger.

    Args:
        flagged: of `RunReader.flagged_lines`.
        reader: the run.
    """
    timestamp, component, source = pl.col("timestamp_utc"), pl.col("component"), pl.col("source")
    alike = (timestamp == timestamp.shift()) & component.eq_missing(component.shift()) & source.is_null()
    may = flagged.filter(alike.fill_null(value=False))["line_no"]
    found = []
    if len(may):
        lines = reader.lines_at(may.to_list())
        found = lines["line_no"].filter(formats_of(lines["raw"], ReadConfig()) == "plain").to_list()
    return flagged["line_no"].is_in(found)


def _time(utc: str) -> datetime:
    return datetime.fromisoformat(utc)


def _microseconds(utc: str | None) -> int:
    return 0 if utc is None else (_time(utc) - _EPOCH) // timedelta(microseconds=1)

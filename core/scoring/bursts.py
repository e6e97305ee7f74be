"""Bursts: more lines of one source within a second than the log is used to.

A flood of plain requests writes lines that are normal one by one; only their rate is odd. The rate of a line is the
number of lines of its session in the same second. With u three times the rate that nine lines in ten stay within, and
at least 20 lines a second, the excess of a line is max(0, 1 - u / rate): the share of its second that is too much.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

LEAST_RATE = 20  # lines a second: a page with its pictures is no burst
USUAL_QUANTILE = 0.9  # of lines; a flood of more than a tenth of the log is its usual rate
TIMES_USUAL = 3
BURST = "burst"
"""The column of the excess, [0, 1)."""

_SECONDS: dict[str, Any] = {"session": pl.String, "second": pl.Datetime("us"), "text_id": pl.UInt32, "count": pl.Int64}


class Bursts:
    """Gathers rates chunk after chunk; only seconds that may be bursts are kept.

    Lines are taken to be in the order of time: a second whose lines lie in chunks far apart counts as several.
    """

    def __init__(self) -> None:
        self._lines_at: dict[int, int] = {}  # rate to the lines that have it
        self._kept: list[pl.DataFrame] = []

    def add(self, lines: pl.DataFrame) -> None:
        """Count a chunk.

        Args:
            lines: session, timestamp_utc and text_id of each line; a null leaves the line out.
        """
        seconds = (
            lines.lazy()
            .drop_nulls(["session", "timestamp_utc", "text_id"])
            .group_by("session", pl.col("timestamp_utc").dt.truncate("1s").alias("second"), "text_id")
            .agg(pl.len().cast(pl.Int64).alias("count"))
            .with_columns(pl.col("count").sum().over("session", "second").alias("rate"))
            .collect()
        )
        edges: list[dt.datetime | None] = [seconds["second"].min(), seconds["second"].max()]  # type: ignore[list-item]
        may_go_on = pl.col("second").is_in(edges)
        is_kept = may_go_on | (pl.col("rate") >= LEAST_RATE)
        _count(seconds.filter(~is_kept), self._lines_at)
        self._kept.append(seconds.filter(is_kept).select(*_SECONDS))

    def of(self, sessions: pl.DataFrame) -> pl.DataFrame:
        """What was gathered, of each session and text.

        Args:
            sessions: session, text_id, count (all their lines).

        Returns:
            The same with the column burst: the mean excess of those lines, 0 where none was in a burst.
        """
        seconds = (
            pl.concat([pl.DataFrame(schema=_SECONDS), *self._kept])
            .group_by("session", "second", "text_id")
            .agg(pl.col("count").sum())
            .with_columns(pl.col("count").sum().over("session", "second").alias("rate"))
        )
        usual = max(LEAST_RATE, TIMES_USUAL * self._quantile(seconds))
        excess = (
            seconds.filter(pl.col("rate") > usual)
            .group_by("session", "text_id")
            .agg((pl.col("count") * (1 - usual / pl.col("rate"))).sum().alias(BURST))
        )
        found = sessions.join(excess, on=["session", "text_id"], how="left", maintain_order="left")
        return found.with_columns((pl.col(BURST).fill_null(0.0) / pl.col("count")).alias(BURST))

    def _quantile(self, seconds: pl.DataFrame) -> int:
        """The rate that USUAL_QUANTILE of the lines stay within."""
        lines_at = dict(self._lines_at)
        _count(seconds, lines_at)
        left = USUAL_QUANTILE * sum(lines_at.values())
        for rate in sorted(lines_at):
            left -= lines_at[rate]
            if left <= 0:
                return rate
        return 0


def _count(seconds: pl.DataFrame, lines_at: dict[int, int]) -> None:
    for rate, lines in seconds.group_by("rate").agg(pl.col("count").sum()).iter_rows():
        lines_at[rate] = lines_at.get(rate, 0) + lines

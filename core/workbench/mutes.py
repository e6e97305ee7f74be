"""Mutes: messages nobody wants to be told of for a while."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from core.incidents import MOST_LINES
from core.store import Mutes, RunReader


def mutes() -> pl.DataFrame:
    """The mutes that hold now, the newest first.

    Returns:
        mute_id, normalized_text, reason, until_utc, by, at_utc (ISO 8601).

    Raises:
        StoreError: the store cannot be read.
    """
    return Mutes().current()


def mute(normalized_texts: Sequence[str], reason: str, until_utc: datetime, by: str = "analyst") -> None:
    """Mute messages in every run until a time: their lines keep their scores, but are not flagged or queued.

    A run that is open keeps the mutes it was opened with.

    Raises:
        WorkbenchError: no reason, or an end that has passed.
        StoreError: the store cannot be written.
    """
    Mutes().add(normalized_texts, reason, until_utc, by)


def reach_of_mutes(reader: RunReader, threshold: float) -> pl.DataFrame:
    """What each flagged message of a run takes with it where it is muted.

    Args:
        reader: the run.
        threshold: lines at or above it are flagged, unless their message is muted.

    Returns:
        normalized_text, n_lines, n_flagged (of these lines), sources (of the flagged ones, where that is known; looked
        for in the 100,000 lines with the highest scores).

    Raises:
        StoreError: the run cannot be read.
    """
    texts = reader.texts().select("text_id", "normalized_text", "count", "score", "muted")
    flagged = (pl.col("score") >= threshold) & ~pl.col("muted")
    counts = texts.group_by("normalized_text").agg(
        pl.col("count").sum().alias("n_lines"), pl.col("count").filter(flagged).sum().alias("n_flagged")
    )
    lines = reader.flagged_lines(threshold, MOST_LINES).select("text_id", "source").unique().join(texts, on="text_id")
    sources = lines.group_by("normalized_text").agg(pl.col("source").drop_nulls().unique().sort().alias("sources"))
    return counts.filter(pl.col("n_flagged") > 0).join(sources, on="normalized_text", how="left")


def unmute(mute_id: int) -> None:
    """End a mute now.

    Raises:
        StoreError: the store cannot be written.
    """
    Mutes().end(mute_id)

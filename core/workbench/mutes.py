"""Mutes: messages nobody wants to be told of for a while."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from core.store import Mutes


def mutes() -> pl.DataFrame:
    """The mutes that hold now, the newest first.

    Returns:
        mute_id, normalized_text, reason, until_utc, by, at_utc (ISO 8601).

    Raises:
        StoreError: the store cannot be read.
    """
    return Mutes().current()


def mute(normalized_text: str, reason: str, until_utc: datetime, by: str = "analyst") -> None:
    """Mute a message in every run until a time: its lines keep their scores, but are not flagged or queued.

    A run that is open keeps the mutes it was opened with.

    Raises:
        WorkbenchError: no reason, or an end that has passed.
        StoreError: the store cannot be written.
    """
    Mutes().add(normalized_text, reason, until_utc, by)


def unmute(mute_id: int) -> None:
    """End a mute now.

    Raises:
        StoreError: the store cannot be written.
    """
    Mutes().end(mute_id)

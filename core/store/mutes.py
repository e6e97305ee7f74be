"""Messages that analysts do not want to be told of for a while. A mute holds in every run that has the message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import duckdb
import polars as pl

from core.errors import WorkbenchError
from core.store.database import Store

REASON_CHARS = 500


class Mutes:
    """Muted messages, by normalized text. Holds nothing open; safe from any thread or process."""

    def add(self, texts: Sequence[str], reason: str, until_utc: datetime, by: str) -> None:
        """Mute messages, all or none; mutes of theirs that hold already are replaced.

        Args:
            texts: normalized.
            reason: why, 1 to REASON_CHARS characters; for who finds it later.
            until_utc: when it ends, in the future.
            by: who mutes.

        Raises:
            WorkbenchError: no reason, too long a one, or an end that has passed.
            StoreError: the database stays locked.
        """
        reason = reason.strip()
        if not 1 <= len(reason) <= REASON_CHARS:
            raise WorkbenchError(f"a mute needs a reason of 1 to {REASON_CHARS} characters; say why it may be silent")
        now = datetime.now(UTC)
        if until_utc <= now:
            raise WorkbenchError(f"a mute ends in the future, not on {until_utc:%Y-%m-%d}; choose a later day")
        muted = list(dict.fromkeys(texts))
        with Store().connection() as connection:
            _end(connection, "normalized_text IN (SELECT unnest(?))", muted, now)
            connection.execute(
                """
                INSERT INTO mutes (normalized_text, reason, until_utc, muted_by, at_utc)
                SELECT unnest(?), ?, ?, ?, ?
                """,
                [muted, reason, until_utc.astimezone(UTC).isoformat(), by, now.isoformat()],
            )

    def end(self, mute_id: int) -> None:
        """End a mute now; nothing happens where it has ended.

        Raises:
            StoreError: the database stays locked.
        """
        with Store().connection() as connection:
            _end(connection, "mute_id = ?", mute_id, datetime.now(UTC))

    def current(self) -> pl.DataFrame:
        """Mutes that hold now, the newest first: mute_id, normalized_text, reason, until_utc, by, at_utc (ISO 8601)."""
        return _not_ended(Store().state()).filter(pl.col("until_utc") > datetime.now(UTC).isoformat())

    def texts(self) -> list[str]:
        """Normalized texts muted now, in no order that means anything but always the same."""
        return self.current()["normalized_text"].sort().to_list()


def _end(connection: duckdb.DuckDBPyConnection, which: str, value: list[str] | int, now: datetime) -> None:
    connection.execute(
        f"UPDATE mutes SET ended_utc = ? WHERE ended_utc IS NULL AND {which}",  # noqa: S608  fixed words only
        [now.isoformat(), value],
    )


@lru_cache(maxsize=1)  # opening the database takes longer than all the rest of a page
def _not_ended(state: tuple[object, ...]) -> pl.DataFrame:
    with Store().connection() as connection:
        frame = pl.from_arrow(
            connection.sql(
                """
                SELECT mute_id, normalized_text, reason, until_utc, muted_by AS "by", at_utc FROM mutes
                WHERE ended_utc IS NULL ORDER BY mute_id DESC
                """
            ).to_arrow_table()
        )
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  for the type checker
    return frame

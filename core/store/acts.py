"""Acts of judging: appended, never changed; the newest one about a thing counts, and undoing takes the newest back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from core.errors import WorkbenchError
from core.store.database import Store

LABELS = ("abnormal", "normal", "unsure")
MOST_JUDGED = 20_000  # of one act
NOTE_CHARS = 2_000


def check_act(label: str | None, note: str, numbers: Sequence[int], things: str) -> None:
    """Whether a verdict can be given.

    Raises:
        WorkbenchError: for another label, too long a note, no or too many things.
    """
    if label is not None and label not in LABELS:
        raise WorkbenchError(f"a verdict is one of {', '.join(LABELS)}, not {label!r}")
    if len(note) > NOTE_CHARS:
        raise WorkbenchError(f"a note has up to {NOTE_CHARS:,} characters, this one {len(note):,}; shorten it")
    if not 1 <= (n := len(set(numbers))) <= MOST_JUDGED:
        raise WorkbenchError(f"1 to {MOST_JUDGED:,} {things} can be judged at once, not {n:,}")


def append_act(
    table: str, things: pl.DataFrame, run_id: str, run_name: str, label: str | None, note: str, by: str
) -> None:
    """Append one act about some things, all columns of which the table has."""
    with Store().connection() as connection:
        [(act_id,)] = connection.execute("SELECT nextval('act_ids')").fetchall()
        rows = things.with_columns(
            pl.lit(act_id).alias("act_id"),
            pl.lit(run_id).alias("run_id"),
            pl.lit(run_name).alias("run_name"),
            pl.lit(label, dtype=pl.String).alias("label"),
            pl.lit(note).alias("note"),
            pl.lit(by).alias("judged_by"),
            pl.lit(datetime.now(UTC).isoformat()).alias("at_utc"),
        )
        connection.register("given", rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given")  # noqa: S608  fixed words only


def take_back_act(table: str, number: str, run_id: str, by: str) -> list[int]:
    """Remove the newest act of this analyst in this run.

    Returns:
        The numbers (a column of the table) it was about, ascending; empty where there is none.
    """
    with Store().connection() as connection:
        rows = connection.execute(
            f"""
            DELETE FROM {table} WHERE act_id =
                (SELECT max(act_id) FROM {table} WHERE run_id = $run_id AND judged_by = $by)
            RETURNING {number}
            """,  # noqa: S608  fixed words only
            {"run_id": run_id, "by": by},
        ).fetchall()
    return sorted(found for (found,) in rows)


def newest_acts(table: str, key: Sequence[str], number: str) -> pl.DataFrame:
    """The newest act about each thing, where it holds a label or a note; all columns, in the order of acts.

    Args:
        table: of acts.
        key: columns that say what a thing is; equal where all are, or are null.
        number: the column that orders the things of one act.
    """
    with Store().connection() as connection:
        frame = pl.from_arrow(
            connection.sql(
                f"""
                SELECT * FROM (
                    SELECT * FROM {table}
                    QUALIFY row_number() OVER (PARTITION BY {", ".join(key)} ORDER BY act_id DESC) = 1
                ) WHERE label IS NOT NULL OR note <> '' ORDER BY act_id, {number}
                """  # noqa: S608  fixed words only
            ).to_arrow_table()
        )
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  for the type checker
    return frame

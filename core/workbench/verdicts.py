"""Verdicts: what analysts said of lines, found again in every run that holds those lines."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from core.store import Verdicts


def verdicts(run_id: str | None = None, notes: bool = False) -> pl.DataFrame:
    """The verdicts that count now: the newest on each line.

    Args:
        run_id: only those on this run's lines, whichever run they were given in; None for all.
        notes: also lines that have a note and no label; their label is null.

    Returns:
        line_no, label ("abnormal", "normal" or "unsure"), note, by, at_utc (ISO 8601), line (as written; beyond
        4,096 bytes its beginning), run_id and run_name of the run it was given in, line_hash, occurrence, line_bytes.
        With `run_id` line_no is that run's, rows are in its order and have its text_id; else line_no is that of the
        run it was given in, oldest first.

    Raises:
        WorkbenchError: there is no such run, or the store cannot be read.
    """
    found = Verdicts().current() if run_id is None else Verdicts().of_run(run_id)
    return found if notes else found.filter(pl.col("label").is_not_null())


def set_verdict(run_id: str, line_nos: Sequence[int], label: str | None, note: str = "", by: str = "analyst") -> None:
    """Judge lines of a run in one act, which `undo_verdict` takes back as one.

    Args:
        run_id: the run.
        line_nos: 1 to 20,000 of its lines.
        label: "abnormal", "normal" or "unsure"; None takes a verdict away, or leaves a note alone.
        note: replaces the note there was.
        by: who judges.

    Raises:
        WorkbenchError: another label, no or too many lines, no such run or line, or the store cannot be written.
    """
    Verdicts().add(run_id, line_nos, label, note.strip(), by)


def undo_verdict(run_id: str, by: str = "analyst") -> list[int]:
    """Take back the newest act of this analyst in this run; earlier verdicts on its lines count again.

    Returns:
        The lines it was about; empty where there is nothing to undo.

    Raises:
        WorkbenchError: there is no such run, or the store cannot be written.
    """
    return Verdicts().undo(run_id, by)

"""Verdicts on flows: what analysts said of them, found again in every run of their capture."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from core.store.flow_verdicts import FlowVerdicts


def flow_verdicts(run_id: str, notes: bool = False) -> pl.DataFrame:
    """The verdicts that count now on a scored capture's flows, whichever run they were given in.

    Args:
        run_id: of the scored capture.
        notes: also flows that have a note and no label; their label is null.

    Returns:
        flow_no, label ("abnormal", "normal" or "unsure"), note, by, at_utc (ISO 8601), run_id and run_name of the run
        it was given in; by number.

    Raises:
        WorkbenchError: there is no such run, or the store cannot be read.
    """
    found = FlowVerdicts().of_run(run_id)
    return found if notes else found.filter(pl.col("label").is_not_null())


def set_flow_verdict(
    run_id: str, flow_nos: Sequence[int], label: str | None, note: str = "", by: str = "analyst"
) -> None:
    """Judge flows of a scored capture in one act, which `undo_flow_verdict` takes back as one.

    Args:
        run_id: of the scored capture.
        flow_nos: 1 to 20,000 of its flows.
        label: "abnormal", "normal" or "unsure"; None takes a verdict away, or leaves a note alone.
        note: replaces the note there was.
        by: who judges.

    Raises:
        WorkbenchError: another label, no or too many flows, no such run or flow, or the store cannot be written.
    """
    FlowVerdicts().add(run_id, flow_nos, label, note.strip(), by)


def undo_flow_verdict(run_id: str, by: str = "analyst") -> list[int]:
    """Take back the newest act of this analyst in this scored capture; earlier verdicts count again.

    Returns:
        The flows it was about; empty where there is nothing to undo.

    Raises:
        WorkbenchError: there is no such run, or the store cannot be written.
    """
    return FlowVerdicts().undo(run_id, by)

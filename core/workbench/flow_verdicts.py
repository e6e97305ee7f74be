"""Verdicts on flows: what analysts said of them, found again in every run of their capture, and taught to a model."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from core.errors import WorkbenchError
from core.records import Measure, Progress, no_measure, no_progress
from core.store.flow_runs import SAID, FlowRunReader
from core.store.flow_verdicts import FlowVerdicts
from core.workbench.captures import FlowModelInfo, finetune, load_flow_model
from core.workbench.flow_runs import export_flows
from core.workbench.traffic import Note, no_note

JUDGED = "judged"
"""The task that verdicts are taught as; numbered where a model knows it already."""


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


def teach_verdicts(
    run_id: str,
    name: str,
    progress: Progress = no_progress,
    checkpoints: Path | None = None,
    measure: Measure = no_measure,
    note: Note = no_note,
) -> FlowModelInfo:
    """Teach a copy of a run's model to tell flows like those judged abnormal from those judged normal (JUDGED).

    Args:
        run_id: of the scored capture, which must still be where it was.
        name: of the bundle that is saved.
        progress: told the steps; may raise JobCancelled.
        checkpoints: folder where training leaves off and resumes, or None.
        measure: told the losses of training.
        note: told what was left out of the capture and the verdicts.

    Raises:
        WorkbenchError: no such run, it was scored against itself, no flow is judged normal or none abnormal, or the
            capture or the model cannot be used.
    """
    info = FlowRunReader(run_id).info
    if info.model is None:
        raise WorkbenchError(
            f"{info.name} was scored against itself, and that network is not kept; score it with a saved model first"
        )
    missing = {"abnormal", "normal"} - set(flow_verdicts(run_id)["label"])
    if missing:
        raise WorkbenchError(f"no flow of {info.name} is judged {' or '.join(sorted(missing))}; judge some of both")
    known = {task.name for task in load_flow_model(info.model).tasks_.tasks}
    names = itertools.chain([JUDGED], (f"{JUDGED}_{number}" for number in itertools.count(2)))
    task = next(name for name in names if name not in known)
    labels = export_flows(run_id, ".csv")
    try:
        return finetune(
            info.captures, labels, info.model, name, task, SAID[0], progress=progress, checkpoints=checkpoints,
            measure=measure, note=note,
        )  # fmt: skip
    finally:
        shutil.rmtree(labels.parent, ignore_errors=True)

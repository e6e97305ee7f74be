"""NetGPT at work: pre-train on captures, teach it tasks, score and classify flows, measure both."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from core.bundle_folder import CAPTURES
from core.bundles import bundle_folders, model_folder
from core.cards import write_flow_card
from core.config import FlowConfig, TrafficConfig, models_folder
from core.errors import WorkbenchError
from core.evaluate import Labelled, answer_metrics, report
from core.flow_detector import FlowDetector, JudgedFlows
from core.ingest.flow_labels import FlowLabels
from core.ingest.flows import read_flows
from core.ingest.pcap import CaptureCounts
from core.records import Flow, Measure, Progress, no_measure, no_progress
from core.scoring.context import CONTEXT
from core.store.flow_runs import FLOW_NO, SAID
from core.store.result_file import ResultFile
from core.workbench.models import SavedModel, check_model_name, saved_facts
from core.workbench.traffic import Note, flow_parts, flow_rows, no_note, note_left_out

BENIGN = ("0", "benign", "normal", "background")
ODDITY = "oddity:"
"""Labels of flows that are no attack: these, and what begins so."""


@dataclass(frozen=True, kw_only=True)
class FlowModelInfo(SavedModel):
    """A saved bundle of captures.

    Attributes:
        n_flows: flows its scorers learnt from, without labels.
        tasks: what it was taught, task to labels.
    """

    n_flows: int = 0
    tasks: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class FlowScoreInfo:
    """What scoring captures found.

    Attributes:
        n_packets: frames in the captures.
        n_flows: flows.
        n_flagged: flows at or above the threshold.
        threshold: 0 to 1.
        left_out: packets of no flow, by reason.
        seconds: it took.
    """

    n_packets: int
    n_flows: int
    n_flagged: int
    threshold: float
    left_out: dict[str, int]
    seconds: float


def load_flow_model(model: str) -> FlowDetector:
    """A bundle of captures by name or folder.

    Raises:
        BundleError: there is none, it is damaged, or of logs.
    """
    return FlowDetector.load(model_folder(model, CAPTURES))


def flow_models() -> list[FlowModelInfo]:
    """Saved bundles of captures by name; a damaged one is listed with its error."""
    return [_info(path) for path in bundle_folders(CAPTURES)]


def pretrain(
    captures: Sequence[str | Path],
    name: str,
    config: TrafficConfig | None = None,
    progress: Progress = no_progress,
    checkpoints: Path | None = None,
    measure: Measure = no_measure,
    note: Note = no_note,
) -> FlowModelInfo:
    """Learn from captures without labels and save the bundle; an older one of that name is replaced.

    Raises:
        WorkbenchError: a bad name, input or setting.
    """
    check_model_name(name)
    found = _read(captures, progress, note)
    detector = FlowDetector(config).fit(found, progress, checkpoints, measure)
    return _saved(detector, name)


def finetune(
    captures: Sequence[str | Path],
    labels: Path,
    model: str,
    name: str,
    task: str,
    column: str = "label",
    max_steps: int = TrafficConfig.max_steps,
    progress: Progress = no_progress,
    checkpoints: Path | None = None,
    measure: Measure = no_measure,
    note: Note = no_note,
) -> FlowModelInfo:
    """Teach a bundle a task from labelled flows, and save it under a name.

    Where some labels are BENIGN or begin with "oddity:", its scorers learn these flows alone, or all but attacks where
    most flows have no label (FlowDetector.teach); else all flows.

    Args:
        captures: their flows.
        labels: a CSV (core/ingest/flow_labels.py).
        model: to start from, by name or folder.
        name: of the bundle that is saved.
        task: name of the task, such as "application" or "attack"; no column of scored flows.
        column: of the CSV.
        max_steps: of fine-tuning.
        progress: told the steps; may raise JobCancelled.
        checkpoints: folder where training leaves off and resumes, or None.
        measure: told the losses of training.
        note: told what was left out of the captures and the labels.

    Raises:
        WorkbenchError: a bad name, input or setting, or no flow has a label.
    """
    check_model_name(name)
    detector = load_flow_model(model)
    _check_task_name(detector, task)
    detector.config = dataclasses.replace(detector.config, max_steps=max_steps)
    found = _read(captures, progress, note)
    truth = _labels(labels, column, found, note)
    ordinary = [None if label is None else not _is_attack(label) for label in truth]
    detector.teach(found, {task: truth}, progress, checkpoints, measure, ordinary=ordinary if any(ordinary) else None)
    return _saved(detector, name)


def _check_task_name(detector: FlowDetector, task: str) -> None:
    """Its answers become two columns of scored flows, beside which verdicts may stand."""
    columns = {FLOW_NO, *SAID, *judged_rows(detector, [], detector.judge([], context=True)).columns}
    if not task.strip() or columns & set(_answer_columns(task)):
        raise WorkbenchError(
            f"no task can be called {task!r}: its answers need columns that scored flows do not have already; "
            "choose another name"
        )


def score_flows(
    captures: Sequence[str | Path],
    model: str | None = None,
    output: Path | None = None,
    config: TrafficConfig | None = None,
    progress: Progress = no_progress,
    show: Callable[[pl.DataFrame], None] | None = None,
    *,
    context: bool = True,
    note: Note = no_note,
) -> FlowScoreInfo:
    """Score the flows of captures without labels, a row each, in the order they end.

    Memory: with a model, 10,000 flows at a time; without one, all flows of the captures.

    Args:
        captures: pcap or pcapng, plain or compressed, or "-".
        model: a bundle's name or folder; None learns from the captures themselves, their attacks still inside.
        output: a file *.csv, *.jsonl or *.parquet: what `flow_rows` gives, score, is_anomaly, context, each scorer
            (calibrated), and for each task that the bundle was taught <task> and <task>_probability.
        config: settings of a fit on the captures themselves.
        progress: told bytes read and flows done.
        show: given the rows in parts.
        context: raise the score of a flow whose source has other unusual flows, or too many a second, among the 10,000
            that ended with it (FlowDetector.judge). Without it each flow is judged alone.
        note: told why packets joined no flow.

    Raises:
        WorkbenchError: input, bundle or output cannot be used.
    """
    started = time.monotonic()
    counts, n_flows, n_flagged = CaptureCounts(), 0, 0
    flows = read_flows(captures, FlowConfig(), progress, counts)
    with ExitStack() as stack:
        stack.callback(note_left_out, counts, note)
        if model is None:
            found = list(flows)
            detector, flows = FlowDetector(config).fit(found, progress, on_itself=True), iter(found)
        else:
            detector = load_flow_model(model)
        file = stack.enter_context(ResultFile(output)) if output else None
        for part in itertools.chain([[]], flow_parts(flows)):  # the empty one first: a header even of nothing
            rows = judged_rows(detector, part, detector.judge(part, progress, context=context), progress)
            n_flows, n_flagged = n_flows + len(rows), n_flagged + int(rows["is_anomaly"].sum())
            if file:
                file.write(rows)
            if show:
                show(rows)
    left_out = dict(counts.reasons.most_common())
    seconds = time.monotonic() - started
    return FlowScoreInfo(counts.packets, n_flows, n_flagged, detector.threshold_, left_out, seconds)


def classify_flows(
    captures: Sequence[str | Path],
    model: str,
    task: str,
    output: Path | None = None,
    progress: Progress = no_progress,
    show: Callable[[pl.DataFrame], None] | None = None,
    note: Note = no_note,
) -> dict[str, int]:
    """Answer a task for every flow of captures.

    Args:
        captures: pcap or pcapng, plain or compressed, or "-".
        model: a bundle's name or folder.
        task: one it was taught.
        output: a file *.csv, *.jsonl or *.parquet: what `flow_rows` gives, <task> and <task>_probability.
        progress: told bytes read and flows done.
        show: given the rows in parts.
        note: told why packets joined no flow.

    Returns:
        Label to flows, the most first.

    Raises:
        WorkbenchError: input, bundle, task or output cannot be used.
    """
    detector = load_flow_model(model)
    counts, found = CaptureCounts(), Counter[str]()
    with ExitStack() as stack:
        stack.callback(note_left_out, counts, note)
        file = stack.enter_context(ResultFile(output)) if output else None
        for part in itertools.chain([[]], flow_parts(read_flows(captures, FlowConfig(), progress, counts))):
            rows = pl.concat([flow_rows(part), _answered(detector, part, task, progress)], how="horizontal")
            found.update(rows[task].to_list())
            if file:
                file.write(rows)
            if show:
                show(rows)
    return dict(found.most_common())


def evaluate_flows(
    captures: Sequence[str | Path],
    labels: Path,
    model: str,
    task: str | None = None,
    column: str = "label",
    progress: Progress = no_progress,
    *,
    context: bool = True,
    note: Note = no_note,
) -> dict[str, Any]:
    """Measure a bundle on labelled flows, each counted once.

    Args:
        captures: their flows.
        labels: a CSV (core/ingest/flow_labels.py).
        model: a bundle's name or folder.
        task: measure its answers to this task; None measures the unlabelled score, where every label but BENIGN, and
            those that begin with "oddity:", is an attack.
        column: of the CSV.
        progress: told bytes read and flows done.
        context: as for `score_flows`.
        note: told what was left out of the captures and the labels.

    Returns:
        Of a task what `core.evaluate.answer_metrics` gives, of the score what `core.evaluate.report` gives; with model,
        task and n_unlabelled.

    Raises:
        WorkbenchError: input or bundle cannot be used, or no flow has a label.
    """
    detector = load_flow_model(model)
    found = _read(captures, progress, note)
    truth = _labels(labels, column, found, note)
    kept = [row for row, label in enumerate(truth) if label is not None]
    flows, given = [found[row] for row in kept], [str(truth[row]) for row in kept]
    head = {"model": model, "task": task, "n_unlabelled": len(found) - len(kept)}
    if task is not None:
        answers = detector.answer(flows, task, progress)["answer"].to_list()
        return head | answer_metrics(given, answers)
    judged = [detector.judge(part, progress, context=context).scores for part in flow_parts(iter(found))]
    rows = pl.concat(judged)[kept]
    kinds = np.array(["" if label.lower() in BENIGN else label for label in given])
    labelled = Labelled(
        text_ids=rows.select(pl.struct(pl.all()).rank("dense"))[:, 0].to_numpy().astype(np.int64),
        labels=np.array([_is_attack(label) for label in given], np.int8),
        kinds=kinds,
        lines=np.ones(len(rows)),
        fused=rows["score"].to_numpy(),
        scorers={name: rows[f"raw_{name}"].to_numpy() for name in detector.scorers_},
    )
    return head | report(labelled, detector.threshold_, detector.config.seed)


def _read(captures: Sequence[str | Path], progress: Progress, note: Note) -> list[Flow]:
    counts = CaptureCounts()
    found = list(read_flows(captures, FlowConfig(), progress, counts))
    note_left_out(counts, note)
    return found


def _labels(path: Path, column: str, flows: Sequence[Flow], note: Note) -> list[str | None]:
    labels = FlowLabels(path, column)
    found = labels.of(flows)
    if labels.n_contradicted:
        note(f"{path}: {labels.contradiction}")
    return found


def _is_attack(label: str) -> bool:
    return label.lower() not in BENIGN and not label.startswith(ODDITY)


def judged_rows(
    detector: FlowDetector, flows: Sequence[Flow], judged: JudgedFlows, progress: Progress = no_progress
) -> pl.DataFrame:
    """Rows of flows with their scores and answers."""
    scores = [name for name in ("score", "is_anomaly", CONTEXT) if name in judged.scores.columns]
    parts = [flow_rows(flows), judged.scores.select(*scores, *detector.scorers_)]
    parts += [_answered(detector, flows, task.name, progress) for task in detector.taught_]
    return pl.concat(parts, how="horizontal")


def _answered(detector: FlowDetector, flows: Sequence[Flow], task: str, progress: Progress) -> pl.DataFrame:
    answered = detector.answer(flows, task, progress)
    return answered.rename(dict(zip(answered.columns, _answer_columns(task), strict=True)))


def _answer_columns(task: str) -> tuple[str, str]:
    return task, f"{task}_probability"


def _saved(detector: FlowDetector, name: str) -> FlowModelInfo:
    folder = models_folder() / name
    detector.save(folder)
    write_flow_card(folder, name, detector)
    return _info(folder)


def _info(folder: Path) -> FlowModelInfo:
    """What bundle.json says; no network is loaded."""
    known, bundle = saved_facts(folder, CAPTURES)
    if not bundle:
        return FlowModelInfo(**known)
    try:
        tasks = {name: tuple(map(str, labels)) for name, labels in bundle["tasks"].items()}
    except TypeError as error:
        return FlowModelInfo(**known, error=f"{folder}: bundle.json is damaged ({error}); train it again")
    return FlowModelInfo(**known, n_flows=bundle["n_flows"], tasks=tasks)

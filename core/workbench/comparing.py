"""Two runs of the same log, compared."""

from __future__ import annotations

from typing import Any

from core.comparison import Comparison, compare
from core.errors import WorkbenchError
from core.evaluate import ranking_metrics, threshold_metrics
from core.store import RunInfo, RunReader, Store
from core.workbench.labels import LabelSource, label_sources
from core.workbench.measuring import labelled_run


def comparable_runs(run_id: str) -> list[RunInfo]:
    """Other runs that may be of the same log, newest first: of as many lines, with its name or from its place.

    Raises:
        StoreError: there is no such run.
    """
    info = RunReader(run_id).info
    return [
        other
        for other in Store().runs()
        if other.run_id != run_id
        and other.n_lines == info.n_lines
        and (other.name == info.name or other.source_path == info.source_path)
    ]


def compared_runs(run_id: str, other_id: str) -> Comparison:
    """What two runs say of the same log, at their thresholds in force and without what is muted now; `run_id` is A.

    Raises:
        WorkbenchError: the runs are of different lines.
        StoreError: there is no such run, or it is damaged.
    """
    a, b = RunReader(run_id), RunReader(other_id)
    if not a.has_lines_of(b):
        raise WorkbenchError(
            f"the runs {run_id} and {other_id} are of different lines; only runs of the same log can be compared"
        )
    thresholds = Store().threshold(run_id), Store().threshold(other_id)
    return compare(a.paired_texts(b), a.texts(), b.texts(), *thresholds)


def shared_labels(run_id: str, other_id: str) -> list[LabelSource]:
    """Labels that both runs can be measured with, files before verdicts."""
    others = {source.key for source in label_sources(other_id) if source.error is None}
    return [source for source in label_sources(run_id) if source.error is None and source.key in others]


def compared_measures(run_id: str, other_id: str, source: str) -> list[dict[str, Any]]:
    """Measures of two runs against the same labels, at their thresholds in force; muted lines count as any others.

    Args:
        run_id: run A.
        other_id: run B.
        source: a key of `shared_labels`.

    Returns:
        For A and B: roc_auc, pr_auc, best_f1 (chosen on these labels), and f1, precision, recall, false_alarm_rate at
        the threshold.

    Raises:
        WorkbenchError: labels that cannot be used.
    """
    found = []
    for one in (run_id, other_id):
        run = labelled_run(one, source)
        rows = run.labelled(run.info.weights)
        where = (rows.labels, rows.fused, rows.lines)
        found.append(ranking_metrics(*where) | threshold_metrics(*where, Store().threshold(one)))
    return found

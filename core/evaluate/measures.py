"""All measures of labelled lines together: what `evaluate` prints and the Validate page shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from core.errors import InputError
from core.evaluate.curves import curve, precision_at_k, ranking_metrics
from core.evaluate.decisions import calibration, f_beta, kinds, oddities, threshold_metrics
from core.evaluate.intervals import bootstrap_intervals

BETAS = (0.5, 1.0, 2.0)
AT_K = (10, 50, 100, 500, 1_000)


@dataclass(frozen=True)
class Labelled:
    """Labelled lines folded into rows: one a distinct text, label and kind.

    Attributes:
        text_ids: [N] int64.
        labels: [N] int8, 0 or 1.
        kinds: [N] str, "" where none is known.
        lines: [N] float64, lines each row stands for.
        fused: [N] float64, 0 to 1.
        scorers: name to [N] raw scores.
        without_severity: [N] fused scores with no weight on severity, or None where nothing else weighs.
    """

    text_ids: np.ndarray
    labels: np.ndarray
    kinds: np.ndarray
    lines: np.ndarray
    fused: np.ndarray
    scorers: dict[str, np.ndarray]
    without_severity: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Self:
        """The rows of a mask or of row numbers."""
        rest = self.without_severity
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in ("text_ids", "labels", "kinds", "lines", "fused")},
            scorers={name: values[rows] for name, values in self.scorers.items()},
            without_severity=None if rest is None else rest[rows],
        )

    def once(self) -> Self:
        """Every distinct text once, without its repeats; one that has both labels once with each."""
        _, first = np.unique(self.text_ids * 2 + self.labels, return_index=True)
        kept = self.take(first)
        return replace(kept, lines=np.ones(len(first)))

    def same_text_as_normal(self) -> np.ndarray:
        """[N] abnormal rows whose text is also a normal line's: no score of the text can tell them apart."""
        return np.asarray((self.labels == 1) & np.isin(self.text_ids, self.text_ids[self.labels == 0]))

    @property
    def prevalence(self) -> float:
        """Share of abnormal lines: the PR-AUC of a score that knows nothing."""
        return float(self.lines[self.labels == 1].sum() / self.lines.sum())


def measures(labelled: Labelled, threshold: float) -> dict[str, Any]:
    """Measures of one set of rows.

    Args:
        labelled: normal and abnormal rows.
        threshold: fixed without these labels.

    Returns:
        roc_auc, pr_auc, best_f1 (chosen on these labels), what `threshold_metrics` gives, f_beta by beta,
        precision_at_k by k, threshold, prevalence, n and n_abnormal lines, roc_auc and pr_auc of each scorer.

    Raises:
        InputError: only one class is there.
    """
    labels, lines = labelled.labels, labelled.lines
    found = curve(labels, labelled.fused, lines)
    decided = threshold_metrics(labels, labelled.fused, lines, threshold)
    n = int(lines.sum())
    return {
        "roc_auc": found.roc_auc,
        "pr_auc": found.pr_auc,
        "best_f1": found.best_f1,
        **decided,
        "f_beta": {f"{beta:g}": f_beta(decided["precision"], decided["recall"], beta) for beta in BETAS},
        "precision_at_k": {str(k): precision_at_k(found, k) for k in AT_K if k <= n},
        "threshold": threshold,
        "prevalence": labelled.prevalence,
        "n": n,
        "n_abnormal": int(found.n_abnormal),
        "scorers": {
            name: {key: value for key, value in ranking_metrics(labels, scores, lines).items() if key != "best_f1"}
            for name, scores in labelled.scorers.items()
        },
    }


def report(labelled: Labelled, threshold: float, seed: int = 0) -> dict[str, Any]:
    """Everything `evaluate` prints of lines: `measures`, their intervals, and the same for parts of the rows.

    Args:
        labelled: normal and abnormal rows.
        threshold: fixed without these labels.
        seed: of the bootstrap.

    Returns:
        `measures`, and: intervals (95%; None where a class has too few texts), deduplicated (with its intervals),
        without_severity (None where nothing but severity weighs), kinds, oddities, calibration, same_text_as_normal
        (n_lines, n_texts and, where there are any, the measures without them).

    Raises:
        InputError: only one class is there.
    """
    once = labelled.once()
    same = labelled.same_text_as_normal()
    rest = labelled.without_severity
    where = (labelled.labels, labelled.fused, labelled.lines)
    return {
        **measures(labelled, threshold),
        "intervals": _intervals(labelled, threshold, seed),
        "deduplicated": {**measures(once, threshold), "intervals": _intervals(once, threshold, seed)},
        "without_severity": None if rest is None else ranking_metrics(labelled.labels, rest, labelled.lines),
        "kinds": kinds(labelled.kinds, *where, threshold),
        "oddities": oddities(labelled.kinds, *where, threshold),
        "calibration": calibration(*where),
        "same_text_as_normal": {
            "n_lines": int(labelled.lines[same].sum()),
            "n_texts": len(np.unique(labelled.text_ids[same])),
            "without_them": _measures_without(labelled, same, threshold),
        },
    }


def _intervals(labelled: Labelled, threshold: float, seed: int) -> dict[str, tuple[float, float]] | None:
    return bootstrap_intervals(labelled.labels, labelled.fused, labelled.lines, labelled.text_ids, threshold, seed=seed)


def _measures_without(labelled: Labelled, same: np.ndarray, threshold: float) -> dict[str, Any] | None:
    if not same.any():
        return None
    try:
        return measures(labelled.take(~same), threshold)
    except InputError:  # every abnormal line has a normal line's text
        return None

"""What a threshold would do, for every threshold at once: the curves and the measures that need none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import InputError

MOST_POINTS = 2_000  # of a drawn curve


@dataclass(frozen=True)
class Curve:
    """Lines at or above each distinct score.

    Attributes:
        thresholds: [K] distinct scores, descending.
        true_positive: [K] abnormal lines at or above, ascending.
        false_positive: [K] normal lines at or above, ascending.
    """

    thresholds: np.ndarray
    true_positive: np.ndarray
    false_positive: np.ndarray

    @property
    def n_abnormal(self) -> float:
        """Abnormal lines in all."""
        return float(self.true_positive[-1])

    @property
    def n_normal(self) -> float:
        """Normal lines in all."""
        return float(self.false_positive[-1])

    @property
    def precision(self) -> np.ndarray:
        """[K] share of the flagged lines that are abnormal, 0 to 1."""
        return np.asarray(self.true_positive / (self.true_positive + self.false_positive))

    @property
    def recall(self) -> np.ndarray:
        """[K] share of the abnormal lines that are flagged, 0 to 1."""
        return np.asarray(self.true_positive / self.n_abnormal)

    @property
    def false_alarm_rate(self) -> np.ndarray:
        """[K] share of the normal lines that are flagged, 0 to 1."""
        return np.asarray(self.false_positive / self.n_normal)

    @property
    def roc_auc(self) -> float:
        """Chance that an abnormal line scores above a normal one, ties half (Hanley and McNeil 1982)."""
        recall, false_alarms = (np.concatenate([[0.0], values]) for values in (self.recall, self.false_alarm_rate))
        return float(np.trapezoid(recall, false_alarms))

    @property
    def pr_auc(self) -> float:
        """Average precision: precision weighted by the recall each threshold adds; no interpolation."""
        return float((np.diff(self.recall, prepend=0.0) * self.precision).sum())

    @property
    def best_f1(self) -> float:
        """The F1 these labels would have allowed at a threshold chosen on them."""
        return float((2 * self.true_positive / (self.n_abnormal + self.true_positive + self.false_positive)).max())


def curve(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> Curve:
    """Count once what every threshold flags.

    Args:
        labels: [N] 0 or 1, both present.
        scores: [N] higher is more abnormal.
        weights: [N] lines each row stands for, above 0.

    Raises:
        InputError: only one class is there.

    Example:
        >>> curve(np.array([1, 0]), np.array([0.9, 0.2]), np.ones(2)).precision.tolist()
        [1.0, 0.5]
    """
    if len(np.unique(labels)) < 2:
        raise InputError("every label is the same; to evaluate, normal (0) and abnormal (1) lines are needed")
    negated, block = np.unique(-scores, return_inverse=True)
    abnormal = np.bincount(block, weights * (labels == 1), len(negated))
    normal = np.bincount(block, weights * (labels != 1), len(negated))
    return Curve(-negated, abnormal.cumsum(), normal.cumsum())


def ranking_metrics(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Threshold-free measures.

    Args:
        labels: [N] 0 or 1, both present.
        scores: [N] higher is more abnormal.
        weights: [N] lines each row stands for.

    Returns:
        roc_auc, pr_auc and best_f1, each 0 to 1.

    Raises:
        InputError: only one class is there.
    """
    found = curve(labels, scores, weights)
    return {"roc_auc": found.roc_auc, "pr_auc": found.pr_auc, "best_f1": found.best_f1}


def precision_at_k(found: Curve, k: int) -> float:
    """Share of abnormal lines among the k highest scores.

    Where the k-th line ties with others, each of them is as likely to be among the k: their expected share counts
    (McSherry and Najork 2008), so no order of the file helps or hurts.

    Args:
        found: of all labelled lines.
        k: lines an analyst would read, at least 1 and at most as many as there are.

    Example:
        >>> precision_at_k(curve(np.array([1, 0]), np.array([0.5, 0.5]), np.ones(2)), 1)
        0.5
    """
    flagged = found.true_positive + found.false_positive
    return float(np.interp(k, np.concatenate([[0.0], flagged]), np.concatenate([[0.0], found.true_positive])) / k)


def pr_points(found: Curve, most: int = MOST_POINTS) -> dict[str, np.ndarray]:
    """Points of the precision-recall curve, from the highest threshold to the lowest; thinned, its ends exact.

    Returns:
        recall, precision and threshold, each [<= most].
    """
    kept = _spread(found.recall, found.precision, most)
    return {"recall": found.recall[kept], "precision": found.precision[kept], "threshold": found.thresholds[kept]}


def roc_points(found: Curve, most: int = MOST_POINTS) -> dict[str, np.ndarray]:
    """Points of the ROC curve, from nothing flagged to everything flagged; thinned, its ends exact.

    Returns:
        false_alarm_rate and recall, each [<= most].
    """
    recall, false_alarms = (np.concatenate([[0.0], values]) for values in (found.recall, found.false_alarm_rate))
    kept = _spread(false_alarms, recall, most)
    return {"false_alarm_rate": false_alarms[kept], "recall": recall[kept]}


def _spread(x: np.ndarray, y: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most `most` points, evenly spaced along the drawn line; first and last are among them."""
    if len(x) <= most:
        return np.arange(len(x))
    along = np.concatenate([[0.0], np.hypot(np.diff(x), np.diff(y)).cumsum()])
    kept = np.searchsorted(along, np.linspace(0.0, along[-1], most - 1))
    return np.unique(np.concatenate([[0, len(x) - 1], kept]))

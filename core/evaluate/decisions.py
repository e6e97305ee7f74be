"""Measures of the decisions at a threshold, and of what scores say about lines."""

from __future__ import annotations

from typing import Any

import numpy as np

ODDITY = "oddity"
"""Kinds `oddity` and `oddity:...` are of normal lines that look odd: a 404, a mistyped password, a new client."""


def threshold_metrics(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, threshold: float
) -> dict[str, float]:
    """Measures of the decisions at a threshold that was fixed without these labels.

    Args:
        labels: [N] 0 or 1.
        scores: [N] higher is more abnormal; flagged at or above the threshold.
        weights: [N] lines each row stands for.
        threshold: the bundle's own, or the analyst's.

    Returns:
        f1, precision, recall, false_alarm_rate (0 to 1; 0 where undefined) and the confusion cells in lines.
    """
    flagged, positive = scores >= threshold, labels == 1
    true_positive = float(weights[flagged & positive].sum())
    false_positive = float(weights[flagged & ~positive].sum())
    false_negative = float(weights[~flagged & positive].sum())
    true_negative = float(weights[~flagged & ~positive].sum())
    return {
        "f1": _ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative),
        "precision": _ratio(true_positive, true_positive + false_positive),
        "recall": _ratio(true_positive, true_positive + false_negative),
        "false_alarm_rate": _ratio(false_positive, false_positive + true_negative),
        "true_positive": true_positive,
        "false_positive": false_positive,
        "false_negative": false_negative,
        "true_negative": true_negative,
    }


def f_beta(precision: float, recall: float, beta: float) -> float:
    """Precision and recall in one number, recall counting beta times as much (van Rijsbergen 1979, chapter 7).

    Args:
        precision: 0 to 1.
        recall: 0 to 1.
        beta: above 0; 0.5 leans to precision, 2 to recall.

    Returns:
        0 to 1; 0 where both are 0.

    Example:
        >>> round(f_beta(0.5, 1.0, 2.0), 3)
        0.833
    """
    return _ratio((1 + beta**2) * precision * recall, beta**2 * precision + recall)


def calibration(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, n_bins: int = 10
) -> list[dict[str, float]]:
    """How often lines of a score are abnormal: a reliability curve (Niculescu-Mizil and Caruana 2005).

    The fused score is no probability and is not meant to be one; the curve says what share of abnormal lines a score
    has stood for in these labels, at their prevalence.

    Args:
        labels: [N] 0 or 1.
        scores: [N] 0 to 1.
        weights: [N] lines each row stands for.
        n_bins: of equal width over 0 to 1.

    Returns:
        For each bin with lines: low, high, mean_score, abnormal_share (0 to 1) and n lines.
    """
    bins = np.minimum((np.round(scores, 9) * n_bins).astype(np.int64), n_bins - 1)
    lines = np.bincount(bins, weights, n_bins)
    abnormal = np.bincount(bins, weights * (labels == 1), n_bins)
    total = np.bincount(bins, weights * scores, n_bins)
    return [
        {
            "low": bin_no / n_bins,
            "high": (bin_no + 1) / n_bins,
            "mean_score": float(total[bin_no] / lines[bin_no]),
            "abnormal_share": float(abnormal[bin_no] / lines[bin_no]),
            "n": float(lines[bin_no]),
        }
        for bin_no in np.flatnonzero(lines)
    ]


def kinds(
    kind: np.ndarray, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, threshold: float
) -> list[dict[str, Any]]:
    """What is flagged of each kind of line, the largest first; lines without a kind are left out.

    Args:
        kind: [N] str, "" for none.
        labels: [N] 0 or 1.
        scores: [N] higher is more abnormal.
        weights: [N] lines each row stands for.
        threshold: flagged at or above.

    Returns:
        For each kind and label: kind, label, n lines, n_flagged, flagged_share (0 to 1: the recall of an attack,
        the false-alarm rate of a normal kind).
    """
    flagged = weights * (scores >= threshold)
    found = []
    for name in np.unique(kind[kind != ""]):
        for label in (1, 0):
            rows = (kind == name) & (labels == label)
            if rows.any():
                found.append({"kind": str(name), "label": label, **_flagged(weights[rows], flagged[rows])})
    return sorted(found, key=lambda item: (-item["label"], -item["n"], item["kind"]))


def oddities(
    kind: np.ndarray, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, threshold: float
) -> dict[str, float]:
    """How many of all benign oddities are flagged: the false alarms an analyst would mind most.

    Args:
        kind: [N] str; see `ODDITY`.
        labels: [N] 0 or 1; abnormal lines do not count.
        scores: [N] higher is more abnormal.
        weights: [N] lines each row stands for.
        threshold: flagged at or above.

    Returns:
        n lines, n_flagged, flagged_share (0 to 1).
    """
    names = kind.astype(str)
    rows = ((names == ODDITY) | np.char.startswith(names, f"{ODDITY}:")) & (labels == 0)
    return _flagged(weights[rows], (weights * (scores >= threshold))[rows])


def _flagged(weights: np.ndarray, flagged: np.ndarray) -> dict[str, float]:
    n, n_flagged = float(weights.sum()), float(flagged.sum())
    return {"n": n, "n_flagged": n_flagged, "flagged_share": _ratio(n_flagged, n)}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0

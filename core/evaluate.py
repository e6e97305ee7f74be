"""Measures of scores against labels. Pure functions over arrays; a text stands for as many lines as its weight.

PR-AUC is average precision, to be read beside the prevalence (Davis and Goadrich 2006; Saito and Rehmsmeier 2015).
A threshold is always given, never looked for here; `best_f1` is what labels would have allowed, and is named so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.errors import InputError


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
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

    if len(np.unique(labels)) < 2:
        raise InputError("every label is the same; to evaluate, normal (0) and abnormal (1) lines are needed")
    precision, recall, _ = precision_recall_curve(labels, scores, sample_weight=weights)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return {
        "roc_auc": float(roc_auc_score(labels, scores, sample_weight=weights)),
        "pr_auc": float(average_precision_score(labels, scores, sample_weight=weights)),
        "best_f1": float(f1.max()),
    }


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


def measures(
    labels: np.ndarray,
    fused: np.ndarray,
    scorers: dict[str, np.ndarray],
    weights: np.ndarray,
    threshold: float,
) -> dict[str, Any]:
    """Everything `evaluate` prints of one set of rows.

    Args:
        labels: [N] 0 or 1, both present.
        fused: [N] fused scores.
        scorers: name to [N] scores, higher is more abnormal.
        weights: [N] lines each row stands for; all one after removing duplicates.
        threshold: fixed without these labels.
    """
    return {
        **ranking_metrics(labels, fused, weights),
        **threshold_metrics(labels, fused, weights, threshold),
        "threshold": threshold,
        "prevalence": float(weights[labels == 1].sum() / weights.sum()),
        "n": int(weights.sum()),
        "n_abnormal": int(weights[labels == 1].sum()),
        "scorers": {
            name: {key: value for key, value in ranking_metrics(labels, scores, weights).items() if key != "best_f1"}
            for name, scores in scorers.items()
        },
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0

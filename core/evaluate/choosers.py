"""Thresholds chosen on labels, which belong to validation data: figures on the same labels are then optimistic.

A threshold is one of the scores, or just above the highest of them where even that one flags too much.
"""

from __future__ import annotations

import numpy as np

from core.errors import InputError
from core.evaluate.curves import Curve

STEP = 1e-4  # between stored scores


def threshold_for_best_f(found: Curve, beta: float = 1.0) -> float:
    """The threshold of the highest F-beta; of equal ones the highest, which alerts least.

    Args:
        found: of the validation lines.
        beta: above 0; 1 for F1, 2 leans to recall.
    """
    weight = beta**2
    f = (1 + weight) * found.true_positive / (weight * found.n_abnormal + found.true_positive + found.false_positive)
    return float(found.thresholds[int(np.argmax(f))])


def threshold_for_precision(found: Curve, at_least: float) -> float:
    """The lowest threshold, and so the highest recall, whose precision is at least this.

    Args:
        found: of the validation lines.
        at_least: 0 to 1.

    Raises:
        InputError: no threshold reaches it.
    """
    good = np.flatnonzero(found.precision >= at_least - 1e-12)
    if not len(good):
        raise InputError(
            f"no threshold reaches a precision of {at_least:.1%}; the highest is {found.precision.max():.1%}, "
            f"at {found.thresholds[int(np.argmax(found.precision))]:.4f}"
        )
    return float(found.thresholds[good[-1]])


def threshold_for_recall(found: Curve, at_least: float) -> float:
    """The highest threshold, and so the fewest false alarms, whose recall is at least this; 0 to 1."""
    return float(found.thresholds[int(np.argmax(found.recall >= at_least - 1e-12))])


def threshold_for_false_alarm_rate(found: Curve, at_most: float) -> float:
    """The lowest threshold that flags at most this share of normal lines; 0 to 1."""
    return _lowest(found.thresholds, found.false_positive, at_most * found.n_normal)


def threshold_for_alerts(scores: np.ndarray, lines: np.ndarray, at_most: float) -> float:
    """The lowest threshold that flags at most so many lines; needs no labels.

    Args:
        scores: [K] higher is more abnormal.
        lines: [K] lines each stands for.
        at_most: flagged lines of the whole input.
    """
    negated, block = np.unique(-scores, return_inverse=True)
    return _lowest(-negated, np.bincount(block, lines).cumsum(), at_most)


def _lowest(thresholds: np.ndarray, flagged: np.ndarray, at_most: float) -> float:
    n_good = int(np.searchsorted(flagged, at_most * (1 + 1e-12), side="right"))
    return float(thresholds[n_good - 1]) if n_good else round(min(1.0, float(thresholds[0]) + STEP), 4)

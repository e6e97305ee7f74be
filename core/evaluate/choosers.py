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


def costs(found: Curve, per_miss: float, per_false_alarm: float) -> tuple[np.ndarray, np.ndarray]:
    """What misses and false alarms cost at every threshold (Elkan, IJCAI 2001: costs decide where to cut).

    Args:
        found: of the validation lines.
        per_miss: of an abnormal line that is not flagged, 0 or more, in any unit.
        per_false_alarm: of a normal line that is flagged, in the same unit.

    Returns:
        Thresholds [K + 1], descending, the first just above every score, where nothing is flagged; and the cost at
        each, of all validation lines together.

    Raises:
        InputError: a cost below 0, or none above it.

    Example:
        >>> from core.evaluate import curve
        >>> found = curve(np.array([1, 0]), np.array([0.9, 0.2]), np.ones(2))
        >>> costs(found, 10, 1)[1].tolist()
        [10.0, 0.0, 1.0]
    """
    if min(per_miss, per_false_alarm) < 0 or max(per_miss, per_false_alarm) <= 0:
        raise InputError("a cost is 0 or more, and one of the two is above 0")
    misses = found.n_abnormal - np.concatenate([[0.0], found.true_positive])
    alarms = np.concatenate([[0.0], found.false_positive])
    thresholds = np.concatenate([[_above(found.thresholds)], found.thresholds])
    return thresholds, per_miss * misses + per_false_alarm * alarms


def threshold_for_least_cost(found: Curve, per_miss: float, per_false_alarm: float) -> float:
    """The threshold where misses and false alarms cost least together; of equal ones the highest, which alerts least.

    Args and Raises: as `costs`.
    """
    thresholds, cost = costs(found, per_miss, per_false_alarm)
    return float(thresholds[int(np.argmin(cost))])


def alert_budgets(found: Curve, scores: np.ndarray, lines: np.ndarray, budgets: list[float]) -> list[dict[str, float]]:
    """What a number of alerts buys.

    Args:
        found: of the validation lines.
        scores: [K] of the whole input, higher is more abnormal.
        lines: [K] lines each stands for.
        budgets: flagged lines of the whole input that are bearable.

    Returns:
        For each budget: budget, threshold, flagged (lines of the whole input, at most the budget), recall and precision
        on the validation lines (0 to 1; precision 0 where none of them is flagged).
    """
    rows = []
    for budget in budgets:
        threshold = threshold_for_alerts(scores, lines, budget)
        n_above = int(np.searchsorted(-found.thresholds, -threshold, side="right"))
        true, false = (
            float(count[n_above - 1]) if n_above else 0.0 for count in (found.true_positive, found.false_positive)
        )
        rows.append(
            {
                "budget": budget,
                "threshold": threshold,
                "flagged": float(lines[scores >= threshold].sum()),
                "recall": true / found.n_abnormal,
                "precision": true / (true + false) if n_above else 0.0,
            }
        )
    return rows


def _lowest(thresholds: np.ndarray, flagged: np.ndarray, at_most: float) -> float:
    n_good = int(np.searchsorted(flagged, at_most * (1 + 1e-12), side="right"))
    return float(thresholds[n_good - 1]) if n_good else _above(thresholds)


def _above(thresholds: np.ndarray) -> float:
    """Where not even the first, the highest, is flagged; at 1 it may be."""
    return round(min(1.0, float(thresholds[0]) + STEP), 4)

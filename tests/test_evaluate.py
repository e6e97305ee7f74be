"""Measures worked by hand."""

import numpy as np
import pytest

from core.errors import InputError
from core.evaluate import measures, ranking_metrics, threshold_metrics

LABELS = np.array([1, 0, 1, 0, 0])
SCORES = np.array([0.9, 0.8, 0.7, 0.2, 0.1])
ONES = np.ones(5)


def test_ranking_by_hand() -> None:
    found = ranking_metrics(LABELS, SCORES, ONES)
    assert found["roc_auc"] == pytest.approx(5 / 6)  # 5 of the 6 pairs are in order
    assert found["pr_auc"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["best_f1"] == pytest.approx(0.8)  # at 0.7: precision 2/3, recall 1


def test_decisions_by_hand() -> None:
    found = threshold_metrics(LABELS, SCORES, ONES, 0.8)
    assert (found["true_positive"], found["false_positive"], found["false_negative"]) == (1, 1, 1)
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert found["false_alarm_rate"] == pytest.approx(1 / 3)
    nothing = threshold_metrics(LABELS, SCORES, ONES, 1.0)
    assert (nothing["precision"], nothing["f1"]) == (0.0, 0.0)


def test_a_weight_stands_for_that_many_lines() -> None:
    weights = np.array([2, 1, 3, 4, 1])
    rows = np.repeat(np.arange(5), weights)
    spelled_out = measures(LABELS[rows], SCORES[rows], {"a": SCORES[rows]}, np.ones(len(rows)), 0.75)
    weighted = measures(LABELS, SCORES, {"a": SCORES}, weights.astype(float), 0.75)
    assert weighted.pop("scorers")["a"] == pytest.approx(spelled_out.pop("scorers")["a"])
    assert weighted == pytest.approx(spelled_out)
    assert spelled_out["prevalence"] == pytest.approx(5 / 11)


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="every label is the same"):
        ranking_metrics(np.zeros(3), np.arange(3.0), np.ones(3))

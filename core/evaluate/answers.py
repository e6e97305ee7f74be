"""Measures of answers that are one of several labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def answer_metrics(truth: Sequence[str], answers: Sequence[str]) -> dict[str, Any]:
    """How often answers are right, each row once.

    Args:
        truth: the right label of each of N rows.
        answers: the one given, from any set of labels.

    Returns:
        n, accuracy, f1 by each label of `truth`, and macro_f1, their mean: an answer that is no label of `truth` lowers
        the recall of the right one and no precision.
    """
    from sklearn.metrics import f1_score  # a second to load

    labels = sorted(set(truth))
    f1 = f1_score(truth, answers, labels=labels, average=None, zero_division=0.0)
    right = sum(given == answer for given, answer in zip(truth, answers, strict=True))
    return {
        "n": len(truth),
        "accuracy": right / len(truth),
        "macro_f1": float(f1.mean()),
        "f1": {label: float(value) for label, value in zip(labels, f1, strict=True)},
    }

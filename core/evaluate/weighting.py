"""Weights of the fused score fitted on labels, and what they are worth on labels they have not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from core.errors import InputError
from core.evaluate.curves import curve

FOLDS, REPEATS = 5, 4
LEAST_OF_A_CLASS = 2 * FOLDS
"""Distinct messages of each class that are needed: two in every fold."""
_PRIOR = 0.6  # how strongly weights are drawn to the saved ones, in labelled messages: few labels move them little
_STEEPEST = 50.0  # of the logistic curve along the saved weights

_Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclass(frozen=True)
class FittedWeights:
    """Weights fitted on labels.

    Attributes:
        weights: [S] 0 or more; they add up to what the saved ones do.
        saved: [FOLDS * REPEATS] PR-AUC of the saved weights on each held-out fold, every message once.
        fitted: [FOLDS * REPEATS] the same of weights fitted on the other folds.
    """

    weights: np.ndarray
    saved: np.ndarray
    fitted: np.ndarray

    @property
    def gain(self) -> tuple[float, float]:
        """Mean and standard deviation over the folds of what fitting adds to the PR-AUC."""
        gains = self.fitted - self.saved
        return float(gains.mean()), float(gains.std())

    @property
    def better_share(self) -> float:
        """Share of the folds where the fitted weights are better, equal ones half; 0 to 1."""
        return float(((self.fitted > self.saved) + 0.5 * (self.fitted == self.saved)).mean())


def cross_validated_weights(
    values: np.ndarray,
    labels: np.ndarray,
    text_ids: np.ndarray,
    saved: np.ndarray,
    fuse: Callable[[np.ndarray], np.ndarray],
    seed: int = 0,
) -> FittedWeights:
    """Fit weights on all labels, and on parts of them to see what that is worth on the rest.

    The lines of a message share their score, so a message is in one fold whole, and counts once.

    Args:
        values: [N, S] calibrated scores, 0 to 1; a row for each distinct text and label.
        labels: [N] 0 or 1.
        text_ids: [N] of the texts.
        saved: [S] the weights so far, 0 or more, not all zero.
        fuse: weights [S] to fused scores [N].
        seed: of the folds.

    Raises:
        InputError: fewer than LEAST_OF_A_CLASS texts of a class.
    """
    texts, of_text = np.unique(text_ids, return_inverse=True)
    is_abnormal = np.bincount(of_text, labels == 1, len(texts)) > 0
    fewest = min(int(is_abnormal.sum()), int((~is_abnormal).sum()))
    if fewest < LEAST_OF_A_CLASS:
        raise InputError(
            f"to fit weights, {LEAST_OF_A_CLASS} abnormal and {LEAST_OF_A_CLASS} normal messages must be labelled; "
            f"there are {int(is_abnormal.sum())} and {int((~is_abnormal).sum())}"
        )
    before = fuse(saved)
    draw = np.random.default_rng(seed)
    found: list[tuple[float, float]] = []
    for _ in range(REPEATS):
        fold = np.empty(len(texts), dtype=np.int64)
        for members in (np.flatnonzero(is_abnormal), np.flatnonzero(~is_abnormal)):
            fold[draw.permutation(members)] = np.arange(len(members)) % FOLDS
        for number in range(FOLDS):
            out = fold[of_text] == number
            after = fuse(fitted_weights(values[~out], labels[~out], saved))
            ones = np.ones(int(out.sum()))
            found.append((curve(labels[out], before[out], ones).pr_auc, curve(labels[out], after[out], ones).pr_auc))
    of_saved, of_fitted = np.array(found).T
    return FittedWeights(fitted_weights(values, labels, saved), of_saved, of_fitted)


def fitted_weights(values: np.ndarray, labels: np.ndarray, saved: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression that are not negative, both classes counting alike, drawn to the saved ones.

    Args:
        values: [N, S] calibrated scores, 0 to 1.
        labels: [N] 0 or 1, both present.
        saved: [S] the weights so far, 0 or more, not all zero.

    Returns:
        [S] 0 or more, with the sum of the saved ones.
    """
    share = saved / saved.sum()
    importance = np.where(labels == 1, 0.5 / (labels == 1).sum(), 0.5 / (labels != 1).sum())
    sign = np.where(labels == 1, 1.0, -1.0)

    def loss_of(columns: np.ndarray, prior: np.ndarray, strength: float) -> _Loss:
        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            slopes, base = parameters[:-1], parameters[-1]
            margin = sign * (columns @ slopes + base)
            pull = -sign * importance * np.exp(-np.logaddexp(0.0, margin))
            away = slopes - prior
            value = float(importance @ np.logaddexp(0.0, -margin) + strength * away @ away)
            return value, np.append(columns.T @ pull + 2 * strength * away, pull.sum())

        return loss

    def solved(columns: np.ndarray, prior: np.ndarray, strength: float, most: float | None) -> np.ndarray:
        start = np.append(prior, -float((columns @ prior).mean()))
        bounds = [(0.0, most)] * len(prior) + [(None, None)]
        answer = minimize(loss_of(columns, prior, strength), start, jac=True, method="L-BFGS-B", bounds=bounds)
        return np.asarray(answer.x[:-1])

    # How steep the curve is along the saved weights, then which weights are better at that steepness.
    steepness = float(solved((values @ share)[:, None], np.ones(1), 0.0, _STEEPEST)[0])
    prior = max(steepness, 1.0) * share
    slopes = solved(values, prior, _PRIOR / len(labels) / max(steepness, 1.0), None)
    total = slopes.sum()
    return np.asarray(slopes * saved.sum() / total) if total > 0 else saved

"""Weights fitted on the labels of a run, with what they are worth on labels held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.evaluate import FittedWeights, cross_validated_weights
from core.workbench.measuring import LabelledRun

STEP = 0.05  # of a weight, as sliders have it


@dataclass(frozen=True)
class WeightsOffer:
    """Weights to try.

    Attributes:
        weights: scorer name to weight, in whole STEPs, not all zero.
        folds: what they are worth on held-out messages.
    """

    weights: dict[str, float]
    folds: FittedWeights


def fit_weights(found: LabelledRun, most: dict[str, float]) -> WeightsOffer:
    """Fit the weights of a run on its labels; nothing is changed.

    Args:
        found: a run and its labels.
        most: scorer name to the largest weight that can be chosen.

    Raises:
        InputError: too few messages are labelled.
    """
    names = list(found.info.weights)
    text_ids = found.rows["text_id"].to_numpy().astype(np.int64)
    folds = cross_validated_weights(
        values=found.texts.select(names).to_numpy()[text_ids],
        labels=found.rows["label"].to_numpy(),
        text_ids=text_ids,
        saved=np.array([found.info.weights[name] for name in names]),
        fuse=lambda weights: found.fused(dict(zip(names, weights.tolist(), strict=True)))[text_ids],
    )
    fitted = dict(zip(names, folds.weights.tolist(), strict=True))
    shrink = min(1.0, *(most[name] / value for name, value in fitted.items() if value > 0))
    return WeightsOffer({name: round(round(value * shrink / STEP) * STEP, 2) for name, value in fitted.items()}, folds)

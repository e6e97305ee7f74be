"""`one_class`: distance from the centre of a small sphere into which a network maps the learnt texts.

Source: Ruff et al., "Deep one-class classification", ICML 2018, soft-boundary Deep SVDD. As the paper asks, layers have
no bias, the rectifier is unbounded and no coordinate of the centre is near zero: else everything maps to one point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from core.records import EncodedBatch
from core.scoring.dense import Layers, check_layers, forward, initial_layers, standard_scale, train
from core.scoring.scorer import BaseScorer, embeddings_of

if TYPE_CHECKING:
    import torch

_SIZES = (64, 32)
_EPOCHS = 50
_OUTSIDE = 0.05  # nu: share of the learnt weight that may lie outside the sphere
_LEAST_CENTER = 0.1


class OneClassScorer(BaseScorer):
    """Deep SVDD D -> 64 -> 32 on standardised embeddings."""

    name = "one_class"
    requires = frozenset({"embeddings"})
    fitted: ClassVar[dict[str, type]] = {
        "mean_": np.ndarray,
        "scale_": np.ndarray,
        "center_": np.ndarray,
        "layers_": list,
        "squared_radius_": float,
    }
    mean_: np.ndarray
    scale_: np.ndarray
    center_: np.ndarray  # [32]
    layers_: Layers
    squared_radius_: float

    def fit(self, batch: EncodedBatch) -> Self:
        """Learn the sphere, each text weighing the square root of its lines.

        Raises:
            WorkbenchError: where the batch is empty or has no embeddings.
        """
        self.check_fit_input(batch)
        embeddings = embeddings_of(batch)
        weights = np.sqrt(batch.counts)
        self.mean_, self.scale_ = standard_scale(embeddings, weights)
        inputs = (embeddings - self.mean_) / self.scale_
        start = initial_layers((inputs.shape[1], *_SIZES), self.seed)
        center = np.average(forward(start, inputs), axis=0, weights=weights)
        self.center_ = np.where(np.abs(center) < _LEAST_CENTER, np.where(center < 0, -1, 1) * _LEAST_CENTER, center)

        def radius_of(layers: Layers) -> float:
            outputs = forward(layers, inputs)
            squared = ((outputs - self.center_) ** 2).sum(axis=1)
            return max(float(np.quantile(squared, 1 - _OUTSIDE, weights=weights, method="inverted_cdf")), 1e-6)

        radius = radius_of(start)

        def shrink(layers: Layers) -> None:
            nonlocal radius
            radius = radius_of(layers)

        def soft_boundary(outputs: torch.Tensor, _: torch.Tensor, __: torch.Tensor) -> torch.Tensor:
            squared = ((outputs - outputs.new_tensor(self.center_)) ** 2).sum(dim=1)
            return radius + (squared - radius).clamp(min=0) / _OUTSIDE

        self.layers_ = train(
            start, inputs, weights, soft_boundary, seed=self.seed, epochs=_EPOCHS, biases=False, after_epoch=shrink
        )
        self.squared_radius_ = radius_of(self.layers_)
        return self

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Squared distance from the centre, in squared radii.

        Returns:
            [B] float64, 0 or more (1: on the sphere), higher is more abnormal.

        Raises:
            WorkbenchError: where the scorer is not fitted or the batch has no fitting embeddings.
        """
        self.check_fitted()
        self.check_input(batch)
        embeddings = embeddings_of(batch)
        self.check_width(embeddings, len(self.mean_))
        outputs = forward(self.layers_, (embeddings - self.mean_) / self.scale_)
        squared: np.ndarray = ((outputs - self.center_) ** 2).sum(axis=1)
        return squared / self.squared_radius_

    def check_values(self) -> None:
        """Mean, scale, layers and centre fit each other."""
        check_layers(self.layers_, self.mean_, self.scale_)
        if self.center_.shape != self.layers_[-1].shape[1:] or self.squared_radius_ <= 0:
            raise ValueError("the centre does not fit the layers")

"""`autoencoder`: what a narrow network cannot rebuild of a text's [CLS] vector.

Source: Hawkins et al., "Outlier detection using replicator neural networks", DaWaK 2002.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from core.records import EncodedBatch
from core.scoring.dense import Layers, check_layers, forward, initial_layers, standard_scale, train
from core.scoring.scorer import BaseScorer, embeddings_of

if TYPE_CHECKING:
    import torch

_HIDDEN = (64, 16, 64)
_EPOCHS = 100


class AutoencoderScorer(BaseScorer):
    """Autoencoder D -> 64 -> 16 -> 64 -> D on standardised embeddings."""

    name = "autoencoder"
    unit = 10.0
    requires = frozenset({"embeddings"})
    fitted: ClassVar[dict[str, type]] = {"mean_": np.ndarray, "scale_": np.ndarray, "layers_": list}
    mean_: np.ndarray
    scale_: np.ndarray
    layers_: Layers

    def fit(self, batch: EncodedBatch) -> Self:
        """Learn to rebuild the embeddings, each text weighing the square root of its lines.

        Raises:
            WorkbenchError: where the batch is empty or has no embeddings.
        """
        self.check_fit_input(batch)
        embeddings = embeddings_of(batch)
        weights = np.sqrt(batch.counts)
        self.mean_, self.scale_ = standard_scale(embeddings, weights)
        inputs = (embeddings - self.mean_) / self.scale_

        def rebuilding_error(outputs: torch.Tensor, originals: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return ((outputs - originals) ** 2).mean(dim=1)

        width = inputs.shape[1]
        start = initial_layers((width, *_HIDDEN, width), self.seed)
        self.layers_ = train(start, inputs, weights, rebuilding_error, seed=self.seed, epochs=_EPOCHS)
        return self

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Mean squared error of the rebuilt embedding, in variances of the learnt texts.

        Returns:
            [B] float64, 0 or more (1: no better than guessing the mean of the learnt texts), higher is more abnormal.

        Raises:
            WorkbenchError: where the scorer is not fitted or the batch has no fitting embeddings.
        """
        self.check_fitted()
        self.check_input(batch)
        embeddings = embeddings_of(batch)
        self.check_width(embeddings, len(self.mean_))
        inputs = (embeddings - self.mean_) / self.scale_
        error: np.ndarray = ((forward(self.layers_, inputs) - inputs) ** 2).mean(axis=1)
        return error

    def check_values(self) -> None:
        """Mean, scale and layers fit each other."""
        check_layers(self.layers_, self.mean_, self.scale_)

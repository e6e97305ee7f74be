"""`mlp_head`: a small network on [CLS] that tells real texts from corrupted ones, trained without labels.

Corrupted texts are made from real ones by the network's own samples, by shuffling and by splicing (see
training/corruption.py); the head learns the border of the real. Source of the idea: ELECTRA (Clark et al.,
arXiv 2003.10555).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from core.records import EncodedBatch
from core.scoring.dense import Layers, check_layers, forward, initial_layers, standard_scale, train
from core.scoring.scorer import BaseScorer, embeddings_of

if TYPE_CHECKING:
    import torch

_HIDDEN = 64
_EPOCHS = 60


class MlpHeadScorer(BaseScorer):
    """MLP D -> 64 -> 1 -> sigmoid."""

    name = "mlp_head"
    requires = frozenset({"embeddings", "corrupted"})
    fitted: ClassVar[dict[str, type]] = {"mean_": np.ndarray, "scale_": np.ndarray, "layers_": list}
    mean_: np.ndarray
    scale_: np.ndarray
    layers_: Layers

    def fit(self, batch: EncodedBatch) -> Self:
        """Learn real (0) against `batch.corrupted` (1); both sides weigh the same in all.

        Raises:
            WorkbenchError: where the batch is empty, or has no embeddings or no corrupted texts.
        """
        self.check_fit_input(batch)
        real = embeddings_of(batch)
        assert batch.corrupted is not None  # noqa: S101  check_fit_input refused it
        corrupted = embeddings_of(batch.corrupted)
        self.check_width(corrupted, real.shape[1])
        # Square root: a text of a million lines matters more than one of ten, not 100,000 times more.
        real_weights = np.sqrt(batch.counts)
        weights = np.concatenate([real_weights / real_weights.sum(), np.full(len(corrupted), 1.0 / len(corrupted))])
        # By the real texts alone: along directions they hardly use, corrupted ones then stand far out.
        self.mean_, self.scale_ = standard_scale(real, real_weights)
        inputs = (np.concatenate([real, corrupted]) - self.mean_) / self.scale_
        labels = np.concatenate([np.zeros(len(real)), np.ones(len(corrupted))])

        def cross_entropy(outputs: torch.Tensor, _: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            from torch.nn.functional import binary_cross_entropy_with_logits

            target = outputs.new_tensor(labels[rows.numpy()])
            return binary_cross_entropy_with_logits(outputs[:, 0], target, reduction="none")

        start = initial_layers((inputs.shape[1], _HIDDEN, 1), self.seed)
        self.layers_ = train(start, inputs, weights, cross_entropy, seed=self.seed, epochs=_EPOCHS)
        return self

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """How much a text looks corrupted.

        Returns:
            [B] float64 in [0, 1]: the sigmoid, higher is more abnormal.

        Raises:
            WorkbenchError: where the scorer is not fitted or the batch has no fitting embeddings.
        """
        self.check_fitted()
        self.check_input(batch)
        embeddings = embeddings_of(batch)
        self.check_width(embeddings, len(self.mean_))
        logit = forward(self.layers_, (embeddings - self.mean_) / self.scale_)[:, 0]
        probability: np.ndarray = np.exp(-np.logaddexp(0.0, -logit))  # the sigmoid, without overflow
        return probability

    def check_values(self) -> None:
        """Mean, scale and layers fit each other."""
        check_layers(self.layers_, self.mean_, self.scale_)

"""`likelihood`: pseudo-perplexity, how badly the network foresees a text's tokens from their neighbours.

Source: Salazar et al., "Masked language model scoring", arXiv 1910.14659.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from core.records import EncodedBatch
from core.scoring.scorer import BaseScorer


class LikelihoodScorer(BaseScorer):
    """Mean surprise of a text's tokens. The network has done the learning; nothing is fitted here."""

    name = "likelihood"
    unit = 10.0
    requires = frozenset({"token_surprise"})

    def fit(self, batch: EncodedBatch) -> Self:
        """Check the input; there is nothing to learn.

        Raises:
            WorkbenchError: where the batch is empty or has no token surprise.
        """
        self.check_fit_input(batch)
        return self

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Log pseudo-perplexity: the mean of -ln p over a text's tokens.

        Returns:
            [B] float64 in nats, 0 or more, higher is more abnormal; 0 for a text without tokens.

        Raises:
            WorkbenchError: where the batch has no token surprise.
        """
        self.check_input(batch)
        assert batch.token_surprise is not None  # noqa: S101  check_input refused it
        surprise = batch.token_surprise.astype(np.float64)
        n_tokens = np.isfinite(surprise).sum(axis=1)
        mean: np.ndarray = np.nansum(surprise, axis=1) / np.maximum(n_tokens, 1)
        return mean

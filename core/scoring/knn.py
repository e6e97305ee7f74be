"""`knn`: distance of a text's [CLS] vector to the nearest line that was learnt from, exact.

Source: Ramaswamy et al., "Efficient algorithms for mining outliers from large data sets", SIGMOD 2000.
"""

from __future__ import annotations

import numpy as np

from core.records import EncodedBatch
from core.scoring.neighbours import EmbeddingNeighbours


class KnnScorer(EmbeddingNeighbours):
    """Nearest line in the space of embeddings; its own line left out once."""

    name = "knn"

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Distance to the nearest line, in mean pairwise distances of the learnt texts.

        Returns:
            [B] float64, 0 or more (1: as far as two learnt texts are from each other), higher is more abnormal.

        Raises:
            WorkbenchError: where the scorer is not fitted or the batch has no fitting embeddings.
        """
        bank, distances = self.bank(batch)
        return bank.line_distance(batch.texts, distances)

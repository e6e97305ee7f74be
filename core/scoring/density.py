"""`density`: how far around a text's [CLS] vector one must go to meet 1 line, 0.3, 3 and 30% of all lines.

`knn` asks for one neighbour; a file scored against itself needs more, for there the anomalies are in the bank and
a handful of equal ones are each other's nearest neighbour.
"""

from __future__ import annotations

import numpy as np

from core.records import EncodedBatch
from core.scoring.neighbours import EmbeddingNeighbours


class DensityScorer(EmbeddingNeighbours):
    """Distance to shares of all lines in the space of embeddings, geometric mean over the shares."""

    name = "density"

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Geometric mean of distances to shares of lines, in mean pairwise distances of the learnt texts.

        Returns:
            [B] float64, 0 or more, higher is more abnormal.

        Raises:
            WorkbenchError: where the scorer is not fitted or the batch has no fitting embeddings.
        """
        bank, distances = self.bank(batch)
        return bank.mass_distance(batch.texts, distances)

"""`tfidf`: distance between word counts, rare words weighing more; no network. A baseline kept for good.

Words and punctuation marks are the terms: a request's quotes and dots are evidence. Weights as terms.py.
"""

from __future__ import annotations

import re

import numpy as np

from core.records import EncodedBatch
from core.scoring.terms import TermNeighbours

_TERM = re.compile(r"\w+|[^\w\s]")


class TfidfScorer(TermNeighbours):
    """Distance to shares of all lines in the space of words and punctuation marks."""

    name = "tfidf"

    @staticmethod
    def terms(text: str) -> list[str]:
        """Words and punctuation marks."""
        return _TERM.findall(text)

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Geometric mean of distances to shares of lines, in mean pairwise distances of the learnt texts.

        Returns:
            [B] float64, 0 or more, higher is more abnormal.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        return self._mass_distance(batch)

    def nearest(self, batch: EncodedBatch) -> list[str | None]:
        """The nearest learnt text other than the text itself; None where there is no other."""
        vectors = self._queries(batch)
        return self._bank.nearest_other(batch.texts, lambda rows: self._distances(vectors[rows]))

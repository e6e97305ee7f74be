"""`novelty`: how rare a text is, a text never seen before rarest of all. A baseline kept for good."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from core.records import EncodedBatch
from core.scoring.neighbours import check_counts, distinct_texts
from core.scoring.scorer import BaseScorer

_SEEN_ONCE = 0.5  # lines a text counts for where only its own line had it
_NEVER_SEEN = 0.25  # and where no line had it


class NoveltyScorer(BaseScorer):
    """One line in how many has the same text, the text's own line left out once.

    Not its logarithm, the rarity in nats: calibration takes one itself, and after two of them a text never seen would
    hardly stand out from one seen once.
    """

    name = "novelty"
    fitted: ClassVar[dict[str, type]] = {"texts_": list, "counts_": np.ndarray}
    texts_: list[str]
    counts_: np.ndarray

    def fit(self, batch: EncodedBatch) -> Self:
        """Keep the texts and their counts.

        Raises:
            WorkbenchError: where the batch is empty.
        """
        self.check_fit_input(batch)
        self.texts_, self.counts_, _ = distinct_texts(batch)
        self._index()
        return self

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Rarity of each text.

        Returns:
            [B] float64 in learnt lines, above 0, higher is more abnormal; highest for every text never seen.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        self.check_fitted()
        self.check_input(batch)
        lines = np.array([self._lines_of.get(text, _NEVER_SEEN) for text in batch.texts])
        return self._n_lines / lines

    def known_share(self, texts: list[str], counts: np.ndarray) -> float:
        """Share of lines whose text was learnt, 0 to 1; 0 where there are no lines."""
        self.check_fitted()
        known = np.array([text in self._lines_of for text in texts], dtype=bool)
        return float(counts[known].sum() / max(int(counts.sum()), 1))

    def check_values(self) -> None:
        """Texts and counts agree in number; builds what follows from them."""
        check_counts(self.texts_, self.counts_)
        self._index()

    def _index(self) -> None:
        self._n_lines = float(self.counts_.sum())
        self._lines_of = dict(zip(self.texts_, np.maximum(self.counts_ - 1, _SEEN_ONCE).tolist(), strict=True))

"""`novelty`: whether a text was ever seen, and among those seen how rare it is. A baseline kept for good."""

from __future__ import annotations

import copy
from collections import Counter
from typing import ClassVar, Self

import numpy as np

from core.records import EncodedBatch
from core.scoring.neighbours import check_counts, distinct_texts, lines_without, vouched_lines
from core.scoring.scorer import BaseScorer
from core.scoring.tfidf import TfidfScorer

NEVER_SEEN = 1.0
"""The score of every text that was not learnt from, and of no other."""
_SEEN_ONCE = 0.5  # lines a text counts for where only its own line had it
_RARITY = 0.02  # how far the rarest text seen is from the commonest, where 1 is a text never seen


class NoveltyScorer(BaseScorer):
    """1 for a text that no learnt line had; else a little for its rarity, its own line left out once.

    Only a little: a file scored against itself knows all its texts, and most of its rare ones are harmless.
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

    def vouched(self, batch: EncodedBatch) -> Self:
        """The scorer with these texts among the normal ones.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        self.check_fitted()
        self.check_input(batch)
        other = copy.copy(self)
        weight = vouched_lines(int(self._n_lines))
        other._count({**self._lines_of, **{text: max(weight, self._lines_of.get(text, 0)) for text in batch.texts}})
        return other

    def forgetting(self, batch: EncodedBatch) -> Self:
        """The scorer without these texts.

        Raises:
            WorkbenchError: where the scorer is not fitted or no text is left.
        """
        self.check_fitted()
        other = copy.copy(self)
        lines = lines_without(self.texts_, self.counts_, batch.texts, batch.counts)
        other.texts_, other.counts_ = list(lines), np.array(list(lines.values()), dtype=np.int64)
        other._index()
        return other

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Rarity of each text.

        Returns:
            [B] float64 from 0 to 1, higher is more abnormal; 1 for every text never seen and for no other.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        self.check_fitted()
        self.check_input(batch)
        lines = np.array([self._lines_of.get(text, 0) for text in batch.texts], dtype=np.int64)
        rarity = np.log(self._n_lines / np.maximum(lines - 1, _SEEN_ONCE)) / np.log(self._n_lines / _SEEN_ONCE)
        return np.where(lines > 0, _RARITY * rarity, NEVER_SEEN)

    def known_share(self, texts: list[str], counts: np.ndarray) -> float:
        """Share of lines whose text was learnt, 0 to 1; 0 where there are no lines."""
        self.check_fitted()
        known = np.array([text in self._lines_of for text in texts], dtype=bool)
        return float(counts[known].sum() / max(int(counts.sum()), 1))

    def unknown_terms(self, texts: list[str]) -> list[list[str]]:
        """The words and punctuation marks of each text that no line of another text has, in order, each once."""
        self.check_fitted()
        return [
            [
                term
                for term in dict.fromkeys(TfidfScorer.terms(text))
                if self._lines_with.get(term, 0) == self._lines_of.get(text, 0)
            ]
            for text in texts
        ]

    def check_values(self) -> None:
        """Texts and counts agree in number; builds what follows from them."""
        check_counts(self.texts_, self.counts_)
        self._index()

    def _index(self) -> None:
        self._n_lines = float(self.counts_.sum())
        self._count(dict(zip(self.texts_, self.counts_.tolist(), strict=True)))

    def _count(self, lines_of: dict[str, int]) -> None:
        """Lines of each text, and lines with each word."""
        self._lines_of = lines_of
        self._lines_with: Counter[str] = Counter()
        for text, count in lines_of.items():
            for term in set(TfidfScorer.terms(text)):
                self._lines_with[term] += count

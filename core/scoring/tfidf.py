"""`tfidf`: distance between word counts, rare words weighing more; no network. A baseline kept for good.

Words and punctuation marks are the terms (a request's quotes and dots are evidence). Both vectors carry the square
root of the smoothed inverse document frequency over distinct texts, so that it enters their product once, as in SMART's
lnc.ltc: entering twice, one rare word would outweigh the rest of a text. A word that no learnt text has still counts in
the length of a query's vector, with the highest weight: dropped, it would make every novel request look like its known
part.

Source: Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988; distances as neighbours.py.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from core.records import EncodedBatch
from core.scoring.neighbours import LineBank, check_counts, distinct_texts
from core.scoring.scorer import BaseScorer

_TERM = re.compile(r"\w+|[^\w\s]")


class TfidfScorer(BaseScorer):
    """Distance to shares of all lines in the space of words and punctuation marks."""

    name = "tfidf"
    # Only the texts are stored: vocabulary, weights and vectors follow from them.
    fitted: ClassVar[dict[str, type]] = {"texts_": list, "counts_": np.ndarray, "spread_": float}
    texts_: list[str]
    counts_: np.ndarray
    spread_: float

    def fit(self, batch: EncodedBatch) -> Self:
        """Keep the texts and their counts.

        Raises:
            WorkbenchError: where the batch is empty.
        """
        self.check_fit_input(batch)
        self.texts_, self.counts_, _ = distinct_texts(batch)
        self._index()
        self.spread_ = self._bank.spread(lambda rows: self._distances(self._vectors[rows]))
        return self

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Mean distance to the nearest shares of lines, in mean pairwise distances of the learnt texts.

        Returns:
            [B] float64, 0 or more, higher is more abnormal.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        vectors = self._queries(batch)
        return self._bank.mass_distance(batch.texts, lambda rows: self._distances(vectors[rows]) / self.spread_)

    def nearest(self, batch: EncodedBatch) -> list[str | None]:
        """The nearest learnt text other than the text itself; None where there is no other."""
        vectors = self._queries(batch)
        return self._bank.nearest_other(batch.texts, lambda rows: self._distances(vectors[rows]))

    def unknown_terms(self, batch: EncodedBatch) -> list[list[str]]:
        """The words and punctuation marks of each text that no line of another text has, in order, each once."""
        self.check_fitted()
        self.check_input(batch)
        own_lines = self._lines_of_text
        return [
            [
                term
                for term in dict.fromkeys(_TERM.findall(text))
                if self._lines_with.get(term, 0) == own_lines.get(text, 0)
            ]
            for text in batch.texts
        ]

    def check_values(self) -> None:
        """Texts and counts agree in number; builds what follows from them."""
        check_counts(self.texts_, self.counts_)
        self._index()

    def _index(self) -> None:
        """Vocabulary, weights and unit vectors of the learnt texts."""
        documents = [Counter(_TERM.findall(text)) for text in self.texts_]
        frequency = Counter(term for document in documents for term in document)
        self._column = {term: column for column, term in enumerate(frequency)}
        seen_in = np.array(list(frequency.values()), dtype=np.float64)
        self._weights = np.sqrt(np.log((1 + len(documents)) / (1 + seen_in)) + 1)
        self._unknown_weight = math.sqrt(math.log(1 + len(documents)) + 1)
        self._lines_of_text: Counter[str] = Counter()
        self._lines_with: Counter[str] = Counter()
        for text, document, count in zip(self.texts_, documents, self.counts_.tolist(), strict=True):
            self._lines_of_text[text] += count
            self._lines_with.update(dict.fromkeys(document, count))
        self._bank = LineBank(self.texts_, self.counts_)
        self._vectors = self._unit_vectors(documents)
        self._transposed = self._vectors.T.tocsr()

    def _queries(self, batch: EncodedBatch) -> sparse.csr_array:
        self.check_fitted()
        self.check_input(batch)
        return self._unit_vectors([Counter(_TERM.findall(text)) for text in batch.texts])

    def _unit_vectors(self, documents: list[Counter[str]]) -> sparse.csr_array:
        """[B, V] known terms of each document, scaled by the length that its unknown terms share in."""
        values: list[float] = []
        columns: list[int] = []
        ends = [0]
        for document in documents:
            weights = {
                term: count * (self._weights[self._column[term]] if term in self._column else self._unknown_weight)
                for term, count in document.items()
            }
            length = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
            known = [term for term in weights if term in self._column]
            values += [weights[term] / length for term in known]
            columns += [self._column[term] for term in known]
            ends.append(len(columns))
        return sparse.csr_array((values, columns, ends), shape=(len(documents), len(self._column)))

    def _distances(self, vectors: sparse.csr_array) -> np.ndarray:
        """Euclidean distances [b, N] between unit vectors: 0 for equal directions, 1.41 for no term in common."""
        cosine: np.ndarray = (vectors @ self._transposed).toarray()
        return np.asarray(np.sqrt(np.maximum(2.0 - 2.0 * cosine, 0.0)))

"""The space of terms behind `tfidf` and `shape`: unit vectors of term counts, rare terms weighing more.

Both vectors of a product carry the square root of the smoothed inverse document frequency over distinct texts, so that
it enters the product once, as in SMART's lnc.ltc: entering twice, one rare term would outweigh the rest of a text. A
term that no learnt text has still counts in the length of a query's vector, with the highest weight: dropped, it would
make every novel text look like its known part.

Source: Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988; distances as neighbours.py.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections import Counter
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from core.records import EncodedBatch
from core.scoring.neighbours import LineBank, bank_texts, check_counts
from core.scoring.scorer import BaseScorer

_COMMON_TERMS = 64  # held as a table: 10 MB at most


class TermNeighbours(BaseScorer):
    """The bank of learnt texts in the space of their terms; distances in units of the mean pairwise distance."""

    # Only the texts are stored: vocabulary, weights and vectors follow from them.
    fitted: ClassVar[dict[str, type]] = {"texts_": list, "counts_": np.ndarray, "spread_": float}
    texts_: list[str]
    counts_: np.ndarray
    spread_: float

    @staticmethod
    def terms(text: str) -> list[str]:
        """The terms of a text, in order, repeated as often as they stand there."""
        raise NotImplementedError

    def fit(self, batch: EncodedBatch) -> Self:
        """Keep the texts and their counts.

        Raises:
            WorkbenchError: where the batch is empty.
        """
        self.check_fit_input(batch)
        self.texts_, self.counts_, _ = bank_texts(batch, self.seed)
        self._index()
        self.spread_ = self._bank.spread(lambda rows: self._distances(self._vectors[rows]))
        return self

    def vouched(self, batch: EncodedBatch) -> Self:
        """The scorer with these texts among the normal ones; weights of terms and spread stay.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        self.check_fitted()
        self.check_input(batch)
        other = copy.copy(self)
        other._bank = self._bank.vouched(batch.texts)
        other.texts_, other.counts_ = other._bank.texts, other._bank.counts
        added = [Counter(self.terms(text)) for text in other.texts_[len(self.texts_) :]]
        # A term new to the bank gets a column and keeps the weight it had as an unknown one: no distance changes.
        terms = dict.fromkeys(term for document in added for term in document)
        new = [term for term in terms if term not in self._column]
        other._column = self._column | {term: len(self._column) + place for place, term in enumerate(new)}
        other._weights = np.append(self._weights, np.full(len(new), self._unknown_weight))
        former = sparse.csr_array(
            (self._vectors.data, self._vectors.indices, self._vectors.indptr),
            shape=(len(self.texts_), len(other._column)),
        )
        other._vectors = sparse.vstack([former, other._unit_vectors(added)], format="csr")
        other._index_vectors()
        return other

    def forgetting(self, batch: EncodedBatch) -> Self:
        """The scorer without these texts; weights of terms and spread stay.

        Raises:
            WorkbenchError: where the scorer is not fitted or no text is left.
        """
        self.check_fitted()
        other = copy.copy(self)
        other._bank, rows = self._bank.without(batch.texts, batch.counts)
        other.texts_, other.counts_, other._vectors = other._bank.texts, other._bank.counts, self._vectors[rows]
        other._index_vectors()
        return other

    def check_values(self) -> None:
        """Texts and counts agree in number; builds what follows from them."""
        check_counts(self.texts_, self.counts_)
        self._index()

    def _index(self) -> None:
        """Vocabulary, weights and unit vectors of the learnt texts."""
        documents = [Counter(self.terms(text)) for text in self.texts_]
        frequency = Counter(term for document in documents for term in document)
        self._column = {term: column for column, term in enumerate(frequency)}
        seen_in = np.array(list(frequency.values()), dtype=np.float64)
        self._weights = np.sqrt(np.log((1 + len(documents)) / (1 + seen_in)) + 1)
        self._unknown_weight = math.sqrt(math.log(1 + len(documents)) + 1)
        self._bank = LineBank(self.texts_, self.counts_)
        self._vectors = self._unit_vectors(documents)
        self._index_vectors()

    def _index_vectors(self) -> None:
        """The bank's vectors with a column a text: the terms that most texts have as a table, the rest sparse.

        A product with a term that every text has, such as a dot, is a full table anyway, and ten times slower sparse.
        """
        texts_with = np.bincount(self._vectors.indices, minlength=self._vectors.shape[1])
        self._common = np.sort(texts_with.argsort(kind="stable")[::-1][:_COMMON_TERMS])
        self._rare = np.setdiff1d(np.arange(len(texts_with)), self._common)
        self._common_terms = np.ascontiguousarray(self._vectors[:, self._common].toarray().T)
        self._rare_terms = self._vectors[:, self._rare].T.tocsr()

    def _queries(self, batch: EncodedBatch) -> sparse.csr_array:
        self.check_fitted()
        self.check_input(batch)
        return self._unit_vectors([Counter(self.terms(text)) for text in batch.texts])

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
        squared: np.ndarray = vectors[:, self._common].toarray() @ self._common_terms
        rare = vectors[:, self._rare] @ self._rare_terms
        rows = np.repeat(np.arange(rare.shape[0]), np.diff(rare.indptr))
        squared[rows, rare.indices] += rare.data
        squared *= -2.0
        squared += 2.0
        return np.asarray(np.sqrt(np.maximum(squared, 0.0, out=squared), out=squared))

    def _mass_distance(self, batch: EncodedBatch) -> np.ndarray:
        """LineBank.mass_distance of each text [B], in mean pairwise distances of the learnt texts.

        Texts that differ in unknown words alone have the same vector, and their distances are worked out once.
        """
        vectors = self._queries(batch)
        first: dict[tuple[int, bytes, bytes], int] = {}
        same = np.empty(len(batch), dtype=np.int64)
        ends = itertools.pairwise(vectors.indptr.tolist())
        for row, (own, (start, end)) in enumerate(zip(self._bank.own_rows(batch.texts).tolist(), ends, strict=True)):
            key = own, vectors.indices[start:end].tobytes(), vectors.data[start:end].tobytes()
            same[row] = first.setdefault(key, row)
        rows, row_of = np.unique(same, return_inverse=True)
        distinct = vectors[rows]
        texts = [batch.texts[row] for row in rows.tolist()]
        return self._bank.mass_distance(texts, lambda some: self._distances(distinct[some]) / self.spread_)[row_of]

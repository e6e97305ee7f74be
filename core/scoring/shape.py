"""`shape`: how a request is built, its rare words left out: marks, parameters and common words, and where they meet.

A new page has new words in a known build; an injection has a build no client writes. Words on few of the learnt lines
become `<a>` (letters), `<0>` (digits) or `<x>` (both), so that novel names weigh nothing and strange places of quotes
and brackets all. Other lines keep their words: there, they say more than their order.

Source of the idea: structure apart from content in requests, Kruegel and Vigna, "Anomaly detection of web-based
attacks", CCS 2003. Terms are weighted as terms.py says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from core.records import EncodedBatch
from core.scoring.terms import TermNeighbours

RARE_SHARE = 0.003  # of the learnt lines: words on fewer are left out

_REQUEST = re.compile(
    r"(?:get|post|put|head|delete|options|patch|connect|trace|propfind) (?:/|https?://)|.* [1-5]xx$", re.DOTALL
)
_TERM = re.compile(r"\w+|[^\w\s]")


class ShapeScorer(TermNeighbours):
    """Distance of a text's shape to shares of all lines, a shape's own line left out once."""

    name = "shape"
    fitted: ClassVar[dict[str, type]] = TermNeighbours.fitted | {"common_": str}
    common_: str  # words kept in shapes, parted by spaces

    @staticmethod
    def terms(text: str) -> list[str]:
        """Words, marks and the places of rare words of a shape."""
        return text.split(" ")

    def fit(self, batch: EncodedBatch) -> Self:
        """Learn which words are common; keep the shapes and the lines that had each.

        Raises:
            WorkbenchError: where the batch is empty.
        """
        self.check_fit_input(batch)
        lines_with: Counter[str] = Counter()
        for text, count in zip(batch.texts, batch.counts.tolist(), strict=True):
            lines_with.update(dict.fromkeys(_TERM.findall(text), count))
        least = RARE_SHARE * float(batch.counts.sum())
        self.common_ = " ".join(word for word, lines in lines_with.items() if lines >= least)
        return super().fit(self._shapes(batch))

    def vouched(self, batch: EncodedBatch) -> Self:
        """The scorer with the shapes of these texts among the normal ones; what is common stays.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        self.check_fitted()
        return super().vouched(self._shapes(batch))

    def forgetting(self, batch: EncodedBatch) -> Self:
        """The scorer without the lines of these texts; what is common stays.

        Raises:
            WorkbenchError: where the scorer is not fitted or no text is left.
        """
        self.check_fitted()
        return super().forgetting(self._shapes(batch))

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Geometric mean of distances to shares of lines, in mean pairwise distances of the learnt shapes.

        Returns:
            [B] float64, 0 or more, higher is more abnormal.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        self.check_fitted()
        self.check_input(batch)
        return self._mass_distance(self._shapes(batch))

    def _shapes(self, batch: EncodedBatch) -> EncodedBatch:
        common = set(self.common_.split(" "))
        return replace(batch, texts=[shape(text, common) for text in batch.texts])


def shape(text: str, common: Set[str]) -> str:
    """The shape of a normalized text.

    >>> shape("get /shop/item7.php?id=num' or 'a'='a 2xx", {"get", "num", "php", "id", "2xx"})
    "get / <a> / <x> . php ? id = num ' <a> ' <a> ' = ' <a> 2xx"
    >>> shape("session opened for user root", set())
    'session opened for user root'
    """
    words = _TERM.findall(text)
    if _REQUEST.match(text):
        words = [word if word in common else _place_of(word) for word in words]
    return " ".join(words)


def _place_of(word: str) -> str:
    if not (word.isalnum() or "_" in word):
        return word
    return "<0>" if word.isdigit() else "<a>" if word.isalpha() else "<x>"

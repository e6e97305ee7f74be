"""`shape`: how a request is built, whatever its words: paths, parameters, and punctuation where none belongs.

A new page has new words in a known shape (`/favicon.ico` is `/a.a`); an injection has a shape no client writes
(`/a.a?a=<a>a(a)</a>`). Runs of letters become `a`, runs of digits `0`; terms are sequences of two to four characters,
weighted as terms.py. Other lines have no shape: there, words and their order say more, and all score 0.

Character sequences for attacks in requests: Kruegel and Vigna, "Anomaly detection of web-based attacks", CCS 2003.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Self

import numpy as np

from core.records import EncodedBatch
from core.scoring.terms import TermNeighbours

_REQUEST = re.compile(r"(?:get|post|put|head|delete|options|patch|connect|trace|propfind) /|.* [1-5]xx$", re.DOTALL)
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d+")
_LENGTHS = (2, 3, 4)


class ShapeScorer(TermNeighbours):
    """Distance to the nearest shape of a learnt request, a shape's own line left out once."""

    name = "shape"

    @staticmethod
    def terms(text: str) -> list[str]:
        """Sequences of two to four characters."""
        return [text[at : at + length] for length in _LENGTHS for at in range(len(text) - length + 1)]

    def fit(self, batch: EncodedBatch) -> Self:
        """Keep the shapes and the lines that had each.

        Raises:
            WorkbenchError: where the batch is empty.
        """
        return super().fit(_shapes(batch))

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Distance to the nearest learnt shape, in mean pairwise distances of the learnt shapes.

        Returns:
            [B] float64, 0 or more, higher is more abnormal; 0 for a line that is no request.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        shapes = _shapes(batch)
        vectors = self._queries(shapes)
        distance = self._bank.line_distance(shapes.texts, lambda rows: self._distances(vectors[rows]) / self.spread_)
        return np.where([bool(text) for text in shapes.texts], distance, 0.0)


def shape(text: str) -> str:
    """The shape of a normalized text; "" where it is no request.

    >>> shape("get /shop/item.php?id=num' or 'a'='a mozilla 2xx")
    "a /a/a.a?a=a' a 'a'='a a 0a"
    """
    return _DIGITS.sub("0", _LETTERS.sub("a", text)) if _REQUEST.match(text) else ""


def _shapes(batch: EncodedBatch) -> EncodedBatch:
    return replace(batch, texts=[shape(text) for text in batch.texts])

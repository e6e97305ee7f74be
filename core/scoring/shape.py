"""`shape`: how a request is built, its rare words left out, and how surprising its parameters are on their page.

A new page has new words in a known build; an injection has a build no client writes. Words on few of the learnt lines
become `<a>` (letters), `<0>` (digits) or `<x>` (both), so that novel names weigh nothing and strange places of quotes
and brackets all. Other lines keep their words: there, they say more than their order. A parameter no client sends, or a
value it never had, may be built like any other: that is added (parameters.py).

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
from core.scoring.neighbours import bank_texts, check_counts, lines_left
from core.scoring.parameters import METHODS, Parameters, parse
from core.scoring.terms import TermNeighbours

RARE_SHARE = 0.003  # of the learnt lines: words on fewer are left out
SURPRISE_UNIT = 1.5  # nats of surprise that weigh as much as the mean distance of two shapes

_REQUEST = re.compile(rf"(?:{METHODS}) (?:/|https?://)|.* [1-5]xx$", re.DOTALL)
_TERM = re.compile(r"\w+|[^\w\s]")


class ShapeScorer(TermNeighbours):
    """Distance of a text's shape to shares of all lines, its own line left out once, and surprise at its parameters."""

    name = "shape"
    fitted: ClassVar[dict[str, type]] = TermNeighbours.fitted | {
        "common_": str,
        "requests_": list,
        "request_counts_": np.ndarray,
    }
    common_: str  # words kept in shapes, parted by spaces
    requests_: list[str]  # the texts that are requests, of which there may be none
    request_counts_: np.ndarray

    @staticmethod
    def terms(text: str) -> list[str]:
        """Words, marks and the places of rare words of a shape."""
        return text.split(" ")

    def fit(self, batch: EncodedBatch) -> Self:
        """Learn which words are common; keep the shapes, the requests, and the lines that had each.

        Raises:
            WorkbenchError: where the batch is empty.
        """
        self.check_fit_input(batch)
        lines_with: Counter[str] = Counter()
        for text, count in zip(batch.texts, batch.counts.tolist(), strict=True):
            lines_with.update(dict.fromkeys(_TERM.findall(text), count))
        least = RARE_SHARE * float(batch.counts.sum())
        self.common_ = " ".join(word for word, lines in lines_with.items() if lines >= least)
        requests = np.array([row for row, text in enumerate(batch.texts) if parse(text)], dtype=np.int64)
        self.requests_, self.request_counts_, _ = bank_texts(batch.take(requests), self.seed)
        return super().fit(self._shapes(batch))

    def vouched(self, batch: EncodedBatch) -> Self:
        """The scorer with the shapes of these texts among the normal ones, and what their parameters hold.

        What is common stays.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        self.check_fitted()
        other = super().vouched(self._shapes(batch))
        other._parameters = self._parameters.vouched(batch.texts)
        return other

    def forgetting(self, batch: EncodedBatch) -> Self:
        """The scorer without the lines of these texts; what is common stays.

        Raises:
            WorkbenchError: where the scorer is not fitted or no text is left.
        """
        self.check_fitted()
        other = super().forgetting(self._shapes(batch))
        left = lines_left(self.requests_, self.request_counts_, batch.texts, batch.counts)
        other.requests_, other.request_counts_ = list(left), np.array(list(left.values()), dtype=np.int64)
        other._parameters = Parameters(left)
        return other

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Geometric mean of distances to shares of lines, in mean pairwise distances of the learnt shapes.

        Of a request for a learnt page, and the surprise at its parameters in units of SURPRISE_UNIT.

        Returns:
            [B] float64, 0 or more, higher is more abnormal.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        self.check_fitted()
        self.check_input(batch)
        return self._mass_distance(self._shapes(batch)) + self._parameters.surprise(batch.texts) / SURPRISE_UNIT

    def unusual_parameters(self, texts: list[str]) -> list[str]:
        """What is most surprising in the parameters of each text, in a few words; "" where nothing is."""
        self.check_fitted()
        return [self._parameters.named(text) for text in texts]

    def check_values(self) -> None:
        """Texts and counts agree in number, and requests and theirs; builds what follows from them."""
        if self.requests_:
            check_counts(self.requests_, self.request_counts_)
        super().check_values()

    def _index(self) -> None:
        super()._index()
        self._parameters = Parameters(dict(zip(self.requests_, self.request_counts_.tolist(), strict=True)))

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

"""What the parameters of a request hold: which come together on a page, their values, the marks in these, their length.

Learnt by page, from texts. A value, a set of parameters or of marks that c of n had, of D kinds, is taken to come with

    p = (D + 1) (c + 1) / (n + D + 1), at most 1,

D being the kinds there would be if all were as common as each other: where two values are nearly all there is and
attacks left in a history add twenty more, D stays near two, and in a field of free text all its kinds count. A value
longer than the mean by d characters has p = v / (v + d²), v their variance (Cantelli). A request is as surprising as
the rarest of the m things seen of it, -ln(m p), for one of many is sooner rare by chance.

Sources: presence, enumerated values, characters and length by parameter, Kruegel and Vigna, "Anomaly detection of
web-based attacks", CCS 2003; the number of kinds as the exponential of their entropy, Hill, Ecology 54, 1973.
"""

from __future__ import annotations

import copy
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

METHODS = "get|post|put|head|delete|options|patch|connect|trace|propfind"

_TARGET = re.compile(rf"(?:{METHODS}) ((?:/|https?://)[^\s?]*)(\?)?")
# What a text has behind its target: the agent in a word or two, and the status. Masks are values, and no agents.
_BEHIND = re.compile(r"(?: (?!(?:num|hex|ip)\b)[a-z][\w.-]*){0,2} [1-5]xx$")
_HEXADECIMAL = re.compile(r"\bhex\b")  # a token drawn at random is a number where its letters happen to be missing
_MARK = re.compile(r"\W")
_SEEN_OF_EACH = 3  # parameter: value, marks, length; of the page, which come together
_SHOWN_CHARS = 40


class Request(NamedTuple):
    """The target of a request: its page and its parameters in order, name and value."""

    page: str
    parameters: list[tuple[str, str]]


class _Finding(NamedTuple):
    """How probable something in a request is, 0 to 1: what is looked at, of which parameter, and what it holds."""

    probability: float
    looked_at: str  # "value", "marks", "length"; or "together", and then a parameter is named that none else sent
    name: str
    held: str

    @property
    def said(self) -> str:
        """In a few words."""
        name, held = _cut(self.name), _cut(self.held)
        if self.looked_at == "together":
            return f"{name} was never sent there" if name else f"it sends {held or 'no parameter'}"
        if self.looked_at == "length":
            return f"{name} of {held} characters"
        return f"{name} is {held or 'empty'}" if self.looked_at == "value" else f"{name} has {held or 'no marks'}"


class _Kinds:
    """How many had each kind; how probable another of a kind is."""

    def __init__(self) -> None:
        self.had: Counter[str] = Counter()
        self._n = 0
        self._effective = 0.0

    def summed(self) -> None:
        """Work out what follows from the counts, once all are there."""
        self._n = self.had.total()
        shares = np.array(list(self.had.values())) / self._n
        self._effective = math.exp(-float((shares * np.log(shares)).sum()))

    def probability(self, kind: str, own: int) -> float:
        """Up to 1; `own` of those that had it are the asked one's and left out."""
        n, had = self._n - own, self.had.get(kind, 0) - own
        return min(1.0, (self._effective + 1) * (had + 1) / (n + self._effective + 1))


class _Parameter:
    """The values of a parameter: lines of each; of the distinct ones, the marks in them and how long they are."""

    def __init__(self) -> None:
        self.values = _Kinds()
        self.marks = _Kinds()
        self._n, self._sum, self._squares = 0, 0, 0

    def summed(self) -> None:
        """As `_Kinds.summed`."""
        self.values.summed()
        lengths = [len(value) for value in self.values.had]
        self._n, self._sum, self._squares = len(lengths), sum(lengths), sum(length**2 for length in lengths)
        self.marks.had.update(map(_marks, self.values.had))
        self.marks.summed()

    def findings(self, name: str, value: str, own: int) -> Iterator[_Finding]:
        """Of a value, without the asked request's own line."""
        # Marks and lengths count a value once: it is the request's own where no other line has it.
        own_value = int(own and self.values.had[value] == own)
        marks = _marks(value)
        yield _Finding(self.values.probability(value, own), "value", name, value)
        yield _Finding(self.marks.probability(marks, own_value), "marks", name, marks)
        yield _Finding(self._longer(len(value), own_value), "length", name, str(len(value)))

    def _longer(self, length: int, own: int) -> float:
        """How probable a value so long is at most: Cantelli's inequality, but no rarer than one of those seen."""
        n = self._n - own
        if not n:
            return 1.0
        mean = (self._sum - own * length) / n
        variance = max((self._squares - own * length**2) / n - mean**2, 1.0)
        beyond = max(length - mean, 0.0)
        return max(variance / (variance + beyond**2), 1.0 / (n + 1))


class _Page:
    """Which parameters come together on a page, and each of them."""

    def __init__(self) -> None:
        self.together = _Kinds()
        self.parameters: dict[str, _Parameter] = {}

    def add(self, parameters: list[tuple[str, str]], lines: int) -> None:
        self.together.had[_together(parameters)] += lines
        for name, value in parameters:
            self.parameters.setdefault(name, _Parameter()).values.had[value] += lines

    def summed(self) -> None:
        """As `_Kinds.summed`."""
        self.together.summed()
        for parameter in self.parameters.values():
            parameter.summed()

    def findings(self, parameters: list[tuple[str, str]], own: int) -> Iterator[_Finding]:
        """Of a request for the page, without its own line."""
        names = _together(parameters)
        new = next((name for name, _ in parameters if name not in self.parameters), "")
        yield _Finding(self.together.probability(names, own), "together", new, names)
        for name, value in parameters:
            if name in self.parameters:
                yield from self.parameters[name].findings(name, value, own)


class Parameters:
    """The requests of a history, by page.

    Args:
        lines_of: text to the lines that had it; what is no request is passed over.
    """

    def __init__(self, lines_of: Mapping[str, int]) -> None:
        self._learnt = frozenset(lines_of)
        self._pages: dict[str, _Page] = {}
        self._vouched: frozenset[tuple[str, ...]] = frozenset()
        for text, lines in lines_of.items():
            if request := parse(text):
                self._pages.setdefault(request.page, _Page()).add(request.parameters, lines)
        for page in self._pages.values():
            page.summed()

    def vouched(self, texts: Iterable[str]) -> Parameters:
        """The same, but what these requests hold is no surprise on their pages."""
        other = copy.copy(self)
        requests = [request for text in texts if (request := parse(text))]
        keys = {(request.page, *found[1:]) for request in requests for found in self._findings(request, own=0)}
        other._vouched = self._vouched | keys
        return other

    def surprise(self, texts: list[str]) -> np.ndarray:
        """How surprising the parameters of each text are, its own line left out.

        Returns:
            [B] float64 in nats, 0 or more, higher is more abnormal; 0 for what is no request for a learnt page.
        """
        return np.array([self._rarest(text)[0] for text in texts], dtype=np.float64)

    def named(self, text: str) -> str:
        """The most surprising thing in a request's parameters, in a few words; "" where nothing is."""
        surprise, rarest = self._rarest(text)
        return rarest.said if rarest is not None and surprise > 0 else ""

    def _rarest(self, text: str) -> tuple[float, _Finding | None]:
        request = parse(text)
        if request is None or request.page not in self._pages:
            return 0.0, None
        rarest = min(self._findings(request, own=int(text in self._learnt)))
        seen = 1 + _SEEN_OF_EACH * len(request.parameters)
        return max(0.0, -math.log(seen * rarest.probability)), rarest

    def _findings(self, request: Request, own: int) -> Iterator[_Finding]:
        page = self._pages.get(request.page)
        for finding in page.findings(request.parameters, own) if page else ():
            known = self._vouched and (request.page, *finding[1:]) in self._vouched
            yield finding._replace(probability=1.0) if known else finding


def parse(text: str) -> Request | None:
    """A normalized text as a request; None where it is none.

    >>> parse("get /shop/list.php?sort=price&page=num mozilla 2xx")
    Request(page='/shop/list.php', parameters=[('sort', 'price'), ('page', 'num')])
    >>> parse("post /login.php mozilla 3xx")
    Request(page='/login.php', parameters=[])
    >>> parse("session opened for user root")
    """
    found = _TARGET.match(text)
    if found is None:
        return None
    if found[2] is None:
        return Request(found[1], [])
    query = _HEXADECIMAL.sub("num", _BEHIND.sub("", text[found.end() :]))
    return Request(found[1], [(name, value) for name, _, value in (part.partition("=") for part in query.split("&"))])


def _together(parameters: list[tuple[str, str]]) -> str:
    """The names, each as often as it is sent; their order is the client's affair."""
    return "&".join(sorted(name for name, _ in parameters))


def _marks(value: str) -> str:
    return "".join(sorted(set(_MARK.findall(value))))


def _cut(said: str) -> str:
    return said if len(said) <= _SHOWN_CHARS else said[: _SHOWN_CHARS - 1] + "…"

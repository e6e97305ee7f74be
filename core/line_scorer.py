"""A bundle kept open for single lines: what HTTP and the one-line command score with."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from core.bundles import load_model
from core.errors import InputError
from core.records import Decision, Explanation
from core.tokenization.formats import FORMATS

_Text = tuple[str, str]  # normalized text and level class
_Found = TypeVar("_Found")

KNOWN_TEXTS = 4_000  # whose explanations are kept, the least lately used dropped: about 5 kB each
TEXTS_AT_ONCE = 50  # scored before another thread has its turn
_BLANK_SCORE: dict[str, Any] = {"score": 0.0, "is_anomaly": False}
_BLANK_DETAIL: dict[str, Any] = {
    "template": "",
    "reasons": [],
    "scorers": {},
    "sigmoid": None,
    "contributions": {},
    "tokens": [],
    "nearest": None,
}
_WARM_UP_TOKENS = (5, 9, 13, 20, 30, 40, 60, 90, 120)  # texts of every length the network has batches for


class LineScorer:
    """Scores lines one by one or some at a time; a text seen before is a look-up.

    Threads may share it: the network works for one of them at a time.

    Args:
        model: a bundle's name or folder.

    Attributes:
        model: the same.
        threshold: a line is flagged where its score is at or above it, 0 to 1.

    Raises:
        BundleError: there is no such bundle, or it is damaged.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self._detector = load_model(model)
        self.threshold = self._detector.threshold_
        self._lock = threading.Lock()
        self._explained: dict[_Text, Explanation] = {}
        self._decided: dict[_Text, Decision] = {}

    def warm_up(self) -> None:
        """Do once what only the first lines would wait for: compile patterns, try the network's batches."""
        for form in FORMATS:
            if form.example:
                self._detector.tokenizer_.text_and_level(form.example)
        for n_tokens in _WARM_UP_TOKENS:
            text = [(" ".join("a" * n_tokens), "")]
            self._detector.explain_texts(text)
            self._detector.decide_texts(text)

    def explain(self, line: str) -> Explanation:
        """Score one line and say why.

        Raises:
            InputError: the line is blank.
        """
        (explanation,) = self.explain_all([line])
        if explanation is None:
            raise InputError("the line is blank; there is nothing to score")
        return explanation

    def explain_all(self, lines: Sequence[str]) -> list[Explanation | None]:
        """Score lines and say why; None for a blank line."""
        return self._of_lines(lines, self._explained, self._detector.explain_texts)

    def decide_all(self, lines: Sequence[str]) -> list[Decision | None]:
        """Score lines and say no more, in about half the time; None for a blank line."""
        return self._of_lines(lines, self._decided, self._detector.decide_texts)

    def answers(self, lines: Sequence[str], detail: bool) -> list[dict[str, Any]]:
        """What there is to say of lines, for machines, as `openapi.json` describes it (Answer)."""
        if detail:
            return [self.answer(explanation) for explanation in self.explain_all(lines)]
        return [_score(decision) for decision in self.decide_all(lines)]

    def answer(self, explanation: Explanation | None) -> dict[str, Any]:
        """An explanation for machines; None, a blank line, has the score 0."""
        head = {"model": self.model, "threshold": self.threshold}
        if explanation is None:
            return _score(None) | head | _BLANK_DETAIL
        return (
            _score(explanation.decision)
            | head
            | {
                "template": explanation.normalized_text,
                "reasons": explanation.decision.reasons,
                "scorers": {name: _number(value) for name, value in explanation.scores.items()},
                "sigmoid": explanation.raw_scores.get("mlp_head"),
                "contributions": {name: _number(value) for name, value in explanation.contributions.items()},
                "tokens": [
                    {
                        "token": token,
                        "surprise": _number(nats),
                        "expected": expected,
                        "expected_p": _number(probability),
                    }
                    for token, nats, (
                        expected,
                        probability,
                    ) in zip(  # nothing is expected where no network read the text
                        explanation.tokens, explanation.surprise, explanation.expected, strict=False
                    )
                ],
                "nearest": explanation.nearest,
            }
        )

    def _of_lines(
        self, lines: Sequence[str], known: dict[_Text, _Found], work: Callable[[list[_Text]], list[_Found]]
    ) -> list[_Found | None]:
        texts = [self._detector.tokenizer_.text_and_level(line) for line in lines]
        found: dict[_Text, _Found] = {}
        distinct = list(dict.fromkeys(text for text in texts if text is not None))
        for some in (distinct[start : start + TEXTS_AT_ONCE] for start in range(0, len(distinct), TEXTS_AT_ONCE)):
            with self._lock:
                found |= _looked_up(some, known, work)
        return [None if text is None else found[text] for text in texts]


def _looked_up(
    texts: list[_Text], known: dict[_Text, _Found], work: Callable[[list[_Text]], list[_Found]]
) -> dict[_Text, _Found]:
    """What is found of distinct texts; what is known moves to the end, where it is dropped last."""
    found = {text: known.pop(text) for text in texts if text in known}
    new = [text for text in texts if text not in found]
    if new:
        found |= zip(new, work(new), strict=True)
    known |= found
    for text in list(itertools.islice(known, max(0, len(known) - KNOWN_TEXTS))):
        del known[text]
    return found


def _score(decision: Decision | None) -> dict[str, Any]:
    if decision is None:
        return dict(_BLANK_SCORE)
    return {"score": decision.fused_score, "is_anomaly": decision.is_anomaly}


def _number(value: float) -> float | None:
    """Rounded for reading; JSON knows no NaN."""
    return None if math.isnan(value) else round(value, 6)

"""A bundle kept open for single lines: what HTTP and the one-line command score with."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Sequence
from typing import Any

from core.bundles import load_model
from core.errors import InputError
from core.records import Explanation
from core.tokenization.headers import FORMATS

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
        self._known: dict[tuple[str, str], Explanation] = {}

    def warm_up(self) -> None:
        """Do once what only the first lines would wait for: compile patterns, try the network's batches."""
        for form in FORMATS:
            if form.example:
                self._detector.tokenizer_.text_and_level(form.example)
        for n_tokens in _WARM_UP_TOKENS:
            self._detector.explain_texts([(" ".join("a" * n_tokens), "")])

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
        texts = [self._detector.tokenizer_.text_and_level(line) for line in lines]
        found: dict[tuple[str, str], Explanation] = {}
        distinct = list(dict.fromkeys(text for text in texts if text is not None))
        for some in (distinct[start : start + TEXTS_AT_ONCE] for start in range(0, len(distinct), TEXTS_AT_ONCE)):
            with self._lock:
                found |= self._explained(some)
        return [None if text is None else found[text] for text in texts]

    def answer(self, explanation: Explanation | None, detail: bool) -> dict[str, Any]:
        """An explanation for machines, as `openapi.json` describes it (Answer); a blank line has the score 0."""
        decision = None if explanation is None else explanation.decision
        score = {"score": decision.fused_score, "is_anomaly": decision.is_anomaly} if decision else dict(_BLANK_SCORE)
        if not detail:
            return score
        score |= {"model": self.model, "threshold": self.threshold}
        if explanation is None:
            return score | _BLANK_DETAIL
        return score | {
            "template": explanation.normalized_text,
            "reasons": explanation.decision.reasons,
            "scorers": {name: _number(value) for name, value in explanation.scores.items()},
            "sigmoid": explanation.raw_scores.get("mlp_head"),
            "contributions": {name: _number(value) for name, value in explanation.contributions.items()},
            "tokens": [
                {"token": token, "surprise": _number(nats), "expected": expected, "expected_p": _number(probability)}
                for token, nats, (expected, probability) in zip(  # nothing is expected where no network read the text
                    explanation.tokens, explanation.surprise, explanation.expected, strict=False
                )
            ],
            "nearest": explanation.nearest,
        }

    def _explained(self, texts: list[tuple[str, str]]) -> dict[tuple[str, str], Explanation]:
        """Explanations of distinct texts; what is known moves to the end, where it is dropped last."""
        found = {text: self._known.pop(text) for text in texts if text in self._known}
        new = [text for text in texts if text not in found]
        if new:
            found |= zip(new, self._detector.explain_texts(new), strict=True)
        self._known |= found
        for text in list(itertools.islice(self._known, max(0, len(self._known) - KNOWN_TEXTS))):
            del self._known[text]
        return found


def _number(value: float) -> float | None:
    """Rounded for reading; JSON knows no NaN."""
    return None if math.isnan(value) else round(value, 6)

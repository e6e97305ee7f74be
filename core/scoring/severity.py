"""`severity`: what the line says of itself: its level, else its HTTP status class, else words of failure.

No learning and no network: the same for every log. On system logs the largest single lever; on web logs weak,
for there a 404 is everyday and says nothing, and an error of the server weighs half. Lines that are names and values
alone, as of a register dump, say a little less than the line of their level that tells what happened.
"""

from __future__ import annotations

import re
from typing import Self

import numpy as np

from core.records import EncodedBatch
from core.scoring.scorer import BaseScorer

LEVEL_SEVERITY = {"critical": 1.0, "error": 0.8, "warning": 0.5, "notice": 0.1, "info": 0.0, "debug": 0.0}
STATUS_SEVERITY = {"5xx": 0.4, "4xx": 0.0, "3xx": 0.0, "2xx": 0.0, "1xx": 0.0}
_WORDS_OF_SEVERITY = {
    1.0: "fatal panic emergency emerg critical crit oops segfault",
    0.8: "error errors err severe fail fails failed failing failure failures exception exceptions abort aborted "
    "crash crashed corrupt corrupted corruption unrecoverable uncorrectable",
    0.5: "warning warnings warn alert denied deny refused rejected reject invalid illegal unauthorized forbidden "
    "violation timeout timeouts expired unable cannot unreachable lost killed bad unknown attack breakin",
}
WORD_SEVERITY = {word: severity for severity, words in _WORDS_OF_SEVERITY.items() for word in words.split()}

_STATUS = re.compile(r"(?<!\S)[1-5]xx(?!\S)")
# A word, unless it is denied: "no errors found" is good news.
_WORD = re.compile(r"(?:\b(no|without|zero) )?([a-z]+)")
_ENDINGS = ("error", "exception", "failure")  # ioerror, nullpointerexception
_NAME = re.compile(r"(?<!\S)[\w.\[\]-]+=")
_LEAST_OF_FIELDS = 0.8  # event_type=alert and reason=timeout are kinds of events, and no warnings
# A short name and a value, or nothing but such: machine state register: hex, r0=hex r1=hex, wait state enable......num
_READING = re.compile(r".{1,60}(?::|\.{3}) ?(?:hex|num)|(?:\w+[:=](?:hex|num)(?: (?:hex|num))*(?: |$))+")
_OF_A_READING = 0.9  # of its level's severity: a dump's values rank below what was dumped for, above the next level


class SeverityScorer(BaseScorer):
    """Severity by level class, status class or words, in this order."""

    name = "severity"
    calibrated = True

    def fit(self, batch: EncodedBatch) -> Self:
        """Check the input; there is nothing to learn.

        Raises:
            WorkbenchError: where the batch is empty.
        """
        self.check_fit_input(batch)
        return self

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Severity of each text.

        Returns:
            [B] float64 in [0, 1], higher is more abnormal.
        """
        self.check_input(batch)
        return np.array([_severity(text, level) for text, level in zip(batch.texts, batch.levels, strict=True)])


def _severity(text: str, level: str) -> float:
    if level in LEVEL_SEVERITY:
        severity = LEVEL_SEVERITY[level]
        reading = severity > LEVEL_SEVERITY["warning"] and _READING.fullmatch(text) and not _worst_word(text)
        return severity * _OF_A_READING if reading else severity
    if statuses := _STATUS.findall(text):
        # The path of a request may name errors without being one: the server's own word decides.
        return max(STATUS_SEVERITY[status] for status in statuses)
    # Fields, none a sentence in quotes: there errors=num is a name, and no error.
    if _NAME.match(text) and 2 * text.count("=") > text.count(" ") and '"' not in text:
        found = _worst_word(_NAME.sub("", text))
        return found if found >= _LEAST_OF_FIELDS else 0.0
    return _worst_word(text)


def _worst_word(text: str) -> float:
    return max((_word_severity(word) for denied, word in _WORD.findall(text.lower()) if not denied), default=0.0)


def _word_severity(word: str) -> float:
    known = WORD_SEVERITY.get(word, 0.0)
    return known or (WORD_SEVERITY["error"] if word.endswith(_ENDINGS) else 0.0)

"""From a reading to a fitted detector, the same for training, scoring and measuring."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from core.config import Config, ReadConfig, default_weights
from core.detector import KEY, LogDetector
from core.errors import InputError
from core.records import Measure, Progress, no_measure
from core.runner import Reading
from core.store import AnswerCache

QUICK_WEIGHTS = {name: default_weights()[name] for name in ("novelty", "tfidf", "shape", "severity")}
"""Scorers that need no network: seconds instead of minutes to fit."""


def quick(config: Config) -> Config:
    """The same settings with the scorers that need no network."""
    return dataclasses.replace(config, scoring=dataclasses.replace(config.scoring, weights=dict(QUICK_WEIGHTS)))


def fitted(
    reading: Reading,
    config: Config,
    progress: Progress,
    checkpoints: Path | None = None,
    measure: Measure = no_measure,
    *,
    on_itself: bool = False,
) -> LogDetector:
    """A detector that learnt from what was read, sessions too where there are any; `on_itself` as LogDetector.fit."""
    detector = LogDetector(config).fit(reading.texts, progress, checkpoints, measure, on_itself=on_itself)
    if reading.sessions is not None:
        detector.fit_sessions(reading.sessions, detector.score(reading.texts, progress), on_itself=on_itself)
    return detector


def answered(detector: LogDetector, texts: pl.DataFrame, cache: AnswerCache | None, progress: Progress) -> pl.DataFrame:
    """The scores of texts as `LogDetector.score` gives them; what the cache knows is looked up, the rest kept there."""
    known = None if cache is None else cache.known(texts)
    answers = detector.answers(texts, progress, known)
    if cache is not None:
        cache.keep(answers if known is None else answers.join(known, on=KEY, how="anti"))
    return detector.judged(texts, answers)


def reading_of(detector: LogDetector, asked: ReadConfig) -> ReadConfig:
    """The bundle's reading; sessions, year and zone as asked, for they do not touch the text."""
    own = detector.config.read
    return dataclasses.replace(own, year=asked.year, timezone=asked.timezone, sessions=asked.sessions or own.sessions)


def refuse_empty(reading: Reading, paths: Sequence[str | Path]) -> None:
    """Refuse an input without one line of text.

    Raises:
        InputError: there is none.
    """
    if reading.texts.is_empty():
        raise InputError(f"{paths[0]}: {reading.n_lines:,} lines and all of them blank; nothing to score")

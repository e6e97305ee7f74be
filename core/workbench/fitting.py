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
from core.scoring.context import CONTEXT, contexts
from core.scoring.sessions import Sessions
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
    without: Sequence[str] = (),
    of_sources: bool = False,
) -> LogDetector:
    """A detector that learnt from what was read, sessions too where there are any.

    Args:
        reading: of the log.
        config: everything that shapes the detector.
        progress: told the steps.
        checkpoints: as LogDetector.fit.
        measure: as LogDetector.fit.
        on_itself: as LogDetector.fit.
        without: normalized texts that are not learnt, nor the sessions that hold one; the facts count them.
        of_sources: the sessions are the sources of the lines, nothing that runs from a start to an end: how they run
            is not learnt.

    Raises:
        InputError: nothing is left to learn from.
    """
    is_left_out = reading.texts["normalized_text"].is_in(list(without))
    left_out, learnt = reading.texts.filter(is_left_out), reading.texts.filter(~is_left_out)
    detector = LogDetector(config).fit(learnt, progress, checkpoints, measure, on_itself=on_itself)
    if len(left_out):
        detector.facts_ |= {"left_out_texts": len(left_out), "left_out_lines": int(left_out["count"].sum())}
    sessions = None if reading.sessions is None else _sessions_without(reading.sessions, left_out)
    if sessions is not None and not sessions.counts.is_empty():
        texts = detector.score(reading.texts, progress)
        if not of_sources:
            detector.fit_sessions(sessions, texts, on_itself=on_itself)
        if detector.everyday_ is not None:
            found = contexts(sessions.counts, texts, detector.fusion_.ordinary_)
            detector.everyday_ = detector.everyday_.in_context(_parts(found, texts))
    return detector


def _parts(found: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """text, context and part: how much of each text's lines had a context above 0."""
    lines = found.filter(pl.col(CONTEXT) > 0).group_by("text_id", CONTEXT).agg(pl.col("count").sum().alias("lines"))
    rows = lines.join(texts.select("text_id", "count"), on="text_id")
    return rows.select(
        pl.col("text_id").cast(pl.Int64).alias("text"), CONTEXT, (pl.col("lines") / pl.col("count")).alias("part")
    )


def _sessions_without(sessions: Sessions, left_out: pl.DataFrame) -> Sessions:
    """The sessions that hold none of these texts."""
    rows = pl.col("text_id").is_in(left_out["text_id"].implode())
    bad = sessions.counts.filter(rows).select(pl.col("session").unique())
    counts, transitions = (
        table.join(bad, on="session", how="anti", maintain_order="left")
        for table in (sessions.counts, sessions.transitions)
    )
    return Sessions(counts, transitions)


def answered(detector: LogDetector, texts: pl.DataFrame, cache: AnswerCache | None, progress: Progress) -> pl.DataFrame:
    """The scores of texts as `LogDetector.score` gives them; what the cache knows is looked up, the rest kept there."""
    known = None if cache is None else cache.known(texts)
    answers = detector.answers(texts, progress, known)
    if cache is not None:
        cache.keep(answers if known is None else answers.join(known, on=KEY, how="anti"))
    return detector.judged(texts, answers)


def reading_of(detector: LogDetector, asked: ReadConfig) -> ReadConfig:
    """The bundle's reading; year, zone, sessions and where the text stands as asked: how it is normalized stays."""
    own = detector.config.read
    return dataclasses.replace(
        own,
        year=asked.year,
        timezone=asked.timezone,
        sessions=asked.sessions or own.sessions,
        message_field=asked.message_field or own.message_field,
    )


def refuse_empty(reading: Reading, paths: Sequence[str | Path]) -> None:
    """Refuse an input without one line of text.

    Raises:
        InputError: there is none.
    """
    if reading.texts.is_empty():
        raise InputError(f"{paths[0]}: {reading.n_lines:,} lines and all of them blank; nothing to score")

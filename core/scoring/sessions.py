"""Sessions: scored by their worst line, by which templates they hold how often, and by what follows what.

A line counts for the less the more of the known sessions hold its template: inverse session frequency, as Lin et al.
weigh events ("Log clustering based problem identification for online service systems", ICSE 2016). What each start of
a service writes is rare among lines and yet no fault.

Count vectors as evidence: Xu et al., "Detecting large-scale system problems by mining console logs", SOSP 2009; here
weighted like words (rare templates weigh more, repeats on a log scale), and measured by the distance within which a
share of all known sessions lies, so that a few broken sessions in the history do not make the next one normal. The
order of lines: next_template.py.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from core.errors import BundleError
from core.records import EncodedBatch
from core.scoring.fusion import SCORE_DECIMALS, calibrated, parting, upper_quantile
from core.scoring.next_template import NextTemplate
from core.scoring.terms import TermNeighbours

SESSIONS_FILE = "sessions.json"
FORMAT_NUMBER = 2  # a threshold holds for scores made the same way
KIN_SHARE = 0.03  # of all sessions: a way to run that fewer take is not normal yet
_SURPRISE_UNIT = 0.3  # nats a line above the ordinary session's
_ORDER_WEIGHT = 0.5  # beside the worst line and the count vector, 1 each


@dataclass(frozen=True)
class Sessions:
    """What the sessions of a log hold; text_id is the row of a text.

    Attributes:
        counts: one row a session and text: session, text_id, count, first_line_no, burst (scoring.bursts).
        transitions: one row a session and pair of texts in a row: session, before, text_id, count.
    """

    counts: pl.DataFrame
    transitions: pl.DataFrame


class SessionScorer:
    """Scores of sessions.

    Attributes:
        false_alarm_rate: share of the learnt sessions that may be flagged.
    """

    def __init__(self, false_alarm_rate: float = 0.01) -> None:
        self.false_alarm_rate = false_alarm_rate

    def fit(
        self, sessions: Sessions, texts: pl.DataFrame, *, contamination: float = 0.0, on_itself: bool = False
    ) -> Self:
        """Learn how sessions usually run.

        Args:
            sessions: at least one.
            texts: text_id, normalized_text and score (fused, 0 to 1).
            contamination: share of the sessions that may be abnormal; the threshold is set by the others.
            on_itself: these sessions are the ones to be scored, anomalies and all: the threshold parts their scores
                where they fall into two groups, in place of keeping a rate of false alarms.

        Raises:
            WorkbenchError: where there is no session.
        """
        rows = _documents(sessions.counts, texts)
        distinct = rows.group_by("document", maintain_order=True).agg(pl.len().alias("count"))
        self.count_vector_ = CountVectors().fit(_batch(distinct["document"].to_list(), distinct["count"].to_numpy()))
        named = _named(sessions.transitions, texts)
        self.next_template_ = NextTemplate().fit(named)
        surprise = self._surprise(rows, named).drop_nulls()
        self.ordinary_surprise_ = float(surprise.median() or 0.0)  # type: ignore[arg-type]
        score = self._score(rows, named, self._worst_line(rows, sessions.counts, texts))
        ones = np.ones(len(score))
        if on_itself:
            self.threshold_ = parting(np.unique(score), score, ones, contamination)
        else:
            rate = contamination + (1 - contamination) * self.false_alarm_rate
            self.threshold_ = upper_quantile(score, ones, rate)
        return self

    def score(self, sessions: Sessions, texts: pl.DataFrame) -> pl.DataFrame:
        """Scores of sessions; one that was learnt from does not vouch for itself.

        Args:
            sessions: of any number.
            texts: text_id, normalized_text and score.

        Returns:
            One row a session, by first appearance: session, n_lines, score (0 to 1, higher is more abnormal),
            is_anomaly (0/1), first_line_no.
        """
        rows = _documents(sessions.counts, texts)
        worst = self._worst_line(rows, sessions.counts, texts)
        score = self._score(rows, _named(sessions.transitions, texts), worst)
        return rows.select(
            "session",
            "n_lines",
            pl.Series("score", score),
            pl.Series("is_anomaly", (score >= self.threshold_).astype(np.int8)),
            "first_line_no",
        )

    def save(self, folder: Path) -> None:
        """Write the parts into an existing folder."""
        (folder / "count_vector").mkdir()
        self.count_vector_.save(folder / "count_vector")
        self.next_template_.save(folder)
        values = {
            "format": FORMAT_NUMBER,
            "threshold": self.threshold_,
            "false_alarm_rate": self.false_alarm_rate,
            "ordinary_surprise": self.ordinary_surprise_,
        }
        (folder / SESSIONS_FILE).write_text(json.dumps(values) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            BundleError: where it is damaged or of another version.
        """
        next_template = NextTemplate.load(folder)
        try:
            values = json.loads((folder / SESSIONS_FILE).read_text("utf-8"))
            if values.get("format") != FORMAT_NUMBER:
                raise ValueError("written by another version")
            scorer = cls(float(values["false_alarm_rate"]))
            scorer.threshold_ = float(values["threshold"])
            scorer.ordinary_surprise_ = float(values["ordinary_surprise"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{folder / SESSIONS_FILE}: cannot be read ({error}); train the model again") from error
        scorer.next_template_ = next_template
        scorer.count_vector_ = CountVectors.load(folder / "count_vector")
        return scorer

    def _score(self, rows: pl.DataFrame, named: pl.DataFrame, worst: np.ndarray) -> np.ndarray:
        """[B] weighted mean of the three, each 0 to 1; `worst` as `_worst_line` gives it."""
        excess = (self._surprise(rows, named) - self.ordinary_surprise_).fill_null(0.0).to_numpy()
        order = calibrated(np.maximum(excess, 0.0) / _SURPRISE_UNIT)
        total = worst + calibrated(self._rarity(rows)) + _ORDER_WEIGHT * order
        fused: np.ndarray = np.round(total / (2 + _ORDER_WEIGHT), SCORE_DECIMALS)
        return fused

    def _worst_line(self, rows: pl.DataFrame, counts: pl.DataFrame, texts: pl.DataFrame) -> np.ndarray:
        """[B] the highest score of a session's lines, each times its template's inverse session frequency; 0 to 1."""
        lines = counts.join(_words(texts).with_columns(texts["score"]), on="text_id", how="left")
        lines = lines.join(self._learnt(rows), on="session", how="left")
        weights = self.count_vector_.inverse_frequency(lines["word"].to_list(), lines["learnt"].to_numpy())
        weighted = lines.select("session", pl.col("score") * pl.Series(weights))
        worst = rows.join(weighted.group_by("session").max(), on="session", how="left", maintain_order="left")
        scores: np.ndarray = worst["score"].to_numpy()
        return scores

    def _rarity(self, rows: pl.DataFrame) -> np.ndarray:
        # Sessions repeat each other, so each distinct document is compared once.
        distinct = rows.select(pl.col("document").unique(maintain_order=True))
        batch = _batch(distinct["document"].to_list(), np.ones(len(distinct), dtype=np.int64))
        distances = distinct.with_columns(pl.Series("distance", self.count_vector_.score(batch)))
        joined = rows.join(distances, on="document", how="left", maintain_order="left")
        distance: np.ndarray = joined["distance"].to_numpy()
        return distance

    def _surprise(self, rows: pl.DataFrame, named: pl.DataFrame) -> pl.Series:
        """Nats a line [B]; null for sessions of one line."""
        found = self.next_template_.surprise(named.join(self._learnt(rows), on="session", how="inner"))
        return rows.join(found, on="session", how="left", maintain_order="left")["surprise"]

    def _learnt(self, rows: pl.DataFrame) -> pl.DataFrame:
        """session, learnt: whether it is among those learnt from; a session is known by its count vector."""
        return rows.select("session", pl.col("document").is_in(self.count_vector_.texts_).alias("learnt"))


class CountVectors(TermNeighbours):
    """Distance of a session's count vector to a share of all known sessions, its own left out once."""

    name = "count_vector"

    @staticmethod
    def terms(text: str) -> list[str]:
        """The templates of a document, in order, repeated as often as they stand there."""
        return text.split(" ")

    def inverse_frequency(self, templates: list[str], learnt: np.ndarray) -> np.ndarray:
        """How few of the known sessions hold a template, on a log scale.

        Args:
            templates: names of templates, one a session and template.
            learnt: [N] bool, whether that session is among the known ones: it is then left out.

        Returns:
            [N] 1 for a template that no known session holds, down to 0 for one that all of them hold.
        """
        others = np.array([self._sessions_with.get(template, 0) for template in templates], dtype=np.int64) - learnt
        n_sessions = int(self.counts_.sum())
        weight: np.ndarray = 1.0 - np.log1p(np.maximum(others, 0)) / math.log1p(n_sessions)
        return weight

    def _index(self) -> None:
        super()._index()
        self._sessions_with: Counter[str] = Counter()
        for document, count in zip(self.texts_, self.counts_.tolist(), strict=True):
            self._sessions_with.update(dict.fromkeys(self.terms(document), count))

    def score(self, batch: EncodedBatch) -> np.ndarray:
        """Distance within which KIN_SHARE of the known sessions lie, in mean pairwise distances.

        Returns:
            [B] float64, 0 or more, higher is more abnormal.
        """
        vectors = self._queries(batch)
        return self._bank.mass_distance(
            batch.texts, lambda rows: self._distances(vectors[rows]) / self.spread_, (KIN_SHARE,)
        )


def _batch(documents: list[str], counts: np.ndarray) -> EncodedBatch:
    return EncodedBatch(texts=documents, counts=counts.astype(np.int64), levels=[""] * len(documents))


def _words(texts: pl.DataFrame) -> pl.DataFrame:
    """text_id, word: a digest of each text, so that the same text is the same word in every run and version."""
    digests = [f"t{blake2b(text.encode(), digest_size=8).hexdigest()}" for text in texts["normalized_text"]]
    return texts.select("text_id", pl.Series("word", digests, dtype=pl.String))


def _named(transitions: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Transitions by words instead of text numbers: session, before, after, count."""
    words = _words(texts)
    named = transitions.join(words.rename({"word": "after"}), on="text_id", how="inner").join(
        words.rename({"text_id": "before", "word": "before_word"}), on="before", how="inner"
    )
    # Texts of different levels are one template.
    named = named.select("session", pl.col("before_word").alias("before"), "after", "count")
    return named.group_by("session", "before", "after").agg(pl.col("count").sum())


def _documents(counts: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """One row a session: session, document, n_lines, first_line_no."""
    repeats = pl.col("count").log(2).floor().cast(pl.Int64) + 1
    first = pl.col("first_line_no") if "first_line_no" in counts.columns else pl.lit(0)
    rows = counts.join(_words(texts), on="text_id", how="left")
    rows = rows.with_columns(repeats.alias("repeats"), first.alias("first_line_no"))
    documents = (
        rows.sort("session", "word")
        .group_by("session", maintain_order=True)
        .agg(
            pl.col("word").repeat_by("repeats").explode().str.join(" ").alias("document"),
            pl.col("count").sum().alias("n_lines"),
            pl.col("first_line_no").min(),
        )
    )
    return documents.sort("first_line_no", "session")

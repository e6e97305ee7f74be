"""Sessions: a document whose words are its templates, scored by the rarity of its count vector and by its worst line.

Count vectors as evidence: Xu et al., "Detecting large-scale system problems by mining console logs", SOSP 2009; here
weighted like words (rare templates weigh more, repeats on a log scale) and compared with the nearest known sessions.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from core.errors import BundleError
from core.records import EncodedBatch
from core.scoring.fusion import SCORE_DECIMALS, calibrated, upper_quantile
from core.scoring.tfidf import TfidfScorer

SESSIONS_FILE = "sessions.json"


class SessionScorer:
    """Scores of sessions.

    Attributes:
        false_alarm_rate: share of the learnt sessions that may be flagged.
    """

    def __init__(self, false_alarm_rate: float = 0.01) -> None:
        self.false_alarm_rate = false_alarm_rate

    def fit(self, counts: pl.DataFrame, texts: pl.DataFrame) -> Self:
        """Learn the usual count vectors.

        Args:
            counts: one row a session and text: session, text_id, count.
            texts: text_id, normalized_text and score (fused, 0 to 1).

        Raises:
            WorkbenchError: where there is no session.
        """
        sessions = _documents(counts, texts)
        distinct = sessions.group_by("document", maintain_order=True).agg(pl.len().alias("count"))
        self.count_vector_ = TfidfScorer().fit(_batch(distinct["document"].to_list(), distinct["count"].to_numpy()))
        rarity = self._rarity(sessions)
        score = self._fused(rarity, sessions["worst_line"].to_numpy())
        self.threshold_ = upper_quantile(score, np.ones(len(score)), self.false_alarm_rate)
        return self

    def score(self, counts: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
        """Scores of sessions.

        Args:
            counts: one row a session and text: session, text_id, count, first_line_no.
            texts: text_id, normalized_text and score.

        Returns:
            One row a session, by first appearance: session, n_lines, score (0 to 1, higher is more abnormal),
            is_anomaly (0/1), first_line_no.
        """
        sessions = _documents(counts, texts)
        score = self._fused(self._rarity(sessions), sessions["worst_line"].to_numpy())
        return sessions.select(
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
        values = {"threshold": self.threshold_, "false_alarm_rate": self.false_alarm_rate}
        (folder / SESSIONS_FILE).write_text(json.dumps(values) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            BundleError: where it is damaged.
        """
        try:
            values = json.loads((folder / SESSIONS_FILE).read_text("utf-8"))
            scorer = cls(float(values["false_alarm_rate"]))
            scorer.threshold_ = float(values["threshold"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{folder / SESSIONS_FILE}: damaged ({error}); train the model again") from error
        scorer.count_vector_ = TfidfScorer.load(folder / "count_vector")
        return scorer

    def _rarity(self, sessions: pl.DataFrame) -> np.ndarray:
        # Sessions repeat each other, so each distinct document is compared once.
        distinct = sessions.select(pl.col("document").unique(maintain_order=True))
        batch = _batch(distinct["document"].to_list(), np.ones(len(distinct), dtype=np.int64))
        distances = distinct.with_columns(pl.Series("distance", self.count_vector_.score(batch)))
        joined = sessions.join(distances, on="document", how="left", maintain_order="left")
        distance: np.ndarray = joined["distance"].to_numpy()
        return distance

    def _fused(self, rarity: np.ndarray, worst_line: np.ndarray) -> np.ndarray:
        """[B] mean of the two, each 0 to 1."""
        fused: np.ndarray = np.round((calibrated(rarity) + worst_line) / 2, SCORE_DECIMALS)
        return fused


def _batch(documents: list[str], counts: np.ndarray) -> EncodedBatch:
    return EncodedBatch(texts=documents, counts=counts.astype(np.int64), levels=[""] * len(documents))


def _documents(counts: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """One row a session: session, document, n_lines, worst_line, first_line_no."""
    # A digest, so that the same text is the same word in every run and version.
    digests = [f"t{blake2b(text.encode(), digest_size=8).hexdigest()}" for text in texts["normalized_text"]]
    words = texts.select("text_id", "score", pl.Series("word", digests, dtype=pl.String))
    repeats = pl.col("count").log(2).floor().cast(pl.Int64) + 1
    first = pl.col("first_line_no") if "first_line_no" in counts.columns else pl.lit(0)
    rows = counts.join(words, on="text_id", how="left")
    rows = rows.with_columns(repeats.alias("repeats"), first.alias("first_line_no"))
    documents = (
        rows.sort("session", "word")
        .group_by("session", maintain_order=True)
        .agg(
            pl.col("word").repeat_by("repeats").explode().str.join(" ").alias("document"),
            pl.col("count").sum().alias("n_lines"),
            pl.col("score").max().alias("worst_line"),
            pl.col("first_line_no").min(),
        )
    )
    return documents.sort("first_line_no", "session")

"""Two scorings of the same lines, side by side: what both flag, what only one does, and how alike the scores rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import spearmanr

BOTH, ONLY_A, ONLY_B, NEITHER = "both", "only_a", "only_b", "neither"
PARTS = (BOTH, ONLY_A, ONLY_B, NEITHER)


@dataclass(frozen=True)
class Comparison:
    """What two runs A and B say of the same lines. A line is flagged where it is in its run: not where it is muted.

    Attributes:
        messages: one row for each pair of messages that the runs made of the same lines, the largest difference first:
            normalized_text (of A), n_lines, first_no, score_a, score_b, difference (B less A), part (one of PARTS).
        parts: one row for each of PARTS, in their order: part, n_lines, n_messages.
        n_blank: lines without a text in either run.
        n_muted: lines that would be flagged in A, B or both were their message not muted.
        rank_correlation: Spearman's, of the messages' scores, each once, -1 to 1; None where one run's are all equal.
    """

    messages: pl.DataFrame
    parts: pl.DataFrame
    n_blank: int
    n_muted: int
    rank_correlation: float | None

    @property
    def agreement(self) -> float:
        """Share of lines with a text on which the runs agree, 0 to 1; 1 where there are none."""
        lines = dict(self.parts.select("part", "n_lines").iter_rows())
        total = sum(lines.values())
        return (lines[BOTH] + lines[NEITHER]) / total if total else 1.0


def compare(
    pairs: pl.DataFrame, texts_a: pl.DataFrame, texts_b: pl.DataFrame, threshold_a: float, threshold_b: float
) -> Comparison:
    """Put two runs of the same lines side by side.

    Args:
        pairs: text_a, text_b (ids; null for a line without a text), n_lines, first_no: how many lines have each pair.
        texts_a: of run A: text_id, normalized_text, score (0 to 1, higher is more abnormal), muted.
        texts_b: of run B, the same.
        threshold_a: lines at or above it are flagged in A, unless their message is muted.
        threshold_b: the same of B.
    """
    a, b = (
        texts.select(
            pl.col("text_id").cast(pl.Int64).alias(f"text_{run}"),
            pl.col("normalized_text").alias(f"text_of_{run}"),
            pl.col("score").alias(f"score_{run}"),
            pl.col("muted").alias(f"muted_{run}"),
        )
        for run, texts in (("a", texts_a), ("b", texts_b))
    )
    rows = pairs.with_columns(pl.col("text_a", "text_b").cast(pl.Int64))
    blank = pl.col("text_a").is_null() & pl.col("text_b").is_null()
    high_a, high_b = pl.col("score_a") >= threshold_a, pl.col("score_b") >= threshold_b
    flagged_a, flagged_b = high_a & ~pl.col("muted_a"), high_b & ~pl.col("muted_b")
    part = (
        pl.when(flagged_a & flagged_b)
        .then(pl.lit(BOTH))
        .when(flagged_a)
        .then(pl.lit(ONLY_A))
        .when(flagged_b)
        .then(pl.lit(ONLY_B))
        .otherwise(pl.lit(NEITHER))
    )
    joined = (
        rows.filter(~blank)
        .join(a, on="text_a", how="left")
        .join(b, on="text_b", how="left")
        .with_columns(pl.col("score_a", "score_b").fill_null(0.0), pl.col("muted_a", "muted_b").fill_null(False))
    )
    messages = (
        joined.with_columns(
            pl.coalesce("text_of_a", "text_of_b").alias("normalized_text"),
            (pl.col("score_b") - pl.col("score_a")).round(4).alias("difference"),
            part.alias("part"),
        )
        .sort(pl.col("difference").abs(), "n_lines", "first_no", descending=[True, True, False])
        .select("normalized_text", "n_lines", "first_no", "score_a", "score_b", "difference", "part")
    )
    counts = messages.group_by("part").agg(pl.col("n_lines").sum(), pl.len().alias("n_messages"))
    parts = pl.DataFrame({"part": PARTS}).join(counts, on="part", how="left", maintain_order="left")
    return Comparison(
        messages=messages,
        parts=parts.with_columns(pl.col("n_lines", "n_messages").cast(pl.Int64).fill_null(0)),
        n_blank=int(rows.filter(blank)["n_lines"].sum()),
        n_muted=int(joined.filter((high_a & pl.col("muted_a")) | (high_b & pl.col("muted_b")))["n_lines"].sum()),
        rank_correlation=_rank_correlation(messages["score_a"].to_numpy(), messages["score_b"].to_numpy()),
    )


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)

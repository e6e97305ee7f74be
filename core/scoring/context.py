"""A line in the context of its source: the other lines of its session raise its score, never lower it.

A scan, a flood or guessed passwords write lines that alone read like harmless oddities; what tells them apart is that
the other lines of the same client are unusual too. Alerts of one host vouch for one another in the same way in Polonium
(Chau et al., SDM 2011: guilt by association). With S the fused score of a line's text and o what ordinary lines score
(fusion.ordinary), over the other lines of its session

    D = (sum of their S + 3 o) / (their number + 3),   c = 1 - (1 - max(0, D - o - 0.05)) (1 - b) in hundredths,
    S' = 1 - (1 - S) / (1 + 10 c)

where b is the burst its lines are in (scoring.bursts). A line of an ordinary source, a line alone and one without a
session have c = 0, and S' is S exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from core.scoring.bursts import BURST
from core.scoring.fusion import SCORE_DECIMALS, between

PRIOR_LINES = 3  # of the ordinary score, beside the others: a few odd lines prove little
MARGIN = 0.05  # above the ordinary score, which the lines of ordinary sources reach on average
STRENGTH = 10  # of the context: at c = 0.1 what a score lacks of 1 is halved
CONTEXT_DECIMALS = 2  # few values, so that a text has few contexts
CONTEXT = "context"
"""The column of c, [0, 1), and the name of what it adds to a score."""
UNUSUAL_SOURCE = "its source stands out: other lines are unusual, or too many a second"
"""The reason that context gives."""


def contexts(counts: pl.DataFrame, texts: pl.DataFrame, ordinary: float) -> pl.DataFrame:
    """What the other lines of its session say of each session's text.

    Args:
        counts: one row a session and text: session, text_id, count (lines, 1 or more), burst (0 to 1).
        texts: text_id and score (fused, 0 to 1, rounded to SCORE_DECIMALS).
        ordinary: what ordinary lines score, 0 to 1 (fusion.ordinary).

    Returns:
        `counts` with the column context: 0 where the others are ordinary or there are none, rising to nearly 1.
    """
    units = 10**SCORE_DECIMALS
    own = (pl.col("score") * units).round().cast(pl.Int64)  # whole numbers: their sums know no order
    others = (own * pl.col("count")).sum().over("session") - own
    n_others = pl.col("count").sum().over("session") - 1
    excess = (others / units - ordinary * n_others) / (n_others + PRIOR_LINES)  # D - o
    rows = counts.join(texts.select("text_id", "score"), on="text_id", how="left", maintain_order="left")
    unusual = (excess - MARGIN).clip(lower_bound=0.0)
    context = (1.0 - (1.0 - unusual) * (1.0 - pl.col(BURST))).round(CONTEXT_DECIMALS)
    return rows.select(*counts.columns, context.alias(CONTEXT))


def raised(score: np.ndarray, context: np.ndarray) -> np.ndarray:
    """Scores in context.

    Args:
        score: [B] fused scores of the texts, 0 to 1.
        context: [B] of `contexts`.

    Returns:
        [B] 0 to 1, rounded to SCORE_DECIMALS, never below `score`; `score` itself where the context is 0.
    """
    in_context = np.round(1.0 - (1.0 - score) / (1.0 + STRENGTH * context), SCORE_DECIMALS)
    return np.where(context > 0, in_context, score)


def parted(threshold: float, score: np.ndarray, lines: np.ndarray) -> float:
    """The threshold of lines in context: where their scores part, if that is above the threshold of single lines.

    The lines of an unusual source move up together, away from those of ordinary sources, and Otsu's split
    (fusion.between) finds the gap. A log without unusual sources parts below the threshold, which stays, as it does
    where most lines below the gap would be flagged: those are no ordinary ones. It never falls.

    Args:
        threshold: of single lines, in (0, 1].
        score: [N] in context, 0 to 1, one of each distinct text and context.
        lines: [N] that have each.
    """
    gap = between(score)
    below = score < gap
    spared = below & (score >= threshold)
    ordinary = 2 * lines[spared].sum() <= lines[below].sum()
    return gap if gap > threshold and ordinary and not below.all() else threshold


@dataclass(frozen=True)
class InContext:
    """Texts parted by context, and the way from a line to its row.

    Attributes:
        texts: as given, a row more for each text and context above 0; context beside them, text_id from 0 anew, count
            of the lines in that context. Texts that have no line left are gone. Of the rows of one text the first
            keeps the embedding, which they share.
        moved: session, text_id (as given), new_id of the lines with a context above 0.
        kept: text_id (as given), new_id of the others.
    """

    texts: pl.DataFrame
    moved: pl.DataFrame
    kept: pl.DataFrame

    def renumbered(self, lines: pl.DataFrame) -> pl.DataFrame:
        """Lines (session, text_id and more) with the text_id of their row; null stays null."""
        found = lines.select("session", "text_id").join(
            self.moved, on=["session", "text_id"], how="left", maintain_order="left"
        )
        found = found.join(self.kept, on="text_id", how="left", maintain_order="left", suffix="_kept")
        return lines.with_columns(found.select(pl.coalesce("new_id", "new_id_kept").alias("text_id"))["text_id"])


def in_context(texts: pl.DataFrame, counts: pl.DataFrame, ordinary: float) -> InContext:
    """Part texts by the context of their lines; scores stay those of the texts.

    Args:
        texts: N distinct texts with count and score, text_id from 0.
        counts: one row a session and text: session, text_id, count, burst.
        ordinary: what ordinary lines score, 0 to 1 (fusion.ordinary).
    """
    found = contexts(counts, texts, ordinary).filter(pl.col(CONTEXT) > 0)
    copies = found.group_by("text_id", CONTEXT).agg(pl.col("count").sum().alias("lines")).sort("text_id", CONTEXT)
    taken = copies.group_by("text_id").agg(pl.col("lines").sum())
    left = pl.col("count") - pl.col("lines").fill_null(0)
    rest = texts.join(taken, on="text_id", how="left", maintain_order="left").with_columns(
        left.alias("count"), pl.lit(0.0).alias(CONTEXT)
    )
    added = texts.join(copies, on="text_id", how="inner", maintain_order="right").with_columns(
        pl.col("lines").alias("count")
    )
    rows = pl.concat([rest.filter(pl.col("count") > 0).drop("lines"), added.select(*rest.drop("lines").columns)])
    rows = rows.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias("new_id"))
    keys = rows.select("text_id", CONTEXT, "new_id")
    if "embedding" in rows.columns:
        first = pl.col("text_id").is_first_distinct()
        rows = rows.with_columns(pl.when(first).then("embedding").alias("embedding"))
    return InContext(
        texts=rows.with_columns(pl.col("new_id").alias("text_id")).drop("new_id"),
        moved=found.join(keys, on=["text_id", CONTEXT], how="inner").select("session", "text_id", "new_id"),
        kept=keys.filter(pl.col(CONTEXT) == 0).drop(CONTEXT),
    )

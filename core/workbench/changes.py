"""What other weights or another threshold would flag that is not flagged now, and what no longer."""

from __future__ import annotations

import polars as pl

from core.workbench.measuring import LabelledRun


def changed_messages(
    found: LabelledRun, weights: dict[str, float], threshold: float, saved_threshold: float
) -> pl.DataFrame:
    """Messages whose flag differs between the run as saved and other settings; muted ones are never flagged.

    Args:
        found: a run and its labels.
        weights: tried, one for each of its scorers.
        threshold: tried, 0 to 1.
        saved_threshold: in force, with the weights of the run.

    Returns:
        text_id, normalized_text, count (lines), saved and tried (fused scores), newly_flagged (else no longer),
        abnormal and normal (labelled lines); those of the most lines first, then the largest change.
    """
    labels = found.rows.group_by("text_id").agg(
        *(
            pl.col("lines").filter(pl.col("label") == label).sum().cast(pl.Int64).alias(name)
            for name, label in (("abnormal", 1), ("normal", 0))
        )
    )
    was, is_now = pl.col("saved") >= saved_threshold, pl.col("tried") >= threshold
    return (
        found.texts.select(
            "text_id",
            "normalized_text",
            "count",
            "muted",
            pl.Series("saved", found.fused(found.info.weights)),
            pl.Series("tried", found.fused(weights)),
        )
        .filter((was != is_now) & ~pl.col("muted"))
        .drop("muted")
        .with_columns(is_now.alias("newly_flagged"))
        .join(labels, on="text_id", how="left", maintain_order="left")
        .with_columns(pl.col("abnormal", "normal").fill_null(0))
        .sort("count", (pl.col("tried") - pl.col("saved")).abs(), "text_id", descending=[True, True, False])
    )

"""Judging lines in the context of their source: scores, flags and reasons anew, from what a detector said of texts."""

from __future__ import annotations

import numpy as np
import polars as pl

from core.detector import LogDetector
from core.scoring.bursts import BURST
from core.scoring.context import CONTEXT, UNUSUAL_SOURCE, InContext, in_context, parted, raised
from core.scoring.fusion import Fusion
from core.scoring.reasons import SEPARATOR, reworded
from core.scoring.sessions import Sessions


def judged_in_context(
    detector: LogDetector, texts: pl.DataFrame, sessions: Sessions | None, *, part: bool
) -> tuple[InContext, float]:
    """The texts parted by context, with the scores of their lines there; and the threshold they are flagged from.

    Args:
        detector: fitted.
        texts: what its `score` gave.
        sessions: of the log; None where there are none.
        part: the threshold rises to where the scores part (scoring.context.parted); else it is the detector's.
    """
    schema = {"session": pl.String, "text_id": pl.UInt32, "count": pl.Int64, BURST: pl.Float64}
    counts = pl.DataFrame(schema=schema) if sessions is None else sessions.counts
    found = in_context(texts, counts, detector.fusion_.ordinary_)
    calibrated = {name: found.texts[name].to_numpy() for name in detector.scorers_}
    score = raised(found.texts["score"].to_numpy(), found.texts[CONTEXT].to_numpy())
    reason = pl.Series(reasons_in_context(found.texts, score, calibrated, detector.fusion_), dtype=pl.String)
    threshold = detector.threshold_
    if part and not counts.is_empty():
        threshold = parted(threshold, score, found.texts["count"].to_numpy())
    rows = found.texts.with_columns(
        pl.Series("score", score),
        pl.Series("is_anomaly", (score >= threshold).astype(np.int8)),
        pl.when(pl.col(CONTEXT) > 0).then(reason).otherwise("reason").alias("reason"),
    )
    return InContext(rows, found.moved, found.kept), threshold


def reasons_in_context(
    texts: pl.DataFrame, score: np.ndarray, calibrated: dict[str, np.ndarray], fusion: Fusion
) -> list[str]:
    """Reasons of texts after a change of scores; what their source adds stands first.

    Args:
        texts: N texts with reason, level_class and context.
        score: [N] the new scores, context included.
        calibrated: scorer name to [N] scores, 0 to 1.
        fusion: whose weights and threshold hold.
    """
    own = reworded(texts["reason"].to_list(), texts["level_class"].to_list(), score, calibrated, fusion)
    unusual = (texts[CONTEXT].to_numpy() > 0) & (score >= fusion.threshold_ / 2)
    return [
        f"{UNUSUAL_SOURCE}{SEPARATOR}{reason}" if is_unusual else reason
        for reason, is_unusual in zip(own, unusual, strict=True)
    ]

"""Judging lines in the context of their source: scores, flags and reasons anew, from what a detector said of texts."""

from __future__ import annotations

import numpy as np
import polars as pl

from core.detector import LogDetector
from core.scoring.bursts import BURST
from core.scoring.context import CONTEXT, InContext, in_context, parted, raised
from core.scoring.fusion import upper_quantile
from core.scoring.reasons import reworded
from core.scoring.sessions import Sessions


def judged_in_context(
    detector: LogDetector, texts: pl.DataFrame, sessions: Sessions | None, *, part: bool, contamination: float = 0.0
) -> tuple[InContext, float]:
    """The texts parted by context, with the scores of their lines there; and the threshold they are flagged from.

    Args:
        detector: fitted.
        texts: what its `score` gave.
        sessions: of the log; None where there are none.
        part: the threshold rises to where the scores part (scoring.context.parted); else it is the detector's.
        contamination: share of these lines that it flags at most, where one was stated for them; 0 for none.
    """
    schema = {"session": pl.String, "text_id": pl.UInt32, "count": pl.Int64, BURST: pl.Float64}
    counts = pl.DataFrame(schema=schema) if sessions is None else sessions.counts
    found = in_context(texts, counts, detector.fusion_.ordinary_)
    calibrated = {name: found.texts[name].to_numpy() for name in detector.scorers_}
    context = found.texts[CONTEXT].to_numpy()
    score = raised(found.texts["score"].to_numpy(), context)
    reason = reworded(
        found.texts["reason"].to_list(),
        found.texts["level_class"].to_list(),
        score,
        calibrated,
        detector.fusion_,
        context,
    )
    threshold = detector.threshold_
    if part and not counts.is_empty():
        threshold = parted(threshold, score, found.texts["count"].to_numpy())
    elif contamination:
        threshold = upper_quantile(score, found.texts["count"].to_numpy(), contamination)
    rows = found.texts.with_columns(
        pl.Series("score", score),
        pl.Series("is_anomaly", (score >= threshold).astype(np.int8)),
        pl.when(pl.col(CONTEXT) > 0).then(pl.Series(reason, dtype=pl.String)).otherwise("reason").alias("reason"),
    )
    return InContext(rows, found.moved, found.kept), threshold

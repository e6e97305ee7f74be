"""A flow in the context of its source: as a log's lines (context.py), with bursts measured against learnt flows.

A source that floods makes flows that are normal one by one. The rate of a flow is the number of flows that its source
began in the same second. With u three times the rate that nine learnt flows in ten stay within, and at least 10 a
second, its burst is max(0, 1 - u / rate). The rate is learnt and not taken from what is scored, as bursts.py does for
logs: a flood or a scan is easily more than a tenth of a capture's flows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from core.scoring.bursts import BURST, TIMES_USUAL, USUAL_QUANTILE
from core.scoring.context import CONTEXT, contexts

LEAST_RATE = 10.0  # flows a second: a page with its pictures and names is no burst


def rates(sources: Sequence[str], starts: Sequence[float]) -> np.ndarray:
    """For each flow the flows of its source that began in the same second.

    Args:
        sources: [N] who began each flow.
        starts: [N] seconds since 1970; 0 where the capture names no time.

    Returns:
        [N] int64, 1 or more; 1 where no time is known.
    """
    seconds = [math.floor(start) for start in starts]
    table = pl.DataFrame({"source": sources, "second": seconds}, schema={"source": pl.String, "second": pl.Float64})
    found = table.select(pl.len().over("source", "second").cast(pl.Int64)).to_series().to_numpy()
    return np.where(np.asarray(starts) == 0, 1, found)


def burst_limit(learnt: np.ndarray) -> float:
    """Flows a second from which a source is in a burst, from the `rates` of learnt flows [N]."""
    usual = float(np.quantile(learnt, USUAL_QUANTILE, method="inverted_cdf")) if len(learnt) else 0.0
    return max(LEAST_RATE, TIMES_USUAL * usual)


def flow_contexts(
    sources: Sequence[str],
    starts: Sequence[float],
    rows: Sequence[int],
    score: np.ndarray,
    ordinary: float,
    limit: float,
) -> np.ndarray:
    """What the other flows of its source, and their number a second, say of each flow.

    Args:
        sources: [N] who began each flow.
        starts: [N] seconds since 1970; 0 where the capture names no time.
        rows: [N] the text of each flow.
        score: [M] fused score of each text, 0 to 1, rounded to SCORE_DECIMALS.
        ordinary: what ordinary flows score, 0 to 1 (fusion.ordinary).
        limit: of `burst_limit`.

    Returns:
        [N] 0 where the others are ordinary or there are none, rising to nearly 1.
    """
    burst = np.maximum(0.0, 1.0 - limit / rates(sources, starts))
    flows = pl.DataFrame(
        {"session": sources, "text_id": rows, BURST: burst},
        schema={"session": pl.String, "text_id": pl.UInt32, BURST: pl.Float64},
    )
    counts = flows.group_by("session", "text_id").agg(pl.len().cast(pl.Int64).alias("count"), pl.col(BURST).mean())
    texts = pl.DataFrame({"text_id": range(len(score)), "score": score}, schema_overrides={"text_id": pl.UInt32})
    found = contexts(counts, texts, ordinary).select("session", "text_id", CONTEXT)
    return flows.join(found, on=["session", "text_id"], how="left", maintain_order="left")[CONTEXT].to_numpy()

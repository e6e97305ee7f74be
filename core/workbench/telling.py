"""Which messages say most when an analyst judges them: uncertain ones, of which there are many.

Uncertainty sampling (Lewis and Gale, "A sequential algorithm for training text classifiers", SIGIR 1994): ask where the
decision is least sure. How sure it is shows in the distance to the threshold and in how far the scorers are of one mind
(query by committee: Seung, Opper and Sompolinsky, COLT 1992); a message of many lines tells more than an outlier
(information density: Settles and Craven, EMNLP 2008).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import polars as pl

from core.store import RunReader

ASKED = 50
"""Messages asked for at a time."""


def telling_messages(
    reader: RunReader, threshold: float, labelled: Collection[int] = (), limit: int = ASKED
) -> pl.DataFrame:
    """The messages whose verdict would change most, the most telling first; muted ones are not asked for.

    Args:
        reader: of the run.
        threshold: 0 to 1.
        labelled: text_id of the messages that are labelled already.
        limit: messages.

    Returns:
        line_no (of its first line), text_id, normalized_text, count, score, telling (0 or more).
    """
    texts, info = reader.texts(), reader.info
    weighty = [name for name in info.scorers if info.weights.get(name)]
    values = texts.select(weighty).to_numpy().reshape(len(texts), len(weighty))
    worth = telling(
        texts["score"].to_numpy(),
        values,
        np.array([info.weights[name] for name in weighty]),
        texts["count"].to_numpy(),
        threshold,
    )
    asked = pl.col("text_id").is_in(list(labelled)).not_()
    rows = texts.select("text_id", pl.Series("telling", worth)).filter(asked)
    near = reader.queue("near", threshold, by_message=True, limit=len(texts))
    return (
        near.join(rows, on="text_id", how="inner", maintain_order="left")
        .sort("telling", descending=True, maintain_order=True)
        .head(limit)
    )


def telling(
    scores: np.ndarray, values: np.ndarray, weights: np.ndarray, counts: np.ndarray, threshold: float
) -> np.ndarray:
    """How much the verdict on each message would say.

    With u the nearness to the threshold (1 at it, 0 at the end of its side) and d the disagreement of the scorers
    (twice their weighted standard deviation), u (1 + d) / 2 log2(1 + lines).

    Args:
        scores: [N] fused, 0 to 1.
        values: [N, S] of each scorer, 0 to 1.
        weights: [S] of the scorers, 0 or more.
        counts: [N] lines.
        threshold: 0 to 1.

    Returns:
        [N] 0 or more, higher says more.

    Example:
        >>> values = np.array([[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]])
        >>> telling(np.array([0.5, 0.5, 1.0]), values, np.ones(2), np.ones(3), 0.5).tolist()
        [0.5, 1.0, 0.0]
    """
    side = np.where(scores < threshold, threshold, 1 - threshold)
    nearness = 1 - np.abs(scores - threshold) / np.where(side > 0, side, 1.0)
    total = weights.sum()
    shares = weights / total if total > 0 else weights
    mean = values @ shares
    disagreement = 2 * np.sqrt(np.maximum((values - mean[:, None]) ** 2 @ shares, 0.0))
    return np.asarray(nearness.clip(0.0, 1.0) * (1 + disagreement) / 2 * np.log2(1 + counts))

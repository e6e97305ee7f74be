"""What lies together on a map: dense groups of points, each with a title of its telling words.

On the map and not among the vectors: a cluster is what the eye sees, and in many dimensions density says little.

Source: Campello, Moulavi, Sander, PAKDD 2013 (HDBSCAN); of its tree the leaves, for the trunk of a log is one cluster.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from core.tokenization.telling_words import titles, words_of

MOST_AT_ONCE = 5_000  # points whose clusters take half a second; those of 20,000 take ten
_LEAST_SIZE = 8
_NEIGHBOURS = 5  # that make a place dense


def clusters(places: np.ndarray) -> np.ndarray:
    """The cluster of each point.

    Args:
        places: [N, 2], finite.

    Returns:
        [N] int64: 0 and up, -1 where a point lies in none. The same places give the same clusters.
    """
    least = max(_LEAST_SIZE, round(math.sqrt(len(places)) / 2))  # more points, no more names than the eye takes in
    if len(places) < 2 * least or not places.any():
        return np.full(len(places), -1)
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(min_cluster_size=least, min_samples=_NEIGHBOURS, cluster_selection_method="leaf", copy=True)
    return np.asarray(found.fit_predict(places.astype(np.float64)), dtype=np.int64)


def titled(placed: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Points with the title of their cluster.

    Args:
        placed: text_id, x, y, cluster (null for none).
        texts: text_id and normalized_text of every message of the run.

    Returns:
        The points with `title`, "" where there is no cluster; clusters of one title are told apart by a number.
    """
    members = placed.drop_nulls("cluster").select(pl.col("cluster").alias("group"), "text_id", pl.lit(1).alias("n"))
    from_middle = sum((pl.col(axis) - pl.col(axis).mean().over("cluster")).pow(2) for axis in ("x", "y"))
    middle = (
        placed.drop_nulls("cluster")
        .sort(from_middle, "text_id")
        .unique("cluster", keep="first", maintain_order=True)
        .select(pl.col("cluster").alias("group"), "text_id")
        .join(texts.select("text_id", "normalized_text"), on="text_id")
        .drop("text_id")
    )
    # A point is a message, however many lines have it.
    words = words_of(texts.select("text_id", "normalized_text", pl.lit(1).alias("count")))
    found = titles(members, words, len(texts), middle).sort("group")
    number = pl.col("group").cum_count().over("title")
    found = found.with_columns(
        pl.when(number > 1).then(pl.format("{} ({})", "title", number)).otherwise("title").alias("title")
    )
    joined = placed.join(found, left_on="cluster", right_on="group", how="left", maintain_order="left")
    nameless = pl.format("cluster {}", pl.col("cluster") + 1)
    return joined.with_columns(pl.coalesce("title", nameless).fill_null(""))

"""Stored runs of one log whose scores and places are drawn, for benchmarks/dashboard.py: nothing is fitted."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import polars as pl

from core.config import ReadConfig
from core.runner import SerialRunner
from core.store import RunWriter, Store, write_map

THRESHOLD = 0.5
EMBEDDING = 256  # as BERT-mini has it
MAP_NAMES = ("umap-n_neighbors15-min_dist0.1-seed0", "pca-seed0")  # as the workbench names them


def store_runs(log: Path, n_flagged: int, n_texts: dict[str, int | None], seed: int = 0) -> int:
    """Read a log once, as the workbench does, and store a run of it for each name.

    Args:
        log: a file.
        n_flagged: lines at or above THRESHOLD, in each run.
        n_texts: a run's name to the number of messages its lines are dealt out to in turn, each with a place on the
            map; None leaves the messages as they were read, without a map.
        seed: of scores, vectors and places.

    Returns:
        Lines of each run.
    """
    draw = np.random.default_rng(seed)
    with ExitStack() as stack:
        writers = {run_id: stack.enter_context(RunWriter(run_id)) for run_id in n_texts}

        def keep(table: pl.DataFrame) -> None:
            for run_id, n in n_texts.items():
                dealt = [] if n is None else ((pl.col("line_no") - 1) % n).alias("text_id")
                writers[run_id].add_lines(table.with_columns(dealt))

        reading = SerialRunner().read([log], ReadConfig(), by_source=True, keep=keep)
        for run_id, n in n_texts.items():
            texts = reading.texts if n is None else _dealt(reading.texts, n, reading.n_lines)
            facts = {"threshold": THRESHOLD, "scorers": ["novelty"], "weights": {"novelty": 1.0}}
            writers[run_id].finish(_answered(texts, n_flagged, draw), {"name": f"{run_id}.log", **facts})
    for run_id, n in n_texts.items():
        Store().register(run_id)
        if n is not None:
            x, y = draw.uniform(size=(2, n))
            places = pl.DataFrame({"text_id": np.arange(n), "x": x, "y": y, "cluster": 0, "title": "all"})
            for name in MAP_NAMES:
                write_map(run_id, name, places)
    return reading.n_lines


def _dealt(texts: pl.DataFrame, n: int, n_lines: int) -> pl.DataFrame:
    """So many messages, made of those there are; line after line has the next one."""
    rows = np.arange(n)
    return texts[rows % len(texts)].with_columns(
        pl.Series("text_id", rows, dtype=pl.UInt32),
        pl.Series("count", (n_lines - rows - 1) // n + 1),
        pl.concat_str("normalized_text", pl.Series([f" kind {row}" for row in rows])),
    )


def _answered(texts: pl.DataFrame, n_flagged: int, draw: np.random.Generator) -> pl.DataFrame:
    """Texts with what a run stores of them; those with a score of THRESHOLD or more have `n_flagged` lines in all."""
    scores = np.round(draw.beta(2, 6, len(texts)) * (THRESHOLD - 0.01), 4)
    left = n_flagged
    for row in draw.permutation(len(texts)):
        if (count := int(texts["count"][int(row)])) <= left:
            scores[row] = round(float(draw.uniform(THRESHOLD, 1.0)), 4)
            left -= count
    vectors = draw.normal(size=(len(texts), EMBEDDING)).astype(np.float32)
    return texts.with_columns(
        pl.Series("score", scores),
        pl.lit("never seen").alias("reason"),
        pl.col("normalized_text").str.split(" ").alias("tokens"),
        pl.lit([], dtype=pl.List(pl.Float32)).alias("surprise"),
        pl.lit([], dtype=pl.List(pl.String)).alias("expected"),
        pl.lit([], dtype=pl.List(pl.Float32)).alias("expected_p"),
        pl.lit("session opened").alias("nearest"),
        pl.Series("embedding", vectors).arr.to_list(),
        pl.Series("novelty", scores),
        pl.Series("raw_novelty", scores),
    )

"""Maps of a run's messages: made by a job, kept with the run; new lines placed on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from core import jobs as _jobs
from core.bundles import load_model
from core.errors import InputError, WorkbenchError
from core.projection import METHODS, MOST_AT_ONCE, clusters, place, project, titled
from core.records import Progress, no_progress
from core.store import RunInfo, RunReader, Store, read_map, write_map

MAP_NAMES = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
"""The methods there are, in the order of the page, with their names for people."""

MOST_PLACED = 500
"""New lines, or messages of another run, placed on a map at once."""

_SEED = 0


def start_map(run_id: str, method: str) -> str:
    """Make a map in a process of its own; one that is being made is joined, not made twice.

    Args:
        run_id: a run whose messages have [CLS] vectors.
        method: a key of MAP_NAMES.

    Returns:
        The job's id.

    Raises:
        WorkbenchError: an unknown method, no such run, or no network ran on it.
    """
    file_name = _file_name(method)
    reader = RunReader(run_id)
    if len(reader.embeddings()[0]) == 0:
        raise WorkbenchError(
            f"{reader.info.name}: no network read this run, so its messages have no vectors; score the file with a "
            "model, or against itself without the quick look"
        )
    spec = {"map_of": run_id, "method": method, "file_name": file_name}
    if running := _jobs.running("map", spec):
        return running.job_id
    return _jobs.start("map", spec, f"{MAP_NAMES[method]} of {reader.info.name}")


def make_map(run_id: str, method: str, progress: Progress = no_progress) -> None:
    """The job's side of `start_map`."""
    reader = RunReader(run_id)
    text_ids, vectors = reader.embeddings()
    places = project(vectors, method, _SEED, progress)
    progress("finding clusters", 0, 1)
    # PCA is made while a page waits, and is no map of clusters.
    sought = method != "pca" or len(places) <= MOST_AT_ONCE
    found = clusters(places) if sought else np.full(len(places), -1)
    placed = pl.DataFrame({"text_id": text_ids.astype(np.uint32), "x": places[:, 0], "y": places[:, 1]}).with_columns(
        pl.Series("cluster", found, dtype=pl.Int32).replace(-1, None)
    )
    progress("storing the map", 0, 1)
    rows = reader.texts().select("text_id", "normalized_text", "level_class")
    placed = titled(placed, rows)
    # A text in several contexts has one vector: its rows lie in one place.
    placed = placed.join(rows, on="text_id", maintain_order="left").drop("text_id")
    write_map(run_id, _file_name(method), rows.join(placed, on=rows.columns[1:], maintain_order="left"))


def map_of(run_id: str, method: str) -> pl.DataFrame | None:
    """Where each message of a run lies.

    Args:
        run_id: the run.
        method: a key of MAP_NAMES; "pca" takes a moment and is made at once.

    Returns:
        text_id, x, y, cluster (null for none; of PCA above 5,000 messages none is sought) and its title, one row a
        message that has a vector (none where no network ran); None before the map is made.

    Raises:
        WorkbenchError: an unknown method, or no such run.
    """
    file_name = _file_name(method)
    if method == "pca" and read_map(run_id, file_name) is None:
        make_map(run_id, method)
    return read_map(run_id, file_name)


def maps(run_id: str) -> list[str]:
    """The methods whose map of this run can be shown at once."""
    return [method for method in MAP_NAMES if method == "pca" or read_map(run_id, _file_name(method)) is not None]


def place_lines(run_id: str, method: str, lines: Sequence[str]) -> pl.DataFrame:
    """New lines on the map of a run, none of whose points moves; the network that read the run reads them.

    Args:
        run_id: a run scored with a model that is still there.
        method: a map of `maps(run_id)`.
        lines: as written, at most MOST_PLACED; blank ones are left out.

    Returns:
        line, normalized_text, score (by the model, 0 to 1), x, y, nearest (text_id of the nearest message of the map),
        title of its cluster, distance to it (0 to 2) and far (the place says little), one row a line.

    Raises:
        WorkbenchError: no such map or model, another model since, too many lines, or none.
    """
    reader = RunReader(run_id)
    info = reader.info
    if info.model is None:
        raise WorkbenchError(
            f"{info.name} was scored against itself, and its network was not kept; train a model on it and score it "
            "with that, then new lines have a place"
        )
    wanted = [line for line in lines if line.strip()]
    if not wanted:
        raise InputError("there is no line to place; paste some")
    if len(wanted) > MOST_PLACED:
        raise InputError(f"at most {MOST_PLACED:,} lines are placed at once, not {len(wanted):,}; score them as a file")
    detector = load_model(info.model)
    if detector.facts_.get("created_utc") != info.learnt.get("created_utc"):
        raise WorkbenchError(f"model {info.model} was trained anew since {info.name} was scored; score the file again")
    read = [(line, *found) for line in wanted if (found := detector.tokenizer_.text_and_level(line)) is not None]
    rows = pl.DataFrame(read, schema=["line", "normalized_text", "level_class"], orient="row")
    texts = rows.group_by("normalized_text", "level_class", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("count"), pl.col("line").first().alias("example")
    )
    scored = detector.score(texts.with_row_index("text_id"))
    known = scored.select("normalized_text", "level_class", "score", "embedding")
    return _placed(reader, method, rows.join(known, on=["normalized_text", "level_class"], maintain_order="left"))


def place_run(run_id: str, method: str, other_id: str) -> pl.DataFrame:
    """Messages of another run on the map of this one, those with the highest scores first; as `place_lines`.

    Args:
        run_id: the run of the map.
        method: a map of `maps(run_id)`.
        other_id: a run of `placeable_runs(run_id)`; MOST_PLACED of its messages are placed.

    Raises:
        WorkbenchError: no such map or run, or another network read it.
    """
    reader, other = RunReader(run_id), RunReader(other_id)
    if not _same_network(reader.info, other.info):
        raise WorkbenchError(f"another network read {other.info.name}; score it with the model of {reader.info.name}")
    text_ids, vectors = other.embeddings()
    texts = other.texts().select("text_id", "normalized_text", "score")
    rows = (
        pl.DataFrame({"text_id": text_ids.astype(np.uint32), "embedding": list(vectors)})
        .join(texts, on="text_id", maintain_order="left")
        .sort("score", descending=True, maintain_order=True)
        .head(MOST_PLACED)
    )
    return _placed(reader, method, rows.with_columns(pl.col("normalized_text").alias("line")))


def placeable_runs(run_id: str) -> list[RunInfo]:
    """Runs whose messages `place_run` can place, newest first."""
    found = Store().runs()
    own = next((info for info in found if info.run_id == run_id), None)
    return [] if own is None else [info for info in found if info is not own and _same_network(own, info)]


def _same_network(info: RunInfo, other: RunInfo) -> bool:
    same_model = info.model is not None and info.model == other.model
    return same_model and info.learnt.get("created_utc") == other.learnt.get("created_utc")


def _placed(reader: RunReader, method: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows (line, normalized_text, score, embedding) with their places."""
    on_map = map_of(reader.info.run_id, method)
    text_ids, vectors = reader.embeddings()
    if on_map is None or len(text_ids) == 0:
        raise WorkbenchError(f"{reader.info.name} has no map by {MAP_NAMES[method]} yet; make it first")
    own = pl.DataFrame({"text_id": text_ids}).join(on_map, on="text_id", how="left", maintain_order="left")
    new = np.array(rows["embedding"].to_list(), dtype=np.float32)
    places, nearest, distances, far = place(vectors, own.select("x", "y").to_numpy(), new)
    return rows.select("line", "normalized_text", "score").with_columns(
        pl.Series("x", places[:, 0]),
        pl.Series("y", places[:, 1]),
        pl.Series("nearest", text_ids[nearest]),
        own["title"].gather(nearest).alias("title"),
        pl.Series("distance", distances, dtype=pl.Float64),
        pl.Series("far", far),
    )


def _file_name(method: str) -> str:
    """Method and parameters: a map made with others is another map."""
    if method not in METHODS:
        raise WorkbenchError(f"there is no map {method!r}; choose {', '.join(METHODS)}")
    return "-".join([method, *(f"{name}{value:g}" for name, value in METHODS[method].items()), f"seed{_SEED}"])

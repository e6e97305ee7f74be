"""Maps of a run's messages: made by a job, kept with the run."""

from __future__ import annotations

import numpy as np
import polars as pl

from core import jobs as _jobs
from core.errors import WorkbenchError
from core.projection import METHODS, project
from core.records import Progress, no_progress
from core.store import RunReader, read_map, write_map

MAP_NAMES = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
"""The methods there are, in the order of the page, with their names for people."""

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
    progress("storing the map", 0, 1)
    found = pl.DataFrame({"text_id": text_ids.astype(np.uint32), "x": places[:, 0], "y": places[:, 1]})
    # A text in several contexts has one vector: its rows lie in one place.
    rows = reader.texts().select("text_id", "normalized_text", "level_class")
    placed = found.join(rows, on="text_id", maintain_order="left").drop("text_id")
    write_map(run_id, _file_name(method), rows.join(placed, on=rows.columns[1:], maintain_order="left"))


def map_of(run_id: str, method: str) -> pl.DataFrame | None:
    """Where each message of a run lies.

    Args:
        run_id: the run.
        method: a key of MAP_NAMES; "pca" takes a moment and is made at once.

    Returns:
        text_id, x, y, one row a message that has a vector (none where no network ran); None before the map is made.

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


def _file_name(method: str) -> str:
    """Method and parameters: a map made with others is another map."""
    if method not in METHODS:
        raise WorkbenchError(f"there is no map {method!r}; choose {', '.join(METHODS)}")
    return "-".join([method, *(f"{name}{value:g}" for name, value in METHODS[method].items()), f"seed{_SEED}"])

"""Where a run's messages lie on a map: Parquet in the run's folder, so that it goes when the run goes."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from core.store.run_info import run_folder, store_errors

MAP_SCHEMA = {"text_id": pl.Int64, "x": pl.Float32, "y": pl.Float32, "cluster": pl.Int32, "title": pl.String}
"""A message, its place, its cluster (null for none) and that one's title."""


def write_map(run_id: str, name: str, places: pl.DataFrame) -> None:
    """Keep a map, seen whole or not at all; an earlier one of this name is replaced.

    Args:
        run_id: a stored run.
        name: method and parameters, fit for a file name.
        places: a frame of MAP_SCHEMA, one row a message.

    Raises:
        StoreError: where the run is gone, or there is no disk space.
    """
    path = _path(run_id, name)
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with store_errors(str(path)):
        try:
            places.select(pl.col(column).cast(kind) for column, kind in MAP_SCHEMA.items()).write_parquet(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def read_map(run_id: str, name: str) -> pl.DataFrame | None:
    """The map, a frame of MAP_SCHEMA; None where none of this name is kept, or only a damaged or an older one.

    Raises:
        StoreError: where the disk refuses to read it.
    """
    path = _path(run_id, name)
    if not path.exists():
        return None
    with store_errors(str(path)):
        try:
            found = pl.read_parquet(path.read_bytes())
        except pl.exceptions.PolarsError:  # to be made again, which replaces it
            return None
    return found if found.schema == MAP_SCHEMA else None


def _path(run_id: str, name: str) -> Path:
    return run_folder(run_id) / f"map-{name}.parquet"

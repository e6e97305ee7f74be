"""A run's Parquet files as tables of an in-memory DuckDB, and the mutes that hold for its messages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import polars as pl

from core.config import home
from core.errors import WorkbenchError
from core.store.mutes import Mutes
from core.store.run_info import read_run_info, run_folder, store_errors

_MEMORY = "512MB"  # a page may hold several runs open; above it DuckDB spills to the data folder


class RunTables:
    """The tables that questions about a run are put to. Every value is bound, never formatted.

    `lines` is the file, `answers` all that is stored of its texts. `texts` is held in memory: what every line is joined
    with, and `muted`, true for messages that were muted when the run was opened; what only the detail of one line
    shows stays on disk.
    """

    def __init__(self, run_id: str) -> None:
        self.info = read_run_info(run_id)
        self._folder = run_folder(run_id).resolve()
        self._place = f"run {run_id} cannot be read (delete it and score the file again)"
        muted = Mutes().texts()
        with store_errors(self._place):
            self._connection = duckdb.connect(config={"memory_limit": _MEMORY, "autoinstall_known_extensions": False})
            self._connection.execute("SET temp_directory = ?", [str(home() / "spill")])
            answers = self._connection.read_parquet(str(self._folder / "texts.parquet"))
            if "context" not in answers.columns:  # a run of before there was any
                answers = answers.project("*, 0.0::DOUBLE AS context")
            answers.create_view("answers")
            self._connection.execute(
                """
                CREATE TABLE texts AS SELECT * EXCLUDE
                    (example, tokens, surprise, expected, expected_p, nearest, embedding),
                    normalized_text IN (SELECT unnest(?::VARCHAR[])) AS muted
                FROM answers
                """,
                [muted],
            )
            self._connection.read_parquet(str(self._folder / "lines.parquet")).create_view("lines")

    def files_of(self, line_nos: pl.Series) -> pl.Series:
        """The input each of these lines came from; null where the run has only one."""
        if not self.info.files:
            return pl.Series("file", [None] * len(line_nos), dtype=pl.String)
        names, firsts = zip(*self.info.files, strict=True)
        at = np.searchsorted(np.array(firsts), line_nos.to_numpy(), side="right") - 1  # an empty input has no line
        return pl.Series("file", names, dtype=pl.String).gather(at)

    def _frame(self, query: str, values: list[Any] | dict[str, Any], most_seconds: float | None = None) -> pl.DataFrame:
        """What the query gives.

        Args:
            query: with a place for each value.
            values: bound in these places.
            most_seconds: it is stopped after.

        Raises:
            StoreError: the run cannot be read.
            WorkbenchError: it was stopped.
        """
        with store_errors(self._place), self._cursor() as cursor:
            watch = None if most_seconds is None else threading.Timer(most_seconds, cursor.interrupt)
            try:
                if watch is not None:
                    watch.start()
                frame = pl.from_arrow(cursor.sql(query, params=values).to_arrow_table())
            except duckdb.InterruptException as stopped:
                raise WorkbenchError(
                    f"the search was stopped after {most_seconds:g} s; search for a plain text, or set a filter first"
                ) from stopped
            finally:
                if watch is not None:
                    watch.cancel()
        assert isinstance(frame, pl.DataFrame)  # noqa: S101  for the type checker
        return frame

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._connection.cursor()  # a connection serves one thread at a time; a cursor is its own
        try:
            yield cursor
        finally:
            cursor.close()

"""The small DuckDB file of what changes: registered runs, thresholds, verdicts and mutes.

A process that has the file open for writing locks every other one out, readers too, and in one process a read-only
connection beside a read-write one is refused. So it is always opened read-write, for one call, and retried.
"""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from core.config import home
from core.errors import StoreError, WorkbenchError
from core.store.run_info import RunInfo, read_run_info, run_folder, runs_folder, store_errors
from core.store.run_writer import remove_unfinished_runs

LOCK_SECONDS = 10.0  # how long a call waits for another process

MIGRATIONS = (  # only ever appended to; number n is the n-th, from 1
    """
    CREATE TABLE runs (run_id VARCHAR PRIMARY KEY, created_utc VARCHAR NOT NULL, info VARCHAR NOT NULL);
    CREATE SEQUENCE threshold_ids;
    CREATE TABLE thresholds (
        threshold_id BIGINT PRIMARY KEY DEFAULT nextval('threshold_ids'),
        run_id VARCHAR NOT NULL,
        value DOUBLE NOT NULL,
        set_by VARCHAR NOT NULL,
        at_utc VARCHAR NOT NULL
    );
    """,
    """
    CREATE SEQUENCE act_ids;
    CREATE TABLE verdicts (
        act_id BIGINT NOT NULL,
        line_hash VARCHAR NOT NULL,
        occurrence BIGINT NOT NULL,
        line VARCHAR NOT NULL,
        line_bytes BIGINT NOT NULL,
        run_id VARCHAR NOT NULL,
        run_name VARCHAR NOT NULL,
        line_no BIGINT NOT NULL,
        label VARCHAR,
        note VARCHAR NOT NULL,
        judged_by VARCHAR NOT NULL,
        at_utc VARCHAR NOT NULL
    );
    """,
    """
    CREATE SEQUENCE mute_ids;
    CREATE TABLE mutes (
        mute_id BIGINT PRIMARY KEY DEFAULT nextval('mute_ids'),
        normalized_text VARCHAR NOT NULL,
        reason VARCHAR NOT NULL,
        until_utc VARCHAR NOT NULL,
        muted_by VARCHAR NOT NULL,
        at_utc VARCHAR NOT NULL,
        ended_utc VARCHAR
    );
    """,
    """
    CREATE TABLE flow_verdicts (
        act_id BIGINT NOT NULL,
        flow_no BIGINT NOT NULL,
        protocol VARCHAR NOT NULL,
        source VARCHAR NOT NULL,
        source_port BIGINT NOT NULL,
        destination VARCHAR NOT NULL,
        destination_port BIGINT NOT NULL,
        first_utc TIMESTAMP,
        packets BIGINT NOT NULL,
        bytes BIGINT NOT NULL,
        run_id VARCHAR NOT NULL,
        run_name VARCHAR NOT NULL,
        label VARCHAR,
        note VARCHAR NOT NULL,
        judged_by VARCHAR NOT NULL,
        at_utc VARCHAR NOT NULL
    );
    """,
)

_IN_PROCESS = threading.Lock()  # two transactions of one process that write the same row would conflict
_log = logging.getLogger(__name__)


class Store:
    """Runs and what analysts decided about them. Holds nothing open; safe from any thread or process."""

    def register(self, run_id: str) -> None:
        """Enter a finished run, once; `runs` does the same for those that were missed.

        Raises:
            StoreError: where the run is missing or damaged, or the database stays locked.
        """
        info = read_run_info(run_id)
        with self.connection() as connection:
            _insert(connection, info)

    def runs(self) -> list[RunInfo]:
        """All runs, newest first. Run folders found on disk are registered, vanished ones dropped."""
        remove_unfinished_runs()
        with store_errors(str(runs_folder())):
            folders = runs_folder().iterdir() if runs_folder().is_dir() else []
            on_disk = {folder.name for folder in folders if folder.is_dir() and "." not in folder.name}
        with self.connection() as connection:
            registered = {run_id for (run_id,) in connection.execute("SELECT run_id FROM runs").fetchall()}
            for run_id in registered - on_disk:
                _delete(connection, run_id)
            for run_id in on_disk - registered:
                try:
                    _insert(connection, read_run_info(run_id))
                except StoreError as error:  # one damaged run must not hide the others
                    _log.warning("%s", error)
            rows = connection.execute("SELECT info FROM runs ORDER BY created_utc DESC, run_id DESC").fetchall()
        return [RunInfo.from_json(text, str(self._path())) for (text,) in rows]

    def threshold(self, run_id: str) -> float:
        """The value set last for this run, else the bundle's own; 0 to 1."""
        info = read_run_info(run_id)
        with self.connection() as connection:
            row = connection.execute(
                "SELECT value FROM thresholds WHERE run_id = ? ORDER BY threshold_id DESC LIMIT 1", [run_id]
            ).fetchone()
        return float(row[0]) if row else info.threshold

    def set_thresholds(self) -> dict[str, float]:
        """The value set last for each run that one was set for."""
        with self.connection() as connection:
            rows = connection.execute("SELECT run_id, arg_max(value, threshold_id) FROM thresholds GROUP BY run_id")
            return dict(rows.fetchall())

    def thresholds(self, run_id: str) -> list[tuple[float, str, str]]:
        """Values set for this run, newest first: value, by whom, when (ISO 8601)."""
        with self.connection() as connection:
            return connection.execute(
                "SELECT value, set_by, at_utc FROM thresholds WHERE run_id = ? ORDER BY threshold_id DESC", [run_id]
            ).fetchall()

    def set_threshold(self, run_id: str, value: float, by: str = "analyst") -> None:
        """Set the threshold of a run; the earlier ones are kept as history.

        Raises:
            WorkbenchError: where the value is not within 0 to 1.
            StoreError: where there is no such run, or the database stays locked.
        """
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise WorkbenchError(f"a threshold lies between 0 and 1, found {value}")
        read_run_info(run_id)
        with self.connection() as connection:
            connection.execute(
                "INSERT INTO thresholds (run_id, value, set_by, at_utc) VALUES (?, ?, ?, ?)",
                [run_id, value, by, datetime.now(UTC).isoformat()],
            )

    def delete_run(self, run_id: str) -> None:
        """Remove a run and its thresholds, but no verdict; nothing happens where it is gone already."""
        folder = run_folder(run_id)
        doomed = folder.with_name(f"{run_id}.tmp")  # renamed first: a half-deleted run is never seen
        with store_errors(str(folder)):
            if folder.exists():
                folder.rename(doomed)
                shutil.rmtree(doomed, ignore_errors=True)
        with self.connection() as connection:
            _delete(connection, run_id)

    def state(self) -> tuple[object, ...]:
        """Differs after every change, by any process; for what keeps answers of this package."""
        with store_errors(self._path()):
            files = [Path(self._path()), Path(f"{self._path()}.wal")]
            facts = [path.stat() for path in files if path.exists()]
        return (self._path(), *((fact.st_ino, fact.st_size, fact.st_mtime_ns) for fact in facts))

    @staticmethod
    def _path() -> str:
        return str(home() / "workbench.duckdb")

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction on the database, committed where the block ends well; for this package only."""
        with _IN_PROCESS, store_errors(self._path()):
            home().mkdir(parents=True, exist_ok=True)
            connection = _open(self._path())
            try:
                connection.execute("BEGIN")
                _migrate(connection, self._path())
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()  # rolls back what was not committed


def _open(path: str) -> duckdb.DuckDBPyConnection:
    give_up_at = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return duckdb.connect(path)
        except duckdb.IOException as error:
            if "not a valid DuckDB database" in str(error):
                raise StoreError(
                    f"{path}: not a database any more; move it away: runs are found again, set thresholds and "
                    "verdicts are lost"
                ) from error
            if "lock" not in str(error):
                raise
            if time.monotonic() >= give_up_at:
                raise StoreError(
                    f"{path}: another program has held the database for {LOCK_SECONDS:.0f} s; close it and try again"
                ) from error
            time.sleep(0.02)


def _migrate(connection: duckdb.DuckDBPyConnection, path: str) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, at_utc VARCHAR NOT NULL)")
    [(done,)] = connection.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchall()
    if done > len(MIGRATIONS):
        raise StoreError(
            f"{path}: written by a newer workbench (database version {done}, this one knows {len(MIGRATIONS)}); "
            "update the workbench or move the file away"
        )
    for number, statements in enumerate(MIGRATIONS[done:], start=done + 1):
        connection.execute(statements)
        connection.execute("INSERT INTO migrations VALUES (?, ?)", [number, datetime.now(UTC).isoformat()])


def _insert(connection: duckdb.DuckDBPyConnection, info: RunInfo) -> None:
    connection.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?)", [info.run_id, info.created_utc, info.to_json()])


def _delete(connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
    connection.execute("DELETE FROM thresholds WHERE run_id = ?", [run_id])
    connection.execute("DELETE FROM runs WHERE run_id = ?", [run_id])

"""Writes a run: into `<run_id>.tmp`, renamed when whole, so that a half-written run is never seen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import StoreError
from core.records import EVERYDAY_SCHEMA, LOG_TABLE_SCHEMA, TEXTS_SCHEMA
from core.store.run_info import COLUMN, RunInfo, read_run_info, run_folder, runs_folder, store_errors

_REPEATED = ["level", "host", "component", "rejection"]  # few distinct values: worth a dictionary
_PAGE_BYTES = 16_384  # small: 200 scattered lines read in half the time that the default of 1 MiB takes
_GROUP_ROWS = 131_072
_SETTLED_SECONDS = 60.0  # a writer makes its folder a moment before it locks it
_ANSWER_SCHEMA = {
    "score": pl.Float64,  # fused, 0 to 1, higher is more abnormal
    "reason": pl.String,
    "tokens": pl.List(pl.String),  # of the text, in order
    "surprise": pl.List(pl.Float32),  # of each token; empty where no network ran
    "expected": pl.List(pl.String),  # the likeliest token in the place of each; empty where no network ran
    "expected_p": pl.List(pl.Float32),  # its probability
    "nearest": pl.String,  # the nearest normal text
    "embedding": pl.List(pl.Float32),  # [CLS] vector; null where no network ran, and beyond a number of texts
    "context": pl.Float64,  # what the other lines of its source raised the score by; 0 where it stands for itself
}
_SESSIONS_SCHEMA = {
    "session": pl.String,
    "n_lines": pl.Int64,
    "score": pl.Float64,
    "first_line_no": pl.Int64,
}


class RunWriter:
    """Context manager; leaving it without `finish` removes what was written.

    Example:
        with RunWriter(run_id) as writer:
            for chunk in chunks:
                writer.add_lines(chunk)
            writer.finish(texts, info)
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._folder = run_folder(run_id)
        self._partial = self._folder.with_name(f"{run_id}.tmp")
        self._lines: pq.ParquetWriter | None = None
        self._lock: int | None = None
        self._n_lines = self._n_blank = self._n_rejected = 0
        self._first: datetime | None = None
        self._last: datetime | None = None

    def __enter__(self) -> Self:
        with store_errors(str(self._partial)):
            if self._folder.exists():
                raise StoreError(f"{self._folder}: a run of this name is stored already")
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial.mkdir(parents=True)
            self._lock = os.open(self._partial, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX)  # gone with this process: tells a writer from the leavings of one
            self._lines = _lines_writer(self._partial / "lines.parquet")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def add_lines(self, lines: pl.DataFrame) -> None:
        """Append the next lines, a frame of LOG_TABLE_SCHEMA; one row group or more."""
        if self._lines is None:
            raise StoreError(f"run {self.run_id} is not open for writing")
        lines = _checked(lines, LOG_TABLE_SCHEMA, "lines")
        if lines.is_empty():
            return
        with store_errors(str(self._partial)):
            self._lines.write_table(_arrow(lines), row_group_size=_GROUP_ROWS)
        self._n_lines += len(lines)
        self._n_blank += lines["text_id"].null_count()
        self._n_rejected += len(lines) - lines["rejection"].null_count()
        times = lines["timestamp_utc"]
        if times.null_count() < len(lines):
            first, last = times.min(), times.max()
            assert isinstance(first, datetime) and isinstance(last, datetime)  # noqa: S101  for the type checker
            self._first = min(first, self._first or first)
            self._last = max(last, self._last or last)

    def take_lines(self, run_id: str) -> None:
        """Have the lines of a stored run, instead of `add_lines`. A run never changes, so the file is shared on disk.

        Raises:
            StoreError: where there is no such run.
        """
        if self._lines is None:
            raise StoreError(f"run {self.run_id} is not open for writing")
        info = read_run_info(run_id)
        source, target = run_folder(run_id) / "lines.parquet", self._partial / "lines.parquet"
        with store_errors(str(source)):
            self._lines.close()
            target.unlink()
            try:
                target.hardlink_to(source)
            except OSError:  # a file system without links
                shutil.copyfile(source, target)
        self._n_lines, self._n_blank, self._n_rejected = info.n_lines, info.n_blank, info.n_rejected
        self._first, self._last = (
            datetime.fromisoformat(time.removesuffix("Z")) if time else None for time in (info.first_utc, info.last_utc)
        )

    def renumber(self, renumbered: Callable[[pl.DataFrame], pl.DataFrame], n_texts: int) -> list[str]:
        """Give lines other texts, row group by row group; no lines can be added afterwards.

        Args:
            renumbered: lines in, the same lines with another text_id out; blank ones have none before and after.
            n_texts: there are then, text_id from 0; each has a line.

        Returns:
            The first raw line of each text.

        Raises:
            StoreError: where there is no disk space.
        """
        if self._lines is None:
            raise StoreError(f"run {self.run_id} is not open for writing")
        path, former = self._partial / "lines.parquet", self._partial / "lines.former"
        examples = [""] * n_texts
        seen = np.zeros(n_texts, dtype=bool)
        with store_errors(str(path)):
            self._lines.close()
            path.rename(former)
            with pq.ParquetFile(former) as groups, _lines_writer(path) as writer:
                for number in range(groups.num_row_groups):
                    lines = pl.DataFrame(pl.from_arrow(groups.read_row_group(number)))
                    lines = _checked(renumbered(lines), LOG_TABLE_SCHEMA, "lines")
                    writer.write_table(_arrow(lines), row_group_size=_GROUP_ROWS)
                    firsts = lines.select("text_id", "raw").drop_nulls("text_id").unique("text_id", keep="first")
                    for text_id, raw in firsts.filter(~pl.Series(seen).gather(firsts["text_id"])).iter_rows():
                        examples[text_id] = raw
                    seen[firsts["text_id"].to_numpy()] = True
            former.unlink()
        return examples

    def finish(
        self,
        texts: pl.DataFrame,
        info: dict[str, Any],
        sessions: pl.DataFrame | None = None,
        everyday: pl.DataFrame | None = None,
    ) -> RunInfo:
        """Write the answers and give the run its name.

        Args:
            texts: TEXTS_SCHEMA and score, reason, tokens, surprise, expected, expected_p, nearest, embedding; and for
                each scorer of `info["scorers"]` its calibrated score `<name>` and its raw score `raw_<name>`. Perhaps
                context, for texts judged in it; else 0 is stored.
            info: fields of RunInfo; those the writer counts itself (lines, texts, times) need not be given.
            sessions: session, n_lines, score, first_line_no, one row a session.
            everyday: EVERYDAY_SCHEMA, where the detector knows what everyday lines score.

        Returns:
            The run's facts as stored.

        Raises:
            StoreError: where the texts do not fit the lines, or there is no disk space.
        """
        if self._lines is None:
            raise StoreError(f"run {self.run_id} is not open for writing")
        scorers = info["scorers"]
        if bad := [scorer for scorer in scorers if not COLUMN.fullmatch(scorer)]:
            raise StoreError(f"run {self.run_id}: a scorer cannot be named {bad[0]!r}")
        schema = TEXTS_SCHEMA | _ANSWER_SCHEMA
        schema |= dict.fromkeys([*scorers, *(f"raw_{scorer}" for scorer in scorers)], pl.Float64)
        if "context" not in texts.columns:
            texts = texts.with_columns(pl.lit(0.0).alias("context"))
        texts = _checked(texts, schema, "texts")
        if texts["count"].sum() + self._n_blank != self._n_lines:
            raise StoreError(
                f"run {self.run_id}: the texts stand for {texts['count'].sum()} lines and {self._n_blank} are blank, "
                f"but {self._n_lines} lines were written"
            )
        counted = {
            "run_id": self.run_id,
            "n_lines": self._n_lines,
            "n_texts": texts["normalized_text"].n_unique(),
            "n_rejected": self._n_rejected,
            "n_blank": self._n_blank,
            "first_utc": self._first and f"{self._first.isoformat()}Z",
            "last_utc": self._last and f"{self._last.isoformat()}Z",
        }
        run_info = RunInfo(**{"created_utc": datetime.now(UTC).isoformat(), **info, **counted})
        with store_errors(str(self._partial)):
            self._lines.close()
            self._lines = None
            pq.write_table(_arrow(texts), self._partial / "texts.parquet", compression="zstd")
            if sessions is not None:
                table = _arrow(_checked(sessions, _SESSIONS_SCHEMA, "sessions"))
                pq.write_table(table, self._partial / "sessions.parquet", compression="zstd")
            if everyday is not None:
                table = _arrow(_checked(everyday, EVERYDAY_SCHEMA, "everyday lines"))
                pq.write_table(table, self._partial / "everyday.parquet", compression="zstd")
            (self._partial / "run.json").write_text(run_info.to_json(), "utf-8")
            for path in [*self._partial.iterdir(), self._partial]:
                _to_disk(path)
            self._partial.rename(self._folder)
            _to_disk(self._folder.parent)
        return run_info

    def abort(self) -> None:
        """Remove what was written; nothing happens after `finish`."""
        if self._lines is not None:
            with contextlib.suppress(OSError):  # a full disk cannot take the footer either; the file goes anyway
                self._lines.close()
            self._lines = None
        shutil.rmtree(self._partial, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def remove_unfinished_runs() -> None:
    """Remove what killed writers left behind; folders still being written stay."""
    for partial in runs_folder().glob("*.tmp"):
        with contextlib.suppress(OSError):
            handle = os.open(partial, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(handle).st_mtime > _SETTLED_SECONDS:
                    shutil.rmtree(partial, ignore_errors=True)
            finally:
                os.close(handle)


def _checked(frame: pl.DataFrame, schema: dict[str, Any], what: str) -> pl.DataFrame:
    if missing := [name for name in schema if name not in frame.columns]:
        raise StoreError(f"the table of {what} lacks the column {', '.join(missing)}")
    return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())


def _lines_writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        _arrow(_checked(pl.DataFrame(schema=list(LOG_TABLE_SCHEMA)), LOG_TABLE_SCHEMA, "lines")).schema,
        compression="zstd",
        use_dictionary=_REPEATED,
        data_page_size=_PAGE_BYTES,
    )


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())  # string views are not for Parquet


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

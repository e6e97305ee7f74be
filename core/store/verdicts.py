"""What analysts said of lines, kept by content, so that it outlives the run and is found again in later ones.

A line is known by its text as written and by which occurrence of that very text in its file it is, from 1. Acts are
appended; the newest one about a line counts, and undoing takes the newest act back.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import polars as pl

from core.errors import StoreError
from core.store.acts import append_act, check_act, newest_acts, take_back_act
from core.store.database import Store
from core.store.run_info import read_run_info, run_folder, store_errors

WHOLE_BYTES = 4_096  # a line up to this size is kept whole; of a longer one its beginning, and its hash finds it
_BEGINNING_CHARS = 1_000

_KEY = ["line_hash", "occurrence"]
_PLACES = {"line_hash": pl.String, "occurrence": pl.Int64, "line_no": pl.Int64, "text_id": pl.UInt32}


class Verdicts:
    """Labels and notes of lines. Holds nothing open; safe from any thread or process."""

    def add(self, run_id: str, line_nos: Sequence[int], label: str | None, note: str, by: str) -> None:
        """Judge lines of a run in one act.

        Args:
            run_id: the run whose lines are meant.
            line_nos: 1 to MOST_JUDGED line numbers of it.
            label: one of LABELS; None takes a verdict away and leaves the note, which may be empty.
            note: replaces an earlier one.
            by: who judges.

        Raises:
            WorkbenchError: for another label, too long a note, no or too many lines.
            StoreError: where there is no such run or line, or the database stays locked.
        """
        check_act(label, note, line_nos, "lines")
        info = read_run_info(run_id)
        lines = _content(run_id, sorted(set(line_nos)))
        given = lines.select(*_KEY, "line", "line_bytes", "line_no")
        append_act("verdicts", given, run_id, info.name, label, note, by)
        _places(run_id).remember(lines)

    def undo(self, run_id: str, by: str) -> list[int]:
        """Take back the newest act of this analyst in this run; what was said before it counts again.

        Returns:
            The line numbers it was about, ascending; empty where there is nothing to undo.
        """
        read_run_info(run_id)
        return take_back_act("verdicts", "line_no", run_id, by)

    def current(self) -> pl.DataFrame:
        """What counts now, in the order it was said.

        Returns:
            line_no, label (null for a note alone), note, by, at_utc (ISO 8601), line (a long one shortened), run_id and
            run_name of the run it was said in, whose line_no it is; line_hash, occurrence, line_bytes.
        """
        return _current(Store().state())

    def of_run(self, run_id: str) -> pl.DataFrame:
        """What counts now of the lines of one run, wherever it was said, by line number.

        Returns:
            As `current`, but line_no is this run's; and text_id.

        Raises:
            StoreError: where there is no such run, or it is damaged.
        """
        read_run_info(run_id)
        current = self.current()
        places = _places(run_id).of(current.select(*_KEY, "line", "line_bytes"))
        found = current.drop("line_no").join(places, on=_KEY, how="inner")
        return found.filter(pl.col("line_no").is_not_null()).sort("line_no").select(*current.columns, "text_id")


@lru_cache(maxsize=1)  # opening the database takes longer than all the rest of a page
def _current(state: tuple[object, ...]) -> pl.DataFrame:
    frame = newest_acts("verdicts", _KEY, "line_no")
    return frame.select(
        "line_no", "label", "note", pl.col("judged_by").alias("by"), "at_utc", "line", "run_id", "run_name",
        *_KEY, "line_bytes",
    )  # fmt: skip


# ---- from lines to their content, and back


class _Places:
    """Where the lines of verdicts stand in one run. A run never changes, so each is looked for once."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._known = pl.DataFrame(schema=_PLACES)
        self._lock = threading.Lock()

    def of(self, keys: pl.DataFrame) -> pl.DataFrame:
        """line_hash, occurrence, line_no, text_id of `keys` and of others asked before; null where not in the run."""
        with self._lock:
            new = keys.join(self._known, on=_KEY, how="anti")
            if not new.is_empty():
                found = new.select(_KEY).join(_found(self._run_id, new), on=_KEY, how="left")
                self._known = pl.concat([self._known, found.select(*_PLACES)])
            return self._known

    def remember(self, places: pl.DataFrame) -> None:
        """Spare the search for lines whose place is known."""
        with self._lock:
            new = places.select(*_PLACES).join(self._known, on=_KEY, how="anti")
            self._known = pl.concat([self._known, new])


@lru_cache(maxsize=8)
def _places_of(run_id: str, path: Path, written_ns: int) -> _Places:
    return _Places(run_id)


def _places(run_id: str) -> _Places:
    path = run_folder(run_id) / "lines.parquet"
    with store_errors(str(path)):
        return _places_of(run_id, path, path.stat().st_mtime_ns)


def _content(run_id: str, line_nos: list[int]) -> pl.DataFrame:
    """line_no, text_id, line, line_bytes, line_hash and occurrence of lines of a run."""
    with _lines(run_id) as lines:
        asked = lines.filter(pl.col("line_no").is_in(line_nos)).select("line_no", "raw").collect()
        if missing := set(line_nos) - set(asked["line_no"]):
            raise StoreError(f"run {run_id} has no line {min(missing)}")
        same = lines.filter(pl.col("raw").is_in(asked["raw"].unique().implode())).select(*_WANTED)
        rows = _counted(same.collect(engine="streaming")).join(asked.select("line_no"), on="line_no", how="semi")
    size = pl.col("raw").str.len_bytes().cast(pl.Int64)
    line = pl.when(size <= WHOLE_BYTES).then("raw").otherwise(pl.col("raw").str.head(_BEGINNING_CHARS))
    return rows.with_columns(line=line, line_bytes=size).drop("raw")


def _found(run_id: str, keys: pl.DataFrame) -> pl.DataFrame:
    """line_hash, occurrence, line_no and text_id of the run's lines that may be those of the keys."""
    whole = pl.col("line_bytes") <= WHOLE_BYTES
    texts, sizes = keys.filter(whole)["line"].unique(), keys.filter(~whole)["line_bytes"].unique()
    raw, size = pl.col("raw"), pl.col("raw").str.len_bytes().cast(pl.Int64)
    with _lines(run_id) as lines:
        rows = lines.filter(raw.is_in(texts.implode()) | size.is_in(sizes.implode())).select(*_WANTED)
        return _counted(rows.collect(engine="streaming")).select(*_PLACES)


_WANTED = ("line_no", "text_id", "raw")


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    """Every line of a run that has one of some texts, with line_hash and occurrence."""
    texts = rows.select("raw").unique()
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts["raw"]]
    hashed = rows.join(texts.with_columns(line_hash=pl.Series(hashes, dtype=pl.String)), on="raw")
    return hashed.with_columns(occurrence=pl.col("line_no").rank("ordinal").over("line_hash").cast(pl.Int64))


@contextmanager
def _lines(run_id: str) -> Iterator[pl.LazyFrame]:
    path = run_folder(run_id) / "lines.parquet"
    try:
        with store_errors(str(path)):
            yield pl.scan_parquet(path, glob=False)
    except pl.exceptions.PolarsError as error:
        raise StoreError(f"run {run_id} cannot be read (delete it and score the file again): {error}") from error

"""A run's facts and its place on disk."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from core.config import home
from core.errors import StoreError

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")  # no dot: never a path, never a *.tmp
COLUMN = re.compile(r"[a-z][a-z0-9_]*")  # scorer names become SQL identifiers
_FULL_DISK = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))  # DuckDB and Polars hand on words, no number


@dataclass(frozen=True)
class RunInfo:
    """What is known of one scoring of one input; `run.json`.

    Attributes:
        run_id: name of the run's folder.
        name: the input's file name, for people.
        source_path: where the input was read from.
        model: the bundle's name, or None where the run was fit on the input itself.
        created_utc: ISO 8601.
        n_lines: physical lines, blank and rejected ones too.
        n_texts: distinct normalized texts.
        n_rejected: lines not read as their format says.
        n_blank: lines without a text; their score is 0.
        threshold: the bundle's own, or where the scores part in context, 0 to 1; a line is flagged at or above it.
        session_threshold: the same for sessions, or None.
        scorers: names, in the order of columns.
        weights: scorer name to its weight in the fused score.
        first_utc: earliest timestamp, ISO 8601, or None where no line has one.
        last_utc: latest timestamp, ISO 8601, or None.
        format: the detected or chosen log format.
        notes: remarks for the analyst.
        seconds: duration of the whole work, the opening of a bundle apart.
        lines_per_second: throughput of the same.
        config: the resolved settings.
        learnt: what the detector that scored it says of its own learning: when, from how much, the hash of that data.
        context: whether lines were judged in the context of their source, or session, too.
        files: where several inputs were read as one, each one's name and the number of its first line, in order.
        more_paths: where those after the first were read from; empty in runs of older versions too.
        reweighed_from: the run whose scores this one fused anew with other weights, or None.
        rescored_from: the run that this one scored anew with what analysts had said of its lines, or None.
        verdicts: what it counted of that: normal and abnormal (messages), and sha256 of which they were; else empty.
    """

    run_id: str
    name: str
    created_utc: str
    n_lines: int
    n_texts: int
    n_rejected: int
    n_blank: int
    threshold: float
    scorers: list[str]
    source_path: str = ""
    model: str | None = None
    session_threshold: float | None = None
    weights: dict[str, float] = field(default_factory=dict)
    first_utc: str | None = None
    last_utc: str | None = None
    format: str = ""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    lines_per_second: float = 0.0
    config: dict[str, Any] = field(default_factory=dict)
    learnt: dict[str, Any] = field(default_factory=dict)
    context: bool = False
    files: list[tuple[str, int]] = field(default_factory=list)
    more_paths: list[str] = field(default_factory=list)
    reweighed_from: str | None = None
    rescored_from: str | None = None
    verdicts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text of `run.json`."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str, source: str) -> RunInfo:
        """Read what `to_json` wrote.

        Raises:
            StoreError: where it is damaged.
        """
        try:
            info = cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise StoreError(f"{source}: the run's description is damaged: {error}; score the file again") from error
        if not RUN_ID.fullmatch(info.run_id) or not all(COLUMN.fullmatch(scorer) for scorer in info.scorers):
            raise StoreError(f"{source}: the run's description is damaged: names not allowed; score the file again")
        return info


def new_run_id() -> str:
    """A name for a run not used before; sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def runs_folder() -> Path:
    """The folder of all runs; not created here."""
    return home() / "runs"


def run_folder(run_id: str) -> Path:
    """The run's folder, which may not exist.

    Raises:
        StoreError: for a name no run can have, as it may come from a URL.
    """
    if not RUN_ID.fullmatch(run_id):
        raise StoreError(f"{run_id!r} is not the name of a run; `python -m core runs` lists them")
    return runs_folder() / run_id


def read_run_info(run_id: str) -> RunInfo:
    """The facts of a finished run.

    Raises:
        StoreError: where there is no such run or its description is damaged.
    """
    path = run_folder(run_id) / "run.json"
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(f"there is no run {run_id} in {runs_folder()}; `python -m core runs` lists them") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    return RunInfo.from_json(text, str(path))


@contextmanager
def store_errors(place: str) -> Iterator[None]:
    """Turn what the file system and DuckDB raise into a StoreError that says where and what to do."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        text = str(error).strip()
        if any(words in text for words in _FULL_DISK):
            raise StoreError(
                f"{place}: no disk space left; free some and try again (stored runs are intact)"
            ) from error
        if isinstance(error, OSError):
            text = error.strerror or text
        raise StoreError(f"{place}: {text.splitlines()[0] if text else type(error).__name__}") from error

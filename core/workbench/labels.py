"""Labels of a stored run's lines: where there are any, and what they say. Never read in train or score."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import polars as pl

from core.config import Config, ReadConfig
from core.errors import InputError, WorkbenchError
from core.ingest.chunk import NoLabelsError
from core.ingest.files import read_chunks
from core.ingest.labels import SUFFIX, check_labels, label_stem, labels_beside, read_labelled_csv, read_labels
from core.store import RunInfo, RunReader
from core.workbench.runs import inbox
from core.workbench.verdicts import verdicts

INPUT, VERDICTS = "input", "verdicts"


@dataclass(frozen=True)
class LabelSource:
    """One place that holds labels of a run's lines.

    Attributes:
        key: what `labels` takes: "input", "verdicts", or the path of a label file.
        name: for people.
        n_normal: labelled lines.
        n_abnormal: labelled lines.
        version: another one where the labels may be others.
        remark: a doubt about them, else None.
        error: why it cannot be measured with, else None.
    """

    key: str
    name: str
    n_normal: int = 0
    n_abnormal: int = 0
    version: str = ""
    remark: str | None = None
    error: str | None = None


def label_sources(run_id: str) -> list[LabelSource]:
    """Where labels of this run's lines are, files before verdicts; damaged files are listed with their error.

    Files are the run's input, those beside it named for it (`auth.labels.csv` for auth.txt) and those of `add_labels`.

    Raises:
        StoreError: there is no such run.
    """
    info = RunReader(run_id).info
    log = _log(info)
    sources = [(str(path), path.name) for path in labels_beside(log)] if info.source_path != "-" else []
    uploads = [(str(path), f"{path.name} (uploaded)") for path in labels_beside(log, inbox())]
    sources = list(dict([*uploads, *sources]).items())
    if info.source_path != "-" and log.is_file():
        sources = [(INPUT, f"{log.name} itself"), *sources]
    found = [_source(info, key, name) for key, name in [*sources, (VERDICTS, "your own verdicts")]]
    return [source for source in found if source is not None]


def add_labels(run_id: str, path: Path) -> str:
    """Keep an uploaded label file for a run's log, under the log's name, so that later runs of it find it too.

    Args:
        run_id: the run.
        path: in the inbox; it is renamed there.

    Returns:
        Its key among `label_sources`.

    Raises:
        WorkbenchError: the file cannot be used for this run, or not be moved.
    """
    info = RunReader(run_id).info
    check_labels(read_labels(path), info.n_lines, path.name)
    log = _log(info)
    if path in labels_beside(log, inbox()):
        return str(path)
    for number in itertools.count(1):
        target = inbox() / f"{label_stem(log)}{f'-{number}' if number > 1 else ''}{SUFFIX}"
        try:
            target.touch(exist_ok=False)  # takes the name first, so no file is ever replaced
            path.replace(target)
        except FileExistsError:
            continue
        except OSError as error:
            raise WorkbenchError(f"{target}: cannot be written: {error.strerror}; free the folder") from error
        break
    return str(target)


def labels(run_id: str, source: str) -> pl.DataFrame:
    """Labels of a run's lines from one source.

    Args:
        run_id: the run.
        source: a key of `label_sources`.

    Returns:
        line_no, label (0, 1), kind ("" where none is given); unlabelled lines are left out.

    Raises:
        WorkbenchError: the source cannot be read, is of another file, or has labels of one class only.
    """
    return _labels(RunReader(run_id).info, source)[0]


def _labels(info: RunInfo, source: str) -> tuple[pl.DataFrame, str]:
    """The labels and their version."""
    if source == VERDICTS:
        found = _judged(info.run_id)
        version, name = str(found.hash_rows().sum()), "your verdicts"
    else:
        name = info.source_path if source == INPUT else source
        version = _version(Path(name))
        found = _of_file(name, version, _reading(info) if source == INPUT else None)
    check_labels(found, info.n_lines, name)
    return found.drop_nulls("label"), version


@lru_cache(maxsize=4)
def _of_file(path: str, version: str, read: ReadConfig | None) -> pl.DataFrame:
    """Labels of a label file, or where the reading is given of a labelled CSV; read once a version."""
    return read_labels(Path(path)) if read is None else read_labelled_csv(Path(path), read)


def _version(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:  # whoever reads it says so
        return ""
    return f"{stat.st_mtime_ns}-{stat.st_size}"


def _log(info: RunInfo) -> Path:
    return Path(info.source_path if info.source_path != "-" else info.run_id)


def _changed_since(info: RunInfo) -> bool:
    try:
        return _log(info).stat().st_mtime > datetime.fromisoformat(info.created_utc).timestamp()
    except OSError:  # gone: its labels stand for themselves
        return False


def _source(info: RunInfo, key: str, name: str) -> LabelSource | None:
    """The source with its counts; None where there is nothing of its sort."""
    try:
        found, version = _labels(info, key)
    except NoLabelsError:
        return None
    except WorkbenchError as error:
        if key == VERDICTS and _judged(info.run_id).is_empty():
            return None
        return LabelSource(key, name, error=str(error))
    n_abnormal = int((found["label"] == 1).sum())
    remark = None
    if key != VERDICTS and _changed_since(info):
        remark = f"{info.source_path} changed after it was scored; labels may be of other lines: score it again."
    return LabelSource(key, name, len(found) - n_abnormal, n_abnormal, version, remark)


def _judged(run_id: str) -> pl.DataFrame:
    judged = verdicts(run_id).filter(pl.col("label").is_in(["abnormal", "normal"]))
    return judged.select(
        pl.col("line_no").cast(pl.Int64),
        (pl.col("label") == "abnormal").cast(pl.Int8).alias("label"),
        pl.lit("").alias("kind"),
    ).sort("line_no")


def _reading(info: RunInfo) -> ReadConfig:
    return Config.from_dict(info.config, f"run {info.run_id}").read if info.config else ReadConfig()


def labels_for(path: str | Path, named: str | Path | None, read: ReadConfig) -> pl.DataFrame | None:
    """The labels to measure a log with; None where the log is a labelled CSV and brings its own.

    Args:
        path: the log, or "-".
        named: a label file, or None to look into the log and beside it.
        read: how the log is read.

    Raises:
        InputError: the label file cannot be read.
    """
    if named is not None:
        return read_labels(Path(named))
    beside = [] if str(path) == "-" else labels_beside(Path(path))
    if not beside:
        return None
    try:
        next(read_chunks(path, read, with_labels=True))
    except NoLabelsError:
        return read_labels(beside[0])
    except InputError:
        return None  # the reading that follows says what is wrong
    return None

"""The verbs that command line, pages and HTTP share."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core import jobs as _jobs
from core.cards import write_card
from core.config import Config, ReadConfig, home, models_folder
from core.detector import NEAREST_SHOWN, LogDetector, read_bundle
from core.errors import BundleError, InputError, WorkbenchError
from core.evaluate import measures
from core.jobs import JobRun, JobStatus
from core.preview import FormatInfo, Preview, formats, messages, preview
from core.records import Explanation, Progress, no_progress
from core.runner import Reading, SerialRunner
from core.store import RunInfo, RunReader, RunWriter, Store, new_run_id

# What the pages use as it is.
__all__ = ["FormatInfo", "JobStatus", "Preview", "ReadConfig", "RunInfo", "RunReader", "formats", "messages", "preview"]

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
EXPORT_SUFFIXES = (".csv", ".jsonl", ".parquet")
QUICK_WEIGHTS = {"novelty": 0.5, "tfidf": 1.5, "severity": 1.5}
"""Scorers that need no network: seconds instead of minutes to fit."""


@dataclass(frozen=True)
class ModelInfo:
    """A saved bundle; `error` says why it cannot be used, else None."""

    name: str
    path: str
    created_utc: str = ""
    n_lines: int = 0
    n_texts: int = 0
    scorers: tuple[str, ...] = ()
    threshold: float = 0.0
    false_alarm_rate: float = 0.0
    error: str | None = None


# ------------------------------------------------------------------ look


def models() -> list[ModelInfo]:
    """Saved bundles by name; a damaged one is listed with its error."""
    folder = models_folder()
    if not folder.is_dir():
        return []
    return [_model_info(path) for path in sorted(folder.iterdir()) if path.is_dir() and path.suffix != ".tmp"]


def runs() -> list[RunInfo]:
    """Stored runs, newest first."""
    return Store().runs()


def run(run_id: str) -> RunReader:
    """Reads a stored run."""
    return RunReader(run_id)


def delete_run(run_id: str) -> None:
    """Remove a stored run and its thresholds."""
    Store().delete_run(run_id)


def threshold(run_id: str) -> float:
    """The threshold set last for a run, or its bundle's own."""
    return Store().threshold(run_id)


def set_threshold(run_id: str, value: float) -> None:
    """Set a threshold for a run: a new version, the old ones stay."""
    Store().set_threshold(run_id, value)


def inbox() -> Path:
    """The folder of uploaded files, created where missing."""
    folder = home() / "inbox"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkbenchError(
            f"{folder}: the data folder cannot be made: {error.strerror}; set TINYLOGBERT_HOME"
        ) from error
    return folder


def samples() -> list[Path]:
    """The logs that ship with the workbench."""
    folder = Path(__file__).resolve().parents[1] / "sample_logs"
    return sorted(path for path in folder.glob("**/*.txt") if path.is_file())


# ------------------------------------------------------------------ do


def quick(config: Config) -> Config:
    """The same settings with the scorers that need no network."""
    return dataclasses.replace(config, scoring=dataclasses.replace(config.scoring, weights=dict(QUICK_WEIGHTS)))


def train(
    paths: Sequence[str | Path], name: str, config: Config | None = None, progress: Progress = no_progress
) -> ModelInfo:
    """Learn from unlabelled logs and save the bundle under a name; an older one of that name is replaced.

    Raises:
        WorkbenchError: a bad name, input or setting.
    """
    if not MODEL_NAME.fullmatch(name) or name.endswith(".tmp"):
        raise WorkbenchError(f"{name!r} cannot name a model; use letters, digits, dot, dash and underscore")
    config = config or Config()
    reading = SerialRunner().read(paths, config.read, progress=progress)
    detector = _fitted(reading, config, progress)
    folder = models_folder() / name
    detector.save(folder)
    write_card(folder, name, config, detector.facts_, detector.history_)
    return _model_info(folder)


def score(
    paths: Sequence[str | Path],
    model: str | None = None,
    config: Config | None = None,
    run_id: str | None = None,
    progress: Progress = no_progress,
) -> RunInfo:
    """Score logs and store the run.

    Args:
        paths: logs, or "-".
        model: a bundle's name or folder; None fits on the logs themselves, their anomalies still inside.
        config: settings of that fit; with a model only its reading of times and sessions counts, so that a line
            always has the text it was learnt with.
        run_id: a name for the run; None makes one.
        progress: told the steps; may raise JobCancelled.

    Raises:
        WorkbenchError: input, bundle or store cannot be used.
    """
    started = time.monotonic()
    config = config or Config()
    progress("opening the model", 0, 1)
    detector = None if model is None else load_model(model)
    read = config.read if detector is None else _reading_of(detector, config.read)
    run_id = run_id or new_run_id()
    with RunWriter(run_id) as writer:
        reading = SerialRunner().read(paths, read, keep=writer.add_lines, progress=progress)
        _refuse_empty(reading, paths)
        if detector is None:
            detector = _fitted(reading, config, progress)
        texts = detector.score(reading.texts, progress)
        progress("storing the run", 0, 1)
        sessions = session_threshold = None
        if reading.sessions is not None:
            sessions, session_threshold = detector.score_sessions(reading.sessions, texts)
        seconds = time.monotonic() - started
        info = {
            "name": _title(paths),
            "source_path": str(paths[0]) if str(paths[0]) == "-" else str(Path(paths[0]).absolute()),
            "model": model,
            "threshold": detector.threshold_,
            "session_threshold": session_threshold,
            "scorers": list(detector.scorers_),
            "weights": dict(detector.fusion_.weights),
            "format": reading.format,
            "notes": _notes(reading, detector, model),
            "seconds": round(seconds, 2),
            "lines_per_second": round(reading.n_lines / max(seconds, 1e-6)),
            "config": detector.config.to_dict(),
        }
        stored = writer.finish(texts, info, sessions)
    Store().register(run_id)
    return stored


def evaluate(
    path: str | Path,
    model: str | None = None,
    level: str = "line",
    config: Config | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Measure a bundle, or a fit on the file itself, on a labelled CSV; the labels are read for the measuring only.

    Args:
        path: CSV with the columns line and label, perhaps session.
        model: a bundle's name or folder, or None.
        level: "line" or "session" (a session is abnormal where any of its lines is).
        config: as for `score`.
        progress: told the steps.

    Raises:
        WorkbenchError: wrong columns, one class only, or no sessions.
    """
    config = config or Config()
    detector = None if model is None else load_model(model)
    read = config.read if detector is None else _reading_of(detector, config.read)
    reading = SerialRunner().read([path], read, with_labels=True, progress=progress)
    _refuse_empty(reading, [path])
    if detector is None:
        detector = _fitted(reading, config, progress)
    texts = detector.score(reading.texts, progress)
    head = {"input": str(path), "model": model, "level": level, "seed": detector.config.seed}
    if level == "session":
        if reading.sessions is None or reading.session_labels is None:
            raise InputError(f"{path}: no sessions; name them with --sessions REGEX or a session column")
        scored, own_threshold = detector.score_sessions(reading.sessions, texts)
        rows = scored.join(reading.session_labels, on="session", how="inner", maintain_order="left")
        labels, fused = rows["label"].to_numpy(), rows["score"].to_numpy()
        return {**head, **measures(labels, fused, {}, np.ones(len(rows)), own_threshold)}
    assert reading.labels is not None  # noqa: S101 - with_labels
    rows = reading.labels.join(texts.drop("count"), on="text_id", how="inner", maintain_order="left")
    labels, fused = rows["label"].to_numpy(), rows["score"].to_numpy()
    scorers = {name: rows[f"raw_{name}"].to_numpy() for name in detector.scorers_}
    lines = measures(labels, fused, scorers, rows["count"].to_numpy(), detector.threshold_)
    distinct = measures(labels, fused, scorers, np.ones(len(rows)), detector.threshold_)
    return {**head, **lines, "deduplicated": distinct}


def check_outputs(*paths: Path | None) -> None:
    """Refuse an output that could not be written, before the work and not after it.

    Raises:
        WorkbenchError: another suffix, or no such folder.
    """
    for path in paths:
        if path is None:
            continue
        if path.suffix.lower() not in EXPORT_SUFFIXES:
            raise WorkbenchError(f"{path}: results are written as {', '.join(EXPORT_SUFFIXES)}; choose one")
        if not path.absolute().parent.is_dir():
            raise WorkbenchError(f"{path}: there is no folder {path.absolute().parent}; create it first")


def explain(line: str, model: str) -> Explanation:
    """Score one line with a bundle and say why."""
    return load_model(model).explain(line)


def load_model(model: str) -> LogDetector:
    """A bundle by name, or by the path of its folder.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    folder = models_folder() / model
    if not MODEL_NAME.fullmatch(model) or not folder.is_dir():
        folder = Path(model)
    if not folder.is_dir():
        known = (
            ", ".join(info.name for info in models())
            or "none yet; train one with: python -m core train LOG --name NAME"
        )
        raise BundleError(f"there is no model {model!r}; known: {known}")
    return LogDetector.load(folder)


# ------------------------------------------------------------------ long work


def start_scoring(
    path: Path, model: str | None, quick: bool = False, read: ReadConfig | None = None, sessions: str | None = None
) -> str:
    """Score a file in a process of its own; the job's result holds `run_id`."""
    run_id = new_run_id()
    spec = {
        "run_id": run_id, "paths": [str(Path(path).absolute())], "model": model, "quick": quick,
        "read": dataclasses.asdict(dataclasses.replace(read or ReadConfig(), sessions=sessions)),
    }  # fmt: skip
    return _jobs.start("score", spec, f"Score {path.name}" + (f" with {model}" if model else ""))


def start_training(path: Path, name: str, read: ReadConfig | None = None, sessions: str | None = None) -> str:
    """Train a bundle in a process of its own; the job's result holds `model`."""
    if not MODEL_NAME.fullmatch(name) or name.endswith(".tmp"):
        raise WorkbenchError(f"{name!r} cannot name a model; use letters, digits, dot, dash and underscore")
    read = dataclasses.replace(read or ReadConfig(), sessions=sessions)
    return _jobs.start(
        "train",
        {"paths": [str(Path(path).absolute())], "name": name, "read": dataclasses.asdict(read)},
        f"Train {name}",
    )


def run_job(job_id: str) -> None:
    """The job's side of `start_scoring` and `start_training`."""
    with JobRun(job_id) as work:
        spec = work.spec
        config = Config(read=ReadConfig(**spec["read"]))
        if work.kind == "score":
            config = quick(config) if spec["quick"] else config
            info = score(spec["paths"], spec["model"], config, spec["run_id"], work.progress)
            work.done({"run_id": info.run_id})
        else:
            work.done({"model": train(spec["paths"], spec["name"], config, work.progress).name})


def job(job_id: str) -> JobStatus:
    """How far a job is."""
    return _jobs.status(job_id)


def jobs() -> list[JobStatus]:
    """The jobs on disk, newest first."""
    return _jobs.list_jobs()


def cancel(job_id: str) -> JobStatus:
    """Stop a job; what it had half written is removed."""
    return _jobs.cancel(job_id)


# ------------------------------------------------------------------ inside


def _fitted(reading: Reading, config: Config, progress: Progress) -> LogDetector:
    detector = LogDetector(config).fit(reading.texts, progress)
    if reading.sessions is not None:
        detector.fit_sessions(reading.sessions, detector.score(reading.texts, progress))
    return detector


def _reading_of(detector: LogDetector, asked: ReadConfig) -> ReadConfig:
    """The bundle's reading; sessions, year and zone as asked, for they do not touch the text."""
    own = detector.config.read
    return dataclasses.replace(own, year=asked.year, timezone=asked.timezone, sessions=asked.sessions or own.sessions)


def _refuse_empty(reading: Reading, paths: Sequence[str | Path]) -> None:
    if reading.texts.is_empty():
        raise InputError(f"{paths[0]}: {reading.n_lines:,} lines and all of them blank; nothing to score")


def _title(paths: Sequence[str | Path]) -> str:
    first = "standard input" if str(paths[0]) == "-" else Path(paths[0]).name
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1} more"


def _notes(reading: Reading, detector: LogDetector, model: str | None) -> list[str]:
    notes = []
    if model is None:
        notes.append("Fitted on this file itself: what is frequent in it counts as normal.")
    if reading.n_rejected:
        notes.append(f"{reading.n_rejected:,} lines were not read as their format says; they are kept and scored.")
    if len(reading.texts) > NEAREST_SHOWN:
        notes.append(f"The nearest normal line is shown for the {NEAREST_SHOWN:,} most abnormal messages.")
    return notes


def _model_info(folder: Path) -> ModelInfo:
    try:
        bundle = read_bundle(folder)
        scoring: dict[str, Any] = bundle["config"]["scoring"]
        return ModelInfo(
            folder.name,
            str(folder),
            bundle["created_utc"],
            bundle["n_lines"],
            bundle["n_texts"],
            tuple(scoring["weights"]),
            bundle["threshold"],
            scoring["false_alarm_rate"],
        )
    except BundleError as error:
        return ModelInfo(folder.name, str(folder), error=str(error))
    except (KeyError, TypeError) as error:
        return ModelInfo(folder.name, str(folder), error=f"{folder}: bundle.json is damaged ({error}); train it again")

"""Runs: scoring logs, what was scored before, and the threshold of each."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from core.bundles import load_model, model_folder
from core.config import Config, home
from core.detector import NEAREST_SHOWN, LogDetector
from core.display import path_text
from core.errors import WorkbenchError
from core.records import Progress, no_progress
from core.runner import Reading, SerialRunner
from core.scoring.context import InContext
from core.scoring.everyday import at_or_above, changed_note, lowest_threshold, unforeseen
from core.scoring.neighbours import MOST_TEXTS
from core.scoring.novelty import NEVER_SEEN, NoveltyScorer
from core.store import AnswerCache, RunInfo, RunReader, RunWriter, Store, new_run_id
from core.tokenization.sources import SOURCE
from core.workbench.fitting import answered, fitted, reading_of, refuse_empty
from core.workbench.in_context import judged_in_context

FAMILIAR_SHARE = 0.7
"""Below this share of lines with a learnt message, a run says that its model is of another world."""
EXPORT_SUFFIXES = (".csv", ".jsonl", ".parquet")
SECONDS_A_DAY = 86_400
MOST_DROPPED = 500  # files of the drop folder that are offered


def runs() -> list[RunInfo]:
    """Stored runs, newest first."""
    return Store().runs()


def run(run_id: str) -> RunReader:
    """Reads a stored run."""
    return RunReader(run_id)


def is_run(run_id: str) -> bool:
    """Whether a run of this name is stored, sound or damaged; any text may be asked for."""
    return any(path.parent.name == run_id for path in (home() / "runs").glob("*/run.json"))


def delete_run(run_id: str) -> None:
    """Remove a stored run and its thresholds."""
    Store().delete_run(run_id)


def thresholds() -> dict[str, float]:
    """The threshold in force of every run, by its id."""
    store = Store()
    set_last = store.set_thresholds()
    return {info.run_id: set_last.get(info.run_id, info.threshold) for info in store.runs()}


def threshold(run_id: str) -> float:
    """The threshold set last for a run, or its bundle's own."""
    return Store().threshold(run_id)


def threshold_history(run_id: str) -> list[tuple[float, str, str]]:
    """Thresholds set for a run, newest first: value, by whom, when (ISO 8601); empty where the bundle's own counts."""
    return Store().thresholds(run_id)


def alert_rate(info: RunInfo) -> tuple[str, float]:
    """What flagged lines are counted per, in words, and the factor that turns their number into it.

    A day where the timestamps span an hour or more, else 10,000 lines.
    """
    if info.first_utc and info.last_utc:
        span = datetime.fromisoformat(info.last_utc) - datetime.fromisoformat(info.first_utc)
        days = span.total_seconds() / SECONDS_A_DAY
        if days >= 1:
            return "Alerts per day", 1 / days
        if days >= 1 / 24:
            return "Alerts per day, projected", 1 / days
    return "Flagged per 10,000 lines", 10_000 / max(1, info.n_lines)


def false_alarms_to_expect(reader: RunReader, threshold: float) -> dict[str, float] | None:
    """What a threshold would flag of a log of this length and formats that held nothing but lines like the learnt ones.

    Returns:
        lines, messages, and new (those of them that were never learnt); None where nobody knows (RunReader.everyday).
    """
    everyday = reader.everyday()
    return None if everyday is None else at_or_above(everyday, threshold)


def threshold_for_false_alarms(reader: RunReader, most_lines: float) -> float:
    """The lowest threshold with at most so many false alarms to expect.

    Raises:
        WorkbenchError: nobody knows what everyday lines score.
    """
    everyday = reader.everyday()
    if everyday is None:
        raise WorkbenchError(
            f"run {reader.info.run_id}: its model does not know what everyday lines of these formats score, so no "
            "false alarms can be foreseen; train one on normal lines of this system"
        )
    return lowest_threshold(everyday, most_lines)


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


def drop_folder() -> Path | None:
    """The folder named by TINYLOGBERT_DROP, whose logs the pages offer; None where none is named.

    Raises:
        WorkbenchError: where there is no such folder.
    """
    named = os.environ.get("TINYLOGBERT_DROP", "").strip()
    if not named:
        return None
    folder = Path(named).expanduser().resolve()  # the administrator's own link to it is followed, none within it
    if not folder.is_dir():
        raise WorkbenchError(f"{folder}: there is no such folder; create it, or set TINYLOGBERT_DROP to another")
    return folder


def dropped() -> list[Path]:
    """Files in the drop folder and the folders in it, the latest first, at most MOST_DROPPED.

    Only plain files: a link, wherever it leads, is not offered, nor is what is hidden.

    Raises:
        WorkbenchError: as `drop_folder`.
    """
    folder = drop_folder()
    found: list[tuple[int, Path]] = []
    for place, folders, names in os.walk(folder) if folder else ():  # enters no linked folder
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            with contextlib.suppress(OSError):  # gone meanwhile
                facts = (path := Path(place, name)).lstat()
                if stat.S_ISREG(facts.st_mode) and not name.startswith("."):
                    found.append((facts.st_mtime_ns, path))
    return [path for _, path in sorted(found, reverse=True)[:MOST_DROPPED]]


def samples() -> list[Path]:
    """The logs that ship with the workbench."""
    folder = Path(__file__).resolve().parents[2] / "sample_logs"
    return sorted(path for path in folder.glob("**/*.txt") if path.is_file())


def score(
    paths: Sequence[str | Path],
    model: str | None = None,
    config: Config | None = None,
    run_id: str | None = None,
    progress: Progress = no_progress,
    context: bool = False,
) -> RunInfo:
    """Score logs and store the run.

    Args:
        paths: logs, or "-".
        model: a bundle's name or folder; None fits on the logs themselves, their anomalies still inside.
        config: settings of that fit; with a model only its reading of times and sessions counts, so that a line
            always has the text it was learnt with.
        run_id: a name for the run; None makes one.
        progress: told the steps; may raise JobCancelled.
        context: judge a line by the other lines of its session too; sessions are by source unless `config`, the bundle
            or a column of the input names others. Without it a line has the score of its text, whatever stands beside
            it.

    Raises:
        WorkbenchError: input, bundle or store cannot be used.
    """
    config = config or Config()
    progress("opening the model", 0, 1)
    detector = None if model is None else load_model(model)
    started = time.monotonic()
    read = config.read if detector is None else reading_of(detector, config.read)
    run_id = run_id or new_run_id()
    with RunWriter(run_id) as writer:
        reading = SerialRunner().read(paths, read, by_source=context, keep=writer.add_lines, progress=progress)
        refuse_empty(reading, paths)
        if detector is None:
            detector = fitted(reading, config, progress, on_itself=True, of_sources=reading.sessions_are_sources)
        cache = None if model is None else AnswerCache(model_folder(model), detector.precision_)
        texts = answered(detector, reading.texts, cache, progress)
        progress("storing the run", 0, 1)
        threshold = detector.threshold_
        sessions = session_threshold = everyday = None
        if model is not None and detector.everyday_ is not None:
            everyday = detector.everyday_.expected(reading.format_counts, in_context=context)
        if reading.sessions is not None and not reading.sessions_are_sources:
            sessions, session_threshold = detector.score_sessions(reading.sessions, texts)
        if context:
            progress("judging lines in context", 0, 1)
            stated = detector.config.scoring.contamination if model is None else 0.0
            found, threshold = judged_in_context(
                detector, texts, reading.sessions, part=model is not None, contamination=stated
            )
            texts = _put_in_context(writer, found)
        seconds = time.monotonic() - started
        info = {
            "name": _title(paths),
            "files": list(zip(_names(paths), reading.first_line_nos, strict=True)) if len(paths) > 1 else [],
            "source_path": _place(paths[0]),
            "more_paths": [_place(path) for path in paths[1:]],
            "model": model,
            "threshold": threshold,
            "session_threshold": session_threshold,
            "scorers": list(detector.scorers_),
            "weights": dict(detector.fusion_.weights),
            "format": reading.format,
            "notes": [
                *_notes(reading, detector, model, context, threshold, read.sessions),
                *_changed(texts, everyday, threshold),
            ],
            "seconds": round(seconds, 2),
            "lines_per_second": round(reading.n_lines / max(seconds, 1e-6)),
            "config": detector.config.to_dict(),
            "learnt": detector.facts_,
            "context": context,
        }
        stored = writer.finish(texts, info, sessions, everyday)
    Store().register(run_id)
    return stored


def _put_in_context(writer: RunWriter, found: InContext) -> pl.DataFrame:
    """The texts parted by context, and the lines written with them."""
    if found.moved.is_empty():
        return found.texts
    examples = writer.renumber(found.renumbered, len(found.texts))
    return found.texts.with_columns(pl.Series("example", examples, dtype=pl.String))


def check_outputs(*paths: Path | None, inputs: Sequence[str | Path] = ()) -> None:
    """Refuse an output that could not be written, before the work and not after it.

    Args:
        paths: of the outputs; None for one that is not asked for.
        inputs: what is read; "-" for standard input.

    Raises:
        WorkbenchError: another suffix, no such folder, nothing may be written there, or the path is that of an input or
            of another output.
    """
    taken = {Path(path).resolve(): "it is what is read" for path in inputs if str(path) != "-"}
    for path in paths:
        if path is None:
            continue
        if path.suffix.lower() not in EXPORT_SUFFIXES:
            raise WorkbenchError(f"{path}: results are written as {', '.join(EXPORT_SUFFIXES)}; choose one")
        folder = path.absolute().parent
        if not folder.is_dir():
            raise WorkbenchError(f"{path}: there is no folder {folder}; create it first")
        if (place := path.resolve()) in taken:
            raise WorkbenchError(f"{path}: {taken[place]}; choose another name for the results")
        if path.is_dir():
            raise WorkbenchError(f"{path}: this is a folder; name a file in it")
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise WorkbenchError(f"{path}: nothing can be written there: {error.strerror or error}") from error
        taken[place] = "another result is written there"


def _title(paths: Sequence[str | Path]) -> str:
    return _name(paths[0]) if len(paths) == 1 else f"{_name(paths[0])} and {len(paths) - 1} more"


def _place(path: str | Path) -> str:
    """Where an input was read from, so that it can be found again."""
    return "-" if str(path) == "-" else path_text(Path(path).absolute())


def _names(paths: Sequence[str | Path]) -> list[str]:
    """Inputs as people name them, told apart by a number where they share a name."""
    names = [_name(path) for path in paths]
    return [f"{name} ({names[:at].count(name) + 1})" if name in names[:at] else name for at, name in enumerate(names)]


def _name(path: str | Path) -> str:
    """An input as people name it."""
    path = Path(path)
    if str(path) == "-":
        return "standard input"
    if path.absolute() in samples():  # every service has a test.txt
        return f"{path.parent.name}/{path.name}"
    return path_text(path.name)


def _changed(texts: pl.DataFrame, everyday: pl.DataFrame | None, threshold: float) -> list[str]:
    """A note where what is ordinary has changed since the model learnt."""
    novelty = f"raw_{NoveltyScorer.name}"
    if everyday is None or novelty not in texts.columns:
        return []
    found = unforeseen(everyday, texts.filter(pl.col(novelty) == NEVER_SEEN)["score"].to_numpy(), threshold)
    return [] if found is None else [changed_note(*found)]


def _notes(
    reading: Reading, detector: LogDetector, model: str | None, context: bool, threshold: float, asked: str | None
) -> list[str]:
    notes = []
    if model is None:
        contamination = detector.config.scoring.contamination
        notes.append(
            "Fitted on this file itself: what is frequent in it counts as normal, but for warnings and worse. "
            + (
                f"The threshold flags the {contamination:.1%} of its lines at most that were said to be abnormal."
                if contamination
                else "The threshold parts the scores of its messages into two groups; a file without anomalies has "
                "such a split too."
            )
        )
        if "network_silent" in detector.facts_:
            notes.append(
                "This log has too few messages for the network to have a say in the score: a quick look scores the "
                "same, in seconds. What the network adds are the surprising words, and the map on Explore."
            )
    novelty = detector.scorers_.get(NoveltyScorer.name)
    if model is not None and isinstance(novelty, NoveltyScorer):
        known = novelty.known_share(reading.texts["normalized_text"].to_list(), reading.texts["count"].to_numpy())
        if known < FAMILIAR_SHARE:
            notes.append(
                f"The model learnt the messages of only {known:.0%} of these lines: its false-alarm rate, and the "
                "false alarms to expect, are of lines like those. Train a model on normal lines of this system, or "
                "score the file against itself."
            )
    if detector.precision_ != (learnt_in := detector.facts_["precision"]):
        notes.append(
            f"The network ran in {detector.precision_}, the model was learnt in {learnt_in}: scores differ a little."
        )
    if model is not None and threshold > detector.threshold_:
        notes.append(
            f"First scored at {threshold:.2f}, where the scores of this log part in context. The model's own "
            f"threshold, {detector.threshold_:.2f}, is for lines alone and flags more."
        )
    if reading.sessions is None and asked not in (None, SOURCE):
        notes.append(f"--sessions {asked!r} matched none of these lines, so they are scored without sessions.")
    elif context and reading.sessions is None:
        notes.append("No line names its source, so none could be judged in its context.")
    if reading.n_rejected:
        notes.append(f"{reading.n_rejected:,} lines were not read as their format says; they are kept and scored.")
    if (n_learnt := int(detector.facts_["n_texts"])) > MOST_TEXTS:
        notes.append(
            f"Distances are to about {MOST_TEXTS:,} of the {n_learnt:,} messages learnt, drawn by their lines; which "
            "messages and words are new is told from all."
        )
    if len(reading.texts) > NEAREST_SHOWN:
        notes.append(f"The nearest normal line is shown for the {NEAREST_SHOWN:,} most abnormal messages.")
    return notes

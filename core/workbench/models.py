"""Bundles: what there is, training one, opening one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from core.bundle_folder import CAPTURES, LOGS, bundle_kind, read_bundle
from core.bundles import MODEL_NAME, bundle_folders, load_model, model_folder
from core.cards import write_card
from core.config import Config, models_folder
from core.detector import FORMAT_NUMBER
from core.errors import BundleError, WorkbenchError
from core.flow_detector import FORMAT_NUMBER as FLOW_FORMAT_NUMBER
from core.records import Explanation, Measure, Progress, no_measure, no_progress
from core.runner import SerialRunner
from core.scoring.novelty import NoveltyScorer
from core.store import AnswerCache
from core.workbench.fitting import fitted

SHIPPED = ("base", "netgpt")  # bundles that come with the workbench
_FORMAT_NUMBERS = {LOGS: FORMAT_NUMBER, CAPTURES: FLOW_FORMAT_NUMBER}
_CARD_CHARS = 50_000  # of a card; ours have two thousand


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """A saved bundle of either kind.

    Attributes:
        name: of its folder.
        path: of its folder.
        created_utc: when it learnt, ISO 8601.
        n_texts: distinct texts it learnt from: normalized lines, or masked bytes of flows.
        threshold: its own, 0 to 1.
        size_bytes: of all its files.
        is_shipped: whether it came with the workbench.
        error: why it cannot be used, else None.
    """

    name: str
    path: str
    created_utc: str = ""
    n_texts: int = 0
    threshold: float = 0.0
    size_bytes: int = 0
    is_shipped: bool = False
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelInfo(SavedModel):
    """A saved bundle of logs.

    Attributes:
        n_lines: lines it learnt from.
        scorers: names, in the order of columns.
        false_alarm_rate: the share of lines like the learnt ones that the threshold may flag.
    """

    n_lines: int = 0
    scorers: tuple[str, ...] = ()
    false_alarm_rate: float = 0.0


@dataclass(frozen=True)
class ModelDetails:
    """What a bundle says of itself. It may come from anywhere: every text of it is data.

    Attributes:
        card: its README.md, Markdown; "" without one.
        history: of its training: step, train_loss, held_back_loss or None (nats a token that was asked for), seconds;
            empty where no network was trained.
        config: the settings it was made with, by stage.
        facts: bundle.json beside these: data hash, libraries, seconds.
    """

    card: str
    history: list[dict[str, float | None]]
    config: dict[str, Any]
    facts: dict[str, Any]


def models() -> list[ModelInfo]:
    """Saved bundles by name; a damaged one is listed with its error."""
    return [_model_info(path) for path in bundle_folders()]


def model_details(name: str) -> ModelDetails:
    """Card, training history and settings of a bundle of the models folder, of logs or of captures.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    folder = _bundle_folder(name)
    kind = bundle_kind(folder)
    bundle = read_bundle(folder, _FORMAT_NUMBERS[kind], kind)
    try:
        card = (folder / "README.md").read_text("utf-8", errors="replace")[:_CARD_CHARS]
    except OSError:
        card = ""
    history, config = bundle.pop("history", []), bundle.pop("config", {})
    if not isinstance(history, list) or not isinstance(config, dict):
        raise BundleError(f"{folder}: bundle.json is damaged; train the model again")
    return ModelDetails(card, [entry for entry in history if _is_entry(entry)], config, bundle)


def delete_model(name: str) -> None:
    """Remove a bundle and what is kept of its answers; runs scored with it stay.

    Raises:
        BundleError: there is none, it is shipped with the workbench, or it cannot be removed.
    """
    folder = _bundle_folder(name)
    if name in SHIPPED:
        raise BundleError(f"{name} came with the workbench and stays; remove {folder} by hand if you must")
    AnswerCache.forget(folder)
    doomed = folder.with_name(f"{name}.old.tmp")  # renamed first: a half-deleted bundle is never seen
    try:
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
    except OSError as error:
        raise BundleError(f"{folder}: the model cannot be removed: {error.strerror or error}") from error
    shutil.rmtree(doomed, ignore_errors=True)


def familiarity(model: str, texts: pl.DataFrame) -> float | None:
    """Share of lines whose message a bundle learnt, 0 to 1: where it is low, scores and false-alarm rate mean little.

    Args:
        model: a bundle's name or folder.
        texts: TEXTS_SCHEMA, as of a preview.

    Returns:
        None where the bundle keeps no list of messages (it has no `novelty`).

    Raises:
        BundleError: there is no such bundle, or it is damaged.
    """
    folder = model_folder(model) / "scorers" / NoveltyScorer.name
    if not folder.is_dir():
        return None
    return NoveltyScorer.load(folder).known_share(texts["normalized_text"].to_list(), texts["count"].to_numpy())


def train(
    paths: Sequence[str | Path],
    name: str,
    config: Config | None = None,
    progress: Progress = no_progress,
    checkpoints: Path | None = None,
    measure: Measure = no_measure,
    without: Sequence[str] = (),
) -> ModelInfo:
    """Learn from unlabelled logs and save the bundle under a name; an older one of that name is replaced.

    Args:
        paths: logs, or "-".
        name: of the bundle.
        config: everything that shapes it.
        progress: told the steps; may raise JobCancelled.
        checkpoints: folder where training leaves off and resumes, or None.
        measure: told the losses of training.
        without: normalized texts that are not learnt, such as those judged abnormal.

    Raises:
        WorkbenchError: a bad name, input or setting.
    """
    check_model_name(name)
    config = config or Config()
    reading = SerialRunner().read(paths, config.read, by_source=True, progress=progress)
    detector = fitted(
        reading, config, progress, checkpoints, measure, without=without, of_sources=reading.sessions_are_sources
    )
    folder = models_folder() / name
    detector.save(folder)
    if detector.learnt_ is not None:
        AnswerCache(folder, detector.precision_).keep(detector.learnt_)
    write_card(folder, name, config, detector.facts_, detector.history_)
    return _model_info(folder)


def check_model_name(name: str) -> None:
    """Refuse a name that could not be a folder's.

    Raises:
        WorkbenchError: other characters, or too long.
    """
    if not MODEL_NAME.fullmatch(name) or name.endswith(".tmp"):
        raise WorkbenchError(f"{name!r} cannot name a model; use letters, digits, dot, dash and underscore")


def check_new_name(name: str) -> None:
    """Refuse a name that a model trained on a page cannot have; the command line that makes a shipped one may.

    Raises:
        WorkbenchError: as `check_model_name`, or it is that of a model that came with the workbench.
    """
    check_model_name(name)
    if name in SHIPPED:
        raise WorkbenchError(f"{name} is the model that came with the workbench; choose another name")


def saved_facts(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What SavedModel says of a bundle, and its bundle.json, which is empty where it cannot be used."""
    known: dict[str, Any] = {
        "name": folder.name,
        "path": str(folder),
        "size_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "is_shipped": folder.name in SHIPPED,
    }
    try:
        bundle = read_bundle(folder, _FORMAT_NUMBERS[kind], kind)
    except BundleError as error:
        return known | {"error": str(error)}, {}
    return known | {name: bundle[name] for name in ("created_utc", "n_texts", "threshold")}, bundle


def explain(line: str, model: str) -> Explanation:
    """Score one line with a bundle and say why."""
    return load_model(model).explain(line)


def _bundle_folder(name: str) -> Path:
    """The folder of a bundle by its name alone, as it may come from a URL."""
    folder = models_folder() / name
    if not MODEL_NAME.fullmatch(name) or not folder.is_dir():
        raise BundleError(f"there is no model {name!r} in {models_folder()}")
    return folder


def _is_entry(entry: Any) -> bool:
    numbers = (int, float)
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("step"), numbers)
        and all(
            entry.get(name) is None or isinstance(entry[name], numbers) for name in ("train_loss", "held_back_loss")
        )
    )


def _model_info(folder: Path) -> ModelInfo:
    known, bundle = saved_facts(folder, LOGS)
    if not bundle:
        return ModelInfo(**known)
    try:
        scoring: dict[str, Any] = bundle["config"]["scoring"]
        scorers, rate = tuple(scoring["weights"]), scoring["false_alarm_rate"]
    except (KeyError, TypeError) as error:
        return ModelInfo(**known, error=f"{folder}: bundle.json is damaged ({error}); train it again")
    return ModelInfo(**known, n_lines=bundle["n_lines"], scorers=scorers, false_alarm_rate=rate)

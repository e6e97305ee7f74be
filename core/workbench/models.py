"""Bundles: what there is, training one, opening one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.cards import write_card
from core.config import Config, models_folder
from core.detector import LogDetector, read_bundle
from core.errors import BundleError, WorkbenchError
from core.records import Explanation, Progress, no_progress
from core.runner import SerialRunner
from core.workbench.fitting import fitted

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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


def models() -> list[ModelInfo]:
    """Saved bundles by name; a damaged one is listed with its error."""
    folder = models_folder()
    if not folder.is_dir():
        return []
    return [_model_info(path) for path in sorted(folder.iterdir()) if path.is_dir() and path.suffix != ".tmp"]


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


def train(
    paths: Sequence[str | Path], name: str, config: Config | None = None, progress: Progress = no_progress
) -> ModelInfo:
    """Learn from unlabelled logs and save the bundle under a name; an older one of that name is replaced.

    Raises:
        WorkbenchError: a bad name, input or setting.
    """
    check_model_name(name)
    config = config or Config()
    reading = SerialRunner().read(paths, config.read, progress=progress)
    detector = fitted(reading, config, progress)
    folder = models_folder() / name
    detector.save(folder)
    write_card(folder, name, config, detector.facts_, detector.history_)
    return _model_info(folder)


def check_model_name(name: str) -> None:
    """Refuse a name that could not be a folder's.

    Raises:
        WorkbenchError: other characters, or too long.
    """
    if not MODEL_NAME.fullmatch(name) or name.endswith(".tmp"):
        raise WorkbenchError(f"{name!r} cannot name a model; use letters, digits, dot, dash and underscore")


def explain(line: str, model: str) -> Explanation:
    """Score one line with a bundle and say why."""
    return load_model(model).explain(line)


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

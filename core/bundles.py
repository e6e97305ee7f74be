"""Bundles on disk by name. Imports little: the one-line command waits for it."""

from __future__ import annotations

import re
from pathlib import Path

from core.bundle_folder import CAPTURES, LOGS, bundle_kind
from core.config import models_folder
from core.detector import LogDetector
from core.errors import BundleError

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


_TRAIN = {LOGS: "python -m core train LOG --name NAME", CAPTURES: "python -m core traffic pretrain CAPTURE --name NAME"}


def bundle_folders(kind: str = LOGS) -> list[Path]:
    """Folders of the saved bundles of a kind by name, damaged ones too."""
    folder = models_folder()
    if not folder.is_dir():
        return []
    found = [path for path in sorted(folder.iterdir()) if path.is_dir() and path.suffix != ".tmp"]
    return [path for path in found if bundle_kind(path) == kind]


def model_folder(model: str, kind: str = LOGS) -> Path:
    """The folder of a bundle named, or given by its path; `kind` only says which to name where there is none.

    Raises:
        BundleError: there is none.
    """
    folder = models_folder() / model
    if not MODEL_NAME.fullmatch(model) or not folder.is_dir():
        folder = Path(model)
    if not folder.is_dir():
        known = ", ".join(path.name for path in bundle_folders(kind))
        raise BundleError(f"there is no model {model!r}; known: {known or f'none yet; train one with: {_TRAIN[kind]}'}")
    return folder


def load_model(model: str) -> LogDetector:
    """A bundle by name, or by the path of its folder.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    return LogDetector.load(model_folder(model))

"""Bundles on disk by name. Imports little: the one-line command waits for it."""

from __future__ import annotations

import re
from pathlib import Path

from core.config import models_folder
from core.detector import LogDetector
from core.errors import BundleError

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def bundle_folders() -> list[Path]:
    """Folders of the saved bundles by name, damaged ones too."""
    folder = models_folder()
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and path.suffix != ".tmp"]


def model_folder(model: str) -> Path:
    """The folder of a bundle named, or given by its path.

    Raises:
        BundleError: there is none.
    """
    folder = models_folder() / model
    if not MODEL_NAME.fullmatch(model) or not folder.is_dir():
        folder = Path(model)
    if not folder.is_dir():
        known = ", ".join(path.name for path in bundle_folders())
        raise BundleError(
            f"there is no model {model!r}; "
            f"known: {known or 'none yet; train one with: python -m core train LOG --name NAME'}"
        )
    return folder


def load_model(model: str) -> LogDetector:
    """A bundle by name, or by the path of its folder.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    return LogDetector.load(model_folder(model))

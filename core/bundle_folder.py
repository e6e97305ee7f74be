"""The folder of a bundle: it appears whole or not at all, and bundle.json says what it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import BundleError

BUNDLE_FILE = "bundle.json"
LOGS, CAPTURES = "logs", "captures"
"""Kinds of bundles; a bundle.json that names none is of logs."""
_FACTS: dict[str, dict[str, type | tuple[type, ...]]] = {
    LOGS: {"created_utc": str, "n_lines": int, "n_texts": int, "threshold": (int, float), "precision": str},
    CAPTURES: {"created_utc": str, "n_flows": int, "n_texts": int, "threshold": (int, float), "tasks": dict},
}
_COMMANDS = {LOGS: "python -m core score LOG", CAPTURES: "python -m core traffic score CAPTURE"}


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to write a bundle into; it takes its name, and an older bundle's place, when the block ends well.

    Raises:
        BundleError: it cannot be written.
    """
    part, old = (folder.with_name(f"{folder.name}{ending}") for ending in (".tmp", ".old.tmp"))
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise BundleError(f"{folder}: the model cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_bundle(folder: Path, values: dict[str, Any]) -> None:
    """Write bundle.json; `values` name their format, and the kind where it is not LOGS."""
    (folder / BUNDLE_FILE).write_text(json.dumps(values, indent=1) + "\n", "utf-8")


def bundle_kind(folder: Path) -> str:
    """LOGS or CAPTURES; LOGS where bundle.json cannot be read, so that opening it says why."""
    try:
        return CAPTURES if json.loads((folder / BUNDLE_FILE).read_text("utf-8"))["kind"] == CAPTURES else LOGS
    except (OSError, ValueError, KeyError, TypeError):
        return LOGS


def read_bundle(folder: Path, format_number: int, kind: str = LOGS) -> dict[str, Any]:
    """bundle.json of a folder without its format and kind, which are checked.

    Raises:
        BundleError: missing, damaged, of another format or kind.
    """
    path = folder / BUNDLE_FILE
    try:
        bundle = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{folder}: there is no model here (no {BUNDLE_FILE})") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: damaged ({error}); train the model again") from error
    if not isinstance(bundle, dict) or "format" not in bundle:
        raise BundleError(f"{path}: damaged (no format number); train the model again")
    found = bundle.pop("kind", LOGS)
    if found != kind:
        use = _COMMANDS.get(found, "the workbench that wrote it")
        raise BundleError(f"{folder}: a model of {found}, not of {kind}; use it with: {use}")
    if bundle.pop("format") != format_number:
        raise BundleError(f"{folder}: written by another version of the workbench; train the model again")
    for name, kinds in _FACTS[kind].items():
        if not isinstance(bundle.get(name), kinds):
            raise BundleError(f"{path}: damaged ({name} is missing or of another kind); train the model again")
    try:
        datetime.fromisoformat(bundle["created_utc"])
    except ValueError:
        raise BundleError(f"{path}: damaged (created_utc is no time of ISO 8601); train the model again") from None
    return bundle

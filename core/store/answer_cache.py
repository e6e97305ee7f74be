"""Answers kept from one run to the next: a text that a bundle has judged before is looked up.

home()/answers/<digest>/<precision>/*.parquet, a folder a bundle and version of this code: the digest is of both, so
that neither ever meets another's answers, nor those of a processor that rounds otherwise. Files are written under
another name and renamed, and never changed: two processes may keep at once, and one that is killed leaves nothing that
is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import secrets
import shutil
from pathlib import Path

import polars as pl

from core.config import home

MOST_TEXTS = 50_000  # of one bundle: about 75 MB with embeddings; more are not kept
MOST_BUNDLES = 4  # the least lately used go
_KEY = ["normalized_text", "level_class"]
_JUDGING = ("detector.py", "scoring/*.py", "networks/*.py", "tokenization/*.py")  # the code that makes the answers
_LIBRARIES = ("numpy", "polars", "scipy", "tokenizers", "torch")
_NOT_JUDGING = ("fusion.json", "README.md")  # weights and threshold come after


class AnswerCache:
    """The answers of one bundle. Losing it costs time only: whatever fails while reading or writing it is a miss.

    Args:
        bundle: its folder.
        precision: what the network runs in here (LogDetector.precision_).
    """

    def __init__(self, bundle: Path, precision: str) -> None:
        self._bundle = _folder_of(bundle)
        self._folder = self._bundle / precision

    def known(self, texts: pl.DataFrame) -> pl.DataFrame | None:
        """The answers kept of these texts (normalized_text, level_class), each once; None where there are none."""
        paths = self._paths()
        if not paths:
            return None
        wanted = texts.select(_KEY)
        with contextlib.suppress(OSError):
            os.utime(self._bundle)
        found = []
        for path in paths:
            try:
                found.append(pl.read_parquet(path, glob=False).join(wanted, on=_KEY, how="semi"))
            except (OSError, pl.exceptions.PolarsError):
                with contextlib.suppress(OSError):
                    path.unlink()
        try:
            return pl.concat(found).unique(_KEY, maintain_order=True) if found else None
        except pl.exceptions.PolarsError:
            return None

    def keep(self, answers: pl.DataFrame) -> None:
        """Keep answers (LogDetector.answers) that are not known yet, as far as there is room."""
        try:
            room = MOST_TEXTS - sum(map(_n_rows, self._paths()))
            if room <= 0 or answers.is_empty():
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._folder / f"{secrets.token_hex(8)}.tmp"
            answers.head(room).write_parquet(part, compression="zstd")
            part.rename(part.with_suffix(".parquet"))
            self._remove_others()
        except (OSError, pl.exceptions.PolarsError):
            return

    @staticmethod
    def forget(bundle: Path) -> None:
        """Remove what is kept of a bundle, in any precision."""
        shutil.rmtree(_folder_of(bundle), ignore_errors=True)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.parquet")) if self._folder.is_dir() else []

    def _remove_others(self) -> None:
        folders = sorted(self._bundle.parent.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in folders[MOST_BUNDLES:]:
            shutil.rmtree(folder, ignore_errors=True)


def _n_rows(path: Path) -> int:
    return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def _folder_of(bundle: Path) -> Path:
    return home() / "answers" / _digest(bundle)


def _digest(bundle: Path) -> str:
    digest = hashlib.sha256()
    code = Path(__file__).resolve().parents[1]
    files = [path for pattern in _JUDGING for path in sorted(code.glob(pattern))]
    files += sorted(path for path in bundle.rglob("*") if path.is_file() and path.name not in _NOT_JUDGING)
    for path in files:
        with path.open("rb") as file:
            inner = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.parent.name}/{path.name}\0{inner}\n".encode())
    for name in _LIBRARIES:
        digest.update(f"{name} {importlib.metadata.version(name)}\n".encode())
    return digest.hexdigest()[:32]

"""TinyLogBERT Workbench: unlabelled log lines in, abnormal lines and the reasons out.

Importing this package imports nothing heavy; a name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.config import Config, ReadConfig
    from core.detector import LogDetector
    from core.errors import WorkbenchError
    from core.tokenization.log_tokenizer import LogTokenizer

__all__ = ["Config", "LogDetector", "LogTokenizer", "ReadConfig", "WorkbenchError"]

_HOME = {
    "Config": "core.config",
    "LogDetector": "core.detector",
    "LogTokenizer": "core.tokenization.log_tokenizer",
    "ReadConfig": "core.config",
    "WorkbenchError": "core.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'core' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)

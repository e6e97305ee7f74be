"""The examples in docstrings say what the code does."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WITH_EXAMPLES = [
    path.relative_to(ROOT)
    for folder in ("core", "dashboard", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=str)
def test_examples_hold(path: Path) -> None:
    found = doctest.testmod(importlib.import_module(".".join(path.with_suffix("").parts)))
    assert found.attempted
    assert not found.failed

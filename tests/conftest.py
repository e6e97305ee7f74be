"""Shared fixtures: a data folder of its own for each test, and no network."""

import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TINYLOGBERT_HOME in the test's own folder, so that no test writes to the real one."""
    folder = tmp_path / "home"
    monkeypatch.setenv("TINYLOGBERT_HOME", str(folder))
    monkeypatch.setenv("TINYLOGBERT_MODELS", str(tmp_path / "models"))
    return folder

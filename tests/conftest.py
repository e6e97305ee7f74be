"""Shared fixtures: a data folder of its own for each test, and no network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TINYLOGBERT_HOME in the test's own folder, so that no test writes to the real one."""
    folder = tmp_path / "home"
    monkeypatch.setenv("TINYLOGBERT_HOME", str(folder))
    monkeypatch.setenv("TINYLOGBERT_MODELS", str(tmp_path / "models"))
    return folder


@pytest.fixture
def app() -> AppTest:
    """The pages, as the first visitor finds them."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    from tests.pages import SHELL

    st.cache_data.clear()  # of the test before, whose runs had the same names
    st.cache_resource.clear()
    return AppTest.from_file(str(SHELL), default_timeout=20)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundles with one, `base`: a quick look at 300 everyday requests."""
    from core import workbench
    from core.config import Config
    from tests.builders import access_log, write_log

    folder = tmp_path_factory.mktemp("bundles")
    log = write_log(folder / "history.log", access_log(300)[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYLOGBERT_MODELS", str(folder))
        workbench.train([log], "base", workbench.quick(Config()))
    return folder

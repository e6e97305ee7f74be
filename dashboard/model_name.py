"""The name under which a model is saved."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

from core import workbench
from dashboard.escaping import literal


def name_input(path: Path) -> str:
    """The field for the name of a model that learns from a file, and whether there is one of that name."""
    name = st.text_input("Name of the model", value=suggested_name(path), max_chars=60, key=f"name_{path}")
    replaced_caption(name)
    return name


def replaced_caption(name: str) -> None:
    """Say where there is a model of this name."""
    if any(model.name == name for model in [*workbench.models(), *workbench.flow_models()]):
        st.caption(f":material/warning: The model {literal(name)} is replaced when training ends well.")


def suggested_name(path: Path) -> str:
    """A name for what a log teaches: its own, or its folder's where it is called train, val or test.

    Example:
        >>> suggested_name(Path("web_access/train.txt"))
        'web_access'
    """
    stem = path.name.split(".")[0]
    name = path.parent.name if stem in ("train", "val", "test") else stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "model"

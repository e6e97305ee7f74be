"""Parts of the pages that are drawn in the browser: each a `.py` with its data, a `.js` and a `.css`.

Data reaches them as JSON and is put on the page as text (`textContent`), never as markup.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

_FOLDER = Path(__file__).parent


def register(name: str, html: str, parts: tuple[str, ...] = ()) -> ComponentRenderer:
    """The component of `<name>.js` and `<name>.css`, with what all of them share in front.

    Args:
        name: file name without suffix.
        html: the empty frame the script fills; constant, never from data.
        parts: file names of what it shares with some others, in front too.
    """
    names = ("shared", *parts, name)
    return st.components.v2.component(f"workbench_{name}", html=html, css=_read(names, ".css"), js=_read(names, ".js"))


def _read(names: tuple[str, ...], suffix: str) -> str:
    paths = [_FOLDER / f"{name}{suffix}" for name in names]
    return "".join(path.read_text("utf-8") for path in paths if path.exists())  # not every part has a style of its own

"""Parts of the pages that are drawn in the browser: each a `.py` with its data, a `.js` and a `.css`.

Data reaches them as JSON and is put on the page as text (`textContent`), never as markup.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

_FOLDER = Path(__file__).parent


def register(name: str, html: str) -> ComponentRenderer:
    """The component of `<name>.js` and `<name>.css`, with what all of them share in front.

    Args:
        name: file name without suffix.
        html: the empty frame the script fills; constant, never from data.
    """
    return st.components.v2.component(
        f"workbench_{name}",
        html=html,
        css=_read("shared.css") + _read(f"{name}.css"),
        js=_read("shared.js") + _read(f"{name}.js"),
    )


def _read(file_name: str) -> str:
    return (_FOLDER / file_name).read_text("utf-8")

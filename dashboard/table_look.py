"""How a table of lines looks: which columns, and how high its rows are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import streamlit as st

from dashboard.link import from_link, to_link
from dashboard.session import ROW_PX

COLUMNS = {
    "line_no": "No.",
    "timestamp_utc": "Time (UTC)",
    "level": "Level",
    "score": "Score",
    "file": "File",
    "raw": "Message",
    "host": "Host",
    "component": "Component",
    "session": "Source",
    "reason": "Reason",
    "normalized_text": "What the scorers see",
}
"""Columns of `RunReader.lines` that can be shown, with their headings, in their order."""
USUAL = ("line_no", "timestamp_utc", "level", "score", "file", "raw", "host", "component")
NARROW = Path(__file__).with_name("narrow.css")  # for pages with tables beside something else
HEIGHTS = {"dense": 22, "usual": ROW_PX, "roomy": 40}  # px of a row
_COLUMNS_KEY, _HEIGHT_KEY = "columns_of_lines", "height_of_lines"  # one for all runs of a session


def follow_link() -> None:
    """What the address says of it."""
    from_link("columns", _COLUMNS_KEY, lambda text: [name for name in COLUMNS if name in text.split(",")] or None)
    from_link("rows", _HEIGHT_KEY, lambda text: text if text in HEIGHTS else None)


def write_link() -> None:
    """It in the address, where it is not the usual."""
    columns, height = st.session_state.get(_COLUMNS_KEY, list(USUAL)), row_height_name()
    to_link(columns=None if columns == list(USUAL) else ",".join(columns), rows=None if height == "usual" else height)


def look_menu() -> None:
    """The menu in which both are chosen."""
    state = st.session_state

    def keep() -> None:  # beside the widgets, which Streamlit forgets while another page is open
        state[_COLUMNS_KEY] = [name for name in COLUMNS if name in state["columns_chosen"]] or list(USUAL)
        state[_HEIGHT_KEY] = state["height_chosen"]

    with st.popover("Columns", icon=":material/view_column:"):
        st.multiselect(
            "Columns",
            list(COLUMNS),
            default=chosen_columns(),
            format_func=COLUMNS.__getitem__,
            placeholder="The usual ones",
            help="Those that no line of the page fills are left out.",
            on_change=keep,
            key="columns_chosen",
        )
        st.segmented_control(
            "Rows",
            list(HEIGHTS),
            default=row_height_name(),
            required=True,
            format_func=str.capitalize,
            on_change=keep,
            key="height_chosen",
        )


def chosen_columns() -> list[str]:
    """The columns in use."""
    return list(st.session_state.get(_COLUMNS_KEY, USUAL))


def row_height_name() -> str:
    """A key of HEIGHTS."""
    return str(st.session_state.get(_HEIGHT_KEY, "usual"))


def line_columns(rows: pl.DataFrame, names: Sequence[str] = USUAL) -> dict[str, Any]:
    """Columns of a table of lines, those left out that no row of the page fills."""
    widths = {
        "line_no": 70, "timestamp_utc": 110, "level": 60, "raw": 620, "host": 110, "component": 120, "file": 100,
        "session": 140, "reason": 260, "normalized_text": 420,
    }  # fmt: skip
    made: dict[str, Any] = {}
    for name in names:
        if rows[name].null_count() == len(rows):
            continue
        if name == "score":
            made[name] = score_column()
        elif name == "line_no":
            made[name] = st.column_config.NumberColumn(COLUMNS[name], format="localized", width=widths[name])
        elif name == "timestamp_utc":
            made[name] = st.column_config.DatetimeColumn(COLUMNS[name], format="MM-DD HH:mm:ss", width=widths[name])
        else:
            made[name] = st.column_config.TextColumn(COLUMNS[name], width=widths[name])
    return made


def score_column(name: str = "Score") -> Any:
    """Scores as a bar and a number."""
    return st.column_config.ProgressColumn(name, min_value=0.0, max_value=1.0, format="%.3f", width=110)

"""The table of the Threshold page: lines or messages, filtered, paged, one of them picked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import literal
from dashboard.session import ROW_PX, run_reader

PAGE_ROWS = 200
TABLE_PX = 13 * ROW_PX
MESSAGES = 1_000  # distinct messages listed at most
ORDERS = {"Highest score": ("score", True), "Line number": ("line_no", False)}


@dataclass(frozen=True)
class Filters:
    """What the table shows; the same words as `RunReader.lines`."""

    threshold: float | None
    search: str | None
    regex: bool
    level: str | None
    text_id: int | None

    def as_arguments(self) -> dict[str, Any]:
        """Keyword arguments for `lines` and `n_lines`."""
        return vars(self).copy()


def flagged_table(reader: workbench.RunReader, threshold: float) -> int | None:
    """The table with its filters; the number of the line to explain, or None where there is none."""
    run_id = reader.info.run_id
    with st.container(horizontal=True, vertical_alignment="center"):
        view = st.segmented_control(
            "Show",
            ["Flagged lines", "Flagged messages", "All lines"],
            default="Flagged lines",
            required=True,
            label_visibility="collapsed",
            width="content",
            key=f"view_{run_id}",
        )
        pager = st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center")
    if view == "Flagged messages":
        return message_table(reader, threshold)
    typed, level, order = filter_row(run_id)
    search, regex = search_of(typed)
    filters = Filters(
        threshold=threshold if view == "Flagged lines" else None,
        search=search,
        regex=regex,
        level=level,
        text_id=only_message(run_id),
    )
    try:
        n_found = reader.n_lines(**filters.as_arguments())
    except WorkbenchError as error:  # a regular expression half typed
        st.error(literal(str(error)), icon=":material/error:")
        return None
    if n_found == 0:
        st.info(
            "No line matches. Move the threshold to the left, or clear the search and the filters.",
            icon=":material/filter_alt_off:",
        )
        return None
    by, descending = ORDERS[order]
    with pager:
        offset = page_offset(run_id, n_found)
    rows = reader.lines(**filters.as_arguments(), order=by, descending=descending, limit=PAGE_ROWS, offset=offset)
    rows = without_headers(rows)
    # With the highest score first, another threshold leaves the rows before its cut where they were.
    identity = (run_id, view, typed, level, order, filters.text_id, offset, threshold if by == "line_no" else None)
    return picked(rows, line_columns(rows), [int(n) for n in rows["line_no"]], identity, state_key=f"line_{run_id}")


def without_headers(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows whose `raw` says only what the columns beside it do not."""
    return rows.with_columns(workbench.messages(rows["raw"]).alias("raw"))


def filter_row(run_id: str) -> tuple[str, str | None, str]:
    """The search as typed, the level or None, and the name of the order."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input(
            "Search",
            placeholder="Search the lines: text, or /regular expression/",
            icon=":material/search:",
            label_visibility="collapsed",
            key=f"search_{run_id}",
        )
        level = None
        if levels := levels_of(run_id):
            level = st.selectbox(
                "Level",
                levels,
                index=None,
                placeholder="Any level",
                label_visibility="collapsed",
                width=130,
                key=f"level_{run_id}",
            )
        order = st.selectbox("Order", list(ORDERS), label_visibility="collapsed", width=140, key=f"order_{run_id}")
    return typed, level, order


def message_table(reader: workbench.RunReader, threshold: float) -> int | None:
    """Flagged lines folded into their distinct messages."""
    run_id = reader.info.run_id
    messages = reader.templates(threshold, MESSAGES)
    if messages.is_empty():
        st.info("No message is flagged. Move the threshold to the left.", icon=":material/filter_alt_off:")
        return None
    columns = {
        "count": st.column_config.NumberColumn("Lines", format="localized", width=70),
        "score": score_column(),
        "normalized_text": st.column_config.TextColumn("Message", width=620),
    }
    text_ids = [int(n) for n in messages["text_id"]]
    text_id = picked(messages, columns, text_ids, (run_id, "messages", threshold), state_key=f"message_{run_id}")
    count = int(messages.filter(pl.col("text_id") == text_id)["count"][0]) if text_id in text_ids else 0
    st.button(
        f"Show its {count:,} {'line' if count == 1 else 'lines'}",
        icon=":material/list:",
        disabled=count == 0,
        on_click=show_lines_of,
        args=(run_id, text_id),
    )
    lines = reader.lines(text_id=text_id, order="line_no", descending=False, limit=1)
    return int(lines["line_no"][0])


def show_lines_of(run_id: str, text_id: int) -> None:
    """Switch from the messages to the lines of one of them."""
    st.session_state[f"only_{run_id}"] = text_id
    st.session_state[f"view_{run_id}"] = "All lines"
    st.session_state.pop(f"line_{run_id}", None)


def only_message(run_id: str) -> int | None:
    """The message the lines are limited to, shown with a way out; None without a limit."""
    key = f"only_{run_id}"
    text_id = st.session_state.get(key)
    if text_id is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Only lines of one message", width="content")
            st.button(
                "Show all again", type="tertiary", icon=":material/close:", on_click=st.session_state.pop, args=(key,)
            )
    return text_id


def page_offset(run_id: str, n_found: int) -> int:
    """Rows before the page chosen; says which rows are shown."""
    n_pages = -(-n_found // PAGE_ROWS)
    key = f"page_{run_id}"
    st.session_state[key] = min(st.session_state.get(key, 1), n_pages)
    shown = st.empty()
    number = 1
    if n_pages > 1:
        number = st.number_input(
            "Page", min_value=1, max_value=n_pages, step=1, width=110, label_visibility="collapsed", key=key
        )
    offset = (number - 1) * PAGE_ROWS
    shown.caption(f"Rows {offset + 1:,} to {min(n_found, offset + PAGE_ROWS):,} of {n_found:,}")
    return offset


def picked(
    rows: pl.DataFrame, columns: dict[str, Any], ids: list[int], identity: tuple[Any, ...], state_key: str
) -> int:
    """Show a table; the id of the row chosen in it last, which may be on another page, or of its first row."""
    table_key = f"table_{hash(identity)}"

    def keep() -> None:
        selection = st.session_state[table_key]["selection"]
        chosen = selection["rows"] or [row for row, _ in selection["cells"]]
        if chosen and chosen[0] < len(ids):
            st.session_state[state_key] = ids[chosen[0]]

    st.dataframe(
        rows,
        hide_index=True,
        height=TABLE_PX,
        row_height=ROW_PX,
        column_order=list(columns),
        column_config=columns,
        on_select=keep,
        selection_mode=["single-row", "single-cell"],
        placeholder="",
        key=table_key,
    )
    return int(st.session_state.get(state_key, ids[0]))


def line_columns(rows: pl.DataFrame) -> dict[str, Any]:
    """Columns of the table, those left out that no row of the page fills."""
    columns = {
        "line_no": st.column_config.NumberColumn("No.", format="localized", width=70),
        "timestamp_utc": st.column_config.DatetimeColumn("Time (UTC)", format="MM-DD HH:mm:ss", width=110),
        "level": st.column_config.TextColumn("Level", width=60),
        "score": score_column(),
        "raw": st.column_config.TextColumn("Message", width=620),
        "host": st.column_config.TextColumn("Host", width=110),
        "component": st.column_config.TextColumn("Component", width=120),
    }
    return {name: column for name, column in columns.items() if rows[name].null_count() < len(rows)}


def score_column() -> Any:
    """Scores as a bar and a number."""
    return st.column_config.ProgressColumn("Score", min_value=0.0, max_value=1.0, format="%.3f", width=110)


def search_of(typed: str | None) -> tuple[str | None, bool]:
    """The search text and whether it is a regular expression, which is written between slashes.

    Example:
        >>> search_of("/fail(ed)?/")
        ('fail(ed)?', True)
    """
    text = (typed or "").strip()
    if len(text) > 2 and text.startswith("/") and text.endswith("/"):
        return text[1:-1], True
    return text or None, False


@st.cache_data(max_entries=16, show_spinner=False)
def levels_of(run_id: str) -> list[str]:
    """Levels of the run's lines; a run never changes."""
    return run_reader(run_id).levels()

"""The table of the Threshold page: lines or messages, filtered, paged, one of them picked."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import in_cells, literal
from dashboard.link import from_link, to_link, whole_number, word_of
from dashboard.mutes import mute_button
from dashboard.session import ROW_PX, muted_key, run_reader
from dashboard.table_look import (
    HEIGHTS,
    chosen_columns,
    line_columns,
    look_menu,
    row_height_name,
    score_column,
)
from dashboard.table_look import follow_link as follow_link_of_look
from dashboard.table_look import write_link as write_link_of_look
from dashboard.timeline import LAST_SPAN, SPANS, span_shown, timeline

PAGE_ROWS = 200
TABLE_PX = 13 * ROW_PX
HEAD_PX = 36  # of a table, its borders among them
MESSAGES = 1_000  # distinct messages listed at most
VERDICTS = {"abnormal": "abnormal", "normal": "normal", "unsure": "unsure", "not judged": None}
MOST_SOURCES = 1_000  # offered, the most frequent
VIEWS = {"messages": "Flagged messages", "all": "All lines"}  # in the address; flagged lines need no word there
ORDERS = {
    "Highest score": ("score", True),
    "Line number": ("line_no", False),
    "Earliest": ("time", False),
    "Latest": ("time", True),
}
ORDERS_IN_LINK = {"line": "Line number", "earliest": "Earliest", "latest": "Latest"}  # the usual one needs no word
FILTERS = ("level", "source", "file", "verdict")


def flagged_table(reader: workbench.RunReader, threshold: float) -> int | None:
    """The table with its filters; the number of the line to explain, or None where there is none."""
    run_id = reader.info.run_id
    follow_link(reader)
    line_no = chosen_line(reader, threshold)
    write_link(run_id, line_no)
    return line_no


def follow_link(reader: workbench.RunReader) -> None:
    """What the address says of the table."""
    run_id = reader.info.run_id
    from_link("view", f"view_{run_id}", VIEWS.get)
    from_link("q", f"search_{run_id}", str)
    for name in FILTERS:
        from_link(name, f"{name}_{run_id}", lambda text, name=name: text if text in values_of(reader, name) else None)
    # A source may be too rare to be offered.
    from_link("source", f"source_{run_id}", lambda text: text if reader.n_lines(source=text) else None)
    from_link("order", f"order_{run_id}", ORDERS_IN_LINK.get)
    follow_link_of_look()
    from_link("span", f"span_{run_id}", whole_number(0, LAST_SPAN))
    from_link("message", f"only_{run_id}", whole_number(0, reader.info.n_lines - 1))  # text_id: fewer than lines
    from_link("line", f"line_{run_id}", whole_number(1, reader.info.n_lines))


def write_link(run_id: str, line_no: int | None) -> None:
    """The table in the address, its defaults left out."""
    state = st.session_state
    only, line, span = (state.get(f"{name}_{run_id}") for name in ("only", "line", "span"))
    to_link(
        view=word_of(state.get(f"view_{run_id}"), VIEWS),
        q=state.get(f"search_{run_id}") or None,
        **{name: state.get(f"{name}_{run_id}") for name in FILTERS},
        order=word_of(state.get(f"order_{run_id}"), ORDERS_IN_LINK),
        span=None if span is None else str(span),
        message=None if only is None else str(only),
        line=None if line is None or line_no is None else str(line_no),
    )
    write_link_of_look()


def chosen_line(reader: workbench.RunReader, threshold: float) -> int | None:
    """The table itself; the line chosen in it."""
    run_id = reader.info.run_id
    st.session_state.setdefault(f"view_{run_id}", "Flagged lines")
    with st.container(horizontal=True, vertical_alignment="center"):
        view = st.segmented_control(
            "Show",
            ["Flagged lines", *VIEWS.values()],
            required=True,
            label_visibility="collapsed",
            width="content",
            key=f"view_{run_id}",
        )
        pager = st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center")
    if view == "Flagged messages":
        return message_table(reader, threshold)
    typed, order, chosen = filter_row(reader)
    search, regex = search_of(typed)
    only = only_message(run_id)
    during = span_filter(reader, threshold)
    filters = {
        "threshold": threshold if view == "Flagged lines" else None,
        "search": search,
        "regex": regex,
        "text_id": only,
        "level": chosen.get("level"),
        "source": chosen.get("source"),
        **of_verdict(run_id, chosen.get("verdict")),
        **of_file(reader, chosen.get("file")),
    }
    if "span" in filters and "span" in during:  # a file's lines, and a part of the log without times
        during["span"] = (max(filters["span"][0], during["span"][0]), min(filters["span"][1], during["span"][1]))
    filters |= during
    try:
        n_found = reader.n_lines(**filters)
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
    rows = reader.lines(**filters, order=by, descending=descending, limit=PAGE_ROWS, offset=offset)
    rows = without_headers(rows)
    # With the highest score first, another threshold leaves the rows before its cut where they were.
    cut = threshold if by == "line_no" else None
    identity = (run_id, view, typed, *chosen.values(), order, only, *during.values(), offset, cut)
    columns, height = chosen_columns(), row_height_name()
    return picked(
        rows,
        line_columns(rows, columns),
        [int(n) for n in rows["line_no"]],
        (*identity, *columns, height),
        state_key=f"line_{run_id}",
        row_px=HEIGHTS[height],
    )


def without_headers(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows whose `raw` says only what the columns beside it do not."""
    return rows.with_columns(workbench.messages(rows["raw"]).alias("raw"))


def filter_row(reader: workbench.RunReader) -> tuple[str, str, dict[str, str | None]]:
    """The search as typed, the name of the order, and the filters by name."""
    run_id = reader.info.run_id
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input(
            "Search",
            placeholder="Search the lines: text, or /regular expression/",
            icon=":material/search:",
            label_visibility="collapsed",
            key=f"search_{run_id}",
        )
        state = st.session_state
        n_set = sum(state.get(f"{name}_{run_id}") is not None for name in FILTERS)
        chosen: dict[str, str | None] = {}
        with st.popover(f"Filter ({n_set})" if n_set else "Filter", icon=":material/filter_alt:"):
            for name in FILTERS:
                values = values_of(reader, name)
                if (set_to := state.get(f"{name}_{run_id}")) is not None and set_to not in values:
                    values = [set_to, *values]
                if values:
                    chosen[name] = st.selectbox(
                        name.capitalize(), values, index=None, placeholder=f"Any {name}", key=f"{name}_{run_id}"
                    )
        order = st.selectbox("Order", list(ORDERS), label_visibility="collapsed", width=140, key=f"order_{run_id}")
        look_menu()
    return typed, order, chosen


def values_of(reader: workbench.RunReader, name: str) -> list[str]:
    """What a filter can be set to."""
    run_id = reader.info.run_id
    if name == "file":
        return list(dict.fromkeys(file for file, _ in reader.info.files))
    return {"level": levels_of, "source": sources_of, "verdict": lambda _: list(VERDICTS)}[name](run_id)


def of_file(reader: workbench.RunReader, file: str | None) -> dict[str, tuple[int, int]]:
    """The filter that leaves the lines of one of several inputs."""
    if file is None:
        return {}
    names = [name for name, _ in reader.info.files]
    firsts = [*(first for _, first in reader.info.files), reader.info.n_lines + 1]
    at = names.index(file)
    return {"span": (firsts[at], firsts[at + 1] - 1)}


def flagged_timeline(reader: workbench.RunReader, threshold: float) -> None:
    """Flagged lines over the log's time, or over its line numbers where it has no times."""
    run_id = reader.info.run_id
    timeline(spans_of(run_id, threshold, muted_key()), run_id, "lines", partial(span_picked, run_id))


def span_filter(reader: workbench.RunReader, threshold: float) -> dict[str, tuple[Any, Any]]:
    """The filter that leaves the lines of the span picked; none without one."""
    run_id = reader.info.run_id
    spans = partial(spans_of, run_id, threshold, muted_key())
    found = span_shown(spans, run_id, "lines", partial(span_picked, run_id))
    if found is None:
        return {}
    low, high = found
    return {"time": found} if isinstance(low, datetime) else {"span": (low, high - 1)}


@st.cache_data(max_entries=64, show_spinner=False)
def spans_of(run_id: str, threshold: float, muted: str) -> pl.DataFrame:
    """The spans, of `RunReader.timeline`; a run never changes, and `muted` says what is muted in it."""
    return run_reader(run_id).timeline(threshold, SPANS)


def span_picked(run_id: str) -> None:
    """The table begins anew, and shows lines."""
    state = st.session_state
    state[f"line_{run_id}"] = None
    state.pop(f"page_{run_id}", None)
    if state.get(f"span_{run_id}") is not None and state.get(f"view_{run_id}") == "Flagged messages":
        state[f"view_{run_id}"] = "Flagged lines"


def of_verdict(run_id: str, verdict: str | None) -> dict[str, list[int]]:
    """The filter that leaves the lines with a verdict, or those without any."""
    if verdict is None:
        return {}
    judged = workbench.verdicts(run_id)
    if VERDICTS[verdict] is None:
        return {"apart_from": judged["line_no"].to_list()}
    return {"among": judged.filter(pl.col("label") == VERDICTS[verdict])["line_no"].to_list()}


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
    with st.container(horizontal=True):
        st.button(
            f"Show its {count:,} {'line' if count == 1 else 'lines'}",
            icon=":material/list:",
            disabled=count == 0,
            on_click=show_lines_of,
            args=(run_id, text_id),
        )
        mute_button(reader, messages.filter(pl.col("text_id") == text_id), key=f"message_{run_id}_{text_id}")
    lines = reader.lines(text_id=text_id, order="line_no", descending=False, limit=1)
    return int(lines["line_no"][0])


def show_lines_of(run_id: str, text_id: int) -> None:
    """Switch from the messages to the lines of one of them."""
    st.session_state[f"only_{run_id}"] = text_id
    st.session_state[f"span_{run_id}"] = None
    st.session_state[f"view_{run_id}"] = "All lines"
    st.session_state[f"line_{run_id}"] = None


def only_message(run_id: str) -> int | None:
    """The message the lines are limited to, shown with a way out; None without a limit."""
    key = f"only_{run_id}"
    text_id = st.session_state.get(key)
    if text_id is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Only lines of one message", width="content")
            st.button(
                "Show all again",
                type="tertiary",
                icon=":material/close:",
                on_click=st.session_state.update,
                args=({key: None},),  # and not gone: the address would say it again
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


def table_px(n_rows: int, row_px: int = ROW_PX, most_px: int = TABLE_PX) -> int:
    """The height of a table that has these rows: no empty ones below them, and at most `most_px`."""
    return min(n_rows * row_px + HEAD_PX, most_px)


def picked(
    rows: pl.DataFrame,
    columns: dict[str, Any],
    ids: list[int],
    identity: tuple[Any, ...],
    state_key: str,
    row_px: int = ROW_PX,
    most_px: int = TABLE_PX,
    chosen_first: int | None = None,
) -> int:
    """Show a table; the id of the row chosen in it last, which may be on another page, or of its first row.

    Args:
        rows: of the table.
        columns: shown, with how each looks.
        ids: of the rows.
        identity: what the table is of; with another one it begins anew.
        state_key: where the id of the row chosen is kept.
        row_px: height of a row.
        most_px: height of the table, at most.
        chosen_first: id of the row that is marked when the table begins.
    """
    table_key = f"table_{hash(identity)}"

    def keep() -> None:
        selection = st.session_state[table_key]["selection"]
        chosen = selection["rows"] or [row for row, _ in selection["cells"]]
        if chosen and chosen[0] < len(ids):
            st.session_state[state_key] = ids[chosen[0]]

    st.dataframe(
        in_cells(rows),
        hide_index=True,
        height=table_px(len(rows), row_px, most_px),
        row_height=row_px,
        column_order=list(columns),
        column_config=columns,
        on_select=keep,
        selection_mode=["single-row", "single-cell"],
        selection_default={"selection": {"rows": [ids.index(chosen_first)]}} if chosen_first in ids else None,
        placeholder="",
        key=table_key,
    )
    chosen_before = st.session_state.get(state_key)
    return int(ids[0] if chosen_before is None else chosen_before)


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


@st.cache_data(max_entries=16, show_spinner=False)
def sources_of(run_id: str) -> list[str]:
    """Sources of the run's lines; a run never changes."""
    return run_reader(run_id).sources(MOST_SOURCES)

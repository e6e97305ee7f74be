"""What the settings that are tried would flag that is not flagged now, and what no longer."""

from __future__ import annotations

import polars as pl
import streamlit as st

from core import workbench
from dashboard.components.line_detail import line_detail
from dashboard.line_view import detail_of
from dashboard.lines_table import picked, score_column
from dashboard.session import run_reader

LISTED = 1_000
TEXT_CHARS = 1_000
WAYS = {True: "newly flagged", False: "no longer flagged"}


def changes_section(
    found: workbench.LabelledRun, weights: dict[str, float], threshold: float, saved_threshold: float
) -> None:
    """Both ways as buttons with their lines and labels, then the messages of one and the first line of one."""
    run_id = found.info.run_id
    st.markdown("**What would change** · the point and the weights above against what is in force")
    changed = workbench.changed_messages(found, weights, threshold, saved_threshold)
    if changed.is_empty():
        st.caption("Nothing: every line is flagged, or not, as now. Move the point or a weight.")
        return
    way = way_choice(run_id, {way: changed.filter(pl.col("newly_flagged") == way) for way in WAYS})
    rows = changed.filter(pl.col("newly_flagged") == way).head(LISTED)
    columns = {
        "count": st.column_config.NumberColumn("Lines", format="localized", width=60),
        "saved": score_column("Now"),
        "tried": score_column("Tried"),
        "abnormal": st.column_config.NumberColumn("✖", help="Lines labelled abnormal", format="localized", width=50),
        "normal": st.column_config.NumberColumn("✔", help="Lines labelled normal", format="localized", width=50),
        "normalized_text": st.column_config.TextColumn("Message", width=380),
    }
    left, right = st.columns([3, 2], gap="medium")
    ids = rows["text_id"].to_list()
    state_key = f"changed_text_{run_id}_{way}"
    if st.session_state.get(state_key) not in ids:
        st.session_state.pop(state_key, None)
    with left:
        shown = rows.with_columns(pl.col("normalized_text").str.head(TEXT_CHARS))
        text_id = picked(shown, columns, ids, (run_id, "changes", way, *ids[:50], len(ids), threshold), state_key)
    with right:
        reader = run_reader(run_id)
        [first] = reader.line_numbers(text_id, 1)
        opened_key = f"changed_line_{state_key}_{text_id}"
        line_no = st.session_state.get(opened_key, first)
        opened = line_detail(
            detail_of(reader, line_no, saved_threshold, *reader.score_counts()),
            key=f"changed_{run_id}",
        )
        if opened is not None and opened != line_no:
            st.session_state[opened_key] = opened
            st.rerun(scope="fragment")


def way_choice(run_id: str, parts: dict[bool, pl.DataFrame]) -> bool:
    """Which of the two is listed."""
    key = f"changed_way_{run_id}"
    chosen = st.session_state.get(key, True)
    if parts[chosen].is_empty():
        chosen = not chosen

    def choose(way: bool) -> None:
        st.session_state[key] = way

    with st.container(horizontal=True, vertical_alignment="center"):
        for way, rows in parts.items():
            st.button(
                f"**{rows['count'].sum():,}** {'lines' if rows['count'].sum() != 1 else 'line'} {WAYS[way]}"
                f" · labelled ✖ {rows['abnormal'].sum():,} abnormal, ✔ {rows['normal'].sum():,} normal",
                type="primary" if way == chosen else "secondary",
                disabled=rows.is_empty(),
                on_click=choose,
                args=(way,),
                key=f"{key}_{way}",
            )
    return chosen

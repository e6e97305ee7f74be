"""New lines on a map that is made: pasted ones, or the messages of another run; no point of it moves."""

from __future__ import annotations

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import in_cells, literal
from dashboard.lines_table import TABLE_PX, score_column
from dashboard.session import ROW_PX, age_text

FAR_HELP = (
    "Between the directions of the two vectors, 0 to 2. Far: farther from every message of the map than 19 of 20 of "
    "them are from their nearest other; the place then says little. A line may lie near and be abnormal: see its score."
)


def place_form(run_id: str) -> None:
    """Lines pasted, or another run, to be shown on this map."""
    others = other_runs(run_id)
    with st.popover(
        "Place new lines", icon=":material/add_location:", help="On this map, without moving a point of it."
    ):
        pasted = st.text_area(
            "Lines as written", placeholder="Paste a line or some", height=120, key=f"pasted_{run_id}"
        )
        if st.button("Place them", type="primary", width="stretch", key=f"place_lines_{run_id}"):
            st.session_state[_asked(run_id)] = ("lines", tuple(pasted.splitlines()))
        if others:
            other = st.selectbox(
                "Or the messages of another run",
                list(others),
                format_func=lambda other_id: f"{others[other_id].name}, {age_text(others[other_id].created_utc)}",
                key=f"place_other_{run_id}",
            )
            if st.button("Place that run", width="stretch", key=f"place_run_{run_id}"):
                st.session_state[_asked(run_id)] = ("run", other)


@st.cache_data(ttl=30, max_entries=8, show_spinner=False)
def other_runs(run_id: str) -> dict[str, workbench.RunInfo]:
    """Runs that may be placed, by id; looked up seldom, for a selection waits for it."""
    return {other.run_id: other for other in workbench.placeable_runs(run_id)}


def new_lines(run_id: str, method: str) -> pl.DataFrame | None:
    """What was asked to be placed, in its places; None where nothing was, or it cannot be."""
    kind, asked = st.session_state.get(_asked(run_id), (None, None))
    if kind is None:
        return None
    try:
        return placed_lines(run_id, method, asked) if kind == "lines" else placed_run(run_id, method, asked)
    except WorkbenchError as error:
        st.session_state.pop(_asked(run_id))
        st.error(literal(str(error)), icon=":material/error:")
        return None


# In this process, where the network stays loaded: one of its own would load it anew for every question.
@st.cache_data(max_entries=8, show_spinner="Reading the new lines; at first the network is loaded …", show_time=True)
def placed_lines(run_id: str, method: str, lines: tuple[str, ...]) -> pl.DataFrame:
    """See `workbench.place_lines`; a map and its model never change."""
    return workbench.place_lines(run_id, method, lines)


@st.cache_data(max_entries=8, show_spinner="Placing the messages …", show_time=True)
def placed_run(run_id: str, method: str, other_id: str) -> pl.DataFrame:
    """See `workbench.place_run`; runs never change."""
    return workbench.place_run(run_id, method, other_id)


def placed_table(run_id: str, placed: pl.DataFrame, points: pl.DataFrame, threshold: float) -> None:
    """What was placed and where, in words."""
    n_far = int(placed["far"].sum())
    with st.container(horizontal=True, vertical_alignment="center"):
        far = f", {n_far:,} of them far from everything" if n_far else ""
        st.markdown(f"**{len(placed):,} new {'line' if len(placed) == 1 else 'lines'} placed**{far}", width="stretch")
        drop = st.session_state.pop
        st.button("Remove", icon=":material/close:", type="tertiary", on_click=drop, args=(_asked(run_id),))
    texts = points.select(pl.col("text_id").alias("nearest"), pl.col("normalized_text").alias("nearest_text"))
    rows = placed.join(texts, on="nearest", how="left", maintain_order="left").select(
        pl.int_range(1, pl.len() + 1).alias("no"),
        pl.concat_str(
            pl.when(pl.col("score") >= threshold).then(pl.lit("▲ flagged")),
            pl.when("far").then(pl.lit("far from everything")),
            separator=", ",
            ignore_nulls=True,
        ).alias("remark"),
        "score", "line", "nearest_text", "title", "distance",
    )  # fmt: skip
    columns = {
        "no": st.column_config.NumberColumn("No.", width=40),
        "score": score_column(),
        "line": st.column_config.TextColumn("New line", width=420),
        "nearest_text": st.column_config.TextColumn("Nearest message", width=360),
        "title": st.column_config.TextColumn("Its cluster", width=200),
        "distance": st.column_config.NumberColumn("Distance", format="%.3f", width=80, help=FAR_HELP),
        "remark": st.column_config.TextColumn("Remark", width=150),
    }
    height = min(len(rows) + 1, TABLE_PX // ROW_PX) * ROW_PX + 3
    st.dataframe(
        in_cells(rows),
        hide_index=True,
        height=height,
        row_height=ROW_PX,
        column_order=list(columns),
        column_config=columns,
    )


def _asked(run_id: str) -> str:
    """The key of what is to be placed."""
    return f"placed_{run_id}"

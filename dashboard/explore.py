"""Explore page: the messages on a map, and the lines behind the ones drawn around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.line_detail import line_detail
from dashboard.components.message_map import message_map, payload
from dashboard.escaping import literal
from dashboard.job_cards import WATCH_SECONDS, active_card
from dashboard.line_view import detail_of, said_of
from dashboard.lines_table import (
    MESSAGES,
    PAGE_ROWS,
    line_columns,
    page_offset,
    picked,
    search_of,
    without_headers,
)
from dashboard.link import from_link, to_link
from dashboard.placing import new_lines, place_form, placed_table
from dashboard.session import (
    DATA_PAGE,
    ROW_PX,
    cannot_open,
    failed_within,
    look_of_theme,
    muted_key,
    nothing_scored,
    run_in_view,
    run_reader,
)

MOST_JUDGED = 20_000  # lines in one act
MESSAGES_PX = 20 * ROW_PX  # as high as the map beside it
COLOURS = {"Fused score": "score", "Flagged": "state", "Level": "level_class", "Verdict": "verdict"}
STARTS = {"method": "umap", "colour": "Fused score", "search": ""}
VERDICTS = {"abnormal": "✖ Abnormal", "normal": "✔ Normal", "unsure": "? Unsure"}  # the weightiest first
MEANING = {
    "umap": "Near points are like messages; how far apart two groups lie means little.",
    "tsne": "Near points are like messages; neither the distance between groups nor their extent means much.",
    "pca": "The two directions in which messages differ most; what differs in others only may lie together.",
}


def page() -> None:
    """The whole page."""
    run_id = run_in_view()
    if run_id is None:
        nothing_scored()
        st.caption(
            "This page lays messages out on a map: like ones lie together, those drawn around are judged at once."
        )
        return
    try:
        on_map = workbench.map_of(run_id, "pca")
        if on_map.is_empty():
            st.info(
                "No network read this log, so its messages have no place on a map. On the Data page, score it with a "
                "model, or against itself without the quick look.",
                icon=":material/scatter_plot:",
            )
            st.page_link(DATA_PAGE, label="Go to Data", icon=":material/arrow_forward:")
            return
        explore(run_id, workbench.threshold(run_id))
    except WorkbenchError as error:
        cannot_open(error)


@st.fragment
def explore(run_id: str, threshold: float) -> None:
    """Map, messages, lines and detail: they move together."""
    try:
        reader = run_reader(run_id)
        method, colour_by, typed = controls(reader)
        waiting = st.empty()  # of one element, used or not: what follows keeps its place when the waiting ends
        if method not in workbench.maps(run_id):
            with waiting.container():
                making(run_id, method)
            method = "pca"
        placed = new_lines(run_id, method)
        left, right = st.columns([7, 4], gap="medium")
        with left:
            points, found = draw(reader, method, colour_by, typed, threshold, placed)
        chosen = points["text_id"].is_in(st.session_state.get(_key(run_id, "chosen"), []))
        if not chosen.any() and found is not None:
            chosen = pl.Series(found)
        with right:
            text_id = messages(run_id, points, chosen)
        if placed is not None:
            placed_table(run_id, placed, points, threshold)
        if text_id is not None:
            lines(reader, points.filter(chosen)["text_id"].to_list() if chosen.any() else None, text_id, threshold)
    except WorkbenchError as error:
        failed_within(error)


# ---- the map


def controls(reader: workbench.RunReader) -> tuple[str, str, str]:
    """The method, the column that colours, and the search as typed."""
    run_id = reader.info.run_id
    colours = COLOURS | {f"Scorer {name}": name for name in reader.info.scorers}
    from_link("map", _key(run_id, "method"), lambda text: text if text in workbench.MAP_NAMES else None)
    from_link("colour", _key(run_id, "colour"), lambda text: text if text in colours else None)
    from_link("search", _key(run_id, "search"), str)
    for name, start in STARTS.items():
        st.session_state.setdefault(_key(run_id, name), start)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        method = st.segmented_control(
            "Map",
            list(workbench.MAP_NAMES),
            format_func=workbench.MAP_NAMES.__getitem__,
            required=True,
            label_visibility="collapsed",
            width="content",
            key=_key(run_id, "method"),
        )
        colour = st.selectbox(
            "Colour by",
            list(colours),
            format_func="Colour: {}".format,
            label_visibility="collapsed",
            width=220,
            key=_key(run_id, "colour"),
        )
        typed = st.text_input(
            "Search",
            placeholder="Search the messages: text, or /regular expression/",
            icon=":material/search:",
            label_visibility="collapsed",
            key=_key(run_id, "search"),
        )
        place_form(run_id)
    now = {"method": method, "colour": colour, "search": typed}
    shown = {name: None if value == STARTS[name] else value for name, value in now.items()}
    to_link(map=shown["method"], colour=shown["colour"], search=shown["search"])
    return method, colours[colour], typed


def making(run_id: str, method: str) -> None:
    """See to it that the map is made, once a session unless asked again; shows how far it is."""
    key = _key(run_id, f"job_{method}")
    if key not in st.session_state:
        st.session_state[key] = workbench.start_map(run_id, method)

    def watch() -> None:
        job = workbench.job(st.session_state[key])
        if not job.is_final:
            active_card(job)
        else:
            st.rerun()

    job = workbench.job(st.session_state[key])
    name = workbench.MAP_NAMES[method]
    if not job.is_final:
        st.fragment(watch, run_every=WATCH_SECONDS)()
        st.caption(f"PCA is shown until {name} is ready; it is made once and kept with the run.")
        return
    if job.state == "done":  # between two looks
        del st.session_state[key]
        st.rerun()
    if job.state == "failed":
        st.error(literal(job.message), icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{name} was not made; PCA is shown.", width="content")
        st.button(f"Make {name}", icon=":material/replay:", on_click=st.session_state.pop, args=(key,))


def points_of(
    reader: workbench.RunReader, places: pl.DataFrame, threshold: float, verdicts: pl.DataFrame
) -> pl.DataFrame:
    """The messages on the map as `charts.message_map` takes them."""
    weight = {label: rank for rank, label in enumerate(VERDICTS)}
    judged = (
        verdicts.select(pl.col("text_id").cast(pl.Int64), pl.col("label").alias("verdict"))
        .sort(pl.col("verdict").replace_strict(weight, return_dtype=pl.Int64))
        .unique("text_id", keep="first", maintain_order=True)  # of a message's lines the weightiest
    )
    return (
        reader.texts()
        .with_columns(
            pl.col("text_id").cast(pl.Int64),
            pl.when(pl.col("score") >= threshold, ~pl.col("muted"))
            .then(pl.lit("flagged"))
            .otherwise(pl.lit("normal"))
            .alias("state"),
        )
        .join(places, on="text_id", how="inner", maintain_order="left")
        .join(judged, on="text_id", how="left", maintain_order="left")
        .with_columns(pl.col("verdict").fill_null(""))
    )


def matching(points: pl.DataFrame, typed: str) -> np.ndarray | None:
    """[N] bool, the messages a search finds; None without a search."""
    text, regex = search_of(typed)
    if text is None:
        return None
    try:
        found = (
            points["normalized_text"].str.contains(f"(?i){text}")
            if regex
            else points["normalized_text"].str.to_lowercase().str.contains(text.lower(), literal=True)
        )
    except pl.exceptions.ComputeError:
        st.error(f"The regular expression {literal(text)} cannot be read.", icon=":material/error:")
        return None
    return found.to_numpy()


def draw(
    reader: workbench.RunReader,
    method: str,
    colour_by: str,
    typed: str,
    threshold: float,
    placed: pl.DataFrame | None,
) -> tuple[pl.DataFrame, np.ndarray | None]:
    """The map and what it says in words; its points, and which of them the search finds."""
    run_id = reader.info.run_id
    verdicts = workbench.verdicts(run_id)
    dark = look_of_theme().dark
    # Made anew only where something else than the selection changed, which the browser draws by itself.
    view = (
        method, colour_by, typed, threshold, dark, muted_key(), st.session_state.get(_key(run_id, "cleared")),
        int(verdicts.hash_rows().sum() or 0), None if placed is None else int(placed.hash_rows().sum() or 0),
    )  # fmt: skip
    if st.session_state.get(_key(run_id, "drawn"), (None,))[0] != view:
        points = points_of(reader, workbench.map_of(run_id, method), threshold, verdicts)
        found = matching(points, typed)
        summary = summary_of(points, found)
        chosen = st.session_state.get(_key(run_id, "chosen"))
        drawn = payload(points, colour_by, dark, f"Map of messages. {summary}", found, chosen, placed)
        st.session_state[_key(run_id, "drawn")] = (view, points, found, summary, drawn)
    _, points, found, summary, drawn = st.session_state[_key(run_id, "drawn")]

    def choose(text_ids: list[int]) -> None:
        st.session_state[_key(run_id, "chosen")] = text_ids
        st.session_state.pop(_key(run_id, "message"), None)

    message_map(drawn, choose, key=_key(run_id, "chart"))
    n_left_out = reader.info.n_texts - n_messages(points)
    left_out = ""
    if n_left_out > 0:  # as the detector chose them
        left_out = f" Left out: {n_left_out:,} more; of those shown, half have the highest scores, half are drawn."
    st.caption(f"{summary}{left_out} {MEANING[method]}")
    return points, found


def summary_of(points: pl.DataFrame, found: np.ndarray | None) -> str:
    """The map in words."""
    n_flagged, n_distinct = n_messages(points.filter(pl.col("state") == "flagged")), n_messages(points)
    n_clusters = points["cluster"].drop_nulls().n_unique()
    named = f" {n_clusters:,} clusters." if n_clusters > 1 else ""
    parted = f" Each has a point for each of its contexts, {len(points):,} in all." if len(points) > n_distinct else ""
    hits = "" if found is None else f" The search finds {n_messages(points.filter(found)):,} of them."
    return f"{n_distinct:,} messages, {n_flagged:,} of them flagged.{parted}{named}{hits}"


def n_messages(points: pl.DataFrame) -> int:
    """Distinct messages among the points: in context a message has one for each of its scores."""
    return points["normalized_text"].n_unique()


# ---- what is selected


def messages(run_id: str, points: pl.DataFrame, chosen: pl.Series) -> int | None:
    """The messages selected, or all of them, and what to do with them; the id of the one picked."""
    rows = points.filter(chosen) if chosen.any() else points
    n_lines = int(rows["count"].sum())
    with st.container(horizontal=True, vertical_alignment="center"):
        share = f"{n_messages(rows):,} of {n_messages(points):,}" if chosen.any() else f"All {n_messages(points):,}"
        st.markdown(f"**{share} messages, {n_lines:,} lines**", width="stretch")
        if st.session_state.get(_key(run_id, "chosen")):
            st.button("Clear", icon=":material/close:", type="tertiary", on_click=clear, args=(run_id,))
    acts = st.empty()  # used or not: the table keeps its place
    if chosen.any():
        with acts.container():
            judge(run_id, rows["text_id"].to_list(), n_lines)
    rows = rows.sort("score", "count", descending=True, maintain_order=True).head(MESSAGES)
    columns = {
        "count": st.column_config.NumberColumn("Lines", format="localized", width=60),
        "score": st.column_config.NumberColumn("Score", format="%.3f", width=60),
        "normalized_text": st.column_config.TextColumn("Message", width=400),
    }
    ids = rows["text_id"].to_list()
    identity = (run_id, "map", st.session_state.get(_key(run_id, "cleared")), *ids[:PAGE_ROWS], len(ids))
    text_id = picked(rows.select(list(columns)), columns, ids, identity, _key(run_id, "message"), most_px=MESSAGES_PX)
    return text_id if text_id in ids else ids[0]


def clear(run_id: str) -> None:
    """Select nothing; the chart is drawn anew, for it would keep its own selection."""
    for name in ("chosen", "drawn", "message"):
        st.session_state.pop(_key(run_id, name), None)
    st.session_state[_key(run_id, "cleared")] = st.session_state.get(_key(run_id, "cleared"), 0) + 1


def judge(run_id: str, text_ids: Sequence[int], n_lines: int) -> None:
    """One verdict on all lines of the messages selected."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Their verdict", width="content")
        for label, name in VERDICTS.items():
            if st.button(
                name,
                disabled=n_lines > MOST_JUDGED,
                help=f"At most {MOST_JUDGED:,} lines at once." if n_lines > MOST_JUDGED else None,
                key=_key(run_id, f"judge_{label}"),
            ):
                of_texts = run_reader(run_id).line_texts().filter(pl.col("text_id").is_in(text_ids))
                workbench.set_verdict(run_id, of_texts["line_no"].to_list(), label)
                st.toast(f"{n_lines:,} {'line is' if n_lines == 1 else 'lines are'} {label} now.")
                st.rerun()
        if st.button("Undo", icon=":material/undo:", type="tertiary", key=_key(run_id, "undo")):
            undone = workbench.undo_verdict(run_id)
            st.toast(f"Taken back: the verdict on {len(undone):,} lines." if undone else "There is nothing to undo.")
            st.rerun()


def lines(reader: workbench.RunReader, text_ids: list[int] | None, text_id: int, threshold: float) -> None:
    """Lines of the selection or of the message picked, and one of them explained."""
    run_id = reader.info.run_id
    left, right = st.columns([3, 2], gap="medium")
    with left:
        with st.container(horizontal=True, vertical_alignment="center"):
            whole = "Lines of the selection" if text_ids else "All lines"
            shown = st.segmented_control(
                "Lines",
                ["Lines of the message", whole],
                default="Lines of the message",
                required=True,
                label_visibility="collapsed",
                width="content",
                key=_key(run_id, "lines"),
            )
            pager = st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center")
        wanted = text_ids if shown == whole else text_id
        if st.session_state.get(_key(run_id, "lines_of")) != (scope := (shown, text_id, len(text_ids or []))):
            st.session_state[_key(run_id, "lines_of")] = scope
            st.session_state.pop(_key(run_id, "line"), None)
        with pager:
            offset = page_offset(_key(run_id, "lines"), reader.n_lines(text_id=wanted))
        rows = without_headers(reader.lines(text_id=wanted, limit=PAGE_ROWS, offset=offset))
        ids = rows["line_no"].to_list()
        line_no = picked(rows, line_columns(rows), ids, (run_id, "map lines", *ids), _key(run_id, "line"))
    with right:
        detail = detail_of(reader, line_no, threshold, *reader.score_counts())
        said = said_of(workbench.verdicts(run_id, notes=True), line_no, run_id)
        opened = line_detail(replace(detail, said=said), key=_key(run_id, "detail"))
        if opened is not None and opened != line_no:
            st.session_state[_key(run_id, "line")] = opened
            st.rerun(scope="fragment")


def _key(run_id: str, name: str) -> str:
    return f"map_{name}_{run_id}"


if __name__ == "__main__":
    page()

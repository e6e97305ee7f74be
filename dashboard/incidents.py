"""Incidents page: flagged lines folded into a few things, each judged or muted as one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.acts import Act, answered, performer, problem
from dashboard.components.incident_board import IncidentRow, incident_board
from dashboard.components.line_detail import line_detail
from dashboard.escaping import in_cells, literal
from dashboard.exporting import incident_export
from dashboard.line_view import detail_of, said_of
from dashboard.lines_table import MESSAGES, PAGE_ROWS, page_offset, picked, table_px, without_headers
from dashboard.link import from_link, to_link, whole_number
from dashboard.mutes import mute_button, muted_list
from dashboard.rescoring import rescore_button
from dashboard.session import (
    ROW_PX,
    THRESHOLD_PAGE,
    cannot_open,
    failed_within,
    muted_key,
    nothing_scored,
    run_in_view,
    run_reader,
    threshold_in_view,
)
from dashboard.table_look import NARROW, line_columns

SHOWN = 300
EXAMPLE_CHARS = 300
BOARD = "incidents_{}".format
USUAL = "usual"
ORDERS = {"highest score": ("worst_score", True), "most lines": ("n_lines", True), "earliest": ("first_no", False)}
USUAL_ORDER = "Highest scores first, in three bands from the threshold to 1; in a band those with the most lines first."
GAPS = {
    "1 minute": timedelta(minutes=1),
    "5 minutes": timedelta(minutes=5),
    "30 minutes": timedelta(minutes=30),
    "2 hours": timedelta(hours=2),
    "1 day": timedelta(days=1),
    "7 days": timedelta(days=7),
}
GAPS_IN_LINES = {"100 lines": 100, "1,000 lines": 1_000, "10,000 lines": 10_000, "100,000 lines": 100_000}


def page() -> None:
    """The whole page."""
    run_id = run_in_view()
    if run_id is None:
        nothing_scored()
        return
    try:
        run_reader(run_id)  # says so where it cannot be opened
        st.html(NARROW)
        triage(run_id)
    except WorkbenchError as error:
        cannot_open(error)


@st.fragment
def triage(run_id: str) -> None:
    """The list, the incident in view, its lines, and what is muted."""
    try:
        reader = run_reader(run_id)
        wrong = st.empty()  # used or not: what follows keeps its place
        if found := problem(BOARD(run_id)):
            wrong.error(literal(found), icon=":material/error:")
        threshold = threshold_in_view(run_id)
        head = st.container(horizontal=True, vertical_alignment="center")
        with head:
            words = st.empty()
            order = order_choice(run_id)
            gap = gap_choice(reader.info)
            rescore_button(reader)
        incidents = ordered(folded(run_id, threshold, gap, muted_key()), order)
        words.markdown(summary(reader, incidents, threshold), width="stretch")
        if incidents.table.is_empty():
            st.info("Nothing is flagged. Move the threshold to the left.", icon=":material/filter_alt_off:")
            st.page_link(THRESHOLD_PAGE, label="Go to Threshold", icon=":material/tune:", query_params={"run": run_id})
        else:
            explained = st.empty()
            if order == USUAL:
                explained.caption(USUAL_ORDER)
            verdicts = workbench.verdicts(run_id, notes=True)
            current = in_view(run_id, incidents, reader.info.n_lines)
            incident_board(
                judged(listed(run_id, threshold, gap, order, muted_key()), incidents, verdicts),
                current,
                workbench.MOST_JUDGED,
                answered(BOARD(run_id)),
                performer(BOARD(run_id), lambda act: perform(run_id, incidents, act)),
                key=f"incident_board_{run_id}",
            )
            opened(reader, incidents, current, threshold, verdicts)
        muted_list(reader, threshold)
        if st.session_state.pop(f"judged_{run_id}", False):
            st.rerun()  # the strip counts verdicts; last, or a click that came with the verdict would be lost
    except WorkbenchError as error:
        failed_within(error)


def gap_choice(info: workbench.RunInfo) -> timedelta | int | None:
    """What parts two incidents."""
    usual = workbench.usual_gap(info)
    gaps = GAPS if isinstance(usual, timedelta) else GAPS_IN_LINES
    from_link("gap", f"gap_{info.run_id}", lambda text: text if text in gaps else None)
    chosen = st.selectbox(
        "Gap",
        [USUAL, *gaps],
        format_func=lambda name: f"Gap: {name}{f', {gap_text(usual)}' if name == USUAL else ''}",
        label_visibility="collapsed",
        help="Lines of one source or message that are further apart are another incident.",
        width=220,
        key=f"gap_{info.run_id}",
    )
    to_link(gap=None if chosen == USUAL else chosen)
    return gaps.get(chosen)


def order_choice(run_id: str) -> str:
    """USUAL or a key of ORDERS."""
    from_link("order", f"order_of_incidents_{run_id}", lambda text: text if text in ORDERS else None)
    chosen = st.selectbox(
        "Order",
        [USUAL, *ORDERS],
        format_func=lambda name: f"Order: {name}",
        label_visibility="collapsed",
        width=200,
        key=f"order_of_incidents_{run_id}",
    )
    to_link(order=None if chosen == USUAL else chosen)
    return str(chosen)


def gap_text(gap: timedelta | int) -> str:
    """A gap in words.

    Example:
        >>> gap_text(timedelta(minutes=30)), gap_text(1_000)
        ('30 min', '1,000 lines')
    """
    if isinstance(gap, int):
        return f"{gap:,} lines"
    minutes = gap.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h" if minutes < 2880 else f"{gap.days} d"


@st.cache_data(max_entries=8, show_spinner="Folding the flagged lines …")
def folded(run_id: str, threshold: float, gap: timedelta | int | None, muted: str) -> workbench.Incidents:
    """The incidents; a run never changes, what is muted does."""
    return workbench.incidents(run_reader(run_id), threshold, gap)


def ordered(incidents: workbench.Incidents, order: str) -> workbench.Incidents:
    """The incidents in one of ORDERS, or as they are."""
    if order == USUAL:
        return incidents
    column, descending = ORDERS[order]
    return replace(incidents, table=incidents.table.sort(column, "incident", descending=[descending, False]))


def summary(reader: workbench.RunReader, incidents: workbench.Incidents, threshold: float) -> str:
    """How many lines became how many things."""
    n_flagged = reader.flagged(threshold)
    words = [
        f"**{n_flagged:,}** flagged {'line' if n_flagged == 1 else 'lines'} at {threshold:.4f}",
        f"**{incidents.n_incidents:,}** {'incident' if incidents.n_incidents == 1 else 'incidents'}",
    ]
    saved = workbench.threshold(reader.info.run_id)
    if abs(saved - threshold) >= 5e-5:
        words[0] += f" (not applied; in force is {saved:.4f})"
    if n_flagged > len(incidents.lines):
        words.append(f"the {len(incidents.lines):,} lines with the highest scores are folded")
    if len(incidents.table) > SHOWN:
        words.append(f"the first {SHOWN} are listed")
    return " · ".join(words)


# ---- the list


@st.cache_data(max_entries=8, show_spinner=False)
def listed(run_id: str, threshold: float, gap: timedelta | int | None, order: str, muted: str) -> list[IncidentRow]:
    """The incidents as the board shows them, without verdicts."""
    return rows_of(run_reader(run_id), ordered(folded(run_id, threshold, gap, muted), order))


def rows_of(reader: workbench.RunReader, incidents: workbench.Incidents) -> list[IncidentRow]:
    """The first incidents, each with its worst line."""
    table = incidents.table.head(SHOWN)
    worst = without_headers(reader.lines_at(table["worst_no"].to_list()).select("line_no", "raw"))
    examples = dict(worst.with_columns(pl.col("raw").str.head(EXAMPLE_CHARS)).iter_rows())
    return [
        IncidentRow(
            line_no=row["incident"],
            title=row["title"],
            example=examples.get(row["worst_no"], ""),
            score=row["worst_score"],
            sources=sources_text(row["sources"], row["n_sources"]),
            seen=seen_text(row),
            spark=row["spark"],
            n_lines=row["n_lines"],
            n_messages=row["n_messages"],
            judged={},
        )
        for row in table.iter_rows(named=True)
    ]


def judged(rows: list[IncidentRow], incidents: workbench.Incidents, verdicts: pl.DataFrame) -> list[IncidentRow]:
    """The rows with the verdicts on their lines."""
    found = {row.pop("incident"): row for row in incidents.judged(verdicts).to_dicts()}
    return [replace(row, judged=found.get(row.line_no, {})) for row in rows]


def sources_text(sources: list[str], n_sources: int) -> str:
    """The first source and how many more.

    Example:
        >>> sources_text(["10.0.0.1", "10.0.0.2"], 7)
        '10.0.0.1 and 6 more'
    """
    if not sources:
        return ""
    return sources[0][:60] + (f" and {n_sources - 1:,} more" if n_sources > 1 else "")


def seen_text(row: dict) -> str:
    """When its lines were written, else which they are; two rows."""
    first, last = row["first_utc"], row["last_utc"]
    if first is None:
        first_no, last_no = row["first_no"], row["last_no"]
        return f"line {first_no:,}" + (f"\nto {last_no:,}" if last_no != first_no else "")
    if first == last:
        return f"{first:%Y-%m-%d\n%H:%M:%S}"
    if first.date() == last.date():
        return f"{first:%Y-%m-%d}\n{first:%H:%M:%S} to {last:%H:%M:%S}"
    return f"{first:%Y-%m-%d %H:%M}\n{last:%Y-%m-%d %H:%M}"


def in_view(run_id: str, incidents: workbench.Incidents, most: int) -> int:
    """The incident in view: the one last opened, at first the URL's, that holds the line; else the first."""
    key = f"incident_{run_id}"
    from_link("incident", key, whole_number(1, most))
    found = incidents.of_line(st.session_state.get(key, 0))
    shown = incidents.table["incident"].head(SHOWN)
    current = found if found in shown else int(shown[0])
    to_link(incident=str(current))
    return current


def perform(run_id: str, incidents: workbench.Incidents, act: Act) -> None:
    """Do one act.

    Raises:
        WorkbenchError: it cannot be done.
    """
    opened = act.line_no
    if act.kind != "open":
        st.session_state[f"judged_{run_id}"] = True
    if act.kind == "verdict":
        workbench.set_verdict(run_id, incidents.line_numbers(act.line_no), act.label)
    elif act.kind == "undo":
        undone = workbench.undo_verdict(run_id)
        if not undone:
            raise WorkbenchError("there is nothing to undo: no verdict was given in this run")
        opened = incidents.of_line(undone[0]) or act.line_no
    st.session_state[f"incident_{run_id}"] = opened


# ---- the incident in view


def opened(
    reader: workbench.RunReader,
    incidents: workbench.Incidents,
    current: int,
    threshold: float,
    verdicts: pl.DataFrame,
) -> None:
    """Its lines, one of them explained."""
    run_id = reader.info.run_id
    row = incidents.table.row(by_predicate=pl.col("incident") == current, named=True)
    texts = messages_of(reader, incidents, current)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.markdown(about(row, len(texts)))
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(horizontal=True, vertical_alignment="center", width="stretch"):
                offset = page_offset(f"{run_id}_incident_{current}", row["n_lines"])
            incident_export(run_id, current, incidents.line_numbers(current))
            mute_button(reader, texts, key=f"incident_{run_id}_{current}")
        numbers = incidents.line_numbers(current)
        rows = without_headers(reader.lines_at(numbers[offset : offset + PAGE_ROWS]))
        ids = rows["line_no"].to_list()
        line_key = f"incident_line_{run_id}_{current}"
        st.session_state.setdefault(line_key, row["worst_no"])
        line_no = picked(rows, line_columns(rows), ids, (run_id, "incident", *ids), line_key)
        if len(texts) > 1:
            message_table(texts)
    with right:
        detail = detail_of(reader, line_no, threshold, *reader.score_counts())
        said = said_of(verdicts, line_no, run_id)
        clicked = line_detail(replace(detail, said=said), key=f"incident_detail_{run_id}")
        if clicked is not None and clicked != line_no:
            st.session_state[line_key] = clicked
            st.rerun(scope="fragment")


def message_table(texts: pl.DataFrame) -> None:
    """What its lines say, each text once."""
    st.markdown("**Its messages**")
    st.dataframe(
        in_cells(texts.head(MESSAGES)),
        hide_index=True,
        height=table_px(len(texts)),
        row_height=ROW_PX,
        column_config={
            "n": st.column_config.NumberColumn("Lines", format="localized", width=70),
            "normalized_text": st.column_config.TextColumn("Message", width=620),
        },
        column_order=["n", "normalized_text"],
        placeholder="",
        key="incident_messages",
    )
    if len(texts) > MESSAGES:
        st.caption(f"The {MESSAGES:,} most frequent of {len(texts):,}.")


def about(row: dict, n_messages: int) -> str:
    """An incident in a line."""
    n_lines = row["n_lines"]
    words = [
        f"**{literal(row['title']) or 'Incident'}**",
        f"{n_lines:,} {'line' if n_lines == 1 else 'lines'}",
        f"{n_messages:,} {'message' if n_messages == 1 else 'messages'}",
    ]
    if row["n_sources"]:
        more = row["n_sources"] - len(row["sources"])
        words.append(
            "from " + ", ".join(literal(name[:60]) for name in row["sources"]) + (f" and {more:,} more" if more else "")
        )
    return " · ".join(words)


def messages_of(reader: workbench.RunReader, incidents: workbench.Incidents, current: int) -> pl.DataFrame:
    """Messages of an incident, the most frequent first: normalized_text, n (its lines in it)."""
    return reader.messages_at(incidents.line_numbers(current))


if __name__ == "__main__":
    page()

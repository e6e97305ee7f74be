"""The table of the Traffic page: flows, filtered and ordered, one of them picked."""

from __future__ import annotations

from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from core import workbench
from dashboard.escaping import literal
from dashboard.flow_judging import judged_rows, of_verdict
from dashboard.lines_table import PAGE_ROWS, VERDICTS, page_offset, picked
from dashboard.link import from_link, to_link, whole_number, word_of
from dashboard.table_look import score_column
from dashboard.timeline import LAST_SPAN, SPANS, limited_to, span_shown, timeline

MOST_SOURCES = 6
ORDERS = {
    "Highest score": ("score", True),
    "Time": ("first_utc", False),
    "Most bytes": ("bytes", True),
    "Most packets": ("packets", True),
    "Longest": ("duration_s", True),
}
ORDERS_IN_LINK = {"time": "Time", "bytes": "Most bytes", "packets": "Most packets", "longest": "Longest"}
VIEWS = {"flagged": "Flagged flows"}  # in the address; all flows need no word there


def flow_table(
    reader: workbench.FlowRunReader, threshold: float, source: str | None, verdicts: pl.DataFrame
) -> tuple[int | None, int | None]:
    """The table with its filters; the number of the flow to explain, and of the one listed behind it, where there are.

    Args:
        reader: the run.
        threshold: a flow is flagged at or above it.
        source: whose flows alone are listed; None for all.
        verdicts: of `workbench.flow_verdicts`, notes too.
    """
    follow_link(reader)
    flow_no, next_no = chosen_flow(reader, threshold, source, verdicts)
    write_link(reader.info, flow_no)
    return flow_no, next_no


def follow_link(reader: workbench.FlowRunReader) -> None:
    """What the address says of the table."""
    run_id = reader.info.run_id
    from_link("view", f"flows_shown_{run_id}", VIEWS.get)
    from_link("q", f"flow_search_{run_id}", str)
    from_link("order", f"flow_order_{run_id}", ORDERS_IN_LINK.get)
    for column in filters_of(reader.info):
        key = f"flow_{column}"
        from_link(key, f"{key}_{run_id}", lambda text, column=column: text if text in reader.values(column) else None)
    from_link("verdict", f"flow_verdict_{run_id}", lambda text: text if text in VERDICTS else None)
    from_link("span", f"span_{key_of(run_id)}", whole_number(0, LAST_SPAN))
    from_link("flow", f"flow_{run_id}", whole_number(1, reader.info.n_flows))


def write_link(run: workbench.FlowRunInfo, flow_no: int | None) -> None:
    """The table in the address, its defaults left out."""
    state, run_id = st.session_state, run.run_id
    span, flow = limited_to(key_of(run_id)), state.get(f"flow_{run_id}")
    to_link(
        view=word_of(state.get(f"flows_shown_{run_id}"), VIEWS),
        q=state.get(f"flow_search_{run_id}") or None,
        order=word_of(state.get(f"flow_order_{run_id}"), ORDERS_IN_LINK),
        verdict=state.get(f"flow_verdict_{run_id}"),
        **{f"flow_{column}": state.get(f"flow_{column}_{run_id}") for column in filters_of(run)},
        span=None if span is None else str(span),
        flow=None if flow is None or flow_no is None else str(flow_no),
    )


def chosen_flow(
    reader: workbench.FlowRunReader, threshold: float, source: str | None, verdicts: pl.DataFrame
) -> tuple[int | None, int | None]:
    """The table itself; the flow chosen in it, and the next."""
    run_id = reader.info.run_id
    st.session_state.setdefault(f"flows_shown_{run_id}", "All flows")
    with st.container(horizontal=True, vertical_alignment="center"):
        shown = st.segmented_control(
            "Show",
            [*VIEWS.values(), "All flows"],
            required=True,
            label_visibility="collapsed",
            width="content",
            key=f"flows_shown_{run_id}",
        )
        pager = st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center")
    order, wanted = filter_row(reader, verdicts)
    if source is not None:
        wanted = wanted & (pl.col("source") == source)
    wanted = wanted & span_filter(reader, threshold)
    if shown == VIEWS["flagged"]:
        wanted = wanted & (pl.col("score") >= threshold)
    by, descending = ORDERS[order]
    _, n_found = reader.find(wanted, by, descending, limit=0)
    if n_found == 0:
        st.info("No flow matches. Move the threshold to the left, or clear the filters.", icon=":material/filter_alt:")
        return None, None
    with pager:
        offset = page_offset(key_of(run_id), n_found)
    rows, _ = reader.find(wanted, by, descending, limit=offset + PAGE_ROWS)
    rows = rows.slice(offset)
    numbers = rows[workbench.FLOW_NO].to_list()
    columns = columns_of(reader.info, judged=not verdicts.drop_nulls("label").is_empty())
    acts, judged_last = st.session_state.get(f"flow_acts_{run_id}", (0, None))
    identity = (run_id, shown, order, str(wanted), n_found, offset, acts)
    shown_flows = judged_rows(shown_rows(rows), verdicts)
    flow_no = picked(shown_flows, columns, numbers, identity, f"flow_{run_id}", chosen_first=judged_last)
    behind = numbers[numbers.index(flow_no) + 1 :] if flow_no in numbers else []
    return flow_no, behind[0] if behind else None


def flow_timeline(reader: workbench.FlowRunReader, threshold: float) -> None:
    """Flagged flows over the capture's time; nothing where it has no times."""
    run_id = reader.info.run_id
    spans = spans_of(run_id, threshold)
    if not spans.is_empty():
        timeline(spans, key_of(run_id), "flows", partial(span_picked, run_id))


def span_filter(reader: workbench.FlowRunReader, threshold: float) -> pl.Expr:
    """Which flows began in the span picked; all where none is."""
    run_id = reader.info.run_id
    found = span_shown(partial(spans_of, run_id, threshold), key_of(run_id), "flows", partial(span_picked, run_id))
    began = pl.col("first_utc")
    return pl.lit(value=True) if found is None else (began >= found[0]) & (began < found[1])


@st.cache_data(max_entries=64, show_spinner=False)
def spans_of(run_id: str, threshold: float) -> pl.DataFrame:
    """The spans, of `FlowRunReader.timeline`; a run never changes."""
    return workbench.FlowRunReader(run_id).timeline(threshold, SPANS)


def span_picked(run_id: str) -> None:
    """The table begins anew."""
    st.session_state[f"flow_{run_id}"] = None  # and not gone: the address would say it again
    st.session_state.pop(f"page_{key_of(run_id)}", None)


def key_of(run_id: str) -> str:
    """Of time line and pages in the page's state: a capture and a log may have one name."""
    return f"flows_{run_id}"


def source_choice(reader: workbench.FlowRunReader, threshold: float) -> str | None:
    """The sources with the most flagged flows, flagged of all; the one whose flows alone are wanted."""
    key = f"flow_source_{reader.info.run_id}"
    found = reader.sources(threshold)
    from_link("source", key, lambda text: text if text in found["source"] else None)
    counts = {source: f"{literal(source)} · {flagged:,} / {flows:,}" for source, flows, flagged in found.iter_rows()}
    shown = found.filter(pl.col("flagged") > 0)["source"].head(MOST_SOURCES).to_list()
    chosen = st.session_state.get(key)
    if chosen in counts and chosen not in shown:  # the threshold has moved since
        shown.append(chosen)
    place = st.empty()  # used or not: what follows keeps its own
    if shown:
        chosen = place.pills("Sources, flagged of all their flows", shown, format_func=counts.__getitem__, key=key)
    to_link(source=chosen)
    return chosen


def filters_of(run: workbench.FlowRunInfo) -> dict[str, str]:
    """Columns that flows can be filtered by, with what people call them."""
    return {"protocol": "protocol", "ended": "end", **{task: task for task in run.tasks}}


def filter_row(reader: workbench.FlowRunReader, verdicts: pl.DataFrame) -> tuple[str, pl.Expr]:
    """The order, and which flows are wanted."""
    run_id = reader.info.run_id
    wanted = pl.lit(value=True)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input(
            "Search",
            placeholder="Address or port, such as 192.0.2.10 or :443",
            icon=":material/search:",
            label_visibility="collapsed",
            key=f"flow_search_{run_id}",
        )
        filters = filters_of(reader.info)
        n_set = sum(st.session_state.get(f"flow_{name}_{run_id}") is not None for name in [*filters, "verdict"])
        with st.popover(f"Filter ({n_set})" if n_set else "Filter", icon=":material/filter_alt:"):
            for column, name in filters.items():
                value = st.selectbox(
                    literal(name.capitalize()),
                    reader.values(column),
                    index=None,
                    placeholder=f"Any {name}",
                    key=f"flow_{column}_{run_id}",
                )
                if value is not None:
                    wanted = wanted & (pl.col(column) == value)
            verdict = st.selectbox(
                "Verdict", list(VERDICTS), index=None, placeholder="Any verdict", key=f"flow_verdict_{run_id}"
            )
            if verdict is not None:
                wanted = wanted & of_verdict(verdicts, VERDICTS[verdict])
        order = st.selectbox("Order", list(ORDERS), label_visibility="collapsed", width=150, key=f"flow_order_{run_id}")
    if typed and typed.strip():
        ends = pl.any_horizontal(
            endpoint(end).str.contains(typed.strip(), literal=True) for end in ("source", "destination")
        )
        wanted = wanted & ends
    return order, wanted


def endpoint(end: str) -> pl.Expr:
    """Address and port of one end as text; an address of version 6 stands in brackets."""
    address = pl.col(end)
    shown = pl.when(address.str.contains(":", literal=True)).then("[" + address + "]").otherwise(address)
    return shown + ":" + pl.col(f"{end}_port").cast(pl.String)


def shown_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with both ends in one text each."""
    return rows.with_columns(endpoint("source").alias("source"), endpoint("destination").alias("destination"))


def columns_of(run: workbench.FlowRunInfo, judged: bool) -> dict[str, Any]:
    """Columns of the table; scorers and answers come last, verdicts are shown where flows are `judged`."""
    number = st.column_config.NumberColumn
    text = st.column_config.TextColumn
    columns = {
        workbench.FLOW_NO: number("No.", format="localized", width=60),
        "score": score_column(),
        **({"verdict": text("Verdict", width=85)} if judged else {}),
        "first_utc": st.column_config.DatetimeColumn("Time (UTC)", format="MM-DD HH:mm:ss", width=110),
        "protocol": text("Protocol", width=58),
        "source": text("Source", width=135),
        "destination": text("Destination", width=125),
        "packets": number("Packets", format="localized", width=60),
        "bytes": number("Bytes", format="localized", width=70),
        "duration_s": number("Seconds", format="%.3f", width=70),
        "ended": text("End", width=60),
    }
    for task in run.tasks:
        columns[task] = text(task.capitalize(), width=100)
        columns[f"{task}_probability"] = number("Probability", format="%.2f", width=80)
    columns |= {name: number(name, format="%.2f", width=80) for name in ("context", *run.scorers)}
    return columns

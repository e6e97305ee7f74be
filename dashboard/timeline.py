"""Flagged lines over the log's time: a bar a span; a click on one, or the button, leaves its lines in the table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
import streamlit as st

from core import workbench
from dashboard.charts import span_bars, start_text
from dashboard.session import look_of_theme, muted_key, run_reader

SPANS = 96
LAST_SPAN = SPANS - 1
CHART_PX = 170


def timeline(reader: workbench.RunReader, threshold: float) -> None:
    """Flagged lines over the log's time, or over its line numbers where it has no times."""
    run_id = reader.info.run_id
    spans = spans_of(run_id, threshold, muted_key())
    timed = reader.info.first_utc is not None
    with st.container(horizontal=True, vertical_alignment="center"):
        words = "Flagged lines over time (UTC)" if timed else "Flagged lines along the file"
        st.markdown(f"**{words}** · click a bar to see its lines", width="stretch")
        most = int(spans["n_flagged"].max() or 0)  # type: ignore[arg-type]
        busiest = int(spans["n_flagged"].arg_max() or 0)
        if most:
            st.button(
                f"Show the busiest span ({most:,})",
                type="tertiary",
                icon=":material/filter_alt:",
                on_click=limit_to,
                args=(run_id, busiest),
                key=f"busiest_{run_id}",
            )
    n_with = int((spans["n_flagged"] > 0).sum())
    told = f"Flagged lines in {n_with} of {len(spans)} equal spans"
    if most:
        told += f"; most, {most:,}, in the one from {start_text(spans.row(busiest)[0])} on"
    drawn = f"timeline_{run_id}_{st.session_state.get(f'timelines_{run_id}', 0)}"
    st.plotly_chart(
        span_bars(spans, limited_to(run_id), look_of_theme()),
        height=CHART_PX,
        config={"displayModeBar": False},
        alt=f"{words}. {told}.",
        on_select=lambda: picked(run_id, drawn),
        selection_mode="points",
        key=drawn,
    )
    st.caption(f"{told}.")


@st.cache_data(max_entries=64, show_spinner=False)
def spans_of(run_id: str, threshold: float, muted: str) -> pl.DataFrame:
    """The spans, of `RunReader.timeline`; a run never changes, and `muted` says what is muted in it."""
    return run_reader(run_id).timeline(threshold, SPANS)


# ---- the span whose lines the table shows


def picked(run_id: str, key: str) -> None:
    """A bar was clicked, or clicked once more."""
    chosen = st.session_state[key]["selection"]["point_indices"]
    span = int(chosen[0]) if chosen else None
    limit_to(run_id, None if span == limited_to(run_id) else span)


def limit_to(run_id: str, span: int | None) -> None:
    """Show the lines of one span, or of all."""
    state = st.session_state
    state[f"span_{run_id}"] = span  # None and not gone: the address would say it again
    state[f"line_{run_id}"] = None
    state.pop(f"page_{run_id}", None)
    if span is not None and state.get(f"view_{run_id}") == "Flagged messages":
        state[f"view_{run_id}"] = "Flagged lines"
    state[f"timelines_{run_id}"] = state.get(f"timelines_{run_id}", 0) + 1  # the chart is made anew, with it picked


def limited_to(run_id: str) -> int | None:
    """The span shown, from 0; None where all are."""
    return st.session_state.get(f"span_{run_id}")


def span_filter(reader: workbench.RunReader, threshold: float) -> dict[str, tuple[Any, Any]]:
    """The filter that leaves the lines of the span shown, shown with a way out; none without one."""
    run_id = reader.info.run_id
    span = limited_to(run_id)
    if span is None:
        return {}
    spans = spans_of(run_id, threshold, muted_key())
    if span >= len(spans):
        return {}
    start = spans.to_series(0)
    low, high = start[span], start[span] + (start[1] - start[0] if len(start) > 1 else 1)
    with st.container(horizontal=True, vertical_alignment="center"):
        to = f"{high:%H:%M:%S}" if isinstance(high, datetime) else f"line {high - 1:,}"
        st.caption(f"Only lines from {start_text(low)} to {to}", width="content")
        st.button(
            "Show all again",
            type="tertiary",
            icon=":material/close:",
            on_click=limit_to,
            args=(run_id, None),
            key=f"all_spans_{run_id}",
        )
    return {"time": (low, high)} if isinstance(low, datetime) else {"span": (low, high - 1)}

"""Flagged lines or flows over time: a bar a span; a click on one, or the button, leaves its lines in the table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import polars as pl
import streamlit as st

from dashboard.charts import span_bars, start_text
from dashboard.session import look_of_theme

SPANS = 96
LAST_SPAN = SPANS - 1
CHART_PX = 170

Anew = Callable[[], None]
"""What a page does when another span is picked: its table begins anew."""


def timeline(spans: pl.DataFrame, key: str, unit: str, anew: Anew) -> None:
    """The bars, the button and a sentence.

    Args:
        spans: start_utc or first_line_no, how many there are, n_flagged; equal spans in order.
        key: of the page's state.
        unit: what is counted, such as lines.
        anew: called when another span is picked.
    """
    timed = spans.to_series(0).dtype.is_temporal()
    with st.container(horizontal=True, vertical_alignment="center"):
        words = f"Flagged {unit} over time (UTC)" if timed else f"Flagged {unit} along the file"
        st.markdown(f"**{words}** · click a bar to see its {unit}", width="stretch")
        most = int(spans["n_flagged"].max() or 0)  # type: ignore[arg-type]
        busiest = int(spans["n_flagged"].arg_max() or 0)
        if most:
            st.button(
                f"Show the busiest span ({most:,})",
                type="tertiary",
                icon=":material/filter_alt:",
                on_click=limit_to,
                args=(key, busiest, anew),
                key=f"busiest_{key}",
            )
    n_with = int((spans["n_flagged"] > 0).sum())
    told = f"Flagged {unit} in {n_with} of {len(spans)} equal spans"
    if most:
        told += f"; most, {most:,}, in the one from {start_text(spans.row(busiest)[0])} on"
    drawn = f"timeline_{key}_{st.session_state.get(f'timelines_{key}', 0)}"
    st.plotly_chart(
        span_bars(spans, limited_to(key), unit, look_of_theme()),
        height=CHART_PX,
        config={"displayModeBar": False},
        alt=f"{words}. {told}.",
        on_select=lambda: bar_clicked(drawn, key, anew),
        selection_mode="points",
        key=drawn,
    )
    st.caption(f"{told}.")


# ---- the span that the table shows


def bar_clicked(drawn: str, key: str, anew: Anew) -> None:
    """A bar was clicked, or clicked once more."""
    chosen = st.session_state[drawn]["selection"]["point_indices"]
    span = int(chosen[0]) if chosen else None
    limit_to(key, None if span == limited_to(key) else span, anew)


def limit_to(key: str, span: int | None, anew: Anew) -> None:
    """Show one span, or all."""
    state = st.session_state
    state[f"span_{key}"] = span  # None and not gone: the address would say it again
    state[f"timelines_{key}"] = state.get(f"timelines_{key}", 0) + 1  # the chart is made anew, with it picked
    anew()


def limited_to(key: str) -> int | None:
    """The span shown, from 0; None where all are."""
    return st.session_state.get(f"span_{key}")


def span_shown(spans: Callable[[], pl.DataFrame], key: str, unit: str, anew: Anew) -> tuple[Any, Any] | None:
    """Where the span shown begins and where the next one does, shown with a way out; None where all are shown.

    Args:
        spans: as of `timeline`; not called where all are shown.
        key: as of `timeline`.
        unit: as of `timeline`.
        anew: as of `timeline`.
    """
    span = limited_to(key)
    start = None if span is None else spans().to_series(0)
    if span is None or start is None or span >= len(start):
        return None
    low, high = start[span], start[span] + (start[1] - start[0] if len(start) > 1 else 1)
    with st.container(horizontal=True, vertical_alignment="center"):
        to = f"{high:%H:%M:%S}" if isinstance(high, datetime) else f"line {high - 1:,}"
        st.caption(f"Only {unit} from {start_text(low)} to {to}", width="content")
        st.button(
            "Show all again",
            type="tertiary",
            icon=":material/close:",
            on_click=limit_to,
            args=(key, None, anew),
            key=f"all_spans_{key}",
        )
    return low, high

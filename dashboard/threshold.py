"""Threshold page: where to draw the line, what that costs, and the lines above it with their reasons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.line_detail import line_detail
from dashboard.components.threshold_histogram import Rate, threshold_histogram
from dashboard.escaping import in_cells, literal
from dashboard.line_view import detail_of, said_of
from dashboard.lines_table import flagged_table
from dashboard.multiples import flagged_groups
from dashboard.mutes import muted_list
from dashboard.session import (
    ROW_PX,
    cannot_open,
    muted_key,
    nothing_scored,
    run_in_view,
    run_reader,
    threshold_in_view,
    threshold_key,
)

TIMELINE_SPANS = 96
FLAGGED_COLOUR = "#D55E00"  # of the palette in .streamlit/config.toml; readable on light and dark


def page() -> None:
    """The whole page."""
    run_id = run_in_view()
    if run_id is None:
        nothing_scored()
        return
    try:
        reader = run_reader(run_id)
        st.query_params["run"] = run_id
        if reader.info.notes:
            st.caption(" · ".join(literal(note) for note in reader.info.notes))
        explore(run_id)
        rejections(reader)
    except WorkbenchError as error:
        cannot_open(error)


@st.fragment
def explore(run_id: str) -> None:
    """Histogram, table and detail: they move together, and the rest of the page stays as it is."""
    try:
        reader = run_reader(run_id)
        scores, counts = reader.score_counts()
        threshold_in_view(run_id)  # the address may say it
        choice = threshold_histogram(
            scores,
            counts,
            muted=reader.score_counts(muted=True),
            saved=workbench.threshold(run_id),
            own=reader.info.threshold,
            rate=rate_of(reader.info),
            key=threshold_key(run_id),
        )
        if choice.save:
            workbench.set_threshold(run_id, choice.threshold)
            st.rerun()  # the strip shows it too
        threshold_in_view(run_id)  # and follows the line
        left, right = st.columns([3, 2], gap="medium")
        with left:
            line_no = flagged_table(reader, choice.threshold)
        with right:
            if line_no is not None:
                show_line(reader, line_no, choice.threshold, scores, counts)
        with left:  # late, as they read every line
            timeline(reader, choice.threshold)
            flagged_groups(reader, choice.threshold)
        muted_list(reader, choice.threshold)
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")


def rate_of(run: workbench.RunInfo) -> Rate:
    """Alerts a day where the timestamps span an hour or more, else flagged lines per 10,000."""
    return Rate(*workbench.alert_rate(run))


def timeline(reader: workbench.RunReader, threshold: float) -> None:
    """Flagged lines over the log's time, or over its line numbers where it has no times."""
    spans = timeline_of(reader.info.run_id, threshold, muted_key())
    start = spans.columns[0]
    st.markdown("**Flagged lines over time (UTC)**" if start == "start_utc" else "**Flagged lines along the file**")
    st.bar_chart(
        spans,
        x=start,
        y="n_flagged",
        x_label="" if start == "start_utc" else "line number",
        y_label="flagged",
        color=FLAGGED_COLOUR,
        height=150,
    )
    if (most := spans["n_flagged"].max()) and isinstance(most, int):
        busiest = spans.filter(pl.col("n_flagged") == most)[start][0]
        where = f"line {busiest:,}" if isinstance(busiest, int) else f"{busiest:%Y-%m-%d %H:%M}"
        n_with = int((spans["n_flagged"] > 0).sum())
        st.caption(
            f"Flagged lines in {n_with} of {len(spans)} equal spans; most, {most:,}, in the one from {where} on."
        )


@st.cache_data(max_entries=64, show_spinner=False)
def timeline_of(run_id: str, threshold: float, muted: str) -> pl.DataFrame:
    """The spans of the time line; a run never changes, and `muted` says what is muted in it."""
    return run_reader(run_id).timeline(threshold, TIMELINE_SPANS)


def show_line(
    reader: workbench.RunReader, line_no: int, threshold: float, scores: np.ndarray, counts: np.ndarray
) -> None:
    """The detail of one line; a click on a line around it goes there."""
    run_id = reader.info.run_id
    detail = detail_of(reader, line_no, threshold, scores, counts)
    said = said_of(workbench.verdicts(run_id, notes=True), line_no, run_id)
    opened = line_detail(replace(detail, said=said), threshold, key=f"detail_{run_id}")
    if opened is not None and opened != line_no:
        st.session_state[f"line_{run_id}"] = opened
        st.rerun(scope="fragment")


def rejections(reader: workbench.RunReader) -> None:
    """Lines that were not read as their format says."""
    if reader.info.n_rejected == 0:
        return
    lines = "line was" if reader.info.n_rejected == 1 else "lines were"
    with st.expander(f"{reader.info.n_rejected:,} {lines} not read as the format says; scored all the same"):
        st.dataframe(
            in_cells(reader.rejections(100)),
            hide_index=True,
            row_height=ROW_PX,
            column_config={
                "line_no": st.column_config.NumberColumn("Line", format="localized", width=80),
                "rejection": st.column_config.TextColumn("Why", width=320),
                "raw": st.column_config.TextColumn("Line as written", width=900),
            },
        )
        if reader.info.n_rejected > 100:
            st.caption("The first 100 are shown.")


if __name__ == "__main__":
    page()

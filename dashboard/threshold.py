"""Threshold page: where to draw the line, what that costs, and the lines above it with their reasons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.line_detail import line_detail
from dashboard.components.threshold_histogram import Rate, threshold_histogram
from dashboard.escaping import in_cells, literal
from dashboard.line_view import detail_of, said_of
from dashboard.lines_table import flagged_table, flagged_timeline
from dashboard.multiples import flagged_groups
from dashboard.mutes import muted_list
from dashboard.session import (
    ROW_PX,
    cannot_open,
    failed_within,
    nothing_scored,
    run_in_view,
    run_reader,
    threshold_in_view,
    threshold_key,
)


def page() -> None:
    """The whole page."""
    run_id = run_in_view()
    if run_id is None:
        nothing_scored()
        return
    try:
        reader = run_reader(run_id)
        for note in reader.info.notes:
            st.caption(f":material/info: {literal(note)}")
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
            everyday=reader.everyday(),
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
            flagged_timeline(reader, choice.threshold)
            flagged_groups(reader, choice.threshold)
        muted_list(reader, choice.threshold)
    except WorkbenchError as error:
        failed_within(error)


def rate_of(run: workbench.RunInfo) -> Rate:
    """Alerts a day where the timestamps span an hour or more, else flagged lines per 10,000."""
    return Rate(*workbench.alert_rate(run))


def show_line(
    reader: workbench.RunReader, line_no: int, threshold: float, scores: np.ndarray, counts: np.ndarray
) -> None:
    """The detail of one line; a click on a line around it goes there."""
    run_id = reader.info.run_id
    detail = detail_of(reader, line_no, threshold, scores, counts)
    said = said_of(workbench.verdicts(run_id, notes=True), line_no, run_id)
    opened = line_detail(replace(detail, said=said), key=f"detail_{run_id}")
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

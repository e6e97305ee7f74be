"""Report page: what leaves the workbench, as a table for other programs or as a report for people."""

from __future__ import annotations

import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.file_link import file_link
from dashboard.components.report_preview import report_preview
from dashboard.exporting import FORMATS, REMARKS, write
from dashboard.mutes import n_muted
from dashboard.session import THRESHOLD_PAGE, cannot_open, nothing_scored, run_in_view, run_reader, size_text

REPORT = "report"
WHAT = {
    REPORT: "One HTML page: numbers, charts, incidents, messages, verdicts, settings. Needs no network, prints well.",
    "flagged lines": "One row for each line at or above the threshold, as written, with scores and reason.",
    "all lines": "One row for each line of the log, blank ones too, as written, with scores and reason.",
    "sessions": "One row for each session with its score.",
}


def page() -> None:
    """The whole page."""
    run_id = run_in_view()
    if run_id is None:
        nothing_scored()
        return
    try:
        reader = run_reader(run_id)
        left, right = st.columns([1, 3], gap="medium")
        with left:
            export_form(reader)
        with right:
            report_preview(workbench.report_html(run_id), key="report_preview")
    except WorkbenchError as error:
        cannot_open(error)


@st.fragment
def export_form(reader: workbench.RunReader) -> None:
    """What to write and how; the browser fetches it from disk when it is whole."""
    run_id = reader.info.run_id
    threshold = workbench.threshold(run_id)
    muted = n_muted(reader, threshold)
    rows = {
        "flagged lines": rows_text(reader.flagged(threshold)) + (f", and {muted:,} muted, marked so" if muted else ""),
        "all lines": rows_text(reader.info.n_lines),
    }
    ways = [what for what in WHAT if what != "sessions" or reader.info.session_threshold is not None]
    what = st.radio(
        "Export",
        ways,
        captions=[WHAT[way] + (f" {rows[way]}." if way in rows else "") for way in ways],
        format_func=str.capitalize,
        key="export_what",
    )
    suffix = ".html"
    if what != REPORT:
        formats = [name for name in FORMATS if what != "sessions" or name != "ECS"]
        chosen = st.segmented_control(
            "Format", formats, default="CSV", required=True, key=f"export_format_{len(formats)}"
        )
        suffix = FORMATS[chosen]
        if suffix in REMARKS:
            st.caption(REMARKS[suffix])
    st.caption(f"At the threshold in force, {threshold:.4f}.")
    st.page_link(
        THRESHOLD_PAGE, label="Change it on the Threshold page", icon=":material/tune:", query_params={"run": run_id}
    )
    wanted = (run_id, what, suffix, threshold)
    if st.button("Download", type="primary", icon=":material/download:", width="stretch"):
        written = write(run_id, what, suffix)
        st.session_state["exported"] = written and (wanted, *written)
    # An export of other wishes is not offered under these.
    if (made := st.session_state.get("exported")) and made[0] == wanted:
        _, token, name, n_bytes = made
        file_link(token, name, f"{size_text(n_bytes)} · kept for a day", key="export_link")


def rows_text(n: int) -> str:
    """How many rows a file has."""
    return f"{n:,} {'row' if n == 1 else 'rows'}"


if __name__ == "__main__":
    page()

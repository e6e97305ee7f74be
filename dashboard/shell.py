"""The frame around every page: navigation on top, under it the strip of what is in view and what is running.

AppTest starts here: on `app.py`, which holds the server, it would see an empty page.
"""

from pathlib import Path

import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.key_help import key_help
from dashboard.escaping import literal
from dashboard.session import (
    COMPARE_PAGE,
    DATA_PAGE,
    EXPLORE_PAGE,
    INCIDENTS_PAGE,
    MODELS_PAGE,
    REPORT_PAGE,
    REVIEW_PAGE,
    THRESHOLD_PAGE,
    TRAFFIC_PAGE,
    VALIDATE_PAGE,
    run_in_view,
    way_text,
)

STYLE = Path(__file__).with_name("shell.css")  # what .streamlit/config.toml cannot say
ICON = Path(__file__).with_name("icon.svg")  # an icon by name would be fetched from another host
WATCH_SECONDS = 2.0  # between two looks at a running job


def show() -> None:
    """Draw the frame and run the page."""
    st.set_page_config(page_title="TinyLogBERT Workbench", page_icon=str(ICON), layout="wide")
    st.html(STYLE)
    page = st.navigation(
        [
            st.Page(DATA_PAGE, title="Data", icon=":material/upload_file:", default=True),
            st.Page(THRESHOLD_PAGE, title="Threshold", icon=":material/tune:", url_path="threshold"),
            st.Page(INCIDENTS_PAGE, title="Incidents", icon=":material/stacks:", url_path="incidents"),
            st.Page(VALIDATE_PAGE, title="Validate", icon=":material/fact_check:", url_path="validate"),
            st.Page(EXPLORE_PAGE, title="Explore", icon=":material/scatter_plot:", url_path="explore"),
            st.Page(REVIEW_PAGE, title="Review", icon=":material/rule:", url_path="review"),
            st.Page(TRAFFIC_PAGE, title="Traffic", icon=":material/lan:", url_path="traffic"),
            st.Page(COMPARE_PAGE, title="Compare", icon=":material/compare:", url_path="compare"),
            st.Page(MODELS_PAGE, title="Models", icon=":material/model_training:", url_path="models"),
            st.Page(REPORT_PAGE, title="Report", icon=":material/summarize:", url_path="report"),
        ],
        position="top",
    )
    try:
        status_strip(page.title)
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")
    page.run()


def status_strip(title: str) -> None:
    """File, lines, model, threshold and verdicts of the run in view; the running job and the keys at the right."""
    run_id = run_in_view()
    runs = {run.run_id: run for run in workbench.runs()}
    with st.container(horizontal=True, vertical_alignment="center"):
        if run_id in runs:
            run = runs[run_id]
            n_verdicts = len(workbench.verdicts(run_id))
            st.markdown(
                f"**{literal(run.name)}** · {run.n_lines:,} lines · model **{literal(way_text(run))}** · "
                f"threshold **{workbench.threshold(run_id):.4f}** · "
                f"**{n_verdicts:,}** {'verdict' if n_verdicts == 1 else 'verdicts'}",
                width="stretch",
            )
        else:
            st.markdown("No scored log in view", width="stretch")
        active = any(not job.is_final for job in workbench.jobs())
        with st.container(width="content"):
            # A fragment of its own, so that the watch redraws one badge and not the page.
            st.fragment(running_job, run_every=WATCH_SECONDS if active else None)()
        with st.container(width="content"):
            key_help(title)


def running_job() -> None:
    """A badge for the running job; redraws the whole page when it ends."""
    active = [job for job in workbench.jobs() if not job.is_final]
    if active:
        job = active[0]
        share = f" {job.done / job.total:.0%}" if job.total > 1 else ""  # a step of one tells no progress
        st.badge(f"{literal(job.step or job.state)}{share}", icon=":material/progress_activity:", color="blue")
        st.session_state["job_was_active"] = True
    elif st.session_state.pop("job_was_active", False):
        st.rerun()
    else:
        st.badge("no job running", icon=":material/check:", color="gray")


if __name__ == "__main__":
    show()

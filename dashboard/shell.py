"""The frame around every page: navigation on top, under it the strip of what is in view and what is running.

AppTest starts here: on `app.py`, which holds the server, it would see an empty page.
"""

from pathlib import Path

import streamlit as st

from core import workbench
from core.display import printable
from core.errors import WorkbenchError
from dashboard.components.key_help import key_help
from dashboard.escaping import literal
from dashboard.link import come_to, to_link
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
    capture_in_view,
    capture_model_name,
    run_in_view,
    way_text,
)

STYLE = Path(__file__).with_name("shell.css")  # what .streamlit/config.toml cannot say
ICON = Path(__file__).with_name("icon.svg")  # an icon by name would be fetched from another host
ABOUT_NO_RUN = ("Data", "Traffic", "Models")
WATCH_SECONDS = 2.0  # between two looks at a running job


def show() -> None:
    """Draw the frame and run the page."""
    st.set_page_config(page_icon=str(ICON), layout="wide")
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
    name = None
    try:
        run_id = run_in_view()
        come_to(page.title, None if page.title in ABOUT_NO_RUN else run_id)
        to_link(run=run_id)  # on every page: a reload keeps it in view
        name, facts = capture_facts() if page.title == "Traffic" else run_facts(run_id)
        status_strip(page.title, facts)
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")
    st.set_page_config(
        page_title=" · ".join([page.title, *([printable(name)] if name else []), "TinyLogBERT Workbench"])
    )
    page.run()


def run_facts(run_id: str | None) -> tuple[str | None, str]:
    """Name of the run in view; that, lines, model, threshold and verdicts as Markdown."""
    run = {run.run_id: run for run in workbench.runs()}.get(run_id)
    if run is None:
        return None, "No scored log in view"
    n_verdicts = len(workbench.verdicts(run.run_id))
    return run.name, (
        f"**{literal(run.name)}** · {run.n_lines:,} lines · model **{literal(way_text(run))}** · "
        f"threshold **{workbench.threshold(run.run_id):.4f}** · "
        f"**{n_verdicts:,}** {'verdict' if n_verdicts == 1 else 'verdicts'}"
    )


def capture_facts() -> tuple[str | None, str]:
    """Name of the scored capture in view; that, flows, model and threshold as Markdown."""
    run = {run.run_id: run for run in workbench.list_flow_runs()}.get(capture_in_view())
    if run is None:
        return None, "No scored capture in view"
    return run.name, (
        f"**{literal(run.name)}** · {run.n_flows:,} flows · model **{literal(capture_model_name(run))}** · "
        f"threshold **{workbench.FlowRunReader(run.run_id).threshold:.4f}**"
    )


def status_strip(title: str, facts: str) -> None:
    """What the page is about; the running job and the keys at the right.

    Args:
        title: of the page.
        facts: Markdown.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(f"<h1>{title}</h1>")
        st.markdown(facts, width="stretch")
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

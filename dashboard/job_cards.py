"""Cards of the Data page for running jobs, and for the one that ended last."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import literal
from dashboard.loss_curve import loss_curve
from dashboard.session import COMPARE_PAGE, DATA_PAGE, TRAFFIC_PAGE, age_text, duration_text, open_run, size_text

WATCH_SECONDS = 1.0  # between two looks at a running job
EARLIER_JOBS = 8  # listed
RECENT_SECONDS = 15 * 60  # an ended job is shown so long, or until it is dismissed
FLOW_MODEL_KEY = "model_for_captures"  # what the Traffic page was asked to score the next capture with
MAP = "map"  # kind of the jobs that are told on the Explore page
WAIT = "A job is running; wait for it or cancel it."
READING_LINES = "reading lines"  # how many there are is an estimate
READING_BYTES = ("reading packets",)  # steps whose progress is told in bytes


def job_cards(only: Collection[str] = ()) -> None:
    """Running jobs and the one that ended last; the state comes from disk, so a reload changes nothing.

    Args:
        only: kinds of the job that ended last, or any; what runs is shown whatever it is, for others wait for it.
    """
    active = any(not job.is_final for job in workbench.jobs())
    # Watched only while there is something to watch.
    st.fragment(draw_jobs, run_every=WATCH_SECONDS if active else None)(only)


def draw_jobs(only: Collection[str]) -> None:
    """One card a job."""
    jobs = workbench.jobs()
    for job in jobs:
        if not job.is_final:
            active_card(job)
    now_busy = busy(jobs)
    if not now_busy and (ended := last_ended(jobs, only)):
        ended_card(ended)
    if st.session_state.get("watched_jobs") and not now_busy:
        st.session_state["watched_jobs"] = False
        st.rerun()  # the lists of runs and models have grown
    st.session_state["watched_jobs"] = now_busy


def busy(jobs: list[workbench.JobStatus]) -> bool:
    """Whether a job runs that others wait for: one is enough for a processor; a map is small and goes beside it."""
    return any(not job.is_final and job.kind != MAP for job in jobs)


def last_ended(jobs: list[workbench.JobStatus], only: Collection[str] = ()) -> workbench.JobStatus | None:
    """The job that ended last, of some kinds or of any, unless that is long ago or the analyst has put it aside."""
    dismissed = st.session_state.setdefault("dismissed_jobs", set())
    ended = (
        job
        for job in jobs
        if job.is_final
        and (job.kind in only if only else job.kind != MAP)
        and job.job_id not in dismissed
        and seconds_since(job) < RECENT_SECONDS
    )
    return max(ended, key=lambda job: job.finished_utc or job.created_utc, default=None)


def active_card(job: workbench.JobStatus) -> None:
    """Steps, bar, speed, remaining time, and the way to stop."""
    with st.container(border=True, key=f"job_{job.job_id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{literal(job.title)}** · for {duration_text(round(seconds_from(job.created_utc)))}", width="stretch"
            )
            if st.button("Cancel", icon=":material/stop:", key=f"cancel_{job.job_id}"):
                workbench.cancel(job.job_id)
                st.rerun()
        st.progress(min(1.0, job.done / job.total) if job.total else 0.0, text=progress_text(job))
        if steps := steps_text(job):
            st.caption(steps)
        loss_curve(workbench.measured(job.job_id), key=f"loss_{job.job_id}")


def progress_text(job: workbench.JobStatus) -> str:
    """The present step in one line."""
    parts = [literal(job.step or "starting …")]
    if job.total > 1:
        about = "about " if job.step == READING_LINES and job.done < job.total else ""
        parts.append(f"{amount(job.step, job.done)} of {about}{amount(job.step, job.total)}")
    if job.rate_per_second > 0:
        what = " lines" if job.step == READING_LINES else ""
        parts.append(f"{amount(job.step, job.rate_per_second)}{what}/s")
    if job.eta_seconds is not None:
        parts.append(f"about {duration_text(max(1, round(job.eta_seconds)))} left in this step")
    return " · ".join(parts)


def amount(step: str, number: float) -> str:
    """Units of a step: some count bytes, the others whole things."""
    if step in READING_BYTES:
        return size_text(int(number))
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def steps_text(job: workbench.JobStatus) -> str:
    """Steps so far with their seconds, those left out that took no time worth a word."""
    steps = [(name, seconds) for name, seconds in job.steps if seconds >= 0.5]
    return " → ".join(f"{literal(name)} {duration_text(seconds)}" for name, seconds in steps)


def ended_card(job: workbench.JobStatus) -> None:
    """How the last job ended and what to do next."""
    with st.container(border=True, key=f"job_{job.job_id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            if job.state == "done":
                st.markdown(f":green[:material/check_circle:] **{literal(job.title)}**: done", width="stretch")
            else:
                st.markdown(f"**{literal(job.title)}**: {job.state}", width="stretch")
            run_id = job.result.get("run_id")
            open_key = f"open_{job.job_id}"
            before = job.result.get("rescored_from")
            if before and st.button(
                "See what changed", type="primary", icon=":material/compare_arrows:", key=f"changed_{job.job_id}"
            ):
                st.switch_page(COMPARE_PAGE, query_params={"run": run_id, "with": before})
            kind = "secondary" if before else "primary"
            if run_id and st.button("See abnormal lines", type=kind, icon=":material/tune:", key=open_key):
                open_run(run_id)
            if (capture := job.result.get("flow_run_id")) and st.button(
                "See its flows", type="primary", icon=":material/lan:", key=open_key
            ):
                st.switch_page(TRAFFIC_PAGE, query_params={"capture": capture})
            for result, what in (("model", "log"), ("flow_model", "capture")):
                if name := job.result.get(result):
                    score_button(name, what, key=f"use_{job.job_id}", primary=True)
            resume_buttons(job)
            run_again_button(job, f"again_{job.job_id}")
            if st.button("Dismiss", type="tertiary", icon=":material/close:", key=f"dismiss_{job.job_id}"):
                st.session_state["dismissed_jobs"].add(job.job_id)
                st.rerun()
        if job.state == "failed":
            st.error(literal(job.message), icon=":material/error:")
            st.caption("Mend what the message names, or choose another file or way below; then run it again.")
        if name := job.result.get("model") or job.result.get("flow_model"):
            st.caption(f"The model {literal(str(name))} can be chosen for other files now.")
        for note in job.result.get("notes", []):
            st.caption(f":material/info: {literal(note)}")
        if steps := steps_text(job):
            st.caption(steps)


def score_button(name: str, what: str, key: str, *, primary: bool = False) -> None:
    """The way to score a log or a capture with a model."""
    kind = "primary" if primary else "secondary"
    if not st.button(f"Score a {what} with it", type=kind, icon=":material/play_arrow:", key=key):
        return
    if what == "log":
        st.switch_page(DATA_PAGE)
    st.session_state[FLOW_MODEL_KEY] = name
    st.switch_page(TRAFFIC_PAGE)


def run_again_button(job: workbench.JobStatus, key: str) -> None:
    """Do the same once more, as a new job."""
    wait = busy(workbench.jobs())
    if st.button("Run again", icon=":material/replay:", disabled=wait, help=WAIT if wait else None, key=key):
        try:
            workbench.start_again(job.job_id)
        except WorkbenchError as error:
            st.error(literal(str(error)), icon=":material/error:")
        else:
            st.rerun()


def earlier_jobs() -> None:
    """The last jobs, how each ended, and a way to do it again; nothing where there were none."""
    jobs = workbench.jobs()
    shown = None if busy(jobs) else last_ended(jobs)  # by a card of its own
    ended = [job for job in jobs if job.is_final and job.kind != MAP and job != shown][:EARLIER_JOBS]
    if not ended:
        return
    with st.expander("Earlier jobs", icon=":material/history:"):
        for job in ended:
            took = sum(seconds for _, seconds in job.steps)
            facts = f"{job.state} {age_text(job.finished_utc or job.created_utc)} · {duration_text(took)}"
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{literal(job.title)}**: {facts}", width="stretch")
                run_again_button(job, f"earlier_{job.job_id}")
            if job.state == "failed":
                st.caption(literal(job.message))


def resume_buttons(job: workbench.JobStatus) -> None:
    """Go on with a job that left a checkpoint, or free the disk of it; nothing for other jobs."""
    if not workbench.can_resume(job):
        return
    wait = busy(workbench.jobs())
    if st.button("Resume", type="primary", icon=":material/resume:", disabled=wait, key=f"resume_{job.job_id}"):
        try:
            workbench.resume(job.job_id)
        except WorkbenchError as error:
            st.error(literal(str(error)), icon=":material/error:")
        else:
            st.rerun()
    if st.button("Discard", icon=":material/delete:", help="Frees the disk.", key=f"discard_{job.job_id}"):
        workbench.discard_checkpoints(job.job_id)
        st.session_state["dismissed_jobs"].add(job.job_id)
        st.rerun()


def seconds_since(job: workbench.JobStatus) -> float:
    """Seconds since the job ended."""
    return seconds_from(job.finished_utc or job.created_utc)


def seconds_from(utc: str) -> float:
    """Seconds since an ISO 8601 time."""
    then = datetime.fromisoformat(utc)
    return (datetime.now(then.tzinfo) - then).total_seconds()

"""Traffic page: bring a capture, score its flows, and look at what is strange in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.file_link import file_link
from dashboard.components.flow_detail import flow_detail
from dashboard.components.threshold_histogram import Rate, threshold_histogram, value_key
from dashboard.components.upload_control import upload_control
from dashboard.escaping import literal
from dashboard.exporting import REMARKS
from dashboard.flow_judging import findings, judging
from dashboard.flow_table import flow_table, flow_timeline, source_choice
from dashboard.flow_view import detail_of
from dashboard.job_cards import FLOW_MODEL_KEY, WAIT, busy, job_cards
from dashboard.line_view import said_of
from dashboard.link import from_link, share, to_link
from dashboard.model_name import name_input
from dashboard.session import ROW_PX, capture_in_view, capture_model_name, duration_text, size_text, time_text

FILE_KEY = "chosen_capture"
RUN_KEY = "capture_in_view"
OWN = "Score it against itself"
SAVED = "Score it with a saved model"
LEARN = "Learn a model from it"
WAYS = {
    SAVED: "What is usual was learned before, from other captures. Seconds.",
    OWN: "A NetGPT learns what is usual in this very capture. Minutes.",
    LEARN: "For captures to come; it should hold everyday traffic. Minutes, and it can be taken up where it stopped.",
}
TAKEN = "pcap or pcapng, plain, .gz, .zst or .bz2. It stays on this machine."
WELCOME = """**Start here**

Drop a packet capture on the left, or pick a sample. Its packets become flows, and every flow gets a score: no labels
are needed, and nothing leaves this machine."""
EXPORTS = {"CSV": ".csv", "JSON lines": ".jsonl", "Parquet": ".parquet"}
NO_LINES = (np.empty(0), np.empty(0, np.int64))


def page() -> None:
    """The whole page."""
    try:
        scored = workbench.list_flow_runs()
        opened = FLOW_MODEL_KEY in st.session_state
        with st.expander("Another capture", icon=":material/add:", expanded=opened) if scored else st.container():
            bring(first=not scored)
        job_cards(only=("traffic", "pretrain", "teach"))
        run_id = chosen_run()
        if run_id is None:
            st.info("No capture has been scored yet. Choose one above and press Score.", icon=":material/lan:")
        else:
            explore(run_id)
    except WorkbenchError as error:
        look_at(None)
        st.error(literal(str(error)), icon=":material/error:")


# ---- a capture


def bring(first: bool) -> None:
    """Upload on the left; choice of the capture, the way to score it and the button on the right.

    Args:
        first: no capture was scored yet.
    """
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if arrived := upload_control(key="capture_upload", what="capture", hint=TAKEN):
            path = workbench.inbox() / Path(arrived.name).name
            if workbench.is_capture(path):
                st.session_state[FILE_KEY] = path
                st.toast(f"{literal(arrived.name)} has arrived", icon=":material/check:")
            else:
                st.warning(
                    f"{literal(arrived.name)} is not named like a capture (.pcap, .pcapng, .cap); rename it and send "
                    "it again. If it is a log, it waits on the Data page.",
                    icon=":material/warning:",
                )
    with right:
        uploaded, shipped = workbench.capture_files()
        if first and not uploaded:
            st.markdown(WELCOME)
        path = choice(uploaded, shipped)
        if path is not None:
            score_form(path)
        elif shipped:
            sample_button(shipped[0])


def choice(uploaded: list[Path], shipped: list[Path]) -> Path | None:
    """The capture to score; None where none is chosen."""
    files = [*uploaded, *shipped]
    if st.session_state.get(FILE_KEY) not in files:
        st.session_state[FILE_KEY] = None
    chosen = st.selectbox(
        "Capture",
        files,
        index=None,
        placeholder="Choose an uploaded capture" + (" or a sample" if shipped else ""),
        format_func=lambda path: f"{path.parent.name}/{path.name} (sample)" if path in shipped else path.name,
        key=FILE_KEY,
    )
    if chosen is None:
        return None
    st.caption(f"{size_text(chosen.stat().st_size)} · {'sample' if chosen in shipped else 'uploaded'}")
    return Path(chosen)


def sample_button(sample: Path) -> None:
    """A sample at one click, scored with the first model there is."""
    models = sound_models()
    name = f"{sample.parent.name}/{sample.name}"
    wait = busy(workbench.jobs())
    if models and st.button(f"Score the sample {name}", icon=":material/play_arrow:", disabled=wait, key="sample"):
        start(lambda: workbench.start_flow_scoring(sample, models[0].name))


def sound_models() -> list[workbench.FlowModelInfo]:
    """Models of captures that can be used."""
    return [model for model in workbench.flow_models() if not model.error]


def score_form(path: Path) -> None:
    """What to do with it, and the button."""
    models = [model.name for model in sound_models()]
    ways = [way for way in WAYS if models or way != SAVED]
    way = st.radio("What to do", ways, captions=[WAYS[way] for way in ways], key=f"way_of_captures_{len(ways)}")
    wait = busy(workbench.jobs())
    if way == LEARN:
        name = name_input(path)
        if st.button("Learn", type="primary", icon=":material/model_training:", disabled=wait, key="learn_capture"):
            start(lambda: workbench.start_pretraining(path, name))
    else:
        model = None
        if way == SAVED:
            asked = st.session_state.get(FLOW_MODEL_KEY)
            first = models.index(asked) if asked in models else 0
            model = st.selectbox("Model", models, index=first, key=f"model_of_captures_{asked}")
        if st.button("Score", type="primary", icon=":material/play_arrow:", disabled=wait, key="score_capture"):
            start(lambda: workbench.start_flow_scoring(path, model))
    if wait:
        st.caption(WAIT)


def start(job: Callable[[], str]) -> None:
    """Start a job."""
    try:
        job()
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")
    else:
        st.session_state.pop(FLOW_MODEL_KEY, None)
        st.rerun()


# ---- a scored capture


def chosen_run() -> str | None:
    """The scored capture in view, with a way to another one; None where there is none."""
    run_id = capture_in_view()
    if run_id is None:
        return None
    workbench.FlowRunReader(run_id)  # says what is wrong with it
    to_link(capture=run_id)
    runs = {run.run_id: run for run in workbench.list_flow_runs()}
    st.session_state[RUN_KEY] = run_id
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Scored capture",
            list(runs),
            format_func=lambda run_id: run_title(runs[run_id]),
            on_change=lambda: look_at(st.session_state[RUN_KEY]),
            key=RUN_KEY,
        )
        export_popover(run_id)
        with st.popover("Delete", icon=":material/delete:"):
            st.markdown(f"Delete the result for **{literal(runs[run_id].name)}**? The capture stays.")
            if st.button("Delete it", type="primary", key="delete_capture_run"):
                workbench.delete_flow_run(run_id)
                look_at(None)
                st.rerun()
    return run_id


def look_at(run_id: str | None) -> None:
    """Put another capture into the address, or none; what else it says is of the one before."""
    to_link(**dict.fromkeys(set(st.query_params) - {"run"}) | {"capture": run_id})


def run_title(run: workbench.FlowRunInfo) -> str:
    """A scored capture in one line."""
    return f"{run.name} · {run.n_flows:,} flows · {capture_model_name(run)} · {time_text(run.created_utc)}"


def export_popover(run_id: str) -> None:
    """The flows as a file."""
    with st.popover("Export", icon=":material/download:"):
        chosen = st.segmented_control("Format", list(EXPORTS), default="CSV", required=True, key="flows_format")
        suffix = EXPORTS[chosen]
        flagged_only = st.checkbox("Flagged flows only", key="flows_flagged_only")
        if suffix in REMARKS:
            st.caption(REMARKS[suffix])
        wanted = (run_id, suffix, flagged_only)
        if st.button("Download", type="primary", width="stretch", key="download_flows"):
            path = workbench.export_flows(run_id, suffix, flagged_only)
            st.session_state["exported_flows"] = wanted, path.parent.name, path.name, path.stat().st_size
        if (made := st.session_state.get("exported_flows")) and made[0] == wanted:
            _, token, name, n_bytes = made
            file_link(token, name, f"{size_text(n_bytes)} · kept for a day", key="flows_link")


@st.fragment
def explore(run_id: str) -> None:
    """Facts, histogram, table and detail; they move together."""
    try:
        reader = workbench.FlowRunReader(run_id)
        facts(reader)
        scores, counts = reader.score_counts()
        threshold = threshold_section(reader, scores, counts)
        source = source_choice(reader, threshold)
        verdicts = workbench.flow_verdicts(run_id, notes=True)
        findings(reader, verdicts, threshold)
        left, right = st.columns([3, 2], gap="medium")
        with left:
            flow_no, next_no = flow_table(reader, threshold, source, verdicts)
        with right:
            if flow_no is not None:
                said = said_of(verdicts, flow_no, run_id, workbench.FLOW_NO)
                judging(reader, flow_no, next_no, said, threshold)
                detail = detail_of(reader, flow_no, threshold, scores, counts)
                flow_detail(replace(detail, said=said), key=f"flow_detail_{run_id}")
        with left:
            flow_timeline(reader, threshold)
            left_out(reader.info)
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")


def facts(reader: workbench.FlowRunReader) -> None:
    """What was read, in one line."""
    run = reader.info
    n_out = sum(run.left_out.values())
    parts = [f"{run.n_packets:,} packets", f"{run.n_flows:,} flows"]
    if n_out:
        parts.insert(1, f"{n_out:,} of them in no flow")
    first, last = reader.span()
    if first and last:
        until = "%H:%M:%S" if first.date() == last.date() else "%m-%d %H:%M:%S"
        parts.append(f"{first:%Y-%m-%d %H:%M:%S} to {last:{until}} UTC")
    parts.append(f"scored in {duration_text(max(1, round(run.seconds)))}")
    if run.model is None:
        parts.append("fitted on this capture itself: what is frequent in it counts as normal")
    st.caption(" · ".join(parts))


def threshold_section(reader: workbench.FlowRunReader, scores: np.ndarray, counts: np.ndarray) -> float:
    """The histogram; where its line stands."""
    run_id = reader.info.run_id
    key = f"flows_threshold_{run_id}"
    from_link("threshold", value_key(key), share)
    in_force = reader.threshold
    found = threshold_histogram(
        scores,
        counts,
        muted=NO_LINES,
        saved=in_force,
        own=reader.info.threshold,
        rate=Rate("Flagged per 10,000 flows", 10_000 / max(1, reader.info.n_flows)),
        key=key,
        unit="flows",
    )
    if found.save:
        reader.set_threshold(found.threshold)
        st.rerun()
    to_link(threshold=None if found.threshold == in_force else f"{found.threshold:.4f}")
    return found.threshold


def left_out(run: workbench.FlowRunInfo) -> None:
    """Packets that joined no flow, by reason."""
    if not run.left_out:
        return
    n_out = sum(run.left_out.values())
    with st.expander(f"{n_out:,} {'packet' if n_out == 1 else 'packets'} in no flow, and why"):
        first = {reason: f"packet {position:,}" for _, position, reason in reversed(run.first_left_out)}
        rows = [(reason, count, first.get(reason, "")) for reason, count in run.left_out.items()]
        st.dataframe(
            pl.DataFrame(rows, schema={"Why": pl.String, "Packets": pl.Int64, "The first": pl.String}, orient="row"),
            hide_index=True,
            row_height=ROW_PX,
        )


if __name__ == "__main__":
    page()

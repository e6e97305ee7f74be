"""Which labels a run is measured with, and how to add some."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.upload_control import upload_control
from dashboard.escaping import literal
from dashboard.session import REVIEW_PAGE, muted_key, run_reader

WAYS_TO_LABELS = """**No labels of this run can be used yet.** None are needed to score; they say how far to trust
the scores. Three ways to give some:

1. Upload a label file: a CSV with the columns `line_no` (from 1) and `label` (0 normal, 1 abnormal), perhaps `kind`.
2. Score a labelled CSV (columns `line` and `label`), or a log that has `NAME.labels.csv` beside it, such as a sample.
3. Judge lines on the Review page: some abnormal, some normal."""


def source_choice(run_id: str) -> workbench.LabelSource | None:
    """Where the labels come from, with a way to add some; None where there are none that can be used."""
    chosen_key, next_key = f"labels_{run_id}", f"next_labels_{run_id}"
    sources = workbench.label_sources(run_id)
    usable = {source.key: source for source in sources if source.error is None}
    if next_key in st.session_state:  # a select box cannot be set after it is drawn
        st.session_state[chosen_key] = st.session_state.pop(next_key)
    for source in sources:
        if source.error and (source.key != "verdicts" or not usable):
            st.error(literal(source.error), icon=":material/error:")
    if usable:
        if st.session_state.get(chosen_key) not in usable:
            st.session_state[chosen_key] = next(iter(usable))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            key = st.selectbox(
                "Labels from",
                list(usable),
                format_func=lambda key: source_text(usable[key]),
                width=460,
                key=chosen_key,
            )
            with st.popover("Add labels", icon=":material/upload:"):
                label_upload(run_id, next_key)
            if usable[key].n_normal + usable[key].n_abnormal < run_reader(run_id).info.n_lines:
                ask_for_labels(run_id, f"Label the {workbench.ASKED} messages that would change most")
    else:
        st.info(WAYS_TO_LABELS, icon=":material/fact_check:")
        ask_for_labels(run_id, f"Judge the {workbench.ASKED} messages that tell most")
        label_upload(run_id, next_key)
    chosen = usable[key] if usable else None
    if chosen and chosen.remark:
        st.warning(literal(chosen.remark), icon=":material/warning:")
    return chosen


def label_upload(run_id: str, next_key: str) -> None:
    """The upload of a label file, which is chosen once it has arrived and is found to be one."""
    hint = "CSV with the columns line_no and label (0 or 1), perhaps kind. It stays on this machine."
    if arrived := upload_control(key=f"label_upload_{run_id}", what="label", hint=hint):
        try:
            st.session_state[next_key] = workbench.add_labels(run_id, workbench.inbox() / Path(arrived.name).name)
        except WorkbenchError as error:
            st.error(literal(str(error)), icon=":material/error:")
            return
        st.rerun()


def labelled_texts(run_id: str) -> frozenset[int]:
    """text_id of every message that has a label or a verdict, unsure ones too."""
    found = set(workbench.verdicts(run_id)["text_id"].drop_nulls())
    for source in workbench.label_sources(run_id):
        if source.error is None and source.key != "verdicts":
            found |= set(labelled_run(run_id, source.key, source.version).rows["text_id"])
    return frozenset(found)


def ask_for_labels(run_id: str, words: str) -> None:
    """The way to the messages that are worth most to label."""
    st.page_link(
        REVIEW_PAGE,
        label=words,
        icon=":material/quiz:",
        query_params={"run": run_id, "queue": "telling"},
        help="Those near the threshold, where the scorers are not of one mind, and of many lines.",
    )


def source_text(source: workbench.LabelSource) -> str:
    """A source in one line."""
    return f"{source.name} · {source.n_abnormal:,} abnormal, {source.n_normal:,} normal"


def labelled_run(run_id: str, source: str, version: str) -> workbench.LabelledRun:
    """The run with its labels and the mutes of this moment; `version` is another one where the labels are.

    Raises:
        WorkbenchError: labels that cannot be used.
    """
    return _labelled_run(run_id, source, version, muted_key())


@st.cache_resource(max_entries=4, show_spinner="Joining labels with scores …")
def _labelled_run(run_id: str, source: str, version: str, muted: str) -> workbench.LabelledRun:
    return workbench.labelled_run(run_id, source)

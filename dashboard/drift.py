"""The log against what its model learnt, and a way to train on it; a part of the Compare page."""

from __future__ import annotations

import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import in_cells, literal
from dashboard.lines_table import show_lines_of
from dashboard.retraining import retrain
from dashboard.session import DATA_PAGE, ROW_PX, THRESHOLD_PAGE
from dashboard.table_look import score_column

TO_DO = (
    "**What to do** · Look through the new messages. Faults and attacks among them: judge them abnormal on Review or "
    "Incidents, and training leaves them out. If the rest is ordinary by now, retrain on this log, and score with the "
    "new model."
)


def drift_section(reader: workbench.RunReader) -> None:
    """What is new, what is missing, what moved, and training anew."""
    try:
        found = drift(reader.info.run_id)
    except WorkbenchError as error:  # the run itself is sound
        st.info(literal(str(error)), icon=":material/compare:")
        st.page_link(DATA_PAGE, label="Go to Data", icon=":material/arrow_forward:")
        return
    left, right = st.columns([4, 1], gap="medium", vertical_alignment="center")
    with left:
        for warning in found.warnings:
            st.warning(literal(warning), icon=":material/warning:")
        if not found.warnings:
            st.success(
                f"Nothing speaks against the promised {found.promised:.1%} of false alarms here.",
                icon=":material/check:",
            )
    with right:
        retrain(reader)
    if found.warnings:
        st.markdown(TO_DO)
    numbers(found)
    new, vanished = st.columns(2, gap="medium")
    with new:
        new_messages(reader.info.run_id, found)
    with vanished:
        vanished_messages(found)


@st.cache_data(max_entries=8, ttl=600, show_spinner="Comparing with what the model learnt …")
def drift(run_id: str) -> workbench.Drift:
    """The drift; a model may be trained anew, so it is not kept for long."""
    return workbench.drift_of(run_id)


def numbers(found: workbench.Drift) -> None:
    """The figures in a row."""
    known = "–" if found.flagged_known is None else f"{found.flagged_known:.2%}"
    moved = round(found.ordinary - found.ordinary_learnt, 3)
    shown = [
        ("Lines never learnt", f"{found.novelty:.1%}", "", "Share of lines whose message the model never saw."),
        (
            "Distance",
            f"{found.distance:.2f}",
            "",
            "Between the shares that messages have in this log and in the learnt one (Jensen-Shannon): "
            "0 the same, 1 nothing in common.",
        ),
        (
            "Ordinary score",
            f"{found.ordinary:.3f}",
            f"{moved:+.3f}" if moved else "",
            "The mean without the highest fifth of the lines; below it against the lines the model learnt from.",
        ),
        ("Flagged", f"{found.flagged:.2%}", "", "Share of lines at the run's first threshold."),
        (
            "Flagged of known",
            known,
            "",
            "The same of lines whose message was learnt. Far above the promise, it tells of drift, not of attacks.",
        ),
        ("Promised", f"{found.promised:.2%}", "", "Share of everyday lines that this threshold may flag."),
    ]
    for column, (name, value, delta, words) in zip(st.columns(len(shown)), shown, strict=True):
        column.metric(name, value, delta or None, delta_color="off", help=words)


def new_messages(run_id: str, found: workbench.Drift) -> None:
    """Messages the model never saw; a click on one goes to its lines."""
    n_here = found.n_new + found.n_known
    expected = ""
    if found.n_new_expected is not None and found.n_new_expected <= n_here:  # of more, the log is of another kind
        expected = f", about {found.n_new_expected:,.0f} were to be expected"
    st.markdown(f"**New messages** · {found.n_new:,} of {n_here:,}{expected} · click one to see its lines")
    if found.new.is_empty():
        st.caption("Every message of this log was learnt.")
        return
    chosen = st.dataframe(
        in_cells(found.new),
        hide_index=True,
        row_height=ROW_PX,
        column_order=["n_lines", "score", "normalized_text"],
        column_config={
            "n_lines": st.column_config.NumberColumn("Lines", format="localized", width=60),
            "score": score_column(),
            "normalized_text": st.column_config.TextColumn("Message", width=420),
        },
        on_select="rerun",
        selection_mode="single-cell",
        key="drift_new",
    )
    if cells := chosen.selection.cells:
        show_lines_of(run_id, int(found.new["text_id"][cells[0][0]]))
        st.switch_page(THRESHOLD_PAGE, query_params={"run": run_id})
    if len(found.new) < found.n_new:
        st.caption(f"The {len(found.new):,} most frequent are listed.")


def vanished_messages(found: workbench.Drift) -> None:
    """Messages that should be there and are not."""
    st.markdown(f"**Vanished messages** · {found.n_vanished:,} that a log of this length should have")
    if found.vanished.is_empty():
        st.caption("Every message that was frequent when the model learnt is still there.")
        return
    st.dataframe(
        in_cells(found.vanished),
        hide_index=True,
        row_height=ROW_PX,
        column_order=["expected", "learnt", "normalized_text"],
        column_config={
            "expected": st.column_config.NumberColumn(
                "Expected", format="%.0f", width=80, help="Lines, were this log like the learnt one"
            ),
            "learnt": st.column_config.NumberColumn("Learnt", format="localized", width=70),
            "normalized_text": st.column_config.TextColumn("Message", width=420),
        },
        key="drift_vanished",
    )
    st.caption("Where the model learnt several systems, the messages of the other ones are missing here too.")

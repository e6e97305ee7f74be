"""Verdicts on flows: the buttons above the flow in view, and what the verdicts say of the threshold."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.line_detail import Said
from dashboard.escaping import literal
from dashboard.flow_teaching import teach_popover
from dashboard.keys import ABNORMAL, NORMAL, UNDO, UNSURE
from dashboard.session import share_text

BUTTONS = {
    "abnormal": (":material/close:", ABNORMAL),
    "normal": (":material/check:", NORMAL),
    "unsure": (":material/question_mark:", UNSURE),
}
MARKS = {"abnormal": "✖ abnormal", "normal": "✔ normal", "unsure": "? unsure"}


def judging(
    reader: workbench.FlowRunReader, flow_no: int, next_no: int | None, said: Said | None, threshold: float
) -> None:
    """Buttons and a note for one flow, or for all of its source that lie on its side of the threshold.

    Args:
        reader: the scored capture.
        flow_no: the flow in view.
        next_no: the flow to show once it is judged; None to stay.
        said: what was said of it, or None.
        threshold: a flow is flagged at or above it.
    """
    run_id = reader.info.run_id
    note_key = f"flow_note_{run_id}_{flow_no}"
    st.session_state.setdefault(note_key, said.note if said else "")
    in_force = said.label if said else None

    alike, words = _alike(reader, flow_no, threshold)
    whole_key = f"judge_whole_{run_id}_{words}"  # off again for the next source

    def judge(label: str) -> None:
        whole = len(alike) > 1 and st.session_state[whole_key]
        note = st.session_state[note_key]
        if _done(run_id, lambda: workbench.set_flow_verdict(run_id, alike if whole else [flow_no], label, note)):
            _show(run_id, flow_no if whole or next_no is None else next_no)

    def keep_note() -> None:
        _done(run_id, lambda: workbench.set_flow_verdict(run_id, [flow_no], in_force, st.session_state[note_key]))

    def take_back() -> None:
        undone: list[int] = []
        if not _done(run_id, lambda: undone.extend(workbench.undo_flow_verdict(run_id))):
            return
        if not undone:
            st.session_state[_problem(run_id)] = "there is nothing to undo: no verdict was given in this run"
            return
        for key in [key for key in st.session_state if str(key).startswith(f"flow_note_{run_id}_")]:
            del st.session_state[key]  # notes as they were before
        _show(run_id, undone[0])

    with st.container(horizontal=True, vertical_alignment="bottom"):
        for label, (icon, key) in BUTTONS.items():
            st.button(
                label.capitalize(),
                icon=icon,
                type="primary" if label == in_force else "secondary",
                shortcut=key.keys[0],
                on_click=judge,
                args=(label,),
                key=f"judge_{label}_{run_id}",
            )
        st.button("Undo", icon=":material/undo:", shortcut=UNDO.keys[0], on_click=take_back, key=f"undo_{run_id}")
        st.text_input(
            "Note",
            placeholder="Note; Enter keeps it",
            label_visibility="collapsed",
            on_change=keep_note,
            key=note_key,
        )
    many, wrong = st.empty(), st.empty()  # used or not: the flow below keeps its place
    if len(alike) > 1:
        too_many = len(alike) > workbench.MOST_JUDGED
        many.toggle(
            words,
            disabled=too_many,
            help=f"At most {workbench.MOST_JUDGED:,} flows at once." if too_many else "Judge them in one act.",
            key=whole_key,
        )
    if problem := st.session_state.pop(_problem(run_id), None):
        wrong.error(literal(problem), icon=":material/error:")


def judged_rows(rows: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Rows of flows with their `verdict`, marked; null where there is none."""
    marked = verdicts.select(workbench.FLOW_NO, pl.col("label").replace_strict(MARKS, default=None).alias("verdict"))
    return rows.join(marked, on=workbench.FLOW_NO, how="left", maintain_order="left")


def of_verdict(verdicts: pl.DataFrame, label: str | None) -> pl.Expr:
    """The flows with a verdict; without any where `label` is None."""
    judged = verdicts.drop_nulls("label")
    if label is None:
        return ~pl.col(workbench.FLOW_NO).is_in(judged[workbench.FLOW_NO].to_list())
    return pl.col(workbench.FLOW_NO).is_in(judged.filter(pl.col("label") == label)[workbench.FLOW_NO].to_list())


def findings(reader: workbench.FlowRunReader, verdicts: pl.DataFrame, threshold: float) -> None:
    """How many flows are judged, the precision of flags among them, and the way to teach it to a model."""
    place = st.empty()  # used or not: what follows keeps its own
    judged = verdicts.drop_nulls("label")
    if judged.is_empty():
        return
    words = [f"Judged **{len(judged):,} of {reader.info.n_flows:,}** flows"]
    sure = judged.filter(pl.col("label") != "unsure")
    flags = pl.col(workbench.FLOW_NO).is_in(sure[workbench.FLOW_NO].to_list()) & (pl.col("score") >= threshold)
    flagged = reader.numbers(flags)
    if n_flagged := len(flagged):
        hits = len(sure.filter((pl.col("label") == "abnormal") & pl.col(workbench.FLOW_NO).is_in(flagged)))
        words.append(
            f"of {n_flagged:,} judged flagged {'flow' if n_flagged == 1 else 'flows'} {hits:,} "
            f"{'is' if hits == 1 else 'are'} abnormal: **precision {share_text(hits, n_flagged)}**"
        )
    with place.container(horizontal=True, vertical_alignment="center"):
        st.markdown(" · ".join(words), width="stretch")
        teach_popover(reader.info, judged)


def _alike(reader: workbench.FlowRunReader, flow_no: int, threshold: float) -> tuple[list[int], str]:
    """Flows of the same source on the same side of the threshold, and what they are called."""
    [flow] = reader.find(pl.col(workbench.FLOW_NO) == flow_no, "score", descending=True, limit=1)[0].to_dicts()
    flagged = flow["score"] >= threshold
    same = (pl.col("source") == flow["source"]) & ((pl.col("score") >= threshold) == flagged)
    numbers = reader.numbers(same)
    side = "flagged" if flagged else "unflagged"
    return numbers, f"All {len(numbers):,} {side} flows of {literal(flow['source'])}"


def _done(run_id: str, act: Callable[[], None]) -> bool:
    """Do an act; a mistake is shown when the page is drawn."""
    try:
        act()
    except WorkbenchError as error:
        st.session_state[_problem(run_id)] = str(error)
        return False
    return True


def _show(run_id: str, flow_no: int) -> None:
    """Put a flow in view; the table begins anew, with this one chosen."""
    st.session_state[f"flow_{run_id}"] = flow_no
    acts, _ = st.session_state.get(f"flow_acts_{run_id}", (0, None))
    st.session_state[f"flow_acts_{run_id}"] = acts + 1, flow_no


def _problem(run_id: str) -> str:
    return f"flow_problem_{run_id}"

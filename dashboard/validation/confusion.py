"""Labels against decisions: the confusion matrix, the lines of a cell, one of them explained."""

from __future__ import annotations

import numpy as np
import polars as pl
import streamlit as st

from core import workbench
from dashboard.components.line_detail import line_detail
from dashboard.line_view import detail_of
from dashboard.lines_table import PAGE_ROWS, line_columns, page_offset, picked, without_headers
from dashboard.session import run_reader

CELLS = {  # label, flagged, words
    "hits": (1, True, "found"),
    "misses": (1, False, "missed"),
    "alarms": (0, True, "false alarms"),
    "passed": (0, False, "passed"),
}


def confusion_section(found: workbench.LabelledRun, weights: dict[str, float], threshold: float, tried: bool) -> None:
    """The confusion matrix, the lines of one of its cells, and one of them explained."""
    run_id = found.info.run_id
    score = found.fused(weights)[found.lines["text_id"].to_numpy()]
    label = found.lines["label"].to_numpy()
    masks = {
        name: (label == wanted) & ((score >= threshold) == flagged) for name, (wanted, flagged, _) in CELLS.items()
    }
    cell = cell_choice(run_id, {name: int(mask.sum()) for name, mask in masks.items()})
    mask = masks[cell]
    if not mask.any():
        st.info("No line is in this cell. Choose another, or move the point.", icon=":material/filter_alt_off:")
        return
    order = np.lexsort((found.lines["line_no"].to_numpy()[mask], -score[mask]))
    chosen = found.lines.with_columns(pl.Series("score", score)).filter(pl.Series(mask))[order]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
            offset = page_offset(f"{run_id}_{cell}", len(chosen))
        part = chosen[offset : offset + PAGE_ROWS].select("line_no", "score", "kind")
        reader = run_reader(run_id)
        lines = reader.lines_at(part["line_no"].to_list()).drop("score").join(
            part, on="line_no", how="left", maintain_order="left"
        )  # fmt: skip
        lines = without_headers(lines)
        columns = line_columns(lines)
        if (lines["kind"] != "").any():
            kind = {"kind": st.column_config.TextColumn("Kind", width=140)}
            columns = {name: columns[name] for name in ("line_no", "score")} | kind | columns
        identity = (run_id, cell, offset, threshold, str(weights))
        state_key = f"cell_line_{run_id}"
        line_no = picked(lines, columns, part["line_no"].to_list(), identity, state_key=state_key)
    with right:
        detail = detail_of(reader, line_no, threshold, *reader.score_counts())
        if tried:
            st.caption("The detail shows the line under the saved weights.")
        opened = line_detail(detail, key=f"cell_detail_{run_id}")
        if opened is not None and opened != line_no:
            st.session_state[state_key] = opened
            st.rerun(scope="fragment")


def cell_choice(run_id: str, counts: dict[str, int]) -> str:
    """The confusion matrix: each cell is a button that shows its lines."""
    key = f"cell_{run_id}"
    chosen = st.session_state.setdefault(key, "alarms" if counts["alarms"] or not counts["misses"] else "misses")

    def choose(name: str) -> None:
        st.session_state[key] = name
        st.session_state.pop(f"cell_line_{run_id}", None)

    st.markdown("**Labels against decisions** · choose a cell to see its lines")
    for label, words in ((1, "Abnormal lines"), (0, "Normal lines")):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(words, width=110)
            for name, (wanted, flagged, said) in CELLS.items():
                if wanted == label:
                    st.button(
                        f"**{counts[name]:,}** {said}",
                        help="Flagged at this threshold" if flagged else "Not flagged at this threshold",
                        type="primary" if name == chosen else "secondary",
                        width=190,
                        on_click=choose,
                        args=(name,),
                        key=f"{key}_{name}",
                    )
    return str(chosen)

"""Teaching a model what analysts said of a capture's flows."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import literal
from dashboard.job_cards import WAIT, busy
from dashboard.model_name import replaced_caption

ENOUGH = 100  # of each label: below, the benchmark's few-label curve tells attacks little better than chance


def teach_popover(info: workbench.FlowRunInfo, verdicts: pl.DataFrame) -> None:
    """The way to a model that answers as the verdicts do, where there are some of both kinds and a model to start from.

    Args:
        info: the scored capture.
        verdicts: of `workbench.flow_verdicts` for it.
    """
    counts = {label: int((verdicts["label"] == label).sum()) for label in ("abnormal", "normal")}
    if info.model is None or not all(counts.values()):
        return
    wait = busy(workbench.jobs())
    with st.popover("Teach", icon=":material/model_training:", disabled=wait, help=WAIT if wait else None):
        st.markdown(
            f"A copy of **{literal(info.model)}** learns to tell flows like the **{counts['abnormal']:,}** judged "
            f"abnormal from those like the **{counts['normal']:,}** judged normal, and answers so for each flow of "
            "later captures, in a column of its own. What is not judged abnormal here counts as usual for its score."
        )
        if min(counts.values()) < ENOUGH:
            st.caption(f":material/info: Few to learn from: expect little below about {ENOUGH} of each.")
        name = st.text_input(
            "Name of the model",
            value=f"{Path(info.model).name.removesuffix('-judged')}-judged",
            max_chars=60,
            key=f"teach_name_{info.run_id}",
        )
        replaced_caption(name)
        if st.button("Teach the verdicts", type="primary", width="stretch", key=f"teach_{info.run_id}"):
            try:
                workbench.start_teaching(info.run_id, name)
            except WorkbenchError as error:
                st.error(literal(str(error)), icon=":material/error:")
            else:
                st.rerun()

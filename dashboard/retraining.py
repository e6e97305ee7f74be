"""Training a new model on the log of a run, without what was judged abnormal in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import literal
from dashboard.job_cards import WAIT, busy
from dashboard.session import MODELS_PAGE


def retrain(reader: workbench.RunReader) -> None:
    """Train on this log under a new name; the job is watched on the Models page."""
    info = reader.info
    with st.popover("Retrain", icon=":material/model_training:", width="stretch"):
        st.markdown("A new model learns this log. It should be mostly normal: what is frequent counts as usual.")
        st.markdown(left_out_text(reader))
        name = st.text_input(
            "Name of the model",
            value=f"{Path(info.model or Path(info.name).stem).name}-{datetime.now(UTC):%Y%m%d}".replace(" ", "-"),
            max_chars=60,
            key=f"retrain_name_{info.run_id}",
        )
        wait = busy(workbench.jobs())
        if st.button(
            "Train on this log",
            type="primary",
            width="stretch",
            disabled=wait,
            help=WAIT if wait else None,
            key=f"retrain_{info.run_id}",
        ):
            try:
                workbench.start_retraining(info, name)
            except WorkbenchError as error:
                st.error(literal(str(error)), icon=":material/error:")
            else:
                st.switch_page(MODELS_PAGE)


def left_out_text(reader: workbench.RunReader) -> str:
    """What the training leaves out, Markdown."""
    judged = workbench.judged_messages(reader)
    told = "No message of it is judged abnormal in all its lines, so none is left out."
    if judged.abnormal:
        texts = reader.texts()
        n_messages = len(judged.abnormal)
        n_lines = int(texts.filter(texts["normalized_text"].is_in(judged.abnormal))["count"].sum())
        told = (
            "Left out, as you judged them abnormal: "
            f"**{n_messages:,}** {'message' if n_messages == 1 else 'messages'}, "
            f"**{n_lines:,}** {'line' if n_lines == 1 else 'lines'}."
        )
    if judged.mixed:
        told += (
            f" Learnt all the same: **{len(judged.mixed):,}** that you judged abnormal from some sources only, or "
            "normal too."
        )
    return told

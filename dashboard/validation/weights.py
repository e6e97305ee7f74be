"""Other weights for the fused score: a slider a scorer, the effect, and the ways to keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from core.evaluate import Labelled, ranking_metrics
from dashboard.escaping import literal
from dashboard.session import ROW_PX

GREEK = "αβγδεζηθικλμ"
MOST_WEIGHT = 3.0


def weight_key(run_id: str, scorer: str) -> str:
    """Where the slider of a scorer keeps its value; another key after each `move_weights`, to start anew.

    The value is not set through the state: a browser that skips the drawing that carries it would start the slider at
    its minimum, and send that with the next click.
    """
    return f"weight_{run_id}_{scorer}_{st.session_state.get(_resets_key(run_id), 0)}"


def _resets_key(run_id: str) -> str:
    return f"weights_reset_{run_id}"


def _start_key(run_id: str) -> str:
    return f"weights_start_{run_id}"


def start_weights(info: workbench.RunInfo) -> dict[str, float]:
    """Where the sliders start: at the run's weights, or where `move_weights` put them."""
    return dict(st.session_state.get(_start_key(info.run_id), info.weights))


def slider_values(info: workbench.RunInfo) -> dict[str, float]:
    """Where the sliders stand, those not drawn yet at their start."""
    return {
        name: float(st.session_state.get(weight_key(info.run_id, name), weight))
        for name, weight in start_weights(info).items()
    }


def most_weight(saved: float) -> float:
    """The end of a slider."""
    return max(MOST_WEIGHT, float(np.ceil(saved)))


def tried_weights(info: workbench.RunInfo) -> dict[str, float]:
    """The weights of the sliders, which are drawn further down; those of the run where all are zero."""
    tried = slider_values(info)
    if not any(tried.values()):
        st.warning("Every weight is zero: the saved weights are shown. Give at least one scorer some weight.")
        return info.weights
    return tried


def weights_section(
    info: workbench.RunInfo, weights: dict[str, float], rows: Labelled, before: Labelled, threshold: float
) -> None:
    """A slider for each scorer, what each is worth alone, and the ways to keep the weights."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(weights_text(rows, before), width="stretch")
            st.button(
                "Reset weights",
                icon=":material/undo:",
                disabled=slider_values(info) == info.weights,
                on_click=move_weights,
                key="reset_weights",
                args=(info, info.weights),
            )
            if info.model:
                save_as_model(info, weights, threshold)
        sliders = st.columns(3, gap="medium")
        for place, (name, start) in enumerate(start_weights(info).items()):
            key = weight_key(info.run_id, name)
            label = f"{GREEK[place % len(GREEK)]} · {name}"
            sliders[place % 3].slider(
                label,
                0.0,
                most_weight(info.weights[name]),
                start,
                step=0.05,
                help=workbench.WHAT_SCORERS_SEE.get(name),
                key=key,
            )
    with right:
        scorers_table(info, rows)


def weights_text(rows: Labelled, before: Labelled) -> str:
    """The effect of the weights in a line."""
    if rows is before:
        return "**Weights** of the fused score, as saved. Move one to see its effect."
    now, then = (ranking_metrics(part.labels, part.fused, part.lines) for part in (rows, before))
    return "**Weights** " + " · ".join(
        f"{name} **{now[key]:.3f}** ({now[key] - then[key]:+.3f})"
        for name, key in (("PR-AUC", "pr_auc"), ("ROC-AUC", "roc_auc"))
    )


def move_weights(info: workbench.RunInfo, weights: dict[str, float]) -> None:
    """Put every slider at one of these weights."""
    st.session_state[_start_key(info.run_id)] = dict(weights)
    resets = _resets_key(info.run_id)
    st.session_state[resets] = st.session_state.get(resets, 0) + 1


def save_as_model(info: workbench.RunInfo, weights: dict[str, float], threshold: float) -> None:
    """A copy of the run's model with these weights and this threshold, for later files."""
    with st.popover("Save as a model", icon=":material/save:"):
        name = st.text_input("Name of the copy", value=f"{Path(info.model or '').name}-tuned", max_chars=64)
        st.caption(f"A copy of {literal(info.model or '')} with these weights and the threshold {threshold:.4f}.")
        if st.button("Save", type="primary", key=f"save_model_{info.run_id}"):
            try:
                saved = workbench.derive_model(info.model or "", name.strip(), weights, threshold)
                st.success(f"{literal(saved.name)} can be chosen for other files now.", icon=":material/check:")
            except WorkbenchError as error:
                st.error(literal(str(error)), icon=":material/error:")


def scorers_table(info: workbench.RunInfo, rows: Labelled) -> None:
    """What each scorer is worth alone, beside the fused score."""
    alone = [
        {"scorer": name, **ranking_metrics(rows.labels, scores, rows.lines)} for name, scores in rows.scorers.items()
    ]
    alone.sort(key=lambda item: -item["pr_auc"])
    table = [{"scorer": "fused", **ranking_metrics(rows.labels, rows.fused, rows.lines)}]
    if rows.without_severity is not None:
        rest = ranking_metrics(rows.labels, rows.without_severity, rows.lines)
        table.append({"scorer": "fused without severity", **rest})
    st.dataframe(
        pl.DataFrame([*table, *alone]),
        hide_index=True,
        height=(len(table) + len(alone) + 1) * ROW_PX + 6,
        row_height=ROW_PX,
        column_order=["scorer", "pr_auc", "roc_auc"],
        column_config={
            "scorer": st.column_config.TextColumn("Each alone", width=140),
            "pr_auc": st.column_config.ProgressColumn("PR-AUC", min_value=0, max_value=1, format="%.3f", width=100),
            "roc_auc": st.column_config.NumberColumn("ROC-AUC", format="%.3f", width=80),
        },
        key=f"scorers_{info.run_id}",
    )

"""Weights fitted on the labels, what they are worth on labels held out, and the way to try them."""

from __future__ import annotations

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from core.evaluate import FittedWeights
from dashboard.escaping import literal
from dashboard.session import ROW_PX
from dashboard.validation.labels import labelled_run
from dashboard.validation.weights import most_weight, move_weights, slider_values


def offer_section(info: workbench.RunInfo, source: workbench.LabelSource) -> None:
    """A button that fits, then what it found and a button that moves the sliders."""
    shown_key = f"offer_{info.run_id}_{source.key}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            "**Weights fitted on these labels** · judged on messages they were not fitted on",
            width="content",
            help="A logistic regression whose weights are not negative and are drawn to the saved ones, the more the "
            "fewer labels there are. Five folds, four times; a message is in one fold whole and counts once.",
        )
        if st.button("Fit weights", icon=":material/model_training:", key=f"fit_{shown_key}"):
            st.session_state[shown_key] = True
    if not st.session_state.get(shown_key):
        return
    try:
        offer = fitted_weights(info.run_id, source.key, source.version)
    except WorkbenchError as error:
        st.info(literal(str(error)), icon=":material/fact_check:")
        return
    left, right = st.columns([3, 2], gap="medium", vertical_alignment="center")
    with left:
        st.markdown(folds_text(offer.folds))
        st.button(
            "Use these weights",
            icon=":material/tune:",
            disabled=offer.weights == slider_values(info),
            help="Moves the sliders. Nothing is kept until you apply.",
            on_click=move_weights,
            args=(info, offer.weights),
            key=f"use_{shown_key}",
        )
    with right:
        st.dataframe(
            pl.DataFrame(
                [
                    {"scorer": name, "saved": info.weights[name], "fitted": value}
                    for name, value in offer.weights.items()
                ]
            ),
            hide_index=True,
            row_height=ROW_PX,
            column_config={
                "scorer": st.column_config.TextColumn("Weight of", width=130),
                "saved": st.column_config.NumberColumn("Saved", format="%.2f", width=70),
                "fitted": st.column_config.NumberColumn("Fitted", format="%.2f", width=70),
            },
            key=f"offered_{shown_key}",
        )


@st.cache_data(max_entries=16, show_spinner="Fitting weights on the labels …")
def fitted_weights(run_id: str, source: str, version: str) -> workbench.WeightsOffer:
    """The offer; `version` is another one where the labels are."""
    found = labelled_run(run_id, source, version)
    return workbench.fit_weights(found, {name: most_weight(weight) for name, weight in found.info.weights.items()})


def folds_text(folds: FittedWeights) -> str:
    """The effect on held-out messages in a few lines, Markdown."""
    gain, spread = folds.gain
    verdict = (
        "Fitting helps on messages it has not seen."
        if gain > spread
        else "That is within the spread of the folds: the saved weights are as good."
        if gain >= 0
        else "Fitting does harm on messages it has not seen: keep the saved weights."
    )
    return (
        f"PR-AUC on held-out messages, each once: saved **{folds.saved.mean():.3f}** ± {folds.saved.std():.3f}, "
        f"fitted **{folds.fitted.mean():.3f}** ± {folds.fitted.std():.3f}; "
        f"change **{gain:+.3f}** ± {spread:.3f}, better in {folds.better_share:.0%} of {len(folds.saved)} folds. "
        f"{verdict}"
    )

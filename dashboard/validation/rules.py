"""Rules that choose the threshold with labels, or by how many alerts a day may bring."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from core.errors import WorkbenchError
from core.evaluate import (
    Curve,
    threshold_for_alerts,
    threshold_for_best_f,
    threshold_for_false_alarm_rate,
    threshold_for_precision,
    threshold_for_recall,
)
from dashboard.components.operating_point import move_point
from dashboard.components.threshold_histogram import Rate
from dashboard.escaping import literal


def choose_threshold(
    now: Curve, scores: np.ndarray, lines: np.ndarray, rate: Rate, point_key: str, rule_key: str
) -> None:
    """Rules that move the point; a point moved by hand leaves them."""

    def by_alerts(value: float) -> float:
        return threshold_for_alerts(scores, lines, value / rate.per_flagged_line)

    rules: dict[str, tuple[str, float, float, float, Callable[[float], float]]] = {
        # label of the number, its first value, largest value, step, what it gives
        "Best F-beta": ("Beta", 1.0, 10.0, 0.5, lambda value: threshold_for_best_f(now, max(value, 0.01))),
        "Precision at least": ("Percent", 95.0, 100.0, 1.0, lambda value: threshold_for_precision(now, value / 100)),
        "Recall at least": ("Percent", 95.0, 100.0, 1.0, lambda value: threshold_for_recall(now, value / 100)),
        "False alarms at most": (
            "Percent of normal lines", 1.0, 100.0, 0.1, lambda value: threshold_for_false_alarm_rate(now, value / 100)
        ),
        f"{rate.label} at most": ("Alerts", 50.0, 1e9, 10.0, by_alerts),
    }  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown_key = f"{rule_key}_{st.session_state.get(rule_key, 0)}"
        rule = st.segmented_control("Choose the threshold by", list(rules), key=shown_key)
        if rule is None:
            return
        label, first, largest, step, threshold_of = rules[rule]
        value = st.number_input(
            label, min_value=0.0, max_value=largest, value=first, step=step, width=170, key=f"{rule_key}_{rule}"
        )
    try:
        target = threshold_of(value)
    except WorkbenchError as error:
        st.warning(literal(str(error)), icon=":material/warning:")
        return
    if st.session_state.get(f"{point_key}_value") != target:
        move_point(point_key, target)


def leave_rule(rule_key: str) -> None:
    """No rule holds any more: the point was moved by hand."""
    # A control of another key, for one that is set to None goes on showing what was chosen.
    st.session_state[rule_key] = st.session_state.get(rule_key, 0) + 1

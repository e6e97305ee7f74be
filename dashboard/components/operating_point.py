"""One operating point on the PR curve, the ROC curve and the histograms; dragged and counted in the browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st

from dashboard.components import register
from dashboard.components.threshold_histogram import Rate

_mount = register(
    "operating_point",
    """
    <div class="frame operating">
      <div class="metrics">
        <label class="metric"><span>Threshold</span>
          <input type="number" min="0" max="1" step="0.0001" aria-label="Threshold, exact value"></label>
        <div class="metric"><span>Precision</span><b class="precision"></b></div>
        <div class="metric"><span>Recall</span><b class="recall"></b></div>
        <div class="metric"><span>F1</span><b class="f1"></b></div>
        <div class="metric"><span>False alarms</span>
          <b><span class="alarms"></span><small class="alarm-rate"></small></b></div>
        <div class="metric"><span>Missed</span>
          <b><span class="misses"></span><small class="of-abnormal"></small></b></div>
        <div class="metric"><span class="rate-label"></span><b class="rate"></b></div>
        <div class="actions">
          <span class="saved" aria-live="polite"></span>
          <button type="button" class="reset">Back</button>
          <button type="button" class="apply primary"></button>
        </div>
      </div>
      <div class="plots">
        <figure class="pr">
          <figcaption><b>Precision–recall</b><span class="pr-area"></span><span class="chance"></span>
            <span class="before" hidden>dotted: as saved</span></figcaption>
          <canvas role="img"></canvas>
        </figure>
        <figure class="roc">
          <figcaption><b>ROC</b><span class="roc-area"></span>
            <span class="before" hidden>dotted: as saved</span></figcaption>
          <canvas role="img"></canvas>
        </figure>
        <figure>
          <figcaption><b>Scores</b><span class="key normal">normal lines</span>
            <span class="key abnormal">abnormal lines</span></figcaption>
          <div class="plot" role="slider" tabindex="0" aria-label="Operating point" aria-orientation="horizontal">
            <canvas></canvas>
          </div>
        </figure>
      </div>
    </div>
    """,
)


@dataclass(frozen=True)
class ScoredLabels:
    """Lines at each distinct score, so that every figure is exact at every place of the point.

    Attributes:
        scores: [K] distinct, ascending, 0 to 1; higher is more abnormal.
        normal: [K] lines labelled normal.
        abnormal: [K] lines labelled abnormal.
        lines: [K] lines of the whole run, labelled or not.
        baseline: curves of the saved weights where others are tried: recall, precision, false_alarm_rate, roc_recall.
        pr_text: the area under the precision-recall curve, in words.
        roc_text: that under the ROC curve.
    """

    scores: np.ndarray
    normal: np.ndarray
    abnormal: np.ndarray
    lines: np.ndarray
    baseline: dict[str, list[float]] | None
    pr_text: str
    roc_text: str


@dataclass(frozen=True)
class PointChoice:
    """Where the point stands at its last release, and whether Apply was pressed, in the run that follows only."""

    threshold: float
    apply: bool


def operating_point(
    found: ScoredLabels,
    saved: float,
    rate: Rate,
    apply_label: str,
    can_apply: bool,
    on_move: Callable[[], None],
    key: str,
) -> PointChoice:
    """Show the curves and the point.

    Args:
        found: what is drawn and counted.
        saved: the threshold in force, where the point stands at first.
        rate: what flagged lines of the whole run are shown per.
        apply_label: the words of the button.
        can_apply: whether there is something to apply where the threshold is the one in force.
        on_move: called when the analyst has moved the point.
        key: of the widget; `move_point` takes it too.
    """
    state = st.session_state
    value_key, moved_key = f"{key}_value", f"{key}_moved"
    if value_key not in state:
        move_point(key, saved)

    def keep(trigger: str) -> None:
        moved_to = state[key][trigger]
        if moved_to is not None and moved_to != state[value_key]:
            state[value_key] = float(moved_to)
            on_move()

    answer = _mount(
        key=key,
        data={
            **{name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(found).items()},
            "value": state[value_key],
            "moved": state[moved_key],
            "saved": saved,
            "rate_label": rate.label,
            "rate": rate.per_flagged_line,
            "apply_label": apply_label,
            "can_apply": can_apply,
        },
        on_released_change=lambda: keep("released"),
        on_apply_change=lambda: keep("apply"),
    )
    return PointChoice(state[value_key], apply=answer.apply is not None)


def move_point(key: str, value: float) -> None:
    """Move the point of this key from here."""
    st.session_state[f"{key}_value"] = value
    st.session_state[f"{key}_moved"] = st.session_state.get(f"{key}_moved", 0) + 1

"""The histogram of scores with the threshold line, dragged and counted in the browser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import streamlit as st

from dashboard.components import register

_mount = register(
    "threshold_histogram",
    """
    <div class="frame threshold">
      <div class="metrics">
        <label class="metric"><span>Threshold</span>
          <input type="number" min="0" max="1" step="0.0001" aria-label="Threshold, exact value"></label>
        <div class="metric"><span class="flagged-label">Flagged lines</span>
          <b><span class="flagged-count"></span> <small class="muted"></small></b></div>
        <div class="metric"><span class="share-label">Share of lines</span><b class="share"></b></div>
        <div class="metric"><span class="rate-label"></span><b class="rate"></b></div>
        <label class="metric foreseen" hidden
          title="Flagged of as many everyday lines, if nothing has changed since the model learnt; type the most">
          <span>False alarms to expect</span>
          <b class="both"><input type="number" min="0" step="1" aria-label="False alarms to expect, at most">
          <small></small></b></label>
        <div class="actions">
          <span class="saved" aria-live="polite"></span>
          <button type="button" class="reset">Reset</button>
          <button type="button" class="save primary">Apply</button>
        </div>
      </div>
      <div class="plot" role="slider" tabindex="0" aria-label="Threshold" aria-orientation="horizontal">
        <canvas></canvas>
        <div class="hover" hidden></div>
      </div>
    </div>
    """,
)


@dataclass(frozen=True)
class Rate:
    """What flagged lines are shown per: a day where the log has timestamps, else 10,000 lines."""

    label: str
    per_flagged_line: float  # multiplied with the flagged count gives the number shown


@dataclass(frozen=True)
class Choice:
    """Where the line stands.

    Attributes:
        threshold: at the last release of the line; lines at or above it are flagged.
        save: the analyst pressed Apply, in the run that follows only.
    """

    threshold: float
    save: bool


def threshold_histogram(
    scores: np.ndarray,
    counts: np.ndarray,
    muted: tuple[np.ndarray, np.ndarray],
    saved: float,
    own: float,
    rate: Rate,
    key: str,
    unit: str = "lines",
    everyday: pl.DataFrame | None = None,
) -> Choice:
    """Show the histogram; the count in it is exact at every position of the line.

    Scores are stored with four decimals, so the distinct ones are at most 10,001 and all of them travel.

    Args:
        scores: [K] float64, distinct, ascending, 0 to 1; higher is more abnormal.
        counts: [K] int64, lines of each score, muted ones left out.
        muted: scores and counts, as these, of the muted lines.
        saved: the threshold in force, where the line stands at first.
        own: the threshold it was scored with, marked with a dashed line.
        rate: the fourth number over the plot.
        key: of the widget; the line of another key stands on its own.
        unit: what is counted, in the plural.
        everyday: what as many everyday ones would hold (records.EVERYDAY_SCHEMA): outlined over the bars, and counted
            at the line as false alarms to expect; None where nobody knows.
    """
    # Beside the widget's own state, which Streamlit drops when another page is opened.
    state = st.session_state
    at = value_key(key)
    state.setdefault(at, saved)

    def keep() -> None:
        state[at] = float(state[key]["threshold"])

    answer = _mount(
        key=key,
        data={
            "scores": scores.tolist(),
            "counts": counts.tolist(),
            "muted_scores": muted[0].tolist(),
            "muted_counts": muted[1].tolist(),
            "value": state[at],
            "saved": saved,
            "own": own,
            "rate_label": rate.label,
            "rate": rate.per_flagged_line,
            "unit": unit,
            "everyday": None
            if everyday is None
            else everyday.select("score", "lines", "messages").to_dict(as_series=False),
        },
        on_threshold_change=keep,
        on_save_change=lambda: None,
    )
    return Choice(state[at], save=bool(answer.save))


def value_key(key: str) -> str:
    """Where the session keeps the place of the line of a histogram."""
    return f"{key}_value"

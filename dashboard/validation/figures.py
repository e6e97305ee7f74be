"""Figures of a run against its labels: the curves for the component, and the tables around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import streamlit as st

from core import workbench
from core.evaluate import (
    Labelled,
    bootstrap_intervals,
    calibration,
    curve,
    kinds,
    oddities,
    pr_points,
    roc_points,
)
from core.evaluate.decisions import ODDITY
from dashboard.components.operating_point import ScoredLabels
from dashboard.session import ROW_PX
from dashboard.validation.labels import labelled_run

RESAMPLES = 200  # of the intervals, which are drawn anew with every weight
TABLE_ROWS = 14


def scored_labels(rows: Labelled, scores: np.ndarray, lines: np.ndarray, before: Labelled | None) -> ScoredLabels:
    """What the component draws: labelled lines at each distinct score of the run."""
    place = np.searchsorted(scores, rows.fused)
    now = curve(rows.labels, rows.fused, rows.lines)
    baseline = None
    if before is not None:
        saved = curve(before.labels, before.fused, before.lines)
        precision_recall, roc = pr_points(saved), roc_points(saved)
        baseline = {
            "recall": precision_recall["recall"][::-1].tolist(),
            "precision": precision_recall["precision"][::-1].tolist(),
            "false_alarm_rate": roc["false_alarm_rate"].tolist(),
            "roc_recall": roc["recall"].tolist(),
        }
    return ScoredLabels(
        scores=scores,
        normal=np.bincount(place, rows.lines * (rows.labels == 0), len(scores)),
        abnormal=np.bincount(place, rows.lines * (rows.labels == 1), len(scores)),
        lines=lines,
        baseline=baseline,
        pr_text=f"area {now.pr_auc:.3f}",
        roc_text=f"area {now.roc_auc:.3f}",
    )


@dataclass(frozen=True)
class FigureRow:
    """One row of the table of figures."""

    of: str
    lines: int
    prevalence: float
    pr_auc: float
    pr_interval: str
    change: float
    roc_auc: float
    roc_interval: str
    best_f1: float


def figures_table(run: workbench.RunInfo, source: workbench.LabelSource, weights: dict[str, float]) -> None:
    """Areas under the curves with their intervals, of all lines and of parts that say how far they hold."""
    columns = {
        "of": st.column_config.TextColumn("Figures of", width=190),
        "lines": st.column_config.NumberColumn("Lines", format="localized", width=70),
        "prevalence": st.column_config.NumberColumn(
            "Prevalence", format="%.1f%%", width=75, help="Share of abnormal lines: the PR-AUC of pure chance"
        ),
        "pr_auc": st.column_config.NumberColumn("PR-AUC", format="%.3f", width=70),
        "pr_interval": st.column_config.TextColumn(
            "95% interval", width=105, help="Bootstrap over distinct messages; empty where there are fewer than five"
        ),
        "change": st.column_config.NumberColumn(
            "Δ saved weights", format="%+.3f", width=110, help="PR-AUC against the weights the run was scored with"
        ),
        "roc_auc": st.column_config.NumberColumn("ROC-AUC", format="%.3f", width=70),
        "roc_interval": st.column_config.TextColumn("95% interval ", width=105),
        "best_f1": st.column_config.NumberColumn(
            "Best F1", format="%.3f", width=70, help="At a threshold chosen on these very labels"
        ),
    }
    st.dataframe(
        pl.DataFrame([vars(row) for row in figure_rows(run.run_id, source.key, source.version, weights)]).with_columns(
            pl.col("prevalence") * 100
        ),
        hide_index=True,
        row_height=ROW_PX,
        column_order=[name for name in columns if name != "change" or weights != run.weights],
        column_config=columns,
        key="figures",
    )


@st.cache_data(max_entries=64, show_spinner=False)
def figure_rows(run_id: str, source: str, version: str, weights: dict[str, float]) -> list[FigureRow]:
    """The table's rows; kept, as the point moves more often than the weights."""
    found = labelled_run(run_id, source, version)
    rows, before = found.labelled(weights), found.labelled(found.info.weights)
    same = rows.same_text_as_normal()
    table = [
        figure_row("All labelled lines", rows, before),
        figure_row("Each message once", rows.once(), before.once()),
    ]
    if same.any() and (rows.labels[~same] == 1).any():
        of = f"Without {rows.lines[same].sum():,.0f} attacks written like normal lines"
        table.append(figure_row(of, rows.take(~same), before.take(~same)))
    return table


@st.cache_data(max_entries=64, show_spinner=False)
def point_text(run_id: str, source: str, version: str, weights: dict[str, float], threshold: float) -> str:
    """How far precision, recall and F1 at the point could lie elsewhere on another draw of messages."""
    rows = labelled_run(run_id, source, version).labelled(weights)
    found = bootstrap_intervals(rows.labels, rows.fused, rows.lines, rows.text_ids, threshold, RESAMPLES)
    if found is None:
        return "Too few distinct messages for intervals."
    words = {"precision": "precision", "recall": "recall", "f1": "F1"}
    said = ", ".join(f"{word} {found[name][0]:.3f} to {found[name][1]:.3f}" for name, word in words.items())
    return f"95% intervals at this point: {said}."


def figure_row(of: str, rows: Labelled, before: Labelled) -> FigureRow:
    """The figures of some rows; `before` are the same rows under the saved weights."""
    found = curve(rows.labels, rows.fused, rows.lines)
    change = found.pr_auc - curve(before.labels, before.fused, before.lines).pr_auc
    intervals = bootstrap_intervals(
        rows.labels, rows.fused, rows.lines, rows.text_ids, threshold=0.5, resamples=RESAMPLES
    )
    pr, roc = (
        f"{intervals[name][0]:.3f} to {intervals[name][1]:.3f}" if intervals else "" for name in ("pr_auc", "roc_auc")
    )
    return FigureRow(
        of, int(rows.lines.sum()), rows.prevalence, found.pr_auc, pr, change, found.roc_auc, roc, found.best_f1
    )


def kinds_section(rows: Labelled, threshold: float) -> None:
    """What is found of each kind of attack, which odd normal lines are flagged, and what a score has stood for."""
    where = (rows.labels, rows.fused, rows.lines)
    found = pl.DataFrame(kinds(rows.kinds, *where, threshold))
    together = oddities(rows.kinds, *where, threshold)
    attacks, odd, bars = st.columns(3, gap="medium")
    with attacks:
        st.markdown("**Attacks by kind** · share found")
        kinds_table(found, label=1)
    with odd:
        flagged = f" · {together['n_flagged']:,.0f} of {together['n']:,.0f} flagged" if together["n"] else ""
        st.markdown(f"**Odd but normal lines**{flagged}")
        kinds_table(found, label=0)
    with bars:
        st.markdown("**Calibration** · abnormal share by score")
        bins = pl.DataFrame(calibration(*where))
        st.dataframe(
            bins.with_columns(pl.format("{} to {}", "low", "high").alias("score"), pl.col("abnormal_share") * 100),
            hide_index=True,
            row_height=ROW_PX,
            column_order=["score", "n", "abnormal_share"],
            column_config={
                "score": st.column_config.TextColumn("Score", width=90),
                "n": st.column_config.NumberColumn("Lines", format="localized", width=60),
                "abnormal_share": percent_column("Abnormal"),
            },
            key="calibration",
        )
        st.caption("The score is not a probability; this is what it has stood for in these labels.")


def kinds_table(found: pl.DataFrame, label: int) -> None:
    """The kinds of one label, and how many of their lines are flagged."""
    rows = found.filter(pl.col("label") == label) if len(found) else found
    if rows.is_empty():
        st.caption("These labels name none. A column kind in the label file (tag in a labelled CSV) does.")
        return
    st.dataframe(
        rows.with_columns(pl.col("kind").str.strip_prefix(f"{ODDITY}:"), pl.col("flagged_share") * 100),
        hide_index=True,
        height=min(len(rows) + 1, TABLE_ROWS) * ROW_PX + 6,
        row_height=ROW_PX,
        column_order=["kind", "n", "flagged_share"],
        column_config={
            "kind": st.column_config.TextColumn("Kind", width=110),
            "n": st.column_config.NumberColumn("Lines", format="localized", width=60),
            "flagged_share": percent_column("Flagged"),
        },
        key=f"kinds_{label}",
    )


def percent_column(name: str) -> Any:
    """Percentages as a bar and a number, all with one decimal."""
    return st.column_config.ProgressColumn(name, min_value=0, max_value=100, format="%.1f%%", width=90)

"""Validate page: what labels say about the scores, where to draw the line, and what other weights would do.

Labelled lines count whether their message is muted or not: scores are measured. What is flagged in the whole log, of
budgets, alerts and changes, is without what is muted, as on the Threshold page.
"""

from __future__ import annotations

import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from core.evaluate import curve
from dashboard.components.operating_point import operating_point
from dashboard.escaping import literal
from dashboard.session import VALIDATE_PAGE, cannot_open, nothing_scored, open_run, run_in_view, run_reader
from dashboard.table_look import NARROW
from dashboard.threshold import rate_of
from dashboard.validation.budget import budget_section
from dashboard.validation.changes import changes_section
from dashboard.validation.confusion import confusion_section
from dashboard.validation.figures import figures_table, kinds_section, point_text, scored_labels
from dashboard.validation.labels import labelled_run, source_choice
from dashboard.validation.offer import offer_section
from dashboard.validation.rules import choose_threshold, leave_rule
from dashboard.validation.weights import tried_weights, weights_section


def page() -> None:
    """The whole page."""
    run_id = run_in_view()
    if run_id is None:
        nothing_scored()
        st.caption("This page measures scores against labels or your verdicts, and says what a budget of alerts buys.")
        return
    try:
        info = run_reader(run_id).info
        st.html(NARROW)
        if source := source_choice(run_id):
            figures_page(info, source)
    except WorkbenchError as error:
        cannot_open(error)


@st.fragment
def figures_page(info: workbench.RunInfo, source: workbench.LabelSource) -> None:
    """Everything that moves with the point and the weights."""
    try:
        found = labelled_run(info.run_id, source.key, source.version)
        weights = tried_weights(info)
        rows = found.labelled(weights)
        now = curve(rows.labels, rows.fused, rows.lines)
        tried = weights != info.weights
        before = found.labelled(info.weights) if tried else rows
        saved = workbench.threshold(info.run_id)
        rate = rate_of(info)
        scores, lines = found.score_counts(weights)
        point_key = f"point_{info.run_id}_{source.key}"
        rule_key = f"rule_{point_key}"
        top = st.container()
        choose_threshold(now, scores, lines, rate, point_key, rule_key)
        choice = operating_point(
            scored_labels(rows, scores, lines, before if tried else None),
            saved=saved,
            rate=rate,
            apply_label="Apply as new run" if tried else "Apply",
            can_apply=tried,
            on_move=lambda: leave_rule(rule_key),
            key=point_key,
        )
        if choice.apply:
            apply(info, weights, choice.threshold)
        with top:  # after the curves, which answer first
            figures_table(info, source, weights)
        intervals = point_text(info.run_id, source.key, source.version, weights, choice.threshold)
        st.caption(f"{intervals} {trust_text(info, source, tried, choice.threshold)}")
        budget_section(info.run_id, now, scores, lines, rate, choice.threshold, point_key, rule_key)
        weights_section(info, weights, rows, before, choice.threshold)
        offer_section(info, source)
        changes_section(found, weights, choice.threshold, saved)
        kinds_section(rows, choice.threshold)
        confusion_section(found, weights, choice.threshold, tried)
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")


def apply(info: workbench.RunInfo, weights: dict[str, float], threshold: float) -> None:
    """Keep the threshold as a new version for the run, or with other weights as a new run, which is opened."""
    if weights == info.weights:
        workbench.set_threshold(info.run_id, threshold)
        st.rerun()  # the strip shows it too
    open_run(workbench.reweigh(info.run_id, weights, threshold).run_id, VALIDATE_PAGE)


def trust_text(info: workbench.RunInfo, source: workbench.LabelSource, tried: bool, threshold: float) -> str:
    """What the figures are worth."""
    parts = []
    if source.key == "verdicts":
        parts.append(
            "These lines were picked for review: their share of abnormal lines is not the file's, so precision and "
            "PR-AUC are not either."
        )
    if info.verdicts:
        parts.append("Verdicts were counted in the scores: on the messages they are about, the figures are optimistic.")
    if tried or threshold != info.threshold or info.reweighed_from:
        parts.append(
            ":material/warning: Chosen on these labels, a threshold or weights look better than they are: optimistic. "
            "Measure on other labels before you rely on the figures."
        )
    elif not info.verdicts:
        parts.append("Threshold and weights were set without these labels: the figures are fair.")
    return " ".join(parts)


if __name__ == "__main__":
    page()

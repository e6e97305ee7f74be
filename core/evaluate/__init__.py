"""Measures of scores against labels: pure functions over arrays. The command, Python and the pages share them.

A row stands for as many lines as its weight. PR-AUC is average precision, to be read beside the prevalence (Davis and
Goadrich 2006; Saito and Rehmsmeier 2015). A measure takes its threshold as given; what labels would have allowed
(`best_f1`) and what they are asked to choose (`choosers`) are named so.
"""

from core.evaluate.answers import answer_metrics
from core.evaluate.choosers import (
    alert_budgets,
    costs,
    threshold_for_alerts,
    threshold_for_best_f,
    threshold_for_false_alarm_rate,
    threshold_for_least_cost,
    threshold_for_precision,
    threshold_for_recall,
)
from core.evaluate.curves import Curve, curve, pr_points, precision_at_k, ranking_metrics, roc_points
from core.evaluate.decisions import calibration, f_beta, kinds, oddities, threshold_metrics
from core.evaluate.intervals import bootstrap_intervals, wilson_interval
from core.evaluate.measures import Labelled, measures, report
from core.evaluate.weighting import FittedWeights, cross_validated_weights

__all__ = [
    "Curve",
    "FittedWeights",
    "Labelled",
    "alert_budgets",
    "answer_metrics",
    "bootstrap_intervals",
    "calibration",
    "costs",
    "cross_validated_weights",
    "curve",
    "f_beta",
    "kinds",
    "measures",
    "oddities",
    "pr_points",
    "precision_at_k",
    "ranking_metrics",
    "report",
    "roc_points",
    "threshold_for_alerts",
    "threshold_for_best_f",
    "threshold_for_false_alarm_rate",
    "threshold_for_least_cost",
    "threshold_for_precision",
    "threshold_for_recall",
    "threshold_metrics",
    "wilson_interval",
]

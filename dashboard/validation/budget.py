"""What a number of alerts buys, and where misses and false alarms cost least together."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import polars as pl
import streamlit as st

from core.errors import WorkbenchError
from core.evaluate import Curve, alert_budgets, costs, threshold_for_least_cost
from dashboard.charts import Look
from dashboard.components.operating_point import move_point
from dashboard.components.threshold_histogram import Rate
from dashboard.escaping import literal
from dashboard.session import ROW_PX, look_of_theme
from dashboard.validation.figures import percent_column
from dashboard.validation.rules import leave_rule

BUDGETS = (5, 10, 20, 50, 100, 200, 500, 1_000)  # in the unit of the rate
MISS, FALSE_ALARM = 100.0, 1.0  # costs to begin with
CHART_POINTS = 500
CHART_PX = 190


def budget_section(
    run_id: str,
    now: Curve,
    scores: np.ndarray,
    lines: np.ndarray,
    rate: Rate,
    threshold: float,
    point_key: str,
    rule_key: str,
) -> None:
    """Budgets at the left, costs at the right; both can move the point.

    Args:
        run_id: the run.
        now: of the labelled lines.
        scores: [K] of the whole run.
        lines: [K] lines each stands for.
        rate: the unit of a budget.
        threshold: where the point stands.
        point_key: of the point.
        rule_key: of the rule, which a move from here leaves.
    """
    left, right = st.columns(2, gap="large")
    with left:
        budget_table(now, scores, lines, rate, threshold, point_key, rule_key)
    with right:
        cost_chart(run_id, now, threshold, point_key, rule_key)


def budget_table(
    now: Curve, scores: np.ndarray, lines: np.ndarray, rate: Rate, threshold: float, point_key: str, rule_key: str
) -> None:
    """Each budget's threshold and what it finds; a row moves the point. Muted lines are no alerts."""
    st.markdown(f"**What a budget of alerts buys** · {rate.label[0].lower()}{rate.label[1:]}")
    rows = pl.DataFrame(alert_budgets(now, scores, lines, [budget / rate.per_flagged_line for budget in BUDGETS]))
    rows = rows.with_columns(
        pl.Series("budget", BUDGETS),
        pl.col("recall", "precision") * 100,
        pl.when(pl.col("threshold") == threshold).then(pl.lit("◀ here")).otherwise(pl.lit("")).alias("here"),
    )
    table_key = f"budgets_{point_key}_{threshold}"

    def take() -> None:
        chosen = st.session_state[table_key]["selection"]
        places = chosen["rows"] or [row for row, _ in chosen["cells"]]
        if places:
            leave_rule(rule_key)
            move_point(point_key, float(rows["threshold"][places[0]]))

    st.dataframe(
        rows,
        hide_index=True,
        row_height=ROW_PX,
        column_order=["budget", "threshold", "flagged", "recall", "precision", "here"],
        column_config={
            "budget": st.column_config.NumberColumn("At most", format="localized", width=60),
            "threshold": st.column_config.NumberColumn("Threshold", format="%.4f", width=80),
            "flagged": st.column_config.NumberColumn("Flagged", format="localized", width=70),
            "recall": percent_column("Recall"),
            "precision": percent_column("Precision"),
            "here": st.column_config.TextColumn("", width=55),
        },
        on_select=take,
        selection_mode=["single-row", "single-cell"],
        key=table_key,
    )
    st.caption(
        "Flagged lines are the whole log's, without muted ones; recall and precision those of the labelled lines, "
        "muted or not. Click one to go there."
    )


def cost_chart(run_id: str, now: Curve, threshold: float, point_key: str, rule_key: str) -> None:
    """Cost by threshold, at the point, and at its least."""
    st.markdown("**What mistakes cost**")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        per_miss = st.number_input(
            "A missed line costs", min_value=0.0, value=MISS, step=10.0, format="%g", key=f"miss_{run_id}"
        )
        per_alarm = st.number_input(
            "A false alarm costs", min_value=0.0, value=FALSE_ALARM, step=1.0, format="%g", key=f"alarm_{run_id}"
        )
        button = st.empty()
    try:
        thresholds, cost = costs(now, per_miss, per_alarm)
    except WorkbenchError as error:
        st.warning(literal(str(error)), icon=":material/warning:")
        return
    best = threshold_for_least_cost(now, per_miss, per_alarm)

    def move() -> None:
        leave_rule(rule_key)
        move_point(point_key, best)

    button.button("Go to the least cost", icon=":material/savings:", disabled=best == threshold, on_click=move)
    here = float(cost[max(0, int(np.searchsorted(-thresholds, -threshold, side="right")) - 1)])
    words = f"At {threshold:.4f} the labelled lines cost **{here:,.0f}**, at {best:.4f} least: **{cost.min():,.0f}**."
    st.caption(words)
    shown = np.unique(np.linspace(0, len(cost) - 1, min(len(cost), CHART_POINTS)).astype(int))
    with st.container(height=CHART_PX, border=False):  # keeps its place while Plotly is loaded
        st.plotly_chart(
            cost_figure(thresholds[shown], cost[shown], threshold, look_of_theme()),
            height=CHART_PX,
            config={"displayModeBar": False},
            alt=f"Cost of misses and false alarms by threshold. {words.replace('*', '')}",
            key=f"cost_{run_id}",
        )


def cost_figure(thresholds: np.ndarray, cost: np.ndarray, threshold: float, look: Look) -> go.Figure:
    """Cost [K] by threshold [K], the point dashed."""
    words = {"size": 12, "color": look.text}
    axis = {"tickfont": words, "gridcolor": "rgba(128,128,128,0.18)", "zeroline": False}
    figure = go.Figure(go.Scatter(x=thresholds, y=cost, mode="lines", line={"color": look.palette[0], "width": 2}))
    figure.update_traces(hovertemplate="threshold %{x:.4f}<br>cost %{y:,.0f}<extra></extra>")
    figure.add_vline(x=threshold, line={"dash": "dash", "width": 1, "color": look.text}, opacity=0.6)
    return figure.update_layout(
        margin={"l": 56, "r": 8, "t": 8, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"font": words},
        xaxis={**axis, "title": {"text": "threshold", "font": words}},
        yaxis={**axis, "title": {"text": "cost", "font": words}, "rangemode": "tozero"},
    )

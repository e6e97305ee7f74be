"""The losses of a training, drawn while it runs and afterwards."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from dashboard.charts import Look
from dashboard.session import look_of_theme

PX = 220
NAMES = {"held_back_loss": "texts held back", "train_loss": "texts learnt from"}
LINES = {"held_back_loss": ("solid", 0), "train_loss": ("dot", 7)}
"""Of each loss its dash and its place in the palette: the first colour, and grey."""


def loss_curve(measures: list[tuple[str, int, float]], key: str) -> None:
    """Show the curve; nothing before the first loss.

    Args:
        measures: name ("train_loss" or "held_back_loss"), step and loss in nats a token, by step.
        key: of the chart.
    """
    if any(name in NAMES for name, _, _ in measures):
        words = ", ".join(fall_of(measures, name) for name in NAMES if any(name == kind for kind, _, _ in measures))
        st.plotly_chart(
            figure(measures, look_of_theme()),
            key=key,
            config={"displayModeBar": False},
            alt=f"Loss by training step, nats a token: {words}",
        )


def fall_of(measures: list[tuple[str, int, float]], name: str) -> str:
    """The first and last of one kind of loss, in words.

    >>> fall_of([("train_loss", 25, 4.5), ("train_loss", 300, 1.25)], "train_loss")
    'texts learnt from 4.500 at step 25, 1.250 at step 300'
    """
    points = [(step, loss) for kind, step, loss in measures if kind == name]
    return f"{NAMES[name]} {points[0][1]:.3f} at step {points[0][0]:,}, {points[-1][1]:.3f} at step {points[-1][0]:,}"


def figure(measures: list[tuple[str, int, float]], look: Look) -> go.Figure:
    """One line a kind of loss; dashes tell them apart where colours do not."""
    made = go.Figure()
    words = {"size": 12, "color": look.text}
    for name, label in NAMES.items():
        points = [(step, loss) for kind, step, loss in measures if kind == name]
        if points:
            steps, losses = zip(*points, strict=True)
            dash, place = LINES[name]
            line = {"dash": dash, "color": look.palette[place], "width": 2}
            hover = f"step %{{x:,}}: %{{y:.3f}} ({label})<extra></extra>"
            made.add_scatter(x=steps, y=losses, name=label, mode="lines+markers", line=line, hovertemplate=hover)
    return made.update_layout(
        height=PX,
        margin={"l": 48, "r": 8, "t": 8, "b": 36},
        xaxis={"title": {"text": "training step", "font": words}, "tickfont": words, "rangemode": "tozero"},
        yaxis={"title": {"text": "loss, nats a token", "font": words}, "tickfont": words},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "top", "font": words},
        showlegend=True,
    )

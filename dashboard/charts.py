"""Figures of the pages: frames and arrays in, Plotly figures out, no Streamlit in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import polars as pl

SMALLEST_PX, LARGEST_PX = 6.0, 24.0  # diameters, of one line and of a million
HOVER_ROW_CHARS = 60  # of a message

PARTS: dict[str, tuple[str, str, str, int]] = {
    "only_a": ("only A", "◀", "triangle-left", 4),
    "only_b": ("only B", "▶", "triangle-right", 3),
    "both": ("both", "▲", "triangle-up", 1),
    "neither": ("neither", "●", "circle", 0),
}
"""Who flags a message of two runs: its name, its mark in words, its symbol and its place in the palette."""


@dataclass(frozen=True)
class Look:
    """The theme in use.

    Attributes:
        dark: whether the background is.
        palette: eight colours, normal and flagged first.
        text: of words, and of the outlines that keep the pale end of a ramp visible.
    """

    dark: bool
    palette: Sequence[str]
    text: str


def score_scatter(messages: pl.DataFrame, thresholds: tuple[float, float], look: Look) -> go.Figure:
    """Messages by their scores in two runs, marked by who flags them.

    Args:
        messages: normalized_text, n_lines, score_a, score_b (0 to 1) and part, a key of PARTS.
        thresholds: of run A and of run B.
        look: the theme's colours.
    """
    text = inert(pl.col("normalized_text").str.replace_all(r"\s", " ").str.slice(0, HOVER_ROW_CHARS))
    facts = pl.format("<br>A {} · B {} · {} lines", "score_a", "score_b", "n_lines")
    rows = messages.with_columns(
        pl.concat_str(text, facts).alias("hover"), pl.Series("size", point_sizes(messages["n_lines"].to_numpy()))
    ).sort("size", descending=True, maintain_order=True)
    figure = go.Figure()
    for part, (name, _, symbol, place) in reversed(PARTS.items()):
        own = rows.filter(pl.col("part") == part)
        figure.add_scattergl(
            x=own["score_a"].to_numpy(),
            y=own["score_b"].to_numpy(),
            mode="markers",
            name=f"{name} ({len(own):,})",
            marker={
                "symbol": symbol,
                "color": look.palette[place],
                "size": own["size"].to_numpy(),
                "opacity": 0.75,
                "line": {"width": 0},
            },
            hovertext=own["hover"].to_list(),
            hovertemplate="%{hovertext}<extra></extra>",
        )
    dashed = {"line": {"dash": "dash", "width": 1, "color": look.text}, "opacity": 0.6}
    figure.add_vline(x=thresholds[0], **dashed).add_hline(y=thresholds[1], **dashed)
    words = {"size": 13, "color": look.text}
    axis = {
        "range": [0, 1], "tickfont": {**words, "size": 12}, "gridcolor": "rgba(128,128,128,0.18)", "zeroline": False
    }  # fmt: skip
    return figure.update_layout(
        hovermode="closest",
        hoverlabel={"align": "left", "font": words},
        margin={"l": 48, "r": 8, "t": 32, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        xaxis={**axis, "title": {"text": "score in run A, higher is more abnormal", "font": words}},
        yaxis={**axis, "title": {"text": "score in run B", "font": words}},
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": words, "itemsizing": "constant"},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": look.text, "activecolor": look.palette[0]},
    )


def point_sizes(counts: np.ndarray) -> np.ndarray:
    """Diameters [N] in px of messages with these lines [N]: they grow by as much with each tenfold."""
    tenfolds = np.log10(np.clip(counts, 1, 1_000_000))
    return np.round(SMALLEST_PX + (LARGEST_PX - SMALLEST_PX) / 6 * tenfolds, 1)


def inert(text: pl.Expr) -> pl.Expr:
    """Log text that a figure shows as it stands.

    Plotly acts on some tags (links too) and on formulas between dollars, and Streamlit puts colours of the theme in
    the place of #000001 to #000040.
    """
    return text.str.replace_many({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "#": "&#35;"})

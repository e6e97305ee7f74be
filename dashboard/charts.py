"""Figures of the pages: frames and arrays in, Plotly figures out, no Streamlit in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import plotly.graph_objects as go
import polars as pl

SMALLEST_PX, LARGEST_PX = 6.0, 24.0  # diameters, of one line and of a million
HOVER_ROW_CHARS = 60  # of a message

PARTS: dict[str, tuple[str, str, str, int]] = {
    "only_a": ("only before", "◀", "triangle-left", 4),
    "only_b": ("only after", "▶", "triangle-right", 3),
    "both": ("both", "▲", "triangle-up", 1),
    "neither": ("neither", "●", "circle", 0),
}
"""Which of two runs flags a message, A before B: name, mark in words, symbol and place in the palette."""


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
        messages: normalized_text, n_lines, score_a (before), score_b (after; 0 to 1) and part, a key of PARTS.
        thresholds: before and after.
        look: the theme's colours.
    """
    text = inert(pl.col("normalized_text").str.replace_all(r"\s", " ").str.slice(0, HOVER_ROW_CHARS))
    facts = pl.format("<br>before {} · after {} · {} lines", "score_a", "score_b", "n_lines")
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
    highest = max(*thresholds, *(rows[name].max() or 0.0 for name in ("score_a", "score_b")))  # type: ignore[type-var]
    axis = {
        "range": [0, min(1.02, highest * 1.08)],  # scores seldom come near 1
        "dtick": 0.1 if highest > 0.25 else 0.05,
        "tickfont": {**words, "size": 12},
        "gridcolor": "rgba(128,128,128,0.18)",
        "zeroline": False,
    }
    return figure.update_layout(
        hovermode="closest",
        hoverlabel={"align": "left", "font": words},
        margin={"l": 48, "r": 8, "t": 32, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        xaxis={**axis, "title": {"text": "score before, higher is more abnormal", "font": words}},
        yaxis={**axis, "title": {"text": "score after", "font": words}},
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": words, "itemsizing": "constant"},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": look.text, "activecolor": look.palette[0]},
    )


def span_bars(spans: pl.DataFrame, chosen: int | None, unit: str, look: Look) -> go.Figure:
    """Flagged lines or flows in equal spans, a bar each.

    Args:
        spans: start_utc or first_line_no, how many there are, and n_flagged, as `RunReader.timeline` gives them.
        chosen: the span whose bar stands out; None for all of them.
        unit: what is counted, such as lines.
        look: the theme's colours.
    """
    start = spans.to_series(0)
    timed = start.dtype.is_temporal()
    hover = [f"from {start_text(row[0])}<br>{row[2]:,} flagged of {row[1]:,} {unit}" for row in spans.iter_rows()]
    figure = go.Figure(
        go.Bar(
            x=start.to_list(),
            y=spans["n_flagged"].to_numpy(),
            offset=0,  # a bar begins where its span does
            marker={"color": look.palette[1], "line": {"width": 0}},
            hovertext=hover,
            hovertemplate="%{hovertext}<extra></extra>",
            selectedpoints=None if chosen is None else [chosen],
            unselected={"marker": {"opacity": 0.4}},
        )
    )
    words = {"size": 12, "color": look.text}
    axis = {"tickfont": words, "fixedrange": True, "zeroline": False}
    few = int(spans["n_flagged"].max() or 0) < 5  # type: ignore[arg-type]
    return figure.update_layout(
        bargap=0.15,
        hoverlabel={"align": "left", "font": {**words, "size": 13}},
        margin={"l": 56, "r": 8, "t": 6, "b": 36 if timed else 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        xaxis={**axis, "showgrid": False, "title": {} if timed else {"text": "line number", "font": words}},
        yaxis={
            **axis,
            "title": {"text": f"flagged {unit}", "font": words},
            "gridcolor": "rgba(128,128,128,0.18)",
            "rangemode": "tozero",
            **({"dtick": 1} if few else {"nticks": 4}),  # no tick between whole numbers
            "tickformat": ",d",
        },
    )


def start_text(start: datetime | int) -> str:
    """Where a span begins, in words."""
    return f"line {start:,}" if isinstance(start, int) else f"{start:%Y-%m-%d %H:%M:%S}"


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

"""Figures of the pages: frames and arrays in, Plotly figures out, no Streamlit in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl
from plotly.colors import get_colorscale

SMALLEST_PX, LARGEST_PX = 6.0, 24.0  # diameters, of one line and of a million
SHOWN_COUNTS = (1, 100, 10_000)  # lines of a message, in the legend of sizes
OPACITY, DIMMED = 0.9, 0.12  # of a point, and of one that a search did not find
HOVER_ROW_CHARS = 60  # of a message; it gets two rows

MARKS: dict[str, dict[str, tuple[str, str, int]]] = {
    "state": {"normal": ("normal", "circle", 0), "flagged": ("flagged", "triangle-up", 1)},
    "level_class": {
        "": ("no level", "circle", 7),
        "debug": ("debug", "cross", 5),
        "info": ("info", "circle", 0),
        "notice": ("notice", "square", 2),
        "warning": ("warning", "diamond", 4),
        "error": ("error", "triangle-up", 1),
        "critical": ("critical", "star", 3),
    },
    "verdict": {
        "": ("no verdict", "circle", 7),
        "normal": ("normal", "square", 0),
        "unsure": ("unsure", "diamond", 4),
        "abnormal": ("abnormal", "triangle-up", 1),
    },
}
"""Columns of categories: each value's name, symbol and place in the palette; what comes later lies on top."""


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


def message_map(
    points: pl.DataFrame,
    colour_by: str,
    look: Look,
    found: np.ndarray | None = None,
    chosen: np.ndarray | None = None,
) -> go.Figure:
    """Messages on a map: each a point sized by its lines, flagged ones on top of the others.

    Args:
        points: text_id, x, y, normalized_text, count, score, state ("normal", "flagged"), level_class and verdict
            ("" where there is none), and the column of `colour_by`.
        colour_by: a key of MARKS, or a column of values 0 to 1, higher more abnormal.
        look: the theme's colours.
        found: [N] bool, what a search found: the other points are dimmed. None for no search.
        chosen: [N] bool, what is selected. None for nothing.

    Returns:
        The figure; its points carry their text_id as customdata. Flagged points are triangles, or ringed where the
        symbol says something else.
    """
    marked = points.with_columns(
        hover_texts().alias("hover"),
        pl.Series("size", point_sizes(points["count"].to_numpy())),
        pl.Series("opacity", np.full(len(points), OPACITY) if found is None else np.where(found, OPACITY, DIMMED)),
        pl.Series("chosen", [None] * len(points) if chosen is None else chosen, dtype=pl.Boolean),
    ).sort("size", descending=True, maintain_order=True)  # small points lie on large ones
    figure = go.Figure()
    add = _add_categories if colour_by in MARKS else _add_values
    add(figure, marked, colour_by, look)
    _add_legend_of_sizes(figure, look)
    words = {"size": 13, "color": look.text}
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "itemsizing": "constant", "font": words}
    return figure.update_layout(
        dragmode="lasso",
        hovermode="closest",
        hoverlabel={"align": "left", "font": words},
        margin={"l": 0, "r": 40, "t": 32, "b": 32},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        xaxis={"visible": False},  # directions of a map mean nothing
        yaxis={"visible": False, "scaleanchor": "x"},
        modebar={"orientation": "v", "bgcolor": "rgba(0,0,0,0)", "color": look.text, "activecolor": look.palette[0]},
        legend={**legend, "y": 1, "yanchor": "bottom"},
        legend2={
            **legend, "y": 0, "yanchor": "top", "itemsizing": "trace", "itemclick": False, "itemdoubleclick": False
        },
    )  # fmt: skip


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


def hover_texts() -> pl.Expr:
    """What is said of a point under the mouse: the beginning of its message, and below it the facts."""
    text = pl.col("normalized_text").str.replace_all(r"\s", " ")
    message = [
        inert(text.str.slice(0, HOVER_ROW_CHARS)),
        _where(text.str.len_chars() > HOVER_ROW_CHARS, "<br>"),
        inert(text.str.slice(HOVER_ROW_CHARS, HOVER_ROW_CHARS)),
        _where(text.str.len_chars() > 2 * HOVER_ROW_CHARS, " …"),
        pl.lit("<br>"),
    ]
    facts = [
        _where(pl.col("state") == "flagged", "▲ flagged · "),
        pl.format("score {} · {} ", pl.col("score").round(4), "count"),
        pl.when(pl.col("count") == 1).then(pl.lit("line")).otherwise(pl.lit("lines")),
        _where(pl.col("level_class") != "", pl.format(" · level {}", inert(pl.col("level_class")))),
        _where(pl.col("verdict") != "", pl.format(" · verdict {}", "verdict")),
    ]
    return pl.concat_str(*message, *facts)


def _where(condition: pl.Expr, text: str | pl.Expr) -> pl.Expr:
    return pl.when(condition).then(pl.lit(text) if isinstance(text, str) else text).otherwise(pl.lit(""))


def inert(text: pl.Expr) -> pl.Expr:
    """Log text that a figure shows as it stands.

    Plotly acts on some tags (links too) and on formulas between dollars, and Streamlit puts colours of the theme in
    the place of #000001 to #000040.
    """
    return text.str.replace_many({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "#": "&#35;"})


def _add_values(figure: go.Figure, marked: pl.DataFrame, column: str, look: Look) -> None:
    for state, (name, symbol, _) in MARKS["state"].items():
        rows = marked.filter(pl.col("state") == state)
        marker = {"color": rows[column].to_numpy(), "symbol": symbol, "coloraxis": "coloraxis"}
        _add(figure, rows, name, marker, {"width": 0.5, "color": look.text})
    scale = get_colorscale("cividis")  # even in brightness, the same to colour-blind eyes
    if not look.dark:  # high values stand out: bright on dark, dark on bright
        scale = [[1 - at, colour] for at, colour in reversed(scale)]
    words = {"size": 12, "color": look.text}
    title = {"text": column, "side": "right", "font": words}
    place = {"y": 0, "yanchor": "bottom", "len": 0.5}  # above it stands the bar of tools
    bar = {"title": title, "tickfont": words, "thickness": 10, "outlinewidth": 0, **place}
    highest = max(float(marked[column].max()), 0.01)
    figure.update_layout(coloraxis={"colorscale": scale, "cmin": 0, "cmax": highest, "colorbar": bar})


def _add_categories(figure: go.Figure, marked: pl.DataFrame, column: str, look: Look) -> None:
    ring = {"width": 2, "color": look.palette[1]}
    for state in MARKS["state"]:
        ringed = state == "flagged" and column != "state"
        for value, (name, symbol, place) in MARKS[column].items():
            rows = marked.filter((pl.col("state") == state) & (pl.col(column) == value))
            marker = {"color": look.palette[place], "symbol": symbol}
            _add(figure, rows, name, marker, ring if ringed else {"width": 0})
    if column != "state":
        _add_to_legend(figure, "flagged", {"size": 12, "color": "rgba(0,0,0,0)", "line": ring})


def _add(figure: go.Figure, rows: pl.DataFrame, name: str, marker: dict[str, Any], outline: dict[str, Any]) -> None:
    if rows.is_empty():
        return
    chosen = rows["chosen"]
    figure.add_scattergl(
        x=rows["x"].to_numpy(),
        y=rows["y"].to_numpy(),
        mode="markers",
        name=name,
        legendgroup=name,
        showlegend=name not in {trace.name for trace in figure.data},
        marker={**marker, "size": rows["size"].to_numpy(), "opacity": rows["opacity"].to_numpy(), "line": outline},
        customdata=rows["text_id"].to_numpy(),
        hovertext=rows["hover"].to_list(),
        hovertemplate="%{hovertext}<extra></extra>",
        selectedpoints=None if chosen.null_count() else np.flatnonzero(chosen.to_numpy()),
    )


def _add_legend_of_sizes(figure: go.Figure, look: Look) -> None:
    for count in SHOWN_COUNTS:
        size = float(point_sizes(np.array([count]))[0])
        _add_to_legend(figure, "1 line" if count == 1 else f"{count:,} lines", {"size": size, "color": look.palette[7]})


def _add_to_legend(figure: go.Figure, name: str, marker: dict[str, Any]) -> None:
    """A mark explained below the map; no point of it."""
    figure.add_scatter(
        x=[None], y=[None], mode="markers", name=name, marker=marker, legend="legend2", hoverinfo="skip"
    )  # fmt: skip

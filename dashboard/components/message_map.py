"""The map of messages, drawn in the browser: what is drawn around, hovered or zoomed costs the server nothing.

Plotly took half a second at 5,000 points from the end of a lasso to the first number, and forgot what was drawn around
with every new figure; here only the ids that were drawn around come to the server.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import streamlit as st
from plotly.colors import sample_colorscale

from dashboard.charts import point_sizes
from dashboard.components import register

TEXT_CHARS = 240  # of a message, under the mouse
RAMP_STEPS = 24
STAMP_CHARS = 16
MARKS: dict[str, dict[str, tuple[str, str, int]]] = {
    "state": {"normal": ("normal", "circle", 0), "flagged": ("flagged", "triangle", 1)},
    "level_class": {
        "": ("no level", "circle", 7),
        "debug": ("debug", "cross", 5),
        "info": ("info", "circle", 0),
        "notice": ("notice", "square", 2),
        "warning": ("warning", "diamond", 4),
        "error": ("error", "triangle", 1),
        "critical": ("critical", "star", 3),
    },
    "verdict": {
        "": ("no verdict", "circle", 7),
        "normal": ("normal", "square", 0),
        "unsure": ("unsure", "diamond", 4),
        "abnormal": ("abnormal", "triangle", 1),
    },
}
"""Columns of categories: each value's name, symbol and place in the theme's palette."""

_mount = register(
    "message_map",
    """
    <div class="frame map">
      <div class="main">
        <div class="tools">
          <div class="group" role="group" aria-label="What the mouse does">
            <button type="button" data-mode="lasso">Draw around</button>
            <button type="button" data-mode="pan">Move</button>
          </div>
          <div class="group" role="group" aria-label="Zoom">
            <button type="button" data-zoom="1.5" aria-label="Zoom in">+</button>
            <button type="button" data-zoom="0.667" aria-label="Zoom out">−</button>
            <button type="button" data-zoom="0">Whole map</button>
          </div>
          <span class="said faint" aria-live="polite"></span>
        </div>
        <div class="paper">
          <canvas class="points"></canvas>
          <canvas class="over" tabindex="0" role="application"></canvas>
          <div class="tip" hidden></div>
        </div>
        <div class="legend" role="group" aria-label="Colours"></div>
      </div>
      <div class="clusters" role="group" aria-label="Clusters"></div>
    </div>
    """,
)


def payload(
    points: pl.DataFrame,
    colour_by: str,
    dark: bool,
    summary: str,
    found: np.ndarray | None = None,
    chosen: list[int] | None = None,
    placed: pl.DataFrame | None = None,
) -> bytes:
    """What the browser draws, as JSON behind a stamp of STAMP_CHARS that tells it apart from another.

    Args:
        points: text_id, x, y, cluster, title, normalized_text, count, score, state ("normal", "flagged"), level_class
            and verdict ("" where there is none), and the column of `colour_by`.
        colour_by: a key of MARKS, or a column of values 0 to 1, higher more abnormal.
        dark: whether the background is.
        summary: the map in words.
        found: [N] bool, what a search found; None for no search.
        chosen: ids selected; the browser goes on from there.
        placed: new lines: line, x, y, title, far.
    """
    row = points.with_row_index("row").with_columns(
        pl.Series("size", point_sizes(points["count"].to_numpy())), pl.Series("found", _all_found(points, found))
    )
    drawn = row.sort(pl.col("state") == "flagged", -pl.col("size"), maintain_order=True)  # small and flagged on top
    if colour_by in MARKS:
        marks = MARKS[colour_by]
        codes = drawn[colour_by].replace_strict(list(marks), list(range(len(marks))), default=0, return_dtype=pl.Int64)
        colour: dict[str, Any] = {
            "marks": [{"name": name, "symbol": symbol, "place": place} for name, symbol, place in marks.values()],
            "states": colour_by == "state",
            "codes": codes.to_list(),
        }
    else:
        highest = max(float(drawn[colour_by].max() or 0.0), 0.01)  # type: ignore[arg-type]
        steps = (drawn[colour_by] / highest * (RAMP_STEPS - 1)).round().clip(0, RAMP_STEPS - 1).cast(pl.Int64)
        colour = {"name": colour_by, "highest": highest, "ramp": ramp(dark), "codes": steps.to_list()}
    titles = drawn.drop_nulls("cluster").unique("cluster").sort("cluster").select("cluster", "title")
    data = {
        "ids": drawn["text_id"].to_list(),
        "x": drawn["x"].round(4).to_list(),
        "y": drawn["y"].round(4).to_list(),
        "size": drawn["size"].to_list(),
        "count": drawn["count"].to_list(),
        "score": drawn["score"].round(4).to_list(),
        "flagged": (drawn["state"] == "flagged").cast(pl.Int8).to_list(),
        "text": drawn["normalized_text"].str.head(TEXT_CHARS).to_list(),
        "cluster": drawn["cluster"].fill_null(-1).to_list(),
        "titles": dict(titles.iter_rows()),
        "colour": colour,
        "found": None if found is None else drawn["found"].cast(pl.Int8).to_list(),
        "chosen": chosen or [],
        "placed": [] if placed is None else placed.select("line", "x", "y", "title", "far").to_dicts(),
        "summary": summary,
    }
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return hashlib.sha256(body).hexdigest()[:STAMP_CHARS].encode() + body


def message_map(drawn: bytes, on_chosen: Callable[[list[int]], None], key: str) -> None:
    """Show the map.

    Args:
        drawn: a `payload`; the same one again changes nothing on the page.
        on_chosen: called, before the page runs again, with the ids drawn around, in no order; none where cleared.
        key: of the widget.
    """

    def hear() -> None:
        sent = st.session_state[key]["chosen"]
        ids = sent.get("ids") if isinstance(sent, dict) else None
        if isinstance(ids, list) and all(isinstance(text_id, int) for text_id in ids):
            on_chosen(ids)

    _mount(key=key, data=drawn, on_chosen_change=hear)


def ramp(dark: bool) -> list[str]:
    """RAMP_STEPS colours for low to high; high values stand out, bright on dark and dark on bright.

    Cividis is even in brightness, and the same to colour-blind eyes.
    """
    colours = sample_colorscale("cividis", np.linspace(0, 1, RAMP_STEPS).tolist())
    return list(colours if dark else reversed(colours))


def _all_found(points: pl.DataFrame, found: np.ndarray | None) -> np.ndarray:
    return np.ones(len(points), dtype=bool) if found is None else found

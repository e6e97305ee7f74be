"""The plain Streamlit way to look at a scored log, for benchmarks/dashboard.py: what most would write first.

python -m streamlit run benchmarks/dashboard_plain.py -- FOLDER_OF_RUNS
"""

import sys
from pathlib import Path

import pandas as pd
import plotly.express as px
import streamlit as st

RUNS = Path(sys.argv[1])
LINE_COLUMNS = ["line_no", "timestamp_utc", "level", "host", "component", "raw", "text_id"]


@st.cache_resource
def lines_of(run: str) -> pd.DataFrame:
    """Every line with its score."""
    texts = pd.read_parquet(RUNS / run / "texts.parquet", columns=["text_id", "score"])
    return pd.read_parquet(RUNS / run / "lines.parquet", columns=LINE_COLUMNS).merge(texts, on="text_id")


@st.cache_resource
def points_of(run: str) -> pd.DataFrame:
    """Every message with its score and place."""
    texts = pd.read_parquet(RUNS / run / "texts.parquet", columns=["text_id", "score", "normalized_text"])
    return texts.merge(pd.read_parquet(next((RUNS / run).glob("map-umap*.parquet"))), on="text_id")


def start() -> None:
    """Where one comes from."""
    st.write("Start")


def threshold() -> None:
    """A slider, a histogram and the lines above."""
    lines = lines_of("lines")
    at = st.slider("Threshold", 0.0, 1.0, 0.5, 0.001, format="%.3f")
    flagged = lines[lines.score >= at]
    st.metric("Flagged lines", len(flagged))
    st.plotly_chart(px.histogram(lines, x="score", log_y=True).add_vline(at))
    st.dataframe(flagged)
    st.caption(f"{len(flagged):,} rows")  # by which the benchmark knows that the table is there


def explore() -> None:
    """A map, and the lines of what is drawn around."""
    run = st.query_params["run"]
    points = points_of(run)
    figure = px.scatter(points, x="x", y="y", color="score", hover_data=["normalized_text"])
    drawn = st.plotly_chart(figure.update_layout(dragmode="lasso"), on_select="rerun", selection_mode="lasso", key=run)
    chosen = points.text_id.iloc[drawn.selection.point_indices]
    lines = lines_of(run)
    rows = lines[lines.text_id.isin(chosen)] if len(chosen) else points
    st.dataframe(rows)
    st.caption(f"{len(rows):,} rows")


def upload() -> None:
    """A file."""
    if file := st.file_uploader("A log"):
        st.write(f"arrived: {file.size}")


st.navigation([st.Page(start, default=True), st.Page(threshold), st.Page(explore), st.Page(upload)]).run()

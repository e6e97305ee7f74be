"""Threshold page: where to draw the line, what that costs, and the lines above it with their reasons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.line_detail import Contribution, LineDetail, Neighbour, line_detail
from dashboard.components.threshold_histogram import Rate, threshold_histogram
from dashboard.escaping import literal
from dashboard.lines_table import flagged_table, without_headers
from dashboard.session import DATA_PAGE, ROW_PX, forget_run, run_in_view, run_reader

CONTEXT_LINES = 4
HEADER_CHARS = 200  # fields are looked for in this much of a line
SECONDS_A_DAY = 86_400
TIMELINE_SPANS = 96
FLAGGED_COLOUR = "#D55E00"  # of the palette in .streamlit/config.toml; readable on light and dark


def page() -> None:
    """The whole page."""
    run_id = run_in_view()
    if run_id is None:
        st.info(
            "No log has been scored yet. Upload one or pick a sample on the Data page.", icon=":material/upload_file:"
        )
        st.page_link(DATA_PAGE, label="Go to Data", icon=":material/arrow_forward:")
        return
    try:
        reader = run_reader(run_id)
        st.query_params["run"] = run_id
        if reader.info.notes:
            st.caption(" · ".join(literal(note) for note in reader.info.notes))
        explore(run_id)
        rejections(reader)
    except WorkbenchError as error:
        forget_run()
        st.error(literal(str(error)), icon=":material/error:")
        st.page_link(DATA_PAGE, label="Choose another run on the Data page", icon=":material/arrow_forward:")


@st.fragment
def explore(run_id: str) -> None:
    """Histogram, table and detail: they move together, and the rest of the page stays as it is."""
    try:
        reader = run_reader(run_id)
        scores, counts = reader.score_counts()
        choice = threshold_histogram(
            scores,
            counts,
            saved=workbench.threshold(run_id),
            own=reader.info.threshold,
            rate=rate_of(reader.info),
            key=f"threshold_{run_id}",
        )
        if choice.save:
            workbench.set_threshold(run_id, choice.threshold)
            st.rerun()  # the strip shows it too
        left, right = st.columns([3, 2], gap="medium")
        with left:
            line_no = flagged_table(reader, choice.threshold)
        with right:
            if line_no is not None:
                show_line(reader, line_no, choice.threshold, scores, counts)
        with left:  # last, as it reads every line
            timeline(reader, choice.threshold)
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")


def rate_of(run: workbench.RunInfo) -> Rate:
    """Alerts a day where the timestamps span an hour or more, else flagged lines per 10,000."""
    if run.first_utc and run.last_utc:
        span = datetime.fromisoformat(run.last_utc) - datetime.fromisoformat(run.first_utc)
        days = span.total_seconds() / SECONDS_A_DAY
        if days >= 1:
            return Rate("Alerts per day", 1 / days)
        if days >= 1 / 24:
            return Rate("Alerts per day, projected", 1 / days)
    return Rate("Flagged per 10,000 lines", 10_000 / max(1, run.n_lines))


def timeline(reader: workbench.RunReader, threshold: float) -> None:
    """Flagged lines over the log's time, or over its line numbers where it has no times."""
    spans = reader.timeline(threshold, TIMELINE_SPANS)
    start = spans.columns[0]
    st.markdown("**Flagged lines over time (UTC)**" if start == "start_utc" else "**Flagged lines along the file**")
    st.bar_chart(
        spans,
        x=start,
        y="n_flagged",
        x_label="" if start == "start_utc" else "line number",
        y_label="flagged",
        color=FLAGGED_COLOUR,
        height=150,
    )


# ---- one line explained


def show_line(
    reader: workbench.RunReader, line_no: int, threshold: float, scores: np.ndarray, counts: np.ndarray
) -> None:
    """The detail of one line; a click on a line around it goes there."""
    run_id = reader.info.run_id
    opened = line_detail(detail_of(reader, line_no, threshold, scores, counts), threshold, key=f"detail_{run_id}")
    if opened is not None and opened != line_no:
        st.session_state[f"line_{run_id}"] = opened
        st.rerun(scope="fragment")


def detail_of(
    reader: workbench.RunReader, line_no: int, threshold: float, scores: np.ndarray, counts: np.ndarray
) -> LineDetail:
    """Everything the detail shows of a line."""
    line = reader.line(line_no)
    score = float(line["score"])
    around = without_headers(reader.context(line_no, CONTEXT_LINES, CONTEXT_LINES))
    fields: list[tuple[str, Callable[[Any], str]]] = [
        ("timestamp_utc", lambda value: f"{value:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"),
        ("level", str),
        ("host", str),
        ("component", str),
        ("session", str),
        ("count", lambda value: f"{value:,}"),
        ("rejection", str),
    ]
    names = {"timestamp_utc": "time", "count": "lines with this text", "rejection": "not read as its format"}
    return LineDetail(
        line_no=line_no,
        score=score,
        standing=standing(score, scores, counts),
        flagged=score >= threshold,
        raw=line["raw"],
        normalized_text=line["normalized_text"] or "",
        reasons=[part for part in (line["reason"] or "").split("; ") if part],
        tokens=token_surprise(line["tokens"], line["surprise"]),
        contributions=contributions(reader.info, line),
        nearest=line["nearest"],
        context=[Neighbour(row["line_no"], row["score"], row["raw"]) for row in around.iter_rows(named=True)],
        message_at=header_length(around.filter(pl.col("line_no") == line_no)["raw"][0], line),
        fields=[(names.get(name, name), word(line[name])) for name, word in fields if line[name] is not None],
    )


def header_length(shown: str, line: dict[str, Any]) -> int:
    """About how many characters the header takes: up to the last of the line's fields, each where it first stands.

    Example:
        >>> header_length("Nov 18 web1 sshd[7]: failed", {"host": "web1", "component": "sshd", "level": None})
        16
    """
    fields = [line[name] for name in ("host", "component", "level") if line[name]]
    return max((shown.find(field) + len(field) for field in fields if field in shown[:HEADER_CHARS]), default=0)


def standing(score: float, scores: np.ndarray, counts: np.ndarray) -> str:
    """Where a score stands among all lines.

    Example:
        >>> standing(0.9, np.array([0.1, 0.9]), np.array([999, 1]))
        'higher than 99.9 % of lines'
    """
    total = int(counts.sum())
    below = int(counts[scores < score].sum())
    if below == 0:
        return "no line has a lower score"
    share = 100 * below / total
    # Cut, not rounded: 99.996 % is not 100 %.
    decimals = 1 if share < 99.9 else 3
    return f"higher than {np.floor(share * 10**decimals) / 10**decimals:g} % of lines"


def token_surprise(tokens: list[str] | None, surprise: list[float] | None) -> list[tuple[str, float | None]] | None:
    """Tokens with their surprise in nats, None for a token without; None where no network read the text."""
    if not tokens or not surprise or not np.isfinite(surprise).any():
        return None
    return [(token, float(nats) if np.isfinite(nats) else None) for token, nats in zip(tokens, surprise, strict=True)]


def contributions(run: workbench.RunInfo, line: dict[str, Any]) -> list[Contribution]:
    """What each scorer adds to the fused score; empty for a blank line, which no scorer saw."""
    total = sum(run.weights.get(name, 0.0) for name in run.scorers)
    if total <= 0 or line["text_id"] is None:
        return []
    votes = run.config.get("scoring", {}).get("combine") == "vote"
    found = []
    for name in run.scorers:
        value = float(line[name])
        part = float(value >= 0.5) if votes else value
        found.append(Contribution(name, value, run.weights.get(name, 0.0) / total * part))
    return found


def rejections(reader: workbench.RunReader) -> None:
    """Lines that were not read as their format says."""
    if reader.info.n_rejected == 0:
        return
    lines = "line was" if reader.info.n_rejected == 1 else "lines were"
    with st.expander(f"{reader.info.n_rejected:,} {lines} not read as the format says; scored all the same"):
        st.dataframe(
            reader.rejections(100),
            hide_index=True,
            row_height=ROW_PX,
            column_config={
                "line_no": st.column_config.NumberColumn("Line", format="localized", width=80),
                "rejection": st.column_config.TextColumn("Why", width=320),
                "raw": st.column_config.TextColumn("Line as written", width=900),
            },
        )
        if reader.info.n_rejected > 100:
            st.caption("The first 100 are shown.")


if __name__ == "__main__":
    page()

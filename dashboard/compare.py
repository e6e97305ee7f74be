"""Compare page: two runs of the same log, before and after, or the log against what its model learnt."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.charts import PARTS, score_scatter
from dashboard.components.line_detail import line_detail
from dashboard.drift import drift_section
from dashboard.escaping import literal
from dashboard.line_view import detail_of, said_of
from dashboard.lines_table import picked
from dashboard.link import from_link, to_link
from dashboard.rescoring import told_text
from dashboard.session import (
    COMPARE_PAGE,
    DATA_PAGE,
    ROW_PX,
    cannot_open,
    look_of_theme,
    muted_key,
    nothing_scored,
    run_in_view,
    run_reader,
    time_text,
    way_text,
)
from dashboard.table_look import NARROW, score_column

RUNS, LEARNT = "With another run", "With what the model learnt"
CHANGE = "After less before."
CHART_PX = 460
POINTS = 20_000  # drawn; more would be drawn too, but nobody could tell them apart
LISTED = 1_000
MEASURES = {
    "pr_auc": "PR-AUC",
    "roc_auc": "ROC-AUC",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "false_alarm_rate": "False-alarm rate",
}


def page() -> None:
    """The whole page."""
    run_id = run_in_view()
    if run_id is None:
        nothing_scored()
        return
    try:
        reader = run_reader(run_id)
        st.html(NARROW)
        others = {other.run_id: other for other in workbench.comparable_runs(run_id)}
        with st.container(horizontal=True, vertical_alignment="center"):
            way = st.segmented_control(
                "Compare",
                [RUNS, LEARNT],
                default=LEARNT if st.query_params.get("with") == "learnt" else RUNS,
                required=True,
                label_visibility="collapsed",
                width="content",
                key=f"compare_{run_id}",
            )
            other_id = other_choice(reader.info, others) if way == RUNS and others else None
            if other_id is not None and st.button(
                "Put it in view",
                icon=":material/swap_horiz:",
                help="The other run becomes the one in view: lines are explained by it, here and on the other pages.",
                key="other_in_view",
            ):
                st.switch_page(COMPARE_PAGE, query_params={"run": other_id, "with": run_id})
        to_link(**{"with": "learnt" if way == LEARNT else other_id})
        if way == LEARNT:
            drift_section(reader)
        elif other_id is None:
            nothing_to_compare()
        else:
            compared(run_id, other_id)
    except WorkbenchError as error:
        cannot_open(error)


def nothing_to_compare() -> None:
    """What is said where the log was scored once."""
    st.info(
        "This log was scored once. Score it with another model, or apply other weights on the Validate page; "
        "then both runs stand side by side here.",
        icon=":material/compare:",
    )
    st.page_link(DATA_PAGE, label="Go to Data", icon=":material/arrow_forward:")


def other_choice(info: workbench.RunInfo, others: dict[str, workbench.RunInfo]) -> str:
    """The run to compare with: the URL's, else the newest."""
    key = f"other_{info.run_id}"
    from_link("with", key, lambda text: text if text in others else None)

    def words(other_id: str) -> str:
        other = others[other_id]
        when = "Before" if other.created_utc < info.created_utc else "After"
        words = [f"{when}: {other.name}", time_text(other.created_utc), way_text(other)]
        words += ["other weights"] if other.reweighed_from else []
        return " · ".join([*words, f"threshold {workbench.threshold(other_id):.4f}"])

    return st.selectbox(
        "Other run",
        list(others),
        format_func=words,
        label_visibility="collapsed",
        width=640,
        key=key,
    )


@st.fragment
def compared(run_id: str, other_id: str) -> None:
    """Scatter and counts, then the messages that differ and their lines."""
    try:
        before, after = sorted((run_id, other_id), key=lambda one: run_reader(one).info.created_utc)
        thresholds = workbench.threshold(before), workbench.threshold(after)
        found = comparison(before, after, *thresholds, muted_key())
        if told := told_text(before, after, found, thresholds[1]):
            st.success(told, icon=":material/published_with_changes:")
        left, right = st.columns([3, 2], gap="medium")
        with left:
            scatter(found, thresholds, in_view="before" if run_id == before else "after")
        with right:
            parts_table(found)
            measures_table(before, after, thresholds)
        messages(run_id, found, workbench.threshold(run_id))
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")


@st.cache_data(max_entries=4, show_spinner="Comparing the runs …")
def comparison(
    before: str, after: str, threshold_before: float, threshold_after: float, muted: str
) -> workbench.Comparison:
    """The comparison, A before B; the runs never change, their thresholds and what is muted do."""
    return workbench.compared_runs(before, after)


def scatter(found: workbench.Comparison, thresholds: tuple[float, float], in_view: str) -> None:
    """Every message by its two scores; `in_view` is "before" or "after"."""
    shown = found.messages.head(POINTS)
    drawn = "" if len(shown) == len(found.messages) else f" The {POINTS:,} that differ most are drawn."
    ranks = "" if found.rank_correlation is None else f" Rank correlation of the scores {found.rank_correlation:.3f}."
    words = f"{len(found.messages):,} messages; the runs agree on {found.agreement:.2%} of the lines.{ranks}{drawn}"
    st.plotly_chart(
        score_scatter(shown, thresholds, look_of_theme()),
        height=CHART_PX,
        config={"displaylogo": False},
        alt=f"Score before against score after. {words}",
        key="compare_scatter",
    )
    muted = f" {found.n_muted:,} muted lines reach one and do not count as flagged." if found.n_muted else ""
    st.caption(
        f"{words} *Before* is the earlier run, *after* the later one; in view is *{in_view}*. "
        f"Dashed: the thresholds in force.{muted}"
    )


def parts_table(found: workbench.Comparison) -> None:
    """How many lines both flag, one flags, none flags; muted ones are flagged by none."""
    names = {part: f"{mark} {name}" for part, (name, mark, _, _) in PARTS.items()}
    st.dataframe(
        found.parts.with_columns(pl.col("part").replace_strict(names)),
        hide_index=True,
        row_height=ROW_PX,
        column_config={
            "part": st.column_config.TextColumn("Flagged", width=130),
            "n_lines": st.column_config.NumberColumn("Lines", format="localized", width=80),
            "n_messages": st.column_config.NumberColumn("Messages", format="localized", width=80),
        },
        key="compare_parts",
    )


def measures_table(before: str, after: str, thresholds: tuple[float, float]) -> None:
    """Both runs against the same labels, where there are any; every labelled line counts, muted or not."""
    sources = workbench.shared_labels(before, after)
    if not sources:
        st.caption("With labels or verdicts on both classes, precision and recall of both runs stand here.")
        return
    source = sources[0]
    if len(sources) > 1:
        source = st.selectbox("Labels", sources, format_func=lambda one: one.name, key=f"compare_labels_{after}")
    then, now = measured(before, after, source.key, source.version, *thresholds)
    rows = [
        {"measure": name, "before": then[key], "after": now[key], "change": now[key] - then[key]}
        for key, name in MEASURES.items()
    ]
    st.dataframe(
        pl.DataFrame(rows),
        hide_index=True,
        row_height=ROW_PX,
        column_config={
            "measure": st.column_config.TextColumn(f"By {source.name}", width=130),
            "before": st.column_config.NumberColumn("Before", format="%.3f", width=60),
            "after": st.column_config.NumberColumn("After", format="%.3f", width=60),
            "change": st.column_config.NumberColumn("Change", format="%+.3f", width=70, help=CHANGE),
        },
        key="compare_measures",
    )


@st.cache_data(max_entries=16, show_spinner=False)
def measured(
    before: str, after: str, source: str, version: str, threshold_before: float, threshold_after: float
) -> list[dict[str, float]]:
    """The measures; the runs never change, labels and thresholds do."""
    return workbench.compared_measures(before, after, source)


def messages(run_id: str, found: workbench.Comparison, threshold: float) -> None:
    """Messages of one part, the largest change first, and the first line of the one picked, by the run in view."""
    counts = dict(found.parts.select("part", "n_messages").iter_rows())
    key = f"part_{run_id}"
    from_link("part", key, lambda text: text if text in PARTS else None)
    st.session_state.setdefault(key, next((part for part in PARTS if counts[part]), "neither"))
    part = st.segmented_control(
        "Messages",
        list(PARTS),
        required=True,
        format_func=lambda part: f"{PARTS[part][1]} {PARTS[part][0]} ({counts[part]:,})",
        label_visibility="collapsed",
        width="content",
        key=key,
    )
    to_link(part=part)
    rows = found.messages.filter(pl.col("part") == part).head(LISTED)
    if rows.is_empty():
        st.caption("No message.")
        return
    columns = {
        "n_lines": st.column_config.NumberColumn("Lines", format="localized", width=60),
        "score_a": score_column("Before"),
        "score_b": score_column("After"),
        "difference": st.column_config.NumberColumn("Change", format="%+.3f", width=70, help=CHANGE),
        "normalized_text": st.column_config.TextColumn("Message", width=420),
    }
    left, right = st.columns([3, 2], gap="medium")
    ids = rows["first_no"].to_list()
    line_key = f"compare_line_{run_id}_{part}"
    with left:
        line_no = picked(
            rows.with_columns(pl.col("normalized_text").str.head(1_000)),
            columns,
            ids,
            (run_id, "compare", part, *ids[:50], len(ids)),
            line_key,
        )
        if len(rows) < counts[part]:
            st.caption(f"The first {LISTED:,} are listed.")
    with right:
        reader = run_reader(run_id)
        detail = detail_of(reader, line_no, threshold, *reader.score_counts())
        said = said_of(workbench.verdicts(run_id, notes=True), line_no, run_id)
        clicked = line_detail(replace(detail, said=said), key=f"compare_detail_{run_id}")
        if clicked is not None and clicked != line_no:
            st.session_state[line_key] = clicked
            st.rerun(scope="fragment")


if __name__ == "__main__":
    page()

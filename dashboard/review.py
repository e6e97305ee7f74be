"""Review page: the lines worth a look, one after another, and what the analyst says of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.acts import Act, answered, performer, problem
from dashboard.components.line_detail import LineDetail
from dashboard.components.review_board import QueueRow, review_board
from dashboard.escaping import in_cells, literal
from dashboard.line_view import detail_of, said_of
from dashboard.lines_table import without_headers
from dashboard.link import to_link
from dashboard.rescoring import rescore_button
from dashboard.retraining import retrain
from dashboard.session import (
    ROW_PX,
    THRESHOLD_PAGE,
    cannot_open,
    muted_key,
    nothing_scored,
    run_in_view,
    run_reader,
    share_text,
)
from dashboard.validation.labels import labelled_texts

SHOWN_ROWS = 200
SHOWN_CHARS = 300  # of a line in the queue; its detail shows it whole
AHEAD = (1, 2, 3, 4, -1)  # rows from the one in view whose details go along, so that a key shows them at once
MARKS = {"abnormal": "✖", "normal": "✔", "unsure": "?"}


@dataclass(frozen=True)
class Queue:
    """One way to choose what to look at.

    Attributes:
        kind: as `RunReader.queue` names it.
        limit: lines or messages in it at most.
        nothing: said where it is empty.
    """

    kind: str
    limit: int
    nothing: str


QUEUES = {
    "Highest score": Queue("highest", 1_000, "Nothing is flagged. Move the threshold to the left."),
    "Near the threshold": Queue("near", 200, "The log has no line with a text."),
    "Random audit": Queue("audit", 200, "No line lies below the threshold."),
    "Most telling": Queue("telling", workbench.ASKED, "Every message is labelled or muted."),
}
TELLING_TEXT = (
    "Messages whose verdict would change most: near the threshold, the scorers not of one mind, many lines "
    "(uncertainty sampling, Lewis and Gale 1994). Those that had a label when the list was made are left out."
)


def page() -> None:
    """The whole page."""
    run_id = run_in_view()
    if run_id is None:
        nothing_scored()
        st.caption("This page goes through the abnormal lines by keys, each with its reasons and the lines around it.")
        return
    try:
        reader = run_reader(run_id)
        review(reader)
    except WorkbenchError as error:
        cannot_open(error)


def review(reader: workbench.RunReader) -> None:
    """Choice of the queue, how far it is, the board, and the verdicts given."""
    run_id = reader.info.run_id
    wrong = st.empty()  # used or not: what follows keeps its place
    if found := problem(_board(run_id)):
        wrong.error(literal(found), icon=":material/error:")
    threshold = workbench.threshold(run_id)
    verdicts = workbench.verdicts(run_id, notes=True)
    name, unjudged, by_message = controls(reader)
    ranked = marked(ranking(run_id, name, threshold, by_message), verdicts, by_message)
    if ranked.is_empty():
        st.info(QUEUES[name].nothing, icon=":material/filter_alt_off:")
        st.page_link(THRESHOLD_PAGE, label="Go to Threshold", icon=":material/tune:", query_params={"run": run_id})
    else:
        rows = ranked.filter(pl.col("label").is_null()) if unjudged else ranked
        st.markdown(
            " · ".join(progress(ranked, by_message) + findings(reader, verdicts, threshold, name)),
            help="Every message counts once, as its lines share a score; unsure ones do not count. In brackets: where "
            "it lies, 95% sure. Judged from the highest score down, it is the precision of the highest scores.",
        )
        if len(rows) > SHOWN_ROWS:
            st.caption(f"The first {SHOWN_ROWS} of {len(rows):,} are listed; with *Unjudged only* the others move up.")
        board(reader, rows, verdicts, threshold, by_message)
    given(run_id, verdicts)


def controls(reader: workbench.RunReader) -> tuple[str, bool, bool]:
    """Name of the queue, whether judged rows are left out, and whether a row stands for a message.

    Beside them the ways to make verdicts count.
    """
    run_id = reader.info.run_id
    named = {queue.kind: name for name, queue in QUEUES.items()}

    def from_the_top() -> None:
        stand_at(run_id, None)
        st.session_state.pop(_asked_key(run_id), None)

    with st.container(horizontal=True, vertical_alignment="center"):
        name = st.segmented_control(
            "Queue",
            list(QUEUES),
            default=named.get(st.query_params.get("queue", ""), next(iter(QUEUES))),
            required=True,
            label_visibility="collapsed",
            width="content",
            key=f"queue_{run_id}",
            on_change=from_the_top,
        )
        to_link(queue=None if name == next(iter(QUEUES)) else QUEUES[name].kind)
        unjudged = st.toggle("Unjudged only", key=f"unjudged_{run_id}", on_change=from_the_top)
        by_message = st.toggle(
            "One line a message",
            value=True,
            help="Lines that differ only in what is masked (numbers, addresses, times) are shown once.",
            key=f"by_message_{run_id}",
            on_change=from_the_top,
        )
        st.space("stretch")
        rescore_button(reader)
        with st.container(width="content"):
            retrain(reader)
    if QUEUES[name].kind == "telling":
        words, button = st.columns([7, 1], vertical_alignment="center")
        words.caption(TELLING_TEXT)
        button.button("Ask anew", on_click=from_the_top, width="stretch", key=f"others_{run_id}")
    return name, unjudged, by_message


# ---- the queue


def ranking(run_id: str, name: str, threshold: float, by_message: bool) -> pl.DataFrame:
    """The queue without verdicts: line_no, text_id, normalized_text, count, score, raw without its header."""
    labelled: frozenset[int] = frozenset()
    if QUEUES[name].kind == "telling":
        asked_key = _asked_key(run_id)
        if asked_key not in st.session_state:  # kept, so that no row moves while they are judged
            st.session_state[asked_key] = labelled_texts(run_id)
        labelled = st.session_state[asked_key]
    return _ranking(run_id, name, threshold, by_message, muted_key(), labelled)


@st.cache_data(max_entries=8, show_spinner=False)
def _ranking(
    run_id: str, name: str, threshold: float, by_message: bool, muted: str, labelled: frozenset[int]
) -> pl.DataFrame:
    reader, queue = run_reader(run_id), QUEUES[name]
    if queue.kind == "telling":
        rows = workbench.telling_messages(reader, threshold, labelled, queue.limit)
    else:
        rows = reader.queue(queue.kind, threshold, by_message, queue.limit)
    if rows.is_empty():
        return rows.with_columns(raw=pl.lit(""))
    lines = without_headers(reader.lines_at(rows["line_no"].to_list()).select("line_no", "raw"))
    return rows.join(lines.with_columns(pl.col("raw").str.head(SHOWN_CHARS)), on="line_no", maintain_order="left")


def marked(rows: pl.DataFrame, verdicts: pl.DataFrame, by_message: bool) -> pl.DataFrame:
    """The rows with the `label` in force; of a message the one given last to any of its lines."""
    key = "text_id" if by_message else "line_no"
    return rows.join(newest(verdicts, key).select(key, "label"), on=key, how="left", maintain_order="left")


def newest(verdicts: pl.DataFrame, key: str) -> pl.DataFrame:
    """The verdict given last for each value of `key`; notes alone left out."""
    labelled = verdicts.filter(pl.col("label").is_not_null(), pl.col(key).is_not_null())
    return labelled.sort("at_utc", maintain_order=True).unique(key, keep="last", maintain_order=True)


def progress(ranked: pl.DataFrame, by_message: bool) -> list[str]:
    """How much of the queue is judged, and how.

    Example:
        >>> progress(pl.DataFrame({"label": ["normal", "abnormal", None]}), True)
        ['Judged **2 of 3** messages', '✖ 1 abnormal', '✔ 1 normal']
    """
    labels = ranked["label"].drop_nulls().to_list()
    counts = [f"{mark} {labels.count(label):,} {label}" for label, mark in MARKS.items() if label in labels]
    return [f"Judged **{len(labels):,} of {len(ranked):,}** {'messages' if by_message else 'lines'}", *counts]


def findings(reader: workbench.RunReader, verdicts: pl.DataFrame, threshold: float, name: str) -> list[str]:
    """What the verdicts say of the threshold: the precision of flags, and in an audit the misses below it.

    Counted by message: the lines of one share a score, and judging one says as much as judging all.
    """
    run_id = reader.info.run_id
    judged = newest(verdicts, "text_id").filter(pl.col("label") != "unsure")
    scores = _text_scores(run_id, muted_key())
    flagged = judged.join(scores.filter(pl.col("score") >= threshold), on="text_id", how="semi")
    words = []
    if len(flagged):
        hits = int((flagged["label"] == "abnormal").sum())
        words.append(
            f"Of {len(flagged):,} judged flagged {_messages(len(flagged))} {hits:,} {_are(hits)} abnormal: "
            f"**precision {share_text(hits, len(flagged))}**"
        )
    if QUEUES[name].kind == "audit":
        drawn = ranking(run_id, name, threshold, False).select("text_id").join(judged, on="text_id")
        misses = int((drawn["label"] == "abnormal").sum())
        if len(drawn):
            words.append(
                f"Of {len(drawn):,} lines drawn and judged below it **missed {share_text(misses, len(drawn))}**"
            )
    return words


def _messages(n: int) -> str:
    return "message" if n == 1 else "messages"


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


@st.cache_data(max_entries=8, show_spinner=False)
def _text_scores(run_id: str, muted: str) -> pl.DataFrame:
    """text_id and score of the run's texts that are not muted."""
    return run_reader(run_id).texts().filter(~pl.col("muted")).select("text_id", "score")


# ---- the board


def board(
    reader: workbench.RunReader, rows: pl.DataFrame, verdicts: pl.DataFrame, threshold: float, by_message: bool
) -> None:
    """The queue beside the line in view."""
    run_id = reader.info.run_id
    current = line_in_view(reader, rows)
    shown = rows.head(SHOWN_ROWS)
    numbers = shown["line_no"].to_list()
    at = numbers.index(current) if current in numbers else -1
    muted = muted_key()
    wanted = [current] + [numbers[at + step] for step in AHEAD if 0 <= at + step < len(numbers)]
    review_board(
        [QueueRow(*row) for row in shown.select("line_no", "text_id", "score", "raw", "count", "label").iter_rows()],
        current,
        [
            replace(line_explained(run_id, no, threshold, muted), said=said_of(verdicts, no, run_id))
            for no in dict.fromkeys(wanted)
        ],
        threshold,
        by_message,
        workbench.MOST_JUDGED,
        answered=answered(_board(run_id)),
        on_acts=performer(_board(run_id), lambda act: stand_at(run_id, perform(reader, act))),
        key=f"board_{run_id}",
    )


@st.cache_data(max_entries=256, show_spinner=False)
def line_explained(run_id: str, line_no: int, threshold: float, muted: str) -> LineDetail:
    """The detail of a line, without what was said of it."""
    reader = run_reader(run_id)
    return detail_of(reader, line_no, threshold, *reader.score_counts())


def line_in_view(reader: workbench.RunReader, rows: pl.DataFrame) -> int:
    """The line the board stands at: the URL's when it names another, else the last one, else the first unjudged."""
    run_id = reader.info.run_id
    line_no, url = st.session_state.get(_place_key(run_id), (None, None))
    named = st.query_params.get("line", "")
    if named != url and named.isdecimal() and len(named) < 12 and 1 <= int(named) <= reader.info.n_lines:
        line_no = int(named)
    if line_no is None:
        unjudged = rows.filter(pl.col("label").is_null())["line_no"]
        line_no = int([*unjudged.head(1), *rows["line_no"].head(1), 1][0])
    stand_at(run_id, line_no)
    return line_no


def stand_at(run_id: str, line_no: int | None) -> None:
    """Keep the line in view; the URL of this moment has been followed and says nothing new."""
    st.session_state[_place_key(run_id)] = (line_no, st.query_params.get("line", ""))


def perform(reader: workbench.RunReader, act: Act) -> int:
    """Do one act.

    Returns:
        The line to have in view then.

    Raises:
        WorkbenchError: it cannot be done.
    """
    run_id = reader.info.run_id
    if act.kind == "verdict":
        line_nos = [act.line_no]
        if act.whole_message and (text_id := reader.line(act.line_no)["text_id"]) is not None:
            line_nos = reader.line_numbers(text_id, workbench.MOST_JUDGED + 1)
        workbench.set_verdict(run_id, line_nos, act.label, act.note)
    elif act.kind == "note":
        said = said_of(workbench.verdicts(run_id), act.line_no, run_id)
        workbench.set_verdict(run_id, [act.line_no], said and said.label, act.note)
    elif act.kind == "undo":
        undone = workbench.undo_verdict(run_id)
        if not undone:
            raise WorkbenchError("there is nothing to undo: no verdict was given in this run")
        return undone[0]
    return act.line_no


def _place_key(run_id: str) -> str:
    return f"review_place_{run_id}"


def _board(run_id: str) -> str:
    return f"review_{run_id}"


def _asked_key(run_id: str) -> str:
    return f"labelled_when_asked_{run_id}"


# ---- verdicts given


def given(run_id: str, verdicts: pl.DataFrame) -> None:
    """The verdicts on this run's lines, newest first, and a way to take some away."""
    if verdicts.is_empty():
        return
    with st.expander(f"Verdicts and notes on this log ({len(verdicts):,})"):
        rows = verdicts.sort("at_utc", descending=True).head(SHOWN_ROWS)
        rows = rows.with_columns(
            verdict=pl.col("label").replace_strict({label: f"{mark} {label}" for label, mark in MARKS.items()}),
            at=pl.col("at_utc").str.head(19).str.replace("T", " "),
            source=pl.when(pl.col("run_id") == run_id).then(pl.lit("here")).otherwise("run_name"),
        )
        picked = st.dataframe(
            in_cells(rows),
            hide_index=True,
            row_height=ROW_PX,
            column_order=["verdict", "line_no", "line", "note", "at", "by", "source"],
            column_config={
                "verdict": st.column_config.TextColumn("Verdict", width=90),
                "line_no": st.column_config.NumberColumn("No.", format="localized", width=70),
                "line": st.column_config.TextColumn("Line", width=420),
                "note": st.column_config.TextColumn("Note", width=180),
                "at": st.column_config.TextColumn("At (UTC)", width=140),
                "by": st.column_config.TextColumn("By", width=80),
                "source": st.column_config.TextColumn("Given in", width=120),
            },
            on_select="rerun",
            selection_mode="multi-row",
            key=f"given_{run_id}_{len(verdicts)}",
        )
        chosen = rows[picked.selection.rows]["line_no"].to_list()
        st.button(
            f"Remove {len(chosen):,} selected" if chosen else "Select rows to remove them",
            icon=":material/delete:",
            disabled=not chosen,
            on_click=remove,
            args=(run_id, chosen),
        )
        if len(verdicts) > SHOWN_ROWS:
            st.caption(f"The newest {SHOWN_ROWS} are shown.")


def remove(run_id: str, line_nos: list[int]) -> None:
    """Take verdicts and notes away, as one act that can be undone."""
    try:
        workbench.set_verdict(run_id, line_nos, None)
    except WorkbenchError as error:
        st.session_state[f"problem_{_board(run_id)}"] = str(error)


if __name__ == "__main__":
    page()

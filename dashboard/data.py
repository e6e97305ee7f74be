"""Data page: bring a log, see how it is read, choose how it is scored, follow the job, open past runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.upload_control import upload_control
from dashboard.escaping import in_cells, literal
from dashboard.job_cards import earlier_jobs, job_cards
from dashboard.log_input import (
    add_arrived,
    file_picker,
    format_choice,
    more_files,
    read_settings,
    session_key,
)
from dashboard.session import MODELS_PAGE, ROW_PX, age_text, duration_text, open_run, way_text

OWN = "Score it against itself"
QUICK = "Quick look"
SAVED = "Score it with a saved model"
WAYS = {
    OWN: "TinyLogBERT learns what is usual in this very file. One to two minutes.",
    QUICK: "Without the network: rarity, word and level scorers. Seconds.",
    SAVED: "What is usual was learned from history before.",
}
WELCOME = """**Start here**

Drop a log file on the left, or pick a sample. You will see how its lines are read, then score it: no labels are needed,
and nothing leaves this machine."""


def page() -> None:
    """The whole page."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if arrived := upload_control(key="upload", several=True):
            add_arrived(workbench.inbox() / Path(arrived.name).name, arrived.follows)
            st.toast(f"{literal(arrived.name)} has arrived", icon=":material/check:")
        drop_folder()
    with right:
        path = file_picker(WELCOME)
        paths = [] if path is None else more_files(path)
    job_cards()
    if paths:
        file_section(paths)
    past_runs()
    earlier_jobs()


# ---- files


def drop_folder() -> None:
    """Where logs can be put without an upload; nothing where no such folder is named."""
    try:
        folder = workbench.drop_folder()
    except WorkbenchError:  # told beside the list of files
        return
    if folder is not None:
        n_files = len(workbench.dropped())
        files = f"{n_files:,} {'file' if n_files == 1 else 'files'}"
        st.caption(f":material/folder_open: Drop folder {literal(str(folder))}: {files}, in the list beside.")


def file_section(paths: list[Path]) -> None:
    """Preview of the first file on the left, what to do with all of them on the right."""
    path = paths[0]
    left, right = st.columns([3, 1], gap="medium")
    with right:
        # Read before the preview, which follows these settings; drawn beside it.
        panel = st.container(border=True)
        form, settings = panel.container(), panel.container()
    with left:
        heading = st.container(horizontal=True, vertical_alignment="bottom")
        with heading:
            title = st.empty()
            chosen = format_choice()
        with settings:
            read = read_settings(chosen)
        try:
            found = preview(str(path), path.stat().st_mtime_ns, read)
        except WorkbenchError as error:
            title.markdown("**Preview**", width="stretch")
            st.error(literal(str(error)), icon=":material/error:")
            return
        except OSError as error:
            st.error(literal(f"{path}: cannot be read: {error.strerror}. Upload it again."), icon=":material/error:")
            return
        title.markdown(f"**Preview** · read as {format_text(found)}", width="stretch")
        show_preview(found)
    with form:
        score_form(paths, read, found.texts)


@st.cache_data(max_entries=16, show_spinner="Reading the first lines …")
def preview(path: str, changed_ns: int, read: workbench.ReadConfig) -> workbench.Preview:
    """The first lines as they will be read; kept until the file or the settings change.

    Raises:
        WorkbenchError: where the file is no log that can be read.
    """
    return workbench.preview(Path(path), read)


def format_text(found: workbench.Preview) -> str:
    """The detected formats with their share of the sampled lines, the largest first."""
    shares = sorted(found.shares.items(), key=lambda item: -item[1])
    if len(shares) < 2:
        return f"**{literal(found.format)}**"
    return ", ".join(f"**{literal(name)}** {100 * share:.0f} %" for name, share in shares[:3])


def show_preview(found: workbench.Preview) -> None:
    """Twenty parsed lines, and what there is to say about them."""
    if found.notes:
        st.caption(":material/info: " + " · ".join(literal(note) for note in found.notes))
    columns = {
        "line_no": st.column_config.NumberColumn("Line", width=50),
        "rejection": st.column_config.TextColumn("Not read as its format", width=180),
        "timestamp_utc": st.column_config.DatetimeColumn("Time (UTC)", format="YYYY-MM-DD HH:mm:ss", width=150),
        "level": st.column_config.TextColumn("Level", width=60),
        "host": st.column_config.TextColumn("Host", width=110),
        "component": st.column_config.TextColumn("Component", width=120),
        "normalized_text": st.column_config.TextColumn("What the scorers see", width=360),
        "raw": st.column_config.TextColumn("As written", width=900),
    }
    rows = found.rows
    shown = [name for name in columns if rows[name].null_count() < len(rows)]
    st.dataframe(
        in_cells(rows),
        hide_index=True,
        height=13 * ROW_PX,
        row_height=ROW_PX,
        column_order=shown,
        column_config=columns,
        placeholder="",
        key="preview",
    )


# ---- start


def score_form(paths: list[Path], read: workbench.ReadConfig, texts: pl.DataFrame) -> None:
    """How to score the files, and the button that starts it; at first as the models' knowledge of them suggests."""
    path = paths[0]
    known = workbench.models()
    models = sorted((model for model in known if not model.error), key=lambda item: -familiarity(item, path, texts))
    damaged = [model for model in known if model.error]
    ways = [way for way in WAYS if way != SAVED or models]
    suits = bool(models) and familiarity(models[0], path, texts) >= workbench.FAMILIAR_SHARE
    first = ways.index(SAVED if suits else OWN)
    way = st.radio("What to do", ways, index=first, captions=[WAYS[way] for way in ways], key=f"way_{path}")
    model = None
    if way == SAVED:
        chosen = st.selectbox(
            "Model", models, format_func=lambda item: f"{item.name} · {item.n_lines:,} lines", key=f"model_{path}"
        )
        share = familiarity(chosen, path, texts)
        st.caption(
            f"Learnt the messages of {share:.0%} of the first lines."
            + ("" if share >= workbench.FAMILIAR_SHARE else " That is little: scores and false alarms mean less here.")
        )
        model = chosen.name
    sessions = session_key()
    context = st.checkbox(
        "Judge a line by the other lines of its source too",
        value=True,
        help="Scans, floods and guessed passwords show in the company a line keeps: where the other lines of a client "
        "(or of the session, where a key is given) are unusual or too many a second, its score is raised. Lines of "
        "ordinary sources keep theirs.",
        key=f"context_{path}",
    )
    for item in damaged:
        st.caption(f":material/warning: {literal(item.name)}: {literal(item.error or '')}")
    busy = any(not job.is_final for job in workbench.jobs())
    start = st.button(
        "Find abnormal lines" if len(paths) == 1 else f"Find abnormal lines in {len(paths)} files",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=busy,
        help="A job is running. Wait for it, or cancel it." if busy else None,
    )
    st.page_link(MODELS_PAGE, label="Or train a model from it", icon=":material/model_training:")
    if not start:
        return
    try:
        workbench.start_scoring(paths, model, way == QUICK, read, sessions, context)
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")
        return
    st.rerun()


def familiarity(model: workbench.ModelInfo, path: Path, texts: pl.DataFrame) -> float:
    """Share of the previewed lines whose message the model learnt; 0 where it cannot tell."""
    key = (model.path, model.created_utc, str(path), path.stat().st_mtime_ns, texts.height)
    known = st.session_state.setdefault("familiarity", {})
    if key not in known:
        try:
            known[key] = workbench.familiarity(model.path, texts) or 0.0
        except WorkbenchError:  # a damaged bundle is told below, by its own message
            known[key] = 0.0
    return float(known[key])


# ---- runs


@dataclass(frozen=True)
class RunRow:
    """One row of the table of past runs."""

    file: str
    lines: int
    messages: int
    model: str
    rejected: int
    speed: str
    when: str


def past_runs() -> None:
    """Every stored run; a click opens it."""
    runs = workbench.runs()
    if not runs:
        return
    st.markdown("**Past runs** · click one to open it")
    rows = [
        RunRow(
            file=run.name,
            lines=run.n_lines,
            messages=run.n_texts,
            model=way_text(run),
            rejected=run.n_rejected,
            speed=f"{duration_text(run.seconds)} · {run.lines_per_second:,.0f} lines/s",
            when=age_text(run.created_utc),
        )
        for run in runs
    ]
    columns = {
        "file": st.column_config.TextColumn("File"),
        "lines": st.column_config.NumberColumn("Lines", format="localized"),
        "messages": st.column_config.NumberColumn("Messages", format="localized", help="Distinct normalized texts"),
        "model": st.column_config.TextColumn("Model"),
        "rejected": st.column_config.NumberColumn("Not read", format="localized", help="Not read as their format says"),
        "speed": st.column_config.TextColumn("Took"),
        "when": st.column_config.TextColumn("When"),
    }
    chosen = st.dataframe(
        in_cells(pl.DataFrame([vars(row) for row in rows])),
        hide_index=True,
        row_height=ROW_PX,
        column_config=columns,
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        key="past_runs",
    )
    picked = chosen.selection.rows or [row for row, _ in chosen.selection.cells]
    if picked and picked[0] < len(runs):
        open_run(runs[picked[0]].run_id)


if __name__ == "__main__":
    page()

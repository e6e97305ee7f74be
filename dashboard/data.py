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
from dashboard.job_cards import WAIT, busy, earlier_jobs, job_cards
from dashboard.lines_table import table_px
from dashboard.link import to_link
from dashboard.log_input import (
    FILE_KEY,
    add_arrived,
    captures_pointer,
    contamination_choice,
    file_picker,
    format_choice,
    more_files,
    read_settings,
    session_key,
)
from dashboard.session import (
    MODELS_PAGE,
    ROW_PX,
    age_text,
    duration_text,
    forget_run,
    muted_key,
    open_run,
    run_in_view,
    time_text,
    way_text,
)

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
SAMPLES = {  # offered where nothing was scored yet, by folder: what they are, and what happens in them
    "web_access": ("A web server under attack", "Requests to a small shop; scans, injections, guessed passwords."),
    "auth": ("Logins of a Linux machine", "sshd, sudo and cron; somebody tries passwords and gets in."),
    "hdfs_synthetic": ("A storage cluster", "Generated in the shape of HDFS logs; blocks that fail to be written."),
}
COUNTED_RUNS = 20  # past runs whose flagged lines are counted, the newest


def page() -> None:
    """The whole page."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if arrived := upload_control(key="upload", several=True):
            add_arrived(workbench.inbox() / Path(arrived.name).name, arrived.follows)
            st.toast(f"{literal(arrived.name)} has arrived", icon=":material/check:")
        drop_folder()
    with right:
        runs = workbench.runs()
        path = file_picker("" if runs else WELCOME)
        paths = [] if path is None else more_files(path)
        captures_pointer()
    job_cards()
    if paths:
        file_section(paths)
    elif not runs:
        sample_cards()
    past_runs(runs)
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


def sample_cards() -> None:
    """Logs to try the workbench on, a click away."""
    tests = {path.parent.name: path for path in workbench.samples() if path.name.startswith("test")}
    offered = [(tests[folder], *words) for folder, words in SAMPLES.items() if folder in tests]
    if not offered:
        return
    st.markdown("**Or look at a sample first**")
    for column, (path, title, words) in zip(st.columns(len(offered), gap="medium"), offered, strict=True):
        with column, st.container(border=True, height="stretch"):
            st.markdown(f"**{title}**")
            st.caption(words)
            st.button(
                "Look at it",
                icon=":material/visibility:",
                on_click=st.session_state.update,
                args=({FILE_KEY: path},),
                key=f"sample_{path.parent.name}",
            )


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
        of_first = f" of {literal(path.name)}, the first of {len(paths)} files" if len(paths) > 1 else ""
        title.markdown(f"**Preview**{of_first} · read as {format_text(found)}", width="stretch")
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
    """The detected formats with their share of the sampled lines, the largest first; without those that round to 0%."""
    told = [(name, share) for name, share in found.shares.items() if share >= 0.005]
    shares = sorted(told, key=lambda item: -item[1])
    if len(shares) < 2:
        return f"**{literal(found.format)}**"
    return ", ".join(f"**{literal(name)}** {share:.0%}" for name, share in shares[:3])


def show_preview(found: workbench.Preview) -> None:
    """Twenty parsed lines, and what there is to say about them."""
    if found.notes:
        st.caption(":material/info: " + " · ".join(literal(note) for note in found.notes))
    columns = {
        "line_no": st.column_config.NumberColumn("Line", width=50),
        "rejection": st.column_config.TextColumn("Not read as its format", width=180),
        "timestamp_utc": st.column_config.DatetimeColumn("Time (UTC)", format="YYYY-MM-DD HH:mm:ss", width=150),
        "level": st.column_config.TextColumn("Level", width=92),
        "host": st.column_config.TextColumn("Host", width=110),
        "component": st.column_config.TextColumn("Component", width=120),
        "normalized_text": st.column_config.TextColumn("What the scorers see", width=360),
        "raw": st.column_config.TextColumn("As written", width=900),
    }
    rows = found.rows
    if found.texts.is_empty():
        st.warning(
            "The first lines hold no text. Should the file hold any, choose how it is read; else choose another file.",
            icon=":material/warning:",
        )
    shown = [name for name in columns if rows[name].null_count() < len(rows)]
    st.dataframe(
        in_cells(rows),
        hide_index=True,
        height=table_px(len(rows)),
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
    contamination = 0.0 if way == SAVED else contamination_choice(f"contamination_{path}")
    context = st.checkbox(
        "Judge a line by the other lines of its source too",
        value=True,
        help="Scans, floods and guessed passwords show in the company a line keeps: where the other lines of a client "
        "(or of the session, where a key is given) are unusual or too many a second, its score is raised. Lines of "
        "ordinary sources keep theirs. With a model the threshold rises to where the scores part.",
        key=f"context_{path}",
    )
    for item in damaged:
        st.caption(f":material/warning: {literal(item.name)}: {literal(item.error or '')}")
    wait = busy(workbench.jobs())
    start = st.button(
        "Find abnormal lines" if len(paths) == 1 else f"Find abnormal lines in {len(paths)} files",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=wait,
    )
    waiting = st.empty()  # used or not: what follows keeps its place
    if wait:
        waiting.caption(WAIT)
    st.page_link(MODELS_PAGE, label="Or train a model from it", icon=":material/model_training:")
    if not start:
        return
    try:
        workbench.start_scoring(paths, model, way == QUICK, read, sessions, context, contamination)
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
    flagged: int | None
    messages: int
    model: str
    rejected: int
    took: str
    when: str


def past_runs(runs: list[workbench.RunInfo]) -> None:
    """Every stored run; a click opens it."""
    if not runs:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Past runs** · click one to open it", width="stretch")
        delete_runs(runs)
    thresholds, muted = workbench.thresholds(), muted_key()
    rows = [
        RunRow(
            file=run.name,
            lines=run.n_lines,
            flagged=n_flagged(run.run_id, thresholds[run.run_id], muted) if at < COUNTED_RUNS else None,
            messages=run.n_texts,
            model=way_text(run),
            rejected=run.n_rejected,
            took=duration_text(run.seconds),
            when=age_text(run.created_utc),
        )
        for at, run in enumerate(runs)
    ]
    columns = {
        "file": st.column_config.TextColumn("File"),
        "lines": st.column_config.NumberColumn("Lines", format="localized"),
        "flagged": st.column_config.NumberColumn("Flagged", format="localized", help="At the threshold in force"),
        "messages": st.column_config.NumberColumn("Messages", format="localized", help="Distinct normalized texts"),
        "model": st.column_config.TextColumn("Model"),
        "rejected": st.column_config.NumberColumn("Not read", format="localized", help="Not read as their format says"),
        "took": st.column_config.TextColumn("Took"),
        "when": st.column_config.TextColumn("When"),
    }
    chosen = st.dataframe(
        in_cells(pl.DataFrame([vars(row) for row in rows], infer_schema_length=None)),
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


@st.cache_data(max_entries=1_000, show_spinner=False)
def n_flagged(run_id: str, threshold: float, muted: str) -> int | None:
    """Flagged lines of a run, which never changes; None where it is damaged."""
    try:
        return workbench.run(run_id).flagged(threshold)
    except WorkbenchError:
        return None


def delete_runs(runs: list[workbench.RunInfo]) -> None:
    """Remove runs, once the analyst has said which."""
    names = {run.run_id: f"{run.name} · {way_text(run)} · {time_text(run.created_utc)}" for run in runs}
    with st.popover("Delete", icon=":material/delete:"):
        doomed = st.multiselect(
            "Runs to delete", list(names), format_func=names.__getitem__, placeholder="Choose runs", key="doomed_runs"
        )
        st.caption("Their scores go; verdicts stay and are found again when the log is scored anew. So do the logs.")
        if not st.button("Delete them", type="primary", width="stretch", disabled=not doomed):
            return
        try:
            for run_id in doomed:
                workbench.delete_run(run_id)
        except WorkbenchError as error:
            st.error(literal(str(error)), icon=":material/error:")
        else:
            if run_in_view() in doomed:
                forget_run()
                to_link(run=None)
            st.rerun()


if __name__ == "__main__":
    page()

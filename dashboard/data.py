"""Data page: bring a log, see how it is read, choose how it is scored, follow the job, open past runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.upload_control import upload_control
from dashboard.escaping import literal
from dashboard.job_cards import job_cards
from dashboard.session import ROW_PX, age_text, duration_text, model_name, open_run, size_text

FILE_KEY = "chosen_file"
KEPT_FILE_KEY = "kept_file"

OWN = "Score it against itself"
QUICK = "Quick look"
SAVED = "Score it with a saved model"
TRAIN = "Train a model from it"
WAYS = {
    OWN: "TinyLogBERT learns what is usual in this very file. One to two minutes.",
    QUICK: "Without the network: rarity, word and level scorers. Seconds.",
    SAVED: "What is usual was learned from history before.",
    TRAIN: "For a log that is mostly normal; later files are scored with the model.",
}


def page() -> None:
    """The whole page."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if name := upload_control(key="upload"):
            st.session_state[FILE_KEY] = workbench.inbox() / Path(name).name
            st.toast(f"{literal(name)} has arrived", icon=":material/check:")
    with right:
        path = file_picker()
    job_cards()
    if path is not None:
        file_section(path)
    past_runs()


# ---- files


def file_picker() -> Path | None:
    """The log to work on: what was uploaded, or a sample."""
    inbox = sorted(
        (path for path in workbench.inbox().iterdir() if path.is_file() and not path.name.startswith(".")),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    samples = workbench.samples()
    files = [*inbox, *samples]
    if not files:
        st.markdown("**Start here**")
        st.markdown(
            "Drop a log file on the left. You will see how its lines are read, then score it: "
            "no labels are needed, and nothing leaves this machine."
        )
        return None
    if FILE_KEY not in st.session_state:  # dropped by Streamlit while another page was open
        st.session_state[FILE_KEY] = st.session_state.get(KEPT_FILE_KEY)
    if st.session_state[FILE_KEY] not in files:
        st.session_state[FILE_KEY] = None
    chosen = st.selectbox(
        "Log file",
        files,
        index=None,
        placeholder="Choose an uploaded file" + (" or a sample" if samples else ""),
        format_func=lambda path: f"{path.name}{' (sample)' if path in samples else ''}",
        key=FILE_KEY,
    )
    st.session_state[KEPT_FILE_KEY] = chosen
    if chosen is None:
        return None
    stat = chosen.stat()
    brought = "sample" if chosen in samples else f"uploaded {datetime.fromtimestamp(stat.st_mtime):%Y-%m-%d %H:%M}"
    st.caption(f"{size_text(stat.st_size)} · {brought}")
    return Path(chosen)


def file_section(path: Path) -> None:
    """Preview on the left, what to do with the file on the right."""
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
        score_form(path, read)


def format_choice() -> str:
    """How the lines are read: detected, or as the analyst says."""
    formats = {"auto": "Detect the format", **{form.name: form.name for form in workbench.formats()}}
    return st.selectbox(
        "Format",
        list(formats),
        format_func=lambda name: formats[name],
        label_visibility="collapsed",
        width=220,
        key="format",
    )


def read_settings(chosen: str) -> workbench.ReadConfig:
    """Settings of reading that few files need."""
    with st.expander("How it is read", icon=":material/settings:"):
        field = st.text_input(
            "Message field",
            placeholder="found by itself",
            help="For JSON lines and CSV: the field that holds the text.",
        )
        zone = st.text_input("Time zone", value="UTC", help="Of timestamps that name none, such as Europe/Vienna.")
        year = st.number_input(
            "Year of the first line",
            min_value=1970,
            max_value=2100,
            value=None,
            placeholder="from the file's date",
            help="For syslog, which writes no year.",
        )
    return workbench.ReadConfig(
        format=chosen, message_field=field.strip() or None, timezone=zone.strip() or "UTC", year=year
    )


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
        rows,
        hide_index=True,
        height=13 * ROW_PX,
        row_height=ROW_PX,
        column_order=shown,
        column_config=columns,
        placeholder="",
        key="preview",
    )


# ---- start


def score_form(path: Path, read: workbench.ReadConfig) -> None:
    """How to score the file, and the button that starts it."""
    known = workbench.models()
    models = [model for model in known if not model.error]
    damaged = [model for model in known if model.error]
    ways = [way for way in WAYS if way != SAVED or models]
    way = st.radio("What to do", ways, captions=[WAYS[way] for way in ways], key="way")
    model = name = None
    if way == SAVED:
        model = st.selectbox(
            "Model",
            [item.name for item in models],
            format_func={item.name: f"{item.name} · {item.n_lines:,} lines" for item in models}.__getitem__,
        )
    if way == TRAIN:
        name = st.text_input("Name of the model", value=path.name.split(".")[0], max_chars=60)
    sessions = st.text_input(
        "Session key",
        placeholder="none",
        help="A regular expression whose first group names the session of a line, such as (blk_-?\\d+): "
        "sessions are scored beside lines.",
    )
    for item in damaged:
        st.caption(f":material/warning: {literal(item.name)}: {literal(item.error or '')}")
    busy = any(not job.is_final for job in workbench.jobs())
    label = "Train" if way == TRAIN else "Find abnormal lines"
    if not st.button(
        label,
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=busy,
        help="A job is running. Wait for it, or cancel it." if busy else None,
    ):
        return
    try:
        if way == TRAIN:
            workbench.start_training(path, name or "", read, sessions.strip() or None)
        else:
            workbench.start_scoring(path, model, way == QUICK, read, sessions.strip() or None)
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")
        return
    st.rerun()


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
            model=model_name(run),
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
        pl.DataFrame([vars(row) for row in rows]),
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

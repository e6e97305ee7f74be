"""Models page: saved bundles with what they say of themselves, and training a new one."""

from __future__ import annotations

import re

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import in_cells, literal
from dashboard.job_cards import WAIT, busy, job_cards, last_ended, resume_buttons, score_button
from dashboard.log_input import (
    contamination_choice,
    file_picker,
    format_choice,
    more_files,
    read_settings,
    session_key,
)
from dashboard.loss_curve import loss_curve
from dashboard.model_name import name_input
from dashboard.model_tables import model_tables
from dashboard.session import DATA_PAGE, ROW_PX, TRAFFIC_PAGE, age_text, duration_text, open_run

NO_MODELS = """**No models yet**

A model learns from a log that is mostly normal what is usual, and scores later logs in seconds. Train the first one on
the right."""
WELCOME = """**No log to learn from yet**

Upload one on the Data page, or try a sample. It should be mostly normal: what is frequent in it counts as usual."""


def page() -> None:
    """The whole page."""
    job_cards()
    left, right = st.columns([3, 2], gap="medium")
    with left:
        unfinished_trainings()
        model = model_tables(workbench.models(), workbench.flow_models())
        if model is None:
            st.markdown(NO_MODELS)
        else:
            model_section(model)
    with right:
        with st.container(border=True):
            training_form()
        st.page_link(TRAFFIC_PAGE, label="Models of captures are learnt on the Traffic page", icon=":material/lan:")


# ---- saved models


def model_section(model: workbench.SavedModel) -> None:
    """What can be done with a bundle, its card, how it learnt, and its settings."""
    name = model.name
    try:
        details = workbench.model_details(name)
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")
        delete_button(model)
        return
    of_captures = isinstance(model, workbench.FlowModelInfo)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{literal(name)}**", width="stretch")
            score_button(name, "capture" if of_captures else "log", key="score_with_model")
            delete_button(model)
        if of_captures:
            runs_of_captures(name)
        else:
            runs_of_logs(name)
        if details.history:
            st.markdown("**How it learnt**")
            loss_curve(measures_of(details.history), key=f"loss_of_{name}")
            seconds = details.history[-1].get("seconds")
            if isinstance(seconds, int | float):
                st.caption(f"{details.history[-1]['step']:,.0f} steps in {duration_text(seconds)}")
        else:
            st.caption("No network was trained: its scorers look at words, rarity and levels.")
        card = details.card.removeprefix(f"# {name}\n")  # its name is the heading of all this
        st.markdown(card_markdown(card) or "This model has no card.")
        with st.expander("Settings", icon=":material/settings:"):
            st.json(details.config, expanded=1)


def runs_of_logs(name: str) -> None:
    """Runs scored with a model; a click opens one."""
    runs = [run for run in workbench.runs() if run.model == name]
    rows = [{"file": run.name, "number": run.n_lines, "when": age_text(run.created_utc)} for run in runs]
    chosen = run_table(name, rows, "Lines")
    if chosen is not None:
        open_run(runs[chosen].run_id)


def runs_of_captures(name: str) -> None:
    """Captures scored with a model; a click opens one."""
    runs = [run for run in workbench.list_flow_runs() if run.model == name]
    rows = [{"file": run.name, "number": run.n_flows, "when": age_text(run.created_utc)} for run in runs]
    chosen = run_table(name, rows, "Flows")
    if chosen is not None:
        st.switch_page(TRAFFIC_PAGE, query_params={"capture": runs[chosen].run_id})


def run_table(name: str, rows: list[dict[str, object]], numbers: str) -> int | None:
    """What was scored with a model; the row that was clicked, or None."""
    if not rows:
        st.caption("Nothing was scored with it yet.")
        return None
    with st.expander(f"Scored with it ({len(rows):,})", icon=":material/list:"):
        clicked = st.dataframe(
            in_cells(pl.DataFrame(rows)),
            hide_index=True,
            row_height=ROW_PX,
            column_config={
                "file": st.column_config.TextColumn("File", width=300),
                "number": st.column_config.NumberColumn(numbers, format="localized", width=80),
                "when": st.column_config.TextColumn("When", width=100),
            },
            on_select="rerun",
            selection_mode=["single-row", "single-cell"],
            key=f"runs_of_{name}",
        )
    picked = clicked.selection.rows or [row for row, _ in clicked.selection.cells]
    return picked[0] if picked and picked[0] < len(rows) else None


def delete_button(model: workbench.SavedModel) -> None:
    """Remove the bundle, once the analyst has said so twice; what is shipped stays."""
    if model.is_shipped:
        return
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(f"Delete the model **{literal(model.name)}**? What was scored with it stays.")
        if not st.button("Delete it", type="primary", key=f"delete_{model.name}"):
            return
        try:
            workbench.delete_model(model.name)
        except WorkbenchError as error:
            st.error(literal(str(error)), icon=":material/error:")
        else:
            st.rerun()


def measures_of(history: list[dict[str, float | None]]) -> list[tuple[str, int, float]]:
    """A bundle's history as `workbench.measured` tells that of a running job."""
    return [
        (name, int(entry["step"] or 0), float(loss))
        for entry in history
        for name in ("train_loss", "held_back_loss")
        if (loss := entry.get(name)) is not None
    ]


def card_markdown(card: str) -> str:
    r"""A card with its headings, lists, tables, bold words and code, and everything else in it as plain text.

    A bundle may come from elsewhere, and Markdown of its own could fetch pictures from another host.

    Example:
        >>> card_markdown("# base\n\n- ![x](http://evil)")
        '##### base\n\n- \\!\\[x\\]\\(http\\:\\/\\/evil\\)'
    """
    lines = []
    for line in card.splitlines():
        if heading := re.fullmatch(r"#{1,6} (.+)", line):
            lines.append(f"##### {literal(heading[1])}")
        elif re.fullmatch(r"\|(?:-+\|)+", line):
            lines.append(line)
        elif line.startswith("|") and line.endswith("|"):
            lines.append("| " + " | ".join(_inline(cell) for cell in line[1:-1].split("|")) + " |")
        elif line.startswith("- "):
            lines.append(f"- {_inline(line[2:])}")
        else:
            lines.append(_inline(line))
    return "\n".join(lines)


def _inline(text: str) -> str:
    """A line of a card: bold words and code stay, whatever is in them is text."""
    parts = re.split(r"(\*\*[^*`]+\*\*|`[^`]+`)", text)
    made = []
    for part in parts:
        if part.startswith("**") and len(part) > 4:
            made.append(f"**{literal(part[2:-2])}**")
        elif part.startswith("`") and len(part) > 2:
            made.append(part)
        else:
            # `literal` trims; the space between two parts counts.
            made.append(" " * part.startswith(" ") + literal(part) + " " * (part.endswith(" ") and bool(part.strip())))
    return "".join(made).strip()


# ---- training


def unfinished_trainings() -> None:
    """Trainings that failed or were cancelled and can go on; the one a job card shows is left out."""
    jobs = workbench.jobs()
    shown = None if busy(jobs) else last_ended(jobs)
    found = [job for job in jobs if workbench.can_resume(job) and job != shown]
    if not found:
        return
    st.markdown("**Unfinished trainings**")
    for job in found:
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            st.markdown(f"**{literal(job.title)}**: {job.state} {age_text(job.finished_utc or '')}", width="stretch")
            resume_buttons(job)


def training_form() -> None:
    """What to learn from, under which name, and the button that starts it."""
    st.markdown("**Train a model**")
    path = file_picker(WELCOME)
    if path is None:
        st.page_link(DATA_PAGE, label="Upload a log on the Data page", icon=":material/upload_file:")
        return
    paths = more_files(path)
    name = name_input(path)
    sessions = session_key()
    contamination = contamination_choice("contamination_of_training")
    read = read_settings(format_choice())
    wait = busy(workbench.jobs())
    if st.button("Train", type="primary", icon=":material/model_training:", width="stretch", disabled=wait):
        try:
            workbench.start_training(paths, name, read, sessions, contamination=contamination)
        except WorkbenchError as error:
            st.error(literal(str(error)), icon=":material/error:")
        else:
            st.rerun()
    waiting = st.empty()  # used or not: what follows keeps its place
    if wait:
        waiting.caption(WAIT)
    st.caption("One to two minutes, whatever the number of lines: each distinct message is learnt once.")


if __name__ == "__main__":
    page()

"""Models page: saved bundles with what they say of themselves, and training a new one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import in_cells, literal
from dashboard.job_cards import WAIT, busy, job_cards, last_ended, resume_buttons
from dashboard.link import from_link, to_link
from dashboard.log_input import file_picker, format_choice, more_files, read_settings, session_key
from dashboard.loss_curve import loss_curve
from dashboard.session import DATA_PAGE, ROW_PX, TRAFFIC_PAGE, age_text, duration_text, open_run, size_text

MODEL_KEY = "model_in_view"
WELCOME = """**No log to learn from yet**

Upload one on the Data page, or try a sample. It should be mostly normal: what is frequent in it counts as usual."""


def page() -> None:
    """The whole page."""
    job_cards()
    left, right = st.columns([3, 2], gap="medium")
    with left:
        unfinished_trainings()
        name = model_table(workbench.models())
        if name is not None:
            model_section(name)
        st.page_link(TRAFFIC_PAGE, label="Models of packet captures are on the Traffic page", icon=":material/lan:")
    with right, st.container(border=True):
        training_form()


# ---- saved models


@dataclass(frozen=True)
class ModelRow:
    """One row of the table of models."""

    model: str
    lines: int | None
    messages: int | None
    threshold: float | None
    false_alarms: float | None
    size: str
    trained: str
    problem: str | None


def row_of(model: workbench.ModelInfo) -> ModelRow:
    """What the table says of a bundle; of a damaged one only what is known."""
    sound = model.error is None
    return ModelRow(
        model=model.name + (" (shipped)" if model.is_shipped else ""),
        lines=model.n_lines if sound else None,
        messages=model.n_texts if sound else None,
        threshold=model.threshold if sound else None,
        false_alarms=model.false_alarm_rate if sound else None,
        size=size_text(model.size_bytes),
        trained=age_text(model.created_utc) if sound else "",
        problem=model.error,
    )


def model_table(models: list[workbench.ModelInfo]) -> str | None:
    """Every bundle; the name of the one chosen, or of the first, or None without any."""
    if not models:
        st.markdown("**No models yet**")
        st.markdown(
            "A model learns from a log that is mostly normal what is usual, and scores later logs in seconds. "
            "Train the first one on the right."
        )
        return None
    st.markdown("**Saved models** · click one to see its card")
    columns = {
        "model": st.column_config.TextColumn("Model", width=120),
        "lines": st.column_config.NumberColumn("Lines", format="localized", width=80),
        "messages": st.column_config.NumberColumn(
            "Messages", format="localized", width=80, help="Distinct normalized texts"
        ),
        "threshold": st.column_config.NumberColumn("Threshold", format="%.4f", width=80),
        "false_alarms": st.column_config.NumberColumn(
            "False alarms", format="percent", width=90, help="Share of lines like the learnt ones that may be flagged"
        ),
        "size": st.column_config.TextColumn("Size", width=70),
        "trained": st.column_config.TextColumn("Trained", width=90),
        "problem": st.column_config.TextColumn("Problem", width=400),
    }
    names = [model.name for model in models]
    from_link("model", MODEL_KEY, lambda text: text if text in names else None)

    def keep() -> None:
        selection = st.session_state["models_table"]["selection"]
        chosen = selection["rows"] or [row for row, _ in selection["cells"]]
        if chosen and chosen[0] < len(names):
            st.session_state[MODEL_KEY] = names[chosen[0]]

    st.dataframe(
        pl.DataFrame([vars(row_of(model)) for model in models], infer_schema_length=None),
        hide_index=True,
        row_height=ROW_PX,
        column_order=[name for name in columns if name != "problem" or any(model.error for model in models)],
        column_config=columns,
        on_select=keep,
        selection_mode=["single-row", "single-cell"],
        placeholder="",
        key="models_table",
    )
    chosen = st.session_state.get(MODEL_KEY)
    to_link(model=chosen)
    return chosen if chosen in names else names[0]


def model_section(name: str) -> None:
    """What can be done with a bundle, its card, how it learnt, and its settings."""
    try:
        details = workbench.model_details(name)
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")
        delete_button(name)
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{literal(name)}**", width="stretch")
            if st.button("Score a log with it", icon=":material/play_arrow:"):
                st.switch_page(DATA_PAGE)
            delete_button(name)
        runs_of(name)
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


def runs_of(name: str) -> None:
    """Runs scored with a model; a click opens one."""
    runs = [run for run in workbench.runs() if run.model == name]
    if not runs:
        st.caption("No run was scored with it yet.")
        return
    with st.expander(f"Runs scored with it ({len(runs):,})", icon=":material/list:"):
        rows = [{"file": run.name, "lines": run.n_lines, "when": age_text(run.created_utc)} for run in runs]
        chosen = st.dataframe(
            in_cells(pl.DataFrame(rows)),
            hide_index=True,
            row_height=ROW_PX,
            column_config={
                "file": st.column_config.TextColumn("File", width=300),
                "lines": st.column_config.NumberColumn("Lines", format="localized", width=80),
                "when": st.column_config.TextColumn("When", width=100),
            },
            on_select="rerun",
            selection_mode=["single-row", "single-cell"],
            key=f"runs_of_{name}",
        )
        picked = chosen.selection.rows or [row for row, _ in chosen.selection.cells]
        if picked and picked[0] < len(runs):
            open_run(runs[picked[0]].run_id)


def delete_button(name: str) -> None:
    """Remove the bundle, once the analyst has said so twice; what is shipped stays."""
    shipped = any(model.is_shipped for model in workbench.models() if model.name == name)
    if shipped:
        return
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(f"Delete the model **{literal(name)}**? Runs scored with it stay.")
        if not st.button("Delete it", type="primary", key=f"delete_{name}"):
            return
        try:
            workbench.delete_model(name)
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
    name = st.text_input("Name of the model", value=suggested_name(path), max_chars=60, key=f"name_{path}")
    if any(model.name == name for model in workbench.models()):
        st.caption(f":material/warning: The model {literal(name)} is replaced when training ends well.")
    sessions = session_key()
    read = read_settings(format_choice())
    wait = busy(workbench.jobs())
    if st.button("Train", type="primary", icon=":material/model_training:", width="stretch", disabled=wait):
        try:
            workbench.start_training(paths, name, read, sessions)
        except WorkbenchError as error:
            st.error(literal(str(error)), icon=":material/error:")
        else:
            st.rerun()
    if wait:
        st.caption(WAIT)
    st.caption("One to two minutes, whatever the number of lines: each distinct message is learnt once.")


def suggested_name(path: Path) -> str:
    """A name for what a log teaches: its own, or its folder's where it is called train, val or test.

    Example:
        >>> suggested_name(Path("web_access/train.txt"))
        'web_access'
    """
    stem = path.name.split(".")[0]
    name = path.parent.name if stem in ("train", "val", "test") else stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "model"


if __name__ == "__main__":
    page()

"""What every page asks that takes a log: which file, and how its lines are read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import literal
from dashboard.link import from_link, to_link
from dashboard.session import TRAFFIC_PAGE, size_text

FILE_KEY = "chosen_file"
KEPT_FILE_KEY = "kept_file"
MORE_FILES_KEY, ADDED_KEY = "more_files", "files_added"
UPLOADED, DROPPED, SAMPLE = "uploaded", "in the drop folder, changed", "sample"
LABELS_SUFFIX = ".labels.csv"  # labels of the log beside them, no log themselves


def file_picker(welcome: str) -> Path | None:
    """The log to work on: what was uploaded or dropped, or a sample; None where none is chosen.

    Args:
        welcome: what to do where only samples are offered and none is chosen, Markdown; nothing where it is empty.
    """
    files = offered_files()
    from_link("log", KEPT_FILE_KEY, {file.name: path for path, file in files.items()}.get)
    # Dropped by Streamlit while another page was open; and set in every run, for two pages have a control of this key.
    chosen = st.session_state.get(FILE_KEY, st.session_state.get(KEPT_FILE_KEY))
    st.session_state[FILE_KEY] = chosen if chosen in files else None
    if welcome and st.session_state[FILE_KEY] is None and all(file.brought == SAMPLE for file in files.values()):
        st.markdown(welcome)
    if not files:
        return None
    chosen = st.selectbox(
        "Log file",
        list(files),
        index=None,
        placeholder="Choose a file",
        format_func=lambda path: files[path].name,
        key=FILE_KEY,
    )
    st.session_state[KEPT_FILE_KEY] = chosen
    to_link(log=None if chosen is None else files[chosen].name)
    if chosen is None:
        return None
    stat = chosen.stat()
    changed = "" if files[chosen].brought == SAMPLE else f" {datetime.fromtimestamp(stat.st_mtime):%Y-%m-%d %H:%M}"
    st.caption(f"{size_text(stat.st_size)} · {files[chosen].brought}{changed}")
    return Path(chosen)


def more_files(first: Path) -> list[Path]:
    """The files read as one run: the first, and those chosen to come after it."""
    files = {path: file for path, file in offered_files().items() if path != first}
    chosen = st.multiselect(
        "Files read after it, as one log",
        list(files),
        default=[path for path in kept_more(first) if path in files],
        placeholder="None; choose some in order of time",
        format_func=lambda path: files[path].name,
        key=f"more_{first}_{st.session_state.get(ADDED_KEY, 0)}",
    )
    st.session_state[MORE_FILES_KEY] = (first, chosen)
    if chosen:
        names = " → ".join(literal(path.name) for path in (first, *chosen))
        st.caption(f"Read in this order: {names}")
    return [first, *chosen]


def kept_more(first: Path) -> list[Path]:
    """What was chosen to be read after this file."""
    of, chosen = st.session_state.get(MORE_FILES_KEY, (None, []))
    return list(chosen) if of == first else []


def add_arrived(path: Path, follows: bool) -> None:
    """Choose what has just come in: as the log, or after the others that were chosen together with it."""
    state = st.session_state
    if follows and (first := state.get(FILE_KEY)) is not None:
        state[MORE_FILES_KEY] = (first, [*kept_more(first), path])
    else:
        state[FILE_KEY] = path
    state[ADDED_KEY] = state.get(ADDED_KEY, 0) + 1  # the control of the others is made anew with them


@dataclass(frozen=True)
class Offered:
    """A file that can be chosen: its name for people, and how it came here."""

    name: str
    brought: str


def offered_files() -> dict[Path, Offered]:
    """Files that can be chosen: uploads, the latest first, then the drop folder's, then samples; captures are none."""
    found = {path: Offered(path.name, UPLOADED) for path in uploads()}
    try:
        if folder := workbench.drop_folder():
            found |= {
                path: Offered(f"{path.relative_to(folder)} (drop folder)", DROPPED) for path in workbench.dropped()
            }
    except WorkbenchError as error:
        st.warning(literal(str(error)), icon=":material/folder_off:")
    found |= {path: Offered(sample_name(path), SAMPLE) for path in workbench.samples()}
    return {
        path: file
        for path, file in found.items()
        if not path.name.endswith(LABELS_SUFFIX) and not workbench.is_capture(path)
    }


def uploads() -> list[Path]:
    """Whole files of the inbox, the latest first."""
    return sorted(
        (path for path in workbench.inbox().iterdir() if path.is_file() and not path.name.startswith(".")),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )


def sample_name(path: Path) -> str:
    """A sample as the list of files names it."""
    return f"{path.parent.name}/{path.name} (sample)"


def captures_pointer() -> None:
    """Where captures that were uploaded here can be scored; nothing without any."""
    captures = [path.name for path in uploads() if workbench.is_capture(path)]
    if captures:
        more = f" and {len(captures) - 1:,} more" if len(captures) > 1 else ""
        kind = "are packet captures" if more else "is a packet capture"
        st.caption(f"{literal(captures[0])}{more} {kind}, no log:")
        st.page_link(TRAFFIC_PAGE, label="Score it on the Traffic page", icon=":material/lan:")


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


def contamination_choice(key: str) -> float:
    """Share of the lines learnt from that may be abnormal, 0 to 0.5; 0 where the analyst does not say."""
    percent = st.number_input(
        "Abnormal lines in it, at most (%)",
        min_value=0.0,
        max_value=50.0,
        value=None,
        step=0.5,
        placeholder="not known",
        help="If you know that the log holds attacks or faults, and about how many: the strangest so many lines are "
        "not learnt from. A log scored against itself then has so many lines flagged. Too high a number makes rare "
        "harmless lines strange.",
        key=key,
    )
    return (percent or 0.0) / 100


def session_key() -> str | None:
    """The expression that names a line's session, or None."""
    typed = st.text_input(
        "Session key",
        placeholder="none",
        help="A regular expression whose first group names the session of a line, such as (blk_-?\\d+): "
        "sessions are scored beside lines. The word source stands for the client or process behind a line.",
    )
    return typed.strip() or None

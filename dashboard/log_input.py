"""What every page asks that takes a log: which file, and how its lines are read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import streamlit as st

from core import workbench
from dashboard.session import size_text

FILE_KEY = "chosen_file"
KEPT_FILE_KEY = "kept_file"
LABELS_SUFFIX = ".labels.csv"  # labels of the log beside them, no log themselves


def file_picker(welcome: str) -> Path | None:
    """The log to work on: what was uploaded, or a sample; None where none is chosen.

    Args:
        welcome: what to do where there is no file yet, Markdown.
    """
    inbox = sorted(
        (path for path in workbench.inbox().iterdir() if path.is_file() and not path.name.startswith(".")),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    samples = workbench.samples()
    files = [path for path in (*inbox, *samples) if not path.name.endswith(LABELS_SUFFIX)]
    if not inbox:
        st.markdown(welcome)
    if not files:
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
        format_func=lambda path: f"{path.parent.name}/{path.name} (sample)" if path in samples else path.name,
        key=FILE_KEY,
    )
    st.session_state[KEPT_FILE_KEY] = chosen
    if chosen is None:
        return None
    stat = chosen.stat()
    brought = "sample" if chosen in samples else f"uploaded {datetime.fromtimestamp(stat.st_mtime):%Y-%m-%d %H:%M}"
    st.caption(f"{size_text(stat.st_size)} · {brought}")
    return Path(chosen)


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


def session_key() -> str | None:
    """The expression that names a line's session, or None."""
    typed = st.text_input(
        "Session key",
        placeholder="none",
        help="A regular expression whose first group names the session of a line, such as (blk_-?\\d+): "
        "sessions are scored beside lines. The word source stands for the client or process behind a line.",
    )
    return typed.strip() or None

"""The drop area that sends one log to the upload route in slices."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from dashboard.components import register
from dashboard.upload import UPLOADS

_mount = register(
    "upload_control",
    """
    <div class="frame upload">
      <label class="drop">
        <input type="file">
        <span class="title"><span class="what"></span>, or <span class="link">choose one</span></span>
        <span class="hint taken">Plain text, .gz, .zst, .bz2, JSON lines or CSV. It stays on this machine.</span>
      </label>
      <div class="sending" hidden>
        <div class="row"><b class="name"></b><button type="button" class="cancel">Cancel</button></div>
        <div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100"><div></div></div>
        <div class="hint" aria-live="polite"></div>
      </div>
      <div class="problem" role="alert" hidden></div>
      <div class="unfinished"></div>
    </div>
    """,
)


@dataclass(frozen=True)
class Arrived:
    """A file that came in.

    Attributes:
        name: of the file in the inbox.
        follows: it was chosen together with the one before.
    """

    name: str
    follows: bool


def upload_control(key: str, what: str = "log", hint: str | None = None, several: bool = False) -> Arrived | None:
    """Show the control.

    Args:
        key: of the widget.
        what: the sort of file asked for, in a word.
        hint: what is taken; None for what a log may be.
        several: files may be chosen together; they come one after the other.

    Returns:
        The file, once, in the run that follows a finished upload; else None.
    """
    token_key, answered_key, arrived_key = f"{key}_token", f"{key}_answered", f"{key}_arrived"
    state = st.session_state

    def ended() -> None:
        told = state[key].get("ended")
        if not isinstance(told, dict) or not isinstance(told.get("serial"), int):
            return
        state[answered_key] = told["serial"]
        if told.get("gone_on"):
            state.pop(token_key, None)  # the browser goes on with that file later
        elif isinstance(told.get("name"), str):
            state[arrived_key] = Arrived(told["name"], bool(told.get("follows")))
        else:
            # A cancelled or refused file leaves its token bound to that file: the next file needs another.
            UPLOADS.revoke(state.pop(token_key, ""))

    if not UPLOADS.is_open(state.get(token_key, "")):
        state[token_key] = UPLOADS.issue()
    data = {"max_bytes": UPLOADS.max_bytes, "what": what, "hint": hint, "several": several}
    _mount(
        key=key,
        data={**data, "token": state[token_key], "answered": state.get(answered_key, 0)},
        on_ended_change=ended,
    )
    return state.pop(arrived_key, None)

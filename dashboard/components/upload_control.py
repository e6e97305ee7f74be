"""The drop area that sends one log to the upload route in slices."""

from __future__ import annotations

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
    </div>
    """,
)


def upload_control(key: str, what: str = "log", hint: str | None = None) -> str | None:
    """Show the control.

    Args:
        key: of the widget.
        what: the sort of file asked for, in a word.
        hint: what is taken; None for what a log may be.

    Returns:
        The name of the file in the inbox, once, in the run that follows a finished upload; else None.
    """
    token_key = f"{key}_token"
    if not UPLOADS.is_open(st.session_state.get(token_key, "")):
        st.session_state[token_key] = UPLOADS.issue()
    answer = _mount(
        key=key,
        data={"token": st.session_state[token_key], "max_bytes": UPLOADS.max_bytes, "what": what, "hint": hint},
        on_uploaded_change=lambda: None,
        on_renew_change=lambda: None,
    )
    if answer.renew and UPLOADS.is_open(st.session_state[token_key]):
        # A cancelled or refused file leaves its token bound to that file: the next file needs another.
        UPLOADS.revoke(st.session_state.pop(token_key))
        st.rerun()
    return answer.uploaded

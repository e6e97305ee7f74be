"""The queue of lines to judge, the verdict keys and the line in view, moved through in the browser.

The browser goes on at once and tells the server what was done; each act has a serial number and is sent again until the
server has answered it, so that none is lost when keys come faster than answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import streamlit as st

from dashboard.acts import Act, acts_of
from dashboard.components import register
from dashboard.components.line_detail import LineDetail
from dashboard.keys import move_buttons, verdict_buttons

_mount = register(
    "review_board",
    f"""
    <div class="frame board">
      <div class="queue" role="listbox" tabindex="0" aria-label="Lines to review"></div>
      <div class="side">
        <div class="bar">
          <div class="keys" role="group" aria-label="Verdict">
            {verdict_buttons('<span class="many"></span>')}
            <span class="gap"></span>
            {move_buttons()}
          </div>
          <div class="extras">
            <input type="text" class="note" maxlength="2000" aria-label="Note"
              placeholder="Note, kept with the verdict. Enter saves it alone, Esc leaves the field">
            <label class="scope"><input type="checkbox"><span></span></label>
          </div>
        </div>
        <div class="detail"></div>
      </div>
    </div>
    """,
    parts=("line_view", "board"),
)


@dataclass(frozen=True)
class QueueRow:
    """A line of the queue; by message it stands for all lines of its text."""

    line_no: int
    text_id: int | None
    score: float
    text: str
    count: int  # lines of its text
    label: str | None  # of the verdict in force


def review_board(
    rows: list[QueueRow],
    current: int,
    details: list[LineDetail],
    threshold: float,
    by_message: bool,
    most_lines: int,
    answered: int,
    on_acts: Callable[[list[Act]], None],
    key: str,
) -> None:
    """Show the board.

    Args:
        rows: the queue, in order.
        current: the line in view; it need not be in the queue.
        details: of the line in view and of those a key away.
        threshold: lines at or above it are flagged.
        by_message: rows stand for messages.
        most_lines: of one verdict.
        answered: the serial of the last act done.
        on_acts: called, before the page runs again, with what was done since; some of it may have been there before.
        key: of the widget.
    """
    _mount(
        key=key,
        data={
            "rows": [asdict(row) for row in rows],
            "current": current,
            "details": [asdict(detail) for detail in details],
            "threshold": threshold,
            "by_message": by_message,
            "most_lines": most_lines,
            "answered": answered,
        },
        on_acts_change=lambda: on_acts(acts_of(st.session_state[key]["acts"])),
    )

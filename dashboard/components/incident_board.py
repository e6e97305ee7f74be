"""The list of incidents with their verdict keys, moved through in the browser; see `dashboard.acts`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import streamlit as st

from dashboard.acts import Act, acts_of
from dashboard.components import register
from dashboard.keys import move_buttons, verdict_buttons

_mount = register(
    "incident_board",
    f"""
    <div class="frame board">
      <div class="keys" role="group" aria-label="Verdict on all lines of the incident">
        {verdict_buttons()}
        <span class="scope faint" aria-live="polite"></span>
        <span class="gap"></span>
        {move_buttons()}
      </div>
      <div class="table">
        <div class="row head" aria-hidden="true">
          <span></span><span>Score</span><span>Incident, and its worst line</span><span>Sources</span>
          <span class="when">First and last seen</span><span>Course</span><span class="number">Lines</span>
        </div>
        <div class="queue" role="listbox" tabindex="0" aria-label="Incidents"></div>
      </div>
    </div>
    """,
    parts=("line_view", "board"),
)


@dataclass(frozen=True)
class IncidentRow:
    """An incident of the list. Every text is as it came from the log; the browser puts it in as text.

    Attributes:
        line_no: of its first line, and its name.
        title: its telling words.
        example: the message of its worst line, cut.
        score: of that line.
        sources: where its lines come from, in words.
        seen: first and last time or line, in words.
        spark: lines in equal spans of the run.
        n_lines: all of them.
        n_messages: distinct ones.
        judged: label to lines.
    """

    line_no: int
    title: str
    example: str
    score: float
    sources: str
    seen: str
    spark: list[int]
    n_lines: int
    n_messages: int
    judged: dict[str, int]


def incident_board(
    rows: list[IncidentRow],
    current: int,
    most_lines: int,
    answered: int,
    on_acts: Callable[[list[Act]], None],
    key: str,
) -> None:
    """Show the list.

    Args:
        rows: the incidents, in order; at least one.
        current: the one in view.
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
            "most_lines": most_lines,
            "answered": answered,
        },
        on_acts_change=lambda: on_acts(acts_of(st.session_state[key]["acts"])),
    )

"""What the browser does on a board, and the server answers: each act once and in order, come what may twice or late."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.errors import WorkbenchError

_ONE_AT_A_TIME = threading.Lock()
"""Held while acts are done: a page starts anew while its last run may still be writing a verdict, and an act that came
late would be the one that undo takes back. Here and not on a page, whose module is executed in each run."""


@dataclass(frozen=True)
class Act:
    """What the analyst did.

    Attributes:
        serial: rises with each act of a session.
        kind: "open" a row, "verdict", "note" alone, or "undo".
        line_no: the line in view, or the incident by its first line.
        label: of a verdict.
        note: as it stands in the field.
        whole_message: the verdict is for all lines of the line's text.
    """

    serial: int
    kind: str
    line_no: int
    label: str
    note: str
    whole_message: bool


def acts_of(sent: Any) -> list[Act]:
    """Acts as the browser sent them; what is not one is left out."""
    found = []
    for item in sent if isinstance(sent, list) else []:
        try:
            act = Act(**item)
        except TypeError:
            continue
        if all(isinstance(getattr(act, name), int) for name in ("serial", "line_no")) and isinstance(act.note, str):
            found.append(act)
    return found


def performer(board: str, perform: Callable[[Act], None]) -> Callable[[list[Act]], None]:
    """Does what the browser tells, each act once; a mistake is kept for `problem`.

    Args:
        board: name of the board, one a page and run.
        perform: does one act; raises WorkbenchError where it cannot be done.
    """

    def perform_all(acts: list[Act]) -> None:
        with _ONE_AT_A_TIME:
            for act in acts:
                if act.serial <= answered(board):
                    continue
                st.session_state[f"answered_{board}"] = act.serial
                try:
                    perform(act)
                except WorkbenchError as error:
                    st.session_state[f"problem_{board}"] = str(error)

    return perform_all


def answered(board: str) -> int:
    """The serial of the last act done."""
    return int(st.session_state.get(f"answered_{board}", 0))


def problem(board: str) -> str | None:
    """What went wrong in the last acts, once."""
    return st.session_state.pop(f"problem_{board}", None)

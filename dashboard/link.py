"""What a page shows, in its address: a link opened by someone else, or a reload, shows the same.

The address is read when a session has not chosen yet and written on every run. What it says comes from anyone, so it is
checked like any input, and what cannot be is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

LONGEST = 500  # characters of a value


def from_link(name: str, key: str, read: Callable[[str], Any]) -> None:
    """Let the address say what this session has not chosen.

    Args:
        name: of the value in the address.
        key: of the session's state.
        read: the value of its text; None or a ValueError where it is none.
    """
    text = st.query_params.get(name)
    if text is None or key in st.session_state or len(text) > LONGEST:
        return
    try:
        value = read(text)
    except ValueError:
        return
    if value is not None:
        st.session_state[key] = value


def to_link(**values: str | None) -> None:
    """Put values into the address; None takes one out of it."""
    for name, value in values.items():
        if value is None or len(value) > LONGEST:
            if name in st.query_params:
                del st.query_params[name]
        elif st.query_params.get(name) != value:
            st.query_params[name] = value


def whole_number(least: int, most: int) -> Callable[[str], int | None]:
    """Reads a whole number within limits."""

    def read(text: str) -> int | None:
        if not (text.isdecimal() and text.isascii() and len(text) < 12):
            return None
        return int(text) if least <= int(text) <= most else None

    return read


def share(text: str) -> float | None:
    """A number from 0 to 1.

    Example:
        >>> share("0.25"), share("2"), share("nan")
        (0.25, None, None)
    """
    value = float(text)
    return value if 0 <= value <= 1 else None

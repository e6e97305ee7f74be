"""What a page shows, in its address: a link opened by someone else, or a reload, shows the same.

The address is read when a session has not chosen yet and written on every run. What it says comes from anyone, so it is
checked like any input, and what cannot be is passed over. A page that was left shows the same too when one comes back:
Streamlit forgets the controls of other pages, so what the address said of them is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

LONGEST = 500  # characters of a value
_PAGE_KEY, _LEFT_KEY = "page_in_view", "addresses_left"


def come_to(*page: str | None) -> None:
    """Say which page this is; without an address, as the navigation leads to it, it gets the one it was left with.

    Args:
        page: its name, and the run where it is about one: what tells its address from others.
    """
    st.session_state[_PAGE_KEY] = page
    if not st.query_params:
        st.query_params.from_dict(st.session_state.get(_LEFT_KEY, {}).get(page, {}))


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
    said = st.query_params.to_dict()
    says = {name: value for name, value in (said | values).items() if value is not None and len(value) <= LONGEST}
    if says != said:  # written again, it would take away what the browser has put in itself
        st.query_params.from_dict(says)
    st.session_state.setdefault(_LEFT_KEY, {})[st.session_state.get(_PAGE_KEY)] = says


def word_of(value: Any, words: dict[str, Any]) -> str | None:
    """The word that stands for a value in an address; None where the value needs none.

    Example:
        >>> word_of("All lines", {"all": "All lines"})
        'all'
    """
    return next((word for word, meant in words.items() if meant == value), None)


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

"""Small charts of the groups a log falls into; a click picks one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from dashboard.components import register

_mount = register("small_multiples", '<div class="frame multiples" role="group"></div>')


@dataclass(frozen=True)
class Multiple:
    """One group of lines.

    Attributes:
        id: handed back where it is picked.
        name: as it stands in the log, cut.
        n_flagged: lines at or above the threshold.
        said: what follows that number, in words; they say what the bars do.
        lines: a bar each.
        flagged: the flagged part of each bar.
        picked: it is the one the table shows.
    """

    id: str | int
    name: str
    n_flagged: int
    said: str
    lines: Sequence[int]
    flagged: Sequence[int]
    picked: bool = False


def small_multiples(
    items: Sequence[Multiple], label: str, on_pick: Callable[[str | int | None], None], key: str
) -> None:
    """Show them.

    Args:
        items: the groups, in order.
        label: what they are, for who cannot see them.
        on_pick: told the id of the one clicked, None where it was picked before; before the run that follows.
        key: of the widget.
    """

    def picked() -> None:
        if isinstance(sent := st.session_state[key].get("picked"), dict):
            on_pick(sent.get("id"))

    _mount(key=key, data={"items": [asdict(item) for item in items], "label": label}, on_picked_change=picked)

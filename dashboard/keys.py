"""The keys of every page: the boards' buttons carry them, and the help lists them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Key:
    """A key and what it does.

    Attributes:
        keys: as they are printed on a keyboard; any of them.
        does: in words.
        repeats: whether held down it goes on.
    """

    keys: tuple[str, ...]
    does: str
    repeats: bool = False

    def button(self, kind: str, html: str) -> str:
        """A button of a board that this key presses.

        Args:
            kind: attributes that say what it is, such as `class="undo"`; constant.
            html: its words; constant.
        """
        repeats = " data-repeats" if self.repeats else ""
        shown = escape(self.keys[0])
        return f'<button type="button" {kind} data-key="{shown.lower()}"{repeats}>{html} <kbd>{shown}</kbd></button>'


ABNORMAL = Key(("A",), "judge it abnormal, and go to the next")
NORMAL = Key(("N",), "judge it normal, and go to the next")
UNSURE = Key(("U",), "leave it unsure, and go to the next")
UNDO = Key(("Z",), "take the last verdict back")
NEXT = Key(("J", "↓"), "go to the next", repeats=True)
PREVIOUS = Key(("K", "↑"), "go to the one before", repeats=True)
BOARD = (ABNORMAL, NORMAL, UNSURE, UNDO, NEXT, PREVIOUS)
SLIDER = (
    Key(("←", "→"), "move the threshold by 0.001; with Shift by 0.0001"),
    Key(("Page Up", "Page Down"), "move it by 0.01"),
    Key(("Home", "End"), "move it to either end"),
)
MAP = (
    Key(("←", "→", "↑", "↓"), "move the map"),
    Key(("+", "−"), "zoom"),
    Key(("0",), "show the whole map"),
    Key(("Esc",), "select nothing"),
)
EVERYWHERE = (
    Key(("?",), "these keys"),
    Key(("Tab",), "go to the next control, list or table; Enter or Space presses it"),
    Key(("↑", "↓"), "in a table: move; Space picks the row"),
)
PAGES: dict[str, tuple[tuple[str, tuple[Key, ...]], ...]] = {
    "Threshold": (("On the line of the histogram", SLIDER),),
    "Validate": (("On the operating point", SLIDER),),
    "Incidents": (("Anywhere on the page, for the incident in view", BOARD),),
    "Review": (
        ("Anywhere on the page, for the line in view", BOARD),
        ("In the note", (Key(("Enter",), "keep the note without a verdict"), Key(("Esc",), "leave the field"))),
    ),
    "Explore": (("On the map", MAP),),
    "Traffic": (
        ("On the line of the histogram", SLIDER),
        ("Anywhere on the page, for the flow in view", (ABNORMAL, NORMAL, UNSURE, UNDO)),
    ),
}
"""What a page hears beside EVERYWHERE, by its title and by where it hears it."""


def verdict_buttons(extra: str = "") -> str:
    """The buttons of a board that judge; `extra` follows each one's words."""
    marks = (("abnormal", "✖", ABNORMAL), ("normal", "✔", NORMAL), ("unsure", "?", UNSURE))
    return "".join(
        key.button(f'data-label="{label}"', f'<span class="verdict {label}">{mark}</span> {label.capitalize()}{extra}')
        for label, mark, key in marks
    )


def move_buttons() -> str:
    """The buttons of a board that take back and go on."""
    return "".join(
        key.button(f'class="{name.lower()}"', name)
        for name, key in (("Undo", UNDO), ("Previous", PREVIOUS), ("Next", NEXT))
    )

"""Text of a log made safe to show: on a terminal, a page or in a report."""

from __future__ import annotations

import os
from pathlib import Path


def printable(text: str) -> str:
    r"""Text from a log for a terminal or a page, which act on control characters and marks of direction: written out.

    Example:
        >>> printable("caf\xe9 \x1b[2J")
        'caf\xe9 \\x1b[2J'
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def path_text(path: str | Path) -> str:
    """A path as text; bytes of it that are not UTF-8 are shown as �."""
    return os.fsencode(path).decode("utf-8", "replace")


def shortened(text: str, most: int) -> str:
    """Text of a log as a page shows it: the first `most` characters, and how many more there are.

    Example:
        >>> shortened("a" * 1_005, 5)
        'aaaaa … (1,000 characters more)'
    """
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} characters more)"

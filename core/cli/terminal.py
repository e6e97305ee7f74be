"""What the commands write: progress, JSON, and text that a terminal cannot act on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import click


def printable(text: str) -> str:
    r"""Text from a log for a terminal, which acts on control characters: they are written out.

    Example:
        >>> printable("caf\xe9 \x1b[2J")
        'caf\xe9 \\x1b[2J'
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def progress_line() -> Callable[[str, int, int], None]:
    """A line on standard error, rewritten in place; nothing where it is not a terminal."""
    if not sys.stderr.isatty():
        return lambda step, done, total: None
    last = [0.0]

    def show(step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - last[0] > 0.1:
            last[0] = now
            share = f" {done / total:4.0%}" if total else ""
            click.echo(f"\r\x1b[K{step}{share}", nl=False, err=True)

    click.get_current_context().call_on_close(lambda: click.echo("\r\x1b[K", nl=False, err=True))
    return show


def print_json(value: Any) -> None:
    """One value on standard output, for machines."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))

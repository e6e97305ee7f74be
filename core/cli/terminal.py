"""What the commands write: progress, JSON, and text that a terminal cannot act on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from core.display import printable

_progress_shown = False


def progress_line() -> Callable[[str, int, int], None]:
    """A line on standard error, rewritten in place; nothing where it is not a terminal."""
    if not sys.stderr.isatty():
        return lambda step, done, total: None
    last = 0.0

    def show(step: str, done: int, total: int) -> None:
        global _progress_shown
        nonlocal last
        now = time.monotonic()
        if now - last > 0.1:
            last, _progress_shown = now, True
            share = f" {done / total:4.0%}" if total else ""
            click.echo(f"\r\x1b[K{step}{share}", nl=False, err=True)

    click.get_current_context().call_on_close(_clear_progress)
    return show


def say(text: str, err: bool = False) -> None:
    """A line on standard output, or error, in place of the progress line where one stands."""
    _clear_progress()
    click.echo(text, err=err)


def _clear_progress() -> None:
    global _progress_shown
    if _progress_shown:
        click.echo("\r\x1b[K", nl=False, err=True)
    _progress_shown = False


def print_json(value: Any) -> None:
    """One value on standard output, for machines; what a terminal would act on is escaped, as JSON may."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    safe = (char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
    say("".join(safe))


__all__ = ["print_json", "printable", "progress_line", "say"]

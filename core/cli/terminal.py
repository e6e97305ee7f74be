"""What the commands write: progress, JSON, and text that a terminal cannot act on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from core.display import printable


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
    """One value on standard output, for machines; what a terminal would act on is escaped, as JSON may."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    safe = (char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
    click.echo("".join(safe))


__all__ = ["print_json", "printable", "progress_line"]

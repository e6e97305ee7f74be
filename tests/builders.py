"""Real-looking logs with planted anomalies, made from a seed. Synthetic; for tests only."""

import csv
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from core.records import LOG_TABLE_SCHEMA
from core.store import RunWriter

PAGES = [
    "/",
    "/index.html",
    "/login",
    "/shop/list",
    "/shop/item?id={}",
    "/static/site.css",
    "/static/app.js?v={}",
    "/img/{}.png",
]
ATTACKS = [
    "/shop/item?id=1%27%20OR%20%271%27=%271",
    "/../../../../etc/passwd",
    "/cgi-bin/.%2e/.%2e/bin/sh",
    "/search?q=<script>alert(1)</script>",
    "/wp-admin/setup-config.php?step=1",
]

HOSTILE_LINES = [  # a script tag, a picture, terminal escapes, right-to-left marks, a formula, a megabyte
    "<script>window.pwned=1</script> login failed",
    "<img src=x onerror=window.pwned=1> ![a](http://evil.example/i.png) :red[r] $a$ `c`",
    "\x1b[2J\x1b]0;owned\x07 terminal",
    "\u202eevil\u2066 txt.exe",
    '=HYPERLINK("http://evil.example","open")',
    "A" * 1_000_000,
]
"""Lines that must come out as text, whatever shows them."""


def access_log(n_lines: int, n_attacks: int = 0, seed: int = 0) -> tuple[list[str], list[int]]:
    """Lines of an access log and their labels (1 for a planted attack)."""
    draw = random.Random(seed)
    attacks = set(draw.sample(range(n_lines), n_attacks))
    lines, labels = [], []
    for number in range(n_lines):
        bad = number in attacks
        page = draw.choice(ATTACKS) if bad else draw.choices(PAGES, weights=[9, 9, 2, 6, 9, 9, 9, 9])[0]
        target = page.format(draw.randrange(1_000))
        status = draw.choice([400, 404, 403]) if bad else draw.choices([200, 304, 404], weights=[90, 8, 2])[0]
        method = "POST" if page == "/login" else "GET"
        time = f"{10 + number // 3600 % 12:02d}:{number // 60 % 60:02d}:{number % 60:02d}"
        lines.append(
            f"203.0.113.{draw.randrange(1, 40)} - - [10/Oct/2023:{time} +0000] "
            f'"{method} {target} HTTP/1.1" {status} {draw.randrange(200, 9_000)} "-" "Mozilla/5.0 (X11; Linux x86_64)"'
        )
        labels.append(int(bad))
    return lines, labels


def log_of_failures(n_lines: int) -> tuple[list[str], list[int]]:
    """Distinct lines and their labels: failures (1) all look alike, half the other lines look like nothing else."""
    lines = []
    for no in range(n_lines):
        word = "".join(chr(ord("a") + int(digit)) for digit in f"{no:03d}")
        odd = " ".join(f"{word}{chr(ord('k') + place)}" for place in range(2 + no % 7))
        lines.append((f"disk {word} failed", f"user {word} came in", odd)[no % 3])
    return lines, [int(no % 3 == 0) for no in range(n_lines)]


def write_log(path: Path, lines: list[str]) -> Path:
    """A plain log."""
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def write_labelled(path: Path, lines: list[str], labels: list[int], sessions: list[str] | None = None) -> Path:
    """A labelled CSV."""
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["line", "label"] + (["session"] if sessions else []))
        for row, (line, label) in enumerate(zip(lines, labels, strict=True)):
            writer.writerow([line, label] + ([sessions[row]] if sessions else []))
    return path


def store_run(
    run_id: str,
    lines: list[tuple[str, str, float]],
    name: str = "",
    vectors: list[list[float]] | None = None,
    hosts: list[str | None] | None = None,
    **info: Any,
) -> str:
    """A stored run without a fit: for each line its raw text, normalized text ("" for a blank line) and score.

    `vectors` are the [CLS] vectors of the distinct texts in order of appearance; a quick run has none. `hosts` are
    those that wrote the lines.
    """
    texts = list(dict.fromkeys(text for _, text, _ in lines if text))
    score_of = {text: score for _, text, score in lines}
    tokens = [text.split()[:60] for text in texts]
    scores = [score_of[text] for text in texts]
    n_lines = len(lines)
    table = pl.DataFrame(
        {
            "line_no": range(1, n_lines + 1),
            "timestamp_utc": [datetime(2026, 11, 18) + timedelta(minutes=no) for no in range(n_lines)],
            "level": "INFO",
            "host": hosts,
            "component": "sshd",
            "session": None,
            "raw": [raw for raw, _, _ in lines],
            "rejection": None,
            "text_id": [texts.index(text) if text else None for _, text, _ in lines],
        },
        schema=LOG_TABLE_SCHEMA,
    )
    answers = pl.DataFrame(
        {
            "text_id": range(len(texts)),
            "normalized_text": texts,
            "level_class": "info",
            "count": [sum(text == other for _, other, _ in lines) for text in texts],
            "example": texts,
            "score": scores,
            "reason": "never seen",
            "tokens": tokens,
            "surprise": [[9.0 if len(token) > 7 else 0.2 for token in row] for row in tokens],
            "expected": [["usual"] * len(row) for row in tokens],
            "expected_p": [[0.75] * len(row) for row in tokens],
            "embedding": vectors,
            "nearest": "session opened",
            "knn": scores,
            "raw_knn": scores,
        },
        schema_overrides={"embedding": pl.List(pl.Float32)},
    )
    facts = {"name": name or f"{run_id}.log", "threshold": 0.5, "scorers": ["knn"], "weights": {"knn": 1.0}}
    with RunWriter(run_id) as writer:
        writer.add_lines(table)
        writer.finish(answers, facts | info)
    return run_id

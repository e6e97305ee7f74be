"""Real-looking logs with planted anomalies, made from a seed. Synthetic; for tests only."""

import csv
import random
from pathlib import Path

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

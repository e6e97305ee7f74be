"""One line as the Threshold and the Review page explain it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from core import workbench
from core.display import shortened
from dashboard.components.line_detail import Contribution, LineDetail, Neighbour, Said, Token
from dashboard.lines_table import without_headers

CONTEXT_LINES = 4
SHOWN_CHARS = 20_000  # of each text: a line of a megabyte would keep the browser laying it out for a minute
REASON_CHARS = 500
TOKEN_CHARS = 100
HEADER_CHARS = 200  # fields are looked for in this much of a line


def detail_of(
    reader: workbench.RunReader, line_no: int, threshold: float, scores: np.ndarray, counts: np.ndarray
) -> LineDetail:
    """Everything the detail shows of a line."""
    line = reader.line(line_no)
    score = float(line["score"])
    around = without_headers(reader.context(line_no, CONTEXT_LINES, CONTEXT_LINES))
    fields: list[tuple[str, Callable[[Any], str]]] = [
        ("timestamp_utc", lambda value: f"{value:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"),
        ("level", str),
        ("host", str),
        ("component", str),
        ("session", str),
        ("count", lambda value: f"{value:,}"),
        ("rejection", str),
    ]
    names = {"timestamp_utc": "time", "count": "lines with this text", "rejection": "not read as its format"}
    return LineDetail(
        line_no=line_no,
        score=score,
        standing=standing(score, scores, counts),
        state="normal" if score < threshold else "muted" if line["muted"] else "flagged",
        raw=shortened(line["raw"], SHOWN_CHARS),
        normalized_text=shortened(line["normalized_text"] or "", SHOWN_CHARS),
        text_id=line["text_id"],
        n_alike=line["count"] or 1,
        reasons=[shortened(part, REASON_CHARS) for part in (line["reason"] or "").split("; ") if part],
        tokens=tokens_of(line),
        contributions=contributions(reader.info, line),
        nearest=line["nearest"] and shortened(line["nearest"], SHOWN_CHARS),
        context=[
            Neighbour(
                row["line_no"], row["score"], row["score"] >= threshold and not row["muted"], row["raw"][:SHOWN_CHARS]
            )
            for row in around.iter_rows(named=True)
        ],
        message_at=message_at(around.filter(pl.col("line_no") == line_no)["raw"][0], line),
        fields=[
            *((names.get(name, name), word(line[name])) for name, word in fields if line[name] is not None),
            *session_size(reader, line["session"]),
        ],
    )


def session_size(reader: workbench.RunReader, session: str | None) -> list[tuple[str, str]]:
    """The field that says how many lines a line's session, or source, has; none without one."""
    return [] if session is None else [("lines of this session", f"{reader.session_lines(session):,}")]


def message_at(shown: str, line: dict[str, Any]) -> int:
    """About where the message begins in a line as shown: after the last of its fields, each where it first stands.

    A line that is shown without its header is its message: what looks like a field there is none.

    Example:
        >>> line = {"raw": "Nov 18 web1 sshd[7]: failed", "host": "web1", "component": "sshd", "level": None}
        >>> message_at(line["raw"], line), message_at("failed", line)
        (16, 0)
    """
    if shown != line["raw"]:
        return 0
    fields = [line[name] for name in ("host", "component", "level") if line[name]]
    return max((shown.find(field) + len(field) for field in fields if field in shown[:HEADER_CHARS]), default=0)


def standing(score: float, scores: np.ndarray, counts: np.ndarray) -> str:
    """Where a score stands among all lines.

    Example:
        >>> standing(0.9, np.array([0.1, 0.9]), np.array([999, 1]))
        'higher than 99.9% of lines'
    """
    total = int(counts.sum())
    below = int(counts[scores < score].sum())
    if below == 0:
        return "no line has a lower score"
    share = 100 * below / total
    # Cut, not rounded: 99.996 % is not 100 %.
    decimals = 1 if share < 99.9 else 3
    return f"higher than {np.floor(share * 10**decimals) / 10**decimals:g}% of lines"


def tokens_of(line: dict[str, Any]) -> list[Token] | None:
    """Tokens with their surprise and what the network expected there; None where no network read the text."""
    tokens, surprise = line["tokens"], line["surprise"]
    if not tokens or not surprise or not np.isfinite(surprise).any():
        return None
    expected = line["expected"] or [None] * len(tokens)
    shares = line["expected_p"] or [None] * len(tokens)
    return [
        Token(text[:TOKEN_CHARS], *((float(nats), piece, share) if np.isfinite(nats) else (None, None, None)))
        for text, nats, piece, share in zip(tokens, surprise, expected, shares, strict=True)
    ]


def contributions(run: workbench.RunInfo, line: dict[str, Any]) -> list[Contribution]:
    """What each scorer adds to the fused score, and what its source adds; empty for a blank line, which none saw."""
    total = sum(run.weights.get(name, 0.0) for name in run.scorers)
    if total <= 0 or line["text_id"] is None:
        return []
    votes = run.config.get("scoring", {}).get("combine") == "vote"
    found = []
    for name in run.scorers:
        value = float(line[name])
        part = float(value >= 0.5) if votes else value
        sees = workbench.WHAT_SCORERS_SEE.get(name, "")
        found.append(Contribution(name, value, run.weights.get(name, 0.0) / total * part, sees))
    if line["context"]:
        own = sum(item.share for item in found)
        sees = "how unusual, or how many a second, the other lines of its source are"
        found.append(Contribution("context", line["context"], max(0.0, line["score"] - own), sees))
    return found


def said_of(verdicts: pl.DataFrame, number: int, run_id: str, numbers: str = "line_no") -> Said | None:
    """The verdict or note on a line among those of `workbench.verdicts(run_id, notes=True)`; on a flow likewise."""
    found = verdicts.filter(pl.col(numbers) == number)
    if found.is_empty():
        return None
    row = found.row(0, named=True)
    did = f"Judged {row['label']}" if row["label"] else "Noted"
    carried = "" if row["run_id"] == run_id else f", carried over from a run of {row['run_name']}"
    return Said(row["label"], row["note"], f"{did} on {row['at_utc'][:10]} by {row['by']}{carried}")

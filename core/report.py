"""A run as one HTML page that needs nothing beside itself: no script, no other file, no request; printable.

Everything in it comes as plain values and is escaped here. Its Content-Security-Policy allows the one style sheet it
carries, by hash, and nothing else: a browser would run no script even if one got in.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

TEXT_CHARS = 600  # shown of a log text; the rest is left out and said so
_BINS = 50
_WIDTH, _HEIGHT = 900, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 8, 12, 28


@dataclass(frozen=True)
class Message:
    """A flagged message: a distinct normalized text and the lines that have it."""

    text: str
    count: int
    score: float
    reason: str
    nearest: str | None
    example: str
    first: str
    last: str


@dataclass(frozen=True)
class Judgement:
    """What an analyst said of a line."""

    line_no: int
    label: str
    score: float
    note: str
    by: str
    at: str
    line: str


@dataclass(frozen=True)
class Report:
    """What the page says, as plain values.

    Attributes:
        title: of the page.
        made: when and by what, in words.
        facts: name and value, of the run.
        numbers: name and value, the few that count.
        notes: remarks for the reader.
        threshold: lines at or above it are flagged; 0 to 1.
        scores: distinct score (0 to 1) and its lines.
        timeline: start of each span in words, its lines and its flagged lines.
        timeline_title: what the spans are of.
        messages: the flagged messages shown, most abnormal first.
        n_messages: flagged messages there are.
        judgements: the verdicts shown.
        n_judgements: verdicts there are.
        settings: as JSON.
    """

    title: str
    made: str
    threshold: float
    facts: Sequence[tuple[str, str]] = ()
    numbers: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    scores: Sequence[tuple[float, int]] = ()
    timeline: Sequence[tuple[str, int, int]] = ()
    timeline_title: str = ""
    messages: Sequence[Message] = ()
    n_messages: int = 0
    judgements: Sequence[Judgement] = ()
    n_judgements: int = 0
    settings: str = field(default="")


def html_report(report: Report) -> str:
    """The whole page."""
    policy = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    body = [
        f"<h1>{shown(report.title)}</h1>",
        f'<p class="faint">{shown(report.made)}</p>',
        _numbers(report.numbers),
        *(f"<p>{shown(note)}</p>" for note in report.notes),
        "<h2>Scores</h2>",
        histogram(report.scores, report.threshold),
        _timeline(report),
        _messages(report),
        _judgements(report),
        "<h2>The run</h2>",
        _facts(report.facts),
        f"<h2>Settings</h2><pre>{shown(report.settings, len(report.settings))}</pre>" if report.settings else "",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="'
        f"default-src 'none'; style-src 'sha256-{policy}'; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{shown(report.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def shown(text: str, most: int = TEXT_CHARS) -> str:
    r"""Text as HTML text or a quoted attribute: escaped, cut, and characters that do not print made visible.

    Example:
        >>> shown("<b>\x1b[31m")
        '&lt;b&gt;\\x1b[31m'
    """
    cut = text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} characters more)"
    return html.escape("".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in cut))


def histogram(scores: Sequence[tuple[float, int]], threshold: float) -> str:
    """Lines by score as SVG, on a logarithmic scale, with the threshold as a line between two bars."""
    edges = sorted({*(number / _BINS for number in range(_BINS + 1)), min(max(threshold, 0.0), 1.0)})
    counts = [0] * (len(edges) - 1)
    for score, n_lines in scores:
        # The last edge belongs to the last bar.
        place = next((place for place in range(len(counts)) if score < edges[place + 1]), len(counts) - 1)
        counts[place] += n_lines
    top = max([*counts, 1])
    ticks = [10**power for power in range(math.ceil(math.log10(top)) + 1)]

    def height(count: int) -> float:
        # The axis begins at half a line, so that a single line is seen.
        return math.log10(2 * count) / math.log10(2 * ticks[-1]) if count else 0.0

    bars = [
        (low, high, height(count), low >= threshold, f"{low:.2f} to {high:.2f}: {count:,} lines")
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]
    x = _x(threshold)
    anchor, beside = ("end", -5) if threshold > 0.85 else ("start", 5)
    front = [
        *(_x_tick(tenth / 10, f"{tenth / 10:.1f}") for tenth in range(0, 11, 2)),
        f'<line class="threshold" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>',
        f'<text x="{x + beside:.1f}" y="{_TOP + 10}" text-anchor="{anchor}">threshold {threshold:.4f}</text>',
    ]
    flagged = sum(n_lines for score, n_lines in scores if score >= threshold)
    label = f"Lines by score; {flagged:,} at or above the threshold {threshold:.4f}"
    return _svg(label, _y_ticks((height(tick), f"{tick:,}") for tick in ticks), bars, front)


def _timeline(report: Report) -> str:
    n_spans = len(report.timeline)
    top = max((flagged for _, _, flagged in report.timeline), default=0)
    if not top:
        return ""
    bars = [
        (place / n_spans, (place + 1) / n_spans, flagged / top, True, f"{start}: {flagged:,} of {n_lines:,} lines")
        for place, (start, n_lines, flagged) in enumerate(report.timeline)
    ]
    labels = range(0, n_spans, max(1, n_spans // 4))
    front = [_x_tick(place / n_spans, report.timeline[place][0], "start") for place in labels if place / n_spans < 0.9]
    title = report.timeline_title
    label = f"{title}; at most {top:,} in one of {n_spans} spans"
    return f"<h2>{shown(title)}</h2>\n" + _svg(label, _y_ticks([(1.0, f"{top:,}"), (0.0, "0")]), bars, front)


def _svg(
    label: str, behind: Iterable[str], bars: Iterable[tuple[float, float, float, bool, str]], front: Iterable[str]
) -> str:
    """Bars given as left, right and height (0 to 1 of the plot), flagged or not, and their words."""
    inner = _HEIGHT - _TOP - _BOTTOM
    drawn = [
        f'<rect class="{"flagged" if flagged else "normal"}" x="{_x(low):.1f}" '
        f'y="{_HEIGHT - _BOTTOM - height * inner:.1f}" width="{max(_x(high) - _x(low) - 1, 0.5):.1f}" '
        f'height="{height * inner:.1f}"><title>{shown(words)}</title></rect>'
        for low, high, height, flagged, words in bars
        if height
    ]
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{shown(label)}">'
        + "".join([*behind, *drawn, *front])
        + "</svg>"
    )


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _x_tick(share: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{_x(share):.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{shown(words)}</text>'


def _y_ticks(ticks: Iterable[tuple[float, str]]) -> Iterable[str]:
    inner = _HEIGHT - _TOP - _BOTTOM
    for share, words in ticks:
        y = _HEIGHT - _BOTTOM - share * inner
        yield f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{words}</text>'


def _numbers(numbers: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<div><dt>{shown(name)}</dt><dd>{shown(value)}</dd></div>" for name, value in numbers)
    return f'<dl class="numbers">{cells}</dl>' if cells else ""


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{shown(name)}</th>'
        f'<td class="{"mono" if name.startswith("SHA") else ""}">{shown(value)}</td></tr>'
        for name, value in facts
    )
    return f'<table class="facts">{rows}</table>'


def _messages(report: Report) -> str:
    if not report.messages:
        return "<h2>Flagged messages</h2>\n<p>No line is at or above the threshold.</p>"
    rows = "".join(_message(number, message) for number, message in enumerate(report.messages, 1))
    return (
        f"<h2>Flagged messages</h2>\n<p>{_of(len(report.messages), report.n_messages)}, highest score first. "
        "A message is what lines have in common once what differs among them is masked.</p>\n"
        '<table><thead><tr><th scope="col">No.</th><th scope="col">Score</th><th scope="col">Lines</th>'
        '<th scope="col">First and last seen</th><th scope="col">Message</th></tr></thead>\n'
        f"<tbody>{rows}</tbody></table>"
    )


def _message(number: int, message: Message) -> str:
    seen = shown(message.first) + (f"<br>{shown(message.last)}" if message.last != message.first else "")
    parts = [f'<p class="mono">{shown(message.text)}</p>']
    parts += [
        f'<p><span class="faint">{name}</span> <span class="{kind}">{shown(value)}</span></p>'
        for name, kind, value in (
            ("why", "", message.reason),
            ("a line", "mono", message.example),
            ("nearest normal", "mono", message.nearest),
        )
        if value
    ]
    return (
        f'<tr><td class="number">{number}</td><td class="number">{message.score:.4f}</td>'
        f'<td class="number">{message.count:,}</td><td class="seen">{seen}</td><td>{"".join(parts)}</td></tr>\n'
    )


def _judgements(report: Report) -> str:
    if not report.judgements:
        return ""
    rows = "".join(
        f'<tr><td class="number">{item.line_no:,}</td><td>{shown(item.label)}</td>'
        f'<td class="number">{item.score:.4f}</td>'
        f'<td class="mono">{shown(item.line)}</td><td>{shown(item.note)}</td>'
        f'<td class="seen">{shown(item.by)}<br>{shown(item.at)}</td></tr>\n'
        for item in report.judgements
    )
    return (
        f"<h2>Verdicts</h2>\n<p>{_of(len(report.judgements), report.n_judgements)}.</p>\n"
        '<table><thead><tr><th scope="col">Line</th><th scope="col">Verdict</th><th scope="col">Score</th>'
        '<th scope="col">As written</th><th scope="col">Note</th><th scope="col">By, at</th></tr></thead>\n'
        f"<tbody>{rows}</tbody></table>"
    )


def _of(n_shown: int, n_there: int) -> str:
    return f"All {n_there:,}" if n_shown >= n_there else f"The first {n_shown:,} of {n_there:,}"


_STYLE = """
:root { --ink: #1b2430; --faint: #55626f; --rule: #dde3ea; --paper: #fff; --normal: #0072b2; --flagged: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4eaf1; --faint: #9aa7b4; --rule: #2c3742; --paper: #11161c;
  --normal: #56b4e9; --flagged: #f0883e; } }
@media print { :root { --ink: #000; --faint: #444; --rule: #bbb; --paper: #fff; --normal: #0072b2; --flagged: #d55e00; }
  main { max-width: none; padding: 0; } tr, svg { break-inside: avoid; } h2 { break-after: avoid; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 14px/1.45 system-ui, sans-serif;
  font-variant-numeric: tabular-nums; }
main { max-width: 1100px; margin: 0 auto; padding: 24px; }
h1 { font-size: 22px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 28px 0 8px; }
p { margin: 4px 0; }
.faint { color: var(--faint); }
.mono, pre { font-family: ui-monospace, monospace; font-size: 12px; white-space: pre-wrap; overflow-wrap: anywhere; }
.numbers { display: flex; flex-wrap: wrap; gap: 8px 40px; margin: 16px 0; }
.numbers dt { color: var(--faint); }
.numbers dd { margin: 0; font-size: 20px; font-weight: 600; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; color: var(--faint); }
th, td { padding: 6px 12px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top; overflow-wrap: anywhere; }
thead { display: table-header-group; }
thead th { white-space: nowrap; overflow-wrap: normal; }
.facts { width: auto; }
.facts th { white-space: nowrap; padding-right: 24px; }
.number { text-align: right; white-space: nowrap; }
.seen { white-space: nowrap; }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--faint); }
.normal { fill: var(--normal); }
.flagged { fill: var(--flagged); }
.rule { stroke: var(--rule); }
.threshold { stroke: var(--ink); stroke-width: 2; }
"""

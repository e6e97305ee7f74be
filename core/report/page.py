"""A run as one HTML page that needs nothing beside itself: no script, no other file, no request; printable.

Everything in it comes as plain values and is escaped here. Its Content-Security-Policy allows the one style sheet it
carries, by hash, and nothing else: a browser would run no script even if one got in.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.report.charts import histogram, spark, timeline
from core.report.literal import shown


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
class Incident:
    """Flagged lines that are one thing.

    Attributes:
        title: its telling words.
        n_lines, n_messages: of it.
        first, last: when it was seen, in words.
        sources: where its lines come from, in words.
        score: of its worst line, 0 to 1.
        worst_no, worst: number of its worst line, and the line as written.
        spark: its lines in equal parts of the run.
        verdict: how its lines were judged, in words; "" where none was.
    """

    title: str
    n_lines: int
    n_messages: int
    first: str
    last: str
    sources: str
    score: float
    worst_no: int
    worst: str
    spark: Sequence[int]
    verdict: str = ""


@dataclass(frozen=True)
class Judgement:
    """What an analyst said of a line, and of n_lines - 1 more with its text."""

    line_no: int
    n_lines: int
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
        incidents: the incidents shown, the most abnormal first.
        n_incidents: incidents there are.
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
    incidents: Sequence[Incident] = ()
    n_incidents: int = 0
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
        _incidents(report),
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


def _timeline(report: Report) -> str:
    drawn = timeline(report.timeline, report.timeline_title)
    return f"<h2>{shown(report.timeline_title)}</h2>\n{drawn}" if drawn else ""


def _incidents(report: Report) -> str:
    if not report.incidents:
        return ""
    rows = "".join(_incident(number, incident) for number, incident in enumerate(report.incidents, 1))
    return (
        f"<h2>Incidents</h2>\n<p>{_of(len(report.incidents), report.n_incidents)}. An incident is flagged lines of one "
        "source or message, close in time.</p>\n"
        '<table><thead><tr><th scope="col">No.</th><th scope="col">Score</th><th scope="col">Lines</th>'
        '<th scope="col">First and last seen</th><th scope="col">Course</th>'
        '<th scope="col">Incident, and its worst line</th></tr></thead>\n'
        f"<tbody>{rows}</tbody></table>"
    )


def _incident(number: int, incident: Incident) -> str:
    messages = f"{incident.n_messages:,} {'message' if incident.n_messages == 1 else 'messages'}"
    about = " · ".join(part for part in (messages, incident.sources, incident.verdict) if part)
    return (
        f'<tr><td class="number">{number}</td><td class="number">{incident.score:.4f}</td>'
        f'<td class="number">{incident.n_lines:,}</td>{_seen(incident.first, incident.last)}'
        f"<td>{spark(incident.spark)}</td><td><p><b>{shown(incident.title)}</b></p>"
        f'<p class="faint">{shown(about)}</p><p><span class="faint">line {incident.worst_no:,}</span> '
        f'<span class="mono">{shown(incident.worst)}</span></p></td></tr>\n'
    )


def _seen(first: str, last: str) -> str:
    return f'<td class="seen">{shown(first)}{f"<br>{shown(last)}" if last != first else ""}</td>'


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
        f'<td class="number">{message.count:,}</td>{_seen(message.first, message.last)}<td>{"".join(parts)}</td></tr>\n'
    )


def _judgements(report: Report) -> str:
    if not report.judgements:
        return ""
    rows = "".join(
        f'<tr><td class="number">{item.line_no:,}{_and_more(item.n_lines - 1)}</td><td>{shown(item.label)}</td>'
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


def _and_more(n: int) -> str:
    return f'<br><span class="seen">and {n:,} more</span>' if n else ""


def _of(n_shown: int, n_there: int) -> str:
    return f"All {n_there:,}" if n_shown >= n_there else f"The first {n_shown:,} of {n_there:,}"


_STYLE = """
:root { --ink: #1b2430; --faint: #55626f; --rule: #dde3ea; --paper: #fff; --normal: #0072b2; --flagged: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4eaf1; --faint: #9aa7b4; --rule: #2c3742; --paper: #11161c;
  --normal: #56b4e9; --flagged: #f0883e; } }
@media print { :root { --ink: #000; --faint: #444; --rule: #bbb; --paper: #fff; --normal: #0072b2; --flagged: #d55e00; }
  main { max-width: none; padding: 0; } tr, svg { break-inside: avoid; } h2 { break-after: avoid; }
  details { display: none; } svg * { print-color-adjust: exact; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 14px/1.45 system-ui, sans-serif;
  font-variant-numeric: tabular-nums; }
main { max-width: 1100px; margin: 0 auto; padding: 24px; }
h1 { font-size: 22px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 28px 0 8px; }
p { margin: 4px 0; }
td p:first-child { margin-top: 0; }
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
.spark { width: 120px; }
details { margin: 4px 0 0; }
summary { color: var(--faint); cursor: pointer; }
svg text { font-size: 11px; fill: var(--faint); }
.normal { fill: var(--normal); }
.flagged { fill: var(--flagged); }
.rule { stroke: var(--rule); }
.threshold { stroke: var(--ink); stroke-width: 2; }
"""

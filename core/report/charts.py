"""Charts of the report as SVG in the page, each with what it says as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from core.report.literal import shown

_BINS = 50
_WIDTH, _HEIGHT = 900, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 8, 12, 28
_AXIS_WORDS = 18  # px below the ticks for what an axis shows


def histogram(scores: Sequence[tuple[float, int]], threshold: float) -> str:
    """Lines by score as SVG, on a logarithmic scale, with the threshold as a line between two bars."""
    threshold = min(max(threshold, 0.0), 1.0)
    highest = max([threshold, *(score for score, _ in scores)])
    tenths = min(10, math.floor(10 * highest) + 1)  # drawn; scores seldom come near 1
    edges = sorted({*(number / _BINS for number in range(tenths * _BINS // 10 + 1)), threshold})
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

    most = tenths / 10
    bars = [
        (low / most, high / most, height(count), low >= threshold, f"{low:.2f} to {high:.2f}: {_lines(count)}")
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]
    x = _x(threshold / most)
    anchor, beside = ("end", -5) if threshold / most > 0.85 else ("start", 5)
    front = [
        *(_x_tick(tenth / tenths, f"{tenth / 10:.1f}") for tenth in range(tenths + 1)),
        *_axis_words("score, higher is more abnormal", "lines, log scale"),
        f'<line class="threshold" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>',
        f'<text x="{x + beside:.1f}" y="{_TOP + 10}" text-anchor="{anchor}">threshold {threshold:.4f}</text>',
    ]
    flagged = sum(n_lines for score, n_lines in scores if score >= threshold)
    label = f"Lines by score; {flagged:,} at or above the threshold {threshold:.4f}"
    rows = [
        (f"{low:.2f} to {high:.2f}", f"{count:,}")
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
        if count
    ]
    drawn = _svg(label, _y_ticks((height(tick), f"{tick:,}") for tick in ticks), bars, front)
    return drawn + _as_table(("Score", "Lines"), rows)


def timeline(spans: Sequence[tuple[str, int, int]], title: str) -> str:
    """Flagged lines along the spans (start in words, lines, flagged lines) as SVG; "" where none is flagged."""
    top = max((flagged for _, _, flagged in spans), default=0)
    if not top:
        return ""
    n_spans = len(spans)
    bars = [
        (place / n_spans, (place + 1) / n_spans, flagged / top, True, f"{start}: {flagged:,} of {_lines(n_lines)}")
        for place, (start, n_lines, flagged) in enumerate(spans)
    ]
    labels = range(0, n_spans, max(1, n_spans // 4))
    front = [_x_tick(place / n_spans, spans[place][0], "start") for place in labels if place / n_spans < 0.9]
    timed = ":" in spans[0][0]
    front += _axis_words("start of a span" if timed else "first line of a span", "flagged lines")
    label = f"{title}; at most {top:,} in one of {n_spans} spans"
    rows = [(start, f"{flagged:,}", f"{n_lines:,}") for start, n_lines, flagged in spans if flagged]
    return _svg(label, _y_ticks([(1.0, f"{top:,}"), (0.0, "0")]), bars, front) + _as_table(
        ("From", "Flagged", "Lines"), rows
    )


def spark(counts: Sequence[int]) -> str:
    """Lines along the run, small; heights by the square root, so that one line beside a thousand is seen."""
    width, height = 120, 24
    step, most = width / max(1, len(counts)), math.sqrt(max([*counts, 1]))
    drawn = "".join(
        f'<rect class="flagged" x="{place * step:.1f}" y="{height - 1 - tall:.1f}" width="{step - 1:.1f}" '
        f'height="{tall:.1f}"/>'
        for place, count in enumerate(counts)
        if (tall := max(2.0, math.sqrt(count) / most * (height - 2)) if count else 0.0)
    )
    busiest = counts.index(max(counts)) + 1 if counts else 0
    label = f"Its course along the run: most lines in part {busiest} of {len(counts)}"
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        f'<line class="rule" x1="0" x2="{width}" y1="{height - 0.5}" y2="{height - 0.5}"/>{drawn}</svg>'
    )


def _as_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """What a chart says, for who does not see it."""
    head = "".join(f'<th scope="col">{shown(name)}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{shown(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        '<details><summary>As a table</summary><table class="facts">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
    )


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
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _AXIS_WORDS}" role="img" aria-label="{shown(label)}">'
        + "".join([*behind, *drawn, *front])
        + "</svg>"
    )


def _lines(count: int) -> str:
    return f"{count:,} {'line' if count == 1 else 'lines'}"


def _axis_words(below: str, beside: str) -> list[str]:
    """What the axes show."""
    middle = (_HEIGHT - _BOTTOM + _TOP) / 2
    return [
        f'<text x="{_x(0.5):.1f}" y="{_HEIGHT + _AXIS_WORDS - 6}" text-anchor="middle">{below}</text>',
        f'<text x="12" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 12 {middle:.1f})">{beside}</text>',
    ]


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

"""One line explained: scorers' shares, tokens by surprise, the nearest learnt message, the lines around it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dashboard.components import register

_mount = register("line_detail", '<div class="frame detail"></div>')


@dataclass(frozen=True)
class Contribution:
    """One scorer's part in the fused score."""

    scorer: str
    calibrated: float  # 0 to 1, higher is more abnormal
    share: float  # weight share times calibrated; the shares of all scorers sum to the fused score


@dataclass(frozen=True)
class Neighbour:
    """A line of the file before or after the one shown, or that line itself."""

    line_no: int
    score: float
    raw: str


@dataclass(frozen=True)
class LineDetail:
    """What the detail shows. Every text is as it came from the log; the browser puts it in as text.

    Attributes:
        standing: where the score stands among the lines, in words.
        flagged: whether the line is at or above the threshold of the page.
        tokens: pieces of the normalized text with their surprise in nats, where they have one; None where no network
            read the line.
        nearest: the most similar text among the learnt ones; None where none is known.
        message_at: characters of the line's own row in `context` that the header takes, about; the rows start there.
        fields: name and value, those that the line has.
    """

    line_no: int
    score: float
    standing: str
    flagged: bool
    raw: str
    normalized_text: str
    reasons: list[str]
    tokens: list[tuple[str, float | None]] | None
    contributions: list[Contribution]
    nearest: str | None
    context: list[Neighbour]
    message_at: int
    fields: list[tuple[str, str]]


def line_detail(detail: LineDetail, threshold: float, key: str) -> int | None:
    """Show the detail.

    Returns:
        The number of a line around it that was clicked, once; else None.
    """
    answer = _mount(
        key=key,
        data={**asdict(detail), "threshold": threshold},
        on_opened_change=lambda: None,
    )
    return None if answer.opened is None else int(answer.opened)

"""One line explained: scorers' shares, tokens by surprise, the nearest learnt message, the lines around it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dashboard.components import register

_mount = register("line_detail", '<div class="frame detail"></div>', parts=("line_view",))


@dataclass(frozen=True)
class Contribution:
    """One scorer's part in the score, or what the line's source adds ("context")."""

    scorer: str
    calibrated: float  # 0 to 1, higher is more abnormal
    share: float  # weight share times calibrated, of context the rest; all of them sum to the score
    sees: str = ""  # what it looks at, in words


@dataclass(frozen=True)
class Neighbour:
    """A line of the file before or after the one shown, or that line itself."""

    line_no: int
    score: float
    flagged: bool
    raw: str


@dataclass(frozen=True)
class Token:
    """A piece of the normalized text, and what the network expected in its place.

    Attributes:
        text: as WordPiece cuts; the inside of a word begins with ##.
        nats: -ln of its probability given the others; None where it has none.
        expected: the most likely piece there; None where that is not known.
        share: the probability of that piece, 0 to 1.
    """

    text: str
    nats: float | None
    expected: str | None
    share: float | None


@dataclass(frozen=True)
class Said:
    """What the analyst said of a line or a flow; label None where it is a note alone, `words` says who and when."""

    label: str | None
    note: str
    words: str


@dataclass(frozen=True)
class LineDetail:
    """What the detail shows. Every text is as it came from the log; the browser puts it in as text.

    Attributes:
        standing: where the score stands among the lines, in words.
        state: "flagged", at or above the threshold of the page; "muted", there too, but its message is; "normal".
        text_id: of its normalized text; None for a blank line.
        n_alike: lines with that text, itself among them.
        tokens: of the normalized text; None where no network read the line.
        nearest: the most similar text among the learnt ones; None where none is known.
        message_at: characters of the line's own row in `context` that the header takes, about; the rows start there.
        fields: name and value, those that the line has.
        said: the verdict in force, or None.
    """

    line_no: int
    score: float
    standing: str
    state: str
    raw: str
    normalized_text: str
    text_id: int | None
    n_alike: int
    reasons: list[str]
    tokens: list[Token] | None
    contributions: list[Contribution]
    nearest: str | None
    context: list[Neighbour]
    message_at: int
    fields: list[tuple[str, str]]
    said: Said | None = None


def line_detail(detail: LineDetail, key: str) -> int | None:
    """Show the detail.

    Returns:
        The number of a line around it that was clicked, once; else None.
    """
    answer = _mount(
        key=key,
        data=asdict(detail),
        on_opened_change=lambda: None,
    )
    return None if answer.opened is None else int(answer.opened)

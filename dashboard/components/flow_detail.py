"""One flow explained: scorers' shares, its packets with their fields, their bytes shaded by surprise."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dashboard.components import register
from dashboard.components.line_detail import Contribution, Said

_mount = register("flow_detail", '<div class="frame detail flow"></div>', parts=("line_view",))


@dataclass(frozen=True)
class Field:
    """One field of a packet's headers, or its payload.

    Attributes:
        header: it belongs to.
        name: of the field.
        value: for people.
        hidden: the model does not see it, or not all of it.
        nats: the highest surprise of its bytes; None where none is known.
    """

    header: str
    name: str
    value: str
    hidden: bool
    nats: float | None


@dataclass(frozen=True)
class Packet:
    """One packet.

    Attributes:
        number: in its flow, from 1.
        forward: sent by the flow's source.
        seconds: since the flow's first packet.
        length: bytes on the wire.
        data: hexadecimal digits, two a byte.
        hidden: of each byte, whether the model does not see it.
        surprise: of each byte in nats; None where none is known.
        fields: of its headers, and its payload.
    """

    number: int
    forward: bool
    seconds: float
    length: int
    data: str
    hidden: list[bool]
    surprise: list[float | None]
    fields: list[Field]


@dataclass(frozen=True)
class FlowDetail:
    """What the detail shows; the browser puts every text in as text.

    Attributes:
        standing: where the score stands among the flows, in words.
        flagged: whether the flow is at or above the threshold of the page.
        reasons: why it is strange, the strongest first.
        facts: name and value.
        packets: the first of the flow; none where they were not kept.
        masked: whether the model read it masked.
        said: the verdict in force, or None.
    """

    flow_no: int
    score: float
    standing: str
    flagged: bool
    reasons: list[str]
    contributions: list[Contribution]
    facts: list[tuple[str, str]]
    packets: list[Packet]
    masked: bool
    said: Said | None = None


def flow_detail(detail: FlowDetail, key: str) -> None:
    """Show the detail."""
    _mount(key=key, data=asdict(detail))

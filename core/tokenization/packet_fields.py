"""P2: packet -> header fields and payload, and which of its bytes a model may not see. The one place of masking.

Hidden are the values that name an endpoint, a connection or a moment and not what is said: addresses, ports, IP
identification and flow label, TTL and hop limit, checksums, sequence and acknowledgement numbers, values of IP and
TCP options but for those that state a size or an ability, identifiers of ICMP, neighbour discovery, and the same
inside the packet that an ICMP error quotes; what is inside a UDP tunnel that was not taken out. Models that saw
these knew connections by heart and little else (The Sweet Danger of Sugar, SIGCOMM 2025). What is not understood is
hidden too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

Span = tuple[int, int]

_HIDDEN = b"\1"

# Of each field: its first byte in the header, its length, is it hidden.
_IPV4 = (
    (0, 1, 0),
    (1, 1, 0),
    (2, 2, 0),
    (4, 2, 1),
    (6, 2, 0),
    (8, 1, 1),
    (9, 1, 0),
    (10, 2, 1),
    (12, 4, 1),
    (16, 4, 1),
)
_IPV6 = ((0, 2, 0), (2, 2, 1), (4, 2, 0), (6, 1, 0), (7, 1, 1), (8, 16, 1), (24, 16, 1))  # 2: flow label's end
_TCP = ((0, 2, 1), (2, 2, 1), (4, 4, 1), (8, 4, 1), (12, 2, 0), (14, 2, 0), (16, 2, 1), (18, 2, 0))
_UDP = ((0, 2, 1), (2, 2, 1), (4, 2, 0), (6, 2, 1))
_ICMP = ((0, 1, 0), (1, 1, 0), (2, 2, 1))
_PLAIN_TCP_OPTIONS = frozenset((2, 3, 4))  # segment size, window scale, SACK permitted
_ICMP_ERRORS = {ICMP: frozenset((3, 4, 11, 12)), ICMPV6: frozenset((1, 2, 3, 4))}  # quote the packet they speak of
_TUNNEL_PORTS = frozenset((4789, 8472, 4790, 6081, 2152, 3544))  # VXLAN (two), VXLAN-GPE, GENEVE, GTP-U, Teredo
_ICMP_REDIRECT = 5  # quotes it too, and names a gateway
_ICMP_ECHO = {ICMP: frozenset((0, 8)), ICMPV6: frozenset((128, 129))}
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_EXTENSIONS = frozenset((_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION, 135, 139, 140))


@dataclass
class PacketFields:
    """A packet cut into fields; every byte of it is in one of them or in the payload.

    Attributes:
        data: the packet, with the flow label's first bits set to 0 where that is masked.
        headers: for each header its fields as spans of `data`, in the order sent.
        payload_at: where the payload starts.
        transport: protocol number of the last transport header, which an ICMP error quotes; -1 where there is none.
        ports: source and destination in it; 0 where there are none.
        sequence: TCP's sequence number; 0 where there is none.
        hidden: [len(data)] 1 where a byte must not be seen.
    """

    data: bytearray
    headers: list[list[Span]] = field(default_factory=list)
    payload_at: int = 0
    transport: int = -1
    ports: tuple[int, int] = (0, 0)
    sequence: int = 0
    hidden: bytearray = field(init=False)

    def __post_init__(self) -> None:
        self.hidden = bytearray(len(self.data))

    def hide(self, start: int, end: int | None = None) -> None:
        """Hide bytes from `start` on, where there are any; all to the end where none is named."""
        end = len(self.data) if end is None else min(end, len(self.data))
        if end > start:
            self.hidden[start:end] = _HIDDEN * (end - start)


def packet_fields(packet: bytes, masked: bool) -> PacketFields:
    """Cut an IP packet into fields and, where `masked`, mark what must not be seen.

    A packet that is cut or malformed gives the fields there are; it is never an error.
    """
    fields = PacketFields(bytearray(packet))
    _read_packet(fields, 0, quoted=False)
    if not masked:
        fields.data[:] = packet
        fields.hidden = bytearray(len(packet))
    return fields


def _read_packet(fields: PacketFields, at: int, quoted: bool) -> None:
    """Read the packet at `at`; one that an ICMP error quotes may not quote another."""
    data = fields.data
    version = data[at] >> 4 if at < len(data) else 0
    if version == 4:
        transport, protocol = _read_ipv4(fields, at)
    elif version == 6:
        transport, protocol = _read_ipv6(fields, at)
    else:
        transport, protocol = at, -1
    fields.payload_at = min(transport, len(data))
    if protocol in (TCP, UDP):
        ports = data[transport : transport + 4]
        if len(ports) == 4:
            fields.transport = protocol
            fields.ports = int.from_bytes(ports[:2]), int.from_bytes(ports[2:])
        _read_tcp(fields, transport) if protocol == TCP else _read_fixed(fields, transport, _UDP)
        if protocol == UDP and fields.ports[1] in _TUNNEL_PORTS:
            fields.hide(fields.payload_at)
    elif protocol in _ICMP_ECHO:
        _read_icmp(fields, transport, protocol, quoted)
    else:
        fields.hide(transport)


def _read_fixed(fields: PacketFields, at: int, layout: tuple[tuple[int, int, int], ...]) -> None:
    """Read a header of fixed fields, as far as it was captured; what follows is payload until somebody says more."""
    header: list[Span] = []
    limit = len(fields.data)
    for first, size, is_hidden in layout:
        start = at + first
        if start >= limit:
            break
        end = start + size if start + size < limit else limit
        header.append((start, end))
        if is_hidden:
            fields.hidden[start:end] = _HIDDEN * (end - start)
    fields.headers.append(header)
    fields.payload_at = min(at + layout[-1][0] + layout[-1][1], limit)


def _read_ipv4(fields: PacketFields, at: int) -> tuple[int, int]:
    """Where the transport header starts, and its protocol."""
    data = fields.data
    _read_fixed(fields, at, _IPV4)
    if len(data) - at < 20:
        return len(data), -1
    end = at + max(20, (data[at] & 15) * 4)
    _read_options(fields, at + 20, end, frozenset())
    is_later_fragment = int.from_bytes(data[at + 6 : at + 8]) & 0x1FFF
    return end, -1 if is_later_fragment else data[at + 9]


def _read_options(fields: PacketFields, at: int, end: int, plain: frozenset[int]) -> None:
    """Options of IPv4 and TCP: a byte (end, padding), or kind, length and a value; a field each."""
    data, end = fields.data, min(end, len(fields.data))
    while at < end:
        if data[at] == 0:
            size = end - at
            fields.hide(at + 1, end)
        elif data[at] == 1:
            size = 1
        elif at + 1 == end or data[at + 1] < 2:  # not an option: no telling what follows
            size = end - at
            fields.hide(at, end)
        else:
            size = min(data[at + 1], end - at)
            if data[at] not in plain:
                fields.hide(at + 2, at + size)
        fields.headers[-1].append((at, at + size))
        at += size


def _read_ipv6(fields: PacketFields, at: int) -> tuple[int, int]:
    """Where the transport header starts, and its protocol."""
    data = fields.data
    _read_fixed(fields, at, _IPV6)
    if at + 1 < len(data):
        data[at + 1] &= 0xF0  # the flow label's first bits share a byte with the traffic class
    if len(data) - at < 40:
        return len(data), -1
    protocol, at = data[at + 6], at + 40
    while protocol in _EXTENSIONS and len(data) - at >= 8:
        kind, protocol, units = protocol, data[at], data[at + 1]
        size = {_FRAGMENT: 8, _AUTHENTICATION: max(8, (units + 2) * 4)}.get(kind, (units + 1) * 8)
        fields.headers.append([(at, min(at + size, len(data)))])
        fields.hide(at + (4 if kind == _FRAGMENT else 2), at + size)
        if kind == _FRAGMENT and int.from_bytes(data[at + 2 : at + 4]) & 0xFFF8:
            protocol = -1
        at += size
    return min(at, len(data)), -1 if protocol in _EXTENSIONS else protocol


def _read_tcp(fields: PacketFields, at: int) -> None:
    _read_fixed(fields, at, _TCP)
    if len(fields.data) - at >= 20:
        fields.sequence = int.from_bytes(fields.data[at + 4 : at + 8])
        end = at + max(20, (fields.data[at + 12] >> 4) * 4)
        _read_options(fields, at + 20, end, _PLAIN_TCP_OPTIONS)
        fields.payload_at = min(end, len(fields.data))


def _read_icmp(fields: PacketFields, at: int, protocol: int, quoted: bool) -> None:
    data = fields.data
    _read_fixed(fields, at, _ICMP)
    if len(data) - at <= 4:
        return
    kind = data[at]
    rest = (at + 4, min(at + 8, len(data)))
    is_redirect = protocol == ICMP and kind == _ICMP_REDIRECT
    if kind in _ICMP_ERRORS[protocol] or is_redirect:
        fields.headers[-1].append(rest)
        fields.payload_at = rest[1]
        if is_redirect:
            fields.hide(*rest)
        if quoted:
            fields.hide(rest[0])
        elif len(data) > at + 8:
            _read_packet(fields, at + 8, quoted=True)
    elif kind in _ICMP_ECHO[protocol]:
        fields.headers[-1].append(rest)
        fields.payload_at = rest[1]
        fields.hide(*rest)
    else:  # neighbours, routers, groups, clocks: addresses all of them
        fields.hide(at + 4)


def runs(fields: PacketFields, span: Span) -> Iterator[tuple[int, int, bool]]:
    """The span as runs of bytes that are alike: start, end, are they hidden."""
    start, stop = span
    while start < stop:
        is_hidden = fields.hidden[start]
        end = fields.hidden.find(1 - is_hidden, start, stop)
        end = stop if end < 0 else end
        yield start, end, bool(is_hidden)
        start = end

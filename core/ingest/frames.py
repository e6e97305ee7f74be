"""P1: frame -> who speaks to whom, and where the IP packet lies in it. Only as much of the headers as that takes.

Link layers: Ethernet with VLAN tags (802.1Q, QinQ), PPPoE or MPLS, Linux cooked capture, raw IP, null and loopback. One
tunnel (GRE, VXLAN, IP in IP) is taken off.

Source: RFC 791, 8200, 9293, 768, 792, 4443, 2784, 2890, 7348; the tcpdump group's list of link layers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import numpy as np

from core.ingest.pcap import Block

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
NO_FLAGS = -1

Place = tuple[bytes, int, int, int]
"""Key of one direction (protocol, source, destination, ports), TCP flags or NO_FLAGS, the packet's start and end."""
PlacedFrame = tuple[float, int, bytes, int, int, int]
"""Seconds since 1970 UTC, bytes on the wire, and the frame's Place in its block's data."""

_IPV4, _IPV6, _BRIDGED = b"\x08\x00", b"\x86\xdd", b"\x65\x58"
_VLAN_TAGS = frozenset((b"\x81\x00", b"\x88\xa8", b"\x91\x00"))
_PPPOE, _MPLS = b"\x88\x64", b"\x88\x47"
_PPP = {b"\x00\x21": _IPV4, b"\x00\x57": _IPV6}
_NULL, _ETHERNET, _LOOP, _COOKED, _COOKED_2 = 0, 1, 108, 113, 276
_RAW = frozenset((12, 14, 101, 228, 229))
_IP_IN_IP, _IPV6_IN_IP, _GRE, _FRAGMENT, _AUTHENTICATION = 4, 41, 47, 44, 51
_EXTENSIONS = frozenset((0, 43, _FRAGMENT, _AUTHENTICATION, 60, 135, 139, 140))
_VXLAN_PORTS = (4789, 8472)  # IANA's, and Linux's older one
_VXLAN_INSTANCE = 0x08  # the one flag of RFC 7348; the others belong to extensions, such as group policies
_ONE_BYTE = [bytes((value,)) for value in range(256)]
_NO_PORTS = bytes(4)
_PLAIN_BYTES = 54  # Ethernet, IPv4 and TCP headers without options
_KEY_COLUMNS = [23, *range(26, 38)]  # of these: protocol, addresses, ports

_ipv4_fields = struct.Struct(">BxHxxHxB").unpack_from  # version and size, total length, fragment, protocol
_ipv6_fields = struct.Struct(">BxxxHB").unpack_from  # version, payload length, next header
_word = struct.Struct(">H").unpack_from


class UnreadableFrame(Exception):
    """A frame that joins no flow; its text says why. Counted, never shown as an error."""


def places(block: Block, reject: Callable[[int, str], None]) -> Iterator[PlacedFrame]:
    """For each frame that belongs to a flow: see PlacedFrame.

    IPv4 without options over Ethernet, which is most of what there is, is taken in columns; any other frame by `place`.

    Args:
        block: the frames.
        reject: told the number of each frame that joins no flow, and why.
    """
    keys = np.full(len(block), None, dtype=object)
    flags = np.full(len(block), NO_FLAGS)
    starts, ends = block.starts.copy(), block.ends.copy()
    rows, head = _plain_heads(block)
    keys[rows] = np.ascontiguousarray(head[:, _KEY_COLUMNS]).view(f"V{len(_KEY_COLUMNS)}")[:, 0].astype(object)
    flags[rows] = np.where(head[:, 23] == TCP, head[:, 47].astype(np.int64), NO_FLAGS)
    starts[rows] += 14
    ends[rows] = np.minimum(ends[rows], starts[rows] + _words(head, 16))  # what follows is padding

    others = np.ones(len(block), dtype=bool)
    others[rows] = False
    for row in np.flatnonzero(others).tolist():
        try:
            keys[row], flags[row], starts[row], ends[row] = place(
                int(block.links[row]), block.data, int(starts[row]), int(ends[row])
            )
        except UnreadableFrame as reason:
            reject(block.first + row, str(reason))
    placed = zip(
        block.times.tolist(), block.lengths.tolist(), keys.tolist(), flags.tolist(), starts.tolist(), ends.tolist(),
        strict=True,
    )  # fmt: skip
    return (row for row in placed if row[2] is not None) if others.any() else placed


def _plain_heads(block: Block) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the frames that are plain, and the first bytes of each, [N, 54] uint8."""
    rows = np.flatnonzero((block.links == _ETHERNET) & (block.ends - block.starts >= _PLAIN_BYTES))
    head = np.frombuffer(block.data, np.uint8)[block.starts[rows][:, None] + np.arange(_PLAIN_BYTES)]
    protocol, sizes = head[:, 23], _words(head, 16)
    is_udp = (protocol == UDP) & (sizes >= 28) & ~np.isin(_words(head, 36), _VXLAN_PORTS)
    is_plain = (
        (_words(head, 12) == 0x0800)
        & (head[:, 14] == 0x45)
        & (_words(head, 20) & 0x1FFF == 0)
        & (is_udp | (protocol == TCP) & (sizes >= 34))
    )
    return rows[is_plain], head[is_plain]


def _words(head: np.ndarray, column: int) -> np.ndarray:
    words: np.ndarray = head[:, column].astype(np.int64) << 8 | head[:, column + 1]
    return words


def place(link: int, data: bytes, at: int, end: int) -> Place:
    """Find the IP packet of the frame `data[at:end]` and its endpoints.

    Raises:
        UnreadableFrame: not IP, another protocol than TCP, UDP and ICMP, headers cut or malformed, a later fragment.
    """
    if link == _ETHERNET:
        kind, at = data[at + 12 : at + 14], at + 14
    elif link == _COOKED:
        kind, at = data[at + 14 : at + 16], at + 16
    elif link == _COOKED_2:
        kind, at = data[at : at + 2], at + 20
    elif link in _RAW or link in (_NULL, _LOOP):
        at += 0 if link in _RAW else 4
        kind = _kind_of_version(data, at, end)
    else:
        raise UnreadableFrame(f"link layer {link} is not known" if link >= 0 else "a packet block that says too little")
    return _place_in_link(data, at, kind, end, inner=False)


def _kind_of_version(data: bytes, at: int, end: int) -> bytes:
    return {4: _IPV4, 6: _IPV6}.get(data[at] >> 4, b"") if at < end else b""


def _place_in_link(frame: bytes, at: int, kind: bytes, end: int, inner: bool) -> Place:
    while kind in _VLAN_TAGS:
        kind, at = frame[at + 2 : at + 4], at + 4
    if kind == _PPPOE:
        kind, at = _PPP.get(frame[at + 6 : at + 8], b""), at + 8
    elif kind == _MPLS:
        while at + 4 < end and not frame[at + 2] & 1:  # to the bottom of the stack
            at += 4
        at += 4
        kind = _kind_of_version(frame, at, end)
    if end - at < 0:
        raise UnreadableFrame("cut inside the link layer")
    if kind == _IPV4:
        if end - at < 20:
            raise UnreadableFrame("cut inside the IPv4 header")
        first, size, fragment, protocol = _ipv4_fields(frame, at)
        transport = at + (first & 15) * 4
        if first >> 4 != 4 or transport < at + 20 or (size and at + size < transport):
            raise UnreadableFrame("malformed IPv4 header")
        if size and at + size < end:  # what follows is padding; 0 was left to the network card
            end = at + size
        if fragment & 0x1FFF:
            raise UnreadableFrame("a later IP fragment, which has no ports")
        source = at + 12
    elif kind == _IPV6:
        if end - at < 40:
            raise UnreadableFrame("cut inside the IPv6 header")
        first, size, protocol = _ipv6_fields(frame, at)
        if first >> 4 != 6:
            raise UnreadableFrame("malformed IPv6 header")
        transport = at + 40
        if size and transport + size < end:
            end = transport + size
        if protocol in _EXTENSIONS:
            protocol, transport = _after_extensions(frame, protocol, transport, end)
        source = at + 8
    else:
        # Below 0x0600 it is no type but a length (IEEE 802.3).
        raise UnreadableFrame(f"not IP: type 0x{kind.hex()}" if kind >= b"\x06" else "not IP")

    if protocol == TCP:
        if end - transport < 14:
            raise UnreadableFrame("cut inside the TCP header")
        flags = frame[transport + 13]
        ports = frame[transport : transport + 4]
    elif protocol == UDP:
        if end - transport < 8:
            raise UnreadableFrame("cut inside the UDP header")
        if not inner and _word(frame, transport + 2)[0] in _VXLAN_PORTS:
            inside = transport + 16  # after UDP's header and VXLAN's
            if end - inside >= 14 and frame[transport + 8] & _VXLAN_INSTANCE:
                return _place_in_link(frame, inside + 14, frame[inside + 12 : inside + 14], end, inner=True)
        flags = NO_FLAGS
        ports = frame[transport : transport + 4]
    elif protocol in (ICMP, ICMPV6):
        flags, ports = NO_FLAGS, _NO_PORTS
    elif not inner and protocol in (_IP_IN_IP, _IPV6_IN_IP):
        return _place_in_link(frame, transport, _IPV4 if protocol == _IP_IN_IP else _IPV6, end, inner=True)
    elif not inner and protocol == _GRE:
        return _place_in_gre(frame, transport, end)
    else:
        raise UnreadableFrame(f"IP protocol {protocol} is not TCP, UDP or ICMP")
    addresses = frame[source : source + (8 if kind == _IPV4 else 32)]
    return _ONE_BYTE[protocol] + addresses + ports, flags, at, end


def _after_extensions(frame: bytes, protocol: int, at: int, end: int) -> tuple[int, int]:
    """The protocol after IPv6's extension headers, and where it starts. Each is 8 bytes or more, so this ends."""
    while protocol in _EXTENSIONS:
        if end - at < 8:
            raise UnreadableFrame("cut inside the IPv6 extension headers")
        following, units = frame[at], frame[at + 1]
        if protocol == _FRAGMENT:
            if _word(frame, at + 2)[0] & 0xFFF8:
                raise UnreadableFrame("a later IP fragment, which has no ports")
            at += 8
        elif protocol == _AUTHENTICATION:
            at += max(8, (units + 2) * 4)
        else:
            at += (units + 1) * 8
        protocol = following
    return protocol, at


def _place_in_gre(frame: bytes, at: int, end: int) -> Place:
    if end - at < 4:
        raise UnreadableFrame("cut inside the GRE header")
    (bits,) = _word(frame, at)
    kind = frame[at + 2 : at + 4]
    if bits & 0x4007:  # source routes, or version 1 (PPTP)
        raise UnreadableFrame("GRE of a form that is not read")
    at += 4 + 4 * (bits >> 15) + 4 * (bits >> 13 & 1) + 4 * (bits >> 12 & 1)  # checksum, key, sequence number
    if kind == _BRIDGED:
        kind, at = frame[at + 12 : at + 14], at + 14
    return _place_in_link(frame, at, kind, end, inner=True)


def reverse_key(key: bytes) -> bytes:
    """The key of the other direction."""
    half = (len(key) - 5) // 2
    source, destination = key[1 : 1 + half], key[1 + half : -4]
    return key[:1] + destination + source + key[-2:] + key[-4:-2]

"""P2: what the fields of a packet are called, for people. The spans are `packet_fields`'; models never read names.

Source: RFC 791, 8200, 9293, 768, 792, 4443.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from core.tokenization.packet_fields import ICMP, ICMPV6, TCP, UDP, Span, packet_fields

_IPV4 = (
    "version and header length", "service and congestion", "total length", "identification", "flags and fragment",
    "time to live", "protocol", "checksum", "source", "destination",
)  # fmt: skip
_IPV6 = (
    "version and traffic class", "flow label", "payload length", "next header", "hop limit", "source", "destination",
)  # fmt: skip
_TCP = (
    "source port", "destination port", "sequence number", "acknowledgement number", "header length and flags", "window",
    "checksum", "urgent pointer",
)  # fmt: skip
_UDP = ("source port", "destination port", "length", "checksum")
_ICMP = ("type", "code", "checksum", "rest of the header")
_TRANSPORTS = {TCP: ("TCP", _TCP), UDP: ("UDP", _UDP), ICMP: ("ICMP", _ICMP), ICMPV6: ("ICMPv6", _ICMP)}
_TCP_OPTIONS = {0: "end of options", 1: "padding", 2: "segment size", 3: "window scale", 4: "SACK permitted"}
_TCP_OPTIONS |= {5: "SACK", 8: "timestamps", 19: "MD5 signature", 34: "fast open"}
_TCP_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
_PROTOCOL_NAMES = {ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMPV6: "ICMPv6"}


@dataclass(frozen=True)
class NamedField:
    """One field of a packet.

    Attributes:
        header: it belongs to, such as "IPv4" or "TCP".
        name: of the field.
        value: for people; of a length unit bytes.
        start: of its bytes in the packet.
        end: past its last byte.
        hidden: whether a masked model does not see it, or not all of it.
    """

    header: str
    name: str
    value: str
    start: int
    end: int
    hidden: bool


def named_fields(packet: bytes, masked: bool = True) -> list[NamedField]:
    """The header fields of an IP packet in the order sent, those of a packet that an ICMP error quotes too.

    Args:
        packet: from the IP header on; it may be cut.
        masked: as the model reads it.

    Returns:
        A row a field; a packet that is no IP gives none.
    """
    fields = packet_fields(packet, masked)
    found: list[NamedField] = []
    protocol = -1
    for spans in fields.headers:
        start = spans[0][0] if spans else 0
        if protocol in _TRANSPORTS:
            header, names = _TRANSPORTS[protocol]
            protocol = -1
        elif (version := packet[start] >> 4) == 4 and len(spans) >= len(_IPV4):
            header, names, protocol = "IPv4", _IPV4, packet[start + 9]
        elif version == 6 and len(spans) == len(_IPV6):
            header, names, protocol = "IPv6", _IPV6, packet[start + 6]
        else:  # an extension header, or one that is cut
            header, names = "IP extension", ()
            protocol = packet[start] if len(packet) > start else -1
        for number, span in enumerate(spans):
            name = names[number] if number < len(names) else _option_name(header, packet, span)
            is_hidden = fields.hidden.find(1, *span) >= 0
            found.append(NamedField(header, name, _value(header, name, packet, span), *span, is_hidden))
    return found


def _option_name(header: str, packet: bytes, span: Span) -> str:
    if header == "TCP":
        return "option: " + _TCP_OPTIONS.get(packet[span[0]], f"kind {packet[span[0]]}")
    return "option" if header == "IPv4" else "header"


def _value(header: str, name: str, packet: bytes, span: Span) -> str:
    data = packet[slice(*span)]
    number = int.from_bytes(data)
    if name in ("source", "destination") and len(data) in (4, 16):
        return str(ipaddress.ip_address(data))
    if name == "header length and flags" and len(data) == 2:
        flags = " ".join(flag for bit, flag in enumerate(_TCP_FLAGS) if data[1] >> bit & 1)
        return f"{(data[0] >> 4) * 4} bytes, {flags or 'no flag'}"
    if name in ("protocol", "next header"):
        return _PROTOCOL_NAMES.get(number, str(number))
    if name == "version and header length":
        return f"{number >> 4}, {(number & 15) * 4} bytes"
    if "option" in name or "rest" in name or header == "IP extension" or name in ("checksum", "flags and fragment"):
        return data.hex(" ")
    return f"{number:,}" if "port" not in name and "identification" not in name else str(number)

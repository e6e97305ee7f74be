"""P2: where a payload names the server: TLS server name and certificates, HTTP hosts, DNS questions and answers.

A brand is often nothing but its name, so a model that is asked for brands must not read it.
Source: RFC 8446 (TLS), 6066 (server name), 9110 (HTTP), 1035 (DNS), 6762 (mDNS), 4795 (LLMNR).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from core.tokenization.packet_fields import TCP, PacketFields

_DNS_PORTS = frozenset((53, 5353, 5355))
_HANDSHAKE, _CLIENT_HELLO, _CERTIFICATE, _SERVER_NAME = 22, 1, 11, 0
_HTTP_START = re.compile(rb"(?:[A-Z]{3,16} \S|HTTP/\d)")
_HTTP_NAMES = re.compile(
    rb"(?:^|\n)(?:host|referer|origin|location|server-name|set-cookie|content-location|alt-svc|access-control-allow-origin)"
    rb":[ \t]*([^\r\n]*)",
    re.IGNORECASE,
)
_HTTP_TARGET = re.compile(rb"^(?:CONNECT (\S*)|[A-Z]{3,16} [a-z]+://([^/\s]*))")


@dataclass
class NameHider:
    """Hides names in the packets of one flow, given in order.

    A record or header that goes on in the next packet goes on being hidden there.
    """

    _tls: set[bool] = field(default_factory=set)  # directions that speak TLS
    _inside_header: set[bool] = field(default_factory=set)  # directions whose last packet ended inside an HTTP header

    def hide(self, fields: PacketFields, forward: bool) -> None:
        """Mark the names in a packet's payload as hidden."""
        at, payload = fields.payload_at, bytes(fields.data[fields.payload_at :])
        if not payload:
            return
        if not _DNS_PORTS.isdisjoint(fields.ports):
            _hide_dns(fields, at + 2 if fields.transport == TCP else at)
        elif _starts_record(payload):
            self._tls.add(forward)
            _hide_tls(fields, at)
        elif forward in self._tls:  # the middle of a record: the rest of a name, of certificates, or encrypted
            fields.hide(at)
        else:
            self._hide_http(fields, at, payload, forward)

    def _hide_http(self, fields: PacketFields, at: int, payload: bytes, forward: bool) -> None:
        is_start = _HTTP_START.match(payload)
        if not is_start and forward not in self._inside_header:
            return
        if not is_start:
            line_end = payload.find(b"\n")
            fields.hide(at, None if line_end < 0 else at + line_end)
        if target := _HTTP_TARGET.match(payload):
            fields.hide(*(at + place for place in target.span(target.lastindex or 0)))
        for name in _HTTP_NAMES.finditer(payload):
            fields.hide(at + name.start(1), at + name.end(1))
        if b"\r\n\r\n" in payload:
            self._inside_header.discard(forward)
        else:
            self._inside_header.add(forward)


def _starts_record(payload: bytes) -> bool:
    return 20 <= payload[0] <= 23 and payload[1:2] == b"\x03" and (len(payload) < 3 or payload[2] <= 4)


def _hide_tls(fields: PacketFields, at: int) -> None:
    """Records that start in this packet; a handshake message may hold less than its record, or more."""
    data = fields.data
    while at + 5 < len(data) and _starts_record(bytes(data[at : at + 5])):
        end = at + 5 + int.from_bytes(data[at + 3 : at + 5])
        if data[at] == _HANDSHAKE:
            message = at + 5
            while message < min(end, len(data)):
                size = 4 + int.from_bytes(data[message + 1 : message + 4])
                if data[message] == _CLIENT_HELLO:
                    _hide_server_name(fields, message + 4, message + size)
                elif data[message] == _CERTIFICATE:
                    fields.hide(message + 4, message + size)
                message += size
        at = end
    if at < len(data) and not _starts_record(bytes(data[at : at + 5])):
        fields.hide(at)


def _hide_server_name(fields: PacketFields, at: int, end: int) -> None:
    data, end = fields.data, min(end, len(fields.data))
    at += 34  # version and random
    at += 1 + _number(data, at, 1)  # session
    at += 2 + _number(data, at, 2)  # cipher suites
    at += 1 + _number(data, at, 1)  # compression
    at += 2  # length of all extensions
    while at + 4 <= end:
        kind, size = _number(data, at, 2), _number(data, at + 2, 2)
        if kind == _SERVER_NAME:
            fields.hide(at + 4, at + 4 + size)
        at += 4 + size


def _number(data: bytearray, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size])


def _hide_dns(fields: PacketFields, message: int) -> None:
    """Shows the header and the first question's type and class; names, and all that answers, are hidden."""
    data = fields.data
    at = message + 12
    while at < len(data) and 0 < data[at] < 64:
        at += 1 + data[at]
    if fields.transport == TCP and _number(data, message - 2, 2) != len(data) - message:
        fields.hide(fields.payload_at)  # not the start of a message, or one that was cut
    elif at < len(data) and data[at] == 0:
        fields.hide(message + 12, at + 1)
        fields.hide(at + 5)
    else:
        fields.hide(message + 12)

"""P2: where a payload names the server: TLS server name and certificates, HTTP hosts, DNS questions and answers.

A brand is often nothing but its name, so a model that is asked for brands must not read it. Not looked for: names in
QUIC, DTLS, mail and bodies, nor the rest of a handshake or header whose start is not among the packets.
Source: RFC 8446 (TLS), 6066 (server name), 9110 (HTTP), 1035 (DNS), 6762 (mDNS), 4795 (LLMNR).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.tokenization.packet_fields import TCP, PacketFields

_DNS_PORTS = frozenset((53, 5353, 5355))
_HANDSHAKE, _CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE, _SERVER_NAME = 22, 1, 2, 11, 0
_HTTP_START = re.compile(rb"(?:[A-Z]{3,16} \S|HTTP/\d)")
_HTTP_VERSION = re.compile(rb" HTTP/\d\.\d\r?\n|HTTP/\d\.\d \d{3}")  # of a request or an answer, wherever it starts
_HTTP_NAMES = re.compile(
    rb"(?:^|\n)(?:(?:x-)?(?:forwarded|original)-(?:host|server|url)|(?:x-)?host|forwarded|via|x-served-by|x-cache"
    rb"|origin|referer|location|content-location|destination|refresh|link|x-pingback|alt-svc|server-name|set-cookie"
    rb"|(?:access-control-allow|timing-allow)-origin|content-security-policy(?:-report-only)?|p3p"
    rb"|report-to|reporting-endpoints|expect-ct|public-key-pins)"
    rb"[ \t]*:[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)",  # a line that starts with a blank goes on with the value
    re.IGNORECASE,
)
_HTTP_VALUE_END = re.compile(rb"\n(?![ \t])")
_HTTP_TARGET = re.compile(rb"(?:^|\n)(?:CONNECT (\S*)|[A-Z]{3,16} [A-Za-z]+://([^/\s]*))")


def hide_names(packets: Sequence[tuple[PacketFields, bool]]) -> None:
    """Mark the names in the payloads of one flow's packets as hidden.

    A record or header that goes on in the next packet of its direction goes on being hidden there: in the next as sent,
    by TCP's numbers, which need not be the next as captured.

    Args:
        packets: a flow's first, with whether each goes forward.
    """
    for way in (True, False):
        hider = _NameHider()
        for fields in _as_sent([fields for fields, forward in packets if forward == way]):
            hider.hide(fields)


def _as_sent(packets: list[PacketFields]) -> list[PacketFields]:
    """By how far each lies before or after the first, as the numbers start again at 2**32."""
    return sorted(packets, key=lambda fields: (fields.sequence - packets[0].sequence + 2**31) % 2**32)


class _NameHider:
    """Hides names in the packets of one direction, given in order."""

    def __init__(self) -> None:
        self._is_tls = False
        self._inside_message = (
            False  # the last record ended inside a handshake message that holds names or precedes one
        )
        self._inside_header = False  # the last packet ended inside an HTTP header

    def hide(self, fields: PacketFields) -> None:
        """Mark the names in a packet's payload as hidden."""
        at, payload = fields.payload_at, bytes(fields.data[fields.payload_at :])
        if not payload:
            return
        if not _DNS_PORTS.isdisjoint(fields.ports):
            _hide_dns(fields, at + 2 if fields.transport == TCP else at)
        elif _starts_record(payload):
            self._is_tls = True
            self._hide_tls(fields, at)
        elif self._is_tls:  # the middle of a record: the rest of a name, of certificates, or encrypted
            fields.hide(at)
        else:
            self._hide_http(fields, at, payload)

    def _hide_tls(self, fields: PacketFields, at: int) -> None:
        """Records that start in this packet; a handshake message may hold less than its record, or more."""
        data = fields.data
        while at + 5 < len(data) and _starts_record(bytes(data[at : at + 5])):
            end = at + 5 + _number(data, at + 3, 2)
            if data[at] != _HANDSHAKE:
                self._inside_message = False  # nothing else may stand between the parts of a message
            elif self._inside_message:
                fields.hide(at + 5, end)
            else:
                self._inside_message = _hide_messages(fields, at + 5, end)
            at = end
        if at < len(data) and not _starts_record(bytes(data[at : at + 5])):
            fields.hide(at)

    def _hide_http(self, fields: PacketFields, at: int, payload: bytes) -> None:
        is_start = _HTTP_START.match(payload)
        if not (is_start or self._inside_header or (fields.transport == TCP and _HTTP_VERSION.search(payload))):
            return
        if self._inside_header and not is_start:
            value_end = _HTTP_VALUE_END.search(payload)
            fields.hide(at, at + value_end.start() if value_end else None)
        for target in _HTTP_TARGET.finditer(payload):
            fields.hide(*(at + place for place in target.span(target.lastindex or 0)))
        for name in _HTTP_NAMES.finditer(payload):
            fields.hide(at + name.start(1), at + name.end(1))
        body = payload.rfind(b"\r\n\r\n") + 4
        self._inside_header = body < 4 or bool(_HTTP_START.match(payload, body) or _HTTP_VERSION.search(payload, body))


def _starts_record(payload: bytes) -> bool:
    return 20 <= payload[0] <= 23 and payload[1:2] == b"\x03" and (len(payload) < 3 or payload[2] <= 4)


def _hide_messages(fields: PacketFields, at: int, end: int) -> bool:
    """The handshake messages of a record; does the last go on in the next record, which may then show a name."""
    data, kind = fields.data, -1
    while at < min(end, len(data)):
        kind, message_end = data[at], at + 4 + _number(data, at + 1, 3)
        if kind == _CLIENT_HELLO:
            _hide_server_name(fields, at + 4, min(message_end, end))
        elif kind == _CERTIFICATE:
            fields.hide(at + 4, min(message_end, end))
        at = message_end
    return at > end and kind in (_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE)  # else it is likely encrypted


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
            fields.hide(at + 4, min(at + 4 + size, end))
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

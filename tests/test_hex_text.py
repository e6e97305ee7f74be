"""Flows to hexadecimal text: exact tokens, the way back, and proof on the bytes that what is masked leaves no trace."""

import dataclasses
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet as Made
from scapy.packet import Raw

from core.tokenization.hex_text import (
    BACKWARD,
    EOS,
    FIRST_BYTE,
    FIRST_PAIR,
    FORWARD,
    HIDDEN,
    PCK,
    FlowTokenizer,
    FlowTokens,
)
from tests.captures import flow_of

NAMES = {PCK: "PCK", HIDDEN: "HIDDEN", FORWARD: ">", BACKWARD: "<", EOS: "EOS"}
MASKED = FlowTokenizer(max_tokens=40_000, payload_bytes=9_000)
RAW = dataclasses.replace(MASKED, masked=False)

IPV4_TCP = bytes.fromhex(
    "45 00 0039 abcd 4000 40 06 1111 c0000201 c6336402"
    "9c40 0050 01020304 05060708 80 18 0200 2222 0000"
    "01 01 08 0a 0badf00d 0badcafe 474554 2f0d"
)
IPV6_UDP = bytes.fromhex("60 0abcde 000d 11 40 20010db8000000000000000000000001 20010db8000000000000000000000002")
IPV6_UDP += bytes.fromhex("9c40 01bb 000d 3333 4142434445")


def text(tokens: FlowTokens) -> str:
    """Tokens as a reader sees them."""
    return " ".join(
        NAMES.get(token) or (f"{token - FIRST_PAIR:04x}" if token >= FIRST_PAIR else f"{token - FIRST_BYTE:02x}")
        for token in tokens.ids
    )


def test_masked_tokens_exactly() -> None:
    tokens = MASKED.encode(flow_of(IPV4_TCP, IPV6_UDP, ways="><"))
    assert text(tokens) == (
        "> 45 00 00 39 40 00 06 80 18 02 00 00 00 01 01 08 0a HIDDEN 47 45 54 2f 0d PCK "
        "< 60 00 00 0d 11 00 0d 41 42 43 44 45 PCK EOS"
    )
    assert tokens.segments == [1] * 25 + [2] * 14 + [0]
    assert tokens.offsets[:9] == [-1, 0, 1, 2, 3, 6, 7, 9, 32]
    assert tokens.offsets[25:] == [-1, 0, 1, 4, 5, 6, 44, 45, 48, 49, 50, 51, 52, -1, -1]


def test_raw_tokens_exactly() -> None:
    tokens = RAW.encode(flow_of(IPV6_UDP))
    assert text(tokens) == "> " + " ".join(f"{value:02x}" for value in IPV6_UDP) + " PCK EOS"
    assert tokens.offsets == [-1, *range(len(IPV6_UDP)), -1, -1]


def test_two_byte_tokens_exactly() -> None:
    masked = dataclasses.replace(MASKED, unit_bytes=2)
    assert text(masked.encode(flow_of(IPV4_TCP))) == (
        "> 45 00 0039 4000 06 8018 0200 0000 01 01 080a HIDDEN 4745 542f 0d PCK EOS"
    )
    raw = dataclasses.replace(RAW, unit_bytes=2)
    tokens = raw.encode(flow_of(IPV4_TCP))
    assert text(tokens) == (
        "> 45 00 0039 abcd 4000 40 06 1111 c000 0201 c633 6402 9c40 0050 0102 0304 0506 0708 8018 0200 2222 0000 "
        "01 01 080a 0bad f00d 0bad cafe 4745 542f 0d PCK EOS"
    )
    assert tokens.offsets[:8] == [-1, 0, 1, 2, 4, 6, 8, 9]
    assert max(tokens.ids) < raw.vocab_size == FIRST_PAIR + 65_536
    with pytest.raises(ValueError, match="unit_bytes is 3"):
        FlowTokenizer(unit_bytes=3)


@pytest.mark.parametrize("unit_bytes", [1, 2])
def test_decoding_is_the_inverse_where_nothing_is_hidden(unit_bytes: int) -> None:
    tokenizer = dataclasses.replace(RAW, unit_bytes=unit_bytes)
    packets = [IPV4_TCP, IPV6_UDP, *(bytes(packet) for packet in PACKETS.values())]
    tokens = tokenizer.encode(flow_of(*packets[:8], ways="><" * 4))
    assert tokenizer.decode(tokens.ids) == packets[:8]
    for packet in packets:
        assert tokenizer.decode(tokenizer.encode(flow_of(packet)).ids) == [packet]


def test_decoding_takes_any_ids() -> None:
    tokenizer = FlowTokenizer(unit_bytes=2)
    assert tokenizer.decode([]) == []
    assert tokenizer.decode([PCK, HIDDEN, FORWARD, FIRST_BYTE + 255, FIRST_PAIR + 0xFFFE, PCK, FIRST_BYTE]) == [
        b"", b"\xff\xff\xfe", b"\0",
    ]  # fmt: skip
    assert tokenizer.decode([FIRST_BYTE, EOS, FIRST_BYTE]) == [b"\0"]


def test_limits() -> None:
    flow = flow_of(*[IPV4_TCP] * 20)
    short = dataclasses.replace(MASKED, payload_bytes=2, max_packets=3)
    assert text(short.encode(flow)).count("47 45 PCK") == 3
    assert max(short.encode(flow).segments) == 3
    whole = MASKED.encode(flow)
    for size in (1, 2, 10, 24, 25, 26):
        cut = dataclasses.replace(MASKED, max_tokens=size).encode(flow)
        assert cut.ids == [*whole.ids[: size - 1], EOS]
        assert len(cut.segments) == len(cut.offsets) == size


def test_shuffling_moves_whole_fields_within_their_header() -> None:
    plain = RAW.encode(flow_of(IPV4_TCP, IPV4_TCP))
    shuffled = [dataclasses.replace(RAW, shuffle_seed=seed).encode(flow_of(IPV4_TCP, IPV4_TCP)) for seed in (1, 1, 2)]
    assert shuffled[0] == shuffled[1] != shuffled[2]
    size = len(IPV4_TCP) + 2
    for tokens in shuffled:
        first, second = tokens.offsets[:size], tokens.offsets[size : 2 * size]
        assert first != second  # anew for every packet
        for offsets in (first, second):
            assert sorted(offsets[1:21]) == list(range(20))
            assert sorted(offsets[21:53]) == list(range(20, 52))
            assert offsets[53:] == [*range(52, 57), -1]  # the payload stays last
            for field in (range(12, 16), range(24, 28), range(42, 52)):
                at = offsets.index(field[0])
                assert offsets[at : at + len(field)] == list(field)
        by_offset = sorted(zip(tokens.segments, tokens.offsets, tokens.ids, strict=True))
        assert by_offset == sorted(zip(plain.segments, plain.offsets, plain.ids, strict=True))
    other = flow_of(IPV4_TCP.replace(b"\xab\xcd", b"\xab\xce"))
    assert dataclasses.replace(RAW, shuffle_seed=1).encode(other).offsets != [*shuffled[0].offsets[:size], -1]


def ip(version: int, **fields: Any) -> Made:
    if version == 4:
        return IP(**{"src": "192.0.2.1", "dst": "192.0.2.2", "id": 5, "ttl": 64, "chksum": 7, **fields})
    return IPv6(**{"src": "2001:db8::1", "dst": "2001:db8::2", "fl": 5, "hlim": 64, **fields})


def tcp(**fields: Any) -> Made:
    return TCP(**{"sport": 4000, "dport": 80, "seq": 9, "ack": 8, "chksum": 7, **fields})


OPTIONS = [("MSS", 1460), ("NOP", None), ("Timestamp", (1, 2)), ("SAck", (3, 4)), ("WScale", 7)]
QUOTED = IP(src="203.0.113.1", dst="203.0.113.2", id=1) / UDP(sport=1, dport=2, chksum=3)
QUOTED_6 = IPv6(src="2001:db8::a", dst="2001:db8::b") / tcp()
PACKETS = {
    "tcp": ip(4) / tcp(options=OPTIONS) / b"payload",
    "tcp6": ip(6) / tcp(options=OPTIONS) / b"payload",
    "udp": ip(4) / UDP(sport=1, dport=2, chksum=3) / b"payload",
    "udp6": ip(6) / UDP(sport=1, dport=2, chksum=3) / b"payload",
    "echo": ip(4) / ICMP(id=1, seq=2, chksum=3) / b"payload",
    "echo6": ip(6) / ICMPv6EchoRequest(id=1, seq=2, cksum=3, data=b"payload"),
    "error": ip(4) / ICMP(type=3, code=3, chksum=3) / QUOTED,
    "redirect": ip(4) / ICMP(type=5, gw="192.0.2.9", chksum=3) / QUOTED,
    "error6": ip(6) / ICMPv6DestUnreach(cksum=3) / QUOTED_6,
    "clock": ip(4) / ICMP(type=13, id=1, seq=2, ts_ori=3, ts_rx=4, ts_tx=5, chksum=3),
    "neighbour": ip(6) / ICMPv6ND_NA(tgt="2001:db8::7", cksum=3) / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01"),
    "route": ip(4, options=[IPOption_RR(routers=["192.0.2.7"])]) / tcp(),
    "route6": ip(6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting(addresses=["2001:db8::7"]) / tcp(),
    "fragment6": ip(6) / IPv6ExtHdrFragment(id=1, m=1) / tcp(),
}

# What is masked, and a second value for it: (packet, its name, change).
HIDDEN_FIELDS: list[tuple[str, str, Callable[[Made], Any]]] = []


def hidden(kinds: str, name: str, change: Callable[[Made], Any]) -> None:
    HIDDEN_FIELDS.extend((kind, name, change) for kind in kinds.split())


def put(layer: type[Made], field: str, value: Any, number: int = 1) -> Callable[[Made], Any]:
    """Set a field of the packet's nth such layer."""
    return lambda packet: setattr(packet.getlayer(layer, number), field, value)


V4 = "tcp udp echo error redirect clock route"
V6 = "tcp6 udp6 echo6 error6 neighbour route6 fragment6"
hidden(V4, "source", put(IP, "src", "198.51.100.77"))
hidden(V4, "destination", put(IP, "dst", "198.51.100.78"))
hidden(V4, "identification", put(IP, "id", 0xFFFF))
hidden(V4, "TTL", put(IP, "ttl", 255))
hidden(V4, "IP checksum", put(IP, "chksum", 0xFFFF))
hidden(V6, "source", put(IPv6, "src", "fe80::ffff:1"))
hidden(V6, "destination", put(IPv6, "dst", "ff02::1:2"))
hidden(V6, "flow label", put(IPv6, "fl", 0xFFFFF))
hidden(V6, "hop limit", put(IPv6, "hlim", 255))
hidden("tcp tcp6 route route6 fragment6", "source port", put(TCP, "sport", 65_535))
hidden("tcp tcp6 route route6 fragment6", "destination port", put(TCP, "dport", 65_535))
hidden("tcp tcp6 route route6 fragment6", "sequence number", put(TCP, "seq", 0xFFFFFFFF))
hidden("tcp tcp6 route route6 fragment6", "acknowledgement number", put(TCP, "ack", 0xFFFFFFFF))
hidden("tcp tcp6 route route6 fragment6", "TCP checksum", put(TCP, "chksum", 0xFFFF))
hidden("tcp tcp6", "timestamps", put(TCP, "options", [*OPTIONS[:2], ("Timestamp", (99, 98)), *OPTIONS[3:]]))
hidden("tcp tcp6", "SACK blocks", put(TCP, "options", [*OPTIONS[:3], ("SAck", (99, 98)), *OPTIONS[4:]]))
hidden("udp udp6", "source port", put(UDP, "sport", 65_535))
hidden("udp udp6", "destination port", put(UDP, "dport", 65_535))
hidden("udp udp6", "UDP checksum", put(UDP, "chksum", 0xFFFF))
hidden("echo clock", "ICMP identifier", put(ICMP, "id", 0xFFFF))
hidden("echo clock", "ICMP sequence number", put(ICMP, "seq", 0xFFFF))
hidden("echo error redirect clock", "ICMP checksum", put(ICMP, "chksum", 0xFFFF))
hidden("redirect", "gateway", put(ICMP, "gw", "192.0.2.99"))
hidden("clock", "time of day", put(ICMP, "ts_ori", 99))
hidden("echo6", "ICMP identifier", put(ICMPv6EchoRequest, "id", 0xFFFF))
hidden("echo6", "ICMP sequence number", put(ICMPv6EchoRequest, "seq", 0xFFFF))
hidden("echo6", "ICMP checksum", put(ICMPv6EchoRequest, "cksum", 0xFFFF))
hidden("neighbour", "neighbour", put(ICMPv6ND_NA, "tgt", "2001:db8::99"))
hidden("neighbour", "hardware address", put(ICMPv6NDOptSrcLLAddr, "lladdr", "02:00:00:00:00:99"))
hidden("error redirect", "quoted source", put(IP, "src", "198.51.100.77", 2))
hidden("error redirect", "quoted destination", put(IP, "dst", "198.51.100.77", 2))
hidden("error redirect", "quoted identification", put(IP, "id", 0xFFFF, 2))
hidden("error redirect", "quoted TTL", put(IP, "ttl", 1, 2))
hidden("error redirect", "quoted source port", put(UDP, "sport", 65_535))
hidden("error redirect", "quoted destination port", put(UDP, "dport", 65_535))
hidden("error6", "quoted source", put(IPv6, "src", "fe80::1", 2))
hidden("error6", "quoted destination", put(IPv6, "dst", "fe80::1", 2))
hidden("error6", "quoted flow label", put(IPv6, "fl", 0xFFFFF, 2))
hidden("error6", "quoted source port", put(TCP, "sport", 65_535))
hidden("error6", "quoted sequence number", put(TCP, "seq", 0xFFFFFFFF))
hidden("route", "recorded route", put(IP, "options", [IPOption_RR(routers=["198.51.100.7"])]))
hidden("route6", "routed by", put(IPv6ExtHdrRouting, "addresses", ["2001:db8::99"]))
hidden("fragment6", "identification", put(IPv6ExtHdrFragment, "id", 0xFFFF))


@pytest.mark.parametrize(
    ("kind", "name", "change"), HIDDEN_FIELDS, ids=lambda value: value if type(value) is str else ""
)
def test_a_hidden_field_leaves_no_trace(kind: str, name: str, change: Callable[[Made], Any]) -> None:
    packet = PACKETS[kind].copy()
    before = bytes(packet)
    change(packet)
    after = bytes(packet)
    assert len(before) == len(after)
    assert before != after, "the change did not reach the bytes"
    for tokenizer in (MASKED, dataclasses.replace(MASKED, unit_bytes=2)):
        assert tokenizer.encode(flow_of(before)).ids == tokenizer.encode(flow_of(after)).ids
    assert RAW.encode(flow_of(before)).ids != RAW.encode(flow_of(after)).ids


SHOWN = [
    ("tcp", "flags", put(TCP, "flags", "FPU")),
    ("tcp", "window", put(TCP, "window", 1)),
    ("tcp", "segment size", put(TCP, "options", [("MSS", 536), *OPTIONS[1:]])),
    ("tcp", "service", put(IP, "tos", 0x10)),
    ("tcp", "payload", put(Raw, "load", b"another")),
    ("tcp6", "traffic class", put(IPv6, "tc", 0xFF)),
    ("udp", "length", put(UDP, "len", 9)),
    ("udp6", "payload", put(Raw, "load", b"another")),
    ("echo", "code", put(ICMP, "code", 1)),
    ("error", "quoted protocol", put(IP, "proto", 6, 2)),
]


@pytest.mark.parametrize(("kind", "name", "change"), SHOWN, ids=lambda value: value if type(value) is str else "")
def test_what_says_something_is_shown(kind: str, name: str, change: Callable[[Made], Any]) -> None:
    packet = PACKETS[kind].copy()
    before = bytes(packet)
    change(packet)
    assert MASKED.encode(flow_of(before)).ids != MASKED.encode(flow_of(bytes(packet))).ids


def test_what_is_not_understood_is_hidden() -> None:
    for packet in (
        bytes.fromhex("f5") + bytes(40),  # no such version
        bytes(IP(proto=50) / b"secret"),  # ESP
        bytes(IP(proto=6, frag=5) / b"secret"),  # a later fragment
        bytes(IPv6(nh=50) / b"secret"),
    ):
        assert b"secret" not in MASKED.decode(MASKED.encode(flow_of(packet)).ids)[0]
        assert MASKED.encode(flow_of(packet)).ids.count(HIDDEN) == 1
    odd_option = bytes(ip(4) / tcp(dataofs=7)) + b"\xfd\x01secret"
    assert text(MASKED.encode(flow_of(odd_option))).endswith("20 00 00 00 PCK EOS")
    after_end_of_options = bytes(ip(4) / tcp(dataofs=7)) + b"\0secret!"
    assert text(MASKED.encode(flow_of(after_end_of_options))).endswith("20 00 00 00 00 HIDDEN PCK EOS")
    error_of_an_error = bytes(ip(4) / ICMP(type=3) / IP() / ICMP(type=11) / IP(src="192.0.2.77"))
    assert text(MASKED.encode(flow_of(error_of_an_error))).endswith("45 00 00 30 00 00 01 0b 00 HIDDEN PCK EOS")


FRAME = VXLAN(vni=3) / Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / ip(4, src="203.0.113.7") / tcp()


@pytest.mark.parametrize("port", [4789, 8472, 6081, 2152])
@pytest.mark.parametrize("quoted", [False, True])
def test_what_is_inside_a_udp_tunnel_is_hidden_with_its_addresses(port: int, quoted: bool) -> None:
    def told(payload: Made, port: int) -> str:
        packet = ip(4) / UDP(sport=1, dport=port) / payload
        packet = ip(4) / ICMP(type=3, code=3) / packet if quoted else packet
        return text(dataclasses.replace(MASKED, hide_names=False).encode(flow_of(bytes(packet))))

    assert "cb 00 71 07" in told(FRAME, 4788)
    assert told(FRAME, port).endswith("00 46 HIDDEN PCK EOS")  # after UDP's length


def hello(name: bytes = b"shop.example") -> bytes:
    """A TLS Client Hello that asks for a name between two other extensions."""
    server_name = struct.pack(">HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    extensions = b"\0\x17\0\0" + server_name + b"\xff\1\0\1\0"
    body = b"\3\3" + b"R" * 32 + b"\0" + b"\0\2\x13\x01" + b"\1\0" + struct.pack(">H", len(extensions)) + extensions
    message = b"\1" + len(body).to_bytes(3) + body
    return b"\x16\3\1" + struct.pack(">H", len(message)) + message


def shown(*payloads: bytes, port: int = 443, layer: type[Made] = TCP, ways: str = "", **options: Any) -> list[bytes]:
    """What masked tokens show of payloads that are sent one after the other."""
    packets = [bytes(ip(4) / layer(sport=4000, dport=port) / payload) for payload in payloads]
    tokenizer = dataclasses.replace(MASKED, **options)
    told = tokenizer.decode(tokenizer.encode(flow_of(*packets, ways=ways)).ids)
    headers = 13 if layer is TCP else 9
    return [packet[headers:] for packet in told]


CERTIFICATE = b"\x0b" + (2_000).to_bytes(3) + b"CN=shop.example" * 133 + b"12345"
SERVER_HELLO = b"\2\0\0\2\3\3"
HELLO_DONE = b"\x16\3\3\0\4\x0e\0\0\0"
NAMED = {  # payloads as sent, and what is shown of them
    "TLS": ([hello()], [hello().replace(b"\0\0\0\x11\0\x0f\0\0\x0cshop.example", b"\0\0\0\x11")]),
    "TLS name cut by the capture": ([hello()[:-12]], [hello()[: hello().index(b"\0\x0f\0\0\x0c")]]),
    "TLS name in two packets": ([hello()[:66], hello()[66:]], [hello()[: hello().index(b"\0\x0f\0\0\x0c")], b""]),
    "TLS certificates in two packets": (
        [b"\x16\3\3\x07\xd4" + CERTIFICATE[:900], CERTIFICATE[900:], b"\x17\3\3\0\1!"],
        [b"\x16\3\3\x07\xd4" + CERTIFICATE[:4], b"", b"\x17\3\3\0\1!"],
    ),
    "HTTP": (
        [b"GET /a HTTP/1.1\r\nAccept: */*\r\nhost: shop.example\r\nReferer: http://shop.example/\r\nX: y\r\n\r\nbody"],
        [b"GET /a HTTP/1.1\r\nAccept: */*\r\nhost: \r\nReferer: \r\nX: y\r\n\r\nbody"],
    ),
    "HTTP through a proxy": (
        [b"GET http://shop.example/a HTTP/1.1\r\n\r\n", b"CONNECT shop.example:443 HTTP/1.1\r\n\r\n"],
        [b"GET http:///a HTTP/1.1\r\n\r\n", b"CONNECT  HTTP/1.1\r\n\r\n"],
    ),
    "HTTP in two packets": (
        [b"GET / HTTP/1.1\r\nHost: shop.ex", b"ample\r\nOrigin: shop.example\r\n\r\n", b"GET / HTTP/1.1\r\n\r\nHost"],
        [b"GET / HTTP/1.1\r\nHost: ", b"\nOrigin: \r\n\r\n", b"GET / HTTP/1.1\r\n\r\nHost"],
    ),
    "HTTP answer": (
        [b"HTTP/1.1 301 Moved\r\nLocation: https://shop.example/\r\n\r\n"],
        [b"HTTP/1.1 301 Moved\r\nLocation: \r\n\r\n"],
    ),
    "HTTP value that goes on in the next line": (
        [b"GET / HTTP/1.1\r\nHost:\r\n shop.example\r\nX: y\r\n\r\n", b"HTTP/1.1 200 OK\r\nLink: a\r\n\tb\r\nX: y"],
        [b"GET / HTTP/1.1\r\nHost:\r\nX: y\r\n\r\n", b"HTTP/1.1 200 OK\r\nLink: \r\nX: y"],
    ),
    "HTTP value that goes on in the next packet": (
        [b"GET / HTTP/1.1\r\nHost:", b"\r\n shop.example\r\nX: y\r\n\r\n"],
        [b"GET / HTTP/1.1\r\nHost:", b"\nX: y\r\n\r\n"],
    ),
    "HTTP request behind another": (
        [b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: shop.ex", b"ample\r\n\r\n", b"shop.example"],
        [b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: ", b"\n\r\n", b"shop.example"],
    ),
    "HTTP request behind a body": (
        [b"PUT / HTTP/1.1\r\n\r\n", b"bodyGET / HTTP/1.1\r\nHost: shop.ex", b"ample\r\n\r\n"],
        [b"PUT / HTTP/1.1\r\n\r\n", b"bodyGET / HTTP/1.1\r\nHost: ", b"\n\r\n"],
    ),
    "HTTP method in two packets": (
        [b"GE", b"T / HTTP/1.1\r\nHost: shop.example\r\n\r\n"],
        [b"GE", b"T / HTTP/1.1\r\nHost: \r\n\r\n"],
    ),
    "TLS certificates over records": (
        [b"\x16\3\3\2\0" + CERTIFICATE[:512], b"\x16\3\3\2\0" + CERTIFICATE[512:1024], b"\x17\3\3\0\1!", HELLO_DONE],
        [b"\x16\3\3\2\0" + CERTIFICATE[:4], b"\x16\3\3\2\0", b"\x17\3\3\0\1!", HELLO_DONE],
    ),
    "TLS certificates behind the start of another message": (
        [b"\x16\3\3\0\4" + SERVER_HELLO[:4], b"\x16\3\3\7\xda" + SERVER_HELLO[4:] + CERTIFICATE],
        [b"\x16\3\3\0\4" + SERVER_HELLO[:4], b"\x16\3\3\7\xda"],
    ),
    "TLS messages that are encrypted": ([b"\x16\3\3\0\4\x8f!!!", HELLO_DONE], [b"\x16\3\3\0\4\x8f!!!", HELLO_DONE]),
    "no names": ([b"shop.example", b"\x16", b"\x80binary"], [b"shop.example", b"\x16", b"\x80binary"]),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_server_names_are_hidden(name: str) -> None:
    sent, expected = NAMED[name]
    assert shown(*sent) == expected
    assert shown(*sent, hide_names=False) == sent


@pytest.mark.parametrize("cut", [1, 3, 20, 45, 50, 60])
def test_a_client_hello_over_two_records(cut: int) -> None:
    message = hello()[5:]
    first = b"\x16\3\1" + cut.to_bytes(2) + message[:cut]
    second = b"\x16\3\1" + (len(message) - cut).to_bytes(2) + message[cut:]
    expected = [b"\x16\3\1" + cut.to_bytes(2) + message[: min(cut, 55)], second[:5]]  # the name's extension is at 51
    assert shown(first, second) == expected
    assert shown(first + second) == [b"".join(expected)]


@pytest.mark.parametrize("sequence", [7, 2**32 - 9])
def test_packets_are_read_in_the_order_sent_and_told_in_the_order_captured(sequence: int) -> None:
    def part(data: bytes, at: int) -> bytes:
        return bytes(ip(4) / TCP(dport=443, seq=(sequence + at) % 2**32) / data)

    captured = [part(hello()[40:], 40), part(hello()[:40], 0), part(hello()[:40], 0)]
    for payload_bytes in (64, 9_000):
        tokenizer = dataclasses.replace(MASKED, payload_bytes=payload_bytes)
        told = tokenizer.decode(tokenizer.encode(flow_of(*captured)).ids)
        assert [packet[13:] for packet in told] == [b"", hello()[:40], hello()[:40]]


NAMING_HEADERS = [
    "Host", "host ", "X-Forwarded-Host", "X-Host", "Forwarded", "Via", "Link", "Content-Security-Policy", "Referer",
    "Content-Security-Policy-Report-Only", "Access-Control-Allow-Origin", "Set-Cookie", "Alt-Svc", "P3P", "X-Cache",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMING_HEADERS)
def test_headers_that_name_servers(name: str) -> None:
    request = b"GET / HTTP/1.1\r\nA: b\r\n%s: https://shop.example\r\nX: y\r\n\r\n" % name.encode()
    assert shown(request) == [request.replace(b"https://shop.example", b"")]


def test_other_headers_and_searches_in_a_network_are_shown() -> None:
    request = b"GET / HTTP/1.1\r\nAccept: */*\r\nX-Via: a\r\nServer: b\r\nLinks: c\r\n\r\nbody"
    assert shown(request) == [request]
    search = b"M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\n\r\n"
    assert shown(search, port=1900, layer=UDP) == [search]


def test_the_two_directions_are_told_apart() -> None:
    assert shown(hello(), b"plain text", ways="><")[1] == b"plain text"
    assert shown(hello(), b"more of it", ways=">>")[1] == b""


QUESTION = b"\4shop\7example\0" + b"\0\1\0\1"
QUERY = b"ID\1\0\0\1\0\0\0\0\0\0" + QUESTION
ANSWER = b"ID\x81\x80\0\1\0\1\0\0\0\0" + QUESTION + b"\xc0\x0c\0\1\0\1\0\0\0\7\0\4\xc0\0\2\7"


@pytest.mark.parametrize("port", [53, 5353, 5355])
def test_dns_names_are_hidden(port: int) -> None:
    expected = [QUERY[:12] + b"\0\1\0\1", ANSWER[:12] + b"\0\1\0\1"]
    assert shown(QUERY, ANSWER, port=port, layer=UDP) == expected
    assert shown(QUERY[:20], port=port, layer=UDP) == [QUERY[:12]]
    assert shown(QUERY, port=port, layer=UDP, hide_names=False) == [QUERY]


def test_dns_over_tcp() -> None:
    message = len(QUERY).to_bytes(2) + QUERY
    assert shown(message, port=53) == [message[:14] + b"\0\1\0\1"]
    assert shown(message[:20], message[20:], port=53) == [b"", b""]


def test_a_question_that_an_icmp_error_quotes_is_hidden_too() -> None:
    quoted = IP() / UDP(sport=4000, dport=53) / QUERY
    packet = bytes(ip(4) / ICMP(type=3, code=3) / quoted)
    (told,) = MASKED.decode(MASKED.encode(flow_of(packet)).ids)
    assert b"shop" in packet
    assert b"shop" not in told


ALL = [IPV4_TCP, IPV6_UDP, *(bytes(packet) for packet in PACKETS.values())]
ALL += [bytes(ip(4) / TCP(dport=80) / b"".join(sent)) for sent, _ in NAMED.values()]
ALL += [bytes(ip(6) / UDP(dport=53) / ANSWER), bytes(ip(4) / TCP(dport=53) / QUERY)]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_spoilt_packets_never_crash_and_always_come_back(data: st.DataObject) -> None:
    packets = []
    for good in data.draw(st.lists(st.sampled_from(ALL), min_size=1, max_size=4)):
        packet = bytearray(good)
        for at, value in data.draw(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=4)):
            packet[at % len(packet)] = value
        packets.append(bytes(packet[: data.draw(st.integers(0, len(packet)))]))
    flow = flow_of(*packets)
    unit_bytes, seed = data.draw(st.sampled_from([1, 2])), data.draw(st.sampled_from([None, 5]))
    raw = dataclasses.replace(RAW, unit_bytes=unit_bytes)
    assert raw.decode(raw.encode(flow).ids) == packets
    masked = dataclasses.replace(MASKED, unit_bytes=unit_bytes, shuffle_seed=seed)
    tokens = masked.encode(flow)
    assert len(tokens.ids) == len(tokens.segments) == len(tokens.offsets)
    assert tokens.ids.count(PCK) == len(packets)
    assert all(0 <= token < masked.vocab_size for token in tokens.ids)


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(["tcp", "tcp6", "udp", "udp6"]), noise=st.binary(min_size=64, max_size=64))
def test_all_hidden_bytes_at_once_leave_no_trace(kind: str, noise: bytes) -> None:
    """Spans written down here anew, from the RFCs; names are hidden behind some ports, all behind those of tunnels."""
    packet = bytearray(bytes(PACKETS[kind]))
    spans = [(4, 6), (8, 9), (10, 20)] if packet[0] >> 4 == 4 else [(2, 4), (7, 40)]
    at = 20 if packet[0] >> 4 == 4 else 40
    spans += [(at, at + 12), (at + 16, at + 18)] if "tcp" in kind else [(at, at + 4), (at + 6, at + 8)]
    before = MASKED.encode(flow_of(bytes(packet)))
    for start, end in spans:
        packet[start:end] = noise[start % 16 : start % 16 + end - start]
    after = MASKED.encode(flow_of(bytes(packet)))
    source, destination = (int.from_bytes(packet[first : first + 2]) for first in (at, at + 2))
    if not {53, 5353, 5355} & {source, destination} and destination not in (4789, 8472, 4790, 6081, 2152, 3544):
        assert before == after

"""Captures to flows: every form of file and link layer, and nothing that is cut, damaged or hostile ends in a crash."""

import bz2
import gzip
import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, GRE, CookedLinux, Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet as Made

from core.errors import InputError
from core.ingest.flows import read_flows
from core.ingest.frames import UnreadableFrame, place, places
from core.ingest.pcap import Block, CaptureCounts, read_blocks
from core.records import Flow
from tests.captures import ETHERNET, START, block, pcap, pcapng, section

MAC = "02:00:00:00:00:01"
ETHER = Ether(src=MAC, dst=MAC)  # else scapy asks the network
IPV4 = IP(src="192.0.2.1", dst="198.51.100.2", id=7) / TCP(sport=40_000, dport=80, flags="S", seq=9) / b"hello"
IPV6 = IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=40_000, dport=443) / b"hello"
KEY = (6, "192.0.2.1", 40_000, "198.51.100.2", 80)
KEY_6 = (17, "2001:db8::1", 40_000, "2001:db8::2", 443)
FRAMES = [bytes(ETHER / IPV4), bytes(ETHER / IPV6), bytes(ETHER / IP(src="192.0.2.3") / UDP(dport=9) / bytes(60))]


def read(data: bytes, folder: Path, counts: CaptureCounts | None = None) -> list[Flow]:
    path = folder / "a.pcap"
    path.write_bytes(data)
    return list(read_flows([path], counts=counts))


def told(flows: list[Flow]) -> list[tuple]:
    """What flows say, but for the capture's name."""
    return [(flow.key, flow.n_bytes, [(p.time, p.forward, p.data, p.length) for p in flow.packets]) for flow in flows]


FORMS = {
    "microseconds": pcap(FRAMES),
    "big-endian": pcap(FRAMES, order=">"),
    "nanoseconds": pcap(FRAMES, magic=0xA1B23C4D),
    "nanoseconds, big-endian": pcap(FRAMES, order=">", magic=0xA1B23C4D),
    "longer record headers": pcap(FRAMES, magic=0xA1B2CD34),
    "pcapng": pcapng(FRAMES),
    "pcapng, big-endian": pcapng(FRAMES, order=">"),
    "pcapng, nanoseconds": pcapng(FRAMES, resolution=9),
    "gzip": gzip.compress(pcap(FRAMES)),
    "bzip2": bz2.compress(pcap(FRAMES)),
    "zstd": zstandard.ZstdCompressor().compress(pcapng(FRAMES)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_gives_the_same_flows(form: str, tmp_path: Path) -> None:
    flows = read(FORMS[form], tmp_path)
    assert [flow.key for flow in flows] == [KEY, KEY_6, (17, "192.0.2.3", 53, "127.0.0.1", 9)]
    assert [flow.packets[0].data for flow in flows[:2]] == [bytes(IPV4), bytes(IPV6)]
    assert [flow.first_utc for flow in flows] == [START, pytest.approx(START + 0.001, abs=1e-6), START + 0.002]
    assert [flow.n_bytes for flow in flows] == [len(frame) for frame in FRAMES]


def test_standard_input_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FORMS["gzip"])))
    assert [flow.capture for flow in read_flows(["-"])] == ["standard input"] * 3


def test_pcapng_with_two_interfaces_sections_and_packets_without_time(tmp_path: Path) -> None:
    raw = bytes(IPV4)
    simple = block(3, struct.pack("<I", len(raw)) + raw)
    second = struct.pack("<IIIII", 1, 0, 5_000_000, len(raw), 1_000) + raw
    unknown = struct.pack("<IIIII", 7, 0, 0, len(raw), len(raw)) + raw
    described = block(1, struct.pack("<HHI", 101, 0, 0)) + block(1, struct.pack("<HHI", 228, 0, 0))
    counts = CaptureCounts()
    data = (
        section()
        + described
        + simple
        + block(6, second)
        + block(6, unknown)
        + block(99, b"skipped")
        + pcapng(FRAMES[:1])
    )
    (flow, *_) = read(data, tmp_path, counts)
    assert (flow.key, flow.first_utc, flow.packets[0].length) == (KEY, 0.0, len(raw))
    assert (counts.packets, counts.in_flows) == (4, 3)
    assert [(left.position, left.reason) for left in counts.first] == [(3, "a packet block that says too little")]


@pytest.mark.parametrize(("longest", "captured"), [(50, 50), (0, 65), (65, 65), (1_000, 65)])
def test_a_packet_without_time_is_as_long_as_its_interface_captures(
    longest: int, captured: int, tmp_path: Path
) -> None:
    raw = bytes(IPV4 / bytes(20))
    simple = block(3, struct.pack("<I", len(raw)) + raw[:captured])  # padded to a multiple of four
    (flow,) = read(section() + block(1, struct.pack("<HHI", 101, 0, longest)) + simple, tmp_path)
    assert (flow.packets[0].data, flow.n_bytes) == (raw[:captured], 65)


def test_bytes_on_the_wire_are_known_where_the_capture_cut_packets(tmp_path: Path) -> None:
    (flow,) = read(pcap([FRAMES[0][:60], FRAMES[0][:60]], wire=1_500), tmp_path)
    assert (flow.n_bytes, flow.packets[0].data) == (3_000, bytes(IPV4)[:46])


def test_padding_after_the_packet_is_no_part_of_it(tmp_path: Path) -> None:
    (flow,) = read(pcap([FRAMES[0] + b"\xee" * 9]), tmp_path)
    assert flow.packets[0].data == bytes(IPV4)


def null(packet: Made, order: str) -> bytes:
    return struct.pack(f"{order}I", 2) + bytes(packet)


def head(kind: int) -> bytes:
    return bytes(Ether(src=MAC, dst=MAC, type=kind))


LINKS = {
    "802.1Q": (ETHERNET, bytes(ETHER / Dot1Q(vlan=5) / IPV4)),
    "QinQ": (ETHERNET, bytes(ETHER / Dot1AD(vlan=5) / Dot1Q(vlan=6) / IPV4)),
    "PPPoE": (ETHERNET, head(0x8864) + bytes.fromhex("1100 0001 0030 0021") + bytes(IPV4)),
    "MPLS": (ETHERNET, head(0x8847) + bytes.fromhex("0001 0040 0002 0140") + bytes(IPV4)),
    "cooked": (113, bytes(CookedLinux(proto=0x0800) / IPV4)),
    "cooked, version 2": (276, struct.pack(">HxxIHBB8x", 0x0800, 1, 1, 0, 6) + bytes(IPV4)),
    "raw": (101, bytes(IPV4)),
    "raw IPv4": (228, bytes(IPV4)),
    "null": (0, null(IPV4, "<")),
    "null, big-endian": (0, null(IPV4, ">")),
    "loopback": (108, null(IPV4, ">")),
    "GRE": (ETHERNET, bytes(ETHER / IP() / GRE() / IPV4)),
    "GRE with checksum, key and number": (
        ETHERNET,
        bytes(ETHER / IP() / GRE(chksum_present=1, key_present=1, seqnum_present=1, key=1, sequence_number=2) / IPV4),
    ),
    "GRE, bridged": (ETHERNET, bytes(ETHER / IP() / GRE(proto=0x6558) / ETHER / Dot1Q() / IPV4)),
    "GRE in IPv6": (ETHERNET, bytes(ETHER / IPv6() / GRE() / IPV4)),
    "VXLAN": (ETHERNET, bytes(ETHER / IP() / UDP(dport=4789) / VXLAN(vni=3, flags="Instance") / ETHER / IPV4)),
    "VXLAN in IPv6": (
        ETHERNET, bytes(ETHER / IPv6() / UDP(dport=8472) / VXLAN(vni=3, flags="Instance") / ETHER / IPV4),
    ),
    "VXLAN with a group": (
        ETHERNET, bytes(ETHER / IP() / UDP(dport=4789) / VXLAN(vni=3, flags=0x88, gpid=7) / ETHER / IPV4),
    ),
    "VXLAN with every bit": (ETHERNET, bytes(ETHER / IP() / UDP(dport=4789) / (b"\xff" * 8) / ETHER / IPV4)),
    "IP in IP": (ETHERNET, bytes(ETHER / IP() / IPV4)),
    "first fragment": (ETHERNET, bytes(ETHER / IP(src=KEY[1], dst=KEY[3], flags="MF") / IPV4[TCP])),
    "IPv4 options": (ETHERNET, bytes(ETHER / IP(src=KEY[1], dst=KEY[3], options=b"\x94\x04\x00\x00") / IPV4[TCP])),
}  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
def test_link_layers_and_one_tunnel(name: str, tmp_path: Path) -> None:
    link, frame = LINKS[name]
    (flow,) = read(pcap([frame], link), tmp_path)
    assert flow.key == KEY
    assert flow.packets[0].data[-25:] == bytes(IPV4)[-25:]
    assert flow.packets[0].data[0] >> 4 == 4


def test_what_names_no_vxlan_network_is_a_datagram_as_any_other(tmp_path: Path) -> None:
    for payload in (VXLAN(vni=3, flags=0xF7) / ETHER / IPV4, b"\x08"):
        (flow,) = read(pcap([bytes(ETHER / IP() / UDP(sport=53, dport=4789) / payload)]), tmp_path)
        assert flow.key == (17, "127.0.0.1", 53, "127.0.0.1", 4789)


def extended(*headers: Made) -> bytes:
    packet = ETHER / IPv6(src=KEY_6[1], dst=KEY_6[3])
    for header in headers:
        packet /= header
    return bytes(packet / UDP(sport=40_000, dport=443) / b"hello")


@pytest.mark.parametrize(
    "headers",
    [
        (IPv6ExtHdrHopByHop(),),
        (IPv6ExtHdrHopByHop(), IPv6ExtHdrRouting(addresses=["2001:db8::9"]), IPv6ExtHdrDestOpt()),
        (IPv6ExtHdrFragment(offset=0, m=1, id=5),),
    ],
)
def test_ipv6_extension_headers(headers: tuple[Made, ...], tmp_path: Path) -> None:
    (flow,) = read(pcap([extended(*headers)]), tmp_path)
    assert flow.key == KEY_6


def test_icmp_has_no_ports(tmp_path: Path) -> None:
    echo = IP(src="192.0.2.1", dst="192.0.2.2") / ICMP(id=3)
    answer = IP(src="192.0.2.2", dst="192.0.2.1") / ICMP(type=0, id=3)
    frames = [bytes(ETHER / packet) for packet in (echo, answer, IPv6() / ICMPv6EchoRequest())]
    flows = read(pcap(frames), tmp_path)
    assert [(flow.key, flow.n_packets) for flow in flows] == [
        ((1, "192.0.2.1", 0, "192.0.2.2", 0), 2), ((58, "::1", 0, "::1", 0), 1),
    ]  # fmt: skip


LEFT_OUT = {
    "not IP: type 0x0806": bytes(ETHER / ARP()),
    "not IP": bytes(12) + b"\x00\x26" + bytes(50),  # spanning tree
    "cut inside the link layer": bytes(ETHER)[:13],
    "a later IP fragment, which has no ports": bytes(ETHER / IP(frag=10) / TCP()),
    "cut inside the IPv4 header": FRAMES[0][:30],
    "malformed IPv4 header": FRAMES[0][:14] + b"\x42" + FRAMES[0][15:],
    "cut inside the TCP header": FRAMES[0][:44],
    "cut inside the UDP header": FRAMES[1][:58],
    "cut inside the IPv6 header": FRAMES[1][:50],
    "malformed IPv6 header": FRAMES[1][:14] + b"\x50" + FRAMES[1][15:],
    "cut inside the IPv6 extension headers": extended(IPv6ExtHdrHopByHop())[:60],
    "IP protocol 2 is not TCP, UDP or ICMP": bytes(ETHER / IP(proto=2) / bytes(8)),
    "IP protocol 47 is not TCP, UDP or ICMP": bytes(ETHER / IP() / GRE() / IP() / GRE() / IPV4),
    "GRE of a form that is not read": bytes(ETHER / IP(proto=47) / b"\x30\x01\x88\x0b" / bytes(20)),
    "cut inside the GRE header": bytes(ETHER / IP(proto=47) / b"\0\0"),
}


@pytest.mark.parametrize("reason", LEFT_OUT)
def test_what_joins_no_flow_is_counted_with_its_place(reason: str, tmp_path: Path) -> None:
    counts = CaptureCounts()
    flows = read(pcap([FRAMES[0], *[LEFT_OUT[reason]] * 5]), tmp_path, counts)
    assert [flow.n_packets for flow in flows] == [1]
    assert (counts.packets, counts.in_flows, dict(counts.reasons)) == (6, 1, {reason: 5})
    assert [left.position for left in counts.first] == [2, 3, 4]
    assert Path(counts.first[0].source).name == "a.pcap"


@pytest.mark.parametrize(
    ("link", "reason"), [(147, "link layer 147 is not known"), (101, "not IP"), (1, "not IP: type 0xffff")]
)
def test_another_link_layer_is_counted(link: int, reason: str, tmp_path: Path) -> None:
    counts = CaptureCounts()
    assert read(pcap([b"\xff" * 60] * 3, link), tmp_path, counts) == []
    assert dict(counts.reasons) == {reason: 3}


NO_CAPTURES = {
    "empty": b"",
    "cut header": b"\xd4\xc3\xb2\xa1",
    "log": b"a log line\n" * 9,
    "packed text": gzip.compress(b"text" * 40),
    "zeros": bytes(99),
}


@pytest.mark.parametrize("name", NO_CAPTURES)
def test_what_is_no_capture_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a packet capture"):
        read(NO_CAPTURES[name], tmp_path)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.pcap: there is no such file"):
        list(read_flows(["nowhere.pcap"]))


@pytest.mark.parametrize("form", ["microseconds", "pcapng", "pcapng, big-endian", "gzip", "bzip2", "zstd"])
def test_cut_at_every_byte(form: str, tmp_path: Path) -> None:
    whole, held = FORMS[form], 0
    expected = told(read(whole, tmp_path))
    for size in range(len(whole)):
        counts = CaptureCounts()
        try:
            flows = told(read(whole[:size], tmp_path, counts))
        except InputError:
            assert held == 0
            continue
        assert flows == expected[: len(flows)]
        assert counts.packets == len(flows) >= held or form == "bzip2"
        held = counts.packets
        assert all(left.position == counts.packets + 1 for left in counts.first)
        if form in ("gzip", "bzip2", "zstd"):
            assert len(counts.first) == 1
    assert held >= (0 if form in ("bzip2", "zstd") else 2)  # these two compress in blocks


def test_a_record_longer_than_any_frame_ends_the_capture(tmp_path: Path) -> None:
    counts = CaptureCounts()
    data = pcap(FRAMES[:1]) + struct.pack("<IIII", START, 0, 0xFFFFFFFF, 60) + pcap(FRAMES)
    assert len(read(data, tmp_path, counts)) == 1
    assert [(left.position, left.reason) for left in counts.first] == [
        (2, "the capture is damaged here; the rest cannot be read")
    ]


def test_many_pieces_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = FRAMES * 40
    for data in (pcap(frames), pcapng(frames), gzip.compress(pcap(frames))):
        whole = told(read(data, tmp_path))
        with monkeypatch.context() as patch:
            patch.setattr("core.ingest.pcap.PIECE_BYTES", 61)
            patch.setattr("core.ingest.pcap.LONGEST_FRAME", 200)
            assert told(read(data, tmp_path)) == whole
            assert len(list(read_blocks(tmp_path / "a.pcap", CaptureCounts()))) > 10


GOOD = [*FRAMES, *(frame for _, frame in LINKS.values()), *LEFT_OUT.values(), extended(IPv6ExtHdrHopByHop())]


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A good frame with some bytes changed and its end cut."""
    frame = bytearray(draw(st.sampled_from(GOOD)))
    for at, value in draw(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=4)):
        frame[at % len(frame)] = value
    return bytes(frame[: draw(st.integers(0, len(frame)))]) if draw(st.booleans()) else bytes(frame)


@settings(max_examples=150, deadline=None)
@given(frames=st.lists(spoilt(), min_size=1, max_size=5), link=st.sampled_from([0, 1, 101, 113, 276]))
def test_frames_in_columns_are_read_as_one_by_one(frames: list[bytes], link: int) -> None:
    data, sizes = b"".join(frames), np.array([len(frame) for frame in frames])
    ends = np.cumsum(sizes)
    blocked = Block(1, data, ends - sizes, ends, np.zeros(len(frames)), sizes, np.full(len(frames), link))
    reasons: dict[int, str] = {}
    found = [row[2:] for row in places(blocked, reasons.__setitem__)]
    expected = []
    for number, frame in enumerate(frames):
        start = int(ends[number]) - len(frame)
        try:
            key, flags, at, end = place(link, frame, 0, len(frame))
            expected.append((key, flags, at + start, end + start))
            assert len(key) in (13, 37)
            assert 0 <= at < end <= len(frame)
        except UnreadableFrame as reason:
            assert reasons[number + 1] == str(reason)
    assert found == expected


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_spoilt_captures_never_crash_and_never_loop(data: st.DataObject, tmp_path: Path) -> None:
    capture = bytearray(data.draw(st.sampled_from([pcap(FRAMES), pcapng(FRAMES), pcapng(FRAMES, order=">")])))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(capture) - 1), st.integers(0, 255)), max_size=6)):
        capture[at] = value
    if data.draw(st.booleans()):
        capture = bytearray(bytes(capture[:32]) + data.draw(st.binary(max_size=200)))
    counts = CaptureCounts()
    try:
        flows = read(bytes(capture), tmp_path, counts)
    except InputError:
        return
    assert counts.packets <= len(capture) / 12
    assert sum(flow.n_packets for flow in flows) == counts.in_flows
    assert counts.in_flows + sum(counts.reasons.values()) in (counts.packets, counts.packets + 1)

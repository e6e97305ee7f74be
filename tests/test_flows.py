"""Packets to flows: directions, ends, limits, statistics; and tshark's table of our own captures."""

import csv
import math
import shutil
import subprocess
from pathlib import Path

import pytest

from core.config import FlowConfig
from core.ingest.flows import FlowTable, flow_statistics, read_flows
from core.ingest.frames import ACK, FIN, NO_FLAGS, RST, SYN, TCP, UDP, reverse_key
from core.ingest.pcap import CaptureCounts
from core.records import ENDINGS, Flow, Packet

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).with_name("golden") / "conversations.csv"
CAPTURES = [f"sample_logs/{name}/val.pcap.gz" for name in ("auth", "web_access", "traffic")]
UNLIMITED = FlowConfig(idle_seconds=math.inf, active_seconds=math.inf, open_flows=1_000_000)

A_TO_B = bytes((6, 192, 0, 2, 1, 192, 0, 2, 2, 0, 10, 0, 20))
B_TO_A = reverse_key(A_TO_B)


def other(number: int) -> bytes:
    return A_TO_B[:-4] + number.to_bytes(2) + A_TO_B[-2:]


def flows_of(*packets: tuple[float, bytes, int], config: FlowConfig | None = None, length: int = 100) -> list[Flow]:
    """Flows of packets (time, key, flags), each of which holds its number."""
    table = FlowTable(config or FlowConfig(), "made")
    for number, (time, key, flags) in enumerate(packets):
        data = bytes(1000) + bytes([number % 256]) * length
        table.add(data, [(time, length, key, flags, 1000, len(data))])
    table.end_all()
    assert all(flow.ended in ENDINGS for flow in table.ended)
    assert sum(flow.n_packets for flow in table.ended) == table.packets == len(packets)
    return table.take_ended()


def test_both_directions_are_one_flow_told_from_its_first_packet() -> None:
    (flow,) = flows_of((5.0, B_TO_A, SYN), (5.5, A_TO_B, SYN | ACK), (7.0, B_TO_A, ACK))
    assert flow.key == (6, "192.0.2.2", 20, "192.0.2.1", 10)
    assert (flow.first_utc, flow.last_utc, flow.ended, flow.capture) == (5.0, 7.0, "capture", "made")
    assert (flow.n_packets, flow.n_bytes) == (3, 300)
    assert (flow.forward_packets, flow.forward_bytes, flow.backward_packets, flow.backward_bytes) == (2, 200, 1, 100)
    assert flow.packets == (
        Packet(5.0, True, b"\0" * 100, 100), Packet(5.5, False, b"\1" * 100, 100), Packet(7.0, True, b"\2" * 100, 100),
    )  # fmt: skip
    assert (flow.forward_squares, flow.backward_squares) == (20_000, 10_000)
    assert (flow.gap_squares, flow.longest_gap, flow.tcp_flags) == (2.5, 1.5, {SYN: 1, SYN | ACK: 1, ACK: 1})


def test_an_endpoint_that_speaks_to_itself() -> None:
    key = bytes((17, *[127, 0, 0, 1] * 2, 0, 9, 0, 9))
    (flow,) = flows_of((0.0, key, NO_FLAGS), (1.0, key, NO_FLAGS))
    assert (flow.n_packets, flow.forward_packets, flow.tcp_flags) == (2, 2, {})


@pytest.mark.parametrize(
    ("times", "ends"),
    [
        ((0.0, 120.0, 240.0), ["capture"]),
        ((0.0, 120.1), ["idle", "capture"]),
        (tuple(range(0, 4000, 100)), ["active", "active", "capture"]),
        ((9.0, 3.0, 9.5), ["capture"]),  # not in order
    ],
)
def test_timeouts(times: tuple[float, ...], ends: list[str]) -> None:
    flows = flows_of(*((float(time), A_TO_B, NO_FLAGS) for time in times))
    assert [flow.ended for flow in flows] == ends
    assert all(flow.last_utc - flow.first_utc <= 1_800 and flow.longest_gap <= 120 for flow in flows)


def test_what_closes_a_flow_takes_its_last_words_and_a_syn_starts_the_next() -> None:
    fin = FIN | ACK
    closed = [(0.0, A_TO_B, SYN), (1.0, A_TO_B, fin), (1.1, B_TO_A, fin), (1.2, A_TO_B, ACK)]
    first, second = flows_of(*closed, (2.0, A_TO_B, SYN))
    assert (first.n_packets, first.ended, second.n_packets, second.ended) == (4, "fin", 1, "capture")
    first, second = flows_of((0.0, A_TO_B, SYN), (0.1, B_TO_A, RST | ACK), (0.2, B_TO_A, RST), (0.3, A_TO_B, SYN))
    assert (first.n_packets, first.ended, second.n_packets) == (3, "reset", 1)


def test_half_closed_and_repeated_syn_go_on() -> None:
    packets = [(0.0, A_TO_B, SYN), (1.0, A_TO_B, SYN), (2.0, A_TO_B, FIN | ACK), (3.0, A_TO_B, SYN)]
    assert [flow.ended for flow in flows_of(*packets)] == ["capture"]


def test_the_next_flow_may_start_from_the_other_side() -> None:
    _, second = flows_of((0.0, A_TO_B, SYN), (0.1, B_TO_A, RST), (0.2, B_TO_A, SYN), (0.3, A_TO_B, SYN | ACK))
    assert (second.key[1], second.forward_packets, second.backward_packets) == ("192.0.2.2", 1, 1)


def test_first_packets_are_kept_and_cut() -> None:
    config = FlowConfig(keep_packets=2, packet_bytes=5)
    (flow,) = flows_of(*((0.1 * number, A_TO_B, ACK) for number in range(9)), config=config)
    assert [packet.data for packet in flow.packets] == [b"\0" * 5, b"\1" * 5]
    assert (flow.n_packets, flow.n_bytes) == (9, 900)


def test_open_flows_are_bounded_and_the_longest_silent_go_first() -> None:
    config = FlowConfig(open_flows=20)
    packets = [(float(number), other(number), NO_FLAGS) for number in range(20)]
    packets += [(20.0, other(0), NO_FLAGS), (21.0, other(99), NO_FLAGS)]
    flows = flows_of(*packets, config=config)
    assert [flow.key[2] for flow in flows if flow.ended == "crowded"] == [1, 2]
    assert len(flows) == 21


def test_silent_flows_are_given_out_before_the_capture_ends() -> None:
    table = FlowTable(FlowConfig())
    table.add(b"", [(number / 10, 60, other(number), NO_FLAGS, 0, 0) for number in range(12_000)])
    assert len(table.ended) == 12_000 - 1_201
    assert {flow.ended for flow in table.ended} == {"idle"}


def test_statistics() -> None:
    (flow,) = flows_of((10.0, A_TO_B, SYN), (10.5, B_TO_A, SYN | ACK), (12.0, A_TO_B, FIN | ACK), length=50)
    values = flow_statistics(flow)
    assert {name: value for name, value in values.items() if value} == {
        "duration_s": 2.0, "packets_forward": 2.0, "packets_backward": 1.0, "bytes_forward": 100.0,
        "bytes_backward": 50.0, "packets_per_s": 1.5, "bytes_per_s": 75.0, "size_mean_forward": 50.0,
        "size_mean_backward": 50.0, "gap_mean_s": 1.0, "gap_std_s": 0.5, "gap_longest_s": 1.5, "fin_packets": 1.0,
        "syn_packets": 2.0, "ack_packets": 2.0, "size_1": 50.0, "size_2": -50.0, "size_3": 50.0,
        "gap_2": 0.5, "gap_3": 1.5,
    }  # fmt: skip
    nothing = Flow((17, "", 0, "", 0), "", 0.0, 0.0, 1, 60, 1, 60, (Packet(0.0, True, b"", 60),), forward_squares=3600)
    assert list(flow_statistics(nothing)) == list(values)
    assert flow_statistics(nothing)["size_1"] == 60.0


def test_captures_never_share_a_flow_and_their_counts_add_up() -> None:
    counts = CaptureCounts()
    flows = list(read_flows([ROOT / CAPTURES[0]] * 2, UNLIMITED, counts=counts))
    assert len(flows) == 2 * 306
    assert counts.packets == counts.in_flows == 2 * 13_197 == sum(flow.n_packets for flow in flows)


def conversations(capture: str) -> list[list[str]]:
    """Our flows as the golden table has them."""
    return sorted(
        [
            capture, str(flow.key[0]), flow.key[1], str(flow.key[2]), flow.key[3], str(flow.key[4]),
            str(flow.forward_packets), str(flow.forward_bytes), str(flow.backward_packets), str(flow.backward_bytes),
            f"{flow.first_utc:.6f}", f"{flow.last_utc:.6f}",
        ]
        for flow in read_flows([ROOT / capture], UNLIMITED)
        if flow.key[0] in (TCP, UDP)  # tshark has no streams of ICMP
    )  # fmt: skip


@pytest.mark.parametrize("capture", CAPTURES)
def test_flows_are_the_conversations_that_tshark_finds(capture: str) -> None:
    with GOLDEN.open(newline="") as file:
        rows = [row for row in csv.reader(file) if row[0] == capture]
    assert len(rows) > 300
    assert conversations(capture) == rows


def tshark_conversations(capture: str) -> list[list[str]]:
    """tshark's streams of a capture, summed over its packets; the golden table is made of these."""
    names = ["tcp.stream", "udp.stream", "ip.src", "ip.dst", "tcp.srcport", "udp.srcport", "tcp.dstport", "udp.dstport"]
    fields = [part for name in [*names, "frame.len", "frame.time_epoch"] for part in ("-e", name)]
    wanted = ["-Y", "(tcp || udp) && !icmp"]  # an ICMP error quotes the packet it speaks of
    output = subprocess.run(
        ["tshark", "-r", ROOT / capture, *wanted, "-T", "fields", *fields], capture_output=True, text=True, check=True
    ).stdout
    streams: dict[tuple[str, str], list] = {}
    for line in output.splitlines():
        tcp, udp, source, destination, *ports, length, time = line.split("\t")
        source_port, port = ports[0] or ports[1], ports[2] or ports[3]
        protocol = str(TCP if tcp else UDP)
        first = [capture, protocol, source, source_port, destination, port, 0, 0, 0, 0, f"{float(time):.6f}", ""]
        row = streams.setdefault((protocol, tcp or udp), first)
        at = 6 if row[2:4] == [source, source_port] else 8
        row[at] += 1
        row[at + 1] += int(length)
        row[11] = f"{float(time):.6f}"
    return sorted([str(value) for value in row] for row in streams.values())


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
@pytest.mark.parametrize("capture", CAPTURES)
def test_the_golden_table_is_what_tshark_says(capture: str) -> None:
    assert tshark_conversations(capture) == conversations(capture)

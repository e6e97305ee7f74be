"""Packets per CPU-second from a capture to flows, beside dpkt and scapy on the same file.

    python -m benchmarks.captures [--packets 400000] [--runs 5] [CAPTURE...]

The capture is our own test recordings repeated, each time with other client ports and later, so that the table of
flows grows as in life; or what is named. Rates are of this process's CPU time, reading the plain file included. Ours
and dpkt group the same packets by five-tuple (dpkt into a mere count, the least one can do); scapy only dissects, and
only as many packets as it can in a reasonable time.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dpkt

from core.ingest.flows import read_flows
from core.ingest.pcap import CaptureCounts, read_blocks
from core.tokenization.hex_text import FlowTokenizer

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = [ROOT / "sample_logs" / name / "test.pcap.gz" for name in ("auth", "web_access")]
SCAPY_PACKETS = 5_000
TOKENIZED_FLOWS = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="*", type=Path)
    parser.add_argument("--packets", type=int, default=400_000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "repeated.pcap"
        captures = args.captures or [write_repeated(made, args.packets)]
        counts = CaptureCounts()
        flows = list(read_flows(captures, counts=counts))
        print(f"{counts.packets:,} packets, {len(flows):,} flows; Python {platform.python_version()}\n")
        del flows
        rows: list[tuple[str, Callable[[], int]]] = [
            ("ours: frames found in the file", lambda: sum(len(block) for path in captures for block in blocks(path))),
            ("**ours: flows with their first packets**", lambda: packets_of(captures)),
            ("dpkt: frames found in the file", lambda: sum(1 for path in captures for _ in dpkt_frames(path))),
            ("dpkt: dissected and counted by five-tuple", lambda: dpkt_flows(captures)),
            (f"scapy: dissected (first {SCAPY_PACKETS:,})", lambda: scapy_packets(captures[0])),
        ]
        print("| way | packets a CPU-second, median | slowest to fastest |\n|---|---|---|")
        for name, work in rows:
            rates = sorted(rate(work) for _ in range(args.runs))
            print(f"| {name} | {statistics.median(rates):,.0f} | {rates[0]:,.0f} to {rates[-1]:,.0f} |", flush=True)
        print_tokens(captures)


def rate(work: Callable[[], int]) -> float:
    started = time.process_time()
    done = work()
    return done / (time.process_time() - started)


def write_repeated(path: Path, packets: int) -> Path:
    """Our recordings again and again, the client's port moved on and the clock with it."""
    frames = [frame for sample in SAMPLES for frame in frames_of(sample)]
    frames.sort(key=lambda frame: frame[0])
    span = frames[-1][0] - frames[0][0] + 1
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1))
        for number in range(packets):
            turn, row = divmod(number, len(frames))
            moment, length, frame = frames[row]
            moment += turn * span
            file.write(struct.pack("<IIII", int(moment), int(moment % 1 * 1e6), len(frame), length))
            file.write(with_client_port(frame, turn))
    return path


def with_client_port(frame: bytes, turn: int) -> bytes:
    at = 34 if frame[34:36] > frame[36:38] else 36  # the higher port is the client's
    port = (int.from_bytes(frame[at : at + 2]) + 7 * turn) % 55_000 + 10_000
    return frame[:at] + port.to_bytes(2) + frame[at + 2 :]


def frames_of(path: Path) -> Iterator[tuple[float, int, bytes]]:
    for block in blocks(path):
        for time_, length, start, end in zip(block.times, block.lengths, block.starts, block.ends, strict=True):
            yield float(time_), int(length), block.data[start:end]


def blocks(path: Path) -> Iterator:
    return read_blocks(path, CaptureCounts())


def packets_of(captures: list[Path]) -> int:
    counts = CaptureCounts()
    for _ in read_flows(captures, counts=counts):
        pass
    return counts.packets


def dpkt_frames(path: Path) -> Iterator[tuple[float, bytes]]:
    with path.open("rb") as file:
        yield from dpkt.pcap.UniversalReader(file)


def dpkt_flows(captures: list[Path]) -> int:
    flows: dict[tuple, int] = {}
    done = 0
    for path in captures:
        for _, frame in dpkt_frames(path):
            done += 1
            packet = dpkt.ethernet.Ethernet(frame).data
            segment = getattr(packet, "data", None)
            if isinstance(segment, dpkt.tcp.TCP | dpkt.udp.UDP):
                ends = frozenset(((packet.src, segment.sport), (packet.dst, segment.dport)))
                flows[packet.p, ends] = flows.get((packet.p, ends), 0) + 1
    return done


def scapy_packets(path: Path) -> int:
    from scapy.layers import inet, inet6, l2  # noqa: F401 (dissectors register themselves)
    from scapy.utils import PcapReader

    with PcapReader(str(path)) as reader:
        return sum(1 for _, _ in zip(range(SCAPY_PACKETS), reader, strict=False))


def print_tokens(captures: list[Path]) -> None:
    flows = [flow for flow, _ in zip(read_flows(captures), range(TOKENIZED_FLOWS), strict=False)]
    packets = sum(len(flow.packets) for flow in flows)
    print("\n| hexadecimal text | flows a CPU-second | packets a CPU-second | tokens a flow |\n|---|---|---|---|")
    for unit_bytes in (1, 2):
        tokenizer = FlowTokenizer(unit_bytes=unit_bytes)
        started = time.process_time()
        tokens = sum(len(tokenizer.encode(flow).ids) for flow in flows)
        seconds = time.process_time() - started
        print(
            f"| units of {unit_bytes} | {len(flows) / seconds:,.0f} | {packets / seconds:,.0f} "
            f"| {tokens / len(flows):.0f} |"
        )


if __name__ == "__main__":
    main()

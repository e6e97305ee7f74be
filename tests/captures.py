"""Captures and flows made by hand, for tests of what reads them."""

import socket
import struct
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from core.config import FlowConfig
from core.ingest.flows import read_flows
from core.records import Flow, Packet
from core.store.flow_runs import PACKETS_SCHEMA, FlowRunWriter
from core.workbench.traffic import flow_rows

START = 1_700_000_000
ETHERNET = 1


def pcap(
    frames: Sequence[bytes],
    link: int = ETHERNET,
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    times: Sequence[float] | None = None,
    wire: int | None = None,
) -> bytes:
    """A classic capture; packets a millisecond apart where no times are given, `wire` bytes long where that is."""
    ticks = 1_000_000_000 if magic == 0xA1B23C4D else 1_000_000
    times = times if times is not None else [START + number / 1000 for number in range(len(frames))]
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65_535, link)]
    for frame, time in zip(frames, times, strict=True):
        fraction = round(time % 1 * ticks)
        parts.append(struct.pack(f"{order}IIII", int(time), fraction, len(frame), wire or len(frame)))
        parts.append(bytes(8) if magic == 0xA1B2CD34 else b"")
        parts.append(frame)
    return b"".join(parts)


def pcapng(frames: Sequence[bytes], link: int = ETHERNET, order: str = "<", resolution: int | None = None) -> bytes:
    """A pcapng capture of one interface, packets a millisecond apart; `resolution` is if_tsresol."""
    option = b"" if resolution is None else struct.pack(f"{order}HHB3xI", 9, 1, resolution, 0)
    ticks = 1e6 if resolution is None else (2 if resolution & 0x80 else 10) ** (resolution & 0x7F)
    blocks = [section(order), block(1, struct.pack(f"{order}HHI", link, 0, 0) + option, order)]
    for number, frame in enumerate(frames):
        time = round((START + number / 1000) * ticks)
        head = struct.pack(f"{order}IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(frame), len(frame))
        blocks.append(block(6, head + frame, order))
    return b"".join(blocks)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A block of a pcapng capture."""
    body += bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


def flow_of(*packets: bytes, ways: str = "") -> Flow:
    """A flow of IP packets; `ways` holds > or < for each, else all go forward."""
    kept = tuple(
        Packet(START + number / 1000, ways[number : number + 1] != "<", packet, len(packet) + 14)
        for number, packet in enumerate(packets)
    )
    size = sum(packet.length for packet in kept)
    sent = [packet.length for packet in kept if packet.forward]
    return Flow((6, "192.0.2.1", 1, "192.0.2.2", 2), "made", START, START, len(kept), size, len(sent), sum(sent), kept)


def udp(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    """An IPv4 packet with a datagram, checksums 0."""
    length = 8 + len(payload)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 17, 0)
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    return header + addresses + struct.pack("!HHHH", source[1], destination[1], length, 0) + payload


def ethernet(packet: bytes) -> bytes:
    """A frame around an IPv4 packet."""
    return bytes.fromhex("020000000001 020000000002 0800") + packet


HOSTILE = b"<img src=x onerror=window.pwned=1> :red[x]"
FACTS = {
    "name": "office **bold**.pcap", "captures": ["/a/office.pcap"], "model": "m", "n_packets": 9, "threshold": 0.5,
    "scorers": ["knn", "likelihood"], "weights": {"knn": 1.0, "likelihood": 1.0}, "tasks": ["application"],
    "masked": True, "left_out": {"not IP": 3}, "first_left_out": [("office.pcap", 4, "not IP")], "seconds": 1.5,
}  # fmt: skip


def store_flow_run(run_id: str, folder: Path, **facts: object) -> str:
    """Three flows, the second flagged; each of its bytes surprises by 9 nats where it is not masked.

    Args:
        run_id: of the run.
        folder: where its capture is written.
        facts: of the run, in place of FACTS.
    """
    path = folder / "office.pcap"
    packets = [udp((f"192.0.2.{n}", 40_000 + n), ("192.0.2.9", 53), HOSTILE * n) for n in (1, 2, 3)]
    path.write_bytes(pcap([ethernet(packet) for packet in packets]))
    flows = list(read_flows([path], FlowConfig()))
    judged = pl.DataFrame(
        {
            "score": [0.1, 0.9, 0.2], "is_anomaly": [0, 1, 0], "context": [0.0, 0.4, 0.0],
            "knn": [0.1, 0.8, 0.2], "likelihood": [0.1, 0.6, 0.2],
            "application": ["dns", "odd", "dns"], "application_probability": [0.9, 0.6, 0.8],
        }
    )  # fmt: skip
    rows = []
    for number, flow in enumerate(flows):
        packet = flow.packets[0]
        hidden = bytes(12 <= at < 20 for at in range(len(packet.data)))
        surprise = [float("nan") if is_hidden else 9.0 if number == 1 else 0.5 for is_hidden in hidden]
        time_us = round(packet.time * 1e6)
        rows.append((number, 1, time_us, packet.forward, packet.length, packet.data, hidden, surprise))
    with FlowRunWriter(run_id) as writer:
        table = pl.concat([flow_rows(flows), judged], how="horizontal")
        writer.add(table, pl.DataFrame(rows, schema=PACKETS_SCHEMA, orient="row"))
        writer.finish(FACTS | facts)
    return run_id

"""P1: frames -> bidirectional flows with their first packets.

A flow ends when it is silent for too long, lasts too long, or both sides have said FIN or one a reset; after that its
last acknowledgements still belong to it, and a new SYN starts the next flow.
"""

from __future__ import annotations

import itertools
import math
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from core.config import FlowConfig
from core.ingest.frames import ACK, FIN, RST, SYN, PlacedFrame, places, reverse_key
from core.ingest.pcap import CaptureCounts, capture_name, read_blocks
from core.records import Flow, Packet, Progress, no_progress

_SWEEP_PACKETS = 10_000
_BOTH_FIN, _RESET = 3, 4
_CLOSING = FIN | RST
_FLAGS = {"fin": 0x01, "syn": 0x02, "rst": 0x04, "psh": 0x08, "ack": 0x10, "urg": 0x20}
FIRST_PACKETS = 8  # that `flow_statistics` names one by one


def read_flows(
    paths: Sequence[str | Path],
    config: FlowConfig | None = None,
    progress: Progress = no_progress,
    counts: CaptureCounts | None = None,
) -> Iterator[Flow]:
    """Stream the flows of captures, each when it has ended; a flow never spans two captures.

    Args:
        paths: captures (core/ingest/pcap.py), or "-" for standard input.
        config: timeouts and limits.
        progress: told the bytes read.
        counts: filled on the way: packets read, and why some joined no flow.

    Raises:
        InputError: a file that is missing, unreadable or no capture.
    """
    config = config or FlowConfig()
    counts = counts if counts is not None else CaptureCounts()
    for path in paths:
        capture = capture_name(path)
        table = FlowTable(config, capture)
        for block in read_blocks(path, counts, progress):
            table.add(block.data, places(block, partial(counts.reject, capture)))
            yield from table.take_ended()
        table.end_all()
        counts.in_flows += table.packets
        yield from table.take_ended()


class _OpenFlow:
    """Running sums of a flow; a plain object, as every packet of a capture touches one."""

    __slots__ = (
        "backward", "closing", "first", "forward", "gap_squares", "key", "last", "lasts_until", "longest_gap",
        "packets", "room", "tcp_flags",
    )  # fmt: skip

    def __init__(self, key: bytes, time: float, config: FlowConfig) -> None:
        self.key = key
        self.first = self.last = time
        self.lasts_until = time + config.active_seconds
        self.room = config.keep_packets
        self.forward = [0, 0, 0]  # packets, bytes, squared lengths
        self.backward = [0, 0, 0]
        self.gap_squares = self.longest_gap = 0.0
        self.closing = 0  # 1 FIN forward, 2 FIN backward, 4 reset
        self.packets: list[Packet] = []
        self.tcp_flags: defaultdict[int, int] = defaultdict(int)


_Way = tuple[_OpenFlow, list[int], bool]
"""What a packet's key leads to: the flow, its sums for this direction, is it forward."""


class FlowTable:
    """The open flows of one capture.

    Attributes:
        ended: flows that ended since `take_ended`.
        packets: how many were added.
    """

    def __init__(self, config: FlowConfig, capture: str = "") -> None:
        self._config = config
        self._capture = capture
        self._open: dict[bytes, _OpenFlow] = {}  # key of the first packet -> flow
        self._ways: dict[bytes, _Way] = {}  # key of either direction
        self._next_sweep = _SWEEP_PACKETS
        self.packets = 0
        self.ended: list[Flow] = []

    def add(self, data: bytes, placed: Iterable[PlacedFrame]) -> None:
        """Add packets to their flows, in the order captured.

        Args:
            data: the bytes that `placed` points into.
            placed: what `frames.places` says of them.
        """
        ways, idle, cut = self._ways, self._config.idle_seconds, self._config.packet_bytes
        added = 0
        for time, length, key, flags, start, end in placed:
            added += 1
            found = ways.get(key)
            if found is None:
                flow, way, forward = self._start(key, time)
            else:
                flow, way, forward = found
                gap = time - flow.last
                if gap > idle:
                    flow, way, forward = self._restart(flow, "idle", key, time)
                elif time > flow.lasts_until:
                    flow, way, forward = self._restart(flow, "active", key, time)
                elif flow.closing >= _BOTH_FIN and flags & (SYN | ACK) == SYN and flags >= 0:
                    flow, way, forward = self._restart(flow, "closed", key, time)
                elif gap > 0:
                    flow.last = time
                    flow.gap_squares += gap * gap
                    if gap > flow.longest_gap:
                        flow.longest_gap = gap
            way[0] += 1
            way[1] += length
            way[2] += length * length
            if flags >= 0:
                flow.tcp_flags[flags] += 1
                if flags & _CLOSING:
                    flow.closing |= _RESET if flags & RST else 1 if forward else 2
            if flow.room:
                flow.room -= 1
                flow.packets.append(Packet(time, forward, data[start : min(end, start + cut)], length))
        self.packets += added
        if added and self.packets > self._next_sweep:
            self._sweep(time)

    def take_ended(self) -> list[Flow]:
        """The flows that ended since the last call."""
        ended, self.ended = self.ended, []
        return ended

    def end_all(self) -> None:
        """End what is open, in the order it started."""
        for flow in list(self._open.values()):
            self._end(flow, "capture")

    def _start(self, key: bytes, time: float) -> _Way:
        if len(self._open) >= self._config.open_flows:
            silent = sorted(self._open.values(), key=lambda flow: flow.last)
            for flow in silent[: max(1, len(silent) // 10)]:
                self._end(flow, "crowded")
        flow = self._open[key] = _OpenFlow(key, time, self._config)
        self._ways[reverse_key(key)] = flow, flow.backward, False
        way = self._ways[key] = flow, flow.forward, True
        return way

    def _restart(self, flow: _OpenFlow, reason: str, key: bytes, time: float) -> _Way:
        self._end(flow, reason)
        return self._start(key, time)

    def _sweep(self, time: float) -> None:
        """End what has been silent for too long, so that it does not wait for the capture's end in memory."""
        for flow in [flow for flow in self._open.values() if time - flow.last > self._config.idle_seconds]:
            self._end(flow, "idle")
        self._next_sweep = self.packets + max(_SWEEP_PACKETS, len(self._open))

    def _end(self, flow: _OpenFlow, reason: str) -> None:
        del self._open[flow.key]
        del self._ways[flow.key]
        self._ways.pop(reverse_key(flow.key), None)
        if flow.closing >= _BOTH_FIN:
            reason = "reset" if flow.closing & _RESET else "fin"
        (packets, size, squares), (backward_packets, backward_size, backward_squares) = flow.forward, flow.backward
        self.ended.append(
            Flow(
                key=_readable(flow.key),
                capture=self._capture,
                first_utc=flow.first,
                last_utc=flow.last,
                n_packets=packets + backward_packets,
                n_bytes=size + backward_size,
                forward_packets=packets,
                forward_bytes=size,
                packets=tuple(flow.packets),
                ended=reason,
                forward_squares=squares,
                backward_squares=backward_squares,
                gap_squares=flow.gap_squares,
                longest_gap=flow.longest_gap,
                tcp_flags=dict(flow.tcp_flags),
            )
        )


def _readable(key: bytes) -> tuple[int, str, int, str, int]:
    half = (len(key) - 5) // 2
    family = socket.AF_INET if half == 4 else socket.AF_INET6
    source, destination = (socket.inet_ntop(family, key[at : at + half]) for at in (1, 1 + half))
    return key[0], source, int.from_bytes(key[-4:-2]), destination, int.from_bytes(key[-2:])


def flow_statistics(flow: Flow) -> dict[str, float]:
    """Numbers of a flow that hold no address, port or content; the same names in the same order for every flow.

    Returns:
        `duration_s`; packets and bytes on the wire each way, and each a second (0 for a flow without duration);
        mean and standard deviation of packet lengths each way in bytes; mean, standard deviation and longest of the
        seconds between successive packets; packets with each TCP flag (0 but for TCP); and of the first FIRST_PACKETS
        `size_i`, bytes on the wire, negative for backward, and `gap_i`, seconds since the packet before (0 where there
        is no such packet or it was not kept).
    """
    duration = max(0.0, flow.last_utc - flow.first_utc)
    gaps = max(1, flow.n_packets - 1)
    values = {
        "duration_s": duration,
        "packets_forward": float(flow.forward_packets),
        "packets_backward": float(flow.backward_packets),
        "bytes_forward": float(flow.forward_bytes),
        "bytes_backward": float(flow.backward_bytes),
        "packets_per_s": flow.n_packets / duration if duration else 0.0,
        "bytes_per_s": flow.n_bytes / duration if duration else 0.0,
    }
    for way, packets, size, squares in (
        ("forward", flow.forward_packets, flow.forward_bytes, flow.forward_squares),
        ("backward", flow.backward_packets, flow.backward_bytes, flow.backward_squares),
    ):
        values[f"size_mean_{way}"] = size / max(1, packets)
        values[f"size_std_{way}"] = _deviation(size, squares, packets)
    values["gap_mean_s"] = duration / gaps
    values["gap_std_s"] = _deviation(duration, flow.gap_squares, gaps)
    values["gap_longest_s"] = flow.longest_gap
    for name, bit in _FLAGS.items():
        values[f"{name}_packets"] = float(sum(count for flags, count in flow.tcp_flags.items() if flags & bit))
    kept = flow.packets[:FIRST_PACKETS]
    sizes = [packet.length if packet.forward else -packet.length for packet in kept]
    waits = [0.0] + [max(0.0, packet.time - before.time) for before, packet in itertools.pairwise(kept)]
    for name, first in (("size", sizes), ("gap", waits)):
        values |= {f"{name}_{i + 1}": float(first[i]) if i < len(kept) else 0.0 for i in range(FIRST_PACKETS)}
    return values


def _deviation(total: float, squares: float, count: int) -> float:
    if count < 2:
        return 0.0
    mean = total / count
    return math.sqrt(max(0.0, squares / count - mean * mean))

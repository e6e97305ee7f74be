"""P1: capture file -> frames. Classic pcap and pcapng, plain or compressed, streamed.

Read by us and not by dpkt: its reader drops a packet's length on the wire and every interface but the first, ends
without a word where a file is cut, believes any length that a file names, and takes most of the time we have.

Source: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import zstandard

from core.display import path_text
from core.errors import InputError
from core.ingest.files import decompressed, opened
from core.records import Progress, Rejection, no_progress

LONGEST_FRAME = 262_144  # libpcap's own limit
LONGEST_BLOCK = 16 << 20
PIECE_BYTES = 1 << 20
SHOWN_REJECTIONS = 3  # of each reason
UNKNOWN_LINK = -1

_PCAP_MAGIC = {0xA1B2C3D4: (1e6, 16), 0xA1B23C4D: (1e9, 16), 0xA1B2CD34: (1e6, 24)}  # ticks a second, record header
_PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
_PCAPNG_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 1, 2, 3, 6


@dataclass
class CaptureCounts:
    """What became of the packets of one or more captures.

    Attributes:
        packets: frames read.
        in_flows: of these, packets that joined a flow.
        reasons: why frames were left out, to how many; what ended a capture early counts once.
        first: the first few of each reason, with their place.
    """

    packets: int = 0
    in_flows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first: list[Rejection] = field(default_factory=list)

    def reject(self, capture: str, position: int, reason: str) -> None:
        """Count a frame that was left out, or a capture cut short at that frame."""
        self.reasons[reason] += 1
        if self.reasons[reason] <= SHOWN_REJECTIONS:
            self.first.append(Rejection(capture, position, reason))


@dataclass(frozen=True)
class Block:
    """Some frames of one capture in order, as columns; frame i is `data[starts[i]:ends[i]]`.

    Attributes:
        first: number of the first frame in its capture, from 1.
        data: a piece of the capture.
        starts, ends: [N] int64, where in `data`.
        times: [N] float64, seconds since 1970 UTC; 0 where the capture names none.
        lengths: [N] int64, bytes on the wire.
        links: [N] int64, link layer (tcpdump's numbers), or UNKNOWN_LINK.
    """

    first: int
    data: bytes
    starts: np.ndarray
    ends: np.ndarray
    times: np.ndarray
    lengths: np.ndarray
    links: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)


def read_blocks(path: str | Path, counts: CaptureCounts, progress: Progress = no_progress) -> Iterator[Block]:
    """Stream the frames of a capture, or of standard input for "-".

    Args:
        path: pcap (micro- or nanoseconds, both byte orders) or pcapng; plain, gzip, zstd or bzip2.
        counts: told of frames and damage. A capture that is cut gives what it held.
        progress: told the bytes read of the file as it lies on disk.

    Raises:
        InputError: missing or unreadable file, or not a capture.
    """
    name = capture_name(path)
    with opened(path, name) as raw:
        total = 0 if str(path) == "-" else Path(path).stat().st_size
        window = _Window(raw, lambda: progress("reading packets", raw.tell() if total else 0, total))
        window.refill(24)
        head = window.data[:24]
        if head.startswith(_PCAPNG_MAGIC) and len(head) >= 12:
            blocks = _pcapng_blocks(window)
        elif len(head) == 24 and (order := _byte_order(head)):
            blocks = _pcap_blocks(window, order)
        else:
            raise InputError(
                f"{name}: this is not a packet capture, or it is cut inside its header; expected pcap or pcapng, "
                "plain or compressed with gzip, zstd or bzip2"
            )
        read = 0
        for block in blocks:
            read += len(block)
            counts.packets += len(block)
            yield block
        if window.damage:
            counts.reject(name, read + 1, window.damage)
        progress("reading packets", total, total)


def capture_name(path: str | Path) -> str:
    """What a capture is called in flows and messages."""
    return "standard input" if str(path) == "-" else path_text(path)


class _Window:
    """The bytes of a capture from its first unread one: `data[at:]`."""

    def __init__(self, raw: Any, reading: Callable[[], None]) -> None:
        self._stream = stream = cast(Any, decompressed(raw))
        # One piece at a time and no buffer between: where compressed data is cut, what stands before still comes.
        self._read = raw.read1 if stream is raw else getattr(stream.raw, "read1", stream.raw.read)
        self._reading = reading
        self.data = b""
        self.at = 0
        self.ended = False
        self.damage = ""

    def refill(self, need: int) -> None:
        """Drop what was read; then hold at least `need` bytes, or all there are (`ended`)."""
        pieces = [self.data[self.at :]]
        have = len(pieces[0])
        while have < need and not self.ended:
            try:
                piece = self._read(PIECE_BYTES)
            except (EOFError, zlib.error, OSError, zstandard.ZstdError) as error:
                self.damage = f"the compressed data is damaged or cut short ({error})"
                piece = b""
            self.ended = not piece
            pieces.append(piece)
            have += len(piece)
        self.data, self.at = b"".join(pieces), 0
        self._reading()

    def end(self, damaged: bool) -> None:
        """Say why the capture ended early, if it did."""
        if damaged:
            self.damage = "the capture is damaged here; the rest cannot be read"
        elif self.at < len(self.data) and not self.damage:
            self.damage = "the capture is cut inside this packet"


def _byte_order(head: bytes) -> str:
    return next((order for order in "<>" if struct.unpack(f"{order}I", head[:4])[0] in _PCAP_MAGIC), "")


def _pcap_blocks(window: _Window, order: str) -> Iterator[Block]:
    magic, link = struct.unpack(f"{order}I16xI", window.data[:24])
    ticks, header = _PCAP_MAGIC[magic]
    captured_bytes = struct.Struct(f"{order}I").unpack_from
    window.at = 24
    first, damaged = 1, False
    while not damaged:
        data, at, present = window.data, window.at, len(window.data)
        starts = []
        while at + header <= present:
            (captured,) = captured_bytes(data, at + 8)
            if captured > LONGEST_FRAME:
                damaged = True
                break
            if at + header + captured > present:
                break
            at += header
            starts.append(at)
            at += captured
        if starts:
            at_header = np.array(starts)[:, None] - header + np.arange(16)
            fields = np.frombuffer(data, np.uint8)[at_header].view(f"{order}u4").astype(np.int64)  # [N, 4]
            yield Block(
                first=first,
                data=data,
                starts=np.array(starts),
                ends=starts + fields[:, 2],
                times=fields[:, 0] + fields[:, 1] / ticks,
                lengths=fields[:, 3],
                links=np.full(len(starts), link & 0xFFFF),  # the upper bits say how frames end
            )
            first += len(starts)
        window.at = at
        if window.ended:
            break
        window.refill(header + LONGEST_FRAME + PIECE_BYTES)
    window.end(damaged)


@dataclass(frozen=True)
class _Interface:
    link: int
    longest: int  # bytes captured of a frame
    ticks: float  # a second
    offset: int  # seconds


def _pcapng_blocks(window: _Window) -> Iterator[Block]:
    order, first, damaged = "<", 1, False
    interfaces: list[_Interface] = []
    while not damaged:
        data, at, present = window.data, window.at, len(window.data)
        frames, need = [], PIECE_BYTES
        while at + 12 <= present:
            if data[at : at + 4] == _PCAPNG_MAGIC:
                order = _PCAPNG_ORDERS.get(data[at + 8 : at + 12], "")
                if not order:
                    damaged = True
                    break
                interfaces = []
            kind, size = struct.unpack_from(f"{order}II", data, at)
            if size < 12 or size % 4 or size > LONGEST_BLOCK:
                damaged = True
                break
            if at + size > present:
                need = size + PIECE_BYTES
                break
            if kind == _INTERFACE and size >= 20:
                interfaces.append(_interface(data[at + 8 : at + size - 4], order))
            elif kind in (_PACKET, _OLD_PACKET, _SIMPLE_PACKET):
                frames.append(_pcapng_frame(kind, data, at + 8, at + size - 4, order, interfaces))
            at += size
        if frames:
            times, lengths, links, starts, ends = (np.array(column) for column in zip(*frames, strict=True))
            yield Block(first, data, starts, ends, times, lengths, links)
            first += len(frames)
        window.at = at
        if window.ended:
            break
        window.refill(need)
    window.end(damaged)


def _interface(body: bytes, order: str) -> _Interface:
    link, longest = struct.unpack_from(f"{order}HxxI", body)
    ticks, offset, at = 1e6, 0, 8
    while at + 4 <= len(body):
        option, size = struct.unpack_from(f"{order}HH", body, at)
        value = body[at + 4 : at + 4 + size]
        if option == 9 and value:  # if_tsresol
            ticks = float((2 if value[0] & 0x80 else 10) ** (value[0] & 0x7F))
        elif option == 14 and len(value) == 8:  # if_tsoffset
            (offset,) = struct.unpack(f"{order}q", value)
        at += 4 + size + -size % 4
    return _Interface(link, longest or LONGEST_BLOCK, ticks, offset)


def _pcapng_frame(
    kind: int, data: bytes, at: int, end: int, order: str, interfaces: list[_Interface]
) -> tuple[float, int, int, int, int]:
    """Time, length, link layer, start and end; a block that says too little has UNKNOWN_LINK."""
    layout = {_PACKET: "IIIII", _OLD_PACKET: "HxxIIII", _SIMPLE_PACKET: "I"}[kind]
    start = at + struct.calcsize(layout)
    if start > end:
        return 0.0, end - at, UNKNOWN_LINK, at, at
    fields = struct.unpack_from(order + layout, data, at)
    number = 0 if kind == _SIMPLE_PACKET else fields[0]
    if number >= len(interfaces):
        return 0.0, fields[-1], UNKNOWN_LINK, start, start
    interface = interfaces[number]
    if kind == _SIMPLE_PACKET:  # has no time, nor the length that was captured
        return 0.0, fields[0], interface.link, start, min(start + fields[0], start + interface.longest, end)
    _, high, low, captured, length = fields
    time = (high << 32 | low) / interface.ticks + interface.offset
    return time, length, interface.link, start, min(start + captured, end)

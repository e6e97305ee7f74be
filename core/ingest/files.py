"""L1: bytes -> chunks of physical lines.

A file is read in blocks and never held whole: at most one block of text (`BLOCK_BYTES`), its lines and one unfinished
line of `max_line_bytes` are in memory. Compression is recognized by its first bytes, not by the file's name.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import re
import signal
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import polars as pl
import pyarrow as pa
import zstandard

from core.config import ReadConfig
from core.errors import InputError
from core.ingest.chunk import Chunk, NoLabelsError
from core.ingest.csv_records import csv_chunks
from core.ingest.w3c import as_access_log, is_extended
from core.records import Progress, no_progress

BLOCK_BYTES = 16 << 20
ZSTD_STEP_BYTES = 512  # read at once: each four bytes may stand for a block of 128 kB
_GZIP, _ZSTD, _BZIP2 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh"
_OTHER_CONTAINERS = {
    b"PK\x03\x04": "a zip archive",
    b"\xfd7zXZ\x00": "xz-compressed",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"PAR1": "a Parquet file",
    b"\xd4\xc3\xb2\xa1": "a packet capture",
    b"\x0a\x0d\x0d\x0a": "a packet capture",
}
_CSV_HEADER = re.compile(rb'"?[A-Za-z_][\w ]*"?(?:,"?[A-Za-z_][\w ]*"?)*\r?\n')


def read_chunks(
    path: str | Path,
    config: ReadConfig | None = None,
    *,
    with_labels: bool = False,
    progress: Progress = no_progress,
) -> Iterator[Chunk]:
    """Stream a plain, gzip, zstd or bzip2 file, or standard input for "-".

    A name ending in .csv, a first line that is a CSV header with a `line` column, or the format "csv" make it a
    CSV: one line a record (csv_records.py). Every line feed ends a line; a carriage return before it is dropped.

    Args:
        path: the file, or "-".
        config: limits and the text column's name.
        with_labels: read the columns `label` and `tag` of a CSV too; only measuring asks for them.
        progress: told the bytes read of the file as it lies on disk.

    Raises:
        InputError: missing or unreadable file, empty file, binary content, compressed data cut short, wrong columns.
    """
    config = config or ReadConfig()
    name = "standard input" if str(path) == "-" else str(path)
    line_no = 1
    with opened(path, name) as raw:
        total = 0 if str(path) == "-" else Path(path).stat().st_size
        try:
            for chunk in _chunks(raw, name, config, with_labels):
                progress("reading lines", raw.tell() if total else 0, total)
                yield chunk
                line_no = chunk.first_line_no + len(chunk.lines)
        except (EOFError, zlib.error, OSError, zstandard.ZstdError) as error:
            if "requires too much memory" in str(error):  # zstd --long=28 and more
                raise InputError(
                    f"{name}: compressed with a window of more than 128 MB; unpack it with: zstd -d --long=31"
                ) from error
            raise InputError(
                f"{name}: the compressed data is damaged or cut short after line {line_no - 1:,} ({error}); "
                "copy the file again, or decompress what can be saved and use that"
            ) from error
    progress("reading lines", total, total)


def _chunks(raw: io.BufferedReader, name: str, config: ReadConfig, with_labels: bool) -> Iterator[Chunk]:
    stream = decompressed(raw)
    if stream is raw:
        _refuse_containers(raw.peek(8)[:8], name)
    first, stream = _as_utf8(stream.peek(65_536)[:65_536], stream)
    if not first:
        raise InputError(f"{name}: the file is empty; nothing to read")
    _refuse_binary(first, name)
    if _is_csv(name, first, config):
        return csv_chunks(stream, name, config, with_labels)
    if with_labels:
        raise NoLabelsError(
            f"{name}: expected a CSV with the columns line and label; this is a plain log: "
            "put its labels beside it as NAME.labels.csv (columns line_no and label), or name them with --labels"
        )
    chunks = _line_chunks(stream, config.max_line_bytes)
    return as_access_log(chunks) if config.format == "auto" and is_extended(first) else chunks


@contextmanager
def opened(path: str | Path, name: str) -> Iterator[io.BufferedReader]:
    """A file's bytes as they lie on disk, or standard input's for "-"; InputError, with `name`, where it cannot be."""
    if str(path) == "-":
        if sys.stdin is None:
            raise InputError(f"{name}: it is closed; name a file, or send one with a pipe")
        signal.siginterrupt(signal.SIGINT, True)  # a library made waiting for input go on behind Ctrl-C
        yield io.BufferedReader(cast(io.RawIOBase, _StandardInput()), 1 << 20)
        return
    try:
        handle = io.BufferedReader(cast(Any, io.FileIO(path)), 1 << 20)
    except FileNotFoundError:
        raise InputError(f"{name}: there is no such file") from None
    except IsADirectoryError:
        raise InputError(f"{name}: this is a folder; name the log files in it") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be opened: {error.strerror}") from error
    with handle:
        yield handle


class _StandardInput(io.RawIOBase):
    """Stays open when its reader is closed, and goes round Python's buffer, whose lock a waiting thread would hold."""

    def __init__(self) -> None:
        self._source: Any = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return int(self._source.readinto(buffer))


def decompressed(raw: io.BufferedReader) -> io.BufferedReader:
    """What a gzip, bzip2 or zstd stream holds; any other as it is."""
    head = raw.peek(8)[:8]
    if head.startswith(_GZIP):
        return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw)), 1 << 20)
    if head.startswith(_BZIP2):
        return io.BufferedReader(cast(io.RawIOBase, bz2.BZ2File(raw)), 1 << 20)
    if head.startswith(_ZSTD):
        return io.BufferedReader(cast(io.RawIOBase, _ZstdReader(raw)), 1 << 20)
    return raw


def _refuse_containers(head: bytes, name: str) -> None:
    for magic, kind in _OTHER_CONTAINERS.items():
        if head.startswith(magic):
            raise InputError(f"{name}: this is {kind}, not a log; unpack it and use the text inside")


class _ZstdReader(io.RawIOBase):
    """Like zstandard's stream_reader, but a frame cut short is an error instead of an early end."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._between_frames = True
        self._ready = io.BytesIO()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not (size := self._ready.readinto(buffer)):
            data = self._raw.read(ZSTD_STEP_BYTES)
            if not data:
                if not self._between_frames:
                    raise EOFError("the last zstd frame is incomplete")
                return 0
            self._ready = io.BytesIO(b"".join(self._texts(data)))
        return size

    def _texts(self, data: bytes) -> Iterator[bytes]:
        while data:
            self._between_frames = False
            yield self._frame.decompress(data)
            data = b""
            if self._frame.eof:
                data = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._between_frames = True


def _as_utf8(first: bytes, stream: io.BufferedReader) -> tuple[bytes, io.BufferedReader]:
    """Drop a UTF-8 byte order mark; recode UTF-16, which Windows tools write."""
    if first.startswith(codecs.BOM_UTF8):
        stream.read(3)
        return first[3:], stream
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        recoded = codecs.EncodedFile(stream, "utf-8", "utf-16", errors="replace")
        stream = io.BufferedReader(cast(io.RawIOBase, _Recoded(recoded)), 1 << 20)
        return stream.peek(65_536)[:65_536], stream
    return first, stream


class _Recoded(io.RawIOBase):
    def __init__(self, recoder: codecs.StreamRecoder) -> None:
        self._recoder = recoder
        self._ready = io.BytesIO()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not (size := self._ready.readinto(buffer)):
            self._ready = io.BytesIO(self._recoder.read(1 << 16))
            size = self._ready.readinto(buffer)
        return size


def _refuse_binary(first: bytes, name: str) -> None:
    control = sum(first.count(byte) for byte in range(32) if byte not in b"\t\n\r\x1b")
    if control > 0.05 * len(first):
        raise InputError(
            f"{name}: this is not a text log: {control / len(first):.0%} of its first {len(first):,} bytes are "
            "control characters; name a text file, or one compressed with gzip, zstd or bzip2"
        )


def _is_csv(name: str, first: bytes, config: ReadConfig) -> bool:
    if config.format == "csv":
        return True
    if config.format != "auto":
        return False
    if re.search(r"\.csv(\.(gz|zst|bz2))?$", name, re.IGNORECASE):
        return True
    header = _CSV_HEADER.match(first)
    return bool(header) and "line" in next(csv.reader([header[0].decode()]))  # type: ignore[index]


def _line_chunks(stream: BinaryIO, max_line_bytes: int) -> Iterator[Chunk]:
    line_no = 1
    for block, dropped in _blocks(stream, max_line_bytes):
        block, ends, rejections = _clean(block, dropped, max_line_bytes)
        returns = b"\r" in block
        offsets = np.zeros(len(ends) + 1, dtype=np.int64)
        offsets[1:] = ends + 1 if returns else ends - np.arange(len(ends))
        text = pa.py_buffer(block if returns else block.replace(b"\n", b""))
        lines = cast(pl.Series, pl.from_arrow(pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), text)))
        if returns:
            lines = lines.str.strip_suffix("\n").str.strip_suffix("\r")
        yield Chunk(line_no, lines, rejections)
        line_no += len(lines)


def _blocks(stream: BinaryIO, max_line_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Blocks of whole lines, and how many bytes of each block's first line were already thrown away as too long."""
    carry, dropped = b"", 0
    while data := stream.read(BLOCK_BYTES):
        end = data.rfind(b"\n")
        if end < 0:
            kept = data[: max(0, max_line_bytes + 1 - len(carry))]
            carry += kept
            dropped += len(data) - len(kept)
            continue
        yield b"".join((carry, memoryview(data)[: end + 1])), dropped  # one copy
        carry, dropped = data[end + 1 :], 0
    if carry:
        yield carry + b"\n", dropped


def _clean(block: bytes, dropped: int, max_line_bytes: int) -> tuple[bytes, np.ndarray, dict[int, str]]:
    """A block as valid UTF-8 without NULs and over-long lines; the positions of its line feeds; what was changed."""
    rejections: dict[int, str] = {}
    ends = _line_feeds(block)
    lengths = np.diff(ends, prepend=-1) - 1
    too_long = np.flatnonzero(lengths > max_line_bytes)
    has_nul = b"\0" in block
    valid = block.isascii() or _is_utf8(block)
    if valid and not has_nul and not len(too_long):
        return block, ends, rejections

    # The rare way: line by line, so that each change is counted where it happened.
    lines = block[:-1].split(b"\n")
    for row, line in enumerate(lines):
        reasons = []
        if len(line) > max_line_bytes:
            size = len(line) + (dropped if row == 0 else 0)
            cut = max_line_bytes
            while cut and line[cut] & 0xC0 == 0x80:  # not inside a character
                cut -= 1
            line = line[:cut]
            reasons.append(f"line of {size:,} bytes cut to {max_line_bytes:,}")
        if nul := line.count(b"\0"):
            line = line.replace(b"\0", "␀".encode())
            reasons.append(f"{nul} NUL bytes shown as ␀")
        if not valid and not _is_utf8(line):
            text = line.decode("utf-8", "replace")
            reasons.append(f"{text.count('�')} characters not UTF-8, shown as �")
            line = text.encode()
        if reasons:
            rejections[row] = "; ".join(reasons)
            lines[row] = line
    block = b"\n".join(lines) + b"\n"
    return block, _line_feeds(block), rejections


def _line_feeds(block: bytes) -> np.ndarray:
    return np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == 10)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

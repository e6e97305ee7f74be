"""Bytes to lines: compressions, line ends, encodings, limits; clear errors for what cannot be read."""

import bz2
import gzip
import io
import sys
from pathlib import Path

import pytest
import zstandard

from core.config import ReadConfig
from core.errors import InputError
from core.ingest import csv_records, files
from core.ingest.files import read_chunks

TEXT = b"one\ntwo\r\n\nlast without end"
LINES = ["one", "two", "", "last without end"]


def lines_of(path: Path | str, config: ReadConfig | None = None) -> list[str]:
    return [line for chunk in read_chunks(path, config) for line in chunk.lines]


def rejections_of(path: Path) -> dict[int, str]:
    return {chunk.first_line_no + row: why for chunk in read_chunks(path) for row, why in chunk.rejections.items()}


@pytest.mark.parametrize("name", ["plain", "gzip", "zstd", "bzip2", "two gzip members", "two zstd frames"])
def test_compressions_are_recognized_by_content(tmp_path: Path, name: str) -> None:
    zstd = zstandard.ZstdCompressor().compress
    data = {
        "plain": TEXT,
        "gzip": gzip.compress(TEXT),
        "zstd": zstd(TEXT),
        "bzip2": bz2.compress(TEXT),
        "two gzip members": gzip.compress(TEXT[:6]) + gzip.compress(TEXT[6:]),
        "two zstd frames": zstd(TEXT[:6]) + zstd(TEXT[6:]),
    }[name]
    path = tmp_path / "a.log"
    path.write_bytes(data)
    assert lines_of(path) == LINES


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TEXT))))
    assert lines_of("-") == LINES
    with pytest.raises(InputError, match="standard input: the file is empty"):  # it stays open, and is at its end
        lines_of("-")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input: it is closed"):
        lines_of("-")


def test_small_blocks_give_the_same_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.log"
    text = "".join(f"line {number} é\n" for number in range(500))
    path.write_text(text)
    monkeypatch.setattr(files, "BLOCK_BYTES", 7)
    chunks = list(read_chunks(path))
    assert len(chunks) > 100
    assert [line for chunk in chunks for line in chunk.lines] == text.splitlines()
    assert [chunk.first_line_no for chunk in chunks][:3] == [1, 2, 3]


def test_changed_lines_are_counted_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"good\nbad \xff\xfe byte\nnul \0 here\ngood \xc3\xa9\n")
    assert lines_of(path) == ["good", "bad �� byte", "nul ␀ here", "good é"]
    assert rejections_of(path) == {2: "2 characters not UTF-8, shown as �", 3: "1 NUL bytes shown as ␀"}


@pytest.mark.parametrize("block", [1 << 10, 8 << 20])
def test_a_10_mb_line_is_cut_and_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(files, "BLOCK_BYTES", block)
    path = tmp_path / "a.log"
    path.write_bytes(b"before\n" + b"x" * 10_000_000 + b"\nafter\n")
    assert [len(line) for line in lines_of(path)] == [6, 65_536, 5]
    assert rejections_of(path) == {2: "line of 10,000,000 bytes cut to 65,536"}


def test_a_cut_does_not_split_a_character(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("é" * 10 + "\n")
    assert lines_of(path, ReadConfig(max_line_bytes=5)) == ["éé"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.log"
    path.write_bytes("one é\ntwo\n".encode(encoding))
    assert lines_of(path) == ["one é", "two"]


def test_unreadable_inputs_get_one_clear_message(tmp_path: Path) -> None:
    def error(data: bytes | None) -> str:
        path = tmp_path / "a.log"
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(InputError) as caught:
            lines_of(path)
        return str(caught.value).replace(str(path), "a.log")

    import os

    packed = os.urandom(20_000).hex().encode()
    assert error(None) == "a.log: there is no such file"
    assert error(b"") == "a.log: the file is empty; nothing to read"
    assert "not a text log" in error(bytes(range(32)) * 50)
    for data in (gzip.compress(packed)[:-9_000], zstandard.compress(packed)[:-9_000], bz2.compress(packed)[:-9_000]):
        assert "damaged or cut short" in error(data)
    assert "zip archive" in error(b"PK\x03\x04" + b"x" * 100)
    with pytest.raises(InputError, match="this is a folder"):
        lines_of(tmp_path)


def test_csv_takes_the_line_column_and_never_the_label(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('label,line,session,tag\n1,"a ""quoted"", text",s1,t\n0,two,,t\n0\n')
    (chunk,) = read_chunks(path)
    assert chunk.lines.to_list() == ['a "quoted", text', "two", ""]
    assert chunk.sessions is not None
    assert chunk.sessions.to_list() == ["s1", None, None]
    assert chunk.labels is None
    assert chunk.rejections == {2: "1 columns, expected 4"}


def test_csv_with_a_quote_left_open_is_refused_and_nothing_is_swallowed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"line {number}" for number in range(1_000)]
    rows[9] = '"user said: hello'
    path.write_text("line\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputError, match="record 10 goes on to the end of the file, 991 lines: a quote is unclosed"):
        lines_of(path)
    path.write_text('line,n\none,1\n"two\n""and"" a half",2\n')  # closed, over two lines, the last record
    assert lines_of(path) == ["one", 'two "and" a half']
    path.write_text('line\none "two\n"a" b\n')  # harmless to all but a strict reader
    assert lines_of(path) == ['one "two', "a b"]


def test_csv_bytes_that_are_no_text_are_counted_by_record(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'line,n\nwell,1\ncaf\xe9 \xff,2\n"a\0\nb\0",3\nlast,4\n')
    (chunk,) = read_chunks(path)
    assert chunk.lines.to_list() == ["well", "caf� �", "a␀ b␀", "last"]
    assert chunk.rejections == {
        1: "2 characters not UTF-8, shown as �",
        2: "1 NUL bytes shown as ␀; 1 NUL bytes shown as ␀",
    }


def test_csv_chunks_are_bounded_by_their_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("line\n" + "".join(f"line {number} {'x' * 90}\n" for number in range(10)))
    monkeypatch.setattr(csv_records, "CSV_CHUNK_CHARS", 250)
    chunks = list(read_chunks(path))
    assert [(chunk.first_line_no, len(chunk.lines)) for chunk in chunks] == [(1, 3), (4, 3), (7, 3), (10, 1)]
    monkeypatch.setattr(csv_records, "CSV_FIELD_LIMIT", 80)
    with pytest.raises(InputError, match="record 1 is not CSV"):
        lines_of(path)


def test_zstd_is_read_in_small_steps(tmp_path: Path) -> None:
    line = b"GET /index.html HTTP/1.1 200\n"
    path = tmp_path / "a.zst"
    path.write_bytes(zstandard.compress(line * 2_000_000))  # 58 MB
    raw = io.BytesIO(path.read_bytes())
    reader = files.decompressed(io.BufferedReader(raw))
    assert reader.read(len(line)) == line
    assert len(raw.getvalue()) < 8_000
    assert reader.raw._ready.getbuffer().nbytes <= files.ZSTD_STEP_BYTES // 4 << 17
    assert sum(len(chunk.lines) for chunk in read_chunks(path)) == 2_000_000


def test_a_zstd_window_beyond_the_bound_says_how_to_unpack_it(tmp_path: Path) -> None:
    window = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=window).compressobj()
    path = tmp_path / "a.zst"
    path.write_bytes(compressor.compress(TEXT) + compressor.flush())
    with pytest.raises(InputError, match="a window of more than 128 MB; unpack it with: zstd -d --long=31"):
        lines_of(path)


def test_csv_labels_only_when_asked_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("line,label\na,1\nb,\nc,0\n")
    (chunk,) = read_chunks(path, with_labels=True)
    assert chunk.labels is not None
    assert chunk.labels.to_list() == [1, None, 0]
    path.write_text("line,label\na,yes\n")
    with pytest.raises(InputError, match="record 1: label is 'yes'; expected 0, 1 or nothing"):
        list(read_chunks(path, with_labels=True))


def test_csv_of_a_log_system_says_time_level_host_and_component_in_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("_time,host,Severity,sourcetype,_raw\n2026-11-23T10:00:00.5+0100,web1,error,x,order 7 failed\n")
    (chunk,) = read_chunks(path)
    assert chunk.lines.to_list() == ["order 7 failed"]
    assert chunk.said is not None
    assert chunk.said.to_dicts() == [{"timestamp": "2026-11-23T10:00:00.5+0100", "level": "error", "host": "web1"}]
    path.write_text(
        'Level,Date and Time,Source,Event ID,Task Category\nError,11/23/2026 1:00:01 PM,SCM,7,None,"The X\nfailed."\n'
    )
    (chunk,) = read_chunks(path)  # Windows' Event Viewer names no column for the message
    assert (chunk.lines.to_list(), chunk.rejections) == (["The X failed."], {})
    assert chunk.said is not None
    assert chunk.said.to_dicts() == [{"timestamp": "11/23/2026 1:00:01 PM", "level": "Error", "component": "SCM"}]
    path.write_text('#TYPE EventLogRecord\n"Message","Level","LevelDisplayName","TimeCreated"\nx,4,Information,soon\n')
    (chunk,) = read_chunks(path)  # Get-WinEvent | Export-Csv: Windows counts its levels otherwise than syslog
    assert chunk.said is not None
    assert chunk.said.to_dicts() == [{"timestamp": "soon", "level": "Information"}]
    path.write_text("line,time,level\nx,2026-11-23T10:00:00Z,error\n")
    assert next(read_chunks(path)).said is None  # a labelled CSV's text says all there is


def test_csv_with_wrong_columns_names_what_it_found(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,1\n")
    with pytest.raises(InputError, match="no column named line; found: text, label"):
        lines_of(path)
    assert lines_of(path, ReadConfig(message_field="text")) == ["a"]
    path.write_text("line,other\na,1\n")
    with pytest.raises(InputError, match="no column named label"):
        list(read_chunks(path, with_labels=True))

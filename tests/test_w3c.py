"""W3C extended logs: what IIS and CloudFront write, read as the access log it is."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import ReadConfig
from core.ingest.chunk import Chunk
from core.ingest.files import read_chunks
from core.ingest.w3c import as_access_log
from core.tokenization.normalize import Normalizer

IIS = """\
#Software: Microsoft Internet Information Services 10.0
#Version: 1.0
#Date: 2023-10-10 08:00:01
#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status
2023-10-10 08:02:30 10.0.0.2 GET /index.aspx id=7 443 - 203.0.113.7 Mozilla/5.0+(X11;+Linux) - 200
2023-10-10 08:02:31 10.0.0.2 GET /index.aspx id=7'%20or%201=1-- 443 SHOP\\ann 203.0.113.8 a"b - 500
2023-10-10 08:02:32 10.0.0.2 GET /half
#Fields: time c-ip cs-method cs-uri-stem sc-status sc-bytes cs-version time-taken
08:02:33 203.0.113.9 HEAD / 304 12 HTTP/2 15
"""
READ = [
    "",
    "",
    "",
    "",
    '203.0.113.7 - - [10/Oct/2023:08:02:30 +0000] "GET /index.aspx?id=7 HTTP/1.1" 200 - "-" "Mozilla/5.0 (X11; Linux)" '
    "s-ip=10.0.0.2 s-port=443",
    '203.0.113.8 - SHOP%5Cann [10/Oct/2023:08:02:31 +0000] "GET /index.aspx?id=7\'%20or%201=1-- HTTP/1.1" 500 - '
    '"-" "a%22b" s-ip=10.0.0.2 s-port=443',
    "2023-10-10 08:02:32 10.0.0.2 GET /half",
    "",
    '203.0.113.9 - - [10/Oct/2023:08:02:33 +0000] "HEAD / HTTP/2" 304 12 "-" "-" time-taken=15',
]


def read(path: Path, written: str, config: ReadConfig | None = None) -> Chunk:
    path.write_text(written, "utf-8")
    [chunk] = read_chunks(path, config)
    return chunk


def test_requests_become_lines_of_the_combined_format_whatever_the_fields(tmp_path: Path) -> None:
    chunk = read(tmp_path / "u_ex231010.log", IIS)
    assert chunk.lines.to_list() == READ
    assert sorted(chunk.rejections) == [0, 1, 2, 3, 6, 7]
    assert chunk.rejections[1] == "directive, no message: #Version: 1.0"
    assert chunk.rejections[6] == "not the 12 fields that are named, or no such time; read as it is"


def test_they_are_read_as_access_lines_with_escapes_undone_and_directives_are_no_messages(tmp_path: Path) -> None:
    chunk = read(tmp_path / "u_ex231010.log", IIS)
    normalizer = Normalizer()
    table = normalizer.process(1, chunk.lines, chunk.rejections)
    texts = normalizer.texts()["normalized_text"].to_list()
    assert texts[:2] == ["get /index.aspx?id=num mozilla 2xx", "get /index.aspx?id=num' or num=num-- a \"b 5xx"]
    assert table["text_id"].is_null().to_list() == [True] * 4 + [False] * 3 + [True, False]
    assert table["host"][4] == "203.0.113.7"
    assert [str(time) for time in table["timestamp_utc"][4:9:4]] == ["2023-10-10 08:02:30", "2023-10-10 08:02:33"]


def test_cloudfront_parts_by_tabs(tmp_path: Path) -> None:
    names = "date time x-edge-location sc-bytes c-ip cs-method cs-uri-stem sc-status cs(User-Agent) cs-uri-query"
    values = (
        "2019-12-04",
        "21:02:31",
        "LAX1",
        "392",
        "192.0.2.1",
        "GET",
        "/a",
        "200",
        "Mozilla/5.0%20(X11;%20Linux)",
        "b=c",
    )
    chunk = read(tmp_path / "cf.log", f"#Version: 1.0\n#Fields: {names}\n" + "\t".join(values) + "\n")
    assert chunk.lines[2] == (
        '192.0.2.1 - - [04/Dec/2019:21:02:31 +0000] "GET /a?b=c HTTP/1.1" 200 392 "-" "Mozilla/5.0 (X11; Linux)" '
        "x-edge-location=LAX1"
    )


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (  # of no requests
            "#Version: 1.5\n#Fields: date time action protocol\n2015-07-16 11:35:26 DROP UDP\n",
            ["", "", "2015-07-16 11:35:26 DROP UDP"],
        ),
        (
            "started\n" + IIS,
            ["started", *IIS.splitlines()],
        ),  # another log, in which someone may have written such lines
        ("#Version: 1.0\n# a remark\n\n", ["", "# a remark", ""]),
        (  # no such day
            "#Fields: date time c-ip cs-method cs-uri-stem sc-status\n2023-10-99 08:02:30 ::1 GET / 200\n",
            ["", "2023-10-99 08:02:30 ::1 GET / 200"],
        ),
    ],
)
def test_what_is_no_such_request_stays_as_it_is(tmp_path: Path, written: str, lines: list[str]) -> None:
    assert read(tmp_path / "a.log", written).lines.to_list() == lines


def test_a_format_that_was_asked_for_stays_with_the_lines_as_they_are(tmp_path: Path) -> None:
    chunk = read(tmp_path / "u_ex231010.log", IIS, ReadConfig(format="iis"))
    assert chunk.lines.to_list() == IIS.splitlines()


@settings(deadline=None)
@given(st.lists(st.text('#Fields: acipt-m\t"0/', max_size=40), max_size=6), st.integers(1, 3))
def test_every_line_stays_one_line_however_they_come_in_chunks(lines: list[str], size: int) -> None:
    head = ["#Fields: time c-ip cs-method cs-uri-stem sc-status", "08:00:00 ::1 GET / 200"]
    written = head + lines
    parts = [written[start : start + size] for start in range(0, len(written), size)]
    chunks = [Chunk(1 + size * n, pl.Series("raw", part, dtype=pl.String)) for n, part in enumerate(parts)]
    read = [line for chunk in as_access_log(chunks) for line in chunk.lines]
    [whole] = as_access_log([Chunk(1, pl.Series("raw", written, dtype=pl.String))])
    assert read == whole.lines.to_list() and len(read) == len(written)

"""L1: a CSV -> chunks of lines, one a record: labelled lines, or what a log system has exported.

In a labelled CSV the text is the column `line`, and no other says anything of it. An export (Splunk, Kibana, Azure,
Windows' Event Viewer or Get-WinEvent) names its columns as its system does: the usual names of message, time, level,
host and component are known, in any case of letters.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from typing import BinaryIO, cast

import polars as pl

from core.config import ReadConfig
from core.errors import InputError
from core.ingest.chunk import Chunk, NoLabelsError

CSV_CHUNK_RECORDS = 50_000
CSV_CHUNK_CHARS = 16 << 20
CSV_FIELD_LIMIT = 16 << 20  # characters; a longer field is an unclosed quote swallowing the file
MESSAGES = (
    "message",
    "msg",
    "_raw",
    "raw",
    "log",
    "body",
    "textpayload",
    "log_s",
    "syslogmessage",
    "rendereddescription",
)
SAID = {
    "timestamp": (
        "timestamp", "@timestamp", "_time", "time", "ts", "datetime", "date and time", "timecreated", "timegenerated",
        "eventtime", "date",
    ),
    "level": ("leveldisplayname", "level", "severity", "severitylevel", "log.level", "loglevel"),
    "host": ("host", "hostname", "host.name", "computer", "machinename", "computername"),
    "component": ("logger", "component", "service", "service.name", "providername", "source", "processname", "module"),
}  # fmt: skip
EVENT_VIEWER = ["Level", "Date and Time", "Source", "Event ID", "Task Category"]
"""The header that Windows' Event Viewer writes; the message follows, and has no name."""
_SURROGATE = re.compile(r"[\udc80-\udcff]")  # what a byte that is not UTF-8 becomes


def csv_chunks(stream: BinaryIO, name: str, config: ReadConfig, with_labels: bool) -> Iterator[Chunk]:
    """Stream the records of a CSV; arguments and errors as for `files.read_chunks`."""
    text = io.TextIOWrapper(cast(io.BufferedReader, stream), encoding="utf-8", errors="surrogateescape", newline="")
    source = _csv_records(text, name)
    header, _ = next(source, ([], ""))
    if header and header[0].startswith("#TYPE "):  # PowerShell's Export-Csv says of what kind the objects were
        header, _ = next(source, ([], ""))
    if header == EVENT_VIEWER:
        header = [*header, "Message"]
    column = config.message_field or _message_column(header)
    needed = [column, "label"] if with_labels else [column]
    if missing := [need for need in needed if need not in header]:
        raise (NoLabelsError if missing == ["label"] else InputError)(
            f"{name}: no column named {' or '.join(missing)}; found: {', '.join(header)[:200]}. "
            "A CSV needs a `line` column with the text (and `label` to evaluate), or name its column"
        )
    at = header.index(column)
    said_at = {} if column == "line" else _said(header)
    record_no = 1
    while True:
        records: list[list[str]] = []
        rejections: dict[int, str] = {}
        n_chars = 0
        for record, reason in itertools.islice(source, CSV_CHUNK_RECORDS):
            reasons = [reason] if reason else []
            if len(record) != len(header):
                if record:
                    reasons.append(f"{len(record)} columns, expected {len(header)}")
                record = (record + [""] * len(header))[: len(header)]
            if len(record[at]) > config.max_line_bytes:
                reasons.append(f"text of {len(record[at]):,} characters cut to {config.max_line_bytes:,}")
                record[at] = record[at][: config.max_line_bytes]
            if reasons:
                rejections[len(records)] = "; ".join(reasons)
            records.append(record)
            n_chars += sum(map(len, record))
            if n_chars > CSV_CHUNK_CHARS:
                break
        if not records:
            break
        yield Chunk(
            record_no,
            pl.Series("raw", [re.sub(r"[\r\n]+", " ", record[at]) for record in records], dtype=pl.String),
            rejections,
            sessions=_column(records, header, "session"),
            said=_said_of(records, said_at),
            labels=_labels(records, header, name, record_no) if with_labels else None,
            kinds=_kinds(records, header) if with_labels else None,
        )
        record_no += len(records)
    if record_no == 1:
        raise InputError(f"{name}: the CSV has a header and no records")


def _csv_records(text: io.TextIOWrapper, name: str) -> Iterator[tuple[list[str], str]]:
    """The records of a CSV, its header first, and what of each was not taken as it is."""
    csv.field_size_limit(CSV_FIELD_LIMIT)
    held: list[str] = []  # the physical lines of a record
    reasons: list[str] = []

    def lines() -> Iterator[str]:
        while line := text.readline(CSV_FIELD_LIMIT):
            if len(line) == CSV_FIELD_LIMIT:
                raise csv.Error(f"a line of more than {CSV_FIELD_LIMIT:,} characters")
            if nul := line.count("\0"):
                line = line.replace("\0", "␀")
                reasons.append(f"{nul} NUL bytes shown as ␀")
            if _SURROGATE.search(line):
                line = line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                reasons.append(f"{line.count('�')} characters not UTF-8, shown as �")
            held.append(line)
            yield line

    last: list[str] = []
    n_records = -1  # the header is none
    try:
        for record in csv.reader(lines()):
            last, reason = held[:] if len(held) > 1 else [], "; ".join(reasons)
            held.clear()
            reasons.clear()
            n_records += 1
            yield record, reason
    except csv.Error as error:
        raise InputError(f"{name}: record {n_records + 1:,} is not CSV ({error}); is a quote unclosed?") from error
    if _ends_in_a_quote(last):
        raise InputError(
            f"{name}: record {n_records:,} goes on to the end of the file, {len(last):,} lines: a quote is unclosed"
        )


def _ends_in_a_quote(lines: list[str]) -> bool:
    """Whether a record is not closed where the file ends, which the reader takes for the quote's end."""
    try:
        list(csv.reader(lines, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)  # strict refuses harmless quotes too
    return False


def _message_column(header: list[str]) -> str:
    """The column with the text: `line`; of an export, which has times too and no labels, one of the usual names."""
    if "line" not in header and "label" not in header and "timestamp" in _said(header):
        known = {name.strip().lower(): name for name in reversed(header)}
        return next((known[name] for name in MESSAGES if name in known), "line")
    return "line"


def _said(header: list[str]) -> dict[str, int]:
    """Where the columns are that say time, level, host and component of a line."""
    names = [name.strip().lower() for name in header]
    places = {said: next((names.index(name) for name in usual if name in names), None) for said, usual in SAID.items()}
    return {said: place for said, place in places.items() if place is not None}


def _said_of(records: list[list[str]], places: dict[str, int]) -> pl.DataFrame | None:
    columns = {said: [record[place].strip() or None for record in records] for said, place in places.items()}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)) if columns else None


def _column(records: list[list[str]], header: list[str], column: str) -> pl.Series | None:
    if column not in header:
        return None
    at = header.index(column)
    return pl.Series(column, [record[at] or None for record in records], dtype=pl.String)


def _labels(records: list[list[str]], header: list[str], name: str, first: int) -> pl.Series:
    at = header.index("label")
    values = []
    for row, record in enumerate(records):
        label = record[at].strip()
        if label not in ("", "0", "1"):
            raise InputError(f"{name}: record {first + row:,}: label is {label[:40]!r}; expected 0, 1 or nothing")
        values.append(int(label) if label else None)
    return pl.Series("label", values, dtype=pl.Int8)


def _kinds(records: list[list[str]], header: list[str]) -> pl.Series:
    tags = _column(records, header, "tag")
    return pl.Series("kind", [""] * len(records), dtype=pl.String) if tags is None else tags.fill_null("").alias("kind")

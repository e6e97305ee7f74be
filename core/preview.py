"""A look before the work: the formats there are, and an input's first lines as they are read."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from core.config import ReadConfig
from core.ingest.files import read_chunks
from core.tokenization.formats import CONTAINERS, FORMATS
from core.tokenization.headers import parse
from core.tokenization.normalize import Normalizer
from core.tokenization.wrappers import unwrap

SAMPLE_LINES = 1_000  # read to tell the format
_WITHOUT_YEAR = {"syslog": "RFC 3164 syslog", "klog": "klog"}


@dataclass(frozen=True)
class Preview:
    """The first lines of an input as the workbench reads them.

    Attributes:
        format: the commonest.
        shares: format to its share of the sampled lines.
        rows: the very first lines, a row each: LOG_TABLE_SCHEMA with normalized_text in place of text_id.
        texts: distinct texts of all sampled lines, TEXTS_SCHEMA.
        notes: remarks for the analyst.
        n_bytes: size of the file.
    """

    format: str
    shares: dict[str, float]
    rows: pl.DataFrame
    texts: pl.DataFrame
    notes: list[str]
    n_bytes: int


@dataclass(frozen=True)
class FormatInfo:
    """A log format that is recognized."""

    name: str
    description: str
    example: str


def formats() -> list[FormatInfo]:
    """Every log format that is recognized."""
    known = [FormatInfo(form.name, form.description, form.example) for form in FORMATS if form.description]
    distinct = {info.name: info for info in reversed(known)}
    containers = [FormatInfo(name, *texts) for name, texts in CONTAINERS.items()]
    return [*reversed(distinct.values()), *containers]


def preview(path: Path, read: ReadConfig | None = None, n: int = 20) -> Preview:
    """Parse the first lines of a file, and say what format they have.

    Raises:
        InputError: the file cannot be read.
    """
    read = read or ReadConfig()
    chunk = next(iter(read_chunks(path, read)))
    sample = min(len(chunk.lines), SAMPLE_LINES)
    normalizer = Normalizer(read, reference_utc=dt.datetime.fromtimestamp(Path(path).stat().st_mtime, dt.UTC))
    sessions = None if chunk.sessions is None else chunk.sessions[:sample]
    noted = {row: reason for row, reason in chunk.rejections.items() if row < sample}
    said = None if chunk.said is None else chunk.said[:sample]
    table = normalizer.process(1, chunk.lines[:sample], noted, sessions, said)
    texts = normalizer.texts()
    rows = table.join(texts.select("text_id", "normalized_text"), on="text_id", how="left", maintain_order="left").drop(
        "text_id"
    )
    total = sum(normalizer.format_counts.values())
    shares = {name: count / total for name, count in sorted(normalizer.format_counts.items(), key=lambda f: -f[1])}
    notes = []
    if rejected := int(rows["rejection"].is_not_null().sum()):
        notes.append(f"{rejected:,} of the first {sample:,} lines were not read as their format says")
    if rows["timestamp_utc"].null_count() == len(rows):
        notes.append("no timestamps were found: alerts will be counted per 10,000 lines instead of per day")
    elif without_year := [said for name, said in _WITHOUT_YEAR.items() if name in shares]:
        year = rows["timestamp_utc"].drop_nulls()[0].year
        notes.append(f"{without_year[0]} writes no year and no zone: read as {year} in {read.timezone}")
    if said is not None:
        notes.append(f"a CSV with columns of their own for {', '.join(said.columns)}")
    if {"bgl", "thunderbird"} & set(shares):
        notes.append("a label column in front of the line, where there is one, is left out of the text")
    return Preview(next(iter(shares), "plain"), shares, rows.head(n), texts, notes, Path(path).stat().st_size)


def messages(raw: pl.Series) -> pl.Series:
    """Lines as a table shows them: without a wrapper and the header that has columns of its own.

    A JSON object shows its message, or its fields where it has none; a request keeps its status.
    """
    within = unwrap(raw, ReadConfig())["line"]
    parsed = parse(within)
    request = within.str.replace(r"^.{0,200}?\] \"", '"')
    shown = pl.when(pl.col("request")).then(request).otherwise("message")
    return parsed.select(pl.when(shown != "").then(shown).otherwise(raw).alias("message"))["message"]

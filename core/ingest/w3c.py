"""L1: a W3C extended log, as IIS and CloudFront write it, to the lines an Apache or nginx would have written.

What the columns of such a line are is said only in a line above it, `#Fields:`, as an administrator has chosen. Its
requests become lines of the combined format, further fields behind them by name, so that each is read alone again and
escapes within are undone as in any access log. Logs of other things, such as Windows' firewall, stay as they are.

Source: Hallam-Baker and Behlendorf, "Extended Log File Format", W3C working draft WD-logfile-960323.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

import polars as pl

from core.ingest.chunk import Chunk

NEEDED = frozenset({"time", "c-ip", "cs-method", "cs-uri-stem", "sc-status"})
_TAKEN = NEEDED | {
    "date", "cs-username", "cs-uri-query", "cs-version", "cs-protocol-version", "sc-bytes", "cs(Referer)",
    "cs(User-Agent)",
}  # fmt: skip
_DIRECTIVE = r"^#(?:Software|Version|Date|Start-Date|End-Date|Time Format|Fields|Remark):"
_FIRST = re.compile(_DIRECTIVE.encode())
_SHOWN_CHARS = 200
_MOST_FIELDS = 100  # IIS knows 25 and those an administrator adds; each is a column


def is_extended(first: bytes) -> bool:
    """Whether a file that begins so is a W3C extended log."""
    return _FIRST.match(first) is not None


def as_access_log(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The chunks of such a log with its requests in the combined format, and directives blank.

    What a directive says stands in its rejection; a line that has not what the fields name says so in its own.
    """
    fields: list[str] = []
    date = ""
    for chunk in chunks:
        parts: list[pl.Series] = []
        rejections = dict(chunk.rejections)
        directives = chunk.lines.str.contains(_DIRECTIVE).arg_true().to_list()
        start = 0
        for row in [*directives, len(chunk.lines)]:
            if row > start:
                lines, odd = _requests(chunk.lines[start:row], fields, date)
                parts.append(lines)
                for at, reason in odd.items():
                    rejections[start + at] = "; ".join(filter(None, (rejections.get(start + at), reason)))
            if row < len(chunk.lines):
                said = chunk.lines[row]
                name, _, value = said[1:].partition(":")
                fields = value.split() if name == "Fields" else fields
                date = value.split()[0] if name == "Date" and value.split() else date
                rejections[row] = f"directive, no message: {said[:_SHOWN_CHARS]}"
                parts.append(pl.Series([""]))
            start = row + 1
        yield dataclasses.replace(chunk, lines=pl.concat(parts).alias(chunk.lines.name), rejections=rejections)


def _requests(lines: pl.Series, fields: list[str], date: str) -> tuple[pl.Series, dict[int, str]]:
    """Lines with these fields in the combined format, and why some could not be read by them."""
    if not NEEDED.issubset(fields) or len(fields) > _MOST_FIELDS:
        return lines, {}
    # CloudFront parts fields by tabs and writes blanks as %20; IIS writes them as +. No quote may end one early.
    line, n = pl.col("line"), len(fields)
    tabbed = line.str.contains("\t", literal=True)
    by_blank, by_tab = line.str.split_exact(" ", n), line.str.split_exact("\t", n)
    some_tabbed = lines.str.contains("\t", literal=True).any()
    parts = pl.when(tabbed).then(by_tab).otherwise(by_blank) if some_tabbed else by_blank
    quoting = lines.str.contains(r'["\\]').any()
    table = pl.DataFrame({"line": lines}).select("line", tabbed.alias("tabbed"), parts.alias("parts")).unnest("parts")

    def of(name: str) -> pl.Expr:
        if name not in fields:
            return pl.lit("-")
        value = pl.col(f"field_{fields.index(name)}")
        if not quoting:
            return value
        return value.str.replace_all("\\", "%5C", literal=True).str.replace_all('"', "%22", literal=True)

    day = of("date") if "date" in fields else pl.lit(date)
    time = pl.concat_str(day, of("time"), separator=" ").str.strptime(pl.Datetime, "%Y-%m-%d %H:%M:%S", strict=False)
    query = of("cs-uri-query")
    asked = pl.when(query == "-").then(of("cs-uri-stem")).otherwise(of("cs-uri-stem") + "?" + query)
    agent = of("cs(User-Agent)")
    blank = pl.when("tabbed").then(agent.str.replace_all("%20", " ", literal=True))
    protocol = of("cs-version" if "cs-version" in fields else "cs-protocol-version")
    others = [name for name in dict.fromkeys(fields) if name not in _TAKEN]
    combined = pl.format(
        '{} - {} [{} +0000] "{} {} {}" {} {} "{}" "{}"' + " {}={}" * len(others),
        of("c-ip"), of("cs-username").str.replace_all(" ", "+", literal=True), time.dt.strftime("%d/%b/%Y:%H:%M:%S"),
        of("cs-method"), asked, pl.when(protocol == "-").then(pl.lit("HTTP/1.1")).otherwise(protocol),
        of("sc-status"), of("sc-bytes"), of("cs(Referer)"),
        blank.otherwise(agent.str.replace_all("+", " ", literal=True)),
        *(part for name in others for part in (pl.lit(name), of(name))),
    )  # fmt: skip
    fits = pl.col(f"field_{n - 1}").is_not_null() & pl.col(f"field_{n}").is_null() & combined.is_not_null()
    found = table.select(
        pl.when(fits).then(combined).otherwise("line").alias("line"),
        (~fits & (line.str.strip_chars() != "")).alias("odd"),
    )
    reason = f"not the {n} fields that are named, or no such time; read as it is"
    return found["line"], dict.fromkeys(found["odd"].arg_true().to_list(), reason)

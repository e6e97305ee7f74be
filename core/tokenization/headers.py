"""L2: line -> timestamp, level, host, component, message.

A format is a list of segments that cover a line from its start to its end. Because segments are contiguous, the place
of a field is the sum of the lengths before it, and because **no segment looks at a digit's value**, a line and its
skeleton (every digit folded to 0) have the same segments: a header is parsed once a distinct skeleton, and the fields
of each line are cut out by place. Each line is matched on its own, so its text never depends on the file around it.
"""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import unquote_to_bytes

import polars as pl

from core.tokenization.formats import FORMATS, METHOD, MONTH, Format

# Polars keeps the last 32 compiled patterns. A format at a time, a single line would compile most of them anew.
_FORMATS_AT_ONCE = 12

# Where a field lies: `<field>_at` and `<field>_length`, in characters, null where the format has none.
PLACED = ("timestamp", "host", "component", "status", "priority", "pid")


def parse(skeletons: pl.Series, only: str = "auto") -> pl.DataFrame:
    """Parse the headers of distinct skeletons.

    Args:
        skeletons: [N] lines whose digits are folded (or real lines: the result is the same).
        only: a format's name, to try no other; lines it does not match are read as plain.

    Returns:
        [N] rows in the same order: format, kind (of timestamp), request, level, message, message_at (where it begins,
        in characters), and the place of each field in `PLACED`.
    """
    pending = pl.DataFrame({"row": pl.int_range(len(skeletons), eager=True), "line": skeletons})
    asked = [form for form in FORMATS if only in ("auto", "json", "csv", form.name) or form.name == "plain"]
    parts = []
    for start in range(0, len(asked), _FORMATS_AT_ONCE):
        forms = asked[start : start + _FORMATS_AT_ONCE]
        some = pending["line"].str.contains("|".join(form.pattern for form in forms))
        if not some.any():
            continue
        candidates, pending = pending.filter(some), pending.filter(~some)
        for form in forms:
            if candidates.is_empty():
                break
            groups = candidates.select(pl.col("line").str.extract_groups(form.pattern).alias("g")).unnest("g")
            matched = groups["1"].is_not_null()
            if matched.any():
                parts.append(_placed(form, candidates["row"].filter(matched), groups.filter(matched)))
                candidates = candidates.filter(~matched)
    return pl.concat(parts).sort("row").drop("row")


def _placed(form: Format, rows: pl.Series, groups: pl.DataFrame) -> pl.DataFrame:
    return groups.select(pl.lit(rows).alias("row"), **_places(form))


@cache
def _places(form: Format) -> dict[str, pl.Expr]:
    """The columns of `parse` from the groups of a format's pattern."""
    at = pl.lit(0, dtype=pl.Int64)
    columns: dict[str, pl.Expr] = {
        "format": pl.lit(form.name),
        "kind": pl.lit(form.timestamp),
        "request": pl.lit(form.request),
        "level": pl.lit(None, dtype=pl.String),
    }
    for placed in PLACED:
        columns[f"{placed}_at"] = columns[f"{placed}_length"] = pl.lit(None, dtype=pl.Int64)
    messages: list[pl.Expr] = []
    for number, (name, _) in enumerate(form.segments, 1):
        text = pl.col(str(number)).fill_null("")
        length = text.str.len_chars().cast(pl.Int64)
        if name == "message":
            if not messages:
                columns["message_at"] = at
            messages.append(text.str.strip_chars())
        elif name == "level":
            columns["level"] = pl.when(text != "").then(text.str.to_uppercase())
        elif name:
            columns[f"{name}_at"] = pl.when(length > 0).then(at)
            columns[f"{name}_length"] = pl.when(length > 0).then(length)
        at = at + length
    columns["message"] = pl.concat_str(messages, separator=" ").str.strip_chars()
    return columns


_ESCAPED_RUN = re.compile(r"(?:%[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2})+")
_REQUEST_SHAPE = rf'(?i)^{METHOD}\s|\] "'
_COLOUR = r"\x1b\[[0-9;]*m"
_QUOTED_ACCESS = rf'^"[^"\[\]]+\[[0-9]{{2}}/{MONTH}/[0-9]{{4}}:.*"$'


def unfold(lines: pl.Series) -> pl.Series:
    r"""Undo what hides headers, digits or quotes: a terminal's colours, quoted lines, `%` and `\x` escapes in requests.

    `%27` and `%20` must not meet as `%00`, so they are decoded before digits are folded (three times at most, against
    double encoding). A decoded quote stays escaped, so that it cannot end the request early.
    """
    line = lines.alias("line")
    if line.str.contains("\x1b", literal=True).any():
        line = line.str.replace_all(_COLOUR, "")
    if line.str.starts_with('"').any():
        quoted = pl.col("line").str.starts_with('"') & pl.col("line").str.contains(_QUOTED_ACCESS)
        inner = pl.col("line").str.slice(1, pl.col("line").str.len_chars() - 2).str.replace_all(r'""|\\"', '"')
        line = line.to_frame().select(pl.when(quoted).then(inner).otherwise("line").alias("line")).to_series()
    escaped = line.filter(line.str.contains(r"%[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2}"))
    distinct = escaped.filter(escaped.str.contains(_REQUEST_SHAPE)).unique()
    if distinct.is_empty():
        return line
    decoded = pl.Series([decode_escapes(text) for text in distinct], dtype=pl.String)
    return line.replace_strict(distinct, decoded, default=line, return_dtype=pl.String)


# A decoded line feed or NUL is evidence, and must neither end the line nor vanish.
_CONTROL_PICTURES = {code: 0x2400 + code for code in range(32)} | dict.fromkeys(range(0x7F, 0xA0), 0x2421)


def decode_escapes(text: str) -> str:
    r"""Percent and `\x` escapes decoded, control characters to pictures (␀), quotes and backslashes kept escaped.

    >>> decode_escapes("GET /a%27b%2520c")
    "GET /a'b c"
    """
    for _ in range(3):
        decoded = _ESCAPED_RUN.sub(_decode_run, text)
        if decoded == text:
            break
        text = decoded
    return text


def _decode_run(match: re.Match[str]) -> str:
    data = unquote_to_bytes(match[0].replace("\\x", "%"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = text.translate(_CONTROL_PICTURES)
    return re.sub(r'(["\\])', r"\\\1", text)

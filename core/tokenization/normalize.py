"""L3: message -> skeleton -> masked text; the distinct texts of a whole input.

A *skeleton* is a line with every digit folded to 0. Lines repeat a few skeletons, so headers and masks run once a
skeleton; what depends on a digit's value (status class, syslog priority, percent escapes) is taken out before folding
and travels beside it. No mask looks at a digit's value: folding first or last gives the same text.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cache
from typing import cast

import polars as pl
import pyarrow as pa

from core.config import ReadConfig
from core.errors import WorkbenchError
from core.records import LEVEL_CLASSES, LOG_TABLE_SCHEMA, TEXTS_SCHEMA
from core.tokenization import headers
from core.tokenization.sources import SOURCE, Sources
from core.tokenization.timestamps import TimestampReader

MAX_TEXT_CHARS = 4_096  # of a line; what lies beyond is kept and shown, but not scored
KNOWN_SKELETONS = 500_000  # a cache: dropped and started anew beyond that, so memory stays bounded

_HEX = r"[0-9A-Fa-f]"
_IPV4 = r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b"
_IPV6 = (
    rf"(?:\b(?:{_HEX}{{1,4}}:){{7}}{_HEX}{{1,4}}\b|\b(?:{_HEX}{{1,4}}:){{1,6}}(?::{_HEX}{{1,4}}){{1,6}}\b"
    rf"|\b(?:{_HEX}{{1,4}}:){{2,7}}:|::(?:{_HEX}{{1,4}}:){{0,6}}{_HEX}{{1,4}}\b)"
)
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?"
_NUMBER = r"[0-9]+(?:[.,:][0-9]+)*"

# Order matters: what contains another comes first.
_IDENTIFIERS = (
    ("uuid", rf"\b{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\b"),
    ("mac", rf"\b{_HEX}{{2}}(?::{_HEX}{{2}}){{5}}\b|\b{_HEX}{{2}}(?:-{_HEX}{{2}}){{5}}\b"),
    ("time", rf"\b[0-9]{{4}}[-/.][0-9]{{2}}[-/.][0-9]{{2}}[T ]{_TIME}(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?\b"),
    ("time", rf"\b{_TIME}\b"),
    ("ip", rf"/?(?:\[{_IPV6}\]|{_IPV6}|{_IPV4})(?:[:#][0-9]{{1,5}}\b)?"),
)
# Bare hexadecimal has a digit and a letter, or words like "added" would go. Digits first: six characters or more.
# Letters first: eight, or a digit with four behind it ("decade0" is a word). Only letters: no word is eight such long.
_BARE_HEX = (
    r"\b(?:"
    + "".join(rf"[0-9]{{{n}}}[A-Fa-f]{_HEX}{{{5 - n},}}|" for n in range(1, 5))
    + rf"[0-9]{{5,}}[A-Fa-f]{_HEX}*|[A-Fa-f]+[0-9]{_HEX}{{4,}}|"
    + "".join(rf"[A-Fa-f]{{{n}}}[0-9]{_HEX}{{{7 - n},}}|" for n in range(4, 7))
    + rf"[A-Fa-f]{{7,}}[0-9]{_HEX}*|[A-Fa-f]{{8,}})\b"
)
_NUMBERS = (
    ("block", r"\bblk_-?[0-9]+(?:_[0-9]+)?\b"),
    ("hex", rf"\b0[xX]{_HEX}+\b"),
    ("hex", _BARE_HEX),
    ("num", rf"(?:\B-)?\b{_NUMBER}\b"),
    ("0", r"[0-9]+"),  # digits inside a word: sshd2, r00-m1
)
_VARIABLES = (
    ("url", r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>\])]+"),
    ("email", r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b"),
)
_PATHS = (
    ("${1}path", r"(^|[\s=:(\[\"',<>])(?:~?/[\w.@%+~:#-]+)+/?"),
    ("${1}path", r"(^|[\s=:(\[\"',<>])(?:[A-Za-z]:)?(?:\\[\w.@$%+~-]+)+\\?"),
)


def mask(messages: pl.Expr, *, request: bool) -> pl.Expr:
    """Variables of messages replaced by their kind, lower case, single spaces.

    Args:
        messages: strings, digits folded or not: the result is the same.
        request: an HTTP request, whose path and query are evidence and stay; only identifiers in them are masked.
    """
    if request:
        messages = messages.str.replace_all(r"\\([\"\\])", "$1")
        steps: tuple[tuple[str, str], ...] = _IDENTIFIERS + _NUMBERS
    else:
        steps = _VARIABLES + _IDENTIFIERS + _NUMBERS[:1] + _PATHS + _NUMBERS[1:]
    for replacement, pattern in steps:
        messages = messages.str.replace_all(pattern, replacement)
    return messages.str.replace_all(r"\s+", " ").str.strip_chars().str.to_lowercase()


@cache
def _masked_message(request: bool) -> pl.Expr:
    return mask(pl.col("message"), request=request)


def unwrap_json(lines: pl.DataFrame, config: ReadConfig) -> pl.DataFrame:
    """The message of JSON lines in place of the line, and the fields that JSON carries beside it.

    Args:
        lines: the columns raw, line and rejection.
        config: its format and message field.

    Returns:
        The same with the columns json_timestamp, json_level, json_host, json_component; null where no JSON is.
    """
    nothing = pl.lit(None, dtype=pl.String)
    lines = lines.with_columns(*(nothing.alias(f"json_{name}") for name in ("timestamp", "level", "host", "component")))
    is_json = lines["raw"].str.contains(r"^\s*\{")
    if config.format not in ("auto", "json") or not is_json.any():
        if config.format == "json":
            lines = lines.with_columns(pl.lit("not a JSON object; read as text").alias("rejection"))
        return lines
    raw = pl.when(is_json).then(pl.col("raw"))
    fields = dict(headers.JSON_FIELDS)
    if config.message_field:
        fields["message"] = (config.message_field,)
    found = lines.select(
        pl.coalesce(*(raw.str.json_path_match(path) for key in keys for path in _json_paths(key))).alias(name)
        for name, keys in fields.items()
    )
    valid = pl.lit(is_json) & (raw.str.json_path_match("$").is_not_null())
    missing = ", ".join(fields["message"])
    lines = lines.with_columns(
        *(found[name].alias(f"json_{name}") for name in ("timestamp", "level", "host", "component"))
    ).with_columns(found["message"].str.replace_all(r"[\r\n]+", " ").str.slice(0, MAX_TEXT_CHARS).alias("message_"))
    reason = (
        pl.when(~pl.lit(is_json) & (config.format == "json") & (pl.col("raw").str.strip_chars() != ""))
        .then(pl.lit("not a JSON object; read as text"))
        .when(pl.lit(is_json) & ~valid)
        .then(pl.lit("damaged JSON; read as text"))
        .when(valid & pl.col("message_").is_null())
        .then(pl.lit(f"no message field ({missing}); the whole line is read as text"))
    )
    return lines.with_columns(reason.alias("rejection"), pl.coalesce("message_", "line").alias("line")).drop("message_")


def read_skeletons(skeletons: pl.Series, only: str) -> pl.DataFrame:
    """What all lines of a skeleton share: header parsed, message masked.

    Args:
        skeletons: [N] distinct lines, digits folded.
        only: as for `headers.parse`.

    Returns:
        [N] rows in the same order: skeleton, text, and of `headers.parse` all but message and request.
    """
    parsed = headers.parse(skeletons, only).with_columns(skeletons.alias("skeleton")).with_row_index("row")
    parts = [
        parsed.filter(pl.col("request") == request).with_columns(_masked_message(request).alias("text"))
        for request in parsed["request"].unique()
    ]
    parsed = pl.concat(parts).sort("row").drop("row", "message", "request")
    header_only = parsed["text"] == ""
    if header_only.any():  # such a line still needs a text: the whole of it, masked
        whole = pl.when(header_only).then(mask(pl.col("skeleton"), request=False)).otherwise("text")
        parsed = parsed.with_columns(whole.alias("text"))
    return parsed


def fold_digits(lines: pl.Series) -> pl.Series:
    """Every ASCII digit to 0, in one pass over the bytes."""
    array = lines.to_arrow(compat_level=pl.CompatLevel.oldest())
    array = array if isinstance(array, pa.LargeStringArray) else array.cast(pa.large_string())
    _, offsets, data = array.buffers()
    if data is None:
        return lines
    folded = pa.py_buffer(data.to_pybytes().translate(_FOLD))
    return cast(
        pl.Series,
        pl.from_arrow(pa.LargeStringArray.from_buffers(len(array), offsets, folded, offset=array.offset)),
    )


FOLDED = str.maketrans("123456789", "000000000")
_FOLD = bytes(FOLDED.get(byte, byte) for byte in range(256))


@dataclass
class Normalizer:
    """Turns chunks of lines into a LogTable and gathers the distinct texts.

    A line's text depends on the line alone. Memory grows with the distinct texts; skeletons are a bounded cache.

    Attributes:
        config: format, message field, sessions, year, time zone.
        reference_utc: when the input was written, to infer the year of timestamps without one.
        by_source: sessions are by source where neither the config nor the input says otherwise.
    """

    config: ReadConfig = field(default_factory=ReadConfig)
    reference_utc: dt.datetime | None = None
    by_source: bool = False
    format_counts: dict[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        known_formats = {form.name for form in headers.FORMATS} | set(headers.CONTAINERS) | {"auto"}
        if self.config.format not in known_formats:
            raise WorkbenchError(
                f"format {self.config.format!r} is not known; known: {', '.join(sorted(known_formats))}"
            )
        if self.config.sessions not in (None, SOURCE):
            self._check_sessions()
        self._sources = Sources() if self.config.sessions == SOURCE or self.by_source else None
        self._known: pl.DataFrame | None = None
        self._text_ids: dict[tuple[str, str], int] = {}
        self._examples: list[str] = []
        self._counts: list[int] = []
        self._timestamps = TimestampReader(self.config.timezone, self.config.year, self.reference_utc)

    def _check_sessions(self) -> None:
        try:
            groups = pl.Series([""]).str.extract_groups(str(self.config.sessions)).struct.fields
        except pl.exceptions.PolarsError as error:
            raise WorkbenchError(f"--sessions {self.config.sessions!r} is not a regular expression: {error}") from error
        if not groups:
            raise WorkbenchError(
                f"--sessions {self.config.sessions!r} has no group; put the key in parentheses: 'req=(\\S+)'"
            )

    def process(
        self,
        first_line_no: int,
        raw: pl.Series,
        rejections: dict[int, str] | None = None,
        sessions: pl.Series | None = None,
    ) -> pl.DataFrame:
        """One chunk of lines -> its LogTable; the texts are remembered.

        Args:
            first_line_no: number of the chunk's first line, from 1.
            raw: [N] lines.
            rejections: row -> reason, from reading.
            sessions: [N] session keys of the input itself, or None.
        """
        lines = pl.DataFrame({"raw": raw.cast(pl.String)}).with_columns(
            pl.col("raw").str.slice(0, MAX_TEXT_CHARS).alias("line"),
            pl.lit(None, dtype=pl.String).alias("rejection"),
        )
        lines = unwrap_json(lines, self.config)
        lines = lines.with_columns(headers.unfold(lines["line"]).alias("line"))
        lines = lines.with_columns(fold_digits(lines["line"]).alias("skeleton"))
        lines = lines.join(self._parsed(lines["skeleton"]), on="skeleton", how="left", maintain_order="left")
        lines = self._cut_fields(lines)
        lines = lines.with_columns(self._text_ids_of(lines))
        for name, count in lines.group_by("format").len().iter_rows():
            self.format_counts[name] = self.format_counts.get(name, 0) + count
        noted = dict(rejections or {})
        table = lines.select(
            pl.int_range(first_line_no, first_line_no + pl.len(), dtype=pl.Int64).alias("line_no"),
            "timestamp_utc",
            "level",
            pl.coalesce("json_host", "host").alias("host"),
            pl.coalesce("json_component", "component").alias("component"),
            self._session_of(lines, sessions).alias("session"),
            "raw",
            self._rejection_of(noted, len(lines)).alias("rejection"),
            "text_id",
        )
        return table.cast(LOG_TABLE_SCHEMA)  # type: ignore[arg-type]

    def texts(self) -> pl.DataFrame:
        """The distinct texts seen so far, in order of first appearance (records.TEXTS_SCHEMA)."""
        keys = list(self._text_ids)
        return pl.DataFrame(
            {
                "text_id": range(len(keys)),
                "normalized_text": [text for text, _ in keys],
                "level_class": [level for _, level in keys],
                "count": self._counts,
                "example": self._examples,
            },
            schema=TEXTS_SCHEMA,
        )

    def _parsed(self, skeletons: pl.Series) -> pl.DataFrame:
        """Headers and masks of the chunk's skeletons; only new ones are worked on."""
        distinct = skeletons.alias("skeleton").to_frame().unique(maintain_order=True)
        if self._known is None or len(self._known) > KNOWN_SKELETONS:
            new = distinct
            self._known = None
        else:
            new = distinct.join(self._known.select("skeleton"), on="skeleton", how="anti", maintain_order="left")
        if not new.is_empty():
            parsed = read_skeletons(new["skeleton"], self.config.format)
            self._known = parsed if self._known is None else pl.concat([self._known, parsed])
        assert self._known is not None  # noqa: S101 - a chunk has at least one skeleton
        return self._known

    def _cut_fields(self, lines: pl.DataFrame) -> pl.DataFrame:
        cut = {
            name: pl.col("line").str.slice(pl.col(f"{name}_at"), pl.col(f"{name}_length"))
            for name in headers.PLACED
            if name != "pid" or self._sources is not None  # nothing else asks for it
        }
        lines = lines.with_columns(
            **{name: pl.when(pl.col(f"{name}_at").is_not_null()).then(e) for name, e in cut.items()}
        )
        severity = pl.col("priority").cast(pl.Int64, strict=False) % 8
        level = pl.coalesce(
            pl.col("json_level").str.to_uppercase(),
            severity.replace_strict(
                dict(enumerate(headers.LEVEL_OF_SEVERITY)), return_dtype=pl.String, default=None
            ).str.to_uppercase(),
            "level",
        )
        lines = lines.with_columns(
            level.replace(_SPELLED_OUT).alias("level"), (pl.col("status").str.slice(0, 1) + "xx").alias("status")
        )
        return lines.with_columns(self._timestamps.read(lines).alias("timestamp_utc"))

    def _text_ids_of(self, lines: pl.DataFrame) -> pl.Series:
        level_class = pl.col("level").replace_strict(LEVEL_CLASS_OF_WORD, default="", return_dtype=pl.String)
        keys = lines.select(
            pl.concat_str("text", "status", separator=" ", ignore_nulls=True).alias("text"),
            level_class.fill_null("").alias("level_class"),
            "raw",
            (pl.col("raw").str.strip_chars() == "").alias("blank"),
        )
        distinct = (
            keys.filter(~pl.col("blank"))
            .group_by("text", "level_class", maintain_order=True)
            .agg(pl.len().alias("count"), pl.col("raw").first())
        )
        ids = []
        for text, level, count, example in distinct.iter_rows():
            text_id = self._text_ids.setdefault((text, level), len(self._counts))
            if text_id == len(self._counts):
                self._counts.append(0)
                self._examples.append(example)
            self._counts[text_id] += count
            ids.append(text_id)
        distinct = distinct.with_columns(pl.Series("text_id", ids, dtype=pl.UInt32))
        joined = keys.join(distinct, on=["text", "level_class"], how="left", maintain_order="left")
        return joined.select(pl.when(~pl.col("blank")).then("text_id").alias("text_id"))["text_id"]

    def _session_of(self, lines: pl.DataFrame, sessions: pl.Series | None) -> pl.Expr:
        if self.config.sessions not in (None, SOURCE):
            return pl.col("raw").str.extract(self.config.sessions, 1)
        if sessions is not None and self.config.sessions is None:
            return pl.lit(sessions)
        if self._sources is None:
            return pl.lit(None, dtype=pl.String)
        return pl.lit(
            self._sources.of(
                lines.with_columns(
                    pl.col("host").alias("client"),
                    pl.coalesce("json_host", "host").alias("host"),
                    pl.coalesce("json_component", "component").alias("component"),
                )
            )
        )

    def _rejection_of(self, noted: dict[int, str], n_lines: int) -> pl.Expr:
        asked = self.config.format
        reason = pl.col("rejection")
        if asked not in ("auto", "json", "csv", "plain"):
            other = (pl.col("format") == "plain") & (pl.col("raw").str.strip_chars() != "")
            reason = pl.coalesce(reason, pl.when(other).then(pl.lit(f"does not look like {asked}; read as plain text")))
        reason = pl.coalesce(
            reason,
            pl.when(pl.col("raw").str.len_chars() > MAX_TEXT_CHARS).then(
                pl.lit(f"line longer than {MAX_TEXT_CHARS:,} characters: the rest is kept but not scored")
            ),
        )
        if noted:
            column = pl.Series([noted.get(row) for row in range(n_lines)], dtype=pl.String)
            reason = pl.concat_str(pl.lit(column), reason, separator="; ", ignore_nulls=True)
            reason = pl.when(reason != "").then(reason)
        return reason


# Android's letters and the numbers of JSON loggers, as a reader would say them.
_SPELLED_OUT = {word: name.upper() for word, name in headers.LEVEL_OF_WORD.items() if len(word) < 3}
LEVEL_CLASS_OF_WORD = headers.LEVEL_OF_WORD | {name.upper(): name for name in LEVEL_CLASSES if name}


def _json_paths(key: str) -> list[str]:
    return [f"$.{key}", f"$['{key}']"] if "." in key else [f"$['{key}']"]

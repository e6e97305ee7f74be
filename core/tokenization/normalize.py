"""L3: lines -> LogTable and the distinct texts of a whole input.

Headers and masks run once a skeleton (skeletons.py); what depends on a digit's value (status class, syslog priority,
percent escapes) is taken out before digits are folded and travels beside it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from core.config import ReadConfig
from core.errors import WorkbenchError
from core.records import LEVEL_CLASSES, LOG_TABLE_SCHEMA, TEXTS_SCHEMA
from core.tokenization import formats, headers
from core.tokenization.events import Events
from core.tokenization.skeletons import Facts, Skeletons, fold_digits
from core.tokenization.sources import SOURCE, Sources
from core.tokenization.timestamps import TimestampReader
from core.tokenization.wrappers import MAX_TEXT_CHARS, unwrap


def formats_of(lines: pl.Series, config: ReadConfig) -> pl.Series:
    """The format of each line [N], by name, as `Normalizer.format_counts` counts them; never null."""
    table = unwrap(lines.cast(pl.String), config)
    found = headers.parse(fold_digits(headers.unfold(table["line"])), config.format)["format"]
    return table.select(_format(pl.lit(found)).alias("format"))["format"]


@dataclass
class Normalizer:
    """Turns chunks of lines into a LogTable and gathers the distinct texts.

    A line's text depends on the line alone; its time may be that of the line it goes on with (events.py). Memory grows
    with the distinct texts; skeletons are a bounded cache.

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
        known_formats = {form.name for form in formats.FORMATS} | set(formats.CONTAINERS) | {"auto"}
        if self.config.format not in known_formats:
            raise WorkbenchError(
                f"format {self.config.format!r} is not known; known: {', '.join(sorted(known_formats))}"
            )
        if self.config.year is not None and not YEARS[0] <= self.config.year <= YEARS[1]:
            raise WorkbenchError(f"year {self.config.year} is none that a log may be of: {YEARS[0]} to {YEARS[1]}")
        if self.config.sessions not in (None, SOURCE):
            self._check_sessions()
        self._sources = Sources() if self.config.sessions == SOURCE or self.by_source else None
        self._skeletons = Skeletons(self.config.format)
        self._ids_of_keys: dict[int, int] = {}
        self._text_ids: dict[tuple[str, str], int] = {}
        self._examples: list[str] = []
        self._counts: list[int] = []
        self._timestamps = TimestampReader(self.config.timezone, self.config.year, self.reference_utc)
        self._events = Events()

    def begin_file(self, written_utc: dt.datetime | None = None) -> None:
        """Another file begins, last written at that time: its first lines go on with none of the last."""
        self._events.begin()
        self._timestamps.begin(written_utc)

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
        said: pl.DataFrame | None = None,
    ) -> pl.DataFrame:
        """One chunk of lines -> its LogTable; the texts are remembered.

        Args:
            first_line_no: number of the chunk's first line, from 1.
            raw: [N] lines.
            rejections: row -> reason, from reading.
            sessions: [N] session keys of the input itself, or None.
            said: [N] what the input says of its lines beside them, as for `wrappers.unwrap`.
        """
        raw = raw.cast(pl.String).alias("raw")
        n_lines = len(raw)
        too_long = bool((raw.str.len_bytes() > MAX_TEXT_CHARS).any())
        lines = unwrap(raw, self.config, said)
        line = headers.unfold(lines["line"]).alias("line")
        facts = self._skeletons.facts(fold_digits(line))
        lines = lines.with_columns(
            line,
            *(
                _cut(line, facts, name).alias(name)
                for name in ("timestamp", "host", "component", "pid")
                if name != "pid" or self._sources is not None  # nothing else asks for it
            ),
            _named(facts["kind"], self._skeletons.names).alias("kind"),
            _format(pl.lit(_named(facts["format"], self._skeletons.names))).alias("format"),
        )
        level, level_class = self._levels_of(line, facts, lines["outer_level"])
        self._count_formats(lines["format"])
        noted = dict(rejections or {})
        table = lines.select(
            pl.int_range(first_line_no, first_line_no + pl.len(), dtype=pl.Int64).alias("line_no"),
            self._timestamps.read(lines).alias("timestamp_utc"),
            level.alias("level"),
            pl.coalesce("outer_host", "host").alias("host"),
            pl.coalesce("outer_component", "component").alias("component"),
            self._session_of(lines, facts["message_at"], sessions).alias("session"),
            "raw",
            self._rejection_of(noted, n_lines, too_long).alias("rejection"),
            self._text_ids_of(raw, line, facts, level_class).alias("text_id"),
        )
        timeless = table["timestamp_utc"].is_null() & lines["outer_timestamp"].is_null()
        goes_on = (lines["format"] == "plain") & timeless
        table = self._events.of(table, goes_on=goes_on, request=pl.Series(facts["request"] == 1))
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

    def _count_formats(self, found: pl.Series) -> None:
        for name, count in found.value_counts().sort(found.name).iter_rows():
            self.format_counts[name] = self.format_counts.get(name, 0) + count

    def _levels_of(self, line: pl.Series, facts: Facts, outer_level: pl.Series) -> tuple[pl.Series, np.ndarray]:
        """The level of each line as JSON, its priority or its words say it, and its place in LEVEL_CLASSES."""
        numbers = facts["level"]
        prioritized = np.flatnonzero(facts["priority_at"] >= 0)
        if len(prioritized):
            severity = _cut(line, facts, "priority", prioritized).cast(pl.Int64).to_numpy() % 8
            by_severity = np.array([self._skeletons.number_of_name(name.upper()) for name in formats.LEVEL_OF_SEVERITY])
            numbers[prioritized] = by_severity[severity]
        if outer_level.null_count() < len(outer_level):
            said = outer_level.str.to_uppercase()
            words = {word: self._skeletons.number_of_name(word) for word in said.drop_nulls().unique().sort()}
            said_numbers = said.replace_strict(words, default=-1, return_dtype=pl.Int32).to_numpy()
            numbers = np.where(said_numbers >= 0, said_numbers, numbers)
        names = [_SPELLED_OUT.get(name, name) for name in self._skeletons.names]
        classes = [LEVEL_CLASSES.index(LEVEL_CLASS_OF_WORD.get(name, "")) for name in names]
        return _named(numbers, names), np.array([*classes, 0])[numbers]  # -1, no level, is the last

    def _text_ids_of(self, raw: pl.Series, line: pl.Series, facts: Facts, level_class: np.ndarray) -> pl.Series:
        """The text of each line: its skeleton's masked text, its status and its level class; null for a blank one."""
        status = np.full(len(line), _NO_STATUS)
        answered = np.flatnonzero(facts["status_at"] >= 0)
        if len(answered):
            status[answered] = _cut(line, facts, "status", answered).str.slice(0, 1).cast(pl.Int64).to_numpy()
        keys = (facts["text"].astype(np.int64) * _STATUSES + status) * len(LEVEL_CLASSES) + level_class
        rows = pl.DataFrame({"key": keys, "raw": raw}).with_row_index("row")
        blank = raw.str.strip_chars() == ""
        if blank.any():
            rows = rows.filter(~blank)
        distinct = rows.group_by("key", maintain_order=True).agg(pl.len(), pl.col("row").first())
        ids = []
        for key, count, row in distinct.iter_rows():
            if key not in self._ids_of_keys:
                self._ids_of_keys[key] = self._text_id(key, raw[row])
            self._counts[self._ids_of_keys[key]] += count
            ids.append(self._ids_of_keys[key])
        found = pl.Series(keys).replace_strict(distinct["key"], pl.Series(ids, dtype=pl.UInt32), default=None)
        return pl.select(pl.when(~blank).then(found)).to_series() if blank.any() else found

    def _text_id(self, key: int, example: str) -> int:
        """The number of the text with this key, which is the first with its wording or not."""
        key, level_class = divmod(key, len(LEVEL_CLASSES))
        number, status = divmod(key, _STATUSES)
        masked = self._skeletons.texts[number]
        text = masked if status == _NO_STATUS else f"{masked} {status}xx"
        text_id = self._text_ids.setdefault((text, LEVEL_CLASSES[level_class]), len(self._counts))
        if text_id == len(self._counts):
            self._counts.append(0)
            self._examples.append(example)
        return text_id

    def _session_of(self, lines: pl.DataFrame, message_at: np.ndarray, sessions: pl.Series | None) -> pl.Expr:
        if self.config.sessions not in (None, SOURCE):
            return pl.col("raw").str.extract(self.config.sessions, 1)
        if sessions is not None and self.config.sessions is None:
            return pl.lit(sessions)
        if self._sources is None:
            return pl.lit(None, dtype=pl.String)
        return pl.lit(
            self._sources.of(
                lines.with_columns(
                    pl.Series("message_at", message_at, dtype=pl.Int64),
                    pl.col("host").alias("client"),
                    pl.coalesce("outer_host", "host").alias("host"),
                    pl.coalesce("outer_component", "component").alias("component"),
                )
            )
        )

    def _rejection_of(self, noted: dict[int, str], n_lines: int, too_long: bool) -> pl.Expr:
        asked = self.config.format
        reason = pl.col("rejection")
        if asked not in ("auto", "json", "csv", "plain"):
            other = (pl.col("format") == "plain") & (pl.col("raw").str.strip_chars() != "")
            reason = pl.coalesce(reason, pl.when(other).then(pl.lit(f"does not look like {asked}; read as plain text")))
        if too_long:  # in bytes
            cut = pl.when(pl.col("raw").str.len_chars() > MAX_TEXT_CHARS).then(
                pl.lit(f"line longer than {MAX_TEXT_CHARS:,} characters: the rest is kept but not scored")
            )
            reason = pl.coalesce(reason, cut)
        if noted:
            column = pl.Series([noted.get(row) for row in range(n_lines)], dtype=pl.String)
            reason = pl.concat_str(pl.lit(column), reason, separator="; ", ignore_nulls=True)
            reason = pl.when(reason != "").then(reason)
        return reason


# Android's letters and the numbers of JSON loggers, as a reader would say them.
_SPELLED_OUT = {word: name.upper() for word, name in formats.LEVEL_OF_WORD.items() if len(word) < 3}
YEARS = 1970, 9998  # that a log may be said to be of: earlier and later times are none
_STATUSES = 11  # the first digit of an HTTP status, or none
_NO_STATUS = _STATUSES - 1
LEVEL_CLASS_OF_WORD = formats.LEVEL_OF_WORD | {name.upper(): name for name in LEVEL_CLASSES if name}


def _format(found: pl.Expr) -> pl.Expr:
    """The format of lines with `is_json`: a message that is no line of another format is its JSON's."""
    return pl.when((found == "plain") & pl.col("is_json")).then(pl.lit("json")).otherwise(found)


def _named(numbers: np.ndarray, names: list[str]) -> pl.Series:
    """The names of numbers [N], null for -1."""
    return pl.Series([*names, None], dtype=pl.String).gather(np.where(numbers < 0, len(names), numbers))


def _cut(line: pl.Series, facts: Facts, name: str, rows: np.ndarray | None = None) -> pl.Series:
    """A field of each line, or of some rows; null where a line has none."""
    at, length = facts[f"{name}_at"], facts[f"{name}_length"]
    if rows is not None:
        line, at, length = line.gather(rows), at[rows], length[rows]
    if not (at >= 0).any():
        return pl.Series([None], dtype=pl.String).new_from_index(0, len(line))
    places = pl.DataFrame({"line": line, "at": at, "length": length})
    return places.select(pl.when(pl.col("at") >= 0).then(pl.col("line").str.slice("at", "length"))).to_series()

"""L2, the times: the timestamps cut from lines -> UTC. A time that cannot be read is null and never stops the work."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from core.errors import WorkbenchError

# Kind of timestamp -> how Polars reads it. "%Y" comes first where the line names no year and one is put in front.
PATTERNS = {
    "access": "%d/%b/%Y:%H:%M:%S %z",
    "iso": "%Y-%m-%d %H:%M:%S%.f",
    "slash": "%Y/%m/%d %H:%M:%S%.f",
    "short_slash": "%y/%m/%d %H:%M:%S",
    "ctime": "%b %d %H:%M:%S%.f %Y",
    "hdfs": "%y%m%d %H%M%S",
    "syslog": "%Y %b %d %H:%M:%S",
    "month_day": "%Y %m-%d %H:%M:%S%.f",
    "month_day_year": "%b %d %Y %H:%M:%S",
    "day_month_year": "%d %b %Y %H:%M:%S%.f",
    "date_time": "%Y-%m-%d time=%H:%M:%S",
    "glog": "%Y %m%d %H:%M:%S%.f",
    "glog_year": "%Y%m%d %H:%M:%S%.f",
    "us": "%m/%d/%Y %I:%M:%S %p",
    "kibana": "%b %d %Y @ %H:%M:%S%.f",
    "epoch": "",
}
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_US = r"^[0-9]{1,2}/[0-9]{1,2}/[0-9]{4} [0-9]{1,2}:[0-9]{2}:[0-9]{2} [AP]M$"  # Windows, set up in American English
_WITHOUT_YEAR = ("syslog", "month_day", "glog")
_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})$"


@dataclass
class TimestampReader:
    """Reads the timestamps of one input, chunk after chunk.

    Attributes:
        timezone: zone of timestamps that name none.
        year: the first line's year where lines name none; None infers it.
        reference_utc: when the input was written: a first line later in the year than that is of the year before.
    """

    timezone: str = "UTC"
    year: int | None = None
    reference_utc: dt.datetime | None = None

    def __post_init__(self) -> None:
        try:
            pl.Series([dt.datetime(2000, 1, 1)]).dt.replace_time_zone(self.timezone)
        except pl.exceptions.PolarsError as error:
            raise WorkbenchError(
                f"time zone {self.timezone!r} is not known; use a name such as Europe/Berlin"
            ) from error
        self._said = self.year
        self._last_month = 0

    def begin(self, reference_utc: dt.datetime | None) -> None:
        """Another file begins, written at that time: where no year is said, its own is inferred anew."""
        self.reference_utc = reference_utc
        if self._said is None:
            self.year, self._last_month = None, 0

    def read(self, lines: pl.DataFrame) -> pl.Series:
        """[N] UTC times of lines with the columns timestamp, kind (a key of PATTERNS) and outer_timestamp.

        A year before 1970 or later than the one after the input was written is no time: such digits mean something
        else, and one of them would stretch every time axis over centuries.
        """
        lines = lines.select(
            pl.coalesce("outer_timestamp", "timestamp").alias("text"),
            pl.when(pl.col("outer_timestamp").str.contains(r"^[0-9]{9,16}(?:\.[0-9]+)?$"))
            .then(pl.lit("epoch"))
            .when(pl.col("outer_timestamp").str.contains(_US))
            .then(pl.lit("us"))
            .when(pl.col("outer_timestamp").str.contains(" @ ", literal=True))
            .then(pl.lit("kibana"))
            .when(pl.col("outer_timestamp").is_not_null())
            .then(pl.lit("iso"))
            .otherwise("kind")
            .alias("kind"),
        ).with_row_index("row")
        times = np.full(len(lines), "NaT", "datetime64[us]")
        for (kind,), group in lines.filter(pl.col("kind") != "").group_by("kind", maintain_order=True):
            times[group["row"].to_numpy()] = self._parse(group["text"], str(kind)).to_numpy()
        last_year = max(self.year or 0, (self.reference_utc or dt.datetime.now(dt.UTC)).year) + 1
        believable = pl.col("time").is_between(dt.datetime(1970, 1, 1), dt.datetime(min(last_year, 9998) + 1, 1, 1))
        return pl.DataFrame({"time": times}).select(pl.when(believable).then("time").alias("time")).to_series()

    def _parse(self, text: pl.Series, kind: str) -> pl.Series:
        frame = text.alias("text").to_frame()
        clean = pl.col("text").str.replace(",", ".", literal=True)
        if kind == "epoch":
            number = clean.cast(pl.Float64, strict=False)
            unit = (
                pl.when(number > 1e14).then(1.0).when(number > 1e11).then(1e3).otherwise(1e6)
            )  # µs, ms as browsers, s
            return frame.select((number * unit).cast(pl.Int64, strict=False).cast(pl.Datetime("us")))["text"]
        if kind == "access":
            parsed = clean.str.to_datetime(PATTERNS[kind], strict=False, time_unit="us")
            return frame.select(parsed.dt.replace_time_zone(None))["text"]
        zoned = False
        if kind == "iso":
            zoned = text.str.contains(_ZONE).any()
            time = clean.str.slice(11).str.replace("^ ", "0")  # MariaDB writes 8:02:30
            clean = clean.str.slice(0, 10) + " " + (time.str.replace(f" ?{_ZONE}", "") if zoned else time)
        elif kind == "ctime":
            clean = clean.str.replace(r"^[A-Z][a-z]{2} ", "")  # the day of the week
        elif kind == "kibana":
            clean = pl.col("text").str.replace(",", "", literal=True)  # Nov 23, 2026 @ 10:00:00.000
        elif kind == "day_month_year":
            clean = clean.str.replace_all("[-/]", " ")
        elif kind in _WITHOUT_YEAR:
            clean = pl.lit(self._years(text, kind)) + " " + clean
        local = clean.str.to_datetime(PATTERNS[kind], strict=False, time_unit="us")
        utc = local
        if self.timezone != "UTC":
            utc = local.dt.replace_time_zone(self.timezone, ambiguous="earliest", non_existent="null")
            utc = utc.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        if zoned:
            zone = pl.col("text").str.extract(_ZONE, 1)
            hours = zone.str.extract(r"^([+-][0-9]{2})", 1).cast(pl.Int64, strict=False).fill_null(0)
            minutes = zone.str.extract(r"[0-9]{2}:?([0-9]{2})$", 1).cast(pl.Int64, strict=False).fill_null(0)
            shift = hours * 60 + pl.when(zone.str.starts_with("-")).then(-minutes).otherwise(minutes)
            utc = pl.when(zone.is_not_null()).then(local - pl.duration(minutes=shift)).otherwise(utc)
        return frame.select(utc.alias("time"))["time"]

    def _years(self, text: pl.Series, kind: str) -> pl.Series:
        """The year of each line: one more at each step from late to early months, one less at a step back."""
        if kind == "syslog":
            numbers = dict(zip(_MONTHS, range(1, 13), strict=True))
            months = text.str.slice(0, 3).replace_strict(numbers, default=None, return_dtype=pl.Int64)
            first_day = text[0][4:6]
        else:
            months = text.str.slice(0, 2).cast(pl.Int64, strict=False)
            first_day = text[0][2:5].strip("- ")
        months = months.fill_null(strategy="forward").fill_null(strategy="backward").fill_null(1)
        first = int(months[0])
        if self.year is None:
            reference = self.reference_utc or dt.datetime.now(dt.UTC)
            later = (first, first_day.strip().zfill(2)) > (reference.month, f"{reference.day + 1:02d}")
            self.year = reference.year - later
        steps = pl.concat([pl.Series([first - (self._last_month or first)], dtype=pl.Int64), months.diff()[1:]])
        years = ((steps <= -6).cast(pl.Int64) - (steps >= 6).cast(pl.Int64)).cum_sum() + self.year
        self.year, self._last_month = int(years[-1]), int(months[-1])
        return years.cast(pl.String)

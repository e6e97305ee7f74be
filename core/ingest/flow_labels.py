"""Labels of flows: a CSV that names them by their endpoints. Read to teach and to measure, never to score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from core.errors import InputError
from core.ingest.frames import ICMP, ICMPV6, TCP, UDP
from core.records import Flow

PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6"}
_KEY = ("protocol", "source", "source_port", "destination", "destination_port")
_CAPTURE, _FIRST = "capture", "first_utc"
_YEAR_10000 = 253_402_300_800  # seconds; a damaged capture may name times that no calendar has
_SHOWN_CAPTURES = 3
_UNSURE = "unsure"

_Key = tuple[str, int | None, str, tuple[str, ...]]
"""Name of the capture's file, microseconds since 1970, protocol, both ends; "" and None where that is not compared."""


class FlowLabels:
    """The labels of a CSV as `python -m core traffic flows --output` writes it, with a column of labels added.

    Args:
        path: CSV with the columns protocol, source, source_port, destination, destination_port and `column`; first_utc
            tells apart flows that share endpoints, capture those of several captures, by the names of their files.
            Either end may be the source. An empty label is none, and so is the verdict "unsure".
        column: that holds the labels; any of them.

    Attributes:
        n_contradicted: flows of the last `of` that got no label because rows that name the same flow differ.

    Raises:
        InputError: it cannot be read, a column is missing, or first_utc holds what is no time.
    """

    def __init__(self, path: Path, column: str = "label") -> None:
        try:
            table = pl.read_csv(path.read_bytes(), infer_schema=False)  # a path would be taken for a pattern
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file") from None
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{path}: cannot be read as CSV: {error}") from error
        if missing := [name for name in (*_KEY, column) if name not in table.columns]:
            raise InputError(f"{path}: no column {', '.join(missing)}; it has {', '.join(table.columns)}")
        self.path = path
        self.n_contradicted = 0
        self._timed = _FIRST in table.columns
        self._captures = [_file_name(name or "") for name in table[_CAPTURE]] if _CAPTURE in table.columns else []
        times = _times(path, table[_FIRST]) if self._timed else [None] * len(table)
        keys = zip(times, *(table[name].fill_null("") for name in _KEY), strict=True)
        self._keys = [(time, protocol, _either_way(*ends)) for time, protocol, *ends in keys]
        given = [(label or "").strip() for label in table[column]]
        self._labels = ["" if label == _UNSURE else label for label in given]

    def of(self, flows: Sequence[Flow]) -> list[str | None]:
        """The label of each flow; None where the file has none for it.

        Raises:
            InputError: the file has none for any.
        """
        read = {_file_name(flow.capture) for flow in flows}
        # One capture may be read under another name, or from standard input.
        by_capture = bool(self._captures) and (len(read) > 1 or read <= set(self._captures))
        captures = self._captures if by_capture else [""] * len(self._keys)
        labels: dict[_Key, str] = {}
        contradicted: set[_Key] = set()
        for capture, key, label in zip(captures, self._keys, self._labels, strict=True):
            if labels.setdefault((capture, *key), label) != label:
                contradicted.add((capture, *key))
        times = _microseconds(flows) if self._timed else [None] * len(flows)
        keys = [
            (_file_name(flow.capture) if by_capture else "", time, PROTOCOLS[flow.key[0]], _either_way(*flow.key[1:]))
            for flow, time in zip(flows, times, strict=True)
        ]
        self.n_contradicted = sum(key in contradicted for key in keys)
        found = [None if key in contradicted else labels.get(key) or None for key in keys]
        if not any(found):
            why = "write one with: traffic flows --output"
            if by_capture and not read & set(captures):
                why = f"its column capture holds {_some(captures)}, and what is read is {_some(read)}"
            elif self.n_contradicted:
                why = self.contradiction
            raise InputError(f"{self.path}: names none of the {len(flows):,} flows; {why}")
        return found

    @property
    def contradiction(self) -> str:
        """What to say of `n_contradicted`."""
        remedy = "one row a flow is needed" if self._timed else "add the column first_utc of: traffic flows --output"
        return f"{self.n_contradicted:,} flows are named by rows whose labels differ, and got none; {remedy}"


def calendar_times(seconds: pl.Expr) -> pl.Expr:
    """Seconds since 1970 as times to the microsecond; null for 0, no time, and what no calendar has (damaged ones)."""
    known = pl.when(seconds.is_between(0, _YEAR_10000, closed="none")).then(seconds)
    return (known * 1e6).round().cast(pl.Int64).cast(pl.Datetime("us"))


def _microseconds(flows: Sequence[Flow]) -> list[int | None]:
    """When flows began, as their table says it."""
    started = pl.Series([flow.first_utc for flow in flows], dtype=pl.Float64)
    return pl.select(calendar_times(pl.lit(started)).dt.timestamp("us")).to_series().to_list()


def _times(path: Path, texts: pl.Series) -> list[int | None]:
    times = texts.str.replace(" ", "T").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    if len(wrong := (times.is_null() & texts.is_not_null()).arg_true()):
        raise InputError(
            f"{path}: row {wrong[0] + 1:,}: first_utc is {texts[wrong[0]]!r}; expected a time as `traffic flows` "
            "writes it, such as 2026-11-22T03:13:04.223354; or leave the column out"
        )
    return times.dt.timestamp("us").to_list()


def _file_name(capture: str) -> str:
    """A capture's file without its folder, and without the apostrophe that keeps spreadsheets from running it."""
    return Path(capture.removeprefix("'")).name


def _some(names: Iterable[str]) -> str:
    """Some of the names, for a message."""
    shown = sorted(set(names))
    more = f" and {len(shown) - _SHOWN_CAPTURES:,} more" if len(shown) > _SHOWN_CAPTURES else ""
    return ", ".join(shown[:_SHOWN_CAPTURES]) + more


def _either_way(*ends: str | int) -> tuple[str, ...]:
    one = tuple(map(str, ends))
    return min(one, (*one[2:], *one[:2]))

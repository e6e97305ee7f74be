"""Lines of one event: what a line without a header of its own has from the line above that has one.

A stack trace, a statement or a dump is written in lines of which only the first names a time and who writes. The others
stay lines of their own, with texts and scores of their own, but they happened then and there: in the log's time, its
filters, incidents and exports they stand with the line they belong to.
"""

from __future__ import annotations

import polars as pl

SHARED = ("timestamp_utc", "host", "component")
MOST_LINES = 1_000  # of an event; what goes on for longer is a log of its own, in a format that is not known


class Events:
    """Heads of events, chunk after chunk of one file."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A file begins: its first lines go on with nothing."""
        self._last: pl.Series | None = None

    def of(self, table: pl.DataFrame, *, goes_on: pl.Series, request: pl.Series) -> pl.DataFrame:
        """Lines with what they share with the head of their event.

        Args:
            table: [N] line_no and the columns of SHARED.
            goes_on: [N] bool, lines without a header and without a time.
            request: [N] bool, lines that are a request each, with which nothing goes on.

        Returns:
            The table; where a line goes on, it has from its head what it does not say itself.
        """
        head = pl.struct("line_no", *(pl.when(~request).then(name).alias(name) for name in SHARED))
        heads = table.select(pl.when(~goes_on).then(head).alias("head"))["head"]
        if self._last is not None:
            heads = pl.concat([self._last, heads])
        if goes_on.any() and heads.null_count() < len(heads):
            found = heads.fill_null(strategy="forward").tail(len(table)).struct.unnest()
            near = goes_on & (table["line_no"] - found["line_no"] < MOST_LINES)
            shared = (pl.when(near).then(pl.coalesce(name, found[name])).otherwise(name).alias(name) for name in SHARED)
            table = table.with_columns(shared)
        self._last = heads.filter(heads.is_not_null()).tail(1)
        return table

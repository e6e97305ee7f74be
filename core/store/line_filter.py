"""Which lines of a run are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, TypedDict

import duckdb

from core.errors import WorkbenchError


class LineFilters(TypedDict, total=False):
    """What a line must be; a filter that is left out or None lets every line pass.

    Attributes:
        threshold: flagged at this one.
        search: text the raw line holds, in any case; with `regex` an RE2 expression, in any case too. RE2 takes time in
            proportion to the text, whatever the expression.
        regex: see `search`.
        level: as `levels` lists them.
        source: as `sources` lists them.
        text_id: of this text's message, in whatever context its lines are; a sequence is of these texts alone.
        span: from this line number to that, both included.
        time: from this moment (UTC) to before that.
        among: one of these line numbers.
        apart_from: none of these line numbers.
    """

    threshold: float | None
    search: str | None
    regex: bool
    level: str | None
    source: str | None
    text_id: int | Sequence[int] | None
    span: tuple[int, int] | None
    time: tuple[datetime, datetime] | None
    among: Sequence[int] | None
    apart_from: Sequence[int] | None


def where(filters: LineFilters, source: str) -> tuple[str, list[Any]]:
    """The WHERE clause over `lines` and `texts`, and the values to bind in its order.

    Args:
        filters: what is asked for.
        source: the expression of a line's source.

    Raises:
        WorkbenchError: a regular expression that cannot be read.
        TypeError: a filter there is none of.
    """
    clauses = {
        "threshold": "coalesce(score, 0.0) >= ? AND muted IS NOT TRUE",
        "level": "level = ?",
        "source": f"{source} = ?",
        "text_id": "text_id IN (SELECT unnest(?::BIGINT[]))",
        "span": "line_no BETWEEN ? AND ?",
        "time": "timestamp_utc >= ? AND timestamp_utc < ?",
        "among": "line_no IN (SELECT unnest(?::BIGINT[]))",
        "apart_from": "line_no NOT IN (SELECT unnest(?::BIGINT[]))",
        "search": "regexp_matches(raw, ?, 'i')" if filters.get("regex") else "contains(lower(raw), lower(?))",
    }
    if unknown := set(filters) - {*clauses, "regex"}:
        raise TypeError(f"lines have no filter {', '.join(sorted(unknown))}")
    given: dict[str, Any] = {name: value for name, value in filters.items() if name in clauses and value is not None}
    if not given.get("search"):
        given.pop("search", None)
    elif filters.get("regex"):
        _check_expression(given["search"])
    if isinstance(given.get("text_id"), int):
        clauses["text_id"] = (
            "text_id IN (SELECT text_id FROM texts WHERE normalized_text = "
            "(SELECT normalized_text FROM texts WHERE text_id = ?))"
        )
    values: list[Any] = []
    for name, value in given.items():
        values += (
            value if name in ("span", "time") else [value if isinstance(value, str | float | int) else list(value)]
        )
    return ("WHERE " + " AND ".join(clauses[name] for name in given)) if given else "", values


@lru_cache(maxsize=64)  # a page asks for its lines, their number and more
def _check_expression(search: str) -> None:
    try:
        with duckdb.connect() as connection:  # its own: two threads on duckdb's default one would refuse each other
            connection.execute("SELECT regexp_matches('', ?, 'i')", [search])
    except duckdb.InvalidInputException as error:
        reason = str(error).removeprefix("Invalid Input Error: ")
        raise WorkbenchError(f"the regular expression {search!r} cannot be read: {reason}") from error

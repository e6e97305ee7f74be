"""Bursts: the rate by hand, the usual rate of a log, and chunks that part a second."""

import datetime as dt
import itertools

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.scoring.bursts import Bursts

Line = tuple[str | None, float | None, int | None]
START = dt.datetime(2026, 3, 1, 12)


def table(lines: list[Line]) -> pl.DataFrame:
    rows = [(who, None if at is None else START + dt.timedelta(seconds=at), text) for who, at, text in lines]
    schema = {"session": pl.String, "timestamp_utc": pl.Datetime("us"), "text_id": pl.UInt32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def bursts_of(*chunks: list[Line]) -> dict[tuple[str, int], float]:
    bursts = Bursts()
    for chunk in chunks:
        bursts.add(table(chunk))
    lines = table([line for chunk in chunks for line in chunk]).drop_nulls()
    counts = lines.group_by("session", "text_id", maintain_order=True).agg(pl.len().cast(pl.Int64).alias("count"))
    return {(who, text): burst for who, text, _, burst in bursts.of(counts).iter_rows()}


def steady(n: int, rate: int = 1) -> list[Line]:
    return [("calm", number // rate, 0) for number in range(n)]


def test_by_hand() -> None:
    flood: list[Line] = [("noisy", 5 + number / 100, number % 2) for number in range(80)]
    found = bursts_of([*steady(900), *flood, ("noisy", 800, 0)])
    # 80 lines in its second where 20 are usual: three quarters too many; one later line of text 0 is no part of it.
    assert found == {("calm", 0): 0.0, ("noisy", 0): pytest.approx(40 * 0.75 / 41), ("noisy", 1): 0.75}


def test_what_is_usual_is_no_burst() -> None:
    assert set(bursts_of([("a", 0.5, 0)] * 20 + steady(300)).values()) == {0.0}
    busy = bursts_of(steady(3_000, rate=30), [("noisy", 7.0, 0)] * 100)  # three times 30 is usual here
    assert busy == {("calm", 0): 0.0, ("noisy", 0): pytest.approx(0.1)}
    mostly = bursts_of(steady(100), [("noisy", 7.0, 0)] * 100)  # half of the log: its usual rate
    assert set(mostly.values()) == {0.0}


def test_lines_without_source_time_or_text_are_left_out() -> None:
    nowhere: list[Line] = [(None, 3.0, 0), ("noisy", None, 0), ("noisy", 3.0, None)] * 50
    assert bursts_of(nowhere, steady(10)) == {("calm", 0): 0.0}
    assert bursts_of([]) == {}


@settings(deadline=None)
@given(st.lists(st.integers(0, 770), max_size=4))
def test_chunks_may_part_a_second(cuts: list[int]) -> None:
    flood: list[Line] = [("noisy", 10 + number / 50, number % 3) for number in range(70)]
    lines = sorted(steady(700) + flood, key=lambda line: line[1] or 0.0)
    places = [0, *sorted(cuts), len(lines)]
    parts = [lines[start:end] for start, end in itertools.pairwise(places)]
    whole = bursts_of(lines)
    assert whole["noisy", 0] > 0
    assert bursts_of(*parts) == whole

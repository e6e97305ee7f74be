"""Lines without a header belong to the line above that has one: they happened then and there."""

import gzip
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from core import workbench
from core.config import Config, ReadConfig
from core.runner import SerialRunner
from core.tokenization.events import MOST_LINES
from core.tokenization.normalize import Normalizer

HEAD = "2023-10-10 08:02:30,123 ERROR shop.orders: order 7 failed"
AT = "2023-10-10T08:02:30.123000"
TRACE = ["Traceback (most recent call last):", '  File "/srv/shop.py", line 12, in order', "", "KeyError: 'iban'"]
REQUEST = '203.0.113.7 - - [10/Oct/2023:09:00:00 +0000] "GET / HTTP/1.1" 200 5'


def read(lines: list[str], chunk: int = 1_000) -> pl.DataFrame:
    normalizer = Normalizer()
    starts = range(0, len(lines), chunk)
    return pl.concat(normalizer.process(1 + start, pl.Series(lines[start : start + chunk])) for start in starts)


def times(lines: list[str], chunk: int = 1_000) -> list[str | None]:
    return [time and time.isoformat() for time in read(lines, chunk)["timestamp_utc"]]


def test_a_stack_trace_happened_when_its_first_line_says() -> None:
    table = read([*TRACE[:1], HEAD, *TRACE])
    assert [time and time.isoformat() for time in table["timestamp_utc"]] == [None, *[AT] * 5]
    assert table["component"].to_list() == [None, *["shop.orders"] * 5]
    assert table["level"].to_list() == [None, "ERROR", *[None] * 4]  # what a line says of itself it says alone


def test_its_text_is_its_own() -> None:
    alone, below = Normalizer(), Normalizer()
    alone.process(1, pl.Series(TRACE))
    below.process(1, pl.Series([HEAD, *TRACE]))
    columns = ["normalized_text", "level_class", "count"]
    assert below.texts()[columns].rows()[1:] == alone.texts()[columns].rows()


def test_nothing_goes_on_with_a_request() -> None:
    table = read([REQUEST, "no request at all", HEAD, TRACE[0]])
    assert [time is None for time in table["timestamp_utc"]] == [False, True, False, False]
    assert table["host"].to_list() == ["203.0.113.7", None, None, None]


def test_a_json_line_is_an_event_of_its_own() -> None:
    assert times([HEAD, '{"ts": "soon", "msg": "x"}', TRACE[0]]) == [AT, None, None]
    assert times(['{"ts": 1700000000, "msg": "x"}', TRACE[0]]) == ["2023-11-14T22:13:20"] * 2


def test_what_goes_on_for_long_is_a_log_of_its_own() -> None:
    found = times([HEAD, *["tick"] * (MOST_LINES + 5)])
    assert found == [AT] * MOST_LINES + [None] * 6


def test_the_next_file_begins_with_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(f"{HEAD}\n{TRACE[0]}\n")
    with gzip.open(tmp_path / "b.log.gz", "wt") as file:
        file.write(f"{TRACE[0]}\n")
    tables: list[pl.DataFrame] = []
    SerialRunner().read([tmp_path / "a.log", tmp_path / "b.log.gz"], ReadConfig(), keep=tables.append)
    assert pl.concat(tables)["timestamp_utc"].is_null().to_list() == [False, False, True]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([HEAD, REQUEST, *TRACE, "1 2023", '{"msg": "x"}']), max_size=12), st.integers(1, 5))
def test_the_same_in_chunks_of_any_size(lines: list[str], chunk: int) -> None:
    assert times(lines, chunk) == times(lines) if lines else True


def test_the_time_line_of_a_run_counts_them(tmp_path: Path) -> None:
    log = tmp_path / "shop.log"
    log.write_text("\n".join([HEAD.replace("ERROR", "INFO").replace("failed", "shipped")] * 50 + [HEAD, *TRACE]) + "\n")
    info = workbench.score([log], config=workbench.quick(Config()))
    counted = workbench.run(info.run_id).timeline(threshold=0.0)
    assert (counted["n_lines"].sum(), counted["n_flagged"].sum()) == (info.n_lines, info.n_lines) == (55, 55)

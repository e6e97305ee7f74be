"""Incidents: what is one thing is one row, whatever the order of lines, with or without times and sources."""

import random
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import workbench
from core.config import Config
from core.incidents import SPARK_SPANS, Incidents, fold
from core.workbench.incidents import go_on
from tests.builders import HOSTILE_LINES, store_run

START = datetime(2026, 11, 18)
MINUTE = 60_000_000
ORDINARY = [("session opened for user num", 900), ("cron job num ended", 90)]


def folded(
    lines: list[tuple[float, str | None, str, float]],
    gap_minutes: float = 30,
    timed: bool = True,
    shuffled: random.Random | None = None,
) -> Incidents:
    """Fold lines: minute, source, normalized text, score; line numbers in their order."""
    texts = list(dict.fromkeys(text for _, _, text, _ in lines))
    counts = [sum(text == other for _, _, other, _ in lines) for text in texts]
    table = pl.DataFrame(
        {
            "text_id": range(len(texts) + len(ORDINARY)),
            "normalized_text": [*texts, *(text for text, _ in ORDINARY)],
            "count": [*counts, *(count for _, count in ORDINARY)],
        },
        schema_overrides={"text_id": pl.UInt32},
    )
    flagged = pl.DataFrame(
        {
            "line_no": range(1, len(lines) + 1),
            "timestamp_utc": [START + timedelta(minutes=minute) if timed else None for minute, *_ in lines],
            "source": [source for _, source, _, _ in lines],
            "component": None,
            "text_id": [texts.index(text) for _, _, text, _ in lines],
            "score": [score for *_, score in lines],
            "goes_on": False,
        },
        schema_overrides={"text_id": pl.UInt32, "source": pl.String, "component": pl.String, "goes_on": pl.Boolean},
    )
    if shuffled:
        order = list(range(len(lines)))
        shuffled.shuffle(order)
        flagged = flagged[order]
    if not timed:
        flagged = flagged.with_columns(pl.lit(None, dtype=pl.Datetime("us")).alias("timestamp_utc"))
        return fold(flagged.with_columns(position="line_no"), table, 0.5, (1, len(lines)), gap_minutes)
    flagged = flagged.with_columns(pl.col("timestamp_utc").dt.epoch("us").alias("position"))
    first = (START - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    return fold(flagged, table, 0.5, (first, first + 24 * 60 * MINUTE), gap_minutes * MINUTE)


def groups(found: Incidents) -> set[frozenset[int]]:
    return {frozenset(found.line_numbers(incident)) for incident in found.lines["incident"].unique()}


def test_a_scan_is_one_thing_by_its_source_and_a_failure_by_its_message():
    scan = [(no, "10.0.0.9", f"get page{no} probing", 0.7) for no in range(8)]
    failure = [(no, f"host{no}", "disk failed on node num", 0.7) for no in range(20)]
    found = folded([line for pair in zip(scan, failure, strict=False) for line in pair] + failure[8:])
    assert len(found.table) == 2
    by_lines = found.table.sort("n_lines")
    assert by_lines["n_lines"].to_list() == [8, 20]
    assert by_lines["n_sources"].to_list() == [1, 20]
    assert by_lines["n_messages"].to_list() == [8, 1]
    assert by_lines["sources"].to_list()[0] == ["10.0.0.9"]
    assert "probing" in by_lines["title"][0]
    assert by_lines["title"][1] == "disk failed on node"


TRACE = """\
2026-11-20 08:00:{second:02d},{millisecond} ERROR [exec-{thread}] c.e.shop.OrderController - order failed
java.net.SocketTimeoutException: Read timed out
\tat com.example.shop.Gateway.send(Gateway.java:{line})
Caused by: java.sql.SQLException: connection reset
"""


def test_a_stack_trace_is_of_the_incident_of_its_first_line(tmp_path: Path) -> None:
    usual = "".join(
        f"2026-11-20 07:{no // 60:02d}:{no % 60:02d},000 INFO  [exec-1] c.e.shop.CartService - cart {no} updated\n"
        for no in range(1_000)
    )
    traces = "".join(TRACE.format(second=no, millisecond=100 + no, thread=no, line=no) for no in range(3))
    log = tmp_path / "shop.log"
    log.write_text(usual + traces, "utf-8")
    run = workbench.score([log], None, workbench.quick(Config()))
    found = workbench.incidents(workbench.run(run.run_id), 0.3)
    flagged = found.lines["line_no"].to_list()
    assert [no for no in flagged if no % 4 != 3] == [1_001, 1_002, 1_004, 1_005, 1_006, 1_008, 1_009, 1_010, 1_012]
    assert groups(found) == {frozenset(flagged)}


def test_lines_that_go_on_stand_apart_from_lines_of_their_own_at_the_same_time(tmp_path: Path) -> None:
    lines = [f"Nov 20 08:{no // 60:02d}:{no % 60:02d} web1 cron[{no}]: job done" for no in range(1_000)]
    lines += ["Nov 20 09:00:00 web1 kernel: disk failed", "Nov 20 09:00:00 web1 kernel: fan failed"]  # each a header
    log = tmp_path / "syslog"
    log.write_text("\n".join(lines), "utf-8")
    run = workbench.score([log], None, workbench.quick(Config()))
    reader = workbench.run(run.run_id)
    assert reader.flagged_lines(0.3, 10)["line_no"].to_list() == [1_001, 1_002]
    assert not go_on(reader.flagged_lines(0.3, 10), reader).any()


def test_a_gap_parts_incidents_and_another_severity_too():
    line = ("10.0.0.9", "root shell spawned", 0.9)
    assert len(folded([(0, *line), (10, *line), (20, *line), (300, *line), (310, *line), (320, *line)]).table) == 2
    assert len(folded([(0, *line), (10, *line), (20, *line), (300, *line), (310, *line)], gap_minutes=300).table) == 1
    mild = [(no, "10.0.0.8", "root shell spawned", 0.55) for no in range(3)]
    severe = [(no, "10.0.0.9", "root shell opened", 0.95) for no in range(3)]
    assert groups(folded(mild + severe)) == {frozenset({1, 2, 3}), frozenset({4, 5, 6})}


def test_like_bursts_of_several_sources_are_one_incident_and_ones_and_twos_fold_together():
    guesses = [
        (minute, source, f"failed password for {source}user", 0.8) for source in ("a", "b", "c") for minute in range(3)
    ]
    found = folded(guesses)
    assert (len(found.table), found.table["n_sources"][0]) == (1, 3)
    single = [(no, f"s{no}", f"never{no} seen{no}", 0.6) for no in range(5)]
    assert len(folded(single).table) == 1


def test_first_last_worst_and_course_are_told():
    found = folded([(0, "a", "x failed", 0.6), (61, "a", "y failed", 0.9), (1439, "a", "z failed", 0.7)], 2_000)
    row = found.table.row(0, named=True)
    assert (row["incident"], row["first_no"], row["last_no"], row["worst_no"], row["worst_score"]) == (1, 1, 3, 2, 0.9)
    assert (row["first_utc"], row["last_utc"]) == (START, START + timedelta(minutes=1439))
    assert len(row["spark"]) == SPARK_SPANS
    assert {at: n for at, n in enumerate(row["spark"]) if n} == {0: 1, 1: 1, SPARK_SPANS - 1: 1}
    assert (found.of_line(3), found.of_line(4)) == (1, None)


def test_without_times_and_sources_line_numbers_and_messages_part():
    lines = [(0, None, "disk failed", 0.7)] * 3 + [(0, None, f"odd{no} thing", 0.7) for no in range(20)]
    lines += [(0, None, "disk failed", 0.7)] * 3
    found = folded(lines, gap_minutes=10, timed=False)
    assert {frozenset({1, 2, 3}), frozenset({24, 25, 26})} <= groups(found)
    assert found.table["first_utc"].null_count() == len(found.table)
    assert set(found.table["n_sources"]) == {0}
    nothing = folded([], timed=False)
    assert (nothing.table.is_empty(), nothing.n_incidents) == (True, 0)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 300), st.sampled_from(["a", "b", None]), st.sampled_from(["x y", "x z", "q"]),
            st.sampled_from([0.5, 0.7, 0.99]),
        ),
        min_size=1, max_size=40,
    ),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_every_line_is_of_one_incident_and_the_order_of_rows_counts_nothing(lines, draw: random.Random):
    lines = sorted(lines, key=lambda line: line[0])
    found = folded(lines)
    assert found.lines["line_no"].to_list() == list(range(1, len(lines) + 1))
    assert found.table["n_lines"].sum() == len(lines)
    assert all(sum(row) == n for row, n in zip(found.table["spark"], found.table["n_lines"], strict=True))
    shuffled = folded(lines, shuffled=draw)
    assert shuffled.table.equals(found.table)
    assert shuffled.lines.equals(found.lines)


def test_a_run_is_folded_with_its_own_times_and_verdicts_are_counted():
    lines = [(f"session opened {no}", "session opened num", 0.1) for no in range(60)]
    lines += [(text, text.lower(), 0.9) for text in HOSTILE_LINES] + [("", "", 0.0)]
    run_id = store_run("a", lines)
    reader = workbench.run(run_id)
    found = workbench.incidents(reader, 0.5)
    assert found.lines["line_no"].to_list() == list(range(61, 67))
    assert all(len(title) < 200 for title in found.table["title"])
    workbench.set_verdict(run_id, [61, 62], "abnormal")
    workbench.set_verdict(run_id, [1], "normal")  # not flagged
    assert found.judged(workbench.verdicts(run_id))["abnormal"].sum() == 2
    assert workbench.usual_gap(reader.info) == timedelta(minutes=30)
    assert workbench.incidents(reader, 0.95).table.is_empty()
    everything = workbench.incidents(reader, 0.0)
    assert everything.table["n_lines"].sum() == 66  # a blank line has no text to fold by


@pytest.mark.parametrize("hosts", [["web1"] * 9 + ["web2"], [None] * 10])
def test_one_host_for_most_lines_is_no_source(hosts: list[str | None]):
    run_id = store_run("a", [(f"odd {no}", f"odd{no}", 0.9) for no in range(10)], hosts=hosts)
    assert workbench.run(run_id).flagged_lines(0.5, 100)["source"].null_count() == 10


def test_many_hosts_are_sources_and_only_the_highest_lines_are_folded():
    hosts = [f"web{no % 3}" for no in range(10)]
    run_id = store_run("a", [(f"odd {no}", f"odd{no}", 0.5 + no / 100) for no in range(10)], hosts=hosts)
    rows = workbench.run(run_id).flagged_lines(0.5, 4)
    assert rows["line_no"].to_list() == [7, 8, 9, 10]
    assert rows["source"].to_list() == hosts[6:]
    assert all(a < b for a, b in pairwise(rows["line_no"]))

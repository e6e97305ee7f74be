"""Mutes: silent until their day, counted again afterwards, and never out of sight."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from core import workbench
from core.errors import WorkbenchError
from core.store import mutes as store_mutes
from dashboard.line_view import detail_of
from tests.builders import HOSTILE_LINES, store_run

LINES = [
    *[(f"session opened {no}", "session opened", 0.1) for no in range(1, 5)],
    ("disk failed 1", "disk failed", 0.7),
    ("disk failed 2", "disk failed", 0.7),
    ("root shell", "root shell", 0.9),
    ("", "", 0.0),
]
LATER = datetime.now(UTC) + timedelta(days=3)


def flagged() -> list[int]:
    return workbench.run("a").lines(threshold=0.5, order="line_no", descending=False)["line_no"].to_list()


def test_a_muted_message_leaves_every_count_and_queue():
    store_run("a", LINES)
    before = workbench.run("a")
    workbench.mute(["disk failed"], "a known drive", LATER, by="ana")
    reader = workbench.run("a")
    assert (before.flagged(0.5), reader.flagged(0.5), flagged()) == (3, 1, [7])
    assert reader.n_lines(threshold=0.5, search="disk") == 0
    assert reader.n_lines(threshold=0.0) == 6
    assert reader.queue("highest", 0.5, True, 10)["line_no"].to_list() == [7]
    assert 5 not in reader.queue("near", 0.5, False, 10)["line_no"].to_list()
    assert set(reader.queue("audit", 0.8, False, 10)["line_no"]) == {1, 2, 3, 4}
    assert reader.templates(0.5)["normalized_text"].to_list() == ["root shell"]
    assert reader.top_messages(0.5, 10)["normalized_text"].to_list() == ["root shell"]
    assert reader.n_templates(0.5) == 1
    assert reader.timeline(0.5, 4)["n_flagged"].sum() == 1
    assert workbench.incidents(reader, 0.5).lines["line_no"].to_list() == [7]
    scores, counts = reader.score_counts(muted=True)
    assert (scores.tolist(), counts.tolist()) == ([0.7], [2])
    assert reader.lines(limit=20)["line_no"].len() == 8  # all lines are still all lines
    assert reader.line(5)["score"] == 0.7
    detail = detail_of(reader, 5, 0.5, *reader.score_counts())  # nor does its detail call it flagged
    assert detail.state == "muted"
    assert [line.line_no for line in detail.context if line.flagged] == [7]
    assert detail_of(reader, 7, 0.5, *reader.score_counts()).state == "flagged"
    assert detail_of(reader, 5, 0.8, *reader.score_counts()).state == "normal"
    assert reader.muted().select("normalized_text", "count").rows() == [("disk failed", 2)]
    row = workbench.mutes().row(0, named=True)
    assert (row["normalized_text"], row["reason"], row["by"]) == ("disk failed", "a known drive", "ana")


def test_a_mute_holds_in_other_runs_and_ends_by_hand_or_by_time(monkeypatch: pytest.MonkeyPatch):
    store_run("a", LINES)
    store_run("b", LINES)
    workbench.mute(["disk failed"], "first", LATER)
    workbench.mute(["disk failed"], "second", LATER)  # in the place of the first
    assert workbench.mutes()["reason"].to_list() == ["second"]
    assert workbench.run("b").flagged(0.5) == 1
    workbench.unmute(workbench.mutes()["mute_id"][0])
    assert workbench.mutes().is_empty()
    assert flagged() == [5, 6, 7]
    workbench.mute(["disk failed"], "again", LATER)
    assert flagged() == [7]

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            return LATER + timedelta(seconds=1)

    monkeypatch.setattr(store_mutes, "datetime", Tomorrow)
    assert flagged() == [5, 6, 7]
    assert workbench.mutes().is_empty()


@pytest.mark.parametrize(
    ("reason", "until", "expected"),
    [("  ", LATER, "reason"), ("x" * 501, LATER, "reason"), ("x", datetime.now(UTC), "future")],
)
def test_a_mute_without_reason_or_future_is_refused(reason: str, until: datetime, expected: str):
    with pytest.raises(WorkbenchError, match=expected):
        workbench.mute(["disk failed"], reason, until)
    assert workbench.mutes().is_empty()


def test_exports_keep_muted_lines_and_say_so_and_hostile_texts_are_muted_like_others():
    store_run("a", [(text, text, 0.9) for text in HOSTILE_LINES] + LINES)
    workbench.mute(HOSTILE_LINES, "=HYPERLINK(1)", LATER)
    assert sorted(workbench.mutes()["normalized_text"]) == sorted(HOSTILE_LINES)
    assert workbench.run("a").flagged(0.5) == 3
    rows = pl.read_csv(workbench.export("a", "flagged lines", ".csv"))
    assert rows["muted"].to_list() == [1] * len(HOSTILE_LINES) + [0] * 3
    assert rows["is_anomaly"].to_list() == [1] * 9
    assert not any(cell.startswith("=") for cell in rows["line"])
    html = workbench.report_html("a")
    assert f"{len(HOSTILE_LINES):,} lines of {len(HOSTILE_LINES)} muted messages reach the threshold" in html
    assert "<script>window" not in html

"""Verdicts: kept by content and occurrence, newest first in force, taken back act by act, never lost with a run."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from core import workbench
from core.errors import StoreError, WorkbenchError
from core.store import Store, acts, database
from tests.builders import store_run

HOSTILE = "'; DROP TABLE verdicts; -- <img src=x onerror=alert(1)> \x00 =cmd()"
LINES = [
    ("06:00 session opened", "session opened", 0.1),
    ("", "", 0.0),
    ("same line twice", "same line twice", 0.6),
    ("06:01 session opened", "session opened", 0.1),
    ("same line twice", "same line twice", 0.6),
    (HOSTILE, "drop table", 0.9),
]


def judged(run_id: str | None = "a", **options: Any) -> list[tuple[Any, ...]]:
    return workbench.verdicts(run_id, **options).select("line_no", "label", "note").rows()


def test_the_newest_verdict_counts_and_says_who_when_and_where():
    store_run("a", LINES, name="auth.log")
    workbench.set_verdict("a", [6], "unsure", by="ana")
    workbench.set_verdict("a", [6], "abnormal", " a drop ")
    workbench.set_verdict("a", [1], "normal")
    [first, second] = workbench.verdicts("a").rows(named=True)
    assert (first["line_no"], first["text_id"], first["label"], first["line"]) == (1, 0, "normal", LINES[0][0])
    assert (second["line_no"], second["text_id"], second["label"], second["note"]) == (6, 2, "abnormal", "a drop")
    assert (second["line"], second["by"]) == (HOSTILE, "analyst")
    assert (second["run_id"], second["run_name"]) == ("a", "auth.log")
    assert second["at_utc"].endswith("+00:00")
    assert workbench.verdicts()["line_no"].to_list() == [6, 1]  # as they were given


def test_verdicts_are_found_again_in_a_later_run_of_a_rotated_file():
    store_run("a", LINES, name="auth.log")
    workbench.set_verdict("a", [1, 2, 5, 6], "normal", "checked")
    assert judged("a") == [(no, "normal", "checked") for no in (1, 2, 5, 6)]
    later = [("new", "new", 0.2), *reversed(LINES)]  # longer, in another order, other text ids
    store_run("b", later)
    assert judged("b") == [(no, "normal", "checked") for no in (2, 5, 6, 7)]
    workbench.set_verdict("b", [2], "abnormal")
    assert judged("a")[-1] == (6, "abnormal", "")  # and in the earlier run too
    assert workbench.verdicts("a")["run_name"].to_list()[-1] == "b.log"


def test_equal_lines_are_told_apart_by_their_occurrence():
    store_run("a", LINES)
    workbench.set_verdict("a", [5], "abnormal")
    store_run("b", [LINES[2], LINES[0]])
    assert judged("b") == []  # it has the first of the two only
    store_run("c", [LINES[2], LINES[2], LINES[2]])
    assert judged("c") == [(2, "abnormal", "")]
    workbench.set_verdict("c", [3], "normal")
    assert judged("a") == [(5, "abnormal", "")]


def test_undo_takes_back_the_newest_act_as_one():
    store_run("a", LINES)
    store_run("b", LINES)
    workbench.set_verdict("a", [3], "abnormal", "first")
    workbench.set_verdict("a", [3, 5, 3], "normal", "both")
    workbench.set_verdict("a", [1], "unsure", by="ana")
    workbench.set_verdict("b", [4], "unsure")
    assert workbench.undo_verdict("a") == [3, 5]  # not what another analyst or another run did since
    assert judged("a") == [(1, "unsure", ""), (3, "abnormal", "first"), (4, "unsure", "")]
    assert workbench.undo_verdict("a") == [3]
    assert workbench.undo_verdict("a") == []
    assert workbench.undo_verdict("a", by="ana") == [1]
    assert judged("a") == [(4, "unsure", "")]


def test_a_note_alone_and_a_verdict_taken_away():
    store_run("a", LINES)
    workbench.set_verdict("a", [3], None, "ask ops")
    assert judged("a") == []
    assert judged("a", notes=True) == [(3, None, "ask ops")]
    workbench.set_verdict("a", [3], "abnormal", "ask ops")
    workbench.set_verdict("a", [3], None)
    assert judged("a", notes=True) == []
    workbench.undo_verdict("a")
    assert judged("a") == [(3, "abnormal", "ask ops")]


def test_verdicts_outlive_their_run():
    store_run("a", LINES, name="auth.log")
    workbench.set_verdict("a", [6], "abnormal")
    workbench.delete_run("a")
    assert Store().runs() == []
    with pytest.raises(StoreError, match="no run a"):
        workbench.verdicts("a")
    store_run("b", LINES)
    assert judged("b") == [(6, "abnormal", "")]
    assert workbench.verdicts("b")["run_name"].to_list() == ["auth.log"]


def test_long_lines_are_told_apart_by_all_of_their_text(home: Path):
    beginning = "x" * 9_000_000
    long = [(f"{beginning}{end}", f"long {end}", 0.9) for end in "ab"]
    store_run("a", [*LINES, *long])
    workbench.set_verdict("a", [8], "abnormal")
    [row] = workbench.verdicts("a").rows(named=True)
    assert (row["line"], row["line_bytes"]) == ("x" * 1_000, 9_000_001)
    store_run("b", [*reversed(long), *LINES])
    assert judged("b") == [(1, "abnormal", "")]
    assert (home / "workbench.duckdb").stat().st_size < 4_000_000


def test_mistakes_are_refused_and_change_nothing(monkeypatch: pytest.MonkeyPatch):
    store_run("a", LINES)
    monkeypatch.setattr(acts, "MOST_JUDGED", 4)
    for line_nos, label, note, words in [
        ([1], "bad", "", "one of abnormal, normal, unsure, not 'bad'"),
        ([1], "normal", "x" * 2_001, "up to 2,000 characters, this one 2,001"),
        ([], "normal", "", "1 to 4 lines can be judged at once, not 0"),
        ([1, 2, 3, 4, 5], "normal", "", "not 5"),
        ([1, 7], "normal", "", "run a has no line 7"),
    ]:
        with pytest.raises(WorkbenchError, match=words):
            workbench.set_verdict("a", line_nos, label, note)
    for verb in (lambda: workbench.set_verdict("x", [1], "normal"), lambda: workbench.undo_verdict("x")):
        with pytest.raises(StoreError, match="no run x"):
            verb()
    assert judged("a") == judged(None) == []


def test_damaged_lines_are_said_so(home: Path):
    store_run("a", LINES)
    (home / "runs" / "a" / "lines.parquet").write_bytes(b"no parquet")
    with pytest.raises(StoreError, match="run a cannot be read"):
        workbench.set_verdict("a", [1], "normal")
    (home / "runs" / "a" / "lines.parquet").unlink()
    with pytest.raises(StoreError, match=r"lines\.parquet"):
        workbench.verdicts("a")


def test_many_analysts_at_once():
    store_run("a", [(f"line {no}", "line", 0.9) for no in range(1, 14)])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda no: workbench.set_verdict("a", [no, 13], "normal", str(no)), range(1, 13)))
        counts = list(pool.map(lambda _: len(judged("a")), range(4)))
    assert counts == [13] * 4
    undone = [workbench.undo_verdict("a") for _ in range(13)]
    assert sorted(line_nos[0] for line_nos in undone if line_nos) == list(range(1, 13))
    assert judged("a") == []


def test_a_store_of_the_first_version_is_brought_up(home: Path):
    store_run("a", LINES)
    home.mkdir(exist_ok=True)
    with duckdb.connect(str(home / "workbench.duckdb")) as connection:  # as the first release left it
        connection.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, at_utc VARCHAR NOT NULL)")
        connection.execute(database.MIGRATIONS[0])
        connection.execute("INSERT INTO migrations VALUES (1, '')")
        connection.execute("INSERT INTO thresholds (run_id, value, set_by, at_utc) VALUES ('a', 0.7, 'ana', '')")
    workbench.set_verdict("a", [1], "normal")
    assert workbench.threshold("a") == 0.7
    assert judged("a") == [(1, "normal", "")]
    with duckdb.connect(str(home / "workbench.duckdb")) as connection:
        assert connection.execute("SELECT number FROM migrations").fetchall() == [
            (number,) for number in range(1, len(database.MIGRATIONS) + 1)
        ]

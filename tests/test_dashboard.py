"""The pages by AppTest: empty, with a run, and with every error a user can meet there."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from core import workbench
from core.config import Config
from core.errors import WorkbenchError
from core.records import LOG_TABLE_SCHEMA
from core.store import RunWriter
from dashboard import data
from dashboard.charts import Look, span_bars
from dashboard.components.line_detail import Token
from dashboard.escaping import literal
from dashboard.line_view import contributions, message_at, standing, tokens_of
from dashboard.lines_table import search_of
from dashboard.log_input import FILE_KEY
from dashboard.threshold import rate_of
from tests.builders import store_run
from tests.pages import shown

HOSTILE = "![x](http://evil.example/i.png) <img src=x onerror=alert(1)> :red[r] $a$ `c` login failed"
SCORERS = ["knn", "severity"]


def stored_run(run_id: str = "run-1", name: str = "auth.log", n_lines: int = 500) -> workbench.RunInfo:
    """A run of two texts: every hundredth line is the hostile one, with a score of 0.9; the others have 0.1."""
    started = datetime(2026, 11, 18, tzinfo=UTC).replace(tzinfo=None)
    bad = [no % 100 == 0 for no in range(1, n_lines + 1)]
    lines = pl.DataFrame(
        {
            "line_no": range(1, n_lines + 1),
            "timestamp_utc": [started + timedelta(minutes=no * 10) for no in range(n_lines)],
            "level": ["ERROR" if flag else "INFO" for flag in bad],
            "host": None,
            "component": "sshd",
            "session": None,
            "raw": [HOSTILE if flag else f"session opened {no}" for no, flag in enumerate(bad, 1)],
            "rejection": [None] * (n_lines - 1) + ["cut at 65536 bytes"],
            "text_id": [int(flag) for flag in bad],
        },
        schema=LOG_TABLE_SCHEMA,
    )
    texts = pl.DataFrame(
        {
            "text_id": [0, 1],
            "normalized_text": ["session opened num", HOSTILE.lower()],
            "level_class": ["", "error"],
            "count": [n_lines - sum(bad), sum(bad)],
            "example": ["session opened 1", HOSTILE],
            "score": [0.1, 0.9],
            "reason": ["", "never seen; level error"],
            "tokens": [["session", "opened"], ["login", "failed"]],
            "surprise": [[0.1, 0.2], [7.0, 9.0]],
            "expected": [["session", "closed"], ["session", "opened"]],
            "expected_p": [[0.9, 0.8], [0.7, 0.6]],
            "nearest": [None, "session opened num"],
            "embedding": [[1.0, 0.0], [0.0, 1.0]],
            **{f"{prefix}{name}": [0.1, 0.9] for name in SCORERS for prefix in ("", "raw_")},
        }
    )
    info = {"name": name, "threshold": 0.5, "scorers": SCORERS, "weights": {"knn": 1.0, "severity": 3.0}}
    with RunWriter(run_id) as writer:
        writer.add_lines(lines)
        return writer.finish(texts, info)


def table(app: AppTest, column: str) -> pl.DataFrame:
    """The table that has this column."""
    frames = [item.value for item in app.dataframe]
    return pl.from_pandas(next(frame for frame in frames if column in frame.columns))


def opened(app: AppTest, page: str, **query: str) -> AppTest:
    app.run()
    app.switch_page(page)
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


# ---- Data


def test_empty_data_page_says_what_to_do_first(app: AppTest):
    app.run()
    assert not app.exception
    assert "Drop a log file" in shown(app)
    assert not app.dataframe
    app.button("sample_web_access").click().run()  # or a sample, a click away
    assert not app.exception
    assert app.selectbox(FILE_KEY).value.name == "test.txt"
    assert len(table(app, "normalized_text")) == 20


def test_empty_threshold_page_names_the_next_action(app: AppTest):
    opened(app, "threshold.py")
    assert "No log has been scored yet" in app.info[0].value


def test_a_chosen_file_is_previewed_and_scored_as_asked(app: AppTest, monkeypatch: pytest.MonkeyPatch):
    path = workbench.inbox() / "auth.log"
    lines = [f"Nov 18 06:00:{no:02} web1 sshd[{no}]: Accepted password for eve from 10.0.0.{no}" for no in range(40)]
    path.write_text("\n".join(lines) + "\n")
    asked = []
    monkeypatch.setattr(workbench, "start_scoring", lambda *given: asked.append(given) or "job")
    app.run()
    app.selectbox(FILE_KEY).select(path).run()
    assert not app.exception
    rows = table(app, "normalized_text")
    assert len(rows) == 20
    assert "accepted password for eve" in rows["normalized_text"][0]
    app.radio[0].set_value(data.QUICK).run()
    next(button for button in app.button if button.label == "Find abnormal lines").click().run()
    assert not app.exception
    [(given, model, quick, read, sessions, *others)] = asked
    assert (given, model, quick, read.format, sessions, others) == ([path], None, True, "auto", None, [True, 0.0])
    app.checkbox[0].uncheck().run()
    next(item for item in app.number_input if item.label.startswith("Abnormal lines")).set_value(5.0).run()
    next(button for button in app.button if button.label == "Find abnormal lines").click().run()
    assert asked[1][-2:] == (False, 0.05)


def test_a_model_that_knows_the_messages_is_proposed(app: AppTest, tmp_path: Path):
    lines = [f"Nov 18 06:00:{no:02} web1 sshd[{no}]: Accepted password for eve from 10.0.0.{no}" for no in range(40)]
    (tmp_path / "history.log").write_text("\n".join(lines) + "\n")
    workbench.train([tmp_path / "history.log"], "ssh", workbench.quick(Config()))
    known, other = workbench.inbox() / "known.log", workbench.inbox() / "other.log"
    known.write_text("\n".join(lines[:10]) + "\n")
    other.write_text("\n".join(f"disk {word} is full" for word in "abcdefghij") + "\n")
    app.run()
    app.selectbox(FILE_KEY).select(known).run()
    assert app.radio[0].value == data.SAVED
    assert "messages of 100% of the first lines" in shown(app)
    assert not [item for item in app.number_input if item.label.startswith("Abnormal lines")]  # it has learnt already
    app.selectbox(FILE_KEY).select(other).run()
    assert app.radio[0].value == data.OWN
    app.radio[0].set_value(data.SAVED).run()
    assert "messages of 0% of the first lines. That is little" in shown(app)


def test_a_file_that_is_no_log_is_refused_before_it_is_scored(app: AppTest):
    path = workbench.inbox() / "empty.log"
    path.write_bytes(b"")
    app.run()
    app.selectbox(FILE_KEY).select(path).run()
    assert not app.exception
    assert "empty" in app.error[0].value
    assert "Find abnormal lines" not in [button.label for button in app.button]


def test_a_capture_is_no_log_but_a_way_to_the_traffic_page(app: AppTest):
    for name in ("shop.pcap.gz", "shop.log"):
        (workbench.inbox() / name).write_text("one line\n")
    app.run()
    assert not app.exception
    offered = app.selectbox(FILE_KEY).options
    assert "shop.log" in offered and "shop.pcap.gz" not in offered
    assert f"{literal('shop.pcap.gz')} is a packet capture" in shown(app)


@pytest.mark.parametrize(
    ("state", "message", "text"),
    [("failed", "killed or out of memory", "killed or out of memory"), ("cancelled", "Cancelled.", "cancelled")],
)
def test_a_job_that_ended_badly_is_shown_with_its_reason(home: Path, app: AppTest, state: str, message: str, text: str):
    now = datetime.now(UTC).isoformat()
    job = workbench.JobStatus("j1", "score", "Score a_b.log", now, state=state, message=message, finished_utc=now)
    folder = home / "jobs" / "j1"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps(vars(job)))
    app.run()
    assert not app.exception
    assert literal("a_b.log") in shown(app)
    assert text in shown(app)
    app.button("dismiss_j1").click().run()
    assert "dismiss_j1" not in [button.key for button in app.button]
    [again] = [button.label for button in app.expander[0].button]  # it is among the earlier jobs from now on
    assert again == "Run again"


def test_a_job_that_scored_anew_leads_to_what_changed(home: Path, app: AppTest) -> None:
    stored_run("before")
    workbench.set_verdict("before", [100], "normal")
    stored_run("after")
    now = datetime.now(UTC).isoformat()
    result = {"run_id": "after", "rescored_from": "before"}
    job = workbench.JobStatus("j1", "rescore", "Re-score", now, state="done", result=result, finished_utc=now)
    (home / "jobs" / "j1").mkdir(parents=True)
    (home / "jobs" / "j1" / "state.json").write_text(json.dumps(vars(job)))
    app.run()
    app.button("changed_j1").click().run()
    assert not app.exception
    assert app.selectbox("other_after").value == "before"


def job(kind: str, state: str, **facts) -> workbench.JobStatus:
    now = datetime.now(UTC).isoformat()
    return workbench.JobStatus(f"j-{kind}", kind, f"A {kind}", now, state=state, finished_utc=now, **facts)


@pytest.mark.parametrize(("kind", "waits"), [("map", False), ("train", True)])
def test_work_waits_for_a_job_and_says_so_but_not_for_a_map(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, kind: str, waits: bool
):
    path = workbench.inbox() / "auth.log"
    path.write_text("session opened 1\n" * 5)
    monkeypatch.setattr(workbench, "jobs", lambda: [job(kind, "running")])
    for page, label in (("data.py", "Find abnormal lines"), ("models.py", "Train")):
        app.query_params["log"] = "auth.log"
        app.switch_page(page).run()
        assert next(button for button in app.button if button.label == label).disabled == waits
        assert ("A job is running; wait for it or cancel it." in shown(app)) == waits
        assert app.button(f"cancel_j-{kind}")


def test_a_job_that_ended_is_told_while_a_map_is_made(app: AppTest, monkeypatch: pytest.MonkeyPatch):
    stored_run()
    ended = job("score", "done", result={"run_id": "run-1"})
    monkeypatch.setattr(workbench, "jobs", lambda: [job("map", "running"), ended])
    app.run()
    app.button("open_j-score").click().run()
    assert app.query_params["run"] == "run-1"


def test_past_runs_are_listed(app: AppTest):
    stored_run(n_lines=100)
    app.run()
    assert not app.exception
    row = table(app, "file").row(0, named=True)
    assert (row["file"], row["lines"], row["messages"], row["rejected"]) == ("auth.log", 100, 2, 1)
    assert row["flagged"] == 1
    workbench.set_threshold("run-1", 0.05)
    app.run()
    assert table(app, "file")["flagged"].to_list() == [100]
    app.multiselect("doomed_runs").select("run-1").run()
    next(button for button in app.button if button.label == "Delete them").click().run()
    assert not app.exception
    assert workbench.runs() == []
    assert "Drop a log file" in shown(app)


# ---- Threshold


def test_flagged_lines_are_listed_highest_first(app: AppTest):
    stored_run()
    opened(app, "threshold.py", run="run-1")
    rows = table(app, "line_no")
    assert rows["line_no"].to_list() == [100, 200, 300, 400, 500]
    assert rows["raw"].to_list() == [HOSTILE] * 5
    assert "Rows 1 to 5 of 5" in shown(app)
    assert "auth" in app.markdown[0].value


def test_all_lines_are_paged(app: AppTest):
    stored_run()
    opened(app, "threshold.py", run="run-1")
    app.segmented_control("view_run-1").set_value("All lines").run()
    app.selectbox("order_run-1").select("Line number").run()
    assert table(app, "line_no")["line_no"].to_list() == list(range(1, 201))
    app.number_input("page_run-1").set_value(3).run()
    assert table(app, "line_no")["line_no"].to_list() == list(range(401, 501))
    app.selectbox("level_run-1").select("ERROR").run()  # fewer rows than the page asks for
    assert not app.exception
    assert table(app, "line_no")["line_no"].to_list() == [100, 200, 300, 400, 500]


@pytest.mark.parametrize(
    ("typed", "found"), [("OPENED 25", [25, *range(250, 260)]), ("/opened 4[01]$/", [40, 41]), ("[x](http", None)]
)
def test_search_by_text_and_by_expression(app: AppTest, typed: str, found: list[int] | None):
    stored_run()
    opened(app, "threshold.py", run="run-1")
    app.segmented_control("view_run-1").set_value("All lines").run()
    app.selectbox("order_run-1").select("Line number").run()
    app.text_input("search_run-1").set_value(typed).run()
    assert not app.exception
    assert table(app, "line_no")["line_no"].to_list() == (found or [100, 200, 300, 400, 500])


def test_a_broken_expression_and_no_match_are_said(app: AppTest):
    stored_run()
    opened(app, "threshold.py", run="run-1")
    app.text_input("search_run-1").set_value("/(/").run()
    assert "regular expression" in app.error[0].value
    app.text_input("search_run-1").set_value("no such words").run()
    assert not app.exception
    assert "No line matches" in app.info[0].value


def test_lines_are_filtered_by_source_and_verdict(app: AppTest):
    hosts = [f"web{no % 3}" for no in range(12)]
    store_run("a", [(f"odd {no}", f"odd{no}", 0.9) for no in range(12)], hosts=hosts)
    workbench.set_verdict("a", [2, 3], "abnormal")
    opened(app, "threshold.py", run="a", source="web1")
    assert sorted(table(app, "line_no")["line_no"]) == [2, 5, 8, 11]
    app.selectbox("verdict_a").select("not judged").run()
    assert not app.exception
    assert sorted(table(app, "line_no")["line_no"]) == [5, 8, 11]
    app.selectbox("verdict_a").select("abnormal").run()
    assert table(app, "line_no")["line_no"].to_list() == [2]
    assert dict(app.query_params) == {"run": "a", "source": "web1", "verdict": "abnormal"}
    app.selectbox("verdict_a").select("unsure").run()
    assert "No line matches" in app.info[0].value


def test_a_span_of_time_leaves_its_lines(app: AppTest):
    stored_run()
    opened(app, "threshold.py", run="run-1", view="all")
    app.button("busiest_run-1").click().run()
    assert not app.exception
    assert app.query_params["span"] == "19"
    assert sorted(table(app, "line_no")["line_no"]) == [100, 101, 102, 103, 104]  # 100 is the first that is flagged
    assert "Only lines from 2026-11-18 16:" in shown(app)
    app.button("all_spans_run-1").click().run()
    assert "Rows 1 to 200 of 500" in shown(app)
    assert "span" not in app.query_params
    opened(app, "threshold.py", run="run-1", span="96")  # there is none
    assert "Rows 1 to 200 of 500" in shown(app)


def test_messages_lead_to_their_lines(app: AppTest):
    stored_run()
    opened(app, "threshold.py", run="run-1")
    app.segmented_control("view_run-1").set_value("Flagged messages").run()
    assert table(app, "count")["count"].to_list() == [5]
    next(button for button in app.button if button.label == "Show its 5 lines").click().run()
    assert not app.exception
    assert table(app, "line_no")["line_no"].to_list() == [100, 200, 300, 400, 500]


def test_a_set_threshold_counts(app: AppTest):
    stored_run()
    workbench.set_threshold("run-1", 0.05)
    opened(app, "threshold.py", run="run-1")
    assert "Rows 1 to 200 of 500" in shown(app)
    assert "0.0500" in app.markdown[0].value


def test_rejected_lines_are_shown(app: AppTest):
    stored_run()
    opened(app, "threshold.py", run="run-1")
    assert table(app, "rejection")["line_no"].to_list() == [500]


@pytest.mark.parametrize("run_id", ["nothing-here", "../../etc"])
def test_an_unknown_run_is_an_error_with_a_way_on(app: AppTest, run_id: str):
    stored_run()
    opened(app, "threshold.py", run=run_id)
    assert app.error[0].value.startswith("there is no run ")
    assert "python" not in app.error[0].value
    app.query_params.clear()
    opened(app, "threshold.py")  # by the navigation, which names no run
    assert not app.error
    assert "run-1" in str(app.query_params)


PARTS = [  # what each asks for within a part of it
    ("threshold.py", workbench.RunReader, "everyday"),
    ("incidents.py", workbench, "usual_gap"),
    ("explore.py", workbench, "maps"),
]


@pytest.mark.parametrize("page", [page for page, *_ in PARTS])
def test_a_run_deleted_elsewhere_is_one_error(app: AppTest, page: str):
    stored_run()
    opened(app, page, run="run-1")
    assert not app.error
    workbench.delete_run("run-1")
    app.run()
    assert not app.exception
    assert [error.value.replace("\\", "") for error in app.error] == [
        "there is no run run-1 here; it may have been deleted, or the address is mistyped"
    ]


@pytest.mark.parametrize(("page", "owner", "asked"), PARTS)
def test_what_fails_within_a_page_does_not_leave_the_run(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, page: str, owner: object, asked: str
):
    def full(*_args: object, **_named: object) -> None:
        raise WorkbenchError("no space left")

    stored_run()
    stored_run("run-2")  # what a page without a run would fall back to
    opened(app, page, run="run-1")
    with monkeypatch.context() as patched:
        patched.setattr(owner, asked, full)
        app.run()
    assert [error.value for error in app.error] == ["no space left"]
    assert app.session_state["run_in_view"] == "run-1"
    app.run()
    assert not app.error and not app.exception


def test_a_damaged_run_is_an_error_and_the_rest_works(home: Path, app: AppTest):
    stored_run()
    stored_run("run-2")
    (home / "runs" / "run-2" / "lines.parquet").write_bytes(b"damaged")
    opened(app, "threshold.py", run="run-2")
    assert "run\\-2" in app.error[0].value
    opened(app, "threshold.py", run="run-1")
    assert not app.error


def test_names_are_text_and_never_markup(app: AppTest):
    stored_run(name="![x](http://evil.example/a.png) :red[a].log", n_lines=100)
    app.run()
    strip = app.markdown[0].value
    assert "\\!\\[x\\]\\(http\\:" in strip
    assert "![" not in strip


# ---- words and numbers


def test_literal_escapes_everything_markdown_acts_on():
    for mark in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~":
        assert literal(f"a{mark}b") == f"a\\{mark}b"
    assert literal("one\n# two\u2028 three") == "one \\# two three"


def test_standing_never_rounds_up():
    scores, counts = np.array([0.1, 0.9]), np.array([999_999, 1])
    assert standing(0.9, scores, counts) == "higher than 99.999% of lines"
    assert standing(0.1, scores, counts) == "no line has a lower score"


def test_rate_is_by_day_only_where_there_are_times():
    run = stored_run()
    assert rate_of(run).label == "Alerts per day"
    assert rate_of(run).per_flagged_line == pytest.approx(1 / (499 * 600 / 86_400))
    short = replace(run, last_utc="2026-11-18T02:00:00Z")
    assert (rate_of(short).label, rate_of(short).per_flagged_line) == ("Alerts per day, projected", 12.0)
    timeless = replace(run, first_utc=None, last_utc=None)
    assert (rate_of(timeless).label, rate_of(timeless).per_flagged_line) == ("Flagged per 10,000 lines", 20.0)


def test_contributions_sum_to_the_fused_score():
    run = stored_run(n_lines=100)
    line = {"text_id": 1, "knn": 0.2, "severity": 0.8, "score": 0.65, "context": 0.0}
    assert [item.share for item in contributions(run, line)] == pytest.approx([0.05, 0.6])
    voted = replace(run, config={"scoring": {"combine": "vote"}})
    assert [item.share for item in contributions(voted, line)] == [0.0, 0.75]
    assert contributions(run, line | {"text_id": None}) == []
    *_, context = contributions(run, line | {"score": 0.9, "context": 0.27})
    assert (context.scorer, context.calibrated, context.share) == ("context", 0.27, pytest.approx(0.25))


def test_rows_begin_where_the_header_ends():
    bgl = "- 1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.675872 R02-M1 RAS KERNEL INFO cache error"
    line = {"raw": bgl, "host": "R02-M1", "component": "KERNEL", "level": "INFO"}
    assert bgl[message_at(bgl, line) :] == " cache error"
    pam = {"raw": "Nov 22 03:16:02 gate sshd[7]: pam_unix(sshd:auth): check pass", "component": "sshd"}
    assert message_at("pam_unix(sshd:auth): check pass", pam | {"host": "gate", "level": None}) == 0


def test_a_time_line_of_few_lines_counts_in_whole_ones():
    for most, steps in ((1, {"dtick": 1, "nticks": None}), (5, {"dtick": None, "nticks": 4})):
        spans = pl.DataFrame({"first_line_no": [1, 11], "n_lines": [10, 10], "n_flagged": [0, most]})
        axis = span_bars(spans, None, "lines", Look(False, ["#000"] * 8, "#000")).layout.yaxis
        assert {name: axis[name] for name in steps} == steps


def test_search_and_tokens():
    assert search_of(" /a+/ ") == ("a+", True)
    assert search_of("/") == ("/", False)
    assert search_of("  ") == (None, False)
    read = {"tokens": ["a", "b"], "surprise": [1.0, math.nan], "expected": ["c", "d"], "expected_p": [0.9, 0.8]}
    assert tokens_of(read) == [Token("a", 1.0, "c", 0.9), Token("b", None, None, None)]
    assert tokens_of(read | {"expected": [], "expected_p": []}) == [
        Token("a", 1.0, None, None),
        Token("b", None, None, None),
    ]
    assert tokens_of(read | {"surprise": [math.nan, math.nan]}) is None
    assert tokens_of(read | {"surprise": []}) is None

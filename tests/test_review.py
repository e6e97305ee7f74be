"""The Review page: what is asked to be judged, what is said of it, and that verdicts are done as told."""

from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from core import workbench
from core.config import Config
from core.errors import WorkbenchError
from dashboard.acts import Act, acts_of
from dashboard.line_view import said_of
from dashboard.review import marked, perform, ranking, remove
from tests.builders import access_log, store_run, write_log
from tests.pages import shown

HOSTILE = "![x](http://evil.example/i.png) <img src=x onerror=alert(1)> :red[r] `c`"
LINES = [
    *[(f"session opened {no}", "session opened", 0.1) for no in range(1, 7)],
    (HOSTILE, "hostile", 0.9),
    ("disk failed 1", "disk failed", 0.7),
    ("", "", 0.0),
    ("disk failed 2", "disk failed", 0.7),
    ("odd", "odd", 0.4),
]


def opened(app: AppTest, **query: str) -> AppTest:
    app.run()
    app.switch_page("review.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def judged(run_id: str = "a") -> list[tuple[int, str | None, str]]:
    return workbench.verdicts(run_id, notes=True).select("line_no", "label", "note").rows()


# ---- the page


def test_empty_page_names_the_next_action(app: AppTest):
    opened(app)
    assert "No log has been scored yet" in app.info[0].value


def test_progress_and_precision_are_told(app: AppTest):
    store_run("a", LINES)
    workbench.set_verdict("a", [7], "abnormal")
    opened(app, run="a")
    assert "Judged **1 of 2** messages · ✖ 1 abnormal" in shown(app)
    assert "Of 1 judged flagged message 1 is abnormal: **precision 100% (21 to 100%)**" in shown(app)
    assert "**1** verdict" in app.markdown[0].value
    workbench.set_verdict("a", [8, 10], "normal")
    workbench.set_verdict("a", [11], "unsure")
    app.run()
    assert "Judged **2 of 2** messages · ✖ 1 abnormal · ✔ 1 normal" in shown(app)
    assert "**precision 50% (9 to 91%)**" in shown(app)
    app.toggle("by_message_a").set_value(False).run()
    assert "Judged **3 of 3** lines" in shown(app)
    app.toggle("unjudged_a").set_value(True).run()  # an empty queue can still be undone
    assert not app.exception
    app.segmented_control("queue_a").set_value("Near the threshold").run()
    assert "Judged **4 of 10** lines · ✖ 1 abnormal · ✔ 2 normal · ? 1 unsure" in shown(app)


def test_an_audit_tells_what_was_missed(app: AppTest):
    store_run("a", LINES)
    workbench.set_verdict("a", [1], "normal")  # speaks for the six lines of its message
    workbench.set_verdict("a", [11], "abnormal")
    opened(app, run="a")
    app.segmented_control("queue_a").set_value("Random audit").run()
    assert "Judged **2 of 2** messages" in shown(app)
    assert "Of 7 lines drawn and judged below it **missed 14% (3 to 51%)**" in shown(app)


def test_nothing_flagged_and_an_unknown_run_are_said(app: AppTest):
    store_run("a", LINES)
    workbench.set_threshold("a", 1.0)
    opened(app, run="a")
    assert "Nothing is flagged" in app.info[0].value
    app.query_params["run"] = "b"
    app.run()
    assert not app.exception
    assert "there is no run b" in app.error[0].value.replace("\\", "")


def test_the_line_of_the_url_is_in_view_and_a_bad_one_is_not(app: AppTest):
    store_run("a", LINES)
    opened(app, run="a", line="5")
    assert app.session_state["review_place_a"][0] == 5
    for bad in ("0", "12", "9" * 5_000):
        app.query_params["line"] = bad
        app.run()
        assert not app.exception
        assert app.session_state["review_place_a"][0] == 5


def test_removed_verdicts_are_gone_and_come_back_by_undo(app: AppTest):
    store_run("a", LINES)
    workbench.set_verdict("a", [7], "abnormal", "why")
    opened(app, run="a")
    [table] = [item.value for item in app.dataframe]
    assert (table["verdict"].to_list(), table["line"].to_list()) == (["✖ abnormal"], [HOSTILE])
    remove("a", [7])
    app.run()
    assert not app.dataframe
    workbench.undo_verdict("a")
    assert judged() == [(7, "abnormal", "why")]


# ---- what the board tells


def act(kind: str, line_no: int, label: str = "", note: str = "", whole_message: bool = False) -> Act:
    return Act(1, kind, line_no, label, note, whole_message)


def test_acts_do_what_they_say_and_name_the_line_to_go_to():
    store_run("a", LINES)
    reader = workbench.run("a")
    assert perform(reader, act("verdict", 8, "normal", "known", whole_message=True)) == 8
    assert judged() == [(8, "normal", "known"), (10, "normal", "known")]
    perform(reader, act("verdict", 8, "unsure"))
    perform(reader, act("note", 10, note="ask ops"))
    perform(reader, act("verdict", 9, "normal", whole_message=True))  # blank: it has no message
    perform(reader, act("note", 1, note="first"))
    assert judged() == [(1, None, "first"), (8, "unsure", ""), (9, "normal", ""), (10, "normal", "ask ops")]
    assert [perform(reader, act("undo", 5)) for _ in range(5)] == [1, 9, 10, 8, 8]
    assert judged() == []
    with pytest.raises(WorkbenchError, match="nothing to undo"):
        perform(reader, act("undo", 5))
    with pytest.raises(WorkbenchError, match="one of abnormal, normal, unsure"):
        perform(reader, act("verdict", 5, "good"))
    assert perform(reader, act("open", 3)) == 3


def test_what_is_no_act_is_left_out():
    good = vars(act("open", 3))
    bad = [None, 3, "x", [], {}, good | {"x": 1}, good | {"line_no": "3"}, good | {"note": 5}, good | {"serial": None}]
    assert acts_of([*bad, good]) == [act("open", 3)]
    assert acts_of("x") == acts_of(None) == []


def test_queues_and_their_marks(app: AppTest):
    store_run("a", LINES)
    highest = ranking("a", "Highest score", 0.5, True)
    assert highest.select("line_no", "count", "raw").rows() == [(7, 1, HOSTILE), (8, 2, "disk failed 1")]
    assert ranking("a", "Highest score", 0.5, False)["line_no"].to_list() == [7, 8, 10]
    assert ranking("a", "Near the threshold", 0.5, True)["line_no"].to_list() == [11, 8, 1, 7]
    audit = ranking("a", "Random audit", 0.5, False)["line_no"].to_list()
    assert sorted(audit) == [1, 2, 3, 4, 5, 6, 11] != audit
    workbench.set_verdict("a", [10], "abnormal")
    workbench.set_verdict("a", [8], "unsure")
    workbench.set_verdict("a", [7], None, "a note is no verdict")
    verdicts = workbench.verdicts("a", notes=True)
    assert marked(highest, verdicts, True)["label"].to_list() == [None, "unsure"]  # given last
    assert marked(ranking("a", "Highest score", 0.5, False), verdicts, False)["label"].to_list() == [
        None,
        "unsure",
        "abnormal",
    ]


def test_a_verdict_of_another_run_says_so():
    store_run("a", LINES, name="monday.log")
    store_run("b", LINES[3:])
    workbench.set_verdict("a", [7], "normal", "a scan we ordered")
    said = said_of(workbench.verdicts("b"), 4, "b")
    assert said is not None
    assert (said.label, said.note) == ("normal", "a scan we ordered")
    assert said.words.endswith("by analyst, carried over from a run of monday.log")
    assert said_of(pl.DataFrame(workbench.verdicts("b")), 5, "b") is None


# ---- verdicts that count


def test_verdicts_are_counted_in_a_new_run_and_both_stand_side_by_side(app: AppTest, tmp_path: Path):
    lines, _ = access_log(300, n_attacks=15, seed=7)
    run = workbench.score([write_log(tmp_path / "web.log", lines)], config=workbench.quick(Config()))
    opened(app, run=run.run_id)
    assert f"rescore_{run.run_id}" not in [button.key for button in app.button]  # nothing to count yet
    reader = workbench.run(run.run_id)
    worst = reader.queue("highest", run.threshold, by_message=True, limit=1)
    judged_lines = reader.line_numbers(worst["text_id"][0], 100)
    workbench.set_verdict(run.run_id, judged_lines, "normal")
    app.run()
    button = app.button(f"rescore_{run.run_id}")
    assert button.label == "Re-score with 1 judged message"
    button.click().run()
    assert not app.exception
    [again] = [info for info in workbench.runs() if info.rescored_from == run.run_id]
    before, after = reader.flagged(run.threshold), workbench.run(again.run_id).flagged(run.threshold)
    assert "With your verdicts: **0** lines newly flagged" in app.success[0].value
    assert f"**{before - after:,}** no longer flagged" in app.success[0].value and before > after
    opened(app, run=again.run_id)
    button = app.button(f"rescore_{again.run_id}")
    assert button.disabled and "already" in button.help


def test_what_a_model_has_not_learnt_cannot_be_taken_out_of_it(app: AppTest):
    store_run("a", LINES, model="web")
    workbench.set_verdict("a", [1], "abnormal")
    opened(app, run="a")
    assert "rescore_a" not in [button.key for button in app.button]
    assert "web learnt elsewhere" in shown(app)


def test_a_run_that_cannot_be_scored_anew_says_why(app: AppTest):
    store_run("a", LINES, model="gone")
    workbench.set_verdict("a", [1], "normal")
    opened(app, run="a")
    app.button("rescore_a").click().run()
    assert not app.exception
    assert "gone" in app.error[0].value
    assert len(workbench.runs()) == 1


def test_the_most_telling_messages_stay_while_they_are_judged(app: AppTest):
    store_run("a", LINES)
    workbench.set_verdict("a", [8], "unsure")
    opened(app, run="a", queue="telling")
    assert app.segmented_control("queue_a").value == "Most telling"
    assert "Judged **0 of 3** messages" in shown(app)  # of four, one had a verdict
    workbench.set_verdict("a", [11], "normal")
    app.run()
    assert "Judged **1 of 3** messages" in shown(app)
    app.button("others_a").click().run()
    assert "Judged **0 of 2** messages" in shown(app)
    app.segmented_control("queue_a").set_value("Highest score").run()
    assert "queue" not in app.query_params

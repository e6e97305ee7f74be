"""Addresses: what a link says is shown, what it cannot say is passed over, and nobody else is moved by it."""

import json
import logging
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import workbench
from dashboard.log_input import FILE_KEY
from tests.builders import store_run
from tests.pages import SHELL

LINES = [(f"session opened {no}", "session opened", 0.1) for no in range(1, 7)]
LINES += [("disk failed 1", "disk failed", 0.7), ("odd shell", "odd shell", 0.4)]


def new_session() -> AppTest:
    return AppTest.from_file(str(SHELL), default_timeout=20)


def opened(app: AppTest, page: str, **query: str) -> AppTest:
    app.run()
    app.switch_page(page)
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


@pytest.fixture(autouse=True)
def fresh() -> None:
    st.cache_data.clear()  # of the test before, whose runs had the same names
    st.cache_resource.clear()


def test_a_link_shows_the_same_to_another_user():
    store_run("a", LINES)
    mine = opened(new_session(), "threshold.py", run="a")
    mine.segmented_control("view_a").set_value("All lines").run()
    mine.text_input("search_a").set_value("/opened [2-4]/").run()
    mine.selectbox("order_a").select("Line number").run()
    mine.session_state["line_a"] = 3
    mine.session_state["threshold_a_value"] = 0.35
    mine.run()
    link = dict(mine.query_params)
    shown = {"view": "all", "q": "/opened [2-4]/", "order": "line", "line": "3"}
    assert link == {"run": "a", "threshold": "0.3500", **shown}
    other = opened(new_session(), "threshold.py", **link)
    assert other.dataframe[0].value["line_no"].to_list() == [2, 3, 4]
    assert other.session_state["line_a"] == 3
    assert dict(other.query_params) == link
    other.text_input("search_a").set_value("").run()
    assert "q" not in other.query_params
    mine.run()
    assert dict(mine.query_params) == link  # what others do moves nobody
    incidents = opened(new_session(), "incidents.py", run="a", threshold="0.35")
    assert "**2** flagged lines at 0.3500" in "\n".join(item.value for item in incidents.markdown)
    assert workbench.threshold("a") == 0.5  # looking is not applying


@pytest.mark.parametrize(
    "said",
    [
        {"threshold": "nan", "line": "0", "message": "-1", "view": "<script>", "level": "' OR 1=1", "order": "DROP"},
        {"threshold": "7", "line": "٣", "message": "9" * 600},
    ],
)
def test_what_an_address_cannot_say_is_passed_over(said: dict[str, str]):
    store_run("a", LINES)
    app = opened(new_session(), "threshold.py", run="a", **said)
    assert not app.error
    assert app.dataframe[0].value["line_no"].to_list() == [7]
    assert dict(app.query_params) == {"run": "a"}


def navigated(app: AppTest, page: str) -> AppTest:
    """As a click on the navigation does, whose links say nothing."""
    app.query_params.clear()
    app.switch_page(page).run()
    assert not app.exception
    return app


def test_a_page_shows_the_same_when_one_comes_back_by_the_navigation():
    store_run("a", LINES)
    store_run("b", LINES)
    app = opened(new_session(), "threshold.py", run="a")
    app.segmented_control("view_a").set_value("All lines").run()
    app.text_input("search_a").set_value("opened 3").run()
    navigated(app, "review.py")
    assert dict(app.query_params) == {"run": "a"}
    navigated(app, "threshold.py")
    assert dict(app.query_params) == {"run": "a", "view": "all", "q": "opened 3"}
    assert app.dataframe[0].value["line_no"].to_list() == [3]
    navigated(app, "data.py")
    app.query_params["run"] = "b"  # another run is opened
    app.switch_page("threshold.py").run()
    assert dict(app.query_params) == {"run": "b"}
    assert app.dataframe[0].value["line_no"].to_list() == [7]


@pytest.mark.parametrize("page", ["data.py", "models.py", "traffic.py", "report.py"])
def test_a_reload_keeps_the_run_in_view_on_every_page(page: str):
    store_run("a", LINES)
    store_run("b", LINES)  # the newest
    app = navigated(opened(new_session(), "threshold.py", run="a"), page)
    assert app.query_params["run"] == "a"


def test_a_run_stays_in_view_when_another_is_deleted():
    for run_id in ("a", "b", "c"):
        store_run(run_id, LINES)
    app = navigated(opened(new_session(), "threshold.py", run="a"), "data.py")
    for doomed, left in (("b", "a"), ("a", "c")):
        app.multiselect("doomed_runs").set_value([doomed]).run()
        next(button for button in app.button if button.label == "Delete them").click().run()
        assert app.query_params["run"] == left


def test_of_two_runs_alike_the_one_that_was_named_is_deleted(home: Path):
    for run_id in ("a", "b"):
        store_run(run_id, LINES, name="auth.log")
    facts = home / "runs" / "a" / "run.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"created_utc": "2026-11-18T06:00:00+00:00"}))
    facts = home / "runs" / "b" / "run.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"created_utc": "2026-11-18T06:00:01+00:00"}))
    app = new_session().run()
    newer, older = app.multiselect("doomed_runs").options
    assert older == "auth.log · fit on the file itself · 2026-11-18 06:00:00"
    app.multiselect("doomed_runs").select(newer).run()
    next(button for button in app.button if button.label == "Delete them").click().run()
    assert [run.run_id for run in workbench.runs()] == ["a"]


def test_a_reload_keeps_the_log_that_was_chosen():
    path = workbench.inbox() / "auth.log"
    path.write_text("session opened 1\n" * 5)
    app = new_session().run()
    app.selectbox(FILE_KEY).select(path).run()
    assert dict(app.query_params) == {"log": "auth.log"}
    again = new_session()
    again.query_params["log"] = "auth.log"
    again.run()
    assert again.selectbox(FILE_KEY).value == path
    for page in ("models.py", "data.py"):
        assert navigated(again, page).selectbox(FILE_KEY).value == path
        assert dict(again.query_params) == {"log": "auth.log"}
    other = new_session()
    other.query_params["log"] = "../auth.log"
    other.run()
    assert other.selectbox(FILE_KEY).value is None
    assert dict(other.query_params) == {}


def test_a_link_is_followed_without_a_word_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    store_run("a", LINES)
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("streamlit")]:
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    app = opened(new_session(), "threshold.py", run="a", view="all", q="opened", order="line", line="3")
    assert len(app.dataframe[0].value) == 6
    assert not [record for record in caplog.records if "Session State API" in record.getMessage()]

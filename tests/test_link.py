"""Addresses: what a link says is shown, what it cannot say is passed over, and nobody else is moved by it."""

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import workbench
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

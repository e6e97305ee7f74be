"""Two runs side by side in a real browser, an incident carried off as a file, and a link that shows the same."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.watched import Watched
from tests.builders import HOSTILE_LINES, store_run

pytestmark = pytest.mark.browser

ORDINARY = [(f"session opened {no}", "session opened num", 0.1) for no in range(30)]
LINES = [*ORDINARY, *[(text, text, 0.9) for text in HOSTILE_LINES], ("disk failed", "disk failed", 0.2)]
OTHER = [(raw, text, 0.7 if text == "disk failed" else score * 0.9) for raw, text, score in LINES]


def test_runs_are_compared_and_an_incident_is_exported(browser: Browser, server: str, tmp_path: Path):
    store_run("a", LINES, name="auth.log")
    store_run("b", OTHER, name="auth.log", reweighed_from="a")
    view = Watched(browser, server)
    page = view.page
    page.goto(f"{server}/compare?run=a&with=b")
    expect(page.get_by_text("the runs agree on 97.30% of the lines")).to_be_visible()
    expect(page.locator(".js-plotly-plot .legend")).to_contain_text("only after (1)", timeout=60_000)
    page.get_by_text("only after (1)", exact=False).last.click()
    expect(page.locator(".heading b")).to_have_text("Line 37")
    page.wait_for_url(re.compile("part=only_b"))
    page.get_by_text("With what the model learnt").click()
    expect(page.get_by_text("fitted on the log itself")).to_be_visible()

    # An incident as documents for Elastic; the log's text comes out as it was.
    page.get_by_role("link", name="Incidents").click()
    view.settle()
    page.get_by_role("button", name="Export").click()
    page.get_by_text("ECS", exact=True).click()
    view.settle()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download its lines").click()
    documents = [json.loads(row) for row in Path(waiting.value.path()).read_text().splitlines()]
    assert [document["message"] for document in documents] == HOSTILE_LINES

    # A search and a line in view are in the address; who opens it sees the same.
    page.goto(f"{server}/threshold?run=a")
    page.get_by_text("All lines", exact=True).click()
    page.get_by_placeholder("Search the lines").fill("/opened 1[0-3]/")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"view=all.*q=|q=.*view=all"))
    view.expect_rows(4)
    other = Watched(browser, server, scheme="dark")
    other.page.goto(page.url)
    other.expect_rows(4)
    expect(other.page.get_by_placeholder("Search the lines")).to_have_value("/opened 1[0-3]/")
    assert page.evaluate("window.pwned") is None
    assert view.problems == []
    assert other.problems == []

"""Incidents in a real browser: judged by keys as one, undone, muted, and found again by a link."""

import re

import pytest
from playwright.sync_api import Browser, expect

from core import workbench
from tests.browser.watched import Watched
from tests.builders import HOSTILE_LINES, store_run

pytestmark = pytest.mark.browser

LINES = [
    *[(f"06:0{no} session opened", "session opened", 0.1) for no in range(10)],
    *[(text, text, 0.9) for text in HOSTILE_LINES],
    *[(f"disk failed {no}", "disk failed num", 0.6) for no in range(7)],
]
HOSTILE, DISK = 11, 17  # first lines of the two incidents


def judged() -> dict[str, int]:
    return dict(workbench.verdicts("a")["label"].value_counts().iter_rows())


def test_an_incident_is_judged_undone_muted_and_linked_to(browser: Browser, server: str):
    store_run("a", LINES, name="auth.log")
    view = Watched(browser, server)
    page = view.page
    page.goto(f"{server}/incidents?run=a")
    rows = page.get_by_role("listbox", name="Incidents").get_by_role("option")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("login failed")
    expect(page.get_by_text("for all its 6 lines")).to_be_visible()
    view.settle()

    # A narrow window loses no answer: time stands below the name, the line below the table.
    wide = page.viewport_size
    page.set_viewport_size({"width": 900, "height": 900})
    expect(rows.first.locator(".when")).to_contain_text("2026-11-18")
    expect(rows.first.locator(".when")).to_be_visible()
    table, line = page.get_by_test_id("stDataFrame").first.bounding_box(), page.locator(".heading b").bounding_box()
    assert table["x"] == line["x"] and line["y"] > table["y"] + table["height"]
    page.set_viewport_size(wide)

    # The keys are told by one of them; while they are shown they do nothing else.
    page.keyboard.press("?")
    shown = page.get_by_role("dialog", name="Keys of this page")
    expect(shown).to_contain_text("Keys of the Incidents page")
    expect(shown).to_contain_text("judge it abnormal")
    page.keyboard.press("a")
    page.keyboard.press("Escape")
    expect(shown).to_be_hidden()
    view.settle()
    assert judged() == {}

    # The keys judge all lines of an incident and go on to the next; undo takes one back as a whole.
    page.keyboard.press("a")
    expect(rows.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("n")
    expect(page.get_by_text(re.compile("· 13 verdicts$"))).to_be_visible()
    assert judged() == {"abnormal": 6, "normal": 7}
    expect(rows.first.locator(".verdict.abnormal")).to_be_visible()
    page.keyboard.press("z")
    expect(page.get_by_text(re.compile("· 6 verdicts$"))).to_be_visible()
    expect(rows.nth(1).locator(".verdict")).to_have_count(0)
    assert judged() == {"abnormal": 6}

    # A link shows the same incident, by any of its lines.
    rows.nth(1).click()
    page.wait_for_url(re.compile(f"incident={DISK}"))
    other = Watched(browser, server, scheme="dark")
    other.page.goto(page.url.replace(f"incident={DISK}", f"incident={DISK + 3}"))
    expect(other.page.get_by_role("option", selected=True)).to_contain_text("disk failed")
    other.page.get_by_role("option").first.click()  # and moves no other user
    other.page.wait_for_url(re.compile(f"incident={HOSTILE}"))
    other.settle()
    expect(rows.nth(1)).to_have_attribute("aria-selected", "true")

    # A muted message is gone from the list, and comes back when its mute is ended.
    view.settle()
    page.get_by_role("button", name="Mute").click()
    page.get_by_label("Reason").fill("a known drive")
    page.get_by_label("Reason").press("Enter")
    view.settle()
    page.get_by_role("button", name="Mute this message").click()
    expect(rows).to_have_count(1)
    expect(page.get_by_text("Muted messages (1): 7 lines are left out here")).to_be_visible()
    page.get_by_role("link", name="Threshold").click()
    expect(page.locator(".metric .muted")).to_have_text("+ 7 muted")
    assert view.flagged() == 6
    assert page.evaluate("window.pwned") is None
    assert view.problems == []
    assert other.problems == []

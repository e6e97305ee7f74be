"""Reviewing by keyboard in a real browser: nothing is lost, nothing typed is taken for a key, verdicts stay."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from core import workbench
from core.config import Config
from tests.browser.watched import Watched
from tests.builders import access_log, store_run, write_log

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=window.pwned=1> ![a](http://evil.example)"
LINES = [
    *[(f"06:0{no} session opened", "session opened", 0.1) for no in range(10)],
    *[(f"attack {no} {HOSTILE}", f"attack {no} {HOSTILE} unexpected", 0.9 - no / 100) for no in range(12)],
    ("disk failed 1", "disk failed", 0.6),
    ("disk failed 2", "disk failed", 0.6),
]
FIRST = 11  # the attack with the highest score


def labels(run_id: str = "a") -> dict[int, str]:
    return dict(workbench.verdicts(run_id).select("line_no", "label").iter_rows())


def test_verdicts_are_given_by_keys_and_kept(browser: Browser, server: str):
    store_run("a", LINES, name="auth.log")
    view = Watched(browser, server)
    page = view.page
    page.goto(f"{server}/review?run=a")
    number, note, queue = page.locator(".heading b"), page.get_by_label("Note"), page.get_by_role("listbox")
    judged = page.get_by_text(re.compile(r"^Judged \d"))
    expect(number).to_have_text(f"Line {FIRST}")
    expect(page.locator(".surprises")).to_contain_text("usual")  # what was expected in place of a token

    # As fast as fingers can: every key counts, for the line it was pressed at.
    for key in "jkanuj":
        page.keyboard.press(key)
    expect(number).to_have_text(f"Line {FIRST + 4}")
    expect(judged).to_contain_text("Judged 3 of 13 messages · ✖ 1 abnormal · ✔ 1 normal · ? 1 unsure")
    assert labels() == {FIRST: "abnormal", FIRST + 1: "normal", FIRST + 2: "unsure"}
    expect(queue.get_by_role("option", selected=True)).to_contain_text("attack 4")

    # Letters typed into the note are the note's; with the verdict it is kept.
    view.settle()
    note.click()
    page.keyboard.type("janukz said")
    expect(number).to_have_text(f"Line {FIRST + 4}")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+a")  # the browser's own
    page.keyboard.press("n")
    expect(judged).to_contain_text("Judged 4 of 13")
    expect(note).to_have_value("")
    page.keyboard.press("k")
    expect(number).to_have_text(f"Line {FIRST + 4}")
    expect(note).to_have_value("janukz said")
    expect(page.locator(".said")).to_contain_text("janukz said")
    page.keyboard.press("z")
    expect(judged).to_contain_text("Judged 3 of 13")
    expect(note).to_have_value("")

    # A message is judged as a whole, with the button, and undone as a whole.
    queue.get_by_role("option").last.click()
    expect(number).to_have_text("Line 23")
    page.get_by_role("button", name="Abnormal × 2").click()
    expect(judged).to_contain_text("Judged 4 of 13")
    assert labels()[23] == labels()[24] == "abnormal"
    page.keyboard.press("z")
    expect(judged).to_contain_text("Judged 3 of 13")
    page.get_by_role("checkbox", name="for all 2 lines").uncheck()
    page.keyboard.press("u")  # the focus is on a checkbox, which takes no letters
    expect(judged).to_contain_text("Judged 4 of 13")
    assert 24 not in labels()

    # A reload comes back to the line, with its verdict; nothing of the log was run.
    queue.get_by_role("option").first.click()
    expect(number).to_have_text(f"Line {FIRST}")
    view.settle()
    page.reload()
    expect(number).to_have_text(f"Line {FIRST}")
    expect(page.locator(".heading .verdict")).to_have_text("✖ judged abnormal")
    expect(page.locator(".detail")).to_contain_text(HOSTILE)
    page.get_by_role("link", name="Threshold").click()
    expect(page.locator(".heading .verdict")).to_have_text("✖ judged abnormal")
    page.keyboard.press("n")  # no key is heard on another page
    view.settle()
    assert labels()[FIRST] == "abnormal"
    assert page.evaluate("window.pwned") is None
    assert view.problems == []


def test_a_verdict_counts_at_once(browser: Browser, server: str, tmp_path: Path):
    lines, _ = access_log(300, n_attacks=15, seed=7)
    run = workbench.score([write_log(tmp_path / "web.log", lines)], config=workbench.quick(Config()))
    view = Watched(browser, server)
    page = view.page
    page.goto(f"{server}/review?run={run.run_id}")
    button = page.get_by_role("button", name="Re-score with")
    expect(page.locator(".heading b")).to_contain_text("Line")
    expect(button).to_have_count(0)  # nothing to count yet
    page.keyboard.press("n")
    expect(button).to_be_enabled()
    view.settle()
    button.click()
    told = page.get_by_text("With your verdicts:")
    expect(told).to_be_visible()
    [again] = [info for info in workbench.runs() if info.rescored_from == run.run_id]
    before, after = (workbench.run(one).flagged(run.threshold) for one in (run.run_id, again.run_id))
    assert after < before
    expect(told).to_contain_text(f"{before - after} no longer flagged")
    assert f"run={again.run_id}" in page.url and f"with={run.run_id}" in page.url
    expect(page.get_by_text("fit on the file itself, quick look, with verdicts")).to_be_visible()
    view.settle()
    page.get_by_role("link", name="Review").click()
    expect(page.get_by_role("button", name="Re-score with")).to_be_disabled()  # the new run counts them already
    view.settle()
    assert view.problems == []

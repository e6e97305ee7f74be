"""The map in a real browser: messages drawn around become lines below, and log text stays text."""

import re

import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect

from core import workbench
from core.store import write_map
from tests.browser.watched import Watched
from tests.builders import store_run

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=window.pwned=1> <a href='http://evil.example'>go</a> #000012"
LINES = [
    *[(f"06:0{no} session opened", "session opened", 0.1) for no in range(8)],
    ("session closed", "session closed", 0.2),
    (f"attack {HOSTILE}", f"attack {HOSTILE}", 0.9),
    *[(f"disk {no} failed", "disk failed", 0.7) for no in range(3)],
]
PLACES = {"session opened": (-1.0, 0.1), "session closed": (-1.0, -0.1), HOSTILE: (1.0, 0.0), "disk failed": (0.6, 0.3)}


def lasso(page: Page, left: float, right: float) -> None:
    """Draw around all that lies between two shares of the map's width."""
    box = page.locator("canvas.over").bounding_box()
    x0, x1 = box["x"] + left * box["width"], box["x"] + right * box["width"]
    y0, y1 = box["y"] + 0.02 * box["height"], box["y"] + 0.98 * box["height"]
    page.mouse.move(x0, y0)
    page.mouse.down()
    for x, y in ((x1, y0), (x1, y1), (x0, y1), (x0, y0)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()


def test_messages_drawn_around_become_lines(browser: Browser, server: str):
    store_run("a", LINES, name="auth.log", vectors=[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    x, y = zip(*PLACES.values(), strict=True)
    titles = {"cluster": [0, 0, 1, 1], "title": ["session", "session", "attack", "attack"]}
    places = pl.DataFrame({"text_id": range(4), "x": x, "y": y, **titles})
    write_map("a", "umap-n_neighbors15-min_dist0.1-seed0", places)
    view = Watched(browser, server)
    page = view.page
    page.goto(f"{server}/explore?run=a")
    heading, number = page.get_by_text(re.compile(r"messages, \d+ lines$")), page.locator(".heading b")
    clusters, legend = page.get_by_role("group", name="Clusters"), page.get_by_role("group", name="Colours")
    expect(heading).to_have_text("All 4 messages, 13 lines")
    expect(page.get_by_role("application", name="4 messages, 2 of them flagged")).to_be_visible()
    expect(number).to_have_text("Line 10")
    expect(clusters.get_by_role("button")).to_have_text(["attack2 / 2", "session0 / 2"])
    view.settle()

    lasso(page, 0.01, 0.4)
    expect(heading).to_have_text("2 of 4 messages, 9 lines")
    expect(clusters.get_by_role("button")).to_have_text(["attack0 / 2", "session2 / 2"])
    expect(number).to_have_text("Line 9")
    page.get_by_text("Lines of the selection").click()
    view.expect_rows(9)

    # What is selected stays so when the map is coloured anew; its lines are judged at once, and taken back.
    page.get_by_role("combobox", name="Colour by").click()
    page.get_by_role("option", name="Verdict").click()
    view.settle()
    expect(heading).to_have_text("2 of 4 messages, 9 lines")
    page.get_by_role("button", name="✔ Normal").click()
    expect(legend.get_by_role("button", name="normal")).to_have_text("normal2 / 2")
    expect(page.get_by_text("9 verdicts")).to_be_visible()
    assert set(workbench.verdicts("a")["label"]) == {"normal"}
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("0 verdicts")).to_be_visible()
    expect(legend.get_by_role("button")).to_have_text(["no verdict2 / 4"])

    # A cluster is selected by its name, by keyboard too.
    clusters.get_by_role("button", name="attack").press("Enter")
    expect(heading).to_have_text("2 of 4 messages, 4 lines")
    view.settle()
    page.get_by_role("button", name="Clear").click()
    expect(heading).to_have_text("All 4 messages, 13 lines")
    expect(clusters.get_by_role("button")).to_have_text(["attack2 / 2", "session0 / 2"])
    page.get_by_role("textbox", name="Search").fill("disk")
    page.get_by_role("textbox", name="Search").press("Enter")
    expect(page.locator(".tools .said")).to_have_text("1 of 4 found")
    view.settle()
    assert page.url.endswith("/explore?run=a&colour=Verdict&search=disk")

    # A message under the mouse is text, whatever it says.
    box = page.locator("canvas.over").bounding_box()
    x_px, y_px = page.locator(".map").evaluate("root => [root.map.px(1.0), root.map.py(0.0)]")
    page.mouse.move(box["x"] + x_px - 3, box["y"] + y_px)
    page.mouse.move(box["x"] + x_px, box["y"] + y_px, steps=3)
    tip = page.locator(".map .tip")
    expect(tip).to_contain_text("<img src=x onerror=window.pwned=1>")
    expect(tip).to_contain_text("#000012")
    assert tip.locator("a, img").count() == 0
    assert page.evaluate("window.pwned") is None
    assert view.problems == []

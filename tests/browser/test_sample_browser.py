"""The whole main job on a log that ships, with the model that ships: as in the first ten minutes of a new user.

With TINYLOGBERT_SCREENSHOTS set, the pictures under docs/screenshots are taken anew, in light and dark.
"""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Download, expect

from core import workbench
from core.config import models_folder
from tests.browser.conftest import ROOT
from tests.browser.watched import SCREENSHOTS, Watched

pytestmark = pytest.mark.browser


def opened_page(view: Watched, name: str) -> None:
    view.page.get_by_role("link", name=name, exact=True).first.click()
    view.settle()


def downloaded(download: Download) -> str:
    return Path(download.path()).read_text("utf-8")


def test_the_shipped_sample_from_choice_to_report(browser: Browser, server: str):
    shutil.copytree(ROOT / "models" / "base", models_folder() / "base")
    view = Watched(browser, server)
    page = view.page

    # Data: the model that knows the log is proposed.
    page.goto(server)
    page.get_by_role("combobox", name=re.compile("^.*Log file")).click()
    page.get_by_role("option", name="web_access/test.txt (sample)").click()
    expect(page.get_by_text(re.compile(r"Learnt the messages of \d+% of the first lines"))).to_be_visible()
    view.picture("data_light")
    page.get_by_role("button", name="Find abnormal lines").click()
    page.get_by_role("button", name="See abnormal lines").click(timeout=60_000)

    # Threshold
    expect(page.locator(".heading")).to_contain_text("flagged")
    [run] = workbench.runs()
    assert run.name == "web_access/test.txt"
    n_flagged = view.flagged()
    assert 200 < n_flagged < 500  # of 5,000 lines, 313 of them attacks
    view.expect_rows(n_flagged)
    view.picture("threshold_light")
    page.get_by_role("slider", name="Threshold").press("Home")  # false alarms to expect go with the line
    expected = workbench.false_alarms_to_expect(workbench.run(run.run_id), 0.0)
    assert expected is not None
    alarms = page.get_by_role("spinbutton", name="False alarms to expect, at most")
    expect(alarms).to_have_value(f"{expected['lines']:.0f}")
    expect(page.locator(".foreseen")).to_contain_text(f"lines, {expected['messages']:,.0f} messages")
    alarms.fill("40")
    alarms.press("Enter")
    expect(page.get_by_text("not applied; in force is")).to_be_visible()
    threshold = float(page.get_by_role("slider", name="Threshold").get_attribute("aria-valuenow") or "nan")
    allowed, tighter = (workbench.false_alarms_to_expect(workbench.run(run.run_id), threshold - at) for at in (0, 1e-4))
    assert allowed is not None
    assert tighter is not None
    assert allowed["lines"] < 40.5 <= tighter["lines"], "the lowest threshold with so few"
    expect(alarms).to_have_value(f"{allowed['lines']:.0f}")
    page.get_by_role("button", name="Reset").click()
    view.expect_rows(n_flagged)

    # Incidents: hundreds of lines read as a few things; one is judged as a whole, and taken back.
    opened_page(view, "Incidents")
    incidents = page.get_by_role("listbox", name="Incidents").get_by_role("option")
    expect(incidents.first).to_be_visible()
    assert 5 < incidents.count() < n_flagged / 8
    view.picture("incidents_light")
    view.settle()
    page.keyboard.press("a")
    expect(page.get_by_text(re.compile(r"· [1-9]\d* verdicts$"))).to_be_visible()
    page.keyboard.press("z")
    expect(page.get_by_text(re.compile(r"· 0 verdicts$"))).to_be_visible()

    # Compare: what the model never learnt.
    opened_page(view, "Compare")
    page.get_by_text("With what the model learnt").click()
    expect(page.get_by_text("New messages", exact=True)).to_be_visible()
    view.picture("compare_light")

    # Explore: points drawn around are listed.
    opened_page(view, "Explore")
    if SCREENSHOTS:
        waiting_for_umap = page.get_by_text("PCA is shown until")
        expect(waiting_for_umap).to_be_visible()
        expect(waiting_for_umap).to_have_count(0, timeout=180_000)
    else:
        page.get_by_text("PCA", exact=True).click()
    chart = page.locator("canvas.over")
    view.settle()
    expect(chart).to_have_count(1)  # the map before is gone
    view.picture("explore_light")
    box = chart.bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.55), (0.02, 0.55), (0.02, 0.02)]
    for at, (x, y) in enumerate(corners):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
        if at == 0:
            page.mouse.down()
    page.mouse.up()
    heading = page.get_by_text(re.compile(r"^\d+ of \d+ messages, [\d,]+ lines$"))
    expect(heading).to_be_visible()
    some, all_ = (int(number) for number in re.findall(r"\d+", heading.inner_text().split(" messages")[0]))
    assert 0 < some < all_

    # Validate: the labels beside the sample are found; a rule moves the point; applied.
    opened_page(view, "Validate")
    point = page.get_by_role("slider", name="Operating point")
    expect(point).to_have_attribute("aria-valuenow", str(run.threshold))
    view.picture("validate_light")
    page.get_by_text("Best F-beta").click()
    expect(point).not_to_have_attribute("aria-valuenow", str(run.threshold))
    view.settle()
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.get_by_text("in force", exact=True)).to_be_visible()
    assert workbench.threshold(run.run_id) == float(point.get_attribute("aria-valuenow") or "nan")

    # Review: three verdicts by keyboard, one taken back.
    opened_page(view, "Review")
    judged = page.get_by_text(re.compile(r"^Judged \d"))
    expect(page.locator(".heading b")).to_have_text(re.compile(r"^Line "))
    for key in "anuz":
        page.keyboard.press(key)
    expect(judged).to_contain_text("✖ 1 abnormal · ✔ 1 normal")
    view.picture("review_light")

    # Report: a page to hand on, and a table.
    opened_page(view, "Report")
    view.picture("report_light")
    for what, words in (("Report", "<!doctype html>"), ("Flagged lines", "line_no,")):
        page.get_by_text(what, exact=True).last.click()
        link = page.get_by_role("link", name=re.compile(r"\.(html|csv)"))
        expect(link).to_have_count(0)  # the server has heard: the file before is no longer offered
        view.settle()
        page.get_by_role("button", name="Download").click()
        expect(link).to_be_visible()
        with page.expect_download() as waiting:
            link.click()
        assert downloaded(waiting.value).lower().lstrip("\ufeff").startswith(words)

    # Models: the card of the one used.
    opened_page(view, "Models")
    expect(page.get_by_text("base (shipped)").or_(page.get_by_text("Masked log modelling")).first).to_be_attached()
    view.picture("models_light")
    assert view.problems == []

    if SCREENSHOTS:
        shutil.copytree(ROOT / "models" / "netgpt", models_folder() / "netgpt")
        workbench.score_capture([ROOT / "sample_logs" / "traffic" / "test.pcap.gz"], "netgpt")
        opened_page(view, "Traffic")
        expect(page.locator(".flow .heading")).to_be_visible()
        view.picture("traffic_light")
        dark = Watched(browser, server, scheme="dark")
        names = ("threshold", "incidents", "validate", "explore", "review", "traffic", "compare", "report", "models")
        for name in ("", *names):
            dark.page.goto(f"{server}/{name}?run={run.run_id}{'&with=learnt' if name == 'compare' else ''}")
            expect(dark.page.get_by_text("no job running")).to_be_visible()
            dark.page.wait_for_timeout(3_000)
            dark.picture(f"{name or 'data'}_dark")
        assert dark.problems == []

"""The workbench in a real browser: a log goes in, its abnormal lines come out, and nothing leaves the machine."""

import json
import os
import random
import re
import signal
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, expect

from core import workbench
from tests.browser.watched import Watched
from tests.builders import store_run

pytestmark = pytest.mark.browser

WAY = "Quick look"
HOSTILE = "/?q=<img/src=x/onerror=window.pwned=1>"
ATTACKS = [
    "/../../../../etc/passwd",
    "/index.php?id=1%27%20UNION%20SELECT%20user,pass%20FROM%20users--",
    "/wp-admin/setup-config.php",
    "/.env",
    "/cgi-bin/test.cgi?cmd=cat%20/etc/shadow",
    "/shell.php?c=id",
    HOSTILE,
]
PAGES = ["/", "/products", "/products/{}", "/cart", "/login", "/static/app.css", "/static/app.js", "/api/items?page={}"]
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
ROW_PX = 28
HEADER_PX = 32


def access_log(n_lines: int = 3_000, seed: int = 7) -> str:
    """Three days of a small shop, one scanner among its visitors."""
    draw = random.Random(seed)
    hosts = [f"192.168.{draw.randrange(4)}.{draw.randrange(2, 250)}" for _ in range(60)]
    at = datetime(2026, 11, 18, 6)
    lines = []
    for no in range(n_lines):
        at += timedelta(seconds=draw.expovariate(1 / 86))
        host, path, status, agent = draw.choice(hosts), draw.choice(PAGES).format(draw.randrange(400)), 200, AGENT
        if no > n_lines / 2 and draw.random() < 0.02:
            host, path, status, agent = "203.0.113.66", draw.choice(ATTACKS), draw.choice([403, 404, 500]), "sqlmap/1.7"
        stamp = f"{at:%d/%b/%Y:%H:%M:%S} +0000"
        lines.append(f'{host} - - [{stamp}] "GET {path} HTTP/1.1" {status} {draw.randrange(200, 9000)} "-" "{agent}"')
    return "\n".join(lines) + "\n"


def uploaded(view: Watched, path: Path) -> None:
    view.page.goto(view.server)
    expect(view.page.get_by_text("Drop log files here")).to_be_visible()
    view.page.locator("input[type=file]").set_input_files(path)
    expect_chosen(view, path.name)


def expect_chosen(view: Watched, name: str) -> None:
    """The file is in the list of logs, and chosen; what is said of its arrival passes."""
    expect(view.page.get_by_role("combobox", name=re.compile("Log file"))).to_have_value(name)


def started(view: Watched, way: str) -> None:
    view.page.get_by_text(way, exact=True).click()
    view.settle()
    view.page.get_by_role("button", name="Find abnormal lines").click()


def click_row(table: Locator, row: int) -> None:
    """Rows are drawn on a canvas: only their place is known. The table wants to see the mouse come."""
    at = {"x": 250, "y": HEADER_PX + (row + 0.5) * ROW_PX}
    table.hover(position=at)
    table.page.wait_for_timeout(300)
    table.click(position=at)


def widest_gap(n_flagged: int) -> tuple[float, int]:
    """A threshold between two scores of the only run, as far from both as can be, and how many lines it leaves flagged.

    Args:
        n_flagged: lines at or above the threshold in force; fewer are left, but some.
    """
    [info] = workbench.runs()
    scores, counts = workbench.run(info.run_id).score_counts()
    above = counts[::-1].cumsum()[::-1]  # lines of each score or more
    flagged = above <= n_flagged
    scores, above = scores[flagged], above[flagged]
    assert len(scores) > 1
    at = int(np.argmax(np.diff(scores)))
    return float(scores[at : at + 2].mean()), int(above[at + 1])


def test_a_log_goes_in_and_its_abnormal_lines_come_out(browser: Browser, server: str, tmp_path: Path):
    path = tmp_path / "access.log"
    path.write_text(access_log())
    view = Watched(browser, server)
    page = view.page

    uploaded(view, path)
    expect(page.get_by_text("read as access")).to_be_visible()
    started(view, WAY)
    expect(page.get_by_text("Score access.log").first).to_be_visible()
    page.reload()  # the job is none of the page's business
    expect(page.get_by_text("Score access.log").first).to_be_visible()
    page.get_by_role("button", name="See abnormal lines").click(timeout=300_000)

    # The line is dragged and counted in the browser; the server agrees when it is let go.
    slider = page.get_by_role("slider", name="Threshold")
    expect(page.locator(".heading")).to_contain_text("flagged")
    before = view.flagged()
    assert 0 < before < 300
    view.expect_rows(before)
    box = page.locator(".plot canvas").bounding_box()
    target, fewer = widest_gap(before)
    most = float(slider.get_attribute("aria-valuemax"))
    at = float(slider.get_attribute("aria-valuenow")) / most
    left, right, y = box["x"] + 52, box["x"] + box["width"] - 12, box["y"] + 100
    page.mouse.move(left + at * (right - left), y)
    page.mouse.down()
    page.mouse.move(left + target / most * (right - left), y, steps=5)
    during = view.flagged()
    assert during == fewer
    expect(page.get_by_text(re.compile(rf" of {before:,}$"))).to_be_visible()  # the server was not asked yet
    page.mouse.up()
    view.expect_rows(during)

    slider.press("End")
    assert view.flagged() < before
    for _ in range(20):
        slider.press("PageDown")
    view.expect_rows(view.flagged())

    # A line is opened by a click into its row, and one beside it from there.
    view.settle()
    number = page.locator(".heading b")
    table = page.get_by_test_id("stDataFrame").first
    first = number.inner_text()
    click_row(table, 2)
    expect(number).not_to_have_text(first)
    second = number.inner_text()
    page.locator(".context button").nth(5).click()
    expect(number).to_have_text(f"Line {int(second.split()[1].replace(',', '')) + 1:,}")

    # Log text is text.
    page.get_by_text("All lines", exact=True).click()
    view.settle()
    page.get_by_placeholder("Search the lines").fill("/onerror=/")
    page.keyboard.press("Enter")
    view.settle()
    click_row(table, 0)
    expect(page.locator(".detail")).to_contain_text(HOSTILE)
    assert page.evaluate("window.pwned") is None

    # What is applied outlives the session, and the URL finds the run again.
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("in force", exact=True)).to_be_visible()
    applied = slider.get_attribute("aria-valuenow")
    assert "run=" in page.url
    again = Watched(browser, server, scheme="dark", width=1600)
    again.page.goto(page.url)
    expect(again.page.get_by_role("slider", name="Threshold")).to_have_attribute("aria-valuenow", applied)
    assert view.problems == []
    assert again.problems == []


def test_an_upload_goes_on_after_a_cut_and_after_a_reload(browser: Browser, server: str, home: Path, tmp_path: Path):
    path = tmp_path / "![big](x).log"
    path.write_bytes(random.Random(1).randbytes(1_000).hex().encode() * 9_000 + b"\n")  # two slices
    view = Watched(browser, server)
    page = view.page
    page.on("dialog", lambda dialog: dialog.accept())  # leaving would stop the upload
    offsets: list[int] = []
    page.on("request", lambda sent: offsets.extend(int(at) for at in re.findall(r"offset=(\d+)", sent.url)))
    network = page.context.new_cdp_session(page)

    def connection(offline: bool, bytes_per_second: int) -> None:
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
        network.send("Network.emulateNetworkConditions", {"offline": offline, **speed})

    page.goto(server)
    control = page.locator("input[type=file]")
    expect(page.get_by_text("Drop log files here")).to_be_visible()
    connection(offline=False, bytes_per_second=6_000_000)
    control.set_input_files(path)
    sent = page.get_by_role("progressbar").first
    expect(sent).to_have_attribute("aria-valuenow", re.compile(r"^[2-9]\d$"))
    connection(offline=True, bytes_per_second=0)
    expect(page.get_by_text("Connection lost, trying again")).to_be_visible()
    connection(offline=False, bytes_per_second=1_500_000)
    expect(sent).to_have_attribute("aria-valuenow", re.compile(r"^[3-9]\d$"))
    assert offsets[-1] > 0  # in the middle of a slice
    page.reload()
    expect(page.get_by_text(re.compile(r"stopped at \d+% of 18.0 MB. Choose it again to go on."))).to_be_visible()
    assert not [kept for kept in (home / "inbox").iterdir() if kept.suffix != ".part"]
    connection(offline=False, bytes_per_second=-1)
    before = len(offsets)
    control.set_input_files(path)
    expect_chosen(view, path.name)
    assert all(offset > 0 for offset in offsets[before:])
    [kept] = (home / "inbox").iterdir()
    assert kept.name == path.name
    assert kept.read_bytes() == path.read_bytes()
    assert [problem for problem in view.problems if "ERR_INTERNET_DISCONNECTED" not in problem] == []


def test_bad_files_and_a_killed_job_get_one_clear_message(browser: Browser, server: str, home: Path, tmp_path: Path):
    view = Watched(browser, server)
    empty = tmp_path / "empty.log"
    empty.write_bytes(b"")
    view.page.goto(server)
    view.page.locator("input[type=file]").set_input_files(empty)
    expect(view.page.locator(".problem")).to_contain_text("empty")
    binary = tmp_path / "picture.log"
    binary.write_bytes(bytes(range(256)) * 100)
    uploaded(view, binary)
    expect(view.page.get_by_role("alert").filter(has_text="not a text log")).to_be_visible()
    assert view.page.get_by_role("button", name="Find abnormal lines").count() == 0

    good = tmp_path / "access.log"
    good.write_text(access_log(500))
    uploaded(view, good)
    started(view, "Score it against itself")
    expect(view.page.get_by_role("button", name="Cancel")).to_be_visible()
    [job] = (home / "jobs").iterdir()
    os.kill(json.loads((job / "process.json").read_text())["pid"], signal.SIGKILL)
    expect(view.page.get_by_text("ended unexpectedly")).to_be_visible()
    view.settle()
    view.page.get_by_role("button", name="Run again").first.click()
    view.page.get_by_role("button", name="Cancel").click()
    expect(view.page.get_by_text("Score access.log: cancelled", exact=True)).to_be_visible()
    assert not list((home / "runs").glob("*")) if (home / "runs").exists() else True
    errors = [problem for problem in view.problems if "400" not in problem]  # the refused empty file
    assert errors == []


def test_a_click_on_a_group_filters_and_a_link_shows_it(browser: Browser, server: str):
    odd = [(f"odd {no}", "odd", 0.9) for no in range(20)]
    hosts = ["web1" if no % 4 else "web2" for no in range(20)] + ["web3"] * 10
    store_run("a", odd + [(f"fine {no}", "fine", 0.1) for no in range(10)], hosts=hosts)
    view = Watched(browser, server)
    page = view.page
    page.goto(f"{server}/threshold?run=a")
    view.expect_rows(20)
    view.settle()
    group = page.get_by_role("group", name="By source").get_by_role("button")
    expect(group).to_have_text(["web1▲ 15 of 15 · 100%", "web2▲ 5 of 5 · 100%"])
    group.nth(1).press("Enter")
    view.expect_rows(5)
    expect(group.nth(1)).to_have_attribute("aria-pressed", "true")
    view.settle()
    other = Watched(browser, server, scheme="dark")
    other.page.goto(page.url)
    other.expect_rows(5)
    group.nth(1).press("Enter")
    view.expect_rows(20)
    view.settle()
    page.get_by_role("button", name="Show the busiest span").click()
    view.expect_rows(1)
    page.wait_for_url(re.compile("span=0"))
    page.get_by_role("button", name="Show all again").click()
    view.expect_rows(20)
    assert view.problems + other.problems == []


def test_back_leads_to_the_page_before_as_it_was(browser: Browser, server: str):
    store_run("a", [("=1+1", "odd", 0.9), ("odd 2", "odd", 0.9), ("fine", "fine", 0.1)], name="a <b>.log")
    view = Watched(browser, server)
    page = view.page
    page.goto(f"{server}/threshold?run=a")
    view.expect_rows(2)
    expect(page).to_have_title("Threshold · a <b>.log · TinyLogBERT Workbench")
    expect(page.get_by_role("heading", level=1)).to_have_text("Threshold")
    page.get_by_text("All lines", exact=True).click()
    view.expect_rows(3)
    page.get_by_placeholder("Search the lines").fill("fine")
    page.keyboard.press("Enter")
    view.expect_rows(1)
    page.wait_for_url(re.compile("q=fine"))
    table = page.get_by_test_id("stDataFrame").first
    table.hover()
    expect(table.get_by_test_id("stElementToolbar")).to_be_attached()
    expect(table.get_by_test_id("stElementToolbar")).to_be_hidden()  # its CSV would hold a formula

    page.get_by_test_id("stTopNavLink").filter(has_text="Incidents").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Incidents")
    page.wait_for_url(re.compile("incident="))
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Threshold")
    view.expect_rows(1)
    assert "q=fine" in page.url
    page.go_forward()
    expect(page.get_by_role("heading", level=1)).to_have_text("Incidents")
    assert view.problems == []

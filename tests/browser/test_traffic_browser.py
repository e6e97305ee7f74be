"""A capture in a real browser: uploaded, scored in a job, its flows ordered, one of them opened down to its bytes."""

import gzip
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from core import workbench
from core.config import models_folder
from tests.browser.conftest import ROOT
from tests.browser.test_workbench_browser import click_row
from tests.browser.watched import Watched
from tests.captures import store_flow_run

pytestmark = pytest.mark.browser

KEPT_BYTES = 80_000  # of the sample: its first flows, cut inside a packet


def test_a_capture_goes_in_and_a_flow_is_opened(browser: Browser, server: str, tmp_path: Path):
    shutil.copytree(ROOT / "models" / "netgpt", models_folder() / "netgpt")
    path = tmp_path / "office.pcap"
    with gzip.open(ROOT / "sample_logs" / "traffic" / "test.pcap.gz") as sample:
        path.write_bytes(sample.read(KEPT_BYTES))
    view = Watched(browser, server)
    page = view.page
    page.goto(f"{server}/traffic")
    expect(page.get_by_text("No capture has been scored yet")).to_be_visible()
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_text("office.pcap has arrived")).to_be_visible()
    view.settle()
    page.get_by_role("button", name="Score", exact=True).click()
    page.get_by_role("button", name="See its flows").click(timeout=120_000)

    # The flows, and what belongs to none.
    [run] = workbench.list_flow_runs()
    assert run.left_out["the capture is cut inside this packet"] == 1
    expect(page.get_by_text(f"of {run.n_flows:,}", exact=False).first).to_be_visible()
    page.wait_for_url(re.compile(f"capture={run.run_id}"))
    page.reload()  # the result is none of the session's business; and no watch of the job draws the page anew

    # By score the strangest comes first; by time another one; a click opens a flow.
    number = page.locator(".flow .heading b")
    [strangest] = workbench.FlowRunReader(run.run_id).find(True, "score", True, 1)[0][workbench.FLOW_NO]
    expect(number).to_have_text(f"Flow {strangest:,}")
    view.settle()
    order = page.get_by_role("combobox", name=re.compile("Order$"))
    order.click()
    page.get_by_role("option", name="Time", exact=True).click()
    expect(number).not_to_have_text(f"Flow {strangest:,}")
    view.settle()
    order.click()
    page.get_by_role("option", name="Highest score").click()
    expect(number).to_have_text(f"Flow {strangest:,}")
    view.settle()
    click_row(page.get_by_test_id("stDataFrame").first, 2)
    expect(number).not_to_have_text(f"Flow {strangest:,}")

    # Its packets say their fields and bytes; addresses are told and struck through.
    packet = page.locator(".packet").first
    if packet.get_attribute("open") is None:
        packet.locator("summary").click()
    expect(packet.locator(".fields")).to_contain_text("destination")
    expect(packet.locator(".hexrow").first).to_contain_text("45")
    expect(packet.locator(".byte.hidden").first).to_be_visible()
    opened = number.inner_text()
    page.wait_for_url(re.compile(r"flow=\d+"))

    # A link shows the same flow.
    other = Watched(browser, server, scheme="dark")
    other.page.goto(page.url)
    expect(other.page.locator(".flow .heading b")).to_have_text(opened)
    assert view.problems == []
    assert other.problems == []


def test_flows_are_judged_by_keys(browser: Browser, server: str, tmp_path: Path):
    run_id = store_flow_run("c1", tmp_path)
    view = Watched(browser, server)
    page = view.page
    page.goto(f"{server}/traffic")
    number = page.locator(".flow .heading b")
    expect(number).to_have_text("Flow 2")  # the highest score
    view.settle()
    note = page.get_by_role("textbox", name="Note")
    note.fill("a tunnel, <b>not</b> a lookup")  # letters in a note are no verdicts
    note.press("Enter")
    expect(page.locator(".said q")).to_have_text("a tunnel, <b>not</b> a lookup")
    view.settle()
    page.locator(".flow .heading").click()
    page.keyboard.press("a")
    expect(number).to_have_text("Flow 3")
    expect(page.get_by_text("Judged 1 of 3 flows")).to_be_visible()
    view.settle()
    page.keyboard.press("n")
    expect(number).to_have_text("Flow 1")
    view.settle()
    assert workbench.flow_verdicts(run_id).select("flow_no", "label", "note").rows() == [
        (2, "abnormal", "a tunnel, <b>not</b> a lookup"),
        (3, "normal", ""),
    ]
    page.keyboard.press("z")
    expect(number).to_have_text("Flow 3")
    expect(page.locator(".flow .heading .verdict")).to_have_count(0)
    view.settle()
    page.reload()  # no act is repeated
    view.settle()
    assert workbench.flow_verdicts(run_id)["flow_no"].to_list() == [2]
    assert view.problems == []

"""The Report page in a real browser: what is downloaded is whole, and a hostile log stays text in it."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Download, expect

from core import workbench
from tests.browser.test_accessibility import EVERY_RULE, look, serious
from tests.browser.watched import Watched
from tests.builders import store_run

pytestmark = pytest.mark.browser

HOSTILE = "<script>window.parent.pwned=1</script><img src=x onerror=window.parent.pwned=1>"
LINES = [
    *[(f"session opened {no}", "session opened num", 0.1) for no in range(90)],
    ('=HYPERLINK("http://evil.example","x") failed', "= hyperlink failed", 0.9),
    (f"login failed {HOSTILE}", f"login failed {HOSTILE}", 0.8),
]


def downloaded(view: Watched, folder: Path) -> Path:
    """What the Download button brings; the browser fetches it by itself once it is written."""
    with view.page.expect_download() as started:
        view.page.get_by_role("button", name="Download").click()
    download: Download = started.value
    path = folder / download.suggested_filename
    download.save_as(path)
    return path


def test_report_and_lines_are_downloaded_whole(browser: Browser, server: str, home: Path, tmp_path: Path):
    store_run("r1", LINES, name="auth.log")
    view = Watched(browser, server)
    view.page.goto(f"{server}/report?run=r1")
    preview = view.page.frame_locator('iframe[title="Preview of the report"]')
    expect(preview.get_by_role("heading", name="Abnormal lines of auth.log")).to_be_visible()
    expect(preview.locator(".mono").filter(has_text=HOSTILE).first).to_be_visible()

    report = downloaded(view, tmp_path)
    assert report.name == "auth.log-report.html"
    view.page.get_by_text("Flagged lines", exact=True).click()
    view.settle()
    table = downloaded(view, tmp_path)
    assert table.name == "auth.log-flagged-lines.csv"
    assert table.read_bytes() == next((home / "exports").glob(f"*/{table.name}")).read_bytes()
    assert "\"'=HYPERLINK(" in table.read_text()
    assert view.page.evaluate("window.pwned") is None
    assert view.problems == []

    for scheme in ("light", "dark"):  # as its reader opens it, from disk and without this server
        reader = Watched(browser, report.as_uri(), scheme)
        reader.page.goto(report.as_uri())
        expect(reader.page.get_by_role("img").first).to_be_visible()
        assert reader.page.evaluate("window.pwned") is None
        look(reader.page, EVERY_RULE)
        assert serious(reader.page) == []
        assert reader.problems == []
    assert workbench.report_html("r1").count("<script>") == 0

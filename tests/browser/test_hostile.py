"""A log that would act on whoever looks at it is inert text: on every page, in every export, on the terminal."""

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect

from core import workbench
from core.cli import main
from tests.browser.watched import Watched
from tests.builders import HOSTILE_LINES, store_run
from tests.captures import FACTS, store_flow_run

NAME = "\x1b]0;owned\x07 <img src=x onerror=window.pwned=1>\u202egol.log"  # a file may be called so
LINES = [
    *[(f"session opened {no}", "session opened num", 0.1) for no in range(30)],
    *[(f"link up on port {no}", "link up on port num", 0.2) for no in range(9)],
    *[(text, text, 0.9) for text in HOSTILE_LINES],
]
FIRST = 40  # of the hostile lines
ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
FOUND = """() => {
    const found = [];
    const look = (root) => {
        for (const node of root.querySelectorAll("*")) {
            for (const {name, value} of node.attributes) {
                const reaches = /^(src|href|action|data)$/i.test(name) && /evil|^x$|^javascript:/i.test(value);
                if (/^on/i.test(name) || reaches)
                    found.push(`${node.tagName} ${name}=${value}`.slice(0, 200));
            }
            if (node.shadowRoot) look(node.shadowRoot);
            if (node.tagName === "SCRIPT" && /pwned/.test(node.textContent)) found.push("a script of the log");
            for (const child of node.childNodes) {
                if (child.nodeType === 3 && ACTED.test(child.data) && !/^(STYLE|SCRIPT)$/.test(node.tagName))
                    found.push(`${node.tagName} says ${JSON.stringify(child.data.slice(0, 80))}`);
            }
        }
    };
    look(document);
    return found;
}""".replace("ACTED", f"/{ACTS.pattern}/u")


def stored(name: str = NAME) -> None:
    vectors = [[float(no % 3), 1.0, float(no)] for no in range(2 + len(HOSTILE_LINES))]
    store_run("a", LINES, name=name, vectors=vectors, hosts=[text[:300] for _, text, _ in LINES])
    store_run("b", LINES, name=name, vectors=vectors)
    workbench.set_verdict("a", [FIRST], "abnormal", HOSTILE_LINES[1])
    workbench.mute([HOSTILE_LINES[4]], HOSTILE_LINES[0], datetime.now(UTC) + timedelta(days=1))


def inert(view: Watched, where: str) -> None:
    assert view.page.evaluate("window.pwned") is None, where
    for frame in view.page.frames:  # the report is shown in one
        assert frame.evaluate(FOUND) == [], where
    assert view.problems == [], where


def titles(page: Page) -> list[str]:
    """Of the pages in the navigation."""
    return [text.split("\n")[-1] for text in page.get_by_test_id("stTopNavLink").all_inner_texts()]


@pytest.mark.browser
def test_every_page_shows_it_as_text(browser: Browser, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stored()
    monkeypatch.setitem(FACTS, "name", NAME)
    store_flow_run("c", tmp_path)
    raw = "".join(f"{raw}\n" for raw, _, _ in LINES)
    (workbench.inbox() / "hostile.log").write_text(raw)
    view = Watched(browser, server)
    page = view.page
    page.on("dialog", lambda dialog: view.problems.append(f"dialog: {dialog.message}"))
    page.goto(f"{server}/?run=a")
    view.settle()
    page.get_by_role("combobox", name=re.compile("^.*Log file")).click()
    page.get_by_role("option", name=re.compile("hostile.log")).click()
    expect(page.get_by_text(re.compile("Find abnormal lines"))).to_be_visible()
    view.settle()
    inert(view, "Data")
    pages = titles(page)
    assert {"Threshold", "Incidents", "Explore", "Review", "Report"} <= set(pages)
    query = {"Explore": "&map=pca", "Compare": "&with=b", "Threshold": f"&line={FIRST}", "Review": f"&line={FIRST}"}
    for title in [title for title in pages if title != "Data"]:
        page.goto(f"{server}/{title.lower()}?run=a{query.get(title, '')}")
        expect(page.get_by_text("no job running")).to_be_visible()
        view.settle()
        inert(view, title)
        assert "owned" in page.locator("body").inner_text(), title  # the strip names the file, written out
        assert r"\x1b]0;owned\x07 <img" in page.title(), title
    page.goto(f"{server}/threshold?run=a&line={FIRST + 5}")  # a megabyte, explained
    expect(page.locator(".heading b")).to_have_text(f"Line {FIRST + 5}")
    expect(page.get_by_text("980,000 characters more").first).to_be_visible()
    inert(view, "a line of a megabyte")
    page.goto(f"{server}/compare?run=a&with=learnt")
    view.settle()
    inert(view, "drift")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", workbench.ECS])
def test_every_export_holds_it_as_data(suffix: str):
    stored("auth.log")
    path = workbench.export("a", "flagged lines", suffix)
    if suffix == ".csv":
        csv.field_size_limit(10**7)
        with path.open(newline="") as file:
            rows = [row["line"] for row in csv.DictReader(file)]
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in rows)
        rows = [cell.removeprefix("'") for cell in rows]
    elif suffix == ".parquet":
        rows = pl.read_parquet(path)["line"].to_list()
    else:
        name = "message" if suffix == workbench.ECS else "line"
        rows = [json.loads(row)[name] for row in path.read_text("utf-8").split("\n") if row]
    assert rows == HOSTILE_LINES


def test_the_report_holds_it_as_text():
    stored()
    path = workbench.export("a", "report", ".html")
    assert re.fullmatch(r"[A-Za-z0-9._-]+", path.name)
    page = path.read_text("utf-8")
    assert not re.search(r"<(script|img|a|iframe|link|object|embed|base)\b", page, re.IGNORECASE)
    assert not ACTS.search(page)
    assert "&lt;script&gt;window.pwned=1&lt;/script&gt; login failed" in page
    assert "\\x1b[2J" in page and "\\u202eevil" in page
    assert len(page) < 300_000, "a line of a megabyte is cut"
    assert "default-src 'none'; style-src 'sha256-" in page


@pytest.mark.parametrize("command", [("runs",), ("verdicts",), ("runs", "--json"), ("verdicts", "--json")])
def test_the_terminal_is_told_it_and_does_not_act(command: tuple[str, ...]):
    stored()
    printed = CliRunner().invoke(main, command)
    assert printed.exit_code == 0
    assert not ACTS.search(printed.output)
    assert "owned" in printed.output or "onerror" in printed.output
    if command == ("runs", "--json"):
        assert json.loads(printed.output)[0]["name"] == NAME

"""Every page of the navigation by axe: nothing serious, in light and dark, empty and with a scored run in view."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from core import workbench
from core.config import Config
from core.detector import FORMAT_NUMBER
from tests.browser.watched import Watched
from tests.builders import store_run
from tests.captures import store_flow_run

pytestmark = pytest.mark.browser

EVERY_RULE: dict[str, Any] = {"resultTypes": ["violations"]}
COLOURS = EVERY_RULE | {"runOnly": ["color-contrast"]}  # all that the other theme can change
LINES = [
    *[(f"session opened {no}", "session opened num", 0.1) for no in range(40)],
    *[(f"link up on port {no}", "link up on port num", 0.2) for no in range(20)],
    ("root shell spawned by <b>httpd</b>", "root shell spawned by < b > httpd < / b >", 0.9),
    ("cannot read configuration", "cannot read configuration", 0.6),
]
VECTORS = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.9, 0.1, 0.5], [0.1, 0.9, 0.4]]


def look(page: Page, options: dict[str, Any]) -> None:
    """Let axe look at a page, which `serious` waits for: the pages of both themes are looked at side by side."""
    if not page.evaluate("'axe' in window"):  # it stays while the navigation changes pages
        page.evaluate(AXE_SCRIPT)
    # Not at once: the answer to this call would wait for most of the work.
    later = "new Promise(go => setTimeout(go)).then(() => axe.run(document, options))"
    page.evaluate(f"options => {{ window.axeFound = {later}; }}", options)


def serious(page: Page) -> list[str]:
    """What axe finds of impact serious or critical, a line each."""
    return [
        f"{found['id']} ({found['impact']}): {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for found in page.evaluate("window.axeFound.then(found => found.violations)")
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"]
    ]


def found_on_every_page(views: dict[str, Watched]) -> dict[str, list[str]]:
    """What axe finds on each page that the navigation lists, by page and theme."""
    links = next(iter(views.values())).page.get_by_test_id("stTopNavLink")
    titles = [text.split("\n")[-1] for text in links.all_inner_texts()]  # before it stands its icon's name
    assert {"Data", "Threshold", "Models", "Report"} <= set(titles)
    found = {}
    for title in titles:
        for view in views.values():  # all are drawn while the first is looked at
            view.page.get_by_test_id("stTopNavLink").filter(has_text=title).click()
        for theme, view in views.items():
            view.settle()
            for passing in ('[data-testid="stSkeleton"]', '[data-stale="true"]'):  # pale until it is drawn anew
                expect(view.page.locator(passing)).to_have_count(0)
            look(view.page, COLOURS if theme == "dark" else EVERY_RULE)
        for theme, view in views.items():
            if problems := serious(view.page):
                found[f"{title}, {theme}"] = problems
    return found


def store_model(folder: Path) -> None:
    """A bundle that the pages can show."""
    folder.mkdir(parents=True)
    history = [{"step": n, "train_loss": 9 - n / 25, "held_back_loss": 9 - n / 30, "seconds": n} for n in (25, 50)]
    facts = {
        "created_utc": "2026-11-18T06:00:00Z",
        "n_lines": 60,
        "n_texts": 4,
        "threshold": 0.5,
        "precision": "float32",
    }
    bundle = {"format": FORMAT_NUMBER, "config": Config().to_dict(), **facts, "history": history}
    (folder / "bundle.json").write_text(json.dumps(bundle))
    (folder / "README.md").write_text(
        "# shop\n\n- learnt from `60` lines\n\n| scorer | weight |\n|---|---|\n| knn | 1 |\n"
    )


def test_axe_finds_nothing_serious(browser: Browser, server: str, home: Path, tmp_path: Path):
    views = {scheme: Watched(browser, server, scheme) for scheme in ("light", "dark")}
    for view in views.values():
        view.page.goto(server)
    for view in views.values():
        view.settle()
    assert found_on_every_page({"light": views["light"]}) == {}  # an empty page has no colour of its own
    store_model(tmp_path / "models" / "shop")
    store_run("r0", LINES, name="auth.log", vectors=VECTORS)  # to compare with
    store_run("r1", LINES, name="auth.log", vectors=VECTORS)
    store_flow_run("c1", tmp_path)
    workbench.mute(["link up on port num"], "known", datetime.now(UTC) + timedelta(days=1))
    workbench.set_verdict("r1", [61], "abnormal", "seen before")
    (workbench.inbox() / "auth.log").write_text("".join(f"{raw}\n" for raw, _, _ in LINES))
    assert found_on_every_page(views) == {}
    for view in views.values():  # what opens over a page lies outside it, and has its colours from elsewhere
        view.page.get_by_test_id("stTopNavLink").filter(has_text="Incidents").click()
        view.page.get_by_role("button", name="Mute", exact=True).click()
        expect(view.page.get_by_role("button", name="Mute this message")).to_be_visible()
        view.settle()
        look(view.page, COLOURS)
        assert serious(view.page) == []
    assert [problem for view in views.values() for problem in view.problems] == []

"""What a user waits for in the browser at a million lines, beside the plain Streamlit way in the same run.

    python -m benchmarks.dashboard [--parts start threshold explore upload] [--lines 1000000] [--flagged 100000]
                                   [--points 5000 20000] [--gigabytes 1] [--repeats 7]

The log is the one of benchmarks/speed.py, read as the workbench reads it; scores are drawn, so that exactly so many
lines are flagged, and so are places on the map. A real browser opens the real server; times run from the browser's own
event to the frame that shows the answer. The plain way is dashboard_plain.py, a small app of `st.slider`, a Plotly
histogram and scatter plot, `st.dataframe` and `st.file_uploader` on the same Parquet files, read once.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from benchmarks.drawn_runs import store_runs
from benchmarks.speed import ROOT, machine, make_log, say
from tests.browser.conftest import QUIET
from tests.browser.install import installed

PARTS = ("start", "threshold", "explore", "upload")
NOVEL = 0.02  # of lines: about 20,000 distinct messages in a million
MOVES = 80  # of the line in one drag
PLAIN = Path(__file__).with_name("dashboard_plain.py")
OUR_MAP, PLAIN_MAP = "canvas.over", ".js-plotly-plot .nsewdrag"
LASSO = (0.3, 0.65)  # from and to, of both sides of the map: a tenth of the points
SLICE = b"2026-11-18 06:00:00 INFO service[12]: session opened for user eve from 192.0.2.1\n" * 12_000
PATIENCE_MS = 60_000  # what takes longer counts as this

WATCH = """
window.arrived = (event, reached) => { window.answer = new Promise((resolve) => {
  setTimeout(() => resolve(PATIENCE_MS), PATIENCE_MS);
  let at = event ? null : 0;
  if (event) addEventListener(event, (given) => { at = given.timeStamp; }, { capture: true, once: true });
  const look = () => {
    if (at === null || !reached()) requestAnimationFrame(look);
    else requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - at)));
  };
  look();
}); };
window.firstTable = () => document.querySelector('[data-testid="stDataFrame"] canvas');
window.lastCaption = () => [...document.querySelectorAll('[data-testid="stCaptionContainer"]')].at(-1)?.textContent;
""".replace("PATIENCE_MS", str(PATIENCE_MS))
"""`arrived` answers, from an event of the user on, when a condition holds and its frame is painted; looked at once a
frame. Without an event it counts from the page's own start."""

NEW_TABLE = "() => { const shown = firstTable(); return () => firstTable() !== null && firstTable() !== shown; }"
NEW_ROWS = (
    "() => { const said = lastCaption(); return () => lastCaption() && lastCaption() !== said; }"  # the plain way's
)


@dataclass
class Figure:
    """One thing measured, here and the plain way.

    Attributes:
        name: what.
        target: the most it may be.
        unit: "ms" or "MB".
        ours: each value.
        plain: each value of the plain way.
        judged: of the values, what is held against the target.
    """

    name: str
    target: float | None
    unit: str = "ms"
    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    judged: str = "median"

    def row(self) -> str:
        """A line of the table."""
        cells = [cell(values) for values in (self.ours, self.plain)]
        reached = statistics.median(self.ours) if self.judged == "median" else p95(self.ours)
        target = f"{self.judged} < {self.target:,.0f}" if self.target else ""
        verdict = "" if self.target is None else ("yes" if reached < self.target else "**no**")
        return f"| {self.name}, {self.unit} | {cells[0]} | {cells[1]} | {target} | {verdict} |"


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return float(np.percentile(values, 95))


def cell(values: Sequence[float]) -> str:
    """Median, 95th percentile and number."""
    if not values:
        return "–"
    middle = statistics.median(values)
    return f"{middle:,.1f} / {p95(values):,.1f} ({len(values)})" if len(values) > 1 else f"{middle:,.0f}"


# ---- server and browser

Serve = Callable[[], AbstractContextManager[tuple[str, psutil.Process]]]
"""Starts a server of pages."""


@contextmanager
def serving(script: Path, *arguments: str, options: Sequence[str] = ()) -> Iterator[tuple[str, psutil.Process]]:
    """A server of pages: its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["--server.port", str(port), *options, "--", *arguments]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *flags]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)  # noqa: S310  our own server
                break
            except OSError:
                time.sleep(0.1)
        yield address, psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    """A new user's page at this address, when its first table or text is there."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(address)
    try:
        yield page
    finally:
        context.close()


def idle(page: Page) -> None:
    """Wait until the server has answered and the browser has drawn."""
    page.wait_for_timeout(400)
    page.wait_for_function(
        "document.querySelector('[data-testid=\"stApp\"]')?.dataset.testScriptState === 'notRunning'"
    )
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def taken(page: Page, event: str, reached: str, act: Callable[[], object]) -> float:
    """Milliseconds from an event that `act` causes until the condition is on the screen."""
    idle(page)
    page.evaluate(f"arrived('{event}', ({reached})())")
    act()
    return float(page.evaluate("answer"))


def dragged(page: Page, box: dict[str, float], start: float, end: float) -> None:
    """From one share of the width of a box to another, and let go."""
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=4)
    page.mouse.up()


def box_of(locator: Locator) -> dict[str, float]:
    """Where it is on the screen."""
    found = locator.bounding_box()
    assert found is not None  # noqa: S101  it was awaited
    return dict(found)


# ---- the parts


def start_part(browser: Browser, ours: Serve, plain: Serve) -> list[Figure]:
    """The address of a server that has served nobody yet is typed; its own start, until it listens, is apart."""
    first = Figure("first page of a new server", 2_000)
    for serve, text, times in ((ours, "Log file", first.ours), (plain, "Start", first.plain)):
        for _ in range(3):
            with serve() as (address, _process), opened(browser, address) as page:
                page.evaluate(f"arrived(null, () => document.body.innerText.includes('{text}'))")
                times.append(float(page.evaluate("answer")))
    return [first]


def threshold_part(browser: Browser, ours: str, plain: str, repeats: int) -> list[Figure]:
    """The line is dragged and let go; the page is opened from another page, and by its address."""
    paint = Figure("drag to paint", 50, judged="p95")
    table, page_of = Figure("release to table", 500), Figure("page to table", 1_500)
    cold = Figure("address typed to table", None)
    with opened(browser, f"{ours}/threshold?run=lines&order=line") as page:
        canvas = page.locator(".plot canvas")
        page.wait_for_function("firstTable() !== null")
        idle(page)
        box = box_of(canvas)
        left, right = 52 / box["width"], 1 - 12 / box["width"]
        y = box["y"] + 100
        canvas.evaluate(
            """(canvas) => { window.paints = []; canvas.addEventListener('pointermove', (event) => {
                requestAnimationFrame(() => setTimeout(() => paints.push(performance.now() - event.timeStamp)));
            }); }"""
        )
        page.mouse.move(box["x"] + left * box["width"], y)
        page.mouse.down()
        for share in np.linspace(left, right, MOVES):
            page.mouse.move(box["x"] + share * box["width"], y)
        page.mouse.up()
        paint.ours = page.evaluate("paints")
        for share in np.linspace(0.5, 0.7, repeats):

            def act(share: float = share) -> None:
                dragged(page, box, share - 0.02, share)

            table.ours.append(taken(page, "pointerup", NEW_TABLE, act))
        for _ in range(repeats):
            page.get_by_role("link", name="Data", exact=True).click()
            expect(page.get_by_text("Drop log files here")).to_be_visible(timeout=PATIENCE_MS)
            link = page.get_by_role("link", name="Threshold", exact=True)
            page_of.ours.append(taken(page, "pointerup", NEW_TABLE, link.click))
    for address, values in ((f"{ours}/threshold?run=lines", cold.ours), (f"{plain}/threshold", cold.plain)):
        for _ in range(3):
            with opened(browser, address) as page:
                page.evaluate("arrived(null, () => firstTable())")
                values.append(float(page.evaluate("answer")))
    with opened(browser, f"{plain}/threshold") as page:
        page.wait_for_function("firstTable() !== null")
        thumb = page.get_by_role("slider", name="Threshold")
        for number in range(2 * min(repeats, 3)):
            values = (paint.plain, table.plain)[number % 2]
            event = ("pointermove", "pointerup")[number % 2]
            at = box_of(thumb)

            def act(at: dict[str, float] = at) -> None:
                dragged(page, {**at, "width": 100}, at["width"] / 200, at["width"] / 200 + 0.05)

            values.append(taken(page, event, NEW_ROWS, act))
        for _ in range(repeats):
            page.get_by_role("link", name="start").click()
            expect(page.get_by_text("Start", exact=True)).to_be_visible(timeout=PATIENCE_MS)
            page_of.plain.append(taken(page, "pointerup", NEW_TABLE, page.get_by_role("link", name="threshold").click))
    return [paint, table, page_of, cold]


def lasso(page: Page, paper: str) -> None:
    """Draw around a part of the map on this element."""
    box = box_of(page.locator(paper).first)
    low, high = LASSO
    corners = [(low, low), (high, low), (high, high), (low, high), (low, low)]
    for number, (x, y) in enumerate(corners):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4 if number else 1)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def explore_part(browser: Browser, ours: str, plain: str, points: Sequence[int], repeats: int) -> list[Figure]:
    """Messages are drawn around on maps of these sizes."""
    found = []
    for n_points in points:
        rows = Figure(f"lasso to rows, {n_points:,} points", 500 if n_points <= 5_000 else 1_000)
        for address, paper, reached, times in (
            (ours, OUR_MAP, NEW_TABLE, rows.ours),
            (plain, PLAIN_MAP, NEW_ROWS, rows.plain),
        ):
            for _ in range(min(repeats, 4)):
                with opened(browser, f"{address}/explore?run=points{n_points}") as page:
                    page.wait_for_selector(paper)
                    page.wait_for_function("firstTable() !== null")
                    times.append(taken(page, "pointerup", reached, lambda page=page, paper=paper: lasso(page, paper)))
        found.append(rows)
    return found


@contextmanager
def memory(process: psutil.Process) -> Iterator[list[float]]:
    """The most memory of a process and its children over what it had at first, MB, sampled; known afterwards."""

    def resident() -> int:
        total = 0
        for each in (process, *process.children(recursive=True)):
            try:
                total += each.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    before, peak, ended = resident(), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    more: list[float] = []
    try:
        yield more
    finally:
        ended.set()
        watcher.join()
        more.append((peak[0] - before) / 1e6)


def large_file(path: Path, gigabytes: float) -> Path:
    """A log of this size."""
    with path.open("wb") as out:
        for _ in range(max(1, round(gigabytes * 1e9 / len(SLICE)))):
            out.write(SLICE)
    return path


def upload_part(
    browser: Browser, ours: tuple[str, psutil.Process], plain: tuple[str, psutil.Process], file: Path
) -> list[Figure]:
    """One large file goes in."""
    size = file.stat().st_size
    most = Figure(f"upload of {size / 1e9:.1f} GB: more memory", 150, unit="MB")
    seconds = Figure(f"upload of {size / 1e9:.1f} GB", None, unit="s")
    for (address, process), path, text, to, took in (
        (ours, "", f"{file.name} has arrived", most.ours, seconds.ours),
        (plain, "/upload", f"arrived: {size}", most.plain, seconds.plain),
    ):
        with opened(browser, f"{address}{path}") as page:
            page.wait_for_selector("input[type=file]", state="attached")
            idle(page)
            with memory(process) as more:
                started = time.perf_counter()
                page.locator("input[type=file]").first.set_input_files(file)
                expect(page.get_by_text(text)).to_be_visible(timeout=PATIENCE_MS)
                took.append(time.perf_counter() - started)
            to += more
    return [most, seconds]


def main() -> None:
    """Measure and print a Markdown table, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--flagged", type=int, default=100_000)
    parser.add_argument("--points", type=int, nargs="+", default=[5_000, 20_000])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        os.environ |= {"TINYLOGBERT_HOME": str(folder / "home"), "TINYLOGBERT_MODELS": str(folder / "models")}
        runs: dict[str, int | None] = {"lines": None} if "threshold" in args.parts else {}
        if "explore" in args.parts:
            runs |= {f"points{n_points}": n_points for n_points in args.points}
        if runs:
            make_log(folder / "big.log", args.lines, NOVEL)
            store_runs(folder / "big.log", args.flagged, runs)
        say(f"{machine()}, load {os.getloadavg()[0]:.1f}; {args.lines:,} lines, {args.flagged:,} flagged\n")
        say("| median / p95 (measured) | this dashboard | plain Streamlit | target | reached |\n|---|---|---|---|---|")
        figures: list[Figure] = []
        browser = playwright.chromium.launch(executable_path=installed(), args=QUIET)
        plain_options = ("--server.maxUploadSize", "4000")
        serve_ours = partial(serving, ROOT / "dashboard" / "app.py")
        serve_plain = partial(serving, PLAIN, str(folder / "home" / "runs"), options=plain_options)
        with serve_ours() as ours, serve_plain() as plain:
            for part in args.parts:
                if part == "start":
                    found = start_part(browser, serve_ours, serve_plain)
                elif part == "threshold":
                    found = threshold_part(browser, ours[0], plain[0], args.repeats)
                elif part == "explore":
                    found = explore_part(browser, ours[0], plain[0], args.points, args.repeats)
                else:
                    found = upload_part(browser, ours, plain, large_file(folder / "upload.log", args.gigabytes))
                for figure in found:
                    say(figure.row())
                figures += found
        browser.close()
    values = {figure.name: {"unit": figure.unit, "ours": figure.ours, "plain": figure.plain} for figure in figures}
    say(json.dumps(values))


if __name__ == "__main__":
    main()

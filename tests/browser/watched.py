"""A page of the workbench in a browser, watched for errors and for requests to other hosts."""

import os
import re
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, expect

SCREENSHOTS = (
    Path(__file__).resolve().parents[2] / "docs" / "screenshots" if os.environ.get("TINYLOGBERT_SCREENSHOTS") else None
)
expect.set_options(timeout=20_000)  # milliseconds; the machine may be busy


class Watched:
    """A page whose console errors and foreign requests are kept."""

    def __init__(self, browser: Browser, server: str, scheme: str = "light", width: int = 1280) -> None:
        self.server = server
        self.problems: list[str] = []
        self.page: Page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        self.page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        # Opened below the root, Streamlit looks for its server under the page's path first.
        probe = re.search(r"/\w+/_stcore/(health|host-config)$", message.location["url"])
        if message.type == "error" and not probe:
            self.problems.append(f"console: {message.text}")

    def _request(self, request) -> None:
        if not request.url.startswith((self.server, "blob:", "data:")):
            self.problems.append(f"request to {request.url}")

    def flagged(self) -> int:
        """The count at the line, as the browser has it now."""
        text = self.page.get_by_role("slider", name="Threshold").get_attribute("aria-valuetext") or ""
        return int(re.search(r", ([\d,]+) lines flagged", text)[1].replace(",", ""))

    def expect_rows(self, n_found: int) -> None:
        """The table, counted by the server, has come to the same number."""
        expect(self.page.get_by_text(re.compile(rf"^Rows 1 to \d+ of {n_found:,}$"))).to_be_visible()

    def settle(self) -> None:
        """Wait until the server's answer is on the page: at rest twice, for a busy server may begin late."""
        for _ in range(2):
            self.page.wait_for_timeout(300)
            expect(self.page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')).to_be_visible()

    def picture(self, name: str) -> None:
        if SCREENSHOTS:
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            self.settle()
            self.page.wait_for_timeout(1_000)  # toasts and the canvas of the table
            self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

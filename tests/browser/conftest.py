"""A real browser, and the real server on a data folder of its own."""

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

from tests.browser.install import installed

ROOT = Path(__file__).resolve().parents[2]
QUIET = [  # a browser that talks to nobody but the page
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """`$BROWSER`, an installed Chromium or Chrome, or Playwright's own."""
    found = installed()
    with sync_playwright() as playwright:
        try:
            launched = playwright.chromium.launch(executable_path=found, args=QUIET)
        except Error as error:
            pytest.fail(f"no browser could be started ({found or 'none installed'}): {error.message.splitlines()[0]}")
        yield launched
        launched.close()


@pytest.fixture
def server(home: Path, tmp_path: Path) -> Iterator[str]:
    """The address of the real server, started as a user starts it, on a data folder of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-X", "faulthandler", "-m", "streamlit", "run", "dashboard/app.py"]
    command += ["--server.port", str(port)]
    with (tmp_path / "server.log").open("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            for _ in range(300):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1)
                    break
                except (urllib.error.URLError, OSError):
                    time.sleep(0.1)
            else:
                log.seek(0)
                pytest.fail(f"the server did not start: {log.read()[-2000:]}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGABRT)  # it says where each of its threads hangs
                process.wait()
                log.seek(0)
                pytest.fail(f"the server did not stop: {log.read()[-20_000:]}")

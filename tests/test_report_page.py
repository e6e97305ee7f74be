"""The Report page by AppTest, and the route its downloads come by."""

from pathlib import Path

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from core import workbench
from core.errors import StoreError
from dashboard.download import ROUTES
from tests.builders import store_run
from tests.test_dashboard import opened

LINES = [("session opened 1", "session opened num", 0.1), ("=cmd failed", "=cmd failed", 0.9)]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(st, "get_option", {"server.allowedHosts": ["localhost"]}.__getitem__)
    return TestClient(Starlette(routes=ROUTES), base_url="http://localhost:8501")


def test_without_a_run_it_names_the_next_action(app: AppTest):
    opened(app, "report.py")
    assert "No log has been scored yet" in app.info[0].value
    assert not app.radio


def test_a_download_is_written_as_asked_and_offered_once_whole(app: AppTest, home: Path):
    store_run("r1", LINES, name="auth.log")
    opened(app, "report.py", run="r1")
    assert app.radio("export_what").options == ["Report", "Flagged lines", "All lines"]
    told = app.radio("export_what").proto.captions
    assert [caption.rsplit(". ", 1)[-1] for caption in told[1:]] == ["1 row.", "2 rows."]
    assert not (home / "exports").exists()
    app.radio("export_what").set_value("flagged lines").run()
    next(button for button in app.button if button.label == "Download").click().run()
    assert not app.exception and not app.error
    [path] = (home / "exports").glob("*/*")
    assert path.name == "auth.log-flagged-lines.csv"
    assert "'=cmd failed" in path.read_text()
    assert app.session_state["exported"][1:] == (path.parent.name, path.name, path.stat().st_size)


@pytest.mark.parametrize("run_id", ["nothing-here", "../../etc"])
def test_an_unknown_run_is_an_error_with_a_way_on(app: AppTest, run_id: str):
    store_run("r1", LINES)
    opened(app, "report.py", run=run_id)
    assert len(app.error) == 1
    assert not app.radio


def test_a_full_disk_is_one_message(app: AppTest, monkeypatch: pytest.MonkeyPatch):
    store_run("r1", LINES)
    opened(app, "report.py", run="r1")

    def full(*given: object) -> Path:
        raise StoreError("no disk space left in x; free some")

    monkeypatch.setattr(workbench, "export", full)
    next(button for button in app.button if button.label == "Download").click().run()
    assert not app.exception
    assert "no disk space left" in app.error[0].value


def test_the_route_gives_a_file_to_keep_and_nothing_else(client: TestClient, home: Path):
    store_run("r1", LINES, name="auth.log")
    path = workbench.export("r1", "report", ".html")
    answer = client.get(f"/download/{path.parent.name}")
    assert answer.status_code == 200
    assert answer.content == path.read_bytes()
    assert answer.headers["content-disposition"] == 'attachment; filename="auth.log-report.html"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-store")
    for token in ("a" * 32, "..%2f..%2fworkbench.duckdb", path.parent.name[:-1]):
        assert client.get(f"/download/{token}").status_code == 404
    for headers in ({"origin": "http://evil.example"}, {"host": "rebound.example:8501"}):
        assert client.get(f"/download/{path.parent.name}", headers=headers).status_code == 403

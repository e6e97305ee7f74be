"""The upload route: whole files in order, resumable, from our own page only, never outside the inbox."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard import upload
from dashboard.upload import Uploads, safe_name

PAGE = {"origin": "http://localhost:8501"}


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Uploads:
    monkeypatch.setattr(upload.st, "get_option", {"server.allowedHosts": ["localhost", "127.0.0.1"]}.__getitem__)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    return Uploads(lambda: inbox, max_bytes=1000)


@pytest.fixture
def client(uploads: Uploads) -> TestClient:
    return TestClient(Starlette(routes=uploads.routes()), base_url="http://localhost:8501", headers=PAGE)


def send(client: TestClient, token: str, content: bytes, *, name="a.log", size=None, offset=0, headers=None):
    query = {"name": name, "size": len(content) if size is None else size, "offset": offset}
    return client.put(f"/upload/{token}", params=query, content=content, headers=headers)


def test_slices_join_and_a_wrong_offset_says_where_to_go_on(uploads: Uploads, client: TestClient):
    token = uploads.issue()
    assert send(client, token, b"first ", size=12).json() == {"received": 6}
    again = send(client, token, b"first ", size=12)
    assert (again.status_code, again.json()) == (409, {"received": 6})
    assert client.get(f"/upload/{token}").json() == {"received": 6, "size": 12}
    assert send(client, token, b"second", size=12, offset=6).json() == {"received": 12, "name": "a.log"}
    assert [path.name for path in uploads.inbox().iterdir()] == ["a.log"]
    assert (uploads.inbox() / "a.log").read_bytes() == b"first second"


def test_a_token_serves_one_file(uploads: Uploads, client: TestClient):
    token = uploads.issue()
    assert send(client, token, b"one", size=6).status_code == 200
    assert send(client, token, b"two", size=6, offset=3, name="b.log").status_code == 409
    assert send(client, token, b"one", size=6, offset=3).status_code == 200
    assert not uploads.is_open(token)
    assert send(client, token, b"one").status_code == 410
    assert send(client, "guessed", b"one").status_code == 404


def test_a_revoked_token_leaves_nothing(uploads: Uploads, client: TestClient):
    token = uploads.issue()
    send(client, token, b"half", size=8)
    uploads.revoke(token)
    assert send(client, token, b"half", size=8, offset=4).status_code == 404
    assert list(uploads.inbox().iterdir()) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"origin": "null"},
        {"host": "rebound.example:8501", "origin": "http://rebound.example:8501"},
    ],
)
def test_other_sites_are_refused(uploads: Uploads, client: TestClient, headers: dict[str, str]):
    assert send(client, uploads.issue(), b"x", headers=headers).status_code == 403
    assert list(uploads.inbox().iterdir()) == []


def test_no_origin_is_refused(uploads: Uploads):
    client = TestClient(Starlette(routes=uploads.routes()), base_url="http://localhost:8501")
    assert send(client, uploads.issue(), b"x").status_code == 403


def test_size_is_capped_as_announced_and_as_sent(uploads: Uploads, client: TestClient):
    assert send(client, uploads.issue(), b"x" * 1001).status_code == 413
    token = uploads.issue()
    assert send(client, token, b"x" * 20, size=10).status_code == 413
    part = [path for path in uploads.inbox().iterdir() if path.suffix == ".part"]
    assert all(path.stat().st_size <= 10 for path in part)
    assert send(client, uploads.issue(), b"").status_code == 400
    assert send(client, uploads.issue(), b"x", size="1e3").status_code == 400


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\logs\\auth.log", "auth.log"),
        ("/abs/a.log.gz", "a.log.gz"),
        (".hidden.log", "hidden.log"),
        ("a\x00b\u202e.log", "ab.log"),
        ("zwölf.log", "zwölf.log"),
    ],
)
def test_names_stay_in_the_inbox(uploads: Uploads, client: TestClient, given: str, kept: str):
    assert send(client, uploads.issue(), b"x", name=given).json()["name"] == kept
    assert (uploads.inbox() / kept).read_bytes() == b"x"


@pytest.mark.parametrize("name", ["", "..", "/", "...", "\x00"])
def test_names_of_nothing_are_refused(uploads: Uploads, client: TestClient, name: str):
    assert send(client, uploads.issue(), b"x", name=name).status_code == 400


def test_long_names_keep_their_suffixes():
    name = safe_name("ä" * 300 + ".log.gz")
    assert name.endswith("ä.log.gz")
    assert len(name.encode()) <= 180


def test_a_taken_name_is_numbered_and_nothing_replaced(uploads: Uploads, client: TestClient):
    for content, name in [(b"1", "a.log.gz"), (b"2", "a-2.log.gz"), (b"3", "a-3.log.gz")]:
        assert send(client, uploads.issue(), content, name="a.log.gz").json()["name"] == name
        assert (uploads.inbox() / name).read_bytes() == content


def test_a_given_up_upload_leaves_nothing(uploads: Uploads, client: TestClient):
    token = uploads.issue()
    send(client, token, b"half", size=8)
    assert client.delete(f"/upload/{token}", headers={"origin": "http://evil.example"}).status_code == 403
    assert uploads.is_open(token)
    assert client.delete(f"/upload/{token}").status_code == 200
    assert not uploads.is_open(token)
    assert list(uploads.inbox().iterdir()) == []


async def put(app: Starlette, token: str, offset: int, bodies: AsyncIterator[bytes]) -> tuple[int, dict[str, Any]]:
    """A request to the route whose body comes piece by piece: status and answer."""
    query = f"name=a.log&size=12&offset={offset}".encode()
    headers = [(b"host", b"localhost:8501"), (b"origin", b"http://localhost:8501")]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        body = await anext(bodies, None)
        return {"type": "http.request", "body": body or b"", "more_body": body is not None}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": f"/upload/{token}", "query_string": query, "headers": headers}
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_a_request_that_hangs_gives_way(uploads: Uploads, monkeypatch: pytest.MonkeyPatch):
    app, token, clock = Starlette(routes=uploads.routes()), uploads.issue(), [100.0]
    monkeypatch.setattr(upload.time, "monotonic", lambda: clock[0])

    async def of(*pieces: bytes, released: asyncio.Event | None = None) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
            if released is not None:
                await released.wait()

    async def requests() -> list[tuple[int, dict[str, Any]]]:
        released = asyncio.Event()
        first = asyncio.ensure_future(put(app, token, 0, of(b"first ", b"WRONG!", released=released)))
        while uploads._uploads[token].received_bytes < 6:
            await asyncio.sleep(0)
        early = await put(app, token, 6, of(b"second"))
        clock[0] += upload.STALLED_SECONDS + 1
        late = await put(app, token, 6, of(b"second"))
        released.set()
        return [early, late, await first]

    early, late, first = asyncio.run(requests())
    assert early == (409, {"busy": True})
    assert late == (200, {"received": 12, "name": "a.log"})
    assert first[0] == 409
    assert (uploads.inbox() / "a.log").read_bytes() == b"first second"


def test_no_disk_space_is_said_before_and_while_writing(
    uploads: Uploads, client: TestClient, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as full:
        full.setattr(upload.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
        answer = send(client, uploads.issue(), b"x")
    assert answer.status_code == 507
    assert "disk space" in answer.json()["error"]

    def no_space(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(upload.os, "fsync", no_space)
    token = uploads.issue()
    assert send(client, token, b"x").status_code == 507
    assert list(uploads.inbox().iterdir()) == []
    assert not uploads.is_open(token)


def test_leavings_of_servers_that_are_gone_are_removed(uploads: Uploads):
    old, new = uploads.inbox() / ".old.part", uploads.inbox() / ".new.part"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    uploads.issue()
    assert (old.exists(), new.exists()) == (False, True)

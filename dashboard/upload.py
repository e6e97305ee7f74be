"""The upload route beside the pages: a log goes from the browser to the inbox on disk, never whole through memory.

A page issues a token for one file (`Uploads.issue`). The browser then sends `PUT /upload/<token>?name&size&offset`, a
slice of the file at a time, and after a broken connection, or when the page was left and the same file is chosen again,
asks `GET /upload/<token>` where to go on; `DELETE` gives it up. The last slice spends the token and moves the file into
the inbox under a name that is safe and free.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import threading
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from core import workbench

MAX_UPLOAD_BYTES = 20 * 1024**3
RESERVE_BYTES = 256 * 1024**2  # left free on the disk, for the results of the run that follows
IDLE_SECONDS = 3600.0  # a token that nobody used for so long is void, and its part of a file is removed
STALLED_SECONDS = 5.0  # a request that sent nothing for so long gives way to another for the same file
MAX_NAME_BYTES = 180


class Refused(Exception):
    """A request the route does not serve: HTTP status and what the user reads."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class _Upload:
    """One token: the file it was bound to by its first slice, and how far that file has come."""

    used_at: float  # monotonic seconds
    name: str | None = None
    size_bytes: int = 0
    received_bytes: int = 0
    heard_at: float = 0.0  # monotonic seconds, of the last bytes
    turn: int = 0  # requests so far that were let write
    busy: bool = False
    spent: bool = False


class Uploads:
    """Tokens, and the route that takes files for them.

    Args:
        inbox: gives the existing folder whole files end in.
        max_bytes: larger files are refused.
    """

    def __init__(self, inbox: Callable[[], Path], max_bytes: int = MAX_UPLOAD_BYTES) -> None:
        self.inbox = inbox
        self.max_bytes = max_bytes
        self._uploads: dict[str, _Upload] = {}
        self._lock = threading.Lock()  # pages issue tokens in their own threads

    def issue(self) -> str:
        """A new token, good for one file."""
        token = secrets.token_urlsafe(24)
        now = time.monotonic()
        with self._lock:
            for key in [key for key, item in self._uploads.items() if now - item.used_at > IDLE_SECONDS]:
                del self._uploads[key]
            self._uploads[token] = _Upload(used_at=now)
        for part in self.inbox().glob(".*.part"):  # of void tokens, and of servers that are gone
            if time.time() - part.stat().st_mtime > IDLE_SECONDS:
                part.unlink(missing_ok=True)
        return token

    def is_open(self, token: str) -> bool:
        """Whether this token can still be used; a page asks before it shows a token again."""
        upload = self._uploads.get(token)
        return upload is not None and not upload.spent

    def revoke(self, token: str) -> None:
        """Void a token and remove what came of its file."""
        self._uploads.pop(token, None)
        self._part(token).unlink(missing_ok=True)

    def routes(self) -> list[Route]:
        """Routes for `st.App`."""
        return [Route("/upload/{token}", self._answer, methods=["GET", "PUT", "DELETE"])]

    async def _answer(self, request: Request) -> JSONResponse:
        try:
            check_same_site(request)
            upload = self._find(request.path_params["token"])
            if request.method == "GET":
                return JSONResponse({"received": upload.received_bytes, "size": upload.size_bytes})
            if request.method == "DELETE":
                self.revoke(request.path_params["token"])
                return JSONResponse({})
            return await self._receive(request, upload)
        except Refused as refused:
            return JSONResponse({"error": str(refused)}, status_code=refused.status)

    def _find(self, token: str) -> _Upload:
        upload = self._uploads.get(token)
        if upload is None:
            raise Refused(404, "This upload is not known here. Reload the page and choose the file again.")
        if upload.spent:
            raise Refused(410, "This upload is finished. Reload the page to send another file.")
        upload.used_at = time.monotonic()
        return upload

    async def _receive(self, request: Request, upload: _Upload) -> JSONResponse:
        token = request.path_params["token"]
        name = safe_name(request.query_params.get("name", ""))
        size_bytes = _whole_number(request, "size")
        offset = _whole_number(request, "offset")
        if upload.busy and time.monotonic() - upload.heard_at < STALLED_SECONDS:  # the browser asks again
            return JSONResponse({"busy": True}, status_code=409)
        if size_bytes > self.max_bytes:
            raise Refused(413, f"{name} has {size_bytes:,} bytes; the limit is {self.max_bytes:,}. Split the file.")
        if size_bytes == 0:
            raise Refused(400, f"{name} is empty. Choose a file that holds log lines.")
        if upload.name is None:
            self._require_space(size_bytes)
            upload.name, upload.size_bytes = name, size_bytes
        elif (upload.name, upload.size_bytes) != (name, size_bytes):
            raise Refused(409, f"This upload belongs to {upload.name}. Reload the page to send another file.")
        if offset != upload.received_bytes:
            return JSONResponse({"received": upload.received_bytes}, status_code=409)

        upload.busy = True
        upload.turn += 1
        upload.heard_at = time.monotonic()
        turn = upload.turn
        try:
            await self._write(request, upload, self._part(token))
            if upload.received_bytes < upload.size_bytes:
                return JSONResponse({"received": upload.received_bytes})
            upload.spent = True
            saved = await run_in_threadpool(self._keep, self._part(token), name)
        except OSError as error:
            self.revoke(token)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Refused(507, _no_space(name, self.inbox())) from error
            raise Refused(500, f"{name} could not be written to {self.inbox()}: {error.strerror}.") from error
        finally:
            upload.busy = upload.busy and upload.turn != turn
        return JSONResponse({"received": upload.received_bytes, "name": saved.name})

    async def _write(self, request: Request, upload: _Upload, part: Path) -> None:
        # The slice is written as it arrives, so memory holds one network buffer, whatever the file's size.
        turn = upload.turn
        with part.open("r+b" if upload.received_bytes else "wb") as out:
            out.seek(upload.received_bytes)
            out.truncate()
            try:
                async for chunk in request.stream():
                    if upload.turn != turn:
                        raise Refused(409, "Another request goes on with this upload.")
                    if upload.received_bytes + len(chunk) > upload.size_bytes:
                        raise Refused(413, f"More bytes arrived than the {upload.size_bytes:,} of {upload.name}.")
                    out.write(chunk)
                    out.flush()
                    upload.received_bytes += len(chunk)
                    upload.used_at = upload.heard_at = time.monotonic()
            except ClientDisconnect as gone:
                raise Refused(400, "The connection broke; the page goes on from here.") from gone

    def _keep(self, part: Path, name: str) -> Path:
        with part.open("rb") as whole:
            os.fsync(whole.fileno())
        stem, suffixes = _split_name(name)
        for number in range(1, 10_000):
            target = part.with_name(name if number == 1 else f"{stem}-{number}{suffixes}")
            try:
                target.touch(exist_ok=False)  # takes the name first, so no file is ever replaced
            except FileExistsError:
                continue
            return part.replace(target)
        raise FileExistsError(errno.EEXIST, f"there are 10,000 files named like {name}")

    def _require_space(self, size_bytes: int) -> None:
        inbox = self.inbox()
        if shutil.disk_usage(inbox).free < size_bytes + RESERVE_BYTES:
            raise Refused(507, _no_space(f"{size_bytes:,} bytes", inbox))

    def _part(self, token: str) -> Path:
        return self.inbox() / f".{token}.part"


def safe_name(name: str) -> str:
    r"""The file name without any folder, control character or leading dot, at most 180 bytes.

    Example:
        >>> safe_name("../../etc/pass\x00wd")
        'passwd'

    Raises:
        Refused: where nothing is left of the name.
    """
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name))[-1]
    kept = "".join(" " if c == "\ufffd" else c for c in last if unicodedata.category(c)[0] != "C")
    kept = re.sub(r'[<>:"|?*\s]+', " ", kept).strip(" .")
    stem, suffixes = _split_name(kept)
    room = max(1, MAX_NAME_BYTES - len(suffixes.encode()))
    kept = stem.encode()[:room].decode("utf-8", "ignore") + suffixes
    if not stem or len(kept.encode()) > MAX_NAME_BYTES:
        raise Refused(400, f"The file name {name[:80]!r} cannot be used. Rename the file and choose it again.")
    return kept


def _split_name(name: str) -> tuple[str, str]:
    # "access.log.gz" keeps both suffixes together: the last one says how to read the file.
    match = re.fullmatch(r"(.+?)((?:\.[A-Za-z0-9]{1,8}){1,2})", name)
    return (match[1], match[2]) if match else (name, "")


def _whole_number(request: Request, key: str) -> int:
    text = request.query_params.get(key, "")
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise Refused(400, f"The upload needs a whole number for {key}, found {text[:40]!r}. Reload the page.")
    return int(text)


def check_same_site(request: Request) -> None:
    """Refuse requests of other sites, and of names that merely resolve to this machine (DNS rebinding).

    Raises:
        Refused: with status 403.
    """
    host = request.headers.get("host", "")
    hostname = urlsplit(f"//{host}").hostname or ""
    if hostname not in st.get_option("server.allowedHosts"):
        raise Refused(403, f"Nothing is taken or given under the name {hostname!r}. Open the page by its own address.")
    origin = request.headers.get("origin")
    if origin is None and request.method == "GET":  # browsers send no Origin when a page asks its own server
        return
    if origin is None or urlsplit(origin).netloc != host:
        raise Refused(403, "Uploads are taken from the workbench's own page only.")


def _no_space(what: str, folder: Path) -> str:
    return f"No disk space for {what} in {folder}. Free some space or move TINYLOGBERT_HOME, then try again."


UPLOADS = Uploads(workbench.inbox)
"""The tokens of this server: one table for the route and for every page."""

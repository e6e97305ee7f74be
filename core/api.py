"""HTTP: lines in, scores out, for programs on this machine. Flask over workbench, served by waitress.

There is no authentication, so only loopback addresses are served, a page of another site can reach nothing (its host
name is refused, and so is any body but JSON, for which a browser asks first), and no line is written to a log.
Every error has one shape: {"error": {"code": ..., "message": ...}}. `openapi.json` describes all of it.
"""

from __future__ import annotations

import gc
import json
import logging
import re
import signal
import socket
import sys
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import waitress
from flask import Flask, Request, Response, request
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    InternalServerError,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from core import workbench
from core.errors import WorkbenchError

LOOPBACK = {"127.0.0.1": socket.AF_INET, "localhost": socket.AF_INET, "::1": socket.AF_INET6}
MAX_LOG_BYTES = 65_536  # of a line, UTF-8; as a file's lines are cut by default
MAX_LOGS = 1_000  # in one request
MAX_BODY_BYTES = 8 << 20
THREADS = 4
OPENAPI = Path(__file__).with_name("openapi.json")

_OWN_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_CODES = {403: "foreign_host", 413: "payload_too_large", 500: "internal_error"}  # others: the status's own words
_FLAGS = {"1": True, "true": True, "0": False, "false": False}


def create_app(model: str = "base") -> Flask:
    """The application; the bundle is opened and warmed up here.

    Args:
        model: a bundle's name or folder.

    Raises:
        BundleError: there is no such bundle, or it is damaged.
    """
    scorer = workbench.LineScorer(model)
    scorer.warm_up()
    app = Flask("core.api", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider

    @app.before_request
    def refuse_other_hosts() -> None:
        if not _OWN_HOST.fullmatch(request.headers.get("Host", "")):
            raise Forbidden(
                "this service answers to 127.0.0.1, localhost and [::1] only; call it by one of these names"
            )

    @app.post("/score_log")
    def score_log() -> dict[str, Any]:
        body = _body(request, "log")
        detail = _detail(request, body)
        line = _line(body["log"], "log")
        if not line.strip():
            raise BadRequest("the line is blank; there is nothing to score")
        (answer,) = scorer.answers([line], detail)
        return answer

    @app.post("/score_logs")
    def score_logs() -> dict[str, Any]:
        body = _body(request, "logs")
        detail, lines = _detail(request, body), body["logs"]
        if not isinstance(lines, list) or not 1 <= len(lines) <= MAX_LOGS:
            raise BadRequest(f"logs must be a list of 1 to {MAX_LOGS:,} lines")
        checked = [_line(line, f"logs[{number}]") for number, line in enumerate(lines)]
        return {"results": scorer.answers(checked, detail)}

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "model": scorer.model, "threshold": scorer.threshold}

    @app.get("/models")
    def models() -> dict[str, Any]:
        return {
            "models": [
                {
                    "name": info.name,
                    "in_use": info.name == scorer.model,
                    "created_utc": info.created_utc,
                    "n_lines": info.n_lines,
                    "n_texts": info.n_texts,
                    "scorers": info.scorers,
                    "threshold": info.threshold,
                    "error": info.error,
                }
                for info in workbench.models()
            ]
        }

    @app.get("/openapi.json")
    def openapi() -> Response:
        return Response(OPENAPI.read_bytes(), mimetype="application/json")

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        response = error.get_response()  # its headers too: 405 names the methods allowed
        response.data = json.dumps(_error(error.code or 500, error.description or ""))
        response.content_type = "application/json"
        return response

    @app.errorhandler(WorkbenchError)
    def mistaken(error: WorkbenchError) -> Any:
        return refused(BadRequest(str(error)))

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Any:
        app.logger.error("a request failed", exc_info=error)
        return refused(InternalServerError("something went wrong in the service; its own output says what"))

    return app


def serve(model: str, host: str, port: int) -> None:
    """Answer requests until Ctrl+C or SIGTERM.

    Args:
        model: a bundle's name or folder.
        host: a key of LOOPBACK.
        port: 0 takes a free one.

    Raises:
        WorkbenchError: another host, a port in use, or a bundle that cannot be used.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    # On a busy machine it would warn of every request that waits a moment.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        with _bound(host, port) as bound:  # taken now, open to others once the bundle is ready
            app = create_app(model)
            gc.freeze()  # what was loaded stays; looking through it for garbage would hold up a request
            server = waitress.create_server(
                app, sockets=[bound], threads=THREADS, ident="", max_request_body_size=4 * MAX_BODY_BYTES
            )
            server.channel_class = _Channel
            shown = f"[{host}]" if ":" in host else host
            sys.stderr.write(f"model {model} answers at http://{shown}:{bound.getsockname()[1]}; Ctrl+C stops it\n")
            server.run()
    except KeyboardInterrupt:
        pass
    finally:
        gc.unfreeze()
    sys.stderr.write("stopped\n")


def _bound(host: str, port: int) -> socket.socket:
    """A socket that has the port and does not listen yet."""
    if host not in LOOPBACK:
        raise WorkbenchError(
            f"{host}: the service asks nobody who they are, so it is open to this machine only; "
            f"use --host {', '.join(LOOPBACK)}"
        )
    bound = socket.socket(LOOPBACK[host], socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = error.strerror if isinstance(error, OSError) else "a port is a number up to 65535"
        raise WorkbenchError(f"{host} port {port}: {reason}; choose another with --port") from error
    return bound


def _body(request: Request, needed: str) -> dict[str, Any]:
    """The JSON object of a request: the needed key, perhaps `detail`, and no other."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("send JSON, with the header Content-Type: application/json")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge(f"the body is larger than {MAX_BODY_BYTES:,} bytes; send fewer lines at a time")
    try:
        body = json.loads(request.get_data(cache=False))
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else error
        raise BadRequest(f"the body is not JSON: {what}") from error
    if not isinstance(body, dict) or needed not in body:
        raise BadRequest(f'the body must be an object with "{needed}"')
    if unknown := [key for key in body if key not in (needed, "detail")]:
        raise BadRequest(f"unknown key {unknown[0][:80]!r}; known: {needed}, detail")
    return body


def _detail(request: Request, body: dict[str, Any]) -> bool:
    detail = body.get("detail", _FLAGS.get(request.args.get("detail", "0").lower()))
    if not isinstance(detail, bool):
        raise BadRequest("detail must be true or false")
    return detail


def _line(line: Any, name: str) -> str:
    if not isinstance(line, str):
        raise BadRequest(f"{name} must be a string: one line of a log")
    if len(line.encode("utf-8", "replace")) > MAX_LOG_BYTES:
        raise BadRequest(f"{name} is longer than {MAX_LOG_BYTES:,} bytes; send one line of a log")
    return line


def _error(status: int, message: str) -> dict[str, dict[str, str]]:
    code = _CODES.get(status) or HTTPStatus(status).phrase.lower().replace(" ", "_")
    return {"error": {"code": code, "message": message}}


class _JsonErrorTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """What waitress itself refuses (no HTTP, header or body far too long), in the one shape of errors."""

    def execute(self) -> None:
        refused = self.request.error
        body = json.dumps(_error(refused.code, str(refused.body))).encode()
        self.status = f"{refused.code} {refused.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    error_task_class = _JsonErrorTask


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

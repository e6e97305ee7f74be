"""HTTP: the shape of every answer, and one shape for every error, whatever is sent."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from core import api, cli, workbench
from tests.builders import access_log

ROOT = Path(__file__).resolve().parents[1]
ATTACK = access_log(1, n_attacks=1, seed=9)[0][0]
DETAIL = {
    "score", "is_anomaly", "model", "threshold", "template", "reasons", "scorers", "sigmoid", "contributions", "tokens",
    "nearest",
}  # fmt: skip


@pytest.fixture(autouse=True)
def at_bundles(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYLOGBERT_MODELS", str(bundles))


@pytest.fixture(scope="module")
def app(bundles: Path) -> Flask:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYLOGBERT_MODELS", str(bundles))
        return api.create_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def error_of(response: TestResponse, status: int, code: str) -> str:
    assert response.status_code == status, response.get_data()
    assert response.mimetype == "application/json"
    body = response.get_json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert body["error"]["code"] == code
    assert "Traceback" not in body["error"]["message"]
    return str(body["error"]["message"])


def test_a_line_gets_a_score_and_a_flag(client: FlaskClient) -> None:
    response = client.post("/score_log", json={"log": ATTACK})
    assert response.status_code == 200
    answer = response.get_json()
    assert set(answer) == {"score", "is_anomaly"}
    assert 0 <= answer["score"] <= 1
    assert answer["is_anomaly"] is True
    assert client.post("/score_log", json={"log": access_log(1)[0][0]}).get_json()["is_anomaly"] is False


@pytest.mark.parametrize(
    ("query", "body", "wanted"),
    [
        ("?detail=1", {}, True),
        ("", {"detail": True}, True),
        ("?detail=true", {"detail": False}, False),
        ("", {}, False),
    ],
)
def test_detail_is_given_on_request(client: FlaskClient, query: str, body: dict[str, Any], wanted: bool) -> None:
    answer = client.post(f"/score_log{query}", json={"log": ATTACK, **body}).get_json()
    assert (set(answer) == DETAIL) is wanted
    if wanted:
        assert set(answer["scorers"]) == set(answer["contributions"]) == {*workbench.models()[0].scorers}
        assert answer["model"] == "base"
        assert answer["score"] >= answer["threshold"]


def test_many_lines_are_answered_in_order(client: FlaskClient) -> None:
    lines = [*access_log(120)[0], "", ATTACK]
    results = client.post("/score_logs", json={"logs": lines}).get_json()["results"]
    assert len(results) == 122
    assert results[120] == {"score": 0.0, "is_anomaly": False}
    assert results[121] == client.post("/score_log", json={"log": ATTACK}).get_json()
    detailed = client.post("/score_logs?detail=1", json={"logs": ["", ATTACK]}).get_json()["results"]
    assert [set(result) for result in detailed] == [DETAIL, DETAIL]
    same = client.post("/score_logs", json={"logs": [ATTACK] * api.MAX_LOGS}).get_json()["results"]
    assert same == [results[121]] * api.MAX_LOGS


def test_health_and_models(client: FlaskClient, bundles: Path) -> None:
    health = client.get("/health").get_json()
    assert health["status"] == "ok"
    assert health["model"] == "base"
    (model,) = client.get("/models").get_json()["models"]
    assert (model["name"], model["in_use"], model["n_lines"], model["error"]) == ("base", True, 300, None)
    assert str(bundles) not in json.dumps(model)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"log": ' + b"[" * 100_000, "not JSON"),
        (b"1" * 10_000, "not JSON"),
        (b'["log"]', 'object with "log"'),
        (b"null", 'object with "log"'),
        (b"{}", 'object with "log"'),
        (b'{"logs": ["x"]}', 'object with "log"'),
        (b'{"log": null}', "must be a string"),
        (b'{"log": ["x"]}', "must be a string"),
        (b'{"log": 5}', "must be a string"),
        (b'{"log": ""}', "blank"),
        (b'{"log": " \\n\\t\\u2003"}', "blank"),
        (b'{"log": "x", "model": "other"}', "unknown key 'model'"),
        (b'{"log": "x", "detail": 1}', "detail must be"),
        (b'{"log": "x", "detail": null}', "detail must be"),
        (json.dumps({"log": "é" * 32_769}).encode(), "longer than 65,536 bytes"),
    ],
)
def test_a_body_that_is_not_as_described_is_refused(client: FlaskClient, body: bytes, said: str) -> None:
    response = client.post("/score_log", data=body, content_type="application/json")
    assert said in error_of(response, 400, "bad_request")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"logs": []}, "1 to 1,000"),
        ({"logs": ["x"] * 1_001}, "1 to 1,000"),
        ({"logs": "x"}, "1 to 1,000"),
        ({"logs": ["x", None]}, "logs[1] must be a string"),
        ({"logs": ["x" * 65_537]}, "logs[0] is longer"),
        ({"log": "x"}, 'object with "logs"'),
    ],
)
def test_a_list_that_is_not_as_described_is_refused(client: FlaskClient, body: dict[str, Any], said: str) -> None:
    assert said in error_of(client.post("/score_logs", json=body), 400, "bad_request")


def test_other_refusals_have_the_same_shape(client: FlaskClient) -> None:
    error_of(client.get("/nothing"), 404, "not_found")
    response = client.get("/score_log")
    error_of(response, 405, "method_not_allowed")
    assert "POST" in response.headers["Allow"]
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        response = client.post("/score_log", data=b'{"log": "x"}', content_type=kind)
        error_of(response, 415, "unsupported_media_type")
    response = client.post("/score_log", data=b" " * (api.MAX_BODY_BYTES + 1), content_type="application/json")
    assert "8,388,608 bytes" in error_of(response, 413, "payload_too_large")
    error_of(client.post("/score_log?detail=perhaps", json={"log": "x"}), 400, "bad_request")


@pytest.mark.parametrize(
    "line", ["a\0b", "\ud800", "\udcff x", "\x1b[31m", "{" * 5_000, "%" * 60_000, "\u202e", "9" * 60_000]
)
def test_strange_lines_are_scored(client: FlaskClient, line: str) -> None:
    answer = client.post("/score_log?detail=1", data=json.dumps({"log": line}), content_type="application/json")
    assert answer.status_code == 200
    assert 0 <= answer.get_json()["score"] <= 1


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost@evil", ""])
def test_a_foreign_host_name_is_refused_on_every_route(client: FlaskClient, host: str) -> None:
    for response in (client.get("/health", headers={"Host": host}), client.get("/nothing", headers={"Host": host})):
        assert "127.0.0.1" in error_of(response, 403, "foreign_host")


@pytest.mark.parametrize("host", ["127.0.0.1:9", "LOCALHOST", "[::1]:8000"])
def test_own_host_names_are_served(client: FlaskClient, host: str) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == 200


def test_a_failure_inside_says_nothing_of_the_inside(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("secret")

    monkeypatch.setattr(workbench.LineScorer, "answers", fail)
    assert "secret" not in error_of(app.test_client().post("/score_log", json={"log": "x"}), 500, "internal_error")


def test_the_description_is_that_of_the_routes_and_answers(app: Flask, client: FlaskClient) -> None:
    described = client.get("/openapi.json").get_json()
    assert described["openapi"].startswith("3.1")
    routes = {(rule.rule, method) for rule in app.url_map.iter_rules() for method in (rule.methods or ())}
    wanted = {(path, method.upper()) for path, methods in described["paths"].items() for method in methods}
    assert wanted == {(path, method) for path, method in routes if method not in ("HEAD", "OPTIONS")}
    schemas = described["components"]["schemas"]
    assert set(schemas["Answer"]["properties"]) == DETAIL
    (model,) = client.get("/models").get_json()["models"]
    assert set(schemas["Model"]["properties"]) == set(model)
    assert described["paths"]["/score_logs"]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "properties"
    ]["logs"]["maxItems"] == api.MAX_LOGS  # fmt: skip


def test_threads_get_the_answers_of_one(client: FlaskClient, app: Flask) -> None:
    lines = access_log(40, n_attacks=10, seed=3)[0]
    wanted = [client.post("/score_log", json={"log": line}).get_json() for line in lines]
    found: dict[int, list[Any]] = {}

    def ask(number: int) -> None:
        own = app.test_client()
        found[number] = [own.post("/score_log", json={"log": line}).get_json() for line in lines]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(4)] == [wanted] * 4


def test_texts_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.line_scorer.KNOWN_TEXTS", 3)
    scorer = workbench.LineScorer("base")
    words = ["alpha", "beta", "gamma", "delta", "alpha"]
    assert [found is not None for found in scorer.explain_all(words)] == [True] * 5
    assert [text for text, _ in scorer._explained] == ["beta", "gamma", "delta"]
    scorer.explain("beta")
    scorer.explain("epsilon")
    assert [text for text, _ in scorer._explained] == ["delta", "beta", "epsilon"]


# ---- the server


@contextmanager
def served(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`python -m core serve` on a free port."""
    command = [sys.executable, "-m", "core", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            announced = process.stderr.readline()
            assert "answers at http://" in announced, announced
            yield process, int(announced.split(";")[0].rsplit(":", 1)[1])
        finally:
            process.kill()


def raw_exchange(port: int, request: bytes) -> tuple[int, str]:
    """Status and error code of what no HTTP client would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_serve_announces_answers_and_ends_cleanly() -> None:
    with served() as (process, port):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/score_log",
            data=json.dumps({"log": ATTACK}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            assert json.load(response)["is_anomaly"] is True
            assert "Server" not in response.headers
        assert raw_exchange(port, b"nonsense\r\n\r\n") == (400, "bad_request")
        too_long = b"POST /score_log HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
        assert raw_exchange(port, too_long) == (413, "payload_too_large")
        taken = CliRunner().invoke(cli.main, ["serve", "--port", str(port)])
        assert taken.exit_code == 1
        assert "choose another with --port" in taken.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == "stopped\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "this machine only"),  # noqa: S104
        (["--host", "example.org"], "this machine only"),
        (["--port", "70000"], "choose another with --port"),
        (["--model", "other"], "there is no model 'other'; known: base"),
    ],
)
def test_what_cannot_be_served_is_one_clear_line(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in cli.ONE_THREAD:  # set by the command; not to be left to the tests after
        monkeypatch.setenv(name, "1")
    result = CliRunner().invoke(cli.main, ["serve", *arguments])
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1

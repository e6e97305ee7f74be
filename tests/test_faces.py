"""Python, command lines, HTTP and page are faces of one core: the same line has the same score and flag in each."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import streamlit as st
from click.testing import CliRunner
from flask.testing import FlaskClient
from streamlit.testing.v1 import AppTest

import ai_detect_cli
from core import cli, jobs, workbench
from core.api import create_app
from core.config import Config, NetworkConfig, TrainingConfig
from core.detector import SCORE_TOLERANCE, LogDetector
from core.scoring.context import raised
from dashboard import data
from dashboard.log_input import FILE_KEY
from tests.builders import access_log, write_log
from tests.pages import SHELL

TINY = Config(
    network=NetworkConfig(vocab_size=400, hidden_size=32, n_layers=1, n_heads=2, max_tokens=64),
    training=TrainingConfig(max_steps=20, batch_size=16),
)
LINES = [
    access_log(1, seed=8)[0][0],
    access_log(1, n_attacks=1, seed=9)[0][0],
    "",
    "Nov 30 06:39:00 web1 sshd[21882]: Failed password for root from 203.0.113.7 port 22 ssh2",
    '{"time": "2023-10-10T08:02:30Z", "level": "error", "message": "disk 5 full"}',
    "ERROR caf\u00e9 ␀ \x1b[31mred",
]
CASE = 1  # the attack

Answers = list[tuple[float, bool]]


@pytest.fixture(scope="module", params=["network", "quick"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bundle by its folder, with a network and without."""
    folder = tmp_path_factory.mktemp(request.param)
    log = write_log(folder / "history.log", access_log(400)[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYLOGBERT_MODELS", str(folder))
        config = TINY if request.param == "network" else workbench.quick(Config())
        return workbench.train([log], "tiny", config).path


@pytest.fixture(scope="module")
def client(model: str) -> FlaskClient:
    return create_app(model).test_client()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "new.log", LINES)


@pytest.fixture
def expected(model: str) -> Answers:
    """By Python, each line on its own."""
    detector = LogDetector.load(Path(model))
    decisions = [detector.explain(line).decision if line else None for line in LINES]
    return [(found.fused_score, found.is_anomaly) if found else (0.0, False) for found in decisions]


def same(found: Answers, expected: Answers) -> None:
    assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=SCORE_TOLERANCE)
    assert [flag for _, flag in found] == [flag for _, flag in expected]


def scored_file(source: object, model: str, output: Path, stdin: str | None = None) -> Answers:
    result = CliRunner().invoke(
        cli.main, ["score", str(source), "--model", model, "--output", str(output)], input=stdin
    )
    assert result.exit_code == 0, result.output
    return [(score, bool(flag)) for score, flag in pl.read_csv(output).select("score", "is_anomaly").iter_rows()]


def detected(*arguments: str, stdin: str | None = None) -> Answers:
    result = CliRunner().invoke(ai_detect_cli.main, [*arguments, "--json"], input=stdin)
    assert result.exit_code == 0, result.output
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    return [(answer["score"], answer["is_anomaly"]) for answer in answers]


def test_the_case_is_one(expected: Answers) -> None:
    assert expected[CASE][1]
    assert not expected[0][1]
    assert len({score for score, _ in expected}) > 3


def test_python_and_command_lines(model: str, log: Path, tmp_path: Path, expected: Answers) -> None:
    why = workbench.explain(LINES[CASE], model)
    same([(why.decision.fused_score, why.decision.is_anomaly)], [expected[CASE]])
    same(scored_file(log, model, tmp_path / "file.csv"), expected)
    same(scored_file("-", model, tmp_path / "stdin.csv", stdin=log.read_text()), expected)
    same(detected("--log", LINES[CASE], "--model", model), [expected[CASE]])
    same(detected("--log", "-", "--model", model, stdin=log.read_text()), expected)


def test_http(client: FlaskClient, expected: Answers) -> None:
    for line, wanted in zip(LINES, expected, strict=True):
        if line:
            answer = client.post("/score_log", json={"log": line}).get_json()
            assert set(answer) == {"score", "is_anomaly"}
            same([(answer["score"], answer["is_anomaly"])], [wanted])
    results = client.post("/score_logs", json={"logs": LINES, "detail": True}).get_json()["results"]
    same([(result["score"], result["is_anomaly"]) for result in results], expected)


def test_http_says_why(model: str, client: FlaskClient) -> None:
    why = workbench.explain(LINES[CASE], model)
    answer = client.post("/score_log?detail=1", json={"log": LINES[CASE]}).get_json()
    assert answer["reasons"] == why.decision.reasons
    assert answer["template"] == why.normalized_text
    assert sum(answer["contributions"].values()) == pytest.approx(answer["score"], abs=1e-3)
    assert answer["scorers"] == pytest.approx(why.scores, abs=1e-6)
    if "mlp_head" not in why.scores:
        assert answer["sigmoid"] is None
        assert answer["tokens"] == []
        return
    assert 0 < answer["sigmoid"] < 1
    assert [token["token"] for token in answer["tokens"]] == why.tokens
    assert [token["surprise"] for token in answer["tokens"]] == pytest.approx(why.surprise, abs=1e-3)
    assert all(0 < token["expected_p"] <= 1 and token["expected"] for token in answer["tokens"])


def test_the_page(model: str, log: Path, expected: Answers) -> None:
    run_id = workbench.score([log], model).run_id
    st.cache_data.clear()
    st.cache_resource.clear()
    app = AppTest.from_file(str(SHELL), default_timeout=20).run()
    app.switch_page("threshold.py")
    app.query_params["run"] = run_id
    app.run()
    app.segmented_control(f"view_{run_id}").set_value("All lines").run()
    app.selectbox(f"order_{run_id}").select("Line number").run()
    assert not app.exception
    frames = [item.value for item in app.dataframe]
    shown = pl.from_pandas(next(frame for frame in frames if "line_no" in frame.columns))
    assert shown["line_no"].to_list() == list(range(1, len(LINES) + 1))
    threshold = workbench.threshold(run_id)
    same([(score, score >= threshold) for score in shown["score"]], expected)


# ---- in context

SCAN = [
    f'198.51.100.9 - - [10/Oct/2023:10:00:{no:02} +0000] "GET /{path} HTTP/1.1" 404 196 "-" "Mozilla/5.0 (X11; Linux)"'
    for no, path in enumerate((".git/HEAD", "phpinfo", "old/backup.zip", ".env", "manager/html", "admin.bak"))
]


def by_hand(scores: list[float], clients: list[str], ordinary: float) -> list[float]:
    """The formula, line by line."""
    found = []
    for place, (score, client) in enumerate(zip(scores, clients, strict=True)):
        others = [scores[n] for n, other in enumerate(clients) if other == client and n != place]
        excess = (sum(others) - ordinary * len(others)) / (len(others) + 3)
        context = np.round(max(0.0, excess - 0.05), 2)
        found.append(float(raised(np.array([score]), np.array([context]))[0]))
    return found


def test_in_context_python_and_command_line(model: str, tmp_path: Path) -> None:
    lines = [*access_log(20, seed=5)[0], *SCAN]
    log = write_log(tmp_path / "scan.log", lines)
    detector = LogDetector.load(Path(model))
    alone = [detector.explain(line).decision.fused_score for line in lines]
    expected = by_hand(alone, [line.split(" ")[0] for line in lines], detector.fusion_.ordinary_)
    assert all(score > own for score, own in zip(expected[20:], alone[20:], strict=True))
    arguments = ["score", str(log), "--model", model, "--output", str(tmp_path / "out.csv")]
    for flags, wanted in (([], alone), (["--context"], expected)):
        result = CliRunner().invoke(cli.main, [*arguments, *flags])
        assert result.exit_code == 0, result.output
        assert pl.read_csv(tmp_path / "out.csv")["score"].to_list() == pytest.approx(wanted, abs=SCORE_TOLERANCE)
    reader = workbench.run(workbench.score([log], model, context=True).run_id)
    found = reader.lines(order="line_no", descending=False)["score"].to_list()
    assert found == pytest.approx(expected, abs=SCORE_TOLERANCE)


def test_in_context_the_page_and_its_job(tmp_path: Path) -> None:
    log = write_log(workbench.inbox() / "scan.log", [*access_log(60, seed=5)[0], *SCAN])
    arguments = ["score", str(log), "--quick", "--context", "--output", str(tmp_path / "out.csv")]
    assert CliRunner().invoke(cli.main, arguments).exit_code == 0
    expected = pl.read_csv(tmp_path / "out.csv").select("score", "is_anomaly").iter_rows()
    st.cache_data.clear()
    st.cache_resource.clear()
    app = AppTest.from_file(str(SHELL), default_timeout=20).run()
    app.selectbox(FILE_KEY).select(log).run()
    app.radio[0].set_value(data.QUICK).run()
    assert app.checkbox[0].value  # in context, unless the analyst says otherwise
    next(button for button in app.button if button.label == "Find abnormal lines").click().run()
    [job] = workbench.jobs()
    run_id = jobs.wait(job.job_id, 60).result["run_id"]
    app.switch_page("threshold.py")
    app.query_params["run"] = run_id
    app.run()
    app.segmented_control(f"view_{run_id}").set_value("All lines").run()
    app.selectbox(f"order_{run_id}").select("Line number").run()
    assert not app.exception
    assert "in context" in app.markdown[0].value
    shown = pl.from_pandas(next(item.value for item in app.dataframe if "line_no" in item.value.columns))
    threshold = workbench.threshold(run_id)
    same([(score, score >= threshold) for score in shown["score"]], [(s, bool(flag)) for s, flag in expected])


@pytest.mark.parametrize("weighed", [None, "likelihood"])
def test_a_score_alone_is_that_of_the_explanation(model: str, weighed: str | None) -> None:
    scorer = workbench.LineScorer(model)
    fusion = scorer._detector.fusion_
    if weighed in scorer._detector.scorers_:  # then every token's surprise is needed, not [CLS] alone
        scorer._detector.fusion_ = fusion.with_weights(fusion.weights | {"likelihood": 1.0})
    lines = ["failed login", "", "a b c d e f g " * 20, *SCAN, "failed login"]
    explained = [scorer.answer(explanation) for explanation in scorer.explain_all(lines)]
    wanted = [{name: answer[name] for name in ("score", "is_anomaly")} for answer in explained]
    assert scorer.answers(lines, detail=False) == wanted
    assert [scorer.answers([line], detail=False)[0] for line in lines] == wanted
    assert scorer.answers(lines, detail=True) == explained

"""The one-line command: what it prints, what it refuses, and that a log's text never acts on the terminal."""

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from click.testing import CliRunner, Result

import ai_detect_cli
from tests.builders import access_log

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def at_bundles(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYLOGBERT_MODELS", str(bundles))
    for name in ai_detect_cli.ONE_THREAD:  # set by the command; not to be left to the tests after
        monkeypatch.setenv(name, "1")


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(ai_detect_cli.main, list(arguments), input=stdin)


def refused(*arguments: str, stdin: bytes | None = None) -> str:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_an_abnormal_line_and_the_reasons() -> None:
    attack = access_log(1, n_attacks=1, seed=9)[0][0]
    printed = run("--log", attack).stdout
    assert printed.startswith("ABNORMAL  score 0.")
    assert "model base" in printed
    assert "words of no ordinary message" in printed
    assert "tfidf" in printed
    assert "nearest  get " in printed
    assert run("--log", access_log(1)[0][0]).stdout.startswith("normal  score 0.")


def test_text_of_a_log_does_not_act_on_the_terminal() -> None:
    hostile = "ERROR \x1b]0;owned\x07 \x1b[2J \x9b31m \u202e gnp.exe\r overwritten"
    for printed in (run("--log", hostile).stdout, run("--log", "-", stdin=hostile.encode() + b"\n\xff").stdout):
        assert "\\x1b" in printed
        assert all(char.isprintable() or char == "\n" for char in printed)


def test_standard_input_is_scored_line_by_line() -> None:
    lines = [access_log(1)[0][0], "", access_log(1, n_attacks=1, seed=9)[0][0]]
    rows = run("--log", "-", stdin="\n".join(lines).encode()).stdout.splitlines()
    assert [row[8:16] for row in rows] == ["normal  ", "normal  ", "ABNORMAL", " " * 8]
    assert rows[0].endswith(lines[0])
    answers = [
        json.loads(row) for row in run("--log", "-", "--json", stdin="\n".join(lines).encode()).stdout.splitlines()
    ]
    assert [answer["is_anomaly"] for answer in answers] == [False, False, True]
    assert len({tuple(answer) for answer in answers}) == 1, "a blank line's answer has the same keys"
    marked = run("--log", "-", stdin="\n".join(lines).encode("utf-8-sig")).stdout.splitlines()
    assert marked == rows


def test_standard_input_is_answered_as_it_comes_and_a_line_without_an_end_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Pipe(io.RawIOBase):
        sent: ClassVar = [
            b"one\ntw",
            b"o\r\n" + b"\n".join(b"%d" % n for n in range(60)),
            b"\n",
            b"x" * 70_000,
            b"y" * 9,
        ]

        def read1(self, size: int) -> bytes:
            return self.sent.pop(0) if self.sent else b""

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe()))
    batches = list(ai_detect_cli._standard_input())
    assert batches[0] == ["one"]
    assert batches[1][:3] == ["two", "0", "1"]
    assert [len(lines) for lines in batches] == [1, 50, 10, 1, 1]
    assert batches[-1] == ["x" * ai_detect_cli.READ_BYTES]


def test_mistakes_get_one_clear_line() -> None:
    assert "blank" in refused("--log", "  ")
    assert "there is no model 'other'; known: base" in refused("--log", "x", "--model", "other")
    assert "no line with text" in refused("--log", "-", stdin=b"\n \n")
    assert "UTF-16" in refused("--log", "-", stdin="a line\n".encode("utf-16"))
    assert run().exit_code == 2
    assert run("--log", "x", "--lines", "3").exit_code == 2


def test_as_a_user_runs_it_and_no_training_library_is_loaded(bundles: Path) -> None:
    command = [sys.executable, "-X", "importtime", "ai_detect_cli.py", "--log", "failed login"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "score 0." in result.stdout
    loaded = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert {"polars", "core.detector"} <= loaded
    assert not {"transformers", "sklearn", "flask", "streamlit", "torch"} & loaded

"""The command line as scripts use it: the interfaces that must hold, and one clear line for each mistake."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from core import workbench
from core.cli import main
from core.scoring.context import UNUSUAL_SOURCE
from tests.builders import access_log, write_labelled, write_log

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def done(*arguments: object, stdin: str | None = None) -> Result:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1, "one line"
    return result.stderr


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return write_log(tmp_path / "history.log", access_log(600)[0])


@pytest.fixture
def model(history: Path) -> str:
    done("train", history, "--name", "web", "--quick")
    return "web"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_train_score_and_list(tmp_path: Path, history: Path, model: str) -> None:
    lines, labels = access_log(200, n_attacks=6, seed=1)
    lines.insert(3, "")
    labels.insert(3, 0)
    log = write_log(tmp_path / "new.log", lines)
    done("score", log, "--model", model, "--output", tmp_path / "out.csv")
    scored = rows(tmp_path / "out.csv")
    assert [int(row["line_no"]) for row in scored] == list(range(1, 202))
    assert list(scored[0]) == [
        "line_no", "score", "is_anomaly", "session", "template", "novelty", "tfidf", "shape", "severity", "reason"
    ]  # fmt: skip
    assert (scored[3]["score"], scored[3]["is_anomaly"]) == ("0.0", "0")
    assert scored[4]["template"].startswith(("get /", "post /"))
    by_score = sorted(range(201), key=lambda row: -float(scored[row]["score"]))
    assert sorted(by_score[:6]) == [row for row, label in enumerate(labels) if label]
    flagged = json.loads(done("score", log, "--model", model, "--json").stdout)
    assert flagged["n_flagged"] == sum(row["is_anomaly"] == "1" for row in scored) >= 6
    assert [info["name"] for info in json.loads(done("models", "--json").stdout)] == ["web"]
    assert [info["name"] for info in json.loads(done("runs", "--json").stdout)] == ["new.log", "new.log"]


def test_file_standard_input_and_compressed_give_the_same_scores(tmp_path: Path, model: str) -> None:
    import gzip

    log = write_log(tmp_path / "new.log", access_log(50, n_attacks=3, seed=2)[0])
    packed = tmp_path / "new.log.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    for source, name, stdin in ((log, "a.csv", None), ("-", "b.csv", log.read_text()), (packed, "c.csv", None)):
        done("score", source, "--model", model, "--output", tmp_path / name, stdin=stdin)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text() == (tmp_path / "c.csv").read_text()


def test_json_lines_and_parquet_hold_what_csv_holds(tmp_path: Path, model: str) -> None:
    log = write_log(tmp_path / "new.log", access_log(30, n_attacks=2, seed=3)[0])
    for suffix in ("csv", "jsonl", "parquet"):
        done("score", log, "--model", model, "--output", tmp_path / f"out.{suffix}")
    frames = [
        pl.read_csv(tmp_path / "out.csv", schema_overrides={"session": pl.String, "reason": pl.String}),
        pl.read_ndjson(tmp_path / "out.jsonl"),
        pl.read_parquet(tmp_path / "out.parquet"),
    ]
    for frame in frames[1:]:
        assert frame["line_no"].to_list() == list(range(1, 31))
        assert frame.columns == frames[0].columns
        for column in ("score", "is_anomaly", "template", "tfidf"):
            assert frame[column].to_list() == frames[0][column].to_list()


def test_a_line_has_one_score_whatever_the_file_around_it(tmp_path: Path, model: str) -> None:
    line = access_log(1, n_attacks=1, seed=4)[0][0]
    alone = write_log(tmp_path / "alone.log", [line])
    crowd = write_log(tmp_path / "crowd.log", ["Nov 30 06:39:00 h sshd[1]: x", *access_log(99, seed=5)[0], line])
    for log in (alone, crowd):
        done("score", log, "--model", model, "--output", log.with_suffix(".csv"))
    assert rows(alone.with_suffix(".csv"))[0]["score"] == rows(crowd.with_suffix(".csv"))[-1]["score"]


def test_labels_are_never_read_in_train_and_score(tmp_path: Path) -> None:
    lines, labels = access_log(300, n_attacks=20, seed=6)
    outputs = []
    for name, given in (("right", labels), ("wrong", [1 - label for label in labels])):
        labelled = write_labelled(tmp_path / f"{name}.csv", lines, given)
        done("train", labelled, "--name", name, "--quick")
        done("score", labelled, "--model", name, "--output", tmp_path / f"{name}.out.csv")
        outputs.append((tmp_path / f"{name}.out.csv").read_text())
    assert outputs[0] == outputs[1]


def test_evaluate_prints_one_json_object(tmp_path: Path, model: str) -> None:
    lines, labels = access_log(400, n_attacks=20, seed=7)
    labelled = write_labelled(tmp_path / "labelled.csv", lines, labels)
    found = json.loads(done("evaluate", labelled, "--model", model).stdout)
    assert found["pr_auc"] > 0.95
    assert found["prevalence"] == 0.05
    assert found["recall"] == 1.0
    assert found["best_f1"] >= found["f1"] > 0.5
    assert set(found["scorers"]) == {"novelty", "tfidf", "shape", "severity"}
    assert found["scorers"]["tfidf"].keys() == {"roc_auc", "pr_auc"}
    assert found["deduplicated"]["n"] < 100
    assert "same" in refused("evaluate", write_labelled(tmp_path / "one.csv", lines[:5], [0] * 5), "--model", model)


def test_a_stated_contamination_keeps_what_is_left_in_a_history_from_passing(tmp_path: Path) -> None:
    history = write_log(tmp_path / "history.log", access_log(600, n_attacks=30, seed=8)[0])
    lines, labels = access_log(400, n_attacks=20, seed=9)
    labelled = write_labelled(tmp_path / "labelled.csv", lines, labels)
    f1 = {}
    for name, options in (("trusting", []), ("wary", ["--contamination", 0.05])):
        done("train", history, "--name", name, "--quick", *options)
        f1[name] = json.loads(done("evaluate", labelled, "--model", name).stdout)["f1"]
    assert f1["wary"] > f1["trusting"]
    card = (tmp_path / "models" / "wary" / "README.md").read_text()
    assert "left out as the strangest, for up to 5.00% was said to be abnormal: lines 29" in card
    assert "strangest" not in (tmp_path / "models" / "trusting" / "README.md").read_text()


@pytest.mark.parametrize("context", [[], ["--context"]])
def test_a_log_scored_against_itself_has_the_stated_share_flagged(tmp_path: Path, context: list[str]) -> None:
    log = write_log(tmp_path / "a.log", access_log(400, n_attacks=20, seed=10)[0])
    found = json.loads(done("score", log, "--quick", "--contamination", 0.05, "--json", *context).stdout)
    assert 15 <= found["n_flagged"] <= 20
    assert "flags the 5.0% of its lines at most" in " ".join(found["notes"])


def test_sessions_by_expression_and_by_column(tmp_path: Path) -> None:
    """Sessions of three steps; odd ones lack a step or hold a strange line."""
    steps = ["INFO open blk_{}", "INFO write blk_{}", "INFO close blk_{}"]
    normal = [step.format(block) for block in range(60) for step in steps]
    done("train", write_log(tmp_path / "a.log", normal), "--name", "s", "--quick", "--sessions", r"(blk_\d+)")
    mixed = [step.format(block) for block in range(70, 80) for step in steps]
    mixed += ["INFO open blk_90", "ERROR checksum mismatch blk_91", "INFO open blk_91", "no session"]
    log = write_log(tmp_path / "b.log", mixed)
    out = tmp_path / "sessions.csv"
    done("score", log, "--model", "s", "--sessions", r"(blk_\d+)", "--session-output", out)
    scored = {row["session"]: row for row in rows(out)}
    assert len(scored) == 12
    odd = {"blk_90", "blk_91"}
    assert set(sorted(scored, key=lambda key: -float(scored[key]["score"]))[:2]) == odd
    assert {key for key, row in scored.items() if row["is_anomaly"] == "1"} == odd
    labels = [int(bool({"blk_90", "blk_91"} & set(line.split()))) for line in mixed[:-1]]
    keys = [line.split()[-1] for line in mixed[:-1]]
    labelled = write_labelled(tmp_path / "c.csv", mixed[:-1], labels, keys)
    found = json.loads(done("evaluate", labelled, "--model", "s", "--level", "session").stdout)
    assert (found["n"], found["n_abnormal"], found["pr_auc"]) == (12, 2, 1.0)


def test_each_file_has_the_year_of_its_own_date(tmp_path: Path) -> None:
    older = write_log(tmp_path / "older.log", ["Oct  4 10:00:00 host app[1]: started"])
    newer = write_log(tmp_path / "newer.log", ["Mar  4 10:00:00 host app[1]: stopped"])
    os.utime(older, (1_728_100_000, 1_728_100_000))  # 2024-10-05
    os.utime(newer, (1_772_700_000, 1_772_700_000))  # 2026-03-05
    for files, year in (((older, newer), None), ((newer, older), None), ((older, newer), 2001)):
        said = () if year is None else ("--year", year)
        info = json.loads(done("score", *files, "--quick", "--json", *said).stdout)
        found = info["first_utc"][:10], info["last_utc"][:10]
        assert found == (("2024-10-04", "2026-03-04") if year is None else ("2001-10-04", "2002-03-04"))


def test_an_expression_that_finds_no_session_says_so(history: Path, tmp_path: Path) -> None:
    out = tmp_path / "sessions.csv"
    told = "--sessions '(zzz)' matched none of these lines"
    notes = json.loads(done("score", history, "--quick", "--json", "--sessions", "(zzz)").stdout)["notes"]
    assert any(told in note for note in notes)
    assert "a REGEX that its lines match" in refused(
        "score", history, "--quick", "--sessions", "(zzz)", "--session-output", out
    )


def test_mistakes_get_one_clear_line(tmp_path: Path, history: Path, model: str) -> None:
    assert "there is no such file" in refused("score", tmp_path / "missing.log")
    assert "there is no model 'other'; known: web" in refused("score", history, "--model", "other")
    assert "cannot name a model" in refused("train", history, "--name", "../x", "--quick")
    assert "choose one" in refused("score", history, "--quick", "--output", tmp_path / "out.xlsx")
    assert "create it first" in refused("score", history, "--quick", "--output", tmp_path / "no" / "out.csv")
    assert "has no group" in refused("score", history, "--quick", "--sessions", "x")
    assert "1970 to 9998" in refused("score", history, "--quick", "--year", "20226")
    blank = write_log(tmp_path / "blank.log", ["", "  "])
    assert "all of them blank" in refused("score", blank, "--quick")
    assert "nothing to learn" in refused("train", blank, "--name", "b", "--quick")
    settings = tmp_path / "settings.toml"
    settings.write_text("[scoring]\nweight = 1\n")
    assert "unknown setting weight" in refused("score", history, "--config", settings)
    settings.write_text("[scoring.weights]\nmagic = 1.0\n")
    assert "unknown scorer 'magic'" in refused("score", history, "--config", settings)
    assert run("score").exit_code == 2
    assert run("train", history).exit_code == 2


def test_results_never_take_the_place_of_a_log_or_of_each_other(tmp_path: Path, history: Path, model: str) -> None:
    log = tmp_path / "in.csv"
    log.write_text("line\nGET /a\n")
    link = tmp_path / "link.csv"
    link.symlink_to(log)
    for same in (log, link):
        assert "it is what is read" in refused("score", log, "--model", model, "--output", same)
    assert log.read_text() == "line\nGET /a\n"
    out = tmp_path / "out.csv"
    assert "another result is written there" in refused(
        "score", history, "--quick", "--output", out, "--session-output", out
    )
    (tmp_path / "dir.csv").mkdir()
    assert "this is a folder" in refused("score", history, "--quick", "--output", tmp_path / "dir.csv")
    assert "nothing can be written there" in refused("score", history, "--quick", "--output", "/proc/x.csv")
    assert json.loads(done("runs", "--json").stdout) == []


def test_what_shapes_a_fit_is_refused_beside_a_model_and_where_the_text_stands_is_not(
    tmp_path: Path, history: Path, model: str
) -> None:
    for option in ("--quick", "--seed=3", "--format=json"):
        result = run("score", history, "--model", model, option)
        assert result.exit_code == 2
        assert f"{option.partition('=')[0]} shapes a fit" in result.output
    log = tmp_path / "a.csv"
    log.write_text("n,text\n1,GET /a\n")
    assert "no column named line" in refused("score", log, "--model", model)
    output = tmp_path / "out.csv"
    done("score", log, "--model", model, "--message-field", "text", "--output", output)
    assert pl.read_csv(output)["template"].to_list() == ["get /a"]


def test_damaged_bundles_are_refused_and_listed(tmp_path: Path, history: Path, model: str) -> None:
    folder = Path(os.environ["TINYLOGBERT_MODELS"])
    for name, damage in {
        "cut": lambda bundle: (bundle / "bundle.json").write_text('{"format": 1, "config"'),
        "later": lambda bundle: (bundle / "bundle.json").write_text('{"format": 99}'),
        "bare": lambda bundle: (bundle / "fusion.json").unlink(),
        "part": lambda bundle: (bundle / "bundle.json").write_text(
            (bundle / "bundle.json").read_text().replace('"precision"', '"precise"')
        ),
        "odd": lambda bundle: (bundle / "bundle.json").write_text(
            (bundle / "bundle.json").read_text().replace('"n_lines": ', '"n_lines": "x", "was": ')
        ),
        "torn": lambda bundle: next(bundle.glob("scorers/tfidf/*.safetensors")).write_bytes(b"xx"),
    }.items():
        shutil.copytree(folder / model, folder / name)
        damage(folder / name)
        assert "train" in refused("score", history, "--model", name)
    listed = {info["name"]: info["error"] for info in json.loads(done("models", "--json").stdout)}
    assert listed["web"] is None
    assert "another version" in listed["later"]
    assert "damaged" in listed["cut"]
    assert "precision is missing" in listed["part"]
    assert "n_lines is missing or of another kind" in listed["odd"]
    hostile = json.loads((folder / model / "bundle.json").read_text()) | {"kind": "\x1b[2Jnow"}
    (folder / model / "bundle.json").write_text(json.dumps(hostile))
    printed = CliRunner().invoke(main, ["models"], color=True).stdout
    assert "\x1b" not in printed and re.search(r"^web\t.*a model of \\x1b\[2Jnow, not of", printed, re.MULTILINE)


def test_a_failed_score_leaves_no_run(tmp_path: Path, home: Path) -> None:
    log = tmp_path / "blank.log"
    log.write_text("\n\n")
    refused("score", log, "--quick")
    assert list((home / "runs").iterdir()) == []
    assert json.loads(done("runs", "--json").stdout) == []


def test_no_disk_space_is_one_clear_line(
    tmp_path: Path, history: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    import pyarrow.parquet as pq

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        assert "no disk space" in refused("score", history, "--model", model).lower()
        patch.setattr(Path, "write_text", full)
        assert "space" in refused("train", history, "--name", model, "--quick").lower()
    assert json.loads(done("models", "--json").stdout)[0]["error"] is None, "the old bundle is whole"


def test_verdicts_are_listed_and_their_lines_do_not_act_on_the_terminal(tmp_path: Path, model: str) -> None:
    assert json.loads(done("verdicts", "--json").stdout) == []
    log = write_log(tmp_path / "new.log", ["plain line", "\x1b[2J \x1b]0;owned\x07 line"])
    run_id = json.loads(done("score", log, "--model", model, "--json").stdout)["run_id"]
    workbench.set_verdict(run_id, [2], "abnormal", note="two\nlines")
    (verdict,) = json.loads(done("verdicts", "--json").stdout)
    assert (verdict["line_no"], verdict["label"], verdict["note"]) == (2, "abnormal", "two\nlines")
    for arguments in ((), ("--run", run_id)):
        (row,) = done("verdicts", *arguments).stdout.splitlines()
        assert "abnormal\tanalyst\t2\ttwo\\nlines\t\\x1b[2J" in row
        assert "\x1b" not in row
    assert "there is no run" in refused("verdicts", "--run", "nothing-here")


def test_help_and_looking_need_no_network_library() -> None:
    code = "import sys, core.workbench, core.cli; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
    result = subprocess.run(
        [sys.executable, "-m", "core", "formats"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "access" in result.stdout
    assert result.stderr == ""


def test_in_context_and_by_source(tmp_path: Path, model: str) -> None:
    lines = [*access_log(30, seed=3)[0], *("Nov 22 03:13:08 gate sshd[7]: no port from 192.0.2.5" for _ in range(9))]
    log = write_labelled(tmp_path / "new.csv", lines, [0] * 30 + [1] * 9)
    outputs = ["--output", tmp_path / "out.csv", "--session-output", tmp_path / "sources.csv"]
    done("score", log, "--model", model, "--sessions", "source", *outputs)
    plain = rows(tmp_path / "out.csv")
    assert {row["session"] for row in plain[30:]} == {"192.0.2.5"}
    assert "context" not in plain[0]
    done("score", log, "--model", model, "--context", "--sessions", "source", *outputs)
    assert [row["session"] for row in rows(tmp_path / "sources.csv")][-1] == "192.0.2.5"
    done("score", log, "--model", model, "--context", *outputs[:2])
    found = rows(tmp_path / "out.csv")
    assert list(found[0])[-3:] == ["severity", "context", "reason"]
    assert [row["session"] for row in found] == [row["session"] for row in plain]
    assert all(float(row["score"]) > float(before["score"]) for row, before in zip(found[30:], plain[30:], strict=True))
    assert found[30]["reason"].startswith(f"{UNUSUAL_SOURCE}; ")
    measured = [json.loads(done("evaluate", log, "--model", model, *flag).stdout) for flag in ([], ["--context"])]
    assert [found["context"] for found in measured] == [False, True]
    assert measured[1]["pr_auc"] >= measured[0]["pr_auc"]

"""Labels found, checked and measured with: by command and by run; other weights on what was scored."""

import csv
import gzip
import json
import os
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from core import workbench
from core.cli import main
from core.config import Config
from core.detector import LogDetector
from core.errors import InputError, WorkbenchError
from core.evaluate import report
from core.ingest.labels import labels_beside, read_labels
from core.workbench.fitting import QUICK_WEIGHTS
from tests.builders import access_log, write_labelled, write_log

NOTHING = dict.fromkeys(QUICK_WEIGHTS, 0.0)


def write_labels(path: Path, rows: list[tuple], header: tuple[str, ...] = ("line_no", "label", "kind")) -> Path:
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])
    return path


@pytest.fixture
def labelled_log(tmp_path: Path) -> Path:
    """400 lines, 20 of them attacks; labels beside them for all but the last ten."""
    lines, labels = access_log(400, n_attacks=20, seed=7)
    rows = [(no, label, "scan" if label else "oddity:404" if " 404 " in line else "", "made")
            for no, (line, label) in enumerate(zip(lines, labels, strict=True), 1)][:390]  # fmt: skip
    write_labels(tmp_path / "web.labels.csv", rows[::-1], ("line_no", "label", "kind", "source"))
    return write_log(tmp_path / "web.txt", lines)


@pytest.fixture
def scored(labelled_log: Path) -> workbench.RunInfo:
    return workbench.score([labelled_log], config=workbench.quick(Config()))


def printed(*arguments: object) -> dict:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# ---- evaluate


def test_labels_beside_a_log_measure_as_a_labelled_csv_does(tmp_path: Path, labelled_log: Path) -> None:
    lines, labels = access_log(400, n_attacks=20, seed=7)
    whole = write_labelled(tmp_path / "whole.csv", lines, [*labels[:390], *[""] * 10])
    beside, inside = printed("evaluate", labelled_log, "--quick"), printed("evaluate", whole, "--quick")
    assert beside["labels"] == inside["labels"] == {"n_unlabelled": 10, "n_blank": 0}
    for key in ("roc_auc", "pr_auc", "f1", "deduplicated", "scorers", "without_severity", "intervals", "calibration"):
        assert beside[key] == inside[key], key
    assert beside["n"] == 390
    assert {item["kind"]: item["n"] for item in beside["kinds"]}["scan"] == sum(labels[:390])
    assert beside["oddities"]["n"] == sum(item["n"] for item in beside["kinds"] if item["label"] == 0)
    named = write_labels(tmp_path / "other.csv", [(1, 0, ""), (2, 1, "")])
    assert printed("evaluate", labelled_log, "--quick", "--labels", named)["n"] == 2
    by_python = workbench.evaluate(labelled_log, config=workbench.quick(Config()))
    assert json.loads(json.dumps(by_python)) == beside


def test_the_tag_of_a_labelled_csv_is_its_kind_and_standard_input_is_read_once(tmp_path: Path) -> None:
    lines, labels = access_log(300, n_attacks=12, seed=1)
    path = tmp_path / "tagged.csv"
    with path.open("w", newline="") as handle:
        rows = [(line, label, "scan" if label else "") for line, label in zip(lines, labels, strict=True)]
        csv.writer(handle).writerows([("line", "label", "tag"), *rows])
    found = printed("evaluate", path, "--quick")
    assert [(item["kind"], item["n"]) for item in found["kinds"]] == [("scan", 12.0)]
    piped = CliRunner().invoke(main, ["evaluate", "-", "--quick"], input=path.read_bytes())
    assert json.loads(piped.stdout)["pr_auc"] == found["pr_auc"]


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        ([(1, 0, ""), (401, 1, "")], None, "labels line 401, but the log has 400 lines"),
        ([(1, 2, "")], None, "record 1: label is '2'; expected 0, 1 or nothing"),
        ([(1, 0, ""), (0, 1, "")], None, "record 2: line_no is '0'; expected a line number from 1"),
        ([("x", 1, "")], None, "line_no is 'x'"),
        ([(3, 0, ""), (3, 1, "")], None, "line 3 is there more than once"),
        ([(1, 0, ""), (2, 0, "")], None, r"every label is the same, normal \(0\)"),
        ([(1, "", ""), (2, "", "")], None, "no line is labelled"),
        ([], None, "no line is labelled"),
        ([(1, 0)], ("no", "label"), "no column named line_no; found: no, label"),
        ([(1, 0)], ("line_no", "truth"), "no column named label"),
    ],
)
def test_labels_that_cannot_be_used_say_why(
    tmp_path: Path, labelled_log: Path, rows: list[tuple], header: tuple[str, ...] | None, said: str
) -> None:
    path = write_labels(tmp_path / "bad.csv", rows, header or ("line_no", "label", "kind"))
    with pytest.raises(InputError, match=said):
        workbench.evaluate(labelled_log, config=workbench.quick(Config()), labels_file=path)


def test_a_log_without_labels_says_where_to_put_them(tmp_path: Path) -> None:
    log = write_log(tmp_path / "x.log", access_log(20)[0])
    with pytest.raises(InputError, match=r"put its labels beside it as NAME\.labels\.csv"):
        workbench.evaluate(log)


def test_labels_are_found_by_name_the_newest_first(tmp_path: Path) -> None:
    for name in ("a.labels.csv", "a-2.labels.csv", "ab.labels.csv", "a.labels.csv.part"):
        write_labels(tmp_path / name, [(1, 0, "")])
    older = tmp_path / "a.labels.csv"
    assert {path.name for path in labels_beside(tmp_path / "a.log.gz")} == {"a.labels.csv", "a-2.labels.csv"}
    os.utime(older, (1, 1))
    assert [path.name for path in labels_beside(tmp_path / "a.txt")] == ["a-2.labels.csv", "a.labels.csv"]
    assert read_labels(older).rows() == [(1, 0, "")]
    named = tmp_path / "log [1].labels.csv"  # no pattern
    named.write_bytes(older.read_bytes())
    assert read_labels(named).rows() == [(1, 0, "")]
    with pytest.raises(InputError, match="not a CSV of labels"):
        read_labels(tmp_path)


# ---- runs


def test_sources_of_a_run_and_their_counts(tmp_path: Path, scored: workbench.RunInfo) -> None:
    [source] = workbench.label_sources(scored.run_id)
    assert (source.name, source.n_abnormal, source.error) == ("web.labels.csv", 20, None)
    assert (source.n_normal, source.remark) == (370, None)
    later = time.time() + 60
    os.utime(scored.source_path, (later, later))
    assert "changed after it was scored" in (workbench.label_sources(scored.run_id)[0].remark or "")
    workbench.set_verdict(scored.run_id, [4, 5], "normal")
    workbench.set_verdict(scored.run_id, [6], "unsure")
    verdicts = workbench.label_sources(scored.run_id)[1]
    assert "every label is the same" in (verdicts.error or "")
    workbench.set_verdict(scored.run_id, [7], "abnormal")
    verdicts = workbench.label_sources(scored.run_id)[1]
    assert (verdicts.key, verdicts.n_normal, verdicts.n_abnormal, verdicts.error) == ("verdicts", 2, 1, None)
    assert workbench.labels(scored.run_id, "verdicts").rows() == [(4, 0, ""), (5, 0, ""), (7, 1, "")]
    write_labels(tmp_path / "web-2.labels.csv", [(1, "?", "")])
    assert "expected 0, 1" in (workbench.label_sources(scored.run_id)[0].error or "")


def test_an_upload_is_kept_under_the_name_of_the_log(tmp_path: Path, scored: workbench.RunInfo) -> None:
    keys = []
    for name in ("truth.csv", "other.csv.gz", "web.labels.csv"):
        path = write_labels(workbench.inbox() / name.removesuffix(".gz"), [(1, 0, ""), (2, 1, "")])
        if name.endswith(".gz"):
            path = path.with_name(name)
            path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
            path.with_suffix("").unlink()
        keys.append(Path(workbench.add_labels(scored.run_id, path)))
    assert [path.name for path in keys[:2]] == ["web.labels.csv", "web-2.labels.csv"]
    again = workbench.reweigh(scored.run_id, scored.weights, 0.3)  # a later run of the log finds them
    sources = {source.key: source for source in workbench.label_sources(again.run_id)}
    assert {str(path) for path in keys} < set(sources)
    assert sources[str(keys[1])].n_normal == 1
    assert not (workbench.inbox() / "truth.csv").exists()
    foreign = write_labels(workbench.inbox() / "foreign.csv", [(1, 0, ""), (999, 1, "")])
    with pytest.raises(WorkbenchError, match="labels line 999, but the log has 400"):
        workbench.add_labels(scored.run_id, foreign)
    assert foreign.exists()


def test_a_labelled_csv_is_its_own_source(tmp_path: Path) -> None:
    lines, labels = access_log(60, n_attacks=6, seed=2)
    run = workbench.score([write_labelled(tmp_path / "l.csv", lines, labels)], config=workbench.quick(Config()))
    [source] = workbench.label_sources(run.run_id)
    assert (source.key, source.n_normal, source.n_abnormal) == ("input", 54, 6)
    assert workbench.labels(run.run_id, "input")["label"].to_list() == labels
    plain = workbench.score([write_labelled(tmp_path / "p.log", lines, labels)], config=workbench.quick(Config()))
    assert plain.n_lines == 60  # a CSV by its header
    assert [source.key for source in workbench.label_sources(plain.run_id)] == ["input"]


def test_a_run_is_measured_as_evaluate_does(labelled_log: Path, scored: workbench.RunInfo) -> None:
    expected = workbench.evaluate(labelled_log, config=workbench.quick(Config()))
    [source] = workbench.label_sources(scored.run_id)
    labelled = workbench.labelled_run(scored.run_id, source.key)
    rows = labelled.labelled(scored.weights)
    found = report(rows, scored.threshold, seed=0)
    assert {key: expected[key] for key in found} == found
    scores, counts = labelled.score_counts(scored.weights)
    stored = workbench.run(scored.run_id).score_counts()
    assert (scores.tolist(), counts.tolist()) == (stored[0].tolist(), stored[1].tolist())


def test_weights_fuse_as_the_detector_does(scored: workbench.RunInfo) -> None:
    texts = workbench.run(scored.run_id).texts()
    same = workbench.fused_score(texts, scored.weights)
    np.testing.assert_allclose(same, texts["score"], atol=1e-12)
    alone = workbench.fused_score(texts, NOTHING | {"tfidf": 2.0})
    np.testing.assert_allclose(alone, texts["tfidf"], atol=5.1e-5)
    votes = workbench.fused_score(texts, NOTHING | {"novelty": 1.0, "severity": 3.0}, "vote")
    assert set(np.unique(votes)) <= {0.0, 0.25, 0.75, 1.0}
    with pytest.raises(WorkbenchError, match="every weight is zero"):
        workbench.fused_score(texts, NOTHING)


# ---- other weights, kept


def test_reweighing_is_a_new_run_of_the_same_lines(scored: workbench.RunInfo) -> None:
    weights = NOTHING | {"shape": 1.0}
    before = workbench.run(scored.run_id).lines(order="line_no", descending=False, limit=500)
    again = workbench.reweigh(scored.run_id, weights, 0.4)
    assert (again.weights, again.threshold, again.reweighed_from) == (weights, 0.4, scored.run_id)
    assert again.config["scoring"]["weights"] == weights
    assert scored.run_id in " ".join(again.notes)
    reader = workbench.run(again.run_id)
    rows = reader.lines(order="line_no", descending=False, limit=500)
    assert rows["raw"].to_list() == before["raw"].to_list()
    texts = reader.texts()
    np.testing.assert_allclose(texts["score"], texts["shape"], atol=5.1e-5)
    said = texts.filter(pl.col("score") >= 0.2)["reason"].to_list()
    assert said and all("mostly shape" in reason and "tfidf" not in reason for reason in said)
    assert set(texts.filter(pl.col("score") < 0.2)["reason"]) == {""}
    former = workbench.run(scored.run_id).texts()["reason"].to_list()
    both = [(a, b) for a, b in zip(former, texts["reason"], strict=True) if a and b]
    words = [(a.split("; mostly")[0], b.split("; mostly")[0]) for a, b in both if "words of" in a]
    assert words and all(a == b for a, b in words)
    assert (again.n_lines, again.first_utc, again.n_rejected) == (scored.n_lines, scored.first_utc, scored.n_rejected)
    workbench.delete_run(scored.run_id)
    assert len(workbench.run(again.run_id).lines(limit=500)) == 400  # the shared lines are still there
    with pytest.raises(WorkbenchError, match="a weight is needed for each of"):
        workbench.reweigh(again.run_id, {"tfidf": 1.0}, 0.4)
    with pytest.raises(WorkbenchError, match="above 0"):
        workbench.reweigh(again.run_id, weights, 0.0)


def test_a_derived_model_scores_with_its_own_weights(tmp_path: Path) -> None:
    log = write_log(tmp_path / "history.log", access_log(300, seed=3)[0])
    workbench.train([log], "web", workbench.quick(Config()))
    weights = NOTHING | {"tfidf": 2.0}
    info = workbench.derive_model("web", "web-strict", weights, 0.33)
    assert (info.name, info.threshold, info.scorers) == ("web-strict", 0.33, tuple(weights))
    run = workbench.score([log], "web-strict")
    assert (run.weights, run.threshold) == (weights, 0.33)
    texts = workbench.run(run.run_id).texts()
    np.testing.assert_allclose(texts["score"], texts["tfidf"], atol=5.1e-5)
    assert LogDetector.load(Path(info.path)).facts_["derived_from"] == "web"
    assert "on what web had learnt" in (Path(info.path) / "README.md").read_text()
    with pytest.raises(WorkbenchError, match="already"):
        workbench.derive_model("web", "web-strict", weights, 0.3)
    with pytest.raises(WorkbenchError, match="cannot name a model"):
        workbench.derive_model("web", "../x", weights, 0.3)

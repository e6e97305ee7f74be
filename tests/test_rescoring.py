"""Verdicts that count: what was judged normal joins the normal texts, and the run is scored anew."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from core import jobs, workbench
from core.cli import main
from core.config import Config, ScoringConfig
from core.detector import LogDetector
from core.errors import WorkbenchError
from core.records import EncodedBatch
from core.scoring import SCORERS
from core.scoring.scorer import BaseScorer
from tests.builders import access_log, write_labelled, write_log

LINES, LABELS = access_log(400, n_attacks=20, seed=7)
ODD = [line.replace("GET ", "REPORT ").replace("HTTP/1.1", "HTTP/9.9") for line in LINES[:2]]  # odd, but harmless


def scored(folder: Path, contamination: float = 0.0, **options: object) -> workbench.RunInfo:
    log = write_log(folder / "web.log", LINES + ODD)
    config = workbench.quick(Config(scoring=ScoringConfig(contamination=contamination)))
    return workbench.score([log], config=config, **options)  # type: ignore[arg-type]


def scores(run_id: str) -> dict[str, float]:
    return dict(workbench.run(run_id).texts().select("normalized_text", "score").iter_rows())


def text_of(run_id: str, line_no: int) -> str:
    return str(workbench.run(run_id).line(line_no)["normalized_text"])


def judge(run_id: str, line_no: int, label: str) -> str:
    """Judge a whole message by one of its lines."""
    reader = workbench.run(run_id)
    line = reader.line(line_no)
    workbench.set_verdict(run_id, reader.line_numbers(line["text_id"], 1_000), label)
    return str(line["normalized_text"])


# ---- scorers that hold texts


def batch(texts: list[str], counts: list[int]) -> EncodedBatch:
    draw = np.random.default_rng(0)
    vectors = {text: draw.normal(size=8).astype(np.float32) for text in sorted({*texts, *TEXTS})}
    return EncodedBatch(
        texts=texts,
        counts=np.array(counts),
        levels=[""] * len(texts),
        embeddings=np.stack([vectors[text] for text in texts]),
    )


TEXTS = ["user in", "user out", "user in again", "disk full", "odd thing here", "odder things there"]


@pytest.mark.parametrize("scorer_class", [kind for kind in SCORERS.values() if kind().keeps_texts])
def test_a_text_vouched_for_scores_lower_and_no_text_higher(scorer_class: type[BaseScorer]) -> None:
    learnt = batch(TEXTS[:4], [50, 40, 9, 1])
    scorer = scorer_class().fit(learnt)
    everything = batch(TEXTS, [1] * len(TEXTS))
    before = scorer.score(everything)
    told = scorer.vouched(batch(["disk full", "odd thing here"], [1, 1]))  # one known, one new
    after = told.score(everything)
    assert (after <= before).all()
    assert after[3] < before[3] and after[4] < before[4]
    assert after[0] == before[0]
    np.testing.assert_array_equal(scorer.score(everything), before)  # the scorer itself learnt nothing


@pytest.mark.parametrize("scorer_class", [kind for kind in SCORERS.values() if kind().keeps_texts])
def test_a_text_forgotten_scores_higher_as_if_it_had_not_been_there(scorer_class: type[BaseScorer]) -> None:
    scorer = scorer_class().fit(batch(TEXTS[:4], [50, 40, 9, 3]))
    asked = batch(TEXTS, [1] * len(TEXTS))
    before = scorer.score(asked)
    after = scorer.forgetting(batch(["disk full"], [3])).score(asked)
    assert after[3] > before[3]
    np.testing.assert_array_equal(scorer.score(asked), before)
    again = scorer.forgetting(batch(["disk full"], [3])).vouched(batch(["disk full"], [3])).score(asked)
    assert again[3] < after[3]
    with pytest.raises(WorkbenchError, match="nothing is left"):
        scorer.forgetting(batch(TEXTS[:4], [50, 40, 9, 3]))


# ---- a run fitted on the file itself


def test_a_normal_verdict_counts_at_once_and_an_abnormal_one_is_not_learnt(tmp_path: Path) -> None:
    info = scored(tmp_path)
    before = scores(info.run_id)
    odd = judge(info.run_id, len(LINES) + 1, "normal")
    attack = judge(info.run_id, LABELS.index(1) + 1, "abnormal")
    assert before[odd] >= info.threshold
    again = workbench.rescore(info.run_id)
    after = scores(again.run_id)
    assert after[odd] < info.threshold and before[attack] < after[attack]
    assert (again.threshold, again.weights, again.rescored_from) == (info.threshold, info.weights, info.run_id)
    assert (again.verdicts["normal"], again.verdicts["abnormal"]) == (1, 1)
    assert f"Scored anew from run {info.run_id}" in again.notes[-1]
    assert len(workbench.verdicts(again.run_id)) == len(workbench.verdicts(info.run_id))  # found in the new run
    same = workbench.rescore(again.run_id)  # the same verdicts once more change nothing
    assert scores(same.run_id) == after
    assert same.verdicts == again.verdicts and len(same.notes) == len(again.notes)
    workbench.set_verdict(same.run_id, workbench.verdicts(same.run_id)["line_no"].to_list(), None)
    with pytest.raises(WorkbenchError, match="judge some lines"):
        workbench.rescore(same.run_id)


@pytest.mark.parametrize("contamination", [0.0, 0.05])
def test_without_the_log_at_hand_what_is_stored_gives_the_scores_of_the_fit(
    tmp_path: Path, contamination: float
) -> None:
    info = scored(tmp_path, contamination)
    assert ("strangest_lines" in info.learnt) == bool(contamination)
    Path(info.source_path).unlink()
    workbench.set_threshold(info.run_id, 0.9)
    reader = workbench.run(info.run_id)
    commonest = reader.texts().sort("count")["text_id"][-1]
    judge(info.run_id, reader.line_numbers(commonest, 1)[0], "normal")
    again = workbench.rescore(info.run_id)
    assert again.threshold == 0.9
    assert scores(again.run_id) == scores(info.run_id)  # an everyday message was normal already


def test_messages_judged_either_way_count_as_neither(tmp_path: Path) -> None:
    info = scored(tmp_path)
    reader = workbench.run(info.run_id)
    text_id = next(text_id for text_id, count in reader.texts().select("text_id", "count").iter_rows() if count > 2)
    first, second = reader.line_numbers(text_id, 2)
    workbench.set_verdict(info.run_id, [first], "normal")
    workbench.set_verdict(info.run_id, [second], "abnormal")
    judged = workbench.judged_messages(reader)
    assert judged.mixed == [text_of(info.run_id, first)] and not judged
    with pytest.raises(WorkbenchError, match="no message"):
        workbench.rescore(info.run_id)


def test_a_verdict_on_a_flood_is_on_its_source_and_not_on_the_text_of_everyday_requests(tmp_path: Path) -> None:
    everyday = [(f"10.0.0.{number % 40}", number) for number in range(540)]
    flood = [("203.0.113.9", 540)] * 60
    lines = [
        f'{client} - - [18/Nov/2026:06:{at // 60:02}:{at % 60:02} +0000] "GET / HTTP/1.1" 200 512 "-" "Mozilla"'
        for client, at in everyday + flood
    ]
    info = workbench.score([write_log(tmp_path / "web.log", lines)], None, workbench.quick(Config()), context=True)
    reader = workbench.run(info.run_id)
    assert info.n_texts == 1
    rows = reader.texts().select("text_id", "count", "score")
    assert len(rows) == 2, "one text in two contexts"
    assert reader.line(1)["count"] == reader.n_lines(text_id=reader.line(600)["text_id"]) == 600
    [[text_id, _, n_flagged, score]] = reader.templates(0.3, 10).rows()
    assert (text_id, n_flagged) == (reader.line(600)["text_id"], 60)
    assert score == rows["score"].max()
    assert reader.by_message(0.3, 5, 4).select("n_lines", "lines").rows() == [(60, [0, 0, 0, 60])]
    assert reader.flagged_lines(0.3, 100)["text_id"].to_list() == [0] * 60  # the message's, not the context's
    assert reader.top_messages(0.3, 5).select("count", "first_no", "last_no").rows() == [(60, 541, 600)]

    workbench.set_verdict(info.run_id, list(range(541, 601)), "abnormal")
    judged = workbench.judged_messages(reader)
    assert judged.mixed == [text_of(info.run_id, 600)] and not judged
    workbench.set_verdict(info.run_id, list(range(1, 541)), "abnormal")
    assert workbench.judged_messages(reader).abnormal == [text_of(info.run_id, 600)]


# ---- a run of a model


def test_a_model_is_told_of_normal_messages_and_needed_as_it_was(tmp_path: Path) -> None:
    history = write_log(tmp_path / "history.log", access_log(300, seed=3)[0])
    workbench.train([history], "web", workbench.quick(Config()))
    info = workbench.score([write_log(tmp_path / "web.log", LINES + ODD)], "web")
    odd = judge(info.run_id, len(LINES) + 1, "normal")
    judge(info.run_id, LABELS.index(1) + 1, "abnormal")
    again = workbench.rescore(info.run_id)
    before, after = scores(info.run_id), scores(again.run_id)
    assert after[odd] < info.threshold <= before[odd]
    assert "change nothing: web learnt elsewhere" in again.notes[-1]
    assert all(after[text] <= score for text, score in before.items())
    workbench.train([history], "web", workbench.quick(Config(seed=1)))
    workbench.rescore(info.run_id)  # the same lines learnt
    workbench.train([write_log(tmp_path / "other.log", LINES[:200])], "web", workbench.quick(Config()))
    with pytest.raises(WorkbenchError, match="trained anew"):
        workbench.rescore(info.run_id)
    shutil.rmtree(tmp_path / "models" / "web")
    with pytest.raises(WorkbenchError, match="web"):
        workbench.rescore(info.run_id)


# ---- context and sessions


def test_context_and_sessions_are_judged_anew(tmp_path: Path) -> None:
    noisy = [line.replace(line.split(" ", 1)[0], "198.51.100.7") for line in ODD * 6]
    workbench.train([write_log(tmp_path / "web.log", access_log(300)[0])], "web", workbench.quick(Config()))
    info = workbench.score([write_log(tmp_path / "new.log", LINES + noisy)], "web", context=True)
    assert (workbench.run(info.run_id).texts()["context"] > 0).any()
    sessions = workbench.run(info.run_id).session_lines("198.51.100.7")
    for line_no in (len(LINES) + 1, len(LINES) + 2):
        judge(info.run_id, line_no, "normal")
    again = workbench.rescore(info.run_id)
    before, found = workbench.run(info.run_id), workbench.run(again.run_id)
    assert again.context and again.session_threshold == info.session_threshold
    assert found.session_lines("198.51.100.7") == sessions
    last = len(LINES) + len(noisy)
    assert found.line(last)["score"] < before.line(last)["score"]
    assert found.line(last)["context"] < before.line(last)["context"]
    assert found.has_lines_of(before)


# ---- by a job, and training anew


def test_a_job_scores_anew_and_a_training_leaves_out_what_was_judged_abnormal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr("core.jobs.start", lambda kind, spec, title: asked.append((kind, spec)) or title)
    info = scored(tmp_path)
    attack = judge(info.run_id, LABELS.index(1) + 1, "abnormal")
    assert workbench.start_rescoring(info.run_id) == "Re-score web.log with verdicts"
    workbench.start_retraining(info, "again")
    (kind, spec), (other, training) = asked
    assert (kind, spec["rescored_from"], other, training["without"]) == ("rescore", info.run_id, "train", [attack])
    both = workbench.score([tmp_path / "web.log"] * 2, config=workbench.quick(Config()))
    workbench.start_retraining(both, "again")
    assert asked[2][1]["paths"] == [str(tmp_path / "web.log")] * 2
    older = dataclasses.replace(both, more_paths=[])
    with pytest.raises(WorkbenchError, match="does not say where all of its 2 files were"):
        workbench.start_retraining(older, "again")
    steps: list[str] = []
    again = workbench.rescore(info.run_id, str(spec["run_id"]), lambda step, *_: steps.append(step))
    assert again.run_id == spec["run_id"] and "scoring with shape" in steps


def test_a_job_scores_anew_and_names_the_run_it_started_from(tmp_path: Path) -> None:
    info = scored(tmp_path)
    judge(info.run_id, LABELS.index(1) + 1, "normal")
    done = jobs.wait(workbench.start_rescoring(info.run_id), 120)
    assert done.state == "done", done.message
    assert done.result["rescored_from"] == info.run_id
    assert workbench.run(done.result["run_id"]).info.rescored_from == info.run_id


def test_messages_left_out_are_not_learnt_nor_the_sessions_that_hold_one(tmp_path: Path) -> None:
    calm, bad = ["user came in", "user did this", "user went out"], "disk failed badly"
    lines = [line for _ in range(20) for line in calm] + [bad, *calm]
    sessions = [f"s{no // 3}" for no in range(60)] + ["s20"] * 4
    log = write_labelled(tmp_path / "log.csv", lines, [0] * len(lines), sessions)
    workbench.train([log], "all", workbench.quick(Config()))
    workbench.train([log], "calm", workbench.quick(Config()), without=[bad])
    every, without = (LogDetector.load(tmp_path / "models" / name) for name in ("all", "calm"))
    assert bad in every.scorers_["novelty"].texts_ and bad not in without.scorers_["novelty"].texts_
    n_sessions = [int(detector.sessions_.count_vector_.counts_.sum()) for detector in (every, without)]
    assert n_sessions == [21, 20]
    assert (without.facts_["left_out_texts"], without.facts_["left_out_lines"]) == (1, 1)
    assert "left out as judged abnormal: texts 1, lines 1" in (tmp_path / "models" / "calm" / "README.md").read_text()
    with pytest.raises(WorkbenchError, match="nothing to learn from"):
        workbench.train([log], "none", workbench.quick(Config()), without=[*calm, bad])


# ---- by the command line


def test_the_command_does_the_same(tmp_path: Path) -> None:
    info = scored(tmp_path)
    judge(info.run_id, len(LINES) + 1, "normal")
    done = CliRunner().invoke(main, ["rescore", info.run_id, "--json", "--output", str(tmp_path / "out.csv")])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    again = workbench.rescore(info.run_id)
    assert scores(told["run_id"]) == scores(again.run_id)
    assert told["n_flagged"] < told["n_flagged_before"]
    assert (tmp_path / "out.csv").read_text().count("\n") == info.n_lines + 1
    failed = CliRunner().invoke(main, ["rescore", "nothing"])
    assert failed.exit_code == 1 and "there is no run nothing" in failed.stderr

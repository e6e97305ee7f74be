"""NetGPT's detector: learns flows without labels, is taught tasks, is kept whole; and its commands."""

import dataclasses
import functools
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from core import jobs, workbench
from core.bundles import load_model
from core.cli import main
from core.config import ScoringConfig, TrafficConfig
from core.errors import BundleError, InputError, JobCancelled, WorkbenchError
from core.flow_detector import FlowDetector
from core.records import Flow
from core.workbench import captures, reports
from tests.captures import ethernet, flow_of, pcap, store_flow_run, udp

TINY = TrafficConfig(max_steps=3, scoring=ScoringConfig({"knn": 1.0, "likelihood": 1.0, "novelty": 1.0}))
QUESTION = b"what time is it, number %d?"
ANSWER = b"it is late, number %d."


def packets_of(number: int) -> list[bytes]:
    """A question and its answer, over UDP."""
    client, server = ("192.0.2.1", 40_000 + number), ("192.0.2.2", 13)
    return [udp(client, server, QUESTION % (number % 20)), udp(server, client, ANSWER % (number % 20))]


def usual(n: int) -> list[Flow]:
    return [flow_of(*packets_of(number), ways="><") for number in range(n)]


STRANGE = flow_of(udp(("192.0.2.1", 5), ("192.0.2.2", 13), bytes(range(128, 190))))


@pytest.fixture(scope="module")
def detector() -> FlowDetector:
    return FlowDetector(TINY).fit(usual(60))


def test_a_strange_flow_stands_out(detector: FlowDetector) -> None:
    found = detector.score([*usual(5), STRANGE])
    assert found.columns[:2] == ["score", "is_anomaly"]
    assert found["score"].is_between(0, 1).all()
    assert found["is_anomaly"].to_list() == [0] * 5 + [1]
    assert found["raw_likelihood"][5] > found["raw_likelihood"][:5].max()


def test_scores_do_not_depend_on_what_is_beside(detector: FlowDetector) -> None:
    together = detector.score([*usual(9), STRANGE, *usual(2)])["score"].to_numpy()
    alone = [detector.score([flow])["score"].item() for flow in (*usual(9), STRANGE, *usual(2))]
    np.testing.assert_allclose(together, alone, atol=1e-2)
    assert detector.score([]).is_empty()


def test_saved_and_loaded_it_says_the_same(detector: FlowDetector, tmp_path: Path) -> None:
    detector.save(tmp_path / "t")
    loaded = FlowDetector.load(tmp_path / "t")
    assert loaded.score([*usual(3), STRANGE]).equals(detector.score([*usual(3), STRANGE]))
    assert loaded.config == TINY
    (tmp_path / "t" / "tasks.json").write_text("{}")
    with pytest.raises(BundleError, match=r"tasks\.json"):
        FlowDetector.load(tmp_path / "t")


def test_the_same_seed_learns_the_same(detector: FlowDetector) -> None:
    again = FlowDetector(TINY).fit(usual(60))
    assert again.score([*usual(3), STRANGE]).equals(detector.score([*usual(3), STRANGE]))
    assert again.facts_["data_sha256"] == detector.facts_["data_sha256"]


def test_bundles_of_logs_and_captures_are_told_apart(detector: FlowDetector, tmp_path: Path) -> None:
    detector.save(tmp_path / "t")
    with pytest.raises(BundleError, match="of captures, not of logs; use it with: python -m core traffic"):
        load_model(str(tmp_path / "t"))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "bundle.json").write_text('{"format": 2}')
    with pytest.raises(BundleError, match="of logs, not of captures"):
        FlowDetector.load(tmp_path / "logs")


def test_taught_a_task_it_answers_and_still_does_when_taught_another(tmp_path: Path) -> None:
    questions, answers = ([flow_of(packets_of(number)[way]) for number in range(4)] for way in (0, 1))
    flows, labels = questions + answers, ["asked"] * 4 + ["told"] * 4
    taught = FlowDetector(config := dataclasses.replace(TINY, preset="tiny")).fit(flows)
    taught.config = dataclasses.replace(config, max_steps=18)
    learnt = {name: taught.facts_[name] for name in ("n_flows", "n_texts", "data_sha256")}
    taught.facts_["burst"] = 15.0
    taught.teach(flows, {"kind": labels})
    assert {name: taught.facts_[name] for name in learnt} == learnt  # all of them again
    assert taught.facts_["burst"] == 15.0
    found = taught.answer(flows, "kind")
    assert found["answer"].to_list() == labels
    assert found["probability"].is_between(0.5, 1).all()

    strange = [flow_of(udp(("192.0.2.1", 5), ("192.0.2.2", 13), bytes(range(first, 190)))) for first in range(128, 132)]
    attack = ["no"] * 8 + ["yes"] * 4
    taught.teach([*flows, *strange], {"attack": attack}, ordinary=[label == "no" for label in attack])
    assert taught.answer([*flows, *strange], "attack")["answer"].to_list() == attack
    found = taught.answer(flows, "kind")
    assert found["answer"].to_list() == labels
    assert {name: taught.facts_[name] for name in learnt} == learnt  # the strange ones are no part of it
    assert taught.facts_["pretrained"] == learnt
    assert taught.facts_["burst"] == 24.0  # three times their eight a second
    assert taught.score(strange)["is_anomaly"].to_list() == [1] * 4
    taught.save(tmp_path / "t")
    assert FlowDetector.load(tmp_path / "t").answer(flows, "kind").equals(found)
    with pytest.raises(WorkbenchError, match="has a task 'kind' already"):
        taught.teach(flows, {"kind": labels})
    with pytest.raises(WorkbenchError, match="no task 'colour'"):
        taught.answer(flows, "colour")


def test_refusals(detector: FlowDetector) -> None:
    with pytest.raises(InputError, match="no flow"):
        FlowDetector(TINY).fit([])
    with pytest.raises(WorkbenchError, match="has no labels"):
        detector.answer(usual(1), "generation")


# ---- commands


def write_capture(folder: Path) -> Path:
    path = folder / "a.pcap"
    path.write_bytes(pcap([ethernet(packet) for number in range(30) for packet in packets_of(number)]))
    return path


@pytest.fixture
def capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYLOGBERT_MODELS", str(tmp_path / "models"))
    return write_capture(tmp_path)


@pytest.fixture
def model(detector: FlowDetector, capture: Path, tmp_path: Path) -> str:
    """The name of a model where the commands look for one."""
    detector.save(tmp_path / "models" / "t")
    return "t"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["traffic", *map(str, arguments)])


def test_from_capture_to_answers(capture: Path, tmp_path: Path) -> None:
    capture.write_bytes(capture.read_bytes()[:-1])
    cut = f"note: the capture is cut inside this packet: 1, the first at packet 60 of {capture}\n"
    result = run("pretrain", capture, "--name", "t", "--max-steps", 2)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("t: 30 flows, 21 distinct texts, threshold ")
    assert result.stderr == cut
    assert "| knn |" in (tmp_path / "models" / "t" / "README.md").read_text()

    output = tmp_path / "out.csv"
    result = run("score", capture, "--model", "t", "--output", output, "--json")
    assert result.stderr == cut
    told = json.loads(result.stdout)
    rows = pl.read_csv(output)
    assert told["n_flows"] == len(rows) == 30
    assert told["n_flagged"] == rows["is_anomaly"].sum()
    assert {"source", "packets", "score", "knn", "likelihood"} <= set(rows.columns)

    labels = tmp_path / "labels.csv"
    kind = pl.when(pl.col("source_port") % 2 == 0).then(pl.lit("even")).otherwise(pl.lit("benign"))
    rows.with_columns(kind.alias("label")).head(29).write_csv(labels)
    result = run(
        "finetune", capture, "--labels", labels, "--task", "parity", "--model", "t", "--name", "u", "--max-steps", 2
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("u: 14 flows, ") and "parity: benign, even" in result.stdout
    assert result.stderr == cut
    card = (tmp_path / "models" / "u" / "README.md").read_text()
    assert "- pre-trained on 30 flows without labels, 21 distinct texts" in card
    assert "- taught tasks; scorers fitted anew on 14 of 30 flows, those labelled benign, " in card

    answered = tmp_path / "answers.parquet"
    result = run("classify", capture, "--model", "u", "--task", "parity", "--output", answered, "--json")
    assert sum(json.loads(result.stdout).values()) == 30
    assert result.stderr == cut
    assert pl.read_parquet(answered)["parity_probability"].is_between(0.5, 1).all()
    of_task = json.loads(run("evaluate", capture, "--labels", labels, "--model", "u", "--task", "parity").stdout)
    assert of_task["n"] == 29 and of_task["n_unlabelled"] == 1 and set(of_task["f1"]) == {"benign", "even"}
    result = run("evaluate", capture, "--labels", labels, "--model", "u")
    assert result.stderr == cut
    of_score = json.loads(result.stdout)
    assert of_score["n_abnormal"] == 15 and 0 <= of_score["roc_auc"] <= 1
    shown = run("score", capture, "--model", "u", "--output", output)
    assert shown.exit_code == 0 and shown.stdout.startswith("59 packets, 30 flows, ")
    assert set(pl.read_csv(output)["parity"]) <= {"benign", "even"}


def test_mistakes_are_told_in_one_line(capture: Path, tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
        return result.stderr

    (tmp_path / "empty.pcap").write_bytes(pcap([]))
    (tmp_path / "labels.csv").write_text("source,label\n")
    assert "no flow" in refused("pretrain", tmp_path / "empty.pcap", "--name", "t")
    assert "there is no model" in refused("score", capture, "--model", "nothing")
    assert run("pretrain", capture, "--name", "t", "--max-steps", 1).exit_code == 0
    labels = tmp_path / "labels.csv"
    assert "no column protocol" in refused("evaluate", capture, "--labels", labels, "--model", "t")
    labels.write_text("protocol,source,source_port,destination,destination_port,label\ntcp,a,1,b,2,x\n")
    assert "names none of the 30 flows" in refused("evaluate", capture, "--labels", labels, "--model", "t")
    assert "no task 'application'" in refused("classify", capture, "--model", "t", "--task", "application")


@pytest.mark.parametrize(
    "task", ["protocol", "knn", "score", "context", "flow_no", "size_1", " ", "is_anomaly", "verdict"]
)
def test_a_task_named_as_a_column_is_refused_before_anything_is_read(model: str, task: str) -> None:
    result = run("finetune", "nowhere.pcap", "--labels", "nowhere.csv", "--task", task, "--model", model, "--name", "u")
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: no task can be called {task!r}: its answers need columns that scored flows do not have already; "
        "choose another name\n"
    )


@pytest.mark.parametrize("command", [["score"], ["flows"], ["classify", "--model", "t", "--task", "kind"]])
def test_where_results_cannot_go_is_said_before_the_work(command: list[str], tmp_path: Path) -> None:
    result = run(*command, "nowhere.pcap", "--output", tmp_path / "nowhere" / "out.csv")
    assert result.exit_code == 1 and "there is no folder" in result.stderr
    capture = write_capture(tmp_path).rename(tmp_path / "capture.csv")
    result = run(*command, capture, "--output", capture)
    assert result.exit_code == 1 and "it is what is read" in result.stderr


def test_steps_of_teaching_are_its_own(model: str, capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taught: list[FlowDetector] = []
    monkeypatch.setattr(FlowDetector, "teach", lambda detector, *_, **__: taught.append(detector))
    labels = capture.with_name("flows.csv")
    run("flows", capture, "--output", labels)
    for steps in ((), ("--max-steps", 7)):
        result = run(
            "finetune", capture, "--labels", labels, "--column", "source_port", "--task", "port", "--model", model,
            "--name", "u", *steps,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    assert TINY.max_steps == 3
    assert [detector.config.max_steps for detector in taught] == [300, 7]


def test_few_verdicts_leave_the_scorers_all_flows_but_those_judged_abnormal(
    model: str, capture: Path, tmp_path: Path
) -> None:
    run("flows", capture, "--output", tmp_path / "flows.csv")
    said = pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("normal")).when(pl.int_range(pl.len()) < 5)
    labels = pl.read_csv(tmp_path / "flows.csv").with_columns(verdict=said.then(pl.lit("abnormal")))
    labels.write_csv(tmp_path / "flows.csv")
    result = run(
        "finetune", capture, "--labels", tmp_path / "flows.csv", "--column", "verdict", "--task", "judged",
        "--model", model, "--name", "u", "--max-steps", 1, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["n_flows"] == 28
    assert "scorers fitted anew on 28 of 30 flows, " in (tmp_path / "models" / "u" / "README.md").read_text()


def test_labels_that_contradict_each_other_are_told(model: str, capture: Path) -> None:
    labels = capture.with_name("labels.csv")
    rows = [f"udp,192.0.2.1,{40_000 + number},192.0.2.2,13," for number in range(4)]
    labels.write_text(
        "protocol,source,source_port,destination,destination_port,label\n"
        + "".join(f"{row}{label}\n" for row, label in zip([*rows, rows[0]], "01011", strict=True))
    )
    result = run("evaluate", capture, "--labels", labels, "--model", model)
    assert result.stderr == (
        f"note: {labels}: 1 flows are named by rows whose labels differ, and got none; add the column first_utc of: "
        "traffic flows --output\n"
    )
    found = json.loads(result.stdout)
    assert (found["n"], found["n_abnormal"], found["n_unlabelled"]) == (3, 2, 27)


IN_A_JOB = """
import dataclasses, sys
from core import flow_detector, workbench
from core.config import TrafficConfig
flow_detector.TrafficConfig = lambda: TrafficConfig(preset="tiny", max_steps=2)
workbench.run_job(sys.argv[1])
"""


def test_a_job_learns_a_model_and_tells_what_was_left_out(
    capture: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture.write_bytes(capture.read_bytes()[:-1])
    started = jobs.start
    monkeypatch.setattr(jobs, "start", lambda *given: started(*given, command=[sys.executable, "-c", IN_A_JOB]))
    job = jobs.wait(workbench.start_pretraining(capture, "office"), 60)
    assert (job.state, job.message, job.title) == ("done", "", "Learn office from a.pcap")
    note = f"the capture is cut inside this packet: 1, the first at packet 60 of {capture}"
    assert job.result == {"flow_model": "office", "notes": [note]}
    assert [name for name, _, _ in workbench.measured(job.job_id)][:2] == ["train_loss", "held_back_loss"]
    [model] = workbench.flow_models()
    assert (model.name, model.n_flows, model.error, model.is_shipped) == ("office", 30, None, False)
    assert workbench.model_details("office").card.startswith("# office\n")
    assert workbench.score_flows([capture], "office").n_flows == 30


def test_verdicts_on_flows_are_taught_to_a_copy_of_the_model(
    model: str, capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = workbench.score_capture([capture], model).run_id
    with pytest.raises(WorkbenchError, match=r"no flow of a\.pcap is judged abnormal or normal; judge some of both"):
        workbench.teach_verdicts(run_id, "u")
    workbench.set_flow_verdict(run_id, [1, 2, 3], "normal")
    workbench.set_flow_verdict(run_id, [4, 5], "abnormal")
    workbench.set_flow_verdict(run_id, [6], "unsure")
    module = importlib.import_module("core.workbench.flow_verdicts")
    monkeypatch.setattr(module, "finetune", functools.partial(captures.finetune, max_steps=1))
    taught = workbench.teach_verdicts(run_id, "u")
    assert (taught.name, taught.n_flows, taught.tasks) == ("u", 28, {"judged": ("abnormal", "normal")})
    again = workbench.score_capture([capture], "u")
    assert again.tasks == ["judged"]
    assert len(workbench.flow_verdicts(again.run_id)) == 6  # found again
    tasks = workbench.teach_verdicts(again.run_id, "v").tasks
    assert list(tasks) == ["judged", "judged_2"]
    assert not list(reports.exports_folder().iterdir())


def test_a_capture_scored_against_itself_has_no_model_to_teach(tmp_path: Path) -> None:
    run_id = store_flow_run("r1", tmp_path, model=None)
    with pytest.raises(WorkbenchError, match="was scored against itself"):
        workbench.teach_verdicts(run_id, "u")


def test_cancelled_leaves_nothing(capture: Path, tmp_path: Path) -> None:
    def stop(step: str, done: int, total: int) -> None:
        if step.startswith("fitting"):
            raise JobCancelled

    with pytest.raises(JobCancelled):
        workbench.pretrain([capture], "t", TINY, progress=stop)
    assert not list(tmp_path.glob("models/*"))
    workbench.pretrain([capture], "t", TINY)
    assert [path.name for path in tmp_path.glob("models/*")] == ["t"]

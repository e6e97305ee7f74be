"""benchmarks.traffic: what its splits keep apart, what its options change, NetGPT's rows on a few flows."""

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("sklearn")

from benchmarks import traffic, traffic_rows
from benchmarks.labelled_flows import TaskSet, folds, tasks
from benchmarks.traffic_rows import TITLES, Bench
from core.ingest.flows import flow_statistics, read_flows
from core.networks.answers import GENERATION, Tasks
from core.networks.netgpt import NetGpt
from core.tokenization.hex_text import FIRST_BYTE
from core.training.answering import finetune as core_finetune
from core.training.causal import Texts

ROOT = Path(__file__).resolve().parents[1]
QUICK = "--pretrain-steps 1 --epochs 0.1 --least-steps 1 --max-tokens 60 --seeds 0"


def options(kept: Path, extra: str = "") -> argparse.Namespace:
    return traffic.arguments().parse_args(f"--kept {kept} {QUICK} {extra}".split())


@pytest.fixture(scope="module")
def labelled() -> tuple[pl.DataFrame, list]:
    """48 flows of our own recording in 12 groups and 3 sources, every second one an attack."""
    flows = [flow for flow, _ in zip(read_flows([ROOT / "sample_logs/traffic/val.pcap.gz"]), range(48), strict=False)]
    rows = [
        {
            "set": "attack_licensed",
            "label_device": "",
            "label_proto": "",
            "label_brand": "",
            "label_attack": str(number % 2),
            "attack_class": ("", "scan", "", "flood")[number % 4],
            "group": f"g{number // 4}",
            "source": f"s{number // 16}",
            "statistics": [float(value) for value in flow_statistics(flow).values()],
        }
        for number, flow in enumerate(flows)
    ]
    return pl.DataFrame(rows), flows


@pytest.fixture
def known(labelled: tuple[pl.DataFrame, list]) -> dict[str, TaskSet]:
    found = tasks(labelled[0], folds(labelled[0]), None)
    return {name: found[name] for name in ("attack", "class")}


@pytest.fixture
def attack(known: dict[str, TaskSet]) -> TaskSet:
    return known["attack"]


def test_no_split_learns_from_or_pretrains_on_what_it_tests(
    labelled: tuple[pl.DataFrame, list], attack: TaskSet
) -> None:
    table, fold = labelled[0], folds(labelled[0])
    groups, sources = table["group"].to_numpy(), table["source"].to_numpy()
    for by, apart in (("group", groups), ("inner", groups), ("source", sources)):
        parts = traffic.splits(by, [0, 1, 2], table, fold, attack)
        assert len(parts) == {"group": 3, "inner": 1, "source": 3}[by]
        for part in parts:
            assert part.tested.any()
            assert part.learnt.any()
            assert not set(apart[part.tested]) & set(apart[part.learnt])
            if by != "inner":
                assert part.unread[part.tested].all()
            else:
                assert not (part.tested | part.learnt)[fold == 0].any()
                assert part.unread[fold == 0].all()


def test_a_cap_is_spread_over_groups_of_all_sources(labelled: tuple[pl.DataFrame, list]) -> None:
    capped = tasks(labelled[0], folds(labelled[0]), 6)["attack"]
    assert np.unique(capped.labels, return_counts=True)[1].tolist() == [6, 6]
    assert labelled[0]["group"].gather(capped.rows[capped.labels == "attack"]).n_unique() == 6
    assert labelled[0]["source"].gather(capped.rows).n_unique() == 3


def test_options_change_what_is_read(labelled: tuple[pl.DataFrame, list], attack: TaskSet, tmp_path: Path) -> None:
    table, flows = labelled
    rows = attack.rows[:4]

    def texts(extra: str) -> list:
        return Bench(options(tmp_path, extra), True, table, flows, {}).texts(rows)

    plain, wide = texts(""), texts("--unit-bytes 2")
    assert max(max(text.ids) for text in wide) > FIRST_BYTE + 256 > max(max(text.ids) for text in plain)
    assert [set(text.segments) for text in texts("--no-segments")] == [{0}] * 4
    told = texts("--statistics")
    assert all(len(text.ids) == len(text.segments) == len(text.offsets) <= 60 for text in told)
    n_numbers = len(flow_statistics(flows[0]))
    assert all(one.ids[n_numbers:] == other.ids[: 60 - n_numbers] for one, other in zip(told, plain, strict=True))

    bench = Bench(options(tmp_path, "--no-prompts"), True, table, flows, {})
    network, known_tasks = bench._random(0)
    prompt = known_tasks.prompt(plain[0].ids, plain[0].segments, GENERATION, network.config)
    assert prompt.ids.tolist() == plain[0].ids

    hiding = Bench(options(tmp_path, "--hidden-share 0.5"), True, table, flows, {})
    first, second = (hiding._hidden_in(plain, epoch, 0)[0].ids for epoch in (0, 1))
    assert first != plain[0].ids != second != first


def test_a_curve_of_few_labels_stands_in_one_cell(
    labelled: tuple[pl.DataFrame, list], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = options(tmp_path, "--rows trees")
    benches = [Bench(asked, True, *labelled, {}, learn_per_class=few) for few in (5, 20)]
    columns = [{"attack": {"trees": f"{mean} ± 0.010"}, "class": {"trees": "0.300 ± 0.000"}} for mean in (0.25, 0.5)]
    traffic.print_means(columns, benches, "group")
    printed = capsys.readouterr().out
    assert "macro-F1, masked, by group, 5 · 20 flows a class learnt" in printed
    assert f"| {TITLES['trees']} | 0.25 · 0.5 | 0.300 · 0.300 |" in printed
    traffic.print_means(columns[:1], benches[:1], "group")
    assert f"| {TITLES['trees']} | 0.25 ± 0.010 | 0.300 ± 0.000 |" in capsys.readouterr().out
    traffic.print_means([{"attack": columns[0]["attack"]}], benches[:1], "group")  # its own table says it
    assert capsys.readouterr().out == ""


def test_ablations_take_one_thing_away_each(
    labelled: tuple[pl.DataFrame, list], attack: TaskSet, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    bench = Bench(options(tmp_path, "--ablations --seeds 0 1"), True, *labelled, {})
    plain, taken = bench.settings("finetuned"), {}

    def measured(bench: Bench, row: str, task: TaskSet, parts: list, seed: int) -> traffic.Answers:
        changed = {name for name, value in bench.settings("finetuned").items() if value != plain[name]}
        taken[row, *sorted(changed)] = seed
        labels, apart = np.array(["a", "b"]), np.zeros(2, bool)
        predicted = labels if seed == 0 else labels[::-1]
        return traffic.Answers(labels, predicted, np.zeros(2), labels, ~apart, apart)

    monkeypatch.setattr(traffic, "measured", measured)
    traffic.print_ablations(bench, [attack], folds(labelled[0]))
    sizes = ("batch_tokens", "max_tokens", "teaching_tokens", "unit_bytes")
    assert set(taken) == {
        ("finetuned",), ("scratch",), ("finetuned", "shuffle"), ("finetuned", "no_segments"),
        ("finetuned", "no_prompts"), ("finetuned", *sizes),
    }  # fmt: skip
    printed = capsys.readouterr().out
    assert [line.split(" | ") for line in printed.splitlines() if "±" in line] == [
        [f"| {name}", "0.500 ± 0.500 |"] for name in traffic.ABLATIONS
    ]


def test_few_labels_are_spread_over_groups(
    labelled: tuple[pl.DataFrame, list], attack: TaskSet, tmp_path: Path
) -> None:
    bench = Bench(options(tmp_path, ""), True, *labelled, {}, learn_per_class=3)
    few = bench._few(attack, np.arange(24), 0)
    assert np.unique(attack.labels[few], return_counts=True)[1].tolist() == [3, 3]
    groups = labelled[0]["group"].gather(attack.rows[few][attack.labels[few] == "attack"])
    assert groups.n_unique() == 3


def test_rows_of_netgpt_are_measured_and_read_back(
    labelled: tuple[pl.DataFrame, list], attack: TaskSet, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    table, flows = labelled
    bench = Bench(
        options(tmp_path, "--readings 2 --hidden-share 0.1 --statistics --rows averaged seeds scratch"),
        True,
        table,
        flows,
        {},
    )
    parts = traffic.splits("inner", [], table, folds(table), attack)
    traffic.report(bench, attack, parts, "inner")
    first = capsys.readouterr().out
    assert all(f"| {title} | " in first for title in (TITLES["averaged"], TITLES["seeds"], TITLES["scratch"]))
    monkeypatch.setattr(bench, "predict", None)  # all of it is stored
    traffic.report(bench, attack, parts, "inner")
    again = capsys.readouterr().out
    assert again in first


def test_one_network_learns_all_tasks_at_once(
    labelled: tuple[pl.DataFrame, list], known: dict[str, TaskSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(options(tmp_path), True, *labelled, known)
    taught = []

    def finetune(network: NetGpt, tasks: Tasks, texts: Texts, labels: dict, *rest: object, **named: object) -> tuple:
        taught.append({name: len(of_flows) - of_flows.count(None) for name, of_flows in labels.items()})
        return core_finetune(network, tasks, texts, labels, *rest, **named)

    monkeypatch.setattr(traffic_rows, "finetune", finetune)
    [part] = traffic.splits("inner", [], labelled[0], folds(labelled[0]), known["attack"])
    answers = {name: bench.predict("joint", task, part, 0) for name, task in known.items()}
    assert taught == [{name: part.learnt[task.rows].sum() for name, task in known.items()}]
    assert {name: p.shape for name, p in answers.items()} == {
        name: (part.tested[task.rows].sum(), 2) for name, task in known.items()
    }
    again = Bench(options(tmp_path), True, *labelled, known)  # as one that was cut
    assert np.array_equal(again.predict("joint", known["attack"], part, 0), answers["attack"])
    assert again.predict("joint_frozen", known["class"], part, 0).shape == answers["class"].shape
    assert len(taught) == 1

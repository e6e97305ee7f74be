"""What NetGPT knows of traffic, against trees that read the same bytes: macro-F1 by group, masked and raw.

    python -m benchmarks.traffic [--data ../shared/data/pcaps] [--tasks device attack] [--rows trees finetuned]
        [--seeds 0 1 2] [--inputs masked raw] [--folds 0 1 2] [--by group source inner] [--flows-per-class 200]
        [--learn-per-class 5 20 100] [--ablations] [--leak]

Splits are by group (captures that share content), so that no flow of a test capture is learnt from, nor pre-trained
on: each fold has a network of its own, pre-trained without labels on all flows of the other folds; seeds change what
is learnt from labels, the folds what is pre-trained. `--by source` leaves out one repository of captures after another,
for attack yes/no, with one network that has read nothing of any repository that is tested. `--by inner` is for choosing
options: fold 1 is tested after learning from fold 2, with fold 0's network; fold 0 is left alone.

Intervals are 95 %, over groups drawn again. "new" counts only test flows whose masked text no learnt flow had. Of
attack yes/no, the benign flows of captures that show an attack are kept apart: "background" tells them from attacks,
which one who has learnt the captures' origin cannot. Predictions and networks are stored in `--kept` as they are done,
so that a run can be cut and taken up.

Ablations, all in one table with `--ablations`: `--rows scratch` (no pre-training), `--shuffle never`, `--no-segments`
(packets are not numbered), `--no-prompts` (neither task nor [mask]), `--unit-bytes 2` (the paper's; its vocabulary of
65,536 takes five times as long, ten times without `--compile`), `--statistics` (a flow's 40 numbers as its first
tokens). The curve of few labels: `--learn-per-class 5 20 100`, with the same flows tested.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import f1_score, roc_auc_score

from benchmarks.labelled_flows import N_FOLDS, TaskSet, folds, labelled_flows, tasks
from benchmarks.traffic_rows import AVERAGED, TITLES, TREE_BYTES, TREE_PACKETS, Bench, Split, compile_training, digest
from core.networks.netgpt import PRESETS

ROOT = Path(__file__).resolve().parents[1]
RESAMPLES = 300
ABLATIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "no pre-training": {},  # row `scratch`
    "fields never shuffled": {"shuffle": "never"},
    "packets not numbered": {"no_segments": True},
    "no prompts": {"no_prompts": True},
    "two bytes a token": {"unit_bytes": 2, "max_tokens": 160, "batch_tokens": 2_048, "teaching_tokens": 2_048},
}


@dataclasses.dataclass
class Answers:
    """Predictions of one row for one task, of the splits that are done."""

    labels: np.ndarray
    predicted: np.ndarray
    scores: np.ndarray  # of the last class in order: "benign" for attack yes/no
    groups: np.ndarray
    new: np.ndarray
    background: np.ndarray

    def macro_f1(self, rows: np.ndarray) -> float:
        """Of some flows, over the classes they are of."""
        labels = self.labels[rows]
        return float(f1_score(labels, self.predicted[rows], labels=np.unique(labels), average="macro", zero_division=0))

    def interval(self) -> tuple[float, float]:
        """Macro-F1 of groups drawn again; a class that a draw leaves out is not counted in it."""
        draw = np.random.default_rng(0)
        members = [np.flatnonzero((self.groups == group) & ~self.background) for group in np.unique(self.groups)]
        found = [
            self.macro_f1(np.concatenate([members[at] for at in draw.integers(0, len(members), len(members))]))
            for _ in range(RESAMPLES)
        ]
        low, high = np.percentile(found, [2.5, 97.5])
        return float(low), float(high)


def new_texts(bench: Bench, task: TaskSet, split: Split) -> np.ndarray:
    """[M] whether no learnt flow of the task has a tested flow's text."""
    tested, known = split.tested[task.rows], split.learnt[task.rows]
    texts = [tuple(text.ids) for text in bench.texts(task.rows)]
    learnt = {text for text, is_learnt in zip(texts, known, strict=True) if is_learnt}
    return np.array([text not in learnt for text, out in zip(texts, tested, strict=True) if out], bool)


def splits(by: str, chosen: Sequence[int], table: pl.DataFrame, fold: np.ndarray, task: TaskSet) -> list[Split]:
    """The chosen folds; each source that has both attacks and benign flows; or fold 1 from 2."""
    if by == "group":
        return [Split(f"fold-{n}", fold == n, fold != n, f"fold-{n}", fold == n) for n in chosen]
    if by == "inner":
        return [Split("fold-1-from-2", fold == 1, fold == 2, "fold-0", fold == 0)]
    source = table["source"].to_numpy()
    both = [
        name
        for name in sorted(set(source[task.rows]))
        if len(set(task.labels[source[task.rows] == name])) > 1 and len(set(task.labels[source[task.rows] != name])) > 1
    ]
    unread = np.isin(source, both)
    return [
        Split(f"without-{name.replace('/', '+')}", source == name, source != name, "other-sources", unread)
        for name in both
    ]


def measured(bench: Bench, row: str, task: TaskSet, parts: Sequence[Split], seed: int) -> Answers:
    """Predictions of every split, made or read back."""
    classes = np.array(sorted(set(task.labels)))
    found = []
    for split in parts:
        p = predicted(bench, row, task, split, seed)
        tested = split.tested[task.rows]
        groups = bench.table["group"].gather(task.rows[tested]).to_numpy()
        new = new_texts(bench, task, split)
        found.append((task.labels[tested], classes[p.argmax(1)], p[:, -1], groups, new, task.background[tested]))
    return Answers(*(np.concatenate(column) for column in zip(*found, strict=True)))


def predicted(bench: Bench, row: str, task: TaskSet, split: Split, seed: int) -> np.ndarray:
    """[M, L] probabilities of the task's sorted labels for the split's tested flows, made or read back."""
    if row == "seeds":  # the same for each seed
        return np.mean([predicted(bench, "finetuned", task, split, one) for one in bench.options.seeds], axis=0)
    if row in AVERAGED:
        return np.mean([predicted(bench, name, task, split, seed) for name in ("finetuned", AVERAGED[row])], axis=0)
    settings = bench.settings(row)
    name = f"{row}-{task.name}-{split.name}-{'masked' if bench.masked else 'raw'}-{seed}-{digest(settings)}"
    path = bench.options.kept / f"answers-{name}.json"
    if not path.exists():
        started = time.perf_counter()
        p = bench.predict(row, task, split, seed)
        part = path.with_suffix(".tmp")
        part.write_text(json.dumps({"settings": settings, "p": np.round(p, 5).tolist()}))
        part.replace(path)
        print(f"  {task.name}, {TITLES[row]}, {split.name}: {time.perf_counter() - started:.0f} s", flush=True)
    return np.array(json.loads(path.read_text())["p"])


def leak(bench: Bench, task: TaskSet, fold: np.ndarray) -> str:
    """Trees that name the device of single packets: by random packet, and by group."""
    flow_of, matrix = [], []
    for number, row in enumerate(task.rows):
        for packet in bench.flows[row].packets[:TREE_PACKETS]:
            flow_of.append(number)
            data = np.frombuffer(packet.data[:TREE_BYTES], np.uint8)
            matrix.append(np.pad(data, (0, TREE_BYTES - len(data))))
    x, y, flow_of = np.array(matrix), task.labels[flow_of], np.array(flow_of)
    by_packet = np.random.default_rng(0).integers(0, N_FOLDS, len(x))
    by_group = fold[task.rows][flow_of]
    scores = []
    for split in (by_packet, by_group):
        model = ExtraTreesClassifier(100, random_state=0, n_jobs=2).fit(x[split != 0], y[split != 0])
        scores.append(f1_score(y[split == 0], model.predict(x[split == 0]), average="macro"))
    return f"single raw packets to devices, ExtraTrees: {scores[0]:.3f} by random packet, {scores[1]:.3f} by group"


def arguments() -> argparse.ArgumentParser:
    """What the command line takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "pcaps")
    parser.add_argument("--tasks", nargs="+", default=["device", "protocol", "brand", "attack", "class"])
    parser.add_argument("--rows", nargs="+", default=list(TITLES), choices=TITLES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--inputs", nargs="+", default=["masked", "raw"], choices=("masked", "raw"))
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(N_FOLDS)))
    parser.add_argument("--by", nargs="+", default=["group", "source"], choices=("group", "source", "inner"))
    parser.add_argument("--flows-per-class", type=int, help="at most, spread over its groups; all where not given")
    parser.add_argument("--learn-per-class", nargs="+", type=int, help="of these, at most so many are learnt from")
    parser.add_argument("--ablations", nargs="*", choices=ABLATIONS, help="in place of --rows; all where none is named")
    parser.add_argument("--leak", action="store_true", help="show what a split by random packet would claim")
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "tinylogbert-traffic")
    netgpt = parser.add_argument_group("NetGPT")
    netgpt.add_argument("--preset", default="small", choices=list(PRESETS))
    netgpt.add_argument("--compile", action="store_true", help="train a third faster; needs a C++ compiler")
    netgpt.add_argument("--max-tokens", type=int, default=256)
    netgpt.add_argument("--max-packets", type=int, default=8)
    netgpt.add_argument("--unit-bytes", type=int, default=1, choices=(1, 2))
    netgpt.add_argument("--shuffle", default="half", choices=("always", "half", "never"), help="fields, by epoch")
    netgpt.add_argument("--statistics", action="store_true", help="a flow's numbers as its first tokens")
    netgpt.add_argument("--no-segments", action="store_true", help="do not number packets")
    netgpt.add_argument("--no-prompts", action="store_true", help="flows alone, answered at their end")
    netgpt.add_argument("--batch-tokens", type=int, default=8_192, help="of pre-training")
    netgpt.add_argument("--pretrain-steps", type=int, default=1_000)
    netgpt.add_argument("--epochs", type=float, default=12, help="of fine-tuning")
    netgpt.add_argument("--teaching-tokens", type=int, default=4_096, help="of a batch of fine-tuning")
    netgpt.add_argument("--least-steps", type=int, default=60, help="of fine-tuning, where there are few flows")
    netgpt.add_argument("--learning-rate", type=float, default=5e-4, help="of fine-tuning")
    netgpt.add_argument("--balance", type=float, default=0.5, help="1 weighs every label alike, 0 every flow")
    netgpt.add_argument("--causal-share", type=float, default=0.0, help="of pre-training's loss in fine-tuning")
    netgpt.add_argument("--hidden-share", type=float, default=0.0, help="of bytes hidden at random in fine-tuning")
    netgpt.add_argument("--readings", type=int, default=1, help="answers averaged, all but one with shuffled fields")
    return parser


def main() -> None:
    options = arguments().parse_args()
    if not options.data.exists():
        raise SystemExit(f"{options.data}: not here; this benchmark needs the shared captures")
    options.kept.mkdir(parents=True, exist_ok=True)
    if options.compile:
        compile_training()
    table, flows = labelled_flows(options.data)
    fold = folds(table)
    known = tasks(table, fold, options.flows_per_class)
    chosen = {name: task for name, task in known.items() if name in options.tasks}
    for masked in [name == "masked" for name in options.inputs]:
        benches = [Bench(options, masked, table, flows, known, few) for few in options.learn_per_class or [None]]
        if options.leak and "device" in chosen and not masked:
            print(leak(benches[0], chosen["device"], fold))
        if options.ablations is not None:
            print_ablations(benches[0], list(chosen.values()), fold)
            continue
        for by in options.by:
            asked = [task for task in chosen.values() if by != "source" or task.name == "attack"]
            columns = [
                {task.name: report(bench, task, splits(by, options.folds, table, fold, task), by) for task in asked}
                for bench in benches
            ]
            print_means(columns, benches, by)


def print_ablations(bench: Bench, asked: Sequence[TaskSet], fold: np.ndarray) -> None:
    """NetGPT taught by group, without one thing after another: a table over tasks."""
    rows: dict[str, list[str]] = {}
    for name in bench.options.ablations or ABLATIONS:
        options = argparse.Namespace(**vars(bench.options) | ABLATIONS[name])
        without = Bench(options, bench.masked, bench.table, bench.flows, bench.tasks)
        row = "scratch" if name == "no pre-training" else "finetuned"
        rows[name] = []
        for task in asked:
            parts = splits("group", options.folds, bench.table, fold, task)
            answers = [measured(without, row, task, parts, seed) for seed in options.seeds]
            means = [answer.macro_f1(~answer.background) for answer in answers]
            rows[name].append(f"{np.mean(means):.3f} ± {np.std(means):.3f}")
    shown = "masked" if bench.masked else "raw"
    print(
        f"\nmacro-F1, {shown}, by group, folds {bench.options.folds}, seeds {bench.options.seeds}: fine-tuned NetGPT\n"
    )
    print(markdown(["without", *(task.name for task in asked)], rows), flush=True)


def print_means(columns: list[dict[str, dict[str, str]]], benches: Sequence[Bench], by: str) -> None:
    """One table over all tasks; where several numbers of flows were learnt from, a cell holds the curve."""
    names, first = list(columns[0]), benches[0]
    curve = [str(bench.learn_per_class) for bench in benches] if len(benches) > 1 else []
    if len(names) == 1 and not curve:
        return

    def cell(name: str, row: str) -> str:
        found = [column[name][row] for column in columns]
        return " · ".join(value.split(" ")[0] for value in found) if curve else found[0]

    learnt = f", {' · '.join(curve)} flows a class learnt" if curve else ""
    print(f"\nmacro-F1, {'masked' if first.masked else 'raw'}, by {by}{learnt}\n")
    rows = {TITLES[row]: [cell(name, row) for name in names] for row in first.options.rows}
    print(markdown(["row", *names], rows))


def markdown(names: Sequence[str], rows: dict[str, list[str]]) -> str:
    """A table, a line each row."""
    lines = [f"| {' | '.join([title, *cells])} |" for title, cells in rows.items()]
    return "\n".join([f"| {' | '.join(names)} |", "|" + "---|" * len(names), *lines])


def report(bench: Bench, task: TaskSet, parts: list[Split], by: str) -> dict[str, str]:
    """Print the table of one task; macro-F1 of each row, and how far it goes up and down with the seeds."""
    rows, found = {}, {}
    for row in bench.options.rows:
        answers = [measured(bench, row, task, parts, seed) for seed in bench.options.seeds]
        means = [answer.macro_f1(~answer.background) for answer in answers]
        new = [answer.macro_f1(answer.new & ~answer.background) for answer in answers]
        low, high = answers[0].interval()
        found[row] = f"{np.mean(means):.3f} ± {np.std(means):.3f}"
        cells = [found[row], f"{low:.3f} to {high:.3f}", f"{np.mean(new):.3f}"]
        if task.name == "attack":
            apart = [_within_captures(answer) for answer in answers]
            cells += [f"{np.mean([f1 for f1, _ in apart]):.3f}", f"{np.mean([auc for _, auc in apart]):.3f}"]
        rows[TITLES[row]] = cells
    first = answers[0]
    few = f", {bench.learn_per_class} learnt of each" if bench.learn_per_class else ""
    names = ["row", "macro-F1 ± seeds", "95 % over groups", "new"]
    names += ["background, macro-F1", "background, ROC-AUC"] if task.name == "attack" else []
    print(
        f"\n{task.name}, {'masked' if bench.masked else 'raw'}, by {by}: {len(task.rows)} flows, "
        f"{len(set(task.labels))} classes{few}; {', '.join(part.name for part in parts)} tested: {len(first.labels)} "
        f"flows ({first.new.sum()} new), {len(set(first.groups))} groups, seeds {bench.options.seeds}\n"
    )
    print(markdown(names, rows), flush=True)
    return found


def _within_captures(answers: Answers) -> tuple[float, float]:
    """Macro-F1 and ROC-AUC of the attacks against the benign flows of the same captures."""
    rows = answers.background | (answers.labels == "attack")
    if not answers.background.any():
        return float("nan"), float("nan")
    return answers.macro_f1(rows), float(roc_auc_score(answers.labels[rows] == "benign", answers.scores[rows]))


if __name__ == "__main__":
    main()

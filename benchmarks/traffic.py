"""What NetGPT knows of traffic, against trees that read the same bytes: macro-F1 by group, masked and raw.

    python -m benchmarks.traffic [--data ../shared/data/pcaps] [--tasks device attack] [--rows trees finetuned]
        [--seeds 0 1 2] [--inputs masked raw] [--folds 0 1 2] [--by group source] [--flows-per-class 200] [--leak]

Splits are by group (captures that share content), so that no flow of a test capture is learnt from, nor pre-trained
on: each fold has a network of its own, pre-trained without labels on all flows of the other folds. `--by source`
leaves out one repository of captures after another, for attack yes/no.

Intervals are 95 %, over groups drawn again. "new" counts only test flows whose masked text no learnt flow had. Of
attack yes/no, the benign flows of captures that show an attack are kept apart: "background" tells them from attacks,
which one who has learnt the captures' origin cannot. Predictions and networks are stored in `--kept` as they are done,
so that a run can be cut and taken up.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.labelled_flows import N_FOLDS, TaskSet, folds, labelled_flows, tasks
from core.networks.answers import GENERATION, PROMPT_TOKENS, Tasks
from core.networks.flow_encoder import FlowEncoder
from core.networks.netgpt import PRESETS, NetGpt, NetGptConfig, random_netgpt
from core.records import Flow
from core.tokenization.hex_text import FIRST_BYTE, MASK, TSK, FlowTokenizer, FlowTokens
from core.training.answering import AnsweringConfig, finetune
from core.training.causal import distinct, pretrain
from core.training.loop import LoopConfig

ROOT = Path(__file__).resolve().parents[1]
TREE_PACKETS, TREE_BYTES = 3, 64
RESAMPLES = 300
ROWS = "trees", "statistics", "neighbour", "frozen", "finetuned", "scratch"
TITLES = {
    "trees": f"ExtraTrees, first {TREE_PACKETS} packets x {TREE_BYTES} bytes",
    "statistics": "LightGBM, flow statistics",
    "neighbour": "1-NN, the same bytes",
    "frozen": "NetGPT, frozen, logistic regression",
    "finetuned": "NetGPT, fine-tuned",
    "scratch": "NetGPT, from scratch",
}


@dataclasses.dataclass(frozen=True)
class Split:
    """What is tested; all else is learnt from.

    Attributes:
        name: of the split, for stored files.
        tested: [N] bool of the table's flows.
    """

    name: str
    tested: np.ndarray


class Bench:
    """Flows in one form of input, and the rows that are measured on them."""

    def __init__(self, options: argparse.Namespace, masked: bool, table: pl.DataFrame, flows: Sequence[Flow]) -> None:
        self.options = options
        self.masked = masked
        self.table = table
        self.flows = flows
        self.tokenizer = FlowTokenizer(masked=masked, max_tokens=options.max_tokens, max_packets=options.max_packets)
        self._texts: dict[int, FlowTokens] = {}

    def texts(self, rows: np.ndarray, shuffle_seed: int | None = None) -> list[FlowTokens]:
        """Tokens of flows; with a seed, their fields in another order."""
        if shuffle_seed is not None:
            tokenizer = dataclasses.replace(self.tokenizer, shuffle_seed=shuffle_seed)
            return [tokenizer.encode(self.flows[row]) for row in rows]
        for row in rows:
            if row not in self._texts:
                self._texts[row] = self.tokenizer.encode(self.flows[row])
        return [self._texts[row] for row in rows]

    def bytes_of(self, rows: np.ndarray) -> np.ndarray:
        """[N, 3 * 64] uint8: what the tokenizer shows of the first packets, 0 where it hides or has none."""
        tokenizer = FlowTokenizer(
            masked=self.masked, max_tokens=10_000, max_packets=TREE_PACKETS, payload_bytes=TREE_BYTES
        )
        found = np.zeros((len(rows), TREE_PACKETS, TREE_BYTES), np.uint8)
        for number, row in enumerate(rows):
            text = tokenizer.encode(self.flows[row])
            for token, packet, offset in zip(text.ids, text.segments, text.offsets, strict=True):
                if token >= FIRST_BYTE and 0 <= offset < TREE_BYTES:
                    found[number, packet - 1, offset] = token - FIRST_BYTE
        return found.reshape(len(rows), -1)

    def predict(self, row: str, task: TaskSet, split: Split, seed: int) -> np.ndarray:
        """[M, L] probabilities of the task's sorted labels for its tested flows; learnt from its others."""
        tested = split.tested[task.rows]
        learnt_rows, labels, asked = task.rows[~tested], task.labels[~tested], task.rows[tested]
        classes = sorted(set(task.labels))
        if row in ("frozen", "finetuned", "scratch"):
            known, p = self._netgpt(row, task.name, classes, split, learnt_rows, labels, asked, seed)
        elif row == "statistics":
            known, p = _lightgbm(self._statistics(learnt_rows), labels, self._statistics(asked), seed)
        else:
            model = (
                ExtraTreesClassifier(300, class_weight="balanced", random_state=seed, n_jobs=2)
                if row == "trees"
                else KNeighborsClassifier(1, metric="hamming", algorithm="brute")
            )
            model.fit(self.bytes_of(learnt_rows), labels)
            known, p = list(model.classes_), model.predict_proba(self.bytes_of(asked))
        whole = np.zeros((len(asked), len(classes)), np.float32)
        whole[:, [classes.index(label) for label in known]] = p
        return whole

    def _statistics(self, rows: np.ndarray) -> np.ndarray:
        return np.array(self.table["statistics"].gather(rows).to_list())

    def _netgpt(
        self,
        row: str,
        name: str,
        classes: list[str],
        split: Split,
        learnt_rows: np.ndarray,
        labels: np.ndarray,
        asked: np.ndarray,
        seed: int,
    ) -> tuple[list[str], np.ndarray]:
        network, known_tasks = self._random(seed) if row == "scratch" else self.pretrained(split, seed)
        if row == "frozen":
            encoder = FlowEncoder(network)

            def vectors(rows: np.ndarray) -> np.ndarray:
                prompts = [
                    known_tasks.prompt(text.ids, text.segments, GENERATION, network.config) for text in self.texts(rows)
                ]
                encoded = encoder.encode(prompts)
                return np.hstack([encoded.embeddings, encoded.last])

            probe = make_pipeline(
                StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000)
            ).fit(vectors(learnt_rows), labels)
            return list(probe.classes_), probe.predict_proba(vectors(asked))
        options = self.options
        known_tasks = known_tasks.with_task(name, classes)
        n_tokens = sum(len(text.ids) + PROMPT_TOKENS for text in self.texts(learnt_rows))
        steps = max(1, round(options.epochs * n_tokens / options.batch_tokens))
        network, history = finetune(
            network, known_tasks,
            lambda epoch: self.texts(learnt_rows, self._shuffle_seed(epoch, seed)),
            {name: labels.tolist()}, [], {},
            LoopConfig(max_steps=steps, batch_tokens=options.batch_tokens, learning_rate=options.learning_rate),
            AnsweringConfig(causal_share=options.causal_share), seed=seed, progress=_shown(),
            checkpoints=options.kept / f"training-{row}-{name}-{split.name}-{seed}",
        )  # fmt: skip
        print(f"    {steps} steps, loss {history[-1]['train_loss']}, {history[-1]['seconds']} s", flush=True)
        prompts = [known_tasks.prompt(text.ids, text.segments, name, network.config) for text in self.texts(asked)]
        return classes, FlowEncoder(network).answer(prompts, known_tasks[name])

    def _random(self, seed: int) -> tuple[NetGpt, Tasks]:
        known_tasks = Tasks.first(self.tokenizer.vocab_size, TSK, MASK)
        config = NetGptConfig(
            known_tasks.vocab_size, **PRESETS[self.options.preset], max_tokens=self.options.max_tokens + PROMPT_TOKENS
        )
        return random_netgpt(config, seed), known_tasks

    def _shuffle_seed(self, epoch: int, seed: int) -> int | None:
        """Of every epoch, of none, or of every second: tested flows have their fields as they were sent."""
        shuffled = {"always": True, "half": epoch % 2 == 1, "never": False}[self.options.shuffle]
        return 1_000 * seed + epoch if shuffled else None

    def pretrained(self, split: Split, seed: int) -> tuple[NetGpt, Tasks]:
        """A network that has read every flow but the tested, without labels; stored."""
        options = self.options
        network, known_tasks = self._random(seed)
        name = f"pretrained-{'masked' if self.masked else 'raw'}-{split.name}-{seed}-{options.pretrain_steps}"
        folder = options.kept / f"{name}-{options.max_tokens}-{options.max_packets}-{options.preset}-{options.shuffle}"
        if (folder / "tasks.json").exists():
            return NetGpt.load(folder), known_tasks
        rows = np.flatnonzero(~split.tested)
        rows = rows[distinct(self.texts(rows))]
        groups = self.table["group"].gather(rows).to_numpy()
        drawn = np.random.default_rng(seed).permutation(np.unique(groups))
        held_back = np.isin(groups, drawn[: len(drawn) // 20])
        learnt = rows[~held_back]
        print(f"  {name}: {len(learnt)} distinct flows, {held_back.sum()} held back", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        network, history = pretrain(
            network, known_tasks,
            lambda epoch: self.texts(learnt, self._shuffle_seed(epoch, seed)),
            self.texts(rows[held_back][:500]),
            LoopConfig(max_steps=options.pretrain_steps, batch_tokens=options.batch_tokens),
            seed=seed, progress=_shown(), checkpoints=folder / "checkpoints",
        )  # fmt: skip
        print(f"  {name}: {history[-1]}", flush=True)
        network.save(folder)
        known_tasks.save(folder)
        return network, known_tasks


def _lightgbm(learnt: np.ndarray, labels: np.ndarray, asked: np.ndarray, seed: int) -> tuple[list[str], np.ndarray]:
    from lightgbm import LGBMClassifier  # only here: nothing but this row needs it

    model = LGBMClassifier(
        n_estimators=200, class_weight="balanced", min_child_samples=5, random_state=seed, n_jobs=2, verbose=-1
    )
    model.fit(learnt, labels)
    return list(model.classes_), np.asarray(model.predict_proba(asked))


def _shown() -> Callable[[str, int, int], None]:
    """Progress as a line every half minute."""
    told = [time.monotonic()]

    def show(step: str, done: int, total: int) -> None:
        if time.monotonic() - told[0] > 30:
            told[0] = time.monotonic()
            print(f"    {step}: {done} of {total}", flush=True)

    return show


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
    tested = split.tested[task.rows]
    texts = [tuple(text.ids) for text in bench.texts(task.rows)]
    learnt = {text for text, out in zip(texts, tested, strict=True) if not out}
    return np.array([text not in learnt for text, out in zip(texts, tested, strict=True) if out], bool)


def splits(
    options: argparse.Namespace, by: str, table: pl.DataFrame, fold: np.ndarray, task: TaskSet
) -> Iterator[Split]:
    """The folds, or each source that has both attacks and benign flows."""
    if by == "group":
        for number in options.folds:
            yield Split(f"fold-{number}", fold == number)
        return
    source = table["source"].to_numpy()
    for name in sorted(set(source[task.rows])):
        tested = source == name
        if len(set(task.labels[tested[task.rows]])) > 1 and len(set(task.labels[~tested[task.rows]])) > 1:
            yield Split(f"without-{name.replace('/', '+')}", tested)


def measured(bench: Bench, row: str, task: TaskSet, parts: Sequence[Split], seed: int) -> Answers:
    """Predictions of every split, made or read back."""
    options = bench.options
    classes = np.array(sorted(set(task.labels)))
    found = []
    for split in parts:
        settings = [row, task.name, split.name, seed, bench.masked, options.flows_per_class]
        if row in ("frozen", "finetuned", "scratch"):
            settings += [
                options.pretrain_steps, options.epochs, options.learning_rate, options.causal_share, options.shuffle,
                options.max_tokens, options.max_packets, options.preset,
            ]  # fmt: skip
        path = options.kept / ("answers-" + "-".join(str(value) for value in settings) + ".json")
        if path.exists():
            p = np.array(json.loads(path.read_text()))
        else:
            started = time.perf_counter()
            p = bench.predict(row, task, split, seed)
            part = path.with_suffix(".tmp")
            part.write_text(json.dumps(np.round(p, 5).tolist()))
            part.replace(path)
            print(f"  {task.name}, {TITLES[row]}, {split.name}: {time.perf_counter() - started:.0f} s", flush=True)
        tested = split.tested[task.rows]
        groups = bench.table["group"].gather(task.rows[tested]).to_numpy()
        new = new_texts(bench, task, split)
        found.append((task.labels[tested], classes[p.argmax(1)], p[:, -1], groups, new, task.background[tested]))
    return Answers(*(np.concatenate(column) for column in zip(*found, strict=True)))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "pcaps")
    parser.add_argument("--tasks", nargs="+", default=["device", "protocol", "brand", "attack", "class"])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--inputs", nargs="+", default=["masked", "raw"], choices=("masked", "raw"))
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(N_FOLDS)))
    parser.add_argument("--by", nargs="+", default=["group", "source"], choices=("group", "source"))
    parser.add_argument("--flows-per-class", type=int, help="at most, spread over its groups; all where not given")
    parser.add_argument("--preset", default="small", choices=list(PRESETS))
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--max-packets", type=int, default=8)
    parser.add_argument("--pretrain-steps", type=int, default=1_000)
    parser.add_argument("--epochs", type=float, default=12, help="of fine-tuning")
    parser.add_argument("--batch-tokens", type=int, default=8_192)
    parser.add_argument("--learning-rate", type=float, default=5e-4, help="of fine-tuning")
    parser.add_argument("--causal-share", type=float, default=0.0)
    parser.add_argument("--shuffle", default="half", choices=("always", "half", "never"), help="fields, by epoch")
    parser.add_argument("--leak", action="store_true", help="show what a split by random packet would claim")
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "tinylogbert-traffic")
    options = parser.parse_args()
    if not options.data.exists():
        raise SystemExit(f"{options.data}: not here; this benchmark needs the shared captures")
    options.kept.mkdir(parents=True, exist_ok=True)
    table, flows = labelled_flows(options.data)
    fold = folds(table)
    chosen = {name: task for name, task in tasks(table, fold, options.flows_per_class).items() if name in options.tasks}
    for masked in [name == "masked" for name in options.inputs]:
        bench = Bench(options, masked, table, flows)
        if options.leak and "device" in chosen and not masked:
            print(leak(bench, chosen["device"], fold))
        for by in options.by:
            for task in chosen.values():
                if by == "source" and task.name != "attack":
                    continue
                report(bench, task, list(splits(options, by, table, fold, task)), by)


def report(bench: Bench, task: TaskSet, parts: list[Split], by: str) -> None:
    """The table of one task."""
    lines = []
    for row in bench.options.rows:
        answers = [measured(bench, row, task, parts, seed) for seed in bench.options.seeds]
        means = [answer.macro_f1(~answer.background) for answer in answers]
        new = [answer.macro_f1(answer.new & ~answer.background) for answer in answers]
        low, high = answers[0].interval()
        cells = [
            TITLES[row],
            f"{np.mean(means):.3f} ± {np.std(means):.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{np.mean(new):.3f}",
        ]
        if task.name == "attack":
            apart = [_within_captures(answer) for answer in answers]
            cells += [f"{np.mean([f1 for f1, _ in apart]):.3f}", f"{np.mean([auc for _, auc in apart]):.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    first = answers[0]
    names = ["row", "macro-F1 ± seeds", "95 % over groups", "new"]
    names += ["background, macro-F1", "background, ROC-AUC"] if task.name == "attack" else []
    print(
        f"\n{task.name}, {'masked' if bench.masked else 'raw'}, by {by}: {len(task.rows)} flows, "
        f"{len(set(task.labels))} classes; {', '.join(part.name for part in parts)} tested: {len(first.labels)} flows "
        f"({first.new.sum()} new), {len(set(first.groups))} groups, seeds {bench.options.seeds}\n"
    )
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    print("\n".join(lines), flush=True)


def _within_captures(answers: Answers) -> tuple[float, float]:
    """Macro-F1 and ROC-AUC of the attacks against the benign flows of the same captures."""
    rows = answers.background | (answers.labels == "attack")
    if not answers.background.any():
        return float("nan"), float("nan")
    return answers.macro_f1(rows), float(roc_auc_score(answers.labels[rows] == "benign", answers.scores[rows]))


if __name__ == "__main__":
    main()

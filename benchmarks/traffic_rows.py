"""The rows of benchmarks.traffic: trees and neighbours that read bytes or statistics, and NetGPT in three forms."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.labelled_flows import TaskSet
from core.networks.answers import GENERATION, PROMPT_TOKENS, Prompt, Tasks
from core.networks.flow_encoder import FlowEncoder
from core.networks.netgpt import PRESETS, Cache, NetGpt, NetGptConfig, random_netgpt
from core.records import Flow
from core.tokenization.hex_text import FIRST_BYTE, HIDDEN, MASK, TSK, FlowTokenizer, FlowTokens
from core.training import causal
from core.training.answering import AnsweringConfig, finetune
from core.training.loop import LoopConfig

TREE_PACKETS, TREE_BYTES = 3, 64
TITLES = {
    "trees": f"ExtraTrees, first {TREE_PACKETS} packets x {TREE_BYTES} bytes",
    "neighbour": "1-NN, the same bytes",
    "statistics": "LightGBM, flow statistics",
    "both": "ExtraTrees, bytes and statistics",
    "frozen": "NetGPT, frozen, logistic regression",
    "hybrid": "ExtraTrees, bytes, statistics and frozen NetGPT's embedding",
    "finetuned": "NetGPT, fine-tuned",
    "seeds": "NetGPT, fine-tuned, the answers of all seeds averaged",
    "with_frozen": "NetGPT, fine-tuned, averaged with frozen",
    "averaged": "NetGPT, fine-tuned, averaged with ExtraTrees of bytes and statistics",
    "joint": "NetGPT, fine-tuned on all tasks at once",
    "joint_frozen": "the same, frozen, logistic regression",
    "scratch": "NetGPT, from scratch",
}
AVERAGED = {"with_frozen": "frozen", "averaged": "both"}  # row to the one whose answers fine-tuned NetGPT's meet
PRETRAINED = "frozen", "hybrid"
TAUGHT = "finetuned", "scratch", "joint", "joint_frozen"
PRETRAINING_OPTIONS = (
    "preset", "pretrain_steps", "batch_tokens", "max_tokens", "max_packets", "unit_bytes", "shuffle", "statistics",
    "no_segments", "no_prompts",
)  # fmt: skip
TEACHING_OPTIONS = (
    "epochs", "teaching_tokens", "least_steps", "learning_rate", "balance", "causal_share", "hidden_share", "readings",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Split:
    """What is tested and what is learnt from; all other flows are neither.

    Attributes:
        name: of the split, for stored files.
        tested, learnt: [N] bool of the table's flows.
        network: name of the pre-trained network it takes.
        unread: [N] bool, flows that this network must not have read.
    """

    name: str
    tested: np.ndarray
    learnt: np.ndarray
    network: str
    unread: np.ndarray


class Bench:
    """Flows in one form of input, and the rows that are measured on them."""

    def __init__(
        self,
        options: argparse.Namespace,
        masked: bool,
        table: pl.DataFrame,
        flows: Sequence[Flow],
        tasks: Mapping[str, TaskSet],
        learn_per_class: int | None = None,
    ) -> None:
        self.options = options
        self.tasks = tasks
        self.learn_per_class = learn_per_class
        self.masked = masked
        self.table = table
        self.flows = flows
        self.statistics = np.array(table["statistics"].to_list())
        self.tokenizer = FlowTokenizer(
            unit_bytes=options.unit_bytes, masked=masked, max_tokens=options.max_tokens, max_packets=options.max_packets
        )
        self._texts: dict[int, FlowTokens] = {}
        self._bytes: dict[int, np.ndarray] = {}

    def settings(self, row: str) -> dict[str, Any]:
        """What the predictions of a row follow from, beside task, split and seed."""
        names = ["flows_per_class"]
        names += PRETRAINING_OPTIONS if row in PRETRAINED or row in TAUGHT else ()
        names += TEACHING_OPTIONS if row in TAUGHT else ()
        return {"masked": self.masked, "learn_per_class": self.learn_per_class} | {
            name: getattr(self.options, name) for name in names
        }

    def texts(self, rows: np.ndarray, shuffle_seed: int | None = None) -> list[FlowTokens]:
        """Tokens of flows; with a seed, their fields in another order."""
        if shuffle_seed is not None:
            tokenizer = dataclasses.replace(self.tokenizer, shuffle_seed=shuffle_seed)
            return [self._told(row, tokenizer) for row in rows]
        for row in rows:
            if row not in self._texts:
                self._texts[row] = self._told(row, self.tokenizer)
        return [self._texts[row] for row in rows]

    def _told(self, row: int, tokenizer: FlowTokenizer) -> FlowTokens:
        text = tokenizer.encode(self.flows[row])
        ids, segments, offsets = text.ids, text.segments, text.offsets
        if self.options.statistics:
            first = _statistic_tokens(self.statistics[row])
            room = self.options.max_tokens - len(first)
            ids, segments, offsets = first + ids[:room], [0] * len(first) + segments[:room], [-1] * len(first) + offsets
        if self.options.no_segments:
            segments = [0] * len(ids)
        return FlowTokens(ids, segments, offsets[: len(ids)])

    def bytes_of(self, rows: np.ndarray) -> np.ndarray:
        """[N, 3 * 64] uint8: what the tokenizer shows of the first packets, 0 where it hides or has none."""
        tokenizer = FlowTokenizer(
            masked=self.masked, max_tokens=10_000, max_packets=TREE_PACKETS, payload_bytes=TREE_BYTES
        )
        for row in rows:
            if row in self._bytes:
                continue
            found = np.zeros((TREE_PACKETS, TREE_BYTES), np.uint8)
            text = tokenizer.encode(self.flows[row])
            for token, packet, offset in zip(text.ids, text.segments, text.offsets, strict=True):
                if token >= FIRST_BYTE and 0 <= offset < TREE_BYTES:
                    found[packet - 1, offset] = token - FIRST_BYTE
            self._bytes[row] = found.reshape(-1)
        return np.array([self._bytes[row] for row in rows])

    def predict(self, row: str, task: TaskSet, split: Split, seed: int) -> np.ndarray:
        """[M, L] probabilities of the task's sorted labels for its tested flows."""
        (learnt_rows, labels), asked = self._learnt(task, split, seed), task.rows[split.tested[task.rows]]
        classes = sorted(set(task.labels))
        if row in ("finetuned", "scratch", "joint"):
            known, p = classes, self._answered(*self._taught(row, task, split, seed), task.name, asked)
        elif row in ("frozen", "joint_frozen"):
            network, prompted = (
                (self.pretrained(split), GENERATION)
                if row == "frozen"
                else (self._taught("joint", task, split, seed), task.name)
            )
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000))
            embedded = self._embeddings(*network, prompted, np.concatenate([learnt_rows, asked]))
            known, p = _fitted(model, embedded[: len(labels)], labels, embedded[len(labels) :])
        elif row == "statistics":
            known, p = _fitted(_lightgbm(seed), self.statistics[learnt_rows], labels, self.statistics[asked])
        else:
            rows = np.concatenate([learnt_rows, asked])
            read = self.bytes_of(rows)
            if row in ("both", "hybrid"):
                read = np.hstack([read, self.statistics[rows]])
            if row == "hybrid":
                read = np.hstack([read, self._embeddings(*self.pretrained(split), GENERATION, rows)])
            model = (
                KNeighborsClassifier(1, metric="hamming", algorithm="brute")
                if row == "neighbour"
                else ExtraTreesClassifier(300, class_weight="balanced", random_state=seed, n_jobs=2)
            )
            known, p = _fitted(model, read[: len(labels)], labels, read[len(labels) :])
        whole = np.zeros((len(asked), len(classes)), np.float32)
        whole[:, [classes.index(label) for label in known]] = p
        return whole

    def _learnt(self, task: TaskSet, split: Split, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """[N] rows of a task's flows that are learnt from, and [N] their labels."""
        learnt = np.flatnonzero(split.learnt[task.rows])
        if self.learn_per_class is not None:
            learnt = self._few(task, learnt, seed)
        return task.rows[learnt], task.labels[learnt]

    def _few(self, task: TaskSet, learnt: np.ndarray, seed: int) -> np.ndarray:
        """So many flows of each class, drawn by the seed, spread over its groups."""
        at = np.random.default_rng(seed).permutation(learnt)
        groups = self.table["group"].gather(task.rows[at])
        drawn = pl.DataFrame({"at": at, "label": task.labels[at], "group": groups})
        turns = drawn.with_columns(turn=pl.int_range(pl.len()).over("label", "group")).sort("turn", maintain_order=True)
        few = turns.filter(pl.int_range(pl.len()).over("label") < self.learn_per_class)
        return np.sort(few["at"].to_numpy())

    def _embeddings(self, network: NetGpt, known_tasks: Tasks, prompted: str, rows: np.ndarray) -> np.ndarray:
        """[N, 2 * D] of a network behind a task's prompt: the mean of a flow's states, and the last."""
        prompts = [known_tasks.prompt(text.ids, text.segments, prompted, network.config) for text in self.texts(rows)]
        encoded = FlowEncoder(network).encode(prompts)
        return np.hstack([encoded.embeddings, encoded.last])

    def _answered(self, network: NetGpt, known_tasks: Tasks, name: str, asked: np.ndarray) -> np.ndarray:
        """[M, L] probabilities of a task's labels, the mean of some readings."""
        encoder, readings = FlowEncoder(network), []
        for reading in range(self.options.readings):  # the first as sent
            texts = self.texts(asked, 1_000_000 + reading if reading else None)
            prompts = [known_tasks.prompt(text.ids, text.segments, name, network.config) for text in texts]
            readings.append(encoder.answer(prompts, known_tasks[name]))
        return np.mean(readings, axis=0)

    def _taught(self, row: str, task: TaskSet, split: Split, seed: int) -> tuple[NetGpt, Tasks]:
        """A network that has learnt the task, or all tasks, from labels; one of all tasks is stored."""
        options = self.options
        network, known_tasks = self._random(seed) if row == "scratch" else self.pretrained(split)
        taught = list(self.tasks.values()) if row == "joint" else [task]
        for one in taught:
            known_tasks = known_tasks.with_task(one.name, sorted(set(one.labels)))
        asked_of = {"task": task.name} if row != "joint" else {}
        described = self.settings(row) | {"row": row, **asked_of, "split": split.name, "seed": seed}
        kept = options.kept / f"taught-{digest(described)}"
        if (kept / "network.json").exists():
            return NetGpt.load(kept), known_tasks
        learnt = {one.name: self._learnt(one, split, seed) for one in taught}
        rows = np.unique(np.concatenate([of_task for of_task, _ in learnt.values()]))
        labels = {name: dict(zip(of_task, found, strict=True)) for name, (of_task, found) in learnt.items()}
        n_tokens = sum(len(text.ids) + PROMPT_TOKENS for found, _ in learnt.values() for text in self.texts(found))
        steps = max(options.least_steps, round(options.epochs * n_tokens / options.teaching_tokens))
        checkpoints = options.kept / f"training-{digest(described)}"
        network, history = finetune(
            network, known_tasks,
            lambda epoch: self._hidden_in(self.texts(rows, self._shuffle_seed(epoch, seed)), epoch, seed),
            {name: [of_row.get(row) for row in rows] for name, of_row in labels.items()}, [], {},
            LoopConfig(max_steps=steps, batch_tokens=options.teaching_tokens, learning_rate=options.learning_rate),
            AnsweringConfig(balance=options.balance, causal_share=options.causal_share), seed=seed, progress=_shown(),
            checkpoints=checkpoints,
        )  # fmt: skip
        print(f"    {steps} steps, loss {history[-1]['train_loss']}, {history[-1]['seconds']} s", flush=True)
        shutil.rmtree(checkpoints, ignore_errors=True)  # 50 MB each
        if row == "joint":
            kept.mkdir(exist_ok=True)
            network.save(kept)
            network = NetGpt.load(kept)  # as it is read back for the next task: its weights are kept in float16
        return network, known_tasks

    def _hidden_in(self, texts: list[FlowTokens], epoch: int, seed: int) -> list[FlowTokens]:
        """Flows with a share of their bytes hidden, others in each epoch."""
        if not self.options.hidden_share:
            return texts
        draw, found = np.random.default_rng([seed, epoch]), []
        for text in texts:
            ids = np.array(text.ids)
            ids[(ids >= FIRST_BYTE) & (draw.random(len(ids)) < self.options.hidden_share)] = HIDDEN
            found.append(dataclasses.replace(text, ids=ids.tolist()))
        return found

    def _random(self, seed: int) -> tuple[NetGpt, Tasks]:
        tasks = _Unprompted if self.options.no_prompts else Tasks
        known_tasks = tasks.first(self.tokenizer.vocab_size, TSK, MASK)
        config = NetGptConfig(
            known_tasks.vocab_size, **PRESETS[self.options.preset], max_tokens=self.options.max_tokens + PROMPT_TOKENS
        )
        return random_netgpt(config, seed), known_tasks

    def _shuffle_seed(self, epoch: int, seed: int) -> int | None:
        """Of every epoch, of none, or of every second: tested flows have their fields as they were sent."""
        shuffled = {"always": True, "half": epoch % 2 == 1, "never": False}[self.options.shuffle]
        return 1_000 * seed + epoch if shuffled else None

    def pretrained(self, split: Split) -> tuple[NetGpt, Tasks]:
        """A network that has read, without labels, every flow that the split lets it; stored."""
        options = self.options
        network, known_tasks = self._random(0)
        described = {"masked": self.masked} | {name: getattr(options, name) for name in PRETRAINING_OPTIONS}
        name = f"pretrained-{'masked' if self.masked else 'raw'}-{split.network}-{digest(described)}"
        folder = options.kept / name
        if (folder / "tasks.json").exists():
            return NetGpt.load(folder), known_tasks
        rows = np.flatnonzero(~split.unread)
        rows = rows[causal.distinct(self.texts(rows))]
        groups = self.table["group"].gather(rows).to_numpy()
        drawn = np.random.default_rng(0).permutation(np.unique(groups))
        held_back = np.isin(groups, drawn[: len(drawn) // 20])
        learnt = rows[~held_back]
        print(f"  {name}: {len(learnt)} distinct flows, {held_back.sum()} held back", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "options.json").write_text(json.dumps(described))
        network, history = causal.pretrain(
            network, known_tasks,
            lambda epoch: self.texts(learnt, self._shuffle_seed(epoch, 0)),
            self.texts(rows[held_back][:500]),
            LoopConfig(max_steps=options.pretrain_steps, batch_tokens=options.batch_tokens),
            seed=0, progress=_shown(), checkpoints=folder / "checkpoints",
        )  # fmt: skip
        print(f"  {name}: {history[-1]}", flush=True)
        network.save(folder)
        known_tasks.save(folder)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        return NetGpt.load(folder), known_tasks  # as it is read back next time: its weights are kept in float16


class _Unprompted(Tasks):
    """Flows without a prompt before or a [mask] behind: the answer is read at their end."""

    def prompt(self, ids: Sequence[int], segments: Sequence[int], name: str, config: NetGptConfig) -> Prompt:
        prompt = super().prompt(ids, segments, name, config)
        flow = slice(2, 2 + min(len(ids), config.max_tokens - PROMPT_TOKENS))
        return prompt._replace(ids=prompt.ids[flow], segments=prompt.segments[flow])


@functools.cache
def compile_training() -> None:
    """Fuse what a block does between its products, and the loss over a vocabulary; answers are given as ever."""
    causal.token_surprise = torch.compile(causal.token_surprise, dynamic=True)
    block = type(random_netgpt(NetGptConfig(1, 2, 1, 1), 0).transformer["h"][0])
    eager = block.forward
    fused = torch.compile(lambda block, hidden: eager(block, hidden, None, 0), dynamic=True)

    def forward(self: torch.nn.Module, hidden: torch.Tensor, cache: Cache | None, number: int) -> torch.Tensor:
        if self.training and torch.is_grad_enabled():
            return fused(self, hidden)
        return eager(self, hidden, cache, number)

    block.forward = forward


def digest(described: dict[str, Any]) -> str:
    """A short name of settings."""
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]


def _statistic_tokens(values: np.ndarray) -> list[int]:
    """Each number as a byte: its logarithm in quarters of a factor of two, from a thousandth on; negative below 128."""
    steps = np.minimum(127, np.round(4 * np.log2(1 + np.abs(values) * 1_000)))
    return (FIRST_BYTE + 128 + np.sign(values) * steps).astype(int).tolist()


def _fitted(model: Any, learnt: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> tuple[list[str], np.ndarray]:
    model.fit(learnt, labels)
    return list(model.classes_), np.asarray(model.predict_proba(asked))


def _lightgbm(seed: int) -> Any:
    from lightgbm import LGBMClassifier  # only here: nothing but this row needs it

    return LGBMClassifier(
        n_estimators=200, class_weight="balanced", min_child_samples=5, random_state=seed, n_jobs=2, verbose=-1
    )


def _shown() -> Callable[[str, int, int], None]:
    """Progress as a line every half minute."""
    told = [time.monotonic()]

    def show(step: str, done: int, total: int) -> None:
        if time.monotonic() - told[0] > 30:
            told[0] = time.monotonic()
            print(f"    {step}: {done} of {total}", flush=True)

    return show

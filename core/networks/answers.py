"""Which tasks a NetGPT answers: their prompt and label tokens, past those of the tokenizer.

    task [tsk] packet [pck] packet [pck] … [mask]

The network reads that prompt; what it expects after [mask], among the task's label tokens, is the answer (Meng et al.,
arXiv 2304.09513). One network learns several tasks so, and a new one is a few rows more in its token table.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.errors import BundleError, WorkbenchError
from core.networks.netgpt import NetGptConfig

FORMAT = 1
PROMPT_TOKENS = 3  # task, [tsk] and [mask]
GENERATION = "generation"
"""The task without labels: what comes next? Pre-training is this task, so that every flow stands at one place."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One question about a flow.

    Attributes:
        name: as users know it.
        token: the id that asks it.
        labels: its answers, in the order of their ids from `token + 1`.
    """

    name: str
    token: int
    labels: tuple[str, ...] = ()

    @property
    def label_tokens(self) -> range:
        """The ids of its answers."""
        return range(self.token + 1, self.token + 1 + len(self.labels))

    def answer_token(self, label: str) -> int:
        """The id of one of its answers.

        Raises:
            WorkbenchError: where it is none of them.
        """
        if label not in self.labels:
            raise WorkbenchError(f"task {self.name!r} has no label {label!r}; it has {', '.join(self.labels)}")
        return self.token + 1 + self.labels.index(label)


class Prompt(NamedTuple):
    """What the network reads of one flow, and what it should answer.

    Attributes:
        ids: [T] int64 token ids.
        segments: [T] int64, the number of each token's packet; 0 for the prompt's own.
        answer: id of the label token that is right; -1 where that is not known or not asked.
    """

    ids: np.ndarray
    segments: np.ndarray
    answer: int = -1


@dataclasses.dataclass(frozen=True)
class Tasks:
    """The tasks of one network, in the order of their tokens.

    Attributes:
        task_end: id of the tokenizer's [tsk].
        answer: id of the tokenizer's [mask].
        tasks: `GENERATION` first.
    """

    task_end: int
    answer: int
    tasks: tuple[Task, ...]

    @classmethod
    def first(cls, vocab_size: int, task_end: int, answer: int) -> Tasks:
        """Those of a network that only pre-trains: `vocab_size` is the tokenizer's."""
        return cls(task_end, answer, (Task(GENERATION, vocab_size),))

    @property
    def vocab_size(self) -> int:
        """Of a network that knows them all."""
        return self.tasks[-1].label_tokens.stop

    def __getitem__(self, name: str) -> Task:
        for task in self.tasks:
            if task.name == name:
                return task
        raise WorkbenchError(f"no task {name!r} in this model; it has {', '.join(task.name for task in self.tasks)}")

    def with_task(self, name: str, labels: Sequence[str]) -> Tasks:
        """These and one more; grow the network to `vocab_size` before it reads it.

        Raises:
            WorkbenchError: where the name is taken or there are not two different labels.
        """
        if any(task.name == name for task in self.tasks):
            raise WorkbenchError(f"this model has a task {name!r} already; give the new one another name")
        if len(labels) < 2 or len(set(labels)) < len(labels):
            raise WorkbenchError(f"task {name!r}: expected two different labels or more, found {', '.join(labels)}")
        return dataclasses.replace(self, tasks=(*self.tasks, Task(name, self.vocab_size, tuple(labels))))

    def prompt(self, ids: Sequence[int], segments: Sequence[int], name: str, config: NetGptConfig) -> Prompt:
        """A flow's tokens as the network reads them for a task.

        Args:
            ids: [T] of the tokenizer; the end is cut off where they are too many for the network.
            segments: [T] number of each token's packet, from 1; 0 where it is of none. Packets past the network's
                last segment share it.
            name: of the task; `GENERATION` has no [mask] behind.
            config: of the network.
        """
        task = self[name]
        tokens = np.asarray(ids[: config.max_tokens - PROMPT_TOKENS], np.int64)
        packets = np.minimum(np.asarray(segments[: len(tokens)], np.int64), config.n_segments - 1)
        end = [self.answer] if task.labels else []
        return Prompt(
            np.concatenate([[task.token, self.task_end], tokens, end]).astype(np.int64),
            np.concatenate([[0, 0], packets, [0] * len(end)]).astype(np.int64),
        )

    def save(self, folder: Path) -> None:
        """Write `tasks.json` into an existing folder."""
        tasks = [{"name": task.name, "token": task.token, "labels": list(task.labels)} for task in self.tasks]
        described = {"format": FORMAT, "task_end": self.task_end, "answer": self.answer, "tasks": tasks}
        (folder / "tasks.json").write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Tasks:
        """Read what `save` wrote.

        Raises:
            BundleError: where the file is missing, damaged, of another format, or its tokens overlap.
        """
        path = folder / "tasks.json"
        try:
            described = json.loads(path.read_text("utf-8"))
            if described["format"] != FORMAT:
                raise BundleError(f"{path}: not tasks of format {FORMAT}; train the model again with this version")
            listed = [Task(str(t["name"]), int(t["token"]), tuple(map(str, t["labels"]))) for t in described["tasks"]]
            tasks = cls.first(listed[0].token, int(described["task_end"]), int(described["answer"]))
            for task in listed[1:]:
                tasks = tasks.with_task(task.name, task.labels)
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, WorkbenchError) as error:
            if isinstance(error, BundleError):
                raise
            raise BundleError(f"{path}: cannot be read ({error!r}); train the model again") from error
        if tasks.tasks != tuple(listed) or not min(tasks.task_end, tasks.answer) >= 0:
            raise BundleError(f"{path}: damaged, its tokens do not follow each other; train the model again")
        return tasks

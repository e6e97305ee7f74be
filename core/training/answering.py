"""Fine-tuning of NetGPT: a flow behind its task's prompt, and the label as the token that answers it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.errors import InputError
from core.networks.answers import Prompt, Tasks
from core.networks.flow_encoder import Batch
from core.networks.netgpt import NetGpt
from core.records import Measure, Progress, no_measure, no_progress
from core.tokenization.hex_text import FlowTokens
from core.training.causal import Texts, causal_loss
from core.training.loop import History, LoopConfig, fit


@dataclasses.dataclass(frozen=True)
class AnsweringConfig:
    """What the loss of answers is.

    Attributes:
        label_smoothing: share of the right answer's probability that is spread over the task's labels.
        balance: 0 weighs every flow alike, 1 every label of a task; between them, labels by (1 / flows) ** balance.
        causal_share: weight of pre-training's loss beside that of answers (Radford et al., 2018, section 3.2).
    """

    label_smoothing: float = 0.1
    balance: float = 0.5
    causal_share: float = 0.0


def finetune(
    network: NetGpt,
    tasks: Tasks,
    texts: Texts,
    labels: Mapping[str, Sequence[str | None]],
    held_back: Sequence[FlowTokens],
    held_back_labels: Mapping[str, Sequence[str | None]],
    config: LoopConfig,
    answering: AnsweringConfig = AnsweringConfig(),
    *,
    seed: int = 0,
    progress: Progress = no_progress,
    measure: Measure = no_measure,
    checkpoints: Path | None = None,
) -> tuple[NetGpt, History]:
    """Train to answer tasks, one or several with the same weights.

    Args:
        network: where to start from; it is not changed, and grown where `tasks` hold more than it knows.
        tasks: with each of the labels' tasks.
        texts: the flows to learn from.
        labels: task name to the label of each flow; None where it has none. A flow is read once for each label it has.
        held_back: flows to stop by; empty to train all steps.
        held_back_labels: the same for them.
        config: how long and how fast.
        answering: what the loss is.
        seed: of the order of flows and of new tokens' weights.
        progress: told each step; what it raises (JobCancelled) ends training.
        measure: told the losses, in nats an answer.
        checkpoints: folder to save in and to resume from; None keeps nothing.

    Returns:
        The network and the history of its losses; see `loop.fit`.

    Raises:
        InputError: where no flow has a label.
        WorkbenchError: where a task or label is not one of `tasks`, settings are out of range, or the loss is not a
            number.
    """
    network = network.grown(max(tasks.vocab_size, network.config.vocab_size), seed)

    def prompts(flows: Sequence[FlowTokens], labels: Mapping[str, Sequence[str | None]]) -> list[Prompt]:
        return [
            tasks.prompt(flow.ids, flow.segments, name, network.config)._replace(answer=tasks[name].answer_token(label))
            for name, of_flows in labels.items()
            for flow, label in zip(flows, of_flows, strict=True)
            if label is not None
        ]

    first = prompts(texts(0), labels)
    if not first:
        raise InputError("nothing to learn answers from: no flow has a label")
    loss = AnswerLoss(tasks, first, network.config.vocab_size, answering)
    return fit(
        network,
        lambda number: prompts(texts(number), labels) if number else first,
        prompts(held_back, held_back_labels), loss, config, step_name="fine-tuning NetGPT", seed=seed,
        progress=progress, measure=measure, checkpoints=checkpoints, loss_settings=(answering,),
    )  # fmt: skip


class AnswerLoss:
    """Cross-entropy of the answer after a prompt's last token, among the labels of its task.

    Args:
        tasks: whose labels there are.
        prompts: whose answers are counted, to weigh labels.
        vocab_size: of the network.
        config: smoothing, balance and share of the causal loss.
    """

    def __init__(self, tasks: Tasks, prompts: Sequence[Prompt], vocab_size: int, config: AnsweringConfig) -> None:
        self.config = config
        counts = np.bincount([prompt.answer for prompt in prompts], minlength=vocab_size)
        self.task_of_token = torch.full((vocab_size,), -1)
        self.weights = torch.ones(vocab_size)
        for number, task in enumerate(tasks.tasks):
            answers = np.array(task.label_tokens, np.int64)
            self.task_of_token[answers] = number
            if len(answers) and counts[answers].any():
                weights = np.maximum(counts[answers], 1.0) ** -config.balance
                weights *= counts[answers].sum() / (weights * counts[answers]).sum()  # a task's mean weight is 1
                self.weights[answers] = torch.from_numpy(weights).float()

    def __call__(self, network: NetGpt, batch: Batch) -> tuple[Tensor, Tensor]:
        """The weighted sum of losses, and of weights."""
        hidden = network(batch.ids, batch.segments)  # [B, T, D]
        last = hidden[torch.arange(len(batch.ids), device=hidden.device), batch.lengths - 1]
        task_of_token, weights = self.task_of_token.to(hidden.device), self.weights.to(hidden.device)
        other = task_of_token != task_of_token[batch.answers, None]  # [B, V]: not an answer to this prompt's task
        log_p = network.token_logits(last).float().masked_fill(other, -torch.inf).log_softmax(-1)
        right = log_p.gather(1, batch.answers[:, None])[:, 0]
        spread = log_p.masked_fill(other, 0.0).sum(1) / (~other).sum(1)
        smoothing = self.config.label_smoothing if network.training else 0.0
        weight = weights[batch.answers]
        total = -((1 - smoothing) * right + smoothing * spread) * weight
        n = weight.sum()
        if network.training and self.config.causal_share:
            of_tokens, n_tokens = causal_loss(network, batch)
            return total.sum() + self.config.causal_share * n * of_tokens / n_tokens, n
        return total.sum(), n

"""Causal pre-training of NetGPT: what token comes next, in flows without labels (Meng et al., arXiv 2304.09513)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import functional

from core.networks.answers import GENERATION, Prompt, Tasks
from core.networks.flow_encoder import Batch
from core.networks.netgpt import NetGpt
from core.records import Measure, Progress, no_measure, no_progress
from core.tokenization.hex_text import FlowTokens
from core.training.loop import History, LoopConfig, fit

Texts = Callable[[int], Sequence[FlowTokens]]
"""The flows of an epoch as tokens, from 0: always the same flows in the same order; their fields may be shuffled."""


def pretrain(
    network: NetGpt,
    tasks: Tasks,
    texts: Texts,
    held_back: Sequence[FlowTokens],
    config: LoopConfig,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
    measure: Measure = no_measure,
    checkpoints: Path | None = None,
) -> tuple[NetGpt, History]:
    """Train to predict each token of a flow from those before it.

    Give each distinct flow once (`distinct`): drawn by how often they come, the few flows that make up most of a
    capture would be all that is learnt.

    Args:
        network: where to start from, such as `random_netgpt`; it is not changed.
        tasks: whose `GENERATION` prompt stands before each flow.
        texts: what to learn from.
        held_back: flows to stop by; empty to train all steps.
        config: how long and how fast.
        seed: of the order of flows.
        progress: told each step; what it raises (JobCancelled) ends training.
        measure: told the losses, in nats a token.
        checkpoints: folder to save in and to resume from; None keeps nothing.

    Returns:
        The network and the history of its losses; see `loop.fit`.

    Raises:
        InputError: where there is no flow.
        WorkbenchError: where settings are out of range, or the loss is not a number.
    """

    def prompts(flows: Sequence[FlowTokens]) -> list[Prompt]:
        return [tasks.prompt(flow.ids, flow.segments, GENERATION, network.config) for flow in flows]

    def epoch(number: int) -> list[Prompt]:
        return prompts(texts(number))

    return fit(
        network, epoch, prompts(held_back), causal_loss, config, step_name="pre-training NetGPT", seed=seed,
        progress=progress, measure=measure, checkpoints=checkpoints,
    )  # fmt: skip


def causal_loss(network: NetGpt, batch: Batch) -> tuple[Tensor, Tensor]:
    """-ln p summed over the tokens after the prompt's first, and their number."""
    hidden = network(batch.ids, batch.segments)[:, :-1]  # [B, T-1, D]
    real = batch.real[:, 1:]
    return token_surprise(network, hidden[real], batch.ids[:, 1:][real]), real.sum()  # no vocabulary for padding


def token_surprise(network: NetGpt, hidden: Tensor, ids: Tensor) -> Tensor:
    """-ln p of tokens [M] after hidden states [M, D], summed."""
    return functional.cross_entropy(network.token_logits(hidden).float(), ids, reduction="sum")


def distinct(texts: Sequence[FlowTokens]) -> list[int]:
    """The numbers of the first flow of each text, in order: masked, many flows of a capture are the same text."""
    firsts: dict[bytes, int] = {}
    for number, flow in enumerate(texts):
        firsts.setdefault(np.array(flow.ids, np.int32).tobytes(), number)
    return list(firsts.values())

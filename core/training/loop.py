"""NetGPT's training loop: prompts and a loss to trained weights; early stop, and resumed it gives the same bits.

A plain loop: whatever is random in it follows from the seed and the number of the epoch, so that a state is weights,
moments and a step, all of them tensors and numbers.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.errors import InputError, WorkbenchError
from core.networks.answers import Prompt
from core.networks.cores import cores
from core.networks.encoder import has_bfloat16
from core.networks.flow_encoder import Batch
from core.networks.netgpt import NetGpt
from core.records import Measure, Progress

FORMAT = 1
SORTED_BATCHES = (
    8  # prompts of about so many batches are sorted by length together, so that batches hold little padding
)
BETAS = (0.9, 0.95)  # as GPT-3's (Brown et al., arXiv 2005.14165) and nanoGPT's
GRADIENT_NORM = 1.0
SAVE_EVERY = 50  # steps, at a look at the held-back prompts

Epoch = Callable[[int], Sequence[Prompt]]
"""The prompts of an epoch, from 0: always as many, in the same order; only their fields may be shuffled anew."""

Loss = Callable[[NetGpt, Batch], tuple[Tensor, Tensor]]
"""The sum of a batch's losses in nats, and what it is a sum over (a number of tokens, or of weights)."""

History = list[dict[str, float | None]]


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """How long and how fast to train.

    Attributes:
        max_steps: optimizer steps at most. 0 leaves the weights as they are.
        batch_tokens: of a step, padding included.
        learning_rate: peak, after warm-up, then linear decay to a tenth.
        warm_up: share of the steps.
        weight_decay: of matrices, not of biases, norms and tables.
        evaluate_every: steps between two looks at the held-back prompts.
        patience: looks without a better loss before training stops.
        min_improvement: nats; less is the noise of one look.
    """

    max_steps: int = 1_000
    batch_tokens: int = 8_192
    learning_rate: float = 1e-3
    warm_up: float = 0.05
    weight_decay: float = 0.05
    evaluate_every: int = 50
    patience: int = 4
    min_improvement: float = 0.002


def fit(
    network: NetGpt,
    epoch: Epoch,
    held_back: Sequence[Prompt],
    loss: Loss,
    config: LoopConfig,
    *,
    step_name: str,
    seed: int,
    progress: Progress,
    measure: Measure,
    checkpoints: Path | None,
    loss_settings: tuple[object, ...] = (),
) -> tuple[NetGpt, History]:
    """Train a copy of a network.

    The weights of the best look at `held_back` are returned, rounded through float16 so that saving them changes
    nothing. The same input and seed give the same network on one machine with one number of threads, in one go or
    resumed.

    Args:
        network: where to start from; it is not changed.
        epoch: what to learn from.
        held_back: never learnt from; empty to train all steps.
        loss: what to make small.
        config: how long and how fast.
        step_name: for `progress`.
        seed: of the order of prompts.
        progress: told each step; what it raises (JobCancelled) ends training.
        measure: told each entry of the history as it comes.
        checkpoints: folder to save in while training and to resume from; None keeps nothing. What was saved for other
            prompts or settings, or is damaged, is not resumed.
        loss_settings: what shapes the loss beside the prompts, so that a training under others is not resumed.

    Returns:
        The network and its history: step, train_loss (mean since the last entry), held_back_loss (None where nothing
        is held back) and seconds since the start.

    Raises:
        InputError: where there is no prompt.
        WorkbenchError: where settings are out of range, or the loss is not a number.
    """
    first = epoch(0)
    if not len(first):
        raise InputError("nothing to train on: no flow was left")
    if config.max_steps < 0 or min(config.batch_tokens, config.evaluate_every, config.patience) < 1:
        raise WorkbenchError(
            "training settings: max_steps must be 0 or more; batch_tokens, evaluate_every and patience 1 or more, "
            f"found {config.max_steps}; {config.batch_tokens}, {config.evaluate_every} and {config.patience}"
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    state = _State(copy.deepcopy(network).to(device).train(), config)
    fingerprint = _fingerprint(network, first, held_back, config, seed, step_name, *loss_settings)
    if checkpoints is not None and state.read_back(checkpoints, fingerprint):
        for entry in state.history:
            _tell(entry, measure)
    looks = [Batch.of([held_back[row] for row in rows]) for rows in _in_batches(held_back, config.batch_tokens, None)]
    losses: list[float] = []
    with cores() as pool:
        for batch in _batches(epoch, first, config, seed, state.step):
            if state.stopped or state.step >= config.max_steps:
                break
            losses.append(state.learn(batch.to(device), loss, pool))
            if not math.isfinite(losses[-1]):
                raise WorkbenchError(
                    f"training failed: the loss is not a number at learning_rate {config.learning_rate}; lower it"
                )
            if state.step % config.evaluate_every == 0 or state.step == config.max_steps:
                state.look([batch.to(device) for batch in looks], loss, float(np.mean(losses)), pool)
                _tell(state.history[-1], measure)
                losses.clear()
            # Saved only where the mean of losses starts anew: it is no part of the state.
            if checkpoints is not None and not losses and state.step - state.saved_step >= SAVE_EVERY:
                state.save(checkpoints, fingerprint)
            progress(step_name, state.step, config.max_steps)
    trained = copy.deepcopy(network)
    trained.load_state_dict({name: weight.half().float().cpu() for name, weight in state.best.items()})
    return trained.eval(), state.history


class _State:
    """Weights, moments, step and the best look so far: all that a training is, between two steps."""

    def __init__(self, network: NetGpt, config: LoopConfig) -> None:
        self.network = network
        self.config = config
        weights: dict[bool, list[nn.Parameter]] = {True: [], False: []}  # those that decay, and the rest
        for name, weight in network.named_parameters():
            weights[weight.dim() == 2 and ".h." in name].append(weight)
        groups: list[dict[str, Any]] = [{"params": weights[True]}, {"params": weights[False], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(
            groups, lr=config.learning_rate, betas=BETAS, weight_decay=config.weight_decay, fused=True
        )
        self.n_parts = torch.get_num_threads() if weights[True][0].device.type == "cpu" else 1  # of a batch
        self.step = self.best_step = self.saved_step = 0
        self.best_loss = math.inf
        self.best = _copied(network.state_dict())
        self.history: History = []
        self.seconds_before = 0.0
        self.started = time.monotonic()

    @property
    def stopped(self) -> bool:
        """Whether the held-back loss no longer falls."""
        since = self.step - self.best_step
        return math.isfinite(self.best_loss) and since >= self.config.patience * self.config.evaluate_every

    def learn(self, batch: Batch, loss: Loss, pool: Executor) -> float:
        """One step; a part of the batch on each core."""
        rate = self._learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        weights = list(self.network.parameters())

        def gradients(part: Batch) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
            with _mixed(part.ids.device):
                total, n = loss(self.network, part)
            return total.detach(), n, torch.autograd.grad(total, weights, materialize_grads=True)

        totals, counts, found = zip(*pool.map(gradients, batch.split(self.n_parts)), strict=True)
        n = sum(counts)
        for weight, *parts in zip(weights, *found, strict=True):
            weight.grad = sum(parts[1:], parts[0]) / n
        torch.nn.utils.clip_grad_norm_(weights, GRADIENT_NORM)
        self.optimizer.step()
        self.step += 1
        return float(sum(totals) / n)

    def look(self, held_back: list[Batch], loss: Loss, train_loss: float, pool: Executor) -> None:
        """Note how well held-back prompts are foretold; a batch on each core."""

        @torch.no_grad()
        def measured(batch: Batch) -> tuple[float, float]:
            with _mixed(batch.ids.device):
                total, n = loss(self.network, batch)
            return total.item(), n.item()

        found = None
        if held_back:
            self.network.eval()
            totals, counts = zip(*pool.map(measured, held_back), strict=True)
            self.network.train()
            found = float(sum(totals) / sum(counts))
        if found is None or found < self.best_loss - self.config.min_improvement:
            self.best_loss = math.inf if found is None else found
            self.best_step = self.step
            self.best = _copied(self.network.state_dict())
        self.history.append(
            {
                "step": self.step,
                "train_loss": round(train_loss, 4),
                "held_back_loss": None if found is None else round(found, 4),
                "seconds": round(self.seconds_before + time.monotonic() - self.started, 2),
            }
        )

    def save(self, folder: Path, fingerprint: str) -> None:
        """Tensors first, under a name of their own; then the description that names them, renamed when whole."""
        tensors = {f"network.{name}": weight for name, weight in _copied(self.network.state_dict()).items()}
        tensors |= {f"best.{name}": weight for name, weight in self.best.items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"moments.{number}.{name}": value.clone() for name, value in moments.items()}
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"state-{self.step}.safetensors"
        part = path.with_suffix(".tmp")
        save_file(tensors, part)
        part.replace(path)
        described = {
            "format": FORMAT,
            "fingerprint": fingerprint,
            "file": path.name,
            "digest": _digest(path),
            "step": self.step,
            "best_step": self.best_step,
            "best_loss": self.best_loss if math.isfinite(self.best_loss) else None,
            "history": self.history,
        }
        part = folder / "state.json.tmp"
        part.write_text(json.dumps(described), "utf-8")
        part.replace(folder / "state.json")
        for stale in folder.glob("state-*"):
            if stale != path:
                stale.unlink()
        self.saved_step = self.step

    def read_back(self, folder: Path, fingerprint: str) -> bool:
        """Take up what `save` wrote for the same training; False, and nothing changed, where there is none."""
        try:
            kept = json.loads((folder / "state.json").read_text("utf-8"))
            path = folder / kept["file"]
            if kept["format"] != FORMAT or kept["fingerprint"] != fingerprint or kept["digest"] != _digest(path):
                return False
            tensors = load_file(path)
            moments: dict[int, dict[str, Tensor]] = {}
            for name in tensors:
                if name.startswith("moments."):
                    number, value = name.removeprefix("moments.").split(".")
                    moments.setdefault(int(number), {})[value] = tensors[name]
            history, step, best_step = list(kept["history"]), int(kept["step"]), int(kept["best_step"])
            best_loss = math.inf if kept["best_loss"] is None else float(kept["best_loss"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return False  # never saved, killed while saving, or damaged
        self.network.load_state_dict(_named(tensors, "network."))
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        self.best = _named(tensors, "best.")
        self.history, self.step, self.best_step, self.best_loss = history, step, best_step, best_loss
        self.saved_step = step
        self.seconds_before = history[-1]["seconds"] or 0.0
        return True

    def _learning_rate(self) -> float:
        warm = max(1, int(self.config.warm_up * self.config.max_steps))
        if self.step < warm:
            return self.config.learning_rate * (self.step + 1) / warm
        done = (self.step - warm) / max(1, self.config.max_steps - warm)
        return self.config.learning_rate * (1 - 0.9 * done)


def _batches(epoch: Epoch, first: Sequence[Prompt], config: LoopConfig, seed: int, from_step: int) -> Iterator[Batch]:
    """Batches without end, epoch after epoch, in an order that the seed gives; the first `from_step` are left out."""
    number = skipped = 0
    while True:
        prompts = first if not number else epoch(number)
        plan = list(_in_batches(prompts, config.batch_tokens, np.random.default_rng([seed, number])))
        for rows in plan[max(0, from_step - skipped) :]:
            yield Batch.of([prompts[row] for row in rows])
        skipped += len(plan)
        number += 1


def _in_batches(prompts: Sequence[Prompt], batch_tokens: int, draw: np.random.Generator | None) -> Iterator[np.ndarray]:
    """Row numbers of each batch, of near-equal length; in random company and order where there is a `draw`."""
    lengths = np.array([len(prompt.ids) for prompt in prompts], np.int64)
    order = np.arange(len(prompts)) if draw is None else draw.permutation(len(prompts))
    window = max(1, SORTED_BATCHES * batch_tokens // max(1, int(lengths.mean()))) if len(lengths) else 1
    batches = []
    for start in range(0, len(order), window):
        rows = order[start : start + window]
        rows = rows[np.argsort(-lengths[rows], kind="stable")]
        while len(rows):
            n = max(1, batch_tokens // int(lengths[rows[0]]))
            batches.append(rows[:n])
            rows = rows[n:]
    if draw is not None:
        batches = [batches[number] for number in draw.permutation(len(batches))]
    yield from batches


def _mixed(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """bfloat16 products where the processor has them; weights and moments stay float32."""
    able = torch.cuda.is_bf16_supported() if device.type == "cuda" else has_bfloat16()
    # Every weight is used once a step: nothing is gained by the cache, and cores would share it.
    return torch.autocast(device.type, torch.bfloat16, enabled=able, cache_enabled=False)


def _tell(entry: dict[str, float | None], measure: Measure) -> None:
    for name in ("train_loss", "held_back_loss"):
        if (value := entry[name]) is not None:
            measure(name, int(entry["step"] or 0), value)


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(network: NetGpt, first: Sequence[Prompt], held_back: Sequence[Prompt], *settings: object) -> str:
    digest = hashlib.sha256(repr((dataclasses.astuple(network.config), settings)).encode())
    for weight in network.state_dict().values():
        digest.update(weight.numpy(force=True).tobytes())
    for prompt in (*first, *held_back):
        digest.update(f"{prompt.ids.tobytes().hex()} {prompt.segments.tobytes().hex()} {prompt.answer}\n".encode())
    return digest.hexdigest()

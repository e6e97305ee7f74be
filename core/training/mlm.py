"""Masked log modelling: distinct token id lists to a trained TinyLogBERT, with the Hugging Face Trainer.

BERT's pre-training task (Devlin et al., arXiv 1810.04805, section 3.1) without next-sentence prediction, as RoBERTa
(Liu et al., arXiv 1907.11692) and LogBERT (Guo et al., arXiv 2103.04475) do it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.config import NetworkConfig, TrainingConfig
from core.errors import BundleError, InputError, WorkbenchError
from core.networks.encoder import has_bfloat16
from core.networks.tinylogbert import PAD_ID, SPECIAL_TOKENS, TinyLogBert
from core.records import Measure, Progress, no_measure, no_progress

os.environ["HF_HUB_OFFLINE"] = "1"  # before the import, which reads it: training never asks another machine

from tokenizers import Tokenizer
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import logging as transformers_logging

EVALUATE_EVERY = 25  # steps
SAVE_EVERY = 100
PATIENCE = 3  # evaluations without a better held-back loss before training stops
MIN_IMPROVEMENT = 0.005  # nats; less is the noise of one evaluation
WARM_UP = 0.1  # share of the steps
WEIGHT_DECAY = 0.01
SORTED_BATCHES = 16  # texts of so many batches are sorted by length together, so that batches hold little padding
HELD_BACK_TEXTS = (128, 512)  # rows an evaluation has at least, and texts it has at most
IGNORED = -100  # label of a token that was not masked, as the collator writes it


def train_mlm(
    ids: Sequence[Sequence[int]],
    counts: np.ndarray,
    held_back_ids: Sequence[Sequence[int]],
    *,
    tokenizer: Tokenizer,
    network_config: NetworkConfig,
    training_config: TrainingConfig,
    seed: int = 0,
    progress: Progress = no_progress,
    checkpoints: Path | None = None,
    measure: Measure = no_measure,
) -> tuple[TinyLogBert, list[dict[str, float | None]]]:
    """Train from random weights to predict masked tokens.

    Texts are drawn with weight count ** 0.5. Drawn by count, the few texts that make up most lines would be all that
    is learnt; drawn alike, one stray line would weigh as much as the text of half the file.

    Training stops early when the loss on `held_back_ids` no longer falls, and the weights of its best evaluation are
    returned, rounded through float16 so that saving them changes nothing. The same input and seed give the same
    network on one machine with one number of threads.

    Args:
        ids: token ids of each distinct text, [CLS] first, [SEP] last.
        counts: [N] lines that had each text, 1 or more.
        held_back_ids: texts to stop by, never learnt from; empty to train all steps.
        tokenizer: where the ids come from; its special tokens have the ids of `SPECIAL_TOKENS`.
        network_config: shape of the network; its vocabulary shrinks to the tokenizer's.
        training_config: steps, batch size, learning rate, mask probability.
        seed: of weights, masks and draws.
        progress: told each step; what it raises (JobCancelled) ends training.
        checkpoints: folder to save in while training and to resume from after a crash; None keeps nothing. What was
            saved for other texts or settings, or is damaged, is not resumed. Resumed, training draws other masks than
            in one go.
        measure: told each entry of the history as it comes: "train_loss" and "held_back_loss" by step; those of the
            attempt before too, where one is resumed.

    Returns:
        The network and its history: step, train_loss (mean since the last entry), held_back_loss (None without held
        back texts), both in nats a masked token, and seconds since the start. For 0 steps, random weights and none.

    Raises:
        InputError: where there is no text.
        WorkbenchError: where settings are out of range, or so high a learning rate that the loss is not a number.
    """
    if not ids:
        raise InputError("nothing to train on: no text was left after normalization")
    _check_settings(network_config, training_config)
    network_config = dataclasses.replace(network_config, vocab_size=tokenizer.get_vocab_size())
    named = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL_TOKENS, strict=True))
    hf_tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
    collator = DataCollatorForLanguageModeling(
        hf_tokenizer, mlm_probability=training_config.mask_probability, pad_to_multiple_of=8, seed=seed
    )
    # The held-back masks are drawn once: two evaluations differ by the weights only.
    held_back_collator = dataclasses.replace(collator, seed=seed + 1)
    held_back = _held_back_batches(held_back_ids, held_back_collator, training_config.batch_size)

    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        stack.enter_context(torch.random.fork_rng(devices=[]))
        folder = checkpoints or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        torch.manual_seed(seed)
        if not training_config.max_steps:
            untrained = TinyLogBert(network_config).eval()
            untrained.load_state_dict(_rounded(BertForMaskedLM(_bert_config(network_config)), untrained))
            return untrained, []
        fingerprint = _fingerprint(ids, counts.tolist(), held_back_ids, network_config, training_config, seed)
        watch = _Watch(network_config, held_back, progress, measure, checkpoints, fingerprint)
        trainer = _MaskedTrainer(
            model=BertForMaskedLM(_bert_config(network_config)),
            args=_arguments(training_config, folder, seed, save=checkpoints is not None),
            data_collator=collator,
            train_dataset=_drawn(ids, counts, training_config, seed),
            callbacks=[watch],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=watch.checkpoint())
    if not watch.best_step:
        raise WorkbenchError(
            f"training failed: the loss is not a number at learning_rate {training_config.learning_rate}; lower it"
        )
    return watch.best, watch.history


class _MaskedTrainer(Trainer):  # type: ignore[misc]
    """Computes the vocabulary's logits at masked positions only: they alone have a label, and are one in seven."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        return _masked_loss(model, inputs)


def _masked_loss(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    """Mean -ln p of the masked tokens; zero for a batch in which chance masked none."""
    hidden = model.bert(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]  # [B, T, D]
    masked = inputs["labels"] != IGNORED
    logits = model.cls(hidden[masked])  # [M, V]
    total = functional.cross_entropy(logits.float(), inputs["labels"][masked], reduction="sum")
    return total / masked.sum().clamp(min=1)


class _Watch(TrainerCallback):  # type: ignore[misc]
    """Reports steps, evaluates, keeps the best weights, and stops training when they no longer get better.

    Args:
        config: of the network to keep.
        held_back: masked batches to evaluate on; empty to keep the last weights and never stop early.
        progress: told each step.
        measure: told each entry of the history.
        saved: folder of an earlier attempt at the same training, and of this one's saves; None saves nothing.
        fingerprint: of the training's input; what `saved` holds for another is not resumed.
    """

    def __init__(
        self,
        config: NetworkConfig,
        held_back: list[dict[str, Tensor]],
        progress: Progress,
        measure: Measure,
        saved: Path | None,
        fingerprint: str,
    ) -> None:
        self.held_back = held_back
        self.progress = progress
        self.measure = measure
        self.saved = saved
        self.fingerprint = fingerprint
        self.history: list[dict[str, float | None]] = []
        self.best = TinyLogBert(config).eval()
        self.best_loss = math.inf
        self.best_step = 0
        self.started = time.monotonic()

    def checkpoint(self) -> str | None:
        """The last whole checkpoint of the same training, its history and best weights read; None to start anew."""
        if self.saved is None:
            return None
        checkpoint = self._read_back(self.saved)
        if checkpoint is None:
            # The Trainer keeps the checkpoints of the highest steps, whichever training they are of.
            for stale in self.saved.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
                shutil.rmtree(stale, ignore_errors=True)
        return checkpoint

    def _read_back(self, saved: Path) -> str | None:
        try:
            kept = json.loads((saved / "watch.json").read_text("utf-8"))
            best = TinyLogBert.load(saved)
            checkpoint = saved / kept["checkpoint"]
            if kept["fingerprint"] != self.fingerprint or kept["digest"] != _digest(checkpoint):
                return None
            self.best, self.best_loss, self.best_step = best, kept["best_loss"], kept["best_step"]
            self.history = kept["history"]
        except (OSError, ValueError, KeyError, TypeError, BundleError):
            return None  # never saved, killed while saving, or damaged
        self.started -= self.history[-1]["seconds"] or 0.0
        for entry in self.history:
            self._tell(entry)
        return str(checkpoint)

    def _tell(self, entry: dict[str, float | None]) -> None:
        for name in ("train_loss", "held_back_loss"):
            if (value := entry[name]) is not None:
                self.measure(name, int(entry["step"] or 0), value)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.progress("training TinyLogBERT", state.global_step, state.max_steps)
        if state.global_step == state.max_steps:
            control.should_log = True  # the last weights are evaluated too

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float], model: BertForMaskedLM, **_: Any
    ) -> None:
        if "loss" not in logs:  # the Trainer's closing summary
            return
        loss = _evaluate(model, self.held_back) if self.held_back else None
        if loss is None or loss < self.best_loss - MIN_IMPROVEMENT:
            self.best_loss = math.inf if loss is None else loss
            self.best_step = state.global_step
            self.best.load_state_dict(_rounded(model, self.best))
        elif state.global_step - self.best_step >= PATIENCE * EVALUATE_EVERY:
            control.should_training_stop = True
        self.history.append(
            {
                "step": state.global_step,
                "train_loss": round(logs["loss"], 4),
                "held_back_loss": None if loss is None else round(loss, 4),
                "seconds": round(time.monotonic() - self.started, 2),
            }
        )
        self._tell(self.history[-1])

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.saved is None:
            return
        self.best.save(self.saved)
        checkpoint = self.saved / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        kept = {
            "fingerprint": self.fingerprint,
            "checkpoint": checkpoint.name,
            "digest": _digest(checkpoint),
            "history": self.history,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
        }
        part = self.saved / "watch.json.tmp"
        part.write_text(json.dumps(kept), "utf-8")
        part.replace(self.saved / "watch.json")


@torch.no_grad()
def _evaluate(model: BertForMaskedLM, batches: list[dict[str, Tensor]]) -> float:
    model.eval()
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
        losses = [(_masked_loss(model, batch).item(), int((batch["labels"] != IGNORED).sum())) for batch in batches]
    model.train()
    return sum(loss * n for loss, n in losses) / max(1, sum(n for _, n in losses))


def _rounded(model: BertForMaskedLM, network: TinyLogBert) -> dict[str, Tensor]:
    """The weights our network has, through float16, in which they are saved."""
    weights = model.state_dict()
    return {name: weights[name].to(torch.float16).to(torch.float32) for name in network.state_dict()}


def _drawn(
    ids: Sequence[Sequence[int]], counts: np.ndarray, config: TrainingConfig, seed: int
) -> list[dict[str, list[int]]]:
    """The texts of every step, in order: drawn by weight, batches of near-equal length, batches shuffled."""
    random = np.random.default_rng(seed)
    weights = np.sqrt(np.asarray(counts, np.float64))
    order = random.choice(len(ids), size=(config.max_steps, config.batch_size), p=weights / weights.sum())
    lengths = np.array([len(text) for text in ids])
    for start in range(0, len(order), SORTED_BATCHES):
        part = order[start : start + SORTED_BATCHES]
        by_length = part.ravel()[np.argsort(lengths[part.ravel()], kind="stable")].reshape(part.shape)
        order[start : start + SORTED_BATCHES] = random.permutation(by_length)
    examples = [_example(text) for text in ids]
    return [examples[row] for row in order.ravel()]


def _example(text: Sequence[int]) -> dict[str, list[int]]:
    return {"input_ids": list(text), "special_tokens_mask": [1] + [0] * (len(text) - 2) + [1]}


def _held_back_batches(
    ids: Sequence[Sequence[int]], collator: DataCollatorForLanguageModeling, batch_size: int
) -> list[dict[str, Tensor]]:
    """Masked batches; few texts are masked several times over, or chance would decide when training stops."""
    every = max(1, len(ids) // HELD_BACK_TEXTS[1])
    texts = sorted(ids[::every][: HELD_BACK_TEXTS[1]], key=len)
    n_draws = -(-HELD_BACK_TEXTS[0] // max(1, len(texts)))
    starts = range(0, len(texts), batch_size)
    batches = [
        collator([_example(text) for text in texts[start : start + batch_size]])
        for _ in range(n_draws)
        for start in starts
    ]
    return [batch for batch in batches if (batch["labels"] != IGNORED).any()]


def _check_settings(network: NetworkConfig, training: TrainingConfig) -> None:
    if training.max_steps < 0 or training.batch_size < 1 or not 0 < training.mask_probability < 1:
        raise WorkbenchError(
            "training settings: max_steps must be 0 or more, batch_size 1 or more, mask_probability between 0 and 1, "
            f"found {training.max_steps}, {training.batch_size} and {training.mask_probability}"
        )
    if min(dataclasses.astuple(network)) < 1 or network.hidden_size % network.n_heads:
        raise WorkbenchError(
            "network settings: all must be 1 or more and hidden_size a multiple of n_heads, "
            f"found hidden_size {network.hidden_size} and n_heads {network.n_heads}"
        )


def _bert_config(config: NetworkConfig) -> BertConfig:
    return BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        intermediate_size=4 * config.hidden_size,
        max_position_embeddings=config.max_tokens,
        pad_token_id=PAD_ID,
        # Masks drawn anew each time regularize enough: dropout did not lower the held-back loss and costs a fifth.
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",  # on CPU its backward pass is faster than the fused kernel's at these lengths
    )


def _arguments(config: TrainingConfig, folder: Path, seed: int, save: bool) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=config.max_steps,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=int(WARM_UP * config.max_steps),
        weight_decay=WEIGHT_DECAY,
        train_sampling_strategy="sequential",  # `_drawn` has ordered them
        remove_unused_columns=False,  # the collator needs special_tokens_mask
        use_cpu=True,
        bf16=has_bfloat16(),
        dataloader_pin_memory=False,
        seed=seed,
        logging_steps=EVALUATE_EVERY,
        save_strategy="steps" if save else "no",
        save_steps=SAVE_EVERY,
        save_total_limit=2,  # the one named in watch.json outlives the writing of the next
        report_to="none",
        disable_tqdm=True,
    )


def _digest(folder: Path) -> str:
    """Of every file of a folder, so that one cut short or changed is told from what was saved."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _fingerprint(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Of the library only errors are logged, and no bar is drawn; what was set before comes back."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()

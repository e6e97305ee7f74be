"""NetGPT's training: it learns, the same for a seed, resumed too, and leaves nothing half done."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import InputError, JobCancelled, WorkbenchError
from core.networks.answers import GENERATION, Tasks
from core.networks.flow_encoder import FlowEncoder
from core.networks.netgpt import NetGpt, NetGptConfig, random_netgpt
from core.records import Progress, no_progress
from core.tokenization.hex_text import EOS, MASK, PCK, TSK, FlowTokens
from core.training import loop
from core.training.answering import AnsweringConfig, AnswerLoss, finetune
from core.training.causal import distinct, pretrain
from core.training.loop import History, LoopConfig

KINDS = ["even", "odd", "mixed"]
TASKS = Tasks.first(40, TSK, MASK)
SHAPE = NetGptConfig(vocab_size=41, hidden_size=32, n_layers=2, n_heads=2, max_tokens=40, n_segments=5)
QUICK = LoopConfig(max_steps=12, batch_tokens=600, learning_rate=3e-3, evaluate_every=2, patience=99)


def flow(kind: int, draw: np.random.Generator) -> FlowTokens:
    """Three packets that count up: all from even numbers, all from odd, or from both."""
    ids: list[int] = []
    segments: list[int] = []
    for packet in range(3):
        start = int(draw.integers(0, 8)) * 2 + 8 + (packet % 2 if kind == 2 else kind)
        ids += [*range(start, start + 2 * int(draw.integers(2, 6)), 2), PCK]
        segments += [packet + 1] * (len(ids) - len(segments))
    return FlowTokens([*ids, EOS], [*segments, 0], [-1] * (len(ids) + 1))


def flows(n: int, seed: int) -> tuple[list[FlowTokens], list[str]]:
    draw = np.random.default_rng(seed)
    kinds = draw.integers(0, 3, n).tolist()
    return [flow(kind, draw) for kind in kinds], [KINDS[kind] for kind in kinds]


LEARNT, LABELS = flows(240, 0)
HELD_BACK, HELD_BACK_LABELS = flows(60, 1)


def learn(
    *,
    seed: int = 0,
    progress: Progress = no_progress,
    checkpoints: Path | None = None,
    held_back: Sequence[FlowTokens] = HELD_BACK,
    **settings: float,
) -> tuple[NetGpt, History]:
    return pretrain(
        random_netgpt(SHAPE, seed), TASKS, lambda epoch: LEARNT, held_back,
        dataclasses.replace(QUICK, **settings), seed=seed, progress=progress, checkpoints=checkpoints,
    )  # fmt: skip


def same(one: NetGpt, other: NetGpt) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def losses(history: History) -> list[float | None]:
    return [entry["held_back_loss"] for entry in history]


def test_pretraining_learns_what_comes_next_and_the_seed_decides_all() -> None:
    network, history = learn()
    again, history_again = learn()
    other, _ = learn(seed=1)
    assert [entry["step"] for entry in history] == [2, 4, 6, 8, 10, 12]
    assert losses(history)[0] - losses(history)[-1] > 0.3  # type: ignore[operator]
    assert same(network, again)
    assert losses(history) == losses(history_again)
    assert not same(network, other)
    assert same(network, _through_half(network)), "saving would change it"


def _through_half(network: NetGpt) -> NetGpt:
    return network.half().float()


def test_a_step_on_two_cores_is_the_step_on_one() -> None:
    """A part of the batch on each: their sum may only be rounded otherwise."""
    n_threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append(learn(max_steps=1, evaluate_every=1))
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(n_threads)
    (one, history), (two, history_of_two) = found
    assert losses(history)[0] == pytest.approx(losses(history_of_two)[0], abs=2e-3)
    start = random_netgpt(SHAPE, 0)
    for first, a, b in zip(start.parameters(), one.parameters(), two.parameters(), strict=True):
        moved, moved_by_two = (a - first).flatten(), (b - first).flatten()
        if moved.norm():  # AdamW's first step is the sign of a gradient: what is nearly 0 may go either way
            assert torch.cosine_similarity(moved, moved_by_two, dim=0) > 0.9


def test_cancelled_and_resumed_it_is_as_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 4)
    whole, history = learn()

    def cancel_at_7(step: str, done: int, total: int) -> None:
        if done == 7:
            raise JobCancelled("cancelled")

    with pytest.raises(JobCancelled):
        learn(progress=cancel_at_7, checkpoints=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state-4.safetensors", "state.json"]
    steps: list[int] = []
    resumed, resumed_history = learn(progress=lambda _, done, __: steps.append(done), checkpoints=tmp_path)
    assert steps == list(range(5, 13))
    assert same(resumed, whole)
    assert losses(resumed_history) == losses(history)

    steps.clear()
    learn(progress=lambda _, done, __: steps.append(done), checkpoints=tmp_path, learning_rate=2e-3)
    assert steps[0] == 1, "resumed from another training"


@pytest.mark.parametrize("name", ["state-12.safetensors", "state.json"])
def test_a_damaged_state_is_not_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 4)
    network, _ = learn(checkpoints=tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-50])
    steps: list[int] = []
    again, _ = learn(progress=lambda _, done, __: steps.append(done), checkpoints=tmp_path)
    assert steps[0] == 1
    assert same(again, network)


def test_it_stops_when_the_held_back_loss_no_longer_falls_and_keeps_the_best_weights() -> None:
    best, history = learn(min_improvement=50, patience=2)
    assert [entry["step"] for entry in history] == [2, 4, 6]
    prompts = [TASKS.prompt(text.ids, text.segments, GENERATION, SHAPE) for text in HELD_BACK]
    surprise = np.nanmean(FlowEncoder(best).encode(prompts).surprise)
    assert surprise == pytest.approx(losses(history)[0], abs=0.01)
    assert surprise > losses(history)[-1] + 0.05  # type: ignore[operator]


def test_without_held_back_flows_the_last_weights_are_kept_and_no_steps_leave_random_ones() -> None:
    _, history = learn(held_back=[], max_steps=3)
    assert [(entry["step"], entry["held_back_loss"]) for entry in history] == [(2, None), (3, None)]
    untrained, history = learn(max_steps=0)
    assert history == []
    assert same(untrained, _through_half(random_netgpt(SHAPE)))


@pytest.mark.parametrize(
    "settings", [{"max_steps": -1}, {"batch_tokens": 0}, {"patience": 0}, {"learning_rate": float("inf")}]
)
def test_unusable_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(WorkbenchError, match=r"settings|learning_rate"):
        learn(**settings)
    with pytest.raises(InputError, match="no flow"):
        pretrain(random_netgpt(SHAPE), TASKS, lambda _: [], [], QUICK)


def test_distinct_keeps_the_first_of_each_text() -> None:
    draw = np.random.default_rng(5)
    a, b = flow(0, draw), flow(1, draw)
    assert distinct([a, b, a, b, a]) == [0, 1]


def test_synthetic_tasks_are_answered_by_their_prompts() -> None:
    """One network, two questions of the same flows; a fresh one is at chance: a third, and a half."""
    tasks = TASKS.with_task("kind", KINDS).with_task("long", ["no", "yes"])

    def labels_of(texts: list[FlowTokens], kinds: list[str]) -> dict[str, list[str | None]]:
        return {"kind": list(kinds), "long": ["yes" if len(text.ids) > 15 else "no" for text in texts]}

    epochs: list[int] = []

    def texts(epoch: int) -> list[FlowTokens]:
        epochs.append(epoch)
        return LEARNT

    held_back_labels = labels_of(HELD_BACK, HELD_BACK_LABELS)
    network, history = finetune(
        random_netgpt(SHAPE), tasks, texts, labels_of(LEARNT, LABELS), HELD_BACK, held_back_labels,
        LoopConfig(max_steps=100, batch_tokens=1500, learning_rate=5e-3, evaluate_every=20, patience=8),
    )  # fmt: skip
    assert epochs[0] == 0
    assert epochs == sorted(epochs)
    assert min(losses(history)) < 0.6 * losses(history)[0]  # type: ignore[operator, type-var]
    encoder = FlowEncoder(network)
    for name, least in (("kind", 0.8), ("long", 0.8)):
        prompts = [tasks.prompt(text.ids, text.segments, name, network.config) for text in HELD_BACK]
        found = encoder.answer(prompts, tasks[name]).argmax(1)
        right = [tasks[name].labels[at] == label for at, label in zip(found, held_back_labels[name], strict=True)]
        assert np.mean(right) > least, name


def test_the_loss_asks_only_among_the_labels_of_the_task_and_weighs_rare_ones() -> None:
    tasks = TASKS.with_task("kind", KINDS).with_task("long", ["no", "yes"])
    network = random_netgpt(SHAPE).grown(tasks.vocab_size)
    prompts = [
        tasks.prompt(text.ids, text.segments, "long", SHAPE)._replace(answer=tasks["long"].answer_token(label))
        for text, label in zip(LEARNT[:4], ["yes", "no", "no", "no"], strict=True)
    ]
    loss = AnswerLoss(tasks, prompts, tasks.vocab_size, AnsweringConfig(balance=1.0))
    with torch.no_grad():
        total, n = loss(network, loop.Batch.of(prompts))
    probabilities = FlowEncoder(network, torch.float32).answer(prompts, tasks["long"])
    expected = -np.log(probabilities[range(4), [1, 0, 0, 0]]) * np.array([2, 2 / 3, 2 / 3, 2 / 3])
    assert total.item() == pytest.approx(expected.sum(), abs=1e-4)
    assert n.item() == pytest.approx(4, abs=1e-4)


def test_another_loss_of_answers_is_another_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 2)
    tasks, steps = TASKS.with_task("kind", KINDS), list[int]()

    def teach(max_step: int, answering: AnsweringConfig) -> None:
        def cancel(step: str, done: int, total: int) -> None:
            steps.append(done)
            if done == max_step:
                raise JobCancelled("cancelled")

        with pytest.raises(JobCancelled):
            finetune(
                random_netgpt(SHAPE), tasks, lambda _: LEARNT[:20], {"kind": LABELS[:20]}, [], {}, QUICK, answering,
                progress=cancel, checkpoints=tmp_path,
            )  # fmt: skip

    teach(3, AnsweringConfig(causal_share=0.5))
    teach(5, AnsweringConfig(causal_share=0.5))
    assert steps == [1, 2, 3, 3, 4, 5]
    teach(1, AnsweringConfig())
    assert steps[6:] == [1]


def test_flows_without_a_label_are_left_out() -> None:
    tasks = TASKS.with_task("kind", KINDS)
    with pytest.raises(InputError, match="no flow has a label"):
        finetune(random_netgpt(SHAPE), tasks, lambda _: LEARNT[:3], {"kind": [None] * 3}, [], {}, QUICK)
    with pytest.raises(WorkbenchError, match="no label 'purple'"):
        finetune(random_netgpt(SHAPE), tasks, lambda _: LEARNT[:1], {"kind": ["purple"]}, [], {}, QUICK)
    _, history = finetune(
        random_netgpt(SHAPE), tasks, lambda _: LEARNT[:3], {"kind": [None, "odd", None]}, [], {},
        dataclasses.replace(QUICK, max_steps=1),
    )  # fmt: skip
    assert len(history) == 1

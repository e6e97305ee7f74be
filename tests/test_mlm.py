"""Masked log modelling: it learns, it is the same for a seed, and it stops and resumes when it should."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from core.config import NetworkConfig, TrainingConfig
from core.errors import InputError, JobCancelled, WorkbenchError
from core.networks.encoder import Encoder
from core.networks.tinylogbert import SPECIAL_TOKENS, TinyLogBert
from core.records import Measure, Progress, no_measure, no_progress
from core.training import mlm

USERS = [f"user{n}" for n in range(30)]
VERBS = {"login": "session", "logout": "session", "read": "file", "write": "file"}
WORDS = [*SPECIAL_TOKENS, *USERS, *VERBS, "session", "file", "opened", "for"]
TINY = NetworkConfig(hidden_size=64, n_layers=2, n_heads=2, max_tokens=32)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


@pytest.fixture(scope="module")
def ids(tokenizer: Tokenizer) -> list[list[int]]:
    """A grammar in which the verb decides the object, both ways."""
    texts = [f"{verb} {VERBS[verb]} opened for {user}" for user in USERS for verb in VERBS]
    random.Random(0).shuffle(texts)
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


def train(
    tokenizer: Tokenizer,
    ids: list[list[int]],
    *,
    seed: int = 0,
    progress: Progress = no_progress,
    checkpoints: Path | None = None,
    measure: Measure = no_measure,
    **settings: float,
) -> tuple[TinyLogBert, list[dict[str, float | None]]]:
    training = TrainingConfig(**({"max_steps": 6, "batch_size": 32, "learning_rate": 3e-3} | settings))
    return mlm.train_mlm(
        ids[:-20],
        np.arange(1, len(ids) - 19),
        ids[-20:],
        tokenizer=tokenizer,
        network_config=TINY,
        training_config=training,
        seed=seed,
        progress=progress,
        checkpoints=checkpoints,
        measure=measure,
    )


def same(one: TinyLogBert, other: TinyLogBert) -> bool:
    return all(torch.equal(one.state_dict()[name], weight) for name, weight in other.state_dict().items())


def test_it_learns_what_decides_what(tokenizer: Tokenizer, ids: list[list[int]], capfd: pytest.CaptureFixture) -> None:
    steps: list[tuple[str, int, int]] = []
    network, history = train(tokenizer, ids, max_steps=150, progress=lambda *told: steps.append(told))
    assert network.config.vocab_size == len(WORDS)
    assert [entry["step"] for entry in history] == [25, 50, 75, 100, 125, 150]
    losses = [entry["held_back_loss"] for entry in history]
    assert losses[-1] < 0.7 * losses[0]  # type: ignore[operator]
    assert steps == [("training TinyLogBERT", step, 150) for step in range(1, 151)]
    texts = ["read file opened for user3", "read session opened for user3"]
    surprise = Encoder(network, torch.float32).encode([tokenizer.encode(text).ids for text in texts]).surprise
    assert surprise[0, 1] < 0.5
    assert surprise[1, 1] > 3
    assert capfd.readouterr() == ("", "")


def test_the_seed_decides_everything_and_the_callers_draws_go_on(tokenizer: Tokenizer, ids: list[list[int]]) -> None:
    torch.manual_seed(1)
    drawn = torch.rand(3)
    torch.manual_seed(1)
    first, history = train(tokenizer, ids, seed=5)
    assert torch.equal(torch.rand(3), drawn), "training moved the caller's random numbers"
    again, history_again = train(tokenizer, ids, seed=5)
    other, _ = train(tokenizer, ids, seed=6)
    assert same(first, again)
    assert not same(first, other)
    assert [entry["held_back_loss"] for entry in history] == [entry["held_back_loss"] for entry in history_again]


def test_saving_changes_nothing(tokenizer: Tokenizer, ids: list[list[int]], tmp_path: Path) -> None:
    network, _ = train(tokenizer, ids)
    network.save(tmp_path)
    assert same(TinyLogBert.load(tmp_path), network)


def test_it_stops_when_the_held_back_loss_no_longer_falls(
    tokenizer: Tokenizer, ids: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlm, "EVALUATE_EVERY", 2)
    _, history = train(tokenizer, ids, max_steps=100, learning_rate=0.0)  # nothing can improve
    assert [entry["step"] for entry in history] == [2, 4, 6, 8]


def test_without_held_back_texts_all_steps_run(tokenizer: Tokenizer, ids: list[list[int]]) -> None:
    _, history = mlm.train_mlm(
        ids[:1],
        np.array([7]),
        [],
        tokenizer=tokenizer,
        network_config=TINY,
        training_config=TrainingConfig(max_steps=3, batch_size=4),
    )
    assert [(entry["step"], entry["held_back_loss"]) for entry in history] == [(3, None)]
    with pytest.raises(InputError):
        mlm.train_mlm(
            [],
            np.array([]),
            [],
            tokenizer=tokenizer,
            network_config=TINY,
            training_config=TrainingConfig(),
        )


def test_no_steps_leave_random_weights(tokenizer: Tokenizer, ids: list[list[int]]) -> None:
    def untrained(seed: int) -> tuple[TinyLogBert, list]:
        return mlm.train_mlm(
            ids, np.ones(len(ids)), [], tokenizer=tokenizer, network_config=TINY,
            training_config=TrainingConfig(max_steps=0), seed=seed,
        )  # fmt: skip

    (network, history), (same, _), (other, _) = untrained(0), untrained(0), untrained(1)
    assert history == []
    name = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(network.state_dict()[name], same.state_dict()[name])
    assert not torch.equal(network.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize(
    "settings", [{"max_steps": -1}, {"batch_size": 0}, {"mask_probability": 1.0}, {"learning_rate": float("inf")}]
)
def test_unusable_settings_are_refused(tokenizer: Tokenizer, ids: list[list[int]], settings: dict[str, float]) -> None:
    with pytest.raises(WorkbenchError, match=r"settings|learning_rate"):
        train(tokenizer, ids, **settings)


def test_cancelled_it_stops_and_goes_on_where_it_was(
    tokenizer: Tokenizer,
    ids: list[list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(mlm, "EVALUATE_EVERY", 2)
    monkeypatch.setattr(mlm, "SAVE_EVERY", 4)
    _, history = train(tokenizer, ids, max_steps=10)
    steps = []

    def cancel_at_7(step: str, done: int, total: int) -> None:
        steps.append(done)
        if done == 7:
            raise JobCancelled("cancelled")

    with pytest.raises(JobCancelled):
        train(tokenizer, ids, max_steps=10, progress=cancel_at_7, checkpoints=tmp_path)
    assert steps[-1] == 7
    steps.clear()
    _, resumed_history = train(
        tokenizer, ids, max_steps=10, progress=lambda _, done, __: steps.append(done), checkpoints=tmp_path
    )
    assert steps[0] == 5
    assert steps[-1] == 10
    assert [e["step"] for e in resumed_history] == [2, 4, 6, 8, 10]
    losses, resumed_losses = ([e["held_back_loss"] for e in h] for h in (history, resumed_history))
    assert resumed_losses[:2] == losses[:2]
    np.testing.assert_allclose(resumed_losses, losses, atol=0.1)  # other masks, the same weights to go on from
    assert losses[0] - losses[-1] > 0.3

    steps.clear()
    train(tokenizer, ids, seed=1, progress=lambda _, done, __: steps.append(done), checkpoints=tmp_path)
    assert steps[0] == 1, "resumed from another training"
    assert capfd.readouterr() == ("", "")


def test_a_damaged_checkpoint_is_not_gone_on_from(
    tokenizer: Tokenizer, ids: list[list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlm, "EVALUATE_EVERY", 2)
    monkeypatch.setattr(mlm, "SAVE_EVERY", 4)

    def cancel_at_5(step: str, done: int, total: int) -> None:
        steps.append(done)
        if done == 5:
            raise JobCancelled("cancelled")

    def first_step(told: list[tuple[str, int, float]]) -> int:
        steps.clear()
        with pytest.raises(JobCancelled):
            train(tokenizer, ids, progress=cancel_at_5, checkpoints=tmp_path, measure=lambda *entry: told.append(entry))
        return steps[0]

    steps: list[int] = []
    whole: list[tuple[str, int, float]] = []
    resumed: list[tuple[str, int, float]] = []
    assert first_step(whole) == 1
    assert [entry[:2] for entry in whole] == [(name, n) for n in (2, 4) for name in ("train_loss", "held_back_loss")]
    assert first_step(resumed) == 5
    assert resumed == whole, "the history before the cancel is told again"
    state = tmp_path / "checkpoint-4" / "optimizer.pt"
    state.write_bytes(state.read_bytes()[:-100])
    assert first_step([]) == 1
    (tmp_path / "watch.json").write_text("[]")
    assert first_step([]) == 1

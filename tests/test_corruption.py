"""Corrupted texts: new, whole, and made the way they say."""

import random

import numpy as np
import pytest
import torch

from core.config import NetworkConfig
from core.networks.encoder import Encoder
from core.networks.tinylogbert import CLS_ID, SEP_ID, SPECIAL_TOKENS, TinyLogBert
from core.training.corruption import OF_EACH_KIND, corrupt


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(TinyLogBert(NetworkConfig(vocab_size=60, hidden_size=32, n_layers=1, n_heads=2, max_tokens=24)))


@pytest.fixture(scope="module")
def ids() -> list[list[int]]:
    draw = random.Random(0)
    return [
        [CLS_ID, *(draw.randrange(5, 60) for _ in range(draw.choice([1, 2, 5, 12, 22]))), SEP_ID] for _ in range(150)
    ]


def test_every_corrupted_text_is_new_and_well_formed(encoder: Encoder, ids: list[list[int]]) -> None:
    corrupted = corrupt(ids, np.ones(len(ids)), encoder)
    real = {tuple(text) for text in ids}
    assert 300 < len(corrupted) <= 450
    assert len({tuple(text) for text in corrupted}) == len(corrupted)
    for text in corrupted:
        assert tuple(text) not in real
        assert text[0] == CLS_ID
        assert text[-1] == SEP_ID
        assert len(text) <= 24
        assert min(text[1:-1]) >= len(SPECIAL_TOKENS)


def test_all_three_kinds_are_there(encoder: Encoder, ids: list[list[int]]) -> None:
    bags = {tuple(sorted(text)) for text in ids}
    kinds = {"replaced": 0, "shuffled": 0, "spliced": 0}
    for text in corrupt(ids, np.ones(len(ids)), encoder):
        alike = [real for real in ids if len(real) == len(text)]
        changed = min((sum(a != b for a, b in zip(text, real, strict=True)) for real in alike), default=99)
        if tuple(sorted(text)) in bags:
            kinds["shuffled"] += 1
        elif changed <= 3:
            kinds["replaced"] += 1
        else:
            kinds["spliced"] += 1
    assert min(kinds.values()) > 40, kinds


def test_frequent_texts_are_corrupted_more_often_but_not_in_proportion(encoder: Encoder) -> None:
    frequent, rare = [CLS_ID, *range(5, 25), SEP_ID], [CLS_ID, *range(30, 50), SEP_ID]
    corrupted = corrupt([frequent, rare], np.array([100, 1]), encoder)
    of_rare = sum(len(set(text) & set(rare[1:-1])) > len(set(text) & set(frequent[1:-1])) for text in corrupted)
    assert 0.03 < of_rare / len(corrupted) < 0.25  # 1 in 11 drawn; in proportion it would be 1 in 101


def test_the_seed_decides(encoder: Encoder, ids: list[list[int]]) -> None:
    counts = np.ones(len(ids))
    assert corrupt(ids, counts, encoder, seed=1) == corrupt(ids, counts, encoder, seed=1)
    assert corrupt(ids, counts, encoder, seed=1) != corrupt(ids, counts, encoder, seed=2)


def test_tiny_logs(encoder: Encoder) -> None:
    one = corrupt([[CLS_ID, 7, SEP_ID]], np.array([5]), encoder)
    assert 0 < len(one) <= OF_EACH_KIND[0]
    assert [CLS_ID, 7, SEP_ID] not in one
    assert corrupt([[CLS_ID, SEP_ID]], np.array([5]), encoder) == []

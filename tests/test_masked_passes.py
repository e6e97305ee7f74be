"""Masked copies: what is hidden in which, and that equal copies are made once."""

import random

import numpy as np

from core.networks.masked_passes import MaskedPasses, masked_passes, most_read
from core.networks.tinylogbert import CLS_ID, MASK_ID, PAD_ID, SEP_ID

GOES_ON = np.arange(100) >= 60


def passes_of(inner: list[list[int]], width: int) -> MaskedPasses:
    tokens = np.full((len(inner), width), PAD_ID, np.int64)
    for row, text in enumerate(inner):
        tokens[row, : len(text) + 2] = [CLS_ID, *text, SEP_ID]
    return masked_passes(tokens, np.array([len(text) + 2 for text in inner]), GOES_ON)


def test_words_in_pieces_are_hidden_in_both_passes_and_every_other_whole_word_in_one() -> None:
    passes = passes_of([[10, 11, 12, 61, 62, 13, 14]], 12)
    m = MASK_ID
    both = {(m, 11, m, m, m, m, 14), (10, m, m, m, m, 13, m)}
    assert {tuple(row[1:8]) for row in passes.rows.tolist()} == both
    assert passes.rows[:, [0, 8]].tolist() == [[CLS_ID, SEP_ID]] * 2
    assert (passes.rows[:, 9:] == PAD_ID).all()
    assert passes.lengths.tolist() == [9, 9]


def test_each_token_is_foretold_once_where_it_is_hidden() -> None:
    draw = random.Random(3)
    inner = [[draw.randrange(5, 100) for _ in range(draw.choice([0, 1, 2, 3, 9, 21, 22]))] for _ in range(200)]
    passes = passes_of(inner, 24)
    asked = zip(passes.text.tolist(), passes.position.tolist(), passes.token.tolist(), strict=True)
    assert sorted(asked) == [(row, 1 + place, t) for row, text in enumerate(inner) for place, t in enumerate(text)]
    assert passes.first_place[-1] == passes.place[-1] + 1 == len(np.unique(passes.place))
    assert np.diff(passes.first_place).max() <= most_read(24) == passes.read.shape[1]
    assert (np.diff(passes.place) >= 0).all()
    row = np.searchsorted(passes.first_place, passes.place, side="right") - 1
    assert (passes.read[row, passes.place - passes.first_place[row]] == passes.position).all()
    for at, text, position in zip(row, passes.text, passes.position, strict=True):
        copy, whole = passes.rows[at], [CLS_ID, *inner[text], SEP_ID]
        assert copy[position] == MASK_ID
        assert passes.lengths[at] == len(whole)
        assert all(seen in (MASK_ID, token) for seen, token in zip(copy, whole, strict=False))


def test_texts_that_differ_in_a_word_in_pieces_alone_share_their_copies() -> None:
    assert len(passes_of([[10, 11, 12, 61, 62, 13], [10, 11, 40, 99, 70, 13]], 8).rows) == 2
    assert len(passes_of([[10, 11, 12, 61, 62, 13], [10, 11, 40, 99, 13, 13]], 8).rows) == 4


def test_a_text_without_tokens_has_no_copy() -> None:
    passes = passes_of([[], [10]], 8)
    assert (passes.rows.shape, passes.text.tolist()) == ((1, 8), [1])
    assert passes_of([[]], 8).rows.shape == (0, 8)

"""Copies of texts with tokens hidden, for the surprise of each; copies that came out equal are read once.

A word that the vocabulary has only in pieces is hidden in both passes, so that none of its pieces gives away the next
(Kauf and Ivanova, arXiv 2305.10588); of the other words every other one is hidden in either. So texts that differ in
such a word alone, a name or a random string, share their copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.networks.tinylogbert import MASK_ID

N_PASSES = 2
_NOT_READ = -1  # a hidden token that is read in the other pass


@dataclass(frozen=True)
class MaskedPasses:
    """R distinct copies of texts of one bucket, the P places that are read in them, and the U tokens that are foretold.

    Attributes:
        rows: [R, T] token ids, some of them [MASK].
        lengths: [R] tokens of each row.
        read: [R, Q] positions that are read, 0 past a row's last.
        first_place: [R + 1] number of each row's first place; P at the end.
        place: [U] the place where each token is foretold, ascending.
        text: [U] its text's row among the texts given.
        position: [U] its own position, from 1.
        token: [U] its id.
    """

    rows: np.ndarray
    lengths: np.ndarray
    read: np.ndarray
    first_place: np.ndarray
    place: np.ndarray
    text: np.ndarray
    position: np.ndarray
    token: np.ndarray


def masked_passes(tokens: np.ndarray, lengths: np.ndarray, goes_on: np.ndarray) -> MaskedPasses:
    """The masked copies of texts of one bucket; each inner token is hidden and read in one of its text's two.

    Args:
        tokens: [N, T] ids, [CLS] first and [SEP] last of each text's.
        lengths: [N] tokens of each text.
        goes_on: [V] which tokens go on with the word before them.
    """
    n_texts, width = tokens.shape
    inner = np.arange(width) < lengths[:, None] - 1
    inner[:, 0] = False
    later = goes_on[tokens] & inner
    later[:, 1] = False
    in_pieces = later.copy()
    in_pieces[:, :-1] |= later[:, 1:]
    whole = inner & ~in_pieces
    number = whole.cumsum(axis=1)
    odd = whole & (number % 2 == 1)
    # pieces are hidden in both: read where that makes the passes read equally many
    n_first = (lengths - 1) // 2 - odd.sum(axis=1)
    first = odd | (in_pieces & (in_pieces.cumsum(axis=1) <= n_first[:, None]))
    read_in = np.concatenate([first, inner & ~first])  # [2N, T]
    hidden = np.concatenate([in_pieces | odd, in_pieces | (whole & ~odd)])
    copies = np.where(hidden, np.where(read_in, MASK_ID, _NOT_READ), np.tile(tokens, (N_PASSES, 1))).astype(np.int32)
    used = np.flatnonzero(read_in.any(axis=1))
    copies, read_in = copies[used], read_in[used]
    as_bytes = copies.view(np.dtype((np.void, copies.itemsize * width)))[:, 0]
    _, made_from, row = np.unique(as_bytes, return_index=True, return_inverse=True)
    rows = copies[made_from].astype(np.int64)
    n_read = read_in[made_from].sum(axis=1)
    first_place = np.concatenate([[0], np.cumsum(n_read)])
    read = np.zeros((len(rows), most_read(width)), np.int64)
    of_row, positions = np.nonzero(read_in[made_from])
    read[of_row, np.arange(len(of_row)) - first_place[of_row]] = positions
    copy, position = np.nonzero(read_in)
    place = first_place[row[copy]] + (read_in.cumsum(axis=1) - 1)[copy, position]
    order = np.argsort(place, kind="stable")
    text = used[copy] % max(1, n_texts)
    return MaskedPasses(
        rows=np.where(rows == _NOT_READ, MASK_ID, rows),
        lengths=lengths[used[made_from] % max(1, n_texts)],
        read=read,
        first_place=first_place,
        place=place[order],
        text=text[order],
        position=position[order],
        token=tokens[text, position][order],
    )


def most_read(length: int) -> int:
    """Positions read at most in a masked copy of a text of so many tokens."""
    return -(-(length - 2) // N_PASSES)

"""Corrupted texts for the anomaly head: real texts made wrong in three ways, so that it can learn without labels.

- *Replaced*: some tokens become samples of the trained network, plausible but not what was written (ELECTRA, Clark et
  al., arXiv 2003.10555; for anomalies in text DATE, Manolache et al., arXiv 2104.05591).
- *Shuffled*: the tokens of one span change places, familiar words in a strange order (token permutation, one of the
  noises of denoising autoencoders for text, Lample et al., arXiv 1711.00043).
- *Spliced*: a span gives way to a span of another text; each part is familiar, the whole is not (CutPaste, Li et al.,
  arXiv 2104.04015, on tokens in place of pixels).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.networks.encoder import Encoder
from core.records import Progress, no_progress

OF_EACH_KIND = (100, 2_000)  # fewest for a log of few texts; most, which a head of 16,000 weights needs
REPLACED_SHARE = 0.15  # of the inner tokens, one at least
SPAN = (2, 8)  # tokens


def corrupt(
    ids: Sequence[Sequence[int]],
    counts: np.ndarray,
    encoder: Encoder,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> list[list[int]]:
    """Wrong texts made of real ones, about as many of each kind; texts are drawn with weight count ** 0.5.

    Args:
        ids: token ids of each distinct real text, [CLS] first, [SEP] last.
        counts: [N] lines that had each text, 1 or more.
        encoder: whose network writes the replaced tokens.
        seed: of every draw.
        progress: told the texts the network has rewritten.

    Returns:
        Token ids of distinct texts, [CLS] first, [SEP] last, at most `encoder.config.max_tokens` long, none of them a
        real text of `ids`. Where chance finds nothing new, as in a log of one single-token text, there are fewer of a
        kind, and none at all where no text has an inner token.
    """
    random = np.random.default_rng(seed)
    weights = np.sqrt(np.asarray(counts, np.float64))
    n_each = int(np.clip(len(ids), *OF_EACH_KIND))
    drawn = [list(ids[row]) for row in random.choice(len(ids), size=3 * n_each, p=weights / weights.sum())]
    to_replace, to_shuffle, to_splice = drawn[:n_each], drawn[n_each : 2 * n_each], drawn[2 * n_each :]
    donors = [ids[row] for row in random.integers(len(ids), size=n_each)]

    corrupted = encoder.resample(to_replace, [_some_positions(text, random) for text in to_replace], seed, progress)
    corrupted += [_shuffled(text, random) for text in to_shuffle]
    longest = encoder.config.max_tokens
    corrupted += [_spliced(text, donor, longest, random) for text, donor in zip(to_splice, donors, strict=True)]

    real = {tuple(text) for text in ids}
    return [list(text) for text in dict.fromkeys(map(tuple, corrupted)) if text not in real]


def _some_positions(text: list[int], random: np.random.Generator) -> list[int]:
    inner = len(text) - 2
    n_replaced = min(inner, max(1, round(REPLACED_SHARE * inner)))
    return sorted((1 + random.choice(inner, n_replaced, replace=False)).tolist()) if inner else []


def _shuffled(text: list[int], random: np.random.Generator) -> list[int]:
    start, end = _span(text, random)
    span: list[int] = random.permutation(text[start:end]).tolist()
    return text[:start] + span + text[end:]


def _spliced(text: list[int], donor: Sequence[int], longest: int, random: np.random.Generator) -> list[int]:
    start, end = _span(text, random)
    donor_start, donor_end = _span(donor, random)
    room = longest - len(text) + (end - start)
    return text[:start] + list(donor[donor_start : min(donor_end, donor_start + room)]) + text[end:]


def _span(text: Sequence[int], random: np.random.Generator) -> tuple[int, int]:
    """Start and end of a span of inner tokens: SPAN long, or all of a shorter text."""
    inner = len(text) - 2
    size = min(inner, int(random.integers(SPAN[0], SPAN[1] + 1)))
    start = 1 + int(random.integers(inner - size + 1))
    return start, start + size

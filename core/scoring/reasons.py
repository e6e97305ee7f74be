"""Why a text got its score, in a line: what is new in it, its level, and the scorers that weigh most."""

from __future__ import annotations

import numpy as np

from core.records import EncodedBatch, Scorer
from core.scoring.fusion import Fusion
from core.scoring.tfidf import TfidfScorer

SEPARATOR = "; "
N_WORDS, WORD_CHARS = 4, 40
N_SCORERS = 3


def reasons(
    batch: EncodedBatch,
    score: np.ndarray,
    calibrated: dict[str, np.ndarray],
    fusion: Fusion,
    tfidf: Scorer | None,
) -> list[str]:
    """Reasons of each text, "" for one that is nowhere near the threshold.

    Args:
        batch: the texts, B of them.
        score: [B] fused scores, 0 to 1.
        calibrated: scorer name to [B] scores, 0 to 1.
        fusion: fitted; its weights say what counts.
        tfidf: fitted, to name the words of no other message; or None.
    """
    contributions = fusion.contributions(calibrated)
    names = list(contributions)
    top = np.argsort(-np.stack(list(contributions.values()), axis=1), axis=1, kind="stable")[:, :N_SCORERS]
    near = np.flatnonzero(score >= fusion.threshold_ / 2)
    unknown: list[list[str]] = [[]] * len(near)
    if isinstance(tfidf, TfidfScorer):
        unknown = tfidf.unknown_terms(batch.take(near))
    found = [""] * len(batch)
    for row, words in zip(near, unknown, strict=True):
        parts = []
        if words:
            parts.append("words of no other message: " + ", ".join(word[:WORD_CHARS] for word in words[:N_WORDS]))
        if batch.levels[row] in ("warning", "error", "critical"):
            parts.append(f"level {batch.levels[row]}")
        weighty = [names[n] for n in top[row] if contributions[names[n]][row] > 0]
        parts.append("mostly " + ", ".join(f"{name} {calibrated[name][row]:.2f}" for name in weighty))
        found[row] = SEPARATOR.join(parts)
    return found

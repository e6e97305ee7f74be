"""Why a text got its score, in a line: its source, what is new in it, its level, and the scorers that weigh most."""

from __future__ import annotations

import numpy as np

from core.records import EncodedBatch, Scorer
from core.scoring.context import UNUSUAL_SOURCE
from core.scoring.fusion import Fusion
from core.scoring.novelty import NoveltyScorer

SEPARATOR = "; "
NEW_WORDS = "words of no ordinary message: "
N_WORDS, WORD_CHARS = 4, 40
N_SCORERS = 3


def reasons(
    batch: EncodedBatch,
    score: np.ndarray,
    calibrated: dict[str, np.ndarray],
    fusion: Fusion,
    novelty: Scorer | None,
) -> list[str]:
    """Reasons of each text, "" for one that is nowhere near the threshold.

    Args:
        batch: the texts, B of them.
        score: [B] fused scores, 0 to 1.
        calibrated: scorer name to [B] scores, 0 to 1.
        fusion: fitted; its weights say what counts.
        novelty: fitted, to name the words of no ordinary message; or None.
    """
    near = np.flatnonzero(score >= fusion.threshold_ / 2)
    unknown: list[list[str]] = [[]] * len(near)
    if isinstance(novelty, NoveltyScorer):
        unknown = novelty.unknown_terms([batch.texts[row] for row in near])
    words = [""] * len(batch)
    for row, terms in zip(near, unknown, strict=True):
        if terms:  # a comma between them would be taken for one of them; a semicolon ends the part, so it is last
            named = sorted(terms[:N_WORDS], key=";".__eq__)
            words[row] = NEW_WORDS + " ".join(term[:WORD_CHARS] for term in named)
    return _worded(words, batch.levels, score, calibrated, fusion, np.zeros(len(batch)))


def reworded(
    former: list[str],
    levels: list[str],
    score: np.ndarray,
    calibrated: dict[str, np.ndarray],
    fusion: Fusion,
    context: np.ndarray,
) -> list[str]:
    """Reasons after a change of scores; the words of no ordinary message stay as they were found.

    Where the source adds to the score, it stands first, and the scorers are said to be of the text alone.

    Args:
        former: what `reasons` said of the B texts.
        levels: their level classes.
        score: [B] the new scores, context included, 0 to 1.
        calibrated: scorer name to [B] scores, 0 to 1.
        fusion: with the new weights and threshold.
        context: [B] of scoring.context, 0 to 1; 0 where the source adds nothing.
    """
    words = [next((part for part in reason.split(SEPARATOR) if part.startswith(NEW_WORDS)), "") for reason in former]
    return _worded(words, levels, score, calibrated, fusion, context)


def _worded(
    words: list[str],
    levels: list[str],
    score: np.ndarray,
    calibrated: dict[str, np.ndarray],
    fusion: Fusion,
    context: np.ndarray,
) -> list[str]:
    contributions = fusion.contributions(calibrated)
    names = list(contributions)
    top = np.argsort(-np.stack(list(contributions.values()), axis=1), axis=1, kind="stable")[:, :N_SCORERS]
    found = [""] * len(words)
    for row in np.flatnonzero(score >= fusion.threshold_ / 2):
        level = f"level {levels[row]}" if levels[row] in ("warning", "error", "critical") else ""
        weighty = [names[n] for n in top[row] if contributions[names[n]][row] > 0]
        source, weigh = (UNUSUAL_SOURCE, "of its text: ") if context[row] > 0 else ("", "mostly ")
        scorers = weigh + ", ".join(f"{name} {calibrated[name][row]:.2f}" for name in weighty) if weighty else ""
        found[row] = SEPARATOR.join(part for part in (source, words[row], level, scorers) if part)
    return found

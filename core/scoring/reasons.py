"""Why a text got its score, in a line: its source, what is new in it, its level, and the scorers that weigh most."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from core.records import EncodedBatch, Scorer
from core.scoring.context import UNUSUAL_SOURCE
from core.scoring.fusion import Fusion
from core.scoring.novelty import NoveltyScorer
from core.scoring.shape import ShapeScorer

SEPARATOR = "; "
UNUSUAL_REQUEST = "unusual request: "
NEW_WORDS = "words of no ordinary message: "
N_WORDS, WORD_CHARS = 4, 40
N_SCORERS = 3


def reasons(
    batch: EncodedBatch,
    score: np.ndarray,
    calibrated: dict[str, np.ndarray],
    fusion: Fusion,
    scorers: Mapping[str, Scorer],
) -> list[str]:
    """Reasons of each text, "" for one that is nowhere near the threshold.

    Args:
        batch: the texts, B of them.
        score: [B] fused scores, 0 to 1.
        calibrated: scorer name to [B] scores, 0 to 1.
        fusion: fitted; its weights say what counts.
        scorers: fitted, by name; `shape` names what is unusual in a request, `novelty` words of no ordinary message.
    """
    near = np.flatnonzero(score >= fusion.threshold_ / 2)
    texts = [batch.texts[row] for row in near]
    found = [""] * len(batch)
    for row, unusual, terms in zip(near, _unusual(texts, scorers), _new_words(texts, scorers), strict=True):
        found[row] = SEPARATOR.join(part for part in (unusual, terms) if part)
    return _worded(found, batch.levels, score, calibrated, fusion, np.zeros(len(batch)))


def _unusual(texts: list[str], scorers: Mapping[str, Scorer]) -> list[str]:
    shape = scorers.get(ShapeScorer.name)
    if not isinstance(shape, ShapeScorer):
        return [""] * len(texts)
    # A value may hold what parts the reasons.
    said = [re.sub("; +", ";", unusual) for unusual in shape.unusual_parameters(texts)]
    return [UNUSUAL_REQUEST + unusual if unusual else "" for unusual in said]


def _new_words(texts: list[str], scorers: Mapping[str, Scorer]) -> list[str]:
    novelty = scorers.get(NoveltyScorer.name)
    if not isinstance(novelty, NoveltyScorer):
        return [""] * len(texts)
    found = []
    for terms in novelty.unknown_terms(texts):
        # A comma between them would be taken for one of them; a semicolon ends the part, so it is last.
        named = sorted(terms[:N_WORDS], key=";".__eq__)
        found.append(NEW_WORDS + " ".join(term[:WORD_CHARS] for term in named) if named else "")
    return found


def reworded(
    former: list[str],
    levels: list[str],
    score: np.ndarray,
    calibrated: dict[str, np.ndarray],
    fusion: Fusion,
    context: np.ndarray,
) -> list[str]:
    """Reasons after a change of scores; what is unusual in the text stays as it was found.

    Where the source adds to the score, it stands first, and the scorers are said to be of the text alone.

    Args:
        former: what `reasons` said of the B texts.
        levels: their level classes.
        score: [B] the new scores, context included, 0 to 1.
        calibrated: scorer name to [B] scores, 0 to 1.
        fusion: with the new weights and threshold.
        context: [B] of scoring.context, 0 to 1; 0 where the source adds nothing.
    """
    of_text = UNUSUAL_REQUEST, NEW_WORDS
    found = [SEPARATOR.join(part for part in reason.split(SEPARATOR) if part.startswith(of_text)) for reason in former]
    return _worded(found, levels, score, calibrated, fusion, context)


def _worded(
    unusual: list[str],
    levels: list[str],
    score: np.ndarray,
    calibrated: dict[str, np.ndarray],
    fusion: Fusion,
    context: np.ndarray,
) -> list[str]:
    contributions = fusion.contributions(calibrated)
    names = list(contributions)
    top = np.argsort(-np.stack(list(contributions.values()), axis=1), axis=1, kind="stable")[:, :N_SCORERS]
    found = [""] * len(unusual)
    for row in np.flatnonzero(score >= fusion.threshold_ / 2):
        level = f"level {levels[row]}" if levels[row] in ("warning", "error", "critical") else ""
        weighty = [names[n] for n in top[row] if contributions[names[n]][row] > 0]
        source, weigh = (UNUSUAL_SOURCE, "of its text: ") if context[row] > 0 else ("", "mostly ")
        scorers = weigh + ", ".join(f"{name} {calibrated[name][row]:.2f}" for name in weighty) if weighty else ""
        found[row] = SEPARATOR.join(part for part in (source, unusual[row], level, scorers) if part)
    return found

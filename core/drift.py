"""How far a log is from what a detector learnt: new and vanished messages, what nobody knew, the shift of scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import binom

from core.scoring.everyday import at_or_above, changed_note, unforeseen
from core.scoring.fusion import ordinary

SHOWN = 1_000  # new messages, and vanished ones

_CHANCE = 0.001  # a rate is said to fail only where so few such messages would be seen by chance
_EXPECTED_LINES = 5.0  # of a learnt message in a log of this length, for its absence to mean anything


@dataclass(frozen=True)
class Drift:
    """A log against what its detector learnt.

    Attributes:
        new: messages never learnt, the most frequent first: text_id, normalized_text, n_lines, score; at most SHOWN.
        vanished: learnt messages that are missing and that a log of this length should have, the most expected first:
            normalized_text, learnt (lines), expected (lines); at most SHOWN.
        n_new: distinct messages never learnt.
        n_new_expected: how many were to be expected of as many everyday lines; None where nobody knows.
        n_known: distinct messages that were learnt.
        n_vanished: as the rows of `vanished`, all of them.
        novelty: share of lines whose message was never learnt, 0 to 1.
        distance: between the shares that messages have of both logs, 0 (the same) to 1 (nothing in common).
        ordinary: what ordinary lines score here, 0 to 1 (scoring.fusion.ordinary).
        ordinary_learnt: what they scored when the detector learnt.
        flagged: share of lines at or above the detector's own threshold.
        flagged_known: the same of the lines whose message was learnt; None where there is none.
        promised: the share of normal lines that may be flagged: what the detector stated or, where it knows what
            everyday lines score, what it expects at this threshold.
        warnings: why that promise cannot hold here, or may not; empty where nothing speaks against it.
    """

    new: pl.DataFrame
    vanished: pl.DataFrame
    n_new: int
    n_new_expected: float | None
    n_known: int
    n_vanished: int
    novelty: float
    distance: float
    ordinary: float
    ordinary_learnt: float
    flagged: float
    flagged_known: float | None
    promised: float
    warnings: list[str]


def drift(
    texts: pl.DataFrame,
    learnt: pl.DataFrame,
    threshold: float,
    promised: float,
    least_known: float,
    ordinary_learnt: float,
    everyday: pl.DataFrame | None = None,
) -> Drift:
    """Compare a scored log with what its detector learnt.

    Args:
        texts: of the run: text_id, normalized_text, count, score (0 to 1, higher is more abnormal); a message may stand
            in several contexts.
        learnt: normalized_text and count of the distinct learnt messages.
        threshold: the detector's own.
        promised: its false-alarm rate, 0 to 1, where `everyday` does not say better.
        least_known: share of lines with a learnt message below which that rate cannot hold, 0 to 1.
        ordinary_learnt: what ordinary lines scored when it learnt, 0 to 1.
        everyday: what as many everyday lines would hold (records.EVERYDAY_SCHEMA), where that is known.
    """
    lines = texts["count"].to_numpy().astype(np.float64)
    n_lines, n_learnt = float(lines.sum()), float(learnt["count"].sum())
    scores = texts["score"].to_numpy()
    known = texts["normalized_text"].is_in(learnt["normalized_text"].implode()).to_numpy()
    message = texts.group_by("normalized_text", maintain_order=True).agg(
        pl.col("text_id").first(), pl.col("count").sum().alias("n_lines"), pl.col("score").max()
    )
    new = message.join(learnt, on="normalized_text", how="anti", maintain_order="left")
    expected = pl.col("count") * (n_lines / max(1.0, n_learnt))
    missing = (
        learnt.join(message, on="normalized_text", how="anti", maintain_order="left")
        .select("normalized_text", pl.col("count").alias("learnt"), expected.alias("expected"))
        .filter(pl.col("expected") >= _EXPECTED_LINES)
        .sort("expected", "normalized_text", descending=[True, False])
    )
    novelty = _share(lines[~known].sum(), n_lines)
    flagged = scores >= threshold
    n_known = int(message.height - new.height)
    # Lines of one message are no independent draws, so messages are counted.
    foreseen = promised * message.height
    if everyday is not None:  # of lines alone the rate is another than of lines in context, and of messages another yet
        said = at_or_above(everyday, threshold)
        promised, foreseen = _share(said["lines"], float(everyday["lines"].sum())), said["messages"]
    n_flagged = texts.filter(pl.Series(flagged))["normalized_text"].n_unique()
    return Drift(
        new=new.select("text_id", "normalized_text", "n_lines", "score")
        .sort("n_lines", "score", "text_id", descending=[True, True, False])
        .head(SHOWN),
        vanished=missing.head(SHOWN),
        n_new=new.height,
        n_new_expected=None if everyday is None else float(everyday["new"].sum()),
        n_known=n_known,
        n_vanished=missing.height,
        novelty=novelty,
        distance=_distance(message, learnt),
        ordinary=ordinary(scores, lines),
        ordinary_learnt=ordinary_learnt,
        flagged=_share(lines[flagged].sum(), n_lines),
        flagged_known=_share(lines[flagged & known].sum(), lines[known].sum()) if known.any() else None,
        promised=promised,
        warnings=_warnings(
            novelty,
            1 - least_known,
            None if everyday is None else unforeseen(everyday, new["score"].to_numpy(), threshold),
            flagged=_share(lines[flagged].sum(), n_lines),
            promised=promised,
            by_chance=float(binom.sf(n_flagged - 1, message.height, min(1.0, foreseen / message.height))),
        ),
    )


def _warnings(
    novelty: float,
    most_novelty: float,
    changed: tuple[int, float] | None,
    *,
    flagged: float,
    promised: float,
    by_chance: float,
) -> list[str]:
    """Of the first that holds; `by_chance` is how likely so many flagged messages are where nothing has changed."""
    found = []
    if novelty > most_novelty:
        found.append(
            f"{novelty:.0%} of the lines have a message that was never learnt: the promised {promised:.1%} of false "
            "alarms cannot hold here."
        )
    elif changed is not None:
        found.append(changed_note(*changed))
    elif flagged > promised and by_chance < _CHANCE:
        found.append(
            f"{flagged:.1%} of the lines are flagged where {promised:.1%} of normal ones may be: either so many are "
            "abnormal, or the log has drifted. Judge some of them before you rely on the promised rate."
        )
    return found


def _distance(message: pl.DataFrame, learnt: pl.DataFrame) -> float:
    """Of Jensen and Shannon: the square root of their divergence in bits (Endres and Schindelin 2003)."""
    both = message.join(learnt, on="normalized_text", how="full", coalesce=True).fill_null(0)
    p, q = (both[name].to_numpy().astype(np.float64) for name in ("n_lines", "count"))
    if not p.sum() or not q.sum():
        return 1.0
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    divergence = sum(float((part[part > 0] * np.log2(part[part > 0] / middle[part > 0])).sum()) for part in (p, q)) / 2
    return math.sqrt(min(1.0, max(0.0, divergence)))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0

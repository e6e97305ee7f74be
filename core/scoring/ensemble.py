"""Fitting all scorers of a bundle and the fusion above them; keeping them in its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.config import ScoringConfig
from core.records import EncodedBatch, Progress, Scorer, no_progress
from core.scoring import scorer_class
from core.scoring.fusion import Fusion, reached_by_more
from core.scoring.severity import SeverityScorer

MIN_TEXTS_TO_HOLD_BACK = 10
SEVERE = 0.5  # a warning or worse
MANY_TEXTS = 1_000  # from here on two scorers work at once; for fewer, threads cost more than they save


def hold_back(texts: Sequence[str], share: float, seed: int) -> np.ndarray:
    """[N] which distinct texts are kept from fitting: a seeded draw by content, the same in any order of the texts."""
    n_held = round(share * len(texts)) if len(texts) >= MIN_TEXTS_TO_HOLD_BACK else 0
    held = np.zeros(len(texts), dtype=bool)
    held[np.argsort(np.array([draw(text, seed) for text in texts]), kind="stable")[:n_held]] = True
    return held


def draw(text: str, seed: int) -> int:
    """A number that follows from a text and the seed alone."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{text}".encode(), digest_size=8).digest())


class Fitted(NamedTuple):
    """What `fit_scorers` makes of B distinct texts.

    Attributes:
        fusion: fitted, with its threshold.
        raw: each scorer's raw scores [B].
        learnt: [B] bool, which texts say what is normal.
        held_back: [H] which of them were scored before they were learnt.
        unseen: [H] what they scored then, fused.
    """

    fusion: Fusion
    raw: dict[str, np.ndarray]
    learnt: np.ndarray
    held_back: np.ndarray
    unseen: np.ndarray


def fit_scorers(
    scorers: dict[str, Scorer],
    scoring: ScoringConfig,
    batch: EncodedBatch,
    held_back: np.ndarray,
    progress: Progress = no_progress,
    *,
    on_itself: bool = False,
) -> Fitted:
    """Fit on a part, score the texts held back, fit on all; then set the threshold.

    The threshold counts lines. A new normal line has a known text, or an unseen one as often as texts came only once
    (Good and Turing's estimate): known texts weigh their lines, those held back share the unseen.

    Where a contamination is stated, this is done twice: the strangest texts of the first time, of so many lines, are
    not learnt from the second time.

    Args:
        scorers: by name; they are fitted.
        scoring: weights, false-alarm rate and contamination.
        batch: B distinct texts with what the scorers require.
        held_back: [B] which are kept from the first fit; none of them leaves the threshold to known texts.
        progress: told the scorers done.
        on_itself: the batch is what will be scored, anomalies and all: texts that do not vouch are not learnt
            from, none is held back, and the threshold parts the scores (Fusion.split).
    """
    learnt = vouching(batch) if on_itself else np.ones(len(batch), dtype=bool)
    if on_itself:
        held_back = np.zeros(len(batch), dtype=bool)
    if scoring.contamination:
        learnt = _without_strangest(scorers, scoring, batch, learnt, progress)
    kept, held = np.flatnonzero(learnt & ~held_back), np.flatnonzero(learnt & held_back)
    if not len(kept):  # all that is left was to be held back
        kept, held = np.flatnonzero(learnt), np.empty(0, dtype=np.int64)
    raw: dict[str, np.ndarray] = {}
    unseen: dict[str, np.ndarray] = {}
    for done, (name, scorer) in enumerate(scorers.items()):
        progress(f"fitting {name}", done, len(scorers))
        unseen[name] = scorer.fit(batch.take(kept)).score(batch.take(held)) if len(held) else np.empty(0)
        raw[name] = scorer.fit(batch.take(np.flatnonzero(learnt))).score(batch)
    fusion = Fusion(scoring.weights, scoring.combine, scoring.false_alarm_rate)
    counts = batch.counts[learnt]
    weights = counts / counts.sum()
    if len(held):
        once = float(weights[counts == 1].sum())
        weights = np.concatenate([(1 - once) * weights, np.full(len(held), once / len(held))])
    fusion.fit({name: np.concatenate([raw[name][learnt], unseen[name]]) for name in raw}, weights)
    if on_itself:
        fusion.split(fusion.combine(fusion.calibrate(raw)), batch.counts, scoring.contamination)
    return Fitted(fusion, raw, learnt, held, fusion.combine(fusion.calibrate(unseen)))


def _without_strangest(
    scorers: dict[str, Scorer], scoring: ScoringConfig, batch: EncodedBatch, learnt: np.ndarray, progress: Progress
) -> np.ndarray:
    """[B] which of the texts `learnt` are left without the strangest, of at most the stated share of the lines."""
    raw = {}
    for done, (name, scorer) in enumerate(scorers.items()):
        progress(f"looking for the strangest with {name}", done, len(scorers))
        raw[name] = scorer.fit(batch.take(np.flatnonzero(learnt))).score(batch)
    fusion = Fusion(scoring.weights, scoring.combine).fit(raw, batch.counts)
    fused = fusion.combine(fusion.calibrate(raw))
    left = learnt & (fused <= reached_by_more(fused, batch.counts, scoring.contamination))
    return left if left.any() else learnt


def vouching(batch: EncodedBatch) -> np.ndarray:
    """[B] which texts of a log fitted on itself say what is normal: those that do not call themselves failures.

    A failure that comes often is no less a failure, where no history says that it is everyday; were it learnt from,
    each of its lines would vouch for the others. In a log that is failures for the most part, all texts vouch.
    """
    severe = SeverityScorer().score(batch) >= SEVERE
    n_severe, n_lines = int(batch.counts[severe].sum()), int(batch.counts.sum())
    return ~severe if 2 * n_severe < n_lines else np.ones(len(batch), dtype=bool)


def raw_scores(
    scorers: dict[str, Scorer], batch: EncodedBatch, progress: Progress = no_progress
) -> dict[str, np.ndarray]:
    """Each scorer's raw scores [B] of a batch; higher is more abnormal."""
    with ThreadPoolExecutor(2 if len(batch) >= MANY_TEXTS else 1) as pool:
        pending = {name: pool.submit(scorer.score, batch) for name, scorer in scorers.items()}
        raw = {}
        try:
            for done, (name, future) in enumerate(pending.items()):
                progress(f"scoring with {name}", done, len(scorers))
                raw[name] = future.result()
        finally:
            for future in pending.values():
                future.cancel()
    return raw


def save_scorers(folder: Path, scorers: dict[str, Scorer], fusion: Fusion) -> None:
    """Write `scorers/` and fusion.json into an existing folder."""
    for name, scorer in scorers.items():
        (folder / "scorers" / name).mkdir(parents=True)
        scorer.save(folder / "scorers" / name)
    fusion.save(folder)


def load_scorers(folder: Path, scoring: ScoringConfig) -> tuple[dict[str, Scorer], Fusion]:
    """Read what `save_scorers` wrote.

    Raises:
        BundleError: a part is missing or damaged.
    """
    scorers: dict[str, Scorer] = {name: scorer_class(name).load(folder / "scorers" / name) for name in scoring.weights}
    return scorers, Fusion.load(folder)

"""How far a measure could lie elsewhere on another draw of messages: bootstrap and Wilson intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

LEAST_TEXTS = 5  # of a class; an interval from fewer would promise what it cannot know
_CELLS = 1 << 20  # resampled counts held at once


def bootstrap_intervals(
    labels: np.ndarray,
    scores: np.ndarray,
    weights: np.ndarray,
    text_ids: np.ndarray,
    threshold: float,
    resamples: int = 500,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float]] | None:
    """Percentile intervals (Efron and Tibshirani 1993, chapter 13) over distinct texts.

    Texts are drawn, not lines: the lines of a text share one score and are no independent evidence, so drawing lines
    would give intervals far too narrow. A drawn text brings all its lines. Texts that are only normal, only abnormal,
    or both, are drawn apart (stratified), so that every resample holds both classes.

    Args:
        labels: [N] 0 or 1, both present.
        scores: [N] higher is more abnormal; the same for all rows of a text.
        weights: [N] lines each row stands for; ones to count each distinct text once.
        text_ids: [N] the text of each row.
        threshold: of precision, recall, f1 and false_alarm_rate.
        resamples: draws.
        seed: of the draws.
        level: share of the resamples inside the interval.

    Returns:
        Measure to (low, high): roc_auc, pr_auc, f1, precision, recall, false_alarm_rate; or None where a class has
        fewer than LEAST_TEXTS distinct texts.
    """
    _, first, text = np.unique(text_ids, return_index=True, return_inverse=True)
    abnormal = np.bincount(text, weights * (labels == 1))
    normal = np.bincount(text, weights * (labels != 1))
    if min(np.count_nonzero(abnormal), np.count_nonzero(normal)) < LEAST_TEXTS:
        return None
    order = np.argsort(-scores[first], kind="stable")
    score, abnormal, normal = scores[first][order], abnormal[order], normal[order]
    last_of_tie = np.flatnonzero(np.diff(score, append=-np.inf))  # equal scores are flagged together
    n_flagged = int(np.searchsorted(-score, -threshold, side="right"))
    found = [
        _resampled(counts * abnormal, counts * normal, last_of_tie, n_flagged)
        for counts in _draws((abnormal > 0) + 2 * (normal > 0), resamples, np.random.default_rng(seed))
    ]
    tails = (50 * (1 - level), 50 * (1 + level))
    return {
        name: (float(low), float(high))
        for name in found[0]
        for low, high in [np.percentile(np.concatenate([part[name] for part in found]), tails)]
    }


def wilson_interval(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Where the share of hits lies that `n` draws came from, 95 % sure; (0, 1) where nothing was drawn.

    Source:
        Wilson (1927); unlike the plain interval it holds for few draws and for shares near 0 and 1.

    Example:
        >>> [round(end, 2) for end in wilson_interval(31, 40)]
        [0.62, 0.88]
    """
    if n == 0:
        return 0.0, 1.0
    share, squared = hits / n, z * z / n
    middle = share + squared / 2
    half = z * ((share * (1 - share) + squared / 4) / n) ** 0.5
    return max(0.0, (middle - half) / (1 + squared)), min(1.0, (middle + half) / (1 + squared))


def _draws(stratum: np.ndarray, resamples: int, draw: np.random.Generator) -> Iterator[np.ndarray]:
    """[R, T] how often each text was drawn, some resamples at a time."""
    step = max(1, _CELLS // len(stratum))
    members = [np.flatnonzero(stratum == name) for name in np.unique(stratum)]
    for start in range(0, resamples, step):
        n = min(step, resamples - start)
        counts = np.zeros((n, len(stratum)))
        for rows in members:
            drawn = draw.integers(0, len(rows), (n, len(rows))) + len(rows) * np.arange(n)[:, None]
            counts[:, rows] = np.bincount(drawn.ravel(), minlength=n * len(rows)).reshape(n, len(rows))
        yield counts


def _resampled(
    abnormal: np.ndarray, normal: np.ndarray, last_of_tie: np.ndarray, n_flagged: int
) -> dict[str, np.ndarray]:
    """[R] each measure of lines [R, T] that are ordered by falling score."""
    true_positive, false_positive = abnormal.cumsum(axis=1), normal.cumsum(axis=1)
    n_abnormal, n_normal = true_positive[:, -1:], false_positive[:, -1:]
    hits = true_positive[:, n_flagged - 1] if n_flagged else np.zeros(len(abnormal))
    alarms = false_positive[:, n_flagged - 1] if n_flagged else np.zeros(len(abnormal))
    true_positive, false_positive = true_positive[:, last_of_tie], false_positive[:, last_of_tie]  # [R, K]
    recall, false_alarms = true_positive / n_abnormal, false_positive / n_normal
    flagged = true_positive + false_positive
    precision = np.divide(true_positive, flagged, out=np.zeros_like(flagged), where=flagged > 0)
    added = np.diff(recall, axis=1, prepend=0.0)
    return {
        "roc_auc": (np.diff(false_alarms, axis=1, prepend=0.0) * (recall - added / 2)).sum(axis=1),
        "pr_auc": (added * precision).sum(axis=1),
        "f1": 2 * hits / (n_abnormal[:, 0] + hits + alarms),
        "precision": np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=hits + alarms > 0),
        "recall": hits / n_abnormal[:, 0],
        "false_alarm_rate": alarms / n_normal[:, 0],
    }

"""L7: raw scores [B, S] -> calibrated -> fused -> threshold.

**Calibration keeps distances on a log scale.** Raw scores come in natural units (1: as far as two ordinary texts are
from each other, or what the scorer's `unit` says). With z = ln(1 + 10 raw / unit) / ln 11, a raw score becomes

    z / 2 up to one unit,   1 - 1 / (2 z) beyond

so that 0.5 is clearly abnormal, and twice as far beyond it still shows, where ranks, p-values and a logistic curve soon
say 1 to all. The units are the same for every log: scales learnt from the few texts a log holds back moved with chance
(docs/decisions.md).

Severity is not calibrated: it already means the same for every log (`calibrated = True` on the scorer).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Self

import numpy as np

from core.errors import BundleError, WorkbenchError
from core.scoring import scorer_class

SCORE_DECIMALS = 4
"""Fused scores are rounded to these, far coarser than what a batch changes in a score; decisions are made on them."""

FUSION_FILE = "fusion.json"
FALLBACK_THRESHOLD = 0.5
HIGHEST_LEFT_OUT = 0.2  # share of the lines that have no say in what ordinary ones score
MOST_FLAGGED = 0.2  # share of the lines of a log without history: a split there is in every log, even a clean one

_STEEPNESS = 10.0  # raw scores below a tenth of a unit are all close to zero


class Fusion:
    """Weighted sum or vote of calibrated scores, and the threshold for a false-alarm rate.

    Args:
        weights: scorer name to weight, not negative, not all zero; a calibrated scorer left out weighs nothing.
        combine: "sum" for the weighted mean of calibrated scores, "vote" for the weighted share of scorers whose
            calibrated score is at or above one half.
        false_alarm_rate: share of held-back lines that may be flagged, in [0, 1).

    Attributes:
        threshold_: a line is flagged where its fused score is at or above it; in (0, 1].
        ordinary_: what ordinary lines score, 0 to 1 (`ordinary`).
    """

    threshold_: float
    ordinary_: float
    _scorers: list[str]

    def __init__(self, weights: dict[str, float], combine: str = "sum", false_alarm_rate: float = 0.01) -> None:
        self.weights = weights
        self.combine_rule = combine
        self.false_alarm_rate = false_alarm_rate

    def fit(self, raw: dict[str, np.ndarray], counts: np.ndarray) -> Self:
        """Learn threshold and ordinary score from held-back texts.

        Args:
            raw: scorer name to raw scores [B] of texts the scorers have not learnt from.
            counts: [B] lines that had each text. B may be 0: then the threshold is one half, the ordinary score 0.

        Raises:
            WorkbenchError: for a setting out of range, an unknown scorer, a weight without scores, or scores that are
                not finite or not of one length.
        """
        for name, scores in raw.items():
            if scores.shape != counts.shape or not np.isfinite(scores).all():
                raise WorkbenchError(
                    f"{name}: held-back scores must be finite, one for each of {counts.shape[0]} texts; "
                    f"found shape {scores.shape}"
                )
        for name in raw:
            scorer_class(name)  # refuses an unknown name
        self._scorers = list(raw)
        self._check_settings()
        self.set_threshold(self.combine(self.calibrate(raw)), counts)
        return self

    def set_threshold(self, fused: np.ndarray, weights: np.ndarray) -> None:
        """Set `threshold_` for the false-alarm rate, and `ordinary_`, from another picture of normal lines.

        Args:
            fused: [B] fused scores, as `combine` gives them.
            weights: [B] lines, or share of the lines to expect, that have each score.
        """
        self.threshold_ = upper_quantile(fused, weights, self.false_alarm_rate)
        self.ordinary_ = ordinary(fused, weights)

    def split(self, fused: np.ndarray, counts: np.ndarray, contamination: float = 0.0) -> None:
        """Set `threshold_` and `ordinary_` from the very lines to be flagged, where no history says what is normal.

        Args:
            fused: [B] fused scores of all distinct texts of the log, as `combine` gives them.
            counts: [B] lines that had each.
            contamination: share of them that is flagged at most; at 0 the scores are parted where they vary least.
        """
        self.set_threshold(fused, counts)
        self.threshold_ = parting(fused, fused, counts, contamination)

    def calibrate(self, raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raw scores to calibrated ones, in the order of `raw`.

        Args:
            raw: scorer name to raw scores [B]; higher is more abnormal.

        Returns:
            Scorer name to [B] float64 in [0, 1]; higher is more abnormal, never out of order.

        Raises:
            WorkbenchError: for a scorer that was not there when the fusion was fitted.
        """
        self._check_known(raw)
        values = {}
        for name, scores in raw.items():
            kind = scorer_class(name)
            values[name] = np.clip(scores, 0.0, 1.0) if kind.calibrated else calibrated(scores / kind.unit)
        return values

    def combine(self, calibrated: dict[str, np.ndarray]) -> np.ndarray:
        """The fused score.

        Args:
            calibrated: what `calibrate` gave, for every scorer that has a weight.

        Returns:
            [B] float64 in [0, 1], rounded to SCORE_DECIMALS; higher is more abnormal.

        Raises:
            WorkbenchError: for an unknown scorer, or a weighted one that is missing.
        """
        parts = np.stack(list(self.contributions(calibrated).values()))
        return np.asarray(parts.sum(axis=0).clip(0.0, 1.0).round(SCORE_DECIMALS))

    def contributions(self, calibrated: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What each scorer adds to the fused score: its share of the weights times its value, or times its vote.

        Args:
            calibrated: as for `combine`.

        Returns:
            Scorer name to [B] float64; they sum to the fused score but for its rounding.

        Raises:
            WorkbenchError: for an unknown scorer, or a weighted one that is missing.
        """
        self._check_known(calibrated)
        if missing := [name for name, weight in self.weights.items() if weight and name not in calibrated]:
            raise WorkbenchError(f"no scores of {', '.join(missing)}, which have a weight; score with every scorer")
        total = sum(self.weights.values())
        vote = self.combine_rule == "vote"
        return {
            name: self.weights.get(name, 0.0) / total * ((values >= 0.5).astype(np.float64) if vote else values)
            for name, values in calibrated.items()
        }

    def with_weights(self, weights: dict[str, float]) -> Fusion:
        """Other weights on the same calibration. Threshold and ordinary score stay until `set_threshold` is told.

        Raises:
            WorkbenchError: for a weight out of range or of a scorer that was not fitted.
        """
        other = Fusion(dict(weights), self.combine_rule, self.false_alarm_rate)
        self._check_known({})
        other._scorers, other.threshold_, other.ordinary_ = self._scorers, self.threshold_, self.ordinary_
        other._check_settings()
        return other

    def save(self, folder: Path) -> None:
        """Write fusion.json into an existing folder.

        Raises:
            WorkbenchError: where the fusion is not fitted.
        """
        self._check_known({})
        values = {
            "weights": self.weights,
            "combine": self.combine_rule,
            "false_alarm_rate": self.false_alarm_rate,
            "threshold": self.threshold_,
            "ordinary": self.ordinary_,
            "scorers": self._scorers,
        }
        (folder / FUSION_FILE).write_text(json.dumps(values, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            BundleError: where the file is missing, damaged or inconsistent.
        """
        path = folder / FUSION_FILE
        try:
            values = json.loads(path.read_text("utf-8"))
            fusion = cls(values["weights"], values["combine"], float(values["false_alarm_rate"]))
            fusion._scorers = [str(scorer_class(name).name) for name in values["scorers"]]
            fusion.ordinary_ = float(values["ordinary"])
            fusion.threshold_ = float(values["threshold"])
            fusion._check_settings()
            if not 0 <= fusion.ordinary_ <= 1:
                raise ValueError("the ordinary score is not between 0 and 1")
            if not 0 < fusion.threshold_ <= 1:
                raise ValueError("the threshold is not above 0 and at most 1")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, WorkbenchError) as error:
            raise BundleError(f"{path}: cannot be read ({error}); train the bundle again or restore it") from error
        return fusion

    def _check_settings(self) -> None:
        if self.combine_rule not in ("sum", "vote"):
            raise WorkbenchError(f"combine must be sum or vote, found {self.combine_rule!r}")
        if not 0 <= self.false_alarm_rate < 1:
            raise WorkbenchError(f"false_alarm_rate must be at least 0 and below 1, found {self.false_alarm_rate}")
        self._check_known(self.weights)
        for name, weight in self.weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise WorkbenchError(f"the weight of {name} must be 0 or more, found {weight}")
        if not sum(self.weights.values()) > 0:
            raise WorkbenchError("every weight is zero: give at least one scorer a weight above zero")

    def _check_known(self, names: dict[str, Any]) -> None:
        if not hasattr(self, "_scorers"):
            raise WorkbenchError("the fusion is not fitted; fit it or load a bundle first")
        if unknown := [name for name in names if name not in self._scorers]:
            raise WorkbenchError(f"no scorer {', '.join(unknown)} was fitted; fitted: {', '.join(self._scorers)}")


def upper_quantile(fused: np.ndarray, weights: np.ndarray, false_alarm_rate: float) -> float:
    """The threshold: just above the highest score that more than `false_alarm_rate` of the lines reach.

    Args:
        fused: [B] scores in [0, 1], rounded to SCORE_DECIMALS.
        weights: [B] lines, or share of lines, that have each.
        false_alarm_rate: in [0, 1).

    Returns:
        In (0, 1], rounded to SCORE_DECIMALS; one half where there are no scores. At 1 more may be flagged than asked.
    """
    if not len(fused):
        return FALLBACK_THRESHOLD
    return round(min(reached_by_more(fused, weights, false_alarm_rate) + 10.0**-SCORE_DECIMALS, 1.0), SCORE_DECIMALS)


def reached_by_more(fused: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The highest score that more than a share of the lines reach; `share` is in [0, 1), B at least 1."""
    order = np.argsort(-fused)
    reached = np.cumsum(weights[order].astype(np.float64))  # lines at or above each score, from the highest
    too_many = reached > share * reached[-1] * (1 + 1e-9)  # shares add up to one only nearly
    return float(fused[order][too_many][0])


def parting(values: np.ndarray, fused: np.ndarray, weights: np.ndarray, contamination: float) -> float:
    """The threshold of what is scored against itself: of the stated contamination, else where the scores part.

    Args:
        values: [M] the scores that are parted, each once.
        fused: [B] scores of all, rounded to SCORE_DECIMALS.
        weights: [B] how many have each.
        contamination: share that is flagged at most; 0 where nobody stated one.
    """
    if contamination:
        return upper_quantile(fused, weights, contamination)
    return max(between(values), upper_quantile(fused, weights, MOST_FLAGGED))


def ordinary(fused: np.ndarray, weights: np.ndarray) -> float:
    """The mean score of lines without the highest fifth of them: attacks left in a history do not raise it.

    Args:
        fused: [B] scores in [0, 1].
        weights: [B] lines, or share of lines, that have each.

    Returns:
        In [0, 1], rounded to SCORE_DECIMALS; 0 where there are no scores.
    """
    if not len(fused):
        return 0.0
    order = np.argsort(fused)
    reached = np.cumsum(weights[order].astype(np.float64))  # lines up to each score, from the lowest
    kept = np.diff(np.minimum(reached, (1 - HIGHEST_LEFT_OUT) * reached[-1]), prepend=0.0)
    return round(float(np.average(fused[order], weights=kept)), SCORE_DECIMALS)


def between(fused: np.ndarray) -> float:
    """Where the scores fall into two groups that vary least within: Otsu's threshold (IEEE Trans. SMC 9, 1979).

    Each distinct text counts once: by lines, the two or three commonest would be one group, and all else the other.

    Args:
        fused: [B] scores in [0, 1], rounded to SCORE_DECIMALS.

    Returns:
        In (0, 1], rounded to SCORE_DECIMALS; 1 where all scores are equal, one half where there are none.
    """
    if not len(fused):
        return FALLBACK_THRESHOLD
    scores = np.sort(fused)
    below = np.arange(1, len(scores))
    sums = np.cumsum(scores)
    apart = scores[1:] > scores[:-1]
    if not apart.any():
        return 1.0
    # Variance between the groups, up to a factor; a group ends only where the next score is higher.
    variance = (sums[-1] * below - len(scores) * sums[:-1]) ** 2 / (below * (len(scores) - below))
    last = int(np.argmax(np.where(apart, variance, -1.0)))
    middle = float(scores[last] + scores[last + 1]) / 2
    return math.ceil(middle * 10.0**SCORE_DECIMALS - 1e-6) / 10.0**SCORE_DECIMALS


def calibrated(raw: np.ndarray) -> np.ndarray:
    """Raw scores [B] in units, 0 or more, to [0, 1]: 0 at 0, 0.5 at one unit, towards 1 beyond; order kept."""
    z = np.log1p(_STEEPNESS * np.maximum(raw, 0.0)) / math.log1p(_STEEPNESS)
    return np.asarray(np.where(z < 1.0, z / 2, 1.0 - 0.5 / np.maximum(z, 1.0)))

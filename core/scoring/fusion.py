"""L7: raw scores [B, S] -> calibrated -> fused -> threshold.

**Calibration keeps distances on a log scale.** With x = ln(0.1 + raw) and z = (x - low) / (high - low), a raw score
becomes

    0 below low,   z / 2 up to high,   1 - 1 / (2 z) beyond

where low is the median and high the 99% quantile of x over held-back lines: 0 is an everyday line, 0.5 a line as odd as
one in a hundred. Twice as far beyond it still shows, where ranks, p-values and a logistic curve soon say 1 to all.

**Few held-back texts.** Raw scores come in natural units (1: as far as two ordinary texts are from each other, one
radius, one nat), so low and high are drawn towards those of a typical log as if it had lent five texts of its own:
one held-back text, or none, still gives a usable scale. And high is at least a factor of two in raw score above low.

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

_OFFSET = 0.1  # raw scores below it are all close to zero
_HIGH_QUANTILE = 0.99
_TYPICAL_LOW, _TYPICAL_HIGH = math.log(_OFFSET + 0.1), math.log(_OFFSET + 1.0)
_TYPICAL_TEXTS = 5  # how many held-back texts the typical log weighs
_LEAST_WIDTH = math.log(2)

Scale = tuple[float, float]
"""low and high of a scorer."""


class Fusion:
    """Weighted sum or vote of calibrated scores, and the threshold for a false-alarm rate.

    Args:
        weights: scorer name to weight, not negative, not all zero; a calibrated scorer left out weighs nothing.
        combine: "sum" for the weighted mean of calibrated scores, "vote" for the weighted share of scorers whose
            calibrated score is at or above one half.
        false_alarm_rate: share of held-back lines that may be flagged, in [0, 1).

    Attributes:
        threshold_: a line is flagged where its fused score is at or above it; in (0, 1].
    """

    threshold_: float
    _scales: dict[str, Scale | None]  # None for a scorer that needs no calibration

    def __init__(self, weights: dict[str, float], combine: str = "sum", false_alarm_rate: float = 0.01) -> None:
        self.weights = weights
        self.combine_rule = combine
        self.false_alarm_rate = false_alarm_rate

    def fit(self, raw: dict[str, np.ndarray], counts: np.ndarray) -> Self:
        """Learn scales and threshold from held-back texts.

        Args:
            raw: scorer name to raw scores [B] of texts the scorers have not learnt from.
            counts: [B] lines that had each text. B may be 0: then the scales are those of a typical log and the
                threshold is one half.

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
        self._scales = {
            name: None if scorer_class(name).calibrated else scale_of(scores, counts) for name, scores in raw.items()
        }
        self._check_settings()
        self.set_threshold(self.combine(self.calibrate(raw)), counts)
        return self

    def set_threshold(self, fused: np.ndarray, weights: np.ndarray) -> None:
        """Set `threshold_` for the false-alarm rate from a better picture of normal lines than `fit` had.

        Args:
            fused: [B] fused scores, as `combine` gives them.
            weights: [B] lines, or share of the lines to expect, that have each score.
        """
        self.threshold_ = upper_quantile(fused, weights, self.false_alarm_rate)

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
            scale = self._scales[name]
            values[name] = np.clip(scores, 0.0, 1.0) if scale is None else calibrated(scores, *scale)
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
        """Other weights on the same calibration. The threshold stays until `set_threshold` is told their scores.

        Raises:
            WorkbenchError: for a weight out of range or of a scorer that was not fitted.
        """
        other = Fusion(dict(weights), self.combine_rule, self.false_alarm_rate)
        self._check_known({})
        other._scales, other.threshold_ = self._scales, self.threshold_
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
            "scales": self._scales,
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
            fusion._scales = {
                name: None if scale is None else (float(scale[0]), float(scale[1]))
                for name, scale in values["scales"].items()
            }
            fusion.threshold_ = float(values["threshold"])
            fusion._check_settings()
            if not all(
                scale is None or -math.inf < scale[0] < scale[1] < math.inf for scale in fusion._scales.values()
            ):
                raise ValueError("a scale is not a pair of rising numbers")
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
        if not hasattr(self, "_scales"):
            raise WorkbenchError("the fusion is not fitted; fit it or load a bundle first")
        if unknown := [name for name in names if name not in self._scales]:
            raise WorkbenchError(f"no scorer {', '.join(unknown)} was fitted; fitted: {', '.join(self._scales)}")


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
    order = np.argsort(-fused)
    reached = np.cumsum(weights[order].astype(np.float64))  # lines at or above each score, from the highest
    too_many = reached > false_alarm_rate * reached[-1] * (1 + 1e-9)  # shares add up to one only nearly
    return round(min(float(fused[order][too_many][0]) + 10.0**-SCORE_DECIMALS, 1.0), SCORE_DECIMALS)


def scale_of(scores: np.ndarray, counts: np.ndarray) -> Scale:
    """The scale of one scorer.

    Args:
        scores: [B] raw scores of held-back texts, 0 or more; may be empty.
        counts: [B] lines that had each.

    Returns:
        Median and 99% quantile of ln(0.1 + raw) over the lines, drawn to a typical log's the fewer texts there are.
    """
    n_texts = len(scores)
    low, high = _TYPICAL_LOW, _TYPICAL_HIGH
    if n_texts:
        found = np.quantile(_log(scores), (0.5, _HIGH_QUANTILE), weights=counts, method="inverted_cdf")
        low = (n_texts * float(found[0]) + _TYPICAL_TEXTS * low) / (n_texts + _TYPICAL_TEXTS)
        high = (n_texts * float(found[1]) + _TYPICAL_TEXTS * high) / (n_texts + _TYPICAL_TEXTS)
    return low, max(high, low + _LEAST_WIDTH)


def calibrated(scores: np.ndarray, low: float, high: float) -> np.ndarray:
    """Raw scores [B] to [0, 1] on a scale: 0 at or below low, 0.5 at high, towards 1 beyond; order kept."""
    z = (_log(scores) - low) / (high - low)
    return np.where(z < 1.0, np.maximum(z, 0.0) / 2, 1.0 - 0.5 / np.maximum(z, 1.0))


def _log(scores: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(_OFFSET + np.maximum(scores, 0.0)))

"""Calibration, weighting, threshold: small numbers worked by hand, and what must hold for any scores."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from core.config import default_weights
from core.errors import BundleError, WorkbenchError
from core.scoring.fusion import SCORE_DECIMALS, Fusion, calibrated, scale_of, upper_quantile


def held_back(n_texts: int = 400, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(seed)
    raw = {
        "knn": random.gamma(1.0, 0.2, n_texts),
        "likelihood": random.gamma(2.0, 0.5, n_texts),
        "severity": random.choice([0.0, 0.0, 0.0, 0.5], n_texts),
    }
    return raw, random.integers(1, 50, n_texts)


WEIGHTS = {"knn": 2.0, "likelihood": 1.0, "severity": 1.0}


def test_the_scale_by_hand() -> None:
    # 95 lines score 0 and 5 score 0.9; with five texts of a typical log beside two held-back texts.
    low, high = scale_of(np.array([0.0, 0.9]), np.array([95, 5]))
    assert low == pytest.approx((2 * math.log(0.1) + 5 * math.log(0.2)) / 7)
    assert high == pytest.approx((2 * math.log(1.0) + 5 * math.log(1.1)) / 7)

    scores = np.exp(np.array([low - 1, low, (low + high) / 2, high, 2 * high - low, 4 * high - 3 * low])) - 0.1
    values = calibrated(scores, low, high)
    assert values.tolist() == pytest.approx([0.0, 0.0, 0.25, 0.5, 0.75, 0.875], abs=1e-9)


def test_order_is_kept_far_into_the_tail() -> None:
    raw, counts = held_back()
    fusion = Fusion(WEIGHTS).fit(raw, counts)
    far = np.array([1.0, 3.0, 10.0, 100.0, 10_000.0])
    values = fusion.calibrate({"knn": far})["knn"]
    assert (np.diff(values) > 0.01).all()
    assert values[-1] < 1
    assert len(set(fusion.combine(fusion.calibrate({"knn": far, "likelihood": far, "severity": far * 0})))) == len(far)


def test_severity_passes_unchanged() -> None:
    raw, counts = held_back()
    fusion = Fusion(WEIGHTS).fit(raw, counts)
    severity = np.array([0.0, 0.4, 0.8, 1.0])
    assert fusion.calibrate({"severity": severity})["severity"].tolist() == severity.tolist()


def test_sum_and_vote_by_hand() -> None:
    raw, counts = held_back()
    values = {"knn": np.array([0.6, 0.4]), "likelihood": np.array([0.2, 0.5]), "severity": np.array([0.8, 0.0])}

    fusion = Fusion(WEIGHTS).fit(raw, counts)
    assert fusion.combine(values).tolist() == [0.55, 0.325]
    assert {n: v.tolist() for n, v in fusion.contributions(values).items()} == {
        "knn": [0.3, 0.2],
        "likelihood": [0.05, 0.125],
        "severity": [0.2, 0.0],
    }
    vote = Fusion(WEIGHTS, combine="vote").fit(raw, counts)
    assert vote.combine(values).tolist() == [0.75, 0.25]


@pytest.mark.parametrize("combine", ["sum", "vote"])
def test_contributions_add_up_and_scores_do_not_depend_on_the_batch(combine: str) -> None:
    raw, counts = held_back()
    fusion = Fusion(WEIGHTS, combine).fit(raw, counts)
    values = fusion.calibrate(raw)
    fused = fusion.combine(values)
    assert fused.min() >= 0
    assert fused.max() <= 1
    np.testing.assert_array_equal(fused, fused.round(SCORE_DECIMALS))
    np.testing.assert_allclose(sum(fusion.contributions(values).values()), fused, atol=0.5 * 10**-SCORE_DECIMALS + 1e-9)
    alone = fusion.combine(fusion.calibrate({name: scores[7:8] for name, scores in raw.items()}))
    assert alone.tolist() == fused[7:8].tolist()


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.01, 0.1, 0.5])
def test_the_threshold_keeps_the_false_alarm_rate_and_is_the_lowest_that_does(rate: float) -> None:
    raw, counts = held_back()
    fusion = Fusion(WEIGHTS, false_alarm_rate=rate).fit(raw, counts)
    fused = fusion.combine(fusion.calibrate(raw))

    def share_flagged(threshold: float) -> float:
        return float(counts[fused >= threshold].sum() / counts.sum())

    assert share_flagged(fusion.threshold_) <= rate < share_flagged(round(fusion.threshold_ - 1e-4, 4))


def test_the_threshold_by_hand() -> None:
    fused = np.array([0.1, 0.9, 0.5, 0.3])
    assert upper_quantile(fused, np.array([90, 1, 2, 7]), 0.03) == 0.3001
    assert upper_quantile(fused, np.array([90, 1, 2, 7]), 0.02) == 0.5001
    assert upper_quantile(fused, np.array([0.7, 0.1, 0.1, 0.1]), 0.2) == 0.3001  # 0.1 + 0.1 is not above 0.2
    assert upper_quantile(np.array([1.0]), np.array([5]), 0.0) == 1.0
    assert upper_quantile(np.array([]), np.array([]), 0.01) == 0.5


@pytest.mark.parametrize(
    "scores", [[], [0.3], [0.0] * 50, [7.0] * 50, [0.0] * 49 + [1e9]], ids=["empty", "one", "zero", "equal", "huge"]
)
def test_degenerate_held_back_sets_still_give_a_usable_scale(scores: list[float]) -> None:
    fusion = Fusion({"knn": 1.0}).fit({"knn": np.array(scores)}, np.ones(len(scores), np.int64))
    values = fusion.calibrate({"knn": np.array([0.0, 1.0, 1e12])})["knn"]
    assert np.isfinite(values).all()
    assert values[0] <= values[1] < values[2] <= 1
    assert values[2] > 0.5 > values[0]
    assert 0 < fusion.threshold_ <= 1


def test_other_weights_keep_the_calibration() -> None:
    raw, counts = held_back()
    fusion = Fusion(WEIGHTS).fit(raw, counts)
    other = fusion.with_weights({"likelihood": 1.0})
    values = fusion.calibrate(raw)
    np.testing.assert_array_equal(other.combine(values), values["likelihood"].round(SCORE_DECIMALS))
    assert other.threshold_ == fusion.threshold_
    other.set_threshold(other.combine(values), counts)
    assert other.threshold_ == Fusion({"likelihood": 1.0}).fit(raw, counts).threshold_
    assert fusion.weights == WEIGHTS


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"knn": -1.0}, "the weight of knn must be 0 or more, found -1.0"),
        ({"knn": math.nan}, "the weight of knn must be"),
        ({"knn": 1.0, "knm": 1.0}, "no scorer knm was fitted; fitted: knn, likelihood, severity"),
        ({"knn": 0.0}, "every weight is zero"),
        ({}, "every weight is zero"),
    ],
)
def test_unusable_weights_are_refused(weights: dict[str, float], message: str) -> None:
    raw, counts = held_back()
    with pytest.raises(WorkbenchError, match=message):
        Fusion(weights).fit(raw, counts)
    with pytest.raises(WorkbenchError, match=message):
        Fusion(WEIGHTS).fit(raw, counts).with_weights(weights)


def test_unusable_settings_and_scores_are_refused(tmp_path: Path) -> None:
    raw, counts = held_back()
    with pytest.raises(WorkbenchError, match="combine must be sum or vote"):
        Fusion(WEIGHTS, combine="mean").fit(raw, counts)
    with pytest.raises(WorkbenchError, match="false_alarm_rate"):
        Fusion(WEIGHTS, false_alarm_rate=1.0).fit(raw, counts)
    with pytest.raises(WorkbenchError, match="unknown scorer 'knm'"):
        Fusion(WEIGHTS).fit(raw | {"knm": raw["knn"]}, counts)
    with pytest.raises(WorkbenchError, match="knn: held-back scores must be finite"):
        Fusion(WEIGHTS).fit(raw | {"knn": raw["knn"] * np.inf}, counts)
    with pytest.raises(WorkbenchError, match="knn: held-back scores"):
        Fusion(WEIGHTS).fit(raw | {"knn": raw["knn"][:-1]}, counts)
    with pytest.raises(WorkbenchError, match="not fitted"):
        Fusion(WEIGHTS).calibrate(raw)
    with pytest.raises(WorkbenchError, match="not fitted"):
        Fusion(WEIGHTS).save(tmp_path)
    with pytest.raises(WorkbenchError, match="no scores of likelihood, severity"):
        Fusion(WEIGHTS).fit(raw, counts).combine({"knn": raw["knn"]})


@pytest.mark.parametrize("combine", ["sum", "vote"])
def test_save_and_load(combine: str, tmp_path: Path) -> None:
    raw, counts = held_back()
    fusion = Fusion(WEIGHTS, combine, 0.05).fit(raw, counts)
    fusion.save(tmp_path)
    loaded = Fusion.load(tmp_path)
    assert (loaded.threshold_, loaded.weights, loaded.combine_rule) == (fusion.threshold_, WEIGHTS, combine)
    np.testing.assert_array_equal(loaded.combine(loaded.calibrate(raw)), fusion.combine(fusion.calibrate(raw)))


@pytest.mark.parametrize(
    "change",
    [
        {"weights": {"knn": -1.0}},
        {"weights": None},
        {"combine": "mean"},
        {"threshold": 0.0},
        {"threshold": None},
        {"scales": {"knn": [0.0, 0.0], "likelihood": [0.0, 1.0], "severity": None}},
        {"scales": {"knn": [0.0, 1.0]}},
        {"scales": [1, 2]},
    ],
)
def test_a_damaged_file_is_a_bundle_error(change: dict, tmp_path: Path) -> None:
    raw, counts = held_back()
    Fusion(WEIGHTS).fit(raw, counts).save(tmp_path)
    path = tmp_path / "fusion.json"
    good = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(good | change), "utf-8")
    with pytest.raises(BundleError, match=r"fusion\.json: cannot be read"):
        Fusion.load(tmp_path)
    path.write_text(json.dumps(good)[:40], "utf-8")
    with pytest.raises(BundleError):
        Fusion.load(tmp_path)
    path.unlink()
    with pytest.raises(BundleError):
        Fusion.load(tmp_path)


def test_the_default_weights_can_be_fitted() -> None:
    random = np.random.default_rng(3)
    raw = {name: random.random(30) for name in default_weights()}
    fusion = Fusion(default_weights()).fit(raw, np.ones(30, np.int64))
    assert list(fusion.contributions(fusion.calibrate(raw))) == list(default_weights())

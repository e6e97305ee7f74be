"""Calibration, weighting, threshold: small numbers worked by hand, and what must hold for any scores."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from core.config import default_weights
from core.errors import BundleError, WorkbenchError
from core.scoring.fusion import SCORE_DECIMALS, Fusion, between, calibrated, ordinary, upper_quantile


def held_back(n_texts: int = 400, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(seed)
    raw = {
        "knn": random.gamma(1.0, 0.2, n_texts),
        "likelihood": random.gamma(2.0, 0.5, n_texts),
        "severity": random.choice([0.0, 0.0, 0.0, 0.5], n_texts),
    }
    return raw, random.integers(1, 50, n_texts)


WEIGHTS = {"knn": 2.0, "likelihood": 1.0, "severity": 1.0}


def test_calibration_by_hand() -> None:
    # z = ln(1 + 10 raw) / ln 11: one half of it up to one unit, then what is left of 1 halves as z doubles.
    raw = np.array([-1.0, 0.0, (math.sqrt(11) - 1) / 10, 1.0, (11**2 - 1) / 10, (11**4 - 1) / 10])
    assert calibrated(raw).tolist() == pytest.approx([0.0, 0.0, 0.25, 0.5, 0.75, 0.875], abs=1e-9)


def test_a_scorer_of_another_unit_is_one_half_at_its_own() -> None:
    raw, counts = held_back()
    values = Fusion(WEIGHTS).fit(raw, counts).calibrate({"knn": np.ones(1), "likelihood": np.array([10.0])})
    assert (values["knn"].tolist(), values["likelihood"].tolist()) == ([0.5], [0.5])


def test_the_highest_fifth_of_the_lines_has_no_say_in_the_ordinary_score() -> None:
    scores = np.array([0.9, 0.0, 0.4])
    assert ordinary(scores, np.array([2, 6, 2])) == 0.1  # (6 x 0 + 2 x 0.4) / 8
    assert ordinary(scores, np.array([3, 5, 2])) == 0.2125  # (5 x 0 + 2 x 0.4 + 1 x 0.9) / 8
    assert ordinary(scores, np.array([0.2, 0.6, 0.2])) == 0.1  # shares
    assert (ordinary(np.array([0.3]), np.ones(1)), ordinary(np.empty(0), np.empty(0))) == (0.3, 0.0)


def test_the_ordinary_score_is_learnt_with_the_threshold() -> None:
    fusion = Fusion({"severity": 1.0}).fit({"severity": np.array([0.0, 0.8])}, np.array([3, 2]))
    assert fusion.ordinary_ == 0.2
    fusion.set_threshold(np.array([0.3]), np.ones(1))
    assert fusion.ordinary_ == 0.3


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
def test_degenerate_held_back_sets_still_give_a_threshold(scores: list[float]) -> None:
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
        {"ordinary": 1.5},
        {"scorers": ["knn", "knm"]},
        {"scorers": ["knn"]},
        {"scorers": 2},
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


def test_otsu_by_hand() -> None:
    # Groups {.1, .2} and {.8}: variance between them 2 * 1 * (.15 - .8)^2, more than {.1} and {.2, .8} have.
    assert between(np.array([0.8, 0.1, 0.2])) == 0.5
    assert between(np.array([0.3, 0.3001])) == 0.3001
    assert between(np.full(9, 0.4)) == 1.0
    assert between(np.array([])) == 0.5
    assert between(np.array([0.7])) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_otsu_is_the_best_of_all_splits(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = np.concatenate([random.beta(2, 9, 80), random.beta(9, 4, 15)]).round(SCORE_DECIMALS)

    def within(threshold: float) -> float:
        low, high = scores[scores < threshold], scores[scores >= threshold]
        return len(low) * low.var() + len(high) * high.var()

    best = min(within(threshold) for threshold in np.unique(scores)[1:])
    assert within(between(scores)) == pytest.approx(best)


def test_a_log_without_history_is_parted_and_no_more_than_a_fifth_flagged() -> None:
    raw, counts = held_back()
    fusion = Fusion(WEIGHTS).fit(raw, counts)
    fusion.split(np.array([0.1, 0.2, 0.7]), np.array([90, 5, 5]))
    assert fusion.threshold_ == 0.45
    fusion.split(np.array([0.1, 0.7, 0.8]), np.array([50, 30, 20]))
    assert fusion.threshold_ == 0.7001  # 0.8 is a fifth of the lines, 0.7 with it a half

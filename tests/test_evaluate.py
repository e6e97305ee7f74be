"""Measures worked by hand, and against scikit-learn and a bootstrap spelled out."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from core.errors import InputError
from core.evaluate import (
    Labelled,
    alert_budgets,
    bootstrap_intervals,
    calibration,
    costs,
    curve,
    f_beta,
    kinds,
    measures,
    oddities,
    pr_points,
    precision_at_k,
    ranking_metrics,
    report,
    roc_points,
    threshold_for_alerts,
    threshold_for_best_f,
    threshold_for_false_alarm_rate,
    threshold_for_least_cost,
    threshold_for_precision,
    threshold_for_recall,
    threshold_metrics,
)

LABELS = np.array([1, 0, 1, 0, 0])
SCORES = np.array([0.9, 0.8, 0.7, 0.2, 0.1])
ONES = np.ones(5)


def drawn(n: int, seed: int = 0, abnormal: float = 0.1) -> Labelled:
    """Texts with overlapping scores, rounded so that many tie; some stand for many lines."""
    draw = np.random.default_rng(seed)
    labels = (draw.random(n) < abnormal).astype(np.int8)
    labels[:2] = (0, 1)
    fused = np.round(np.clip(draw.normal(0.3 + 0.25 * labels, 0.15), 0, 1), 2)
    lines = np.ceil(draw.pareto(1.5, n) + 0.01)
    kind = np.where(labels == 1, "scan", np.where(draw.random(n) < 0.1, "oddity:404", "")).astype(object)
    return Labelled(np.arange(n), labels, kind, lines, fused, {"knn": fused * 3})


def test_ranking_by_hand() -> None:
    found = ranking_metrics(LABELS, SCORES, ONES)
    assert found["roc_auc"] == pytest.approx(5 / 6)  # 5 of the 6 pairs are in order
    assert found["pr_auc"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["best_f1"] == pytest.approx(0.8)  # at 0.7: precision 2/3, recall 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(1, 5)), min_size=2, max_size=30))
def test_ranking_is_that_of_scikit_learn(rows: list[tuple[int, int, int]]) -> None:
    labels, scores, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    if len(set(labels)) < 2:
        return
    found = ranking_metrics(labels, scores, weights)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))
    assert found["pr_auc"] == pytest.approx(average_precision_score(labels, scores, sample_weight=weights))
    precision, recall, _ = precision_recall_curve(labels, scores, sample_weight=weights)
    assert found["best_f1"] == pytest.approx((2 * precision * recall / np.maximum(precision + recall, 1e-12)).max())


def test_decisions_by_hand() -> None:
    found = threshold_metrics(LABELS, SCORES, ONES, 0.8)
    assert (found["true_positive"], found["false_positive"], found["false_negative"]) == (1, 1, 1)
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert found["false_alarm_rate"] == pytest.approx(1 / 3)
    nothing = threshold_metrics(LABELS, SCORES, ONES, 1.0)
    assert (nothing["precision"], nothing["f1"]) == (0.0, 0.0)


def test_f_beta_leans_as_it_says() -> None:
    assert f_beta(0.5, 1.0, 1.0) == pytest.approx(2 / 3)
    assert f_beta(0.5, 1.0, 0.5) < f_beta(0.5, 1.0, 1.0) < f_beta(0.5, 1.0, 2.0)
    assert f_beta(0.0, 0.0, 1.0) == 0.0


def test_a_weight_stands_for_that_many_lines() -> None:
    weights = np.array([2, 1, 3, 4, 1])
    rows = np.repeat(np.arange(5), weights)
    one_each = Labelled(np.arange(5), LABELS, np.full(5, ""), weights.astype(float), SCORES, {"a": SCORES})
    spelled_out = measures(replace_lines(one_each.take(rows)), 0.75)
    weighted = measures(one_each, 0.75)
    for part in ("scorers", "f_beta", "precision_at_k"):
        assert flat(weighted.pop(part)) == pytest.approx(flat(spelled_out.pop(part)))
    assert weighted == pytest.approx(spelled_out)
    assert spelled_out["prevalence"] == pytest.approx(5 / 11)


def replace_lines(labelled: Labelled) -> Labelled:
    return Labelled(**(vars(labelled) | {"lines": np.ones(len(labelled.lines))}))


def flat(nested: dict) -> dict:
    return {
        (key, inner): value
        for key, found in nested.items()
        for inner, value in (found.items() if isinstance(found, dict) else [("", found)])
    }


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="every label is the same"):
        ranking_metrics(np.zeros(3), np.arange(3.0), np.ones(3))


def test_precision_at_k_shares_ties() -> None:
    found = curve(np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.1]), np.array([2.0, 3.0, 1.0, 4.0]))
    assert precision_at_k(found, 1) == 1.0
    assert precision_at_k(found, 4) == pytest.approx((2 + 2 * 1 / 4) / 4)  # two of the four that tie, one abnormal
    assert precision_at_k(found, 10) == pytest.approx(0.3)


def test_curves_are_thin_with_exact_ends() -> None:
    draw = np.random.default_rng(0)
    labels, scores = draw.integers(0, 2, 9_000), draw.random(9_000)
    found = curve(labels, scores, np.ones(9_000))
    points, roc = pr_points(found), roc_points(found)
    assert len(points["recall"]) <= 2_000 and len(roc["recall"]) <= 2_000
    assert (points["recall"][-1], points["precision"][-1]) == (1.0, pytest.approx(labels.mean()))
    assert points["threshold"][0] == scores.max()
    assert (roc["recall"][0], roc["false_alarm_rate"][0]) == (0.0, 0.0)
    assert (roc["recall"][-1], roc["false_alarm_rate"][-1]) == (1.0, 1.0)
    assert np.trapezoid(roc["recall"], roc["false_alarm_rate"]) == pytest.approx(found.roc_auc, abs=1e-3)
    small = curve(LABELS, SCORES, ONES)
    assert pr_points(small)["threshold"].tolist() == SCORES.tolist()


def test_costs_and_budgets_by_hand() -> None:
    found = curve(LABELS, SCORES, ONES)  # true positives 1 1 2 2 2, false 0 1 1 2 3
    thresholds, cost = costs(found, per_miss=10, per_false_alarm=4)
    assert thresholds.tolist() == pytest.approx([0.9001, *SCORES])
    assert cost.tolist() == [20, 10, 14, 4, 8, 12]
    assert threshold_for_least_cost(found, 10, 4) == 0.7
    assert threshold_for_least_cost(found, 1, 4) == 0.9  # a second find is not worth a false alarm
    assert threshold_for_least_cost(found, 0, 1) == pytest.approx(0.9001)  # misses cost nothing: flag nothing
    assert threshold_for_least_cost(found, 1, 0) == 0.7  # the highest of those that miss nothing
    for bad in ((0, 0), (-1, 1)):
        with pytest.raises(InputError, match="cost"):
            costs(found, *bad)
    rows = alert_budgets(found, SCORES, np.array([9, 5, 1, 1, 1]), [6, 9, 15])
    assert [row["threshold"] for row in rows] == pytest.approx([0.9001, 0.9, 0.7])
    assert [row["flagged"] for row in rows] == [0, 9, 15]
    assert [row["recall"] for row in rows] == [0.0, 0.5, 1.0]
    assert [row["precision"] for row in rows] == [0.0, 1.0, pytest.approx(2 / 3)]


def test_choosers_by_hand() -> None:
    found = curve(LABELS, SCORES, ONES)  # precision 1, 1/2, 2/3, 1/2, 2/5 - recall 1/2, 1/2, 1, 1, 1
    assert threshold_for_best_f(found) == 0.7
    assert threshold_for_best_f(found, 0.1) == 0.9
    assert threshold_for_precision(found, 0.6) == 0.7  # 0.8 misses it, and more recall is to be had below
    assert threshold_for_precision(found, 1.0) == 0.9
    assert threshold_for_recall(found, 0.5) == 0.9
    assert threshold_for_recall(found, 0.51) == 0.7
    assert threshold_for_false_alarm_rate(found, 1 / 3) == 0.7
    assert threshold_for_false_alarm_rate(found, 0.3) == 0.9
    assert threshold_for_alerts(SCORES, np.array([1, 5, 1, 1, 1]), 6) == 0.8
    assert threshold_for_alerts(SCORES, np.array([9, 5, 1, 1, 1]), 6) == pytest.approx(0.9001)  # even the first is many
    with pytest.raises(InputError, match=r"highest is 50\.0%, at 0\.8000"):
        threshold_for_precision(curve(np.array([0, 1, 0]), np.array([0.9, 0.8, 0.7]), np.ones(3)), 0.6)


def test_calibration_says_the_share_of_each_score() -> None:
    bins = calibration(np.array([1, 0, 0, 1]), np.array([0.3, 0.31, 0.95, 1.0]), np.array([1.0, 3.0, 1.0, 1.0]))
    assert [(item["low"], item["abnormal_share"], item["n"]) for item in bins] == [(0.3, 0.25, 4.0), (0.9, 0.5, 2.0)]
    assert bins[0]["mean_score"] == pytest.approx((0.3 + 3 * 0.31) / 4)


def test_kinds_apart_and_oddities_together() -> None:
    kind = np.array(["sqli", "oddity:404", "oddity:robot", "", "sqli"], dtype=object)
    labels, weights = np.array([1, 0, 0, 0, 1]), np.array([2.0, 1.0, 4.0, 9.0, 6.0])
    found = {(item["kind"], item["label"]): item for item in kinds(kind, labels, SCORES, weights, 0.75)}
    assert found["sqli", 1] == {"kind": "sqli", "label": 1, "n": 8.0, "n_flagged": 2.0, "flagged_share": 0.25}
    assert found["oddity:404", 0]["flagged_share"] == 1.0
    assert len(found) == 3
    assert oddities(kind, labels, SCORES, weights, 0.75) == {"n": 5.0, "n_flagged": 1.0, "flagged_share": 0.2}
    assert oddities(np.full(5, "", dtype=object), labels, SCORES, weights, 0.5)["n"] == 0.0


def test_intervals_draw_texts_as_a_loop_would() -> None:
    rows = drawn(60)
    found = bootstrap_intervals(rows.labels, rows.fused, rows.lines, rows.text_ids, 0.5, resamples=2_000)
    assert found is not None
    draw, samples = np.random.default_rng(1), []
    strata = [np.flatnonzero(rows.labels == label) for label in (0, 1)]
    for _ in range(2_000):
        taken = np.concatenate([draw.choice(stratum, len(stratum)) for stratum in strata])
        at = rows.labels[taken], rows.fused[taken], rows.lines[taken]
        samples.append({**ranking_metrics(*at), **threshold_metrics(*at, 0.5)})
    for name, (low, high) in found.items():
        expected = np.percentile([sample[name] for sample in samples], (2.5, 97.5))
        assert (low, high) == (pytest.approx(expected[0], abs=0.03), pytest.approx(expected[1], abs=0.03)), name


def test_intervals_know_that_lines_of_a_text_are_one() -> None:
    rows = drawn(400)
    at = (rows.labels, rows.fused, rows.lines)
    found = bootstrap_intervals(*at, rows.text_ids, 0.5)
    lines = np.repeat(np.arange(400), rows.lines.astype(int))
    by_line = bootstrap_intervals(
        rows.labels[lines], rows.fused[lines], np.ones(len(lines)), np.arange(len(lines)), 0.5
    )
    repeated = bootstrap_intervals(rows.labels[lines], rows.fused[lines], np.ones(len(lines)), lines, 0.5)
    assert found is not None and by_line is not None
    assert repeated == found  # however the rows are cut
    assert np.ptp(by_line["pr_auc"]) < 0.8 * np.ptp(found["pr_auc"])
    assert found == bootstrap_intervals(*at, rows.text_ids, 0.5)  # seeded
    assert found["pr_auc"][0] < ranking_metrics(*at)["pr_auc"] < found["pr_auc"][1]


def test_too_few_texts_give_no_interval() -> None:
    assert bootstrap_intervals(LABELS, SCORES, 1_000 * ONES, np.arange(5), 0.5) is None


def test_intervals_of_5000_texts_are_quick() -> None:
    rows = drawn(5_000)
    started = time.process_time()
    bootstrap_intervals(rows.labels, rows.fused, rows.lines, rows.text_ids, 0.5, resamples=500)
    assert time.process_time() - started < 2


def test_the_report_sets_apart_what_no_score_could_tell() -> None:
    rows = drawn(300, seed=3)
    twin = Labelled(  # an attack written like a usual line, five times
        np.append(rows.text_ids, rows.text_ids[0]), np.append(rows.labels, np.int8(1)), np.append(rows.kinds, "slow"),
        np.append(rows.lines, 5.0), np.append(rows.fused, rows.fused[0]),
        {"knn": np.append(rows.scorers["knn"], rows.fused[0])}, np.append(rows.fused, rows.fused[0]),
    )  # fmt: skip
    found, without = report(twin, 0.5), report(rows, 0.5)
    assert found["same_text_as_normal"]["n_lines"] == 5
    assert found["same_text_as_normal"]["n_texts"] == 1
    assert found["same_text_as_normal"]["without_them"]["pr_auc"] == without["pr_auc"]
    assert without["same_text_as_normal"] == {"n_lines": 0, "n_texts": 0, "without_them": None}
    assert found["deduplicated"]["n"] == 301
    assert found["without_severity"]["pr_auc"] == found["pr_auc"]
    assert without["without_severity"] is None
    low, high = found["intervals"]["roc_auc"]
    assert low < found["roc_auc"] < high

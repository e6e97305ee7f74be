"""Fitting the scorers together: who is learnt from, on a history and on the log itself."""

import threading

import numpy as np
import pytest

from core.config import ScoringConfig
from core.records import EncodedBatch, Scorer
from core.scoring import ensemble, scorer_class
from core.scoring.ensemble import Fitted, fit_scorers, raw_scores, vouching

WEIGHTS = {"novelty": 0.6, "tfidf": 0.3, "severity": 0.7}
USUAL = [f"job {word} started on queue" for word in ("alpha", "beta", "gamma", "delta")]


def batch_of(rows: list[tuple[str, int, str]]) -> EncodedBatch:
    texts, counts, levels = zip(*rows, strict=True)
    return EncodedBatch(texts=list(texts), counts=np.array(counts, dtype=np.int64), levels=list(levels))


def scores(rows: list[tuple[str, int, str]], *, on_itself: bool) -> dict[str, dict[str, float]]:
    """Scorer to text to raw score."""
    batch = batch_of(rows)
    scorers: dict[str, Scorer] = {name: scorer_class(name)() for name in WEIGHTS}
    held_back = np.zeros(len(batch), dtype=bool)
    raw = fit_scorers(scorers, ScoringConfig(weights=WEIGHTS), batch, held_back, on_itself=on_itself).raw
    return {name: dict(zip(batch.texts, values.tolist(), strict=True)) for name, values in raw.items()}


def test_warnings_and_worse_do_not_vouch() -> None:
    rows = [("started", 50, "info"), ("disk full", 9, "warning"), ("went away", 9, "critical"), ("read error", 9, "")]
    assert vouching(batch_of(rows)).tolist() == [True, False, False, False]


def test_all_vouch_in_a_log_of_failures() -> None:
    assert vouching(batch_of([("started", 10, "info"), ("disk full", 10, "error")])).all()
    assert vouching(batch_of([("disk full", 1, "error")])).all()


FREQUENT_FAILURE = [*((text, 20, "info") for text in USUAL), ("tlb fault", 30, "critical"), ("cache fault", 1, "info")]


def test_a_frequent_failure_does_not_hide_behind_its_own_lines() -> None:
    alone = scores(FREQUENT_FAILURE, on_itself=True)
    assert alone["novelty"]["tlb fault"] == 1.0
    assert alone["tfidf"]["tlb fault"] > max(alone["tfidf"][text] for text in USUAL)
    learnt = scores(FREQUENT_FAILURE, on_itself=False)
    assert learnt["novelty"]["tlb fault"] < 0.02
    assert learnt["tfidf"]["tlb fault"] < alone["tfidf"]["tlb fault"]


def test_nothing_is_held_back_from_a_log_fitted_on_itself() -> None:
    batch = batch_of([("started", 50, "info"), *((f"lost {n}", 1, "error") for n in range(9))])
    scorers: dict[str, Scorer] = {name: scorer_class(name)() for name in WEIGHTS}
    held_back = np.array([True] + [False] * 9)  # the only text that vouches
    fusion, raw, *_ = fit_scorers(scorers, ScoringConfig(weights=WEIGHTS), batch, held_back, on_itself=True)
    fused = fusion.combine(fusion.calibrate(raw))
    assert fused[0] < fusion.threshold_ <= fused[1:].min()


ATTACKS = [(f"wget http evil host {n} sh", 1, "info") for n in range(4)]
WITH_ATTACKS = [*((text, 20, "info") for text in USUAL), *ATTACKS]  # 4 of 84 lines


def fitted_with(contamination: float, rows: list[tuple[str, int, str]], *, on_itself: bool = False) -> Fitted:
    batch = batch_of(rows)
    scorers: dict[str, Scorer] = {name: scorer_class(name)() for name in WEIGHTS}
    scoring = ScoringConfig(weights=WEIGHTS, contamination=contamination)
    return fit_scorers(scorers, scoring, batch, np.zeros(len(batch), dtype=bool), on_itself=on_itself)


def fused(fitted: Fitted) -> np.ndarray:
    return fitted.fusion.combine(fitted.fusion.calibrate(fitted.raw))


def test_the_strangest_share_is_not_learnt_from() -> None:
    trusted, stated = fitted_with(0.0, WITH_ATTACKS), fitted_with(0.05, WITH_ATTACKS)
    assert trusted.learnt.all()
    assert stated.learnt.tolist() == [True] * 4 + [False] * 4
    assert stated.raw["novelty"][4:].tolist() == [1.0] * 4  # never seen, as far as it knows
    assert fused(stated)[4:].min() > fused(trusted)[4:].max()
    assert (fused(trusted)[4:] < trusted.fusion.threshold_).any()  # the attacks set a threshold that lets them pass
    assert (fused(stated) >= stated.fusion.threshold_).tolist() == [False] * 4 + [True] * 4


def test_no_more_lines_are_left_out_than_stated() -> None:
    assert fitted_with(0.04, WITH_ATTACKS).learnt.all()  # the four are alike, and more than 4% of the lines
    alike = [("disk full", 10, "error"), ("disk gone", 10, "error")]  # one score
    assert fitted_with(0.4, alike).learnt.all()


def test_a_log_fitted_on_itself_has_the_stated_share_flagged() -> None:
    stated = fitted_with(0.05, WITH_ATTACKS, on_itself=True)
    assert (fused(stated) >= stated.fusion.threshold_).tolist() == [False] * 4 + [True] * 4


def test_two_scorers_at_once_say_what_each_says_alone_and_stop_where_progress_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ensemble, "MANY_TEXTS", 2)
    batch = batch_of([(text, 3, "info") for text in USUAL])
    scorers: dict[str, Scorer] = {name: scorer_class(name)().fit(batch) for name in WEIGHTS}
    raw = raw_scores(scorers, batch)
    assert list(raw) == list(WEIGHTS)
    for name, scorer in scorers.items():
        assert np.array_equal(raw[name], scorer.score(batch))

    def stop(_step: str, done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        raw_scores(scorers, batch, stop)
    assert threading.active_count() == before

"""Weights fitted on labels: what they find, that folds keep messages whole, and how many labels are needed."""

from pathlib import Path

import numpy as np
import pytest

from core import workbench
from core.config import Config
from core.errors import InputError
from core.evaluate import cross_validated_weights
from core.evaluate.weighting import FOLDS, LEAST_OF_A_CLASS, REPEATS, fitted_weights
from tests.builders import log_of_failures, write_labelled

SAVED = np.array([1.0, 1.0, 0.5])


def labelled(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values of three scorers, of which the second tells labels apart, the others nothing."""
    draw = np.random.default_rng(seed)
    labels = (np.arange(n) % 4 == 0).astype(np.int8)
    values = draw.random((n, 3)) * 0.5
    values[:, 1] = 0.3 * draw.random(n) + 0.4 * labels
    return values, labels


def test_the_scorer_that_tells_gets_the_weight_and_held_out_messages_gain() -> None:
    values, labels = labelled(200)
    found = cross_validated_weights(values, labels, np.arange(200), SAVED, lambda weights: values @ weights)
    assert found.weights.argmax() == 1 and (found.weights >= 0).all()
    assert found.weights.sum() == pytest.approx(SAVED.sum())
    assert len(found.saved) == len(found.fitted) == FOLDS * REPEATS
    gain, spread = found.gain
    assert gain > spread > 0 and found.better_share > 0.9
    again = cross_validated_weights(values, labels, np.arange(200), SAVED, lambda weights: values @ weights)
    np.testing.assert_array_equal(found.fitted, again.fitted)


def test_few_labels_move_the_weights_less_than_many() -> None:
    values, labels = labelled(400)
    few, many = (fitted_weights(values[:n], labels[:n], SAVED) for n in (24, 400))
    assert np.abs(few - SAVED).sum() < np.abs(many - SAVED).sum()


def test_labels_that_mean_nothing_promise_nothing() -> None:
    values, labels = labelled(200)
    values[:, 1] = values[:, 0]
    found = cross_validated_weights(values, labels, np.arange(200), SAVED, lambda weights: values @ weights)
    gain, spread = found.gain
    assert gain < spread


def test_a_message_is_never_on_both_sides() -> None:
    """Labels follow the text and nothing else: only a fold that shares texts with the others could know them."""
    draw = np.random.default_rng(1)
    of_text, labels_of = draw.random((40, 3)), (np.arange(40) % 2).astype(np.int8)
    text_ids = np.repeat(np.arange(40), 2)
    values = of_text[text_ids] * 0.01 + 0.5
    seen: list[int] = []

    def fuse(weights: np.ndarray) -> np.ndarray:
        seen.append(1)
        return values @ weights

    found = cross_validated_weights(values, labels_of[text_ids], text_ids, SAVED, fuse)
    assert len(seen) == 1 + FOLDS * REPEATS
    assert found.fitted.mean() < 0.75


@pytest.mark.parametrize("n_abnormal", [0, LEAST_OF_A_CLASS - 1])
def test_too_few_labels_say_how_many_are_needed(n_abnormal: int) -> None:
    labels = np.zeros(100, dtype=np.int8)
    labels[:n_abnormal] = 1
    with pytest.raises(
        InputError, match=f"{LEAST_OF_A_CLASS} abnormal .* there are {n_abnormal} and {100 - n_abnormal}"
    ):
        cross_validated_weights(np.ones((100, 3)), labels, np.arange(100), SAVED, lambda weights: np.ones(100))


def test_an_offer_fits_the_sliders_and_changes_name_what_they_flag(tmp_path: Path) -> None:
    log = write_labelled(tmp_path / "words.csv", *log_of_failures(90))
    run = workbench.score([log], config=workbench.quick(Config()))
    found = workbench.labelled_run(run.run_id, "input")
    offer = workbench.fit_weights(found, dict.fromkeys(run.weights, 1.0))
    assert list(offer.weights) == list(run.weights)
    assert max(offer.weights.values()) == 1.0 and min(offer.weights.values()) >= 0
    assert all(round(value / 0.05, 6) == round(value / 0.05) for value in offer.weights.values())

    assert workbench.changed_messages(found, run.weights, run.threshold, run.threshold).is_empty()
    severe = dict.fromkeys(run.weights, 0.0) | {"severity": 1.0}
    counts, scores = found.texts["count"].to_numpy(), found.fused(run.weights)
    for weights, threshold, saved in ((severe, 0.3, 1.0), (severe, 1.0, float(np.median(scores)))):
        changed = workbench.changed_messages(found, weights, threshold, saved)
        newly = changed["newly_flagged"]
        before, after = scores >= saved, found.fused(weights) >= threshold
        assert changed.filter(newly)["count"].sum() == counts[after & ~before].sum()
        assert changed.filter(~newly)["count"].sum() == counts[before & ~after].sum()
        assert (changed["abnormal"] + changed["normal"]).to_list() == changed["count"].to_list()  # all are labelled
        assert len(changed)

"""Flows in the context of their source: floods, company, and sources of their own."""

import numpy as np
import pytest

from core.scoring.context import raised
from core.scoring.flow_context import LEAST_RATE, burst_limit, flow_contexts, rates


def test_a_rate_counts_the_flows_of_a_source_in_a_second() -> None:
    assert rates(["a", "a", "b", "a", "a"], [1.0, 1.9, 1.5, 2.0, -0.5]).tolist() == [2, 2, 1, 1, 1]
    assert len(rates([], [])) == 0


def test_flows_of_a_capture_without_times_are_no_burst() -> None:
    assert rates(["a"] * 50, [0.0] * 50).tolist() == [1] * 50
    assert rates(["a", "a", "a"], [0.0, 0.5, 0.7]).tolist() == [1, 3, 3]


def test_the_limit_is_learnt_and_never_below_the_least() -> None:
    assert burst_limit(np.empty(0, np.int64)) == LEAST_RATE
    assert burst_limit(np.array([1] * 99 + [500])) == LEAST_RATE  # the one in a hundred says nothing
    assert burst_limit(np.array([20] * 10)) == 60


def test_a_flood_of_ordinary_flows_is_raised_and_no_other_source() -> None:
    sources = ["flood"] * 40 + ["a", "b"]
    found = flow_contexts(sources, [7.0] * 42, [0] * 42, np.array([0.1]), ordinary=0.1, limit=10.0)
    assert found[:40] == pytest.approx(np.full(40, 0.75))
    assert found[40:].tolist() == [0.0, 0.0]
    score = raised(np.full(42, 0.1), found)
    assert score[0] > 0.85
    assert score[41] == 0.1


def test_unusual_flows_of_a_source_vouch_for_each_other() -> None:
    score = np.array([0.1, 0.6])  # of two texts: an ordinary and an unusual one
    alone = flow_contexts(["a", "b"], [0.0, 0.0], [1, 0], score, ordinary=0.1, limit=10.0)
    assert alone.tolist() == [0.0, 0.0]
    together = flow_contexts(["a"] * 9, range(9), [1] * 8 + [0], score, ordinary=0.1, limit=10.0)
    assert (together > 0.2).all()

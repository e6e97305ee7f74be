"""Which messages are worth a verdict: uncertain ones of many lines, none that is labelled or muted."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from core import workbench
from core.workbench.telling import telling
from tests.builders import store_run

LINES = [
    *[(f"often near {no}", "often near", 0.45) for no in range(30)],
    ("once near", "once near", 0.5),
    *[(f"far below {no}", "far below", 0.01) for no in range(30)],
    ("far above", "far above", 0.99),
    ("", "", 0.0),
]


def asked(**options: object) -> list[str]:
    return workbench.telling_messages(workbench.run("a"), 0.5, **options)["normalized_text"].to_list()  # type: ignore[arg-type]


def test_near_and_many_first_and_no_labelled_or_muted_one() -> None:
    store_run("a", LINES)
    assert asked() == ["often near", "once near", "far below", "far above"]
    assert asked(limit=1) == ["often near"]
    assert asked(labelled=[0]) == ["once near", "far below", "far above"]
    workbench.mute(["once near"], "known", datetime.now(UTC) + timedelta(days=1))
    assert asked(labelled=[0]) == ["far below", "far above"]
    rows = workbench.telling_messages(workbench.run("a"), 0.5)
    assert rows.select("line_no", "count").row(0) == (1, 30)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_certain_at_the_ends_of_each_side_and_scorers_of_one_mind_say_less(threshold: float) -> None:
    scores = np.array([0.0, threshold, 1.0])
    agreed = telling(scores, np.full((3, 2), 0.4), np.array([1.0, 2.0]), np.ones(3), threshold)
    assert (
        agreed[1] == 0.5 and agreed[0] == (0.5 if threshold == 0 else 0) and agreed[2] == (0.5 if threshold == 1 else 0)
    )
    split = telling(scores, np.array([[0.0, 1.0]] * 3), np.array([1.0, 2.0]), np.ones(3), threshold)
    assert split[1] > agreed[1]
    weightless = telling(scores, np.array([[0.0, 1.0]] * 3), np.array([0.0, 2.0]), np.ones(3), threshold)
    assert weightless[1] == agreed[1]

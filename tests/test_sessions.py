"""Sessions: what follows what by hand, and what makes a session stand out."""

import itertools
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BundleError
from core.records import EncodedBatch
from core.scoring.next_template import NEXT_TEMPLATE_FILE, NextTemplate, Transitions
from core.scoring.sessions import SESSIONS_FILE, CountVectors, Sessions, SessionScorer

TEXTS = ["open", "read", "write", "close", "retry"]
OPEN, READ, WRITE, CLOSE, RETRY = range(5)


def lines_of(sessions: dict[str, list[int]]) -> pl.DataFrame:
    rows = [(name, text) for name, texts in sessions.items() for text in texts]
    return pl.DataFrame(rows, schema={"session": pl.String, "text_id": pl.UInt32}, orient="row")


def held_by(sessions: dict[str, list[int]]) -> Sessions:
    lines = lines_of(sessions).with_row_index("line_no", 1)
    counts = (
        lines.group_by("session", "text_id", maintain_order=True)
        .agg(pl.len().cast(pl.Int64).alias("count"), pl.col("line_no").min().alias("first_line_no"))
        .with_columns(burst=pl.lit(0.0))
    )
    transitions = Transitions()
    transitions.add(lines)
    return Sessions(counts, transitions.table())


def texts_of(scores: list[float] | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {"text_id": range(5), "normalized_text": TEXTS, "score": scores or [0.1] * 5},
        schema={"text_id": pl.UInt32, "normalized_text": pl.String, "score": pl.Float64},
    )


# ---- what follows what


def test_transitions_by_hand() -> None:
    transitions = Transitions()
    transitions.add(lines_of({"a": [OPEN, READ, READ], "b": [OPEN]}))
    transitions.add(
        pl.DataFrame({"session": [None, "a"], "text_id": [4, None]}, schema_overrides={"text_id": pl.UInt32})
    )
    transitions.add(lines_of({"b": [CLOSE], "a": [READ, CLOSE]}))
    assert transitions.table().rows() == [
        ("a", OPEN, READ, 1),
        ("a", READ, READ, 2),
        ("a", READ, CLOSE, 1),
        ("b", OPEN, CLOSE, 1),
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=40), st.lists(st.integers(0, 40)))
def test_transitions_do_not_depend_on_chunks(lines: list[tuple[str, int]], cuts: list[int]) -> None:
    table = pl.DataFrame(lines, schema={"session": pl.String, "text_id": pl.UInt32}, orient="row")
    whole, parts = Transitions(), Transitions()
    whole.add(table)
    for start, end in itertools.pairwise([0, *sorted(cuts), 40]):
        parts.add(table[start:end])
    assert parts.table().equals(whole.table())


def named(rows: list[tuple[str, str, str, int]], learnt: bool) -> pl.DataFrame:
    columns = ["session", "before", "after", "count"]
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(learnt=pl.lit(learnt))


LEARNT = [("x", "open", "read", 2), ("x", "read", "close", 1), ("y", "open", "read", 4), ("y", "open", "close", 1)]


def test_surprise_by_hand() -> None:
    model = NextTemplate().fit(named(LEARNT, True))
    found = model.surprise(named([("new", "open", "read", 3), ("new", "open", "fly", 1)], False))
    share_read, share_fly = (
        (6 + 2 / 3) / 10,
        (2 / 3) / 10,
    )  # of 8 transitions, 2 more counted in; 2 names and the unseen
    p_read, p_fly = (6 + 2 * share_read) / 9, 2 * share_fly / 9
    expected = -(3 * math.log(p_read) + math.log(p_fly)) / 4
    assert found.rows() == [("new", pytest.approx(expected))]


def test_a_learnt_session_is_left_out_of_its_own_surprise() -> None:
    rows = [row for row in LEARNT if row[0] == "x"]
    without = NextTemplate().fit(named([row for row in LEARNT if row[0] == "y"], True))
    own = NextTemplate().fit(named(LEARNT, True)).surprise(named(rows, True))
    assert own["surprise"].item() == pytest.approx(without.surprise(named(rows, False))["surprise"].item(), abs=0.02)
    assert (
        own["surprise"].item() > NextTemplate().fit(named(LEARNT, True)).surprise(named(rows, False))["surprise"].item()
    )


def test_next_template_is_kept(tmp_path: Path) -> None:
    model = NextTemplate().fit(named(LEARNT, True))
    model.save(tmp_path)
    assert NextTemplate.load(tmp_path).pairs_.equals(model.pairs_)
    (tmp_path / NEXT_TEMPLATE_FILE).write_text('{"before": ["a"], "after": []}')
    with pytest.raises(BundleError, match="damaged"):
        NextTemplate.load(tmp_path)
    (tmp_path / NEXT_TEMPLATE_FILE).unlink()
    with pytest.raises(BundleError, match="another version"):
        NextTemplate.load(tmp_path)


# ---- sessions

USUAL = [OPEN, READ, WRITE, READ, WRITE, CLOSE]


@pytest.fixture
def scorer() -> SessionScorer:
    return SessionScorer().fit(held_by({f"s{number}": USUAL for number in range(60)}), texts_of())


def score_of(scorer: SessionScorer, texts: list[int], scores: list[float] | None = None) -> float:
    return scorer.score(held_by({"new": texts}), texts_of(scores))["score"].item()


def test_each_kind_of_evidence_counts(scorer: SessionScorer) -> None:
    usual = score_of(scorer, USUAL)
    assert usual < scorer.threshold_
    disordered = score_of(scorer, [CLOSE, WRITE, WRITE, READ, READ, OPEN])  # the same templates as often
    assert disordered > usual + 0.1
    assert score_of(scorer, [*USUAL, *[RETRY] * 3]) > usual + 0.1
    retried = [*USUAL, RETRY]
    worst = score_of(scorer, retried, [0.1, 0.1, 0.1, 0.1, 0.9])
    assert worst == pytest.approx(score_of(scorer, retried) + 0.8 / 2.5, abs=1e-3)
    assert min(disordered, worst) >= scorer.threshold_


def test_a_line_that_every_session_holds_says_nothing_of_one(scorer: SessionScorer) -> None:
    assert score_of(scorer, USUAL, [0.1, 0.1, 0.9, 0.1, 0.1]) == pytest.approx(score_of(scorer, USUAL), abs=0.01)


def test_inverse_session_frequency_by_hand() -> None:
    documents = EncodedBatch(texts=["a b", "a c c"], counts=np.array([6, 1]), levels=["", ""])
    vectors = CountVectors().fit(documents)
    learnt = np.array([False, False, False, False, True])
    found = vectors.inverse_frequency(["a", "b", "c", "d", "c"], learnt)
    assert found.tolist() == pytest.approx(
        [0.0, 1 - math.log(7) / math.log(8), 1 - math.log(2) / math.log(8), 1.0, 1.0]
    )


def test_a_session_of_one_line_has_no_order(scorer: SessionScorer) -> None:
    [row] = scorer.score(held_by({"new": [OPEN]}), texts_of()).to_dicts()
    assert row["n_lines"] == 1 and 0 <= row["score"] <= 1


def test_broken_sessions_in_the_history_do_not_vouch_for_the_next(scorer: SessionScorer) -> None:
    broken = [OPEN, RETRY, RETRY, RETRY]
    history = {f"s{number}": USUAL for number in range(98)} | {"b0": broken, "b1": broken}
    mixed = SessionScorer().fit(held_by(history), texts_of())
    assert score_of(mixed, broken) > score_of(mixed, USUAL) + 0.2


def test_against_itself_the_threshold_parts_the_scores() -> None:
    broken = {f"b{number}": [OPEN, RETRY, RETRY, CLOSE] for number in range(6)}
    sessions = held_by({f"s{number}": USUAL[: 2 + number % 5] for number in range(94)} | broken)
    scorer = SessionScorer().fit(sessions, texts_of(), on_itself=True)
    found = scorer.score(sessions, texts_of())
    flagged = found.filter(pl.col("is_anomaly") == 1)["session"].to_list()
    assert set(broken) <= set(flagged)
    assert len(flagged) <= 20


@pytest.mark.parametrize("on_itself", [False, True])
def test_a_stated_contamination_of_sessions_is_above_the_threshold(on_itself: bool) -> None:
    whole = {f"s{number}": [OPEN, READ, WRITE, CLOSE] for number in range(95)}
    broken = {f"b{number}": [RETRY] * (number + 2) for number in range(5)}
    sessions = held_by(whole | broken)
    flagged = {}
    for contamination in (0.0, 0.05):
        scorer = SessionScorer().fit(sessions, texts_of(), contamination=contamination, on_itself=on_itself)
        found = scorer.score(sessions, texts_of())
        flagged[contamination] = set(found.filter(pl.col("is_anomaly") == 1)["session"])
    assert flagged[0.05] == set(broken)
    assert on_itself or len(flagged[0.0]) < 2  # a rate of 1% of a history counts the broken ones as normal


def test_saved_and_loaded_scores_are_equal(scorer: SessionScorer, tmp_path: Path) -> None:
    scorer.save(tmp_path)
    sessions = held_by({"a": USUAL, "b": [RETRY, READ], "c": [OPEN]})
    assert SessionScorer.load(tmp_path).score(sessions, texts_of()).equals(scorer.score(sessions, texts_of()))


def test_sessions_of_another_version_are_refused(scorer: SessionScorer, tmp_path: Path) -> None:
    scorer.save(tmp_path)
    stored = tmp_path / SESSIONS_FILE
    stored.write_text(stored.read_text().replace('"format": 2, ', ""))
    with pytest.raises(BundleError, match="another version"):
        SessionScorer.load(tmp_path)

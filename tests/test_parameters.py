"""What the parameters of a request are expected to hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.scoring.parameters import Parameters, Request, parse

SIGN_IN = {"post /in.php?user=num&stay=on mozilla 3xx": 600, "post /in.php?user=num&stay=off mozilla 3xx": 400}
ASKED = {
    f"get /find.php?q={word} mozilla 2xx": 1 for word in ("oak", "lamp", "desk", "chairs", "sofa", "shelves", "rug")
}
HISTORY = SIGN_IN | ASKED | {"get /news.html mozilla 2xx": 98, "get / mozilla 2xx": 98}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("get / mozilla 2xx", Request("/", [])),
        ("get /a?b=c", Request("/a", [("b", "c")])),
        ("get http://host/a?b=c&d=&e", Request("http://host/a", [("b", "c"), ("d", ""), ("e", "")])),
        ("get /a?b=hex curl 4xx", Request("/a", [("b", "num")])),  # a token, whatever letters it has
        ("get /a?b=num lynx libwww-fm 2xx", Request("/a", [("b", "num")])),  # an agent in two words
        ("get /a?b=num or num 2xx", Request("/a", [("b", "num or num")])),  # a blank that was escaped
        ("get /a?b=' or sleep(num)-- mozilla 5xx", Request("/a", [("b", "' or sleep(num)--")])),
        ("get /a?b=c=d?e 2xx", Request("/a", [("b", "c=d?e")])),
        ("put a request in /a?b=c", None),
        ("session opened for user root", None),
        ("", None),
    ],
)
def test_a_text_as_a_request(text: str, expected: Request | None) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "surprise", "said"),
    [
        # D of two values, 60% and 40%, is exp(.673) = 1.96; seven things are seen of a request of two parameters.
        ("post /in.php?user=num&stay=off/ mozilla 3xx", math.log((1000 + 2.96) / 2.96 / 7), "stay is off/"),
        (
            "post /in.php?user=num&stay=on&admin=num mozilla 3xx",
            math.log((1000 + 2) / 2 / 10),
            "admin was never sent there",
        ),
        ("post /in.php?user=num mozilla 2xx", math.log((1000 + 2) / 2 / 4), "it sends user"),
        ("get /news.html?id=num mozilla 2xx", math.log((98 + 2) / 2 / 4), "id was never sent there"),
        ("get /in.php mozilla 2xx", math.log((1000 + 2) / 2), "it sends no parameter"),
        # Lengths 3, 4, 4, 6, 4, 7, 3 have mean 4.43 and variance 1.96, but none is thought rarer than one of eight.
        ("get /find.php?q=garden mozilla 2xx", 0.0, ""),
        ("get /find.php?q=" + "a" * 400 + " mozilla 2xx", math.log(8 / 4), "q of 400 characters"),
        # Of seven values none had a mark.
        ("get /find.php?q=<b> mozilla 2xx", math.log((7 + 2) / 2 / 4), "q has <>"),
        ("post /in.php?user=&stay=on mozilla 3xx", math.log((1000 + 2) / 2 / 7), "user is empty"),
        ("get /other.php?q=<b> mozilla 2xx", 0.0, ""),  # a page never learnt: nothing is known of it
        ("kernel panic", 0.0, ""),
    ],
)
def test_what_is_unusual_on_a_page(text: str, surprise: float, said: str) -> None:
    learnt = Parameters(HISTORY)
    assert learnt.surprise([text]).tolist() == pytest.approx([surprise], abs=0.001)
    assert learnt.named(text) == said


def test_a_learnt_request_does_not_vouch_for_itself() -> None:
    once = "post /in.php?user=num&stay=maybe mozilla 3xx"
    with_it, without = Parameters(HISTORY | {once: 1}), Parameters(HISTORY)
    # But for the kinds, of which it is one, it is as surprising as if it had not been there.
    assert with_it.surprise([once])[0] == pytest.approx(without.surprise([once])[0], abs=0.01)
    assert Parameters(HISTORY | {once: 60}).surprise([once])[0] == 0.0


def test_attacks_in_the_history_leave_a_value_of_their_own_unusual() -> None:
    attacks = {f"post /in.php?user=num&stay={word}' mozilla 3xx": 2 for word in "abcdefghijklmnopqrst"}
    clean, mixed = Parameters(HISTORY), Parameters(HISTORY | attacks)
    asked = ["post /in.php?user=num&stay=off/ mozilla 3xx", "post /in.php?user=num&stay=a' mozilla 3xx"]
    assert clean.surprise(asked).min() > 3.5
    assert mixed.surprise(asked).min() > 1.5


def test_what_was_judged_normal_is_no_surprise_and_nothing_else_is_more_of_one() -> None:
    learnt = Parameters(HISTORY)
    judged = "post /in.php?user=num&stay=forever mozilla 3xx"
    told = learnt.vouched([judged])
    others = ["post /in.php?user=num&stay=off/ mozilla 3xx", "get /news.html?id=num mozilla 2xx", *HISTORY]
    assert learnt.surprise([judged])[0] > 3.5 and told.surprise([judged])[0] == 0.0 and told.named(judged) == ""
    assert (told.surprise(others) == learnt.surprise(others)).all()
    assert told.vouched(["get /news.html?id=num mozilla 2xx"]).surprise([judged, others[1]]).tolist() == [0.0, 0.0]


def test_nothing_learnt_says_nothing() -> None:
    assert Parameters({}).surprise(["get /a?b=c 2xx", ""]).tolist() == [0.0, 0.0]


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text("gpeost /a?&='% 2x<é\0", max_size=30).map("get /a?".__add__), st.integers(1, 9), max_size=8
    ),
    st.lists(st.text(max_size=40).map("get /a?".__add__), max_size=5),
)
def test_any_text_has_a_surprise_whatever_stands_beside_it(learnt: dict[str, int], asked: list[str]) -> None:
    parameters = Parameters(learnt)
    texts = [*learnt, *asked]
    surprise = parameters.surprise(texts)
    assert np.isfinite(surprise).all() and (surprise >= 0).all()
    assert surprise.tolist() == [parameters.surprise([text])[0] for text in texts]
    assert [bool(parameters.named(text)) for text in texts] == [bool(value > 0) for value in surprise]

"""Literal input, literal output for the scorers that need no network."""

import itertools
import math

import numpy as np
import pytest

from core.records import EncodedBatch
from core.scoring.likelihood import LikelihoodScorer
from core.scoring.novelty import NoveltyScorer
from core.scoring.severity import SeverityScorer
from core.scoring.shape import ShapeScorer
from core.scoring.tfidf import TfidfScorer


def batch(*texts: str, counts: list[int] | None = None, levels: list[str] | None = None) -> EncodedBatch:
    return EncodedBatch(list(texts), np.array(counts or [1] * len(texts)), levels or [""] * len(texts))


@pytest.mark.parametrize(
    ("text", "level", "expected"),
    [
        ("disk full", "critical", 1.0),
        ("disk full", "error", 0.8),
        ("disk full", "warning", 0.5),
        ("disk full", "notice", 0.1),
        ("retry after failed attempt", "info", 0.0),  # the level speaks for the line
        ("machine state register: hex", "critical", 0.9),  # a value of a dump, not what it was dumped for
        ("wait state enable.................num", "critical", 0.9),
        ("r0=hex hex r1=hex lr:hex", "error", 0.8 * 0.9),
        ("machine check: hex, giving up on node num", "critical", 1.0),  # a sentence
        ("failed attempts: num", "error", 0.8),  # a value that tells of failures
        ("cpu temperature: num", "warning", 0.5),
        ("kernel panic - not syncing", "", 1.0),
        ("authentication failure; user=root", "", 0.8),
        ("java.lang.nullpointerexception at path", "", 0.8),
        ("failed password for invalid user", "", 0.8),
        ("connection refused by ip", "", 0.5),
        ("session opened for user root", "", 0.0),
        ("scan done, no errors found", "", 0.0),
        ("get /index.html mozilla 2xx", "", 0.0),
        ("get /missing mozilla 4xx", "", 0.0),
        ("get /broken mozilla 5xx", "", 0.4),
        ("get /error/failed.html mozilla 2xx", "", 0.0),  # a path that names errors is none
        ("event_type=flow flow.reason=timeout flow.alerted=false errors=num", "", 0.0),  # fields: kinds, and names
        ("event.action=login event.outcome=failure user=ann", "", 0.8),
        ("authentication failure; logname= uid=num tty=ssh rhost=ip", "", 0.8),
        ('id=firewall pri=num msg="web site access denied" src=ip dst=ip', "", 0.5),
        ("timeout=num reached, giving up on node num", "", 0.5),  # a sentence
        ("", "", 0.0),
    ],
)
def test_severity(text: str, level: str, expected: float) -> None:
    assert SeverityScorer().score(batch(text, levels=[level])).tolist() == [expected]


def test_novelty_tells_what_share_of_lines_it_knows() -> None:
    scorer = NoveltyScorer().fit(batch("a", "b", counts=[9, 1]))
    assert scorer.known_share(["a", "c"], np.array([3, 1])) == 0.75
    assert scorer.known_share([], np.array([], dtype=np.int64)) == 0.0


def test_novelty_is_one_for_a_text_never_seen_and_else_a_little_for_its_rarity_without_its_own_line() -> None:
    scorer = NoveltyScorer().fit(batch("usual", "twice", "once", counts=[61, 2, 1]))
    scores = scorer.score(batch("usual", "twice", "once", "never"))
    assert scores.tolist() == pytest.approx([0.02 * math.log(64 / 60) / math.log(128), 0.02 * 6 / 7, 0.02, 1.0])


def test_a_text_at_two_levels_is_as_frequent_as_both_together() -> None:
    scorer = NoveltyScorer().fit(batch("a", "b", "a", counts=[10, 5, 21], levels=["info", "info", "error"]))
    assert scorer.score(batch("a")).tolist() == pytest.approx([0.02 * math.log(36 / 30) / math.log(72)])


def test_likelihood_is_the_mean_surprise_of_the_tokens_there_are() -> None:
    surprise = np.array([[1.0, 2.0, np.nan], [0.5, np.nan, np.nan], [np.nan] * 3], dtype=np.float32)
    encoded = EncodedBatch(["a b", "c", ""], np.ones(3, np.int64), [""] * 3, token_surprise=surprise)
    assert LikelihoodScorer().score(encoded).tolist() == [1.5, 0.5, 0.0]


def test_tfidf_by_hand() -> None:
    # Two texts, each term in one of them: no term in common, so they are sqrt(2) apart, which is the unit.
    scorer = TfidfScorer().fit(batch("a b", "c", counts=[1, 1]))
    known, unknown = math.sqrt(math.log(3 / 2) + 1), math.sqrt(math.log(3) + 1)
    cosine = known / math.hypot(known, unknown)  # of "c x" with "c"; x is in no learnt text
    scores = scorer.score(batch("a b", "c", "c x", "x y"))
    assert scores.tolist() == pytest.approx([1.0, 1.0, math.sqrt(2 - 2 * cosine) / math.sqrt(2), 1.0], abs=1e-6)


def test_common_and_rare_terms_make_one_distance() -> None:
    # more terms than are held as a table, of every frequency
    random = np.random.default_rng(0)
    history = [" ".join(f"w{i}" for i in np.unique((random.random(9) ** 2 * 150).astype(int))) for _ in range(60)]
    scorer = TfidfScorer().fit(batch(*history))
    known = sorted({word for text in history for word in text.split()})
    assert len(known) > 2 * 64
    queries = [*history[:3], "w0 w0 w149 never", "never"]

    weights = {word: math.log(61 / (1 + sum(word in text.split() for text in history))) + 1 for word in known}

    def distance(a: str, b: str) -> float:
        one, other = (
            {word: text.split().count(word) * math.sqrt(weights.get(word, math.log(61) + 1)) for word in text.split()}
            for text in (a, b)
        )
        product = sum(value * other[word] for word, value in one.items() if word in other)
        return math.sqrt(max(0.0, 2 - 2 * product / (math.hypot(*one.values()) * math.hypot(*other.values()))))

    pairs = [distance(a, b) for a, b in itertools.permutations(history, 2)]
    assert scorer.spread_ == pytest.approx(sum(pairs) / len(pairs), abs=1e-9)
    for query, nearest in zip(queries, scorer.nearest(batch(*queries)), strict=True):
        others = {text: distance(query, text) for text in history if text != query}
        assert distance(query, nearest or "") == pytest.approx(min(others.values()), abs=1e-7)


def test_tfidf_tells_novel_requests_apart() -> None:
    history = [f"get /shop/item{i}.html 2xx" for i in range(9)]
    scorer = TfidfScorer().fit(batch(*history, counts=[50] * 9))
    requests = "get /shop/item4.html 2xx", "get /shop/item77.html 2xx", "get /shop/item77.html?id='or'1'='1 2xx"
    seen, new, attack = scorer.score(batch(*requests))
    assert seen < new < attack


def test_texts_that_differ_in_unknown_words_alone_score_alike_but_their_own_lines_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scorer = TfidfScorer().fit(batch("job a b done", "job b a done", "disk full", counts=[1, 9, 5]))
    asked = batch("job x done", "job y done", "job a b done", "job b a done", "disk full")
    alone = [scorer.score(batch(text))[0] for text in asked.texts]
    seen: list[list[str]] = []
    bank = scorer._bank
    whole = bank.mass_distance
    monkeypatch.setattr(bank, "mass_distance", lambda texts, *rest: (seen.append(texts), whole(texts, *rest))[1])
    assert scorer.score(asked).tolist() == alone
    assert seen == [["job x done", "job a b done", "job b a done", "disk full"]]
    assert alone[0] == alone[1]


def test_tfidf_names_the_nearest_other_text() -> None:
    scorer = TfidfScorer().fit(batch("disk full", "disk almost full", "user logged in"))
    assert scorer.nearest(batch("disk full", "user logged out", "disk full now")) == [
        "disk almost full",
        "user logged in",
        "disk full",
    ]
    assert TfidfScorer().fit(batch("alone")).nearest(batch("alone")) == [None]


def test_novelty_names_the_words_that_only_this_text_has() -> None:
    scorer = NoveltyScorer().fit(batch("get /index.html", "get /shop/item"))
    requests = ["get /shop/<script> <script>", "get /index.html", "get /shop"]
    assert scorer.unknown_terms(requests) == [["<", "script", ">"], ["index", ".", "html"], []]


def test_a_word_judged_normal_is_no_longer_unknown() -> None:
    scorer = NoveltyScorer().fit(batch("get /index.html", "get /shop/item"))
    judged = scorer.vouched(batch("get /feed.xml"))
    assert judged.unknown_terms(["get /feed.html"]) == [[]]
    assert scorer.unknown_terms(["get /feed.html"]) == [["feed"]]


def test_shape_tells_a_new_page_from_an_injection() -> None:
    pages = [f"get /docs/{name}.html 2xx" for name in ("a", "beta", "gamma", "delta")]
    words = ["".join(letters) for letters in itertools.product("bdfgklmnpt", "aeiou", "dklmnrst")]
    asked = [f"get /find.php?q={word} 2xx" for word in words]
    scorer = ShapeScorer().fit(batch(*pages, *asked, counts=[1] * 4 + [2] * len(asked)))
    page, search, injection = scorer.score(
        batch("get /docs/omega.html 2xx", "get /find.php?q=other 2xx", "get /find.php?q=x'or'1'='1 2xx")
    )
    assert page == scorer.score(batch(pages[0]))[0]  # one build, whatever the rare word
    assert max(page, search) < injection / 2


def test_shape_keeps_the_words_of_other_lines() -> None:
    scorer = ShapeScorer().fit(batch("session opened for root", "session closed for root", counts=[999, 1]))
    known, other = scorer.score(batch("session opened for root", "session opened for mallory"))
    assert known == 0.0 < other


def test_a_shape_of_one_line_does_not_vouch_for_itself() -> None:
    scorer = ShapeScorer().fit(batch("get /a 2xx", "get /b 2xx", "get /c?<d> 2xx"))
    usual, alone = scorer.score(batch("get /b 2xx", "get /c?<d> 2xx"))
    assert 0 < usual < alone

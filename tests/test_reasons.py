"""The line that says why a text got its score."""

import numpy as np

from core.records import EncodedBatch
from core.scoring.fusion import Fusion
from core.scoring.novelty import NoveltyScorer
from core.scoring.reasons import reasons, reworded
from core.scoring.shape import ShapeScorer

KNOWN = ["user root logged in", "disk num is full", "session closed", "session closed for root"]


def batch(*texts: str, levels: list[str] | None = None) -> EncodedBatch:
    return EncodedBatch(list(texts), np.ones(len(texts), np.int64), levels or [""] * len(texts))


def test_new_words_and_marks_are_named_as_they_stand_and_stay_through_a_change_of_weights() -> None:
    fusion = Fusion({"novelty": 1.0, "shape": 1.0})
    quiet = {name: np.linspace(0, 0.2, 20) for name in ("novelty", "shape")}
    fusion.fit(quiet, np.ones(20, np.int64))
    novelty = NoveltyScorer().fit(batch(*KNOWN))
    asked = batch(
        "user ' or num = num ; drop", "disk , is ; ' full", "session closed", "user root logged in",
        levels=["", "error", "error", ""],
    )  # fmt: skip
    scores = {"novelty": np.array([0.9, 0.6, 0.5, 0.0]), "shape": np.array([0.4, 0.8, 0.5, 0.0])}
    told = reasons(asked, np.array([0.65, 0.7, 0.5, 0.0]), scores, fusion, {"novelty": novelty})
    assert told == [
        "words of no ordinary message: ' or = ;; mostly novelty 0.90, shape 0.40",
        "words of no ordinary message: , ' ;; level error; mostly shape 0.80, novelty 0.60",
        "level error; mostly novelty 0.50, shape 0.50",
        "",
    ]

    other = Fusion({"shape": 1.0})
    other.fit({"shape": quiet["shape"]}, np.ones(20, np.int64))
    context = np.array([0.0, 0.3, 0.0, 0.3])
    again = reworded(told, asked.levels, np.array([0.4, 0.9, 0.5, 0.9]), {"shape": scores["shape"]}, other, context)
    stands_out = "its source stands out: other lines are unusual, or too many a second"
    assert again == [
        "words of no ordinary message: ' or = ;; mostly shape 0.40",
        f"{stands_out}; words of no ordinary message: , ' ;; level error; of its text: shape 0.80",
        "level error; mostly shape 0.50",
        stands_out,
    ]


def test_what_is_unusual_in_a_request_is_said_and_cannot_pass_for_another_reason() -> None:
    fusion = Fusion({"shape": 1.0})
    fusion.fit({"shape": np.linspace(0, 0.2, 20)}, np.ones(20, np.int64))
    usual = EncodedBatch(["post /in.php?stay=on 2xx", "post /in.php?stay=off 2xx"], np.array([50, 50]), ["", ""])
    scorers = {"shape": ShapeScorer().fit(usual)}
    asked = batch(
        "post /in.php?stay=;  level error; 2xx", "post /in.php?stay=on&debug=num 2xx", "post /in.php?stay=on 2xx"
    )
    score = {"shape": np.array([0.7, 0.6, 0.0])}
    told = reasons(asked, score["shape"], score, fusion, scorers)
    assert told == [
        "unusual request: stay is ;level error;; mostly shape 0.70",
        "unusual request: debug was never sent there; mostly shape 0.60",
        "",
    ]
    again = reworded(told, asked.levels, score["shape"], score, fusion, np.array([0.0, 0.3, 0.0]))
    assert again == [
        "unusual request: stay is ;level error;; mostly shape 0.70",
        "its source stands out: other lines are unusual, or too many a second; "
        "unusual request: debug was never sent there; of its text: shape 0.60",
        "",
    ]

"""The line that says why a text got its score."""

import numpy as np

from core.records import EncodedBatch
from core.scoring.fusion import Fusion
from core.scoring.novelty import NoveltyScorer
from core.scoring.reasons import reasons, reworded

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
    told = reasons(asked, np.array([0.65, 0.7, 0.5, 0.0]), scores, fusion, novelty)
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

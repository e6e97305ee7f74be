"""The detector with its network: one small bundle fitted once, then what every later stage relies on."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from core import workbench
from core.cards import write_card
from core.config import Config, NetworkConfig, TrainingConfig
from core.detector import SCORE_TOLERANCE, LogDetector
from core.errors import BundleError, InputError, JobCancelled, WorkbenchError
from core.networks import encoder
from core.scoring import SCORERS
from core.tokenization.normalize import Normalizer
from tests.builders import access_log, write_log

ROOT = Path(__file__).resolve().parents[1]

CONFIG = Config(
    network=NetworkConfig(vocab_size=600, hidden_size=32, n_layers=2, n_heads=2, max_tokens=64),
    training=TrainingConfig(max_steps=60, batch_size=16),
)


def texts_of(lines: list[str]) -> pl.DataFrame:
    normalizer = Normalizer()
    normalizer.process(1, pl.Series(lines))
    return normalizer.texts()


@pytest.fixture(scope="module")
def history() -> pl.DataFrame:
    return texts_of(access_log(800)[0])


@pytest.fixture(scope="module")
def detector(history: pl.DataFrame) -> LogDetector:
    return LogDetector(CONFIG).fit(history)


@pytest.fixture(scope="module")
def new() -> tuple[pl.DataFrame, np.ndarray]:
    lines, labels = access_log(300, n_attacks=25, seed=1)
    normalizer = Normalizer()
    table = normalizer.process(1, pl.Series(lines)).with_columns(pl.Series("label", labels))
    bad = table.group_by("text_id").agg(pl.col("label").max()).sort("text_id")["label"].to_numpy() == 1
    return normalizer.texts(), bad


def test_planted_attacks_are_on_top(detector: LogDetector, new: tuple[pl.DataFrame, np.ndarray]) -> None:
    texts, bad = new
    scored = detector.score(texts)
    assert scored["score"].to_numpy()[bad].min() > scored["score"].to_numpy()[~bad].max()
    assert (scored["is_anomaly"].to_numpy()[bad] == 1).all()
    assert scored["score"].is_between(0, 1).all()
    for name in SCORERS:
        assert scored[name].is_between(0, 1).all()
        assert scored[f"raw_{name}"].is_finite().all()
    worst = scored.sort("score", descending=True).row(0, named=True)
    assert "words of no ordinary message" in worst["reason"]
    assert len(worst["tokens"]) == len(worst["surprise"])
    assert worst["nearest"] in set(detector.scorers_["tfidf"].texts_)


def test_saved_and_loaded_it_scores_the_same(
    detector: LogDetector, new: tuple[pl.DataFrame, np.ndarray], tmp_path: Path
) -> None:
    detector.save(tmp_path / "bundle")
    write_card(tmp_path / "bundle", "bundle", detector.config, detector.facts_, detector.history_)
    loaded = LogDetector.load(tmp_path / "bundle")
    assert loaded.threshold_ == detector.threshold_
    before, after = detector.score(new[0]), loaded.score(new[0])
    assert before["score"].to_list() == pytest.approx(after["score"].to_list(), abs=SCORE_TOLERANCE)
    assert before["is_anomaly"].to_list() == after["is_anomaly"].to_list()
    kinds = {path.suffix for path in (tmp_path / "bundle").rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors", ".md"}
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert f"{detector.facts_['n_lines']:,} unlabelled lines" in card
    assert detector.facts_["data_sha256"] in card
    assert not list(tmp_path.glob("*.tmp"))


def test_a_text_has_one_score_alone_and_in_a_crowd(detector: LogDetector, new: tuple[pl.DataFrame, np.ndarray]) -> None:
    together = detector.score(new[0])
    for row in (0, 3, len(new[0]) - 1):
        alone = detector.score(new[0].slice(row, 1)).row(0, named=True)
        assert alone["score"] == pytest.approx(together["score"][row], abs=SCORE_TOLERANCE)
        assert alone["is_anomaly"] == together["is_anomaly"][row]
    backwards = detector.score(new[0].reverse())
    assert backwards["score"].reverse().to_list() == pytest.approx(together["score"].to_list(), abs=SCORE_TOLERANCE)


def test_batch_size_threads_and_known_answers_change_no_score_and_no_decision(
    detector: LogDetector, new: tuple[pl.DataFrame, np.ndarray]
) -> None:
    head, rest = '203.0.113.9 - - [10/Oct/2023:13:55:36 +0000] "GET /shop/', '.php HTTP/1.1" 200 5 "-" "-"'
    names = map("".join, itertools.product("ghjklmnpqrstvwxy", repeat=3))  # no digit, no hexadecimal
    texts = pl.concat([new[0], texts_of([f"{head}{name}{rest}" for name in names])])
    texts = texts.unique("normalized_text", maintain_order=True).head(4_000)
    assert len(texts) == 4_000

    def scored(some: pl.DataFrame, n_threads: int = 2, known: pl.DataFrame | None = None) -> pl.DataFrame:
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        try:
            return detector.judged(some, detector.answers(some, known=known))
        finally:
            torch.set_num_threads(before)

    together = scored(texts)
    assert 0 < together["is_anomaly"].sum() < len(together)
    rows = [*range(0, len(texts), 100), int(together["score"].arg_max() or 0)]
    others = {
        "one thread": (scored(texts, n_threads=1), together),
        "half known": (scored(texts, known=detector.answers(texts.head(2_000))), together),
        "one at a time": (pl.concat([scored(texts[row]) for row in rows]), together[rows]),
    }
    for way, (found, expected) in others.items():
        assert found["is_anomaly"].to_list() == expected["is_anomaly"].to_list(), way
        assert found["score"].to_list() == pytest.approx(expected["score"].to_list(), abs=SCORE_TOLERANCE), way


def test_the_same_history_and_seed_give_the_same_detector(
    detector: LogDetector, history: pl.DataFrame, new: tuple[pl.DataFrame, np.ndarray]
) -> None:
    again = LogDetector(CONFIG).fit(history)
    assert again.facts_["data_sha256"] == detector.facts_["data_sha256"]
    assert again.score(new[0])["score"].to_list() == detector.score(new[0])["score"].to_list()
    other = LogDetector(dataclasses.replace(CONFIG, seed=1)).fit(history)
    assert other.score(new[0])["density"].to_list() != detector.score(new[0])["density"].to_list()


def test_a_network_that_learns_from_few_texts_has_no_say_unless_asked(history: pl.DataFrame, tmp_path: Path) -> None:
    few = dataclasses.replace(
        CONFIG,
        network=dataclasses.replace(CONFIG.network, hidden_size=len(history) + 2, n_layers=1),
        training=TrainingConfig(max_steps=1, batch_size=2),
    )
    enough = dataclasses.replace(few, network=dataclasses.replace(few.network, hidden_size=len(history) // 2 * 2))
    asked = dataclasses.replace(few, scoring=dataclasses.replace(few.scoring, weights={"density": 1.0, "novelty": 1.0}))
    found = {}
    for name, config in {"few": few, "enough": enough, "asked": asked}.items():
        detector = LogDetector(config).fit(history)
        write_card(tmp_path, name, detector.config, detector.facts_, detector.history_)
        says = "weighs nothing" not in (tmp_path / "README.md").read_text()
        found[name] = (detector.fusion_.weights["density"], detector.config.scoring.weights["density"], says)
    assert found == {"few": (0.0, 0.0, False), "enough": (0.1, 0.1, True), "asked": (1.0, 1.0, True)}


def test_without_a_say_of_the_network_a_quick_look_scores_the_same(tmp_path: Path) -> None:
    log = write_log(tmp_path / "a.log", access_log(200, n_attacks=5)[0])
    runs = [workbench.score([log], config=config) for config in (CONFIG, workbench.quick(CONFIG))]
    assert ["a quick look scores the same" in " ".join(run.notes) for run in runs] == [True, False]
    whole, quick = (workbench.run(run.run_id).texts() for run in runs)
    assert whole["score"].to_list() == quick["score"].to_list()
    assert runs[0].threshold == runs[1].threshold


def test_explain_says_why(detector: LogDetector) -> None:
    line = access_log(1, n_attacks=1, seed=2)[0][0]
    why = detector.explain(line)
    assert why.decision.is_anomaly
    assert why.decision.reasons
    assert sum(why.contributions.values()) == pytest.approx(why.decision.fused_score, abs=1e-3)
    assert len(why.tokens) == len(why.surprise) == len(why.expected)
    assert all(token and 0 < p <= 1 for token, p in why.expected)
    with pytest.raises(InputError, match="blank"):
        detector.explain("   ")


def test_tiny_inputs_can_be_fitted() -> None:
    """A first-time user's file may hold one line; whatever comes out, it comes out."""
    for lines in (["x"], ["a", "b c"], ["same text"] * 50):
        texts = texts_of(lines)
        scored = LogDetector(CONFIG).fit(texts).score(texts)
        assert scored["score"].is_between(0, 1).all()


def test_damaged_network_and_missing_parts_are_refused(detector: LogDetector, tmp_path: Path) -> None:
    def refused(damage: str) -> str:
        folder = tmp_path / damage.replace("/", "-")
        detector.save(folder)
        (folder / damage).write_bytes(b"\x00\x01")
        with pytest.raises(BundleError) as caught:
            LogDetector.load(folder)
        return str(caught.value)

    for part in ("bundle.json", "network.safetensors", "tokenizer.json", "fusion.json", "scorers/knn/scorer.json"):
        assert part.split("/")[-1] in refused(part)
    folder = tmp_path / "unknown"
    detector.save(folder)
    bundle = json.loads((folder / "bundle.json").read_text())
    bundle["config"]["extra"] = 1
    (folder / "bundle.json").write_text(json.dumps(bundle))
    with pytest.raises(BundleError, match="unknown setting extra"):
        LogDetector.load(folder)


def test_cancelling_stops_the_fit(history: pl.DataFrame) -> None:
    def cancel(step: str, done: int, total: int) -> None:
        if step.startswith("training") and done >= 3:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        LogDetector(CONFIG).fit(history, cancel)


def test_saving_over_an_old_bundle_keeps_one_of_the_two(
    detector: LogDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    detector.save(folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(BundleError, match="No space left"):
            detector.save(folder)
    assert LogDetector.load(folder).threshold_ == detector.threshold_
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_answers_looked_up_give_the_same_scores(detector: LogDetector, new: tuple[pl.DataFrame, np.ndarray]) -> None:
    texts, _ = new
    known = detector.answers(texts.gather_every(2))
    looked_up, scored = detector.judged(texts, detector.answers(texts, known=known)), detector.score(texts)
    assert_frame_equal(looked_up, scored, abs_tol=1e-9)  # the last bit of a sum knows how many were summed beside it
    assert looked_up["score"].equals(scored["score"])
    strange = known.with_columns(pl.lit(0.123).alias("raw_knn"))
    assert detector.answers(texts, known=strange)["raw_knn"].to_list().count(0.123) == len(known)


def test_without_bfloat16_the_shipped_model_decides_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (ROOT / "sample_logs" / "web_access" / "test.txt").read_text().splitlines()[3_650:3_850]
    here = LogDetector.load(ROOT / "models" / "base").score(texts_of(lines))
    monkeypatch.setattr(encoder, "has_bfloat16", lambda: False)
    elsewhere = LogDetector.load(ROOT / "models" / "base")
    there = elsewhere.score(texts_of(lines))
    assert elsewhere.precision_ == "float32"
    assert 0 < here["is_anomaly"].sum() < len(here)
    assert there["is_anomaly"].to_list() == here["is_anomaly"].to_list()
    assert there["score"].to_numpy() == pytest.approx(here["score"].to_numpy(), abs=2e-3)


def test_a_run_says_that_another_processor_learnt_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(encoder, "has_bfloat16", lambda: False)
    info = workbench.score([write_log(tmp_path / "one.log", access_log(1)[0])], str(ROOT / "models" / "base"))
    assert "The network ran in float32, the model was learnt in bfloat16: scores differ a little." in info.notes


def test_a_detector_that_learnt_nothing_says_so(tmp_path: Path) -> None:
    for use in (lambda new: new.explain("x"), lambda new: new.save(str(tmp_path / "new"))):
        with pytest.raises(WorkbenchError, match="call fit or load first"):
            use(LogDetector(Config()))

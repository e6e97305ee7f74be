"""Every scorer of the table against every promise of the contract. Adding a scorer adds no test here."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.config import default_weights
from core.errors import BundleError, WorkbenchError
from core.records import EncodedBatch, Scorer
from core.scoring import SCORERS, scorer_class

WIDTH = 32
N_USUAL, N_ODD = 80, 6
LEARNS_NOTHING = {"likelihood", "severity"}


def make_batch(seed: int, n_usual: int = N_USUAL, n_odd: int = 0) -> EncodedBatch:
    """Texts of a few templates in a low-dimensional cloud of embeddings; the last `n_odd` are planted anomalies."""
    random = np.random.default_rng(seed)
    axes = np.random.default_rng(99).normal(size=(4, WIDTH))
    users, actions = ["root", "alice", "bob", "carol"], ["opened", "closed", "renewed", "kept"]
    # Requests, so that `shape` has something to look at; to the others they are texts like any.
    texts = [f"get /session/{actions[i % 4]}?user={users[i // 4 % 4]}&tty={i // 16} 2xx" for i in range(n_usual)]
    embeddings = 3.0 + random.normal(size=(n_usual, 4)) @ axes + 0.05 * random.normal(size=(n_usual, WIDTH))
    surprise = random.gamma(1.0, 0.3, size=(n_usual, 9))
    surprise[random.random(surprise.shape) < 0.2] = np.nan
    levels = ["info", "", "notice", "debug"] * (n_usual // 4) + [""] * (n_usual % 4)
    odd = [f"post /qx{i}<stack smashing detected: zz{i}> 2xx" for i in range(n_odd)]
    return EncodedBatch(
        texts=texts + odd,
        counts=np.concatenate([random.integers(2, 200, n_usual), np.ones(n_odd, np.int64)]),
        levels=levels + ["error"] * n_odd,
        embeddings=np.concatenate([embeddings, 3.0 + 4.0 * random.normal(size=(n_odd, WIDTH))]).astype(np.float32),
        token_surprise=np.concatenate([surprise, 4.0 + random.random((n_odd, 9))]).astype(np.float32),
    )


@pytest.fixture(scope="module")
def history() -> EncodedBatch:
    usual = make_batch(0)
    assert usual.embeddings is not None
    random = np.random.default_rng(5)
    broken = usual.embeddings + 1.5 * random.normal(size=usual.embeddings.shape).astype(np.float32)
    return dataclasses.replace(usual, corrupted=dataclasses.replace(usual, embeddings=broken))


@pytest.fixture(scope="module")
def queries() -> EncodedBatch:
    return make_batch(1, n_odd=N_ODD)


@pytest.fixture(scope="module")
def fitted(history: EncodedBatch) -> dict[str, Scorer]:
    return {name: scorer_class(name)().fit(history) for name in SCORERS}


every_scorer = pytest.mark.parametrize("name", list(SCORERS))
learning_scorer = pytest.mark.parametrize("name", [name for name in SCORERS if name not in LEARNS_NOTHING])


def test_the_table_and_the_default_weights_name_the_same_scorers_in_the_same_order() -> None:
    assert list(SCORERS) == list(default_weights())
    assert [scorer_class(name).name for name in SCORERS] == list(SCORERS)
    with pytest.raises(WorkbenchError, match="unknown scorer 'knm'; known: mlp_head"):
        scorer_class("knm")


def test_importing_the_table_imports_no_heavy_library() -> None:
    code = (
        "import core.scoring, core.scoring.fusion, sys; print({'torch', 'sklearn', 'transformers'} & set(sys.modules))"
    )
    root = Path(__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@every_scorer
def test_follows_the_protocol(name: str, history: EncodedBatch) -> None:
    scorer = scorer_class(name)()
    assert isinstance(scorer, Scorer)
    assert scorer.requires <= {field.name for field in dataclasses.fields(EncodedBatch)}
    assert scorer.fit(history) is scorer


@every_scorer
def test_scores_are_finite_and_not_negative(name: str, fitted: dict[str, Scorer], queries: EncodedBatch) -> None:
    scores = fitted[name].score(queries)
    assert scores.shape == (len(queries),)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()
    if name == "severity" or scorer_class(name).calibrated:
        assert (scores <= 1).all()
    assert fitted[name].score(queries.take(np.arange(0))).shape == (0,)


@every_scorer
def test_planted_anomalies_come_out_on_top(name: str, fitted: dict[str, Scorer], queries: EncodedBatch) -> None:
    scores = fitted[name].score(queries)
    assert scores[N_USUAL:].min() > scores[:N_USUAL].max()


@every_scorer
@pytest.mark.parametrize("also_odd", [True, False])
def test_a_score_does_not_depend_on_the_batch(
    name: str, also_odd: bool, fitted: dict[str, Scorer], queries: EncodedBatch
) -> None:
    whole = fitted[name].score(queries)
    rows = np.arange(len(queries))[::-1] if also_odd else np.arange(0, N_USUAL, 3)
    np.testing.assert_allclose(fitted[name].score(queries.take(rows)), whole[rows], rtol=0, atol=1e-6)
    for row in (0, N_USUAL):
        alone = queries.take(np.array([row]))
        narrow = dataclasses.replace(alone, token_surprise=trimmed(alone.token_surprise))
        np.testing.assert_allclose(fitted[name].score(narrow), whole[[row]], rtol=0, atol=1e-6)


def trimmed(surprise: np.ndarray | None) -> np.ndarray:
    """One row without its padding, as the encoder gives it for a text alone."""
    assert surprise is not None
    return surprise[:, : np.flatnonzero(np.isfinite(surprise[0]))[-1] + 1]


@every_scorer
def test_the_same_seed_gives_the_same_scores(
    name: str, fitted: dict[str, Scorer], history: EncodedBatch, queries: EncodedBatch
) -> None:
    again = scorer_class(name)(seed=0).fit(history)
    np.testing.assert_array_equal(again.score(queries), fitted[name].score(queries))


@pytest.mark.parametrize("name", ["mlp_head", "autoencoder", "one_class"])
def test_another_seed_is_another_network(
    name: str, fitted: dict[str, Scorer], history: EncodedBatch, queries: EncodedBatch
) -> None:
    other = scorer_class(name)(seed=1).fit(history)
    assert (other.score(queries) != fitted[name].score(queries)).any()


@every_scorer
def test_save_and_load_keep_the_scores(
    name: str, fitted: dict[str, Scorer], queries: EncodedBatch, tmp_path: Path
) -> None:
    fitted[name].save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} <= {".json", ".safetensors"}
    loaded = scorer_class(name).load(tmp_path)
    np.testing.assert_array_equal(loaded.score(queries), fitted[name].score(queries))


@every_scorer
def test_the_input_is_left_as_it_was(name: str, history: EncodedBatch, queries: EncodedBatch) -> None:
    def copy(batch: EncodedBatch) -> EncodedBatch:
        arrays = {field: np.copy(getattr(batch, field)) for field in ("counts", "embeddings", "token_surprise")}
        return dataclasses.replace(batch, texts=list(batch.texts), levels=list(batch.levels), **arrays)

    def same(one: EncodedBatch, other: EncodedBatch) -> bool:
        return (
            one.texts == other.texts
            and one.levels == other.levels
            and np.array_equal(one.counts, other.counts)
            and np.array_equal(one.embeddings, other.embeddings)  # type: ignore[arg-type]
            and np.array_equal(one.token_surprise, other.token_surprise, equal_nan=True)  # type: ignore[arg-type]
        )

    history_before, queries_before = copy(history), copy(queries)
    scorer_class(name)().fit(history).score(queries)
    assert same(history, history_before)
    assert same(queries, queries_before)


@learning_scorer
def test_unfitted_is_refused(name: str, queries: EncodedBatch, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=f"{name}: not fitted"):
        scorer_class(name)().score(queries)
    with pytest.raises(WorkbenchError, match=f"{name}: not fitted"):
        scorer_class(name)().save(tmp_path)


@pytest.mark.parametrize("name", sorted(LEARNS_NOTHING))
def test_what_learns_nothing_scores_the_same_unfitted(
    name: str, fitted: dict[str, Scorer], queries: EncodedBatch
) -> None:
    np.testing.assert_array_equal(scorer_class(name)().score(queries), fitted[name].score(queries))


@every_scorer
def test_unusable_input_is_refused(name: str, fitted: dict[str, Scorer], history: EncodedBatch) -> None:
    scorer = scorer_class(name)
    with pytest.raises(WorkbenchError, match="nothing to learn from"):
        scorer().fit(history.take(np.arange(0)))
    with pytest.raises(WorkbenchError, match="counts of shape"):
        scorer().fit(dataclasses.replace(history, counts=history.counts[:-1]))
    for field in scorer.requires:
        with pytest.raises(WorkbenchError, match=f"{name}: needs {field}"):
            scorer().fit(dataclasses.replace(history, **{field: None}))
    if "embeddings" in scorer.requires:
        assert history.embeddings is not None
        damaged = history.embeddings.copy()
        damaged[3, 1] = np.nan
        with pytest.raises(WorkbenchError, match="not finite"):
            scorer().fit(dataclasses.replace(history, embeddings=damaged))
        narrow = dataclasses.replace(history, embeddings=history.embeddings[:, :-1])
        with pytest.raises(WorkbenchError, match="fitted on 32"):
            fitted[name].score(narrow)


@every_scorer
def test_one_text_is_enough(name: str, history: EncodedBatch, queries: EncodedBatch) -> None:
    one = history.take(np.array([0]))
    scorer = scorer_class(name)().fit(one)
    scores = scorer.score(queries)
    assert np.isfinite(scores).all()
    assert scores[N_USUAL:].min() > scorer.score(one)[0]


@every_scorer
def test_a_text_at_several_levels_is_one_neighbour(name: str, history: EncodedBatch, queries: EncodedBatch) -> None:
    twice = history.take(np.concatenate([np.arange(len(history)), [0]]))
    twice = dataclasses.replace(twice, levels=[*history.levels, "debug"])
    assert np.isfinite(scorer_class(name)().fit(twice).score(queries)).all()


@every_scorer
def test_a_damaged_folder_is_a_bundle_error(name: str, fitted: dict[str, Scorer], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=f"the saved scorer {name} cannot be read"):
        scorer_class(name).load(tmp_path / "missing")
    fitted[name].save(tmp_path)
    written = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for path, content in written.items():
        for damaged in (b"", content[: len(content) // 2], b"\xff" * len(content)):
            path.write_bytes(damaged)
            with pytest.raises(BundleError):
                scorer_class(name).load(tmp_path)
        path.write_bytes(content)
    values = json.loads((tmp_path / "scorer.json").read_text("utf-8"))
    (tmp_path / "scorer.json").write_text(json.dumps(values | {"name": "another"}), "utf-8")
    with pytest.raises(BundleError):
        scorer_class(name).load(tmp_path)


@learning_scorer
def test_a_folder_that_lacks_a_learnt_value_is_a_bundle_error(
    name: str, fitted: dict[str, Scorer], tmp_path: Path
) -> None:
    fitted[name].save(tmp_path)
    path = tmp_path / "scorer.json"
    values = json.loads(path.read_text("utf-8"))
    for learnt in set(values) & set(scorer_class(name).fitted):
        for wrong in ({k: v for k, v in values.items() if k != learnt}, values | {learnt: None}, values | {learnt: {}}):
            path.write_text(json.dumps(wrong), "utf-8")
            with pytest.raises(BundleError):
                scorer_class(name).load(tmp_path)
    path.write_text(json.dumps(values), "utf-8")
    if (tmp_path / "arrays.safetensors").exists():
        (tmp_path / "arrays.safetensors").unlink()
        with pytest.raises(BundleError):
            scorer_class(name).load(tmp_path)

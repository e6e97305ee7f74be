"""Answers kept between runs: found again, never of another bundle, and no damage is more than a miss."""

from pathlib import Path

import polars as pl
import pytest

from core.config import home
from core.store import AnswerCache, answer_cache


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "bundle.json").write_text("{}")
    (folder / "fusion.json").write_text("{}")
    return folder


def answers(*texts: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"normalized_text": texts, "level_class": [""] * len(texts), "raw_tfidf": [float(len(text)) for text in texts]}
    )


def test_what_was_kept_is_known_and_nothing_else(bundle: Path) -> None:
    assert AnswerCache(bundle, "bfloat16").known(answers("a")) is None
    AnswerCache(bundle, "bfloat16").keep(answers("a", "bb"))
    AnswerCache(bundle, "bfloat16").keep(answers("ccc", "bb"))  # another process, at the same time
    known = AnswerCache(bundle, "bfloat16").known(answers("bb", "dddd", "ccc"))
    assert known is not None
    assert sorted(known.rows()) == [("bb", "", 2.0), ("ccc", "", 3.0)]


def test_a_folder_that_looks_like_a_pattern(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYLOGBERT_HOME", str(tmp_path / "home [a]b"))
    AnswerCache(bundle, "bfloat16").keep(answers("a"))
    for _ in range(2):  # what was taken for damaged would be gone
        known = AnswerCache(bundle, "bfloat16").known(answers("a"))
        assert known is not None
        assert known.height == 1


def test_a_bundle_changed_knows_nothing_but_new_weights_change_no_answer(bundle: Path) -> None:
    AnswerCache(bundle, "bfloat16").keep(answers("a"))
    (bundle / "fusion.json").write_text('{"weights": {}}')
    assert AnswerCache(bundle, "bfloat16").known(answers("a")) is not None
    (bundle / "bundle.json").write_text('{"seed": 1}')
    assert AnswerCache(bundle, "bfloat16").known(answers("a")) is None


def test_a_damaged_file_is_a_miss_and_goes(bundle: Path) -> None:
    AnswerCache(bundle, "bfloat16").keep(answers("a"))
    AnswerCache(bundle, "bfloat16").keep(answers("bb"))
    damaged, *_ = sorted(home().glob("answers/*/*/*.parquet"))
    kept = pl.read_parquet([path for path in home().glob("answers/*/*/*.parquet") if path != damaged])
    damaged.write_bytes(damaged.read_bytes()[:50])
    (damaged.parent / "half.tmp").write_bytes(b"PAR1")
    known = AnswerCache(bundle, "bfloat16").known(answers("a", "bb"))
    assert known is not None
    assert known.rows() == kept.rows()
    assert not damaged.exists()


def test_it_is_bounded(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_cache, "MOST_TEXTS", 3)
    monkeypatch.setattr(answer_cache, "MOST_BUNDLES", 2)
    AnswerCache(bundle, "bfloat16").keep(answers("a", "bb"))
    AnswerCache(bundle, "bfloat16").keep(answers("ccc", "dddd"))
    known = AnswerCache(bundle, "bfloat16").known(answers("a", "bb", "ccc", "dddd"))
    assert known is not None
    assert len(known) == 3
    for seed in range(3):
        (bundle / "bundle.json").write_text(str(seed))
        AnswerCache(bundle, "bfloat16").keep(answers("a"))
    assert len(list((home() / "answers").iterdir())) == 2


def test_forgotten_it_knows_nothing(bundle: Path) -> None:
    AnswerCache(bundle, "bfloat16").keep(answers("a"))
    AnswerCache.forget(bundle)
    assert AnswerCache(bundle, "bfloat16").known(answers("a")) is None
    assert not list(home().glob("answers/*/*"))


def test_a_processor_that_rounds_otherwise_asks_anew(bundle: Path) -> None:
    AnswerCache(bundle, "bfloat16").keep(answers("a"))
    assert AnswerCache(bundle, "float32").known(answers("a")) is None

"""Mass-weighted distances against a slow reading of the definition, one line at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest

from core.records import EncodedBatch
from core.scoring import neighbours
from core.scoring.density import DensityScorer
from core.scoring.neighbours import MASS_SHARES, LineBank, bank_texts, euclidean


def reference_distance(
    query: str, point: np.ndarray, texts: list[str], points: np.ndarray, counts: np.ndarray, shares: tuple[float, ...]
) -> float:
    lines = [(float(np.linalg.norm(point - other)), text) for other, text in zip(points, texts, strict=True)]
    every_line = sorted((d, text) for (d, text), count in zip(lines, counts, strict=True) for _ in range(count))
    own = next((line for line in every_line if line[1] == query), None)
    if own is not None:
        every_line.remove(own)
    product = 1.0
    for share in shares:
        wanted = max(1, math.ceil(share * counts.sum()))
        product *= 0.1 + every_line[min(wanted, len(every_line)) - 1][0]
    return product ** (1 / len(shares)) - 0.1


def random_bank(n_texts: int, seed: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    counts = np.where(random.random(n_texts) < 0.5, 1, random.integers(2, 60, n_texts))
    return [f"text {i}" for i in range(n_texts)], random.normal(size=(n_texts, 5)), counts


@pytest.mark.parametrize("chunk_cells", [1, 200, 2_000_000])
def test_equals_counting_line_by_line(monkeypatch: pytest.MonkeyPatch, chunk_cells: int) -> None:
    monkeypatch.setattr(neighbours, "_CHUNK_CELLS", chunk_cells)
    texts, points, counts = random_bank(40, seed=1)
    new_points = np.random.default_rng(2).normal(size=(7, 5)) * 2
    queries, query_points = texts + [f"new {i}" for i in range(7)], np.concatenate([points, new_points])
    bank = LineBank(texts, counts)

    found = bank.mass_distance(queries, lambda rows: euclidean(query_points[rows], points))
    nearest_line = bank.line_distance(queries, lambda rows: euclidean(query_points[rows], points))

    for i, query in enumerate(queries):
        expected = reference_distance(query, query_points[i], texts, points, counts, MASS_SHARES)
        assert found[i] == pytest.approx(expected, abs=2e-6), query
        expected = reference_distance(query, query_points[i], texts, points, counts, (0.0,))
        assert nearest_line[i] == pytest.approx(expected, abs=2e-6), query


def test_own_line_is_left_out_once() -> None:
    points = np.array([[0.0], [1.0], [5.0]])
    bank = LineBank(["once", "twice", "far"], np.array([1, 2, 1]))
    places = np.array([[0.0], [1.0], [0.0]])

    nearest = bank.line_distance(["once", "twice", "never"], lambda rows: euclidean(places[rows], points))

    assert nearest.tolist() == [1.0, 0.0, 0.0]  # alone; its twin line; another text of the same embedding


def test_a_group_of_equal_anomalies_does_not_hide_in_mass() -> None:
    points = np.array([[0.0], [10.0]])
    bank = LineBank(["usual", "odd"], np.array([990, 10]))

    def distances(rows: np.ndarray) -> np.ndarray:
        return euclidean(points[rows], points)

    assert bank.line_distance(["usual", "odd"], distances).tolist() == [0.0, 0.0]
    # 1 line and 0.3% lie within its own ten lines; 3 and 30% do not
    expected = (0.1**2 * 10.1**2) ** 0.25 - 0.1
    assert bank.mass_distance(["usual", "odd"], distances).tolist() == [0.0, pytest.approx(expected, abs=1e-6)]


def test_nearest_other_and_spread() -> None:
    points = np.array([[0.0], [1.0], [5.0]])
    bank = LineBank(["a", "b", "c"], np.array([9, 1, 1]))
    assert bank.nearest_other(["a", "c", "new"], lambda rows: euclidean(points[[0, 2, 2]][rows], points)) == [
        "b",
        "b",
        "c",
    ]
    assert bank.spread(lambda rows: euclidean(points[rows], points)) == pytest.approx((1 + 5 + 4) / 3)


def test_a_bank_of_one_text() -> None:
    point = np.zeros((1, 2))
    for count in (1, 3):
        bank = LineBank(["only"], np.array([count]))
        assert bank.mass_distance(["only"], lambda rows: euclidean(point[rows], point)).tolist() == [0.0]
        assert bank.line_distance(["only"], lambda rows: euclidean(point[rows], point)).tolist() == [0.0]
        assert bank.nearest_other(["only"], lambda rows: euclidean(point[rows], point)) == [None]
        assert bank.spread(lambda rows: euclidean(point[rows], point)) == 1.0


def lines_of(counts: list[int]) -> EncodedBatch:
    return EncodedBatch([f"text {i}" for i in range(len(counts))], np.array(counts), [""] * len(counts))


def test_of_many_texts_a_draw_of_the_lines_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MOST_TEXTS", 1_000)
    counts = [50_000, 20_000, *[1] * 30_000]
    texts, drawn, rows = bank_texts(lines_of(counts), seed=0)
    assert len(texts) == pytest.approx(1_000, rel=0.1)
    assert texts[:2] == ["text 0", "text 1"]  # what is frequent stays, and with its share
    assert drawn[:2] / drawn.sum() == pytest.approx([0.5, 0.2], rel=0.1)
    assert [f"text {row}" for row in rows] == texts
    assert bank_texts(lines_of(counts), seed=0)[0] == texts


def test_few_texts_are_all_kept() -> None:
    texts, counts, rows = bank_texts(lines_of([3, 1, 2]), seed=0)
    assert (texts, counts.tolist(), rows.tolist()) == (["text 0", "text 1", "text 2"], [3, 1, 2], [0, 1, 2])


def test_distances_to_drawn_lines_are_near_those_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = lines_of([2_000] * 5 + [1] * 4_000)
    batch = replace(batch, embeddings=np.random.default_rng(0).normal(size=(len(batch), 8)).astype(np.float32))
    strange = replace(batch.take(np.array([7])), embeddings=np.full((1, 8), 3.0, np.float32))
    of_all = DensityScorer().fit(batch)
    monkeypatch.setattr(neighbours, "MOST_TEXTS", 500)
    of_drawn = DensityScorer().fit(batch)
    assert len(of_drawn.texts_) < 600
    for asked in (batch.take(np.arange(5, 25)), strange):
        assert of_drawn.score(asked).mean() == pytest.approx(of_all.score(asked).mean(), rel=0.1)
    judged = batch.take(np.arange(5, 2_000))  # the bank holds but few of them
    assert np.isfinite(of_drawn.forgetting(judged).score(strange)).all()

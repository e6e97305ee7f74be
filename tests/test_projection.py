"""Maps: like vectors lie near each other, the same seed gives the same map, and no input is too small."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core import jobs, workbench
from core.errors import JobCancelled, StoreError, WorkbenchError
from core.projection import MAX_POINTS, clusters, place, project
from core.store import write_map
from core.store.maps import MAP_SCHEMA
from tests.builders import store_run

GROUPS, EACH, WIDTH = 4, 25, 32
UMAP = pytest.param("umap", marks=pytest.mark.slow)  # compiles for half a minute where it never ran before
METHODS = ["pca", "tsne", UMAP]


def blobs(seed: int = 0) -> np.ndarray:
    """[GROUPS * EACH, WIDTH]: groups beside each other, all far from the origin as [CLS] vectors are."""
    draw = np.random.default_rng(seed)
    centres = 6.0 + np.repeat(3 * draw.normal(size=(GROUPS, WIDTH)), EACH, axis=0)
    return (centres + 0.3 * draw.normal(size=centres.shape)).astype(np.float32)


def nearest_of_the_same_group(places: np.ndarray) -> float:
    """Share of points whose nearest other point is of their group."""
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((distances.argmin(axis=1) // EACH == np.arange(GROUPS * EACH) // EACH).mean())


# ---- the projection


@pytest.mark.parametrize("method", METHODS)
def test_groups_stay_together_and_a_seed_gives_one_map(method: str):
    vectors = blobs()
    places = project(vectors, method, seed=1)
    assert places.shape == (GROUPS * EACH, 2)
    assert places.dtype == np.float32
    assert places.mean(axis=0) == pytest.approx([0, 0], abs=1e-5)
    assert places.std() == pytest.approx(1, abs=1e-5)
    assert nearest_of_the_same_group(places) > 0.97
    np.testing.assert_array_equal(project(vectors, method, seed=1), places)


@pytest.mark.parametrize("method", METHODS)
def test_the_angle_counts_and_not_the_length(method: str):
    """Points along two rays: by Euclidean distance the far ends would part, by angle each ray is one place."""
    lengths = np.linspace(1, 100, 20)[:, None]
    rays = np.vstack([lengths * [1.0, 0.2, 0.0], lengths * [0.2, 1.0, 0.0]])
    rays[:, 2] = np.tile(lengths[:, 0] * np.linspace(0, 1e-3, 20), 2)
    places = project(rays, method)
    one, other = places[:20], places[20:]
    between = np.linalg.norm(one.mean(axis=0) - other.mean(axis=0))
    assert np.linalg.norm(one - one.mean(axis=0), axis=1).max() < between / 2
    assert np.linalg.norm(other - other.mean(axis=0), axis=1).max() < between / 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_points", [0, 1, 2, 3, 5, 16])
def test_few_points_have_a_map_too(method: str, n_points: int):
    places = project(blobs()[:: EACH // 4][:n_points], method)
    assert places.shape == (n_points, 2)
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) == n_points


@pytest.mark.parametrize("method", METHODS)
def test_equal_vectors_share_a_place_and_copies_lie_together(method: str):
    assert not project(np.full((40, 8), 0.3), method).any()
    assert not project(np.zeros((3, 8)), method).any()
    vectors = np.repeat(blobs()[::EACH], 10, axis=0)
    places = project(vectors, method).reshape(GROUPS, 10, 2)
    assert np.isfinite(places).all()
    within = np.linalg.norm(places - places.mean(axis=1, keepdims=True), axis=2).max()
    between = [np.linalg.norm(places[i].mean(axis=0) - places[j].mean(axis=0)) for i in range(4) for j in range(i)]
    assert within < min(between)


def test_one_dimension_is_enough():
    assert project(np.array([[1.0], [-1.0], [2.0]]), "pca")[:, 1].tolist() == [0, 0, 0]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(WorkbenchError, match="choose umap, tsne, pca"):
        project(blobs(), "mds")
    with pytest.raises(WorkbenchError, match="20,000 points, not 20,001"):
        project(np.ones((MAX_POINTS + 1, 2)), "pca")
    with pytest.raises(WorkbenchError, match="finite"):
        project(np.array([[1.0, np.nan]]), "pca")


@pytest.mark.parametrize("method", ["tsne", UMAP])
def test_progress_is_told_and_may_stop_the_work(method: str):
    told = []
    project(blobs(), method, progress=lambda *step: told.append(step))
    counted = [(done, total) for step, done, total in told if step == "placing points" and total]
    assert len(counted) >= 3
    assert counted == sorted(counted)
    assert counted[-1][0] == counted[-1][1]

    def stop(step: str, done: int, total: int) -> None:
        if done:
            raise JobCancelled("Cancelled.")

    with pytest.raises(JobCancelled):
        project(blobs(), method, progress=stop)


def test_the_libraries_are_loaded_when_they_are_needed():
    code = "import sys, core.workbench; print([n for n in ('umap', 'openTSNE', 'numba', 'plotly') if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# ---- clusters, and new points


def test_dense_groups_are_clusters_and_the_rest_is_in_none():
    places = np.vstack([project(blobs(), "pca"), [[9.0, 9.0], [-9.0, 9.0]]])
    found = clusters(places)
    assert [len(set(found[start : start + EACH])) for start in range(0, GROUPS * EACH, EACH)] == [1] * GROUPS
    assert len(set(found[:-2])) == GROUPS
    assert found[-2:].tolist() == [-1, -1]
    np.testing.assert_array_equal(clusters(places), found)


@pytest.mark.parametrize("places", [np.zeros((0, 2)), np.zeros((40, 2)), np.eye(2)])
def test_few_or_equal_places_are_no_clusters(places: np.ndarray):
    assert clusters(places).tolist() == [-1] * len(places)


def test_a_new_point_lies_among_its_own_group_and_what_is_like_nothing_is_far():
    vectors = blobs()
    places = project(vectors, "pca")
    draw = np.random.default_rng(7)
    new = np.vstack([vectors[::EACH] + 0.1 * draw.normal(size=(GROUPS, WIDTH)), 6 * draw.normal(size=(1, WIDTH))])
    at, nearest, distances, far = place(vectors, places, new)
    assert (nearest[:GROUPS] // EACH).tolist() == list(range(GROUPS))
    for group in range(GROUPS):
        own = places[group * EACH : (group + 1) * EACH]
        assert np.linalg.norm(at[group] - own.mean(axis=0)) < 3 * own.std()
    assert far.tolist() == [False] * GROUPS + [True]
    assert distances[-1] > distances[:-1].max()
    at, nearest, distances, far = place(vectors, places, vectors)  # what is on the map lies where it lies
    np.testing.assert_allclose(at, places, atol=1e-4)
    assert nearest.tolist() == list(range(len(vectors))) and distances.max() < 1e-3 and not far.any()
    assert not place(vectors[:1], places[:1], new)[3].any()


# ---- maps of runs


def stored(run_id: str = "a") -> str:
    texts = [f"message {no}" for no in range(GROUPS * EACH)]
    return store_run(run_id, [(text, text, 0.1) for text in texts], vectors=blobs().tolist())


def test_a_job_makes_a_map_once_and_it_goes_with_the_run(home: Path):
    stored()
    assert workbench.map_of("a", "tsne") is None
    assert workbench.maps("a") == ["pca"]
    job_id = workbench.start_map("a", "tsne")
    assert workbench.start_map("a", "tsne") == job_id  # joined
    other = workbench.start_map("a", "umap")
    assert other != job_id
    workbench.cancel(other)
    assert jobs.wait(job_id, 60).state == "done", workbench.job(job_id).message
    found = workbench.map_of("a", "tsne")
    assert found.schema == MAP_SCHEMA
    assert found["text_id"].to_list() == list(range(GROUPS * EACH))
    assert nearest_of_the_same_group(found.select("x", "y").to_numpy()) > 0.97
    assert workbench.maps("a") == ["tsne", "pca"]
    assert [path.name for path in (home / "runs" / "a").glob("*map*")] == ["map-tsne-perplexity30-seed0.parquet"]
    workbench.delete_run("a")
    assert not (home / "runs" / "a").exists()
    with pytest.raises(StoreError, match="no run a"):
        workbench.map_of("a", "pca")


def test_clusters_have_their_telling_words_for_titles():
    kinds = ["disk failed on node", "user logged in from", "fan speed low at", "disk failed on rack"]
    texts = [f"{kinds[no // EACH]} x{no}" for no in range(GROUPS * EACH)]
    store_run("a", [(text, text, 0.1) for text in texts], vectors=blobs().tolist())
    found = workbench.map_of("a", "pca").unique("cluster").sort("cluster")
    assert found["cluster"].drop_nulls().to_list() == list(range(GROUPS))
    by_kind = {title.split(" x")[0] for title in found["title"]}
    assert {"fan speed low at", "user logged in from"} <= by_kind
    assert any("rack" in title for title in by_kind) and any("node" in title for title in by_kind)


def test_lines_and_runs_are_placed_only_where_their_network_is_known():
    vectors = blobs().tolist()
    texts = [f"message {no}" for no in range(GROUPS * EACH)]
    learnt = {"model": "shop", "learnt": {"created_utc": "2026-01-01T00:00:00Z"}}
    store_run("a", [(text, text, 0.1) for text in texts], vectors=vectors, **learnt)
    other = [(f"other {no}", f"other {no}", no / 100) for no in range(GROUPS * EACH)]
    store_run("b", other, vectors=vectors[::-1], **learnt)
    store_run("c", other, vectors=vectors, model="shop", learnt={"created_utc": "2026-02-02T00:00:00Z"})
    store_run("d", other, vectors=vectors)
    assert [info.run_id for info in workbench.placeable_runs("a")] == ["b"]
    assert workbench.placeable_runs("d") == []
    found = workbench.place_run("a", "pca", "b")
    assert found["line"][0] == "other 99" and found["nearest"][0] == 0  # the highest score first
    with pytest.raises(WorkbenchError, match="another network"):
        workbench.place_run("a", "pca", "c")
    with pytest.raises(WorkbenchError, match="not kept"):
        workbench.place_lines("d", "pca", ["x"])
    with pytest.raises(WorkbenchError, match="no line to place"):
        workbench.place_lines("a", "pca", ["", " "])
    with pytest.raises(WorkbenchError, match="at most 500 lines"):
        workbench.place_lines("a", "pca", ["x"] * 501)
    with pytest.raises(WorkbenchError, match="no map by t-SNE yet"):
        workbench.place_run("a", "tsne", "b")


def test_pca_is_there_at_once(home: Path):
    stored()
    np.testing.assert_array_equal(workbench.map_of("a", "pca").select("x", "y").to_numpy(), project(blobs(), "pca"))


def test_a_run_without_vectors_has_no_map():
    store_run("quick", [("a", "a", 0.1)])
    assert workbench.map_of("quick", "pca").is_empty()
    with pytest.raises(WorkbenchError, match=r"quick\.log: no network read this run"):
        workbench.start_map("quick", "umap")
    with pytest.raises(WorkbenchError, match="no map 'mds'"):
        workbench.start_map("quick", "mds")


def test_a_map_of_a_deleted_run_is_not_kept(home: Path):
    stored()
    frame = workbench.map_of("a", "pca")
    workbench.delete_run("a")
    with pytest.raises(StoreError):
        write_map("a", "x", frame)
    assert not (home / "runs" / "a").exists()


def test_a_damaged_map_is_made_again(home: Path):
    stored()
    frame = workbench.map_of("a", "pca")
    [path] = (home / "runs" / "a").glob("map-*")
    path.write_bytes(path.read_bytes()[:100])
    assert workbench.map_of("a", "pca").equals(frame)
    assert workbench.map_of("a", "pca").equals(frame)

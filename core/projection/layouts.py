"""Embeddings laid out on a plane: UMAP, t-SNE and PCA, each from the same exact neighbours and the same start.

On a map near points are like messages; how far apart two groups lie says little with UMAP and t-SNE.

Sources: McInnes, Healy, Melville, arXiv 1802.03426 (UMAP); van der Maaten and Hinton, JMLR 9 (2008) (t-SNE);
Poličar, Stražar, Zupan, JSS 109 (2024) (openTSNE); Kobak and Linderman, Nature Biotechnology 39 (2021): started from
the principal components, both keep more of the global shape.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from core.errors import WorkbenchError
from core.records import Progress, no_progress

METHODS: dict[str, dict[str, float]] = {
    "umap": {"n_neighbors": 15, "min_dist": 0.1},
    "tsne": {"perplexity": 30},
    "pca": {},
}
"""Each method with its parameters, which the small number of points may lower."""

MAX_POINTS = 20_000  # above, exact neighbours take minutes and a map is a blot
MIN_POINTS = 5  # fewer have no shape to unfold: their principal components are the map
_TOLD_ITERATIONS = 10


def project(vectors: np.ndarray, method: str, seed: int = 0, progress: Progress = no_progress) -> np.ndarray:
    """Coordinates of the vectors on a plane; like vectors, by the angle between them, lie near each other.

    Args:
        vectors: [N, D], finite, N at most MAX_POINTS; their lengths do not matter.
        method: a name of METHODS.
        seed: the same seed gives the same map on the same machine; UMAP alone draws from it.
        progress: told the steps; may raise JobCancelled.

    Returns:
        [N, 2] float32, mean 0 and standard deviation 1 over both axes together; all 0 where the vectors are equal.

    Raises:
        WorkbenchError: for an unknown method, too many points, or vectors that are not finite.
    """
    if method not in METHODS:
        raise WorkbenchError(f"there is no map {method!r}; choose {', '.join(METHODS)}")
    if len(vectors) > MAX_POINTS:
        raise WorkbenchError(f"a map holds at most {MAX_POINTS:,} points, not {len(vectors):,}; choose among them")
    if not np.isfinite(vectors).all():
        raise WorkbenchError("the vectors of a map must be finite; score the file again")
    if len(vectors) == 0:
        return np.zeros((0, 2), np.float32)
    points = centred_directions(vectors)
    start = _principal(points)
    if method == "pca" or len(points) < MIN_POINTS or not points.any():
        return start
    layout = {"umap": _umap, "tsne": _tsne}[method]
    return _standardised(layout(points, start, seed, progress))


def centred_directions(vectors: np.ndarray, n_centred: int | None = None) -> np.ndarray:
    """Vectors of length 1, the mean of the first `n_centred` (None: of all) taken off: [N, D] float32.

    Their Euclidean distances are those of the cosine, sqrt(2 - 2 cos). [CLS] vectors share one large mean, beside
    which float32 would lose what tells them apart.
    """
    directions = vectors.astype(np.float64)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    directions -= directions[:n_centred].mean(axis=0)
    if np.abs(directions).max() < 1e-6:  # equal but for rounding
        directions[:] = 0.0
    return np.asarray(directions, dtype=np.float32)


def _principal(points: np.ndarray) -> np.ndarray:
    """The two principal components of centred points, standardised: [N, 2]."""
    _, axes = np.linalg.eigh(points.T.astype(np.float64) @ points)
    axes = axes[:, :-3:-1]  # the two of the largest variance
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])  # an axis has no sign of its own
    placed = np.zeros((len(points), 2))
    placed[:, : axes.shape[1]] = points @ axes
    return _standardised(placed)


def _standardised(placed: np.ndarray) -> np.ndarray:
    placed = placed - placed.mean(axis=0)
    return (placed / max(float(placed.std()), 1e-12)).astype(np.float32)


def _neighbours(points: np.ndarray, n_neighbours: int, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers and distances [N, K] of each point's nearest others, nearest first; exact."""
    from sklearn.neighbors import NearestNeighbors

    progress("finding neighbours", 0, 1)
    distances, rows = NearestNeighbors(n_neighbors=n_neighbours, algorithm="brute").fit(points).kneighbors()
    return rows, distances


_BAR: dict[str, Any] = {
    "disable": False,
    "bar_format": "{n}/{total}",
    "mininterval": 0,
    "miniters": 25,
}  # by epochs, not by time


def _umap(points: np.ndarray, start: np.ndarray, seed: int, progress: Progress) -> np.ndarray:
    """UMAP in one thread, as more would make it depend on chance."""
    progress("loading UMAP", 0, 1)
    import numba
    import umap
    from umap.umap_ import compute_membership_strengths, smooth_knn_dist

    for compiled in (compute_membership_strengths, smooth_knn_dist):
        compiled.enable_caching()  # else every process compiles them anew, for 7 s
    numba.set_num_threads(1)
    n_neighbours = min(int(METHODS["umap"]["n_neighbors"]), len(points))
    rows, distances = _neighbours(points, n_neighbours - 1, progress)
    own = np.arange(len(points))[:, None]
    near = (np.hstack([own, rows]), np.hstack([np.zeros_like(own), distances]).astype(np.float32))  # it counts itself
    progress("placing points", 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that new points cannot be added: none are
        return np.asarray(
            umap.UMAP(
                n_neighbors=n_neighbours,
                min_dist=METHODS["umap"]["min_dist"],
                init=10 * start,  # the extent UMAP's own starts have
                random_state=seed,
                n_jobs=1,
                precomputed_knn=near,
                force_approximation_algorithm=True,  # else few points are compared anew
                tqdm_kwds=_BAR | {"file": _Epochs(progress)},
            ).fit_transform(points)
        )


class _Epochs:
    """Where UMAP's progress bar writes; the only word it gives while it works."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def write(self, text: str) -> None:
        done, slash, total = text.strip().partition("/")
        if slash:
            self._progress("placing points", int(done), int(total))

    def flush(self) -> None:
        pass


def _tsne(points: np.ndarray, start: np.ndarray, seed: int, progress: Progress) -> np.ndarray:
    """t-SNE in one thread, as more would make it depend on chance."""
    progress("loading t-SNE", 0, 1)
    from openTSNE import TSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.initialization import rescale
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    perplexity = min(METHODS["tsne"]["perplexity"], (len(points) - 1) / 3)
    rows, distances = _neighbours(points, min(int(3 * perplexity), len(points) - 1), progress)
    told = 0

    def tell(*_: Any) -> bool:
        nonlocal told
        told += _TOLD_ITERATIONS
        progress("placing points", told, early + late)
        return False  # go on

    early, late = 250, 500
    affinities = PerplexityBasedNN(knn_index=PrecomputedNeighbors(rows, distances), perplexity=perplexity)
    tsne = TSNE(
        early_exaggeration_iter=early,
        n_iter=late,
        random_state=seed,
        callbacks=tell,
        callbacks_every_iters=_TOLD_ITERATIONS,
    )
    return np.asarray(tsne.fit(affinities=affinities, initialization=rescale(start)))

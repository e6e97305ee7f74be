"""New messages on a map that is made: among the messages they are nearest to, so that no point of it moves.

A new point lies at the mean of its nearest messages, each weighing less by half for every further distance as long as
that to the nearest one: with one that is much nearer than the others, it lies on that one. It is *far* where even the
nearest message is farther than 19 of 20 messages of the map are from theirs: its place then says little.
"""

from __future__ import annotations

import numpy as np

from core.projection.layouts import centred_directions

_NEIGHBOURS = 5
_FAR_QUANTILE = 0.95


def place(
    vectors: np.ndarray, places: np.ndarray, new: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where new messages lie.

    Args:
        vectors: [N, D] of the messages on the map, N at least 1.
        places: [N, 2] where they lie.
        new: [M, D] of the new ones, by the same network.

    Returns:
        places [M, 2] float32, row of the nearest message [M], the distance to it [M] (0 to 2, between directions), and
        whether that is far [M] bool; on a map of one message nothing is.
    """
    from sklearn.neighbors import NearestNeighbors

    together = centred_directions(np.vstack([vectors, new]), len(vectors))
    old, added = together[: len(vectors)], together[len(vectors) :]
    n_near = min(_NEIGHBOURS, len(old))
    search = NearestNeighbors(n_neighbors=n_near, algorithm="brute").fit(old)
    distances, rows = search.kneighbors(added)
    least = np.maximum(distances[:, :1], 1e-6)
    weights = 0.5 ** np.minimum((distances - distances[:, :1]) / least, 100.0)
    at = (weights[:, :, None] * places[rows]).sum(axis=1) / weights.sum(axis=1, keepdims=True)
    usual = np.inf
    if len(old) > 1:
        usual = float(np.quantile(search.kneighbors(n_neighbors=1)[0], _FAR_QUANTILE))
    return at.astype(np.float32), rows[:, 0], distances[:, 0], distances[:, 0] > usual + 1e-3

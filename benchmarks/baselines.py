"""What a pipeline of scikit-learn gives without labels, on the same normalized texts. Higher is more abnormal."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import OneClassSVM

_WORDS = r"\w+|[^\w\s]"
_MOST_LINES = 1_000  # of one text, for methods that see every line
_SVM_TEXTS = 3_000  # the most frequent; its cost grows with their square
_SVD_WIDTH = 50


def baselines(history: pl.DataFrame, scored: pl.DataFrame, self_fit: bool) -> dict[str, np.ndarray]:
    """Scores of texts, name of the baseline to [N].

    Args:
        history: distinct texts to learn from (records.TEXTS_SCHEMA).
        scored: N distinct texts to score.
        self_fit: both are the same lines; a text is then no neighbour of itself, unless another line has it too.
    """
    history = history.group_by("normalized_text", maintain_order=True).agg(pl.col("count").sum())
    known, counts = history["normalized_text"].to_list(), history["count"].to_numpy()
    queries = scored["normalized_text"].to_list()
    count = dict(zip(known, counts.tolist(), strict=True))
    others = np.array([count.get(text, 0) - self_fit for text in queries])  # learnt lines beside the text's own
    found = {
        "never-seen template": (others <= 0).astype(np.float64),
        "rarity": -np.log((np.maximum(others, 0) + 0.5) / counts.sum()),
        "unknown words": _unknown_share(count, queries, self_fit, lambda text: re.findall(_WORDS, text)),
        "unknown character trigrams": _unknown_share(count, queries, self_fit, _trigrams),
    }
    for name, pattern in (("white space", r"\S+"), ("words and punctuation", _WORDS)):
        vectorizer = TfidfVectorizer(token_pattern=pattern)
        bank = vectorizer.fit_transform(known)
        vectors = vectorizer.transform(queries)
        own = int(self_fit and len(known) > 1)
        neighbours = NearestNeighbors(n_neighbors=1 + own, metric="cosine").fit(bank)
        distances = neighbours.kneighbors(vectors)[0][:, -1]
        found[f"TF-IDF 1-NN, {name}"] = np.where(own & (others > 0), 0.0, distances)
    lines = np.repeat(np.arange(len(known)), np.minimum(counts, _MOST_LINES))
    found["TF-IDF isolation forest"] = -IsolationForest(random_state=0).fit(bank[lines]).score_samples(vectors)
    found["PCA residual"] = _residual(bank, counts, vectors)
    top = np.argsort(-counts, kind="stable")[:_SVM_TEXTS]
    svm = OneClassSVM(nu=0.05).fit(bank[top], sample_weight=np.minimum(counts[top], _MOST_LINES))
    found["one-class SVM"] = -svm.decision_function(vectors)
    return found


def _trigrams(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(len(text) - 2)]


def _unknown_share(count: dict[str, int], queries: list[str], self_fit: bool, terms) -> np.ndarray:
    """[N] share of a text's terms that no other learnt line has."""
    lines_with: dict[str, int] = {}
    for text, lines in count.items():
        for term in set(terms(text)):
            lines_with[term] = lines_with.get(term, 0) + lines
    return np.array(
        [np.mean([lines_with.get(term, 0) <= self_fit for term in terms(text)] or [False]) for text in queries]
    )


def _residual(bank, counts: np.ndarray, vectors) -> np.ndarray:
    """[N] what the leading components of the learnt lines leave of a vector."""
    width = min(_SVD_WIDTH, min(bank.shape) - 1)
    if width < 1:
        return np.zeros(vectors.shape[0])
    svd = TruncatedSVD(width, random_state=0).fit(bank.multiply(np.sqrt(counts)[:, None]).tocsr())
    rest = vectors - svd.inverse_transform(svd.transform(vectors))
    return np.asarray(np.linalg.norm(rest, axis=1)).ravel()

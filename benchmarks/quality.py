"""Detection quality without labels: every scorer, the fused score and plain baselines in one table.

    python -m benchmarks.quality [--data ../shared/data/logs] [--tests web_mix ...] [--seeds 0 1 2] [--json OUT]

Labels are read to measure, never to fit, to choose or to set a threshold. Tests:
  bgl_self   2,000 lines of Blue Gene/L scored against themselves
  bgl_first  the first 10,000 lines of Blue Gene/L as history, the 2,000 scored
  web_mix    the first 70% of an intranet's access log as history; its rest with 300 scanner lines mixed in
  web_self   that mixed file scored against itself
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import gzip
import json
import platform
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from core.config import Config
from core.detector import LogDetector
from core.evaluate import ranking_metrics, threshold_metrics
from core.tokenization.normalize import Normalizer

ROOT = Path(__file__).resolve().parents[1]
BASELINES = ("TF-IDF 1-NN, white space", "TF-IDF 1-NN, words and punctuation", "TF-IDF isolation forest", "rarity")
CLASSIC = ("novelty", "tfidf", "shape", "severity")


class Test(NamedTuple):
    """History to learn from (None: the scored lines themselves), lines to score and their labels."""

    history: list[str] | None
    lines: list[str]
    labels: list[int]


def read_set(data: Path, name: str) -> list[dict[str, str]]:
    with gzip.open(data / name / "lines.csv.gz", "rt", newline="") as handle:
        return list(csv.DictReader(handle))


def make_test(data: Path, name: str) -> Test:
    if name.startswith("bgl"):
        scored = read_set(data, "bgl_2k")
        history = [row["line"] for row in read_set(data, "bgl_first10k")] if name == "bgl_first" else None
        return Test(history, [row["line"] for row in scored], [int(row["label"]) for row in scored])
    normal = [row["line"] for row in read_set(data, "ait_harrison_access_normal")]
    cut = int(0.7 * len(normal))
    draw = random.Random(0)
    attacks = draw.sample([row["line"] for row in read_set(data, "apache_scanner_logs")], 300)
    mixed = [(line, 0) for line in normal[cut:]] + [(line, 1) for line in attacks]
    draw.shuffle(mixed)
    return Test(normal[:cut] if name == "web_mix" else None, [line for line, _ in mixed], [label for _, label in mixed])


def texts_of(lines: list[str]) -> tuple[pl.DataFrame, np.ndarray]:
    """Distinct texts, and the text of each line."""
    normalizer = Normalizer()
    table = normalizer.process(1, pl.Series(lines))
    return normalizer.texts(), table["text_id"].to_numpy()


def baselines(history: pl.DataFrame, scored: pl.DataFrame, self_fit: bool) -> dict[str, np.ndarray]:
    """Scores [N] of methods a pipeline of scikit-learn gives; higher is more abnormal."""
    from sklearn.ensemble import IsolationForest
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    history = history.group_by("normalized_text", maintain_order=True).agg(pl.col("count").sum())
    known, queries = history["normalized_text"].to_list(), scored["normalized_text"].to_list()
    count = dict(history.select("normalized_text", "count").iter_rows())
    found = {}
    for name, pattern in zip(BASELINES, (r"\S+", r"\w+|[^\w\s]"), strict=False):
        vectorizer = TfidfVectorizer(token_pattern=pattern)
        bank = vectorizer.fit_transform(known)
        own = int(self_fit and len(known) > 1)  # its own text is no neighbour, but for another line that has it
        neighbours = NearestNeighbors(n_neighbors=1 + own, metric="cosine").fit(bank)
        distances = neighbours.kneighbors(vectorizer.transform(queries))[0][:, -1]
        found[name] = np.array(
            [0.0 if own and count[text] > 1 else distance for text, distance in zip(queries, distances, strict=True)]
        )
    weights = np.minimum(history["count"].to_numpy(), 1_000)
    lines = np.repeat(np.arange(len(known)), weights)
    forest = IsolationForest(random_state=0).fit(bank[lines])
    found[BASELINES[2]] = -forest.score_samples(vectorizer.transform(queries))
    found[BASELINES[3]] = np.array([-np.log((count.get(text, 0) + 0.5) / history["count"].sum()) for text in queries])
    return found


def measure(test: Test, seed: int) -> dict[str, dict[str, float]]:
    """Row name to its measures, for one test and one seed."""
    history = texts_of(test.lines if test.history is None else test.history)[0]
    texts, text_of_line = texts_of(test.lines)
    labels = np.array(test.labels)
    started = time.perf_counter()
    detector = LogDetector(Config(seed=seed)).fit(history)
    fitted = time.perf_counter()
    scored = detector.score(texts)
    seconds = {"fit_seconds": fitted - started, "score_seconds": time.perf_counter() - fitted}

    def row(scores: np.ndarray, threshold: float | None = None) -> dict[str, float]:
        of_line = scores[text_of_line]
        weights = np.ones(len(labels))
        pairs = np.unique(np.stack([text_of_line, labels], axis=1), axis=0)  # one row a text and label
        distinct = ranking_metrics(pairs[:, 1], scores[pairs[:, 0]], np.ones(len(pairs)))
        found = ranking_metrics(labels, of_line, weights) | {"pr_auc_distinct": distinct["pr_auc"]}
        return found if threshold is None else found | threshold_metrics(labels, of_line, weights, threshold)

    calibrated = {name: scored[name].to_numpy() for name in detector.scorers_}
    weights = detector.fusion_.weights

    def fused(names: set[str]) -> np.ndarray:
        return detector.fusion_.with_weights({name: weights[name] * (name in names) for name in weights}).combine(
            calibrated
        )

    rows = {name: row(scored[f"raw_{name}"].to_numpy()) for name in detector.scorers_}
    rows["fused"] = row(scored["score"].to_numpy(), detector.threshold_) | seconds
    rows["fused, no severity"] = row(fused(set(weights) - {"severity"}))
    rows["fused, classic only"] = row(fused(set(CLASSIC)))
    for name, scores in baselines(history, texts, test.history is None).items():
        rows[name] = row(scores)
    return rows


def print_table(name: str, test: Test, seeds: list[int], runs: list[dict[str, dict[str, float]]]) -> None:
    print(
        f"\n### {name}: {len(test.history or test.lines):,} lines learnt"
        f"{' (the scored ones)' if test.history is None else ''}, {len(test.lines):,} scored, "
        f"prevalence {np.mean(test.labels):.3f}, seeds {seeds}\n"
    )
    print("| | ROC-AUC | PR-AUC | spread | PR-AUC, distinct texts | F1 at own threshold | best F1 (by labels) |")
    print("|---|---|---|---|---|---|---|")
    for row in runs[0]:

        def mean(key: str, row: str = row) -> str:
            values = [run[row][key] for run in runs if key in run[row]]
            return f"{np.mean(values):.3f}" if values else ""

        spread = np.ptp([run[row]["pr_auc"] for run in runs])
        print(
            f"| {row} | {mean('roc_auc')} | {mean('pr_auc')} | {spread:.3f} | {mean('pr_auc_distinct')} "
            f"| {mean('f1')} | {mean('best_f1')} |"
        )
    times = [f"{np.mean([run['fused'][key] for run in runs]):.1f} s" for key in ("fit_seconds", "score_seconds")]
    print(f"\nfit {times[0]}, score {times[1]}")


def print_summary(everything: dict[str, dict]) -> None:
    """One column a test: what the README shows."""

    def mean(name: str, row: str, key: str) -> str:
        return f"{np.mean([run[row][key] for run in everything[name]['runs']]):.3f}"

    def line(title: str, cell: Callable[[str], str]) -> None:
        print(f"| {title} | " + " | ".join(cell(name) for name in everything) + " |")

    runs = next(iter(everything.values()))["runs"]
    print(f"\n### PR-AUC, mean of {len(runs)} seeds\n")
    line("", str)
    line("---", lambda _: "---")
    for row in runs[0]:
        bold = "**" if row == "fused" else ""
        line(f"{bold}{row}{bold}", lambda name, row=row, bold=bold: f"{bold}{mean(name, row, 'pr_auc')}{bold}")
    line("prevalence", lambda name: f"{everything[name]['prevalence']:.3f}")
    line(
        "fused: spread over seeds",
        lambda name: f"{np.ptp([r['fused']['pr_auc'] for r in everything[name]['runs']]):.3f}",
    )
    line("fused: ROC-AUC", lambda name: mean(name, "fused", "roc_auc"))
    line("fused: F1 at its own threshold", lambda name: mean(name, "fused", "f1"))
    line("fused: best F1, by labels", lambda name: mean(name, "fused", "best_f1"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "logs")
    parser.add_argument("--tests", nargs="+", default=["bgl_self", "bgl_first", "web_mix", "web_self"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"skipped: the labelled sets are not in {args.data}")
        return
    print(f"{platform.processor() or platform.machine()}, {platform.system()}, Python {platform.python_version()}")
    everything = {}
    for name in args.tests:
        test = make_test(args.data, name)
        runs = [measure(test, seed) for seed in args.seeds]
        print_table(name, test, args.seeds, runs)
        everything[name] = {
            "seeds": args.seeds,
            "prevalence": float(np.mean(test.labels)),
            "runs": runs,
            "config": dataclasses.asdict(Config()),
        }
    print_summary(everything)
    if args.json:
        args.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()

"""Detection quality without labels, by family of logs: every scorer, the fused score, plain baselines.

    python -m benchmarks.quality [--data ../shared/data/logs] [--tests web_mix ...] [--seeds 0 1 2] [--kept FOLDER]

The tests are those of benchmarks/families.py. Labels are read to measure, never to fit or to set a threshold. Rows
beside the scorers: the fused score; without severity; of the scorers that need no network; with a network of random
weights in place of the trained one. Session tests are measured by session. "In context": lines raised by the other
lines of their source, as the Data page does unless told otherwise; those without one, and sessions, stay as they are.
The ceiling is what one who knew the label of every text (or of every session's count vector) would reach alone.

"Honest" is the fused score under the weights that were best, of 300 drawn at random and the default, on the *other*
families (the mean over families of their tests' PR-AUC): no label of a family has a say in its own row.

"False alarms" is the share of distinct normal texts (in context: of a text and score) at or above the detector's own
threshold, which states a share of lines like the learnt ones; of sessions, which are no texts, it is left out.

`--kept` stores each test and seed as it is done and reads back what is there, so that a run can be cut and taken up.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.baselines import baselines
from benchmarks.families import APART, FAMILIES, Test
from core.config import Config, ReadConfig
from core.detector import LogDetector
from core.evaluate import bootstrap_intervals, ranking_metrics, threshold_metrics
from core.scoring.bursts import Bursts
from core.scoring.context import CONTEXT, contexts, parted, raised
from core.scoring.fusion import ordinary
from core.scoring.next_template import Transitions
from core.scoring.sessions import Sessions, SessionScorer
from core.tokenization.normalize import Normalizer
from core.tokenization.sources import SOURCE

ROOT = Path(__file__).resolve().parents[1]
CLASSIC = ("novelty", "tfidf", "shape", "severity")
N_CANDIDATES = 300
CANDIDATE_WEIGHTS = (0.0, 0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
DESIGNS = "fused", "fused, classic only", "fused, random network"
IN_CONTEXT = ", in context"
HONEST_IN_CONTEXT = "fused, honest" + IN_CONTEXT
SPREAD = "its seeds: highest less lowest"
SHOWN = (
    "fused" + IN_CONTEXT, SPREAD, HONEST_IN_CONTEXT, *(name + IN_CONTEXT for name in DESIGNS[1:]),
    "fused", "fused, honest", *DESIGNS[1:], "best single", "rarity", "TF-IDF 1-NN, words and punctuation",
    "ceiling", "prevalence",
)  # fmt: skip
AT_THRESHOLD = {"f1": "own F1", "best_f1": "best F1", "false_alarms_distinct": "false alarms"}

Rows = dict[str, dict[str, float]]


def candidates(scorers: Sequence[str]) -> list[dict[str, float]]:
    """The default weights, and others drawn at random, the same in every test."""
    draw = np.random.default_rng(0)
    drawn = [dict(zip(scorers, draw.choice(CANDIDATE_WEIGHTS, len(scorers)), strict=True)) for _ in range(N_CANDIDATES)]
    return [Config().scoring.weights, *(weights for weights in drawn if sum(weights.values()) > 0)]


@dataclasses.dataclass(frozen=True)
class Lines:
    """Lines as texts: the distinct ones, the text, source and time of each line, and what sessions hold if any."""

    texts: pl.DataFrame
    lines: pl.DataFrame
    sessions: Sessions | None

    @classmethod
    def of(cls, lines: list[str], sessions: list[str] | None) -> Lines:
        """Lines as a model reads them."""
        normalizer = Normalizer(ReadConfig(sessions=SOURCE) if sessions is None else ReadConfig())
        table = normalizer.process(1, pl.Series(lines), None, None if sessions is None else pl.Series(sessions))
        held = None
        if sessions is not None:
            counts = (
                table.drop_nulls("text_id")
                .group_by("session", "text_id")
                .agg(pl.len().cast(pl.Int64).alias("count"), pl.col("line_no").min().alias("first_line_no"))
                .sort("first_line_no", "session", "text_id")
            )
            transitions = Transitions()
            transitions.add(table)
            held = Sessions(counts, transitions.table())
        return cls(normalizer.texts(), table.select("session", "timestamp_utc", "text_id"), held)

    @functools.cached_property
    def of_sources(self) -> pl.DataFrame:
        """Lines of each source and text, and the bursts they are in."""
        counts = self.lines.drop_nulls("session").group_by("session", "text_id")
        bursts = Bursts()
        bursts.add(self.lines)
        return bursts.of(counts.agg(pl.len().cast(pl.Int64).alias("count")))

    def in_context(self, score: np.ndarray, ordinary: float) -> np.ndarray:
        """Texts' scores [N] to lines', each raised by the other lines of its source."""
        texts = self.texts.select("text_id").with_columns(pl.Series("score", score))
        found = contexts(self.of_sources, texts, ordinary)
        rows = self.lines.join(found, on=["session", "text_id"], how="left", maintain_order="left")
        return raised(score[rows["text_id"].to_numpy()], rows[CONTEXT].fill_null(0.0).to_numpy())

    def parted(self, threshold: float, score: np.ndarray) -> float:
        """The threshold of lines in context, from their scores; that of single lines where no line has a source."""
        if self.of_sources.is_empty():
            return threshold
        once = pl.DataFrame({"text": self.lines["text_id"], "score": score}).group_by("text", "score").len()
        return parted(threshold, once["score"].to_numpy(), once["len"].to_numpy())


class Measured:
    """Scores of a test's texts to measures, by line or by session."""

    def __init__(self, test: Test, history: Lines, scored: Lines) -> None:
        self.history, self.scored = history, scored
        self.labels = np.array(test.labels)
        if scored.sessions is not None:
            of_session = pl.DataFrame({"session": test.sessions, "label": test.labels}).group_by("session").max()
            self.label_of_session = dict(of_session.iter_rows())

    def row(self, score: np.ndarray, of_history: np.ndarray | None = None, threshold: float | None = None) -> Any:
        """Measures of texts' scores [N].

        By session, those of the session scorer; of the worst line where the history's scores are not given.
        """
        if self.scored.sessions is not None:
            score, labels, threshold = self._by_session(score, of_history)
            return self._measures(labels, score, threshold)
        return self.of_lines(score[self.scored.lines["text_id"].to_numpy()], threshold)

    def of_lines(self, score: np.ndarray, threshold: float | None = None) -> dict[str, float]:
        """Measures of lines' scores; "distinct" counts a text of one score and label once."""
        keys = {"text": self.scored.lines["text_id"], "label": self.labels, "score": score}
        rows = pl.DataFrame(keys).group_by("text", "label", "score").len().sort("text", "label", "score")
        labels, scores = rows["label"].to_numpy(), rows["score"].to_numpy()
        row = self._measures(self.labels, score, threshold)
        each = np.ones(len(rows))
        row["pr_auc_distinct"] = ranking_metrics(labels, scores, each)["pr_auc"]
        if threshold is not None:
            row["false_alarms_distinct"] = threshold_metrics(labels, scores, each, threshold)["false_alarm_rate"]
            lines = rows["len"].to_numpy().astype(float)
            found = bootstrap_intervals(labels, scores, lines, rows["text"].to_numpy(), threshold=threshold)
            if found is not None:
                row["low"], row["high"] = found["pr_auc"]
        return row

    def of_sessions(self, found: pl.DataFrame, threshold: float) -> dict[str, float]:
        """Measures of sessions' scores, as `LogDetector.score_sessions` gives them."""
        return self._measures(self._labels(found["session"]), found["score"].to_numpy(), threshold)

    def _measures(self, labels: np.ndarray, score: np.ndarray, threshold: float | None) -> dict[str, float]:
        weights = np.ones(len(labels))
        found = ranking_metrics(labels, score, weights)
        if threshold is None:
            return found
        return found | threshold_metrics(labels, score, weights, threshold)

    def _by_session(
        self, score: np.ndarray, of_history: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, float | None]:
        assert self.scored.sessions is not None  # noqa: S101
        texts = self.scored.texts.with_columns(pl.Series("score", score))
        if of_history is None or self.history.sessions is None:
            worst = (
                self.scored.sessions.counts.join(texts.select("text_id", "score"), on="text_id")
                .group_by("session", maintain_order=True)
                .agg(pl.col("score").max())
            )
            return worst["score"].to_numpy(), self._labels(worst["session"]), None
        learnt = self.history.texts.with_columns(pl.Series("score", of_history))
        scorer = SessionScorer(Config().scoring.false_alarm_rate)
        scorer.fit(self.history.sessions, learnt, on_itself=self.history is self.scored)
        found = scorer.score(self.scored.sessions, texts)
        return found["score"].to_numpy(), self._labels(found["session"]), scorer.threshold_

    def _labels(self, sessions: pl.Series) -> np.ndarray:
        return np.array([self.label_of_session[session] for session in sessions])

    def ceiling(self) -> dict[str, float]:
        """What one who knew the label of every text, or of every session's count vector, would reach."""
        if self.scored.sessions is None:
            kinds = pl.DataFrame({"kind": self.scored.lines["text_id"], "label": self.labels})
        else:
            kinds = (
                self.scored.sessions.counts.sort("session", "text_id")
                .group_by("session", maintain_order=True)
                .agg(pl.format("{}:{}", "text_id", "count").str.join(" ").alias("kind"))
            )
            kinds = kinds.with_columns(pl.Series("label", self._labels(kinds["session"])))
        shares = kinds.with_columns(pl.col("label").mean().over("kind").alias("share"))
        return ranking_metrics(shares["label"].to_numpy(), shares["share"].to_numpy(), np.ones(len(shares)))


def measure(test: Test, seed: int) -> dict[str, Any]:
    """Rows of one test and seed, PR-AUC of every candidate's weights, and seconds."""
    scored = Lines.of(test.lines, test.sessions)
    history = scored if test.history is None else Lines.of(test.history, test.history_sessions)
    measured = Measured(test, history, scored)
    started = time.perf_counter()
    detector = LogDetector(Config(seed=seed)).fit(history.texts, on_itself=test.history is None)
    fitted = time.perf_counter()
    found = detector.score(scored.texts)
    seconds = {"fit": fitted - started, "score": time.perf_counter() - fitted}
    by_session = test.sessions is not None
    learnt = found if history is scored else detector.score(history.texts)
    names = list(detector.scorers_)
    weights = detector.fusion_.weights

    def fused(given: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        fusion = detector.fusion_.with_weights(given)
        scores = [fusion.combine({name: table[name].to_numpy() for name in names}) for table in (found, learnt)]
        return scores[0], scores[1]

    def in_context(given: dict[str, float]) -> dict[str, float]:
        score, of_history = fused(given)
        if by_session:
            return measured.row(score, of_history)
        return measured.of_lines(scored.in_context(score, ordinary(of_history, history.texts["count"].to_numpy())))

    rows: Rows = {name: measured.row(found[f"raw_{name}"].to_numpy()) for name in names}
    others = [_of_other_design(seed, weights, history, scored, classic=classic) for classic in (True, False)]
    for name, (of_design, texts, of_history) in zip(DESIGNS, [(detector, found, learnt), *others], strict=True):
        score, threshold = texts["score"].to_numpy(), of_design.threshold_
        rows[name] = measured.row(score, of_history["score"].to_numpy() if by_session else None, threshold)
        rows[name + IN_CONTEXT] = rows[name]  # a session is the context of its lines
        if not by_session:
            raised_score = scored.in_context(score, of_design.fusion_.ordinary_)
            if history is not scored:
                threshold = scored.parted(threshold, raised_score)
            rows[name + IN_CONTEXT] = measured.of_lines(raised_score, threshold)
    rows["fused, no severity"] = measured.row(*fused(weights | {"severity": 0.0}))
    for name, score in baselines(history.texts, scored.texts, test.history is None).items():
        rows[name] = measured.row(score)
    rows["ceiling"] = measured.ceiling()
    given_weights = [weights, *candidates(names)[1:]]  # by default few texts leave the network no say
    tried = {
        "candidates": [measured.row(*fused(given))["pr_auc"] for given in given_weights],
        "candidates_in_context": [in_context(given)["pr_auc"] for given in given_weights],
    }
    return {"rows": rows, "seconds": seconds, "ranking_only": test.ranking_only} | tried | {
        "n_learnt": len(test.history or test.lines), "n_texts": len(history.texts), "n_scored": len(test.lines),
        "self": test.history is None, "prevalence": _prevalence(test),
    }  # fmt: skip


def _of_other_design(
    seed: int, weights: dict[str, float], history: Lines, scored: Lines, *, classic: bool
) -> tuple[LogDetector, pl.DataFrame, pl.DataFrame]:
    """The same weights without the scorers that need a network, or with a network that was never trained.

    Returns:
        The detector, and what it says of the texts to score and of those learnt.
    """
    config = Config(seed=seed)
    weighted = {name: weight for name, weight in weights.items() if weight and (name in CLASSIC or not classic)}
    config = dataclasses.replace(
        config,
        training=dataclasses.replace(config.training, max_steps=0),
        scoring=dataclasses.replace(config.scoring, weights=weighted),
    )
    detector = LogDetector(config).fit(history.texts, on_itself=history is scored)
    found = detector.score(scored.texts)
    by_session = scored.sessions is not None
    return detector, found, detector.score(history.texts) if by_session and history is not scored else found


def _prevalence(test: Test) -> float:
    if test.sessions is None:
        return float(np.mean(test.labels))
    return float(pl.DataFrame({"s": test.sessions, "l": test.labels}).group_by("s").max()["l"].mean())  # type: ignore[arg-type]


# ------------------------------------------------------------------ tables


def mean(runs: list[dict[str, Any]], row: str, key: str) -> float | None:
    values = [run["rows"][row][key] for run in runs if key in run["rows"].get(row, {})]
    return float(np.mean(values)) if values else None


def spread(runs: list[dict[str, Any]], row: str) -> float:
    """Of PR-AUC over seeds: the highest less the lowest."""
    return float(np.ptp([run["rows"][row]["pr_auc"] for run in runs]))


def cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def print_test(name: str, runs: list[dict[str, Any]]) -> None:
    first = runs[0]
    print(
        f"\n### {name}: {first['n_learnt']:,} lines learnt{' (the scored ones)' if first['self'] else ''}, "
        f"{first['n_texts']:,} texts; {first['n_scored']:,} scored, prevalence {first['prevalence']:.3f}, "
        f"{len(runs)} seed{'s' * (len(runs) > 1)}\n"
    )
    print(
        "| | ROC-AUC | PR-AUC | spread | PR-AUC, distinct texts | F1 at own threshold | best F1 (by labels) | "
        "false alarms, distinct texts |"
    )
    print("|---" * 8 + "|")
    for row in first["rows"]:
        keys = ("pr_auc_distinct", "f1", "best_f1", "false_alarms_distinct")
        print(
            f"| {row} | {cell(mean(runs, row, 'roc_auc'))} | {cell(mean(runs, row, 'pr_auc'))} | "
            f"{spread(runs, row):.3f} | " + " | ".join(cell(mean(runs, row, key)) for key in keys) + " |"
        )
    low, high = mean(runs, "fused", "low"), mean(runs, "fused", "high")
    interval = "" if low is None else f"; fused PR-AUC 95% {low:.3f} to {high:.3f} by resampling texts"
    seconds = [np.mean([run["seconds"][key] for run in runs]) for key in ("fit", "score")]
    print(f"\nfit {seconds[0]:.0f} s, score {seconds[1]:.1f} s{interval}")


def honest(
    everything: dict[str, list[dict[str, Any]]], families: dict[str, list[str]], key: str
) -> dict[str, tuple[float, int]]:
    """PR-AUC of each test under the candidate that was best on the other families, and which one.

    `key`: "candidates", or "candidates_in_context".
    """
    tried = {name: np.mean([run[key] for run in runs], axis=0) for name, runs in everything.items()}
    of_family = {family: np.mean([tried[name] for name in names], axis=0) for family, names in families.items()}
    found = {}
    for family, names in families.items():
        others = [values for other, values in of_family.items() if other != family]
        if others:
            best = int(np.argmax(np.mean(others, axis=0)))
            found |= {name: (float(tried[name][best]), best) for name in names}
    return found


def print_summary(everything: dict[str, list[dict[str, Any]]]) -> None:
    """A row a test, a column a method; macro is the mean over families of their tests' mean."""
    names = [name for name, runs in everything.items() if not runs[0]["ranking_only"]]
    families = {
        family: kept
        for family, tests in FAMILIES.items()
        if (kept := [test.__name__ for test in tests if test.__name__ in names])
    }
    names = [name for kept in families.values() for name in kept]
    rows = list(dict.fromkeys(row for name in names for row in everything[name][0]["rows"]))
    columns = {row: {name: mean(everything[name], row, "pr_auc") for name in names} for row in rows}
    single = [row for row in rows if not row.startswith("fused") and row != "ceiling"]
    columns["best single"] = {name: max(columns[row][name] or 0.0 for row in single) for name in names}
    chosen = {
        title: honest(everything, families, key)
        for title, key in (("fused, honest", "candidates"), (HONEST_IN_CONTEXT, "candidates_in_context"))
    }
    columns |= {
        title: {name: pr_auc for name, (pr_auc, _) in found.items()} for title, found in chosen.items() if found
    }
    columns[SPREAD] = {name: spread(everything[name], "fused" + IN_CONTEXT) for name in names}
    columns["prevalence"] = {name: everything[name][0]["prevalence"] for name in names}
    at_threshold = {
        f"{title}: {told}": {name: mean(everything[name], row, key) for name in names}
        for title, row in (("in context", "fused" + IN_CONTEXT), ("alone", "fused"))
        for key, told in AT_THRESHOLD.items()
    }

    def macro(values: dict[str, float | None]) -> float | None:
        parts = [[values[name] for name in kept] for kept in families.values()]
        if any(value is None for part in parts for value in part):
            return None
        return float(np.mean([np.mean(part) for part in parts]))  # type: ignore[arg-type]

    def table(title: str, columns: dict[str, dict[str, float | None]]) -> None:
        print(f"\n### {title}\n")
        print("| | " + " | ".join(columns) + " |")
        print("|---" * (1 + len(columns)) + "|")
        print("| **macro** | " + " | ".join(cell(macro(values)) for values in columns.values()) + " |")
        for name in names:
            print(f"| {name} | " + " | ".join(cell(values[name]) for values in columns.values()) + " |")

    table(
        "PR-AUC, the methods that matter (best single: chosen by labels)",
        {row: columns[row] for row in SHOWN if row in columns},
    )
    table("At the detector's own threshold (best F1: chosen by labels)", at_threshold)
    for title in ("in context", "alone"):
        own, best = (at_threshold[f"{title}: {told}"] for told in ("own F1", "best F1"))
        print(f"\nmedian of own to best F1, {title}: {np.median([own[name] / best[name] for name in names]):.2f}")
    table("PR-AUC, all", columns)
    for title, key in (("in context", "candidates_in_context"), ("alone", "candidates")):
        of_family = [
            np.mean([run[key] for name in kept for run in everything[name]], axis=0) for kept in families.values()
        ]
        best = np.mean([values.max() for values in of_family])
        print(f"\nmacro of the weights that were best for each family, by its own labels, {title}: {best:.3f}")
    given = candidates(list(Config().scoring.weights))
    for title, found in chosen.items():
        for family, kept in families.items():
            if kept[0] in found:
                weights = {name: float(weight) for name, weight in given[found[kept[0]][1]].items() if weight}
                print(f"\n{title}, {family}: weights chosen without it: {weights}")


def main() -> None:
    every = {test.__name__: test for tests in (*FAMILIES.values(), APART) for test in tests}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "logs")
    parser.add_argument("--tests", nargs="+", choices=list(every), default=list(every), metavar="TEST")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--kept", type=Path, help="folder of results, a file a test and seed")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"skipped: the labelled sets are not in {args.data}")
        return
    print(f"{platform.processor() or platform.machine()}, {platform.system()}, Python {platform.python_version()}")
    everything: dict[str, list[dict[str, Any]]] = {}
    for name in args.tests:
        runs = []
        for seed in args.seeds:
            kept = args.kept and args.kept / f"{name}.{seed}.json"
            if kept and kept.exists():
                runs.append(json.loads(kept.read_text()))
                continue
            runs.append(measure(every[name](args.data), seed))
            if kept:
                args.kept.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(runs[-1]))
        print_test(name, runs)
        everything[name] = runs
    print_summary({name: runs for name, runs in everything.items() if name not in {test.__name__ for test in APART}})


if __name__ == "__main__":
    main()

"""What it is worth to say how much of a history is abnormal: F1 at the threshold without labels, by stated share.

    python -m benchmarks.contamination [--data ../shared/data/logs] [--tests csic_contaminated ...] [--network]
        [--stated 0 0.01 0.03 0.05 0.1] [--seed 0]

Tests are those of benchmarks/families.py whose history holds anomalies ("_contaminated": at most 5% of its lines;
"_self": the scored log itself), and clean ones, for what a share stated in vain costs. Labels are read to measure only.
Ours: `--contamination` of the scorers that need no network (`--quick`), with `--network` of all. Peers get the same
number: their threshold is the quantile of the history's own scores that flags the stated share, as scikit-learn's
`contamination` does. Cells hold a value for each stated share, of lines in context but for "alone" and the peers, which
know none; best F1 (by labels) is that at no share.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.baselines import baselines
from benchmarks.families import FAMILIES, Test
from benchmarks.quality import ROOT, Lines, Measured
from core.config import Config, ScoringConfig
from core.detector import LogDetector
from core.scoring.fusion import upper_quantile
from core.workbench import quick

TESTS = (
    "csic_contaminated", "web_contaminated", "auth_contaminated", "hdfs_contaminated", "bgl_self", "web_self",
    "auth_self", "hdfs_self", "csic", "web_mix", "web_recorded", "auth", "hdfs",
)  # fmt: skip
PEERS = ("TF-IDF 1-NN, words and punctuation", "TF-IDF isolation forest")


@dataclasses.dataclass
class Curve:
    """A test's measures, one of each for each stated share; PR-AUC and best F1 are in context."""

    n_learnt: int
    alone_f1: list[float]
    in_context_f1: list[float]
    pr_auc: list[float]
    best_f1: float
    peers: dict[str, list[float]]


def curve(test: Test, stated: list[float], seed: int, *, network: bool) -> Curve:
    """Fit and measure a test for each stated share."""
    scored = Lines.of(test.lines, test.sessions)
    on_itself = test.history is None
    history = scored if on_itself else Lines.of(test.history or [], test.history_sessions)
    measured = Measured(test, history, scored)
    alone, company = [], []
    for share in stated:
        config = Config(seed=seed, scoring=ScoringConfig(contamination=share))
        detector = LogDetector(config if network else quick(config)).fit(history.texts, on_itself=on_itself)
        score = detector.score(scored.texts)["score"].to_numpy()
        if scored.sessions is not None and history.sessions is not None:
            learnt = detector.score(history.texts)
            detector.fit_sessions(history.sessions, learnt, on_itself=on_itself)
            alone.append(measured.of_sessions(*detector.score_sessions(scored.sessions, detector.score(scored.texts))))
            company.append(alone[-1])
            continue
        alone.append(measured.row(score, threshold=detector.threshold_))
        raised = scored.in_context(score, detector.fusion_.ordinary_)
        threshold = detector.threshold_ if on_itself else scored.parted(detector.threshold_, raised)
        if on_itself and share:
            threshold = upper_quantile(raised, np.ones(len(raised)), share)
        company.append(measured.of_lines(raised, threshold))
    return Curve(
        n_learnt=len(test.history or test.lines),
        alone_f1=[row["f1"] for row in alone],
        in_context_f1=[row["f1"] for row in company],
        pr_auc=[row["pr_auc"] for row in company],
        best_f1=company[0]["best_f1"],
        peers=peers(measured, stated, on_itself=on_itself),
    )


def peers(measured: Measured, stated: list[float], *, on_itself: bool) -> dict[str, list[float]]:
    """F1 of the peers by stated share; none of sessions, which they do not score."""
    history, scored = measured.history, measured.scored
    if scored.sessions is not None:
        return {}
    of_scored = baselines(history.texts, scored.texts, on_itself)
    of_history = of_scored if on_itself else baselines(history.texts, history.texts, True)
    lines = history.texts["count"].to_numpy()
    found = {}
    for name in PEERS:
        thresholds = [quantile(of_history[name], lines, share) for share in stated]
        found[name] = [measured.row(of_scored[name], threshold=threshold)["f1"] for threshold in thresholds]
    return found


def quantile(scores: np.ndarray, lines: np.ndarray, share: float) -> float:
    """The lowest score that at most a share of the lines are above."""
    ranked = pl.DataFrame({"score": scores, "lines": lines}).sort("score", descending=True)
    above = ranked["lines"].cum_sum().to_numpy() > share * lines.sum()
    return float(np.nextafter(ranked["score"].to_numpy()[above][0], np.inf))


def cells(values: list[float], decimals: int = 2) -> str:
    return " · ".join(f"{value:.{decimals}f}" for value in values)


def main() -> None:
    every = {test.__name__: test for tests in FAMILIES.values() for test in tests}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "logs")
    parser.add_argument("--tests", nargs="+", choices=list(every), default=list(TESTS), metavar="TEST")
    parser.add_argument("--stated", nargs="+", type=float, default=[0.0, 0.01, 0.03, 0.05, 0.1])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--network", action="store_true", help="all scorers; one to three minutes a share and test")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"skipped: the labelled sets are not in {args.data}")
        return
    shares = " · ".join(f"{share:.0%}" for share in args.stated)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, seed {args.seed}, "
        f"{'all scorers' if args.network else 'scorers without the network'}; stated: {shares}\n"
    )
    names = ("PR-AUC", "best F1", "F1", "F1, alone", *(f"F1, {name}" for name in PEERS))
    print(f"| | lines learnt | {' | '.join(names)} |")
    print("|---" * (2 + len(names)) + "|")
    for name in args.tests:
        found = curve(every[name](args.data), args.stated, args.seed, network=args.network)
        values = [
            cells(found.pr_auc, 3),
            f"{found.best_f1:.2f}",
            cells(found.in_context_f1),
            cells(found.alone_f1),
            *(cells(found.peers[peer]) if found.peers else "" for peer in PEERS),
        ]
        print(f"| {name} | {found.n_learnt:,} | {' | '.join(values)} |", flush=True)


if __name__ == "__main__":
    main()

"""False alarms said in advance, and those that came: everyday lines alone, no attack among them.

    python -m benchmarks.false_alarms [--data ../shared/data/logs] [--network] [--seed 0]

Each set of normal lines is parted twice: "later", the last 30% by their order, as logs come; and "drawn", 30% drawn at
random, where past and future are alike by construction. A detector learns the other 70%, and before it sees the rest
says how many of as many everyday lines, and of their messages, it will flag (scoring.everyday). Cells hold what was
said and what came: at the detector's own threshold (1% of lines), and at the one for 5%; "new" are messages that were
never learnt. In context, where lines name a source.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from itertools import compress
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.families import ROOT, read_sample, read_set
from core.config import Config, ReadConfig
from core.runner import Reading, SessionsSeen
from core.scoring.everyday import at_or_above, unforeseen
from core.scoring.fusion import upper_quantile
from core.tokenization.normalize import Normalizer
from core.workbench import quick
from core.workbench.fitting import fitted
from core.workbench.in_context import judged_in_context

SHARE_SCORED = 0.3
WIDE = 0.05  # the second threshold: of so many lines


def _normal(name: str) -> Callable[[Path], list[str]]:
    return lambda data: [row["line"] for row in read_set(data, name) if row["label"] == "0"]


SETS: dict[str, Callable[[Path], list[str]]] = {
    "bgl_2k": _normal("bgl_2k"),
    "csic2010_decoded": _normal("csic2010_decoded"),
    "ait_harrison_access_normal": lambda data: [row["line"] for row in read_set(data, "ait_harrison_access_normal")],
    "hdfs_blocks": _normal("hdfs_blocks"),
    "multilog_iotdb": _normal("multilog_iotdb"),
    "recorded web": lambda _data: read_sample("web_access", "train")[0],
    "recorded auth": lambda _data: read_sample("auth", "train")[0],
}


def read(lines: list[str]) -> Reading:
    """Lines as a model reads them, told apart by their source."""
    normalizer = Normalizer(ReadConfig(), by_source=True)
    seen = SessionsSeen()
    seen.add(normalizer.process(1, pl.Series(lines)))
    return Reading(
        normalizer.texts(), len(lines), format_counts=normalizer.format_counts, sessions=seen.sessions(),
        sessions_are_sources=True,
    )  # fmt: skip


def parted(lines: list[str], how: str, seed: int) -> tuple[list[str], ...]:
    """The lines to learn and those to score, each in their order."""
    scored = np.arange(len(lines)) >= (1 - SHARE_SCORED) * len(lines)
    if how == "drawn":
        np.random.default_rng(seed).shuffle(scored)
    return tuple(list(compress(lines, scored == part)) for part in (False, True))


def row(lines: list[str], how: str, seed: int, *, network: bool) -> list[str]:
    """The cells of a set parted one way."""
    learnt, scored = (read(part) for part in parted(lines, how, seed))
    config = Config(seed=seed)
    detector = fitted(learnt, config if network else quick(config), lambda *_: None, of_sources=True)
    assert detector.everyday_ is not None  # noqa: S101  fitted on a history
    everyday = detector.everyday_.expected(scored.format_counts, in_context=True)
    assert everyday is not None  # noqa: S101  the formats are the same
    texts = judged_in_context(detector, detector.score(scored.texts), scored.sessions, part=False)[0].texts
    scores, counts = texts["score"].to_numpy(), texts["count"].to_numpy()
    known = texts["normalized_text"].is_in(learnt.texts["normalized_text"].implode()).to_numpy()
    n_lines, n_messages = counts.sum(), len(texts)
    cells = [
        f"{learnt.n_lines:,}", f"{scored.n_lines:,}", f"{everyday['messages'].sum():,.0f} · {n_messages:,}",
        f"{everyday['new'].sum():,.0f} · {(~known).sum():,}",
    ]  # fmt: skip
    wide = upper_quantile(everyday["score"].to_numpy(), everyday["lines"].to_numpy(), WIDE)
    for threshold in (detector.threshold_, wide):
        said, flagged = at_or_above(everyday, threshold), scores >= threshold
        cells.append(f"{said['lines'] / everyday['lines'].sum():.2%} · {counts[flagged].sum() / n_lines:.2%}")
        cells.append(f"{said['messages'] / everyday['messages'].sum():.1%} · {flagged.sum() / n_messages:.1%}")
    changed = unforeseen(everyday, scores[~known], detector.threshold_)
    return [*cells, "" if changed is None else "yes"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "logs")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS), metavar="SET")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--network", action="store_true", help="all scorers; minutes a set")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"skipped: the labelled sets are not in {args.data}")
        return
    print(
        f"{platform.machine()}, Python {platform.python_version()}, seed {args.seed}, "
        f"{'all scorers' if args.network else 'scorers without the network'}; said · came\n"
    )
    head = (
        "learnt", "scored", "messages", "new messages", "lines flagged", "messages flagged", "lines flagged at 5%",
        "messages flagged at 5%", "says it has changed",
    )  # fmt: skip
    print(f"| | | {' | '.join(head)} |")
    print("|---" * (2 + len(head)) + "|")
    for name in args.sets:
        lines = SETS[name](args.data)
        for how in ("drawn", "later"):
            print(f"| {name} | {how} | {' | '.join(row(lines, how, args.seed, network=args.network))} |", flush=True)


if __name__ == "__main__":
    main()

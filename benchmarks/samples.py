"""Detection on our own recordings: the shipped bundle, every scorer of it, and plain baselines in one table a service.

    python -m benchmarks.samples [--model base] [--split test] [--seeds 1 2 ...]

The bundle has learnt `train.txt` of both services; nothing is fitted, weighted or thresholded on the split that is
measured (docs/decisions.md names one peek at it). The baselines learn the same lines. Further seeds train the bundle's
settings anew and give the spread.
Intervals are 95%, by a bootstrap over distinct texts. "Apart": without attack lines whose text is a normal line's.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.quality import CLASSIC, baselines
from core import workbench
from core.detector import LogDetector
from core.evaluate import Labelled, bootstrap_intervals, curve, kinds, oddities, threshold_metrics
from core.tokenization.normalize import Normalizer

SAMPLES = Path(__file__).resolve().parents[1] / "sample_logs"
SERVICES = ("web_access", "auth")


def texts_of(*paths: Path) -> tuple[pl.DataFrame, np.ndarray]:
    """Distinct texts of files, and the text of each line."""
    normalizer = Normalizer()
    ids = [normalizer.process(1, pl.Series(path.read_text().splitlines()))["text_id"].to_numpy() for path in paths]
    return normalizer.texts(), np.concatenate(ids)


def labelled(service: str, split: str, texts_of_lines: np.ndarray) -> Labelled:
    """Rows without scores: a distinct text, label and kind each."""
    labels = pl.read_csv(SAMPLES / service / f"{split}.labels.csv").with_columns(pl.col("kind").fill_null(""))
    rows = (
        labels.with_columns(pl.Series("text_id", texts_of_lines.astype(np.int64)))
        .group_by("text_id", "label", "kind", maintain_order=True)
        .agg(pl.len().alias("lines"))
    )
    return Labelled(
        rows["text_id"].to_numpy(), rows["label"].to_numpy(), rows["kind"].to_numpy().astype(str),
        rows["lines"].to_numpy().astype(float), np.zeros(len(rows)), {},
    )  # fmt: skip


def all_scores(detector: LogDetector, history: pl.DataFrame, texts: pl.DataFrame) -> dict[str, np.ndarray]:
    """Row name to its score [N] of each text."""
    scored = detector.score(texts)
    calibrated = {name: scored[name].to_numpy() for name in detector.scorers_}
    weights = detector.fusion_.weights

    def fused(names: set[str]) -> np.ndarray:
        kept = {name: weight * (name in names) for name, weight in weights.items()}
        return detector.fusion_.with_weights(kept).combine(calibrated)

    return {
        **{name: scored[f"raw_{name}"].to_numpy() for name in detector.scorers_},
        "fused": scored["score"].to_numpy(),
        "fused, no severity": fused(set(weights) - {"severity"}),
        "fused, classic only": fused(set(CLASSIC)),
        **baselines(history, texts, self_fit=False),
    }


def pr_auc(rows: Labelled) -> float:
    return curve(rows.labels, rows.fused, rows.lines).pr_auc


def interval(rows: Labelled, measure: str) -> str:
    found = bootstrap_intervals(rows.labels, rows.fused, rows.lines, rows.text_ids, threshold=0.5)
    return "" if found is None else " ({:.3f} to {:.3f})".format(*found[measure])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base")
    parser.add_argument("--split", default="test", choices=["val", "test"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[])
    args = parser.parse_args()
    detector = workbench.load_model(args.model)
    history, _ = texts_of(*(SAMPLES / service / "train.txt" for service in SERVICES))
    others = [LogDetector(dataclasses.replace(detector.config, seed=seed)).fit(history) for seed in args.seeds]
    print(
        f"{args.model}: {history['count'].sum():,} lines learnt, {len(history):,} distinct texts, seed "
        f"{detector.config.seed}; {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    )
    for service in SERVICES:
        texts, of_line = texts_of(SAMPLES / service / f"{args.split}.txt")
        rows = labelled(service, args.split, of_line)
        learnt = texts["normalized_text"].is_in(history["normalized_text"].implode()).to_numpy()
        same = rows.same_text_as_normal() | ((rows.labels == 1) & learnt[rows.text_ids])
        print(
            f"\n### {service}, {args.split}: {len(of_line):,} lines, {len(texts):,} distinct texts, prevalence "
            f"{rows.prevalence:.3f}; {int(rows.lines[same].sum())} of {int(rows.lines[rows.labels == 1].sum())} "
            "attack lines have a normal line's text\n"
        )
        print("| | ROC-AUC | PR-AUC (95%) | apart: ROC-AUC | apart: PR-AUC (95%) | apart, distinct texts: PR-AUC |")
        print("|---|---|---|---|---|---|")
        scores = all_scores(detector, history, texts)
        for name, values in scores.items():
            row = dataclasses.replace(rows, fused=values[rows.text_ids])
            apart = row.take(~same)
            auc, auc_apart = (curve(part.labels, part.fused, part.lines).roc_auc for part in (row, apart))
            bold = "**" if name == "fused" else ""
            print(
                f"| {bold}{name}{bold} | {auc:.3f} | {bold}{pr_auc(row):.3f}{bold}{interval(row, 'pr_auc')} "
                f"| {auc_apart:.3f} | {bold}{pr_auc(apart):.3f}{bold}{interval(apart, 'pr_auc')} "
                f"| {pr_auc(apart.once()):.3f} |"
            )
        row = dataclasses.replace(rows, fused=scores["fused"][rows.text_ids])
        for title, part in (("all lines", row), ("apart", row.take(~same))):
            found = threshold_metrics(part.labels, part.fused, part.lines, detector.threshold_)
            best = curve(part.labels, part.fused, part.lines).best_f1
            print(
                f"\nfused at its own threshold {detector.threshold_:.4f}, {title}: F1 {found['f1']:.3f} "
                f"(best by labels {best:.3f}), precision {found['precision']:.3f}, recall {found['recall']:.3f}, "
                f"false alarms {found['false_alarm_rate']:.2%} of normal lines"
            )
        decided = (row.kinds, row.labels, row.fused, row.lines, detector.threshold_)
        odd = oddities(*decided)
        print(f"\nbenign oddities: {odd['n_flagged']:.0f} of {odd['n']:.0f} lines flagged ({odd['flagged_share']:.1%})")
        print(
            "\nflagged by kind: "
            + ", ".join(f"{kind['kind']} {kind['n_flagged']:.0f}/{kind['n']:.0f}" for kind in kinds(*decided))
        )
        for seed, other in zip(args.seeds, others, strict=True):
            fused = other.score(texts)["score"].to_numpy()[rows.text_ids]
            again = dataclasses.replace(rows, fused=fused)
            print(f"seed {seed}: fused PR-AUC {pr_auc(again):.3f}, apart {pr_auc(again.take(~same)):.3f}")


if __name__ == "__main__":
    main()

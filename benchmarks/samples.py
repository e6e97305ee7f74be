"""Detection on our own recordings: the shipped bundle, every scorer of it, and plain baselines in one table a service.

    python -m benchmarks.samples [--model base] [--split test] [--seeds 1 2 ...]

The bundle has learnt `train.txt` of both services; nothing is fitted, weighted or thresholded on the split that is
measured (docs/decisions.md names one peek at it). The baselines learn the same lines. Further seeds train the bundle's
settings anew and give the spread.
Intervals are 95%, by a bootstrap over distinct texts. "Apart": without attack lines whose text is a normal line's.
"In context": lines raised by the other lines of their source; a distinct text then is a text in one context.
Where the processor has bfloat16 units, the same texts are scored in float32 too, as another processor would.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
from pathlib import Path

import numpy as np
import polars as pl
import torch

from benchmarks.baselines import baselines
from benchmarks.quality import CLASSIC
from core import workbench
from core.config import ReadConfig
from core.detector import LogDetector
from core.evaluate import Labelled, bootstrap_intervals, curve, kinds, oddities, threshold_metrics
from core.networks.encoder import Encoder
from core.scoring.bursts import Bursts
from core.scoring.context import CONTEXT, in_context, parted, raised
from core.tokenization.normalize import Normalizer
from core.tokenization.sources import SOURCE

SAMPLES = Path(__file__).resolve().parents[1] / "sample_logs"
SERVICES = ("web_access", "auth")


def texts_of(*paths: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Distinct texts of files; session (by source), timestamp_utc and text_id of each line."""
    normalizer = Normalizer(ReadConfig(sessions=SOURCE))
    tables = [normalizer.process(1, pl.Series(path.read_text().splitlines())) for path in paths]
    return normalizer.texts(), pl.concat(tables).select("session", "timestamp_utc", "text_id")


def labelled(service: str, split: str, lines: pl.DataFrame) -> Labelled:
    """Rows without scores: a distinct text_id, label and kind each."""
    labels = pl.read_csv(SAMPLES / service / f"{split}.labels.csv").with_columns(pl.col("kind").fill_null(""))
    rows = (
        labels.with_columns(lines["text_id"].cast(pl.Int64))
        .group_by("text_id", "label", "kind", maintain_order=True)
        .agg(pl.len().alias("lines"))
    )
    return Labelled(
        rows["text_id"].to_numpy(), rows["label"].to_numpy(), rows["kind"].to_numpy().astype(str),
        rows["lines"].to_numpy().astype(float), np.zeros(len(rows)), {},
    )  # fmt: skip


def all_scores(detector: LogDetector, history: pl.DataFrame, scored: pl.DataFrame) -> dict[str, np.ndarray]:
    """Row name to its score [N] of each text, from what the detector said of them."""
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
        **baselines(history, scored, self_fit=False),
    }


def pr_auc(rows: Labelled) -> float:
    return curve(rows.labels, rows.fused, rows.lines).pr_auc


def interval(rows: Labelled, measure: str) -> str:
    found = bootstrap_intervals(rows.labels, rows.fused, rows.lines, rows.text_ids, threshold=0.5)
    return "" if found is None else " ({:.3f} to {:.3f})".format(*found[measure])


def in_context_of(
    scored: pl.DataFrame, lines: pl.DataFrame, ordinary: float
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Lines with the row of their text in its context, and of each row its score in context and its text."""
    counts = lines.drop_nulls("session").group_by("session", "text_id").agg(pl.len().cast(pl.Int64).alias("count"))
    bursts = Bursts()
    bursts.add(lines)
    found = in_context(scored, bursts.of(counts), ordinary)
    rows = found.renumbered(lines)
    pairs = pl.DataFrame({"row": rows["text_id"], "text": lines["text_id"]}).unique().sort("row")
    score = raised(found.texts["score"].to_numpy(), found.texts[CONTEXT].to_numpy())
    return rows, score, pairs["text"].to_numpy()


def measured(name: str, row: Labelled, same: np.ndarray) -> str:
    """One row of the table; `same` are attack rows whose text is a normal line's."""
    apart = row.take(~same)
    auc, auc_apart = (curve(part.labels, part.fused, part.lines).roc_auc for part in (row, apart))
    bold = "**" if name == "fused" else ""
    return (
        f"| {bold}{name}{bold} | {auc:.3f} | {bold}{pr_auc(row):.3f}{bold}{interval(row, 'pr_auc')} "
        f"| {auc_apart:.3f} | {bold}{pr_auc(apart):.3f}{bold}{interval(apart, 'pr_auc')} "
        f"| {pr_auc(apart.once()):.3f} |"
    )


def print_decided(name: str, row: Labelled, same: np.ndarray, threshold: float) -> None:
    """What is flagged at the bundle's own threshold; in context, at the one of such runs."""
    for title, part in (("all lines", row), ("apart", row.take(~same))):
        found = threshold_metrics(part.labels, part.fused, part.lines, threshold)
        best = curve(part.labels, part.fused, part.lines).best_f1
        print(
            f"\n{name} at its own threshold {threshold:.4f}, {title}: F1 {found['f1']:.3f} "
            f"(best by labels {best:.3f}), precision {found['precision']:.3f}, recall {found['recall']:.3f}, "
            f"false alarms {found['false_alarm_rate']:.2%} of normal lines"
        )
    decided = (row.kinds, row.labels, row.fused, row.lines, threshold)
    odd = oddities(*decided)
    print(f"\n{name}: benign oddities: {odd['n_flagged']:.0f} of {odd['n']:.0f} flagged ({odd['flagged_share']:.1%})")
    flagged = ", ".join(f"{kind['kind']} {kind['n_flagged']:.0f}/{kind['n']:.0f}" for kind in kinds(*decided))
    print(f"\n{name}: flagged by kind: {flagged}")


def print_precision(detector: LogDetector, in_float32: LogDetector, texts: pl.DataFrame, scored: pl.DataFrame) -> None:
    """How far scores are from those of a processor without bfloat16 units."""
    other = in_float32.score(texts)
    apart = np.abs(scored["score"].to_numpy() - other["score"].to_numpy())
    print(
        f"\nfloat32 in place of {detector.encoder_.precision}: fused scores differ by at most {apart.max():.4f}, on "  # type: ignore[union-attr]
        f"average {apart.mean():.5f}; {int((scored['is_anomaly'] != other['is_anomaly']).sum())} of {len(texts):,} "
        "distinct texts are decided otherwise"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base")
    parser.add_argument("--split", default="test", choices=["val", "test"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[])
    args = parser.parse_args()
    detector = workbench.load_model(args.model)
    history, _ = texts_of(*(SAMPLES / service / "train.txt" for service in SERVICES))
    in_float32 = workbench.load_model(args.model)
    in_float32.encoder_ = None if detector.encoder_ is None else Encoder(detector.encoder_.network, torch.float32)
    others = [LogDetector(dataclasses.replace(detector.config, seed=seed)).fit(history) for seed in args.seeds]
    print(
        f"{args.model}: {history['count'].sum():,} lines learnt, {len(history):,} distinct texts, seed "
        f"{detector.config.seed}; {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    )
    for service in SERVICES:
        texts, lines = texts_of(SAMPLES / service / f"{args.split}.txt")
        rows = labelled(service, args.split, lines)
        learnt = texts["normalized_text"].is_in(history["normalized_text"].implode()).to_numpy()
        same = rows.same_text_as_normal() | ((rows.labels == 1) & learnt[rows.text_ids])
        texts_of_attacks = np.unique(rows.text_ids[same])
        print(
            f"\n### {service}, {args.split}: {len(lines):,} lines, {len(texts):,} distinct texts, prevalence "
            f"{rows.prevalence:.3f}; {int(rows.lines[same].sum())} of {int(rows.lines[rows.labels == 1].sum())} "
            "attack lines have a normal line's text\n"
        )
        print("| | ROC-AUC | PR-AUC (95%) | apart: ROC-AUC | apart: PR-AUC (95%) | apart, distinct texts: PR-AUC |")
        print("|---|---|---|---|---|---|")
        scored = detector.score(texts)
        scores = all_scores(detector, history, scored)
        for name, values in scores.items():
            print(measured(name, dataclasses.replace(rows, fused=values[rows.text_ids]), same))
        of_context, score, text = in_context_of(scored, lines, detector.fusion_.ordinary_)
        context_rows = labelled(service, args.split, of_context)
        context_rows = dataclasses.replace(context_rows, fused=score[context_rows.text_ids])
        same_in_context = (context_rows.labels == 1) & np.isin(text[context_rows.text_ids], texts_of_attacks)
        print(measured("fused, in context", context_rows, same_in_context))
        row = dataclasses.replace(rows, fused=scores["fused"][rows.text_ids])
        print_decided("fused", row, same, detector.threshold_)
        lines_of = of_context["text_id"].drop_nulls().value_counts().sort("text_id")["count"].to_numpy()
        threshold = parted(detector.threshold_, score, lines_of)
        print_decided("fused, in context", context_rows, same_in_context, threshold)
        if detector.encoder_ is not None and detector.encoder_.precision != "float32":
            print_precision(detector, in_float32, texts, scored)
        for seed, other in zip(args.seeds, others, strict=True):
            fused = other.score(texts)["score"].to_numpy()[rows.text_ids]
            again = dataclasses.replace(rows, fused=fused)
            print(f"seed {seed}: fused PR-AUC {pr_auc(again):.3f}, apart {pr_auc(again.take(~same)):.3f}")


if __name__ == "__main__":
    main()

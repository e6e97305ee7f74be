"""How NetGPT ranks flows without labels, and how fast: the shipped bundle on our own captures, sample_logs/traffic.

    python -m benchmarks.flows [--split test] [--packets 50000] [--threads 2]

ROC-AUC and PR-AUC by flow of each scorer, and of the fused score of a flow judged alone and in the context of its
source; what the model's own threshold flags, of each kind too. Choices were made on val. Speed is of `score_flows` on
val and test, as often as it takes to read so many packets; the start of Python is left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from core import workbench
from core.evaluate import kinds, ranking_metrics, threshold_metrics
from core.ingest.flow_labels import FlowLabels
from core.ingest.flows import read_flows

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "sample_logs" / "traffic"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=["val", "test"], default="val")
    parser.add_argument("--model", default=str(ROOT / "models" / "netgpt"))
    parser.add_argument("--packets", type=int, default=50_000, help="0 leaves the speed out")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print_ranking(options.model, options.split)
    if options.packets:
        print_speed(options.model, options.packets, options.threads)


def print_ranking(model: str, split: str) -> None:
    detector = workbench.load_flow_model(model)
    flows = list(read_flows([SAMPLES / f"{split}.pcap.gz"]))
    named = [str(kind) for kind in FlowLabels(SAMPLES / f"{split}.flows.csv", "kind").of(flows)]
    names = np.array(["" if kind == "normal" else kind for kind in named])
    labels = np.array([int(bool(name) and not name.startswith("oddity:")) for name in names], np.int8)
    lines = np.ones(len(flows))
    judged = detector.judge(flows, context=True).scores
    beside = judged["score"].to_numpy()
    alone = detector.fusion_.combine({name: judged[name].to_numpy() for name in detector.scorers_})
    print(f"{split}: {len(flows):,} flows, {labels.mean():.1%} of them attacks\n")
    print("| score of a flow | ROC-AUC | PR-AUC |\n|---|---|---|")
    scores = {f"`{name}` alone": judged[f"raw_{name}"].to_numpy() for name in detector.scorers_}
    for title, score in (scores | {"**fused**": alone, "**fused, in context**": beside}).items():
        found = ranking_metrics(labels, score, lines)
        print(f"| {title} | {found['roc_auc']:.3f} | {found['pr_auc']:.3f} |")
    print("\n| at the model's own threshold | precision | recall | flagged benign |\n|---|---|---|---|")
    for title, score in (("alone", alone), ("in context", beside)):
        found = threshold_metrics(labels, score, lines, detector.threshold_)
        false = float((score[labels == 0] >= detector.threshold_).mean())
        print(f"| {title} | {found['precision']:.3f} | {found['recall']:.3f} | {false:.1%} |")
    where = (labels, beside, lines, detector.threshold_)
    print("\n| kind | flows | flagged in context |\n|---|---|---|")
    for kind in kinds(names, *where):
        print(f"| {kind['kind']} | {kind['n']:.0f} | {kind['flagged_share']:.0%} |")


def print_speed(model: str, packets: int, threads: int) -> None:
    captures: list[Path] = []
    with tempfile.TemporaryDirectory() as folder:
        n_packets = 0
        while n_packets < packets:
            captures += [SAMPLES / f"{split}.pcap.gz" for split in ("val", "test")]
            n_packets = workbench.flows(captures).n_packets
        wall, processor = time.monotonic(), time.process_time()
        info = workbench.score_flows(captures, model, Path(folder) / "flows.csv")
        wall, processor = time.monotonic() - wall, time.process_time() - processor
    print(
        f"\nscore: {info.n_packets:,} packets, {info.n_flows:,} flows in {wall:.1f} s on {threads} threads, "
        f"{processor:.1f} CPU-s: {50_000 / info.n_packets * wall:.1f} s for 50,000 packets"
    )


if __name__ == "__main__":
    main()

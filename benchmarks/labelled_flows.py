"""The shared captures as labelled flows: read once, kept in a temporary folder, and split by group.

A flow is the first of its five-tuple in a capture: labels are given by five-tuple.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from core.config import FlowConfig
from core.ingest.flows import flow_statistics, read_flows
from core.records import Flow, Packet

KEPT = Path(tempfile.gettempdir()) / "tinylogbert-labelled-flows.parquet"
N_FOLDS = 3
READ = FlowConfig(keep_packets=8, packet_bytes=256)
SETS = "iot_sentinel", "proto_mix", "attack_licensed"
LEAST_GROUPS = 3  # of a class, in two folds or more: else it would be asked where it was never seen
LEAST_FLOWS = 10  # of a class: fewer say nothing, and macro-F1 counts them as much as thousands


@dataclasses.dataclass(frozen=True)
class TaskSet:
    """One task: which flows and what is asked.

    Attributes:
        name: of the task.
        rows: [N] numbers of its flows in the table.
        labels: [N] the right answers.
        background: [N] true for the benign flows of captures that show an attack: too few to learn from, and the test
            whether a model has learnt the attack or the capture.
    """

    name: str
    rows: np.ndarray
    labels: np.ndarray
    background: np.ndarray


def labelled_flows(data: Path, kept: Path = KEPT) -> tuple[pl.DataFrame, list[Flow]]:
    """Every labelled flow that was found in its capture: a row each, with its labels, group, source and statistics."""
    if not kept.exists():
        part = kept.with_suffix(".tmp")
        _read(data).write_parquet(part)
        part.replace(kept)
    table = pl.read_parquet(kept)
    return table.drop("packets"), [_flow(row) for row in table.iter_rows(named=True)]


def tasks(table: pl.DataFrame, fold: np.ndarray, flows_per_class: int | None, seed: int = 0) -> dict[str, TaskSet]:
    """The five tasks, each with at most so many flows a class, spread over the class's groups."""
    rows = table.with_row_index("row").with_columns(fold=fold)
    devices = rows.filter(pl.col("label_device") != "").with_columns(answer="label_device")
    mixed = rows.filter(pl.col("set") == "proto_mix")
    protocols = mixed.filter(pl.col("label_proto") != "").with_columns(answer="label_proto")
    brands = mixed.filter(pl.col("label_brand") != "").with_columns(answer="label_brand")
    judged = rows.filter(pl.col("label_attack").is_in(["0", "1"]))
    attacks = judged.with_columns(
        answer=pl.when(pl.col("label_attack") == "1").then(pl.lit("attack")).otherwise(pl.lit("benign"))
    )
    classes = rows.filter((pl.col("label_attack") == "1") & (pl.col("attack_class") != "")).with_columns(
        answer="attack_class"
    )
    found = {"device": devices, "protocol": protocols, "brand": brands, "attack": attacks, "class": classes}
    return {name: _capped(name, part, flows_per_class, seed) for name, part in found.items()}


def folds(table: pl.DataFrame, seed: int = 0) -> np.ndarray:
    """[N] the fold of each flow, 0 to N_FOLDS - 1; a group lies in one, in whatever set its captures are.

    The groups of a kind (a set's most frequent label in the group) are dealt out in turn, large ones first, so that
    every fold holds about as much of each class.
    """
    kind = pl.coalesce(
        *(pl.when(pl.col(name) != "").then(pl.col(name)) for name in ("label_device", "attack_class", "label_proto")),
        pl.lit(""),
    )
    groups = (
        table.group_by("group")
        .agg(kind.mode().sort().first().alias("kind"), pl.len())
        .sort("kind", "len", "group", descending=[False, True, False])
    )
    draw = np.random.default_rng(seed)
    dealt = []
    for part in groups.partition_by("kind", maintain_order=True):
        turns = np.concatenate([draw.permutation(N_FOLDS) for _ in range(-(-len(part) // N_FOLDS))])[: len(part)]
        dealt.append(part.select("group", pl.Series("fold", turns)))
    return table.join(pl.concat(dealt), on="group", how="left", maintain_order="left")["fold"].to_numpy()


def _capped(name: str, part: pl.DataFrame, flows_per_class: int | None, seed: int) -> TaskSet:
    counted = part.group_by("answer").agg(pl.col("group", "fold").n_unique(), flows=pl.len())
    classes = counted.filter(
        (pl.col("group") >= LEAST_GROUPS) & (pl.col("fold") > 1) & (pl.col("flows") >= LEAST_FLOWS)
    )
    part = part.filter(pl.col("answer").is_in(classes["answer"].to_list()))
    background = pl.col("attack_class") == "benign_background"
    if flows_per_class is not None:
        order = pl.int_range(pl.len()).shuffle(seed)  # of the flows of a group, and of the groups of a turn
        kind = ["answer", background.alias("apart")]
        part = (
            part.with_columns(turn=order.over("answer", "group"), drawn=order)
            .sort("turn", "drawn")
            .filter(pl.int_range(pl.len()).over(kind) < flows_per_class)
            .sort("row")
        )
    return TaskSet(
        name, part["row"].to_numpy(), part["answer"].to_numpy(), part.select(background).to_series().to_numpy()
    )


def _read(data: Path) -> pl.DataFrame:
    columns = (
        "file",
        "flow",
        "label_proto",
        "label_brand",
        "label_device",
        "label_attack",
        "attack_class",
        "group",
        "source",
    )
    found: list[dict[str, object]] = []
    for name in SETS:
        listed = pl.read_csv(data / name / "flows.csv.gz", infer_schema_length=0).select(columns).fill_null("")
        labels = {(row["file"], row["flow"]): row for row in listed.iter_rows(named=True)}
        seen: set[tuple[str, str]] = set()
        for file in listed["file"].unique(maintain_order=True):
            for flow in read_flows([data / name / file], READ):
                of = next((key for key in _names(file, flow) if key in labels), None)
                if of is not None and of not in seen:
                    seen.add(of)
                    found.append({"set": name, **labels[of], **_row(flow)})
        print(f"{name}: {len(seen)} of {len(labels)} labelled flows found")
    return pl.DataFrame(found, infer_schema_length=None)


def _names(file: str, flow: Flow) -> list[tuple[str, str]]:
    protocol, a, a_port, b, b_port = flow.key
    return [(file, f"{a}:{a_port}-{b}:{b_port}/{protocol}"), (file, f"{b}:{b_port}-{a}:{a_port}/{protocol}")]


def _row(flow: Flow) -> dict[str, object]:
    packets = [dataclasses.asdict(packet) for packet in flow.packets]
    return {
        "key": [str(part) for part in flow.key],
        "first_utc": flow.first_utc,
        "statistics": [float(value) for value in flow_statistics(flow).values()],
        "packets": packets,
    }


def _flow(row: dict) -> Flow:
    packets = tuple(Packet(**packet) for packet in row["packets"])
    protocol, a, a_port, b, b_port = row["key"]
    sent = sum(packet.forward for packet in packets)
    return Flow(
        key=(int(protocol), a, int(a_port), b, int(b_port)),
        capture=row["file"],
        first_utc=row["first_utc"],
        last_utc=packets[-1].time,
        n_packets=len(packets),
        n_bytes=sum(packet.length for packet in packets),
        forward_packets=sent,
        forward_bytes=sum(packet.length for packet in packets if packet.forward),
        packets=packets,
    )

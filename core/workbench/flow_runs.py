"""Scored captures that are kept: made in a job, looked at on the Traffic page, exported."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from core.config import FlowConfig, TrafficConfig
from core.errors import WorkbenchError
from core.flow_detector import FlowDetector, JudgedFlows
from core.ingest.flows import read_flows
from core.ingest.pcap import CaptureCounts
from core.records import Flow, Progress, no_progress
from core.store import new_run_id
from core.store.flow_runs import PACKETS_SCHEMA, FlowRunInfo, FlowRunReader, FlowRunWriter
from core.store.flow_verdicts import FlowVerdicts
from core.store.run_info import store_errors
from core.tokenization.field_names import NamedField, named_fields
from core.tokenization.hex_text import FIRST_BYTE, FIRST_PAIR
from core.workbench.captures import judged_rows, load_flow_model
from core.workbench.reports import exports_folder, remove_old_exports
from core.workbench.runs import EXPORT_SUFFIXES, inbox
from core.workbench.traffic import flow_parts

CAPTURE_SUFFIXES = (".pcap", ".pcapng", ".cap")
KEPT_FLOWS = 50_000
"""Flows whose packets are kept; beyond, only those of flagged ones."""
_YEAR_10000 = 253_402_300_800  # seconds; a damaged capture may name times that no calendar has
_SAMPLES = Path(__file__).resolve().parents[2] / "sample_logs"


@dataclass(frozen=True)
class PacketView:
    """One packet of a stored flow as a page shows it.

    Attributes:
        number: in its flow, from 1.
        forward: sent by the flow's source.
        seconds: since the flow's first packet.
        length: bytes on the wire.
        data: from the IP header on, as much as was kept.
        hidden: of each byte 1 where the model does not see it.
        surprise: of each byte in nats; NaN where none is known.
        fields: of its headers.
    """

    number: int
    forward: bool
    seconds: float
    length: int
    data: bytes
    hidden: bytes
    surprise: list[float]
    fields: list[NamedField]


def capture_files() -> tuple[list[Path], list[Path]]:
    """Captures that were uploaded, newest first, and those that ship with the workbench."""
    uploaded = [path for path in inbox().iterdir() if path.is_file() and is_capture(path)]
    shipped = [path for path in _SAMPLES.glob("*/*.pcap*") if path.is_file()]
    return sorted(uploaded, key=lambda path: path.stat().st_mtime, reverse=True), sorted(shipped, key=_shown_first)


def is_capture(path: Path) -> bool:
    """Whether a file's name says that it is a capture, compressed or not."""
    return any(suffix in CAPTURE_SUFFIXES for suffix in path.suffixes[-2:])


def _shown_first(path: Path) -> tuple[bool, str, bool, str]:
    return path.parent.name != "traffic", path.parent.name, path.name == "train.pcap.gz", path.name


def score_capture(
    captures: Sequence[str | Path],
    model: str | None = None,
    run_id: str | None = None,
    config: TrafficConfig | None = None,
    progress: Progress = no_progress,
) -> FlowRunInfo:
    """Score the flows of captures without labels, in the context of their sources, and keep the result.

    Memory: with a model 10,000 flows at a time; without one, all flows of the captures.

    Args:
        captures: pcap or pcapng, plain or compressed.
        model: a bundle's name or folder; None learns from the captures themselves, their attacks still inside.
        run_id: a name for the run; None makes one.
        config: settings of a fit on the captures themselves.
        progress: told bytes read and flows done; may raise JobCancelled.

    Raises:
        WorkbenchError: input, bundle or store cannot be used, or the captures hold no flow.
    """
    progress("opening the model", 0, 1)
    started = time.monotonic()
    counts, n_flows = CaptureCounts(), 0
    flows = read_flows(captures, FlowConfig(), progress, counts)
    detector: FlowDetector | None = None if model is None else load_flow_model(model)
    if detector is None:
        found = list(flows)
        detector, flows = FlowDetector(config).fit(found, progress, on_itself=True), iter(found)
    with FlowRunWriter(run_id or new_run_id()) as writer:
        for part in flow_parts(flows):
            judged = detector.judge(part, progress, context=True)
            flagged = judged.scores["is_anomaly"].to_numpy() > 0
            kept = np.flatnonzero(flagged | (np.arange(len(part)) < KEPT_FLOWS - n_flows))
            progress("storing the flows", 0, 1)
            writer.add(judged_rows(detector, part, judged, progress), _packets(detector, part, judged, kept.tolist()))
            n_flows += len(part)
        if not n_flows:
            raise WorkbenchError(
                f"{captures[0]}: holds no flow of TCP, UDP or ICMP among its {counts.packets:,} packets; "
                "choose another capture"
            )
        return writer.finish(
            {
                "name": _title(captures),
                "captures": [str(Path(path).absolute()) for path in captures],
                "model": model,
                "n_packets": counts.packets,
                "threshold": detector.threshold_,
                "scorers": list(detector.scorers_),
                "weights": dict(detector.fusion_.weights),
                "tasks": [task.name for task in detector.tasks_.tasks if task.labels],
                "masked": detector.config.masked,
                "left_out": dict(counts.reasons.most_common()),
                "first_left_out": [(left.source, left.position, left.reason) for left in counts.first],
                "seconds": round(time.monotonic() - started, 2),
            }
        )


def _title(captures: Sequence[str | Path]) -> str:
    path = Path(captures[0]).absolute()
    first = f"{path.parent.name}/{path.name}" if _SAMPLES in path.parents else path.name  # each has a test.pcap.gz
    return first if len(captures) == 1 else f"{first} and {len(captures) - 1} more"


def packets_of(reader: FlowRunReader, flow_no: int) -> list[PacketView]:
    """The first packets of a stored flow; none where they were not kept."""
    rows = reader.packets(flow_no)
    first = rows["time_utc"].min()
    return [
        PacketView(
            number=row["packet_no"],
            forward=row["forward"],
            seconds=(row["time_utc"] - first).total_seconds() if row["time_utc"] and first else 0.0,
            length=row["length"],
            data=row["data"],
            hidden=row["hidden"],
            surprise=row["surprise"],
            fields=named_fields(row["data"], reader.info.masked),
        )
        for row in rows.iter_rows(named=True)
    ]


def export_flows(run_id: str, suffix: str, flagged_only: bool = False) -> Path:
    """Write a run to a file of its own under home()/exports, at the threshold in force.

    Raises:
        WorkbenchError: there is no such run or format.
        StoreError: it cannot be written.
    """
    if suffix not in EXPORT_SUFFIXES:
        raise WorkbenchError(f"there is no export of flows as {suffix}; choose {', '.join(EXPORT_SUFFIXES)}")
    reader = FlowRunReader(run_id)
    remove_old_exports()
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", reader.info.name).strip("-.")[:80] or "capture"
    path = exports_folder() / secrets.token_urlsafe(24) / f"{stem}-{'flagged-' if flagged_only else ''}flows{suffix}"
    with store_errors(str(path)):
        path.parent.mkdir(parents=True)
    reader.export(path, reader.threshold, flagged_only, FlowVerdicts().of_run(run_id))
    return path


def _packets(detector: FlowDetector, flows: Sequence[Flow], judged: JudgedFlows, kept: Sequence[int]) -> pl.DataFrame:
    rows = [row for number in kept for row in _packet_rows(detector, flows[number], judged, number)]
    return pl.DataFrame(rows, schema=PACKETS_SCHEMA, orient="row")


def _packet_rows(detector: FlowDetector, flow: Flow, judged: JudgedFlows, number: int) -> Iterator[tuple[object, ...]]:
    """A row a packet, PACKETS_SCHEMA; the surprise of a token is that of each of its bytes."""
    text = judged.texts[number]
    ids, segments, offsets = (np.array(column) for column in (text.ids, text.segments, text.offsets))
    surprise = judged.surprise[judged.rows[number]][: len(ids)]
    for packet_no, (packet, hidden) in enumerate(zip(flow.packets, detector.tokenizer_.hidden(flow), strict=False), 1):
        of_bytes = np.full(len(packet.data), np.nan, np.float32)
        tokens = np.flatnonzero((segments == packet_no) & (offsets >= 0) & (ids >= FIRST_BYTE))
        pairs = tokens[ids[tokens] >= FIRST_PAIR]
        of_bytes[offsets[tokens]] = surprise[tokens]
        of_bytes[offsets[pairs] + 1] = surprise[pairs]
        time_us = round(packet.time * 1e6) if 0 <= packet.time < _YEAR_10000 else None
        yield number, packet_no, time_us, packet.forward, packet.length, packet.data, hidden, of_bytes.tolist()

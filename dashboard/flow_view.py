"""One flow as the Traffic page explains it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from core import workbench
from dashboard.components.flow_detail import Field, FlowDetail, Packet
from dashboard.components.line_detail import Contribution
from dashboard.line_view import standing

LOUD_NATS = 4.0  # one chance in 55: from here on a field is a reason
MOST_FIELDS = 3  # named as reasons
STRONG = 0.5  # of a calibrated score: clearly abnormal
REASONS = {
    "knn": "no learnt flow lies near it",
    "density": "few of the learnt flows lie around it",
    "autoencoder": "what the learnt flows have in common does not describe it",
    "likelihood": "its bytes are not what the network expects",
    "novelty": "no learnt flow reads the same",
    "one_class": "it lies outside the learnt flows",
}
CONTEXT_REASON = "its source stands out: other flows are unusual, or too many a second"


def detail_of(
    reader: workbench.FlowRunReader, flow_no: int, threshold: float, scores: np.ndarray, counts: np.ndarray
) -> FlowDetail:
    """Everything the detail shows of a flow."""
    found, _ = reader.find(pl.col(workbench.FLOW_NO) == flow_no, "score", descending=True, limit=1)
    flow = found.row(0, named=True)
    packets = [_packet(view) for view in workbench.packets_of(reader, flow_no)]
    return FlowDetail(
        flow_no=flow_no,
        score=float(flow["score"]),
        standing=standing(float(flow["score"]), scores, counts).replace("line", "flow"),
        flagged=float(flow["score"]) >= threshold,
        reasons=reasons(reader.info, flow, packets),
        contributions=contributions(reader.info, flow),
        facts=facts(reader.info, flow),
        packets=packets,
        masked=reader.info.masked,
    )


def facts(run: workbench.FlowRunInfo, flow: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what is known of a flow."""
    answers = [(task, f"{flow[task]} ({flow[f'{task}_probability']:.0%})") for task in run.tasks]
    return [
        ("source", f"{flow['source']} port {flow['source_port']}"),
        ("destination", f"{flow['destination']} port {flow['destination_port']}"),
        ("protocol", flow["protocol"]),
        ("start", f"{flow['first_utc']:%Y-%m-%d %H:%M:%S.%f} UTC" if flow["first_utc"] else "not known"),
        ("duration", f"{flow['duration_s']:.3f} s, ended: {flow['ended']}"),
        ("packets", f"{flow['packets_forward']:,} from the source, {flow['packets_backward']:,} back"),
        ("bytes", f"{flow['bytes_forward']:,} from the source, {flow['bytes_backward']:,} back"),
        *answers,
    ]


def contributions(run: workbench.FlowRunInfo, flow: dict[str, Any]) -> list[Contribution]:
    """What each scorer adds to the fused score, and what its source adds."""
    total = sum(run.weights.get(name, 0.0) for name in run.scorers) or 1.0
    found = [Contribution(name, flow[name], run.weights.get(name, 0.0) / total * flow[name]) for name in run.scorers]
    if flow["context"]:
        found.append(Contribution("context", flow["context"], flow["score"] - sum(item.share for item in found)))
    return found


def reasons(run: workbench.FlowRunInfo, flow: dict[str, Any], packets: list[Packet]) -> list[str]:
    """Why a flow is strange, the strongest first; fields that surprised the network last."""
    said = [CONTEXT_REASON] if flow["context"] else []
    strong = sorted((name for name in run.scorers if flow[name] >= STRONG), key=lambda name: -flow[name])
    said += [REASONS[name] for name in strong if name in REASONS]
    loud = sorted(
        ((field.nats, packet.number, field) for packet in packets for field in packet.fields if field.nats is not None),
        key=lambda found: -found[0],
    )
    for nats, number, field in loud[:MOST_FIELDS]:
        if nats >= LOUD_NATS:
            said.append(f"surprising in packet {number}: {field.header} {field.name} {field.value} ({nats:.1f} nats)")
    return said or ["nothing about it is unusual"]


def _packet(view: workbench.PacketView) -> Packet:
    surprise = [None if math.isnan(nats) else round(nats, 1) for nats in view.surprise]

    def loudest(start: int, end: int) -> float | None:
        known = [nats for nats in surprise[start:end] if nats is not None]
        return max(known, default=None)

    fields = [
        Field(field.header, field.name, field.value, field.hidden, loudest(field.start, field.end))
        for field in view.fields
    ]
    start = max((field.end for field in view.fields), default=0)
    if start < len(view.data):
        size = len(view.data) - start
        is_hidden = all(view.hidden[start:])
        fields.append(Field("payload", "kept", f"{size:,} bytes", is_hidden, loudest(start, len(view.data))))
    return Packet(
        number=view.number,
        forward=view.forward,
        seconds=view.seconds,
        length=view.length,
        data=view.data.hex(),
        hidden=[bool(value) for value in view.hidden],
        surprise=surprise,
        fields=fields,
    )

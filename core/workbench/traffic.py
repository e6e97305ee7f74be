"""Captures: their flows as a table."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from core.config import FlowConfig
from core.ingest.flow_labels import PROTOCOLS, calendar_times
from core.ingest.flows import flow_statistics, read_flows
from core.ingest.frames import TCP
from core.ingest.pcap import CaptureCounts
from core.records import Flow, Progress, Rejection, no_progress
from core.store.result_file import ResultFile

Note = Callable[[str], None]
"""Told, a sentence each, what a user should know of the captures and labels that were read."""

ROWS_AT_ONCE = 10_000
SHOWN_REASONS = 20
_KEY: dict[str, type[pl.DataType]] = {
    "capture": pl.String, "protocol": pl.String, "source": pl.String, "source_port": pl.Int64,
    "destination": pl.String, "destination_port": pl.Int64, "first_utc": pl.Float64, "last_utc": pl.Float64,
    "ended": pl.String, "packets": pl.Int64, "bytes": pl.Int64,
}  # fmt: skip
_NOTHING = Flow((TCP, "", 0, "", 0), "", 0.0, 0.0, 0, 0, 0, 0, ())
_STATISTICS: dict[str, type[pl.DataType]] = dict.fromkeys(flow_statistics(_NOTHING), pl.Float64)
_WHOLE = pl.selectors.matches(r"^(packets|bytes)_(for|back)ward$|^\w+_packets$|^size_\d+$")


def no_note(sentence: str) -> None:
    """The notes of work nobody watches."""


@dataclass(frozen=True)
class FlowsInfo:
    """What captures held.

    Attributes:
        n_packets: frames in the captures.
        n_in_flows: of these, packets of flows; the others were left out.
        n_flows: flows.
        left_out: why, to how many; a capture that is cut or damaged counts once.
        first_left_out: the first few of each reason, with the frame's number.
        seconds: it took.
    """

    n_packets: int
    n_in_flows: int
    n_flows: int
    left_out: dict[str, int]
    first_left_out: list[Rejection]
    seconds: float


def flows(
    paths: Sequence[str | Path],
    output: Path | None = None,
    config: FlowConfig | None = None,
    progress: Progress = no_progress,
    show: Callable[[pl.DataFrame], None] | None = None,
    note: Note = no_note,
) -> FlowsInfo:
    """Group the packets of captures into flows, a row each, in the order they end.

    Args:
        paths: pcap or pcapng, plain or compressed, or "-".
        output: a file *.csv, *.jsonl or *.parquet for the rows.
        config: timeouts and limits.
        progress: told the bytes read.
        show: given the rows in parts, as `flow_rows` makes them.
        note: told why packets joined no flow.

    Raises:
        WorkbenchError: a file is no capture, or the output cannot be written.
    """
    started = time.monotonic()
    counts, n_flows = CaptureCounts(), 0
    with ExitStack() as stack:
        file = stack.enter_context(ResultFile(output)) if output else None
        if file:
            file.write(flow_rows(()))
        found = read_flows(paths, config, progress, counts)
        for part in flow_parts(found):
            rows = flow_rows(part)
            n_flows += len(rows)
            if file:
                file.write(rows)
            if show:
                show(rows)
    note_left_out(counts, note)
    return FlowsInfo(
        n_packets=counts.packets,
        n_in_flows=counts.in_flows,
        n_flows=n_flows,
        left_out=dict(counts.reasons.most_common()),
        first_left_out=counts.first,
        seconds=time.monotonic() - started,
    )


def note_left_out(counts: CaptureCounts, note: Note) -> None:
    """Note why packets joined no flow, or a capture ended early: a reason each, the most frequent first."""
    for reason, count in counts.reasons.most_common(SHOWN_REASONS):
        first = next(left for left in counts.first if left.reason == reason)
        note(f"{reason}: {count:,}, the first at packet {first.position:,} of {first.source}")
    if (more := len(counts.reasons) - SHOWN_REASONS) > 0:
        note(f"{more:,} more reasons; python -m core traffic flows --json lists them")


def flow_parts(found: Iterator[Flow]) -> Iterator[list[Flow]]:
    """Flows some at a time: few enough to hold, enough to be quick."""
    while part := list(itertools.islice(found, ROWS_AT_ONCE)):
        yield part


def flow_rows(flows: Iterable[Flow]) -> pl.DataFrame:
    """A row a flow: its key, times, why it ended, packets and bytes on the wire, then `flow_statistics`.

    Times are null where the capture names none (0), or one that no calendar has.
    """
    rows = [
        (
            flow.capture, PROTOCOLS[flow.key[0]], *flow.key[1:], flow.first_utc, flow.last_utc, flow.ended,
            flow.n_packets, flow.n_bytes, *flow_statistics(flow).values(),
        )
        for flow in flows
    ]  # fmt: skip
    table = pl.DataFrame(rows, schema=_KEY | _STATISTICS, orient="row")
    return table.with_columns(calendar_times(pl.col("first_utc", "last_utc")), _WHOLE.cast(pl.Int64))

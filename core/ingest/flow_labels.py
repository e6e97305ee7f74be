"""Labels of flows: a CSV that names them by their endpoints. Read to teach and to measure, never to score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from core.errors import InputError
from core.ingest.frames import ICMP, ICMPV6, TCP, UDP
from core.records import Flow

PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6"}
_KEY = ("protocol", "source", "source_port", "destination", "destination_port")


class FlowLabels:
    """The labels of a CSV as `python -m core traffic flows --output` writes it, with a column of labels added.

    Args:
        path: CSV with the columns protocol, source, source_port, destination, destination_port, `column`, and capture
            where captures share endpoints. Either end may be the source. An empty label is none.
        column: that holds the labels.

    Raises:
        InputError: it cannot be read, or a column is missing.
    """

    def __init__(self, path: Path, column: str = "label") -> None:
        try:
            table = pl.read_csv(path, infer_schema=False)
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file") from None
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{path}: cannot be read as CSV: {error}") from error
        if missing := [name for name in (*_KEY, column) if name not in table.columns]:
            raise InputError(f"{path}: no column {', '.join(missing)}; it has {', '.join(table.columns)}")
        self._by_capture = "capture" in table.columns
        capture = "capture" if self._by_capture else pl.lit("").alias("capture")
        self._labels: dict[tuple[str, ...], str] = {}
        for *key, label in table.select(capture, *_KEY, column).iter_rows():
            if label is not None and label.strip():
                self._labels[_either_way(*(value or "" for value in key))] = label.strip()

    def of(self, flows: Sequence[Flow]) -> list[str | None]:
        """The label of each flow; None where the file has none for it."""
        return [
            self._labels.get(
                _either_way(flow.capture if self._by_capture else "", PROTOCOLS[flow.key[0]], *map(str, flow.key[1:]))
            )
            for flow in flows
        ]


def _either_way(capture: str, protocol: str, *ends: str) -> tuple[str, ...]:
    return (capture, protocol, *min(ends, (*ends[2:], *ends[:2])))

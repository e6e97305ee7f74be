"""Scored captures: a run is immutable Parquet, written as `<run_id>.tmp` and renamed when whole.

home()/flow_runs/<run_id>/   flows.parquet a row a flow · packets.parquet their first packets · run.json
                             threshold.json where an analyst has set another
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import polars as pl

from core.config import home
from core.errors import StoreError
from core.store.result_file import ResultFile
from core.store.run_info import RUN_ID, store_errors

FLOW_NO = "flow_no"
"""The number of a flow in its run, from 1."""
SAID = ("verdict", "note")
"""Columns that an export has beside those of scored flows: what analysts said of a flow."""
PACKETS_SCHEMA: dict[str, Any] = {
    FLOW_NO: pl.Int64,
    "packet_no": pl.Int64,  # from 1; the first packets of the flow
    "time_utc": pl.Datetime("us"),
    "forward": pl.Boolean,  # from the flow's source
    "length": pl.Int64,  # bytes on the wire
    "data": pl.Binary,  # from the IP header on, as much as was kept
    "hidden": pl.Binary,  # of each of these bytes 1 where a model does not see it
    "surprise": pl.List(pl.Float32),  # of each in nats, higher is stranger; NaN where it stands in no token
}


@dataclasses.dataclass(frozen=True)
class FlowRunInfo:
    """What is known of one scoring of captures; `run.json`.

    Attributes:
        run_id: name of the run's folder.
        name: of the first capture, and how many more.
        captures: where they were read from.
        model: the bundle's name, or None where it was fit on the captures themselves.
        n_packets: frames in the captures.
        n_flows: flows.
        threshold: the bundle's own, 0 to 1; a flow is flagged at or above it.
        scorers: names, in the order of columns.
        weights: scorer name to its weight in the fused score.
        tasks: what the bundle answered of each flow.
        masked: whether the model read flows masked.
        left_out: why packets joined no flow, to how many.
        first_left_out: the first few of each reason: capture, number of the frame, reason.
        seconds: it took.
        created_utc: ISO 8601.
    """

    run_id: str
    name: str
    captures: list[str]
    model: str | None
    n_packets: int
    n_flows: int
    threshold: float
    scorers: list[str]
    weights: dict[str, float]
    tasks: list[str]
    masked: bool
    left_out: dict[str, int]
    first_left_out: list[tuple[str, int, str]]
    seconds: float
    created_utc: str


class FlowRunWriter:
    """Context manager; leaving it without `finish` removes what was written.

    Raises:
        StoreError: it cannot be written.
    """

    def __init__(self, run_id: str) -> None:
        self._folder = flow_run_folder(run_id)
        self._part = self._folder.with_name(f"{run_id}.tmp")
        self._run_id = run_id
        self._n_flows = 0
        self._files = ExitStack()

    def __enter__(self) -> Self:
        with store_errors(str(self._part)):
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.mkdir(parents=True)
        self._flows = self._files.enter_context(ResultFile(self._part / "flows.parquet"))
        self._packets = self._files.enter_context(ResultFile(self._part / "packets.parquet"))
        return self

    def add(self, flows: pl.DataFrame, packets: pl.DataFrame) -> None:
        """Append flows and their packets.

        Args:
            flows: any columns, the same every time; no rows at first give an empty run its columns.
            packets: PACKETS_SCHEMA; FLOW_NO counts the flows given with them, from 0.
        """
        numbers = pl.int_range(self._n_flows + 1, self._n_flows + len(flows) + 1, dtype=pl.Int64, eager=True)
        self._flows.write(flows.insert_column(0, numbers.alias(FLOW_NO)))
        self._packets.write(packets.with_columns(pl.col(FLOW_NO) + self._n_flows + 1))
        self._n_flows += len(flows)

    def finish(self, facts: dict[str, Any]) -> FlowRunInfo:
        """Give the run its name.

        Args:
            facts: FlowRunInfo without run_id, n_flows and created_utc.
        """
        self._files.close()
        info = FlowRunInfo(
            run_id=self._run_id, n_flows=self._n_flows, created_utc=datetime.now(UTC).isoformat(), **facts
        )
        with store_errors(str(self._folder)):
            (self._part / "run.json").write_text(json.dumps(dataclasses.asdict(info), indent=1), "utf-8")
            self._part.rename(self._folder)
        return info

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)
        shutil.rmtree(self._part, ignore_errors=True)


class FlowRunReader:
    """Reads a run.

    Attributes:
        info: its facts.

    Raises:
        StoreError: there is no such run, or it is damaged.
    """

    def __init__(self, run_id: str) -> None:
        self._folder = flow_run_folder(run_id)
        self.info = _read_info(self._folder)

    @property
    def threshold(self) -> float:
        """The threshold set last, or the bundle's own."""
        try:
            return float(json.loads((self._folder / "threshold.json").read_text("utf-8")))
        except FileNotFoundError:
            return self.info.threshold
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(f"{self._folder}: its threshold cannot be read; score the capture again") from error

    def set_threshold(self, value: float) -> None:
        """Set another threshold, 0 to 1."""
        part = self._folder / f"threshold.{os.getpid()}.tmp"
        with store_errors(str(self._folder)):
            part.write_text(json.dumps(value), "utf-8")
            part.replace(self._folder / "threshold.json")

    def flows(self) -> pl.LazyFrame:
        """A row a flow in the order they ended: FLOW_NO, what was read of it, score, scorers and answers."""
        return self._table("flows")

    def score_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct scores, ascending, and the flows that have each; [K] float64 and [K] int64."""
        counts = _collected(self.flows().group_by("score").agg(pl.len().alias("count")).sort("score"), self._folder)
        return counts["score"].to_numpy(), counts["count"].to_numpy().astype(np.int64)

    def find(self, wanted: pl.Expr | bool, order: str, descending: bool, limit: int) -> tuple[pl.DataFrame, int]:
        """The first flows of an order among those wanted, and how many are wanted."""
        found = self.flows().filter(wanted)
        n_found = int(_collected(found.select(pl.len()), self._folder).item())
        ordered = found.sort(order, FLOW_NO, descending=[descending, False], nulls_last=True)
        return _collected(ordered.head(limit), self._folder), n_found

    def numbers(self, wanted: pl.Expr) -> list[int]:
        """FLOW_NO of all flows wanted, ascending."""
        found = self.flows().filter(wanted).select(FLOW_NO).sort(FLOW_NO)
        return _collected(found, self._folder)[FLOW_NO].to_list()

    def joined(self, table: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
        """FLOW_NO of the flows that are equal to a row of a table in some columns, and its others; by number.

        Nulls are equal to nulls.
        """
        schema = self.flows().collect_schema()
        asked = table.with_columns(pl.col(name).cast(schema[name]) for name in key).lazy()
        found = self.flows().select(FLOW_NO, *key).join(asked, on=list(key), nulls_equal=True)
        return _collected(found.drop(key).sort(FLOW_NO), self._folder)

    def packets(self, flow_no: int) -> pl.DataFrame:
        """The first packets of a flow, in order; PACKETS_SCHEMA."""
        return _collected(self._table("packets").filter(pl.col(FLOW_NO) == flow_no).sort("packet_no"), self._folder)

    def values(self, column: str) -> list[Any]:
        """Distinct values of a column, the most frequent first."""
        counts = (
            self.flows().group_by(column).agg(pl.len().alias("flows")).sort("flows", column, descending=[True, False])
        )
        return _collected(counts, self._folder)[column].to_list()

    def sources(self, threshold: float) -> pl.DataFrame:
        """source, flows and flagged (those at or above the threshold), a row a source, the most flagged first."""
        counts = (
            self.flows()
            .group_by("source")
            .agg(pl.len().alias("flows"), (pl.col("score") >= threshold).sum().alias("flagged"))
        )
        order = counts.sort("flagged", "flows", "source", descending=[True, True, False])
        return _collected(order, self._folder)

    def span(self) -> tuple[datetime | None, datetime | None]:
        """When the first flow and the last one began; None where no packet has a time."""
        row = _collected(self.flows().select(pl.col("first_utc").min(), last=pl.col("first_utc").max()), self._folder)
        return row.row(0)

    def timeline(self, threshold: float, buckets: int) -> pl.DataFrame:
        """start_utc, n_flows and n_flagged (at or above the threshold) in equal spans of the time when flows began.

        Empty spans too; none where no flow has a time.
        """
        first, last = self.span()
        if first is None or last is None:
            return pl.DataFrame(schema={"start_utc": pl.Datetime("us"), "n_flows": pl.Int64, "n_flagged": pl.Int64})
        width = ((last - first) // timedelta(microseconds=1) + buckets) // buckets  # microseconds; the last flow too
        since = (pl.col("first_utc") - first).dt.total_microseconds()
        counts = (
            self.flows()
            .filter(pl.col("first_utc").is_not_null())
            .group_by((since // width).alias("span"))
            .agg(
                pl.len().cast(pl.Int64).alias("n_flows"),
                (pl.col("score") >= threshold).sum().cast(pl.Int64).alias("n_flagged"),
            )
        )
        spans = pl.LazyFrame({"span": range(buckets)}, schema={"span": pl.Int64})
        start = pl.lit(first, dtype=pl.Datetime("us")) + pl.duration(microseconds=pl.col("span") * width)
        found = spans.join(counts, on="span", how="left", maintain_order="left").select(
            start.alias("start_utc"), pl.col("n_flows", "n_flagged").fill_null(0)
        )
        return _collected(found, self._folder)

    def export(self, path: Path, threshold: float, flagged_only: bool, verdicts: pl.DataFrame) -> None:
        """Write the flows to a file.

        Args:
            path: its suffix says how: .csv, .jsonl or .parquet.
            threshold: is_anomaly is by this one.
            flagged_only: leave the others out.
            verdicts: FLOW_NO, label and note of the flows that were judged; they become SAID.
        """
        said = verdicts.lazy().select(FLOW_NO, pl.col("label").alias(SAID[0]), pl.col("note").alias(SAID[1]))
        flows = self.flows().with_columns((pl.col("score") >= threshold).cast(pl.Int8).alias("is_anomaly"))
        flows = flows.join(said, on=FLOW_NO, how="left", maintain_order="left")
        wanted = flows.filter(pl.col("is_anomaly") == 1) if flagged_only else flows
        with ResultFile(path) as file:
            file.write(_collected(wanted, self._folder))

    def _table(self, name: str) -> pl.LazyFrame:
        return pl.scan_parquet(self._folder / f"{name}.parquet", glob=False)


def list_flow_runs() -> list[FlowRunInfo]:
    """Stored runs, newest first; damaged ones are left out, opening them says why."""
    found = []
    for path in (home() / "flow_runs").glob("*/run.json"):
        if path.parent.suffix != ".tmp":
            with contextlib.suppress(StoreError):
                found.append(_read_info(path.parent))
    return sorted(found, key=lambda info: info.created_utc, reverse=True)


def delete_flow_run(run_id: str) -> None:
    """Remove a run."""
    folder = flow_run_folder(run_id)
    with store_errors(str(folder)), contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def flow_run_folder(run_id: str) -> Path:
    """Where a run lies, which may not exist.

    Raises:
        StoreError: for a name no run can have, as it may come from a URL.
    """
    if not RUN_ID.fullmatch(run_id):
        raise StoreError(f"{run_id!r} is not the name of a run")
    return home() / "flow_runs" / run_id


def _read_info(folder: Path) -> FlowRunInfo:
    try:
        values = json.loads((folder / "run.json").read_text("utf-8"))
        values["first_left_out"] = [tuple(row) for row in values["first_left_out"]]
        return FlowRunInfo(**values)
    except FileNotFoundError:
        raise StoreError(f"there is no scored capture {folder.name}; score one on the Traffic page") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{folder}: run.json is damaged; score the capture again") from error


def _collected(table: pl.LazyFrame, folder: Path) -> pl.DataFrame:
    try:
        return table.collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StoreError(f"{folder}: the run is damaged ({error}); score the capture again") from error

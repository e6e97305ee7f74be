"""Verdicts on flows: kept by what a flow is, found again in later runs of its capture, undone as they were given."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from core import workbench
from core.config import FlowConfig
from core.errors import StoreError, WorkbenchError
from core.ingest.flow_labels import FlowLabels
from core.ingest.flows import read_flows
from core.store.flow_runs import PACKETS_SCHEMA, FlowRunReader, FlowRunWriter, flow_run_folder
from tests.captures import FACTS, store_flow_run

SAID = ["flow_no", "label", "note"]


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    return store_flow_run("r1", tmp_path)


def said(run_id: str) -> list[tuple[int, str | None, str]]:
    return workbench.flow_verdicts(run_id, notes=True).select(SAID).rows()


def stored_again(run_id: str, flows: pl.DataFrame) -> str:
    with FlowRunWriter(run_id) as writer:
        writer.add(flows.drop("flow_no"), pl.DataFrame(schema=PACKETS_SCHEMA))
        writer.finish(FACTS | {"name": "again.pcap"})
    return run_id


def test_the_newest_verdict_counts_and_is_taken_back(run_id: str) -> None:
    assert workbench.flow_verdicts(run_id).is_empty()
    workbench.set_flow_verdict(run_id, [2, 3], "abnormal", " a tunnel ", by="ana")
    workbench.set_flow_verdict(run_id, [3], "normal", by="ana")
    assert said(run_id) == [(2, "abnormal", "a tunnel"), (3, "normal", "")]
    workbench.set_flow_verdict(run_id, [3], None, "ask the network team", by="ana")
    assert said(run_id) == [(2, "abnormal", "a tunnel"), (3, None, "ask the network team")]
    assert workbench.flow_verdicts(run_id)["flow_no"].to_list() == [2]
    assert workbench.undo_flow_verdict(run_id, by="ben") == []
    assert workbench.undo_flow_verdict(run_id, by="ana") == [3]
    assert workbench.undo_flow_verdict(run_id, by="ana") == [3]
    assert said(run_id) == [(2, "abnormal", "a tunnel"), (3, "abnormal", "a tunnel")]
    assert workbench.undo_flow_verdict(run_id, by="ana") == [2, 3]
    assert workbench.undo_flow_verdict(run_id, by="ana") == said(run_id) == []


def test_a_verdict_is_found_again_where_the_capture_is_scored_anew(run_id: str) -> None:
    flows = FlowRunReader(run_id).flows().collect()
    workbench.set_flow_verdict(run_id, [2], "abnormal", by="ana")
    again = stored_again("r2", flows.reverse())  # in another order, so with other numbers
    row = workbench.flow_verdicts(again).row(0, named=True)
    assert (row["flow_no"], row["label"], row["by"], row["run_id"], row["run_name"]) == (
        2, "abnormal", "ana", run_id, FACTS["name"],
    )  # fmt: skip
    later = flows.with_columns(pl.col("first_utc") + pl.duration(microseconds=1))
    assert workbench.flow_verdicts(stored_again("r3", later)).is_empty()  # other flows between the same ends
    shutil.rmtree(flow_run_folder(run_id))  # the run goes, what was said stays
    assert workbench.flow_verdicts(again)["flow_no"].to_list() == [2]


def test_flows_without_a_time_keep_their_verdicts(run_id: str) -> None:
    flows = FlowRunReader(run_id).flows().with_columns(pl.lit(None, pl.Datetime("us")).alias("first_utc")).collect()
    timeless = stored_again("r2", flows)
    workbench.set_flow_verdict(timeless, [1], "normal")
    workbench.set_flow_verdict(timeless, [1], "abnormal")
    assert said(timeless) == [(1, "abnormal", "")]
    assert said(run_id) == []


def test_what_cannot_be_judged_is_said(run_id: str) -> None:
    for flow_nos in ([], range(20_001)):
        with pytest.raises(WorkbenchError, match="1 to 20,000 flows can be judged at once"):
            workbench.set_flow_verdict(run_id, flow_nos, "normal")
    with pytest.raises(StoreError, match="has flows 1 to 3, not 4"):
        workbench.set_flow_verdict(run_id, [1, 4], "normal")
    with pytest.raises(WorkbenchError, match="one of abnormal, normal, unsure"):
        workbench.set_flow_verdict(run_id, [1], "odd")
    with pytest.raises(WorkbenchError, match="2,000 characters"):
        workbench.set_flow_verdict(run_id, [1], "normal", "x" * 2_001)
    with pytest.raises(StoreError, match="no scored capture gone"):
        workbench.undo_flow_verdict("gone")
    assert said(run_id) == []


def test_an_export_holds_verdicts_and_is_read_as_labels(run_id: str, tmp_path: Path) -> None:
    workbench.set_flow_verdict(run_id, [2], "abnormal", "=cmd|x")
    rows = pl.read_ndjson(workbench.export_flows(run_id, ".jsonl"))
    assert rows["verdict"].to_list() == [None, "abnormal", None]
    assert rows["flow_no"].to_list() == [1, 2, 3]
    workbench.set_flow_verdict(run_id, [1], "unsure")
    exported = workbench.export_flows(run_id, ".csv")
    assert "'=cmd|x" in exported.read_text()
    flows = list(read_flows([tmp_path / "office.pcap"], FlowConfig()))
    assert FlowLabels(exported, "verdict").of(flows) == [None, "abnormal", None]

"""The Traffic page by AppTest: nothing scored, flows with their reasons, filters, exports, and what is damaged."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from core import workbench
from core.config import TrafficConfig
from core.errors import StoreError, WorkbenchError
from core.flow_detector import FlowDetector, JudgedFlows
from core.store.flow_runs import FLOW_NO, PACKETS_SCHEMA, FlowRunReader, FlowRunWriter, flow_run_folder
from core.workbench import flow_runs
from core.workbench.traffic import flow_rows
from dashboard.escaping import literal
from tests.builders import store_run
from tests.captures import FACTS, HOSTILE, flow_of, pcap, store_flow_run, udp
from tests.pages import SHELL, shown


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    return store_flow_run("r1", tmp_path)


def opened(app: AppTest, **address: str) -> AppTest:
    for name, value in address.items():
        app.query_params[name] = value
    app.switch_page("traffic.py").run()
    assert not app.exception
    return app


def test_an_empty_page_names_the_next_action(app: AppTest) -> None:
    opened(app)
    assert "Choose one above and press Score" in shown(app)
    assert "traffic/test.pcap.gz (sample)" in app.selectbox[0].options
    app.selectbox[0].select_index(0).run()
    assert app.radio[0].options == ["Score it against itself", "Learn a model from it"]  # no model yet
    app.button(key="score_capture")  # offered


def test_a_model_is_learnt_from_a_capture(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(workbench, "start_pretraining", lambda *given: asked.append(given) or "job")
    opened(app)
    app.selectbox[0].select_index(0).run()
    app.radio[0].set_value("Learn a model from it").run()
    [name] = [field for field in app.text_input if field.label == "Name of the model"]
    assert name.value == "traffic"  # the file is called test
    name.set_value("office").run()
    app.button(key="learn_capture").click().run()
    assert not app.exception
    [(path, given)] = asked
    assert (path.name, given) == ("test.pcap.gz", "office")


def test_a_name_of_a_shipped_model_is_refused(app: AppTest) -> None:
    opened(app)
    app.selectbox[0].select_index(0).run()
    app.radio[0].set_value("Learn a model from it").run()
    next(field for field in app.text_input if field.label == "Name of the model").set_value("netgpt").run()
    app.button(key="learn_capture").click().run()
    assert "came with the workbench" in app.error[0].value
    assert workbench.jobs() == []


def test_a_scored_capture(app: AppTest, run_id: str) -> None:
    opened(app)
    assert app.query_params["capture"] == run_id
    assert "9 packets · 3 of them in no flow · 3 flows · 2023-11-14 22:13:20 to 22:13:20 UTC" in shown(app)
    assert any("3 packets in no flow" in box.label for box in app.expander)
    table = app.dataframe[0].value
    assert table[FLOW_NO].tolist() == [2, 3, 1]
    assert table["source"][0] == "192.0.2.2:40002"
    app.segmented_control(key=f"flows_shown_{run_id}").set_value("Flagged flows").run()
    assert app.dataframe[0].value[FLOW_NO].tolist() == [2]
    app.segmented_control(key=f"flows_shown_{run_id}").set_value("All flows").run()
    sources = app.pills(key=f"flow_source_{run_id}")
    assert sources.options == ["192\\.0\\.2\\.2 · 1 / 1"]  # those with a flagged flow
    sources.set_value("192.0.2.2").run()
    assert app.dataframe[0].value[FLOW_NO].tolist() == [2]


def test_what_is_shown_stands_in_the_address(app: AppTest, run_id: str) -> None:
    opened(app)
    app.segmented_control(key=f"flows_shown_{run_id}").set_value("Flagged flows").run()
    app.pills(key=f"flow_source_{run_id}").set_value("192.0.2.2").run()
    app.text_input(key=f"flow_search_{run_id}").input(":40002").run()
    app.selectbox(key=f"flow_protocol_{run_id}").select("udp").run()
    app.selectbox(key=f"flow_order_{run_id}").select("Longest").run()
    shown_here = {"view": "flagged", "source": "192.0.2.2", "q": ":40002", "flow_protocol": "udp", "order": "longest"}
    link = dict(app.query_params)
    assert link == {"capture": run_id} | shown_here
    for way in ("another page", "reload"):
        if way == "reload":
            app = opened(AppTest.from_file(str(SHELL), default_timeout=20), **link)
        else:
            app.query_params.clear()  # as the navigation does
            app.switch_page("models.py").run()
            app.query_params.clear()
            opened(app)
        assert app.dataframe[0].value[FLOW_NO].tolist() == [2]
        assert app.segmented_control(key=f"flows_shown_{run_id}").value == "Flagged flows"
        assert app.selectbox(key=f"flow_order_{run_id}").value == "Longest"
        assert dict(app.query_params) == link
    opened(app, capture=run_id, source="198.51.100.9", view="<b>", flow_protocol="x", order="DROP")
    assert not app.error


def test_the_strip_and_the_cards_are_about_captures(
    app: AppTest, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_run("a", [("fine", "fine", 0.1)], name="auth.log")
    now = datetime.now(UTC).isoformat()
    scored = workbench.JobStatus("j1", "score", "Score auth.log", now, "done", result={"run_id": "a"}, finished_utc=now)
    monkeypatch.setattr(workbench, "jobs", lambda: [scored])
    opened(app)
    assert app.markdown[0].value == f"**{literal(FACTS['name'])}** · 3 flows · model **m** · threshold **0.5000**"
    assert "Score auth" not in shown(app)
    app.switch_page("data.py").run()
    assert "auth" in app.markdown[0].value
    assert "Score auth" in shown(app)
    monkeypatch.setitem(FACTS, "name", "other.pcap")
    other = store_flow_run("r2", tmp_path)
    FlowRunReader(other).set_threshold(0.25)
    opened(app)
    app.selectbox(key="capture_in_view").select(other).run()
    assert app.markdown[0].value.endswith("threshold **0.2500**")
    assert (app.query_params["capture"], app.query_params["run"]) == (other, "a")


def test_flows_are_paged(app: AppTest) -> None:
    flows = [flow_of(udp(("192.0.2.1", 1_000 + number), ("192.0.2.9", 53), b"")) for number in range(450)]
    scores = {"score": [number / 1_000 for number in range(450)], "is_anomaly": [0] * 450, "context": [0.0] * 450}
    judged = pl.DataFrame(scores)
    with FlowRunWriter("many") as writer:
        rows = pl.concat([flow_rows(flows), judged.cast({"is_anomaly": pl.Int8})], how="horizontal")
        writer.add(rows, pl.DataFrame(schema=PACKETS_SCHEMA))
        writer.finish(FACTS | {"scorers": [], "weights": {}, "tasks": []})
    opened(app)
    assert app.dataframe[0].value[FLOW_NO].tolist() == list(range(450, 250, -1))
    app.number_input(key="page_flows_many").set_value(3).run()
    assert app.dataframe[0].value[FLOW_NO].tolist() == list(range(50, 0, -1))
    assert "Rows 401 to 450 of 450" in shown(app)


def test_flows_over_time(app: AppTest, run_id: str) -> None:
    spans = FlowRunReader(run_id).timeline(0.5, 2)  # the flows began at 0, 1 and 2 ms, and a span is 1.001 ms
    start = datetime(2023, 11, 14, 22, 13, 20)
    assert spans.rows() == [(start, 2, 1), (start + timedelta(microseconds=1_001), 1, 0)]
    opened(app)
    assert "Flagged flows in 1 of 96 equal spans; most, 1, in the one from 2023-11-14 22:13:20 on" in shown(app)
    app.button(f"busiest_flows_{run_id}").click().run()
    assert app.dataframe[0].value[FLOW_NO].tolist() == [2]
    assert "Only flows from 2023-11-14 22:13:20 to 22:13:20" in shown(app)
    assert app.query_params["span"] == "47"
    app.button(f"all_spans_flows_{run_id}").click().run()
    assert app.dataframe[0].value[FLOW_NO].tolist() == [2, 3, 1]
    assert "span" not in app.query_params


def test_a_capture_without_times_has_no_spans(tmp_path: Path) -> None:
    with FlowRunWriter("untimed") as writer:
        scores = {"score": [], "is_anomaly": []}
        table = pl.concat(
            [flow_rows(()), pl.DataFrame(scores, schema={"score": pl.Float64, "is_anomaly": pl.Int8})], how="horizontal"
        )
        writer.add(table, pl.DataFrame(schema=PACKETS_SCHEMA))
        writer.finish(dict(FACTS))
    assert FlowRunReader("untimed").timeline(0.5, 96).is_empty()


def test_filters_and_orders(app: AppTest, run_id: str) -> None:
    opened(app)
    app.text_input(key=f"flow_search_{run_id}").input(".3:40003").run()
    assert app.dataframe[0].value[FLOW_NO].tolist() == [3]
    app.text_input(key=f"flow_search_{run_id}").input("").run()
    app.selectbox(key=f"flow_application_{run_id}").select("dns").run()
    app.selectbox(key=f"flow_order_{run_id}").select("Most bytes").run()
    assert app.dataframe[0].value[FLOW_NO].tolist() == [3, 1]
    app.text_input(key=f"flow_search_{run_id}").input("nowhere").run()
    assert "No flow matches" in shown(app)


def test_why_a_flow_is_strange(run_id: str) -> None:
    from dashboard.flow_view import detail_of

    reader = FlowRunReader(run_id)
    detail = detail_of(reader, 2, 0.5, *reader.score_counts())
    assert (detail.flagged, detail.standing) == (True, "higher than 66.6% of flows")
    assert detail.reasons[:3] == [
        "its source stands out: other flows are unusual, or too many a second",
        "no learnt flow lies near it",
        "its bytes are not what the network expects",
    ]
    assert detail.reasons[3].endswith("(9.0 nats)")
    assert sum(item.share for item in detail.contributions) == pytest.approx(0.9)
    [packet] = detail.packets
    assert bytes.fromhex(packet.data).endswith(HOSTILE)
    assert packet.surprise[12:20] == [None] * 8
    fields = {(field.header, field.name): field for field in packet.fields}
    assert (fields["IPv4", "source"].value, fields["IPv4", "source"].nats) == ("192.0.2.2", None)
    assert (fields["UDP", "destination port"].value, fields["UDP", "destination port"].nats) == ("53", 9.0)
    ordinary = detail_of(reader, 1, 0.5, *reader.score_counts())
    assert ordinary.reasons == ["nothing about it is unusual"]


def test_the_odd_byte_of_a_field_surprises_by_itself() -> None:
    """Of tokens of two bytes; those of the header's first two fields hold one."""
    detector = FlowDetector(TrafficConfig(unit_bytes=2, masked=False))
    flow = flow_of(udp(("192.0.2.1", 5), ("192.0.2.2", 13), b"abc"))
    text = detector.tokenizer_.encode(flow)
    surprise = np.arange(len(text.ids), dtype=np.float32)[None]
    judged = JudgedFlows(pl.DataFrame(), [text], np.array([0]), surprise)
    [(*_, surprises)] = flow_runs._packet_rows(detector, flow, judged, 0)
    assert surprises[:10] == [1, 2, 3, 3, 4, 4, 5, 5, 6, 7]
    assert surprises[-5:] == [16, 16, 17, 17, 18]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_flows_are_exported_at_the_threshold_in_force(run_id: str, suffix: str) -> None:
    FlowRunReader(run_id).set_threshold(0.15)
    read = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}[suffix]
    rows = read(workbench.export_flows(run_id, suffix))
    assert dict(zip(rows[FLOW_NO], rows["is_anomaly"], strict=True)) == {1: 0, 2: 1, 3: 1}
    assert read(workbench.export_flows(run_id, suffix, flagged_only=True))[FLOW_NO].to_list() == [2, 3]
    with pytest.raises(WorkbenchError, match="no export of flows as"):
        workbench.export_flows(run_id, ".exe")


def test_what_is_gone_or_damaged_is_said(app: AppTest, run_id: str) -> None:
    opened(app, capture="gone")
    assert "there is no scored capture gone" in shown(app)
    (flow_run_folder(run_id) / "flows.parquet").write_bytes(b"PAR1 nothing")
    opened(app, capture=run_id)
    assert "the run is damaged" in shown(app)
    with pytest.raises(StoreError, match="not the name of a run"):
        FlowRunReader("../r1")


def test_a_run_that_is_not_finished_leaves_nothing(home: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyError), FlowRunWriter("half") as writer:
        writer.add(flow_rows(()), pl.DataFrame(schema=PACKETS_SCHEMA))
        raise KeyError
    assert list((home / "flow_runs").iterdir()) == []
    assert workbench.list_flow_runs() == []
    path = tmp_path / "arp.pcap"
    path.write_bytes(pcap([bytes(12) + b"\x08\x06" + bytes(28)]))
    with pytest.raises(WorkbenchError, match="nothing to learn from"):
        workbench.score_capture([path])

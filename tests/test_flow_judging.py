"""Verdicts on the Traffic page by AppTest: given, shown, filtered, counted, taken back, and refused."""

from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from core import workbench
from core.store.flow_runs import PACKETS_SCHEMA, FlowRunReader, FlowRunWriter
from tests.captures import FACTS, HOSTILE, store_flow_run
from tests.pages import shown
from tests.test_traffic_page import opened


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    return store_flow_run("r1", tmp_path)


def verdicts(run_id: str) -> list[tuple[int, str | None, str]]:
    return workbench.flow_verdicts(run_id, notes=True).select("flow_no", "label", "note").rows()


def test_flows_are_judged_one_after_another(app: AppTest, run_id: str) -> None:
    opened(app)
    assert "Judged" not in shown(app)
    app.button(key=f"judge_abnormal_{run_id}").click().run()
    assert verdicts(run_id) == [(2, "abnormal", "")]  # the highest score
    assert "Judged **1 of 3** flows" in shown(app)
    assert "of 1 judged flagged flow 1 is abnormal: **precision 100%" in shown(app)
    assert app.dataframe[0].value["verdict"].fillna("").tolist() == ["✖ abnormal", "", ""]
    app.button(key=f"judge_unsure_{run_id}").click().run()  # of the next one
    app.button(key=f"judge_normal_{run_id}").click().run()
    assert verdicts(run_id) == [(1, "normal", ""), (2, "abnormal", ""), (3, "unsure", "")]
    assert app.query_params["flow"] == "1"  # the last one stays in view
    app.button(key=f"undo_{run_id}").click().run()
    app.button(key=f"undo_{run_id}").click().run()
    assert verdicts(run_id) == [(2, "abnormal", "")]
    assert app.query_params["flow"] == "3"
    app.button(key=f"undo_{run_id}").click().run()
    app.button(key=f"undo_{run_id}").click().run()
    assert "there is nothing to undo" in app.error[0].value
    assert not app.exception


def test_a_note_is_kept_with_the_verdict_and_without_one(app: AppTest, run_id: str) -> None:
    opened(app, flow="3")
    note = HOSTILE.decode(errors="replace")[:50]
    app.text_input(key=f"flow_note_{run_id}_3").set_value(note).run()
    assert verdicts(run_id) == [(3, None, note.strip())]
    assert app.query_params["flow"] == "3"  # a note alone goes nowhere
    app.button(key=f"judge_normal_{run_id}").click().run()
    assert verdicts(run_id) == [(3, "normal", note.strip())]
    app.button(key=f"undo_{run_id}").click().run()
    app.button(key=f"undo_{run_id}").click().run()
    assert app.text_input(key=f"flow_note_{run_id}_3").value == ""
    app.text_input(key=f"flow_note_{run_id}_3").set_value("x" * 2_001).run()
    assert "a note has up to 2,000 characters" in app.error[0].value.replace("\\", "")
    assert verdicts(run_id) == []


def test_the_flows_of_a_source_are_judged_in_one_act(app: AppTest, tmp_path: Path) -> None:
    flows = FlowRunReader(store_flow_run("r0", tmp_path)).flows().with_columns(source=pl.lit("192.0.2.[7]")).collect()
    workbench.delete_flow_run("r0")
    with FlowRunWriter("r1") as writer:
        writer.add(flows.drop("flow_no"), pl.DataFrame(schema=PACKETS_SCHEMA))
        writer.finish(dict(FACTS))
    opened(app, capture="r1", flow="3")
    [whole] = app.toggle
    assert whole.label == "All 2 unflagged flows of 192\\.0\\.2\\.\\[7\\]"
    whole.set_value(True).run()
    app.button(key="judge_normal_r1").click().run()
    assert verdicts("r1") == [(1, "normal", ""), (3, "normal", "")]
    assert app.query_params["flow"] == "3"  # stays: the next one may be judged already
    app.button(key="undo_r1").click().run()
    assert verdicts("r1") == []
    app.session_state["flow_r1"] = 2
    app.run()
    assert not app.toggle  # the only flagged one
    assert not app.exception


def test_flows_are_filtered_by_verdict(app: AppTest, run_id: str) -> None:
    workbench.set_flow_verdict(run_id, [1], "normal")
    workbench.set_flow_verdict(run_id, [2], None, "a note alone")
    opened(app, verdict="normal")
    assert app.dataframe[0].value["flow_no"].tolist() == [1]
    app.selectbox(key=f"flow_verdict_{run_id}").set_value("not judged").run()
    assert app.dataframe[0].value["flow_no"].tolist() == [2, 3]
    assert app.query_params["verdict"] == "not judged"
    app.button(key=f"judge_abnormal_{run_id}").click().run()  # leaves the list; the next one comes
    assert app.dataframe[0].value["flow_no"].tolist() == [3]
    assert app.query_params["flow"] == "3"
    app.selectbox(key=f"flow_verdict_{run_id}").set_value("unsure").run()
    assert "No flow matches" in shown(app)
    assert not app.exception


def test_verdicts_are_taught_to_a_model(app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(workbench, "start_teaching", lambda *given: asked.append(given) or "job")
    run_id = store_flow_run("r1", tmp_path, model="net")
    workbench.set_flow_verdict(run_id, [2], "abnormal")
    opened(app)
    assert f"teach_{run_id}" not in [item.key for item in app.button]  # nothing to tell it from
    workbench.set_flow_verdict(run_id, [1, 3], "normal")
    app.run()
    assert "like the **1** judged abnormal" in shown(app) and "expect little below about 100" in shown(app)
    assert app.text_input(key=f"teach_name_{run_id}").value == "net-judged"
    app.button(key=f"teach_{run_id}").click().run()
    assert asked == [(run_id, "net-judged")]
    assert not app.exception


def test_without_a_model_there_is_nothing_to_teach(app: AppTest, tmp_path: Path) -> None:
    run_id = store_flow_run("r1", tmp_path, model=None)
    workbench.set_flow_verdict(run_id, [2], "abnormal")
    workbench.set_flow_verdict(run_id, [1], "normal")
    opened(app)
    assert f"teach_{run_id}" not in [item.key for item in app.button]

"""The Validate page by AppTest: empty, unlabelled, measured, and with labels that cannot be used."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import workbench
from core.config import Config
from dashboard.session import VALIDATE_PAGE
from dashboard.validation.labels import source_text
from tests.builders import access_log, log_of_failures, write_labelled, write_log
from tests.pages import SHELL, shown


@pytest.fixture
def app() -> AppTest:
    st.cache_data.clear()  # of the test before
    st.cache_resource.clear()
    return AppTest.from_file(str(SHELL), default_timeout=20)


@pytest.fixture
def run(tmp_path: Path) -> workbench.RunInfo:
    """400 lines, 20 of them attacks; nobody has labelled them yet."""
    log = write_log(tmp_path / "web.txt", access_log(400, n_attacks=20, seed=7)[0])
    return workbench.score([log], config=workbench.quick(Config()))


def label(run: workbench.RunInfo, name: str = "web.labels.csv", bad: str = "") -> Path:
    lines, labels = access_log(400, n_attacks=20, seed=7)
    path = Path(run.source_path).with_name(name)
    with path.open("w", newline="") as handle:
        kinds = [
            "scan" if flag else "oddity:404" if " 404 " in line else ""
            for line, flag in zip(lines, labels, strict=True)
        ]
        rows = [(no, bad or flag, kind) for no, (flag, kind) in enumerate(zip(labels, kinds, strict=True), 1)]
        csv.writer(handle).writerows([("line_no", "label", "kind"), *rows])
    return path


def opened(app: AppTest, **query: str) -> AppTest:
    app.run()
    app.switch_page(VALIDATE_PAGE)
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def table(app: AppTest, column: str, place: int = 0) -> pl.DataFrame:
    """The table that has this column; of several the one at this place."""
    frames = [item.value for item in app.dataframe if column in item.value.columns]
    return pl.from_pandas(frames[place])


def point(app: AppTest, run: workbench.RunInfo) -> float:
    source = workbench.label_sources(run.run_id)[0].key
    return float(app.session_state[f"point_{run.run_id}_{source}_value"])


def test_without_a_run_or_with_an_unknown_one_there_is_a_way_on(app: AppTest) -> None:
    opened(app)
    assert "No log has been scored yet" in app.info[0].value
    opened(app, run="nothing-here")
    assert "nothing" in app.error[0].value


def test_without_labels_three_ways_to_give_some(app: AppTest, run: workbench.RunInfo) -> None:
    opened(app, run=run.run_id)
    assert "Three ways" in app.info[0].value
    assert not app.dataframe and not app.error


def test_labels_are_measured_and_every_cell_leads_to_its_lines(app: AppTest, run: workbench.RunInfo) -> None:
    label(run)
    expected = workbench.evaluate(run.source_path, config=workbench.quick(Config()))
    opened(app, run=run.run_id)
    figures = table(app, "pr_auc")
    assert figures["pr_auc"].to_list()[:2] == pytest.approx([expected["pr_auc"], expected["deduplicated"]["pr_auc"]])
    assert figures["prevalence"][0] == 5.0
    assert "figures are fair" in shown(app)
    assert table(app, "flagged_share")["kind"].to_list() == ["scan"]
    assert f"{expected['oddities']['n_flagged']:,.0f} of {expected['oddities']['n']:,.0f} flagged" in shown(app)
    assert {row["scorer"]: row["pr_auc"] for row in table(app, "scorer").to_dicts()}["tfidf"] == pytest.approx(
        expected["scorers"]["tfidf"]["pr_auc"]
    )
    _, labels = access_log(400, n_attacks=20, seed=7)
    for cell, wanted, count in (
        ("hits", 1, "true_positive"), ("misses", 1, "false_negative"),
        ("alarms", 0, "false_positive"), ("passed", 0, "true_negative"),
    ):  # fmt: skip
        button = app.button(f"cell_{run.run_id}_{cell}")
        assert f"{expected[count]:,.0f}" in button.label
        button.click().run()
        assert not app.exception
        if not expected[count]:
            assert "No line is in this cell" in shown(app)
            continue
        rows = table(app, "line_no")
        assert len(rows) == min(200, expected[count])
        assert {labels[no - 1] for no in rows["line_no"]} == {wanted}
        assert rows["score"].is_sorted(descending=True)
        assert ((rows["score"] >= run.threshold) == (cell in ("hits", "alarms"))).all()


def test_a_budget_and_costs_say_where_to_cut(app: AppTest, run: workbench.RunInfo):
    label(run)
    opened(app, run=run.run_id)
    budgets = next(item.value for item in app.dataframe if "budget" in item.value.columns)
    assert (budgets["flagged"].diff().dropna() >= 0).all() and (budgets["recall"].diff().dropna() >= 0).all()
    app.number_input(f"miss_{run.run_id}").set_value(0.0).run()  # then flagging nothing costs nothing
    [button] = [button for button in app.button if button.label == "Go to the least cost"]
    button.click().run()
    assert not app.exception
    assert "the labelled lines cost **0**" in shown(app)
    app.number_input(f"alarm_{run.run_id}").set_value(0.0).run()
    assert "one of the two is above 0" in shown(app)


def test_muted_lines_are_no_alerts_and_their_labels_are_measured(app: AppTest, run: workbench.RunInfo):
    label(run)
    opened(app, run=run.run_id)

    def flagged() -> list[int]:
        budgets, reader = table(app, "budget"), workbench.run(run.run_id)
        assert budgets["flagged"].to_list() == [reader.flagged(threshold) for threshold in budgets["threshold"]]
        return budgets["flagged"].to_list()

    before = flagged()
    highest = workbench.run(run.run_id).texts().sort("score", descending=True).row(0, named=True)
    workbench.mute([highest["normalized_text"]], "known", datetime.now(UTC) + timedelta(days=1))
    app.run()
    assert not app.exception
    assert flagged() != before
    cells = [
        int(button.label.split("**")[1])
        for button in app.button
        if (button.key or "").startswith(f"cell_{run.run_id}_")
    ]
    assert sum(cells) == 400
    workbench.unmute(workbench.mutes()["mute_id"][0])
    app.run()
    assert flagged() == before


def test_a_rule_moves_the_point_and_says_what_cannot_be_reached(app: AppTest, run: workbench.RunInfo) -> None:
    label(run)
    opened(app, run=run.run_id)
    assert point(app, run) == run.threshold

    def choose(rule: str) -> None:
        app.segmented_control[0].set_value(rule).run()
        assert not app.exception
        assert app.segmented_control[0].value == rule

    choose("Recall at least")
    low = point(app, run)
    app.number_input[0].set_value(50.0).run()
    assert low <= point(app, run)
    assert "Chosen on these labels" in shown(app)
    choose("Flagged per 10,000 lines at most")
    app.number_input[0].set_value(0.0).run()
    assert workbench.run(run.run_id).flagged(point(app, run)) == 0
    choose("Precision at least")
    app.number_input[0].set_value(100.0).run()
    found = workbench.labelled_run(run.run_id, workbench.label_sources(run.run_id)[0].key).labelled(run.weights)
    reachable = found.labels[found.fused == found.fused.max()].all()
    assert reachable or "no threshold reaches" in app.warning[0].value


def test_weights_change_the_figures_and_go_back(app: AppTest, run: workbench.RunInfo) -> None:
    label(run)
    opened(app, run=run.run_id)
    before = table(app, "pr_auc")
    for name in run.weights:
        app.slider(f"weight_{run.run_id}_{name}_0").set_value(1.0 if name == "severity" else 0.0)
    app.run()
    assert not app.exception
    after, alone = table(app, "pr_auc"), table(app, "scorer")
    severity = alone.filter(pl.col("scorer") == "severity")["pr_auc"][0]
    assert after["pr_auc"][0] == pytest.approx(severity, abs=0.01)
    assert after["change"][0] == pytest.approx(after["pr_auc"][0] - before["pr_auc"][0])
    assert "Chosen on these labels" in shown(app)
    app.slider(f"weight_{run.run_id}_severity_0").set_value(0.0).run()
    assert "Every weight is zero" in app.warning[0].value
    app.button("reset_weights").click().run()
    assert table(app, "pr_auc")["pr_auc"].to_list() == before["pr_auc"].to_list()
    assert not app.warning


def test_fitted_weights_are_offered_and_what_they_change_is_listed(app: AppTest, tmp_path: Path) -> None:
    log = write_labelled(tmp_path / "words.csv", *log_of_failures(90))
    scored = workbench.score([log], config=workbench.quick(Config()))
    run = workbench.reweigh(scored.run_id, scored.weights | {"severity": 0.0}, 0.01)  # all is flagged
    opened(app, run=run.run_id)
    assert "Nothing: every line is flagged, or not, as now" in shown(app)
    app.button(f"fit_offer_{run.run_id}_input").click().run()
    assert not app.exception
    assert "on held-out messages, each once" in shown(app)
    fitted = dict(table(app, "fitted").select("scorer", "fitted").iter_rows())
    app.button(f"use_offer_{run.run_id}_input").click().run()
    assert not app.exception
    assert {name: app.slider(f"weight_{run.run_id}_{name}_1").value for name in run.weights} == fitted != run.weights
    assert app.button(f"use_offer_{run.run_id}_input").disabled
    for name in run.weights:
        app.slider(f"weight_{run.run_id}_{name}_1").set_value(1.0 if name == "severity" else 0.0)
    app.run()
    rows = table(app, "tried")
    assert (len(rows), set(rows["normal"]), set(rows["abnormal"])) == (60, {1}, {0})
    assert "60" in app.button(f"changed_way_{run.run_id}_False").label
    app.button("reset_weights").click().run()
    assert {name: app.slider(f"weight_{run.run_id}_{name}_2").value for name in run.weights} == run.weights


def test_too_few_labels_to_fit_say_how_many_are_needed(app: AppTest, run: workbench.RunInfo) -> None:
    label(run)
    opened(app, run=run.run_id)
    source = workbench.label_sources(run.run_id)[0].key
    app.button(f"fit_offer_{run.run_id}_{source}").click().run()
    assert not app.exception
    assert "10 abnormal and 10 normal messages must be labelled" in app.info[0].value


def test_labels_that_cannot_be_used_say_why_and_verdicts_serve(app: AppTest, run: workbench.RunInfo) -> None:
    label(run, bad="yes")
    opened(app, run=run.run_id)
    assert "label is" in app.error[0].value.replace("\\", "")
    assert "Three ways" in app.info[0].value
    _, labels = access_log(400, n_attacks=20, seed=7)
    workbench.set_verdict(run.run_id, [no for no, flag in enumerate(labels, 1) if flag], "abnormal")
    workbench.set_verdict(run.run_id, [no for no, flag in enumerate(labels, 1) if not flag][:50], "normal")
    app.run()
    assert not app.exception
    assert app.selectbox[0].value == "verdicts"
    assert "picked for review" in shown(app)
    assert table(app, "pr_auc")["lines"][0] == 70


def test_a_run_with_other_weights_says_where_it_came_from(app: AppTest, run: workbench.RunInfo) -> None:
    label(run)
    again = workbench.reweigh(run.run_id, run.weights | {"severity": 0.0}, 0.2)
    opened(app, run=again.run_id)
    assert "Chosen on these labels" in shown(app)
    assert point(app, again) == 0.2
    sources = workbench.label_sources(again.run_id)
    assert source_text(sources[0]) == "web.labels.csv · 20 abnormal, 380 normal"

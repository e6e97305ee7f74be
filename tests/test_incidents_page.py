"""The Incidents page: what is listed, what its acts do, and how messages are muted there."""

from datetime import UTC, datetime, timedelta

import pytest
from streamlit.testing.v1 import AppTest

from core import workbench
from core.errors import WorkbenchError
from dashboard.acts import Act
from dashboard.incidents import ORDERS, USUAL, judged, ordered, perform, rows_of, seen_text
from tests.builders import HOSTILE_LINES, store_run
from tests.pages import shown

LINES = [
    *[(f"session opened {no}", "session opened num", 0.1) for no in range(40)],
    *[(text, text, 0.9) for text in HOSTILE_LINES],
    *[(f"disk failed {no}", "disk failed num", 0.6) for no in range(5)],
]


def opened(app: AppTest, **query: str) -> AppTest:
    app.run()
    app.switch_page("incidents.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def test_empty_page_and_nothing_flagged_name_the_next_action(app: AppTest):
    opened(app)
    assert "No log has been scored yet" in app.info[0].value
    store_run("a", LINES)
    workbench.set_threshold("a", 1.0)
    opened(app, run="a")
    assert "Nothing is flagged" in app.info[0].value


def test_incidents_are_told_and_one_is_opened_by_any_of_its_lines(app: AppTest):
    store_run("a", LINES)
    opened(app, run="a", incident="50")
    assert "**11** flagged lines at 0.5000 · **2** incidents" in shown(app)
    assert "**disk failed**" in shown(app)
    assert app.query_params["incident"] == "47"
    table = app.dataframe[0].value
    assert table["line_no"].to_list() == [47, 48, 49, 50, 51]
    opened(app, run="b")
    assert "there is no run b" in app.error[0].value.replace("\\", "")


def test_a_verdict_is_for_all_lines_of_an_incident_and_undone_as_one(app: AppTest):
    run_id = store_run("a", LINES)
    reader = workbench.run(run_id)
    found = workbench.incidents(reader, 0.5)
    opened(app, run="a")
    with pytest.raises(WorkbenchError, match="nothing to undo"):
        perform(run_id, found, Act(1, "undo", 47, "", "", False))
    perform(run_id, found, Act(1, "verdict", 47, "abnormal", "", False))
    assert workbench.verdicts(run_id)["line_no"].to_list() == [47, 48, 49, 50, 51]
    rows = {row.line_no: row for row in judged(rows_of(reader, found), found, workbench.verdicts(run_id))}
    assert rows[47].judged == {"abnormal": 5, "normal": 0, "unsure": 0}
    assert rows[41].judged == {}
    assert all(len(row.example) <= 300 for row in rows.values())
    perform(run_id, found, Act(2, "undo", 47, "", "", False))
    assert workbench.verdicts(run_id).is_empty()


def test_a_message_is_muted_with_its_reason_and_listed(app: AppTest):
    store_run("a", LINES)
    opened(app, run="a", incident="47")
    assert "**5** lines here, **5** flagged" in shown(app)
    app.button("mute_now_incident_a_47").click().run()
    assert "a mute needs a reason" in app.error[0].value.replace("\\", "")
    app.text_input("mute_reason_incident_a_47").set_value("a known drive")
    app.button("mute_now_incident_a_47").click().run()
    assert not app.exception
    assert "**6** flagged lines" in shown(app)
    assert "Muted messages (1): 5 lines are left out here" in [item.label for item in app.expander]
    assert app.dataframe[-1].value["reason"].to_list() == ["a known drive"]
    assert app.text_input("mute_reason_incident_a_41").value == ""  # of another incident


def test_all_messages_of_an_incident_are_muted_at_once_and_what_goes_is_said_before(app: AppTest):
    store_run("a", LINES)
    opened(app, run="a", incident="41")
    choice = app.selectbox("mute_text_incident_a_41")
    assert choice.options[:2] == ["All 6 messages of this incident", f"1. {sorted(HOSTILE_LINES)[0]}"]
    assert choice.value == choice.options[1]
    assert "**1** line here, **1** flagged" in shown(app)
    choice.select("All 6 messages of this incident").run()
    assert "**6** lines here, **6** flagged" in shown(app)
    app.text_input("mute_reason_incident_a_41").set_value("a test of ours")
    app.button("mute_now_incident_a_41").click().run()
    assert not app.exception
    assert set(workbench.mutes()["normalized_text"]) == set(HOSTILE_LINES)
    assert "**5** flagged lines at 0.5000 · **1** incident" in shown(app)


def test_incidents_are_ordered_as_asked_and_the_usual_order_is_said(app: AppTest):
    disks = [(f"disk {no} failed", "disk failed num", 0.7) for no in range(5)]
    root = [("root shell", "root shell", 0.8)] * 3
    odd = [("odd request", "odd request", 0.75)] * 4
    store_run("a", [*LINES[:40], *odd, *root, *disks])
    found = workbench.incidents(workbench.run("a"), 0.5)
    assert {order: ordered(found, order).table["incident"].to_list() for order in (USUAL, *ORDERS)} == {
        "usual": [48, 41, 45],
        "highest score": [45, 41, 48],
        "most lines": [48, 41, 45],
        "earliest": [41, 45, 48],
    }
    opened(app, run="a")
    assert app.query_params["incident"] == "48"
    assert "Highest scores first, in three bands" in shown(app)
    app.selectbox("order_of_incidents_a").select("earliest").run()
    assert app.query_params["order"] == "earliest"
    assert "Highest scores first" not in shown(app)


def test_the_threshold_page_shows_what_is_muted(app: AppTest):
    store_run("a", LINES)
    workbench.mute(["disk failed num"], "a known drive", datetime.now(UTC) + timedelta(days=1))
    app.run()
    app.switch_page("threshold.py")
    app.run()
    assert not app.exception
    assert "Rows 1 to 6 of 6" in shown(app)
    assert "Muted messages (1): 5 lines are left out here" in [item.label for item in app.expander]


def test_when_an_incident_was_seen_is_said_in_two_rows():
    at = datetime(2026, 11, 18, 6)
    row = {"first_utc": at, "last_utc": at, "first_no": 7, "last_no": 9}
    assert seen_text(row) == "2026-11-18\n06:00:00"
    assert seen_text(row | {"last_utc": at + timedelta(hours=1)}) == "2026-11-18\n06:00:00 to 07:00:00"
    assert seen_text(row | {"last_utc": at + timedelta(days=1)}) == "2026-11-18 06:00\n2026-11-19 06:00"
    assert seen_text(row | {"first_utc": None}) == "line 7\nto 9"

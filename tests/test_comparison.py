"""Two runs of the same lines: what both flag and what only one does, by hand, from disk, and on the page."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from scipy.stats import spearmanr
from streamlit.testing.v1 import AppTest

from core import workbench
from core.comparison import compare
from core.errors import WorkbenchError
from dashboard.charts import Look, score_scatter
from tests.builders import HOSTILE_LINES, store_run
from tests.pages import shown

LINES = [("disk failed 1", "disk failed num", 0.9), ("disk failed 2", "disk failed num", 0.9)]
LINES += [(text, text, 0.6) for text in HOSTILE_LINES] + [("", "", 0.0), ("cron", "cron", 0.1)]
OTHER = [(raw, text, {0.9: 0.8, 0.6: 0.2, 0.0: 0.0, 0.1: 0.7}[score]) for raw, text, score in LINES]


def texts(**scores: float) -> pl.DataFrame:
    named = {"text_id": range(len(scores)), "normalized_text": list(scores), "score": scores.values()}
    return pl.DataFrame(named).with_columns(pl.col("normalized_text").eq("muted").alias("muted"))


def test_parts_and_agreement_by_hand():
    pairs = pl.DataFrame(
        {
            "text_a": [0, 0, 1, 2, None],
            "text_b": [0, 1, 2, 2, None],
            "n_lines": [5, 3, 2, 1, 4],
            "first_no": range(1, 6),
        }
    )
    found = compare(pairs, texts(a=0.9, b=0.2, c=0.1), texts(a=0.8, a2=0.3, bc=0.55), 0.5, 0.5)
    assert found.parts.rows() == [("both", 5, 1), ("only_a", 3, 1), ("only_b", 3, 2), ("neither", 0, 0)]
    assert found.n_blank == 4
    assert found.agreement == 5 / 11
    assert found.messages.select("normalized_text", "difference", "part").rows() == [
        ("a", -0.6, "only_a"), ("c", 0.45, "only_b"), ("b", 0.35, "only_b"), ("a", -0.1, "both"),
    ]  # fmt: skip
    assert found.rank_correlation == pytest.approx(spearmanr([9, 9, 2, 1], [8, 3, 5, 5]).statistic)
    found = compare(pairs, texts(a=0.9, muted=0.8, c=0.1), texts(a=0.8, muted=0.6, c=0.3), 0.5, 0.5)
    assert found.parts.rows() == [("both", 5, 1), ("only_a", 3, 1), ("only_b", 0, 0), ("neither", 3, 2)]
    assert found.n_muted == 5
    nothing = compare(pairs.tail(1), texts(), texts(), 0.5, 0.5)
    assert (nothing.agreement, nothing.rank_correlation, nothing.messages.height) == (1.0, None, 0)


def test_runs_of_the_same_lines_are_found_and_others_refused():
    store_run("a", LINES, name="x.log")
    store_run("b", OTHER, name="x.log")
    store_run("c", [(f"{raw} " if raw else "", text, score) for raw, text, score in LINES], name="x.log")
    store_run("d", LINES[:-1], name="x.log")
    assert {info.run_id for info in workbench.comparable_runs("a")} == {"b", "c"}
    found = workbench.compared_runs("a", "b")
    assert found.parts.rows() == [("both", 2, 1), ("only_a", 6, 6), ("only_b", 1, 1), ("neither", 0, 0)]
    assert found.n_blank == 1
    assert found.messages.filter(part="both")["first_no"].to_list() == [1]
    with pytest.raises(WorkbenchError, match="different lines"):
        workbench.compared_runs("a", "c")
    workbench.set_verdict("a", [1, 2], "abnormal")
    workbench.set_verdict("a", [10], "normal")
    [source] = workbench.shared_labels("a", "b")
    a, b = workbench.compared_measures("a", "b", source.key)
    assert (a["precision"], a["recall"], b["precision"], b["recall"]) == (1.0, 1.0, pytest.approx(2 / 3), 1.0)


def test_log_text_on_the_scatter_is_inert():
    store_run("a", LINES)
    store_run("b", OTHER)
    look = Look(False, ["#000"] * 8, "#000")
    figure = score_scatter(workbench.compared_runs("a", "b").messages, (0.5, 0.5), look)
    hovers = " ".join(text for trace in figure.data for text in trace.hovertext)
    assert "<script" not in hovers and "<img" not in hovers
    assert "A" * 100 not in hovers


def opened(app: AppTest, **query: str) -> AppTest:
    app.run()
    app.switch_page("compare.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def test_empty_once_scored_and_unknown_runs_name_the_next_action(app: AppTest):
    opened(app)
    assert "No log has been scored yet" in app.info[0].value
    store_run("a", LINES)
    opened(app, run="a")
    assert "This log was scored once" in app.info[0].value
    opened(app, run="a", **{"with": "../../etc"})
    assert not app.error
    opened(app, run="b")
    assert "there is no run b" in app.error[0].value.replace("\\", "")


def test_two_runs_stand_side_by_side_and_a_link_names_both(app: AppTest):
    store_run("a", LINES, name="x.log")
    store_run("b", OTHER, name="x.log", reweighed_from="a")
    store_run("c", LINES, name="x.log")
    opened(app, run="a", **{"with": "b"})
    assert app.selectbox("other_a").value == "b"
    assert "the runs agree on 22.22% of the lines" in shown(app)
    tables = [item.value for item in app.dataframe]
    assert tables[0]["part"].to_list() == ["▲ both", "◀ only before", "▶ only after", "● neither"]
    assert tables[0]["n_lines"].to_list() == [2, 6, 1, 0]
    assert tables[1]["normalized_text"][0] == HOSTILE_LINES[0]
    app.segmented_control("part_a").set_value("both").run()
    assert not app.exception
    assert app.dataframe[1].value["normalized_text"].to_list() == ["disk failed num"]
    app.selectbox("other_a").select("c").run()
    assert app.query_params["with"] == "c"
    assert "agree on 100.00%" in shown(app)


def test_the_earlier_run_is_before_whichever_is_in_view(app: AppTest):
    store_run("a", LINES, name="x.log")
    store_run("b", OTHER, name="x.log", rescored_from="a")
    workbench.set_verdict("a", [1, 2], "abnormal")
    workbench.set_verdict("a", [10], "normal")
    for run, other, option in (("a", "b", "After"), ("b", "a", "Before")):
        opened(app, run=run, **{"with": other})
        assert app.selectbox(f"other_{run}").options[0].startswith(f"{option}: x.log · 20")  # and when, to the second
        assert "**1** lines newly flagged, **6** no longer flagged" in app.success[0].value
        _, measures, messages = (item.value for item in app.dataframe)
        precision = measures[measures["measure"] == "Precision"].to_dict("records")[0]
        assert precision["before"] == 1.0
        assert precision["change"] == precision["after"] - 1.0 == pytest.approx(-1 / 3)
        assert messages["difference"][0] == -0.4
    app.button("other_in_view").click().run()
    assert (app.query_params["run"], app.query_params["with"]) == ("a", "b")


def test_what_is_muted_is_flagged_by_neither_run_and_counted(app: AppTest):
    store_run("a", LINES, name="x.log")
    store_run("b", OTHER, name="x.log")
    opened(app, run="a")
    assert app.dataframe[0].value["n_lines"].to_list() == [2, 6, 1, 0]
    workbench.mute(["disk failed num"], "a known drive", datetime.now(UTC) + timedelta(days=1))
    app.run()
    assert app.dataframe[0].value["n_lines"].to_list() == [0, 6, 1, 2]
    assert "2 muted lines reach one and do not count as flagged" in shown(app)

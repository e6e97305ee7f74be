"""The Explore page and its figure: what a point says, what a selection shows, and what is said without a map."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from core import workbench
from core.store import RunWriter, write_map
from dashboard.charts import DIMMED, LARGEST_PX, MARKS, OPACITY, SMALLEST_PX, Look, message_map, point_sizes
from dashboard.explore import matching, points_of
from tests.builders import store_run
from tests.pages import shown

HOSTILE = "<b>login</b> <a href='http://evil.example'>x</a> &lt; $a$ #000012"
LOOK = Look(False, [f"#11111{no}" for no in range(8)], "#222222")
LINES = [
    *[(f"session opened {no}", "session opened", 0.1) for no in range(1, 7)],
    (HOSTILE, HOSTILE, 0.9),
    ("disk failed 1", "disk failed", 0.7),
    ("", "", 0.0),
    ("disk failed 2", "disk failed", 0.7),
    ("odd", "odd", 0.4),
]
VECTORS = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.9, 0.1], [0.5, 0.5, 0.5]]


def points(**changed: list) -> pl.DataFrame:
    """Three messages, the second of them flagged."""
    columns = {
        "text_id": [7, 8, 9],
        "x": [0.0, 1.0, 2.0],
        "y": [0.0, 1.0, 0.0],
        "normalized_text": ["session opened", HOSTILE, "m" * 60 + "n" * 60 + "o"],
        "count": [1, 1_200, 100],
        "score": [0.1, 0.87654321, 0.2],
        "state": ["normal", "flagged", "normal"],
        "level_class": ["", "error", "info"],
        "verdict": ["", "abnormal", ""],
        "knn": [0.0, 0.5, 0.25],
    }
    return pl.DataFrame(columns | changed)


def drawn(figure: go.Figure) -> dict[str, go.Scattergl]:
    """The traces of points by their names, those of the legend of sizes left out."""
    return {trace.name: trace for trace in figure.data if trace.type == "scattergl"}


def in_two_contexts(run_id: str) -> str:
    """A copy of a run in which one line of the second message is in another context."""
    texts = workbench.run(run_id).answers().with_columns(pl.Series("count", [6, 1, 1, 1]))
    other = texts[2:3].with_columns(
        pl.lit(4, dtype=pl.UInt32).alias("text_id"),
        pl.lit(0.9).alias("score"),
        pl.lit(0.4).alias("context"),
        pl.lit(None).cast(pl.List(pl.Float32)).alias("embedding"),
    )
    facts = {"name": "x.log", "threshold": 0.5, "scorers": ["knn"], "weights": {"knn": 1.0}, "context": True}
    with RunWriter("two") as writer:
        writer.take_lines(run_id)
        writer.renumber(
            lambda lines: lines.with_columns(
                pl.when(pl.col("line_no") == 10).then(4).otherwise("text_id").alias("text_id")
            ),
            5,
        )
        writer.finish(pl.concat([texts, other]), facts)
    return "two"


# ---- the figure


def test_a_text_in_two_contexts_lies_in_one_place():
    run_id = in_two_contexts(store_run("a", LINES, vectors=VECTORS))
    places = workbench.map_of(run_id, "pca")
    assert places["text_id"].to_list() == [0, 1, 2, 3, 4]
    assert places.row(2)[1:] == places.row(4)[1:] != places.row(3)[1:]
    found = points_of(workbench.run(run_id), places, 0.8, workbench.verdicts(run_id))
    assert found["state"].to_list() == ["normal", "flagged", "normal", "normal", "flagged"]


def test_a_point_says_its_message_as_text_and_its_facts():
    figure = message_map(points(), "score", LOOK)
    said = {trace.customdata[i]: text for trace in drawn(figure).values() for i, text in enumerate(trace.hovertext)}
    assert said == {
        7: "session opened<br>score 0.1 · 1 line",
        8: "&lt;b&gt;login&lt;/b&gt; &lt;a href='http://evil.example'&gt;x&lt;/a&gt; &amp;lt; &#36;a&#36; &#35;0<br>"
        "00012<br>▲ flagged · score 0.8765 · 1200 lines · level error · verdict abnormal",
        9: "m" * 60 + "<br>" + "n" * 60 + " …<br>score 0.2 · 100 lines · level info",
    }
    assert {trace.hovertemplate for trace in drawn(figure).values()} == {"%{hovertext}<extra></extra>"}


def test_points_are_sized_by_lines_and_coloured_by_score_with_flagged_ones_on_top():
    traces = drawn(message_map(points(), "knn", LOOK))
    assert list(traces) == ["normal", "flagged"]
    assert [traces[name].marker.symbol for name in traces] == ["circle", "triangle-up"]
    assert list(traces["normal"].customdata) == [9, 7]  # small on large
    assert list(traces["normal"].marker.color) == [0.25, 0.0]
    assert traces["normal"].marker.size[0] > traces["normal"].marker.size[1] == SMALLEST_PX
    grown = point_sizes(np.array([1, 2, 10, 1_000, 10**6, 10**8]))
    assert (np.diff(grown) >= 0).all() and grown[-1] == grown[-2] == LARGEST_PX
    assert grown[2] - grown[0] == pytest.approx((grown[4] - grown[0]) / 6, abs=0.1)


def test_high_scores_stand_out_on_light_and_on_dark():
    light = message_map(points(), "score", LOOK).layout.coloraxis
    dark = message_map(points(), "score", Look(True, LOOK.palette, "#eeeeee")).layout.coloraxis
    assert [colour for _, colour in light.colorscale] == [colour for _, colour in dark.colorscale][::-1]
    assert light.colorscale[-1] == (1, "#00224e")  # dark on light
    assert light.cmax == 0.87654321


@pytest.mark.parametrize("colour_by", list(MARKS))
def test_categories_differ_in_symbol_and_colour(colour_by: str):
    marks = list(MARKS[colour_by].values())
    assert len({place for _, _, place in marks}) == len(marks)
    named = [(symbol, name) for name, symbol, _ in marks if not name.startswith("no ")]
    assert len({symbol for symbol, _ in named}) == len(named)
    figure = message_map(points(), colour_by, LOOK)
    assert sorted(i for trace in drawn(figure).values() for i in trace.customdata) == [7, 8, 9]
    assert drawn(figure)[figure.data[len(drawn(figure)) - 1].name].customdata[0] == 8  # flagged last, on top


def test_a_level_is_told_by_colour_and_a_flagged_point_by_its_ring():
    traces = drawn(message_map(points(), "level_class", LOOK))
    assert {name: trace.marker.color for name, trace in traces.items()} == {
        "no level": LOOK.palette[7],
        "info": LOOK.palette[0],
        "error": LOOK.palette[1],
    }
    assert traces["error"].marker.line.width > traces["info"].marker.line.width


def test_a_search_dims_the_rest_and_a_selection_is_marked():
    traces = drawn(message_map(points(), "score", LOOK, found=np.array([True, False, False])))
    assert list(traces["normal"].marker.opacity) == [DIMMED, OPACITY]
    assert list(traces["flagged"].marker.opacity) == [DIMMED]
    assert traces["normal"].selectedpoints is None
    traces = drawn(message_map(points(), "score", LOOK, chosen=np.array([True, False, False])))
    assert list(traces["normal"].selectedpoints) == [1]
    assert list(traces["flagged"].selectedpoints) == []


# ---- the page


def opened(app: AppTest, **query: str) -> AppTest:
    app.run()
    app.switch_page("explore.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def table(app: AppTest, column: str) -> pl.DataFrame:
    return pl.from_pandas(next(item.value for item in app.dataframe if column in item.value.columns))


def mapped(run_id: str = "a", **facts) -> None:
    """A run whose UMAP is ready."""
    store_run(run_id, LINES, vectors=VECTORS, **facts)
    write_map(run_id, "umap-n_neighbors15-min_dist0.1-seed0", workbench.map_of(run_id, "pca"))


def test_without_a_run_or_a_network_the_next_action_is_named(app: AppTest):
    opened(app)
    assert "No log has been scored yet" in app.info[0].value
    store_run("quick", LINES)
    opened(app, run="quick")
    assert "No network read this log" in app.info[0].value
    assert not app.get("plotly_chart")


@pytest.mark.parametrize("run_id", ["nothing-here", "../../etc"])
def test_an_unknown_run_is_an_error_with_a_way_on(app: AppTest, run_id: str):
    opened(app, run=run_id)
    assert len(app.error) == 1


def test_the_map_its_messages_and_their_lines(app: AppTest):
    mapped()
    opened(app, run="a")
    assert len(app.get("plotly_chart")) == 1
    assert "4 messages, 2 of them flagged." in shown(app)
    assert "**All 4 messages, 10 lines**" in shown(app)
    assert table(app, "normalized_text")["normalized_text"].to_list() == [
        HOSTILE,
        "disk failed",
        "odd",
        "session opened",
    ]
    assert table(app, "line_no")["line_no"].to_list() == [7]
    app.segmented_control("map_lines_a").set_value("All lines").run()
    assert table(app, "line_no")["line_no"].to_list()[:3] == [7, 8, 10]


def test_messages_without_a_place_are_counted(app: AppTest):
    store_run("a", LINES, vectors=[*VECTORS[:3], None])
    app.session_state["map_method_a_kept"] = "pca"
    opened(app, run="a")
    assert "3 messages, 2 of them flagged. Left out: 1 more; of those shown, half have the highest scores" in shown(app)


def test_a_selection_and_a_search_narrow_the_tables(app: AppTest):
    mapped()
    app.session_state["map_chosen_a"] = [0, 2]  # as the lasso leaves it
    opened(app, run="a")
    assert "**2 of 4 messages, 8 lines**" in shown(app)
    assert table(app, "normalized_text")["normalized_text"].to_list() == ["disk failed", "session opened"]
    app.segmented_control("map_lines_a").set_value("Lines of the selection").run()
    assert table(app, "line_no")["line_no"].to_list() == [8, 10, 1, 2, 3, 4, 5, 6]
    next(button for button in app.button if button.label == "Clear").click().run()
    assert "**All 4 messages" in shown(app)
    app.text_input("map_search_a").set_value("/^(odd|DISK)/").run()
    assert "The search finds 2 of them." in shown(app)
    assert table(app, "normalized_text")["normalized_text"].to_list() == ["disk failed", "odd"]
    app.text_input("map_search_a").set_value("/(/").run()
    assert not app.exception
    assert "cannot be read" in app.error[0].value


def test_a_selection_is_judged_at_once_and_coloured_by_its_verdict(app: AppTest):
    mapped()
    app.session_state["map_chosen_a"] = [2]
    opened(app, run="a")
    app.button("map_judge_abnormal_a").click().run()
    assert not app.exception
    verdicts = workbench.verdicts("a")
    assert verdicts.select("line_no", "label").rows() == [(8, "abnormal"), (10, "abnormal")]
    workbench.set_verdict("a", [10], "normal")
    found = points_of(workbench.run("a"), workbench.map_of("a", "pca"), 0.5, workbench.verdicts("a"))
    assert found["verdict"].to_list() == ["", "", "abnormal", ""]  # the weightiest of a message's lines
    assert found["state"].to_list() == ["normal", "flagged", "flagged", "normal"]


def test_a_map_is_asked_for_once_and_its_failure_is_told(home: Path, app: AppTest, monkeypatch: pytest.MonkeyPatch):
    store_run("a", LINES, vectors=VECTORS)
    asked = []
    monkeypatch.setattr(workbench, "start_map", lambda *given: asked.append(given) or "j1")
    now = datetime.now(UTC).isoformat()
    job = workbench.JobStatus(
        "j1", "map", "UMAP of a.log", now, state="failed", message="out of memory", finished_utc=now
    )
    (home / "jobs" / "j1").mkdir(parents=True)
    (home / "jobs" / "j1" / "state.json").write_text(json.dumps(vars(job)))
    opened(app, run="a")
    app.run()
    assert asked == [("a", "umap")]
    assert "out of memory" in app.error[0].value
    assert "PCA is shown" in shown(app)
    assert len(app.get("plotly_chart")) == 1
    next(button for button in app.button if button.label == "Make UMAP").click().run()
    assert asked == [("a", "umap")] * 2
    app.segmented_control("map_method_a").set_value("pca").run()
    assert not app.error
    app.switch_page("threshold.py").run()
    app.switch_page("explore.py").run()
    assert app.segmented_control("map_method_a").value == "pca"  # a visit to another page changes nothing


def test_a_search_is_text_unless_it_stands_between_slashes():
    assert matching(points(), " OPENED ").tolist() == [True, False, False]
    assert matching(points(), "<B>").tolist() == [False, True, False]
    assert matching(points(), "/m{60}N/").tolist() == [False, False, True]
    assert matching(points(), " ") is None

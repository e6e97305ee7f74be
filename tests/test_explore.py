"""The Explore page and its figure: what a point says, what a selection shows, and what is said without a map."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from core import workbench
from core.store import RunWriter, write_map
from dashboard.charts import LARGEST_PX, SMALLEST_PX, point_sizes
from dashboard.components.message_map import MARKS, RAMP_STEPS, STAMP_CHARS, payload, ramp
from dashboard.explore import matching, points_of
from tests.builders import store_run
from tests.pages import shown

HOSTILE = "<b>login</b> <a href='http://evil.example'>x</a> &lt; $a$ #000012"
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
        "cluster": [0, None, 0],
        "title": ["session opened", "", "session opened"],
        "knn": [0.0, 0.5, 0.25],
    }
    return pl.DataFrame(columns | changed)


def drawn(*given, **kept) -> dict:
    """What the browser is told of the points."""
    return json.loads(payload(*given, **kept)[STAMP_CHARS:])


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


def test_small_points_lie_on_large_ones_and_flagged_ones_on_top():
    found = drawn(points(), "knn", False, "words")
    assert found["ids"] == [9, 7, 8]
    assert found["flagged"] == [0, 0, 1]
    assert found["size"][0] > found["size"][1] == SMALLEST_PX
    assert found["text"][2] == HOSTILE  # the browser puts it in as text
    assert found["cluster"] == [0, 0, -1] and found["titles"] == {"0": "session opened"}
    assert found["colour"]["codes"] == [RAMP_STEPS // 2, 0, RAMP_STEPS - 1]
    assert len(drawn(points(normalized_text=["a" * 10**6] * 3), "knn", False, "")["text"][0]) < 300
    grown = point_sizes(np.array([1, 2, 10, 1_000, 10**6, 10**8]))
    assert (np.diff(grown) >= 0).all() and grown[-1] == grown[-2] == LARGEST_PX
    assert grown[2] - grown[0] == pytest.approx((grown[4] - grown[0]) / 6, abs=0.1)


def test_high_scores_stand_out_on_light_and_on_dark():
    assert ramp(dark=True) == ramp(dark=False)[::-1]
    assert ramp(dark=False)[-1] == "rgb(0, 34, 78)"  # dark on light


@pytest.mark.parametrize("colour_by", list(MARKS))
def test_categories_differ_in_symbol_and_colour(colour_by: str):
    marks = list(MARKS[colour_by].values())
    assert len({place for _, _, place in marks}) == len(marks)
    named = [(symbol, name) for name, symbol, _ in marks if not name.startswith("no ")]
    assert len({symbol for symbol, _ in named}) == len(named)
    found = drawn(points(), colour_by, False, "")["colour"]
    named = dict(zip((9, 7, 8), (found["marks"][code]["name"] for code in found["codes"]), strict=True))
    assert named[8] == {"state": "flagged", "level_class": "error", "verdict": "abnormal"}[colour_by]
    assert named[7] == {"state": "normal", "level_class": "no level", "verdict": "no verdict"}[colour_by]


def test_another_search_is_another_drawing_and_the_same_is_the_same():
    first = payload(points(), "score", False, "")
    assert payload(points(), "score", False, "") == first
    other = payload(points(), "score", False, "", np.array([True, False, False]), [7])
    assert other[:STAMP_CHARS] != first[:STAMP_CHARS]
    found = json.loads(other[STAMP_CHARS:])
    assert found["found"] == [0, 1, 0] and found["chosen"] == [7]
    assert json.loads(first[STAMP_CHARS:])["found"] is None


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


def components(app: AppTest) -> list[str]:
    """Keys of the parts drawn in the browser, beside what every page has."""
    return [item.key for item in app.get("bidi_component") if item.key != "key_help"]


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
    assert components(app) == []


@pytest.mark.parametrize("run_id", ["nothing-here", "../../etc"])
def test_an_unknown_run_is_an_error_with_a_way_on(app: AppTest, run_id: str):
    opened(app, run=run_id)
    assert len(app.error) == 1


def test_the_map_its_messages_and_their_lines(app: AppTest):
    mapped()
    opened(app, run="a")
    assert components(app) == ["map_chart_a", "map_detail_a"]
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


def test_a_message_in_two_contexts_counts_once(app: AppTest):
    mapped()
    in_two_contexts("a")
    opened(app, run="two")
    assert "4 messages, 2 of them flagged. Each has a point for each of its contexts, 5 in all." in shown(app)
    assert "Left out" not in shown(app)
    assert "**All 4 messages, 10 lines**" in shown(app)


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


def test_new_lines_are_placed_beside_the_points_or_it_is_said_why_not(app: AppTest):
    learnt = {"model": "shop", "learnt": {"created_utc": "2026-01-01T00:00:00Z"}}
    mapped("a", **learnt)
    store_run("b", [("disk broke", "disk broke", 0.8), ("odd", "odd", 0.2)], vectors=[VECTORS[2], VECTORS[0]], **learnt)
    opened(app, run="a")
    app.button("place_run_a").click().run()
    assert not app.exception and not app.error
    assert "**2 new lines placed**" in shown(app)
    rows = table(app, "nearest_text")
    assert rows["line"].to_list() == ["disk broke", "odd"]  # the highest score first
    assert rows["nearest_text"].to_list() == ["disk failed", "session opened"]
    assert rows["remark"].to_list() == ["▲ flagged", ""]
    next(button for button in app.button if button.label == "Remove").click().run()
    assert "placed**" not in shown(app)
    app.text_area("pasted_a").set_value("a line").run()
    app.button("place_lines_a").click().run()
    assert "there is no model 'shop'" in app.error[0].value.replace("\\", "")
    assert "**All 4 messages, 10 lines**" in shown(app)


def test_what_is_shown_stands_in_the_address(app: AppTest):
    mapped()
    opened(app, run="a", map="pca", colour="Verdict", search="disk")
    assert app.segmented_control("map_method_a").value == "pca"
    assert app.selectbox("map_colour_a").value == "Verdict"
    assert "The search finds 1 of them." in shown(app)
    app.selectbox("map_colour_a").set_value("Fused score").run()
    assert "colour" not in app.query_params
    assert app.query_params["map"] == "pca"
    opened(app, run="a", map="mds", colour="nothing")
    assert not app.exception and not app.error


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
    assert components(app) == ["map_chart_a", "map_detail_a"]
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

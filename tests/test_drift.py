"""A log against what its model learnt: by hand, with a real bundle, and on the page."""

from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from core import workbench
from core.config import Config
from core.drift import drift
from core.errors import WorkbenchError
from tests.builders import HOSTILE_LINES, access_log, store_run, write_log


def texts(**counts: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "text_id": range(len(counts)),
            "normalized_text": list(counts),
            "count": counts.values(),
            "score": [0.9 if text.startswith("bad") else 0.1 for text in counts],
        },
        schema_overrides={"text_id": pl.UInt32},
    )


def learnt(**counts: int) -> pl.DataFrame:
    return pl.DataFrame({"normalized_text": list(counts), "count": counts.values()})


def test_the_same_log_has_not_drifted():
    found = drift(texts(a=90, b=10), learnt(a=900, b=100), 0.5, 0.01, 0.7, 0.2)
    assert (found.novelty, found.distance, found.n_new, found.n_known, found.n_vanished) == (0.0, 0.0, 0, 2, 0)
    assert (found.flagged, found.flagged_known, found.ordinary, found.ordinary_learnt) == (0.0, 0.0, 0.1, 0.2)
    assert found.warnings == []


def test_new_and_vanished_messages_by_hand():
    found = drift(texts(a=50, bad_new=2, other=48), learnt(a=500, gone=480, rare=20), 0.5, 0.01, 0.7, 0.1)
    assert found.new.select("normalized_text", "n_lines").rows() == [("other", 48), ("bad_new", 2)]
    assert found.vanished.rows() == [("gone", 480, 48.0)]  # of the rare one two lines would be here: no wonder
    assert (found.novelty, found.n_known, found.flagged, found.flagged_known) == (0.5, 1, 0.02, 0.0)
    assert found.distance == pytest.approx(0.5**0.5)
    assert "50% of the lines have a message that was never learnt" in found.warnings[0]
    assert "cannot hold" in found.warnings[0]
    nothing = drift(texts(x=3), learnt(a=1), 0.5, 0.01, 0.7, 0.1)
    assert (nothing.distance, nothing.flagged_known) == (1.0, None)


def test_more_flags_than_promised_warn_only_beyond_chance():
    usual = {f"t{no}": 100 for no in range(97)}
    known = learnt(**usual, bad1=1, bad2=1, bad3=1, **{f"bad{no}": 1 for no in range(4, 12)})
    assert drift(texts(**usual, bad1=500, bad2=1, bad3=1), known, 0.5, 0.01, 0.7, 0.1).warnings == []
    warned = drift(texts(**usual, **{f"bad{no}": 20 for no in range(1, 12)}), known, 0.5, 0.01, 0.7, 0.1).warnings
    assert "are flagged where 1.0% of normal ones may be" in warned[0]


def test_messages_in_several_contexts_count_once():
    twice = pl.concat([texts(new=5), texts(new=7)]).with_columns(text_id=pl.Series([0, 1], dtype=pl.UInt32))
    found = drift(twice, learnt(a=10), 0.5, 0.01, 0.7, 0.1)
    assert found.new.select("text_id", "n_lines").rows() == [(0, 12)]


def opened(app: AppTest, run_id: str) -> AppTest:
    app.run()
    app.switch_page("compare.py")
    app.query_params.update({"run": run_id, "with": "learnt"})
    app.run()
    assert not app.exception
    return app


def test_a_log_is_compared_with_its_model_and_retrained_on(app: AppTest, tmp_path: Path, monkeypatch):
    history = write_log(tmp_path / "history.log", access_log(400, seed=1)[0])
    log = write_log(tmp_path / "web.log", [*access_log(200, seed=2)[0], *(text.strip() for text in HOSTILE_LINES[:5])])
    workbench.train([history], "web", workbench.quick(Config()))
    info = workbench.score([log], "web")
    found = workbench.drift_of(info.run_id)
    assert 0 < found.novelty < 0.2
    assert 0 < found.ordinary_learnt < found.ordinary < info.threshold
    assert found.new["n_lines"].sum() == round(found.novelty * 205)
    opened(app, info.run_id)
    assert any("script" in str(text) for text in app.dataframe[0].value["normalized_text"])
    asked = []
    app.text_input(f"retrain_name_{info.run_id}").set_value("web2")
    with monkeypatch.context() as patched:
        patched.setattr(workbench, "start_retraining", lambda *given: asked.append(given))
        app.button(f"retrain_{info.run_id}").click().run()
    assert [(given.run_id, name) for given, name in asked] == [(info.run_id, "web2")]
    log.unlink()
    with pytest.raises(WorkbenchError, match="upload it again"):
        workbench.start_retraining(info, "web2")
    workbench.train([log.with_name("history.log")], "web", workbench.quick(Config(seed=1)))
    assert workbench.drift_of(info.run_id).n_new == found.n_new  # the same data: nothing it knows has changed


def test_what_cannot_be_compared_says_why(app: AppTest):
    store_run("a", [("x", "x", 0.1)])
    opened(app, "a")
    assert "fitted on the log itself" in app.info[0].value
    store_run("b", [("x", "x", 0.1)], model="gone")
    opened(app, "b")
    assert "there is no model" in app.info[0].value

"""The Models page by AppTest: bundles with their cards as text, training asked for, and taken up again."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import workbench
from core.config import Config
from core.detector import FORMAT_NUMBER
from core.errors import BundleError, WorkbenchError
from core.flow_detector import FORMAT_NUMBER as FLOW_FORMAT_NUMBER
from dashboard.charts import Look
from dashboard.job_cards import FLOW_MODEL_KEY
from dashboard.log_input import FILE_KEY
from dashboard.loss_curve import figure
from dashboard.model_name import suggested_name
from dashboard.models import card_markdown
from tests.captures import store_flow_run
from tests.pages import SHELL, shown
from tests.test_dashboard import opened, table

HISTORY = [
    {"step": 25, "train_loss": 6.0, "held_back_loss": 5.5, "seconds": 3.0},
    {"step": 50, "train_loss": 4.0, "held_back_loss": None, "seconds": 6.0},
]
HOSTILE_CARD = """# pwned
![x](http://evil.example/i.png) <img src=x onerror=alert(1)> [here](http://evil.example) :red[r] $a$
- one **bold :red[x]** and `code`
| a | b |
|---|---|
| ![x](http://evil.example) | 2 |
> quoted
"""


@pytest.fixture
def app() -> AppTest:
    st.cache_data.clear()  # of the test before, whose files had the same names
    st.cache_resource.clear()
    return AppTest.from_file(str(SHELL), default_timeout=20)


def store_model(folder: Path, name: str, card: str = "# card", **changed: object) -> None:
    """A bundle of which the page sees everything, and with which nothing can be scored."""
    (folder / name).mkdir(parents=True)
    facts = {"created_utc": "2026-11-18T06:00:00Z", "n_lines": 2_000, "n_texts": 229, "threshold": 0.4945}
    facts["precision"] = "float32"
    bundle = {"format": FORMAT_NUMBER, "config": Config().to_dict(), **facts, "history": HISTORY} | changed
    (folder / name / "bundle.json").write_text(json.dumps(bundle))
    (folder / name / "README.md").write_text(card)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    store_model(folder, "shop")
    return folder


def button(app: AppTest, label: str):
    return next(item for item in app.button if item.label == label)


def test_without_models_and_logs_it_names_the_next_action(app: AppTest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workbench, "samples", list)
    opened(app, "models.py")
    assert "No models yet" in shown(app)
    assert "Upload one on the Data page" in shown(app)
    assert "Train" not in [item.label for item in app.button]


def test_bundles_are_listed_damaged_ones_with_their_error(app: AppTest, models: Path):
    store_model(models, "base")
    store_model(models, "old", format=0)
    store_model(models, "timeless", created_utc="yesterday")
    (models / "torn").mkdir()
    (models / "torn" / "bundle.json").write_text('{"format": 1, "config"')
    opened(app, "models.py")
    rows = {row["model"]: row for row in table(app, "model").iter_rows(named=True)}
    assert list(rows) == ["base (shipped)", "old", "shop", "timeless", "torn"]
    assert "no time of ISO 8601" in rows["timeless"]["problem"]
    assert (rows["shop"]["lines"], rows["shop"]["messages"], rows["shop"]["threshold"]) == (2_000, 229, 0.4945)
    assert rows["shop"]["problem"] is None
    assert "another version" in rows["old"]["problem"] and "damaged" in rows["torn"]["problem"]


def test_models_of_captures_stand_beside_those_of_logs(app: AppTest, models: Path, tmp_path: Path):
    facts = {"kind": "captures", "format": FLOW_FORMAT_NUMBER, "n_flows": 1_653, "n_texts": 1_283}
    store_model(models, "m", "# m\ncard of m", **facts, tasks={"attack": ["no", "yes"]})
    store_model(models, "torn", **facts)  # tasks are missing
    store_flow_run("r1", tmp_path)
    opened(app, "models.py", model="m")
    rows = {row["model"]: row for row in table(app, "flows").iter_rows(named=True)}
    assert (rows["m"]["flows"], rows["m"]["texts"], rows["m"]["answers"]) == (1_653, 1_283, "attack")
    assert rows["m"]["problem"] is None and "tasks is missing" in rows["torn"]["problem"]
    assert "card of m" in shown(app) and "Scored with it (1)" in [box.label for box in app.expander]
    [score] = [item for item in app.button if item.label == "Score a capture with it"]
    score.click().run()
    assert app.session_state[FLOW_MODEL_KEY] == "m"

    app.switch_page("models.py").run()
    app.session_state["model_in_view"] = "torn"
    app.run()
    assert "tasks is missing" in app.error[0].value
    button(app, "Delete it").click().run()
    assert [model.name for model in workbench.flow_models()] == ["m"]


def test_a_foreign_card_is_text(app: AppTest, models: Path):
    store_model(models, "alien", card=HOSTILE_CARD)
    opened(app, "models.py")
    found = shown(app)
    assert "pwned" in found
    assert not re.search(r"(?<!\\)(!|\[|\]|\(|<|\$|:red)", found.partition("pwned")[2].partition("quoted")[0])
    assert card_markdown("**a_b** | `c:red[d]` *e*") == "**a\\_b** \\| `c:red[d]` \\*e\\*"
    assert card_markdown("| a | `b` |\n|---|---|") == "| a | `b` |\n|---|---|"


def test_a_model_is_deleted_once_confirmed_and_the_shipped_one_stays(app: AppTest, models: Path):
    store_model(models, "base")
    opened(app, "models.py")
    assert "Delete it" not in [item.label for item in app.button]
    with pytest.raises(BundleError, match="came with the workbench"):
        workbench.delete_model("base")
    app.session_state["model_in_view"] = "shop"
    app.run()
    button(app, "Delete it").click().run()
    assert not app.exception
    assert [path.name for path in models.iterdir()] == ["base"]
    assert table(app, "model")["model"].to_list() == ["base (shipped)"]


def test_training_starts_as_asked(app: AppTest, models: Path, monkeypatch: pytest.MonkeyPatch):
    path = workbench.inbox() / "auth 1.log"
    path.write_text("one line\n")
    asked = []
    monkeypatch.setattr(workbench, "start_training", lambda *given, **said: asked.append((*given, said)) or "job")
    opened(app, "models.py")
    app.selectbox(FILE_KEY).select(path).run()
    name = next(item for item in app.text_input if item.label == "Name of the model")
    assert name.value == "auth-1"
    name.set_value("shop").run()
    assert "replaced" in shown(app)
    next(item for item in app.text_input if item.label == "Session key").set_value(" (sshd) ").run()
    next(item for item in app.number_input if item.label.startswith("Abnormal lines")).set_value(2.5).run()
    button(app, "Train").click().run()
    assert not app.exception
    [(given, name, read, sessions, said)] = asked
    assert (given, name, read.timezone, sessions) == ([path], "shop", "UTC", "(sshd)")
    assert said == {"contamination": 0.025}


@pytest.mark.parametrize("name", ["base", "../x", ""])
def test_a_name_that_cannot_be_is_refused_on_the_page(app: AppTest, name: str):
    path = workbench.inbox() / "auth.log"
    path.write_text("one line\n")
    opened(app, "models.py")
    app.selectbox(FILE_KEY).select(path).run()
    next(item for item in app.text_input if item.label == "Name of the model").set_value(name).run()
    button(app, "Train").click().run()
    assert not app.exception
    assert len(app.error) == 1
    assert workbench.jobs() == []


def test_a_training_that_ended_badly_can_be_resumed_or_discarded(
    app: AppTest, home: Path, monkeypatch: pytest.MonkeyPatch
):
    now = datetime.now(UTC).isoformat()
    for job_id, ended in (("j1", "2026-01-01T00:00:00+00:00"), ("j2", now)):
        job = workbench.JobStatus(job_id, "train", f"Train {job_id}", ended, "failed", message="x", finished_utc=ended)
        (home / "jobs" / job_id / "checkpoints" / "checkpoint-100").mkdir(parents=True)
        (home / "jobs" / job_id / "state.json").write_text(json.dumps(vars(job)))
    resumed = []
    monkeypatch.setattr(workbench, "resume", resumed.append)
    opened(app, "models.py")
    assert [item.key for item in app.button if item.label == "Resume"] == ["resume_j2", "resume_j1"]
    app.button("resume_j1").click().run()
    assert resumed == ["j1"]
    app.button("discard_j2").click().run()
    assert not app.exception
    assert [item.key for item in app.button if item.label == "Resume"] == ["resume_j1"]
    assert not (home / "jobs" / "j2" / "checkpoints").exists()


def test_losses_are_told_apart_without_colour():
    measures = [("train_loss", 25, 6.0), ("held_back_loss", 25, 5.5), ("train_loss", 50, 4.0), ("rate", 50, 1.0)]
    made = figure(measures, Look(dark=False, palette=["#111111"] * 8, text="black"))
    assert [(line.name, list(line.x), list(line.y), line.line.dash) for line in made.data] == [
        ("texts held back", [25], [5.5], "solid"),
        ("texts learnt from", [25, 50], [6.0, 4.0], "dot"),
    ]


def test_a_bundle_of_odd_values_is_an_error_and_not_a_crash(models: Path):
    store_model(models, "odd", history="none")
    with pytest.raises(WorkbenchError, match="damaged"):
        workbench.model_details("odd")
    store_model(models, "half", history=[{"step": "x"}, 3, *HISTORY])
    assert workbench.model_details("half").history == HISTORY
    for name in ("../shop", "none", ""):
        with pytest.raises(BundleError):
            workbench.model_details(name)


def test_names_come_from_the_file_or_its_folder():
    assert suggested_name(Path("/x/web_access/train.txt")) == "web_access"
    assert suggested_name(Path("/x/![a].log.gz")) == "a"

"""What comes in: the drop folder, several files as one run, and a job done again."""

import os
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from core import jobs, workbench
from core.config import Config
from core.errors import WorkbenchError
from dashboard.log_input import FILE_KEY, MORE_FILES_KEY
from dashboard.multiples import groups_of, messages, sources
from tests.builders import store_run
from tests.pages import shown

LINES = [f"Nov 18 06:00:{no:02} web1 sshd[{no}]: Accepted password for eve from 10.0.0.{no}" for no in range(40)]


@pytest.fixture
def two_files(tmp_path: Path) -> list[Path]:
    """The earlier part of a log has the later date of its copy, and both have one name."""
    paths = [tmp_path / "old" / "auth.log", tmp_path / "auth.log"]
    for path, lines in zip(paths, (LINES[:25], LINES[25:]), strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return paths


# ---- the drop folder


def test_the_drop_folder_offers_plain_files_within_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, outside = tmp_path / "drop", tmp_path / "outside"
    (folder / "web").mkdir(parents=True)
    outside.mkdir()
    for path in (folder / "a.log", folder / "web" / "b.log", folder / ".hidden", outside / "secret.log"):
        path.write_text("x\n")
    (folder / "link.log").symlink_to(outside / "secret.log")
    (folder / "linked").symlink_to(outside)
    os.mkfifo(folder / "pipe.log")
    assert workbench.dropped() == []
    monkeypatch.setenv("TINYLOGBERT_DROP", str(folder))
    assert set(workbench.dropped()) == {folder / "a.log", folder / "web" / "b.log"}
    monkeypatch.setenv("TINYLOGBERT_DROP", str(tmp_path / "none"))
    with pytest.raises(WorkbenchError, match="TINYLOGBERT_DROP"):
        workbench.dropped()


def test_a_dropped_file_is_chosen_on_the_data_page(app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "auth.log").write_text("\n".join(LINES) + "\n")
    monkeypatch.setenv("TINYLOGBERT_DROP", str(tmp_path))
    app.run()
    assert "Drop folder" in shown(app)
    app.selectbox(FILE_KEY).select(tmp_path / "auth.log").run()
    assert not app.exception
    assert "in the drop folder" in shown(app)
    monkeypatch.setenv("TINYLOGBERT_DROP", str(tmp_path / "none"))
    app.run()
    assert not app.exception
    assert "TINYLOGBERT" in app.warning[0].value


# ---- several files as one run


def test_several_files_are_one_run_that_knows_them(two_files: list[Path], tmp_path: Path):
    info = workbench.score(two_files, None, workbench.quick(Config()), "both")
    assert (info.name, info.files) == ("auth.log and 1 more", [("auth.log", 1), ("auth.log (2)", 26)])
    assert [info.source_path, *info.more_paths] == [str(path) for path in two_files]
    told = workbench.report_html("both")
    assert all(str(path) in told and sha256(path.read_bytes()).hexdigest() in told for path in two_files)
    assert "auth.log (2), from line 26" in told
    reader = workbench.run("both")
    assert [tuple(file) for file in reader.info.files] == info.files
    rows = reader.lines(order="line_no", descending=False)
    assert rows["file"].to_list() == ["auth.log"] * 25 + ["auth.log (2)"] * 15
    assert reader.lines(span=(26, 40), order="time", descending=True)["line_no"].to_list() == list(range(40, 25, -1))
    assert reader.n_lines(span=(26, 40)) == 15
    reader.export(tmp_path / "out.csv", with_lines=True)
    assert pl.read_csv(tmp_path / "out.csv")["file"].to_list() == rows["file"].to_list()
    reader.export_ecs(tmp_path / "out.ndjson", 0.5)
    logs = pl.read_ndjson(tmp_path / "out.ndjson")["log"].struct.unnest()["file"].struct.unnest()["path"]
    assert logs.to_list() == rows["file"].to_list()


def test_files_are_read_in_the_order_they_were_chosen(app: AppTest, monkeypatch: pytest.MonkeyPatch):
    paths = [workbench.inbox() / name for name in ("a.log", "b.log", "c.log")]
    for path in paths:
        path.write_text("\n".join(LINES) + "\n")
    asked = []
    monkeypatch.setattr(workbench, "start_scoring", lambda *given: asked.append(given[0]) or "job")
    app.session_state[FILE_KEY], app.session_state[MORE_FILES_KEY] = paths[1], (paths[1], [paths[2]])
    app.run()
    app.multiselect[0].select(paths[0]).run()
    assert not app.exception
    next(button for button in app.button if button.label == "Find abnormal lines in 3 files").click().run()
    assert asked == [[paths[1], paths[2], paths[0]]]
    app.selectbox(FILE_KEY).select(paths[0]).run()
    assert app.multiselect[0].value == []  # they belonged to another log


def test_the_table_tells_and_filters_files(app: AppTest, two_files: list[Path]):
    workbench.score(two_files, None, workbench.quick(Config()), "both")
    app.run()
    app.switch_page("threshold.py")
    app.query_params.update(
        run="both", view="all", file="auth.log (2)", columns="file,line_no", rows="dense", order="latest"
    )
    app.run()
    assert not app.exception
    rows = app.dataframe[0].value
    assert rows["line_no"].to_list() == list(range(40, 25, -1))
    assert {"columns": "line_no,file", "rows": "dense", "order": "latest"}.items() <= dict(app.query_params).items()


# ---- groups of flagged lines


def test_groups_hold_the_lines_of_their_sources_and_messages():
    hosts = ["web1", "web2", "web1", "web2", "web3", "web1"]
    scores = [0.9, 0.9, 0.4, 0.0, 0.0, 0.9]
    store_run("a", [(f"line {no}", f"text {score}", score) for no, score in enumerate(scores)], hosts=hosts)
    reader = workbench.run("a")
    by_source = reader.by_source(0.5, 12, 3)
    assert by_source.rows() == [
        ("web1", 3, 2, [0, 1, 2], [0, 0, 2]),
        ("web2", 2, 1, [1, 0, 1], [0, 0, 1]),
        ("web3", 1, 0, [1, 0, 0], [0, 0, 0]),
    ]
    assert reader.by_source(0.5, 1, 3)["source"].to_list() == ["web1"]
    assert reader.by_message(0.3, 12, 2).rows() == [(0, "text 0.9", 0.9, 3, [2, 1]), (1, "text 0.4", 0.4, 1, [1, 0])]
    workbench.mute(["text 0.9"], "known", datetime.now(UTC) + timedelta(days=1))
    muted = workbench.run("a")
    assert muted.by_source(0.5, 12, 3)["n_flagged"].to_list() == [0, 0, 0]
    assert muted.by_message(0.5, 12, 2).is_empty()


def test_groups_say_in_words_what_their_bars_show():
    lines = [("odd 1", "odd", 0.9), *((f"fine {no}", "fine", 0.1) for no in range(3))]
    store_run("a", lines, hosts=["web1", "web1", "web2", "web2"])
    [source, _] = sources(workbench.run("a").by_source(0.5, 12, 2), "web1")
    assert (source.n_flagged, source.said, source.picked) == (1, "of 2 · 50%", True)
    [message] = messages(groups_of("a", 0.5, False, "none"), None)
    assert (message.n_flagged, message.said, message.picked) == (1, "line · score 0.900", False)


def test_a_search_without_end_is_stopped():
    store_run("a", [("odd 1", "odd", 0.9)])
    reader = workbench.run("a")
    with pytest.raises(WorkbenchError, match=r"stopped after 0\.2 s"):
        reader._frame("SELECT sum(hash(a.range + b.range)) FROM range(1000000) a, range(1000000) b", [], 0.2)
    assert reader.n_lines(search="odd") == 1


# ---- a job done again


def test_an_ended_job_is_done_again_as_a_new_run(two_files: list[Path]):
    first = workbench.start_scoring(two_files, None, quick=True)
    before = jobs.wait(first, 120)
    second = jobs.wait(workbench.start_again(first), 120)
    assert (before.state, second.state) == ("done", "done"), (before.message, second.message)
    assert second.title == before.title == "Score auth.log and 1 more"
    assert {run.run_id for run in workbench.runs()} == {before.result["run_id"], second.result["run_id"]}
    two_files[1].unlink()
    with pytest.raises(WorkbenchError, match="no such file any more"):
        workbench.start_again(first)


def test_a_preview_shows_what_the_columns_of_an_export_say(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "TimeCreated,Id,LevelDisplayName,ProviderName,Message\n"
        '2026-11-23T10:00:00,7031,Error,SCM,"The X service\nterminated unexpectedly."\n'
    )
    found = workbench.preview(tmp_path / "a.csv")
    row = found.rows.row(0, named=True)
    assert (row["timestamp_utc"], row["level"], row["component"]) == (datetime(2026, 11, 23, 10), "ERROR", "SCM")
    assert row["normalized_text"] == "the x service terminated unexpectedly."
    assert found.notes == ["a CSV with columns of their own for timestamp, level, component"]


def test_a_preview_says_which_year_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("E1010 08:02:30.123456       1 reflector.go:126] Failed to list pods\n")
    found = workbench.preview(tmp_path / "a.log")
    year = found.rows["timestamp_utc"][0].year
    assert found.notes == [f"klog writes no year and no zone: read as {year} in UTC"]

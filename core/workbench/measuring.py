"""Measuring a bundle on labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core.config import Config
from core.errors import InputError
from core.evaluate import measures
from core.records import Progress, no_progress
from core.runner import SerialRunner
from core.workbench.fitting import fitted, reading_of, refuse_empty
from core.workbench.models import load_model


def evaluate(
    path: str | Path,
    model: str | None = None,
    level: str = "line",
    config: Config | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Measure a bundle, or a fit on the file itself, on a labelled CSV; the labels are read for the measuring only.

    Args:
        path: CSV with the columns line and label, perhaps session.
        model: a bundle's name or folder, or None.
        level: "line" or "session" (a session is abnormal where any of its lines is).
        config: as for `score`.
        progress: told the steps.

    Raises:
        WorkbenchError: wrong columns, one class only, or no sessions.
    """
    config = config or Config()
    detector = None if model is None else load_model(model)
    read = config.read if detector is None else reading_of(detector, config.read)
    reading = SerialRunner().read([path], read, with_labels=True, progress=progress)
    refuse_empty(reading, [path])
    if detector is None:
        detector = fitted(reading, config, progress)
    texts = detector.score(reading.texts, progress)
    head = {"input": str(path), "model": model, "level": level, "seed": detector.config.seed}
    if level == "session":
        if reading.sessions is None or reading.session_labels is None:
            raise InputError(f"{path}: no sessions; name them with --sessions REGEX or a session column")
        scored, own_threshold = detector.score_sessions(reading.sessions, texts)
        rows = scored.join(reading.session_labels, on="session", how="inner", maintain_order="left")
        labels, fused = rows["label"].to_numpy(), rows["score"].to_numpy()
        return {**head, **measures(labels, fused, {}, np.ones(len(rows)), own_threshold)}
    assert reading.labels is not None  # noqa: S101 - with_labels
    rows = reading.labels.join(texts.drop("count"), on="text_id", how="inner", maintain_order="left")
    labels, fused = rows["label"].to_numpy(), rows["score"].to_numpy()
    scorers = {name: rows[f"raw_{name}"].to_numpy() for name in detector.scorers_}
    lines = measures(labels, fused, scorers, rows["count"].to_numpy(), detector.threshold_)
    distinct = measures(labels, fused, scorers, np.ones(len(rows)), detector.threshold_)
    return {**head, **lines, "deduplicated": distinct}

"""Other weights on what was scored before: the fused score anew, as a new run or a new bundle. Nothing is fitted."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import polars as pl

from core.bundles import load_model
from core.cards import write_card
from core.config import models_folder
from core.errors import WorkbenchError
from core.scoring.context import CONTEXT, raised
from core.scoring.fusion import Fusion
from core.scoring.reasons import reworded
from core.store import RunInfo, RunReader, RunWriter, Store, new_run_id
from core.workbench.models import ModelInfo, check_model_name, models


def fused_score(texts: pl.DataFrame, weights: dict[str, float], combine: str = "sum") -> np.ndarray:
    """The fused score under other weights.

    Args:
        texts: N texts with a column of calibrated scores for each scorer, and where they were judged in context theirs.
        weights: scorer name to weight, not negative, not all zero.
        combine: "sum" or "vote".

    Returns:
        [N] 0 to 1, rounded as stored scores are; raised by the context as it was found with the first weights.

    Raises:
        WorkbenchError: a weight out of range, or of a scorer that did not run.
    """
    fused = fusion_of(weights, combine).combine({name: texts[name].to_numpy() for name in weights})
    return raised(fused, texts[CONTEXT].to_numpy()) if CONTEXT in texts.columns else fused


def reweigh(run_id: str, weights: dict[str, float], threshold: float) -> RunInfo:
    """Score a run's lines again with other weights and store them as a new run; the old one stays.

    Args:
        run_id: the run to start from.
        weights: one for each of its scorers, not negative, not all zero.
        threshold: of the new run, above 0 to 1.

    Raises:
        WorkbenchError: weights or threshold out of range, or no such run.
    """
    started = time.monotonic()
    reader = RunReader(run_id)
    info = reader.info
    _check(weights, threshold, info.scorers)
    scoring = {**info.config.get("scoring", {}), "weights": weights}
    fusion = fusion_of(weights, scoring.get("combine", "sum"))
    fusion.threshold_ = threshold
    texts = reader.answers()
    calibrated = {name: texts[name].to_numpy() for name in info.scorers}
    score = raised(fusion.combine(calibrated), texts[CONTEXT].to_numpy())
    reason = reworded(
        texts["reason"].to_list(), texts["level_class"].to_list(), score, calibrated, fusion, texts[CONTEXT].to_numpy()
    )
    notes = [f"Re-weighed from run {run_id}: no scorer ran again, only the fused score, reasons and threshold are new."]
    if info.context:
        notes.append("What the other lines of a source add is as it was found with the first weights.")
    if info.session_threshold is not None:
        notes.append("Sessions were not scored again; score the file with a model of these weights to have them.")
    fields = (
        "name", "source_path", "files", "more_paths", "model", "scorers", "format", "learnt", "context", "verdicts"
    )  # fmt: skip
    kept = {field: getattr(info, field) for field in fields}
    with RunWriter(new_run_id()) as writer:
        writer.take_lines(run_id)
        stored = writer.finish(
            texts.with_columns(pl.Series("score", score), pl.Series("reason", reason, dtype=pl.String)),
            {
                **kept,
                "threshold": threshold,
                "weights": weights,
                "notes": [*(note for note in info.notes if not note.startswith("Re-weighed")), *notes],
                "config": {**info.config, "scoring": scoring},
                "reweighed_from": run_id,
                "seconds": round(time.monotonic() - started, 2),
                "lines_per_second": round(info.n_lines / max(time.monotonic() - started, 1e-6)),
            },
        )
    Store().register(stored.run_id)
    return stored


def derive_model(model: str, name: str, weights: dict[str, float], threshold: float) -> ModelInfo:
    """Save a copy of a bundle with other weights and threshold under a new name; the bundle itself stays.

    Args:
        model: name or folder of the bundle.
        name: of the copy, not in use.
        weights: one for each of its scorers, not negative, not all zero.
        threshold: above 0 to 1.

    Raises:
        WorkbenchError: a name that is taken or cannot be one, weights or threshold out of range, or no such bundle.
    """
    check_model_name(name)
    folder = models_folder() / name
    if folder.exists():
        raise WorkbenchError(f"there is a model {name!r} already; choose another name")
    detector = load_model(model)
    _check(weights, threshold, list(detector.scorers_))
    detector.fusion_ = detector.fusion_.with_weights(weights)
    detector.fusion_.threshold_ = threshold
    scoring = dataclasses.replace(detector.config.scoring, weights=dict(weights))
    detector.config = dataclasses.replace(detector.config, scoring=scoring)
    # What sessions usually hold was learnt from the old scores; the copy learns it from the sessions it is given. What
    # everyday lines score was too.
    detector.sessions_ = detector.everyday_ = None
    detector.facts_ = {**detector.facts_, "threshold": threshold, "derived_from": model}
    detector.facts_.pop("messages_flagged", None)
    detector.save(folder)
    write_card(folder, name, detector.config, detector.facts_, detector.history_)
    return next(info for info in models() if info.name == name)


def fusion_of(weights: dict[str, float], combine: str) -> Fusion:
    """The rule of these weights alone, for scores that are calibrated already; it learnt nothing."""
    return Fusion(dict(weights), combine).fit({name: np.empty(0) for name in weights}, np.empty(0))


def _check(weights: dict[str, float], threshold: float, scorers: list[str]) -> None:
    if set(weights) != set(scorers):
        raise WorkbenchError(
            f"a weight is needed for each of {', '.join(scorers)}; found {', '.join(weights) or 'none'}"
        )
    if not 0 < threshold <= 1:
        raise WorkbenchError(f"a threshold lies above 0 and at most at 1, found {threshold}")

"""A run against what its model learnt."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl

from core.bundle_folder import read_bundle
from core.bundles import model_folder
from core.config import ReadConfig
from core.detector import FORMAT_NUMBER
from core.drift import Drift, drift
from core.errors import WorkbenchError
from core.scoring.fusion import Fusion
from core.scoring.novelty import NoveltyScorer
from core.store import RunInfo, RunReader
from core.workbench.long_work import start_training
from core.workbench.rescoring import judged_messages
from core.workbench.runs import FAMILIAR_SHARE


def drift_of(run_id: str) -> Drift:
    """How far a run's log is from what its model learnt, by the model as it is stored now.

    Raises:
        WorkbenchError: the run was fitted on the log itself, or the model is gone, damaged, has been trained anew since
            or keeps no list of messages.
        StoreError: there is no such run, or it is damaged.
    """
    reader = RunReader(run_id)
    info = reader.info
    if info.model is None:
        raise WorkbenchError(
            "this run was fitted on the log itself, so there is nothing it could have drifted from; score the log with "
            "a model that learnt from earlier lines"
        )
    folder = model_folder(info.model)
    facts = read_bundle(folder, FORMAT_NUMBER)
    if facts.get("data_sha256") != info.learnt.get("data_sha256"):
        raise WorkbenchError(
            f"the model {info.model} was trained anew since this run; score the log again to compare it with what the "
            "model knows now"
        )
    novelty = folder / "scorers" / NoveltyScorer.name
    if not novelty.is_dir():
        raise WorkbenchError(f"the model {info.model} has no `novelty` and keeps no list of messages; train it with it")
    known, fusion = NoveltyScorer.load(novelty), Fusion.load(folder)
    learnt = pl.DataFrame({"normalized_text": known.texts_, "count": known.counts_})
    return drift(
        reader.texts(),
        learnt,
        info.threshold,
        fusion.false_alarm_rate,
        FAMILIAR_SHARE,
        fusion.ordinary_,
        reader.everyday(),
    )


def start_retraining(info: RunInfo, name: str) -> str:
    """Train a bundle on a run's log, read as the run read it, in a process of its own; the job's result holds `model`.

    Messages judged abnormal are not learnt.

    Raises:
        WorkbenchError: a file of the log is no longer there, or nobody knows where it was, or another name is needed.
    """
    paths = [Path(path) for path in (info.source_path, *info.more_paths)]
    if gone := [path for path in paths if not path.is_file()]:  # standard input too
        raise WorkbenchError(
            f"{gone[0].name}: the log is no longer where it was read from; upload it again and train there"
        )
    if len(paths) < len(info.files):
        raise WorkbenchError(
            f"{info.name}: this run does not say where all of its {len(info.files)} files were; score them again"
        )
    read = ReadConfig(**info.config["read"]) if "read" in info.config else ReadConfig()
    without = judged_messages(RunReader(info.run_id)).abnormal
    return start_training(paths, name, dataclasses.replace(read, sessions=None), read.sessions, without)

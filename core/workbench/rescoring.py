"""A run scored anew with what analysts said of its messages, as a new run. No network is trained.

What was judged normal joins the texts that the scorers hold as normal; what was judged abnormal in a log that was
fitted on itself does not count as learnt there. It works from what the run has stored, so the log need not be at hand.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from core.bundles import load_model
from core.config import Config
from core.detector import KEY, LogDetector
from core.errors import WorkbenchError
from core.records import TEXTS_SCHEMA, EncodedBatch, Progress, no_progress
from core.runner import SessionsSeen
from core.scoring import scorer_class
from core.scoring.context import CONTEXT
from core.scoring.ensemble import vouching
from core.scoring.novelty import NEVER_SEEN, NoveltyScorer
from core.scoring.scorer import BaseScorer
from core.scoring.sessions import Sessions
from core.store import RunInfo, RunReader, RunWriter, Store, new_run_id
from core.workbench.in_context import judged_in_context
from core.workbench.reweighing import fusion_of
from core.workbench.verdicts import verdicts

NOTE = "Scored anew from run "


@dataclass(frozen=True)
class JudgedMessages:
    """Messages of a run by what was said of their lines; normalized texts, sorted. Unsure lines say nothing.

    Attributes:
        normal: judged normal.
        abnormal: judged abnormal, in whatever context their lines are.
        mixed: with lines judged either way, or abnormal in one context only, as in a flood of everyday requests: such a
            verdict is on the source and not on the text. They count as neither.
    """

    normal: list[str]
    abnormal: list[str]
    mixed: list[str]

    def __bool__(self) -> bool:
        return bool(self.normal or self.abnormal)

    def n_counting(self, model: str | None) -> int:
        """How many of them change a run scored with a model: those judged abnormal are none that it learnt."""
        return len(self.normal) + (len(self.abnormal) if model is None else 0)

    @property
    def facts(self) -> dict[str, Any]:
        """What a run keeps of them (RunInfo.verdicts)."""
        content = json.dumps([self.normal, self.abnormal]).encode()
        counts = {"normal": len(self.normal), "abnormal": len(self.abnormal)}
        return counts | {"sha256": hashlib.sha256(content).hexdigest()}


def judged_messages(reader: RunReader) -> JudgedMessages:
    """What the verdicts in force say of a run's messages."""
    said = verdicts(reader.info.run_id).filter(pl.col("label").is_in(["normal", "abnormal"])).drop_nulls("text_id")
    texts = reader.texts().select("text_id", "normalized_text")
    labels = said.join(texts, on="text_id", how="inner").group_by("normalized_text").agg(pl.col("label").unique())
    judged = texts.join(labels, on="normalized_text").with_columns(
        pl.col("text_id").is_in(said["text_id"].implode()).alias("is_judged")
    )
    found = judged.group_by("normalized_text").agg(
        pl.when(pl.col("label").first() == ["normal"])
        .then(pl.lit("normal"))
        .when((pl.col("label").first() == ["abnormal"]) & pl.col("is_judged").all())
        .then(pl.lit("abnormal"))
        .otherwise(pl.lit("mixed"))
        .alias("said")
    )
    said_of = {
        name: sorted(found.filter(pl.col("said") == name)["normalized_text"])
        for name in ("normal", "abnormal", "mixed")
    }
    return JudgedMessages(**said_of)


def rescore(run_id: str, new_id: str | None = None, progress: Progress = no_progress) -> RunInfo:
    """Score a run's lines again with the verdicts in force and store them as a new run; the old one stays.

    The threshold in force stays, and that of sessions, so that all that changes is due to the verdicts. Context and
    sessions are judged anew where the run has them.

    Args:
        run_id: the run to start from. Where it was scored with a model, the model is needed as it was then.
        new_id: a name for the new run; None makes one.
        progress: told the steps; may raise JobCancelled.

    Raises:
        WorkbenchError: there is no verdict that counts, no such run, or its model is gone or was trained anew.
    """
    started = time.monotonic()
    reader = RunReader(run_id)
    info = reader.info
    judged = judged_messages(reader)
    if not judged:
        raise WorkbenchError(
            f"no message of run {run_id} is judged normal or abnormal; judge some lines on the Review page first"
        )
    progress("opening the model", 0, 1)
    messages, row_of = _messages(reader)
    detector = _detector(info, messages, judged)
    raw, untold = _raw_scores(detector, messages, judged.normal, progress)
    answers = messages.with_columns(pl.Series(f"raw_{name}", values) for name, values in raw.items())
    if info.model is None:
        fused = detector.fusion_.combine(detector.fusion_.calibrate(raw))
        detector.fusion_.set_threshold(fused, messages["count"].to_numpy())  # what an ordinary line scores now
    detector.fusion_.threshold_ = threshold = Store().threshold(run_id)
    texts = detector.judged(messages.select(*TEXTS_SCHEMA), answers)
    progress("storing the run", 0, 1)
    with RunWriter(new_id or new_run_id()) as writer:
        writer.take_lines(run_id)
        sessions = scored_sessions = None
        if info.context or info.session_threshold is not None:
            sessions = _sessions(reader, row_of)
        if sessions is not None and info.session_threshold is not None:
            scored_sessions, _ = detector.score_sessions(sessions, texts)
        if info.context:
            texts = _put_in_context(writer, detector, texts, sessions, row_of)
        seconds = time.monotonic() - started
        fields = (
            "name", "source_path", "files", "more_paths", "model", "scorers", "format", "learnt", "context", "weights",
            "config",
        )  # fmt: skip
        stored = writer.finish(
            texts,
            {
                **{field: getattr(info, field) for field in (*fields, "session_threshold")},
                "threshold": threshold,
                "notes": [*(note for note in info.notes if not note.startswith(NOTE)), _note(info, judged, untold)],
                "rescored_from": run_id,
                "verdicts": judged.facts,
                "seconds": round(seconds, 2),
                "lines_per_second": round(info.n_lines / max(seconds, 1e-6)),
            },
            scored_sessions,
            reader.everyday(),
        )
    Store().register(stored.run_id)
    return stored


def _messages(reader: RunReader) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All that is stored of each distinct text, as it was learnt: in order of appearance, out of any context.

    Returns:
        The texts, text_id from 0; and of each text_id of the run the `row` in them.
    """
    first = reader.line_texts().group_by("text_id").agg(pl.col("line_no").min().alias("first_no"))
    answers = reader.answers().join(first, on="text_id", how="left").sort("first_no")
    whole = {"count": pl.col("count").sum(), "embedding": pl.col("embedding").drop_nulls().first()}
    others = [name for name in answers.columns if name not in (*KEY, *whole, "text_id", CONTEXT, "first_no")]
    messages = answers.group_by(KEY, maintain_order=True).agg(
        *(pl.col(name).first() for name in others), *(part.alias(name) for name, part in whole.items())
    )
    messages = messages.with_row_index("text_id").with_columns(pl.col("text_id").cast(pl.UInt32))
    rows = messages.select(*KEY, pl.col("text_id").alias("row"))
    return messages, answers.select("text_id", *KEY).join(rows, on=KEY, how="left").select("text_id", "row")


def _detector(info: RunInfo, messages: pl.DataFrame, judged: JudgedMessages) -> LogDetector:
    """The detector before what was judged normal joins it, with the weights of the run.

    Of a log that was fitted on itself, its scorers that hold texts are fitted as they were, and what was judged
    abnormal is taken out of them.
    """
    if info.model is not None:
        detector = load_model(info.model)
        if detector.facts_.get("data_sha256") != info.learnt.get("data_sha256"):
            raise WorkbenchError(
                f"the model {info.model} was trained anew since this run; score the log again with it, then count the "
                "verdicts: they are found again in the new run"
            )
        detector.fusion_ = detector.fusion_.with_weights(info.weights)
        return detector
    config = Config.from_dict(info.config, f"run {info.run_id}")
    detector = LogDetector(config)
    detector.sessions_ = None
    detector.scorers_ = {name: scorer_class(name)(seed=config.seed) for name in info.scorers}
    detector.fusion_ = fusion_of(info.weights, config.scoring.combine)
    strangest = np.zeros(len(messages), dtype=bool)
    if config.scoring.contamination and NoveltyScorer.name in info.scorers:
        strangest = messages[f"raw_{NoveltyScorer.name}"].to_numpy() == NEVER_SEEN  # in their own log: not learnt from
    for scorer in _texts_keepers(detector):
        if scorer.requires and messages["embedding"].has_nulls():
            continue
        batch = _batch(messages, scorer)
        learnt = batch.take(np.flatnonzero(vouching(batch) & ~strangest))
        scorer.fit(learnt)
        abnormal = np.flatnonzero(np.isin(learnt.texts, judged.abnormal))
        detector.scorers_[scorer.name] = scorer.forgetting(learnt.take(abnormal))
    return detector


def _raw_scores(
    detector: LogDetector, messages: pl.DataFrame, normal: Iterable[str], progress: Progress
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Raw scores [B] of each scorer, anew of those that hold texts, as stored of the others.

    Returns:
        The scores, and the scorers with a weight that could not be told of the verdicts for every message.
    """
    raw = {name: messages[f"raw_{name}"].to_numpy().copy() for name in detector.scorers_}
    is_normal = messages["normalized_text"].is_in(list(normal))
    keepers = list(_texts_keepers(detector))
    untold = []
    for done, scorer in enumerate(keepers):
        progress(f"scoring with {scorer.name}", done, len(keepers))
        seen = messages["embedding"].is_not_null() if scorer.requires else pl.repeat(True, len(messages), eager=True)
        if not seen.all() and detector.fusion_.weights.get(scorer.name):
            untold.append(scorer.name)
        if not seen.any() or any(not hasattr(scorer, name) for name in scorer.fitted):
            continue
        joining = messages.filter(is_normal & seen)
        if len(joining):
            scorer = scorer.vouched(_batch(joining, scorer))
            detector.scorers_[scorer.name] = scorer
        raw[scorer.name][seen.to_numpy()] = scorer.score(_batch(messages.filter(seen), scorer))
    return raw, untold


def _texts_keepers(detector: LogDetector) -> list[BaseScorer]:
    return [scorer for scorer in detector.scorers_.values() if isinstance(scorer, BaseScorer) and scorer.keeps_texts]


def _batch(messages: pl.DataFrame, scorer: BaseScorer) -> EncodedBatch:
    """The messages with what the scorer requires."""
    return EncodedBatch(
        texts=messages["normalized_text"].to_list(),
        counts=messages["count"].to_numpy().astype(np.int64),
        levels=messages["level_class"].to_list(),
        embeddings=np.array(messages["embedding"].to_list(), dtype=np.float32) if scorer.requires else None,
    )


def _sessions(reader: RunReader, row_of: pl.DataFrame) -> Sessions | None:
    """What the sessions of a run hold, its texts by their rows."""
    seen = SessionsSeen()
    seen.add(_by_row(reader.line_sessions(), row_of))
    return seen.sessions()


def _put_in_context(
    writer: RunWriter, detector: LogDetector, texts: pl.DataFrame, sessions: Sessions | None, row_of: pl.DataFrame
) -> pl.DataFrame:
    """The texts parted by context, and the lines written with them."""
    found, _ = judged_in_context(detector, texts, sessions, part=False)
    examples = writer.renumber(lambda lines: found.renumbered(_by_row(lines, row_of)), len(found.texts))
    return found.texts.with_columns(pl.Series("example", examples, dtype=pl.String))


def _by_row(lines: pl.DataFrame, row_of: pl.DataFrame) -> pl.DataFrame:
    """Lines with the row of their text in place of its text_id; null stays null."""
    rows = lines.select("text_id").join(row_of, on="text_id", how="left", maintain_order="left")["row"]
    return lines.with_columns(rows.alias("text_id"))


def _note(info: RunInfo, judged: JudgedMessages, untold: list[str]) -> str:
    """Where the run came from and what stayed as it was."""
    parts = [f"{NOTE}{info.run_id} with verdicts"]
    if judged.normal:
        parts.append(f"messages judged normal ({len(judged.normal):,}) count as learnt")
    if judged.abnormal and info.model is None:
        parts.append(f"messages judged abnormal ({len(judged.abnormal):,}) do not")
    elif judged.abnormal:
        parts.append(
            f"messages judged abnormal ({len(judged.abnormal):,}) change nothing: {info.model} learnt elsewhere"
        )
    if judged.mixed:
        parts.append(f"those judged either way ({len(judged.mixed):,}) count as neither")
    if untold:
        parts.append(f"{', '.join(untold)} could not be told for messages without a stored vector")
    parts.append("networks, weights and threshold are as they were")
    return "; ".join(parts) + "."

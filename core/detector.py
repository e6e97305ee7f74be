"""LogDetector: distinct texts -> token ids -> embedding, surprise -> scorers -> calibrated -> fused -> decision.

The only file that knows the order of the stages. Two ways of fitting, both without labels: on history, to score new
lines; or on the very file to be scored, its anomalies still inside. In both, a line never vouches for itself: the
neighbour scorers leave a text's own line out.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from core.bundle_folder import read_bundle, whole_folder, write_bundle
from core.config import Config, default_weights
from core.errors import BundleError, InputError, WorkbenchError
from core.records import (
    Decision,
    EncodedBatch,
    Explanation,
    Measure,
    Progress,
    Scorer,
    no_measure,
    no_progress,
)
from core.scoring import scorer_class
from core.scoring.ensemble import Fitted, draw, fit_scorers, hold_back, load_scorers, raw_scores, save_scorers
from core.scoring.everyday import Everyday, at_or_above
from core.scoring.reasons import SEPARATOR, reasons
from core.scoring.sessions import Sessions, SessionScorer
from core.tokenization.log_tokenizer import LogTokenizer
from core.tokenization.normalize import formats_of

if TYPE_CHECKING:
    from core.networks.encoder import Encoder

FORMAT_NUMBER = 3
NETWORK_FIELDS = frozenset({"embeddings", "token_surprise", "corrupted"})
SCORE_TOLERANCE = 1e-4
"""Scores of the same line differ by at most this on one machine, whatever is scored beside it."""
SCORED_SCHEMA: dict[str, Any] = {
    "score": pl.Float64,
    "is_anomaly": pl.Int8,
    "reason": pl.String,
    "nearest": pl.String,
    "tokens": pl.List(pl.String),
    "surprise": pl.List(pl.Float32),
    "expected": pl.List(pl.String),
    "expected_p": pl.List(pl.Float32),
    "embedding": pl.List(pl.Float32),
}
"""The columns that `score` adds, beside a calibrated and a raw one for each scorer (Float64)."""
TOKEN_COLUMNS = ("tokens", "surprise", "expected", "expected_p")
KEY = ["normalized_text", "level_class"]
"""What a text is known by."""
NEAREST_SHOWN = 2_000  # the nearest normal line is looked up for this many of the highest scores
EMBEDDINGS_KEPT = 20_000  # texts whose embedding is handed on for a map: half the highest scores, half drawn by content
LIBRARIES = ("torch", "tokenizers", "numpy", "polars", "scikit-learn")


class LogDetector:
    """Fits, scores, explains, saves and loads.

    Args:
        config: everything that shapes the bundle; `fit` sets weights to 0 where little is learnt from.

    Attributes:
        fusion_: calibration, weights and threshold.
        scorers_: fitted scorers by name, in the order of columns.
        facts_: what bundle.json says beside the config: data hash, counts, seconds, training history.
        learnt_: `answers` of the texts it learnt from, straight after `fit`; None of a loaded detector.
        everyday_: what lines like the learnt ones score; None where it was fitted on what it scores, or re-weighed.
    """

    learnt_: pl.DataFrame | None = None
    everyday_: Everyday | None = None

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()

    # ------------------------------------------------------------------ fit

    def fit(
        self,
        texts: pl.DataFrame,
        progress: Progress = no_progress,
        checkpoints: Path | None = None,
        measure: Measure = no_measure,
        *,
        on_itself: bool = False,
    ) -> Self:
        """Learn from distinct texts, without labels.

        Args:
            texts: records.TEXTS_SCHEMA.
            progress: told the steps; may raise JobCancelled.
            checkpoints: folder where training leaves off and resumes, or None.
            measure: told the losses of training.
            on_itself: the texts are the log that is to be scored, anomalies and all: the threshold parts their scores
                (Fusion.split) instead of keeping a rate of false alarms.

        Raises:
            InputError: no text to learn from.
        """
        if texts.is_empty():
            raise InputError("nothing to learn from: the input has no line with text")
        started = dt.datetime.now(dt.UTC)
        names = list(self.config.scoring.weights)
        self.scorers_: dict[str, Scorer] = {name: scorer_class(name)(seed=self.config.seed) for name in names}
        asked, self.config = self.config, self._weighed(texts["normalized_text"].n_unique())
        self.tokenizer_ = LogTokenizer(self.config.read)
        self.history_: list[dict[str, float | None]] = []
        self.encoder_: Encoder | None = None
        self.sessions_: SessionScorer | None = None
        share = self.config.training.held_back
        held_back = hold_back(texts["normalized_text"].to_list(), share, self.config.seed)
        batch = _batch(texts)
        if self._needs_network():
            batch = self._train_network(texts, batch, held_back, progress, checkpoints, measure)
        scoring = self.config.scoring
        fitted = fit_scorers(self.scorers_, scoring, batch, held_back, progress, on_itself=on_itself)
        self.fusion_ = fitted.fusion
        self.learnt_ = self._answer_table(batch, fitted.raw)
        self.facts_ = self._facts(texts, started)
        if self.config is not asked:
            self.facts_["network_silent"] = True
        if not on_itself:
            self._learn_everyday(texts, fitted)
        if scoring.contamination:
            self.facts_["strangest_lines"] = int(batch.counts[~fitted.learnt].sum())
        return self

    def _learn_everyday(self, texts: pl.DataFrame, fitted: Fitted) -> None:
        """What was learnt, by score (`text` is the text_id), and what the threshold would flag of as much again."""
        rows = texts.select(
            formats_of(texts["example"], self.config.read).alias("format"),
            pl.col("text_id").cast(pl.Int64).alias("text"),
            "count",
            pl.Series("score", self.fusion_.combine(self.fusion_.calibrate(fitted.raw))),
        )
        held_back = rows[fitted.held_back].select("format", pl.Series("score", fitted.unseen))
        self.everyday_ = Everyday.of(rows.filter(pl.Series(fitted.learnt)), held_back)
        lines_of_format = dict(rows.group_by("format").agg(pl.col("count").sum()).iter_rows())
        again = self.everyday_.expected(lines_of_format, in_context=False)
        if again is not None:
            flagged = at_or_above(again, self.threshold_)["messages"]
            self.facts_["messages_flagged"] = flagged / float(again["messages"].sum())

    def _weighed(self, n_texts: int) -> Config:
        """The settings; by default the network has no say if it learns from fewer texts than an embedding has numbers.

        Its scores follow its first weights there, and the seed would decide what is found (docs/decisions.md). Other
        weights than the default ones were asked for, and stay.
        """
        scoring = self.config.scoring
        if n_texts >= self.config.network.hidden_size or scoring.weights != default_weights():
            return self.config
        of_network = {name for name, scorer in self.scorers_.items() if scorer.requires & NETWORK_FIELDS}
        weights = {name: 0.0 if name in of_network else weight for name, weight in scoring.weights.items()}
        return replace(self.config, scoring=replace(scoring, weights=weights))

    def _needs_network(self) -> bool:
        return any(scorer.requires & NETWORK_FIELDS for scorer in self.scorers_.values())

    def _train_network(
        self,
        texts: pl.DataFrame,
        batch: EncodedBatch,
        held_back: np.ndarray,
        progress: Progress,
        checkpoints: Path | None,
        measure: Measure,
    ) -> EncodedBatch:
        """Train tokenizer and network; the batch with embeddings, surprise and corrupted texts."""
        progress("learning the vocabulary", 0, 1)
        # Imported here: scoring a line must not load transformers.
        from core.networks.encoder import Encoder
        from core.training.corruption import corrupt
        from core.training.mlm import train_mlm

        config = self.config
        distinct = texts["normalized_text"].unique(maintain_order=True).to_list()
        self.tokenizer_ = LogTokenizer(config.read).train(distinct, config.network.vocab_size)
        ids = self._ids(batch.texts)
        kept = [ids[row] for row in np.flatnonzero(~held_back)]
        network, self.history_ = train_mlm(
            kept,
            batch.counts[~held_back],
            [ids[row] for row in np.flatnonzero(held_back)],
            tokenizer=self.tokenizer_.vocabulary,
            network_config=config.network,
            training_config=replace(config.training, max_steps=_steps(len(kept), config.training.max_steps)),
            seed=config.seed,
            progress=progress,
            checkpoints=checkpoints,
            measure=measure,
        )
        self.encoder_ = Encoder(network, goes_on=_goes_on(self.tokenizer_))
        batch = self._encoded(batch, progress)
        if not any("corrupted" in scorer.requires for scorer in self.scorers_.values()):
            return batch
        progress("writing corrupted texts", 0, 1)
        corrupted_ids = corrupt(kept, batch.counts[~held_back], self.encoder_, seed=config.seed)
        corrupted = EncodedBatch(
            texts=[""] * len(corrupted_ids),
            counts=np.ones(len(corrupted_ids), dtype=np.int64),
            levels=[""] * len(corrupted_ids),
            embeddings=self.encoder_.embed(corrupted_ids, progress),
        )
        return replace(batch, corrupted=corrupted)

    def fit_sessions(self, sessions: Sessions, texts: pl.DataFrame, *, on_itself: bool = False) -> Self:
        """Learn how sessions usually run.

        Args:
            sessions: of the log learnt from.
            texts: what `score` returned for its texts.
            on_itself: as for `fit`.
        """
        rate = self.config.scoring.false_alarm_rate
        contamination = self.config.scoring.contamination
        self.sessions_ = SessionScorer(rate).fit(sessions, texts, contamination=contamination, on_itself=on_itself)
        return self

    # ---------------------------------------------------------------- score

    def score(self, texts: pl.DataFrame, progress: Progress = no_progress) -> pl.DataFrame:
        """Scores of distinct texts.

        Args:
            texts: records.TEXTS_SCHEMA.
            progress: told the texts encoded.

        Returns:
            The texts with score (0 to 1, higher is more abnormal), is_anomaly (0/1), raw_<scorer> and <scorer>
            (calibrated, 0 to 1) for each scorer, reason, nearest (or null); tokens, and for each of them surprise
            (-ln p), expected (the likeliest token in its place) and expected_p (its probability); embedding ([CLS]
            vector, null without a network and for all but EMBEDDINGS_KEPT texts).
        """
        return self.judged(texts, self.answers(texts, progress))

    def answers(
        self, texts: pl.DataFrame, progress: Progress = no_progress, known: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """What is said of each text alone, whatever the weights and the threshold: the long part of scoring.

        Args:
            texts: records.TEXTS_SCHEMA.
            progress: told the texts encoded.
            known: answers of this very detector, given before; they are looked up.

        Returns:
            A row a text, in order: normalized_text, level_class, raw_<scorer> for each scorer, tokens, surprise,
            expected, expected_p and embedding (null without a network) as `score` says.

        Raises:
            WorkbenchError: the detector has learnt nothing yet.
        """
        self._check_fitted()
        known = self.learnt_ if known is None else known
        if known is None:
            return self._answers(texts, progress)
        rows = texts.select(KEY).join(known, on=KEY, how="left", maintain_order="left")
        new = rows["tokens"].is_null()
        if not new.any():
            return rows
        answered = self._answers(texts.filter(new), progress)
        rows = rows.with_row_index("row")
        numbered = rows.filter(new).select("row").with_columns(answered)
        return pl.concat([rows.filter(~new), numbered.select(rows.columns)]).sort("row").drop("row")

    def _answers(self, texts: pl.DataFrame, progress: Progress) -> pl.DataFrame:
        batch, raw = self._raw(_batch(texts), progress)
        return self._answer_table(batch, raw)

    def _answer_table(self, batch: EncodedBatch, raw: dict[str, np.ndarray]) -> pl.DataFrame:
        columns: dict[str, Any] = {"normalized_text": batch.texts, "level_class": batch.levels}
        columns |= {f"raw_{name}": values for name, values in raw.items()} | self._tokens(batch)
        table = pl.DataFrame(columns, schema_overrides={name: SCORED_SCHEMA[name] for name in TOKEN_COLUMNS})
        embeddings = [None] * len(batch) if batch.embeddings is None else batch.embeddings
        return table.with_columns(pl.Series("embedding", embeddings).cast(SCORED_SCHEMA["embedding"]))

    def judged(self, texts: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
        """Scores of texts as `score` gives them, from their answers.

        Args:
            texts: records.TEXTS_SCHEMA.
            answers: of `answers`, for these texts.
        """
        raw = {name: answers[f"raw_{name}"].to_numpy() for name in self.scorers_}
        columns = self._judged(_batch(texts), raw)
        kept = self._with_embedding(texts["normalized_text"].to_list(), np.asarray(columns["score"]))
        kinds = {name: pl.Float64 for scorer in self.scorers_ for name in (scorer, f"raw_{scorer}")} | SCORED_SCHEMA
        return texts.with_columns(
            *(pl.Series(name, values, dtype=kinds[name]) for name, values in columns.items()),
            *(answers[name] for name in TOKEN_COLUMNS),
            answers.select(pl.when(pl.lit(pl.Series(kept))).then("embedding").alias("embedding")).to_series(),
        )

    def _raw(self, batch: EncodedBatch, progress: Progress) -> tuple[EncodedBatch, dict[str, np.ndarray]]:
        """The batch with what the network makes of it, and each scorer's raw scores [B]."""
        if self.encoder_ is not None:
            batch = self._encoded(batch, progress)
        return batch, raw_scores(self.scorers_, batch, progress)

    def _judged(self, batch: EncodedBatch, raw: dict[str, np.ndarray]) -> dict[str, Sequence[Any] | np.ndarray]:
        """The columns that fusion adds to raw scores [B]."""
        calibrated = self.fusion_.calibrate(raw)
        score = self.fusion_.combine(calibrated)
        return {
            "score": score,
            "is_anomaly": (score >= self.threshold_).astype(np.int8),
            **{f"raw_{name}": values for name, values in raw.items()},
            **calibrated,
            "reason": reasons(batch, score, calibrated, self.fusion_, self.scorers_),
            "nearest": self._nearest(batch, score),
        }

    def score_sessions(self, sessions: Sessions, texts: pl.DataFrame) -> tuple[pl.DataFrame, float]:
        """Scores of sessions and their threshold; a detector that learnt none learns from these very sessions.

        Args and the columns returned: as scoring.sessions.SessionScorer.score.
        """
        rate = self.config.scoring.false_alarm_rate
        contamination = self.config.scoring.contamination
        scorer = self.sessions_ or SessionScorer(rate).fit(sessions, texts, contamination=contamination, on_itself=True)
        return scorer.score(sessions, texts), scorer.threshold_

    def explain(self, line: str) -> Explanation:
        """Score one line and say why.

        Raises:
            InputError: the line is blank.
            WorkbenchError: the detector has learnt nothing yet.
        """
        self._check_fitted()
        found = self.tokenizer_.text_and_level(line)
        if found is None:
            raise InputError("the line is blank; there is nothing to score")
        return self.explain_texts([found])[0]

    def _check_fitted(self) -> None:
        if not hasattr(self, "tokenizer_"):
            raise WorkbenchError("the detector has learnt nothing yet: call fit or load first")

    def explain_texts(self, texts: Sequence[tuple[str, str]]) -> list[Explanation]:
        """Score distinct texts, pairs of normalized text and level class, and say why."""
        batch = _distinct(texts)
        batch, raw = self._raw(batch, no_progress)
        columns = self._judged(batch, raw) | self._tokens(batch)
        return [
            self._explanation(text, {name: values[row] for name, values in columns.items()})
            for row, text in enumerate(batch.texts)
        ]

    def decide_texts(self, texts: Sequence[tuple[str, str]]) -> list[Decision]:
        """Score distinct texts as `explain_texts` does, and say no more: only what has a weight is worked out."""
        weighted = {name: scorer for name, scorer in self.scorers_.items() if self.fusion_.weights.get(name)}
        needed = {field for scorer in weighted.values() for field in scorer.requires}
        batch = _distinct(texts)
        if self.encoder_ is not None and "token_surprise" in needed:
            batch = self._encoded(batch, no_progress)
        elif self.encoder_ is not None and needed:
            batch = replace(batch, embeddings=self.encoder_.embed(self._ids(batch.texts)))
        raw = {name: scorer.score(batch) for name, scorer in weighted.items()}
        scores = self.fusion_.combine(self.fusion_.calibrate(raw))
        return [Decision(bool(score >= self.threshold_), float(score), self.threshold_, []) for score in scores]

    def _explanation(self, text: str, scored: dict[str, Any]) -> Explanation:
        """Of one row of `_judged` and `_tokens`."""
        names = list(self.scorers_)
        contributions = self.fusion_.contributions({name: np.array([scored[name]]) for name in names})
        return Explanation(
            decision=Decision(
                is_anomaly=bool(scored["is_anomaly"]),
                fused_score=float(scored["score"]),
                threshold=self.threshold_,
                reasons=[reason for reason in scored["reason"].split(SEPARATOR) if reason],
            ),
            normalized_text=text,
            scores={name: float(scored[name]) for name in names},
            raw_scores={name: float(scored[f"raw_{name}"]) for name in names},
            contributions={name: float(values[0]) for name, values in contributions.items()},
            tokens=scored["tokens"],
            surprise=scored["surprise"],
            expected=list(zip(scored["expected"], scored["expected_p"], strict=True)),
            nearest=scored["nearest"],
        )

    @property
    def threshold_(self) -> float:
        """The fused score from which a line is flagged."""
        return self.fusion_.threshold_

    @property
    def precision_(self) -> str:
        """What the network runs in on this processor, "bfloat16" or "float32"; "none" without a network."""
        return "none" if self.encoder_ is None else self.encoder_.precision

    def _encoded(self, batch: EncodedBatch, progress: Progress) -> EncodedBatch:
        """The batch with what the network makes of it; equal texts of different levels are encoded once."""
        distinct = list(dict.fromkeys(batch.texts))
        row = {text: number for number, text in enumerate(distinct)}
        rows = np.array([row[text] for text in batch.texts])
        assert self.encoder_ is not None  # noqa: S101 - callers check
        encoded = self.encoder_.encode(self._ids(distinct), progress)
        return replace(
            batch,
            embeddings=encoded.embeddings[rows],
            token_surprise=encoded.surprise[rows],
            expected=encoded.expected[rows],
            expected_p=encoded.expected_p[rows],
        )

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer_.encode(texts, self.config.network.max_tokens)

    def _tokens(self, batch: EncodedBatch) -> dict[str, Sequence[Any]]:
        """The columns with an entry a token: tokens, surprise, expected, expected_p."""
        surprise: list[list[float]]
        expected: list[list[str]]
        probability: list[list[float]]
        if batch.token_surprise is None or batch.expected is None or batch.expected_p is None:
            tokens = [text.split() for text in batch.texts]
            surprise = [[float("nan")] * len(words) for words in tokens]
            expected, probability = [[] for _ in tokens], [[] for _ in tokens]
        else:
            tokens = self.tokenizer_.pieces(batch.texts, self.config.network.max_tokens)
            lengths = [len(pieces) for pieces in tokens]
            name = np.array(self.tokenizer_.names, dtype=object)
            surprise = _cut(batch.token_surprise, lengths)
            expected = _cut(name[batch.expected], lengths)
            probability = _cut(batch.expected_p, lengths)
        return {"tokens": tokens, "surprise": surprise, "expected": expected, "expected_p": probability}

    def _with_embedding(self, texts: list[str], score: np.ndarray) -> np.ndarray:
        """[B] which texts keep their embedding."""
        rows = np.argsort(-score, kind="stable")
        if len(rows) > EMBEDDINGS_KEPT:
            highest, rest = np.split(rows, [EMBEDDINGS_KEPT // 2])
            drawn = np.argsort([draw(texts[row], self.config.seed) for row in rest], kind="stable")
            rows = np.concatenate([highest, rest[drawn[: EMBEDDINGS_KEPT - len(highest)]]])
        kept = np.zeros(len(texts), dtype=bool)
        kept[rows] = True
        return kept

    def _nearest(self, batch: EncodedBatch, score: np.ndarray) -> list[str | None]:
        nearest: list[str | None] = [None] * len(batch)
        tfidf: Any = self.scorers_.get("tfidf")
        if tfidf is not None:
            rows = np.argsort(-score, kind="stable")[:NEAREST_SHOWN]
            for row, text in zip(rows, tfidf.nearest(batch.take(rows)), strict=True):
                nearest[row] = text
        return nearest

    # ---------------------------------------------------------- save, load

    def save(self, folder: str | Path) -> None:
        """Write the bundle: JSON and safetensors only. The folder appears whole or not at all.

        Raises:
            BundleError: it cannot be written.
            WorkbenchError: the detector has learnt nothing yet.
        """
        self._check_fitted()
        with whole_folder(Path(folder)) as part:
            save_scorers(part, self.scorers_, self.fusion_)
            if self.sessions_ is not None:
                (part / "sessions").mkdir()
                self.sessions_.save(part / "sessions")
            if self.everyday_ is not None:
                self.everyday_.save(part / "everyday")
            self.tokenizer_.save(part)
            if self.encoder_ is not None:
                self.encoder_.network.save(part)
            described = {"format": FORMAT_NUMBER, "config": self.config.to_dict()}
            write_bundle(part, described | self.facts_ | {"history": self.history_})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a bundle.

        Raises:
            BundleError: missing, damaged, or of a format this version does not know.
        """
        folder = Path(folder)
        bundle = read_bundle(folder, FORMAT_NUMBER)
        history = bundle.pop("history", [])
        try:
            detector = cls(Config.from_dict(bundle.pop("config"), str(folder / "bundle.json")))
        except (KeyError, WorkbenchError) as error:
            raise BundleError(f"{folder}: bundle.json is damaged: {error}; train the model again") from error
        detector.facts_ = bundle
        detector.history_ = history
        detector.tokenizer_ = LogTokenizer.load(folder, detector.config.read)
        detector.scorers_, detector.fusion_ = load_scorers(folder, detector.config.scoring)
        detector.sessions_ = SessionScorer.load(folder / "sessions") if (folder / "sessions").exists() else None
        detector.everyday_ = Everyday.load(folder / "everyday") if (folder / "everyday").exists() else None
        detector.encoder_ = None
        if detector._needs_network():
            from core.networks.encoder import Encoder
            from core.networks.tinylogbert import TinyLogBert

            if detector.tokenizer_.word_pieces is None:
                raise BundleError(f"{folder}: tokenizer.json is missing; train the model again")
            detector.encoder_ = Encoder(TinyLogBert.load(folder), goes_on=_goes_on(detector.tokenizer_))
        return detector

    def _facts(self, texts: pl.DataFrame, started: dt.datetime) -> dict[str, Any]:
        digest = hashlib.sha256()
        for row in sorted(texts.select("normalized_text", "level_class", "count").iter_rows()):
            digest.update(json.dumps(row).encode())
        return {
            "created_utc": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "n_lines": int(texts["count"].sum()),
            "n_texts": len(texts),
            "data_sha256": digest.hexdigest(),
            "seconds": round((dt.datetime.now(dt.UTC) - started).total_seconds(), 1),
            "threshold": self.threshold_,
            "precision": self.precision_,
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        }


def _batch(texts: pl.DataFrame) -> EncodedBatch:
    return EncodedBatch(
        texts=texts["normalized_text"].to_list(),
        counts=texts["count"].to_numpy().astype(np.int64),
        levels=texts["level_class"].to_list(),
    )


def _goes_on(tokenizer: LogTokenizer) -> list[int]:
    """The tokens that go on with the word before them."""
    return [token for token, name in enumerate(tokenizer.names) if name.startswith("##")]


def _distinct(texts: Sequence[tuple[str, str]]) -> EncodedBatch:
    """Texts and their levels, a line each."""
    return EncodedBatch(
        texts=[text for text, _ in texts],
        counts=np.ones(len(texts), dtype=np.int64),
        levels=[level for _, level in texts],
    )


def _cut(values: np.ndarray, lengths: list[int]) -> list[list]:
    """Rows [B, T] as lists of their own lengths."""
    return [row[:length].tolist() for row, length in zip(values, lengths, strict=True)]


def _steps(n_texts: int, most: int) -> int:
    """A log of a few texts is learnt by heart in a few steps; more would only keep the analyst waiting."""
    return min(most, max(40, 10 * n_texts))

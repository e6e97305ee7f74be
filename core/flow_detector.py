"""FlowDetector: flows -> hexadecimal tokens -> embedding, surprise -> scorers -> calibrated -> fused -> decision.

The only file that knows the order of the stages for captures. It learns without labels, as LogDetector does and with
the same scorers; tasks with labels (an application, an attack) may be taught to the same network afterwards.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from core.bundle_folder import CAPTURES, read_bundle, whole_folder, write_bundle
from core.config import TrafficConfig
from core.errors import BundleError, InputError, WorkbenchError
from core.records import EncodedBatch, Flow, Measure, Progress, Scorer, no_measure, no_progress
from core.scoring import scorer_class
from core.scoring.context import CONTEXT, raised
from core.scoring.ensemble import fit_scorers, hold_back, load_scorers, raw_scores, save_scorers
from core.scoring.flow_context import LEAST_RATE, burst_limit, flow_contexts, rates
from core.scoring.fusion import Fusion
from core.tokenization.hex_text import MASK, TSK, FlowTokenizer, FlowTokens

if TYPE_CHECKING:
    from core.networks.answers import Prompt, Task, Tasks
    from core.networks.flow_encoder import EncodedFlows, FlowEncoder
    from core.training.loop import LoopConfig

FORMAT_NUMBER = 1
LIBRARIES = ("torch", "numpy", "polars")
DATA_FACTS = ("n_flows", "n_texts", "data_sha256")
"""What bundle.json says of the flows learnt from; of a taught bundle those of its scorers, beside "pretrained"."""


@dataclasses.dataclass(frozen=True)
class JudgedFlows:
    """What `FlowDetector.judge` makes of N flows.

    Attributes:
        scores: a row a flow, as `score` gives them; context too where that was asked for.
        texts: the tokens of each flow.
        rows: [N] int64, the row of each flow's text in `surprise`.
        surprise: [M, T] float32 of each distinct text's tokens in nats beyond what the network expected it to be, 0 or
            more, higher is stranger; NaN past the last.
    """

    scores: pl.DataFrame
    texts: list[FlowTokens]
    rows: np.ndarray
    surprise: np.ndarray


class FlowDetector:
    """Fits, teaches, scores, answers, saves and loads.

    Args:
        config: everything that shapes the bundle.

    Attributes:
        tokenizer_: flows to token ids.
        tasks_: what the network answers; `generation` alone until something is taught.
        encoder_: the network at work.
        scorers_: fitted scorers by name, in the order of columns.
        fusion_: calibration, weights and threshold.
        facts_: what bundle.json says beside the config.
        history_: losses of pre-training.
    """

    tasks_: Tasks
    encoder_: FlowEncoder
    scorers_: dict[str, Scorer]
    fusion_: Fusion
    facts_: dict[str, Any]
    history_: list[dict[str, float | None]]

    def __init__(self, config: TrafficConfig | None = None) -> None:
        self.config = config or TrafficConfig()
        self.tokenizer_ = _tokenizer(self.config)

    # ------------------------------------------------------------------ learn

    def fit(
        self,
        flows: Sequence[Flow],
        progress: Progress = no_progress,
        checkpoints: Path | None = None,
        measure: Measure = no_measure,
        *,
        on_itself: bool = False,
    ) -> Self:
        """Pre-train the network on flows without labels, fit the scorers and set the threshold.

        Args:
            flows: to learn from; each distinct text counts once for the network, and as often as it came for scorers.
            progress: told the steps; may raise JobCancelled.
            checkpoints: folder where training leaves off and resumes, or None.
            measure: told the losses of training, nats a token.
            on_itself: the flows are those to be scored, attacks and all (LogDetector.fit).

        Raises:
            InputError: there is no flow.
        """
        if not flows:
            raise InputError("nothing to learn from: the captures hold no flow")
        started = dt.datetime.now(dt.UTC)
        from core.networks.answers import Tasks
        from core.networks.netgpt import PRESETS, NetGptConfig, random_netgpt
        from core.training.causal import pretrain

        texts, firsts, counts = self._distinct(flows)
        held_back = self._held_back(texts)
        self.tasks_ = Tasks.first(self.tokenizer_.vocab_size, TSK, MASK)
        shape = NetGptConfig(self.tasks_.vocab_size, **PRESETS[self.config.preset])
        kept = [flows[first] for first, held in zip(firsts, held_back, strict=True) if not held]
        network, self.history_ = pretrain(
            random_netgpt(shape, self.config.seed),
            self.tasks_,
            self._epochs(kept),
            [text for text, held in zip(texts, held_back, strict=True) if held],
            self._loop(),
            seed=self.config.seed,
            progress=progress,
            measure=measure,
            checkpoints=checkpoints,
        )
        self._use(network)
        batch = self._batch(texts, counts, progress)
        self.scorers_ = {name: scorer_class(name)(seed=self.config.seed) for name in self.config.scoring.weights}
        scoring = self.config.scoring
        self.fusion_ = fit_scorers(self.scorers_, scoring, batch, held_back, progress, on_itself=on_itself).fusion
        self.facts_ = self._facts(flows, texts, started)
        return self

    def teach(
        self,
        flows: Sequence[Flow],
        labels: Mapping[str, Sequence[str | None]],
        progress: Progress = no_progress,
        checkpoints: Path | None = None,
        measure: Measure = no_measure,
        *,
        ordinary: Sequence[bool | None] | None = None,
    ) -> Self:
        """Fine-tune the network to answer tasks. The scorers are fitted anew on these flows' embeddings.

        What the network answered before is taught again beside the new labels, or it would forget the tasks that it
        knows (learning without forgetting: Li and Hoiem, arXiv 1606.09282).

        Args:
            flows: labelled ones.
            labels: task name to the label of each flow; None where it has none.
            progress: as for `fit`.
            checkpoints: as for `fit`.
            measure: as for `fit`.
            ordinary: whether labels call a flow ordinary, None where none does; None where they never tell, and the
                scorers learn all. Where most flows are told of they learn the ordinary ones; else, as with the few
                flows that an analyst has judged, all but those that are not.

        Raises:
            InputError: no flow has a label.
            WorkbenchError: a task has fewer than two labels, or its name is taken.
        """
        from core.training.answering import AnsweringConfig, finetune

        started = dt.datetime.now(dt.UTC)
        tasks = self.tasks_
        for name, values in labels.items():
            tasks = tasks.with_task(name, sorted({value for value in values if value is not None}))
        known = {task.name: self.answer(flows, task.name, progress)["answer"].to_list() for task in self.taught_}
        texts = [self.tokenizer_.encode(flow) for flow in flows]
        held_back = self._held_back(texts)
        kept, held = (np.flatnonzero(rows).tolist() for rows in (~held_back, held_back))

        def part(rows: list[int]) -> dict[str, list[str | None]]:
            return {name: [values[row] for row in rows] for name, values in (known | dict(labels)).items()}

        network, _ = finetune(
            self.encoder_.network,
            tasks,
            self._epochs([flows[row] for row in kept]),
            part(kept),
            [texts[row] for row in held],
            part(held),
            self._loop(),
            AnsweringConfig(causal_share=self.config.causal_share),
            seed=self.config.seed,
            progress=progress,
            measure=measure,
            checkpoints=checkpoints,
        )
        self.tasks_ = tasks
        self._use(network)
        told = ordinary or [None] * len(flows)
        mostly_told = sum(known is not None for known in told) * 2 > len(flows)
        learnt = [flow for flow, known in zip(flows, told, strict=True) if known or (known is None and not mostly_told)]
        distinct, _, counts = self._distinct(learnt)
        batch = self._batch(distinct, counts, progress)
        scoring = self.config.scoring
        if mostly_told:  # the attacks are out already
            scoring = dataclasses.replace(scoring, contamination=0.0)
        self.fusion_ = fit_scorers(self.scorers_, scoring, batch, self._held_back(distinct), progress).fusion
        pretrained = self.facts_.get("pretrained", {name: self.facts_[name] for name in DATA_FACTS})
        facts = self._facts(learnt, distinct, started)
        if not mostly_told:  # among them may be floods, beside which no rate would be a burst
            facts["burst"] = self.facts_.get("burst", LEAST_RATE)
        self.facts_ = facts | {"pretrained": pretrained, "n_given": len(flows), "ordinary_only": mostly_told}
        return self

    # ------------------------------------------------------------------ judge

    @property
    def taught_(self) -> list[Task]:
        """The tasks that it answers."""
        return [task for task in self.tasks_.tasks if task.labels]

    @property
    def threshold_(self) -> float:
        """The fused score from which a flow is flagged."""
        return self.fusion_.threshold_

    def score(self, flows: Sequence[Flow], progress: Progress = no_progress) -> pl.DataFrame:
        """Scores of flows, each judged alone.

        Returns:
            A row a flow, in order: score (0 to 1, higher is more abnormal), is_anomaly (0/1), raw_<scorer> and
            <scorer> (calibrated, 0 to 1) for each scorer.
        """
        return self.judge(flows, progress).scores

    def judge(self, flows: Sequence[Flow], progress: Progress = no_progress, *, context: bool = False) -> JudgedFlows:
        """Scores of flows, and what the network read of them.

        Args:
            flows: any number, in the order they ended.
            progress: told the flows read.
            context: raise the score of a flow whose source has other unusual flows among those given, or too many a
                second (core/scoring/flow_context.py); the scores gain the column context, 0 to 1. A source is an
                address; no scorer sees it.
        """
        texts = [self.tokenizer_.encode(flow) for flow in flows]
        row_of: dict[str, int] = {}
        rows = [row_of.setdefault(_name(text), len(row_of)) for text in texts]
        first_of = dict(zip(reversed(rows), reversed(texts), strict=True))  # row to the first flow that has the text
        distinct = [first_of[row] for row in range(len(row_of))]
        batch = self._batch(distinct, np.ones(len(distinct), np.int64), progress)
        raw = raw_scores(self.scorers_, batch, progress)
        calibrated = self.fusion_.calibrate(raw)
        columns: dict[str, Any] = {"score": self.fusion_.combine(calibrated)}
        for name in self.scorers_:
            columns |= {f"raw_{name}": raw[name], name: calibrated[name]}
        scores = pl.DataFrame(columns)[rows]
        if context:
            beside = flow_contexts(
                *_sources(flows), rows, columns["score"], self.fusion_.ordinary_, self.facts_.get("burst", LEAST_RATE)
            )
            scores = scores.with_columns(
                pl.Series("score", raised(scores["score"].to_numpy(), beside)), pl.Series(CONTEXT, beside)
            )
        flagged = (pl.col("score") >= self.threshold_).cast(pl.Int8).alias("is_anomaly")
        scores = scores.select("score", flagged, pl.exclude("score"))
        assert batch.token_surprise is not None  # noqa: S101  _batch fills it
        return JudgedFlows(scores, texts, np.array(rows, np.int64), batch.token_surprise)

    def answer(self, flows: Sequence[Flow], task: str, progress: Progress = no_progress) -> pl.DataFrame:
        """What the network answers of each flow.

        Args:
            flows: any number.
            task: one that was taught.
            progress: told the flows read.

        Returns:
            A row a flow, in order: answer (a label of the task) and probability (of that label, 0 to 1).

        Raises:
            WorkbenchError: it knows no such task, or it has no labels.
        """
        asked = self.tasks_[task]
        if not asked.labels:
            raise WorkbenchError(f"task {task!r} has no labels; teach one with: python -m core traffic finetune")
        prompts = self._prompts([self.tokenizer_.encode(flow) for flow in flows], task)
        probabilities = self.encoder_.answer(prompts, asked, progress)  # [N, L]
        best = probabilities.argmax(axis=1) if len(flows) else np.empty(0, np.int64)
        return pl.DataFrame(
            {
                "answer": [asked.labels[label] for label in best],
                "probability": probabilities.max(axis=1, initial=0.0).astype(np.float64),
            },
            schema={"answer": pl.String, "probability": pl.Float64},
        )

    def read(self, flows: Sequence[Flow], progress: Progress = no_progress) -> tuple[list[FlowTokens], EncodedFlows]:
        """Tokens of flows and what the network makes of them: embeddings, and the surprise of each token.

        The prompt of two tokens stands before a flow's own in `surprise`.
        """
        texts = [self.tokenizer_.encode(flow) for flow in flows]
        return texts, self._encode(texts, progress)

    # ------------------------------------------------------------------ keep

    def save(self, folder: Path) -> None:
        """Write the bundle: JSON and safetensors only. The folder appears whole or not at all.

        Raises:
            BundleError: it cannot be written.
        """
        with whole_folder(folder) as part:
            save_scorers(part, self.scorers_, self.fusion_)
            self.tasks_.save(part)
            self.encoder_.network.save(part)
            described = {"format": FORMAT_NUMBER, "kind": CAPTURES, "config": dataclasses.asdict(self.config)}
            tasks = {task.name: task.labels for task in self.taught_}
            write_bundle(part, described | self.facts_ | {"tasks": tasks, "history": self.history_})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a bundle.

        Raises:
            BundleError: missing, damaged, of logs, or of a format this version does not know.
        """
        from core.networks.answers import Tasks
        from core.networks.netgpt import NetGpt

        bundle = read_bundle(folder, FORMAT_NUMBER, CAPTURES)
        history = bundle.pop("history", [])
        try:
            detector = cls(TrafficConfig.from_dict(bundle.pop("config"), str(folder / "bundle.json")))
        except (KeyError, WorkbenchError) as error:
            raise BundleError(f"{folder}: bundle.json is damaged: {error}; train the model again") from error
        bundle.pop("tasks", None)  # told for lists of bundles; tasks.json is what counts
        detector.facts_, detector.history_ = bundle, history
        detector.tasks_ = Tasks.load(folder)
        network = NetGpt.load(folder)
        if detector.tasks_.tasks[0].token != detector.tokenizer_.vocab_size:
            raise BundleError(f"{folder}: tasks and tokens do not fit each other; train the model again")
        if network.config.vocab_size < detector.tasks_.vocab_size:
            raise BundleError(f"{folder}: the network does not know all tasks; train the model again")
        detector._use(network)
        detector.scorers_, detector.fusion_ = load_scorers(folder, detector.config.scoring)
        return detector

    # ------------------------------------------------------------------ parts

    def _use(self, network: Any) -> None:
        from core.networks.flow_encoder import FlowEncoder

        self.encoder_ = FlowEncoder(network)

    def _loop(self) -> LoopConfig:
        from core.training.loop import LoopConfig

        return LoopConfig(max_steps=self.config.max_steps, learning_rate=self.config.learning_rate)

    def _epochs(self, flows: Sequence[Flow]) -> Callable[[int], list[FlowTokens]]:
        """The flows of an epoch: as sent, and in every second epoch with their header fields shuffled."""

        def texts(epoch: int) -> list[FlowTokens]:
            tokenizer = self.tokenizer_
            if self.config.shuffle and epoch % 2:
                tokenizer = dataclasses.replace(tokenizer, shuffle_seed=self.config.seed + epoch)
            return [tokenizer.encode(flow) for flow in flows]

        return texts

    def _distinct(self, flows: Sequence[Flow]) -> tuple[list[FlowTokens], list[int], np.ndarray]:
        """Distinct texts in order of first appearance, the flow each came from first, and flows that have each."""
        texts: dict[str, FlowTokens] = {}
        counts: dict[str, int] = {}
        firsts: list[int] = []
        for number, flow in enumerate(flows):
            text = self.tokenizer_.encode(flow)
            name = _name(text)
            if name not in texts:
                texts[name] = text
                firsts.append(number)
            counts[name] = counts.get(name, 0) + 1
        return list(texts.values()), firsts, np.array(list(counts.values()), np.int64)

    def _held_back(self, texts: Sequence[FlowTokens]) -> np.ndarray:
        return hold_back([_name(text) for text in texts], self.config.held_back, self.config.seed)

    def _prompts(self, texts: Sequence[FlowTokens], task: str) -> list[Prompt]:
        return [self.tasks_.prompt(text.ids, text.segments, task, self.encoder_.config) for text in texts]

    def _encode(self, texts: Sequence[FlowTokens], progress: Progress) -> EncodedFlows:
        return self.encoder_.encode(self._prompts(texts, self.tasks_.tasks[0].name), progress)

    def _batch(self, texts: Sequence[FlowTokens], counts: np.ndarray, progress: Progress) -> EncodedBatch:
        encoded = self._encode(texts, progress)
        return EncodedBatch(
            texts=[_name(text) for text in texts],
            counts=counts,
            levels=[""] * len(texts),
            embeddings=encoded.embeddings,
            # Beyond what the network itself expects: random and encrypted bytes surprise it as much as it foresaw. The
            # prompt's own tokens say nothing of the flow.
            token_surprise=np.maximum(encoded.surprise - encoded.entropy, 0.0)[:, 2:],
        )

    def _facts(self, flows: Sequence[Flow], texts: Sequence[FlowTokens], started: dt.datetime) -> dict[str, Any]:
        digest = hashlib.sha256("\n".join(sorted(map(_name, texts))).encode())
        return {
            "created_utc": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "n_flows": len(flows),
            "n_texts": len(texts),
            "data_sha256": digest.hexdigest(),
            "seconds": round((dt.datetime.now(dt.UTC) - started).total_seconds(), 1),
            "threshold": self.threshold_,
            "burst": burst_limit(rates(*_sources(flows))),
            "precision": self.encoder_.precision,
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        }


def _sources(flows: Sequence[Flow]) -> tuple[list[str], list[float]]:
    """Who began each flow, and when."""
    return [flow.key[1] for flow in flows], [flow.first_utc for flow in flows]


def _tokenizer(config: TrafficConfig) -> FlowTokenizer:
    return FlowTokenizer(
        unit_bytes=config.unit_bytes,
        masked=config.masked,
        hide_names=config.hide_names,
        max_packets=config.max_packets,
        payload_bytes=config.payload_bytes,
    )


def _name(text: FlowTokens) -> str:
    """A flow's tokens as the text that scorers know it by."""
    return " ".join(f"{token:x}" for token in text.ids)

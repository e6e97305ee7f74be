"""Settings: frozen dataclasses, one a stage; defaults, then a TOML file, then flags. Unknown keys are refused."""

from __future__ import annotations

import dataclasses
import math
import os
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import WorkbenchError

LEAST_TOKENS = 8  # of a text: [CLS], [SEP] and enough between them to foretell


@dataclass(frozen=True)
class ReadConfig:
    """How bytes become lines and lines become fields.

    Attributes:
        format: a name of `python -m core formats`, or "auto": each line by its own shape.
        message_field: the JSON field or CSV column that holds the text; None tries the usual names.
        max_line_bytes: longer lines are cut there, counted and shown as rejected.
        year: the year of the first line of logs that write none (RFC 3164); None infers it from the file's date.
        timezone: zone of timestamps that name none.
        sessions: a regular expression (linear time, no look-around) whose first group is the session key; "source" for
            who caused the line (tokenization/sources.py); None takes the `session` column of a CSV, where there is one.
    """

    format: str = "auto"
    message_field: str | None = None
    max_line_bytes: int = 65_536
    year: int | None = None
    timezone: str = "UTC"
    sessions: str | None = None

    def __post_init__(self) -> None:
        if self.max_line_bytes < 1:
            raise WorkbenchError(f"max_line_bytes must be 1 or more, found {self.max_line_bytes}")


@dataclass(frozen=True)
class FlowConfig:
    """How a capture's packets become flows.

    Attributes:
        keep_packets: packets kept of each flow, its first ones: a TCP handshake (3), what each side says first, and
            their acknowledgements come to 8.
        packet_bytes: bytes kept of a packet; it bounds memory, with `keep_packets` and `open_flows`.
        idle_seconds: a flow that is silent for longer has ended.
        active_seconds: a flow that lasts longer is cut there.
        open_flows: flows held at once; beyond, those longest silent are given out first.
    """

    keep_packets: int = 8
    packet_bytes: int = 512
    idle_seconds: float = 120.0
    active_seconds: float = 1_800.0
    open_flows: int = 65_536


@dataclass(frozen=True)
class NetworkConfig:
    """TinyLogBERT's shape: BERT-mini (Turc et al., arXiv 1908.08962) with a small WordPiece vocabulary."""

    vocab_size: int = 8_000
    hidden_size: int = 256
    n_layers: int = 4
    n_heads: int = 4
    max_tokens: int = 128

    def __post_init__(self) -> None:
        if self.max_tokens < LEAST_TOKENS:
            raise WorkbenchError(f"max_tokens must be {LEAST_TOKENS} or more, found {self.max_tokens}")


@dataclass(frozen=True)
class TrainingConfig:
    """Masked log modelling and the corruption head.

    Attributes:
        max_steps: optimizer steps of masked log modelling at most; stops early when held-back loss stops falling. 0
            leaves the weights random, to measure what training gives.
        batch_size: texts a step.
        learning_rate: peak, after warm-up, then linear decay.
        mask_probability: share of tokens masked (Devlin et al., arXiv 1810.04805).
        held_back: share of distinct texts kept from fitting, for calibration, threshold and early stop.
    """

    max_steps: int = 300
    batch_size: int = 32
    learning_rate: float = 1e-3
    mask_probability: float = 0.15
    held_back: float = 0.2

    def __post_init__(self) -> None:
        if not (self.learning_rate >= 0 and math.isfinite(self.learning_rate) and 0 <= self.held_back < 1):
            raise WorkbenchError(
                "learning_rate must be 0 or more and held_back at least 0 and below 1, found "
                f"{self.learning_rate} and {self.held_back}"
            )


def default_weights() -> dict[str, float]:
    """Weights of the fused score; the key order is the order of columns everywhere.

    The shape and words of a line, severity and novelty carry it, with a little of two of the network's, where it learns
    from as many texts as an embedding has numbers. Those at 0 are computed and shown; in the fused score they lost more
    than they gave (docs/decisions.md).
    """
    return {
        "mlp_head": 0.0,
        "knn": 0.0,
        "density": 0.1,
        "autoencoder": 0.2,
        "one_class": 0.0,
        "likelihood": 0.0,
        "novelty": 0.6,
        "tfidf": 0.3,
        "shape": 1.5,
        "severity": 0.7,
    }


@dataclass(frozen=True)
class ScoringConfig:
    """Which scorers run, how they are fused and where the threshold lies.

    Attributes:
        weights: scorer name to weight, not negative; a scorer left out is not fitted.
        combine: "sum" for the weighted mean of calibrated scores, "vote" for the weighted share of scorers
            whose calibrated score is at or above one half.
        false_alarm_rate: share of held-back normal lines that may be flagged; sets the threshold.
        contamination: share of the lines learnt from that may be abnormal, 0 to 0.5: the strangest so many are not
            learnt from. Of a log fitted on itself the threshold flags so many; at 0 it is where the scores part.
    """

    weights: dict[str, float] = field(default_factory=default_weights)
    combine: str = "sum"
    false_alarm_rate: float = 0.01
    contamination: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.contamination <= 0.5:
            raise WorkbenchError(f"contamination must be a share from 0 to 0.5, found {self.contamination}")


def default_flow_weights() -> dict[str, float]:
    """Weights of a flow's fused score; the key order is the order of columns."""
    return {"knn": 1.0, "density": 0.25, "autoencoder": 0.25, "likelihood": 1.0}


@dataclass(frozen=True)
class TrafficConfig:
    """Everything that shapes a bundle of captures (core/flow_detector.py); saved whole in it.

    Attributes:
        preset: shape of the network (networks/netgpt.py).
        unit_bytes: 1 or 2 bytes a token; this and the next four as tokenization/hex_text.py says.
        masked: hide what names endpoints, connections and moments.
        hide_names: hide server names in payloads too.
        max_packets: first packets of a flow that are read.
        payload_bytes: first bytes of each payload that are read.
        shuffle: shuffle header fields in every second epoch.
        max_steps: optimizer steps of pre-training or fine-tuning at most; each stops early.
        learning_rate: peak.
        causal_share: weight of pre-training's loss beside that of answers.
        held_back: share of distinct texts kept from training, for early stop, calibration and threshold.
        scoring: which scorers run and how they are fused.
        seed: of every random choice.
    """

    preset: str = "small"
    unit_bytes: int = 1
    masked: bool = True
    hide_names: bool = True
    max_packets: int = 8
    payload_bytes: int = 64
    shuffle: bool = True
    max_steps: int = 300
    learning_rate: float = 1e-3
    causal_share: float = 0.1
    held_back: float = 0.1
    scoring: ScoringConfig = field(default_factory=lambda: ScoringConfig(default_flow_weights()))
    seed: int = 0

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: str = "settings") -> TrafficConfig:
        """Build from plain values.

        Raises:
            WorkbenchError: for an unknown key or a value of the wrong type.
        """
        return typing.cast(TrafficConfig, _build(cls, values, source))


@dataclass(frozen=True)
class Config:
    """Everything that shapes a bundle; saved whole in it."""

    read: ReadConfig = field(default_factory=ReadConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 32:
            raise WorkbenchError(f"seed must be a whole number from 0 to {(1 << 32) - 1:,}, found {self.seed}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: str = "settings") -> Config:
        """Build from plain values.

        Raises:
            WorkbenchError: for an unknown key or a value of the wrong type.
        """
        return typing.cast(Config, _build(cls, values, source))

    @classmethod
    def from_toml(cls, path: Path) -> Config:
        """Read a TOML file with the tables `read`, `network`, `training`, `scoring`."""
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise WorkbenchError(f"{path}: settings cannot be read: {error}") from error
        return cls.from_dict(values, str(path))


def _build(cls: type, values: Any, source: str) -> Any:
    if not isinstance(values, dict):
        raise WorkbenchError(f"{source}: expected a table of settings, found {values!r}")
    kinds = typing.get_type_hints(cls)
    if unknown := sorted(set(values) - set(kinds)):
        raise WorkbenchError(f"{source}: unknown setting {', '.join(unknown)}; known: {', '.join(kinds)}")
    arguments = {}
    for key, value in values.items():
        kind = kinds[key]
        if dataclasses.is_dataclass(kind):
            arguments[key] = _build(typing.cast(type, kind), value, f"{source}: {key}")
        elif not _fits(value, kind):
            raise WorkbenchError(f"{source}: {key} must be {getattr(kind, '__name__', kind)}, found {value!r}")
        else:
            arguments[key] = value
    return cls(**arguments)


def _fits(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is dict:
        return isinstance(value, dict) and all(
            isinstance(k, str) and isinstance(v, int | float) for k, v in value.items()
        )
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def home() -> Path:
    """The user's data folder: TINYLOGBERT_HOME, or .tinylogbert under the user's home. Not created here."""
    named = os.environ.get("TINYLOGBERT_HOME")
    return Path(named).expanduser() if named else Path.home() / ".tinylogbert"


def models_folder() -> Path:
    """Where bundles live: models/ in the checkout, beside core/; TINYLOGBERT_MODELS moves it."""
    named = os.environ.get("TINYLOGBERT_MODELS")
    return Path(named).expanduser() if named else Path(__file__).resolve().parents[1] / "models"

"""What every scorer shares: input checks, refusal before `fit`, and a folder of JSON and safetensors.

The contract itself is `records.Scorer`: finite scores, higher is more abnormal.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from core.errors import BundleError, WorkbenchError
from core.records import EncodedBatch

VALUES_FILE = "scorer.json"
ARRAYS_FILE = "arrays.safetensors"


class BaseScorer(ABC):
    """Checks and storage of a scorer; a method adds `fit`, `score` and the list of what it learns.

    Attributes:
        name: key in the table of scorers.
        requires: fields of EncodedBatch needed beyond texts, counts and levels.
        calibrated: True where `score` is already in [0, 1] and means the same for every log, so that fusion
            passes it through unchanged.
        unit: a raw score of this size is clearly abnormal in most logs: it is calibrated to one half.
        fitted: each attribute that `fit` sets, with its type: np.ndarray, float, or list (of str or of np.ndarray).
            Empty for a scorer that learns nothing.
        seed: of every random choice in `fit`.
    """

    name: str
    requires: frozenset[str] = frozenset()
    calibrated: bool = False
    unit: float = 1.0
    fitted: ClassVar[dict[str, type]] = {}

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @abstractmethod
    def fit(self, batch: EncodedBatch) -> Self:
        """Learn what is usual; see `records.Scorer`."""

    @property
    def keeps_texts(self) -> bool:
        """Whether it holds what is normal as texts, so that one more can join them without fitting anew."""
        return "texts_" in self.fitted

    def vouched(self, batch: EncodedBatch) -> Self:
        """A copy that counts these texts as normal, to score with, not to save; itself where it keeps no texts.

        What it learnt stays. A text scores as high as before or lower.

        Args:
            batch: texts judged normal, each once, with what the scorer requires.
        """
        return self

    def forgetting(self, batch: EncodedBatch) -> Self:
        """A copy that no longer holds these texts as learnt; as `vouched`, to score with, not to save.

        Its units stay, so that the texts that are not like them score as before.

        Args:
            batch: texts it learnt, with the counts they were learnt with.
        """
        return self

    @abstractmethod
    def score(self, batch: EncodedBatch) -> np.ndarray:
        """[B] float64, higher is more abnormal; see `records.Scorer`."""

    def check_input(self, batch: EncodedBatch, fields: frozenset[str] | None = None) -> None:
        """Refuse a batch whose parts do not fit together or that lacks a field.

        Args:
            batch: texts to fit on or to score.
            fields: what must be there; by default what the scorer requires to score.

        Raises:
            WorkbenchError: naming the scorer, the field and what was expected.
        """
        n_texts = len(batch.texts)
        if batch.counts.shape != (n_texts,) or len(batch.levels) != n_texts:
            raise WorkbenchError(
                f"{self.name}: {n_texts} texts came with counts of shape {batch.counts.shape} and "
                f"{len(batch.levels)} levels; expected one of each for every text"
            )
        for field in self.requires - {"corrupted"} if fields is None else fields:
            value = getattr(batch, field)
            if value is None:
                raise WorkbenchError(
                    f"{self.name}: needs {field}, which this batch does not have; run the network first"
                )
            if isinstance(value, EncodedBatch):
                self.check_input(value)
            elif value.ndim != 2 or value.shape[0] != n_texts:
                raise WorkbenchError(f"{self.name}: {field} has shape {value.shape}; expected ({n_texts}, width)")
            elif np.isinf(value).any() or (field == "embeddings" and np.isnan(value).any()):
                raise WorkbenchError(f"{self.name}: {field} holds a value that is not finite")

    def check_fit_input(self, batch: EncodedBatch) -> None:
        """As `check_input`, and there must be at least one text with at least one line each.

        Raises:
            WorkbenchError: where there is nothing to learn from.
        """
        self.check_input(batch, self.requires)
        if not len(batch) or (batch.counts < 1).any():
            raise WorkbenchError(f"{self.name}: nothing to learn from: expected texts with a count of 1 or more each")

    def check_fitted(self) -> None:
        """Refuse to score before `fit` or `load`.

        Raises:
            WorkbenchError: where a fitted value is missing.
        """
        if missing := [name for name in self.fitted if not hasattr(self, name)]:
            raise WorkbenchError(
                f"{self.name}: not fitted ({', '.join(missing)} missing); fit it or load a bundle first"
            )

    def check_width(self, embeddings: np.ndarray, width: int) -> None:
        """Refuse embeddings of another network.

        Raises:
            WorkbenchError: where `embeddings` [B, D] is not `width` wide.
        """
        if embeddings.shape[1] != width:
            raise WorkbenchError(
                f"{self.name}: embeddings are {embeddings.shape[1]} wide, but it was fitted on {width}: "
                "score with the network the scorer was fitted with"
            )

    def check_values(self) -> None:  # noqa: B027  most scorers with one value have nothing to add
        """Check loaded values against each other; a scorer with several says how they must agree.

        Raises:
            ValueError: where they do not.
        """

    def save(self, folder: Path) -> None:
        """Write `scorer.json` and, where there are arrays, `arrays.safetensors` into an existing folder.

        Raises:
            WorkbenchError: where the scorer is not fitted.
        """
        self.check_fitted()
        values: dict[str, Any] = {"name": self.name, "seed": self.seed}
        arrays: dict[str, np.ndarray] = {}
        for name in self.fitted:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                arrays[name] = np.ascontiguousarray(value)
            elif isinstance(value, list) and value and isinstance(value[0], np.ndarray):
                arrays |= {f"{name}.{i}": np.ascontiguousarray(array) for i, array in enumerate(value)}
            else:
                values[name] = value
        (folder / VALUES_FILE).write_text(json.dumps(values, ensure_ascii=False), "utf-8")
        if arrays:
            save_file(arrays, folder / ARRAYS_FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            BundleError: where a file is missing, cut short, of another scorer or inconsistent.
        """
        try:
            values = json.loads((folder / VALUES_FILE).read_text("utf-8"))
            if not isinstance(values, dict) or values.get("name") != cls.name or type(values.get("seed")) is not int:
                raise ValueError(f"{VALUES_FILE} does not describe the scorer {cls.name}")
            scorer = cls(seed=values["seed"])
            needs_arrays = any(name not in values for name in cls.fitted)
            arrays = load_file(folder / ARRAYS_FILE) if needs_arrays else {}
            for name, kind in cls.fitted.items():
                setattr(scorer, name, _stored_value(name, kind, values, arrays))
            scorer.check_values()
        except (OSError, ValueError, SafetensorError) as error:
            raise BundleError(
                f"{folder}: the saved scorer {cls.name} cannot be read ({error}); train the bundle again or restore it"
            ) from error
        return scorer


def embeddings_of(batch: EncodedBatch) -> np.ndarray:
    """The embeddings [B, D] of a checked batch."""
    assert batch.embeddings is not None  # noqa: S101  check_input refused it
    return batch.embeddings


def _stored_value(name: str, kind: type, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """One fitted value; ValueError where it is missing, of another type or not finite."""
    value = values.get(name, arrays.get(name))
    if value is None and kind is list:
        value = [arrays[f"{name}.{i}"] for i in range(sum(key.startswith(f"{name}.") for key in arrays))] or None
    if not isinstance(value, kind):
        raise ValueError(f"{name} is missing or not of type {kind.__name__}")
    parts: list[Any] = value if isinstance(value, list) else [value]
    if isinstance(value, list) and {type(part) for part in parts} not in (set(), {str}, {np.ndarray}):
        raise ValueError(f"{name} holds something else than texts or arrays")
    if not all(isinstance(part, str) or np.isfinite(part).all() for part in parts):
        raise ValueError(f"{name} is not finite")
    return value

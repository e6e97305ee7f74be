"""What everyday lines score, so that a threshold says its price in false alarms before anyone has judged a line.

A new everyday line has a text of the history, or one never seen as often as texts came only once there (Good, "The
population frequencies of species", Biometrika 40, 1953). For the first stand the texts that came more often, each
scored without one of its own lines; for the second those that were held back from fitting. How many of them a log holds
is counted by format: a model of two services expects of a log of one what it learnt of that one.

It holds while nothing has changed since the history. A log with many more new messages than this foresees is another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import pdtrc

from core.errors import BundleError
from core.records import EVERYDAY_SCHEMA
from core.scoring.context import CONTEXT, raised
from core.scoring.fusion import SCORE_DECIMALS

FORMATS_FILE = "formats.json"
ARRAYS_FILE = "arrays.safetensors"
_CHANCE = 0.001
_LEAST_LEARNT = 0.5  # of a log's lines: below, its formats are others than the learnt ones, and nothing is foreseen
_ROWS: dict[str, Any] = {
    "format": pl.String,
    "text": pl.Int64,  # number of a learnt text; -1 for one that stands for those never seen
    "score": pl.Float64,  # fused, of the text alone
    CONTEXT: pl.Float64,  # of the lines of this row, 0 for ordinary sources
    "share": pl.Float64,  # of the lines of the format; those of a format sum to 1
}


@dataclass(frozen=True)
class Everyday:
    """Lines of a history by score.

    Attributes:
        rows: format, text, score, context and share; a text has a row for each context of its lines.
    """

    rows: pl.DataFrame

    @classmethod
    def of(cls, learnt: pl.DataFrame, held_back: pl.DataFrame) -> Self:
        """Count a history.

        Args:
            learnt: format, text (number), count (lines) and score of each text, scored without one of its own lines.
            held_back: format and score of the texts among them that were held back, scored before they were learnt.
        """
        stood_for = pl.col("format").is_in(held_back["format"].unique().implode()) & (pl.col("count") == 1)
        shares = learnt.with_columns((pl.col("count") / pl.col("count").sum().over("format")).alias("share"))
        known = shares.filter(~stood_for)
        once = shares.filter(stood_for).group_by("format").agg(pl.col("share").sum().alias("once"))
        unseen = held_back.join(once, on="format", maintain_order="left").with_columns(
            pl.lit(-1).alias("text"), (pl.col("once") / pl.len().over("format")).alias("share")
        )
        columns = "format", "text", "score", "share"
        rows = pl.concat([known.select(columns), unseen.select(pl.col(name).cast(_ROWS[name]) for name in columns)])
        return cls(rows.with_columns(pl.lit(0.0).alias(CONTEXT)).select(*_ROWS).filter(pl.col("share") > 0))

    def in_context(self, lines: pl.DataFrame) -> Everyday:
        """The same with the context that each learnt line had in the history.

        Args:
            lines: text, context (above 0) and part (of the text's lines, above 0 to 1).
        """
        of_text = pl.col("share") * pl.col("part")
        moved = self.rows.drop(CONTEXT).join(lines, on="text").with_columns(of_text.alias("share"))
        left = lines.group_by("text").agg((1 - pl.col("part").sum()).alias("part"))
        stayed = self.rows.join(left, on="text", how="left", maintain_order="left").with_columns(
            pl.col("share") * pl.col("part").fill_null(1.0)
        )
        rows = pl.concat([part.select(*_ROWS) for part in (stayed, moved)])
        return Everyday(rows.filter(pl.col("share") > 1e-12).sort("format", "text", CONTEXT, "score"))

    def expected(self, lines_of_format: Mapping[str, int], *, in_context: bool) -> pl.DataFrame | None:
        """What a log would hold if all of it were everyday lines like the learnt ones.

        Args:
            lines_of_format: its lines, by format; those of a format that was not learnt are left out.
            in_context: scores as of a run in context, else of texts alone.

        Returns:
            records.EVERYDAY_SCHEMA; None where most of its lines are of formats that were not learnt.
        """
        formats = self.rows["format"].unique()
        n_learnt = sum(n for name, n in lines_of_format.items() if name in formats)
        if not n_learnt or n_learnt < _LEAST_LEARNT * sum(lines_of_format.values()):
            return None
        context = self.rows[CONTEXT].to_numpy() if in_context else np.zeros(len(self.rows))
        lines = pl.col("format").replace_strict(lines_of_format, default=0, return_dtype=pl.Float64) * pl.col("share")
        rows = self.rows.with_columns(
            lines.alias("lines"), pl.Series("score", raised(self.rows["score"].to_numpy(), context))
        )
        # A text of so many expected lines is there at least once with this probability, if they come as they like
        # (Poisson); a line never seen is a message of its own.
        once = (1 - (-pl.col("lines")).exp()).alias("messages")
        known = rows.filter(pl.col("text") >= 0)
        known = known.group_by("text", "score", maintain_order=True).agg(pl.col("lines").sum())
        known = known.select("score", "lines", once, pl.lit(0.0).alias("new"))
        unseen = rows.filter(pl.col("text") < 0)
        unseen = unseen.select("score", "lines", *(pl.col("lines").alias(name) for name in ("messages", "new")))
        found = pl.concat([known, unseen]).filter(pl.col("lines") > 0)
        return found.group_by("score", maintain_order=True).sum().sort("score").select(*EVERYDAY_SCHEMA)

    def save(self, folder: Path) -> None:
        """Write the rows into a new folder."""
        folder.mkdir()
        formats = self.rows["format"].unique().sort().to_list()
        numbered = self.rows.with_columns(
            pl.col("format").replace_strict(formats, range(len(formats)), return_dtype=pl.Int64)
        )
        save_file({name: numbered[name].to_numpy().copy() for name in _ROWS}, folder / ARRAYS_FILE)
        (folder / FORMATS_FILE).write_text(json.dumps(formats) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            BundleError: a file is missing or damaged.
        """
        try:
            formats = json.loads((folder / FORMATS_FILE).read_text("utf-8"))
            arrays = load_file(folder / ARRAYS_FILE)
            rows = pl.DataFrame({name: arrays[name] for name in _ROWS})
            in_range = pl.col("format").is_between(0, len(formats) - 1) & pl.col("score").is_between(0, 1)
            sound = in_range & pl.col("share").is_between(0, 1, closed="right") & pl.col(CONTEXT).is_between(0, 1)
            if not all(isinstance(name, str) for name in formats) or not rows.select(sound.all()).item():
                raise ValueError("a value is out of range")
            names = pl.Series(formats, dtype=pl.String).gather(rows["format"])
            return cls(rows.with_columns(names.alias("format")).cast(_ROWS))  # type: ignore[arg-type]
        except (OSError, ValueError, TypeError, KeyError, SafetensorError, pl.exceptions.PolarsError) as error:
            raise BundleError(f"{folder}: cannot be read ({error}); train the model again or restore it") from error


def unforeseen(expected: pl.DataFrame, new_scores: np.ndarray, threshold: float) -> tuple[int, float] | None:
    """Whether a log has more new messages below the threshold than everyday lines bring: it is another by now.

    Those above may be the attacks that are looked for; it is the ordinary ones that tell of a log that has changed.

    Args:
        expected: records.EVERYDAY_SCHEMA, of this log.
        new_scores: [M] of its messages that were never learnt, 0 to 1.
        threshold: 0 to 1.

    Returns:
        How many there are and how many were to be expected; None where that is no surprise: not twice as many and one
        more, or by chance more than one time in a thousand (Poisson).
    """
    found = int((new_scores < threshold).sum())
    foreseen = float(expected.filter(pl.col("score") < threshold)["new"].sum())
    doubt = foreseen + 1.0  # a history without a text that came once may still bring one
    return (found, foreseen) if found > 2 * doubt and pdtrc(found - 1, doubt) < _CHANCE else None


def changed_note(found: int, foreseen: float) -> str:
    """What `unforeseen` found, as a sentence."""
    return (
        f"{found:,} messages below the threshold were never learnt, where about {foreseen:,.0f} were to be expected: "
        "what is ordinary has changed since the model learnt, and false alarms will be more than foreseen."
    )


def at_or_above(expected: pl.DataFrame, threshold: float) -> dict[str, float]:
    """Lines, messages and new messages among them that everyday lines would have at or above a threshold.

    Args:
        expected: records.EVERYDAY_SCHEMA.
        threshold: 0 to 1.
    """
    found: dict[str, float] = expected.filter(pl.col("score") >= threshold).sum().drop("score").row(0, named=True)
    return found


def lowest_threshold(expected: pl.DataFrame, most_lines: float) -> float:
    """The lowest threshold that flags no more everyday lines than this, to the nearest whole line.

    Args:
        expected: records.EVERYDAY_SCHEMA.
        most_lines: 0 or more.

    Returns:
        Above 0, up to 1.
    """
    above = expected["lines"].reverse().cum_sum().reverse()
    too_many = expected.filter(above >= most_lines + 0.5)["score"]
    lowest = 10.0**-SCORE_DECIMALS
    return lowest if too_many.is_empty() else min(round(float(too_many[-1]) + lowest, SCORE_DECIMALS), 1.0)

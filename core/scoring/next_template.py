"""What follows what: the surprise of a session's lines, each foreseen from the template before it.

Next-template prediction as DeepLog's (Du et al., CCS 2017), counted instead of trained: a bigram that leans on the
templates' own shares where a pair is rare (Witten and Bell's idea with a fixed prior; Chen and Goodman 1999 compare).
Counts of a few thousand pairs hold what a recurrent network would have to learn, in milliseconds, and can leave a
session out of what it is judged by.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import polars as pl

from core.errors import BundleError

NEXT_TEMPLATE_FILE = "next_template.json"
_PRIOR = 2.0  # how many lines the templates' own shares count for, beside the pairs seen

_TRANSITIONS: dict[str, Any] = {"session": pl.String, "before": pl.UInt32, "text_id": pl.UInt32, "count": pl.Int64}


class Transitions:
    """Counts which text follows which in each session, chunk after chunk."""

    def __init__(self) -> None:
        self._last = pl.DataFrame(schema={"session": pl.String, "last": pl.UInt32})
        self._parts: list[pl.DataFrame] = []

    def add(self, lines: pl.DataFrame) -> None:
        """Count a chunk.

        Args:
            lines: session and text_id of each line, in order; a null leaves the line out.
        """
        lines = lines.select("session", "text_id").drop_nulls()
        if lines.is_empty():
            return
        before = pl.col("text_id").shift(1).over("session")
        rows = lines.join(self._last, on="session", how="left", maintain_order="left")
        rows = rows.with_columns(pl.coalesce(before, "last").alias("before")).drop_nulls("before")
        self._parts.append(rows.group_by("session", "before", "text_id").agg(pl.len().cast(pl.Int64).alias("count")))
        last = lines.group_by("session").agg(pl.col("text_id").last().alias("last"))
        self._last = pl.concat([self._last, last]).unique("session", keep="last")

    def table(self) -> pl.DataFrame:
        """One row a session and pair of texts: session, before, text_id, count; sorted."""
        counted = pl.concat([pl.DataFrame(schema=_TRANSITIONS), *self._parts])
        keys = ["session", "before", "text_id"]
        return counted.group_by(keys).agg(pl.col("count").sum()).sort(keys)


class NextTemplate:
    """How often each template followed each other one.

    Attributes:
        pairs_: before, after (names of templates), count; one row a pair.
    """

    pairs_: pl.DataFrame

    def fit(self, transitions: pl.DataFrame) -> Self:
        """Learn pairs.

        Args:
            transitions: before, after, count; the same pair may come for many sessions.
        """
        return self._with(transitions.group_by("before", "after").agg(pl.col("count").sum()).sort("before", "after"))

    def surprise(self, transitions: pl.DataFrame) -> pl.DataFrame:
        """Mean surprise of each session's transitions.

        Args:
            transitions: session, before, after, count, learnt (whether that session is among those learnt from: it is
                then left out of what foresees it).

        Returns:
            session and surprise, mean -ln p(after | before) in nats, 0 or more, higher is more abnormal; no row for a
            session without transitions.
        """
        own = pl.col("count") * pl.col("learnt").cast(pl.Int64)
        rows = transitions.sort("session", "before", "after").with_columns(
            own.alias("own"),
            own.sum().over("session", "after").alias("own_after"),
            own.sum().over("session", "before").alias("own_before"),
            own.sum().over("session").alias("own_all"),
        )
        rows = rows.join(self.pairs_.rename({"count": "pair"}), on=["before", "after"], how="left")
        rows = rows.join(self._afters, on="after", how="left").join(self._befores, on="before", how="left")

        def left(seen: pl.Expr, own: str) -> pl.Expr:
            return (seen.fill_null(0) - pl.col(own)).clip(lower_bound=0)

        share = (left(pl.col("n_after"), "own_after") + _PRIOR / (len(self._afters) + 1)) / (
            left(pl.lit(self._total), "own_all") + _PRIOR
        )
        p = (left(pl.col("pair"), "own") + _PRIOR * share) / (left(pl.col("n_before"), "own_before") + _PRIOR)
        nats = -p.clip(upper_bound=1.0).log() * pl.col("count")
        return (
            rows.with_columns(nats.alias("nats"))
            .sort("session", "before", "after")  # so that sums do not depend on how rows were joined
            .group_by("session", maintain_order=True)
            .agg((pl.col("nats").sum() / pl.col("count").sum()).alias("surprise"))
        )

    def save(self, folder: Path) -> None:
        """Write the pairs into an existing folder."""
        columns = self.pairs_.to_dict(as_series=False)
        (folder / NEXT_TEMPLATE_FILE).write_text(json.dumps(columns) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            BundleError: where it is missing or damaged.
        """
        path = folder / NEXT_TEMPLATE_FILE
        try:
            columns = json.loads(path.read_text("utf-8"))
            schema = {"before": pl.String, "after": pl.String, "count": pl.Int64}
            return cls()._with(pl.DataFrame({name: columns[name] for name in schema}, schema=schema))
        except FileNotFoundError:
            raise BundleError(f"{folder}: written by another version of the workbench; train the model again") from None
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            raise BundleError(f"{path}: damaged ({error}); train the model again") from error

    def _with(self, pairs: pl.DataFrame) -> Self:
        self.pairs_ = pairs
        self._afters = pairs.group_by("after").agg(pl.col("count").sum().alias("n_after"))
        self._befores = pairs.group_by("before").agg(pl.col("count").sum().alias("n_before"))
        self._total = int(pairs["count"].sum())
        return self

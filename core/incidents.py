"""Flagged lines folded into incidents, so that a thousand lines read as about ten things.

Two lines are of one *burst* where they share the source, or the message, with no longer gap than asked between lines of
it; a line goes to the larger of its two bursts, so that a scan is told by its client and a failure of many hosts by its
message. A line that goes on with the one above, as those of a stack trace do, is of its burst. Bursts that say the same
and are about as abnormal, no further apart than the gap, are one *incident*: they agree in the commonest message, its
rare words left out, and in the third of the scores from the threshold to 1. What is then still in ones and twos is one
incident for each component and third.

A title is made of the words that tell an incident from the rest of the run, see `tokenization.telling_words`.

It is all sorting and counting: n log n in flagged lines, no chance in it, the same answer for lines in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from core.tokenization.telling_words import titles, words_of

MOST_LINES = 100_000  # flagged lines that are folded, the most abnormal first
MOST_INCIDENTS = 1_000  # that are described
SPARK_SPANS = 24
SHOWN_SOURCES = 3
LABELS = ("abnormal", "normal", "unsure")

_BANDS = 3  # of the scores from the threshold to 1
_SMALL = 2  # lines of an incident that is not worth a row
_COMMON_SHARE = 0.01  # of the run's lines: words on fewer say nothing of what kind a message is


@dataclass(frozen=True)
class Incidents:
    """Incidents of a run: the most abnormal third of the scores first, in it those with the most lines.

    Attributes:
        table: one row an incident, at most MOST_INCIDENTS: incident (the number of its first line), title, n_lines,
            n_messages, first_no, last_no, first_utc, last_utc (null where no line has a time), worst_score, worst_no,
            worst_text (its text_id), sources (the SHOWN_SOURCES most frequent), n_sources, spark (lines in each of
            SPARK_SPANS equal spans of the run).
        lines: line_no and incident of every line folded, by line number.
        n_incidents: also those beyond MOST_INCIDENTS.
    """

    table: pl.DataFrame
    lines: pl.DataFrame
    n_incidents: int

    def of_line(self, line_no: int) -> int | None:
        """The incident that a line is of, None where it is of none; so a name outlives a change of the threshold."""
        found = self.lines.filter(pl.col("line_no") == line_no)["incident"]
        return int(found[0]) if len(found) else None

    def line_numbers(self, incident: int) -> list[int]:
        """The lines of an incident, ascending."""
        return self.lines.filter(pl.col("incident") == incident)["line_no"].to_list()

    def judged(self, verdicts: pl.DataFrame) -> pl.DataFrame:
        """How the lines of incidents were judged: incident, abnormal, normal, unsure (lines); the unjudged left out.

        Args:
            verdicts: line_no and label, one row a line.
        """
        counts = [(pl.col("label") == label).sum().cast(pl.Int64).alias(label) for label in LABELS]
        return verdicts.join(self.lines, on="line_no").group_by("incident", maintain_order=True).agg(counts)


def fold(flagged: pl.DataFrame, texts: pl.DataFrame, threshold: float, span: tuple[int, int], gap: float) -> Incidents:
    """Fold flagged lines into incidents.

    Args:
        flagged: line_no, timestamp_utc, source, component (both null where unknown), text_id, score (0 to 1, higher is
            more abnormal), goes_on (whether it is of one event with the flagged line before it) and position: Int64,
            microseconds or the line number; null takes that of the line before.
        texts: every text of the run: text_id, normalized_text, count.
        threshold: 0 to 1; flagged lines lie at or above it.
        span: first and last position of the run.
        gap: the longest between two lines of one burst, in units of position.
    """
    rows = flagged.sort("line_no").with_columns(
        pl.col("position").forward_fill().backward_fill().fill_null(span[0]), pl.col("component").fill_null("")
    )
    words = words_of(texts)
    rows = rows.join(_kinds(texts, words), on="text_id", how="left", maintain_order="left")
    rows = _merged(_in_bursts(rows, gap), threshold, gap)
    table = _described(rows, span)
    n_incidents = len(table)
    table = table.head(MOST_INCIDENTS)
    table = table.join(_titles(rows, texts, words, table), on="incident", how="left", maintain_order="left")
    return Incidents(table.with_columns(pl.col("title").fill_null("")), rows.select("line_no", "incident"), n_incidents)


# ---- which lines belong together


def _in_bursts(rows: pl.DataFrame, gap: float) -> pl.DataFrame:
    """Rows with the number of their `burst`."""
    rows = rows.with_columns(_segments(rows, "source", gap), _segments(rows, "text_id", gap))
    by_source, by_text = pl.col("segment_of_source"), pl.col("segment_of_text_id")
    larger = by_source.is_not_null() & (pl.len().over(by_source) >= pl.len().over(by_text))
    rows = rows.with_columns(pl.when(larger).then(2 * by_source).otherwise(2 * by_text + 1).alias("burst"))
    return rows.with_columns(pl.when(~pl.col("goes_on")).then("burst").forward_fill().alias("burst"))


def _segments(rows: pl.DataFrame, key: str, gap: float) -> pl.Series:
    """A number for the rows of one key without a longer gap between them; null where the key is."""
    ordered = rows.select("line_no", "position", key).sort(key, "position", "line_no")
    starts = (pl.col(key) != pl.col(key).shift()) | (pl.col("position").diff() > gap)
    number = pl.when(pl.col(key).is_not_null()).then(starts.fill_null(True).cum_sum().cast(pl.Int64))
    return ordered.with_columns(number.alias(f"segment_of_{key}")).sort("line_no")[f"segment_of_{key}"]


def _merged(rows: pl.DataFrame, threshold: float, gap: float) -> pl.DataFrame:
    """Rows with their `incident` and its `band`, 0 to _BANDS - 1."""
    commonest = (
        rows.group_by("burst", "kind")
        .agg(pl.len().alias("n"))
        .with_columns(pl.col("n").sum().over("kind").alias("n_all"))
        .sort("n", "n_all", "kind", descending=[True, True, False])
        .unique("burst", keep="first", maintain_order=True)
        .select("burst", "kind")
    )
    rows = rows.drop("kind").join(commonest, on="burst", how="left", maintain_order="left")
    width = max(1.0 - threshold, 1e-9) / _BANDS
    band = ((pl.col("score").mean() - threshold) / width).floor().clip(0, _BANDS - 1).cast(pl.Int64)
    rows = rows.with_columns(band.over("burst").alias("band"))
    rows = _joined(rows, ["burst"], ["band", "kind"], gap)
    small = pl.len().over("group") <= _SMALL
    rows = rows.with_columns(
        pl.when(small).then(-1).otherwise("group").alias("kept"), pl.when(small).then("component").alias("of")
    )
    rows = _joined(rows, ["burst", "kept", "of"], ["band", "kept", "of"], float("inf"))
    return rows.with_columns(pl.col("line_no").min().over("group").alias("incident"))


def _joined(rows: pl.DataFrame, part: list[str], alike: list[str], gap: float) -> pl.DataFrame:
    """Rows with a `group`: parts that are alike and no further apart than the gap share one."""
    parts = (
        rows.group_by(*part, *(name for name in alike if name not in part))
        .agg(pl.col("position").min().alias("first"), pl.col("position").max().alias("last"))
        .sort(*alike, "first", "last", *part)
    )
    new = pl.any_horizontal(~pl.col(name).eq_missing(pl.col(name).shift()) for name in alike)
    late = pl.col("first") - pl.col("last").cum_max().over(alike).shift() > gap
    parts = parts.with_columns((new | late).fill_null(True).cum_sum().cast(pl.Int64).alias("group"))
    keys = [*part, *(name for name in alike if name not in part)]
    return rows.drop("group", strict=False).join(
        parts.select(*keys, "group"), on=keys, how="left", nulls_equal=True, maintain_order="left"
    )


# ---- what is said of them


def _described(rows: pl.DataFrame, span: tuple[int, int]) -> pl.DataFrame:
    """The table of Incidents, all of them, without titles."""
    low, high = span
    width = max(1, -(-(high - low + 1) // SPARK_SPANS))
    at = ((rows["position"].to_numpy() - low) // width).clip(0, SPARK_SPANS - 1)
    named = rows.drop_nulls("source")
    sources = (
        named.group_by("incident", "source")
        .agg(pl.len().alias("n"))
        .sort("incident", "n", "source", descending=[False, True, False])
        .group_by("incident", maintain_order=True)
        .agg(pl.col("source").head(SHOWN_SOURCES).alias("sources"), pl.len().cast(pl.Int64).alias("n_sources"))
    )
    table = (
        rows.sort("score", "line_no", descending=[True, False])
        .group_by("incident", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("n_lines"),
            pl.col("text_id").n_unique().cast(pl.Int64).alias("n_messages"),
            pl.col("line_no").min().alias("first_no"),
            pl.col("line_no").max().alias("last_no"),
            pl.col("timestamp_utc").min().alias("first_utc"),
            pl.col("timestamp_utc").max().alias("last_utc"),
            pl.col("score").first().alias("worst_score"),
            pl.col("line_no").first().alias("worst_no"),
            pl.col("text_id").first().alias("worst_text"),
            pl.col("band").first(),
        )
        .join(sources, on="incident", how="left", maintain_order="left")
        .with_columns(pl.col("sources").fill_null([]), pl.col("n_sources").fill_null(0))
        .sort("band", "n_lines", "worst_score", "incident", descending=[True, True, True, False])
        .drop("band")
    )
    shown = table["incident"].head(MOST_INCIDENTS)
    row = pl.DataFrame({"incident": shown, "row": range(len(shown))})
    of = rows.select("incident").join(row, on="incident", how="left", maintain_order="left")["row"]
    cell = of.fill_null(len(shown)).to_numpy() * SPARK_SPANS + at
    counts = np.bincount(cell, minlength=(len(shown) + 1) * SPARK_SPANS)[: len(shown) * SPARK_SPANS]
    spark = pl.Series("spark", counts.reshape(-1, SPARK_SPANS).tolist(), dtype=pl.List(pl.Int64))
    return table.join(row.with_columns(spark).drop("row"), on="incident", how="left", maintain_order="left")


def _kinds(texts: pl.DataFrame, words: pl.DataFrame) -> pl.DataFrame:
    """text_id and kind: the message without its rare words, or as it is where all are rare."""
    least = _COMMON_SHARE * float(texts["count"].sum())
    common = words.filter(pl.col("n_with") >= least)
    kinds = common.group_by("text_id", maintain_order=True).agg(pl.col("word").str.join(" ").alias("kind"))
    rows = texts.select("text_id", "normalized_text").join(kinds, on="text_id", how="left", maintain_order="left")
    return rows.select("text_id", pl.coalesce("kind", "normalized_text").alias("kind"))


def _titles(rows: pl.DataFrame, texts: pl.DataFrame, words: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """incident, title; the words of its worst line first."""
    named = table.select(pl.col("incident").alias("group"), pl.col("worst_text").alias("text_id"))
    worst = named.join(texts.select("text_id", "normalized_text"), on="text_id").drop("text_id")
    members = rows.group_by(pl.col("incident").alias("group"), "text_id").agg(pl.len().alias("n"))
    return titles(members.join(named, on="group", how="semi"), words, int(texts["count"].sum()), worst).rename(
        {"group": "incident"}
    )

"""What a run comes to: lines by score, flagged and muted messages, levels, the course over time."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import polars as pl

from core.store.run_tables import RunTables


class RunCounts(RunTables):
    """Counts of a run, cheap at any size; what is flagged is said at `RunReader`."""

    def score_counts(self, muted: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Distinct scores, ascending [K] float64, and the lines that have each [K] int64; blank lines count as 0.

        Args:
            muted: of the muted lines alone; else of all others.
        """
        table = self._frame(
            """
            SELECT score, sum(n)::BIGINT AS n
            FROM (SELECT score, count AS n FROM texts WHERE muted = $muted UNION ALL SELECT 0.0, $blank)
            GROUP BY score HAVING sum(n) > 0 ORDER BY score
            """,
            {"muted": muted, "blank": 0 if muted else self.info.n_blank},
        )
        return table["score"].to_numpy(), table["n"].to_numpy()

    def everyday(self) -> pl.DataFrame | None:
        """What the log would hold if all of it were lines like those its detector learnt (records.EVERYDAY_SCHEMA).

        None where nobody knows: it was fitted on the log itself, or other weights were given afterwards.
        """
        path = self._folder / "everyday.parquet"
        return self._frame("SELECT * FROM read_parquet(?)", [str(path)]) if path.exists() else None

    def muted(self, threshold: float = 0.0) -> pl.DataFrame:
        """Messages of the run that would be flagged were they not muted, all of them, as `templates` gives others."""
        return self._messages("score >= ? AND muted", [threshold])

    def flagged(self, threshold: float) -> int:
        """Lines at or above the threshold, exact."""
        scores, counts = self.score_counts()
        return int(counts[scores >= threshold].sum())

    def templates(self, threshold: float = 0.0, limit: int = 200) -> pl.DataFrame:
        """Flagged normalized texts, most abnormal first.

        In context a text has a score for every context its lines have; those below the threshold are not counted.

        Returns:
            text_id (of its highest score), normalized_text, count (lines), score (its highest).
        """
        return self._messages("score >= ? AND NOT muted", [threshold], limit)

    def _messages(self, where: str, values: list[float], limit: int | None = None) -> pl.DataFrame:
        return self._frame(
            f"""
            SELECT arg_max(text_id, score) AS text_id, normalized_text, sum(count)::BIGINT AS count,
                max(score) AS score
            FROM texts WHERE {where} GROUP BY normalized_text ORDER BY score DESC, count DESC, text_id LIMIT ?
            """,  # noqa: S608  fixed words only; values are bound
            [*values, limit],
        )

    def top_messages(self, threshold: float, limit: int) -> pl.DataFrame:
        """Flagged normalized texts as `templates`, with what a report says of each.

        Returns:
            text_id, normalized_text, count, score, reason, nearest (or null), example (the first raw line), first_no
            and last_no (line numbers), first_utc and last_utc (null where its lines have no time).
        """
        return self._frame(
            """
            WITH flagged AS (
                SELECT text_id, normalized_text, count, score FROM texts WHERE score >= ? AND NOT muted
            ), top AS (
                SELECT arg_max(text_id, score) AS text_id, normalized_text, sum(count)::BIGINT AS count FROM flagged
                GROUP BY normalized_text ORDER BY max(score) DESC, count DESC, text_id LIMIT ?
            ), seen AS (
                SELECT normalized_text, min(line_no) AS first_no, max(line_no) AS last_no,
                    min(timestamp_utc) AS first_utc, max(timestamp_utc) AS last_utc
                FROM lines JOIN flagged USING (text_id) GROUP BY normalized_text
            )
            SELECT top.text_id, top.normalized_text, top.count, score, reason, nearest, example,
                first_no, last_no, first_utc, last_utc
            FROM top JOIN answers USING (text_id) JOIN seen ON seen.normalized_text = top.normalized_text
            ORDER BY score DESC, top.count DESC, text_id
            """,
            [threshold, limit],
        )

    def n_templates(self, threshold: float) -> int:
        """Flagged normalized texts."""
        query = "SELECT count(DISTINCT normalized_text) AS n FROM texts WHERE score >= ? AND NOT muted"
        return int(self._frame(query, [threshold])["n"][0])

    def levels(self) -> list[str]:
        """The levels lines were written with, most frequent first."""
        frame = self._frame(
            "SELECT level FROM lines WHERE level IS NOT NULL GROUP BY level ORDER BY count(*) DESC, level", []
        )
        return frame["level"].to_list()

    def timeline(self, threshold: float, buckets: int = 100) -> pl.DataFrame:
        """Lines and flagged lines in equal spans, empty spans too.

        Args:
            threshold: flagged at or above.
            buckets: number of spans.

        Returns:
            start_utc, n_lines, n_flagged over the span of timestamps, lines without one left out; where no line has
            one, first_line_no, n_lines, n_flagged over the line numbers.
        """
        timed = self.info.first_utc is not None
        position, start = ("epoch_us(timestamp_utc)", "start_utc") if timed else ("line_no", "first_line_no")
        return self._frame(
            f"""
            WITH placed AS (
                SELECT {position} AS position, coalesce(score, 0.0) >= $threshold AND muted IS NOT TRUE AS flagged
                FROM lines LEFT JOIN texts USING (text_id) WHERE {position} IS NOT NULL
            ), extent AS (
                SELECT min(position) AS low, (max(position) - min(position) + $buckets) // $buckets AS width
                FROM placed
            ), filled AS (
                SELECT (position - low) // width AS bucket, count(*) AS n_lines, count(*) FILTER (flagged) AS n_flagged
                FROM placed, extent GROUP BY bucket
            )
            SELECT low + bucket * width AS {start}, coalesce(n_lines, 0) AS n_lines, coalesce(n_flagged, 0) AS n_flagged
            FROM range($buckets) AS spans(bucket) LEFT JOIN filled USING (bucket), extent
            WHERE low IS NOT NULL ORDER BY bucket
            """,  # noqa: S608  fixed words only; values are bound
            {"threshold": threshold, "buckets": buckets},
        ).with_columns(pl.col("start_utc").cast(pl.Datetime("us")) if timed else [])

    def sources(self, limit: int) -> list[str]:
        """Where lines come from, the most frequent first; empty where that is not known. See `flagged_lines`."""
        frame = self._frame(
            f"""
            SELECT {self._source} AS source FROM lines WHERE source IS NOT NULL
            GROUP BY source ORDER BY count(*) DESC, source LIMIT ?
            """,  # noqa: S608  fixed words only; values are bound
            [limit],
        )
        return frame["source"].to_list()

    @cached_property
    def _source(self) -> str:
        """The column that says where a line comes from, or NULL: one host for most of the lines parts nothing."""
        found = self._frame(
            """
            SELECT count(session) AS sessions, count(host) AS hosts,
                (SELECT max(n) FROM (SELECT count(*) AS n FROM lines WHERE host IS NOT NULL GROUP BY host)) AS most
            FROM lines
            """,
            [],
        ).row(0, named=True)
        if found["sessions"]:
            return "session"
        return "host" if found["hosts"] and 2 * found["most"] <= found["hosts"] else "NULL::VARCHAR"

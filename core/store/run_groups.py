"""Where the flagged lines of a run come from: its sources and its messages, each with a small course of its own."""

from __future__ import annotations

import threading

import polars as pl

from core.store.run_counts import RunCounts


class RunGroups(RunCounts):
    """Groups of lines, those with the most flagged ones first; what is flagged is said at `RunReader`."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self._grouping = threading.Lock()
        self._grouped = False

    def by_source(self, threshold: float, limit: int, bins: int) -> pl.DataFrame:
        """Sources with their scores.

        Args:
            threshold: flagged at or above.
            limit: sources.
            bins: equal parts of 0 to the highest score of the run.

        Returns:
            source, n_lines, n_flagged, lines (list [bins], by score), flagged (the same, of the flagged lines alone);
            empty where no line names its source.
        """
        self._group()
        highest = max(float(self.score_counts()[0].max(initial=0.0)), 0.0001)
        rows = self._frame(
            """
            WITH scored AS (
                SELECT source, n, score, score >= $threshold AND NOT muted AS flagged
                FROM source_texts JOIN texts USING (text_id)
            ), top AS (
                SELECT source, sum(n)::BIGINT AS n_lines, coalesce(sum(n) FILTER (flagged), 0)::BIGINT AS n_flagged
                FROM scored GROUP BY source ORDER BY n_flagged DESC, n_lines DESC, source LIMIT $limit
            )
            SELECT source, n_lines, n_flagged, least(floor(score / $highest * $bins), $bins - 1)::BIGINT AS place,
                sum(n)::BIGINT AS lines, coalesce(sum(n) FILTER (flagged), 0)::BIGINT AS flagged
            FROM scored JOIN top USING (source) GROUP BY ALL
            """,
            {"threshold": threshold, "limit": limit, "bins": bins, "highest": highest},
        )
        groups = _courses(rows, ["source", "n_lines", "n_flagged"], ["lines", "flagged"], bins)
        return groups.sort("n_flagged", "n_lines", "source", descending=[True, True, False])

    def by_message(self, threshold: float, limit: int, spans: int) -> pl.DataFrame:
        """Flagged messages with their lines over the log's time, or over its line numbers where it has no times.

        Args:
            threshold: flagged at or above.
            limit: messages.
            spans: equal parts of the log.

        Returns:
            text_id (of its highest score), normalized_text, score (its highest), n_lines (flagged), lines (list
            [spans]).
        """
        position = "line_no" if self.info.first_utc is None else "epoch_us(timestamp_utc)"
        rows = self._frame(
            f"""
            WITH flagged AS (
                SELECT text_id, normalized_text, score, count FROM texts WHERE score >= $threshold AND NOT muted
            ), top AS (
                SELECT normalized_text, arg_max(text_id, score) AS text_id, max(score) AS score,
                    sum(count)::BIGINT AS n_lines
                FROM flagged GROUP BY normalized_text ORDER BY n_lines DESC, score DESC, text_id LIMIT $limit
            ), placed AS (
                SELECT normalized_text, {position} AS position FROM lines LEFT JOIN flagged USING (text_id)
            ), extent AS (
                SELECT min(position) AS low, (max(position) - min(position) + $spans) // $spans AS width FROM placed
            )
            SELECT text_id, normalized_text, score, n_lines, (position - low) // width AS place, count(*) AS lines
            FROM placed JOIN top USING (normalized_text), extent GROUP BY ALL
            """,  # noqa: S608  fixed words only; values are bound
            {"threshold": threshold, "limit": limit, "spans": spans},
        )
        groups = _courses(rows, ["text_id", "normalized_text", "score", "n_lines"], ["lines"], spans)
        return groups.sort("n_lines", "score", "text_id", descending=[True, True, False])

    def _group(self) -> None:
        """Count the lines of each source and text once; every threshold is then answered from the counts."""
        with self._grouping:
            if self._grouped:
                return
            source = self._source
            with self._cursor() as cursor:
                cursor.execute(
                    f"""
                    CREATE TABLE source_texts AS SELECT {source} AS source, text_id, count(*) AS n FROM lines
                    WHERE {source} IS NOT NULL AND text_id IS NOT NULL GROUP BY ALL
                    """  # noqa: S608  fixed words only
                )
            self._grouped = True


def _courses(rows: pl.DataFrame, keys: list[str], counts: list[str], n: int) -> pl.DataFrame:
    """Rows of a group and place as one row a group, whose counts are lists over all places."""
    places = rows.select(keys).unique().join(pl.DataFrame({"place": range(n)}), how="cross")
    filled = places.join(rows, on=[*keys, "place"], how="left").with_columns(pl.col(counts).fill_null(0))
    return filled.sort("place").group_by(keys).agg(pl.col(counts))

"""Answers about one run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Unpack

import numpy as np
import polars as pl

from core.errors import StoreError, WorkbenchError
from core.store.line_filter import LineFilters, where
from core.store.run_export import RunExport
from core.store.run_groups import RunGroups

SEARCH_SECONDS = 20.0  # a search is stopped after
_QUEUES = {  # what is worth an analyst's look: the condition and the order
    "highest": ("score >= $threshold AND NOT muted", "score DESC"),
    "near": ("$threshold IS NOT NULL AND NOT muted", "abs(score - $threshold)"),
    "audit": ("score < $threshold AND NOT muted", "hash(line_no, $seed)"),
}
_FIRST_LINES = "(SELECT text_id, min(line_no) AS line_no FROM lines GROUP BY text_id)"


class RunReader(RunGroups, RunExport):
    """A stored run, read only. Safe from any thread.

    Everywhere a line is flagged when its score is at or above the threshold and its message was not muted when the run
    was opened; a blank line scores 0.
    """

    def flagged_lines(self, threshold: float, limit: int) -> pl.DataFrame:
        """Flagged lines that have a text, in narrow columns, for grouping.

        Args:
            threshold: see the class.
            limit: of them those with the highest scores.

        Returns:
            line_no, timestamp_utc, source (the session; else the host where several write, none of them half the
            lines; else null), component, text_id (the first of its message's, whatever its context), score; by line
            number.
        """
        return self._frame(
            f"""
            SELECT * FROM (
                SELECT line_no, timestamp_utc, {self._source} AS source, component, message AS text_id, score
                FROM lines JOIN (
                    SELECT *, min(text_id) OVER (PARTITION BY normalized_text) AS message FROM texts
                ) USING (text_id) WHERE score >= ? AND NOT muted
                ORDER BY score DESC, line_no LIMIT ?
            ) ORDER BY line_no
            """,  # noqa: S608  fixed words only; values are bound
            [threshold, limit],
        )

    def lines(
        self,
        order: str = "score",
        descending: bool = True,
        limit: int = 200,
        offset: int = 0,
        **filters: Unpack[LineFilters],
    ) -> pl.DataFrame:
        """One page of lines.

        Args:
            order: "score" (equal scores by line number, ascending), "line_no" or "time" (lines without one last).
            descending: highest first.
            limit: rows of a page.
            offset: rows skipped.
            **filters: see `LineFilters`.

        Returns:
            line_no, timestamp_utc, level, score, host, component, session, raw, reason, normalized_text, text_id,
            file (null where the run has one input only).

        Raises:
            WorkbenchError: for a regular expression that cannot be read, an unknown order, or a search that took
                longer than SEARCH_SECONDS.
        """
        direction = "DESC" if descending else "ASC"
        orders = {
            "score": f"score {direction}, line_no",
            "line_no": f"line_no {direction}",
            "time": f"timestamp_utc {direction} NULLS LAST, line_no",
        }
        if order not in orders:
            raise WorkbenchError(f"lines can be ordered by {' or '.join(orders)}, not by {order!r}")
        clause, values = self._where(filters)
        # The page is found in the narrow columns first; the wide ones are read for its rows alone.
        page = self._frame(
            f"""
            SELECT line_no, coalesce(score, 0.0) AS score
            FROM lines LEFT JOIN texts USING (text_id) {clause}
            ORDER BY {orders[order]} LIMIT ? OFFSET ?
            """,  # noqa: S608  fixed words only; values are bound
            [*values, limit, offset],
            SEARCH_SECONDS,
        )
        return self._rows(page["line_no"].to_list(), orders[order])

    def n_lines(self, **filters: Unpack[LineFilters]) -> int:
        """How many lines `lines` would give without a limit."""
        clause, values = self._where(filters)
        if len(values) <= 1 and len(values) == (filters.get("threshold") is not None):  # known without a look at lines
            return self.flagged(values[0]) if values else self.info.n_lines
        query = f"SELECT count(*) AS n FROM lines LEFT JOIN texts USING (text_id) {clause}"  # noqa: S608  bound values
        frame = self._frame(query, values, SEARCH_SECONDS)
        return int(frame["n"][0])

    def line(self, line_no: int) -> dict[str, Any]:
        """Everything known of one line: the fields of LogTable, of its text, and of its answer.

        `count` is of all lines with its normalized text, whatever their context; `muted` says whether it is muted.

        Raises:
            StoreError: where the run has no such line.
        """
        frame = self._frame(
            """
            SELECT * EXCLUDE (embedding) REPLACE (
                (SELECT sum(count)::BIGINT FROM texts WHERE normalized_text = answers.normalized_text) AS count
            ), coalesce((SELECT muted FROM texts WHERE text_id = answers.text_id), false) AS muted
            FROM lines LEFT JOIN answers USING (text_id) WHERE line_no = ?
            """,
            [line_no],
        )
        if frame.is_empty():
            raise StoreError(f"run {self.info.run_id} has lines 1 to {self.info.n_lines}, not {line_no}")
        row = frame.row(0, named=True)
        return row | {"score": row["score"] or 0.0}

    def embeddings(self) -> tuple[np.ndarray, np.ndarray]:
        """text_id [M] int64 and [CLS] vector [M, D] float32 of the texts that have one; M is 0 without a network."""
        rows = self._frame("SELECT text_id, embedding FROM answers WHERE embedding IS NOT NULL ORDER BY text_id", [])
        if rows.is_empty():
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        vectors = rows["embedding"].explode().to_numpy().reshape(len(rows), -1)
        return rows["text_id"].to_numpy().astype(np.int64), vectors.astype(np.float32)

    def lines_at(self, line_nos: list[int]) -> pl.DataFrame:
        """Lines by their numbers, in this order; the columns of `lines`. Numbers the run does not have are left out."""
        wanted = pl.DataFrame({"line_no": pl.Series(line_nos, dtype=pl.Int64)})
        return wanted.join(self._rows(line_nos, "line_no"), on="line_no", how="inner", maintain_order="left")

    def messages_at(self, line_nos: Sequence[int]) -> pl.DataFrame:
        """Messages of these lines, the most frequent of them first: normalized_text, n (of these lines)."""
        return self._frame(
            """
            SELECT normalized_text, count(*) AS n FROM lines JOIN texts USING (text_id)
            WHERE line_no IN (SELECT unnest(?::BIGINT[])) GROUP BY normalized_text ORDER BY n DESC, normalized_text
            """,
            [list(line_nos)],
        )

    def line_texts(self) -> pl.DataFrame:
        """The text of every line that has one: line_no, text_id; in order."""
        return self._frame("SELECT line_no, text_id FROM lines WHERE text_id IS NOT NULL ORDER BY line_no", [])

    def line_sessions(self) -> pl.DataFrame:
        """The session of every line: line_no, timestamp_utc, session, text_id (null where there is none); in order."""
        return self._frame("SELECT line_no, timestamp_utc, session, text_id FROM lines ORDER BY line_no", [])

    def has_lines_of(self, other: RunReader) -> bool:
        """Whether another run is of the very same lines."""
        return self.info.n_lines == other.info.n_lines and self._content == other._content

    @cached_property
    def _content(self) -> int:
        """A hash of all lines and their numbers."""
        return int(self._frame("SELECT bit_xor(hash(line_no, raw)) AS content FROM lines", [])["content"][0] or 0)

    def paired_texts(self, other: RunReader) -> pl.DataFrame:
        """What this run and another of the same lines made of each line.

        Returns:
            text_a (here), text_b (there; null for a line without a text), n_lines, first_no.
        """
        return self._frame(
            """
            SELECT a.text_id AS text_a, b.text_id AS text_b, count(*) AS n_lines, min(line_no) AS first_no
            FROM lines AS a JOIN read_parquet(?) AS b USING (line_no) GROUP BY a.text_id, b.text_id
            """,
            [str(other._folder / "lines.parquet")],
        )

    def texts(self) -> pl.DataFrame:
        """Every distinct text with count, score, context, muted, and each scorer's value (raw_<name> and <name>)."""
        return self._frame("SELECT * FROM texts ORDER BY text_id", [])

    def answers(self) -> pl.DataFrame:
        """Every distinct text with all that is stored of it; large."""
        return self._frame("SELECT * FROM answers ORDER BY text_id", [])

    def line_numbers(self, text_id: int, limit: int) -> list[int]:
        """The first lines that have a text, ascending."""
        frame = self._frame("SELECT line_no FROM lines WHERE text_id = ? ORDER BY line_no LIMIT ?", [text_id, limit])
        return frame["line_no"].to_list()

    def queue(self, kind: str, threshold: float, by_message: bool, limit: int) -> pl.DataFrame:
        """Lines worth an analyst's look, the first of them first; blank ones are not.

        Args:
            kind: "highest": flagged lines by falling score; "near": all lines by distance to the threshold; "audit": a
                random draw of lines below it, for one run always in the same order.
            threshold: 0 to 1.
            by_message: one line a normalized text, its first; of an audit the one drawn first.
            limit: lines looked at, or messages.

        Returns:
            line_no, text_id, normalized_text, count (lines of that text), score.
        """
        where, order = _QUEUES[kind]
        drawn = kind == "audit"
        frame = self._frame(
            f"""
            SELECT line_no, text_id, normalized_text, count, score
            FROM {_FIRST_LINES if by_message and not drawn else "lines"} JOIN texts USING (text_id)
            WHERE {where} ORDER BY {order}, line_no LIMIT $limit
            """,  # noqa: S608  fixed words only; values are bound
            {"threshold": threshold, "limit": limit} | ({"seed": self.info.run_id} if drawn else {}),
        )
        return frame.unique("text_id", keep="first", maintain_order=True) if by_message else frame

    def session_lines(self, session: str) -> int:
        """Lines of a session or source, blank ones left out."""
        return int(self._frame("SELECT count(text_id) AS n FROM lines WHERE session = ?", [session])["n"][0])

    def context(self, line_no: int, before: int = 4, after: int = 4) -> pl.DataFrame:
        """The lines around one, itself among them: line_no, raw, score, muted."""
        return self._frame(
            """
            SELECT line_no, raw, coalesce(score, 0.0) AS score, coalesce(muted, false) AS muted
            FROM lines LEFT JOIN texts USING (text_id)
            WHERE line_no BETWEEN ? AND ? ORDER BY line_no
            """,
            [line_no - before, line_no + after],
        )

    def rejections(self, limit: int = 100) -> pl.DataFrame:
        """The first lines that were not read as their format says: line_no, rejection, raw."""
        return self._frame(
            "SELECT line_no, rejection, raw FROM lines WHERE rejection IS NOT NULL ORDER BY line_no LIMIT ?", [limit]
        )

    def _where(self, filters: LineFilters) -> tuple[str, list[Any]]:
        return where(filters, self._source if filters.get("source") is not None else "")

    def _rows(self, line_nos: list[int], order: str) -> pl.DataFrame:
        low, high = (min(line_nos), max(line_nos)) if line_nos else (0, 0)  # lets DuckDB skip row groups
        rows = self._frame(
            f"""
            SELECT line_no, timestamp_utc, level, coalesce(score, 0.0) AS score, host, component, session, raw, reason,
                normalized_text, text_id
            FROM lines LEFT JOIN texts USING (text_id)
            WHERE line_no BETWEEN ? AND ? AND line_no IN (SELECT unnest(?::BIGINT[])) ORDER BY {order}
            """,  # noqa: S608  fixed words only; values are bound
            [low, high, line_nos],
        )
        return rows.with_columns(self.files_of(rows["line_no"]))

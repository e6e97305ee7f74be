"""Answers about one run, from its Parquet files through an in-memory DuckDB. Every value is bound, never formatted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from core.config import home
from core.errors import StoreError, WorkbenchError
from core.records import Progress, no_progress
from core.store.result_file import ResultFile
from core.store.run_info import read_run_info, run_folder, store_errors

_MEMORY = "512MB"  # a page may hold several runs open; above it DuckDB spills to the data folder
_EXPORT_LINES = 65_536
_QUEUES = {  # what is worth an analyst's look: the condition and the order
    "highest": ("score >= $threshold", "score DESC"),
    "near": ("$threshold IS NOT NULL", "abs(score - $threshold)"),
    "audit": ("score < $threshold", "hash(line_no, $seed)"),
}
_FIRST_LINES = "(SELECT text_id, min(line_no) AS line_no FROM lines GROUP BY text_id)"


class RunReader:
    """A stored run, read only. Safe from any thread.

    Everywhere a line is flagged when its score is at or above the threshold; a blank line scores 0. The filters of
    `lines` and `n_lines` are the same:

        threshold: flagged lines only; None for all.
        search: text the raw line holds, in any case; with `regex` an RE2 expression, in any case too.
        level: as `levels` lists them.
        text_id: lines of this normalized text only, or of these.
    """

    def __init__(self, run_id: str) -> None:
        self.info = read_run_info(run_id)
        self._folder = run_folder(run_id).resolve()
        self._place = f"run {run_id} cannot be read (delete it and score the file again)"
        with store_errors(self._place):
            self._connection = duckdb.connect(config={"memory_limit": _MEMORY, "autoinstall_known_extensions": False})
            self._connection.execute("SET temp_directory = ?", [str(home() / "spill")])
            # What every line is joined with is held; what only the detail of one line shows stays on disk.
            answers = self._connection.read_parquet(str(self._folder / "texts.parquet"))
            if "context" not in answers.columns:  # a run of before there was any
                answers = answers.project("*, 0.0::DOUBLE AS context")
            answers.create_view("answers")
            self._connection.execute(
                """
                CREATE TABLE texts AS SELECT * EXCLUDE
                    (example, tokens, surprise, expected, expected_p, nearest, embedding) FROM answers
                """
            )
            self._connection.read_parquet(str(self._folder / "lines.parquet")).create_view("lines")

    def score_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct scores, ascending [K] float64, and the lines that have each [K] int64; blank lines count as 0."""
        table = self._frame(
            """
            SELECT score, sum(n)::BIGINT AS n
            FROM (SELECT score, count AS n FROM texts UNION ALL SELECT 0.0, ?)
            GROUP BY score HAVING sum(n) > 0 ORDER BY score
            """,
            [self.info.n_blank],
        )
        return table["score"].to_numpy(), table["n"].to_numpy()

    def flagged(self, threshold: float) -> int:
        """Lines at or above the threshold, exact."""
        scores, counts = self.score_counts()
        return int(counts[scores >= threshold].sum())

    def lines(
        self,
        threshold: float | None = None,
        search: str | None = None,
        regex: bool = False,
        level: str | None = None,
        text_id: int | Sequence[int] | None = None,
        order: str = "score",
        descending: bool = True,
        limit: int = 200,
        offset: int = 0,
    ) -> pl.DataFrame:
        """One page of lines.

        Args:
            threshold: see the class.
            search: see the class.
            regex: see the class.
            level: see the class.
            text_id: see the class.
            order: "score" (equal scores by line number, ascending) or "line_no".
            descending: highest first.
            limit: rows of a page.
            offset: rows skipped.

        Returns:
            line_no, timestamp_utc, level, score, host, component, raw, reason, normalized_text, text_id.

        Raises:
            WorkbenchError: for a regular expression that cannot be read, or an unknown order.
        """
        direction = "DESC" if descending else "ASC"
        orders = {"score": f"score {direction}, line_no", "line_no": f"line_no {direction}"}
        if order not in orders:
            raise WorkbenchError(f"lines can be ordered by {' or '.join(orders)}, not by {order!r}")
        where, values = self._where(threshold, search, regex, level, text_id)
        # The page is found in the narrow columns first; the wide ones are read for its rows alone.
        page = self._frame(
            f"""
            SELECT line_no, coalesce(score, 0.0) AS score
            FROM lines LEFT JOIN texts USING (text_id) {where}
            ORDER BY {orders[order]} LIMIT ? OFFSET ?
            """,  # noqa: S608  fixed words only; values are bound
            [*values, limit, offset],
        )
        return self._rows(page["line_no"].to_list(), orders[order])

    def n_lines(
        self,
        threshold: float | None = None,
        search: str | None = None,
        regex: bool = False,
        level: str | None = None,
        text_id: int | Sequence[int] | None = None,
    ) -> int:
        """How many lines `lines` would give without a limit."""
        if not search and level is None and text_id is None:
            return self.info.n_lines if threshold is None else self.flagged(threshold)
        where, values = self._where(threshold, search, regex, level, text_id)
        frame = self._frame(f"SELECT count(*) AS n FROM lines LEFT JOIN texts USING (text_id) {where}", values)  # noqa: S608
        return int(frame["n"][0])

    def line(self, line_no: int) -> dict[str, Any]:
        """Everything known of one line: the fields of LogTable, of its text, and of its answer.

        Raises:
            StoreError: where the run has no such line.
        """
        frame = self._frame(
            "SELECT * EXCLUDE (embedding) FROM lines LEFT JOIN answers USING (text_id) WHERE line_no = ?", [line_no]
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

    def line_texts(self) -> pl.DataFrame:
        """The text of every line that has one: line_no, text_id; in order."""
        return self._frame("SELECT line_no, text_id FROM lines WHERE text_id IS NOT NULL ORDER BY line_no", [])

    def texts(self) -> pl.DataFrame:
        """Every distinct text with count, score, context, and each scorer's value (raw_<name> and <name>)."""
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

    def session_lines(self, session: str) -> int | None:
        """Lines of a session, blank ones left out; None where sessions were not scored."""
        sessions = self._folder / "sessions.parquet"
        if not sessions.exists():
            return None
        found = self._frame("SELECT n_lines FROM read_parquet(?) WHERE session = ?", [str(sessions), session])
        return None if found.is_empty() else int(found["n_lines"][0])

    def context(self, line_no: int, before: int = 4, after: int = 4) -> pl.DataFrame:
        """The lines around one, itself among them: line_no, raw, score."""
        return self._frame(
            """
            SELECT line_no, raw, coalesce(score, 0.0) AS score FROM lines LEFT JOIN texts USING (text_id)
            WHERE line_no BETWEEN ? AND ? ORDER BY line_no
            """,
            [line_no - before, line_no + after],
        )

    def rejections(self, limit: int = 100) -> pl.DataFrame:
        """The first lines that were not read as their format says: line_no, rejection, raw."""
        return self._frame(
            "SELECT line_no, rejection, raw FROM lines WHERE rejection IS NOT NULL ORDER BY line_no LIMIT ?", [limit]
        )

    def templates(self, threshold: float = 0.0, limit: int = 200) -> pl.DataFrame:
        """Flagged normalized texts, most abnormal first: text_id, normalized_text, count (lines), score."""
        return self._frame(
            """
            SELECT text_id, normalized_text, count, score FROM texts WHERE score >= ?
            ORDER BY score DESC, count DESC, text_id LIMIT ?
            """,
            [threshold, limit],
        )

    def top_messages(self, threshold: float, limit: int) -> pl.DataFrame:
        """Flagged normalized texts as `templates`, with what a report says of each.

        Returns:
            text_id, normalized_text, count, score, reason, nearest (or null), example (the first raw line), first_no
            and last_no (line numbers), first_utc and last_utc (null where its lines have no time).
        """
        return self._frame(
            """
            WITH top AS (
                SELECT text_id, normalized_text, count, score, reason, nearest, example FROM answers WHERE score >= ?
                ORDER BY score DESC, count DESC, text_id LIMIT ?
            ), seen AS (
                SELECT text_id, min(line_no) AS first_no, max(line_no) AS last_no,
                    min(timestamp_utc) AS first_utc, max(timestamp_utc) AS last_utc
                FROM lines WHERE text_id IN (SELECT text_id FROM top) GROUP BY text_id
            )
            SELECT * FROM top JOIN seen USING (text_id) ORDER BY score DESC, count DESC, text_id
            """,
            [threshold, limit],
        )

    def n_templates(self, threshold: float) -> int:
        """Flagged normalized texts."""
        return int(self._frame("SELECT count(*) AS n FROM texts WHERE score >= ?", [threshold])["n"][0])

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
                SELECT {position} AS position, coalesce(score, 0.0) >= $threshold AS flagged
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

    def export(
        self,
        path: Path,
        threshold: float | None = None,
        progress: Progress = no_progress,
        flagged_only: bool = False,
        with_lines: bool = False,
    ) -> None:
        """Write one row a physical line, in order; the suffix says how: .csv, .jsonl or .parquet.

        Columns: line_no, score, is_anomaly (0 or 1), session, template, one calibrated score a scorer, of a run scored
        in context the context (0 to 1; 0 where the score is that of the text alone), reason.

        Args:
            path: replaced when the new file is whole; see ResultFile.
            threshold: of is_anomaly; the bundle's own where None.
            progress: told lines written.
            flagged_only: leave out lines below the threshold.
            with_lines: two columns more, timestamp_utc and line (as written).

        Raises:
            WorkbenchError: for another suffix.
            StoreError: where it cannot be written.
        """
        threshold = self.info.threshold if threshold is None else threshold
        scorers = "".join(f", coalesce({scorer}, 0.0) AS {scorer}" for scorer in self.info.scorers)
        context = ", coalesce(context, 0.0) AS context" if self.info.context else ""
        written = ", timestamp_utc, raw AS line" if with_lines else ""
        flagged = "AND coalesce(score, 0.0) >= ?" if flagged_only else ""
        # In slices of lines: five times less memory than one COPY that sorts, and faster.
        with ResultFile(path) as file:
            for first in range(1, max(self.info.n_lines, 1) + 1, _EXPORT_LINES):
                file.write(
                    self._frame(
                        f"""
                        SELECT line_no, coalesce(score, 0.0) AS score,
                            (coalesce(score, 0.0) >= ?)::INTEGER AS is_anomaly,
                            session, normalized_text AS template{scorers}{context}, reason{written}
                        FROM lines LEFT JOIN texts USING (text_id)
                        WHERE line_no BETWEEN ? AND ? {flagged} ORDER BY line_no
                        """,  # noqa: S608  scorer names are checked when run.json is read
                        [threshold, first, first + _EXPORT_LINES - 1, *([threshold] if flagged_only else [])],
                    )
                )
                progress("export", min(first + _EXPORT_LINES - 1, self.info.n_lines), self.info.n_lines)

    def export_sessions(self, path: Path, threshold: float | None = None) -> None:
        """Write one row a session, in order of appearance: session, score, is_anomaly; else as `export`.

        Args:
            path: see `export`.
            threshold: of is_anomaly; the bundle's own for sessions where None.

        Raises:
            WorkbenchError: for another suffix, or where the run was scored without sessions.
            StoreError: where it cannot be written.
        """
        sessions = self._folder / "sessions.parquet"
        threshold = self.info.session_threshold if threshold is None else threshold
        if threshold is None or not sessions.exists():
            raise WorkbenchError(f"run {self.info.run_id} has no sessions: score with --sessions REGEX")
        with ResultFile(path) as file:
            file.write(
                self._frame(
                    """
                    SELECT session, score, (score >= ?)::INTEGER AS is_anomaly
                    FROM read_parquet(?) ORDER BY first_line_no, session
                    """,
                    [threshold, str(sessions)],
                )
            )

    def _where(
        self,
        threshold: float | None,
        search: str | None,
        regex: bool,
        level: str | None,
        text_id: int | Sequence[int] | None,
    ) -> tuple[str, list[Any]]:
        """The WHERE clause of the filters, and the values to bind in its order."""
        clauses: list[str] = []
        values: list[Any] = []
        if threshold is not None and threshold > 0:  # at 0 every line is flagged, blank ones too
            clauses.append("score >= ?")
            values.append(threshold)
        if text_id is not None:
            one = isinstance(text_id, int)
            clauses.append("text_id = ?" if one else "text_id IN (SELECT unnest(?::BIGINT[]))")
            values.append(text_id)
        if level is not None:
            clauses.append("level = ?")
            values.append(level)
        if search:
            if regex:
                self._check_expression(search)
            clauses.append("regexp_matches(raw, ?, 'i')" if regex else "contains(lower(raw), lower(?))")
            values.append(search)
        return ("WHERE " + " AND ".join(clauses)) if clauses else "", values

    def _check_expression(self, search: str) -> None:
        with self._cursor() as cursor:
            try:
                cursor.execute("SELECT regexp_matches('', ?, 'i')", [search])
            except duckdb.InvalidInputException as error:
                reason = str(error).removeprefix("Invalid Input Error: ")
                raise WorkbenchError(f"the regular expression {search!r} cannot be read: {reason}") from error

    def _rows(self, line_nos: list[int], order: str) -> pl.DataFrame:
        low, high = (min(line_nos), max(line_nos)) if line_nos else (0, 0)  # lets DuckDB skip row groups
        return self._frame(
            f"""
            SELECT line_no, timestamp_utc, level, coalesce(score, 0.0) AS score, host, component, raw, reason,
                normalized_text, text_id
            FROM lines LEFT JOIN texts USING (text_id)
            WHERE line_no BETWEEN ? AND ? AND line_no IN (SELECT unnest(?::BIGINT[])) ORDER BY {order}
            """,  # noqa: S608  fixed words only; values are bound
            [low, high, line_nos],
        )

    def _frame(self, query: str, values: list[Any] | dict[str, Any]) -> pl.DataFrame:
        with store_errors(self._place), self._cursor() as cursor:
            frame = pl.from_arrow(cursor.sql(query, params=values).to_arrow_table())
        assert isinstance(frame, pl.DataFrame)  # noqa: S101  for the type checker
        return frame

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._connection.cursor()  # a connection serves one thread at a time; a cursor is its own
        try:
            yield cursor
        finally:
            cursor.close()

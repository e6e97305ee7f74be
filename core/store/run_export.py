"""A run as a file for other programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from core.errors import WorkbenchError
from core.records import Progress, no_progress
from core.store.result_file import ResultFile
from core.store.run_info import RunInfo
from core.store.run_tables import RunTables

_EXPORT_LINES = 65_536
_ECS_VERSION = "8.17.0"


class RunExport(RunTables):
    """Lines and sessions of a run, written in slices so that memory stays bounded."""

    def export(
        self,
        path: Path,
        threshold: float | None = None,
        progress: Progress = no_progress,
        flagged_only: bool = False,
        with_lines: bool = False,
        line_nos: Sequence[int] | None = None,
    ) -> None:
        """Write one row a physical line, in order; the suffix says how: .csv, .jsonl or .parquet.

        Columns: line_no, score, is_anomaly (0 or 1), session, template, one calibrated score a scorer, of a run scored
        in context the context (0 to 1; 0 where the score is that of the text alone), reason.

        Args:
            path: replaced when the new file is whole; see ResultFile.
            threshold: of is_anomaly; the bundle's own where None.
            progress: told lines written.
            flagged_only: leave out lines below the threshold.
            with_lines: three columns more, timestamp_utc, line (as written) and muted (0 or 1): a muted line is no less
                abnormal, so it stays in the file and is marked. And file, where several inputs were read as one.
            line_nos: these lines only; None for all.

        Raises:
            WorkbenchError: for another suffix.
            StoreError: where it cannot be written.
        """
        threshold = self.info.threshold if threshold is None else threshold
        context = ", context" if self.info.context else ""
        written = ", timestamp_utc, raw AS line, muted" if with_lines else ""
        scorers = "".join(f", coalesce({scorer}, 0.0) AS {scorer}" for scorer in self.info.scorers)
        columns = f"line_no, score, is_anomaly, session, template{scorers}{context}, reason{written}"
        with ResultFile(path) as file:
            for rows in self._slices(columns, threshold, progress, flagged_only, line_nos):
                named = with_lines and self.info.files
                file.write(rows.with_columns(self.files_of(rows["line_no"])) if named else rows)

    def export_ecs(
        self,
        path: Path,
        threshold: float,
        progress: Progress = no_progress,
        flagged_only: bool = False,
        line_nos: Sequence[int] | None = None,
    ) -> None:
        """Write lines as documents of the Elastic Common Schema, one a row; the suffix is .ndjson.

        A flagged line is an alert unless its message is muted. An access log's host is its client, the schema's source.
        What the schema has no field for is under `tinylogbert`.

        Args and Raises: as `export`.
        """
        columns = (
            "line_no, score, is_anomaly, session, template, reason, timestamp_utc, raw AS line, muted, level, host, "
            "component"
        )
        with ResultFile(path) as file:
            for rows in self._slices(columns, threshold, progress, flagged_only, line_nos):
                file.write(_ecs(rows, self.files_of(rows["line_no"]), self.info))

    def _slices(
        self,
        columns: str,
        threshold: float,
        progress: Progress,
        flagged_only: bool,
        line_nos: Sequence[int] | None,
    ) -> Iterator[pl.DataFrame]:
        """The lines by number, a frame for each _EXPORT_LINES of them: five times less memory than one sorted COPY."""
        where = "AND score >= $threshold" if flagged_only else ""
        values: dict[str, object] = {"threshold": threshold}
        if line_nos is not None:
            where += " AND line_no IN (SELECT unnest($line_nos::BIGINT[]))"
            values["line_nos"] = list(line_nos)
        for first in range(1, max(self.info.n_lines, 1) + 1, _EXPORT_LINES):
            last = min(first + _EXPORT_LINES - 1, self.info.n_lines)
            yield self._frame(
                f"""
                SELECT {columns} FROM (
                    SELECT * REPLACE (coalesce(score, 0.0) AS score, coalesce(context, 0.0) AS context,
                            coalesce(muted, false)::INTEGER AS muted),
                        (coalesce(score, 0.0) >= $threshold)::INTEGER AS is_anomaly, normalized_text AS template
                    FROM lines LEFT JOIN texts USING (text_id) WHERE line_no BETWEEN $first AND $last
                ) WHERE true {where} ORDER BY line_no
                """,  # noqa: S608  scorer names are checked when run.json is read
                values | {"first": first, "last": last},
            )
            progress("export", last, self.info.n_lines)

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
            raise WorkbenchError(
                f"run {self.info.run_id} has no sessions: score with --sessions source or a REGEX that its lines match"
            )
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


def _ecs(rows: pl.DataFrame, files: pl.Series, info: RunInfo) -> pl.DataFrame:
    """Rows as documents of the Elastic Common Schema; `files` they came from, null where the run has one only."""

    def named(field: str, column: str) -> pl.Expr:
        return pl.struct(pl.col(column).alias(field))

    of_clients = info.format.partition(" ")[0] == "access"
    flagged = (pl.col("is_anomaly") == 1) & (pl.col("muted") == 0)
    return rows.select(
        pl.col("timestamp_utc").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").alias("@timestamp"),
        pl.col("line").alias("message"),
        pl.struct(pl.lit(_ECS_VERSION).alias("version")).alias("ecs"),
        pl.struct(
            pl.when(flagged).then(pl.lit("alert")).otherwise(pl.lit("event")).alias("kind"),
            pl.lit("tinylogbert").alias("module"),
            pl.lit(info.name).alias("dataset"),
            pl.col("line_no").alias("sequence"),
            (pl.col("score") * 100).round(2).alias("risk_score"),
            pl.col("reason"),
        ).alias("event"),
        pl.struct("level", *([] if files.null_count() else [pl.struct(files.alias("path")).alias("file")])).alias(
            "log"
        ),
        named("address", "host").alias("source") if of_clients else named("name", "host").alias("host"),
        named("name", "component").alias("process"),
        pl.struct(
            "score",
            pl.lit(info.model, dtype=pl.String).alias("model"),
            "template",
            "session",
            (pl.col("is_anomaly") == 1).alias("is_anomaly"),
            (pl.col("muted") == 1).alias("muted"),
        ).alias("tinylogbert"),
    )

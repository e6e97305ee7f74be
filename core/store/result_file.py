"""Scored rows as a file for other programs: CSV, JSON lines or Parquet, streamed and never seen half-written."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import polars as pl
import pyarrow.parquet as pq

from core.errors import StoreError, WorkbenchError
from core.store.run_info import store_errors

SUFFIXES = (".csv", ".jsonl", ".ndjson", ".parquet")
_FORMULA = r"^[-=+@\t\r\n＝＋－＠]"  # a spreadsheet runs a cell that begins so (OWASP, CSV injection)


class ResultFile:
    """Context manager; the file takes its name when the block ends well.

    In CSV a text cell that a spreadsheet would run as a formula gets a leading apostrophe.

    Raises:
        WorkbenchError: for a suffix other than SUFFIXES.
        StoreError: where the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._suffix = path.suffix.lower()
        self._partial = path.with_name(f"{path.name}.tmp")
        self._handle: BinaryIO | None = None
        self._parquet: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        if self._suffix not in SUFFIXES:
            raise WorkbenchError(f"{self.path}: results are written to a file named *{', *'.join(SUFFIXES)}")
        if not self.path.parent.is_dir():
            raise StoreError(f"{self.path}: there is no folder {self.path.parent}; create it first")
        with store_errors(str(self.path)):
            self._handle = self._partial.open("wb")
        return self

    def write(self, rows: pl.DataFrame) -> None:
        """Append rows; every call has the columns of the first, which may be empty."""
        if self._handle is None:
            raise StoreError(f"{self.path} is not open for writing")
        with store_errors(str(self.path)):
            if self._suffix == ".csv":
                text = pl.selectors.string()
                harmless = pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text).name.keep()
                rows.with_columns(harmless).write_csv(self._handle, include_header=self._handle.tell() == 0)
            elif self._suffix in (".jsonl", ".ndjson"):
                rows.write_ndjson(self._handle)
            else:
                table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
                self._parquet = self._parquet or pq.ParquetWriter(self._handle, table.schema, compression="zstd")
                self._parquet.write_table(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with store_errors(str(self.path)):
                if self._parquet:  # also of a file given up: left open, it would try to end it on a closed handle
                    self._parquet.close()
                if self._handle:
                    self._handle.close()
                if error is None:
                    self._partial.replace(self.path)
        finally:
            self._partial.unlink(missing_ok=True)

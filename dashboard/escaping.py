"""Text from logs, file names and errors where the browser would act on it: Markdown, and cells of tables."""

import re
import unicodedata

import polars as pl

from core.display import printable

CELL_CHARS = 2_000  # of a text in a table: a cell shows two hundred, and a line may have a million
_WRITTEN_OUT = {
    char: printable(char)
    for char in map(chr, [*range(0x2100), 0xFEFF])
    if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") and char not in "\t\n\r"
}


def literal(text: str) -> str:
    r"""The same text with everything escaped that Markdown or Streamlit would act on, and what does not print seen.

    Example:
        >>> literal("a_b [x](http://y)")
        'a\\_b \\[x\\]\\(http\\:\\/\\/y\\)'
    """
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", printable(" ".join(text.split())))


def in_cells(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows for a table: texts of CELL_CHARS at most, control characters and marks of direction written out."""
    return rows.with_columns(pl.col(pl.String).str.head(CELL_CHARS).str.replace_many(_WRITTEN_OUT))

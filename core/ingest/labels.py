"""Labels of lines: a file beside a log, or the label column of a CSV. Read to measure, never to train or to score."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from core.config import ReadConfig
from core.errors import InputError
from core.ingest.files import read_chunks

LABELS_SCHEMA = {
    "line_no": pl.Int64,  # from 1, ascending, each once
    "label": pl.Int8,  # 0 normal, 1 abnormal, null for a line nobody judged
    "kind": pl.String,  # of attack, or "oddity:..." of a normal line; "" where none is given
}
"""Labels are a Polars frame of this schema."""

SUFFIX = ".labels.csv"
_COMPRESSED = re.compile(r"\.(gz|zst|bz2)$", re.IGNORECASE)


def label_stem(log: Path) -> str:
    """What the names of a log and of its labels begin with.

    Example:
        >>> label_stem(Path("logs/auth.txt.gz"))
        'auth'
    """
    return Path(_COMPRESSED.sub("", log.name)).stem


def labels_beside(log: Path, folder: Path | None = None) -> list[Path]:
    """Label files of a log by their names, newest first: `auth.labels.csv`, `auth-2.labels.csv` for auth.txt.

    Args:
        log: need not exist.
        folder: where to look; None looks beside the log.
    """
    name = re.compile(re.escape(label_stem(log)) + r"(-\d+)?" + re.escape(SUFFIX))
    folder = folder or log.parent
    found = [path for path in folder.iterdir() if name.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=lambda path: (-path.stat().st_mtime_ns, path.name))


def read_labels(path: Path) -> pl.DataFrame:
    """Read a label file: CSV (gzip allowed) with the columns line_no and label, perhaps kind; others are left alone.

    Args:
        path: one row a line, in any order; lines without a row are not labelled.

    Returns:
        LABELS_SCHEMA, by line.

    Raises:
        InputError: no such file, not such a CSV, a line number twice, or a label other than 0, 1 or nothing.
    """
    try:
        table = pl.read_csv(path.read_bytes(), infer_schema=False, encoding="utf8-lossy")  # a path would be a pattern
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: not a CSV of labels ({reason}); it needs the columns line_no and label") from error
    table = table.rename({name: name.strip() for name in table.columns})
    if missing := [name for name in ("line_no", "label") if name not in table.columns]:
        raise InputError(
            f"{path}: no column named {' or '.join(missing)}; found: {', '.join(table.columns)[:200]}. "
            "A label file needs line_no (from 1) and label (0, 1 or nothing)"
        )
    text = table.select(
        pl.col("line_no").str.strip_chars().fill_null(""),
        pl.col("label").str.strip_chars().fill_null(""),
        (pl.col("kind").str.strip_chars() if "kind" in table.columns else pl.lit("")).fill_null("").alias("kind"),
    )
    _refuse(text, path, "line_no", ~pl.col("line_no").str.contains(r"^[1-9][0-9]{0,14}$"), "a line number from 1")
    _refuse(text, path, "label", ~pl.col("label").is_in(["", "0", "1"]), "0, 1 or nothing")
    labels = text.select(pl.col("line_no").cast(pl.Int64), pl.col("label").cast(pl.Int8, strict=False), "kind")
    if (twice := labels.filter(pl.col("line_no").is_duplicated())).height:
        raise InputError(f"{path}: line {twice['line_no'][0]:,} is there more than once; leave one row of it")
    return labels.sort("line_no")


def read_labelled_csv(path: Path, config: ReadConfig | None = None) -> pl.DataFrame:
    """Read the labels of a labelled CSV: its column label, and as kind its column tag, where there is one.

    Args:
        path: see `read_chunks`.
        config: as the log was read, so that lines have the same numbers.

    Returns:
        LABELS_SCHEMA, a row a line.

    Raises:
        InputError: no such file, no such column, or a label other than 0, 1 or nothing.
    """
    parts = []
    for chunk in read_chunks(path, config, with_labels=True):
        numbers = pl.int_range(chunk.first_line_no, chunk.first_line_no + len(chunk.lines), eager=True)
        parts.append(pl.DataFrame({"line_no": numbers, "label": chunk.labels, "kind": chunk.kinds}))
    return pl.concat(parts).select(pl.col(name).cast(kind) for name, kind in LABELS_SCHEMA.items())


def check_labels(labels: pl.DataFrame, n_lines: int, source: str) -> None:
    """Refuse labels that are not of this log.

    Raises:
        InputError: a line number beyond the log, no label at all, or labels of one class only.
    """
    if labels.height and (last := int(labels["line_no"].max())) > n_lines:  # type: ignore[arg-type]
        raise InputError(
            f"{source}: labels line {last:,}, but the log has {n_lines:,} lines; are these the labels of another file?"
        )
    classes = set(labels["label"].drop_nulls())
    if not classes:
        raise InputError(f"{source}: no line is labelled; write 0 (normal) or 1 (abnormal) in the column label")
    if len(classes) == 1:
        only = "abnormal (1)" if 1 in classes else "normal (0)"
        raise InputError(f"{source}: every label is the same, {only}; to measure, normal and abnormal lines are needed")


def _refuse(text: pl.DataFrame, path: Path, column: str, bad: pl.Expr, expected: str) -> None:
    wrong = text.with_row_index("row").filter(bad)
    if wrong.height:
        row, value = wrong["row"][0] + 1, wrong[column][0]
        raise InputError(f"{path}: record {row:,}: {column} is {value[:40]!r}; expected {expected}")

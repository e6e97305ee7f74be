"""L1: what reading gives out, some lines at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from core.errors import InputError


class NoLabelsError(InputError):
    """Labels were asked for and the input has no column of them."""


@dataclass(frozen=True)
class Chunk:
    """Some lines of one file, in order.

    Attributes:
        first_line_no: number of the first line, from 1.
        lines: the lines as text, without their line ends.
        rejections: row in `lines` -> why the bytes were not taken as they are.
        sessions: the `session` column of a labelled CSV, or None.
        said: what columns of a CSV say of the lines, any of timestamp, level, host and component, as text; or None.
        labels: the `label` column (0, 1, null), only where labels were asked for.
        kinds: the `tag` column ("" where it is empty or missing), where labels were asked for.
    """

    first_line_no: int
    lines: pl.Series
    rejections: dict[int, str] = field(default_factory=dict)
    sessions: pl.Series | None = None
    said: pl.DataFrame | None = None
    labels: pl.Series | None = None
    kinds: pl.Series | None = None

"""L3: lines -> skeletons, and what all lines of a skeleton share: format, level, masked text, places of fields.

A *skeleton* is a line with every digit folded to 0. Lines repeat a few skeletons, so headers and masks run once a
skeleton, and a skeleton is a number from then on: what is known of a line is a row of a table of whole numbers. What
sets many skeletons apart is hexadecimal, which is masked anyway: headers and masks run once for all that differ in it
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa

from core.tokenization import headers
from core.tokenization.masks import FOLDED_WORD, JOINED_WORD, fold_hexadecimal, mask, masked_message

KNOWN_SKELETONS = 500_000  # a cache: dropped and started anew beyond that, so memory stays bounded

FOLDED = str.maketrans("123456789", "000000000")
_FOLD = bytes(FOLDED.get(byte, byte) for byte in range(256))


def fold_digits(lines: pl.Series) -> pl.Series:
    """Every ASCII digit to 0, in one pass over the bytes."""
    array = lines.to_arrow(compat_level=pl.CompatLevel.oldest())
    array = array if isinstance(array, pa.LargeStringArray) else array.cast(pa.large_string())
    _, offsets, data = array.buffers()
    if data is None:
        return lines
    folded = pa.py_buffer(data.to_pybytes().translate(_FOLD))
    return cast(
        pl.Series,
        pl.from_arrow(pa.LargeStringArray.from_buffers(len(array), offsets, folded, offset=array.offset)),
    )


def read_skeletons(skeletons: pl.Series, only: str) -> pl.DataFrame:
    """What all lines of a skeleton share: header parsed, message masked.

    Args:
        skeletons: [N] distinct lines, digits folded.
        only: as for `headers.parse`.

    Returns:
        [N] rows in the same order: skeleton, text, and of `headers.parse` all but message.
    """
    parsed = headers.parse(skeletons, only).with_columns(skeletons.alias("skeleton")).with_row_index("row")
    parts = [
        parsed.filter(pl.col("request") == request).with_columns(masked_message(request).alias("text"))
        for request in parsed["request"].unique()
    ]
    parsed = pl.concat(parts).sort("row").drop("row", "message")
    header_only = parsed["text"] == ""
    if header_only.any():  # such a line still needs a text: the whole of it, masked
        whole = pl.when(header_only).then(mask(pl.col("skeleton"), request=False)).otherwise("text")
        parsed = parsed.with_columns(whole.alias("text"))
    return parsed


class Numbered:
    """Strings to whole numbers from 0, in order of first appearance, chunk after chunk."""

    def __init__(self) -> None:
        self._kind = pl.Categorical(pl.Categories.random())
        self._held = pl.Series([], dtype=self._kind)  # without a column of the kind its numbers are forgotten
        self.size = 0

    def numbers(self, strings: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        """The numbers [N] int64 of strings, none null, and the rows [M] where the M new ones stand first, in order."""
        codes = strings.cast(self._kind).to_physical().to_numpy().astype(np.int64)
        new = np.flatnonzero(codes >= self.size)
        first = np.full(max(0, int(codes.max(initial=-1)) + 1 - self.size), -1)
        first[codes[new][::-1] - self.size] = new[::-1]
        self.size += len(first)
        return codes, first


_PLACES = (*(f"{name}_{part}" for name in headers.PLACED for part in ("at", "length")), "message_at")
FIELDS = ("format", "kind", "level", "text", "request", *_PLACES)
"""The columns of `Skeletons.facts`: numbers of names or texts, and places in characters; -1 where there is none."""


class Skeletons:
    """What is known of skeletons, by number; each is read once.

    Args:
        only: as for `headers.parse`.

    Attributes:
        texts: masked texts, by number.
    """

    def __init__(self, only: str) -> None:
        self._only = only
        self._name_numbers: dict[str, int] = {}
        self._texts = Numbered()
        self.texts: list[str] = []
        self._start_anew()

    def _start_anew(self) -> None:
        self._known = _Facts(self._read)
        self._folded = _Facts(self._read_whole)

    @property
    def names(self) -> list[str]:
        """Of formats, kinds of timestamp and levels, by number."""
        return list(self._name_numbers)

    def number_of_name(self, name: str) -> int:
        """The number of a name in `names`, which it enters."""
        return self._name_numbers.setdefault(name, len(self._name_numbers))

    def facts(self, skeletons: pl.Series) -> dict[str, np.ndarray]:
        """FIELDS to [N] int32, of N skeletons."""
        if len(self._known) > KNOWN_SKELETONS:
            self._start_anew()
        found = self._known.of(skeletons)
        return {name: found[:, column] for column, name in enumerate(FIELDS)}

    def _read(self, skeletons: pl.Series) -> np.ndarray:
        """The facts [M, F] of new skeletons; those that differ in hexadecimal after the header share theirs."""
        joined = skeletons.str.contains(JOINED_WORD)
        folded = fold_hexadecimal(skeletons)
        found = self._folded.of(pl.select(pl.when(joined).then(skeletons).otherwise(folded)).to_series())
        fields = {name: found[:, column] for column, name in enumerate(FIELDS)}
        ends = [np.where(fields[f"{n}_at"] < 0, 0, fields[f"{n}_at"] + fields[f"{n}_length"]) for n in headers.PLACED]
        header = np.maximum.reduce([fields["message_at"], *ends])
        first = skeletons.str.find(FOLDED_WORD).cast(pl.Int64)  # in bytes: characters, where there is only ASCII
        behind = (first >= pl.Series(header)) & (skeletons.str.len_bytes() == skeletons.str.len_chars())
        alike = joined | (behind & pl.Series(fields["request"] == 0))
        rest = np.flatnonzero(~alike.fill_null(True).to_numpy())  # null: there is no hexadecimal
        if len(rest):
            found[rest] = self._read_whole(skeletons.gather(rest))
        return found

    def _read_whole(self, skeletons: pl.Series) -> np.ndarray:
        """The facts [M, F] of skeletons, from their headers and masks."""
        parsed = read_skeletons(skeletons, self._only)
        texts, new = self._texts.numbers(parsed["text"])
        self.texts += parsed["text"].gather(new).to_list()
        named = [
            parsed[name].replace_strict(
                {word: self.number_of_name(word) for word in parsed[name].drop_nulls().unique(maintain_order=True)},
                default=-1,
                return_dtype=pl.Int32,
            )
            for name in ("format", "kind", "level")
        ]
        places = [parsed[name].cast(pl.Int32).fill_null(-1) for name in ("request", *_PLACES)]
        return np.column_stack([*named, texts.astype(np.int32), *places])


class _Facts:
    """A row of whole numbers for each string, read where it is new.

    Args:
        read: new strings [M] to rows [M, F] int32.
    """

    def __init__(self, read: Callable[[pl.Series], np.ndarray]) -> None:
        self._read = read
        self._numbered = Numbered()
        self._rows = np.empty((1_024, len(FIELDS)), np.int32)

    def __len__(self) -> int:
        return self._numbered.size

    def of(self, strings: pl.Series) -> np.ndarray:
        """The rows [N, F] of strings, a copy."""
        known = len(self)
        numbers, new = self._numbered.numbers(strings)
        size = known + len(new)
        if size > len(self._rows):
            self._rows = np.concatenate([self._rows[:known], np.empty((2 * size - known, len(FIELDS)), np.int32)])
        if len(new):
            self._rows[known:size] = self._read(strings.gather(new))
        rows: np.ndarray = self._rows[numbers]
        return rows

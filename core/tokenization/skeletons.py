"""L3: lines -> skeletons, and what all lines of a skeleton share: format, level, masked text, places of fields.

A *skeleton* is a line with every digit folded to 0. Lines repeat a few skeletons, so headers and masks run once a
skeleton, and a skeleton is a number from then on: what is known of a line is a row of a table of whole numbers. What
sets many skeletons apart is hexadecimal, which is masked anyway: headers and masks run once for all that differ in it
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa

from core.tokenization import headers
from core.tokenization.folding import UNCHANGED, fold_hexadecimal, fold_numbers
from core.tokenization.masks import mask, masked_message

KNOWN_SKELETONS = 500_000  # a cache: dropped and started anew beyond that, so memory stays bounded

FOLDED = str.maketrans("123456789", "000000000")
_PIECE_BYTES = 1 << 18  # that a processor's own cache holds


def fold_digits(lines: pl.Series) -> pl.Series:
    """Every ASCII digit to 0, in one pass over the bytes."""
    array = lines.to_arrow(compat_level=pl.CompatLevel.oldest())
    array = array if isinstance(array, pa.LargeStringArray) else array.cast(pa.large_string())
    _, offsets, data = array.buffers()
    if data is None:
        return lines
    text = np.frombuffer(data, np.uint8)
    folded = np.empty_like(text)
    for start in range(0, len(text), _PIECE_BYTES):
        piece = text[start : start + _PIECE_BYTES]
        digit = piece - np.uint8(ord("0")) < 10
        # 0 is 0x30, and the digits are 0x30 to 0x39
        np.bitwise_and(piece, ~(digit.view(np.uint8) * np.uint8(0x0F)), out=folded[start : start + _PIECE_BYTES])
    return cast(
        pl.Series,
        pl.from_arrow(pa.LargeStringArray.from_buffers(len(array), offsets, pa.py_buffer(folded), offset=array.offset)),
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
"""What `Facts` tells: numbers of names or texts, and places in characters; -1 where there is none."""


@dataclass(frozen=True)
class Facts:
    """What is known of N skeletons, gathered where it is asked for.

    Attributes:
        columns: [F, K] int32, of FIELDS, of all K skeletons known.
        numbers: [N] which of them these are.
    """

    columns: np.ndarray
    numbers: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        """One of FIELDS, [N]."""
        found: np.ndarray = self.columns[FIELDS.index(name)][self.numbers]
        return found


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
        self._known = _Known(self._read)
        self._with_hexadecimal_folded = _Known(self._read_without_hexadecimal)
        self._with_numbers_folded = _Known(self._read_whole)

    @property
    def names(self) -> list[str]:
        """Of formats, kinds of timestamp and levels, by number."""
        return list(self._name_numbers)

    def number_of_name(self, name: str) -> int:
        """The number of a name in `names`, which it enters."""
        return self._name_numbers.setdefault(name, len(self._name_numbers))

    def facts(self, skeletons: pl.Series) -> Facts:
        """What is known of N skeletons."""
        if len(self._known) > KNOWN_SKELETONS:
            self._start_anew()
        return self._known.of(skeletons)

    def _read(self, skeletons: pl.Series) -> np.ndarray:
        return self._read_folded(skeletons, fold_hexadecimal, self._with_hexadecimal_folded)

    def _read_without_hexadecimal(self, skeletons: pl.Series) -> np.ndarray:
        return self._read_folded(skeletons, fold_numbers, self._with_numbers_folded)

    def _read_folded(
        self, skeletons: pl.Series, fold: Callable[[pl.Series], tuple[pl.Series, np.ndarray]], known: _Known
    ) -> np.ndarray:
        """The columns [F, M] of new skeletons; those that differ behind the header, in what is folded, share theirs."""
        folded, first = fold(skeletons)
        found = known.of(folded)
        ends = [np.where(found[f"{n}_at"] < 0, 0, found[f"{n}_at"] + found[f"{n}_length"]) for n in headers.PLACED]
        header = np.maximum.reduce([found["message_at"], *ends])
        columns: np.ndarray = found.columns[:, found.numbers]
        rest = np.flatnonzero((first < header) | ((first < UNCHANGED) & (found["request"] == 1)))
        if len(rest):
            columns[:, rest] = self._read_whole(skeletons.gather(rest))
        return columns

    def _read_whole(self, skeletons: pl.Series) -> np.ndarray:
        """The columns [F, M] of skeletons, from their headers and masks."""
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
        return np.stack([*named, texts.astype(np.int32), *places])


class _Known:
    """A column of whole numbers for each string, read where it is new.

    Args:
        read: new strings [M] to columns [F, M] int32.
    """

    def __init__(self, read: Callable[[pl.Series], np.ndarray]) -> None:
        self._read = read
        self._numbered = Numbered()
        self._columns = np.empty((len(FIELDS), 1_024), np.int32)

    def __len__(self) -> int:
        return self._numbered.size

    def of(self, strings: pl.Series) -> Facts:
        """What is known of strings [N]."""
        known = len(self)
        numbers, new = self._numbered.numbers(strings)
        size = known + len(new)
        if size > self._columns.shape[1]:
            room = np.empty((len(FIELDS), 2 * size - known), np.int32)
            self._columns = np.concatenate([self._columns[:, :known], room], axis=1)
        if len(new):
            self._columns[:, known:size] = self._read(strings.gather(new))
        return Facts(self._columns, numbers)

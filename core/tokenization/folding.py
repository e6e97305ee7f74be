"""L3: what sets skeletons apart though no mask looks at it, folded in columns of bytes: hexadecimal, numbers' lengths.

Many skeletons differ in a block's id or in how many digits an address has. Where masks and headers are sure not to see
the difference, one skeleton is read for all of them. Every rule here says why they do not; what no rule covers stays as
it is, which costs time and no exactness. A regular expression would take a pass over all text for each rule.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa

UNCHANGED = np.iinfo(np.int64).max
_FEED, _ZERO, _A, _LOWER = ord("\n"), ord("0"), ord("a"), 0x20
_LETTER = 0x40  # the bit that letters have and digits have not


def _members(characters: str) -> np.ndarray:
    """Whether each of the 256 bytes is one of these."""
    table = np.zeros(256, bool)
    table[list(characters.encode("ascii"))] = True
    return table


_WORD = _members("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
_TO_ADDRESS = _members("0abcdefABCDEF:[")  # begins an address
_GROUPS = (9, 14, 19)  # of a UUID, four characters each, a dash before each
_IN_SCHEME = _members("+.-:")
_BEFORE, _AFTER = _members(" =({<\"',;|"), _members(" )}>\"',;|\n")  # numbers that stand alone
_BEFORE_ADDRESS, _AFTER_ADDRESS = _BEFORE | _members("/"), _AFTER | _members(":/")

# Past this many words no header counts digits: the last that it counts are the time in
# "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01". Requests, whose status follows, are left alone.
_WORDS_OF_HEADERS = 7


def fold_hexadecimal(skeletons: pl.Series) -> tuple[pl.Series, np.ndarray]:
    """Hexadecimal words and UUIDs to one of their kind and length.

    A mask sees of such a word only that it is hexadecimal, as long as it is joined to no address. A header that goes on
    into the word goes on into the folded one too, for that begins with a letter or with at least as many digits.

    Args:
        skeletons: [N] lines, digits folded.

    Returns:
        [N] the same, folded, and [N] int64 where in each the first change is, in characters; UNCHANGED without one.

    >>> folded, first = fold_hexadecimal(pl.Series(["id 00ac0fe0 at 0x0fe0ac0b"]))
    >>> folded[0], int(first[0])
    ('id 0000000a at 0x00000000', 3)
    """
    text, ends = _joined(skeletons)
    if len(text) < 8 or _are_broken(text, ends):
        return skeletons, np.full(len(skeletons), UNCHANGED)
    hexadecimal = ((text | _LOWER) - np.uint8(_A) < 6) | (text == _ZERO)
    two = hexadecimal[:-1] & hexadecimal[1:]
    four = two[:-2] & two[2:]
    six = four[:-2] & two[4:]
    starts = np.flatnonzero(six[1:] & ~hexadecimal[: len(six) - 1]) + 1
    stops = np.flatnonzero(six[:-1] & ~hexadecimal[6:]) + 6
    if not len(starts):
        return skeletons, np.full(len(skeletons), UNCHANGED)
    before, after, first = text[starts - 1], text[stops], text[starts]
    lengths = stops - starts
    is_digit, is_lower = first == _ZERO, first >= _A
    has_letter = np.bitwise_or.reduceat(text, np.column_stack([starts, stops]).ravel())[::2] & _LETTER > 0
    prefixed = (before | _LOWER == ord("x")) & (text[starts - 2] == _ZERO)
    begins = starts - 2 * prefixed
    word = prefixed | has_letter & (is_digit | is_lower & (lengths >= 8))
    word &= ~_WORD[text[begins - 1]] & ~_WORD[after] & ~_beside_address(text, ends, begins, stops)
    uuids = _uuids(text, ends, four, starts, lengths, is_digit | is_lower)
    word[uuids] = word[uuids + 1] = False
    if (others := np.flatnonzero(text >= 0x80)).size:  # places are in characters: lines of ASCII only
        ascii_only = ~np.isin(_rows_of(ends, starts), _rows_of(ends, others))
        word &= ascii_only
        uuids = uuids[ascii_only[uuids]]

    word[uuids] = word[uuids + 1] = True
    inside = np.zeros(len(text), bool)  # of every run; to put 0 in place of digits changes nothing
    inside[5:] = six
    for step in (1, 2):
        inside[:-step] |= inside[step:]
    inside[:-2] |= inside[2:]
    other = ~word & has_letter
    inside[_within(starts[other], stops[other])] = False
    np.copyto(text, np.uint8(_ZERO), where=inside)
    for group in _GROUPS:
        for place in range(4):
            text[starts[uuids] + group + place] = _ZERO
    word[uuids] = word[uuids + 1] = False
    text[starts[is_lower & (word & ~prefixed)]] = _A
    text[stops[is_digit & (word & ~prefixed)] - 1] = _A
    text[starts[uuids[is_lower[uuids]]]] = _A
    word[uuids] = True
    return _split(text, ends), _first_of(ends, begins[word])


def _beside_address(text: np.ndarray, ends: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Whether each word may be joined to an address, whose mask takes the mark between them or the word's beginning."""
    before, after, next_after = text[starts - 1], text[stops], text[np.minimum(stops + 1, len(text) - 1)]
    colon = ord(":")
    beside: np.ndarray = (before == ord("]")) | (after == ord("["))
    beside |= (after == ord("/")) & _TO_ADDRESS[next_after]
    beside |= (after == colon) & (next_after == colon)
    behind = np.flatnonzero(before == colon)
    if len(behind):
        pairs = np.flatnonzero((text[:-1] == colon) & (text[1:] == colon))
        begins = _begins(ends)[np.searchsorted(ends, starts[behind])]
        last = np.searchsorted(pairs, starts[behind]) - 1
        beside[behind] |= np.append(pairs, -1)[last] >= begins
    return beside


def _uuids(
    text: np.ndarray, ends: np.ndarray, four: np.ndarray, starts: np.ndarray, lengths: np.ndarray, ok: np.ndarray
) -> np.ndarray:
    """Which runs begin a UUID; the next run is its end. None that may be part of a URL's scheme."""
    found = np.flatnonzero((lengths[:-1] == 8) & (lengths[1:] == 12) & (np.diff(starts) == 24) & ok[:-1])
    at = starts[found]
    after = text[at + 36]
    whole = ~_WORD[text[at - 1]] & ~_WORD[after]
    for group in _GROUPS:
        whole &= (text[at + group - 1] == ord("-")) & four[at + group]
    whole &= text[at + 23] == ord("-")
    asked = np.flatnonzero(_IN_SCHEME[after])
    if len(asked):
        schemes = np.flatnonzero((text[:-2] == ord(":")) & (text[1:-1] == ord("/")) & (text[2:] == ord("/")))
        coming = np.append(schemes, UNCHANGED)[np.searchsorted(schemes, at[asked])]
        whole[asked] &= coming > ends[np.searchsorted(ends, at[asked])]
    uuids: np.ndarray = found[whole]
    return uuids


def fold_numbers(skeletons: pl.Series) -> tuple[pl.Series, np.ndarray]:
    """Numbers that stand alone, decimal ones and IPv4 addresses with their ports to one digit a part.

    No mask looks at how many digits those have, and no header so far behind its beginning.

    Args:
        skeletons: [N] lines, digits folded.

    Returns:
        As `fold_hexadecimal`.

    >>> fold_numbers(pl.Series(["a b c d e f g h from 00.000.0.00:00000 took 0.000 s, 000 times"]))[0].to_list()
    ['a b c d e f g h from 0.0.0.0:0 took 0.0 s, 0 times']
    """
    text, ends = _joined(skeletons)
    digit = text == _ZERO
    starts = np.flatnonzero(digit[1:] & ~digit[:-1]) + 1
    stops = np.flatnonzero(digit[:-1] & ~digit[1:]) + 1
    n_runs = len(starts)
    if not n_runs or _are_broken(text, ends):
        return skeletons, np.full(len(skeletons), UNCHANGED)
    lengths, before = stops - starts, text[starts - 1]
    after = np.append(text[stops], [_FEED] * 4)
    dotted = np.zeros(n_runs + 4, bool)  # each run to the next
    dotted[: n_runs - 1] = (starts[1:] == stops[:-1] + 1) & (after[: n_runs - 1] == ord("."))
    opens = ~np.append(False, dotted)[:n_runs]
    dotted_at = [dotted[place : place + n_runs] for place in range(4)]

    alone = opens & ~dotted_at[0] & _BEFORE[before] & _AFTER[after[:n_runs]]
    decimal = opens & dotted_at[0] & ~dotted_at[1] & _BEFORE[before] & _AFTER[after[1 : n_runs + 1]]
    short = np.append(lengths <= 3, [False] * 4)
    address = opens & dotted_at[0] & dotted_at[1] & dotted_at[2] & ~dotted_at[3] & _BEFORE_ADDRESS[before]
    for place in range(4):
        address &= short[place : place + n_runs]
    address = np.flatnonzero(address)
    last = address + 3
    port = np.minimum(last + 1, n_runs - 1)
    has_port = (after[last] == ord(":")) & (starts[port] == stops[last] + 1)
    good_port = has_port & (lengths[port] <= 5) & ~dotted[port] & _AFTER[after[port]]
    bare = (after[last] != ord(":")) | ~_TO_ADDRESS[text[np.minimum(stops[last] + 1, len(text) - 1)]]
    good = _AFTER_ADDRESS[after[last]] & (good_port | bare)
    fold = alone | decimal
    fold[1:] |= decimal[:-1]
    for place in range(4):
        fold[address[good] + place] = True
    fold[port[good & good_port]] = True

    n_of_lines = np.diff(np.searchsorted(starts, ends), prepend=0)
    fold &= (lengths > 1) & (starts > np.repeat(_past_header(text, ends), n_of_lines))
    if not fold.any():
        return skeletons, np.full(len(skeletons), UNCHANGED)
    first = _first_of(ends, starts[fold])
    kept = np.ones(len(text), bool)
    kept[_within(starts[fold] + 1, stops[fold])] = False
    text = text[kept]
    return _split(text, np.flatnonzero(text == _FEED)[1:]), first


def _past_header(text: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Where in each line no header counts digits any more; the line's end in requests and where not all is ASCII."""
    spaces = np.flatnonzero((text[:-1] == ord(" ")) & (text[1:] != ord(" ")))
    past = np.append(spaces, [len(text)] * _WORDS_OF_HEADERS)[
        np.searchsorted(spaces, _begins(ends)) + _WORDS_OF_HEADERS - 1
    ]
    request = (text[:-2] == ord("]")) & (text[1:-1] == ord(" ")) & (text[2:] == ord('"'))
    for never in (request, text >= 0x80):
        rows = _rows_of(ends, np.flatnonzero(never))
        past[rows] = ends[rows]
    found: np.ndarray = np.minimum(past, ends)
    return found


def _joined(lines: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of lines, a line feed before each and behind the last, and where each ends."""
    data = lines.str.join(chr(_FEED)).to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()[2]
    text = np.full(data.size + 2, _FEED, np.uint8)
    text[1:-1] = np.frombuffer(data, np.uint8)
    return text, np.cumsum(lines.str.len_bytes().to_numpy() + np.int64(1))


def _are_broken(text: np.ndarray, ends: np.ndarray) -> bool:
    """Whether there are line feeds in lines, which no file has."""
    return int(np.count_nonzero(text == _FEED)) > len(ends) + 1


def _split(text: np.ndarray, ends: np.ndarray) -> pl.Series:
    """The lines of such bytes."""
    offsets = np.append(1, ends + 1) - np.arange(1, len(ends) + 2)
    data = pa.py_buffer(text.tobytes().replace(b"\n", b""))
    return cast(pl.Series, pl.from_arrow(pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), data)))


def _within(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """The places within spans, [starts, stops)."""
    lengths = stops - starts
    ends = np.cumsum(lengths)
    places: np.ndarray = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
    return places


def _begins(ends: np.ndarray) -> np.ndarray:
    return np.append(1, ends[:-1] + 1)


def _rows_of(ends: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.searchsorted(ends, places)


def _first_of(ends: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The first of places, ascending, in each line, counted from the line's beginning; UNCHANGED where it has none."""
    begins = _begins(ends)
    first = np.append(places, UNCHANGED)[np.searchsorted(places, begins)]
    return np.where(first < ends, first - begins, UNCHANGED)

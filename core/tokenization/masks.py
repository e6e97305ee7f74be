"""L3: what varies from line to line, by its kind: addresses, numbers, paths. No mask looks at a digit's value.

So a line and its skeleton (every digit folded to 0) have the same masked text.
"""

from __future__ import annotations

from functools import cache

import polars as pl

_HEX = r"[0-9A-Fa-f]"
_IPV4 = r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b"
_IPV6 = (
    rf"(?:\b(?:{_HEX}{{1,4}}:){{7}}{_HEX}{{1,4}}\b|\b(?:{_HEX}{{1,4}}:){{1,6}}(?::{_HEX}{{1,4}}){{1,6}}\b"
    rf"|\b(?:{_HEX}{{1,4}}:){{2,7}}:|\B::(?:{_HEX}{{1,4}}:){{0,6}}{_HEX}{{1,4}}\b)"
)
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?"
_NUMBER = r"[0-9]+(?:[.,:][0-9]+)*"

# Order matters: what contains another comes first.
_IDENTIFIERS = (
    ("uuid", rf"\b{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\b"),
    ("mac", rf"\b{_HEX}{{2}}(?::{_HEX}{{2}}){{5}}\b|\b{_HEX}{{2}}(?:-{_HEX}{{2}}){{5}}\b"),
    ("time", rf"\b[0-9]{{4}}[-/.][0-9]{{2}}[-/.][0-9]{{2}}[T ]{_TIME}(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?\b"),
    ("time", rf"\b{_TIME}\b"),
    ("ip", rf"/?(?:\[{_IPV6}\]|{_IPV6}|{_IPV4})(?:[:#][0-9]{{1,5}}\b)?"),
)
# Bare hexadecimal has a digit and a letter, or words like "added" would go. Digits first: six characters or more.
# Letters first: eight, or a digit with four behind it ("decade0" is a word). Only letters: no word is eight such long.
_BARE_HEX = (
    r"\b(?:"
    + "".join(rf"[0-9]{{{n}}}[A-Fa-f]{_HEX}{{{5 - n},}}|" for n in range(1, 5))
    + rf"[0-9]{{5,}}[A-Fa-f]{_HEX}*|[A-Fa-f]+[0-9]{_HEX}{{4,}}|"
    + "".join(rf"[A-Fa-f]{{{n}}}[0-9]{_HEX}{{{7 - n},}}|" for n in range(4, 7))
    + rf"[A-Fa-f]{{7,}}[0-9]{_HEX}*|[A-Fa-f]{{8,}})\b"
)
_NUMBERS = (
    ("block", r"\bblk_-?[0-9]+(?:_[0-9]+)?\b"),
    ("hex", rf"\b0[xX]{_HEX}+\b"),
    ("hex", _BARE_HEX),
    ("num", rf"(?:\B-)?\b{_NUMBER}\b"),
    ("0", r"[0-9]+"),  # digits inside a word: sshd2, r00-m1
)
_VARIABLES = (
    ("url", r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>\])]+"),
    ("email", r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b"),
)
_PATHS = (
    ("${1}path", r"(^|[\s=:(\[\"',<>])(?:~?/[\w.@%+~:#-]+)+/?"),
    ("${1}path", r"(^|[\s=:(\[\"',<>])(?:[A-Za-z]:)?(?:\\[\w.@$%+~-]+)+\\?"),
)


def mask(messages: pl.Expr, *, request: bool) -> pl.Expr:
    """Variables of messages replaced by their kind, lower case, single spaces.

    Args:
        messages: strings, digits folded or not: the result is the same.
        request: an HTTP request, whose path and query are evidence and stay; only identifiers in them are masked.
    """
    if request:
        messages = messages.str.replace_all(r"\\([\"\\])", "$1")
        steps: tuple[tuple[str, str], ...] = _IDENTIFIERS + _NUMBERS
    else:
        steps = _VARIABLES + _IDENTIFIERS + _NUMBERS[:1] + _PATHS + _NUMBERS[1:]
    for replacement, pattern in steps:
        messages = messages.str.replace_all(pattern, replacement)
    return messages.str.replace_all(r"\s+", " ").str.strip_chars().str.to_lowercase()


@cache
def masked_message(request: bool) -> pl.Expr:
    """`mask` of the column `message`."""
    return mask(pl.col("message"), request=request)

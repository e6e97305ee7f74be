"""L2: a line that is a JSON object: its message, and what it says of time, level, host and component.

Without a message, as Suricata, Zeek, CloudTrail or Kubernetes' audit write, its fields are the text: each value behind
its name, `alert.action=allowed proto=TCP`, in the order of the object. What is another in every line says nothing of
it: times are left out, and names made at random become `id`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST_FIELDS = 64
MOST_VALUE_CHARS = 200
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_NAMES_ONE = re.compile(
    r"(?:(?:^|[_. -]|session|request|trace|span|event|flow|message)id"
    r"|(?:^|[a-z_. -])(?:Id|ID|[uU]{1,2}[iI][dD]|[gG][uU][iI][dD]|[kK]ey|[tT]oken|[hH]ash|[cC]ookie|[eE][tT]ag))s?$"
)
_LEAST_CHARS = 8
_AT_RANDOM = re.compile(r"(?=\S*[0-9])(?=\S*[A-Za-z])\S+")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


# Numbers stay as they are written.
_decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_refuse)


def read_object(line: str) -> dict[str, Any] | None:
    """The object that a line is, its numbers as text; None for what is none."""
    try:
        found = _decoder.decode(line)
        if _SURROGATE.search(line):
            json.dumps(found, ensure_ascii=False).encode()  # half of a pair is no text
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def first_of(found: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of these fields that holds a text, number or truth; `a.b` is b within a, or the name with its dot."""
    for name in names:
        value = found.get(name)
        if value is None and "." in name:
            outer, _, inner = name.partition(".")
            within = found.get(outer)
            value = first_of(within, (inner,)) if isinstance(within, dict) else None
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return json.dumps(value)
    return None


def fields_of(found: Mapping[str, Any]) -> str | None:
    """The fields of an object as a text; None where there are none.

    >>> fields_of({"at": "2024-01-02T03:04:05Z", "uid": "CMdzit1AMNsmfAIiQc", "dns": {"type": "A", "ttl": ["3", "5"]}})
    'uid=id dns.type=A dns.ttl=3 dns.ttl=5'
    """
    told: list[str] = []
    for name, value in _leaves(found):
        said = value if isinstance(value, str) else json.dumps(value)
        if said in ("", "null") or (said[0].isdigit() and _TIME.match(said)):
            continue
        if len(said) >= _LEAST_CHARS and _names_one(name) and _AT_RANDOM.fullmatch(said):
            said = "id"
        told.append(f"{name}={' '.join(said[:MOST_VALUE_CHARS].split())}")
        if len(told) == MOST_FIELDS:
            break
    return " ".join(told) or None


@functools.lru_cache(maxsize=4_096)  # a log has few names
def _names_one(name: str) -> bool:
    return _NAMES_ONE.search(name) is not None


def _leaves(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of each text, number or truth, in order; elements of a list have the name of the list."""
    pending: list[tuple[str, Any]] = [("", found)]
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict):
            inner = [(f"{name}.{key}" if name else key, held) for key, held in value.items()]
            pending += reversed(inner)
        elif isinstance(value, list):
            pending += [(name, held) for held in reversed(value)]
        else:
            yield name, value

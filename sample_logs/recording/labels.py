"""What is known of each connection while it is made, and the sample files written from it.

A label is never read off a line's text: whoever opens a connection that is not everyday traffic says so here first,
by its address and port or, for a tool that owns its address, by the address alone.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import re
import shutil
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from recording.network import MARKED_PORTS

ODDITY = "oddity:"
SPLITS = ("train", "val", "test")


class Truth:
    """Connections that are attacks or benign oddities; every other one is everyday traffic."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, int] | str, str] = {}
        self._ports = itertools.count(MARKED_PORTS)
        self._lock = threading.Lock()

    def mark(self, address: str, kind: str) -> int:
        """Name the kind of one connection to come and get the source port it must use; no port is given twice."""
        with self._lock:
            port = next(self._ports)
            self._kinds[address, port] = kind
        return port

    def mark_address(self, address: str, kind: str) -> None:
        """Name the kind of all that one address sends: for tools that choose their ports themselves."""
        self._kinds[address] = kind

    def kind(self, address: str, port: int) -> str:
        """The kind of a connection; empty for everyday traffic."""
        return self._kinds.get((address, port), self._kinds.get(address, ""))


@dataclass(frozen=True)
class Line:
    """A recorded line with what is known of it."""

    text: str
    kind: str
    source: str

    @property
    def label(self) -> int:
        """1 for an attack."""
        return int(bool(self.kind) and not self.kind.startswith(ODDITY))


def write_split(folder: Path, split: str, lines: list[Line], capture: Path | None) -> None:
    """Write one split: lines, their labels and their packets. Training lines are normal, so they need no labels."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}.txt").write_text("".join(f"{line.text}\n" for line in lines), encoding="utf-8")
    if split == "train":
        odd = [line for line in lines if line.kind]
        if odd:
            raise RuntimeError(f"{len(odd)} training lines are not everyday traffic, the first: {odd[0]}")
    else:
        with (folder / f"{split}.labels.csv").open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(["line_no", "label", "kind", "source"])
            writer.writerows((i, line.label, line.kind, line.source) for i, line in enumerate(lines, 1))
    if capture:
        with capture.open("rb") as packets, gzip.GzipFile(folder / f"{split}.pcap.gz", "wb", 9, mtime=0) as packed:
            shutil.copyfileobj(packets, packed)


def read_split(folder: Path, split: str) -> list[Line]:
    """Read back what `write_split` wrote."""
    texts = (folder / f"{split}.txt").read_text(encoding="utf-8").splitlines()
    if split == "train":
        return [Line(text, "", "") for text in texts]
    with (folder / f"{split}.labels.csv").open(encoding="utf-8", newline="") as handle:
        return [Line(text, row["kind"], row["source"]) for text, row in zip(texts, csv.DictReader(handle), strict=True)]


_VARIABLE = (  # what two lines may differ in and still say the same
    (re.compile(r"^\w{3} [ \d]\d \d\d:\d\d:\d\d |\[\d\d/\w{3}/\d{4}:[^]]*\] "), ""),
    (re.compile(r"SHA256:\S+"), "key"),
    (re.compile(r"\d+(\.\d+)*"), "0"),
)


def folded(text: str) -> str:
    """A line without time, addresses, numbers and key fingerprints."""
    for pattern, replacement in _VARIABLE:
        text = pattern.sub(replacement, text)
    return text


def summary(folder: Path) -> str:
    """A table of counts by kind, with the attack lines that cannot be told from normal ones by their text."""
    splits = {split: read_split(folder, split) for split in SPLITS}
    normal = {folded(line.text) for lines in splits.values() for line in lines if not line.label}
    counts = {split: Counter(line.kind or "normal" for line in lines) for split, lines in splits.items()}
    alike = Counter(
        line.kind for lines in splits.values() for line in lines if line.label and folded(line.text) in normal
    )
    kinds = sorted(set().union(*counts.values()), key=lambda kind: (kind != "normal", ODDITY in kind, kind))
    rows = [f"| {kind} | {' | '.join(str(counts[s][kind]) for s in SPLITS)} | {alike[kind] or ''} |" for kind in kinds]
    totals = " | ".join(str(len(splits[split])) for split in SPLITS)
    head = ["| kind | train | val | test | reads as a normal line |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows, f"| **all** | {totals} | {sum(alike.values())} |"])

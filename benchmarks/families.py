"""The labelled tests of detection quality, by family of logs. Labels are read to measure, never to fit or to choose.

History is what a model learns from; None means that the scored lines themselves are learnt, anomalies and all.
"""

from __future__ import annotations

import csv
import gzip
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CONTAMINATION = 0.05  # share of attacks left in a history that should be normal
WINDOW_LINES = 100  # of one node, in order: a session of a log that has none
_REQUEST_LINE = re.compile(r'"(?:[A-Z]+) (\S+) (HTTP/[\d.]+)"')

Rows = list[dict[str, str]]


class Test(NamedTuple):
    """Lines to learn from and lines to score.

    Attributes:
        history: lines to learn from; None: the scored lines themselves.
        lines: to score.
        labels: 0 or 1 of each line; of a session, the highest of its lines'.
        sessions: session of each scored line, where sessions are what is scored; else None.
        history_sessions: the same of the history.
        ranking_only: no prevalence to speak of (a line a case): only ROC-AUC means something.
    """

    history: list[str] | None
    lines: list[str]
    labels: list[int]
    sessions: list[str] | None = None
    history_sessions: list[str] | None = None
    ranking_only: bool = False


def read_set(data: Path, name: str) -> Rows:
    """The rows of a labelled set: line, label, session, tag."""
    with gzip.open(data / name / "lines.csv.gz", "rt", newline="") as handle:
        return list(csv.DictReader(handle))


def read_sample(service: str, split: str) -> tuple[list[str], list[int]]:
    """Lines of a recorded sample and their labels; of train, where all are normal, zeros."""
    folder = ROOT / "sample_logs" / service
    lines = (folder / f"{split}.txt").read_text("utf-8", errors="replace").removesuffix("\n").split("\n")
    if split == "train":
        return lines, [0] * len(lines)
    with (folder / f"{split}.labels.csv").open(newline="") as handle:
        return lines, [int(row["label"]) for row in csv.DictReader(handle)]


def _lines(rows: Rows) -> list[str]:
    return [row["line"] for row in rows]


def _labels(rows: Rows) -> list[int]:
    return [int(row["label"] or 0) for row in rows]


def _normal(rows: Rows) -> Rows:
    return [row for row in rows if row["label"] == "0"]


# ------------------------------------------------------------------ HPC


def bgl_first(data: Path) -> Test:
    """Blue Gene/L's first 10,000 lines, 13 distinct texts; the 2,000 of the loghub sample scored."""
    scored = read_set(data, "bgl_2k")
    return Test(_lines(read_set(data, "bgl_first10k")), _lines(scored), _labels(scored))


def bgl_later(data: Path) -> Test:
    """The normal lines of the sample's first half; the second half scored."""
    rows = read_set(data, "bgl_2k")
    return Test(_lines(_normal(rows[:1000])), _lines(rows[1000:]), _labels(rows[1000:]))


def bgl_random(data: Path) -> Test:
    """A random half of the sample's normal lines; the rest scored. Optimistic: neighbours in time on both sides."""
    rows = read_set(data, "bgl_2k")
    normal = _normal(rows)
    learnt = {id(row) for row in random.Random(0).sample(normal, len(normal) // 2)}
    rest = [row for row in rows if id(row) not in learnt]
    return Test([row["line"] for row in normal if id(row) in learnt], _lines(rest), _labels(rest))


def bgl_self(data: Path) -> Test:
    """The sample against itself."""
    rows = read_set(data, "bgl_2k")
    return Test(None, _lines(rows), _labels(rows))


# ------------------------------------------------------------------ web


def csic(data: Path) -> Test:
    """The first 18,000 normal requests of a web shop; the rest scored, attacks among them."""
    rows = read_set(data, "csic2010_decoded")
    return Test(_lines(_normal(rows)[:18_000]), *_csic_rest(rows, set()))


def csic_contaminated(data: Path) -> Test:
    """As csic, with 5% attacks left in the history and out of the test."""
    rows = read_set(data, "csic2010_decoded")
    attacks = [row for row in rows if row["label"] == "1"]
    history, left_in = contaminated(_lines(_normal(rows)[:18_000]), _lines(attacks))
    return Test(history, *_csic_rest(rows, left_in))


def _csic_rest(rows: Rows, left_in: set[str]) -> tuple[list[str], list[int]]:
    """The lines after the history; no line that was left in it, nor its twins."""
    normal = _normal(rows)[18_000:]
    attacks = [row for row in rows if row["label"] == "1" and row["line"] not in left_in]
    return _lines(normal + attacks), [0] * len(normal) + [1] * len(attacks)


def contaminated(history: list[str], attacks: list[str]) -> tuple[list[str], set[str]]:
    """A history with attacks in its place among 5%, and which they are."""
    draw = random.Random(0)
    chosen = draw.sample(attacks, min(len(attacks), round(len(history) * CONTAMINATION / (1 - CONTAMINATION))))
    mixed = history + chosen
    draw.shuffle(mixed)
    return mixed, set(chosen)


def _intranet(data: Path, attacks: Callable[[list[str], random.Random], list[str]], n_attacks: int) -> Test:
    """The first 70% of an intranet's access log; its rest scored with attack lines mixed in."""
    normal = _lines(read_set(data, "ait_harrison_access_normal"))
    cut = int(0.7 * len(normal))
    draw = random.Random(0)
    chosen = draw.sample(attacks(normal[cut:], draw), n_attacks)
    mixed = [(line, 0) for line in normal[cut:]] + [(line, 1) for line in chosen]
    draw.shuffle(mixed)
    return Test(normal[:cut], [line for line, _ in mixed], [label for _, label in mixed])


def _scanner_lines(data: Path) -> Callable[[list[str], random.Random], list[str]]:
    return lambda _normal, _draw: _lines(read_set(data, "apache_scanner_logs"))


def _bad_queries(data: Path) -> Callable[[list[str], random.Random], list[str]]:
    """The set holds bare addresses: each is asked for in an ordinary line, so that nothing else gives it away."""

    def written(normal: list[str], draw: random.Random) -> list[str]:
        queries = draw.sample(_lines(read_set(data, "fwaf_bad_queries")), 2_000)
        hosts = [line for line in normal if _REQUEST_LINE.search(line)]
        return [_asking_for(query, draw.choice(hosts)) for query in queries]

    return written


def _asking_for(query: str, line: str) -> str:
    match = _REQUEST_LINE.search(line)
    assert match is not None  # noqa: S101  the caller chose a line with a request
    target = query.replace("\\", "\\\\").replace('"', '\\"').replace(" ", "%20").replace("\n", "%0a")
    return f'{line[: match.start()]}"GET {target} {match[2]}"{line[match.end() :]}'


def web_mix(data: Path) -> Test:
    """300 lines of three scanners, 5%."""
    return _intranet(data, _scanner_lines(data), 300)


def web_mix_few(data: Path) -> Test:
    """59 lines of three scanners, 1%."""
    return _intranet(data, _scanner_lines(data), 59)


def web_queries(data: Path) -> Test:
    """300 malicious queries in ordinary lines, 5%."""
    return _intranet(data, _bad_queries(data), 300)


def web_queries_few(data: Path) -> Test:
    """59 malicious queries in ordinary lines, 1%."""
    return _intranet(data, _bad_queries(data), 59)


def web_contaminated(data: Path) -> Test:
    """As web_mix, with 5% scanner lines left in the history, none of them scored."""
    test = web_mix(data)
    assert test.history is not None  # noqa: S101
    scored = set(test.lines)
    spare = [line for line in _lines(read_set(data, "apache_scanner_logs")) if line not in scored]
    return test._replace(history=contaminated(test.history, spare)[0])


def web_self(data: Path) -> Test:
    """The mixed file of web_mix against itself."""
    return web_mix(data)._replace(history=None)


def web_recorded(data: Path, split: str = "test") -> Test:
    """Our recorded shop: everyday traffic; its test split scored."""
    return Test(read_sample("web_access", "train")[0], *read_sample("web_access", split))


# ------------------------------------------------------------------ auth


def auth(data: Path, split: str = "test") -> Test:
    """Our recorded auth.log: everyday traffic; its test split scored."""
    return Test(read_sample("auth", "train")[0], *read_sample("auth", split))


def auth_contaminated(data: Path, split: str = "test") -> Test:
    """As auth, with the attack lines of the other split left in the history, at most 5%."""
    other = {"test": "val", "val": "test"}[split]
    attacks = [line for line, label in zip(*read_sample("auth", other), strict=True) if label]
    return Test(contaminated(read_sample("auth", "train")[0], attacks)[0], *read_sample("auth", split))


def auth_self(data: Path, split: str = "test") -> Test:
    """The recorded test split against itself."""
    return Test(None, *read_sample("auth", split))


def auth_rules(data: Path) -> Test:
    """A line a rule of two intrusion detectors, against our recorded everyday traffic."""
    rows = {row["line"]: row for name in ("wazuh_rule_tests", "ossec_rule_tests") for row in read_set(data, name)}
    labelled = [row for row in rows.values() if row["label"]]
    return Test(read_sample("auth", "train")[0], _lines(labelled), _labels(labelled), ranking_only=True)


# ------------------------------------------------------------------ sessions, services


def _hdfs(data: Path) -> tuple[Rows, Rows]:
    """The lines of the first 60% of blocks by their first line, and of the others."""
    rows = read_set(data, "hdfs_blocks")
    order = list(dict.fromkeys(row["session"] for row in rows))
    first = set(order[: int(0.6 * len(order))])
    return [row for row in rows if row["session"] in first], [row for row in rows if row["session"] not in first]


def _of_sessions(history: Rows | None, scored: Rows) -> Test:
    return Test(
        None if history is None else _lines(history),
        _lines(scored),
        _labels(scored),
        [row["session"] for row in scored],
        None if history is None else [row["session"] for row in history],
    )


def hdfs(data: Path) -> Test:
    """HDFS blocks: the normal ones of the first 60% by time; the rest scored by block."""
    first, rest = _hdfs(data)
    return _of_sessions(_normal(first), rest)


def hdfs_contaminated(data: Path) -> Test:
    """As hdfs, with the anomalous blocks of the first 60% left in."""
    return _of_sessions(*_hdfs(data))


def hdfs_self(data: Path) -> Test:
    """The last 40% of the blocks against themselves."""
    return _of_sessions(None, _hdfs(data)[1])


def _iotdb(data: Path, scenario: str) -> Test:
    """A database cluster's lines without a fault in two scenarios; windows of 100 lines of the third scored."""
    rows = read_set(data, "multilog_iotdb")
    place: dict[str, int] = {}
    for row in rows:
        node = row["session"]
        place[node] = place.get(node, -1) + 1
        row["session"] = f"{node}/{place[node] // WINDOW_LINES}"
    history = [row for row in rows if not row["session"].startswith(f"{scenario}/")]
    return _of_sessions(_normal(history), [row for row in rows if row["session"].startswith(f"{scenario}/")])


def iotdb_cpu(data: Path) -> Test:
    """Learnt: import and export; scored: cpu."""
    return _iotdb(data, "cpu")


def iotdb_import(data: Path) -> Test:
    """Learnt: cpu and export; scored: import."""
    return _iotdb(data, "import")


def iotdb_export(data: Path) -> Test:
    """Learnt: cpu and import; scored: export."""
    return _iotdb(data, "export")


FAMILIES: dict[str, tuple[Callable[[Path], Test], ...]] = {
    "hpc": (bgl_first, bgl_later, bgl_self),
    "web": (
        csic,
        csic_contaminated,
        web_mix,
        web_mix_few,
        web_queries,
        web_queries_few,
        web_contaminated,
        web_self,
        web_recorded,
    ),
    "auth": (auth, auth_contaminated, auth_self, auth_rules),
    "sessions": (hdfs, hdfs_contaminated, hdfs_self),
    "services": (iotdb_cpu, iotdb_import, iotdb_export),
}
APART = (bgl_random,)
"""Printed, and in no average."""

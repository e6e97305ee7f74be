"""The traffic sample: all servers in one capture, everyone who uses them, and who else comes by."""

from __future__ import annotations

import csv
import gzip
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from recording import traffic_attacks, traffic_clients, traffic_servers
from recording.labels import ODDITY, SPLITS, Truth
from recording.network import Crew, Host, Phase

SNAP_LENGTH = 240  # headers and the first bytes
# Bytes to record and the longest a split may take, in seconds.
SIZES = {"train": (4_000_000, 200), "val": (2_600_000, 140), "test": (4_600_000, 240)}
NORMAL = "normal"
REPOSITORY = Path(__file__).parents[2]
_KEY = ("protocol", "source", "source_port", "destination", "destination_port")


def record(root: Path, scratch: Path, folder: Path, seed: int) -> None:
    """Record the three splits, one after the other, from one set of running servers."""
    server = traffic_servers.start(root, scratch)
    truth = Truth()
    places = {name: Host(name, addresses) for name, addresses in traffic_clients.PLACES.items()}
    attacker = Host("attacker", traffic_attacks.web_attacks.ADDRESSES)
    for host in (server, attacker, *places.values()):  # else the kernel hands over packets larger than any wire's
        host.run("ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "off")
    folder.mkdir(exist_ok=True)
    for split, (target, seconds) in SIZES.items():
        capture = scratch / f"{split}.pcap"
        tcpdump = server.capture(capture, None, SNAP_LENGTH)
        phase = Phase(split, target, seconds, lambda path=capture: path.stat().st_size)
        crew = Crew()
        traffic_clients.start(crew, places, phase, truth, scratch, seed)
        if split != "train":
            traffic_attacks.start(crew, attacker, phase, truth, scratch)
        crew.join()
        time.sleep(4)  # connections kept alive end
        tcpdump.terminate()
        tcpdump.wait()
        _write_split(folder, split, capture, truth)


def _write_split(folder: Path, split: str, capture: Path, truth: Truth) -> None:
    """The capture, and what is known of each of its flows. Training flows are normal, so they need no labels."""
    packed_path = folder / f"{split}.pcap.gz"
    with capture.open("rb") as packets, gzip.GzipFile(packed_path, "wb", 9, mtime=0) as packed:
        shutil.copyfileobj(packets, packed)
    listed = capture.with_suffix(".flows.csv")
    command = [sys.executable, "-m", "core", "traffic", "flows", str(packed_path), "--output", str(listed)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    with listed.open(encoding="utf-8", newline="") as handle:
        flows = [tuple(row[name] for name in _KEY) for row in csv.DictReader(handle)]
    labelled = {flow: _kind(flow, truth) for flow in flows}
    if split == "train":
        odd = [(flow, kind) for flow, kind in labelled.items() if kind]
        if odd:
            raise RuntimeError(f"{len(odd)} training flows are not everyday traffic, the first: {odd[0]}")
    with (folder / f"{split}.flows.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([*_KEY, "label", "kind", "application"])
        for flow, kind in labelled.items():
            is_attack = bool(kind) and not kind.startswith(ODDITY)
            writer.writerow([*flow, int(is_attack), kind or NORMAL, _application(flow)])


def _kind(flow: tuple[str, ...], truth: Truth) -> str:
    """What is known of either end; ICMP has no ports, so an attacker's address tells."""
    _, source, source_port, destination, destination_port = flow
    kind = truth.kind(source, int(source_port)) or truth.kind(destination, int(destination_port))
    return traffic_attacks.KINDS.get(kind, kind)


def _application(flow: tuple[str, ...]) -> str:
    protocol, source, source_port, destination, destination_port = flow
    if protocol.startswith("icmp"):
        return "icmp"
    for address, port in ((destination, int(destination_port)), (source, int(source_port))):
        if found := traffic_servers.APPLICATIONS.get((address, port)):
            return found
        if address == traffic_servers.FTP and port in traffic_servers.FTP_DATA:
            return "ftp"
    return ""


def summary(folder: Path) -> str:
    """Tables of flows by kind, and of the benign ones by application."""
    rows = {}
    for split in SPLITS:
        with (folder / f"{split}.flows.csv").open(encoding="utf-8", newline="") as handle:
            rows[split] = list(csv.DictReader(handle))
    kinds = {split: Counter(row["kind"] for row in flows) for split, flows in rows.items()}
    benign = {
        split: Counter(row["application"] or "none" for row in flows if row["label"] == "0")
        for split, flows in rows.items()
    }
    order = {name: (name != NORMAL, name.startswith(ODDITY), name) for count in kinds.values() for name in count}
    return f"{_table('kind', kinds, sorted(order, key=order.__getitem__))}\n\n" + _table(
        "application of benign flows", benign, sorted({name for count in benign.values() for name in count})
    )


def _table(title: str, counts: dict[str, Counter[str]], names: list[str]) -> str:
    rows = [(name, *(counts[split][name] for split in SPLITS)) for name in names]
    rows.append(("**all**", *(counts[split].total() for split in SPLITS)))
    head = [f"| {title} | {' | '.join(SPLITS)} |", "|---" * (1 + len(SPLITS)) + "|"]
    return "\n".join([*head, *(f"| {' | '.join(map(str, row))} |" for row in rows)])

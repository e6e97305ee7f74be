"""Write small HDFS- and BGL-shaped samples. Nothing here was recorded: they show formats, they measure nothing.

python sample_logs/synthesize.py
"""

from __future__ import annotations

import csv
import datetime
from pathlib import Path
from random import Random

FOLDER = Path(__file__).resolve().parent
LINES = 2000
Row = tuple[str, int, str, str]  # line, label, kind, source


def hdfs(rng: Random) -> list[Row]:
    """A distributed file system's data nodes; about 3% of the lines tell of a failure."""
    when = datetime.datetime(2024, 5, 2, 8, 0, tzinfo=datetime.UTC)
    rows: list[Row] = []
    while len(rows) < LINES:
        when += datetime.timedelta(seconds=rng.choice([0, 0, 1, 2]))
        block, node = f"blk_{rng.choice(['-', ''])}{rng.randrange(10**17, 10**18)}", _address(rng)
        source, target = f"/{node}:{rng.randint(40000, 60000)}", f"/{_address(rng)}:50010"
        said = rng.choice(
            [
                f"INFO dfs.DataNode$DataXceiver: Receiving block {block} src: {source} dest: {target}",
                f"INFO dfs.DataNode$PacketResponder: PacketResponder {rng.randrange(3)} for block {block} terminating",
                f"INFO dfs.DataNode$PacketResponder: Received block {block} of size 67108864 from /{node}",
                f"INFO dfs.FSNamesystem: BLOCK* NameSystem.addStoredBlock: blockMap updated: {target[1:]} is added to "
                f"{block} size 67108864",
                f"INFO dfs.DataBlockScanner: Verification succeeded for {block}",
            ]
        )
        kind = ""
        if rng.random() < 0.03:
            kind, said = rng.choice(
                [
                    (
                        "serving_failed",
                        f"WARN dfs.DataNode$DataXceiver: Got exception while serving {block} to /{node}:",
                    ),
                    (
                        "write_failed",
                        f"INFO dfs.DataNode$DataXceiver: writeBlock {block} received exception Broken pipe",
                    ),
                    ("lost_block", f"WARN dfs.FSDataset: Unexpected error deleting {block}: no volume holds it"),
                ]
            )
        rows.append((f"{when:%y%m%d %H%M%S} {rng.randrange(10, 20000)} {said}", int(bool(kind)), kind, node))
    return rows


def bgl(rng: Random) -> list[Row]:
    """A supercomputer's event log, in whose first column an alert names itself, as in the published BGL."""
    when = datetime.datetime(2024, 5, 2, 8, 0, tzinfo=datetime.UTC)
    rows: list[Row] = []
    while len(rows) < LINES:
        when += datetime.timedelta(seconds=rng.choice([0, 0, 1, 5]), microseconds=rng.randrange(10**6))
        node = f"R{rng.randrange(32):02d}-M{rng.randrange(2)}-N{rng.randrange(16):X}-C:J{rng.randrange(2, 18):02d}-U11"
        kind, said = rng.choice(
            [
                ("", "INFO instruction cache parity error corrected"),
                ("", f"INFO generating core.{rng.randrange(20000)}"),
                ("", f"INFO {rng.randrange(1, 90)} double-hummer alignment exceptions"),
                (
                    "",
                    f"INFO CE sym {rng.randrange(40)}, at 0x{rng.getrandbits(32):08x}, mask 0x{rng.randrange(256):02x}",
                ),
            ]
        )
        if rng.random() < 0.03:
            kind, said = rng.choice(
                [
                    ("KERNDTLB", "FATAL data TLB error interrupt"),
                    ("KERNSTOR", "FATAL data storage interrupt"),
                    ("KERNMNTF", "FATAL Lustre mount FAILED : bglio11 : block_id : location"),
                ]
            )
        clock = f"{int(when.timestamp())} {when:%Y.%m.%d} {node} {when:%Y-%m-%d-%H.%M.%S.%f} {node}"
        rows.append((f"{kind or '-'} {clock} RAS KERNEL {said}", int(bool(kind)), kind.lower(), node))
    return rows


def _address(rng: Random) -> str:
    return f"192.0.2.{rng.randint(1, 254)}"


def main() -> None:
    """Write both samples."""
    for name, generate in {"hdfs": hdfs, "bgl": bgl}.items():
        rows = generate(Random(7))  # noqa: S311  # the same sample each time
        folder = FOLDER / f"{name}_synthetic"
        folder.mkdir(exist_ok=True)
        (folder / "test_synthetic.txt").write_text("".join(f"{row[0]}\n" for row in rows), encoding="utf-8")
        with (folder / "test_synthetic.labels.csv").open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(["line_no", "label", "kind", "source"])
            writer.writerows((i, *row[1:]) for i, row in enumerate(rows, 1))


if __name__ == "__main__":
    main()

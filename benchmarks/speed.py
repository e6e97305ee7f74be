"""Speed and memory of the command line on a big mixed log, start-up apart.

    python -m benchmarks.speed [--lines 100000] [--novel 0.0 0.02] [--runs 3]

The log is made from this repository's own shapes of lines (synthetic), or by the team's generator where it is at hand:
../shared/tools/make_big_log.py. A bundle is trained on the first 30%; then `python -m core score` runs as a process
of its own. Beside it, in the same run: TF-IDF and an isolation forest on every line, the plain scikit-learn pipeline.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.builders import access_log

ROOT = Path(__file__).resolve().parents[1]
GENERATOR = ROOT.parent / "shared" / "tools" / "make_big_log.py"
ISOLATION_FOREST = """
import sys
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import TfidfVectorizer
lines = open(sys.argv[1], errors="replace").read().splitlines()
vectors = TfidfVectorizer().fit_transform(lines)
IsolationForest(random_state=0).fit(vectors).score_samples(vectors)
"""


def make_log(path: Path, lines: int, novel: float) -> None:
    if GENERATOR.exists():
        command = [sys.executable, str(GENERATOR), str(path), "--lines", str(lines), "--novel", str(novel)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    else:
        path.write_text("\n".join(access_log(lines, n_attacks=int(lines * novel))[0]) + "\n")


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Wall seconds, peak resident memory in MB and standard output of a whole process."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        output.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)}: failed")
        return seconds, usage.ru_maxrss / 1024, output.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--novel", type=float, nargs="+", default=[0.0, 0.02])
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; medians of {args.runs}")
    print(f"log: {'mixed systems' if GENERATOR.exists() else 'synthetic access log'}, {args.lines:,} lines\n")
    print("| novel words | way | seconds | start-up | lines/s without start-up | peak MB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = os.environ | {"TINYLOGBERT_HOME": str(folder), "TINYLOGBERT_MODELS": str(folder / "models")}
        core = [sys.executable, "-m", "core"]
        for novel in args.novel:
            log, history = folder / "big.log", folder / "history.log"
            make_log(log, args.lines, novel)
            with log.open() as lines, history.open("w") as out:
                out.writelines(line for _, line in zip(range(max(1_000, 3 * args.lines // 10)), lines, strict=False))
            fit_seconds, fit_memory, _ = timed([*core, "train", str(history), "--name", "speed"], environment)
            print(f"| {novel:.0%} | train on the first 30% | {fit_seconds:.1f} | | | {fit_memory:.0f} |")
            jobs, wholes, memories = [], [], []
            for _ in range(args.runs):
                command = [*core, "score", str(log), "--model", "speed", "--json", "--output", str(folder / "out.csv")]
                whole, memory, output = timed(command, environment)
                jobs.append(json.loads(output)["seconds"])
                wholes.append(whole)
                memories.append(memory)
            job, whole = statistics.median(jobs), statistics.median(wholes)
            figures = f"{whole:.1f} | {whole - job:.1f} | {args.lines / job:,.0f} | {max(memories):.0f}"
            print(f"| {novel:.0%} | score, stored and written as CSV | {figures} |")
            peer, memory, _ = timed([sys.executable, "-c", ISOLATION_FOREST, str(log)], environment)
            figures = f"{peer:.1f} | | {args.lines / peer:,.0f} | {memory:.0f}"
            print(f"| {novel:.0%} | TF-IDF + isolation forest, every line | {figures} |")


if __name__ == "__main__":
    main()

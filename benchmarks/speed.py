"""Speed and memory from a raw log to stored verdicts, stage by stage, beside its peers in the same run.

    python -m benchmarks.speed [--lines 1000000 3000000] [--novel 0.0 0.02] [--runs 5] [--loglead PYTHON] [--peers NAME]

The log is made from this repository's samples (synthetic variables), or by the team's generator where it is at hand:
../shared/tools/make_big_log.py. A bundle is trained on the first 100,000 lines of the first log. Everything timed runs
in a process of its own; imports and the opening of the bundle are apart; figures are medians.

    fresh   no text is known: the network reads every distinct text
    learnt  the texts of the bundle's own training are looked up
    again   a second run over the same log
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.speed_peers import PEERS, SAMPLE_LINES

ROOT = Path(__file__).resolve().parents[1]
GENERATOR = ROOT.parent / "shared" / "tools" / "make_big_log.py"
TRAINED_LINES = 100_000
DRAIN_LINES = 200_000  # of slow peers that take a time in proportion to lines
SLOW = {"drain3": DRAIN_LINES, "masking_re": 50_000, "bert_mini": SAMPLE_LINES}
_VARIABLE = re.compile(r"\b[0-9a-f]*[0-9][0-9a-f]{2,}\b")
_WORD = re.compile(r"\b[a-z]{4,12}\b")


def make_log(path: Path, n_lines: int, novel: float, seed: int = 7) -> None:
    """Write a log of all samples, again and again, numbers anew each time; a share of lines with an unseen word."""
    if GENERATOR.exists():
        command = [sys.executable, str(GENERATOR), str(path), "--lines", str(n_lines), "--novel", str(novel)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return
    draw = random.Random(seed)
    base = [line for file in sorted(ROOT.glob("sample_logs/*/*.txt")) for line in file.read_text("utf-8").splitlines()]
    words = ["".join(draw.choices("bcdfgklmnprst", k=draw.randrange(5, 9))) for _ in range(20_000)]

    def anew(match: re.Match[str]) -> str:
        first, *rest = match[0]
        return first + "".join(draw.choice("0123456789") if char.isdigit() else char for char in rest)

    with path.open("w") as out:
        for number, line in enumerate(itertools.islice(itertools.cycle(base), n_lines)):
            head, tail = line[:40], line[40:]  # times stay valid
            if number >= len(base):
                tail = _VARIABLE.sub(anew, tail)
            if draw.random() < novel and (found := list(_WORD.finditer(tail))):
                word = draw.choice(found)
                tail = tail[: word.start()] + draw.choice(words) + tail[word.end() :]
            out.write(f"{head}{tail}\n")


def timed(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """The JSON that a process prints last, and of the whole process wall_seconds and peak_mb."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{' '.join(command)}: failed: {errors.read()[-500:]}")
        output.seek(0)
        last = output.read().strip().splitlines()[-1]
    return {**json.loads(last), "wall_seconds": seconds, "peak_mb": usage.ru_maxrss / 1024}


class Stages:
    """Seconds within functions, wall and of their own thread; stages of several threads overlap."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Time a function or method from now on, under a stage's name; `encode` has threads of its own and no other."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed_function(*args: Any, **kwargs: Any) -> Any:
            with self._timed(stage, time.process_time if stage == "encode" else time.thread_time):
                return function(*args, **kwargs)

        setattr(owner, name, timed_function)

    def watch_iterator(self, owner: Any, name: str, stage: str) -> None:
        """Time what an iterator's items take, not what is done with them."""
        function = getattr(owner, name)

        def items(*args: Any, **kwargs: Any) -> Iterator[Any]:
            iterator = iter(function(*args, **kwargs))
            while True:
                with self._timed(stage, time.thread_time):
                    item = next(iterator, None)
                if item is None:
                    return
                yield item

        setattr(owner, name, items)

    @contextmanager
    def _timed(self, stage: str, cpu_clock: Callable[[], float]) -> Iterator[None]:
        wall, cpu = time.perf_counter(), cpu_clock()
        try:
            yield
        finally:
            self.seconds[stage][0] += time.perf_counter() - wall
            self.seconds[stage][1] += cpu_clock() - cpu


def score_in_stages(log: str, model: str) -> None:
    """Score a log as the workbench does and print what each stage took: the child process of `main`."""
    from core import runner, workbench
    from core.detector import LogDetector
    from core.networks.encoder import Encoder
    from core.scoring import SCORERS
    from core.store import AnswerCache, RunWriter
    from core.tokenization import headers, normalize, skeletons
    from core.tokenization.normalize import Normalizer
    from core.tokenization.timestamps import TimestampReader

    stages = Stages()
    stages.watch_iterator(runner, "read_chunks", "read")
    for owner, name, stage in [
        (headers, "unfold", "unfold escapes"),
        (normalize, "fold_digits", "skeleton: fold digits"),
        (skeletons.Numbered, "numbers", "skeleton: number"),
        (skeletons.Skeletons, "_read", "headers and masks of new skeletons"),
        (TimestampReader, "read", "timestamps"),
        (Normalizer, "_text_ids_of", "distinct texts"),
        (Normalizer, "process", "all of normalizing"),
        (AnswerCache, "known", "look up answers"),
        (LogDetector, "_ids", "tokenize"),
        (Encoder, "encode", "encode"),
        (LogDetector, "judged", "calibrate, fuse, reasons, join"),
        (AnswerCache, "keep", "keep answers"),
        (RunWriter, "add_lines", "store lines"),
        (RunWriter, "finish", "store texts"),
        *((scorer, "score", f"scorer {scorer.name}") for scorer in SCORERS.values()),
    ]:
        stages.watch(owner, name, stage)
    cpu = time.process_time()
    info = workbench.score([log], model)
    cpu = time.process_time() - cpu
    workbench.delete_run(info.run_id)
    taken = {"lines": info.n_lines, "texts": info.n_texts, "seconds": info.seconds, "cpu_seconds": cpu}
    sys.stdout.write(json.dumps({**taken, "stages": stages.seconds}) + "\n")


def median(runs: int, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Medians of each number over runs; of the stages those of the run of median time."""
    found = sorted((measure() for _ in range(runs)), key=lambda each: each["seconds"])
    middle = found[len(found) // 2]
    numbers = [name for name, value in middle.items() if isinstance(value, int | float)]
    return {**middle, **{name: statistics.median(each[name] for each in found) for name in numbers}}


def row(name: str, taken: dict[str, Any]) -> str:
    """A line of the table of ways."""
    lines, seconds, cpu = taken["lines"], taken["seconds"], taken["cpu_seconds"]
    figures = f"{lines:,.0f} | {seconds:.2f} | {lines / seconds:,.0f} | {lines / cpu:,.0f} | {taken['peak_mb']:,.0f}"
    return f"| {name} | {figures} |"


def say(text: str) -> None:
    """Print a line at once: a run takes many minutes."""
    print(text, flush=True)


def machine() -> str:
    """The processor's name and what of it the network uses."""
    import torch

    with Path("/proc/cpuinfo").open() as lines:
        named = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    amx = "AMX" if torch.cpu.get_capabilities().get("amx_bf16") else "no AMX"
    return f"{named or platform.machine()}, {os.cpu_count()} cores, {amx}, Python {platform.python_version()}"


def measure_peers(log: Path, folder: Path, args: argparse.Namespace, environment: dict[str, str]) -> None:
    """A row a peer; the slow ones on the first lines only."""
    for name in args.peers:
        if name == "loglead" and not args.loglead:
            say("| loglead | missing: name the interpreter of its environment with --loglead |||||")
            continue
        part = folder / f"{name}.log"
        with log.open() as lines, part.open("w") as out:
            out.writelines(itertools.islice(lines, SLOW.get(name, args.lines[0])))
        python = args.loglead if name == "loglead" else sys.executable
        command = [python, str(ROOT / "benchmarks" / "speed_peers.py"), name, str(part)]
        say(row(name, median(1 if name in SLOW else args.runs, lambda command=command: timed(command, environment))))
        part.unlink()


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=[1_000_000], help="sizes; peers run on the first")
    parser.add_argument("--novel", type=float, nargs="+", default=[0.0, 0.02])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--loglead", metavar="PYTHON", help="interpreter of an environment with loglead installed")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--model", metavar="FOLDER", help="a bundle trained before, to save the minutes of training")
    parser.add_argument("--stages", nargs=2, metavar=("LOG", "MODEL"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stages:
        score_in_stages(*args.stages)
        return
    say(f"{machine()}; medians of {args.runs}; {'mixed systems' if GENERATOR.exists() else 'samples, synthetic'}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = os.environ | {"TINYLOGBERT_HOME": str(folder / "home"), "OMP_WAIT_POLICY": "PASSIVE"}
        logs = {}
        for novel, n_lines in itertools.product(args.novel, args.lines):
            logs[novel, n_lines] = folder / f"{novel}-{n_lines}.log"
            make_log(logs[novel, n_lines], n_lines, novel)
        model, learnt = args.model, folder / "learnt"
        if model is None:
            environment["TINYLOGBERT_MODELS"] = str(folder / "models")
            history, model = folder / "history.log", str(folder / "models" / "speed")
            with logs[args.novel[0], args.lines[0]].open() as lines, history.open("w") as out:
                out.writelines(itertools.islice(lines, TRAINED_LINES))
            train = [sys.executable, "-m", "core", "train", str(history), "--name", "speed"]
            started = time.perf_counter()
            subprocess.run(train, cwd=ROOT, env=environment, check=True, capture_output=True)
            bundle = json.loads((Path(model) / "bundle.json").read_text())
            curve = [(entry["step"], entry["held_back_loss"]) for entry in bundle["history"]]
            say(f"training on {TRAINED_LINES:,} lines: {time.perf_counter() - started:.0f} s; held-back loss {curve}\n")
            shutil.copytree(folder / "home", learnt)
        command = [sys.executable, "-m", "benchmarks.speed", "--stages"]

        def scored(log: Path, answers: Path | None) -> dict[str, Any]:
            shutil.rmtree(folder / "home", ignore_errors=True)
            if answers is not None and answers.exists():
                shutil.copytree(answers, folder / "home")
            return timed([*command, str(log), model], environment)

        say("| way | lines | seconds | lines/s | lines per CPU-second | peak MB |\n|---|---|---|---|---|---|")
        tables = {}
        for (novel, _), log in logs.items():
            for state, answers in {"fresh": None, "learnt": learnt, "again": folder / "again"}.items():
                if state == "learnt" and not learnt.exists():
                    continue
                way = f"workbench, {novel:.0%} novel, {state}"
                tables[way] = median(args.runs, lambda log=log, answers=answers: scored(log, answers))
                say(row(f"{way} ({tables[way]['texts']:,} texts)", tables[way]))
                if state != "again":
                    shutil.rmtree(folder / "again", ignore_errors=True)
                    shutil.copytree(folder / "home", folder / "again")
        measure_peers(logs[args.novel[0], args.lines[0]], folder, args, environment)
        for way, taken in tables.items():
            say(f"\n| stage: {way}, {taken['lines']:,} lines | wall s | CPU s of its thread |\n|---|---|---|")
            for stage, (wall, cpu) in sorted(taken["stages"].items(), key=lambda each: -each[1][0]):
                say(f"| {stage} | {wall:.2f} | {cpu:.2f} |")


if __name__ == "__main__":
    main()

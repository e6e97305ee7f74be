"""Latency: commands cold, and POST /score_log warm over one kept-alive connection.

    python -m benchmarks.latency [--model base] [--log FILE ...] [--requests 400] [--runs 5]

*known* texts were scored before by the same server (their lines are new: other addresses, numbers, times); *new* ones
never were: each holds a word of random letters. Beside it, in the same run, what a plain service would do for each
line, without HTTP: scikit-learn's TF-IDF and nearest neighbour; and one forward pass of a BERT-mini by Hugging Face,
where TinyLogBERT makes three and scores with them. One thread everywhere.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import random
import re
import statistics
import string
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from core.cli import ONE_THREAD
from core.tokenization.log_tokenizer import LogTokenizer
from tests.builders import access_log

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = sorted(ROOT.glob("sample_logs/*/test.txt"))
SEED = 0
PEERS = """
import json, sys, time
lines, learnt, warm = json.load(sys.stdin), int(sys.argv[1]), 20
def timed(score):
    for line in lines[:warm]:
        score(line)
    milliseconds = []
    for line in lines[learnt:]:
        started = time.perf_counter()
        score(line)
        milliseconds.append(1e3 * (time.perf_counter() - started))
    return milliseconds
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors
vectorizer = TfidfVectorizer()
near = NearestNeighbors(n_neighbors=1).fit(vectorizer.fit_transform(lines[:learnt]))
tfidf = timed(lambda line: near.kneighbors(vectorizer.transform([line])))
import torch
from transformers import BertConfig, BertModel
torch.manual_seed(0)
config = BertConfig(
    vocab_size=8000, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024
)
bert = BertModel(config).eval()
with torch.inference_mode():
    network = timed(lambda line: bert(torch.randint(5, 8000, (1, 32))))
print(json.dumps([tfidf, network]))
"""


def some_lines(logs: Sequence[Path], n: int, draw: random.Random) -> list[str]:
    """Lines drawn from all logs alike."""
    if not logs:
        return access_log(n, seed=SEED)[0]
    parts = [[line for line in log.read_text("utf-8", "replace").split("\n") if line.strip()] for log in logs]
    return [draw.choice(draw.choice(parts)) for _ in range(n)]


def with_new_word(line: str, draw: random.Random) -> str:
    """The line with one of its longer words replaced by random letters."""
    words = [match.span() for match in re.finditer(r"(?<![A-Za-z])[a-z]{4,}(?![A-Za-z])", line)]
    word = "".join(draw.choices(string.ascii_lowercase, k=7))
    start, end = draw.choice(words) if words else (len(line), len(line))
    return line[:start] + word + line[end:]


def with_other_digits(line: str, draw: random.Random) -> str:
    """The line with the last digit of each number drawn anew: another line, mostly of the same text."""
    return re.sub(r"(?<=[0-9])[0-9](?![0-9])", lambda _: draw.choice("0123456789"), line)


def milliseconds(ask: Callable[[str], object], lines: Sequence[str]) -> list[float]:
    taken = []
    for line in lines:
        started = time.perf_counter()
        ask(line)
        taken.append(1e3 * (time.perf_counter() - started))
    return taken


def row(name: str, taken: Sequence[float]) -> None:
    p50, p95, p99 = np.percentile(taken, (50, 95, 99))
    print(f"| {name} | {len(taken)} | {p50:.1f} | {p95:.1f} | {p99:.1f} | {max(taken):.1f} |")


def cold(command: Sequence[str], environment: dict[str, str], runs: int) -> list[float]:
    """Seconds of a command in a process of its own; a first run fills the file cache and does not count."""
    seconds = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base")
    parser.add_argument("--log", type=Path, nargs="+", default=SAMPLES)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    draw = random.Random(SEED)
    environment = {**os.environ, **ONE_THREAD, "OMP_WAIT_POLICY": "PASSIVE"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as users have it: modules compiled once

    seen = some_lines(args.log, args.requests, draw)
    known = [with_other_digits(line, draw) for line in seen]
    text_of = LogTokenizer().tokenize
    new = {text_of(line): line for line in (with_new_word(line, draw) for line in some_lines(args.log, 900, draw))}
    new_lines = [line for text, line in new.items() if text not in set(map(text_of, seen))][: args.requests]

    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", end="; ")
    print(f"Python {platform.python_version()}; model {args.model}; seed {SEED}")
    print(f"lines: {', '.join(log.parent.name or log.name for log in args.log) or 'synthetic access log'}\n")

    for command in (["ai_detect_cli.py", "--log", "failed login", "--model", args.model], ["-m", "core", "--help"]):
        seconds = cold(command, environment, args.runs)
        print(
            f"`{' '.join(command[:2])} …` cold, {args.runs} runs: median {statistics.median(seconds):.2f} s", end=", "
        )
        print(f"slowest {max(seconds):.2f} s\n")

    print("| one line, ms | requests | p50 | p95 | p99 | slowest |")
    print("|---|---|---|---|---|---|")
    serve = [sys.executable, "-m", "core", "serve", "--port", "0", "--model", args.model]
    with subprocess.Popen(serve, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            announced = process.stderr.readline() if process.stderr else ""
            if "http://" not in announced:
                sys.exit(announced)
            connection = http.client.HTTPConnection("127.0.0.1", int(announced.split(";")[0].rsplit(":", 1)[1]))

            def get(path: str) -> None:
                connection.request("GET", path)
                connection.getresponse().read()

            def post(line: str, query: str = "") -> None:
                body = json.dumps({"log": line})
                connection.request("POST", f"/score_log{query}", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                if answer.read() and answer.status != 200:
                    sys.exit(f"refused with {answer.status}: {line}")

            for line in seen:
                post(line)
                post(line, "?detail=1")  # worked out apart from the score
            row("HTTP alone: `GET /health`", milliseconds(lambda _: get("/health"), known))
            row("`POST /score_log`, known text", milliseconds(post, known))
            row("the same with detail", milliseconds(lambda line: post(line, "?detail=1"), known))
            row("`POST /score_log`, new text", milliseconds(post, new_lines))
        finally:
            process.terminate()
    lines = json.dumps([*seen, *new_lines])
    peers = subprocess.run(
        [sys.executable, "-c", PEERS, str(len(seen))],
        env=environment,
        input=lines,
        capture_output=True,
        text=True,
        check=True,
    )
    tfidf, network = json.loads(peers.stdout)
    row("TF-IDF + 1-NN, no HTTP", tfidf)
    row("BERT-mini, one pass, no HTTP", network)


if __name__ == "__main__":
    main()

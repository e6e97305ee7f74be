"""What others do with a log, and each stage alone, to measure in a process of its own; used by `speed.py`.

    PYTHON benchmarks/speed_peers.py NAME LOG [WORK]

Imports lie inside the functions, so that LogLead runs with the interpreter of its own environment. Prints one JSON
object: lines, seconds (wall) and cpu_seconds of the work, imports apart.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SAMPLE_LINES = 2_000  # of the network on every line, which would take an hour


def loglead(log: str) -> Callable[[], int]:
    """LogLead end to end: load, mask, words, vectors, isolation forest on every line."""
    from loglead import AnomalyDetector
    from loglead.enhancers import EventLogEnhancer
    from loglead.loaders import RawLoader

    def work() -> int:
        lines = RawLoader(filename=log).execute()
        enhancer = EventLogEnhancer(lines)
        enhancer.mask()
        table = enhancer.words("e_message_normalized")
        detector = AnomalyDetector(item_list_col="e_words", print_scores=False, store_scores=True)
        detector.test_df = detector.train_df = table
        detector.prepare_train_test_data()
        detector.train_IsolationForest()
        detector.predict()
        return len(table)

    return work


def drain3(log: str) -> Callable[[], int]:
    """Drain3's parsing alone, with the masks of its own example."""
    from drain3 import TemplateMiner
    from drain3.masking import MaskingInstruction
    from drain3.template_miner_config import TemplateMinerConfig

    config = TemplateMinerConfig()
    config.masking_instructions = [
        MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})((?=[^A-Za-z0-9])|$)", "IP"),
        MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)(0x[a-f0-9A-F]+)((?=[^A-Za-z0-9])|$)", "HEX"),
        MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)([\-\+]?\d+)((?=[^A-Za-z0-9])|$)", "NUM"),
    ]

    def work() -> int:
        miner, count = TemplateMiner(config=config), 0
        for line in _lines(log):
            miner.add_log_message(line)
            count += 1
        return count

    return work


def isolation_forest(log: str) -> Callable[[], int]:
    """TF-IDF and an isolation forest on every line, as scikit-learn's users write it."""
    from sklearn.ensemble import IsolationForest
    from sklearn.feature_extraction.text import TfidfVectorizer

    def work() -> int:
        lines = list(_lines(log))
        vectors = TfidfVectorizer().fit_transform(lines)
        IsolationForest(random_state=0).fit(vectors).score_samples(vectors)
        return len(lines)

    return work


def bert_mini(log: str) -> Callable[[], int]:
    """A BERT of our size in bfloat16 on each line of a sample, not on distinct texts; one forward pass a line."""
    import torch

    from core.config import NetworkConfig
    from core.networks.encoder import Encoder
    from core.networks.tinylogbert import TinyLogBert
    from core.tokenization.log_tokenizer import LogTokenizer

    torch.manual_seed(0)
    lines = [line for line, _ in zip(_lines(log), range(SAMPLE_LINES), strict=False)]
    tokenizer = LogTokenizer().train(lines)
    encoder = Encoder(TinyLogBert(NetworkConfig(vocab_size=tokenizer.vocabulary.get_vocab_size())))

    def work() -> int:
        encoder.embed(tokenizer.encode(lines, NetworkConfig().max_tokens))
        return len(lines)

    return work


def masking(log: str) -> Callable[[], int]:
    """Our masking alone: blocks, skeletons by number, headers and masks of new ones, lines of each text counted."""
    import numpy as np

    from core.ingest.files import read_chunks
    from core.tokenization.skeletons import Skeletons, fold_digits

    def work() -> int:
        table, lines_of_text, count = Skeletons("auto"), np.zeros(0, np.int64), 0
        for chunk in read_chunks(log):
            found = np.bincount(table.facts(fold_digits(chunk.lines))["text"], minlength=len(lines_of_text))
            found[: len(lines_of_text)] += lines_of_text
            lines_of_text, count = found, count + len(chunk.lines)
        return count

    return work


def masking_design(log: str) -> Callable[[], int]:
    """The plain scheme that ours grew from: digits to 0, our masks on skeletons that are new; no headers, no levels."""
    import polars as pl

    from core.tokenization.masks import mask

    digits = bytes.maketrans(b"123456789", b"000000000")
    lines_of = {"has_header": False, "separator": "\x01", "quote_char": None, "schema": {"line": pl.String}}

    def work() -> int:
        known, texts, count = pl.DataFrame(schema={"line": pl.String, "text": pl.String}), pl.DataFrame(), 0
        with Path(log).open("rb") as source:
            while block := source.read(16 << 20) + source.readline():
                lines = pl.read_csv(block.translate(digits), encoding="utf8-lossy", **lines_of)
                skeletons = lines.group_by("line").len()
                new = skeletons.select("line").join(known, on="line", how="anti")
                known = pl.concat([known, new.with_columns(mask(pl.col("line"), request=False).alias("text"))])
                found = skeletons.join(known, on="line").select("text", "len")
                texts = pl.concat([texts, found]).group_by("text").agg(pl.col("len").sum())
                count += len(lines)
        return count

    return work


def masking_every_line(log: str) -> Callable[[], int]:
    """The same headers and masks, by Polars on every line."""
    from core.ingest.files import read_chunks
    from core.tokenization.skeletons import read_skeletons

    def work() -> int:
        count = 0
        for chunk in read_chunks(log):
            count += len(read_skeletons(chunk.lines, "auto"))
        return count

    return work


def masking_re(log: str) -> Callable[[], int]:
    """The same masks, without the headers, by Python's `re` on every line."""
    import re

    from core.tokenization import masks

    steps = masks._VARIABLES + masks._IDENTIFIERS + masks._NUMBERS[:1] + masks._PATHS + masks._NUMBERS[1:]
    compiled = [(re.compile(pattern), replaced.replace("${1}", r"\1")) for replaced, pattern in steps]

    def work() -> int:
        count = 0
        for line in _lines(log):
            for pattern, replaced in compiled:
                line = pattern.sub(replaced, line)
            " ".join(line.split()).lower()
            count += 1
        return count

    return work


def _lines(log: str) -> Iterator[str]:
    with Path(log).open(errors="replace") as lines:
        for line in lines:
            yield line.rstrip("\n")


PEERS = {
    peer.__name__: peer
    for peer in (loglead, drain3, isolation_forest, bert_mini, masking, masking_design, masking_every_line, masking_re)
}


def main() -> None:
    """Run one and print what it took."""
    name, log = sys.argv[1:3]
    work = PEERS[name](log)
    wall, cpu = time.perf_counter(), time.process_time()
    lines = work()
    taken = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    sys.stdout.write(json.dumps({"lines": lines} | taken) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()

"""The recorded sample logs are what their README says."""

import csv
import gzip
import re
from collections import Counter
from pathlib import Path

import pytest

from core.ingest.flow_labels import FlowLabels
from core.ingest.flows import read_flows

SAMPLES = Path(__file__).parents[1] / "sample_logs"
SERVICES = ["web_access", "auth"]
ADDRESS = re.compile(r"(?<![\d.])(?<!\w/)\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")  # not Chrome/124.0.0.0
DOCUMENTED = ("192.0.2.", "198.51.100.", "203.0.113.")
SOURCE = re.compile(r"(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+|local")
UNROUTABLE = ("127.0.0.1", "0.0.0.0", "169.254.169.254")  # noqa: S104  # what some lines ask for


def lines(service: str, split: str) -> list[str]:
    return (SAMPLES / service / f"{split}.txt").read_text(encoding="utf-8").splitlines()


def labels(service: str, split: str) -> list[dict[str, str]]:
    with (SAMPLES / service / f"{split}.labels.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_label_for_each_line(service: str, split: str) -> None:
    rows = labels(service, split)
    assert list(rows[0]) == ["line_no", "label", "kind", "source"]
    assert [int(row["line_no"]) for row in rows] == list(range(1, len(lines(service, split)) + 1))
    for row in rows:
        attack = bool(row["kind"]) and not row["kind"].startswith("oddity:")
        assert row["label"] == str(int(attack)), row
        assert SOURCE.fullmatch(row["source"]), row


@pytest.mark.parametrize("service", SERVICES)
def test_sizes_and_shares(service: str) -> None:
    assert len(lines(service, "train")) >= 5000
    for split, least in (("val", 1800), ("test", 3400)):
        rows = labels(service, split)
        assert len(rows) >= least
        attacks = sum(row["label"] == "1" for row in rows) / len(rows)
        assert 0.04 <= attacks <= 0.15, (split, attacks)
    rows = labels(service, "test")
    assert sum(row["kind"].startswith("oddity:") for row in rows) / len(rows) >= 0.03


@pytest.mark.parametrize("service", SERVICES)
def test_attackers_are_never_in_train_and_only_they_come_from_their_network(service: str) -> None:
    assert not [line for line in lines(service, "train") if "203.0.113." in line]
    for split in ("val", "test"):
        for row in labels(service, split):
            assert (row["label"] == "1") == row["source"].startswith("203.0.113."), row


def test_oddities_are_not_in_train() -> None:
    never = {
        "web_access": [
            '" 404 ',
            '" 401 ',
            '" 500 ',
            "robots.txt",
            "favicon",
            "utm_",
            "HEAD /",
            "OPTIONS",
            "Brien",
            "Bot",
        ],
        "auth": ["Invalid user", "useradd", "usermod", "negotiate", "expired", "SIGHUP", "ECDSA", "maximum", "refused"],
    }
    for service, texts in never.items():
        train = (SAMPLES / service / "train.txt").read_text(encoding="utf-8")
        assert not [text for text in texts if text in train]
        # A new client reads like a known one but for its address.
        new = {row["source"] for row in labels(service, "test") if row["kind"] == "oddity:new_client"}
        assert new
        assert not [address for address in new if f"{address} " in train]


@pytest.mark.parametrize("service", SERVICES)
def test_test_holds_attacks_that_val_does_not(service: str) -> None:
    kinds = {split: {row["kind"] for row in labels(service, split) if row["label"] == "1"} for split in ("val", "test")}
    assert kinds["test"] - kinds["val"]
    # Mixed with everyday traffic, not a block at the end.
    rows = labels(service, "test")
    tenths = Counter(10 * i // len(rows) for i, row in enumerate(rows) if row["label"] == "1")
    assert len(tenths) >= 8


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_only_documentation_addresses(service: str, split: str) -> None:
    words = {word for line in lines(service, split) for word in line.split()}
    for address in set(ADDRESS.findall("\n".join(words))):
        assert address.startswith(DOCUMENTED) or address in UNROUTABLE, address


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("split", ["val", "test"])
def test_captures_open(service: str, split: str) -> None:
    with gzip.open(SAMPLES / service / f"{split}.pcap.gz") as packed:
        assert packed.read(4) == b"\xd4\xc3\xb2\xa1"  # little-endian pcap, microseconds
        assert len(packed.read(100_000)) == 100_000


def test_each_kind_is_in_the_readme() -> None:
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    for service in SERVICES:
        for split in ("val", "test"):
            for kind, count in Counter(row["kind"] for row in labels(service, split)).items():
                named = [line for line in readme.splitlines() if line.startswith(f"| {kind or 'normal'} |")]
                assert any(f" {count} " in line for line in named), (service, split, kind, count)


def test_the_folder_is_small_and_holds_no_other_text_files() -> None:
    assert sum(file.stat().st_size for file in SAMPLES.rglob("*") if file.is_file()) < 14_000_000
    for file in SAMPLES.rglob("*.txt"):
        assert file.stem in ("train", "val", "test") or "synthetic" in file.name, file


TRAFFIC = SAMPLES / "traffic"


def flow_labels_of(split: str) -> list[dict[str, str]]:
    with (TRAFFIC / f"{split}.flows.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_each_flow_of_the_traffic_captures_has_its_label() -> None:
    applications = {"http", "https", "ssh", "dns", "smtp", "ftp", "rsync", "postgresql", "redis"}
    for split in ("train", "val", "test"):
        rows = flow_labels_of(split)
        assert list(rows[0])[-3:] == ["label", "kind", "application"]
        flows = list(read_flows([TRAFFIC / f"{split}.pcap.gz"]))
        labels = FlowLabels(TRAFFIC / f"{split}.flows.csv").of(flows)
        assert None not in labels
        attacks = labels.count("1") / len(labels)
        assert attacks == 0 if split == "train" else 0.2 <= attacks <= 0.4, (split, attacks)
        assert {row["application"] for row in rows if row["label"] == "0"} >= applications
        for row in rows:
            is_attack = row["kind"] != "normal" and not row["kind"].startswith("oddity:")
            assert row["label"] == str(int(is_attack)), row
            ends = row["source"], row["destination"]
            assert is_attack == any(end.startswith("203.0.113.") for end in ends), row
            assert all(end.startswith((*DOCUMENTED, "::", "fe80::", "ff02::")) for end in ends), row
    assert len({row["kind"] for row in flow_labels_of("test")}) > 20


def test_the_traffic_captures_are_small() -> None:
    assert sum(path.stat().st_size for path in TRAFFIC.iterdir()) < 6_000_000

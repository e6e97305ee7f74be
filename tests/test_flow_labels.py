"""Labels of flows: joined by endpoints, time and capture; what a CSV leaves open stays unlabelled and is counted."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from core import workbench
from core.errors import InputError
from core.ingest.flow_labels import FlowLabels
from core.ingest.flows import read_flows
from core.records import Flow
from tests.captures import START, ethernet, pcap, udp

HERE, THERE, ELSEWHERE = ("192.0.2.1", 4000), ("192.0.2.2", 53), ("192.0.2.3", 53)
ASKED, TOLD = udp(HERE, THERE, b"ask"), udp(THERE, HERE, b"tell")
TIMES = START + 0.1234567, START + 0.2, START + 500.25, START + 501
"""Of two flows of the same endpoints, parted by silence, the second begun by the other side, and of a third."""
HEADER = "protocol,source,source_port,destination,destination_port,label\n"


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    frames = [ethernet(packet) for packet in (ASKED, TOLD, TOLD, udp(HERE, ELSEWHERE, b"ask"))]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(frames, magic=0xA1B23C4D, times=TIMES))
    return path


def written(paths: Sequence[str | Path], labels: Sequence[str], without: str = "none") -> Path:
    """What `traffic flows --output` writes, and a column of labels."""
    path = Path(paths[0]).parent / "flows.csv"
    workbench.flows(paths, path)
    pl.read_csv(path).with_columns(pl.Series("label", labels)).drop(without, strict=False).write_csv(path)
    return path


def flows_of(*paths: str | Path) -> list[Flow]:
    return list(read_flows(paths))


def test_flows_of_the_same_endpoints_are_told_apart_by_their_time(capture: Path) -> None:
    labels = FlowLabels(written([capture], ["a", "b", ""]))
    assert labels.of(flows_of(capture)) == ["a", "b", None]
    assert labels.n_contradicted == 0


def test_without_a_time_what_differs_is_no_label(capture: Path) -> None:
    labels = FlowLabels(written([capture], ["a", "b", "c"], without="first_utc"))
    assert labels.of(flows_of(capture)) == [None, None, "c"]
    assert labels.contradiction.startswith(
        "2 flows are named by rows whose labels differ, and got none; add the column"
    )
    same = FlowLabels(written([capture], ["a", "a", "c"], without="first_utc"))
    assert same.of(flows_of(capture)) == ["a", "a", "c"]
    assert same.n_contradicted == 0
    with pytest.raises(InputError, match="names none of the 2 flows; 2 flows are named by rows whose labels differ"):
        labels.of(flows_of(capture)[:2])


def test_a_time_rounded_by_hand_is_said(capture: Path) -> None:
    path = capture.with_name("labels.csv")
    row = "udp,192.0.2.1,4000,192.0.2.2,53,a"
    path.write_text(HEADER.replace("\n", ",first_utc\n") + f"{row},2023-11-14 22:13:20.123457\n{row},22:13\n")
    with pytest.raises(InputError, match=r"row 2: first_utc is '22:13'; expected a time as `traffic flows` writes it"):
        FlowLabels(path)
    path.write_text(path.read_text().replace("22:13\n", "\n"))
    assert FlowLabels(path).of(flows_of(capture)) == ["a", None, None]


def test_any_column_may_hold_the_labels(capture: Path) -> None:
    path = written([capture], ["a", "b", "c"])
    assert FlowLabels(path, "protocol").of(flows_of(capture)) == ["udp"] * 3
    assert FlowLabels(path, "destination").of(flows_of(capture)) == ["192.0.2.2", "192.0.2.1", "192.0.2.3"]
    assert FlowLabels(path, "first_utc").of(flows_of(capture))[2] == "2023-11-14T22:21:41.000000"


def test_a_capture_is_known_by_its_file_wherever_it_lies(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = Path("@b.pcap")  # as CSV with an apostrophe before it
    copy.write_bytes(capture.read_bytes())
    both = written(["a.pcap", "@b.pcap"], ["a", "b", "c", "d", "e", "f"])
    assert "\n'@b.pcap," in both.read_text()
    assert FlowLabels(both).of(flows_of("./@b.pcap", capture)) == ["d", "e", "f", "a", "b", "c"]
    assert FlowLabels(both).of(flows_of("@b.pcap")) == ["d", "e", "f"]
    one = written([capture], ["a", "b", "c"])
    assert FlowLabels(one).of(flows_of("@b.pcap")) == ["a", "b", "c"]  # one capture may be renamed, or come by a pipe
    Path("c.pcap").write_bytes(capture.read_bytes())
    with pytest.raises(InputError, match=r"its column capture holds a\.pcap, and what is read is @b\.pcap, c\.pcap"):
        FlowLabels(one).of(flows_of("@b.pcap", "c.pcap"))


def test_either_end_may_be_the_source_and_spaces_are_no_label(capture: Path) -> None:
    path = capture.with_name("labels[1].csv")
    path.write_text(HEADER + "udp,192.0.2.2,53,192.0.2.1,4000, a \nudp,192.0.2.1,4000,192.0.2.3,53, \n")
    assert FlowLabels(path).of(flows_of(capture)) == ["a", "a", None]
    path.write_text(HEADER + "tcp,192.0.2.2,53,192.0.2.1,4000,a\n")
    with pytest.raises(InputError, match="names none of the 3 flows; write one with: traffic flows --output"):
        FlowLabels(path).of(flows_of(capture))

"""`python -m core traffic flows`: one capture by file, compressed and standard input; rows, counts and errors."""

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from core import workbench
from core.cli import main
from core.ingest.flows import flow_statistics, read_flows
from core.workbench.traffic import flow_rows
from tests.captures import pcap

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "sample_logs" / "auth" / "val.pcap.gz"
DATAGRAM = bytes.fromhex(
    "020000000001 020000000002 0800 45000020 0000 0000 40 11 0000 c0000201 c0000202 0035 1389 000c 0000 68656c6c"
)
ARP = bytes(12) + b"\x08\x06" + bytes(28)


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["traffic", "flows", *map(str, arguments)], input=stdin)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_row_a_flow_in_every_form(suffix: str, tmp_path: Path) -> None:
    output = tmp_path / f"flows.{suffix}"
    result = run(SAMPLE, "--output", output)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("13,197 packets, 13,197 of them in 306 flows;")
    read = {"csv": pl.read_csv, "jsonl": pl.read_ndjson, "parquet": pl.read_parquet}[suffix]
    first = next(read_flows([SAMPLE]))
    rows = read(output).select(flow_rows([first]).columns)
    assert len(rows) == 306
    assert rows["packets"].sum() == 13_197
    assert list(rows.row(0)[1:6]) == ["tcp", "192.0.2.51", 32_817, "192.0.2.20", 22]
    statistics = flow_statistics(first)
    assert rows.columns[-len(statistics) :] == list(statistics)
    assert rows.row(0)[-len(statistics) :] == pytest.approx(tuple(statistics.values()))
    assert str(rows["first_utc"][0]).replace("T", " ").startswith("2026-11-22 03:13:04.223354")


def test_the_same_by_file_compressed_and_standard_input(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.pcap", tmp_path / "a.pcap.gz"
    plain.write_bytes(pcap([DATAGRAM, ARP, DATAGRAM]))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    line = "2023-11-14 22:13:20\tudp\t192.0.2.1:53\t->\t192.0.2.2:5001\t2 packets\t92 bytes\t0.002 s\tcapture\n"
    for result in (run(plain), run(packed), run("-", stdin=plain.read_bytes())):
        assert (result.exit_code, result.stdout) == (0, line)
        assert "3 packets, 2 of them in 1 flows" in result.stderr
        assert "note: not IP: type 0x0806: 1, the first at packet 2 of" in result.stderr


def test_counts_for_machines(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap([DATAGRAM, ARP])[:-1])
    counts = json.loads(run(path, "--json").stdout)
    assert counts.pop("seconds") >= 0
    assert counts == {
        "n_packets": 1, "n_in_flows": 1, "n_flows": 1,
        "left_out": {"the capture is cut inside this packet": 1},
        "first_left_out": [
            {"source": str(path), "position": 2, "reason": "the capture is cut inside this packet"}
        ],
    }  # fmt: skip


def test_many_reasons_are_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([bytes(12) + bytes((7, kind)) + bytes(50) for kind in range(25)]))
    notes = run(path).stderr.splitlines()[1:]
    assert (len(notes), notes[-1]) == (21, "note: 5 more reasons; python -m core traffic flows --json lists them")
    assert len(json.loads(run(path, "--json").stdout)["left_out"]) == 25


def test_a_capture_without_a_flow_is_no_mistake(tmp_path: Path) -> None:
    path, output = tmp_path / "a.pcap", tmp_path / "flows.csv"
    path.write_bytes(pcap([]))
    assert run(path, "--output", output).exit_code == 0
    header, *rows = list(csv.reader(output.open()))
    assert (header[:3], rows) == (["capture", "protocol", "source"], [])


def test_cells_that_a_spreadsheet_would_run_are_neutralized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("=1+1").write_bytes(pcap([DATAGRAM]))
    assert run("=1+1", "--output", "out.csv").exit_code == 0
    assert Path("out.csv").read_text().splitlines()[1].startswith("'=1+1,udp,")


def test_a_name_that_is_no_text_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"a\xff.pcap")
    Path(name).write_bytes(pcap([DATAGRAM, ARP]))
    result = run(name, "--output", "out.csv")
    assert result.exit_code == 0, result.output
    assert "the first at packet 2 of a\N{REPLACEMENT CHARACTER}.pcap" in result.stderr
    assert Path("out.csv").read_text("utf-8").splitlines()[1].startswith("a\N{REPLACEMENT CHARACTER}.pcap,udp,")


def test_times_that_no_calendar_has_are_left_out() -> None:
    flow = next(read_flows([SAMPLE]))
    flow.first_utc, flow.last_utc = 1e18, -5.0
    assert flow_rows([flow]).select("first_utc", "last_utc").row(0) == (None, None)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_capture_without_times_has_none(suffix: str, tmp_path: Path) -> None:
    path, output = tmp_path / "a.pcap", tmp_path / f"flows.{suffix}"
    path.write_bytes(pcap([DATAGRAM], times=[0.0]))
    assert run(path, "--output", output).exit_code == 0
    read = {"csv": pl.read_csv, "jsonl": pl.read_ndjson}[suffix]
    assert read(output).select("first_utc", "last_utc", "packets").row(0) == (None, None, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.pcap"], 1, "error: nowhere.pcap: there is no such file"),
        ([__file__], 1, "this is not a packet capture"),
        ([SAMPLE, "--output", "flows.txt"], 1, "flows.txt: results are written as .csv, .jsonl, .parquet"),
        ([SAMPLE, "--output", "nowhere/flows.csv"], 1, "nowhere/flows.csv: there is no folder"),
        ([], 2, "Missing argument 'CAPTURE...'"),
    ],
)
def test_mistakes_are_one_line(arguments: list, code: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_failed_run_leaves_no_output(tmp_path: Path) -> None:
    assert run(SAMPLE, "nowhere.pcap", "--output", tmp_path / "flows.csv").exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_and_rows_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.workbench.traffic.ROWS_AT_ONCE", 100)
    steps: list[tuple[str, int, int]] = []
    parts: list[int] = []
    workbench.flows([SAMPLE], progress=lambda *step: steps.append(step), show=lambda rows: parts.append(len(rows)))
    assert parts == [100, 100, 100, 6]
    assert steps[-1] == ("reading packets", SAMPLE.stat().st_size, SAMPLE.stat().st_size)


def test_a_reader_that_goes_is_no_error() -> None:
    command = [sys.executable, "-m", "core", "traffic", "flows", *[SAMPLE] * 4]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline().endswith(b"\tfin\n")
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == b""


def test_help_loads_no_table_and_no_network() -> None:
    code = "import sys, core.cli; sys.exit(bool({'polars', 'numpy', 'torch'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ).returncode == 0

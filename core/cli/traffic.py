"""`python -m core traffic`: what to do with packet captures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.terminal import print_json, printable, progress_line, say
from core.config import TrafficConfig

if TYPE_CHECKING:
    import polars as pl

    from core.workbench import FlowModelInfo


@click.group()
def traffic() -> None:
    """Packet captures: pcap or pcapng, plain or compressed; - is standard input."""


@traffic.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option("--output", type=click.Path(path_type=Path), help="OUT.csv, .jsonl or .parquet; a row a flow.")
@click.option("--json", "as_json", is_flag=True, help="Counts for machines in place of flows.")
def flows(captures: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Group packets into bidirectional flows; print them, or write them with their statistics."""
    from core import workbench

    workbench.check_outputs(output, inputs=captures)
    note, show = _notes(), None if as_json or output else _print_flows
    info = workbench.flows(captures, output, progress=progress_line(), show=show, note=note)
    if as_json:
        print_json(dataclasses.asdict(info))
        return
    say(
        f"{info.n_packets:,} packets, {info.n_in_flows:,} of them in {info.n_flows:,} flows; {info.seconds:.1f} s",
        err=show is not None,
    )


def _training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        [
            click.option("--name", required=True, help="Name of the model; an older one of that name is replaced."),
            click.option(
                "--max-steps",
                type=click.IntRange(1),
                default=TrafficConfig.max_steps,
                show_default=True,
                help="Of training at most; it stops early.",
            ),
            click.option("--json", "as_json", is_flag=True, help="For machines."),
        ]
    ):
        command = option(command)
    return command


@traffic.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option(
    "--preset", type=click.Choice(["tiny", "small", "base"]), default="small", show_default=True, help="Of the network."
)
@click.option("--unit-bytes", type=click.Choice(["1", "2"]), default="1", show_default=True, help="Bytes a token.")
@click.option("--raw", is_flag=True, help="Do not mask addresses, ports and what else names endpoints and moments.")
@click.option("--seed", type=int, default=0, help="Of every random choice (default 0).")
@_training_options
def pretrain(
    captures: tuple[str, ...],
    preset: str,
    unit_bytes: str,
    raw: bool,
    seed: int,
    name: str,
    max_steps: int,
    as_json: bool,
) -> None:
    """Learn from CAPTUREs without labels: a NetGPT and its scorers, saved as a model."""
    from core import workbench

    config = TrafficConfig(preset=preset, unit_bytes=int(unit_bytes), masked=not raw, seed=seed, max_steps=max_steps)
    note = _notes()
    _tell(workbench.pretrain(captures, name, config, progress_line(), note=note), as_json)


@traffic.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option(
    "--labels", required=True, type=click.Path(path_type=Path), help="CSV of `flows` with a column of labels."
)
@click.option("--column", default="label", show_default=True, help="Of the CSV: the one that holds the labels.")
@click.option("--task", required=True, help="What the labels are, such as application or attack.")
@click.option("--model", required=True, help="Name or folder of the model to start from.")
@_training_options
def finetune(
    captures: tuple[str, ...],
    labels: Path,
    column: str,
    task: str,
    model: str,
    name: str,
    max_steps: int,
    as_json: bool,
) -> None:
    """Teach a model a task from labelled flows of CAPTUREs."""
    from core import workbench

    note = _notes()
    info = workbench.finetune(captures, labels, model, name, task, column, max_steps, progress_line(), note=note)
    _tell(info, as_json)


@traffic.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option("--model", help="Name or folder of a model; without one, learn from the CAPTUREs themselves.")
@click.option("--alone", is_flag=True, help="Judge each flow alone, not in the context of its source.")
@click.option("--output", type=click.Path(path_type=Path), help="OUT.csv, .jsonl or .parquet; a row a flow.")
@click.option("--json", "as_json", is_flag=True, help="Counts for machines in place of flows.")
def score(captures: tuple[str, ...], model: str | None, alone: bool, output: Path | None, as_json: bool) -> None:
    """Score flows without labels; print them, or write them with every scorer and answer."""
    from core import workbench

    workbench.check_outputs(output, inputs=captures)
    note, show = _notes(), None if as_json or output else _print_scores
    info = workbench.score_flows(
        captures, model, output, progress=progress_line(), show=show, context=not alone, note=note
    )
    if as_json:
        print_json(dataclasses.asdict(info))
        return
    say(
        f"{info.n_packets:,} packets, {info.n_flows:,} flows, {info.n_flagged:,} flagged at {info.threshold:.4f}; "
        f"{info.seconds:.1f} s",
        err=show is not None,
    )


@traffic.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option("--model", required=True, help="Name or folder of a model that was taught the task.")
@click.option("--task", required=True, help="Its name.")
@click.option("--output", type=click.Path(path_type=Path), help="OUT.csv, .jsonl or .parquet; a row a flow.")
@click.option("--json", "as_json", is_flag=True, help="Counts for machines in place of flows.")
def classify(captures: tuple[str, ...], model: str, task: str, output: Path | None, as_json: bool) -> None:
    """Answer a task for every flow: its class and the probability."""
    from core import workbench

    workbench.check_outputs(output, inputs=captures)
    note, show = _notes(), None if as_json or output else lambda rows: _print_answers(rows, task)
    counts = workbench.classify_flows(captures, model, task, output, progress=progress_line(), show=show, note=note)
    if as_json:
        print_json(counts)
        return
    for label, n_flows in counts.items():
        say(f"{printable(label)}: {n_flows:,} flows", err=show is not None)


@traffic.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option(
    "--labels", required=True, type=click.Path(path_type=Path), help="CSV of `flows` with a column of labels."
)
@click.option("--column", default="label", show_default=True, help="Of the CSV: the one that holds the labels.")
@click.option("--model", required=True, help="Name or folder of a model.")
@click.option("--task", help="Measure its answers; without it the unlabelled score is measured.")
@click.option("--alone", is_flag=True, help="Judge each flow alone, not in the context of its source.")
def evaluate(captures: tuple[str, ...], labels: Path, column: str, model: str, task: str | None, alone: bool) -> None:
    """Measure a model on labelled flows; one JSON object."""
    from core import workbench

    note, line = _notes(), progress_line()
    print_json(workbench.evaluate_flows(captures, labels, model, task, column, line, context=not alone, note=note))


def _notes() -> Callable[[str], None]:
    """Takes notes and writes them to standard error when the command ends, well or not."""
    notes: list[str] = []

    def write() -> None:
        for note in notes:
            say(f"note: {printable(note)}", err=True)

    click.get_current_context().call_on_close(write)
    return notes.append


def _tell(info: FlowModelInfo, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(info))
        return
    tasks = "; ".join(f"{task}: {', '.join(labels)}" for task, labels in info.tasks.items())
    say(
        f"{info.name}: {info.n_flows:,} flows, {info.n_texts:,} distinct texts, threshold {info.threshold:.4f}; "
        f"{printable(tasks) + '; ' if tasks else ''}saved in {info.path}"
    )


def _print_scores(rows: pl.DataFrame) -> None:
    for row in rows.iter_rows(named=True):
        flag = "ABNORMAL" if row["is_anomaly"] else "normal"
        say("\t".join((f"{row['score']:.4f}", flag, *_flow(row))))


def _print_answers(rows: pl.DataFrame, task: str) -> None:
    for row in rows.iter_rows(named=True):
        say("\t".join((printable(row[task]), f"{row[f'{task}_probability']:.3f}", *_flow(row))))


def _print_flows(rows: pl.DataFrame) -> None:
    for row in rows.iter_rows(named=True):
        say("\t".join(_flow(row)))


def _flow(row: dict[str, Any]) -> tuple[str, ...]:
    """A flow for people."""
    fields = (
        row["first_utc"], row["protocol"], _endpoint(row["source"], row["source_port"]), "->",
        _endpoint(row["destination"], row["destination_port"]), f"{row['packets']} packets",
        f"{row['bytes']} bytes", f"{row['duration_s']:.3f} s", row["ended"],
    )  # fmt: skip
    return tuple(map(str, fields))


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

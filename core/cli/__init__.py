"""Command line: click commands over workbench. Data on standard output, remarks on standard error.

Exit codes: 0 done, 1 a user's mistake (one line: what, where, what to do), 2 usage.
"""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from core.cli.terminal import print_json, printable, progress_line, say
from core.cli.traffic import traffic
from core.errors import JobCancelled, WorkbenchError

# A single line is too small to share out; the libraries read this when they are loaded.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}

# workbench is imported inside the commands: --help must not wait for tables and networks.
if TYPE_CHECKING:
    from core.config import Config


class _Group(click.Group):
    """One catch for the whole command line."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except WorkbenchError as error:
            say(f"error: {printable(str(error))}", err=True)
            context.exit(1)
        except BrokenPipeError:
            raise  # the reader of a pipe has gone, as `head` does: click ends without a word
        except OSError as error:
            say(f"error: {printable(str(error.filename or 'the disk'))}: {error.strerror or error}", err=True)
            context.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """TinyLogBERT Workbench: unlabelled log lines in, abnormal lines and the reasons out."""
    # Two spinning threads on a busy machine cost a line ten times its work; NumPy's spin whatever the policy says, and
    # what is large is shared out before it gets there.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signal.signal(signal.SIGTERM, _stop)


main.add_command(traffic)


def _reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        [
            click.option(
                "--sessions",
                metavar="REGEX|source",
                help="First group is the session's key; or the word source: lines of one client or process.",
            ),
            click.option("--format", "format_", metavar="NAME", help="A name of `formats`; default: each line's own."),
            click.option("--message-field", metavar="FIELD", help="JSON field or CSV column that holds the text."),
            click.option("--year", type=int, help="Year of the first line, where lines name none."),
            click.option("--timezone", metavar="ZONE", help="Zone of timestamps that name none (default UTC)."),
            click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of every random choice (default 0)."),
            click.option(
                "--contamination",
                type=click.FloatRange(0, 0.5),
                metavar="SHARE",
                help="Of the lines learnt from that may be abnormal, such as 0.05: the strangest so many are left out.",
            ),
            click.option("--quick", is_flag=True, help="Only the scorers that need no network: seconds to fit."),
            click.option(
                "--config", "config_file", type=click.Path(dir_okay=False, path_type=Path), help="TOML settings."
            ),
        ]
    ):
        command = option(command)
    return command


_in_context = click.option(
    "--context",
    is_flag=True,
    help="Judge a line by the other lines of its session too; without --sessions or a session column, of its source.",
)


@main.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("--name", required=True, help="Name of the model; an older one of that name is replaced.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@_reading_options
def train(logs: tuple[str, ...], name: str, as_json: bool, **options: Any) -> None:
    """Learn what is normal from unlabelled LOGs; - is standard input."""
    from core import workbench

    info = workbench.train(logs, name, _config(options), progress=progress_line())
    if as_json:
        print_json(dataclasses.asdict(info))
    else:
        say(
            f"{info.name}: {info.n_lines:,} lines, {info.n_texts:,} distinct texts, "
            f"threshold {info.threshold:.4f}; saved in {info.path}"
        )


@main.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("--model", help="Name or folder of a model; without one, fit on the LOGs themselves.")
@click.option("--output", type=click.Path(path_type=Path), help="OUT.csv, .jsonl or .parquet; a row a physical line.")
@click.option("--session-output", type=click.Path(path_type=Path), help="The same with a row a session.")
@click.option(
    "--false-alarms",
    type=click.IntRange(0),
    metavar="N",
    help="Flag from where at most N everyday lines would be flagged of a log this long; needs --model.",
)
@_in_context
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@_reading_options
def score(
    logs: tuple[str, ...],
    model: str | None,
    output: Path | None,
    session_output: Path | None,
    false_alarms: int | None,
    context: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Score LOGs and store the run."""
    from core import workbench

    _refuse_fit_options(model, options)
    if false_alarms is not None and model is None:
        raise click.UsageError("--false-alarms needs --model: the LOGs themselves do not say what is everyday")
    workbench.check_outputs(output, session_output, inputs=logs)
    info = workbench.score(logs, model, _config(options), progress=progress_line(), context=context)
    reader = workbench.run(info.run_id)
    threshold = info.threshold
    if false_alarms is not None:
        threshold = workbench.threshold_for_false_alarms(reader, false_alarms)
        workbench.set_threshold(info.run_id, threshold)
    if output:
        reader.export(output, threshold)
    if session_output:
        reader.export_sessions(session_output)
    flagged, expected = reader.flagged(threshold), workbench.false_alarms_to_expect(reader, threshold)
    if as_json:
        rounded = expected and {name: round(value, 1) for name, value in expected.items()}
        in_force = {"threshold": threshold, "n_flagged": flagged, "false_alarms_to_expect": rounded}
        print_json({**dataclasses.asdict(info), **in_force})
        return
    say(
        f"{printable(info.name)}: {info.n_lines:,} lines, {info.n_texts:,} distinct texts, {flagged:,} flagged "
        f"({flagged / info.n_lines:.2%}) at {threshold:.4f}; {info.seconds:.1f} s; run {info.run_id}"
    )
    if expected is not None:
        say(
            f"false alarms to expect: {expected['lines']:,.0f} lines, {expected['messages']:,.0f} messages, if nothing "
            "has changed since the model learnt"
        )
    for note in info.notes:
        say(f"note: {printable(note)}", err=True)


@main.command()
@click.argument("labelled", metavar="LABELLED")
@click.option(
    "--labels", "labels_file", metavar="FILE", help="CSV with line_no and label; default: NAME.labels.csv beside a log."
)
@click.option("--model", help="Name or folder of a model; without one, fit on the file itself.")
@click.option("--level", type=click.Choice(["line", "session"]), default="line", help="What a label stands for.")
@_in_context
@_reading_options
def evaluate(
    labelled: str, labels_file: str | None, model: str | None, level: str, context: bool, **options: Any
) -> None:
    """Measure a model on a labelled CSV, or on a log with its labels beside it: one JSON object."""
    from core import workbench

    _refuse_fit_options(model, options)
    print_json(workbench.evaluate(labelled, model, level, _config(options), progress_line(), labels_file, context))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def models(as_json: bool) -> None:
    """List saved models."""
    from core import workbench

    found, of_captures = workbench.models(), workbench.flow_models()
    if as_json:
        print_json(
            [dataclasses.asdict(info) | {"kind": "logs"} for info in found]
            + [dataclasses.asdict(info) | {"kind": "captures"} for info in of_captures]
        )
        return
    for info in found:
        line = f"{info.n_lines:,} lines, {info.n_texts:,} texts, threshold {info.threshold:.4f}, {info.created_utc}"
        say(f"{printable(info.name)}\t{printable(info.error or line)}")
    for flow_info in of_captures:
        line = f"{flow_info.n_flows:,} flows, {flow_info.n_texts:,} texts, threshold {flow_info.threshold:.4f}"
        say(f"{printable(flow_info.name)}\t{printable(flow_info.error or f'{line}, {flow_info.created_utc}')}")
    if not found and not of_captures:
        say("no models yet; train one with: python -m core train LOG --name NAME", err=True)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def runs(as_json: bool) -> None:
    """List stored runs, newest first."""
    from core import workbench

    found = workbench.runs()
    if as_json:
        print_json([dataclasses.asdict(info) for info in found])
        return
    for info in found:
        model = printable(info.model or "own fit")
        say(f"{info.run_id}\t{printable(info.name)}\t{info.n_lines:,} lines\t{model}\t{info.created_utc}")
    if not found:
        say("no runs yet; score a log with: python -m core score LOG", err=True)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def formats(as_json: bool) -> None:
    """List the log formats that are recognized."""
    from core import workbench

    found = workbench.formats()
    if as_json:
        print_json([dataclasses.asdict(info) for info in found])
        return
    for info in found:
        say(f"{info.name}\n    {info.description}\n    {info.example}")


@main.command()
@click.option("--run", "run_id", metavar="ID", help="Only those on lines of this run; default: all.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def verdicts(run_id: str | None, as_json: bool) -> None:
    """List the analysts' verdicts on lines."""
    from core import workbench

    found = workbench.verdicts(run_id).to_dicts()
    if as_json:
        print_json(found)
        return
    for verdict in found:
        fields = (verdict[name] for name in ("at_utc", "label", "by", "line_no", "note", "line"))
        say("\t".join(printable(str(field)) for field in fields))
    if not found:
        say("no verdicts yet; give some on the Review page", err=True)


@main.command()
@click.argument("run_id", metavar="RUN")
@click.option("--output", type=click.Path(path_type=Path), help="OUT.csv, .jsonl or .parquet; a row a physical line.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def rescore(run_id: str, output: Path | None, as_json: bool) -> None:
    """Score a stored RUN anew with the verdicts on its lines, without training; a run of its own."""
    from core import workbench

    workbench.check_outputs(output)
    info = workbench.rescore(run_id, progress=progress_line())
    reader, before = workbench.run(info.run_id), workbench.run(run_id)
    if output:
        reader.export(output)
    flagged, was_flagged = reader.flagged(info.threshold), before.flagged(info.threshold)
    if as_json:
        print_json({**dataclasses.asdict(info), "n_flagged": flagged, "n_flagged_before": was_flagged})
        return
    say(
        f"{printable(info.name)}: {info.verdicts['normal']:,} messages judged normal and "
        f"{info.verdicts['abnormal']:,} abnormal; "
        f"{flagged:,} lines flagged at {info.threshold:.4f}, {was_flagged:,} before; run {info.run_id}"
    )
    for note in info.notes:
        say(f"note: {printable(note)}", err=True)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address: 127.0.0.1, ::1, localhost.")
@click.option("--port", type=int, default=8000, show_default=True, help="0 takes a free one.")
@click.option("--model", default="base", show_default=True, help="Name or folder of a model.")
def serve(host: str, port: int, model: str) -> None:
    """Answer POST /score_log and /score_logs over HTTP, to this machine only."""
    os.environ.update(ONE_THREAD)
    from core import api

    api.serve(model, host, port)


@main.command("run-job", hidden=True)
@click.argument("job_id")
def run_job(job_id: str) -> None:
    """The process behind a job of the pages."""
    from core import workbench

    workbench.run_job(job_id)


def _refuse_fit_options(model: str | None, options: dict[str, Any]) -> None:
    """A model stays as it was fitted: who asks for another fit beside it would not get one."""
    asked = {
        "--quick": options["quick"],
        "--seed": options["seed"] is not None,
        "--contamination": options["contamination"] is not None,
        "--format": bool(options["format_"]),
    }
    if model is not None and (named := [name for name, given in asked.items() if given]):
        raise click.UsageError(f"{', '.join(named)} shapes a fit, and --model names what is fitted; leave one out")


def _config(options: dict[str, Any]) -> Config:
    from core import workbench
    from core.config import Config

    config = Config.from_toml(options["config_file"]) if options["config_file"] else Config()
    asked = {
        "format": options["format_"],
        "message_field": options["message_field"],
        "year": options["year"],
        "timezone": options["timezone"],
        "sessions": options["sessions"],
    }
    read = dataclasses.replace(config.read, **{key: value for key, value in asked.items() if value is not None})
    config = dataclasses.replace(config, read=read)
    if options["seed"] is not None:
        config = dataclasses.replace(config, seed=options["seed"])
    if options["contamination"] is not None:
        scoring = dataclasses.replace(config.scoring, contamination=options["contamination"])
        config = dataclasses.replace(config, scoring=scoring)
    return workbench.quick(config) if options["quick"] else config


def _stop(number: int, frame: FrameType | None) -> None:
    raise JobCancelled("stopped")

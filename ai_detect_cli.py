"""One log line from the command line: its score, whether it is abnormal, and why.

    python ai_detect_cli.py --log "failed login"
    tail -n 20 /var/log/auth.log | python ai_detect_cli.py --log -

Exit codes as of `python -m core`: 0 done, 1 a user's mistake (one line on standard error), 2 usage.
"""

from __future__ import annotations

import codecs
import gc
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from core.cli import ONE_THREAD, printable
from core.errors import InputError, WorkbenchError

if TYPE_CHECKING:
    from core.line_scorer import LineScorer
    from core.records import Explanation

LINES_AT_ONCE = 50
READ_BYTES = 65_536  # at once, and of a line at most
LEAST_SURPRISE = 3.0  # nats: tokens the network gave less than 5%
N_TOKENS = 5
N_SCORERS = 5


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--log", required=True, metavar="TEXT", help="The line; - reads lines from standard input.")
@click.option("--model", default="base", show_default=True, help="Name or folder of a model.")
@click.option("--json", "as_json", is_flag=True, help="For machines: an object a line.")
def main(log: str, model: str, as_json: bool) -> None:
    """Score one log line: is it abnormal, and why."""
    os.environ.update(ONE_THREAD)
    try:
        if log != "-" and not log.strip():
            raise InputError("the line is blank; there is nothing to score")  # said before seconds of loading
        gc.disable()  # looking for garbage among modules that load is a tenth of the wait
        from core.line_scorer import LineScorer

        scorer = LineScorer(model)
        gc.enable()
        if log == "-":
            _show_many(scorer, as_json)
        elif as_json:
            _print_json(scorer, scorer.explain(log))
        else:
            _show(scorer, scorer.explain(log))
    except WorkbenchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        raise  # the reader of a pipe has gone: click ends without a word
    except OSError as error:
        click.echo(f"error: {error.filename or 'the disk'}: {error.strerror or error}", err=True)
        sys.exit(1)


def _show(scorer: LineScorer, explanation: Explanation) -> None:
    """One line in full."""
    decision = explanation.decision
    click.echo(f"{_flag(decision.is_anomaly)}  score {decision.fused_score:.4f}", nl=False)
    click.echo(f"  (threshold {scorer.threshold:.4f}, model {printable(scorer.model)})")
    for number, reason in enumerate(decision.reasons):
        click.echo(f"{'' if number else 'why':<9}{printable(reason)}")
    shares = sorted(explanation.contributions.items(), key=lambda item: -item[1])
    for number, (name, share) in enumerate(shares[:N_SCORERS]):
        if share > 0:
            click.echo(f"{'' if number else 'scorers':<9}{name:<12} {explanation.scores[name]:.2f}  adds {share:.4f}")
    for number, (token, nats, (expected, probability)) in enumerate(_surprising(explanation)):
        click.echo(
            f"{'' if number else 'tokens':<9}{printable(token):<12} {nats:4.1f} nats"
            f"  expected {printable(expected)} ({probability:.0%})"
        )
    click.echo(f"{'text':<9}{printable(explanation.normalized_text)}")
    if explanation.nearest is not None:
        click.echo(f"{'nearest':<9}{printable(explanation.nearest)}")


def _surprising(explanation: Explanation) -> list[tuple[str, float, tuple[str, float]]]:
    """The tokens the network foresaw least, in their order in the text."""
    rows = list(zip(explanation.tokens, explanation.surprise, explanation.expected, strict=False))
    least = sorted((nats for _, nats, _ in rows if nats >= LEAST_SURPRISE), reverse=True)[:N_TOKENS]
    return [row for row in rows if least and row[1] >= least[-1]][:N_TOKENS]


def _show_many(scorer: LineScorer, as_json: bool) -> None:
    """Standard input, a row a line."""
    signal.siginterrupt(signal.SIGINT, True)  # a library made waiting for input go on behind Ctrl-C
    n_scored = 0
    for lines in _standard_input():
        for line, explanation in zip(lines, scorer.explain_all(lines), strict=True):
            n_scored += explanation is not None
            if as_json:
                _print_json(scorer, explanation)
                continue
            answer = scorer.answer(explanation)
            padding = "" if answer["is_anomaly"] else "  "
            click.echo(f"{answer['score']:.4f}  {_flag(answer['is_anomaly'])}{padding}  {printable(line)}")
            if answer["is_anomaly"]:
                click.echo(f"{'':<18}{printable('; '.join(answer['reasons']))}")
    if not n_scored:
        raise InputError("standard input: no line with text; there is nothing to score")


def _standard_input() -> Iterator[list[str]]:
    """Lines as they come, some at once: who follows a log sees a line when it is written."""
    if sys.stdin is None:
        raise InputError("standard input: it is closed; send lines with a pipe, or one with --log")
    data = sys.stdin.buffer.read1(READ_BYTES).removeprefix(codecs.BOM_UTF8)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError("standard input: it is UTF-16; send UTF-8, or score it as a file")
    rest = b""
    while data:
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[:READ_BYTES]  # of a line without an end
        for at in range(0, len(lines), LINES_AT_ONCE):
            yield [_decoded(line) for line in lines[at : at + LINES_AT_ONCE]]
        data = sys.stdin.buffer.read1(READ_BYTES)
    if rest:
        yield [_decoded(rest)]


def _decoded(line: bytes) -> str:
    return line[:READ_BYTES].decode("utf-8", "replace").rstrip("\r")


def _print_json(scorer: LineScorer, explanation: Explanation | None) -> None:
    click.echo(json.dumps(scorer.answer(explanation)))


def _flag(is_anomaly: bool) -> str:
    return click.style("ABNORMAL", fg="red", bold=True) if is_anomaly else click.style("normal", fg="green")


if __name__ == "__main__":
    try:
        main()
    except SystemExit as done:
        # Half a second of taking torch apart is not waited for; click.echo has flushed all that was said.
        os._exit(done.code if isinstance(done.code, int) else 0)

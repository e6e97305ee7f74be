"""The job's own side: it tells how far it is, and how it ended."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import time
import traceback
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from core.errors import JobCancelled, WorkbenchError
from core.jobs.job_files import (
    checkpoints_folder,
    explained,
    is_full_disk,
    job_folder,
    read_json,
    read_state,
    remove_unfinished_run,
    write_process,
    write_state,
)

WRITE_SECONDS = 0.25  # between two writes of the state
RATE_SECONDS = 10.0  # the rate is taken over this long


class JobRun:
    """The job's side: a context manager around the work, in the job's own process.

    However the work ends, the state says so afterwards: errors are recorded, not passed on.

    Attributes:
        checkpoints: folder, not made here, where the work may save what it can go on from; gone when it ends well.

    Example:
        with JobRun(job_id) as job:
            job.done(do(job.kind, job.spec, job.progress))
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self._folder = job_folder(job_id)
        self.checkpoints = checkpoints_folder(job_id)
        self._cancelled = False
        self._step_started = self._written = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque()

    def __enter__(self) -> Self:
        self._status = read_state(self.job_id)
        task = read_json(self._folder / "spec.json")
        self.kind: str = task["kind"]
        self.spec: dict[str, Any] = task["spec"]
        signal.signal(signal.SIGTERM, self._on_terminate)
        write_process(self._folder, os.getpid())
        self._status = dataclasses.replace(self._status, state="running")
        write_state(self._status)
        return self

    def progress(self, step: str, done: int, total: int) -> None:
        """Tell how far the work is; cheap to call often. A `core.records.Progress`.

        Raises:
            JobCancelled: where somebody asked the job to stop.
        """
        if self._cancelled:
            raise JobCancelled("Cancelled.")
        now = time.monotonic()
        steps = self._status.steps
        if step != self._status.step:
            steps = [*self._closed_steps(now), (step, 0.0)]
            self._step_started = now
            self._samples.clear()
        elif now - self._written < WRITE_SECONDS and not 0 < total <= done:
            return
        self._samples.append((now, done))
        while now - self._samples[0][0] > RATE_SECONDS and len(self._samples) > 2:
            self._samples.popleft()
        then, before = self._samples[0]
        rate = (done - before) / (now - then) if now > then else 0.0
        self._status = dataclasses.replace(
            self._status,
            step=step,
            steps=[*steps[:-1], (step, round(now - self._step_started, 3))],
            done=done,
            total=total,
            rate_per_second=max(rate, 0.0),
            eta_seconds=max(total - done, 0) / rate if total and rate > 0 else None,
        )
        self._written = now
        write_state(self._status)

    def measure(self, name: str, step: int, value: float) -> None:
        """Keep a value measured on the way, for whoever watches. A `core.records.Measure`."""
        with (self._folder / "measures.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, step, value]) + "\n")

    def done(self, result: dict[str, Any]) -> None:
        """Hand back what the job made: plain values for JSON."""
        self._status = dataclasses.replace(self._status, result=result)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end is near anyway; it must be written
        state, message = "done", ""
        if error is not None:
            state, message = _ending(error, self._folder / "log.txt")
            if state == "failed":
                traceback.print_exception(error)  # into log.txt
            remove_unfinished_run(self._folder)  # first: on a full disk it makes room for the state
        else:
            shutil.rmtree(self.checkpoints, ignore_errors=True)
        self._status = dataclasses.replace(
            self._status,
            state=state,
            message=message,
            steps=self._closed_steps(time.monotonic()),
            eta_seconds=None,
            result=self._status.result if error is None else {},
            finished_utc=datetime.now(UTC).isoformat(),
        )
        write_state(self._status)
        return True

    def _closed_steps(self, now: float) -> list[tuple[str, float]]:
        if not self._status.steps:
            return []
        return [*self._status.steps[:-1], (self._status.step, round(now - self._step_started, 3))]

    def _on_terminate(self, number: int, frame: FrameType | None) -> None:
        if self._cancelled:  # once is enough: the work is cleaning up
            return
        self._cancelled = True  # told again at the next progress, where a library swallows this one
        raise JobCancelled("Cancelled.")


def _ending(error: BaseException, log: Path) -> tuple[str, str]:
    """State and message for what ended the work."""
    if isinstance(error, JobCancelled):
        return "cancelled", str(error) or "Cancelled."
    if isinstance(error, WorkbenchError):
        return "failed", str(error)
    if isinstance(error, OSError) and is_full_disk(error):
        return "failed", explained(error)
    if isinstance(error, MemoryError):
        return "failed", "out of memory; use a smaller file or free memory, and start the job again"
    return (
        "failed",
        f"internal error: {type(error).__name__}: {error}. Run it again; if it happens again, report it with {log}",
    )

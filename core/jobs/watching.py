"""The side that starts jobs and looks at them; any process may."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from core.config import home, models_folder
from core.errors import StoreError, WorkbenchError
from core.jobs.job_files import (
    JobStatus,
    checkpoints_folder,
    explained,
    job_folder,
    job_ids,
    job_process,
    read_json,
    read_state,
    remove_unfinished_run,
    write_json,
    write_process,
    write_state,
)

KEPT_JOBS = 50  # folders of finished jobs
START_SECONDS = 30.0  # a job without a process this long after it was asked for never started
CANCEL_SECONDS = 5.0  # between asking a job to stop and killing it

_CHECKOUT = Path(__file__).resolve().parents[2]


def start(kind: str, spec: dict[str, Any], title: str = "", command: Sequence[str] | None = None) -> str:
    """Start a job in a process of its own and return at once.

    Args:
        kind: what to do.
        spec: plain values for JSON, paths absolute. `run_id`, where given, names the run the job writes: its
            unfinished folder is removed when the job does not end well.
        title: the job in the analyst's words.
        command: what to run, the job's id put behind; `python -m core run-job` where None.

    Returns:
        The job's id.

    Raises:
        StoreError: where the data folder cannot be written.
        WorkbenchError: where the process cannot be started.
    """
    _remove_old()
    created = datetime.now(UTC)
    job_id = f"{created:%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}"  # sorts by time
    folder = job_folder(job_id)
    try:
        folder.mkdir(parents=True)
        write_json(folder / "spec.json", {"kind": kind, "spec": spec})
        _launch(JobStatus(job_id, kind, title or kind, created.isoformat()), command)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise StoreError(f"{folder}: the job cannot be started: {explained(error)}") from error
    return job_id


def resume(job_id: str, command: Sequence[str] | None = None) -> None:
    """Start an ended job again, in its own folder: it goes on from its checkpoint.

    Args:
        job_id: a job that `can_resume`.
        command: as for `start`.

    Raises:
        WorkbenchError: where there is no such job, or it left no checkpoint.
        StoreError: where it cannot be started.
    """
    found = status(job_id)
    if not can_resume(found):
        raise WorkbenchError(f"{found.title}: there is nothing to go on from; start it anew")
    folder = job_folder(job_id)
    try:
        for name in ("process.json", "cancel"):  # of the attempt before; its end stands until the next has begun
            (folder / name).unlink(missing_ok=True)
        _launch(JobStatus(job_id, found.kind, found.title, datetime.now(UTC).isoformat()), command)
    except OSError as error:
        _try_write_state(found)
        raise StoreError(f"{folder}: the job cannot be started: {explained(error)}") from error


def can_resume(found: JobStatus) -> bool:
    """Whether an ended job left a checkpoint to go on from."""
    checkpoints = checkpoints_folder(found.job_id)
    return found.is_final and checkpoints.is_dir() and any(checkpoints.iterdir())


def asked(job_id: str) -> dict[str, Any]:
    """What a job was to do, as `start` was given it.

    Raises:
        WorkbenchError: where there is no such job.
    """
    return dict(read_json(job_folder(job_id) / "spec.json")["spec"])


def discard_checkpoints(job_id: str) -> None:
    """Free the disk of what an ended job could go on from.

    Raises:
        WorkbenchError: where there is no such job, or it still runs.
    """
    if not status(job_id).is_final:
        raise WorkbenchError("the job is running; cancel it first")
    shutil.rmtree(checkpoints_folder(job_id), ignore_errors=True)


def measured(job_id: str) -> list[tuple[str, int, float]]:
    """What a job measured so far: name, step and value, by step; of a step measured twice, the later value."""
    values: dict[tuple[str, int], float] = {}
    try:
        lines = (job_folder(job_id) / "measures.jsonl").read_text("utf-8").splitlines()
    except OSError:  # nothing measured
        return []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):  # the last line may be half written
            name, step, value = json.loads(line)
            values[str(name), int(step)] = float(value)
    return sorted(((name, step, value) for (name, step), value in values.items()), key=lambda row: row[1])


def status(job_id: str) -> JobStatus:
    """How far a job is; one that died is found out, its leavings removed.

    Raises:
        WorkbenchError: where there is no such job.
    """
    found = read_state(job_id)
    if found.is_final or _is_alive(found):
        return found
    found = read_state(job_id)  # it may have ended well between the two looks
    if found.is_final:
        return found
    folder = job_folder(job_id)
    if (folder / "cancel").exists():
        state, message = "cancelled", "Cancelled."
    else:
        state = "failed"
        message = (
            "The job ended unexpectedly (killed or out of memory). Nothing half-written was kept. "
            f"Start it again; if it happens again, use a smaller file or free memory. Log: {folder / 'log.txt'}"
        )
    found = dataclasses.replace(
        found, state=state, message=message, eta_seconds=None, finished_utc=datetime.now(UTC).isoformat()
    )
    remove_unfinished_run(folder)
    _try_write_state(found)
    return found


def list_jobs() -> list[JobStatus]:
    """All jobs known, newest first; a folder that cannot be read hides no other."""
    found = []
    for job_id in job_ids():
        with contextlib.suppress(WorkbenchError):
            found.append(status(job_id))
    return found


def running(kind: str, spec: dict[str, Any]) -> JobStatus | None:
    """The unfinished job that was asked for this very work, if any: to join it and not start another."""
    for found in list_jobs():
        if found.kind == kind and not found.is_final:
            with contextlib.suppress(WorkbenchError, KeyError):
                if read_json(job_folder(found.job_id) / "spec.json")["spec"] == spec:
                    return found
    return None


def cancel(job_id: str) -> JobStatus:
    """Ask a job to stop, kill it where it does not, and return how it ended.

    A job that ends by itself before it hears of it keeps its result.
    """
    found = status(job_id)
    if found.is_final:
        return found
    folder = job_folder(job_id)
    try:
        (folder / "cancel").touch()
    except OSError as error:
        raise StoreError(f"{folder}: the job cannot be cancelled: {explained(error)}") from error
    if process := job_process(folder):
        with contextlib.suppress(psutil.Error, ProcessLookupError):  # it may end at any moment
            process.terminate()
            try:
                process.wait(CANCEL_SECONDS)
            except psutil.TimeoutExpired:  # in the middle of one long call of a library
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(CANCEL_SECONDS)
    return status(job_id)


def wait(job_id: str, timeout: float) -> JobStatus:
    """Wait until a job has ended.

    Raises:
        WorkbenchError: where it has not after `timeout` seconds.
    """
    give_up_at = time.monotonic() + timeout
    while not (found := status(job_id)).is_final:
        if time.monotonic() >= give_up_at:
            raise WorkbenchError(f"job {job_id} ({found.title}) has not ended after {timeout:g} s")
        time.sleep(0.05)
    return found


def _launch(asked: JobStatus, command: Sequence[str] | None) -> None:
    folder = job_folder(asked.job_id)
    environment = os.environ | {
        "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads would starve the pages
        "TINYLOGBERT_HOME": str(home().absolute()),  # the job runs in the checkout: relative names would move
        "TINYLOGBERT_MODELS": str(models_folder().absolute()),
    }
    write_state(asked)
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [*(command or [sys.executable, "-m", "core", "run-job"]), asked.job_id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=_CHECKOUT,
            env=environment,
            start_new_session=True,  # a signal to the server's terminal must not end the job
        )
    write_process(folder, process.pid)
    threading.Thread(target=process.wait, daemon=True).start()  # else it stays a zombie of this process


def _remove_old() -> None:
    for job_id in job_ids()[KEPT_JOBS:]:
        with contextlib.suppress(WorkbenchError):
            if not status(job_id).is_final:
                continue
        shutil.rmtree(job_folder(job_id), ignore_errors=True)


def _is_alive(found: JobStatus) -> bool:
    folder = job_folder(found.job_id)
    if not (folder / "process.json").exists():
        age = datetime.now(UTC) - datetime.fromisoformat(found.created_utc)
        return age.total_seconds() < START_SECONDS
    return job_process(folder) is not None


def _try_write_state(found: JobStatus) -> None:
    """Keep the verdict on a dead job where the disk lets us; it is reached again otherwise."""
    with contextlib.suppress(OSError):
        write_state(found)

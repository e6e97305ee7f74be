"""Long work in a process of its own, with its state on disk: it outlives the page that started it.

    home()/jobs/<job_id>/   spec.json what to do · process.json who does it · state.json how far it is · log.txt

Whoever looks decides from these files alone. Only the job writes its state while it lives; when its process is gone and
the state is not final, the one who looks writes the end, and removes the half-written run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import psutil

from core.config import home, models_folder
from core.errors import JobCancelled, StoreError, WorkbenchError

KEPT_JOBS = 50  # folders of finished jobs
START_SECONDS = 30.0  # a job without a process this long after it was asked for never started
CANCEL_SECONDS = 5.0  # between asking a job to stop and killing it
WRITE_SECONDS = 0.25  # between two writes of the state
RATE_SECONDS = 10.0  # the rate is taken over this long
FINAL = ("done", "failed", "cancelled")

_CHECKOUT = Path(__file__).resolve().parents[1]
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True)
class JobStatus:
    """How far a job is.

    Attributes:
        job_id: name of the job's folder.
        kind: what it does; the workbench knows the kinds.
        title: the same for people.
        state: queued, running, done, failed or cancelled.
        step: the present step.
        steps: each step so far, the present one too, and its seconds.
        done: units of the present step that are done.
        total: units of the present step; 0 where unknown.
        rate_per_second: units a second of the present step, over the last seconds.
        eta_seconds: until the present step ends; None where unknown.
        message: why it failed or was cancelled, and what to do.
        result: what the job handed back.
        created_utc: ISO 8601.
        finished_utc: ISO 8601, or None.
    """

    job_id: str
    kind: str
    title: str
    created_utc: str
    state: str = "queued"
    step: str = ""
    steps: list[tuple[str, float]] = field(default_factory=list)
    done: int = 0
    total: int = 0
    rate_per_second: float = 0.0
    eta_seconds: float | None = None
    message: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    finished_utc: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINAL


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
    folder = _folder(job_id)
    status_ = JobStatus(job_id, kind, title or kind, created.isoformat())
    environment = os.environ | {
        "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads would starve the pages
        "TINYLOGBERT_HOME": str(home().absolute()),  # the job runs in the checkout: relative names would move
        "TINYLOGBERT_MODELS": str(models_folder().absolute()),
    }
    try:
        folder.mkdir(parents=True)
        _write(folder / "spec.json", {"kind": kind, "spec": spec})
        _write_state(status_)
        with (folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [*(command or [sys.executable, "-m", "core", "run-job"]), job_id],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=_CHECKOUT,
                env=environment,
                start_new_session=True,  # a signal to the server's terminal must not end the job
            )
        _write_process(folder, process.pid)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise StoreError(f"{folder}: the job cannot be started: {_explained(error)}") from error
    threading.Thread(target=process.wait, daemon=True).start()  # else it stays a zombie of this process
    return job_id


def status(job_id: str) -> JobStatus:
    """How far a job is; one that died is found out, its leavings removed.

    Raises:
        WorkbenchError: where there is no such job.
    """
    found = _read_state(job_id)
    if found.is_final or _is_alive(found):
        return found
    found = _read_state(job_id)  # it may have ended well between the two looks
    if found.is_final:
        return found
    folder = _folder(job_id)
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
    _remove_unfinished_run(folder)
    _try_write_state(found)
    return found


def list_jobs() -> list[JobStatus]:
    """All jobs known, newest first; a folder that cannot be read hides no other."""
    found = []
    for job_id in _job_ids():
        with contextlib.suppress(WorkbenchError):
            found.append(status(job_id))
    return found


def cancel(job_id: str) -> JobStatus:
    """Ask a job to stop, kill it where it does not, and return how it ended.

    A job that ends by itself before it hears of it keeps its result.
    """
    found = status(job_id)
    if found.is_final:
        return found
    folder = _folder(job_id)
    try:
        (folder / "cancel").touch()
    except OSError as error:
        raise StoreError(f"{folder}: the job cannot be cancelled: {_explained(error)}") from error
    if process := _process(folder):
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


class JobRun:
    """The job's side: a context manager around the work, in the job's own process.

    However the work ends, the state says so afterwards: errors are recorded, not passed on.

    Example:
        with JobRun(job_id) as job:
            job.done(do(job.kind, job.spec, job.progress))
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self._folder = _folder(job_id)
        self._cancelled = False
        self._step_started = self._written = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque()

    def __enter__(self) -> Self:
        self._status = _read_state(self.job_id)
        task = _read(self._folder / "spec.json")
        self.kind: str = task["kind"]
        self.spec: dict[str, Any] = task["spec"]
        signal.signal(signal.SIGTERM, self._on_terminate)
        _write_process(self._folder, os.getpid())
        self._status = dataclasses.replace(self._status, state="running")
        _write_state(self._status)
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
        _write_state(self._status)

    def done(self, result: dict[str, Any]) -> None:
        """Hand back what the job made: plain values for JSON."""
        self._status = dataclasses.replace(self._status, result=result)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end is near anyway; it must be written
        state, message = "done", ""
        if error is not None:
            state, message = _ending(error)
            if state == "failed":
                traceback.print_exception(error)  # into log.txt
            _remove_unfinished_run(self._folder)  # first: on a full disk it makes room for the state
        self._status = dataclasses.replace(
            self._status,
            state=state,
            message=message,
            steps=self._closed_steps(time.monotonic()),
            eta_seconds=None,
            result=self._status.result if error is None else {},
            finished_utc=datetime.now(UTC).isoformat(),
        )
        _write_state(self._status)
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


def _ending(error: BaseException) -> tuple[str, str]:
    """State and message for what ended the work."""
    if isinstance(error, JobCancelled):
        return "cancelled", str(error) or "Cancelled."
    if isinstance(error, WorkbenchError):
        return "failed", str(error)
    if isinstance(error, OSError) and _is_full_disk(error):
        return "failed", _explained(error)
    if isinstance(error, MemoryError):
        return "failed", "out of memory; use a smaller file or free memory, and start the job again"
    return "failed", f"internal error: {type(error).__name__}: {error}; see the job's log.txt"


def _is_full_disk(error: OSError) -> bool:
    return any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT))  # Polars sets no errno


def _explained(error: OSError) -> str:
    if _is_full_disk(error):
        return f"no disk space left in {home()}; free some and start again (stored runs are intact)"
    return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")


def _folder(job_id: str) -> Path:
    if not _ID.fullmatch(job_id):
        raise WorkbenchError(f"{job_id!r} is not the name of a job")
    return home() / "jobs" / job_id


def _job_ids() -> list[str]:
    """Newest first: names begin with the time."""
    folder = home() / "jobs"
    if not folder.is_dir():
        return []
    return sorted((path.name for path in folder.iterdir() if (path / "state.json").exists()), reverse=True)


def _remove_old() -> None:
    for job_id in _job_ids()[KEPT_JOBS:]:
        with contextlib.suppress(WorkbenchError):
            if not status(job_id).is_final:
                continue
        shutil.rmtree(_folder(job_id), ignore_errors=True)


def _remove_unfinished_run(folder: Path) -> None:
    try:
        run_id = _read(folder / "spec.json")["spec"].get("run_id")
    except (WorkbenchError, KeyError, AttributeError):
        return
    if isinstance(run_id, str) and _ID.fullmatch(run_id):
        shutil.rmtree(home() / "runs" / f"{run_id}.tmp", ignore_errors=True)


def _process(folder: Path) -> psutil.Process | None:
    """The job's process if it lives. A number alone may have been given to another process since."""
    try:
        written = _read(folder / "process.json")
        process = psutil.Process(written["pid"])
        same = abs(process.create_time() - written["create_time"]) < 2.0  # the clock may be set meanwhile
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (WorkbenchError, KeyError, psutil.Error):
        return None


def _is_alive(found: JobStatus) -> bool:
    folder = _folder(found.job_id)
    if not (folder / "process.json").exists():
        age = datetime.now(UTC) - datetime.fromisoformat(found.created_utc)
        return age.total_seconds() < START_SECONDS
    return _process(folder) is not None


def _write_process(folder: Path, pid: int) -> None:
    try:
        _write(folder / "process.json", {"pid": pid, "create_time": psutil.Process(pid).create_time()})
    except psutil.NoSuchProcess:  # ended already
        _write(folder / "process.json", {"pid": pid, "create_time": 0.0})


def _read_state(job_id: str) -> JobStatus:
    path = _folder(job_id) / "state.json"
    if not path.exists():
        raise WorkbenchError(f"there is no job {job_id} in {path.parents[1]}")
    values = _read(path)
    try:
        return JobStatus(**values | {"steps": [(name, seconds) for name, seconds in values["steps"]]})
    except (TypeError, KeyError, ValueError) as error:
        raise StoreError(f"{path}: the job's state is damaged; remove the folder {path.parent}") from error


def _write_state(found: JobStatus) -> None:
    _write(_folder(found.job_id) / "state.json", dataclasses.asdict(found))


def _try_write_state(found: JobStatus) -> None:
    """Keep the verdict on a dead job where the disk lets us; it is reached again otherwise."""
    with contextlib.suppress(OSError):
        _write_state(found)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error


def _write(path: Path, values: dict[str, Any]) -> None:
    """Replace a file in one step, so that a reader sees the old or the new one whole."""
    partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        partial.write_text(json.dumps(values, ensure_ascii=False), "utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

"""What a job's folder holds, read and written by both sides: the one that watches and the job itself."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from core.config import home
from core.errors import StoreError, WorkbenchError

FINAL = ("done", "failed", "cancelled")
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


def job_folder(job_id: str) -> Path:
    """The job's folder, which may not exist.

    Raises:
        WorkbenchError: for a name no job can have, as it may come from a URL.
    """
    if not _ID.fullmatch(job_id):
        raise WorkbenchError(f"{job_id!r} is not the name of a job")
    return home() / "jobs" / job_id


def checkpoints_folder(job_id: str) -> Path:
    """Where the job saves what it can go on from; may not exist."""
    return job_folder(job_id) / "checkpoints"


def job_ids() -> list[str]:
    """Newest first: names begin with the time."""
    folder = home() / "jobs"
    if not folder.is_dir():
        return []
    return sorted((path.name for path in folder.iterdir() if (path / "state.json").exists()), reverse=True)


def remove_unfinished_run(folder: Path) -> None:
    """Remove the half-written run that a job's spec names, if it does."""
    try:
        run_id = read_json(folder / "spec.json")["spec"].get("run_id")
    except (WorkbenchError, KeyError, AttributeError):
        return
    if isinstance(run_id, str) and _ID.fullmatch(run_id):
        for kind in ("runs", "flow_runs"):
            shutil.rmtree(home() / kind / f"{run_id}.tmp", ignore_errors=True)


def job_process(folder: Path) -> psutil.Process | None:
    """The job's process if it lives. A number alone may have been given to another process since."""
    try:
        written = read_json(folder / "process.json")
        process = psutil.Process(written["pid"])
        same = abs(process.create_time() - written["create_time"]) < 2.0  # the clock may be set meanwhile
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (WorkbenchError, KeyError, psutil.Error):
        return None


def write_process(folder: Path, pid: int) -> None:
    """Keep whose the job is."""
    try:
        write_json(folder / "process.json", {"pid": pid, "create_time": psutil.Process(pid).create_time()})
    except psutil.NoSuchProcess:  # ended already
        write_json(folder / "process.json", {"pid": pid, "create_time": 0.0})


def read_state(job_id: str) -> JobStatus:
    """The job's state as written last.

    Raises:
        WorkbenchError: where there is no such job, or its state is damaged.
    """
    path = job_folder(job_id) / "state.json"
    if not path.exists():
        raise WorkbenchError(f"there is no job {job_id} in {path.parents[1]}")
    values = read_json(path)
    try:
        return JobStatus(**values | {"steps": [(name, seconds) for name, seconds in values["steps"]]})
    except (TypeError, KeyError, ValueError) as error:
        raise StoreError(f"{path}: the job's state is damaged; remove the folder {path.parent}") from error


def write_state(found: JobStatus) -> None:
    """Replace the job's state."""
    write_json(job_folder(found.job_id) / "state.json", asdict(found))


def read_json(path: Path) -> Any:
    """A file of the job's folder.

    Raises:
        StoreError: where it cannot be read.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Replace a file in one step, so that a reader sees the old or the new one whole."""
    partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        partial.write_text(json.dumps(values, ensure_ascii=False), "utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def is_full_disk(error: OSError) -> bool:
    """Whether it says that there is no space left."""
    return any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT))  # Polars sets no errno


def explained(error: OSError) -> str:
    """The error in a user's words."""
    if is_full_disk(error):
        return f"no disk space left in {home()}; free some and start again (stored runs are intact)"
    return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")

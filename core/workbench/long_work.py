"""Work in a process of its own: started by a page, done here, watched and cancelled from anywhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from core import jobs as _jobs
from core.config import Config, ReadConfig
from core.jobs import JobRun, JobStatus
from core.store import new_run_id
from core.workbench.fitting import quick as quick_config
from core.workbench.models import check_model_name, train
from core.workbench.runs import score


def start_scoring(
    path: Path, model: str | None, quick: bool = False, read: ReadConfig | None = None, sessions: str | None = None
) -> str:
    """Score a file in a process of its own; the job's result holds `run_id`."""
    run_id = new_run_id()
    spec = {
        "run_id": run_id, "paths": [str(Path(path).absolute())], "model": model, "quick": quick,
        "read": dataclasses.asdict(dataclasses.replace(read or ReadConfig(), sessions=sessions)),
    }  # fmt: skip
    return _jobs.start("score", spec, f"Score {path.name}" + (f" with {model}" if model else ""))


def start_training(path: Path, name: str, read: ReadConfig | None = None, sessions: str | None = None) -> str:
    """Train a bundle in a process of its own; the job's result holds `model`."""
    check_model_name(name)
    read = dataclasses.replace(read or ReadConfig(), sessions=sessions)
    return _jobs.start(
        "train",
        {"paths": [str(Path(path).absolute())], "name": name, "read": dataclasses.asdict(read)},
        f"Train {name}",
    )


def run_job(job_id: str) -> None:
    """The job's side of `start_scoring` and `start_training`."""
    with JobRun(job_id) as work:
        spec = work.spec
        config = Config(read=ReadConfig(**spec["read"]))
        if work.kind == "score":
            config = quick_config(config) if spec["quick"] else config
            info = score(spec["paths"], spec["model"], config, spec["run_id"], work.progress)
            work.done({"run_id": info.run_id})
        else:
            work.done({"model": train(spec["paths"], spec["name"], config, work.progress).name})


def job(job_id: str) -> JobStatus:
    """How far a job is."""
    return _jobs.status(job_id)


def jobs() -> list[JobStatus]:
    """The jobs on disk, newest first."""
    return _jobs.list_jobs()


def cancel(job_id: str) -> JobStatus:
    """Stop a job; what it had half written is removed."""
    return _jobs.cancel(job_id)

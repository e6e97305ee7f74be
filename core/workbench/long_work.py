"""Work in a process of its own: started by a page, done here, watched and cancelled from anywhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from core import jobs as _jobs
from core.config import Config, ReadConfig
from core.errors import WorkbenchError
from core.jobs import JobRun, JobStatus
from core.store import new_run_id
from core.workbench.fitting import quick as quick_config
from core.workbench.maps import make_map
from core.workbench.models import SHIPPED, check_model_name, train
from core.workbench.runs import score


def start_scoring(
    path: Path,
    model: str | None,
    quick: bool = False,
    read: ReadConfig | None = None,
    sessions: str | None = None,
    context: bool = False,
) -> str:
    """Score a file in a process of its own, as `score` does; the job's result holds `run_id`."""
    run_id = new_run_id()
    spec = {
        "run_id": run_id, "paths": [str(Path(path).absolute())], "model": model, "quick": quick, "context": context,
        "read": dataclasses.asdict(dataclasses.replace(read or ReadConfig(), sessions=sessions)),
    }  # fmt: skip
    return _jobs.start("score", spec, f"Score {path.name}" + (f" with {model}" if model else ""))


def start_training(path: Path, name: str, read: ReadConfig | None = None, sessions: str | None = None) -> str:
    """Train a bundle in a process of its own; the job's result holds `model`."""
    check_model_name(name)
    if name in SHIPPED:  # the command line that makes it may
        raise WorkbenchError(f"{name} is the model that came with the workbench; choose another name")
    read = dataclasses.replace(read or ReadConfig(), sessions=sessions)
    return _jobs.start(
        "train",
        {"paths": [str(Path(path).absolute())], "name": name, "read": dataclasses.asdict(read)},
        f"Train {name}",
    )


def run_job(job_id: str) -> None:
    """The job's side of `start_scoring`, `start_training` and `start_map`."""
    with JobRun(job_id) as work:
        spec = work.spec
        if work.kind == "map":
            make_map(spec["map_of"], spec["method"], work.progress)
            work.done({"map_of": spec["map_of"], "method": spec["method"]})
            return
        config = Config(read=ReadConfig(**spec["read"]))
        if work.kind == "score":
            config = quick_config(config) if spec["quick"] else config
            # A job of an older version says nothing of context.
            context = spec.get("context", False)
            info = score(spec["paths"], spec["model"], config, spec["run_id"], work.progress, context)
            work.done({"run_id": info.run_id})
        else:
            model = train(spec["paths"], spec["name"], config, work.progress, work.checkpoints, work.measure)
            work.done({"model": model.name})


def job(job_id: str) -> JobStatus:
    """How far a job is."""
    return _jobs.status(job_id)


def jobs() -> list[JobStatus]:
    """The jobs on disk, newest first."""
    return _jobs.list_jobs()


def can_resume(job: JobStatus) -> bool:
    """Whether a job that failed or was cancelled can go on where it was."""
    return _jobs.can_resume(job)


def resume(job_id: str) -> None:
    """Go on with an ended job from its checkpoint; a damaged one starts anew."""
    _jobs.resume(job_id)


def discard_checkpoints(job_id: str) -> None:
    """Free the disk of what an ended job could go on from."""
    _jobs.discard_checkpoints(job_id)


def measured(job_id: str) -> list[tuple[str, int, float]]:
    """What a job measured so far, such as its losses: name, step and value, by step."""
    return _jobs.measured(job_id)


def cancel(job_id: str) -> JobStatus:
    """Stop a job; what it had half written is removed."""
    return _jobs.cancel(job_id)

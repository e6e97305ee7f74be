"""Work in a process of its own: started by a page, done here, watched and cancelled from anywhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from core import jobs as _jobs
from core.config import Config, ReadConfig, ScoringConfig
from core.errors import WorkbenchError
from core.jobs import JobRun, JobStatus
from core.store import RunReader, new_run_id
from core.store.flow_runs import FlowRunReader
from core.workbench.captures import pretrain
from core.workbench.fitting import quick as quick_config
from core.workbench.flow_runs import score_capture
from core.workbench.flow_verdicts import teach_verdicts
from core.workbench.maps import make_map
from core.workbench.models import check_new_name, train
from core.workbench.rescoring import rescore
from core.workbench.runs import score


def start_scoring(
    paths: Sequence[Path],
    model: str | None,
    quick: bool = False,
    read: ReadConfig | None = None,
    sessions: str | None = None,
    context: bool = False,
    contamination: float = 0.0,
) -> str:
    """Score files as one run in a process of its own, as `score` does; the job's result holds `run_id`."""
    run_id = new_run_id()
    spec = {
        "run_id": run_id, "paths": [str(Path(path).absolute()) for path in paths], "model": model, "quick": quick,
        "context": context, "contamination": contamination,
        "read": dataclasses.asdict(dataclasses.replace(read or ReadConfig(), sessions=sessions)),
    }  # fmt: skip
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return _jobs.start("score", spec, f"Score {paths[0].name}{more}" + (f" with {model}" if model else ""))


def start_rescoring(run_id: str) -> str:
    """Score a run anew with the verdicts in force in a process of its own, as `rescore`; the result holds `run_id`."""
    spec = {"run_id": new_run_id(), "rescored_from": run_id}
    return _jobs.start("rescore", spec, f"Re-score {RunReader(run_id).info.name} with verdicts")


def start_training(
    paths: Sequence[Path],
    name: str,
    read: ReadConfig | None = None,
    sessions: str | None = None,
    without: Sequence[str] = (),
    contamination: float = 0.0,
) -> str:
    """Train a bundle in a process of its own, as `train` does; the job's result holds `model`."""
    check_new_name(name)
    read = dataclasses.replace(read or ReadConfig(), sessions=sessions)
    spec = {
        "paths": [str(Path(path).absolute()) for path in paths], "name": name, "read": dataclasses.asdict(read),
        "without": list(without), "contamination": contamination,
    }  # fmt: skip
    return _jobs.start("train", spec, f"Train {name}")


def start_flow_scoring(path: Path, model: str | None) -> str:
    """Score a capture in a process of its own, as `score_capture` does; the job's result holds `flow_run_id`."""
    spec = {"run_id": new_run_id(), "captures": [str(Path(path).absolute())], "model": model}
    return _jobs.start("traffic", spec, f"Score {path.name}" + (f" with {model}" if model else ""))


def start_pretraining(path: Path, name: str) -> str:
    """Learn a bundle from a capture in a process of its own, as `pretrain` does; its result holds `flow_model`."""
    check_new_name(name)
    spec = {"captures": [str(Path(path).absolute())], "name": name}
    return _jobs.start("pretrain", spec, f"Learn {name} from {path.name}")


def start_teaching(run_id: str, name: str) -> str:
    """Teach a bundle what is said of a capture's flows in a process of its own, as `teach_verdicts`; as pretraining."""
    check_new_name(name)
    info = FlowRunReader(run_id).info
    spec = {"verdicts_of": run_id, "captures": info.captures, "name": name}
    return _jobs.start("teach", spec, f"Teach {name} the verdicts on {info.name}")


def run_job(job_id: str) -> None:
    """The job's side of every `start_` here."""
    with JobRun(job_id) as work:
        spec = work.spec
        if work.kind == "map":
            make_map(spec["map_of"], spec["method"], work.progress)
            work.done({"map_of": spec["map_of"], "method": spec["method"]})
            return
        if work.kind == "rescore":
            again = rescore(spec["rescored_from"], spec["run_id"], work.progress)
            work.done({"run_id": again.run_id, "rescored_from": spec["rescored_from"]})
            return
        if work.kind == "traffic":
            info_of_flows = score_capture(spec["captures"], spec["model"], spec["run_id"], progress=work.progress)
            work.done({"flow_run_id": info_of_flows.run_id})
            return
        if work.kind in ("pretrain", "teach"):
            notes: list[str] = []
            watched = work.progress, work.checkpoints, work.measure, notes.append
            if work.kind == "pretrain":
                pretrain(spec["captures"], spec["name"], None, *watched)
            else:
                teach_verdicts(spec["verdicts_of"], spec["name"], *watched)
            work.done({"flow_model": spec["name"], "notes": notes})
            return
        # A job of an older version says nothing of contamination and context.
        scoring = ScoringConfig(contamination=spec.get("contamination", 0.0))
        config = Config(read=ReadConfig(**spec["read"]), scoring=scoring)
        if work.kind == "score":
            config = quick_config(config) if spec["quick"] else config
            context = spec.get("context", False)
            info = score(spec["paths"], spec["model"], config, spec["run_id"], work.progress, context)
            work.done({"run_id": info.run_id})
        else:
            without = spec.get("without", [])
            model = train(spec["paths"], spec["name"], config, work.progress, work.checkpoints, work.measure, without)
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


def start_again(job_id: str) -> str:
    """Do the work of an ended job once more, as a new job; a scoring makes a new run.

    Raises:
        WorkbenchError: where there is no such job, it has not ended, or what it read is gone.
    """
    former = _jobs.status(job_id)
    if not former.is_final:
        raise WorkbenchError(f"{former.title}: it is still running; wait for it, or cancel it")
    spec = _jobs.asked(job_id)
    for path in [*spec.get("paths", []), *spec.get("captures", [])]:
        if not Path(path).exists():
            raise WorkbenchError(f"{path}: there is no such file any more; bring it again and start anew")
    if "run_id" in spec:
        spec["run_id"] = new_run_id()
    return _jobs.start(former.kind, spec, former.title)


def discard_checkpoints(job_id: str) -> None:
    """Free the disk of what an ended job could go on from."""
    _jobs.discard_checkpoints(job_id)


def measured(job_id: str) -> list[tuple[str, int, float]]:
    """What a job measured so far, such as its losses: name, step and value, by step."""
    return _jobs.measured(job_id)


def cancel(job_id: str) -> JobStatus:
    """Stop a job; what it had half written is removed."""
    return _jobs.cancel(job_id)

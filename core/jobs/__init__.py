"""Work in a process of its own, with its state on disk: it outlives the page that started it.

    home()/jobs/<job_id>/   spec.json what to do · process.json who does it · state.json how far it is · log.txt
                            measures.jsonl what it measured on the way · checkpoints/ where it can be taken up again

Whoever looks decides from these files alone. Only the job writes its state while it lives; when its process is gone and
the state is not final, the one who looks writes the end, and removes the half-written run.
"""

from core.jobs.job_files import JobStatus
from core.jobs.job_run import JobRun
from core.jobs.watching import (
    asked,
    can_resume,
    cancel,
    discard_checkpoints,
    list_jobs,
    measured,
    resume,
    running,
    start,
    status,
    wait,
)

__all__ = [
    "JobRun",
    "JobStatus",
    "asked",
    "can_resume",
    "cancel",
    "discard_checkpoints",
    "list_jobs",
    "measured",
    "resume",
    "running",
    "start",
    "status",
    "wait",
]

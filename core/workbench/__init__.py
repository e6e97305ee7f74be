"""The verbs that command line, pages and HTTP share; a file for each noun."""

from core.config import ReadConfig
from core.jobs import JobStatus
from core.preview import FormatInfo, Preview, formats, messages, preview
from core.store import RunInfo, RunReader
from core.workbench.fitting import quick
from core.workbench.long_work import cancel, job, jobs, run_job, start_scoring, start_training
from core.workbench.measuring import evaluate
from core.workbench.models import ModelInfo, explain, load_model, models, train
from core.workbench.runs import (
    check_outputs,
    delete_run,
    inbox,
    run,
    runs,
    samples,
    score,
    set_threshold,
    threshold,
)

__all__ = [
    "FormatInfo",
    "JobStatus",
    "ModelInfo",
    "Preview",
    "ReadConfig",
    "RunInfo",
    "RunReader",
    "cancel",
    "check_outputs",
    "delete_run",
    "evaluate",
    "explain",
    "formats",
    "inbox",
    "job",
    "jobs",
    "load_model",
    "messages",
    "models",
    "preview",
    "quick",
    "run",
    "run_job",
    "runs",
    "samples",
    "score",
    "set_threshold",
    "start_scoring",
    "start_training",
    "threshold",
    "train",
]

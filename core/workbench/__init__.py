"""The verbs that command line, pages and HTTP share; a file for each noun."""

from core.bundles import load_model
from core.config import ReadConfig
from core.jobs import JobStatus
from core.line_scorer import LineScorer
from core.preview import FormatInfo, Preview, formats, messages, preview
from core.store import MOST_LINES, RunInfo, RunReader
from core.workbench.fitting import quick
from core.workbench.labels import LabelSource, add_labels, label_sources, labels
from core.workbench.long_work import (
    can_resume,
    cancel,
    discard_checkpoints,
    job,
    jobs,
    measured,
    resume,
    run_job,
    start_scoring,
    start_training,
)
from core.workbench.maps import MAP_NAMES, map_of, maps, start_map
from core.workbench.measuring import LabelledRun, evaluate, labelled_run
from core.workbench.models import (
    ModelDetails,
    ModelInfo,
    delete_model,
    explain,
    familiarity,
    model_details,
    models,
    train,
)
from core.workbench.reports import export, exported, report_html
from core.workbench.reweighing import derive_model, fused_score, reweigh
from core.workbench.runs import (
    FAMILIAR_SHARE,
    alert_rate,
    check_outputs,
    delete_run,
    inbox,
    run,
    runs,
    samples,
    score,
    set_threshold,
    threshold,
    threshold_history,
)
from core.workbench.verdicts import set_verdict, undo_verdict, verdicts

__all__ = [
    "FAMILIAR_SHARE",
    "MAP_NAMES",
    "MOST_LINES",
    "FormatInfo",
    "JobStatus",
    "LabelSource",
    "LabelledRun",
    "LineScorer",
    "ModelDetails",
    "ModelInfo",
    "Preview",
    "ReadConfig",
    "RunInfo",
    "RunReader",
    "add_labels",
    "alert_rate",
    "can_resume",
    "cancel",
    "check_outputs",
    "delete_model",
    "delete_run",
    "derive_model",
    "discard_checkpoints",
    "evaluate",
    "explain",
    "export",
    "exported",
    "familiarity",
    "formats",
    "fused_score",
    "inbox",
    "job",
    "jobs",
    "label_sources",
    "labelled_run",
    "labels",
    "load_model",
    "map_of",
    "maps",
    "measured",
    "messages",
    "model_details",
    "models",
    "preview",
    "quick",
    "report_html",
    "resume",
    "reweigh",
    "run",
    "run_job",
    "runs",
    "samples",
    "score",
    "set_threshold",
    "set_verdict",
    "start_map",
    "start_scoring",
    "start_training",
    "threshold",
    "threshold_history",
    "train",
    "undo_verdict",
    "verdicts",
]

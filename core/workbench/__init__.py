"""The verbs that command line, pages and HTTP share; a file for each noun."""

from core.bundles import load_model
from core.cards import WHAT_SCORERS_SEE
from core.comparison import Comparison
from core.config import ReadConfig
from core.drift import Drift
from core.incidents import Incidents
from core.jobs import JobStatus
from core.line_scorer import LineScorer
from core.preview import FormatInfo, Preview, formats, messages, preview
from core.store import MOST_JUDGED, RunInfo, RunReader
from core.store.flow_runs import FLOW_NO, FlowRunInfo, FlowRunReader, delete_flow_run, list_flow_runs
from core.workbench.captures import (
    FlowModelInfo,
    FlowScoreInfo,
    classify_flows,
    evaluate_flows,
    finetune,
    flow_models,
    load_flow_model,
    pretrain,
    score_flows,
)
from core.workbench.changes import changed_messages
from core.workbench.comparing import comparable_runs, compared_measures, compared_runs, shared_labels
from core.workbench.drifting import drift_of, start_retraining
from core.workbench.fitting import quick
from core.workbench.flow_runs import PacketView, capture_files, export_flows, is_capture, packets_of, score_capture
from core.workbench.flow_verdicts import flow_verdicts, set_flow_verdict, undo_flow_verdict
from core.workbench.incidents import incidents, usual_gap
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
    start_again,
    start_flow_scoring,
    start_pretraining,
    start_rescoring,
    start_scoring,
    start_training,
)
from core.workbench.maps import MAP_NAMES, MOST_PLACED, map_of, maps, place_lines, place_run, placeable_runs, start_map
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
from core.workbench.mutes import mute, mutes, reach_of_mutes, unmute
from core.workbench.reports import ECS, export, exported, report_html
from core.workbench.rescoring import JudgedMessages, judged_messages, rescore
from core.workbench.reweighing import derive_model, fused_score, reweigh
from core.workbench.runs import (
    FAMILIAR_SHARE,
    alert_rate,
    check_outputs,
    delete_run,
    drop_folder,
    dropped,
    inbox,
    is_run,
    run,
    runs,
    samples,
    score,
    set_threshold,
    threshold,
    threshold_history,
    thresholds,
)
from core.workbench.telling import ASKED, telling_messages
from core.workbench.traffic import FlowsInfo, flows
from core.workbench.verdicts import set_verdict, undo_verdict, verdicts
from core.workbench.weighting import WeightsOffer, fit_weights

__all__ = [
    "ASKED",
    "ECS",
    "FAMILIAR_SHARE",
    "FLOW_NO",
    "MAP_NAMES",
    "MOST_JUDGED",
    "MOST_PLACED",
    "WHAT_SCORERS_SEE",
    "Comparison",
    "Drift",
    "FlowModelInfo",
    "FlowRunInfo",
    "FlowRunReader",
    "FlowScoreInfo",
    "FlowsInfo",
    "FormatInfo",
    "Incidents",
    "JobStatus",
    "JudgedMessages",
    "LabelSource",
    "LabelledRun",
    "LineScorer",
    "ModelDetails",
    "ModelInfo",
    "PacketView",
    "Preview",
    "ReadConfig",
    "RunInfo",
    "RunReader",
    "WeightsOffer",
    "add_labels",
    "alert_rate",
    "can_resume",
    "cancel",
    "capture_files",
    "changed_messages",
    "check_outputs",
    "classify_flows",
    "comparable_runs",
    "compared_measures",
    "compared_runs",
    "delete_flow_run",
    "delete_model",
    "delete_run",
    "derive_model",
    "discard_checkpoints",
    "drift_of",
    "drop_folder",
    "dropped",
    "evaluate",
    "evaluate_flows",
    "explain",
    "export",
    "export_flows",
    "exported",
    "familiarity",
    "finetune",
    "fit_weights",
    "flow_models",
    "flow_verdicts",
    "flows",
    "formats",
    "fused_score",
    "inbox",
    "incidents",
    "is_capture",
    "is_run",
    "job",
    "jobs",
    "judged_messages",
    "label_sources",
    "labelled_run",
    "labels",
    "list_flow_runs",
    "load_flow_model",
    "load_model",
    "map_of",
    "maps",
    "measured",
    "messages",
    "model_details",
    "models",
    "mute",
    "mutes",
    "packets_of",
    "place_lines",
    "place_run",
    "placeable_runs",
    "pretrain",
    "preview",
    "quick",
    "reach_of_mutes",
    "report_html",
    "rescore",
    "resume",
    "reweigh",
    "run",
    "run_job",
    "runs",
    "samples",
    "score",
    "score_capture",
    "score_flows",
    "set_flow_verdict",
    "set_threshold",
    "set_verdict",
    "shared_labels",
    "start_again",
    "start_flow_scoring",
    "start_map",
    "start_pretraining",
    "start_rescoring",
    "start_retraining",
    "start_scoring",
    "start_training",
    "telling_messages",
    "threshold",
    "threshold_history",
    "thresholds",
    "train",
    "undo_flow_verdict",
    "undo_verdict",
    "unmute",
    "usual_gap",
    "verdicts",
]

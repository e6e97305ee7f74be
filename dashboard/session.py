"""What the pages of one browser session share: the run in view, and facts both pages word the same way."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import NoReturn

import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from core.evaluate import wilson_interval
from dashboard.charts import Look
from dashboard.components.threshold_histogram import value_key
from dashboard.escaping import literal
from dashboard.link import from_link, share, to_link

DATA_PAGE = "data.py"  # files beside the shell, as `st.switch_page` and `st.navigation` name them
THRESHOLD_PAGE = "threshold.py"
INCIDENTS_PAGE = "incidents.py"
VALIDATE_PAGE = "validate.py"
EXPLORE_PAGE = "explore.py"
REVIEW_PAGE = "review.py"
TRAFFIC_PAGE = "traffic.py"
COMPARE_PAGE = "compare.py"
MODELS_PAGE = "models.py"
REPORT_PAGE = "report.py"
ROW_PX = 28  # of every table

_RUN_KEY = "run_in_view"


def run_in_view() -> str | None:
    """The run the pages are about: the URL's `?run=`, else the one looked at last, else the newest; None without runs.

    A run named in the URL is not checked here: the page that opens it says what is wrong with it.
    """
    if named := st.query_params.get("run"):
        st.session_state[_RUN_KEY] = named
        return str(named)
    if _RUN_KEY not in st.session_state:
        newest = workbench.runs()[:1]
        return newest[0].run_id if newest else None
    return str(st.session_state[_RUN_KEY])


def capture_in_view() -> str | None:
    """The scored capture the Traffic page is about: the URL's `?capture=`, else the newest; None without any.

    A capture named in the URL is not checked here, as in `run_in_view`.
    """
    if named := st.query_params.get("capture"):
        return str(named)
    newest = workbench.list_flow_runs()[:1]
    return newest[0].run_id if newest else None


def forget_run() -> None:
    """Leave a run that cannot be opened, so that the next look at the page falls back to the newest."""
    st.session_state.pop(_RUN_KEY, None)


def nothing_scored() -> None:
    """What a page says before the first run."""
    st.info("No log has been scored yet. Upload one or pick a sample on the Data page.", icon=":material/upload_file:")
    st.page_link(DATA_PAGE, label="Go to Data", icon=":material/arrow_forward:")


def cannot_open(error: WorkbenchError) -> None:
    """What a page says of a run that is gone or damaged, and the way on."""
    run_id = run_in_view()
    forget_run()
    if run_id is not None and not workbench.is_run(run_id):
        said = f"there is no run {run_id} here; it may have been deleted, or the address is mistyped"
    else:
        said = str(error)
    st.error(literal(said), icon=":material/error:")
    st.page_link(DATA_PAGE, label="Choose another run on the Data page", icon=":material/arrow_forward:")


def failed_within(error: WorkbenchError) -> None:
    """What a part of a page says of what it could not do; the run stays in view unless it is gone."""
    run_id = run_in_view()
    if run_id is None or not workbench.is_run(run_id):
        cannot_open(error)
    else:
        st.error(literal(str(error)), icon=":material/error:")


def open_run(run_id: str, page: str = THRESHOLD_PAGE) -> NoReturn:
    """Go to a page with this run; the URL keeps it over a reload."""
    st.session_state[_RUN_KEY] = run_id
    st.switch_page(page, query_params={"run": run_id})


def run_reader(run_id: str) -> workbench.RunReader:
    """The open run with the mutes of this moment; a run never changes, so one reader serves every session and rerun.

    Raises:
        WorkbenchError: where there is no such run, or it is damaged.
    """
    if not workbench.is_run(run_id):
        _reader.clear()  # deleted elsewhere since
    return _reader(run_id, muted_key())


@st.cache_resource(max_entries=4, show_spinner=False)
def _reader(run_id: str, muted: str) -> workbench.RunReader:
    return workbench.run(run_id)


def muted_key() -> str:
    """Differs where other messages are muted; for what is kept of a run's flagged lines."""
    return hashlib.sha256("\0".join(workbench.mutes()["normalized_text"].sort()).encode()).hexdigest()


def threshold_in_view(run_id: str) -> float:
    """Where the line on the Threshold page stands, applied or not: the address says, else what is in force."""
    key = value_key(threshold_key(run_id))
    from_link("threshold", key, share)
    in_force = workbench.threshold(run_id)
    threshold = float(st.session_state.get(key, in_force))
    to_link(threshold=None if threshold == in_force else f"{threshold:.4f}")
    return threshold


def threshold_key(run_id: str) -> str:
    """The key of the histogram on the Threshold page."""
    return f"threshold_{run_id}"


def look_of_theme() -> Look:
    """Colours of the theme in use, from .streamlit/config.toml."""
    dark = st.context.theme.type == "dark"
    theme = "theme.dark" if dark else "theme.light"
    return Look(dark, st.get_option(f"{theme}.chartCategoricalColors"), st.get_option(f"{theme}.textColor"))


def model_name(run: workbench.RunInfo) -> str:
    """The bundle's name, or what took its place."""
    return run.model or "fit on the file itself"


def capture_model_name(run: workbench.FlowRunInfo) -> str:
    """The same of a scored capture."""
    return run.model or "fit on the capture itself"


def way_text(run: workbench.RunInfo) -> str:
    """What a run was scored with, whether lines were judged in context and verdicts counted, in a few words."""
    words = [model_name(run)]
    if run.model is None and run.scorers and set(run.scorers) <= workbench.QUICK_WEIGHTS.keys():
        words.append("quick look")
    return ", ".join(words + ["in context"] * run.context + ["with verdicts"] * bool(run.verdicts))


def time_text(utc: str) -> str:
    """An ISO 8601 time of UTC to the second, for lists of runs to choose from: of equal names the last would be meant.

    Example:
        >>> time_text("2026-11-18T06:00:00.125+00:00")
        '2026-11-18 06:00:00'
    """
    return utc[:19].replace("T", " ")


def age_text(utc: str) -> str:
    """How long ago an ISO 8601 time was, in the largest whole unit."""
    then = datetime.fromisoformat(utc)
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    seconds = max(0, int((datetime.now(UTC) - then).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def share_text(hits: int, n: int) -> str:
    """A share with its 95% Wilson interval.

    Example:
        >>> share_text(31, 40)
        '78% (62 to 88%)'
    """
    low, high = wilson_interval(hits, n)
    return f"{100 * hits / n:.0f}% ({100 * low:.0f} to {100 * high:.0f}%)"


def size_text(n_bytes: int) -> str:
    """Bytes in decimal units, as file managers show them."""
    size = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def duration_text(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

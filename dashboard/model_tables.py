"""Tables of saved models on the Models page: those of logs and those of captures, and which one is in view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from core import workbench
from dashboard.escaping import in_cells
from dashboard.link import from_link, to_link
from dashboard.session import ROW_PX, age_text, size_text

MODEL_KEY = "model_in_view"

_NAME = {"model": st.column_config.TextColumn("Model", width=120)}
_THRESHOLD = {"threshold": st.column_config.NumberColumn("Threshold", format="%.4f", width=80)}
_REST = {
    "size": st.column_config.TextColumn("Size", width=70),
    "trained": st.column_config.TextColumn("Trained", width=90),
    "problem": st.column_config.TextColumn("Problem", width=400),
}
_OF_LOGS = {
    **_NAME,
    "lines": st.column_config.NumberColumn("Lines", format="localized", width=80),
    "messages": st.column_config.NumberColumn(
        "Messages", format="localized", width=80, help="Distinct normalized texts"
    ),
    **_THRESHOLD,
    "false_alarms": st.column_config.NumberColumn(
        "False alarms", format="percent", width=90, help="Share of lines like the learnt ones that may be flagged"
    ),
    **_REST,
}
_OF_CAPTURES = {
    **_NAME,
    "flows": st.column_config.NumberColumn("Flows", format="localized", width=80),
    "texts": st.column_config.NumberColumn(
        "Texts", format="localized", width=80, help="Distinct texts of masked bytes among them"
    ),
    **_THRESHOLD,
    "answers": st.column_config.TextColumn("Answers", width=90, help="Tasks it was taught"),
    **_REST,
}


def model_tables(
    of_logs: Sequence[workbench.ModelInfo], of_captures: Sequence[workbench.FlowModelInfo]
) -> workbench.SavedModel | None:
    """Every bundle, a damaged one with what is wrong; the one chosen, or the first, or None without any."""
    known: dict[str, workbench.SavedModel] = {model.name: model for model in [*of_logs, *of_captures]}
    from_link("model", MODEL_KEY, lambda text: text if text in known else None)
    if of_logs:
        st.markdown("**Models of logs** · click one to see its card")
        _table("models_table", [_row_of_logs(model) for model in of_logs], _OF_LOGS, of_logs)
    if of_captures:
        st.markdown("**Models of packet captures**")
        _table("flow_models_table", [_row_of_captures(model) for model in of_captures], _OF_CAPTURES, of_captures)
    chosen = st.session_state.get(MODEL_KEY)
    to_link(model=chosen)
    return known.get(chosen) or next(iter(known.values()), None)


def _row_of_logs(model: workbench.ModelInfo) -> dict[str, Any]:
    learnt = {
        "lines": model.n_lines,
        "messages": model.n_texts,
        "threshold": model.threshold,
        "false_alarms": model.false_alarm_rate,
    }
    return _row(model, learnt)


def _row_of_captures(model: workbench.FlowModelInfo) -> dict[str, Any]:
    tasks = ", ".join(model.tasks)
    return _row(model, {"flows": model.n_flows, "texts": model.n_texts, "threshold": model.threshold, "answers": tasks})


def _row(model: workbench.SavedModel, learnt: Mapping[str, Any]) -> dict[str, Any]:
    """What a table says of a bundle; of a damaged one only what is known."""
    sound = model.error is None
    return {
        "model": model.name + (" (shipped)" if model.is_shipped else ""),
        **{name: value if sound else None for name, value in learnt.items()},
        "size": size_text(model.size_bytes),
        "trained": age_text(model.created_utc) if sound else "",
        "problem": model.error,
    }


def _table(
    key: str, rows: list[dict[str, Any]], columns: dict[str, Any], models: Sequence[workbench.SavedModel]
) -> None:
    """One table; a click puts a model in view."""

    def keep() -> None:
        selection = st.session_state[key]["selection"]
        chosen = selection["rows"] or [row for row, _ in selection["cells"]]
        if chosen and chosen[0] < len(models):
            st.session_state[MODEL_KEY] = models[chosen[0]].name

    st.dataframe(
        in_cells(pl.DataFrame(rows, infer_schema_length=None)),
        hide_index=True,
        row_height=ROW_PX,
        column_order=[name for name in columns if name != "problem" or any(model.error for model in models)],
        column_config=columns,
        on_select=keep,
        selection_mode=["single-row", "single-cell"],
        placeholder="",
        key=key,
    )

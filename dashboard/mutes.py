"""Muting a message, and the list of what is muted."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import in_cells, literal
from dashboard.session import ROW_PX, age_text

OFFERED = 50  # messages of an incident
SHOWN_CHARS = 160
DAYS = 30  # a mute lasts unless told otherwise


def mute_button(reader: workbench.RunReader, messages: pl.DataFrame, key: str) -> None:
    """A button that asks for reason and end, then mutes.

    Args:
        reader: the run.
        messages: normalized_text of the messages to choose from, the likeliest first.
        key: of the widgets.
    """
    texts = messages["normalized_text"].head(OFFERED).to_list()
    with st.popover("Mute", icon=":material/notifications_off:", disabled=not texts, help=HELP):
        text = texts[0] if texts else ""
        if len(texts) > 1:
            text = st.selectbox("Message", texts, format_func=lambda text: text[:SHOWN_CHARS], key=f"mute_text_{key}")
        else:
            st.code(text[:SHOWN_CHARS], language=None, wrap_lines=True)
        reason = st.text_input(
            "Reason", placeholder="Why it may be silent, and who knows", max_chars=500, key=f"mute_reason_{key}"
        )
        today = datetime.now(UTC).date()
        day = st.date_input(
            "Until the end of (UTC)",
            value=today + timedelta(days=DAYS),
            min_value=today,
            max_value=today + timedelta(days=3650),
            key=f"mute_until_{key}",
        )
        if st.button("Mute this message", type="primary", width="stretch", key=f"mute_now_{key}"):
            try:
                workbench.mute(text, reason, datetime.combine(day, time(23, 59, 59), UTC))
            except WorkbenchError as error:
                st.error(literal(str(error)), icon=":material/error:")
            else:
                st.toast("Muted. It is listed under *Muted messages*, where it can be ended.")
                st.rerun()


HELP = "Its lines keep their scores, but are neither flagged, queued nor counted until the day you name."


def muted_list(reader: workbench.RunReader, threshold: float) -> None:
    """What is muted, in this run and elsewhere, and a way to end it; nothing where nothing is."""
    mutes = workbench.mutes()
    if mutes.is_empty():
        return
    run_id = reader.info.run_id
    here = reader.muted().group_by("normalized_text").agg(pl.col("count").sum(), pl.col("score").max())
    rows = mutes.join(here, on="normalized_text", how="left", maintain_order="left").with_columns(
        pl.col("count").fill_null(0),
        pl.col("normalized_text").str.head(500),
        pl.col("until_utc").str.head(10).alias("until"),
        pl.col("at_utc").map_elements(age_text, return_dtype=pl.String).alias("since"),
    )
    n_lines = n_muted(reader, threshold)
    lines = "line is" if n_lines == 1 else "lines are"
    with st.expander(
        f"Muted messages ({len(rows):,}): {n_lines:,} {lines} left out here", icon=":material/notifications_off:"
    ):
        picked = st.dataframe(
            in_cells(rows),
            hide_index=True,
            row_height=ROW_PX,
            column_order=["count", "score", "normalized_text", "reason", "until", "by", "since"],
            column_config={
                "count": st.column_config.NumberColumn("Lines here", format="localized", width=80),
                "score": st.column_config.NumberColumn("Score", format="%.3f", width=70),
                "normalized_text": st.column_config.TextColumn("Message", width=420),
                "reason": st.column_config.TextColumn("Reason", width=240),
                "until": st.column_config.TextColumn("Until", width=90),
                "by": st.column_config.TextColumn("By", width=80),
                "since": st.column_config.TextColumn("Muted", width=90),
            },
            on_select="rerun",
            selection_mode="multi-row",
            key=f"muted_{run_id}_{len(rows)}",
        )
        chosen = rows[picked.selection.rows]["mute_id"].to_list()
        if st.button(
            f"End {len(chosen):,} selected" if chosen else "Select rows to end them",
            icon=":material/notifications_active:",
            disabled=not chosen,
        ):
            for mute_id in chosen:
                workbench.unmute(mute_id)
            st.rerun()


def n_muted(reader: workbench.RunReader, threshold: float) -> int:
    """Lines that would be flagged were their message not muted."""
    scores, counts = reader.score_counts(muted=True)
    return int(counts[scores >= threshold].sum())

"""Muting a message, and the list of what is muted."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import in_cells, literal
from dashboard.session import ROW_PX, age_text, muted_key, run_reader, threshold_in_view

OFFERED = 50  # messages of an incident
SHOWN_CHARS = 160
DAYS = 30  # a mute lasts unless told otherwise


def mute_button(reader: workbench.RunReader, messages: pl.DataFrame, key: str) -> None:
    """A button that asks for messages, reason and end, and says what would be silent; then mutes.

    Args:
        reader: the run.
        messages: normalized_text of the messages to choose from, the likeliest first.
        key: of the widgets; another one for other messages, or the reason given for some would stand at others.
    """
    texts = messages["normalized_text"].to_list()
    with st.popover("Mute", icon=":material/notifications_off:", disabled=not texts):
        st.caption("Lines keep their scores, but are neither flagged, queued nor counted until the day you name.")
        chosen = chosen_messages(texts, key)
        st.markdown(reach_text(reader.info.run_id, chosen))
        reason = st.text_input(
            "Reason (required)",
            placeholder="Why it may be silent, and who knows",
            max_chars=500,
            key=f"mute_reason_{key}",
        )
        today = datetime.now(UTC).date()
        day = st.date_input(
            "Until the end of (UTC)",
            value=today + timedelta(days=DAYS),
            min_value=today,
            max_value=today + timedelta(days=3650),
            key=f"mute_until_{key}",
        )
        said = "this message" if len(chosen) <= 1 else f"{len(chosen):,} messages"
        if st.button(f"Mute {said}", type="primary", width="stretch", key=f"mute_now_{key}"):
            until = datetime.combine(day, time(23, 59, 59), UTC)
            try:
                workbench.mute(chosen, reason, until)
            except WorkbenchError as error:
                st.error(literal(str(error)), icon=":material/error:")
            else:
                st.toast("Muted. It is listed under *Muted messages*, where it can be ended.")
                st.rerun()


def chosen_messages(texts: list[str], key: str) -> list[str]:
    """One of the messages, shown, or all of them."""
    if len(texts) > 1:
        choices = {f"All {len(texts):,} messages of this incident": texts}
        # Numbered, for two of them may begin alike.
        choices |= {f"{no}. {text[:SHOWN_CHARS]}": [text] for no, text in enumerate(texts[:OFFERED], 1)}
        label = "Message" if len(texts) <= OFFERED else f"Message, the {OFFERED} most frequent"
        texts = choices[st.selectbox(label, list(choices), index=1, key=f"mute_text_{key}")]
    if len(texts) == 1:
        st.code(texts[0][:SHOWN_CHARS], language=None, wrap_lines=True)
    return texts


def reach_text(run_id: str, messages: list[str]) -> str:
    """What would be silent in this run, Markdown."""
    rows = reach(run_id, threshold_in_view(run_id), muted_key()).filter(pl.col("normalized_text").is_in(messages))
    n_lines, n_flagged = rows["n_lines"].sum(), rows["n_flagged"].sum()
    words = f"**{n_lines:,}** {'line' if n_lines == 1 else 'lines'} here, **{n_flagged:,}** flagged"
    n_sources = rows["sources"].explode().drop_nulls().n_unique()
    return f"{words}, from **{n_sources:,}** {'source' if n_sources == 1 else 'sources'}" if n_sources else words


@st.cache_data(max_entries=8, show_spinner=False)
def reach(run_id: str, threshold: float, muted: str) -> pl.DataFrame:
    """What each flagged message takes with it; a run never changes, what is muted does."""
    return workbench.reach_of_mutes(run_reader(run_id), threshold)


def muted_list(reader: workbench.RunReader, threshold: float) -> None:
    """What is muted, in this run and elsewhere, and a way to end it; nothing where nothing is."""
    mutes = workbench.mutes()
    if mutes.is_empty():
        return
    run_id = reader.info.run_id
    here = reader.muted().select("normalized_text", "count", "score")
    rows = mutes.join(here, on="normalized_text", how="left", maintain_order="left").with_columns(
        pl.col("count").fill_null(0),
        pl.col("normalized_text").str.head(500),
        pl.col("until_utc").str.head(10).alias("until"),
    )
    rows = rows.with_columns(pl.Series("since", [age_text(at_utc) for at_utc in rows["at_utc"]], dtype=pl.String))
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

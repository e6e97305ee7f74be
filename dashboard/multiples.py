"""Where flagged lines come from: small charts by source and by message; a click filters the table."""

from __future__ import annotations

import polars as pl
import streamlit as st

from core import workbench
from dashboard.components.small_multiples import Multiple, small_multiples
from dashboard.lines_table import sources_of
from dashboard.session import muted_key, run_reader

SHOWN = 12  # groups, those with the most flagged lines
BARS = 24  # of each
NAME_CHARS = 300  # more than a card has room for
BY_SOURCE, BY_MESSAGE = "By source", "By message"


def flagged_groups(reader: workbench.RunReader, threshold: float) -> None:
    """The sources or the messages of the flagged lines."""
    run_id = reader.info.run_id
    ways = [BY_SOURCE, BY_MESSAGE] if sources_of(run_id) else [BY_MESSAGE]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Where the flagged lines come from**", width="content")
        way = BY_MESSAGE
        if len(ways) > 1:
            way = st.segmented_control(
                "Groups",
                ways,
                default=ways[0],
                required=True,
                label_visibility="collapsed",
                width="content",
                key=f"groups_{run_id}",
            )
    by_source = way == BY_SOURCE
    key = f"source_{run_id}" if by_source else f"only_{run_id}"
    groups = groups_of(run_id, threshold, by_source, muted_key())
    items = (sources if by_source else messages)(groups, st.session_state.get(key))
    if not items:
        st.caption("No line is flagged. Move the threshold to the left.")
        return
    offered = {item.id for item in items}

    def pick(given: str | int | None) -> None:
        if given is None or given in offered:
            st.session_state[key] = given  # None and not gone: the address would say it again
        if given is not None and st.session_state.get(f"view_{run_id}") == "Flagged messages":
            st.session_state[f"view_{run_id}"] = "Flagged lines"
        st.session_state.pop(f"page_{run_id}", None)
        st.session_state[f"line_{run_id}"] = None

    small_multiples(items, way, pick, key=f"multiples_{run_id}_{'source' if by_source else 'message'}")
    along = "over the log's time" if reader.info.first_utc else "along the file"
    bars = (
        "its lines by score, from 0 to the highest of the log, the flagged ones in the second colour"
        if by_source
        else f"lines {along}"
    )
    which = f"The {len(items)} with the most flagged lines (▲)" if len(items) == SHOWN else "Flagged lines (▲) of each"
    st.caption(f"{which}. Bars: {bars}. A click shows its lines alone.")


@st.cache_data(max_entries=64, show_spinner=False)
def groups_of(run_id: str, threshold: float, by_source: bool, muted: str) -> pl.DataFrame:
    """The groups with their bars; a run never changes, and `muted` says what is muted in it."""
    reader = run_reader(run_id)
    if by_source:
        return reader.by_source(threshold, SHOWN, BARS).filter(pl.col("n_flagged") > 0)
    return reader.by_message(threshold, SHOWN, BARS)


def sources(groups: pl.DataFrame, picked: str | None) -> list[Multiple]:
    """Sources as `RunReader.by_source` gives them."""
    return [
        Multiple(
            id=row["source"],
            name=row["source"][:NAME_CHARS],
            n_flagged=row["n_flagged"],
            said=f"of {row['n_lines']:,} · {100 * row['n_flagged'] / row['n_lines']:.0f}%",
            lines=row["lines"],
            flagged=row["flagged"],
            picked=row["source"] == picked,
        )
        for row in groups.iter_rows(named=True)
    ]


def messages(groups: pl.DataFrame, picked: int | None) -> list[Multiple]:
    """Messages as `RunReader.by_message` gives them: all of their lines are flagged."""
    return [
        Multiple(
            id=row["text_id"],
            name=row["normalized_text"][:NAME_CHARS],
            n_flagged=row["n_lines"],
            said=f"{'line' if row['n_lines'] == 1 else 'lines'} · score {row['score']:.3f}",
            lines=row["lines"],
            flagged=row["lines"],
            picked=row["text_id"] == picked,
        )
        for row in groups.iter_rows(named=True)
    ]

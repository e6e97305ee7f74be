"""Lines as a file: the formats, the writing, and the export of one incident."""

from __future__ import annotations

import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.components.file_link import file_link
from dashboard.escaping import literal
from dashboard.session import size_text

FORMATS = {"CSV": ".csv", "JSON lines": ".jsonl", "Parquet": ".parquet", "ECS": workbench.ECS}
REMARKS = {
    ".csv": "Text that a spreadsheet would run as a formula gets an apostrophe in front. "
    "The other formats hold every text as it was.",
    workbench.ECS: "One document a line after the Elastic Common Schema, for Elasticsearch and what reads its fields. "
    "A flagged line is an alert.",
}


def incident_export(run_id: str, incident: int, line_nos: list[int]) -> None:
    """The lines of one incident as a file."""
    with st.popover("Export", icon=":material/download:"):
        chosen = st.segmented_control("Format", list(FORMATS), default="CSV", required=True, key="incident_format")
        suffix = FORMATS[chosen]
        if suffix in REMARKS:
            st.caption(REMARKS[suffix])
        wanted = (run_id, incident, len(line_nos), suffix)
        if st.button("Download its lines", type="primary", width="stretch"):
            written = write(run_id, "all lines", suffix, line_nos)
            st.session_state["exported"] = written and (wanted, *written)
        if (made := st.session_state.get("exported")) and made[0] == wanted:
            _, token, name, n_bytes = made
            file_link(token, name, f"{size_text(n_bytes)} · kept for a day", key="incident_link")


def write(run_id: str, what: str, suffix: str, line_nos: list[int] | None = None) -> tuple[str, str, int] | None:
    """Write the export; its token, name and bytes, or None where an error was shown."""
    bar = st.progress(0.0, text="writing …")
    try:
        path = workbench.export(
            run_id,
            what,
            suffix,
            lambda step, done, total: bar.progress(done / max(1, total), f"{done:,} lines written"),
            line_nos,
        )
        return path.parent.name, path.name, path.stat().st_size
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")
        return None
    finally:
        bar.empty()

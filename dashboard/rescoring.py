"""Verdicts that count: the way to a run scored anew with them, and what that changed."""

from __future__ import annotations

import polars as pl
import streamlit as st

from core import workbench
from core.errors import WorkbenchError
from dashboard.escaping import literal
from dashboard.session import COMPARE_PAGE, DATA_PAGE, run_reader

AT_ONCE = 2_000  # messages; above it, seconds become minutes, and a job does it
HELP = (
    "A new run of the same lines, without training: messages judged normal join what the scorers hold as normal; where "
    "the log was fitted on itself, those judged abnormal are no longer learnt. Weights and threshold stay. Then both "
    "runs stand side by side."
)


def rescore_button(reader: workbench.RunReader) -> None:
    """Score the run anew with the verdicts on it, where some count, and go to the comparison; a large run by a job."""
    info = reader.info
    judged = workbench.judged_messages(reader)
    n_messages = judged.n_counting(info.model)
    if not n_messages:
        if judged.abnormal:
            st.caption(
                f"Nothing to re-score with yet: {literal(info.model or '')} learnt elsewhere, so what is judged "
                "abnormal here changes nothing in it."
            )
        elif judged.mixed:
            st.caption(
                "Nothing to re-score with yet: what you judged is abnormal from some sources only, or was judged "
                "normal too, so it says nothing of the text."
            )
        return
    why_not = "This run counts these verdicts already." if info.verdicts == judged.facts else None
    pressed = st.button(
        f"Re-score with {n_messages:,} judged {'message' if n_messages == 1 else 'messages'}",
        icon=":material/published_with_changes:",
        disabled=why_not is not None,
        help=why_not or HELP,
        key=f"rescore_{info.run_id}",
    )
    if not pressed:
        return
    try:
        if info.n_texts > AT_ONCE:
            workbench.start_rescoring(info.run_id)
            st.switch_page(DATA_PAGE)
        with st.spinner("Scoring with your verdicts …"):
            again = workbench.rescore(info.run_id)
    except WorkbenchError as error:
        st.error(literal(str(error)), icon=":material/error:")
        return
    st.switch_page(COMPARE_PAGE, query_params={"run": again.run_id, "with": info.run_id})


def told_text(before_id: str, after_id: str, found: workbench.Comparison, threshold: float) -> str | None:
    """What verdicts changed where the later run is the earlier one scored anew with them, Markdown; else None.

    Args:
        before_id: the earlier run, A of `found`.
        after_id: the later one, B.
        found: both compared.
        threshold: of the later one.
    """
    reader = run_reader(after_id)
    if reader.info.rescored_from != before_id:
        return None
    lines = dict(found.parts.select("part", "n_lines").iter_rows())
    words = [
        f"With your verdicts: **{lines['only_b']:,}** lines newly flagged, **{lines['only_a']:,}** no longer flagged."
    ]
    normal = workbench.judged_messages(reader).normal
    texts = reader.texts().filter(pl.col("normalized_text").is_in(normal) & ~pl.col("muted"))
    still = texts.filter(pl.col("score") >= threshold)["normalized_text"].n_unique()
    if still:
        words.append(
            f"Of {len(normal):,} messages judged normal **{still:,}** {'is' if still == 1 else 'are'} still flagged: "
            "their level, their source or a network says so. Mute them, or give those scorers less weight on Validate."
        )
    words.append("Measured by those very verdicts, the later run looks better than it is: it has learnt them.")
    return " ".join(words)

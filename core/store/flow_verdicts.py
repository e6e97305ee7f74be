"""What analysts said of flows, kept by what a flow is, so that it is found again where its capture is scored anew.

A flow is known by its protocol and its ends, when it began, and its packets and bytes; flows that are alike in all of
these are judged together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import polars as pl

from core.errors import StoreError
from core.store.acts import append_act, check_act, newest_acts, take_back_act
from core.store.database import Store
from core.store.flow_runs import FLOW_NO, FlowRunReader

_KEY = ["protocol", "source", "source_port", "destination", "destination_port", "first_utc", "packets", "bytes"]


class FlowVerdicts:
    """Labels and notes of flows. Holds nothing open; safe from any thread or process."""

    def add(self, run_id: str, flow_nos: Sequence[int], label: str | None, note: str, by: str) -> None:
        """Judge flows of a run in one act.

        Args:
            run_id: the run whose flows are meant.
            flow_nos: 1 to MOST_JUDGED numbers of them.
            label: one of LABELS; None takes a verdict away and leaves the note, which may be empty.
            note: replaces an earlier one.
            by: who judges.

        Raises:
            WorkbenchError: for another label, too long a note, no or too many flows.
            StoreError: where there is no such run or flow, or the database stays locked.
        """
        check_act(label, note, flow_nos, "flows")
        reader = FlowRunReader(run_id)
        asked = sorted(set(flow_nos))
        flows, n_found = reader.find(pl.col(FLOW_NO).is_in(asked), FLOW_NO, descending=False, limit=len(asked))
        if n_found < len(asked):
            raise StoreError(f"run {run_id} has flows 1 to {reader.info.n_flows}, not {asked[-1]}")
        append_act("flow_verdicts", flows.select(FLOW_NO, *_KEY), run_id, reader.info.name, label, note, by)

    def undo(self, run_id: str, by: str) -> list[int]:
        """Take back the newest act of this analyst in this run; what was said before it counts again.

        Returns:
            The numbers of the flows it was about, ascending; empty where there is nothing to undo.
        """
        FlowRunReader(run_id)
        return take_back_act("flow_verdicts", FLOW_NO, run_id, by)

    def of_run(self, run_id: str) -> pl.DataFrame:
        """What counts now of the flows of one run, wherever it was said, by number.

        Returns:
            FLOW_NO, label (null for a note alone), note, by, at_utc (ISO 8601), and run_id and run_name of the run it
            was said in.

        Raises:
            StoreError: where there is no such run, or it is damaged.
        """
        return FlowRunReader(run_id).joined(_current(Store().state()), _KEY)


@lru_cache(maxsize=1)  # opening the database takes longer than all the rest of a page
def _current(state: tuple[object, ...]) -> pl.DataFrame:
    found = newest_acts("flow_verdicts", _KEY, FLOW_NO)
    return found.select(*_KEY, "label", "note", pl.col("judged_by").alias("by"), "at_utc", "run_id", "run_name")

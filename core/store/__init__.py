"""Where runs live: immutable Parquet a run, one small DuckDB file for what changes. The only owner of duckdb.

home()/runs/<run_id>/     lines.parquet · texts.parquet · sessions.parquet where asked for · run.json
                          everyday.parquet where a model knows what everyday lines score
                          map-*.parquet where its messages lie on the Explore page
home()/answers/           what bundles said of texts, to look up
home()/workbench.duckdb   which runs there are, the thresholds set for them, verdicts on lines and flows, muted
                          messages
home()/flow_runs/         scored captures (flow_runs.py)
"""

from core.store.acts import MOST_JUDGED
from core.store.answer_cache import AnswerCache
from core.store.database import Store
from core.store.maps import read_map, write_map
from core.store.mutes import Mutes
from core.store.run_info import RunInfo, new_run_id
from core.store.run_reader import RunReader
from core.store.run_writer import RunWriter
from core.store.verdicts import Verdicts

__all__ = [
    "MOST_JUDGED",
    "AnswerCache",
    "Mutes",
    "RunInfo",
    "RunReader",
    "RunWriter",
    "Store",
    "Verdicts",
    "new_run_id",
    "read_map",
    "write_map",
]

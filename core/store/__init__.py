"""Where runs live: immutable Parquet a run, one small DuckDB file for what changes. The only owner of duckdb.

home()/runs/<run_id>/     lines.parquet · texts.parquet · sessions.parquet where asked for · run.json
home()/workbench.duckdb   which runs there are, and the thresholds set for them
"""

from core.store.database import Store
from core.store.run_info import RunInfo, new_run_id
from core.store.run_reader import RunReader
from core.store.run_writer import RunWriter

__all__ = ["RunInfo", "RunReader", "RunWriter", "Store", "new_run_id"]

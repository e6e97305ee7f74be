"""The threads of a server, one for each page in view, never wait for each other without end."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CALL_PYTHON = {"map_elements", "map_batches", "map_groups", "map_rows"}


def test_polars_calls_no_python() -> None:
    # Its pool of threads would wait for the interpreter, while another page's thread holds that and waits for the pool
    # (to_pandas, through which every table of a page goes): github.com/pola-rs/polars/issues/26821.
    files = [path for folder in ("core", "dashboard") for path in (ROOT / folder).rglob("*.py")]
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in CALL_PYTHON
    ]
    assert files
    assert found == []

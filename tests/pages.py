"""What tests of the pages share."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

SHELL = Path(__file__).resolve().parents[1] / "dashboard" / "shell.py"


def shown(app: AppTest) -> str:
    """All the text of a page that is no table."""
    kinds = (app.markdown, app.caption, app.info, app.error, app.warning, app.success)
    return "\n".join(str(item.value) for items in kinds for item in items)

"""The report as its reader will see it, in a frame that may run nothing and reach nothing."""

from __future__ import annotations

from dashboard.components import register

_mount = register(
    "report_preview", '<div class="frame preview"><iframe title="Preview of the report" sandbox=""></iframe></div>'
)


def report_preview(html: str, key: str) -> None:
    """Show a report.

    Args:
        html: the whole page.
        key: of the component.
    """
    _mount(key=key, data={"html": html})

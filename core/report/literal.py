"""Log text in the report: nothing in it acts, and what does not print is seen."""

from __future__ import annotations

import html

from core.display import printable, shortened

TEXT_CHARS = 600  # shown of a log text; the rest is left out and said so


def shown(text: str, most: int = TEXT_CHARS) -> str:
    r"""Text as HTML text or a quoted attribute: escaped, cut, and characters that do not print made visible.

    Example:
        >>> shown("<b>\x1b[31m")
        '&lt;b&gt;\\x1b[31m'
    """
    return html.escape("\n".join(printable(row) for row in shortened(text, most).split("\n")))

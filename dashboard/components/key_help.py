"""The keys of a page, shown by `?` or by a button."""

from __future__ import annotations

from dashboard.components import register
from dashboard.keys import EVERYWHERE, PAGES

_mount = register(
    "key_help",
    """
    <div class="frame help">
      <button type="button" class="open" aria-haspopup="dialog" title="The keys of this page">Keys <kbd>?</kbd></button>
      <dialog aria-label="Keys of this page">
        <div class="top"><b class="title"></b><button type="button" class="close">Close <kbd>Esc</kbd></button></div>
        <div class="lists"></div>
      </dialog>
    </div>
    """,
)


def key_help(title: str) -> None:
    """Show the button.

    Args:
        title: of the page, as `dashboard.keys.PAGES` names it.
    """
    groups = [*PAGES.get(title, ()), ("On every page", EVERYWHERE)]
    listed = [
        {"where": where, "keys": [{"keys": key.keys, "does": key.does} for key in keys]} for where, keys in groups
    ]
    _mount(key="key_help", data={"title": title, "groups": listed})

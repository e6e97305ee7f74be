"""The link to a file written for download, which the browser follows by itself the first time it is shown."""

from __future__ import annotations

from dashboard.components import register

_mount = register("file_link", '<div class="frame file"><a class="save" download></a><span class="hint"></span></div>')


def file_link(token: str, name: str, hint: str, key: str) -> None:
    """Show the link, and start the download once.

    Args:
        token: of the download route.
        name: of the file.
        hint: what to say beside it.
        key: of the component.
    """
    _mount(key=key, data={"url": f"download/{token}", "name": name, "hint": hint})

"""Reading ahead and writing behind: an iterator and a consumer in threads of their own, for both leave Python's lock.

At most `WAITING` items stand between a thread and its neighbour, so memory stays bounded.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

WAITING = 2
HEARD_SECONDS = 0.3
_END = object()


class Ahead(Generic[Item]):
    """Context manager and iterator: the items of another iterator, which runs ahead. What it raises is raised here."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._ready: queue.Queue[object] = queue.Queue(WAITING)
        self._left = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __iter__(self) -> Iterator[Item]:
        while (item := self._next()) is not _END:
            yield item  # type: ignore[misc]
        if self._error is not None:
            raise self._error

    def _next(self) -> object:
        while True:
            try:
                return self._ready.get(timeout=HEARD_SECONDS)
            except queue.Empty:
                continue  # Ctrl-C is heard here: it does not wake a wait without an end

    def _run(self) -> None:
        try:
            for item in self._items:
                self._ready.put(item)
                if self._left.is_set():
                    return
        except BaseException as error:
            self._error = error
        self._ready.put(_END)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        _drain(self._ready)  # a thread that waits for room sees that nobody takes its items


class Behind(Generic[Item]):
    """Context manager: hands items to a consumer in order; leaving waits for it. What it raises is raised here."""

    def __init__(self, consume: Callable[[Item], None] | None) -> None:
        self._consume = consume
        self._waiting: queue.Queue[object] = queue.Queue(WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def put(self, item: Item) -> None:
        """Hand over an item; raises what the consumer raised of an earlier one."""
        if self._error is not None:
            raise self._error
        if self._consume is not None:
            self._waiting.put(item)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not _END:
            if self._error is None and self._consume is not None:
                try:
                    self._consume(item)  # type: ignore[arg-type]
                except BaseException as error:
                    self._error = error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            _drain(self._waiting)
        self._waiting.put(_END)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error


def _drain(items: queue.Queue[object]) -> None:
    while True:
        try:
            items.get_nowait()
        except queue.Empty:
            return

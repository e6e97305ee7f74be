"""Threads beside the main one: order kept, errors raised where they are waited for, none left waiting."""

import threading
from collections.abc import Iterator

import pytest

from core.ingest.ahead import Ahead, Behind


def numbers(last: int, fail_at: int | None = None) -> Iterator[int]:
    for number in range(last):
        if number == fail_at:
            raise OSError("disk gone")
        yield number


def test_items_come_in_order_and_leave_in_order() -> None:
    taken: list[int] = []
    with Ahead(numbers(50)) as ahead, Behind(taken.append) as behind:
        for number in ahead:
            behind.put(number)
    assert taken == list(range(50))


def test_what_the_reader_raises_comes_after_its_items() -> None:
    seen = []
    with pytest.raises(OSError, match="disk gone"), Ahead(numbers(9, fail_at=5)) as ahead:
        for number in ahead:
            seen.append(number)
    assert seen == [0, 1, 2, 3, 4]


def test_what_the_writer_raises_is_raised_at_the_latest_on_leaving() -> None:
    def refuse(item: int) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), Behind(refuse) as behind:
        behind.put(1)


def test_leaving_early_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), Ahead(numbers(1_000)) as ahead, Behind(print) as behind:
        for _ in ahead:
            raise KeyError
    assert behind is not None
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread() and "_run" in thread.name:
            thread.join(2)
    assert threading.active_count() <= before

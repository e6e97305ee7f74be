"""Work on several cores at once, each alone: two batches on a core each are done sooner than one on both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch


@contextlib.contextmanager
def cores() -> Iterator[ThreadPoolExecutor]:
    """As many workers as torch may use threads, each computing on one; what still waits at the end is left undone."""
    n_threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_threads)  # what the workers set is where every later thread starts

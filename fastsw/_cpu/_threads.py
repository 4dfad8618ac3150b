"""Threads for kernels: our own small pool over kernels that release the interpreter lock.

Numba's parallel loops abort or corrupt the process when two Python threads enter them under the
workqueue layer, and some layers cannot be used after a fork. Kernels here are serial; a pool of
Python threads runs them side by side, as many as Numba's thread count asks for, under every
threading layer, from any number of threads, and after a fork.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numba.np.ufunc import parallel as numba_threads

#: Below this many cells the hand-over to another thread costs more than it saves.
SERIAL_CELLS = 20_000

#: From this many cells on several threads work on one pair.
SHARED_CELLS = 500_000

#: Pairs done, where a thread has failed and others must not wait for what it took.
ABANDONED = 2**62

_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)


def thread_count() -> int:
    """Numba's thread count; does not start Numba's own threads."""
    if getattr(numba_threads, "_is_initialized", True):
        return numba.get_num_threads()
    return int(numba.config.NUMBA_NUM_THREADS)


def pool(threads: int) -> ThreadPoolExecutor:
    """The process's pool of the given size."""
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="fastsw")
    return _pools[threads]


def queue(pairs) -> np.ndarray:
    """Pairs for threads to share: how many are taken, and done, then the pairs (`_simd.claim`)."""
    shared = np.zeros(np.size(pairs) + 2, np.int64)
    shared[2:] = pairs
    return shared


def spread(task, order: np.ndarray, cells: np.ndarray, *, serial: int = SERIAL_CELLS) -> None:
    """Run task(queue of the pairs in `order`) on Numba's thread count, the largest pairs first.

    Below `serial` cells in all, this thread does it alone.
    """
    if not len(order):
        return
    threads = min(thread_count(), len(order))
    if threads > 1:
        mine = cells[order]
        if mine.sum() < serial:
            threads = 1
        elif mine.min() < mine.max():
            order = order[np.argsort(-mine, kind="stable")]
    shared = queue(order)

    def take_part():
        try:
            task(shared)
        except BaseException:
            shared[1] = ABANDONED
            raise

    helpers = [pool(threads).submit(take_part) for _ in range(threads - 1)]
    try:
        take_part()  # ends when all threads have done all pairs, or one has given up
        if shared[1] >= ABANDONED:
            for helper in helpers:
                helper.result()
    finally:
        for helper in helpers:
            helper.cancel()


def together(task, threads: int) -> None:
    """Run task() in this thread and in threads - 1 others; each takes the work it finds."""
    helpers = [pool(threads).submit(task) for _ in range(threads - 1)]
    try:
        task()
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.result()

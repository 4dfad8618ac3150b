"""Threads for kernels: a few workers of our own over kernels that release the interpreter lock.

Numba's parallel loops abort or corrupt the process when two Python threads enter them under the
workqueue layer, and some layers cannot be used after a fork. Kernels here are serial; workers run
them side by side, as many as Numba's thread count asks for, under every threading layer, from any
number of threads, and after a fork.

Work is handed over by primitives of the interpreter that are written in C. An interrupt leaves
those as they are, while it can leave a lock of `concurrent.futures` held for ever.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue

import numba
import numpy as np
from numba.np.ufunc import parallel as numba_threads

#: Below this many cells the hand-over to another thread costs more than it saves.
SERIAL_CELLS = 20_000

#: From this many cells on several threads work on one pair.
SHARED_CELLS = 500_000

#: Pairs done, where a thread has failed and others must not wait for what it took.
ABANDONED = 2**62

_jobs: SimpleQueue[_Help] = SimpleQueue()
_workers: list[threading.Thread] = []


def _forget_workers() -> None:
    """In the child of a fork, where no worker lives on."""
    global _jobs
    _jobs = SimpleQueue()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)


def thread_count() -> int:
    """Numba's thread count; does not start Numba's own threads."""
    if getattr(numba_threads, "_is_initialized", True):
        return numba.get_num_threads()
    return int(numba.config.NUMBA_NUM_THREADS)


class _Help:
    """A task that a worker may take up, or its owner may take back before that."""

    def __init__(self, task):
        self.task = task
        self.error: BaseException | None = None
        self.ended = False
        self._taken = threading.Lock()
        self._end: SimpleQueue[None] = SimpleQueue()

    def run(self) -> None:
        """Run the task, unless it was taken back."""
        if not self._taken.acquire(blocking=False):
            return
        try:
            self.task()
        except BaseException as error:
            self.error = error
        self.ended = True
        self._end.put(None)

    def take_back(self) -> bool:
        """See to it that the task does not start any more; False where it has."""
        return self._taken.acquire(blocking=False)

    def finish(self) -> BaseException | None:
        """Take the task back, or wait for its end; gives its error, or an interrupt meanwhile."""
        if self.take_back():
            return None
        interrupt = None
        while not self.ended:
            try:
                self._end.get()
            except KeyboardInterrupt as error:
                interrupt = error  # what it works on must not be used before it has ended
        return interrupt or self.error


def _serve(jobs: SimpleQueue[_Help]) -> None:
    """What a worker does, as long as the process lives."""
    while True:
        jobs.get().run()


def _ask(task, threads: int) -> list[_Help]:
    """Ask threads - 1 workers to run a task beside this thread."""
    while len(_workers) < threads - 1:
        worker = threading.Thread(target=_serve, args=(_jobs,), name="fastsw", daemon=True)
        _workers.append(worker)
        worker.start()
    helpers = [_Help(task) for _ in range(threads - 1)]
    for helper in helpers:
        _jobs.put(helper)
    return helpers


def _finish(helpers: list[_Help]) -> None:
    """Wait for all helpers, and raise the first error among theirs."""
    for error in [helper.finish() for helper in helpers]:
        if error is not None:
            raise error


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

    helpers = _ask(take_part, threads)
    try:
        take_part()  # ends when all threads have done all pairs, or one has given up
        if shared[1] >= ABANDONED:
            _finish(helpers)
    finally:
        for helper in helpers:
            helper.take_back()


def together(task, threads: int) -> None:
    """Run task() in this thread and in threads - 1 others; each takes the work it finds."""
    helpers = _ask(task, threads)
    try:
        task()
    finally:
        _finish(helpers)

"""Threads for kernels: a few workers of our own over kernels that release the interpreter lock.

Numba's parallel loops abort or corrupt the process when two Python threads enter them under the
workqueue layer, and some layers cannot be used after a fork. Here workers of our own run kernels
beside the thread that calls them (`handoff`), as many as Numba's thread count asks for, under every
threading layer, from any number of threads, and after a fork.

A worker sleeps until it is woken, and then spins for a while: calls that follow one another closely
find it awake.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from queue import SimpleQueue
from typing import Any

import numba
import numpy as np
from numba.core.compiler_lock import global_compiler_lock
from numba.np.ufunc import parallel as numba_threads

from fastsw._cpu.runtime import handoff
from fastsw._cpu.runtime.compile import SharedKernel, serial_kernel

#: Below this many cells the hand-off to another thread costs more than it saves.
SERIAL_CELLS = 20_000

#: From this many cells on several threads work on one pair.
SHARED_CELLS = 500_000

#: Looks into the mailbox before a worker goes to sleep: for some 0.2 milliseconds.
SPIN_ROUNDS = 500

_spin = serial_kernel(handoff.spin)

_mailbox = np.zeros(handoff.MAILBOX_WORDS, np.int64)
_calls: SimpleQueue[None] = SimpleQueue()
_workers: list[threading.Thread] = []


def _forget_workers() -> None:
    """In the child of a fork, where no worker lives on."""
    global _calls
    _calls = SimpleQueue()
    _workers.clear()
    _mailbox[:] = 0


def _dismiss_workers() -> None:
    """At exit: no worker may look into memory that is about to be freed."""
    _mailbox[handoff.CLOSED] = 1
    while _mailbox[handoff.SPINNING] > 0:
        time.sleep(0)


atexit.register(_dismiss_workers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)
    # Wait for what another thread compiles, a worker say: the child would for ever, without it.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )


def thread_count() -> int:
    """Numba's thread count; does not start Numba's own threads."""
    if getattr(numba_threads, "_is_initialized", True):
        return int(numba.get_num_threads())
    return int(numba.config.NUMBA_NUM_THREADS)


def _serve(calls: SimpleQueue[None]) -> None:
    """What a worker does, as long as the process lives."""
    while True:
        calls.get()
        _spin(_mailbox, SPIN_ROUNDS)


def compile_worker() -> None:
    """Compile what a worker runs, or load it: it spins here for no rounds."""
    _spin(_mailbox, 0)


def _wake(count: int) -> None:
    """See to it that so many workers look into the mailbox, now or soon."""
    while len(_workers) < count:
        worker = threading.Thread(target=_serve, args=(_calls,), name="fastsw", daemon=True)
        worker.start()
        _workers.append(worker)
    for _ in range(count - int(_mailbox[handoff.SPINNING]) - _calls.qsize()):
        _calls.put(None)


def together(kernel: SharedKernel, threads: int, *arguments: Any) -> None:
    """Run a kernel in this thread and in up to threads - 1 workers."""
    try:
        if threads > 1:
            _mailbox[handoff.EXPECTED] = (
                1  # until threads are asked for, or an interrupt prevents it
            )
            _wake(threads - 1)
        done = kernel.compiled()(_mailbox, threads - 1, *arguments)
    except BaseException:
        kernel.give_up()
        raise
    finally:
        _mailbox[handoff.EXPECTED] = 0
    if not done:
        raise MemoryError("a kernel found no memory for its tables")


def threads_for(pairs: int, cells: int) -> int:
    """How many threads so many pairs of so many cells in all are worth."""
    return min(thread_count(), pairs) if cells >= SERIAL_CELLS else 1


def queue(order: Any) -> np.ndarray:
    """Pairs for threads to share: how many are taken, then the pairs (`handoff.next_item`)."""
    shared = np.empty(len(order) + 1, np.int64)
    shared[0], shared[1:] = 0, order
    return shared


def run_on_threads(kernel: SharedKernel, threads: int, order: Any, *arguments: Any) -> None:
    """Run kernel(thread, queue, *arguments) on so many threads, which share the pairs in order."""
    together(kernel, threads, queue(order), *arguments)

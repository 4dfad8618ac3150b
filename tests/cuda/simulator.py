"""Numba's CUDA simulator, set up for our kernels; import before anything that imports Numba.

The simulator polls its threads to find out that all have met a barrier, which costs milliseconds a
barrier, and lets two threads allocate one shared array twice. Here threads meet at a
`threading.Barrier`, and allocation takes a lock.
"""

import os
import threading

assert os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"

import numpy as np
from numba.cuda.simulator import kernel, kernelapi

_allocating = threading.Lock()
_allocate = kernelapi.FakeCUDAShared.array


def _array(self, *arguments, **options):
    with _allocating:
        # The simulator tells arrays apart by the line that allocates them, found in the stack.
        return _allocate_here(self, *arguments, **options)


def _allocate_here(self, shape, dtype, alignment=None):
    import sys

    frame = sys._getframe(2)
    caller = frame.f_code.co_filename, frame.f_lineno
    if caller not in self._allocations:
        self._allocations[caller] = np.full(shape, 77, dtype)  # poisoned
    return self._allocations[caller]


def _meet(thread):
    thread._manager.barrier.wait(timeout=60)


def _run(self, grid_point, *arguments):
    points = list(np.ndindex(*self._block_dim))
    self.barrier = threading.Barrier(len(points))
    threads = []

    def guarded():
        try:
            self._f(*arguments)
        except BaseException:
            self.barrier.abort()
            raise

    for point in points:
        threads.append(kernel.BlockThread(guarded, self, grid_point, point, self._debug))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = [t.exception for t in threads if t.exception]
    failed.sort(key=lambda e: isinstance(e[0], threading.BrokenBarrierError))
    if failed:
        raise failed[0][0].with_traceback(failed[0][1])


kernelapi.FakeCUDAShared.array = _array
kernel.BlockThread.syncthreads = _meet
kernel.BlockManager.run = _run

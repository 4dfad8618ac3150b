"""Numba's CUDA simulator, set up for our kernels; import before anything that imports Numba.

The simulator polls its threads to find out that all have met a barrier, which costs milliseconds a
barrier, and lets two threads allocate one shared array twice. Here threads meet at a
`threading.Barrier`, and allocation takes a lock.
"""

import os
import sys
import threading

assert os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"

import numpy as np  # noqa: E402
from numba.cuda.simulator import kernel, kernelapi  # noqa: E402

_allocating = threading.Lock()


def _array(self, shape, dtype, alignment=None):
    """Shared array of the calling line, poisoned at first."""
    frame = sys._getframe(1)
    caller = frame.f_code.co_filename, frame.f_lineno
    with _allocating:
        if caller not in self._allocations:
            self._allocations[caller] = np.full(shape, 77, dtype)
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

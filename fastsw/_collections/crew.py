"""Several threads that work on a tile each.

A product and a batch of a tile are a millisecond's work each. Threads that met after each of them
would wait for the slowest, which on a machine with other work is long; with a tile of its own no
thread waits for another.
"""

from __future__ import annotations

import importlib.util
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def answers(
    function: Callable[[Item], Answer], items: Iterable[Item], threads: int
) -> Iterator[tuple[Item, Answer]]:
    """Yield items, in order, and the answers of a function that runs on so many threads.

    One more item than there are threads is under way, so that none is idle while one is handed on.
    """
    if threads < 2:
        yield from ((item, function(item)) for item in items)
        return
    under_way: deque[Any] = deque()
    with _one_thread_of_blas, ThreadPoolExecutor(threads, "fastsw-tile") as pool:
        try:
            for item in items:
                under_way.append((item, pool.submit(function, item)))
                if len(under_way) > threads:
                    first, future = under_way.popleft()
                    yield first, future.result()
            while under_way:
                first, future = under_way.popleft()
                yield first, future.result()
        finally:
            for _, future in under_way:
                future.cancel()


class _Limit:
    """BLAS held to one thread as long as any call needs it, of whichever thread of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._limits: Any = None

    def __enter__(self) -> None:
        if importlib.util.find_spec("threadpoolctl") is None:
            return
        from threadpoolctl import threadpool_limits

        with self._lock:
            if self._calls == 0:
                self._limits = threadpool_limits(1, "blas")
            self._calls += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._calls -= self._calls > 0
            if self._calls == 0 and self._limits is not None:
                self._limits.restore_original_limits()
                self._limits = None


_one_thread_of_blas = _Limit()

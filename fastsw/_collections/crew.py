"""Several threads that work on a tile each.

A product and a batch of a tile are a millisecond's work each. Threads that met after each of them
would wait for the slowest, which on a machine with other work is long; with a tile of its own no
thread waits for another.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
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
    with _one_thread_of_blas(), ThreadPoolExecutor(threads, "fastsw-tile") as pool:
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


def _one_thread_of_blas() -> AbstractContextManager[Any]:
    """Have products use the thread that asks for them alone, where threadpoolctl can see to it."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(1, "blas")
    return limits

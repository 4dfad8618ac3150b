"""Memory of kernels: scratch arrays that each thread keeps, and arrays of answers."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

#: Gradients of a call from this size on are written past the caches, which could not hold them.
STREAMED_BYTES = 2**23

#: Bytes of a cache line.
LINE = 64

_local = threading.local()


def scratch(make: Callable[..., Any], key: tuple[Any, ...], sizes: tuple[int, ...]) -> Any:
    """This thread's scratch arrays of a kind, made anew when the sizes outgrow them."""
    have = _local.__dict__.setdefault("arrays", {})
    held, arrays = have.get((make, key), (None, None))
    if held is None or any(map(operator.gt, sizes, held)):
        if held is not None:
            sizes = tuple(map(max, sizes, held))
        arrays = make(*key, *sizes)
        have[make, key] = sizes, arrays
    return arrays


def aligned(threads: int, size: int, dtype: Any) -> np.ndarray:
    """Uninitialised array of rows of `size` or some more elements.

    Each starts a cache line, so that no vector straddles two and no two threads share one.
    """
    item = np.dtype(dtype).itemsize
    row = -(-size * item // LINE) * LINE
    rows: np.ndarray = _from_line(threads * row, np.empty).view(dtype)
    return rows.reshape(threads, row // item)


def output(shape: tuple[int, ...], dtype: Any, make: Callable[..., np.ndarray]) -> np.ndarray:
    """Array of gradients; a large one begins a cache line.

    The order in which the kernels sum what they write past the caches depends on where lines begin,
    and an answer must not depend on where memory was free.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < STREAMED_BYTES:
        return make(shape, dtype)
    cells: np.ndarray = _from_line(size, make).view(dtype)
    return cells.reshape(shape)


def _from_line(size: int, make: Callable[..., np.ndarray]) -> np.ndarray:
    """So many bytes, of which the first begins a cache line."""
    raw = make(size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size]

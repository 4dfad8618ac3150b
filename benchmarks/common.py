"""What all benchmarks share: shapes, inputs and thread counts."""

import numba
import numpy as np

try:  # at import, so that asv imports it once and forks
    import torch

    import fastsw._frontends.torch_tensors  # noqa: F401
except ImportError:
    torch = None

SHAPES = ["2x64x64", "64x64x64", "16x256x256", "4x1024x1024", "1x4096x4096"]
THREADS = [1, 2]
OPTIONS = {"gap_open": 1.0, "gap_extend": 0.1, "temperature": 1.0}


def size(shape):
    """(pairs, rows, columns) of a shape's name."""
    return tuple(int(side) for side in shape.split("x"))


def similarity(shape, dtype=np.float32):
    """Normal similarities, the same every time."""
    return np.random.default_rng(0).standard_normal(size(shape), dtype=np.float32).astype(dtype)


def use_threads(count):
    """Set Numba's thread count; skip the benchmark where it cannot be had."""
    if count > numba.config.NUMBA_NUM_THREADS:
        raise NotImplementedError(f"needs {count} processors")
    numba.set_num_threads(count)


def need_torch():
    """The torch module on one thread, so that only our own threads count; skip without it."""
    if torch is None:
        raise NotImplementedError("needs torch")
    torch.set_num_threads(1)
    return torch

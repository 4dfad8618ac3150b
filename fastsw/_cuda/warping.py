"""Entry points of the CUDA backend: the operators of soft-DTW on CUDA tensors."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from fastsw import _validation
from fastsw._cuda import layouts
from fastsw._cuda.inputs import compute_dtype, known_temperature, matrices, sides_of
from fastsw._cuda.kernels import dtw
from fastsw._cuda.kernels.penalties import NUMBER, WHOLE
from fastsw._cuda.runtime.compile import Kernel, blocks_of
from fastsw._cuda.runtime.memory import memory_of


class Warping(NamedTuple):
    """Soft-DTW values and gradients, pair by pair."""

    score: Any  # [B], float64
    cost: Any  # [B, N, M], dtype of the input
    temperature: Any  # [B], float64


def soft_dtw(cost, temperature, lengths, bandwidth):
    """``fastsw::soft_dtw``."""
    found = _warp(cost, temperature, lengths, bandwidth, with_gradients=False)
    return found.score.to(compute_dtype(cost.dtype))


def soft_dtw_gradient(cost, temperature, lengths, bandwidth, slope):
    """``fastsw::soft_dtw_gradient``."""
    found = _warp(cost, temperature, lengths, bandwidth, with_gradients=True)
    return (
        found.score.to(compute_dtype(cost.dtype)),
        found.cost.to(compute_dtype(cost.dtype)),
        found.temperature.to(compute_dtype(temperature.dtype)),
    )


def _warp(cost, temperature, lengths, bandwidth, *, with_gradients):
    """Check what the host knows, and run soft-DTW."""
    memory = memory_of(cost.device)
    with memory.current():
        value = known_temperature(temperature)
        sides = sides_of(lengths, tuple(cost.shape), cost.device, "cost")
        if lengths.device.type == "cpu":
            _validation.check_bandwidth(bandwidth, lengths.numpy())
        return run(matrices(cost), value, sides, bandwidth, memory, with_gradients=with_gradients)


@functools.cache
def dtw_kernel() -> Kernel:
    """The launchable kernel of soft-DTW."""
    return Kernel(dtw.dtw_kernel(), "dtw", dtw.WARPS)


def run(cost, temperature, lengths, bandwidth: int | None, memory, *, with_gradients) -> Warping:
    """Soft-DTW of every pair; gradients (d value / d cost, d value / d T) where asked for."""
    pairs, rows, columns = shape = tuple(cost.shape)
    out = Warping(
        memory.empty((pairs,), np.float64),
        memory.empty(shape if with_gradients else (1,), memory.dtype(cost)),
        memory.empty((pairs,), np.float64),
    )
    if pairs == 0:
        return out
    known = isinstance(temperature, float)
    layout = layouts.dtw(shape, with_gradients)
    blank = layout.blank
    dtw_kernel().launch(
        memory,
        blocks_of(memory, pairs, dtw.WARPS),
        (
            cost,
            blank if known else temperature,
            temperature if known else 0.0,
            NUMBER * known | WHOLE * (lengths is None),
            blank.of(np.int64) if lengths is None else lengths,
            pairs,
            rows,
            columns,
            -1 if bandwidth is None else bandwidth,
            int(with_gradients),
            *layout.parts,
            out.score,
            out.temperature,
            out.cost,
        ),
        memory.allocated(layout.workspace),
    )
    return out

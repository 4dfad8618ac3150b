"""Checked input of the CPU backend, and the records of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastsw import _validation
from fastsw._cpu.kernels.range_check import survey
from fastsw._cpu.runtime import thread_pool


class Sides(NamedTuple):
    """The lengths of all pairs, and these in short."""

    lengths: np.ndarray  # [B, 2], int64
    cells: int  # in all
    rows: int  # the most
    columns: int
    alike: bool

    def threads_for(self, order: np.ndarray) -> int:
        """How many threads some pairs are worth."""
        cells = self.cells
        if len(order) != len(self.lengths):
            cells = int(self.lengths[order].prod(axis=1).sum())
        return thread_pool.threads_for(len(order), cells)

    def largest_first(self, order: np.ndarray) -> np.ndarray:
        """Pairs by their cells, so that threads end together."""
        if self.alike:
            return order
        return order[np.argsort(-self.lengths[order].prod(axis=1), kind="stable")]

    def valid(self, order: np.ndarray) -> Iterator[tuple[int, slice, slice]]:
        """Where the cells of some pairs lie in arrays of all."""
        for b in order:
            n, m = self.lengths[b]
            yield b, slice(n), slice(m)


class Inputs(NamedTuple):
    """Arrays to align, in the form that kernels take: C-contiguous and read-only."""

    similarity: np.ndarray  # [B, N, M], float32 or float64
    penalties: tuple[np.ndarray, ...]  # 4 x [B|1, N|1, M|1], float64
    temperature: float
    mode: str
    sides: Sides

    @property
    def lengths(self) -> np.ndarray:
        """Rows and columns of each pair, [B, 2]."""
        return self.sides.lengths

    def of(self, order: np.ndarray) -> Inputs:
        """Some of the pairs."""
        return self._replace(
            similarity=ready(self.similarity[order], self.similarity.dtype),
            penalties=tuple(p if len(p) == 1 else ready(p[order], p.dtype) for p in self.penalties),
            sides=_sides(self.lengths[order], self.similarity.shape, "similarity"),
        )

    def in_float64(self) -> Inputs:
        """The same pairs with float64 similarities."""
        return self._replace(similarity=ready(self.similarity, np.float64))


class Costs(NamedTuple):
    """Arrays to warp, in the form that kernels take."""

    cost: np.ndarray  # [B, N, M], float32 or float64
    temperature: float
    band: int  # -1 for none
    sides: Sides


class Paths(NamedTuple):
    """One optimal path a pair."""

    score: np.ndarray  # [B], float64
    pairs: np.ndarray  # [B, K, 2], int64, the first counts[b] are set
    counts: np.ndarray  # [B], int64


class Warping(NamedTuple):
    """Soft-DTW values and gradients, pair by pair, or the derivatives of both."""

    score: np.ndarray  # [B], float64
    cost: np.ndarray  # [B, N, M], dtype of the input
    temperature: np.ndarray  # [B], float64


def prepare(
    similarity: np.ndarray,
    penalties: tuple[np.ndarray, ...],
    temperature: Any,
    mode: str,
    lengths: np.ndarray,
) -> Inputs:
    """Check values and bring arrays into the kernels' form."""
    open_x, extend_x, open_y, extend_y = penalties
    columns = ready(open_x, np.float64), ready(extend_x, np.float64)
    rows = columns
    if open_y is not open_x or extend_y is not extend_x:
        rows = ready(open_y, np.float64), ready(extend_y, np.float64)
    penalties = *columns, *rows
    temperature = float(temperature)
    _validation.check_values(penalties, temperature)
    sides = _sides(lengths, similarity.shape, "similarity")
    return Inputs(ready(similarity, dtype_of(similarity)), penalties, temperature, mode, sides)


def prepare_costs(
    cost: np.ndarray, temperature: Any, lengths: np.ndarray, bandwidth: int | None
) -> Costs:
    """Check values and bring arrays into the kernels' form."""
    temperature = float(temperature)
    _validation.check_temperature(temperature)
    sides = _sides(lengths, cost.shape, "cost")
    _validation.check_bandwidth(bandwidth, sides.lengths)
    band = -1 if bandwidth is None else bandwidth
    return Costs(ready(cost, dtype_of(cost)), temperature, band, sides)


def _sides(lengths: np.ndarray, shape: tuple[int, ...], name: str) -> Sides:
    """The lengths of matrices of a shape, which they must fit."""
    lengths = ready(lengths, np.int64)
    fit, *short = survey(lengths, *shape[1:])
    if not fit:
        _validation.check_lengths(lengths, shape, name)
    return Sides(lengths, *short)


def dtype_of(matrices: np.ndarray) -> type[np.floating]:
    """The dtype that kernels take matrices in."""
    return np.float64 if matrices.dtype.itemsize == 8 else np.float32


def ready(array: np.ndarray, dtype: Any) -> np.ndarray:
    """Read-only C-contiguous view or copy."""
    view = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view

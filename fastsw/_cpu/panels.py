"""One pair whose similarities are at hand a panel of rows at a time, and are not kept.

The strips of `kernels.intra_pair` need the similarities of their own rows alone, and from the strip
above one boundary row. So a panel of strips is filled, aligned and forgotten. The forward pass
keeps the boundary row above each panel; the backward pass takes the panels in reverse, fills each
once more, and does its forward pass again for the boundary rows within. Of N rows and M columns in
panels of R, that is R M similarities and as many posteriors, and N / R rows kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastsw._cpu.inputs import ready
from fastsw._cpu.kernels import intra_pair
from fastsw._cpu.kernels.intra_pair import WHOLE, Window
from fastsw._cpu.kernels.range_check import (
    BLOCK32,
    BLOCK64,
    CELL32,
    CELL64,
    NON_FINITE,
    doubt,
    route_by_extremes,
)
from fastsw._cpu.kernels.strip import fields, pair_arrays, row_length, strip_height, thread_arrays
from fastsw._cpu.routing import LINEAR
from fastsw._cpu.runtime import thread_pool
from fastsw._types import LOCAL, MODES

#: Receives the first row of a panel, one past its last, its similarities and its posteriors.
Taker = Callable[[int, int, np.ndarray, np.ndarray], None]


class Pair(NamedTuple):
    """A pair to align in panels."""

    rows: int
    columns: int
    dtype: np.dtype[Any]  # of similarities
    fill: Callable[[int, int, np.ndarray], None]  # sets similarities of rows `start` to `stop`
    penalties: tuple[np.ndarray, ...]  # 4 x [1, N|1, M|1], float64
    temperature: float
    mode: str
    height: int | None = None  # rows of a panel, about

    def panel_rows(self) -> int:
        """Rows of a panel: what is filled weighs about as much as what is kept."""
        return self.height or max(64, math.isqrt(3 * self.rows // 2))


class Found(NamedTuple):
    """The score of a pair and its gradients, but for those that went to a `Taker`."""

    score: float
    penalties: tuple[np.ndarray, ...]  # in the form of the pair's
    temperature: float


class Survey(NamedTuple):
    """Which kernel a pair needs."""

    route: int
    floor: float
    bounds: tuple[float, float]


def survey(pair: Pair) -> Survey:
    """Look at all similarities once, and choose the kernel as for a matrix."""
    top, low = -np.inf, np.inf
    cells = np.empty((pair.panel_rows(), pair.columns), pair.dtype)
    for start in range(0, pair.rows, len(cells)):
        panel = cells[: min(len(cells), pair.rows - start)]
        pair.fill(start, start + len(panel), panel)
        highest, lowest = float(panel.max()), float(panel.min())
        if not highest < np.inf:  # NaN too
            return Survey(NON_FINITE, 0.0, (0.0, 0.0))
        if lowest == -np.inf:
            lowest = float(panel.min(where=panel > -np.inf, initial=np.inf))
        top, low = max(top, highest), min(low, lowest)
    single = pair.dtype.itemsize == 4
    route, floor, gains, magnitudes = route_by_extremes(
        top,
        low,
        pair.penalties,
        pair.temperature,
        MODES[pair.mode],
        pair.rows,
        pair.columns,
        single,
    )
    return Survey(route, floor, (gains, magnitudes))


def takes(found: Survey) -> bool:
    """Tell whether strips can align a pair: the range of linear space suffices."""
    return found.route in LINEAR or found.route == NON_FINITE


def score(pair: Pair, found: Survey) -> float:
    """The score alone."""
    if found.route == NON_FINITE:
        return math.nan
    return _Run(pair, found, with_gradients=False).forward()


def gradients(pair: Pair, found: Survey, take: Taker, *, slope: bool) -> Found:
    """The score and its gradients; posteriors go to `take`, the last rows first.

    Without `slope` that of the temperature may be inaccurate.
    """
    shapes = [(1, *penalty.shape[1:]) for penalty in pair.penalties]
    if found.route == NON_FINITE:
        nothing = np.full((1, pair.columns), np.nan, pair.dtype)
        for start in range(pair.rows):
            take(start, start + 1, nothing, nothing)
        return Found(math.nan, tuple(np.full(shape, np.nan) for shape in shapes), math.nan)
    run = _Run(pair, found, with_gradients=True)
    total = run.forward()
    if total == -np.inf:
        return Found(total, tuple(np.zeros(shape) for shape in shapes), 0.0)
    answer = run.backward(take)
    if slope and _is_doubtful(answer, found, pair):
        return answer._replace(temperature=_entropy(pair, found))
    return answer


def _is_doubtful(answer: Found, found: Survey, pair: Pair) -> bool:
    """Whether rounding may have spoilt the entropy."""
    one = np.array([found.route]), np.array([[bound] for bound in found.bounds])
    values = np.array([answer.score]), np.array([answer.temperature])
    return bool(doubt(*one, *values, pair.temperature))


def _entropy(pair: Pair, found: Survey) -> float:
    """The entropy in double precision, which the backend trusts where its bounds say so."""
    wide = pair._replace(dtype=np.dtype(np.float64))
    double = {BLOCK32: BLOCK64, CELL32: CELL64}.get(found.route, found.route)
    run = _Run(wide, found._replace(route=double), with_gradients=True)
    run.forward()
    return run.backward(lambda *panel: None).temperature


class _Run:
    """The kernel's arrays for a pair, and its calls."""

    def __init__(self, pair: Pair, found: Survey, *, with_gradients: bool) -> None:
        bits, exponents = LINEAR[found.route]
        dtype = np.dtype(np.float32 if bits == 32 else np.float64)
        by_column = pair.penalties[0].shape[2] > 1 or pair.penalties[1].shape[2] > 1
        origin = 0 if MODES[pair.mode] == LOCAL else 1
        lanes = strip_height(bits, pair.rows)
        self._pair, self._origin, self._lanes = pair, origin, lanes
        self._strips = -(-(pair.rows + origin) // lanes)
        self._held = min(self._strips, max(1, pair.panel_rows() // lanes))
        self._kernel = intra_pair.kernels(bits, lanes, by_column, False, exponents)
        shared_by = thread_pool.thread_count()
        if pair.rows * pair.columns < thread_pool.SHARED_CELLS:
            shared_by = 1
        self._threads = min(shared_by, self._held)
        panel = 1, self._held * lanes, pair.columns
        self._cells = np.zeros(panel, dtype)
        self._posteriors = np.zeros(panel if with_gradients else (1, 1, 1), dtype)
        self._work = thread_arrays(
            bits, lanes, with_gradients, False, self._threads, lanes - 1, pair.columns
        )
        sizes = 1, pair.rows, pair.columns, self._held
        self._shared = pair_arrays(bits, lanes, by_column, with_gradients, False, *sizes)
        self._length = row_length(pair.columns + origin, lanes)
        self._edges = fields(False)[1] * self._length
        self._penalties = tuple(ready(p, np.float64) for p in pair.penalties)
        self._gradients = tuple(np.zeros((1, *p.shape[1:])) for p in pair.penalties)
        self._floors, self._score, self._slope = np.array([found.floor]), np.zeros(1), np.zeros(1)
        self._kept: list[tuple[np.ndarray, np.ndarray]] = []
        self._keeps = with_gradients

    def forward(self) -> float:
        """Forward pass over all panels; the score."""
        self._call(intra_pair.SET_UP, WHOLE)
        for window in self._windows():
            if self._keeps:
                self._kept.append(self._boundary())
            self._fill(window)
            self._shared.counters[0, 0] = window.first
            self._call(intra_pair.FORWARD, window)
        self._call(intra_pair.FINISH, WHOLE)
        return float(self._score[0])

    def backward(self, take: Taker) -> Found:
        """Backward pass over all panels, after the forward pass."""
        shared = self._shared
        for window in reversed(list(self._windows())):
            if window.last < self._strips:  # else it is the one that the forward pass ended with
                self._fill(window)
            edges, exponents = self._kept.pop()
            shared.boundary[0, : self._edges] = edges
            shared.boundary_k[0, : self._length] = exponents
            shared.done[0, window.first : window.last] = 0
            shared.counters[0] = window.first, self._strips - window.last
            for phase in (intra_pair.FORWARD, intra_pair.BACKWARD, intra_pair.GATHER):
                self._call(phase, window, with_gradients=True)
            start, stop = self._rows_of(window)
            take(
                start,
                stop,
                self._cells[0, : stop - start],
                self._posteriors[0, : stop - start],
            )
        self._call(intra_pair.FINISH, WHOLE, with_gradients=True)
        return Found(float(self._score[0]), self._gradients, float(self._slope[0]))

    def _windows(self) -> Iterator[Window]:
        for first in range(0, self._strips, self._held):
            last = min(first + self._held, self._strips)
            yield Window(first, last, max(0, first * self._lanes - self._origin))

    def _rows_of(self, window: Window) -> tuple[int, int]:
        return window.row, min(self._pair.rows, window.last * self._lanes - self._origin)

    def _boundary(self) -> tuple[np.ndarray, np.ndarray]:
        """The row that the last strip left."""
        edges = self._shared.boundary[0, : self._edges].copy()
        return edges, self._shared.boundary_k[0, : self._length].copy()

    def _fill(self, window: Window) -> None:
        """Set the similarities of a panel."""
        start, stop = self._rows_of(window)
        panel = self._cells[0, : stop - start]
        if panel.dtype == self._pair.dtype:
            self._pair.fill(start, stop, panel)
            return
        narrow = np.empty(panel.shape, self._pair.dtype)
        self._pair.fill(start, stop, narrow)
        panel[...] = narrow

    def _call(self, phase: int, window: Window, *, with_gradients: bool = False) -> None:
        """One phase of the kernel, on all threads where they can share it."""
        count = 1
        if phase in (intra_pair.FORWARD, intra_pair.BACKWARD):
            count = self._threads
        pair, cells = self._pair, ready(self._cells, self._cells.dtype)
        thread_pool.run_on_threads(
            self._kernel,
            count,
            [0] * count,
            cells.reshape(-1),
            cells.shape,
            self._penalties,
            pair.temperature,
            MODES[pair.mode],
            ready(np.array([[pair.rows, pair.columns]]), np.int64),
            self._floors,
            (cells.reshape(-1), self._penalties),
            self._work,
            self._shared,
            (self._posteriors.reshape(-1), *self._gradients),
            self._score,
            self._slope,
            with_gradients,
            phase,
            window,
        )

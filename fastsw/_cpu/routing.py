"""The plan of a call: which kernel each pair goes to.

A pair may be empty (a side of length 0, or no alignment), non-finite (NaN or +inf in a valid cell)
or sound. Sound pairs go to the kernels of temperature 0; to those of linear space, in single or
double precision, with an exponent for a block of cells or for each, where their range is proven to
suffice (`kernels.range_check`); and to those of log space elsewhere.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastsw._cpu.inputs import Costs, Inputs, Sides
from fastsw._cpu.kernels.range_check import (
    BLOCK32,
    BLOCK64,
    CELL32,
    CELL64,
    EMPTY,
    LOG,
    NON_FINITE,
    ROUTES,
    UNIT32,
    UNIT64,
    VITERBI,
    doubt,
    planner,
)
from fastsw._cpu.runtime import thread_pool
from fastsw._cpu.simd.scaled import LOG2E
from fastsw._cpu.simd.vectors import native_lanes
from fastsw._types import MODES

#: Routes of linear space: bits of a number, and what shares an exponent.
LINEAR = {
    BLOCK32: (32, "block"),
    BLOCK64: (64, "block"),
    CELL32: (32, "cell"),
    CELL64: (64, "cell"),
}

#: Sums of magnitudes above this one could leave the range of doubles.
LARGEST = 1e300

#: Temperatures below this one leave the range of what divides by them.
COLDEST = 1e-290

#: Cost / T in bits up to which the exponents of a cell, and of a path, are exact.
REACH32, PATH32, PATH64 = 2.0**22, 2.0**27, 2.0**50


class Plan(NamedTuple):
    """What one pass over the values tells of each pair."""

    routes: np.ndarray  # [B]
    counts: list[int]  # pairs of each route
    everyone: np.ndarray  # [B], 0 .. B - 1
    floors: np.ndarray  # [B], at or below it a cell counts as forbidden
    bounds: np.ndarray  # [2, B], of twice an alignment's gains, and of its terms' magnitudes

    def taken(self) -> list[int]:
        """The routes that pairs take."""
        return [route for route, count in enumerate(self.counts) if count]

    def pairs_of(self, route: int, sides: Sides) -> np.ndarray:
        """The pairs that take a route, the largest first."""
        if self.counts[route] == len(self.routes):
            return sides.largest_first(self.everyone)
        return sides.largest_first(np.flatnonzero(self.routes == route))

    def to_log_space(self, which: np.ndarray) -> Plan:
        """The plan with those of some pairs that linear space was to take in log space."""
        routes = np.where((self.routes >= BLOCK32) & which, LOG, self.routes)
        return self._replace(routes=routes, counts=np.bincount(routes, minlength=ROUTES).tolist())

    def scale_of(self, order: np.ndarray, temperature: float) -> float:
        """A power of two that keeps sums of some pairs, and 1 / T, in the range of doubles."""
        magnitudes = self.bounds[1, order]
        if not (magnitudes < LARGEST).all():
            return 2.0**-64
        small = 0.0 < temperature < COLDEST and (magnitudes < 1e100).all()
        return 2.0**256 if small else 1.0

    def doubtful(
        self, scores: np.ndarray, entropies: np.ndarray, temperature: float
    ) -> np.ndarray | None:
        """Pairs whose entropy the linear kernels may miss by more than is admitted, if any."""
        if not doubt(self.routes, self.bounds, scores, entropies, temperature):
            return None
        return np.flatnonzero(self.bounds[0] == np.inf)

    def in_single(self, order: np.ndarray) -> np.ndarray:
        """Which of some pairs linear space takes in single precision."""
        routes = self.routes[order]
        return (routes == BLOCK32) | (routes == CELL32)


def plan_alignment(inputs: Inputs) -> Plan:
    """Choose a kernel for every pair to align."""
    similarity, penalties, temperature, mode, sides = inputs
    pairs = len(sides.lengths)
    routes, counts = np.empty(pairs, np.int64), np.zeros(ROUTES, np.int64)
    everyone, floors, bounds = np.arange(pairs), np.empty(pairs), np.empty((2, pairs))
    bits = 8 * similarity.itemsize
    lanes = native_lanes(bits)
    threads = thread_pool.threads_for(pairs, sides.cells)
    thread_pool.run_on_threads(
        planner(bits, lanes),
        threads,
        everyone,
        similarity.reshape(-1),
        similarity.shape,
        penalties,
        temperature,
        MODES[mode],
        sides.lengths,
        np.empty((threads, 3 * lanes), similarity.dtype),
        routes,
        floors,
        bounds,
        counts,
    )
    return Plan(routes, counts.tolist(), everyone, floors, bounds)


def plan_warping(costs: Costs) -> Plan:
    """Choose a kernel for every pair to warp."""
    cost, temperature, _, sides = costs
    pairs = len(sides.lengths)
    routes, floors, bounds = np.full(pairs, EMPTY), np.zeros(pairs), np.zeros((2, pairs))
    for b in np.flatnonzero(sides.lengths.all(axis=1)):
        n, m = sides.lengths[b]
        valid = cost[b, :n, :m]
        if not valid.min() > -np.inf:
            routes[b] = NON_FINITE
            continue
        finite = valid[valid < np.inf]
        low, top = np.float64(finite.min(initial=0.0)), np.float64(finite.max(initial=0.0))
        largest = max(-low, top)
        with np.errstate(over="ignore"):
            floors[b] = -2.0 * top - 1.0
            bounds[:, b] = -2.0 * low * (n + m), largest * (n + m)
        routes[b] = _warping_route(largest, n + m, temperature, cost.dtype)
    counts = np.bincount(routes, minlength=ROUTES).tolist()
    return Plan(routes, counts, np.arange(pairs), floors, bounds)


def _warping_route(
    largest: np.float64, steps: int, temperature: float, dtype: np.dtype[Any]
) -> int:
    """The kernel for a sound pair to warp, of costs up to the largest."""
    if temperature == 0.0:
        return VITERBI
    with np.errstate(over="ignore"):
        unit = LOG2E / np.float64(temperature)
        reach = largest * unit if unit < np.inf else np.inf
        path = reach * steps
    if dtype == np.float32 and reach < REACH32 and path < PATH32 and unit < UNIT32:
        return CELL32
    return CELL64 if path < PATH64 and unit < UNIT64 else LOG

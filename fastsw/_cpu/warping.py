"""Soft-DTW on the CPU: sort the pairs by kernels that suit them, and run these; see `backend`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsw import _validation
from fastsw._cpu.backend import largest_first, ready, scale_of
from fastsw._cpu.kernels import dtw
from fastsw._cpu.kernels.dtw import viterbi_dtw
from fastsw._cpu.kernels.log_space import DERIVATIVES, ENTROPIES, VALUES
from fastsw._cpu.kernels.log_space_dtw import warp
from fastsw._cpu.routing import (
    ROUNDING32,
    ROUNDING64,
    TOLERANCE32,
    TOLERANCE64,
    UNIT32,
    UNIT64,
)
from fastsw._cpu.runtime import thread_pool
from fastsw._cpu.runtime.workspace import output
from fastsw._cpu.simd.scaled import LOG2E
from fastsw._cpu.simd.vectors import native_lanes

EMPTY, NON_FINITE, VITERBI, SINGLE, DOUBLE, LOG = range(6)

#: Cost / T in bits up to which the exponents of a cell, and of a path, are exact.
CELL32, PATH32, PATH64 = 2.0**22, 2.0**27, 2.0**50


class Warping(NamedTuple):
    """Soft-DTW values and gradients, pair by pair, or the derivatives of both."""

    score: np.ndarray  # [B], float64
    cost: np.ndarray  # [B, N, M], dtype of the input
    temperature: np.ndarray  # [B], float64


class _Job(NamedTuple):
    """Checked input of a call, and what is known of its pairs."""

    cost: np.ndarray  # [B, N, M], float32 or float64
    temperature: float
    lengths: np.ndarray  # [B, 2], int64
    band: int  # -1 for none
    routes: np.ndarray  # [B]
    low: np.ndarray  # [B], the extreme finite costs, and 0
    top: np.ndarray
    out: Warping

    def pairs(self, route):
        """The pairs of a route."""
        return largest_first(np.flatnonzero(self.routes == route), self.lengths)

    def threads_for(self, order):
        """How many threads some pairs are worth."""
        return thread_pool.threads_for(len(order), self.lengths[order].prod(axis=1).sum())


def soft_dtw(
    cost, temperature, lengths, bandwidth: int | None, *, with_gradients: bool, slope: bool = True
) -> Warping:
    """Soft-DTW of every pair; gradients (d value / d cost, d value / d T) where asked for.

    Without `slope` the derivative in T may be inaccurate.
    """
    job = _prepare(cost, temperature, lengths, bandwidth, with_gradients)
    for route, run in ((VITERBI, _viterbi), (SINGLE, _linear), (DOUBLE, _linear), (LOG, _robust)):
        order = job.pairs(route)
        if order.size:
            run(job, order, route, with_gradients)
    if with_gradients and slope:
        order = _doubtful(job)
        if order.size:
            job.out.temperature[order] = -_shares(job, order, ENTROPIES, False)[order, 1]
    return job.out


def soft_dtw_tangents(
    cost, temperature, lengths, bandwidth: int | None, dot_cost, dot_temperature
) -> Warping:
    """Directional derivatives of the values and of their gradients (Hessian-vector products).

    Each pair has its own direction (dot_cost [B, N, M], dot_temperature [B]).
    """
    job = _prepare(cost, temperature, lengths, bandwidth, True)
    job.routes[(job.routes == SINGLE) | (job.routes == DOUBLE)] = LOG
    order = job.pairs(LOG)
    if order.size:
        result = _shares(job, order, DERIVATIVES, True, dot_cost, dot_temperature)
        job.out.score[order] = -result[order, 0]
        job.out.temperature[order] = -result[order, 2]
    others = job.routes != NON_FINITE
    others[order] = False
    job.out.score[others] = 0.0
    return job.out


def _prepare(cost, temperature, lengths, bandwidth, with_gradients) -> _Job:
    """Check values, and choose a kernel for every pair."""
    dtype = np.dtype(np.float64 if cost.dtype.itemsize == 8 else np.float32)
    cost, lengths = ready(cost, dtype), ready(lengths, np.int64)
    temperature = float(temperature)
    _validation.check_temperature(temperature)
    _validation.check_lengths(lengths, cost.shape, "cost")
    _validation.check_bandwidth(bandwidth, lengths)
    pairs = len(lengths)
    out = Warping(
        np.full(pairs, np.inf),
        output(cost.shape if with_gradients else (1, 1, 1), dtype, np.zeros),
        np.zeros(pairs),
    )
    low, top = np.zeros(pairs), np.zeros(pairs)
    routes = np.full(pairs, EMPTY)
    for b in np.flatnonzero(lengths.all(axis=1)):
        n, m = lengths[b]
        valid = cost[b, :n, :m]
        if not valid.min() > -np.inf:
            routes[b] = NON_FINITE
            out.score[b] = out.temperature[b] = np.nan
            if with_gradients:
                out.cost[b, :n, :m] = np.nan
            continue
        finite = valid[valid < np.inf]
        low[b], top[b] = finite.min(initial=0.0), finite.max(initial=0.0)
        routes[b] = _route(low[b], top[b], n + m, temperature, dtype)
    band = -1 if bandwidth is None else bandwidth
    return _Job(cost, temperature, lengths, band, routes, low, top, out)


def _route(low, top, steps, temperature, dtype):
    """The kernel for a sound pair."""
    if temperature == 0.0:
        return VITERBI
    with np.errstate(over="ignore"):
        unit = LOG2E / np.float64(temperature)
        reach = max(-low, top) * unit if unit < np.inf else np.inf
        path = reach * steps
    if dtype == np.float32 and reach < CELL32 and path < PATH32 and unit < UNIT32:
        return SINGLE
    return DOUBLE if path < PATH64 and unit < UNIT64 else LOG


def _viterbi(job, order, route, with_gradients):
    """Pairs at temperature 0."""
    result = np.zeros((len(job.lengths), 2))
    out = job.out.cost
    thread_pool.spread(
        viterbi_dtw,
        job.threads_for(order),
        order,
        job.cost,
        job.lengths,
        job.band,
        out,
        result,
        with_gradients,
    )
    job.out.score[order] = result[order, 0]


def _linear(job, order, route, with_gradients):
    """Pairs whose exponents integers can hold."""
    bits, real = (32, np.float32) if route == SINGLE else (64, np.float64)
    with np.errstate(over="ignore"):
        similarity = ready(-job.cost, real)
    target, result = job.out.cost, np.zeros((len(job.lengths), 2))
    if target.dtype != real:
        target = output(target.shape, np.dtype(real), np.zeros)
    rows, columns = (int(k) for k in job.lengths[order].max(axis=0))
    threads, lanes = job.threads_for(order), native_lanes(bits)
    thread_pool.spread(
        dtw.kernels(bits, lanes),
        threads,
        order,
        similarity.reshape(-1),
        similarity.shape,
        job.temperature,
        job.lengths,
        -2.0 * job.top[order].max() - 1.0,
        job.band,
        dtw.workspace(bits, lanes, threads, rows, columns, with_gradients=with_gradients),
        target.reshape(-1),
        result,
        with_gradients,
    )
    job.out.score[order] = -result[order, 0]
    job.out.temperature[order] = -result[order, 1]
    if target is not job.out.cost and with_gradients:
        for b in order:
            n, m = job.lengths[b]
            job.out.cost[b, :n, :m] = target[b, :n, :m]


def _robust(job, order, route, with_gradients):
    """Pairs of any range."""
    result = _shares(job, order, ENTROPIES if with_gradients else VALUES, with_gradients)
    job.out.score[order] = -result[order, 0]
    job.out.temperature[order] = -result[order, 1]


def _shares(job, order, carried, with_gradients, dot_cost=None, dot_temperature=None):
    """Minus the values (or their derivatives), entropies and the derivatives of these, [B, 3]."""
    result = np.zeros((len(job.lengths), 3))
    with np.errstate(over="ignore"):
        magnitudes = np.maximum(-job.low, job.top)[order] * job.lengths[order].sum(axis=1)
    thread_pool.spread(
        warp,
        job.threads_for(order),
        order,
        job.cost,
        scale_of(magnitudes, job.temperature),
        job.temperature,
        job.lengths,
        job.band,
        ready(job.cost if dot_cost is None else dot_cost, job.cost.dtype),
        ready(np.zeros(1) if dot_temperature is None else dot_temperature, np.float64),
        job.out.cost,
        result,
        carried,
        with_gradients,
    )
    return result


def _doubtful(job):
    """Pairs whose entropy the linear kernel may miss by more than is admitted; see `routing`."""
    score, entropy = job.out.score, -job.out.temperature
    slack = np.where(job.routes == SINGLE, ROUNDING32 / TOLERANCE32, ROUNDING64 / TOLERANCE64)
    with np.errstate(invalid="ignore", over="ignore"):  # a pair without a path is infinitely bad
        gains = -2.0 * job.low * job.lengths.sum(axis=1)
        sizes = (gains + score) / job.temperature + np.abs(entropy) if job.temperature else score
        within = (slack * sizes <= np.maximum(1.0, entropy)) | (score == np.inf)
    return np.flatnonzero(((job.routes == SINGLE) | (job.routes == DOUBLE)) & ~within)

"""Soft-DTW on the CPU: how the plan of a call is run; see `backend`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastsw._cpu import routing
from fastsw._cpu.inputs import Costs, Warping, prepare_costs, ready
from fastsw._cpu.kernels import dtw
from fastsw._cpu.kernels.dtw import viterbi_dtw
from fastsw._cpu.kernels.log_space_dtw import warp
from fastsw._cpu.kernels.range_check import CELL32, CELL64, EMPTY, LOG, NON_FINITE, VITERBI
from fastsw._cpu.routing import Plan
from fastsw._cpu.runtime import thread_pool
from fastsw._cpu.runtime.workspace import output
from fastsw._cpu.simd.vectors import native_lanes
from fastsw._types import GRADIENT, SCORE, TANGENT


def soft_dtw(
    cost: np.ndarray,
    temperature: Any,
    lengths: np.ndarray,
    bandwidth: int | None,
    *,
    with_gradients: bool,
    slope: bool = True,
) -> Warping:
    """Soft-DTW of every pair; gradients (d value / d cost, d value / d T) where asked for.

    Without `slope` the derivative in T may be inaccurate.
    """
    costs = prepare_costs(cost, temperature, lengths, bandwidth)
    plan = routing.plan_warping(costs)
    job = _Job(
        costs, GRADIENT if with_gradients else SCORE, None, _outputs(costs, with_gradients), plan
    )
    _run(job)
    if with_gradients and slope:
        _refine(job)
    return job.out


def soft_dtw_tangents(
    cost: np.ndarray,
    temperature: Any,
    lengths: np.ndarray,
    bandwidth: int | None,
    dot_cost: np.ndarray,
    dot_temperature: np.ndarray,
) -> Warping:
    """Directional derivatives of the values and of their gradients (Hessian-vector products).

    Each pair has its own direction (dot_cost [B, N, M], dot_temperature [B]).
    """
    costs = prepare_costs(cost, temperature, lengths, bandwidth)
    plan = routing.plan_warping(costs)
    plan = plan.to_log_space(np.full(len(plan.routes), True))
    dots = ready(dot_cost, costs.cost.dtype), ready(dot_temperature, np.float64)
    job = _Job(costs, TANGENT, dots, _outputs(costs, True), plan)
    _run(job)
    return job.out


class _Job(NamedTuple):
    """What the kernels of one call share."""

    costs: Costs
    want: int
    dots: tuple[np.ndarray, np.ndarray] | None  # of costs and temperature, where wanted
    out: Warping
    plan: Plan


def _outputs(costs: Costs, with_gradients: bool) -> Warping:
    """Arrays for the answers."""
    pairs, shape = len(costs.sides.lengths), costs.cost.shape if with_gradients else (1, 1, 1)
    return Warping(np.zeros(pairs), output(shape, costs.cost.dtype, np.zeros), np.zeros(pairs))


def _run(job: _Job) -> None:
    """Send every pair to its kernel."""
    for route in job.plan.taken():
        _ROUTES[route](job, job.plan.pairs_of(route, job.costs.sides))


def _refine(job: _Job) -> None:
    """Compute entropies that rounding may have spoilt anew in log space."""
    out = job.out
    order = job.plan.doubtful(-out.score, -out.temperature, job.costs.temperature)
    if order is not None:
        out.temperature[order] = -_log_weights(job, order, SCORE)[order, 1]


def _empty(job: _Job, order: np.ndarray) -> None:
    """Pairs with an empty side: no path exists."""
    job.out.score[order] = np.inf if job.want != TANGENT else 0.0


def _non_finite(job: _Job, order: np.ndarray) -> None:
    """Pairs with NaN or -inf: all of the answer is NaN."""
    job.out.score[order] = job.out.temperature[order] = np.nan
    if job.want != SCORE:
        for cells in job.costs.sides.valid(order):
            job.out.cost[cells] = np.nan


def _viterbi(job: _Job, order: np.ndarray) -> None:
    """Pairs at temperature 0, where values do not bend."""
    if job.want == TANGENT:
        return
    cost, _, band, sides = job.costs
    found = np.zeros((len(sides.lengths), 2))
    thread_pool.run_on_threads(
        viterbi_dtw,
        sides.threads_for(order),
        order,
        cost,
        sides.lengths,
        band,
        job.out.cost,
        found,
        job.want != SCORE,
    )
    job.out.score[order] = found[order, 0]


def _linear(job: _Job, order: np.ndarray, *, bits: int) -> None:
    """Pairs whose exponents integers can hold."""
    cost, temperature, band, sides = job.costs
    with_gradients = job.want != SCORE
    real = np.float32 if bits == 32 else np.float64
    with np.errstate(over="ignore"):
        similarity = ready(-cost, real)
    target, found = job.out.cost, np.zeros((len(sides.lengths), 2))
    if target.dtype != real:
        target = output(target.shape, np.dtype(real), np.zeros)
    rows, columns = (int(k) for k in sides.lengths[order].max(axis=0))
    threads, lanes = sides.threads_for(order), native_lanes(bits)
    thread_pool.run_on_threads(
        dtw.kernels(bits, lanes),
        threads,
        order,
        similarity.reshape(-1),
        similarity.shape,
        temperature,
        sides.lengths,
        job.plan.floors[order].min(),
        band,
        dtw.workspace(bits, lanes, threads, rows, columns, with_gradients=with_gradients),
        target.reshape(-1),
        found,
        with_gradients,
    )
    job.out.score[order] = -found[order, 0]
    job.out.temperature[order] = -found[order, 1]
    if target is not job.out.cost and with_gradients:
        for cells in sides.valid(order):
            job.out.cost[cells] = target[cells]


def _log_space(job: _Job, order: np.ndarray) -> None:
    """Pairs of any range."""
    found = _log_weights(job, order, job.want)
    job.out.score[order] = -found[order, 0]
    job.out.temperature[order] = -found[order, 1]


def _log_weights(job: _Job, order: np.ndarray, want: int) -> np.ndarray:
    """Minus the values, and the entropies; or the tangents of both."""
    cost, temperature, band, sides = job.costs
    found = np.zeros((len(sides.lengths), 2))
    thread_pool.run_on_threads(
        warp,
        sides.threads_for(order),
        order,
        cost,
        job.plan.scale_of(order, temperature),
        temperature,
        sides.lengths,
        band,
        job.dots or (cost, None),
        job.out.cost,
        found,
        want != SCORE,
    )
    return found


_ROUTES: dict[int, Callable[[_Job, np.ndarray], None]] = {
    EMPTY: _empty,
    NON_FINITE: _non_finite,
    VITERBI: _viterbi,
    CELL32: functools.partial(_linear, bits=32),
    CELL64: functools.partial(_linear, bits=64),
    LOG: _log_space,
}

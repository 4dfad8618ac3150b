"""Entry points of the CPU backend: sort the pairs by the kernel that suits them, and run it.

A pair may be void (a side of length 0), poisoned (NaN or +inf in a valid cell) or sound. `routing`
decides; sound pairs go to the hard kernels at temperature 0, to the fast linear-space kernel where
its range is proven to suffice, and to the robust log-space kernel elsewhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastsw import _validation
from fastsw._cpu.kernels import inter_pair, max_plus
from fastsw._cpu.kernels.intra_pair import (
    ALL,
    BACKWARD,
    FINISH,
    FORWARD,
    SET_UP,
    kernels,
)
from fastsw._cpu.kernels.log_space import DERIVATIVES, ENTROPIES, VALUES, align
from fastsw._cpu.kernels.sampling import draw_alignments
from fastsw._cpu.kernels.strip import pair_arrays, strip_height, thread_arrays
from fastsw._cpu.kernels.viterbi import viterbi_paths
from fastsw._cpu.routing import (
    BLOCK32,
    BLOCK64,
    CELL32,
    CELL64,
    EMPTY,
    LOG,
    NON_FINITE,
    VITERBI,
    add_up,
    doubt,
    planner,
    survey,
)
from fastsw._cpu.runtime import thread_pool
from fastsw._cpu.runtime.workspace import output, scratch
from fastsw._cpu.simd.vectors import native_lanes
from fastsw._types import MODES

SCORE, GRADIENT, TANGENT = 0, 1, 2

#: Sums of magnitudes, over T, up to which the linear kernels give second derivatives in T: they are
#: differences of products of two such sums, right to some 1e-13. By dtype of the similarities, for
#: errors of 1e-6 and 1e-8.
SQUARED32, SQUARED64 = 3e3, 100.0

#: Sums of magnitudes above this one could leave the range of doubles.
LARGEST = 1e300

#: Temperatures below this one leave the range of what divides by them.
COLDEST = 1e-290


class Sizes(NamedTuple):
    """The lengths of all pairs in short."""

    cells: int  # in all
    rows: int  # the most
    columns: int
    alike: bool


class Inputs(NamedTuple):
    """Checked arrays in the form that kernels take: C-contiguous and read-only."""

    similarity: np.ndarray  # [B, N, M], float32 or float64
    penalties: tuple[np.ndarray, ...]  # 4 x [B|1, N|1, M|1], float64
    temperature: float
    mode: str
    lengths: np.ndarray  # [B, 2], int64
    sizes: Sizes

    def cells_of(self, order) -> int:
        """Cells of some pairs."""
        if len(order) == len(self.lengths):
            return self.sizes.cells
        return int(self.lengths[order].prod(axis=1).sum())

    def threads_for(self, order) -> int:
        """How many threads some pairs are worth."""
        return thread_pool.threads_for(len(order), self.cells_of(order))


class Derivatives(NamedTuple):
    """Scores and per-pair gradients, or the tangents of both."""

    score: np.ndarray  # [B], float64
    similarity: np.ndarray  # [B, N, M], dtype of the input; float64 if T takes part in tangents
    penalties: tuple[np.ndarray, ...]  # 4 x [B, N|1, M|1], float64
    temperature: np.ndarray  # [B], float64


class Paths(NamedTuple):
    """One optimal path a pair."""

    score: np.ndarray  # [B], float64
    pairs: np.ndarray  # [B, K, 2], int64, the first counts[b] are set
    counts: np.ndarray  # [B], int64


def prepare(similarity, penalties, temperature, mode, lengths) -> Inputs:
    """Check values and bring arrays into the kernels' form."""
    dtype = np.float64 if similarity.dtype.itemsize == 8 else np.float32
    open_x, extend_x, open_y, extend_y = penalties
    columns = ready(open_x, np.float64), ready(extend_x, np.float64)
    rows = columns
    if open_y is not open_x or extend_y is not extend_x:
        rows = ready(open_y, np.float64), ready(extend_y, np.float64)
    penalties = *columns, *rows
    temperature = float(temperature)
    _validation.check_values(penalties, temperature)
    lengths = ready(lengths, np.int64)
    fit, *sizes = survey(lengths, *similarity.shape[1:])
    if not fit:
        _validation.check_lengths(lengths, similarity.shape)
    return Inputs(ready(similarity, dtype), penalties, temperature, mode, lengths, Sizes(*sizes))


def ready(array, dtype):
    """Read-only C-contiguous view or copy."""
    view = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


def score(inputs: Inputs) -> np.ndarray:
    """Soft (or, at temperature 0, hard) scores, float64."""
    return _run(inputs, SCORE, None).score


def gradients(inputs: Inputs, *, slope: bool = True) -> Derivatives:
    """Scores and their gradients, pair by pair; without `slope` that of T may be inaccurate."""
    return _run(inputs, GRADIENT, None, slope=slope)


def gradients_in_all(inputs: Inputs) -> tuple[Derivatives, list[np.ndarray], float]:
    """Scores and gradients; those of penalties (where shared) and temperature summed over pairs."""
    found = _run(inputs, GRADIENT, None, slope=True)
    slope = add_up(found.penalties, inputs.penalties, found.temperature)
    penalties = [
        gradient[: len(penalty)] if len(gradient) else np.zeros(penalty.shape)
        for gradient, penalty in zip(found.penalties, inputs.penalties, strict=True)
    ]
    return found, penalties, slope


def tangents(inputs: Inputs, dots: Derivatives, *, slope: bool = True) -> Derivatives:
    """Directional derivatives of the gradients of the scores (Hessian-vector products).

    ``dots`` holds the direction in its fields similarity, penalties and temperature; each pair has
    its own. Without `slope` the derivative of the gradient in T may be inaccurate. The field score
    is of no use: a score's derivative is the direction times the gradient.
    """
    if slope or dots.temperature.any():
        most = SQUARED32 if inputs.similarity.dtype == np.float32 else SQUARED64
        dots = dots._replace(similarity=ready(dots.similarity, np.float64))
        return _run(_in_float64(inputs), TANGENT, dots, most=most)
    return _run(inputs, TANGENT, dots)


def _in_float64(inputs):
    """The same pairs with float64 similarities."""
    return inputs._replace(similarity=ready(inputs.similarity, np.float64))


def _traded(inputs, dots):
    """The direction with none in T, for kernels that know no derivative in T.

    The score F(S, penalties, T) is homogeneous of degree 1, so its Hessian annihilates the vector
    (S, penalties, T) itself: a direction in T is traded for one in S and the penalties. The
    component in T follows from the others likewise.
    """
    if not dots.temperature.any():
        return dots
    shrink = (dots.temperature / inputs.temperature)[:, None, None]
    finite = np.where(np.isfinite(inputs.similarity), inputs.similarity, 0)
    penalties = zip(dots.penalties, inputs.penalties, strict=True)
    return dots._replace(
        similarity=dots.similarity - (shrink * finite).astype(finite.dtype),
        penalties=tuple(dot - shrink * penalty for dot, penalty in penalties),
    )


class _Plan(NamedTuple):
    """What one pass over the values tells of each pair; see `routing`."""

    routes: np.ndarray  # [B]
    counts: list[int]  # pairs of each route
    everyone: np.ndarray  # [B], 0 .. B - 1
    floors: np.ndarray  # [B], at or below it a cell counts as forbidden
    bounds: np.ndarray  # [2, B], of twice an alignment's gains, and of `magnitudes`

    @property
    def magnitudes(self):
        """Bounds of the sums of the magnitudes of an alignment's terms, [B]."""
        return self.bounds[1]


def _planned(inputs) -> _Plan:
    """Choose a kernel for every pair."""
    similarity, penalties, temperature, mode, lengths, sizes = inputs
    pairs = len(lengths)
    routes, counts = np.empty(pairs, np.int64), np.zeros(len(_KERNELS), np.int64)
    everyone, floors, bounds = np.arange(pairs), np.empty(pairs), np.empty((2, pairs))
    bits = 8 * similarity.itemsize
    lanes = native_lanes(bits)
    threads = thread_pool.threads_for(pairs, sizes.cells)
    thread_pool.spread(
        planner(bits, lanes),
        threads,
        everyone,
        similarity.reshape(-1),
        similarity.shape,
        penalties,
        temperature,
        MODES[mode],
        lengths,
        np.empty((threads, 3 * lanes), similarity.dtype),
        routes,
        floors,
        bounds,
        counts,
    )
    return _Plan(routes, counts.tolist(), everyone, floors, bounds)


def _run(inputs, want, dots, *, slope=False, most=math.inf) -> Derivatives:
    """Send every pair to its kernel.

    With `slope` gradients in T are made accurate. Pairs with larger sums of magnitudes over T than
    `most` go to the robust kernel.
    """
    similarity, penalties, temperature, _, lengths, sizes = inputs
    pairs, plan = len(lengths), _planned(inputs)
    routes, counts = plan.routes, plan.counts
    if most < math.inf:
        routes[(routes >= BLOCK32) & (plan.magnitudes > most * temperature)] = LOG
        counts = np.bincount(routes, minlength=len(_KERNELS)).tolist()
    shape = similarity.shape if want != SCORE else (1, 1, 1)
    written = sizes.cells == similarity.size and not any(counts[:BLOCK32])
    out = Derivatives(
        np.zeros(pairs),
        output(shape, similarity.dtype, np.empty if written else np.zeros),
        tuple([np.zeros((pairs, *p.shape[1:])) for p in penalties]),
        np.zeros(pairs),
    )
    job = _Job(inputs, want, dots, out, plan)
    for route, count in enumerate(counts):
        if count:
            order = plan.everyone if count == pairs else np.flatnonzero(routes == route)
            _KERNELS[route](job, order if sizes.alike else largest_first(order, lengths))
    if slope:
        _refine(job)
    return out


def _refine(job):
    """Compute entropies that rounding may have spoilt anew: in float64, or from shares."""
    inputs, out, plan = job.inputs, job.out, job.plan
    if not doubt(plan.routes, plan.bounds, out.score, out.temperature, inputs.temperature):
        return
    order = np.flatnonzero(plan.bounds[0] == np.inf)
    in_single = (plan.routes[order] == BLOCK32) | (plan.routes[order] == CELL32)
    single, double = order[in_single], order[~in_single]
    if single.size:
        part = _in_float64(_part(inputs, single))
        out.temperature[single] = _run(part, GRADIENT, None, slope=True).temperature
    if double.size:
        out.temperature[double] = _shares(job, double, ENTROPIES, with_gradients=False)[double, 1]


def _part(inputs, order):
    """Some of the pairs."""
    lengths = ready(inputs.lengths[order], np.int64)
    _, *sizes = survey(lengths, *inputs.similarity.shape[1:])
    return inputs._replace(
        similarity=ready(inputs.similarity[order], inputs.similarity.dtype),
        penalties=tuple(p if len(p) == 1 else ready(p[order], p.dtype) for p in inputs.penalties),
        lengths=lengths,
        sizes=Sizes(*sizes),
    )


def largest_first(order, lengths):
    """Pairs by their cells, so that threads end together."""
    return order[np.argsort(-lengths[order].prod(axis=1), kind="stable")]


class _Job(NamedTuple):
    """What the kernels of one call share."""

    inputs: Inputs
    want: int
    dots: Derivatives | None
    out: Derivatives
    plan: _Plan

    def gradients(self):
        """Arrays that kernels write gradients to."""
        return self.out.similarity, *self.out.penalties


def _empty(job, order):
    """Pairs with an empty side, or in local mode without a pair that is allowed."""
    for b in order:
        _empty_pair(job.inputs, b, job.out, job.want, job.dots)


def _non_finite(job, order):
    """Pairs with NaN or +inf: all of the answer is NaN."""
    job.out.score[order] = np.nan
    if job.want == SCORE:
        return
    for b in order:
        n, m = job.inputs.lengths[b]
        job.out.similarity[b, :n, :m] = np.nan
        for gradient in job.out.penalties:
            rows, columns = min(n, gradient.shape[1]), min(m, gradient.shape[2])
            gradient[b, :rows, :columns] = np.nan
    job.out.temperature[order] = np.nan


def _viterbi(job, order):
    """Pairs at temperature 0."""
    scale = scale_of(job.plan.magnitudes[order], 0.0)
    by_cell = any(
        penalty.shape[axis] > 1
        for penalty, axis in zip(job.inputs.penalties, (1, 1, 2, 2), strict=True)
    )
    if job.want == SCORE and not by_cell and scale == 1.0:
        _best_scores(job, order)
    elif job.want != TANGENT:
        scores, _, _ = _best_paths(job.inputs, order, job.gradients(), scale, job.want)
        job.out.score[order] = scores[order]


def _best_scores(job, order):
    """Run the kernel of hard scores."""
    similarity, penalties, _, mode, lengths, (_, rows, columns, _) = job.inputs
    bits, lanes = 8 * similarity.itemsize, native_lanes(64)
    threads = job.inputs.threads_for(order)
    thread_pool.spread(
        max_plus.kernels(bits, lanes),
        threads,
        order,
        similarity.reshape(-1),
        similarity.shape,
        penalties,
        MODES[mode],
        lengths,
        scratch(max_plus.arrays, (bits, lanes), (threads, rows, columns)),
        job.out.score,
    )


def scale_of(magnitudes, temperature):
    """A power of two that keeps sums of such magnitudes, and 1 / T, within the range of doubles."""
    if not (magnitudes < LARGEST).all():
        return 2.0**-64
    small = 0.0 < temperature < COLDEST and (magnitudes < 1e100).all()
    return 2.0**256 if small else 1.0


def _best_paths(inputs, order, out, scale, want) -> Paths:
    """Run the hard kernel."""
    similarity, penalties, _, mode, lengths, _ = inputs
    scores = np.full(len(lengths), -np.inf)
    pairs = np.empty((len(lengths), min(similarity.shape[1:]), 2), np.int64)
    counts = np.zeros(len(lengths), np.int64)
    thread_pool.spread(
        viterbi_paths,
        inputs.threads_for(order),
        order,
        similarity,
        penalties,
        scale,
        MODES[mode],
        lengths,
        out,
        scores,
        pairs,
        counts,
        want,
    )
    return Paths(scores, pairs, counts)


def _in_single(job, order, *, exponents):
    """Pairs whose range single precision can hold."""
    _in_linear_space(job, order, 32, exponents, job.inputs.similarity, job.gradients())


def _in_double(job, order, *, exponents):
    """Pairs whose range needs double precision; single precision input is converted."""
    similarity, out = job.inputs.similarity, job.gradients()
    if similarity.dtype == np.float64:
        _in_linear_space(job, order, 64, exponents, similarity, out)
        return
    wide = ready(similarity, np.float64)
    target = output(out[0].shape, wide.dtype, np.empty)
    _in_linear_space(job, order, 64, exponents, wide, (target, *out[1:]))
    if job.want != SCORE:
        for b in order:
            n, m = job.inputs.lengths[b]
            out[0][b, :n, :m] = target[b, :n, :m]


def _in_linear_space(job, order, bits, exponents, similarity, out):
    """Run the fast kernels: between pairs where that is worth while, within pairs elsewhere."""
    dot_similarity, dot_penalties = _direction(job, similarity)
    direction, out = (dot_similarity.reshape(-1), dot_penalties), (out[0].reshape(-1), *out[1:])
    if exponents == "block":
        order = _between_pairs(job, order, bits, similarity, direction, out)
        if not len(order):
            return
    _, penalties, temperature, mode, lengths, (_, rows, columns, _) = job.inputs
    by_column = penalties[0].shape[2] > 1 or penalties[1].shape[2] > 1
    with_gradients, with_tangents = job.want != SCORE, job.want == TANGENT
    lanes = strip_height(bits, rows)
    align_linear = kernels(bits, lanes, by_column, with_tangents, exponents)
    threads = thread_pool.thread_count()
    by_strip = threads > len(order) and _smallest(order, lengths) >= thread_pool.SHARED_CELLS
    if not by_strip:
        threads = job.inputs.threads_for(order)
    sets = 1 if by_strip else threads
    arguments = (
        similarity.reshape(-1),
        similarity.shape,
        penalties,
        temperature,
        MODES[mode],
        lengths,
        job.plan.floors,
        direction,
        scratch(
            thread_arrays, (bits, lanes, with_gradients, with_tangents), (threads, rows, columns)
        ),
        scratch(
            pair_arrays,
            (bits, lanes, by_column, with_gradients, with_tangents),
            (sets, rows, columns),
        ),
        out,
        job.out.score,
        job.out.temperature,
        with_gradients,
    )
    if by_strip:
        for pair in order:
            for phase in (SET_UP, FORWARD, BACKWARD, FINISH):
                count = threads if phase in (FORWARD, BACKWARD) else 1
                if phase != BACKWARD or with_gradients:
                    shares = thread_pool.queue([pair] * count)
                    thread_pool.together(align_linear, count, shares, *arguments, phase)
    else:
        thread_pool.spread(align_linear, threads, order, *arguments, ALL)


def _smallest(order, lengths):
    """Cells of the smallest of some pairs."""
    return lengths[order].prod(axis=1).min()


def _between_pairs(job, order, bits, similarity, direction, out):
    """Run the kernel whose lanes are pairs on those that suit it; gives the others."""
    _, penalties, temperature, mode, lengths, sizes = job.inputs
    lanes, with_tangents = native_lanes(bits), job.want == TANGENT
    few = max(3, lanes // 4)  # pairs that are not worth looking at their sizes
    if len(order) < few or mode == "fitting":
        return order
    if any([p.size > len(p) for p in penalties]):
        return order
    threads = job.inputs.threads_for(order)
    choice = inter_pair.choose(order, lengths, sizes.alike, bits, lanes, job.want, threads)
    groups = choice.groups
    if not len(groups):
        return order
    threads = min(threads, len(groups))
    tile = threads, choice.rows, choice.columns
    thread_pool.spread(
        inter_pair.kernels(bits, lanes, with_tangents),
        threads,
        np.arange(len(groups)),
        similarity.reshape(-1),
        similarity.shape,
        penalties,
        temperature,
        MODES[mode],
        lengths,
        groups,
        job.plan.floors,
        direction,
        scratch(inter_pair.group_arrays, (bits, lanes, job.want != SCORE, with_tangents), tile),
        out,
        job.out.score,
        job.out.temperature,
        job.want != SCORE,
    )
    return choice.rest


def _direction(job, similarity):
    """Tangents of similarity and penalties; stand-ins where first derivatives are asked for."""
    if job.want != TANGENT:
        return similarity, job.inputs.penalties
    dots = _traded(job.inputs, job.dots)
    return (
        ready(dots.similarity, similarity.dtype),
        tuple(ready(d, np.float64) for d in dots.penalties),
    )


def _in_log_space(job, order):
    """Run the robust kernel."""
    carried = {SCORE: VALUES, GRADIENT: ENTROPIES, TANGENT: DERIVATIVES}[job.want]
    result = _shares(job, order, carried, with_gradients=job.want != SCORE)
    job.out.score[order] = result[order, 0]
    job.out.temperature[order] = result[order, 2 if job.want == TANGENT else 1]


def _shares(job, order, carried, *, with_gradients):
    """Scores (or their derivatives), entropies and the derivatives of these, [B, 3]."""
    similarity, penalties, temperature, mode, lengths, _ = job.inputs
    result = np.zeros((len(lengths), 3))
    direction = similarity, penalties, np.zeros(1)
    if carried == DERIVATIVES:
        direction = (
            ready(job.dots.similarity, similarity.dtype),
            tuple(ready(d, np.float64) for d in job.dots.penalties),
            ready(job.dots.temperature, np.float64),
        )
    thread_pool.spread(
        align,
        job.inputs.threads_for(order),
        order,
        similarity,
        penalties,
        scale_of(job.plan.magnitudes[order], temperature),
        temperature,
        MODES[mode],
        lengths,
        direction,
        job.gradients(),
        result,
        carried,
        with_gradients,
    )
    return result


_KERNELS: dict[int, Callable[[_Job, np.ndarray], None]] = {
    EMPTY: _empty,
    NON_FINITE: _non_finite,
    VITERBI: _viterbi,
    BLOCK32: functools.partial(_in_single, exponents="block"),
    BLOCK64: functools.partial(_in_double, exponents="block"),
    CELL32: functools.partial(_in_single, exponents="cell"),
    CELL64: functools.partial(_in_double, exponents="cell"),
    LOG: _in_log_space,
}


def _empty_pair(inputs, b, out, want, dots):
    """A pair with an empty side: impossible in local mode, one alignment of gaps otherwise."""
    n, m = inputs.lengths[b]
    if inputs.mode == "local":
        out.score[b] = -np.inf if want != TANGENT else 0.0
        return
    columns = m if inputs.mode == "global" else 0
    charged = [(0, 0, j) for j in range(min(columns, 1))] + [(1, 0, j) for j in range(1, columns)]
    last = max(m, 1) - 1
    charged += [(2, i, last) for i in range(min(n, 1))] + [(3, i, last) for i in range(1, n)]
    for kind, i, j in charged:
        penalty = inputs.penalties[kind]
        if 0 in penalty.shape:
            raise ValueError(
                "`gap_open` and `gap_extend` given per cell, row or column hold no value for a "
                f"pair with an empty side; `similarity` has shape {inputs.similarity.shape}"
            )
        at = tuple(min(k, size - 1) for k, size in zip((b, i, j), penalty.shape, strict=True))
        if want == TANGENT:
            out.score[b] -= dots.penalties[kind][(b, *at[1:])]
            continue
        out.score[b] -= penalty[at]
        if want == GRADIENT:
            out.penalties[kind][(b, *at[1:])] -= 1.0


def paths(inputs: Inputs) -> Paths:
    """One best path a pair at temperature 0; NaN scores and no path where a cell is poisoned."""
    cold = inputs._replace(temperature=0.0)
    plan, pairs = _planned(cold), len(inputs.lengths)
    indicator = np.zeros(inputs.similarity.shape, inputs.similarity.dtype)
    unused = tuple(np.zeros((pairs, 1, 1)) for _ in range(4))
    out = Derivatives(np.zeros(pairs), indicator, unused, np.zeros(pairs))
    job = _Job(cold, SCORE, None, out, plan)
    for route in (EMPTY, NON_FINITE):
        _KERNELS[route](job, np.flatnonzero(plan.routes == route))
    order = largest_first(np.flatnonzero(plan.routes == VITERBI), inputs.lengths)
    scale = scale_of(plan.magnitudes[order], 0.0)
    found = _best_paths(cold, order, job.gradients(), scale, GRADIENT)
    out.score[order] = found.score[order]
    return Paths(out.score, found.pairs, found.counts)


def samples(inputs: Inputs, *, size: int, seed: int) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """For each pair the scores and the index pairs (K, 2) of `size` sampled alignments.

    A pair that has no alignment, or no distribution of them, keeps its score (-inf or NaN).
    """
    if inputs.temperature == 0:
        best = paths(inputs)
        return [
            (np.full(size, value), [best.pairs[b, : best.counts[b]].copy() for _ in range(size)])
            for b, value in enumerate(best.score)
        ]
    similarity, penalties, temperature, mode, lengths, _ = inputs
    totals = score(inputs)
    found = []
    for b, (n, m) in enumerate(lengths):
        pairs = np.empty((size, min(n, m), 2), np.int64)
        counts = np.zeros(size, np.int64)
        scores = np.full(size, totals[b])
        if min(n, m) > 0 and np.isfinite(totals[b]):
            draws = np.random.default_rng([seed, b]).random((size, n + m + 2))
            draw_alignments(
                similarity,
                penalties,
                temperature,
                MODES[mode],
                b,
                (int(n), int(m)),
                draws,
                pairs,
                counts,
                scores,
            )
        found.append((scores, [pairs[k, : counts[k]].copy() for k in range(size)]))
    return found

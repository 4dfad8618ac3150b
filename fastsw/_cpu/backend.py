"""The CPU backend: what frontends call, and how it runs the kernels of alignment.

A call is planned (`routing`), and each part of its pairs run by the kernel that suits them; see
`warping` for soft-DTW.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastsw._cpu import routing
from fastsw._cpu.inputs import Inputs, Paths, Sides, ready
from fastsw._cpu.kernels import inter_pair, intra_pair, max_plus
from fastsw._cpu.kernels.log_space import align
from fastsw._cpu.kernels.range_check import (
    BLOCK32,
    EMPTY,
    LOG,
    NON_FINITE,
    VITERBI,
    add_up,
)
from fastsw._cpu.kernels.sampling import draw_alignments
from fastsw._cpu.kernels.strip import pair_arrays, strip_height, thread_arrays
from fastsw._cpu.kernels.viterbi import viterbi_paths
from fastsw._cpu.routing import Plan
from fastsw._cpu.runtime import thread_pool
from fastsw._cpu.runtime.workspace import output, scratch
from fastsw._cpu.simd.vectors import native_lanes
from fastsw._types import GRADIENT, MODES, SCORE, TANGENT, Derivatives

#: Sums of magnitudes, over T, up to which the linear kernels give second derivatives in T: they are
#: differences of products of two such sums, right to some 1e-13. By dtype of the similarities, for
#: errors of 1e-6 and 1e-8.
SQUARED32, SQUARED64 = 3e3, 100.0

#: What kernels are given for the gradients that a score alone does not have, by dtype.
_UNWRITTEN = {
    np.dtype(dtype): (np.zeros((1, 1, 1), dtype), (np.zeros((1, 1, 1)),) * 4)
    for dtype in (np.float32, np.float64)
}


def score(inputs: Inputs) -> np.ndarray:
    """Soft (or, at temperature 0, hard) scores, float64."""
    return _run(inputs, SCORE).score


def gradients(inputs: Inputs, *, slope: bool = True) -> Derivatives[np.ndarray]:
    """Scores and their gradients, pair by pair; without `slope` that of T may be inaccurate."""
    return _run(inputs, GRADIENT, slope=slope)


def gradients_in_all(
    inputs: Inputs,
) -> tuple[Derivatives[np.ndarray], list[np.ndarray], float]:
    """Scores and gradients; those of penalties (where shared) and temperature summed over pairs."""
    found = _run(inputs, GRADIENT, slope=True)
    slope = add_up(found.penalties, inputs.penalties, found.temperature)
    penalties = [
        gradient[: len(penalty)] if len(gradient) else np.zeros(penalty.shape)
        for gradient, penalty in zip(found.penalties, inputs.penalties, strict=True)
    ]
    return found, penalties, slope


def tangents(
    inputs: Inputs, dots: Derivatives[np.ndarray], *, slope: bool = True
) -> Derivatives[np.ndarray]:
    """Directional derivatives of the gradients of the scores (Hessian-vector products).

    ``dots`` holds the direction in its fields similarity, penalties and temperature; each pair has
    its own. Without `slope` the derivative of the gradient in T may be inaccurate. The field score
    is of no use: a score's derivative is the direction times the gradient.
    """
    if slope or dots.temperature.any():
        most = SQUARED32 if inputs.similarity.dtype == np.float32 else SQUARED64
        dots = dots._replace(similarity=ready(dots.similarity, np.float64))
        return _run(inputs.in_float64(), TANGENT, dots, most=most)
    return _run(inputs, TANGENT, dots)


def paths(inputs: Inputs) -> Paths:
    """One best path a pair at temperature 0; NaN scores and no path for a non-finite pair."""
    cold = inputs._replace(temperature=0.0)
    plan, pairs = routing.plan_alignment(cold), len(inputs.lengths)
    indicator = np.zeros(inputs.similarity.shape, inputs.similarity.dtype)
    unused = tuple(np.zeros((pairs, 1, 1)) for _ in range(4))
    out = Derivatives(np.zeros(pairs), indicator, unused, np.zeros(pairs))
    job = _Job(cold, SCORE, None, out, plan)
    _empty(job, plan.pairs_of(EMPTY, cold.sides))
    _non_finite(job, plan.pairs_of(NON_FINITE, cold.sides))
    order = plan.pairs_of(VITERBI, cold.sides)
    found = _best_paths(job, order, GRADIENT)
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
    similarity, penalties, temperature, mode, sides = inputs
    totals = score(inputs)
    found = []
    for b, (n, m) in enumerate(sides.lengths):
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


class _Job(NamedTuple):
    """What the kernels of one call share."""

    inputs: Inputs
    want: int
    dots: Derivatives[np.ndarray] | None
    out: Derivatives[np.ndarray]
    plan: Plan

    def gradients(self) -> tuple[np.ndarray, ...]:
        """Arrays that kernels write gradients to."""
        return self.out.similarity, *self.out.penalties


def _run(
    inputs: Inputs,
    want: int,
    dots: Derivatives[np.ndarray] | None = None,
    *,
    slope: bool = False,
    most: float = math.inf,
) -> Derivatives[np.ndarray]:
    """Send every pair to its kernel.

    With `slope` gradients in T are made accurate. Pairs with larger sums of magnitudes over T than
    `most` go to log space.
    """
    similarity, penalties, temperature, _, sides = inputs
    pairs, plan = len(sides.lengths), routing.plan_alignment(inputs)
    if most < math.inf:
        plan = plan.to_log_space(plan.bounds[1] > most * temperature)
    entropies = np.zeros(pairs)
    if want == SCORE:
        no_cell, no_penalty = _UNWRITTEN[similarity.dtype]
        out = Derivatives(np.zeros(pairs), no_cell, no_penalty, entropies)
    else:
        written = sides.cells == similarity.size and not any(plan.counts[:BLOCK32])
        out = Derivatives(
            np.zeros(pairs),
            output(similarity.shape, similarity.dtype, np.empty if written else np.zeros),
            tuple([np.zeros((pairs, *p.shape[1:])) for p in penalties]),
            entropies,
        )
    job = _Job(inputs, want, dots, out, plan)
    for route in plan.taken():
        _ROUTES[route](job, plan.pairs_of(route, sides))
    if slope:
        _refine(job)
    return out


def _refine(job: _Job) -> None:
    """Compute entropies that rounding may have spoilt anew: in float64, or in log space."""
    inputs, out, plan = job.inputs, job.out, job.plan
    order = plan.doubtful(out.score, out.temperature, inputs.temperature)
    if order is None:
        return
    in_single = plan.in_single(order)
    single, double = order[in_single], order[~in_single]
    if single.size:
        again = _run(inputs.of(single).in_float64(), GRADIENT, slope=True)
        out.temperature[single] = again.temperature
    if double.size:
        found = _log_weights(job, double, SCORE)
        out.temperature[double] = found[double, 1]


def _empty(job: _Job, order: np.ndarray) -> None:
    """Pairs with an empty side, or in local mode without a pair that is allowed.

    In local mode no alignment exists, in the others one of gaps alone.
    """
    inputs, out, want, dots = job.inputs, job.out, job.want, job.dots
    for b in order:
        if inputs.mode == "local":
            out.score[b] = -np.inf if want != TANGENT else 0.0
            continue
        for kind, i, j in _gaps_alone(inputs.mode, *inputs.lengths[b]):
            penalty = inputs.penalties[kind]
            if 0 in penalty.shape:
                raise ValueError(
                    "`gap_open` and `gap_extend` given per cell, row or column hold no value for a "
                    f"pair with an empty side; `similarity` has shape {inputs.similarity.shape}"
                )
            at = tuple(min(k, size - 1) for k, size in zip((b, i, j), penalty.shape, strict=True))
            if dots is not None:
                out.score[b] -= dots.penalties[kind][(b, *at[1:])]
                continue
            out.score[b] -= penalty[at]
            if want == GRADIENT:
                out.penalties[kind][(b, *at[1:])] -= 1.0


def _gaps_alone(mode: str, n: int, m: int) -> Iterator[tuple[int, int, int]]:
    """Which penalties the alignment without pairs pays, and in which rows and columns."""
    if mode == "global":
        for j in range(m):
            yield min(j, 1), 0, j
    for i in range(n):
        yield 2 + min(i, 1), i, max(m, 1) - 1


def _non_finite(job: _Job, order: np.ndarray) -> None:
    """Pairs with NaN or +inf: all of the answer is NaN."""
    job.out.score[order] = np.nan
    if job.want == SCORE:
        return
    for b, rows, columns in job.inputs.sides.valid(order):
        for gradient in job.gradients():
            gradient[b, rows, columns] = np.nan
    job.out.temperature[order] = np.nan


def _viterbi(job: _Job, order: np.ndarray) -> None:
    """Pairs at temperature 0."""
    by_cell = any(
        penalty.shape[axis] > 1
        for penalty, axis in zip(job.inputs.penalties, (1, 1, 2, 2), strict=True)
    )
    if job.want == SCORE and not by_cell and job.plan.scale_of(order, 0.0) == 1.0:
        _best_scores(job, order)
    elif job.want != TANGENT:
        job.out.score[order] = _best_paths(job, order, job.want).score[order]


def _best_scores(job: _Job, order: np.ndarray) -> None:
    """Scores of the best paths alone."""
    similarity, penalties, _, mode, sides = job.inputs
    bits, lanes = 8 * similarity.itemsize, native_lanes(64)
    threads = sides.threads_for(order)
    work = scratch(max_plus.arrays, (bits, lanes), (threads, sides.rows, sides.columns))
    thread_pool.run_on_threads(
        max_plus.kernels(bits, lanes),
        threads,
        order,
        similarity.reshape(-1),
        similarity.shape,
        penalties,
        MODES[mode],
        sides.lengths,
        work,
        job.out.score,
    )


def _best_paths(job: _Job, order: np.ndarray, want: int) -> Paths:
    """The best paths."""
    similarity, penalties, _, mode, sides = job.inputs
    count = len(sides.lengths)
    scores = np.full(count, -np.inf)
    pairs = np.empty((count, min(similarity.shape[1:]), 2), np.int64)
    counts = np.zeros(count, np.int64)
    thread_pool.run_on_threads(
        viterbi_paths,
        sides.threads_for(order),
        order,
        similarity,
        penalties,
        job.plan.scale_of(order, 0.0),
        MODES[mode],
        sides.lengths,
        job.gradients(),
        scores,
        pairs,
        counts,
        want,
    )
    return Paths(scores, pairs, counts)


def _linear(job: _Job, order: np.ndarray, *, bits: int, exponents: str) -> None:
    """Pairs whose range the numbers of linear space can hold, by exponents of blocks or cells."""
    similarity, out = job.inputs.similarity, job.gradients()
    if 8 * similarity.itemsize == bits:
        _run_linear(job, order, bits, exponents, similarity, out)
        return
    wide = ready(similarity, np.float64)
    target = output(out[0].shape, wide.dtype, np.empty)
    _run_linear(job, order, bits, exponents, wide, (target, *out[1:]))
    if job.want != SCORE:
        for cells in job.inputs.sides.valid(order):
            out[0][cells] = target[cells]


def _run_linear(
    job: _Job,
    order: np.ndarray,
    bits: int,
    exponents: str,
    similarity: np.ndarray,
    out: tuple[np.ndarray, ...],
) -> None:
    """Inter-pair SIMD where that is worth while, intra-pair SIMD elsewhere."""
    dot_similarity, dot_penalties = _direction(job, similarity)
    arrays = similarity, (dot_similarity.reshape(-1), dot_penalties), (out[0].reshape(-1), *out[1:])
    if exponents == "block":
        order = _inter_pair(job, order, bits, *arrays)
    if len(order):
        _intra_pair(job, order, bits, exponents, *arrays)


def _inter_pair(
    job: _Job,
    order: np.ndarray,
    bits: int,
    similarity: np.ndarray,
    direction: tuple[np.ndarray, tuple[np.ndarray, ...]],
    out: tuple[np.ndarray, ...],
) -> np.ndarray:
    """Run the kernel whose lanes are pairs on those that suit it; gives the others."""
    _, penalties, temperature, mode, sides = job.inputs
    lanes, form = native_lanes(bits), (job.want != SCORE, job.want == TANGENT)
    few = max(3, lanes // 4)  # pairs that are not worth looking at their sizes
    if len(order) < few or mode == "fitting":
        return order
    if any([p.size > len(p) for p in penalties]):
        return order
    threads = sides.threads_for(order)
    choice = inter_pair.choose(order, sides.lengths, sides.alike, bits, lanes, job.want, threads)
    groups = choice.groups
    if not len(groups):
        return order
    threads = min(threads, len(groups))
    tile = threads, choice.rows, choice.columns
    thread_pool.run_on_threads(
        inter_pair.kernels(bits, lanes, job.want == TANGENT),
        threads,
        np.arange(len(groups)),
        similarity.reshape(-1),
        similarity.shape,
        penalties,
        temperature,
        MODES[mode],
        sides.lengths,
        groups,
        job.plan.floors,
        direction,
        scratch(inter_pair.group_arrays, (bits, lanes, *form), tile),
        out,
        job.out.score,
        job.out.temperature,
        job.want != SCORE,
    )
    return choice.rest


def _intra_pair(
    job: _Job,
    order: np.ndarray,
    bits: int,
    exponents: str,
    similarity: np.ndarray,
    direction: tuple[np.ndarray, tuple[np.ndarray, ...]],
    out: tuple[np.ndarray, ...],
) -> None:
    """Run the kernel whose lanes are rows of a pair; several threads may share a large one."""
    _, penalties, temperature, mode, sides = job.inputs
    by_column = penalties[0].shape[2] > 1 or penalties[1].shape[2] > 1
    with_gradients, with_tangents = job.want != SCORE, job.want == TANGENT
    lanes = strip_height(bits, sides.rows)
    kernel = intra_pair.kernels(bits, lanes, by_column, with_tangents, exponents)
    threads = thread_pool.thread_count()
    by_strip = threads > len(order) and _smallest(sides, order) >= thread_pool.SHARED_CELLS
    if not by_strip:
        threads = sides.threads_for(order)
    sizes = sides.rows, sides.columns
    form = with_gradients, with_tangents
    arguments = (
        similarity.reshape(-1),
        similarity.shape,
        penalties,
        temperature,
        MODES[mode],
        sides.lengths,
        job.plan.floors,
        direction,
        scratch(thread_arrays, (bits, lanes, *form), (threads, *sizes)),
        scratch(pair_arrays, (bits, lanes, by_column, *form), (1 if by_strip else threads, *sizes)),
        out,
        job.out.score,
        job.out.temperature,
        with_gradients,
    )
    if not by_strip:
        asked = *arguments, intra_pair.ALL, intra_pair.WHOLE
        thread_pool.run_on_threads(kernel, threads, order, *asked)
        return
    phases = [intra_pair.SET_UP, intra_pair.FORWARD, intra_pair.FINISH]
    if with_gradients:
        phases[2:2] = intra_pair.BACKWARD, intra_pair.GATHER
    for pair in order:
        for phase in phases:
            count = threads if phase in (intra_pair.FORWARD, intra_pair.BACKWARD) else 1
            asked = *arguments, phase, intra_pair.WHOLE
            thread_pool.run_on_threads(kernel, count, [pair] * count, *asked)


def _smallest(sides: Sides, order: np.ndarray) -> int:
    """Cells of the smallest of some pairs."""
    return sides.lengths[order].prod(axis=1).min()


def _direction(job: _Job, similarity: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Tangents of similarity and penalties; stand-ins where first derivatives are asked for.

    There is none in T, for kernels that know no derivative in T. The score F(S, penalties, T) is
    homogeneous of degree 1, so its Hessian annihilates the vector (S, penalties, T) itself: a
    direction in T is traded for one in S and the penalties. The component in T follows from the
    others likewise.
    """
    inputs, dots = job.inputs, job.dots
    if dots is None:
        return similarity, inputs.penalties
    of_similarity, of_penalties = dots.similarity, dots.penalties
    if dots.temperature.any():
        shrink = (dots.temperature / inputs.temperature)[:, None, None]
        finite = np.where(np.isfinite(inputs.similarity), inputs.similarity, 0)
        of_similarity = of_similarity - (shrink * finite).astype(finite.dtype)
        both = zip(of_penalties, inputs.penalties, strict=True)
        of_penalties = tuple([dot - shrink * penalty for dot, penalty in both])
    return (
        ready(of_similarity, similarity.dtype),
        tuple([ready(d, np.float64) for d in of_penalties]),
    )


def _log_space(job: _Job, order: np.ndarray) -> None:
    """Pairs of any range."""
    found = _log_weights(job, order, job.want)
    job.out.score[order] = found[order, 0]
    job.out.temperature[order] = found[order, 1]


def _log_weights(job: _Job, order: np.ndarray, want: int) -> np.ndarray:
    """Scores and entropies, or the tangents of both, [B, 2]."""
    similarity, penalties, temperature, mode, sides = job.inputs
    found = np.zeros((len(sides.lengths), 2))
    direction: tuple[Any, ...] = similarity, penalties, None
    if job.dots is not None:
        direction = (
            ready(job.dots.similarity, similarity.dtype),
            tuple([ready(d, np.float64) for d in job.dots.penalties]),
            ready(job.dots.temperature, np.float64),
        )
    thread_pool.run_on_threads(
        align,
        sides.threads_for(order),
        order,
        similarity,
        penalties,
        job.plan.scale_of(order, temperature),
        temperature,
        MODES[mode],
        sides.lengths,
        direction,
        job.gradients(),
        found,
        want != SCORE,
    )
    return found


_ROUTES: dict[int, Callable[[_Job, np.ndarray], None]] = {
    EMPTY: _empty,
    NON_FINITE: _non_finite,
    VITERBI: _viterbi,
    **{
        route: functools.partial(_linear, bits=bits, exponents=exponents)
        for route, (bits, exponents) in routing.LINEAR.items()
    },
    LOG: _log_space,
}

"""Entry points of the CUDA backend: allocate, and launch what a call may need.

Nothing is read back from the device. Values that only the device knows and that are out of their
range (lengths, temperature, penalties) make the answers of their pairs NaN.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import LANES
from fastsw._cuda.kernels import dtw, viterbi
from fastsw._cuda.kernels.intra_pair import align_kernel, warps
from fastsw._cuda.kernels.pairs import (
    BY_COLUMN,
    BY_PAIR,
    BY_ROW,
    FORM_BITS,
    GRADIENT,
    NUMBER,
    SCORE,
    TANGENT,
    WHOLE,
)
from fastsw._cuda.kernels.rounds import COUNTERS
from fastsw._cuda.kernels.strip import DEPTH, SUMS, WORDS
from fastsw._cuda.runtime.compile import Kernel
from fastsw._cuda.runtime.memory import Part, Slab
from fastsw._types import LOCAL, MODES


class Inputs(NamedTuple):
    """Arrays on one device, C-contiguous; penalties and temperature are float64 or numbers."""

    similarity: Any  # [B, N, M], float32 or float64
    penalties: tuple  # 4 x [B|1, N|1, M|1] arrays, or floats
    temperature: Any  # () array, or a float
    mode: str
    lengths: Any  # [B, 2], int64, or None for whole matrices


class Derivatives(NamedTuple):
    """Scores and per-pair gradients, or the tangents of both."""

    score: Any  # [B], dtype of the input
    similarity: Any  # [B, N, M], dtype of the input
    penalties: tuple  # 4 x [B, N|1, M|1], float64
    temperature: Any  # [B], float64


def score(inputs: Inputs, memory):
    """Soft (or, at temperature 0, hard) scores."""
    return _run(inputs, memory, SCORE, None).score


def gradients(inputs: Inputs, memory) -> Derivatives:
    """Scores and their gradients, pair by pair."""
    return _run(inputs, memory, GRADIENT, None)


def tangents(inputs: Inputs, dots: Derivatives, memory) -> Derivatives:
    """Directional derivatives of scores and gradients, for a direction without temperature."""
    return _run(inputs, memory, TANGENT, dots)


@functools.cache
def kernel(bits: int, *, general: bool, second: bool) -> Kernel:
    """The launchable kernel of one variant."""
    name = "tangent" if second else "align"
    variant = f"{name}_{bits}_{'general' if general else 'uniform'}"
    function = align_kernel(bits, general=general, second=second)
    # 128 registers a thread in single precision, into which the walks fit.
    return Kernel(function, variant, warps(bits), 4 if bits == 32 else 2)


class _Given(NamedTuple):
    """Penalties, temperature and lengths as kernels take them."""

    arguments: tuple  # addresses, numbers, and which of them count
    general: bool  # whether some penalty differs in more ways than the fast kernel takes


def _given(inputs, blank) -> _Given:
    """Sort out what came as numbers and what as arrays; `blank` is an address for the former."""
    _, penalties, temperature, _, lengths = inputs
    known = type(temperature) is float
    forms = (NUMBER * known | WHOLE * (lengths is None)) << 4 * FORM_BITS
    addresses, values, general = [], [], False
    for which, penalty in enumerate(penalties):
        form = NUMBER
        if type(penalty) is float:
            addresses.append(blank)
            values.append(penalty)
        else:
            pairs, rows, columns = penalty.shape
            form = BY_PAIR * (pairs > 1) | BY_ROW * (rows > 1) | BY_COLUMN * (columns > 1)
            general = general or columns > 1 or (which < 2 and rows > 1)
            addresses.append(penalty)
            values.append(0.0)
        forms |= form << which * FORM_BITS
    return _Given(
        (
            *addresses,
            *values,
            temperature if known else 0.0,
            forms,
            blank if known else temperature,
            blank.of(np.int64) if lengths is None else lengths,
        ),
        general,
    )


def _run(inputs, memory, want, dots) -> Derivatives:
    """Launch the kernels of a call: one, or one more where only the device knows whether T is 0."""
    temperature = inputs.temperature
    known = isinstance(temperature, float)
    out = _outputs(inputs, memory, want)
    if inputs.similarity.shape[0] == 0:
        return out
    job = _Job(inputs, memory, want, dots, out)
    if want != TANGENT and not (known and temperature > 0):
        _align_hard(job)
    if not known or temperature > 0:
        _align(job)
    return out


def _outputs(inputs, memory, want) -> Derivatives:
    """Arrays for the answers, which kernels write; tangents at temperature 0 are zero."""
    shape, given = inputs.similarity.shape, memory.dtype(inputs.similarity)
    pairs, temperature = shape[0], inputs.temperature
    score = memory.empty((pairs,), given)
    if want == SCORE:
        return Derivatives(score, None, (None,) * 4, None)
    allocate = memory.empty
    if want == TANGENT and not (isinstance(temperature, float) and temperature > 0):
        allocate, score = memory.zeros, memory.zeros((pairs,), given)
    return Derivatives(
        score,
        allocate(shape, given),
        tuple(allocate(_own_shape(pairs, p), np.float64) for p in inputs.penalties),
        allocate((pairs,), np.float64),
    )


def _own_shape(pairs: int, penalty) -> tuple[int, int, int]:
    """Shape of a penalty's gradient, which each pair has of its own."""
    return (pairs, 1, 1) if isinstance(penalty, float) else (pairs, *penalty.shape[1:])


class _Job(NamedTuple):
    """What the kernels of one call share."""

    inputs: Inputs
    memory: Any
    want: int
    dots: Derivatives | None
    out: Derivatives


class _Plan(NamedTuple):
    """What a launch works on, by shape."""

    slab: Slab
    blank: Part  # stands for what a kernel does not read
    unread: tuple  # stands for gradients that are not asked for: of T, S and four penalties
    parts: tuple
    tickets: int  # strips to walk


@functools.lru_cache(maxsize=1024)
def _plan(shape, given, first: int, want: int, bits: int) -> _Plan:
    """Memory of the soft alignment."""
    pairs, rows, columns = shape
    strips = max(-(-(rows + 1 - first) // LANES), 1)
    squares = -(-(columns + 2 + LANES - 1) // DEPTH)
    second, graded = want == TANGENT, want != SCORE
    slab = Slab()
    counted = COUNTERS, pairs * strips, pairs * strips
    parts = [slab.part(count, np.int32) for count in counted]
    slab.clear_so_far()
    parts += [slab.part(count, np.int32) for count in (pairs, pairs * strips)]
    parts += [slab.part(count, np.float64) for count in (3 * pairs, pairs * strips * SUMS)]
    edge = pairs * strips * (columns + 2) * WORDS
    for count, used in (
        (edge, True),
        (edge, graded),
        (pairs * strips * squares * 4 * LANES, graded),
        (pairs * strips * LANES, graded),
    ):
        size = count if used else 1
        real, whole = (np.float32, np.int32) if bits == 32 else (np.float64, np.float64)
        parts += [slab.part(size, real), slab.part(size, whole)]
        parts.append(slab.part(size if second else 1, real))
        parts.append(slab.part(size if bits == 32 else 1, np.float64))
    blank = slab.part(1, np.float64)
    unread = slab.part(1 if graded else pairs, np.float64), slab.part(1, given), *[blank] * 4
    return _Plan(slab, blank, unread, tuple(parts), pairs * strips * (1 + graded))


def _align(job) -> None:
    """Launch the soft alignment."""
    similarity, mode = job.inputs.similarity, MODES[job.inputs.mode]
    memory, want, out = job.memory, job.want, job.out
    pairs, rows, columns = shape = tuple(similarity.shape)
    given = memory.dtype(similarity)
    single = want != TANGENT and given == np.float32
    bits = 32 if single else 64
    first = 1 if mode == LOCAL else 0
    plan = _plan(shape, given, first, want, bits)
    asked = _given(job.inputs, plan.blank)
    general = not single or asked.general
    directions = similarity, *[plan.blank] * 4
    if want == TANGENT:
        directions = job.dots.similarity, *job.dots.penalties
    answers = plan.unread
    if want != SCORE:
        answers = out.temperature, out.similarity, *out.penalties
    launched = kernel(bits, general=general, second=want == TANGENT)
    launched.launch(
        memory,
        blocks_of(memory, plan.tickets, launched.warps),
        (
            similarity,
            *asked.arguments,
            pairs,
            rows,
            columns,
            mode,
            want,
            *directions,
            *plan.parts,
            out.score,
            *answers,
        ),
        memory.allocated(plan.slab),
    )


class Paths(NamedTuple):
    """One optimal path a pair."""

    score: Any  # [B], float64
    pairs: Any  # [B, K, 2], int64, the last counts[b] are set
    counts: Any  # [B], int64


def paths(inputs: Inputs, memory) -> Paths:
    """One best path a pair at temperature 0; NaN scores and no path where a cell is poisoned."""
    cold = inputs._replace(temperature=0.0)
    out = _outputs(cold, memory, GRADIENT)
    return _align_hard(_Job(cold, memory, GRADIENT, None, out))


@functools.cache
def hard_kernel() -> Kernel:
    """The launchable kernel of temperature 0."""
    return Kernel(viterbi.hard_kernel(), "hard", viterbi.WARPS)


def _align_hard(job) -> Paths:
    """Launch the kernel of temperature 0."""
    similarity, mode = job.inputs.similarity, job.inputs.mode
    memory, want = job.memory, job.want
    pairs, rows, columns = similarity.shape
    found = Paths(
        memory.empty((pairs,), np.float64),
        memory.empty((pairs, min(rows, columns), 2), np.int64),
        memory.empty((pairs,), np.int64),
    )
    if pairs == 0:
        return found
    graded = want != SCORE
    slab = Slab()
    control = slab.part(1, np.int32)
    slab.clear_so_far()
    blank = slab.part(1, np.float64)
    above = slab.part(pairs * (columns + 1) * 3, np.float64)
    trailing = slab.part(pairs * (rows + 1), np.float64)
    origins = slab.part(pairs * (rows + 1) * (columns + 1) if graded else 1, np.uint8)
    answers = job.out.temperature, job.out.similarity, *job.out.penalties
    if not graded:
        given = memory.dtype(similarity)
        answers = slab.part(pairs, np.float64), slab.part(1, given), *[blank] * 4
    hard_kernel().launch(
        memory,
        blocks_of(memory, pairs, viterbi.WARPS),
        (
            similarity,
            *_given(job.inputs, blank).arguments,
            pairs,
            rows,
            columns,
            MODES[mode],
            want,
            control,
            above,
            trailing,
            origins,
            job.out.score,
            *answers,
            *found,
        ),
        memory.allocated(slab),
    )
    return found


class Warping(NamedTuple):
    """Soft-DTW values and gradients, pair by pair."""

    score: Any  # [B], float64
    cost: Any  # [B, N, M], dtype of the input
    temperature: Any  # [B], float64


@functools.cache
def dtw_kernel() -> Kernel:
    """The launchable kernel of soft-DTW."""
    return Kernel(dtw.dtw_kernel(), "dtw", dtw.WARPS)


def soft_dtw(cost, temperature, lengths, bandwidth: int | None, memory, *, graded) -> Warping:
    """Soft-DTW of every pair; gradients (d value / d cost, d value / d T) where asked for."""
    pairs, rows, columns = cost.shape
    given = memory.dtype(cost)
    out = Warping(
        memory.empty((pairs,), np.float64),
        memory.empty(cost.shape if graded else (1,), given),
        memory.empty((pairs,), np.float64),
    )
    if pairs == 0:
        return out
    known = isinstance(temperature, float)
    slab = Slab()
    control = slab.part(1, np.int32)
    slab.clear_so_far()
    blank = slab.part(1, np.float64)
    edge = slab.part(2 * pairs * columns, np.float64)
    cells = slab.part(2 * pairs * rows * columns if graded else 1, np.float64)
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
            int(graded),
            control,
            edge,
            cells,
            out.score,
            out.temperature,
            out.cost,
        ),
        memory.allocated(slab),
    )
    return out


def blocks_of(memory, tickets: int, block_warps: int) -> int:
    """Blocks that keep the device busy, no more than there is work for."""
    return max(1, min(-(-tickets // block_warps), memory.processors * 24 // block_warps))

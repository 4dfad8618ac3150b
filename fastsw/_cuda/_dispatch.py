"""Entry points of the CUDA backend: allocate, and launch what a call may need.

Nothing is read back from the device. Which kernel answers a pair is decided there: the kernel in
single precision leaves pairs beyond its range to one in double precision, launched after it, which
finds nothing to do where there are none. Values that only the device knows and that are out of
their range (lengths, temperature, penalties) make the answers of their pairs NaN.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda import _dtw, _hard
from fastsw._cuda._align import DEPTH, SUMS, WORDS, align_kernel, warps
from fastsw._cuda._compile import Kernel
from fastsw._cuda._device import LANES
from fastsw._cuda._memory import Slab
from fastsw._cuda._pairs import (
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
from fastsw._reference import LOCAL, MODES


class Inputs(NamedTuple):
    """Arrays on one device, C-contiguous; penalties and temperature are float64 or numbers."""

    similarity: Any  # [B, N, M], float32 or float64
    penalties: tuple  # 4 x [B|1, N|1, M|1] arrays, or floats
    temperature: Any  # () array, or a float
    mode: str
    lengths: Any  # [B, 2], int64, or None for whole matrices


class Derivatives(NamedTuple):
    """Scores and per-pair gradients, or the tangents of both."""

    score: Any  # [B], float64
    similarity: Any  # [B, N, M], dtype of the input
    penalties: tuple  # 4 x [B, N|1, M|1], float64
    temperature: Any  # [B], float64


def score(inputs: Inputs, memory):
    """Soft (or, at temperature 0, hard) scores, float64."""
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
    # 128 registers a thread in single precision: enough for the loops over cells, by disassembly.
    return Kernel(function, variant, warps(bits), 4 if bits == 32 else 2)


def penalty_shape(penalty) -> tuple[int, int, int]:
    """Shape of a penalty, of a number too."""
    return (1, 1, 1) if isinstance(penalty, float) else tuple(penalty.shape)


def forms_of(penalties, temperature, lengths) -> int:
    """How penalties, temperature and lengths are given, in bits."""
    forms = 0
    for which, penalty in enumerate(penalties):
        pairs, rows, columns = penalty_shape(penalty)
        form = NUMBER if isinstance(penalty, float) else 0
        form |= BY_PAIR * (pairs > 1) | BY_ROW * (rows > 1) | BY_COLUMN * (columns > 1)
        forms |= form << (FORM_BITS * which)
    known = NUMBER * isinstance(temperature, float) | WHOLE * (lengths is None)
    return forms | known << (FORM_BITS * 4)


def is_general(penalties) -> bool:
    """Whether some penalty differs in more ways than the fast kernel takes."""
    shapes = [penalty_shape(p) for p in penalties]
    return any(rows > 1 for _, rows, _ in shapes[:2]) or any(m > 1 for *_, m in shapes)


def _run(inputs, memory, want, dots) -> Derivatives:
    """Launch the kernels of a call."""
    penalties, temperature = inputs.penalties, inputs.temperature
    given = memory.dtype(inputs.similarity)
    out = _outputs(inputs, memory, want)
    if inputs.similarity.shape[0] == 0:
        return out
    general = is_general(penalties)
    job = _Job(inputs, memory, want, dots, out)
    if not isinstance(temperature, float) or temperature == 0:
        if want != TANGENT:
            _align_hard(job)
        if isinstance(temperature, float):
            return out
    if want == TANGENT or given == np.float64:
        _align(job, [(kernel(64, general=True, second=want == TANGENT), 64)])
    else:
        single = kernel(32, general=general, second=False)
        _align(job, [(single, 32), (kernel(64, general=True, second=False), 64)])
    return out


def _outputs(inputs, memory, want) -> Derivatives:
    """Arrays for the answers; what kernels add to, or leave alone at temperature 0, is zero."""
    shape, given = inputs.similarity.shape, memory.dtype(inputs.similarity)
    pairs = shape[0]
    if want == SCORE:
        similarity = memory.empty((1,), given)
    else:
        similarity = (memory.zeros if want == TANGENT else memory.empty)(shape, given)
    zeros = Slab(memory, zero=True)
    shapes = [(1, 1, 1)] * 4
    if want != SCORE:
        shapes = [(pairs, *penalty_shape(p)[1:]) for p in inputs.penalties]
    score, slope = zeros.part(pairs, np.float64), zeros.part(pairs, np.float64)
    penalties = [zeros.part(math.prod(shape), np.float64) for shape in shapes]
    zeros.allocate()
    return Derivatives(
        score.tensor((pairs,)),
        similarity,
        tuple(p.tensor(shape) for p, shape in zip(penalties, shapes, strict=True)),
        slope.tensor((pairs,)),
    )


class _Job(NamedTuple):
    """What the kernels of one call share."""

    inputs: Inputs
    memory: Any
    want: int
    dots: Derivatives | None
    out: Derivatives


def _align(job, launches) -> None:
    """Launch kernels (with their bits), each on the pairs that the one before left to it."""
    similarity, mode = job.inputs.similarity, job.inputs.mode
    memory, want = job.memory, job.want
    pairs, rows, columns = similarity.shape
    first = 1 if MODES[mode] == LOCAL else 0
    strips = max(-(-(rows + 1 - first) // LANES), 1)
    squares = -(-(columns + 2 + LANES - 1) // DEPTH)
    second, graded = want == TANGENT, want != SCORE
    edge = pairs * strips * (columns + 2) * WORDS
    kept = pairs * strips * squares * 4 * LANES if graded else 1
    ends = pairs * strips * LANES if graded else 1
    back = edge if graded else 1
    flags = Slab(memory, zero=True)
    blank = flags.part(1, np.float64)  # stands for what a kernel does not read
    sizes = 1, 1 + pairs + pairs * strips, pairs * strips, pairs * strips
    counters = [[flags.part(size, np.int32) for size in sizes] for _ in launches]
    flags.allocate()
    directions = (similarity, *[blank] * 4)
    if second:
        directions = job.dots.similarity, *job.dots.penalties
    before = None
    for (launched, bits), counter in zip(launches, counters, strict=True):
        real, whole = (np.float32, np.int32) if bits == 32 else (np.float64, np.float64)
        work = Slab(memory, zero=False)
        parts = [work.part(3 * pairs, np.float64), work.part(pairs * strips * SUMS, np.float64)]
        for size in (edge, back, kept, ends):
            parts += [work.part(size, real), work.part(size, whole)]
            parts.append(work.part(size if second else 1, real))
        work.allocate()
        status = counter[1]
        launched.launch(
            memory,
            blocks_of(memory, pairs * strips * (2 if graded else 1), launched.warps),
            (
                similarity,
                *_given(job.inputs, blank),
                pairs,
                rows,
                columns,
                MODES[mode],
                want,
                *directions,
                int(before is not None),
                before or status,
                *counter,
                *parts,
                job.out.score,
                job.out.temperature,
                job.out.similarity,
                *job.out.penalties,
            ),
        )
        before = status


def _given(inputs, blank) -> tuple:
    """Penalties, temperature and lengths as kernels take them: addresses, numbers, and which."""
    _, penalties, temperature, _, lengths = inputs
    return (
        *[blank if isinstance(p, float) else p for p in penalties],
        *[p if isinstance(p, float) else 0.0 for p in (*penalties, temperature)],
        forms_of(penalties, temperature, lengths),
        blank if isinstance(temperature, float) else temperature,
        blank.of(np.int64) if lengths is None else lengths,
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
    return Kernel(_hard.hard_kernel(), "hard", _hard.WARPS)


def _align_hard(job) -> Paths:
    """Launch the kernel of temperature 0."""
    similarity, mode = job.inputs.similarity, job.inputs.mode
    memory, want = job.memory, job.want
    pairs, rows, columns = similarity.shape
    found = Paths(
        job.out.score,
        memory.empty((pairs, min(rows, columns), 2), np.int64),
        memory.zeros((pairs,), np.int64),
    )
    if pairs == 0:
        return found
    graded = want != SCORE
    flags, work = Slab(memory, zero=True), Slab(memory, zero=False)
    blank, control = flags.part(1, np.float64), flags.part(1, np.int32)
    flags.allocate()
    above = work.part(pairs * (columns + 1) * 3, np.float64)
    trailing = work.part(pairs * (rows + 1), np.float64)
    origins = work.part(pairs * (rows + 1) * (columns + 1) if graded else 1, np.uint8)
    work.allocate()
    hard_kernel().launch(
        memory,
        blocks_of(memory, pairs, _hard.WARPS),
        (
            similarity,
            *_given(job.inputs, blank),
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
            job.out.temperature,
            job.out.similarity,
            *job.out.penalties,
            found.pairs,
            found.counts,
        ),
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
    return Kernel(_dtw.dtw_kernel(), "dtw", _dtw.WARPS)


def soft_dtw(cost, temperature, lengths, bandwidth: int | None, memory, *, graded) -> Warping:
    """Soft-DTW of every pair; gradients (d value / d cost, d value / d T) where asked for."""
    pairs, rows, columns = cost.shape
    given = memory.dtype(cost)
    out = Warping(
        memory.zeros((pairs,), np.float64),
        memory.empty(cost.shape if graded else (1,), given),
        memory.zeros((pairs,), np.float64),
    )
    if pairs == 0:
        return out
    known = isinstance(temperature, float)
    flags, work = Slab(memory, zero=True), Slab(memory, zero=False)
    blank, control = flags.part(1, np.float64), flags.part(1, np.int32)
    flags.allocate()
    edge = work.part(2 * pairs * columns, np.float64)
    cells = work.part(2 * pairs * rows * columns if graded else 1, np.float64)
    work.allocate()
    dtw_kernel().launch(
        memory,
        blocks_of(memory, pairs, _dtw.WARPS),
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
    )
    return out


def blocks_of(memory, tickets: int, block_warps: int) -> int:
    """Blocks that keep the device busy, no more than there is work for."""
    return max(1, min(-(-tickets // block_warps), memory.processors * 24 // block_warps))

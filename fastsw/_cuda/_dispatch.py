"""Entry points of the CUDA backend: allocate, and launch what a call may need.

Nothing is read back from the device. Which kernel answers a pair is decided there: the kernel in
single precision leaves pairs beyond its range to one in double precision, launched after it, which
finds nothing to do where there are none. Values that only the device knows and that are out of
their range (lengths, temperature, penalties) make the answers of their pairs NaN.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda import _dtw, _hard
from fastsw._cuda._align import DEPTH, SUMS, WORDS, align_kernel, warps
from fastsw._cuda._compile import Kernel
from fastsw._cuda._device import LANES
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
    everything = memory.zeros((1,), np.int32)
    everything -= 1
    if want == TANGENT or given == np.float64:
        _align(job, kernel(64, general=True, second=want == TANGENT), 64, everything)
        return out
    status = _align(job, kernel(32, general=general, second=False), 32, everything)
    _align(job, kernel(64, general=True, second=False), 64, status)
    return out


def _outputs(inputs, memory, want) -> Derivatives:
    """Arrays for the answers; what kernels add to, or leave alone at temperature 0, is zero."""
    shape, given = inputs.similarity.shape, memory.dtype(inputs.similarity)
    pairs = shape[0]
    if want == SCORE:
        similarity = memory.empty((1,), given)
    else:
        similarity = (memory.zeros if want == TANGENT else memory.empty)(shape, given)
    return Derivatives(
        memory.zeros((pairs,), np.float64),
        similarity,
        tuple(
            memory.zeros((pairs, *penalty_shape(p)[1:]) if want != SCORE else (1, 1, 1), np.float64)
            for p in inputs.penalties
        ),
        memory.zeros((pairs,), np.float64),
    )


class _Job(NamedTuple):
    """What the kernels of one call share."""

    inputs: Inputs
    memory: Any
    want: int
    dots: Derivatives | None
    out: Derivatives


def _align(job, launched, bits, earlier):
    """Launch one kernel; its status array."""
    similarity, penalties, temperature, mode, lengths = job.inputs
    memory, want = job.memory, job.want
    pairs, rows, columns = similarity.shape
    first = 1 if MODES[mode] == LOCAL else 0
    strips = max(-(-(rows + 1 - first) // LANES), 1)
    squares = -(-(columns + 2 + LANES - 1) // DEPTH)
    real, whole = (np.float32, np.int32) if bits == 32 else (np.float64, np.float64)
    second, graded = want == TANGENT, want != SCORE
    edge = pairs * strips * (columns + 2) * WORDS
    kept = pairs * strips * squares * 4 * LANES if graded else 1
    ends = pairs * strips * LANES if graded else 1
    back = edge if graded else 1

    def dot(size):
        return size if second else 1

    flags = memory.zeros((2 + pairs + 3 * pairs * strips,), np.int32)
    control, status = flags[:1], flags[1 : 2 + pairs + pairs * strips]
    done = flags[2 + pairs + pairs * strips :]
    no_dots = (similarity, *[_blank(memory)] * 4)
    directions = (job.dots.similarity, *job.dots.penalties) if second else no_dots
    blank = directions[1]
    arrays = [blank if isinstance(p, float) else p for p in penalties]
    numbers = [p if isinstance(p, float) else 0.0 for p in (*penalties, temperature)]
    launched.launch(
        memory,
        blocks_of(memory, pairs * strips * (2 if graded else 1), launched.warps),
        (
            similarity,
            *arrays,
            *numbers,
            forms_of(penalties, temperature, lengths),
            blank if isinstance(temperature, float) else temperature,
            memory.empty((1,), np.int64) if lengths is None else lengths,
            pairs,
            rows,
            columns,
            MODES[mode],
            want,
            *directions,
            earlier,
            control,
            status,
            done[: pairs * strips],
            done[pairs * strips :],
            memory.empty((3 * pairs,), np.float64),
            memory.empty((pairs * strips * SUMS,), np.float64),
            memory.empty((edge,), real),
            memory.empty((edge,), whole),
            memory.empty((dot(edge),), real),
            memory.empty((back,), real),
            memory.empty((back,), whole),
            memory.empty((dot(back),), real),
            memory.empty((kept,), real),
            memory.empty((kept,), whole),
            memory.empty((dot(kept),), real),
            memory.empty((ends,), real),
            memory.empty((ends,), whole),
            memory.empty((dot(ends),), real),
            job.out.score,
            job.out.temperature,
            job.out.similarity,
            *job.out.penalties,
        ),
    )
    return status


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
    similarity, penalties, temperature, mode, lengths = job.inputs
    memory, want = job.memory, job.want
    pairs, rows, columns = similarity.shape
    found = Paths(
        job.out.score,
        memory.empty((pairs, min(rows, columns), 2), np.int64),
        memory.zeros((pairs,), np.int64),
    )
    if pairs == 0:
        return found
    blank = memory.empty((1,), np.float64)
    graded = want != SCORE
    hard_kernel().launch(
        memory,
        blocks_of(memory, pairs, _hard.WARPS),
        (
            similarity,
            *[blank if isinstance(p, float) else p for p in penalties],
            *[p if isinstance(p, float) else 0.0 for p in (*penalties, temperature)],
            forms_of(penalties, temperature, lengths),
            blank if isinstance(temperature, float) else temperature,
            memory.empty((1,), np.int64) if lengths is None else lengths,
            pairs,
            rows,
            columns,
            MODES[mode],
            want,
            memory.zeros((1,), np.int32),
            memory.empty((pairs * (columns + 1) * 3,), np.float64),
            memory.empty((pairs * (rows + 1),), np.float64),
            memory.empty((pairs * (rows + 1) * (columns + 1) if graded else 1,), np.uint8),
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
    blank = _blank(memory)
    dtw_kernel().launch(
        memory,
        blocks_of(memory, pairs, _dtw.WARPS),
        (
            cost,
            blank if known else temperature,
            temperature if known else 0.0,
            NUMBER * known | WHOLE * (lengths is None),
            memory.empty((1,), np.int64) if lengths is None else lengths,
            pairs,
            rows,
            columns,
            -1 if bandwidth is None else bandwidth,
            int(graded),
            memory.zeros((1,), np.int32),
            memory.empty((2 * pairs * columns,), np.float64),
            memory.empty((2 * pairs * rows * columns if graded else 1,), np.float64),
            out.score,
            out.temperature,
            out.cost,
        ),
    )
    return out


def _blank(memory):
    """An array that stands for one that a kernel does not read."""
    return memory.empty((1,), np.float64)


def blocks_of(memory, tickets: int, block_warps: int) -> int:
    """Blocks that keep the device busy, no more than there is work for."""
    return max(1, min(-(-tickets // block_warps), memory.processors * 24 // block_warps))

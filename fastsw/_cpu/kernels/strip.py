"""What the walks over a strip share: arrays, their fields, squares of cells, waiting.

A strip of W rows is walked along a skewed front: at step t, lane r stands on row ``bottom - r`` and
column ``t - (W - 1) + r``. Left neighbours are the registers of the step before, upper ones those
of the next lane; the last lane takes them from the row carried over from the strip above, and lane
0 leaves the row for the strip below. Similarity is read, and gradients are written, in squares of
W x W that are transposed in registers; gradients pass through an array of the strip's rows, so that
whole rows of it go to memory at a time.

Two sums of a cell go to the row below: h = m + x + y, which M follows on the diagonal, and v, the
mass that enters Y right below, already times that row's gap factors.

Rows and columns count from the origin of the mode: in global and fitting mode row and column 0 lie
before the first pair; in local mode they are the first pair's.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from fastsw._cpu.runtime.compile import Variant, helper
from fastsw._cpu.runtime.handoff import give_way, read_shared
from fastsw._cpu.runtime.parts import callable_in_kernels
from fastsw._cpu.runtime.pointers import address
from fastsw._cpu.runtime.workspace import aligned
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import scalars
from fastsw._cpu.simd.vectors import fma, native_lanes, vmax

#: Tables of a pair up to this size are kept from the forward to the backward pass.
KEPT_BYTES = 2**23

# Fields of one step in the table of floats and in the table of integers.
# A walk with tangents uses the fields from SLOPE on as well.
WEIGHT, M, X, Y, SLOPE, M_DOT, X_DOT, Y_DOT = range(8)
SHIFT, SCALE, INTEGERS = 0, 1, 2

# Parameters that each lane has of its own.
# Factors of Y are those of the row below, which the lane computes Y for.
START, END, OPEN_X, EXTEND_X, OPEN_Y, EXTEND_Y = range(6)
# The same again, DOT further on, for tangents; then what makes up for the rounding of the factor of
# an extended column gap, over some steps.
DOT = 6
FIX_X, LANE_FLOATS = 12, 13

# Rows of a carried row, in units of `row_length`; forwards and backwards.
H, V, H_DOT, V_DOT = range(4)
BACK_Y, ONTO, BACK_Y_DOT, ONTO_DOT = range(4)

# Sums that each lane leaves.
PAID_OPEN_X, PAID_EXTEND_X, PAID_OPEN_Y, PAID_EXTEND_Y, MEAN, LANE_SUMS = range(6)

# Rows of the column array: gap factors and their tangents.
OPEN, EXTEND, OPEN_DOT, EXTEND_DOT, COLUMN_ROWS = range(5)


def fields(with_tangents):
    """Floats of a step, and of a carried cell, which has as many forwards and backwards."""
    return (8, 4) if with_tangents else (4, 2)


def form(by_column, with_tangents):
    """Names of a kernel's form."""
    return "columns" if by_column else "uniform", "second" if with_tangents else "first"


class Work(NamedTuple):
    """Scratch arrays of one thread, all flat; as they are made, one row for each seat."""

    floats: np.ndarray  # tables: fields x W a step
    integers: np.ndarray  # tables: INTEGERS x W a step
    lane: np.ndarray  # LANE_FLOATS x W
    lane_k: np.ndarray  # exponents of START and END, x W
    square: np.ndarray  # W x W posteriors
    entering: np.ndarray  # 10 x W: carried cells in the lane's units; then see `block_exponent`
    staged: np.ndarray  # rows of a strip's gradient, W x staged_length
    ended: np.ndarray  # 2 x W: what ended in each row of a strip, and its tangent
    ended_k: np.ndarray  # W: exponents


class Shared(NamedTuple):
    """Arrays of one pair, which all threads that work on it share; flat but for rows and ends.

    As they are made, for each seat one such set.
    """

    boundary: np.ndarray  # forward rows: h, v and their tangents
    boundary_k: np.ndarray  # their exponents
    back: np.ndarray  # backward row: y, w * m and their tangents
    back_k: np.ndarray  # exponents of y, then of w * m
    columns: np.ndarray  # COLUMN_ROWS rows
    rows: np.ndarray  # [6, N + 2]: see `set_rows` and `set_row_ends`
    ends: np.ndarray  # [2, N + 1]: what ends in a row of the grid, and its tangent
    ends_k: np.ndarray  # [N + 1]: exponents
    sums: np.ndarray  # LANE_SUMS x W a strip
    paid: np.ndarray  # what was paid by column: open, extend, a strip
    done: np.ndarray  # steps that a strip has done: forwards, then backwards
    counters: np.ndarray  # next strip: forwards, backwards


@callable_in_kernels
def own_work(work, thread):
    """The arrays of one seat."""
    return Work(
        work.floats[thread],
        work.integers[thread],
        work.lane[thread],
        work.lane_k[thread],
        work.square[thread],
        work.entering[thread],
        work.staged[thread],
        work.ended[thread],
        work.ended_k[thread],
    )


@callable_in_kernels
def own_shared(shared, thread):
    """The arrays of one seat's pair."""
    return Shared(
        shared.boundary[thread],
        shared.boundary_k[thread],
        shared.back[thread],
        shared.back_k[thread],
        shared.columns[thread],
        shared.rows[thread],
        shared.ends[thread],
        shared.ends_k[thread],
        shared.sums[thread],
        shared.paid[thread],
        shared.done[thread],
        shared.counters[thread],
    )


class Pointers(NamedTuple):
    """Addresses of the arrays of a thread and a pair that walks use."""

    floats: int
    integers: int
    lane: int
    lane_k: int
    square: int
    staged: int
    entering: int
    ended: int
    ended_k: int
    boundary: int
    boundary_k: int
    back: int
    back_k: int
    columns: int
    sums: int
    paid: int
    done: int


@callable_in_kernels
def pointers_to(work, shared):
    """Where the arrays lie."""
    return Pointers(
        address(work.floats, 0),
        address(work.integers, 0),
        address(work.lane, 0),
        address(work.lane_k, 0),
        address(work.square, 0),
        address(work.staged, 0),
        address(work.entering, 0),
        address(work.ended, 0),
        address(work.ended_k, 0),
        address(shared.boundary, 0),
        address(shared.boundary_k, 0),
        address(shared.back, 0),
        address(shared.back_k, 0),
        address(shared.columns, 0),
        address(shared.sums, 0),
        address(shared.paid, 0),
        address(shared.done, 0),
    )


class Tile(NamedTuple):
    """Where the cells of a pair lie in the flat arrays."""

    offset: int
    stride: int
    n: int
    m: int
    origin: int  # 0: the first row is the first pair's; 1: it lies before


class Pair(NamedTuple):
    """One pair; arrays by their addresses."""

    source: int  # similarity
    target: int  # its gradient
    direction: int  # tangent of the similarity
    tile: Tile
    mode: int
    streaming: bool  # whether gradients are written past the caches


@functools.cache
def squares(bits, lanes):
    """Reading and writing squares of W x W cells, in parts of a native register's size."""
    part = min(lanes, native_lanes(bits))
    simd, variant, width = lanes_of(bits, part), Variant(bits, lanes), lanes
    load_skewed, load_whole = simd.load_skewed, simd.load_whole
    load, store, stream = simd.load_f, simd.store, simd.stream
    store_transposed, copy_first, splat = simd.store_transposed, simd.copy_first, simd.splat_f
    size, lowest = bits // 8, scalars(bits).real(-np.finfo(scalars(bits).real).max)

    @variant.helper
    def load_part(source, tile, out, step, column, last):
        """A part whose first lane's row and first column are given; see `load_square`."""
        n, m, stride = tile.n, tile.m, tile.stride
        source += (tile.offset + last * stride + column) * size
        if part - 1 <= last < n and 0 <= column <= m - 2 * part + 1:  # all within the matrix
            load_whole(source, stride, column, last, n, m, out, step)
        else:
            load_skewed(source, stride, column, last, n, m, out, step)

    @variant.inlined
    def load_square(source, tile, out, step, t0, bottom):
        """Cells of the steps t0 .. t0 + W - 1, `step` elements apart from the address `out` on."""
        for lane in range(0, width, part):
            for u in range(0, width, part):
                column = t0 + u + lane - (width - 1) - tile.origin
                to = out + (u * step + lane) * size
                load_part(source, tile, to, step, column, bottom - lane - tile.origin)

    @variant.helper
    def stage(square, staged, origin, steps, t0):
        """Bring the cells of the steps t0 .. t0 + W - 1 into the rows of the strip's gradient."""
        row = staged_length(steps, width)
        for lane in range(0, width, part):
            for u in range(0, width, part):
                place = square + (u * width + lane) * size
                to = staged + (lane * row + t0 + u + lane + 1 - origin) * size
                store_transposed(place, width, to, row + 1)

    @variant.helper
    def release(staged, target, values, tile, steps, bottom, streaming):
        """Copy a strip's gradient to the target; give the lanes' sums of it times the values."""
        row, m, added = staged_length(steps, width), tile.m, splat(0.0)
        for lane in range(width):
            i = bottom - lane - tile.origin
            if not 0 <= i < tile.n:
                continue
            first = (tile.offset + i * tile.stride) * size
            source, to, value = staged + (lane * row + width) * size, target + first, values + first
            j = 0
            if streaming:
                j = min(-to % (part * size) // size, m)
                added = copy_first(j, source, to, value, added)
            while j + part <= m:
                cells = load(source, j)
                if streaming:
                    stream(to, j, cells)
                else:
                    store(to, j, cells)
                added = fma(cells, vmax(load(value, j), splat(lowest)), added)
                j += part
            onward = j * size
            added = copy_first(m - j, source + onward, to + onward, value + onward, added)
        return added

    return SimpleNamespace(load_square=load_square, stage=stage, release=release)


@callable_in_kernels
def staged_length(steps, lanes):
    """Elements of a row of a strip's gradient: the columns, and what the slant reaches beyond."""
    return steps + 2 * lanes


@helper
def await_steps(done, strip, steps):
    """Wait until a strip, which some thread is walking, has done so many steps."""
    while read_shared(done, strip) < steps:
        give_way()


@callable_in_kernels
def row_length(columns, lanes):
    """Elements of one carried row: the columns, the steps beyond them, and padding."""
    return columns + 1 + 6 * lanes


@callable_in_kernels
def step_count(columns, lanes):
    """Steps of a strip: columns plus the slant of the front, in whole squares."""
    return -(-(columns + lanes - 1) // lanes) * lanes


def strip_height(bits, rows):
    """Lanes of a strip: two registers' worth, unless that wastes rows.

    The front is bound by latency, which two independent registers hide from each other.
    """
    native = native_lanes(bits)
    return native if rows <= native else 2 * native


def thread_arrays(bits, lanes, with_gradients, with_tangents, threads, rows, columns):
    """Scratch arrays of threads for pairs of up to `rows` x `columns`."""
    kind = scalars(bits)
    per_step = fields(with_tangents)[0]
    steps, strips = step_count(columns + 1, lanes), -(-(rows + 1) // lanes)
    slots = lanes
    if with_gradients:
        step_bytes = (per_step + INTEGERS) * lanes * bits // 8
        slots = steps * max(1, min(strips, KEPT_BYTES // (steps * step_bytes)))
    return Work(
        floats=aligned(threads, slots * per_step * lanes, kind.real),
        integers=aligned(threads, slots * INTEGERS * lanes, kind.whole),
        lane=aligned(threads, LANE_FLOATS * lanes, kind.real),
        lane_k=aligned(threads, 2 * lanes, kind.whole),
        square=aligned(threads, lanes * lanes, kind.real),
        entering=aligned(threads, 10 * lanes, kind.real),
        staged=aligned(
            threads, lanes * staged_length(steps, lanes) if with_gradients else 0, kind.real
        ),
        ended=aligned(threads, 2 * lanes, kind.real),
        ended_k=aligned(threads, lanes, kind.whole),
    )


def pair_arrays(bits, lanes, by_column, with_gradients, with_tangents, threads, rows, columns):
    """Scratch arrays of pairs of up to `rows` x `columns`, one a seat."""
    kind = scalars(bits)
    _, carried = fields(with_tangents)
    length, strips = row_length(columns + 1, lanes), -(-(rows + 1) // lanes)
    kept_rows = strips + 1 if with_gradients else 1
    return Shared(
        boundary=aligned(threads, kept_rows * carried * length, kind.real),
        boundary_k=aligned(threads, kept_rows * length, kind.whole),
        back=aligned(threads, carried * length, kind.real),
        back_k=aligned(threads, 2 * length, kind.whole),
        columns=aligned(threads, COLUMN_ROWS * length, kind.real),
        rows=np.empty((threads, 6, rows + 2)),
        ends=np.empty((threads, 2, rows + 1)),
        ends_k=np.empty((threads, rows + 1), np.int64),
        sums=aligned(threads, strips * LANE_SUMS * lanes, kind.real),
        paid=aligned(
            threads, 2 * strips * length if by_column and with_gradients else 0, kind.real
        ),
        done=np.empty((threads, 2 * strips), np.int64),
        counters=np.empty((threads, 2), np.int64),
    )

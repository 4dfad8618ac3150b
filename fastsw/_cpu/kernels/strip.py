"""What the passes over a strip share: arrays, their fields, squares of cells, waiting.

A strip of W rows is computed along an anti-diagonal wavefront: at step t, lane r stands on row
``bottom - r`` and column ``t - (W - 1) + r``. Left neighbours are the registers of the step before,
upper ones those of the next lane; the last lane takes them from the boundary row that the strip
above left, and lane 0 leaves the boundary row for the strip below. Similarity is read, and
gradients are written, in squares of W x W that are transposed in registers; gradients pass through
an array of the strip's rows, so that whole rows of it go to memory at a time.

Two sums of a cell go to the row below, h and v of `cell`.

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
from fastsw._cpu.runtime.pointers import put
from fastsw._cpu.runtime.workspace import aligned
from fastsw._cpu.simd.dual import numbers
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import scalars
from fastsw._cpu.simd.vectors import fma, native_lanes, vmax
from fastsw._types import FITTING

#: Tables of a pair up to this size are kept from the forward to the backward pass.
KEPT_BYTES = 2**23

# Fields of one step in the table of floats and in the table of integers.
WEIGHT, M, X, Y, STEP_NUMBERS = range(5)
SHIFT, SCALE, INTEGERS = range(3)

# Parameters that each lane has of its own.
# Factors of Y are those of the row below, which the lane computes Y for.
START, END, OPEN_X, EXTEND_X, OPEN_Y, EXTEND_Y, LANE_NUMBERS = range(7)
# After these and their tangents, what makes up for the rounding of the factor of an extended column
# gap, over some steps.
FIX_X, LANE_FLOATS = 12, 13

# Rows of a boundary, in units of `row_length`, forwards and backwards; and those of the column
# array, gap factors.
H, V, ROW_NUMBERS = range(3)
BACK_Y, ONTO = range(2)
OPEN, EXTEND = range(2)

# The tangent of a number lies as many fields further as there are numbers: STEP_NUMBERS in the
# tables, LANE_NUMBERS among the parameters of lanes, ROW_NUMBERS in boundaries, in the column array
# and in `Work.incoming`.

# Sums that each lane leaves: gap counts, and the sum of posterior times similarity.
OPENED_X, EXTENDED_X, OPENED_Y, EXTENDED_Y, MEAN, LANE_SUMS = range(6)


def fields(with_tangents):
    """Floats of a step in the tables, and rows of a boundary."""
    parts = 2 if with_tangents else 1
    return parts * STEP_NUMBERS, parts * ROW_NUMBERS


def form(by_column, with_tangents):
    """Names of a kernel's form."""
    return "columns" if by_column else "uniform", "tangents" if with_tangents else "values"


class Work(NamedTuple):
    """Scratch arrays of one thread, all flat; as they are made, one row for each thread."""

    floats: np.ndarray  # tables: fields x W a step
    integers: np.ndarray  # tables: INTEGERS x W a step
    lane: np.ndarray  # LANE_FLOATS x W
    lane_k: np.ndarray  # exponents of START and END, x W
    square: np.ndarray  # W x W posteriors
    incoming: np.ndarray  # 10 x W: boundary cells in the lane's units; then see `block_exponent`
    staged: np.ndarray  # rows of a strip's gradient, W x staged_length
    ended: np.ndarray  # 2 x W: what ended in each row of a strip, and its tangent
    ended_k: np.ndarray  # W: exponents


class Shared(NamedTuple):
    """Arrays of one pair, which all threads that work on it share; flat but for rows and ends.

    As they are made, one such set for each thread.
    """

    boundary: np.ndarray  # forward rows: h, v and their tangents
    boundary_k: np.ndarray  # their exponents
    back: np.ndarray  # backward row: y, w * m and their tangents
    back_k: np.ndarray  # exponents of y, then of w * m
    columns: np.ndarray  # 2 * ROW_NUMBERS rows
    rows: np.ndarray  # [6, N + 2]: see `set_rows` and `set_row_ends`
    ends: np.ndarray  # [2, N + 1]: what ends in a row of the grid, and its tangent
    ends_k: np.ndarray  # [N + 1]: exponents
    sums: np.ndarray  # LANE_SUMS x W a strip
    counts: np.ndarray  # gap counts by column: opened, extended, a strip
    done: np.ndarray  # steps that a strip has done: forwards, then backwards
    counters: np.ndarray  # next strip: forwards, backwards


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


@functools.cache
def readers(bits, lanes, by_column, with_tangents):
    """Reading the numbers of a strip: weights, gap factors, states; dual ones with tangents."""
    simd, number = lanes_of(bits, lanes), numbers(bits, lanes, with_tangents)
    variant, zero = Variant(bits, lanes, *form(by_column, with_tangents)), scalars(bits).real(0)
    load, relative, load_f = number.load, number.relative, simd.load_f
    load_square, width, size = squares(bits, lanes).load_square, lanes, bits // 8
    step = fields(with_tangents)[0] * width
    of_table, of_lane = STEP_NUMBERS * width, LANE_NUMBERS * width

    @variant.helper
    def load_cells(pair, floats, slot, t0, bottom):
        """Similarities of the steps t0 .. t0 + W - 1, into the tables from `slot` on."""
        at = slot * step + WEIGHT * width
        load_square(pair.source, pair.tile, floats + at * size, step, t0, bottom)
        if with_tangents:
            tangents = floats + (at + of_table) * size
            load_square(pair.direction, pair.tile, tangents, step, t0, bottom)
        if pair.tile.origin == 1 and bottom == width - 1:
            # Row 0 lies in the last lane: M may start there, at every column or at the first.
            for u in range(width):
                if t0 + u == 0 or pair.mode == FITTING:
                    put(floats, at + u * step + width - 1, zero)
                    if with_tangents:
                        put(floats, at + of_table + u * step + width - 1, zero)

    @variant.inlined
    def column_factors(lane, columns, at, length):
        """Gap factors of the columns that the lanes stand on."""
        if not by_column:
            return load(lane, OPEN_X * width, of_lane), load(lane, EXTEND_X * width, of_lane)
        opened = load(columns, OPEN * length + at, ROW_NUMBERS * length)
        extended = load(columns, EXTEND * length + at, ROW_NUMBERS * length)
        return opened * load_f(lane, OPEN_X * width), extended  # that is 0 where row 0 is free

    @variant.inlined
    def row_factors(lane):
        """Gap factors of the rows below the lanes."""
        return load(lane, OPEN_Y * width, of_lane), load(lane, EXTEND_Y * width, of_lane)

    @variant.inlined
    def states(floats, at, growth):
        """Forward states of a step, relative to a total of this growth."""
        m = relative(load(floats, at + M * width, of_table), growth)
        x = relative(load(floats, at + X * width, of_table), growth)
        return m, x, relative(load(floats, at + Y * width, of_table), growth)

    return SimpleNamespace(
        load_cells=load_cells,
        column_factors=column_factors,
        row_factors=row_factors,
        states=states,
    )


@callable_in_kernels
def staged_length(steps, lanes):
    """Elements of a row of a strip's gradient: the columns, and what the slant reaches beyond."""
    return steps + 2 * lanes


@helper
def await_steps(done, strip, steps):
    """Wait until a strip, that some thread is at work on, has done so many steps."""
    while read_shared(done, strip) < steps:
        give_way()


@callable_in_kernels
def row_length(columns, lanes):
    """Elements of one boundary row: the columns, the steps beyond them, and padding."""
    return columns + 1 + 6 * lanes


@callable_in_kernels
def step_count(columns, lanes):
    """Steps of a strip: columns plus the slant of the wavefront, in whole squares."""
    return -(-(columns + lanes - 1) // lanes) * lanes


def strip_height(bits, rows):
    """Lanes of a strip: two registers' worth, unless that wastes rows.

    The wavefront is bound by latency, which two independent registers hide from each other.
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
        incoming=aligned(threads, 10 * lanes, kind.real),
        staged=aligned(
            threads, lanes * staged_length(steps, lanes) if with_gradients else 0, kind.real
        ),
        ended=aligned(threads, 2 * lanes, kind.real),
        ended_k=aligned(threads, lanes, kind.whole),
    )


def pair_arrays(
    bits, lanes, by_column, with_gradients, with_tangents, threads, rows, columns, held=None
):
    """Scratch arrays of pairs of up to `rows` x `columns`, one a thread.

    Of the rows of a pair's strips, those of up to `held` strips are kept at a time.
    """
    kind = scalars(bits)
    _, edges = fields(with_tangents)
    length, strips = row_length(columns + 1, lanes), -(-(rows + 1) // lanes)
    held = held or strips
    kept_rows = held + 1 if with_gradients else 1
    return Shared(
        boundary=aligned(threads, kept_rows * edges * length, kind.real),
        boundary_k=aligned(threads, kept_rows * length, kind.whole),
        back=aligned(threads, edges * length, kind.real),
        back_k=aligned(threads, 2 * length, kind.whole),
        columns=aligned(threads, 2 * ROW_NUMBERS * length, kind.real),
        rows=np.empty((threads, 6, rows + 2)),
        ends=np.empty((threads, 2, rows + 1)),
        ends_k=np.empty((threads, rows + 1), np.int64),
        sums=aligned(threads, strips * LANE_SUMS * lanes, kind.real),
        counts=aligned(
            threads, 2 * held * length if by_column and with_gradients else 0, kind.real
        ),
        done=np.empty((threads, 2 * strips), np.int64),
        counters=np.empty((threads, 2), np.int64),
    )

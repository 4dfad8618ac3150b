"""What the walks over a strip share: arrays, their fields, squares of cells, waiting.

A strip of W rows is walked along a skewed front: at step t, lane r stands on row ``bottom - r`` and
column ``t - (W - 1) + r``. Left neighbours are the registers of the step before, upper ones those
of the next lane; the last lane takes them from the row carried over from the strip above, and lane
0 leaves the row for the strip below. Similarity is read, and gradients are written, in squares of
W x W that are transposed in registers.

Two sums of a cell go to the row below: h = m + x + y, which M follows on the diagonal, and v, the
mass that enters Y right below, already times that row's gap factors.

Rows and columns count from the origin of the mode: in global and fitting mode row and column 0 lie
before the first pair; in local mode they are the first pair's.
"""

from __future__ import annotations

import functools
import os
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import register_jitable

from fastsw._cpu._compile import Variant, helper
from fastsw._cpu._simd import lanes_of, native_lanes, read_shared

#: Lets other threads run; a C function of the operating system.
give_way = types.ExternalFunction(
    "SwitchToThread" if os.name == "nt" else "sched_yield", types.int32()
)

# Fields of one step in the table of floats and in the table of integers.
# A walk with tangents uses the fields from SLOPE on as well.
WEIGHT, M, X, Y, SLOPE, M_DOT, X_DOT, Y_DOT = range(8)
SHIFT, SCALE, INTEGERS = 0, 1, 2

# Parameters that each lane has of its own.
# Factors of Y are those of the row below, which the lane computes Y for.
START, END, OPEN_X, EXTEND_X, OPEN_Y, EXTEND_Y = range(6)
# The same again, DOT further on, for tangents; then what makes up for the rounding of the factors
# of an extended gap, over the steps of a group.
DOT = 6
FIX_X, FIX_Y, LANE_FLOATS = 12, 13, 14

# Rows of a carried row, in units of `row_length`; forwards and backwards.
H, V, H_DOT, V_DOT = range(4)
BACK_Y, ONTO, BACK_Y_DOT, ONTO_DOT = range(4)

# Sums that each lane leaves.
PAID_OPEN_X, PAID_EXTEND_X, PAID_OPEN_Y, PAID_EXTEND_Y, MEAN, LANE_SUMS = range(6)

# Rows of the column array: gap factors and their tangents.
OPEN, EXTEND, OPEN_DOT, EXTEND_DOT, COLUMN_ROWS = range(5)


def fields(second):
    """Floats of a step, and of a carried cell, which has as many forwards and backwards."""
    return (8, 4) if second else (4, 2)


def form(by_column, second):
    """Names of a kernel's form."""
    return "columns" if by_column else "uniform", "second" if second else "first"


class Work(NamedTuple):
    """Scratch arrays of one thread, all flat."""

    floats: np.ndarray  # tables: fields x W a step
    integers: np.ndarray  # tables: INTEGERS x W a step
    lane: np.ndarray  # LANE_FLOATS x W
    lane_k: np.ndarray  # exponents of START and END, x W
    square: np.ndarray  # W x W posteriors
    entering: np.ndarray  # 9 x W: carried cells in the lane's units; then see `_grouped`
    ended: np.ndarray  # 2 x W: what ended in each row of a strip, and its tangent
    ended_k: np.ndarray  # W: exponents


class Shared(NamedTuple):
    """Arrays of one pair, which all threads that work on it share; flat but for rows and ends."""

    carry: np.ndarray  # forward rows: h, v and their tangents
    carry_k: np.ndarray  # their exponents
    back: np.ndarray  # backward row: y, w * m and their tangents
    back_k: np.ndarray  # exponents of y, then of w * m
    columns: np.ndarray  # COLUMN_ROWS rows
    rows: np.ndarray  # [6, N + 2]: see `set_rows` and `set_row_ends`
    ends: np.ndarray  # [2, N + 1]: what ends in a row of the grid, and its tangent
    ends_k: np.ndarray  # [N + 1]: exponents
    sums: np.ndarray  # LANE_SUMS x W a strip
    paid: np.ndarray  # what was paid by column: open, extend, a strip
    done: np.ndarray  # steps that a strip has done: forwards, then backwards
    tickets: np.ndarray  # next strip: forwards, backwards


class Pair(NamedTuple):
    """One pair in the flat arrays."""

    source: np.ndarray  # similarity
    target: np.ndarray  # its gradient
    direction: np.ndarray  # tangent of the similarity
    offset: int
    stride: int
    n: int
    m: int
    origin: int  # 0: the first row is the first pair's; 1: it lies before
    mode: int


@functools.cache
def squares(bits, lanes):
    """Reading and writing squares of W x W cells, in parts of a native register's size."""
    part = min(lanes, native_lanes(bits))
    simd, variant, width = lanes_of(bits, part), Variant(bits, lanes), lanes
    load_skewed, load_whole = simd.load_skewed, simd.load_whole
    store_skewed, store_whole = simd.store_skewed, simd.store_whole
    store, load = simd.store, simd.load_f

    @variant.inlined
    def is_whole(pair, last, column):
        """Whether all cells of a part lie within the matrix."""
        return part - 1 <= last < pair.n and 0 <= column <= pair.m - 2 * part + 1

    def reader(load_part, name):
        """A part read by a function of its own: optimised together they contend for registers."""

        @Variant(bits, lanes, name).helper
        def read(pair, source, base, column, last, out, to, step):
            load_part(source, base, pair.stride, column, last, pair.n, pair.m, out, to, step)

        return read

    def writer(store_part, name):
        """A part written by a function of its own."""

        @Variant(bits, lanes, name).helper
        def write(pair, square, place, base, column, last, sums, at):
            n, m, stride, target, values = pair.n, pair.m, pair.stride, pair.target, pair.source
            added = store_part(
                square, place, width, target, values, base, stride, column, last, n, m
            )
            store(sums, at, load(sums, at) + added)

        return write

    load_edge, load_inner = reader(load_skewed, "edge"), reader(load_whole, "inner")
    store_edge, store_inner = writer(store_skewed, "edge"), writer(store_whole, "inner")

    @variant.helper
    def load_square(pair, source, out, at, step, t0, bottom):
        """Cells of the steps t0 .. t0 + W - 1, to out[at], out[at + step], ..."""
        for lane in range(0, width, part):
            last = bottom - lane - pair.origin
            for u in range(0, width, part):
                column = t0 + u + lane - (width - 1) - pair.origin
                base, to = pair.offset + last * pair.stride + column, at + u * step + lane
                if is_whole(pair, last, column):
                    load_inner(pair, source, base, column, last, out, to, step)
                else:
                    load_edge(pair, source, base, column, last, out, to, step)

    @variant.helper
    def store_square(pair, square, sums, at, t0, bottom):
        """Write the square to the target; add its product with the similarity to sums[at]."""
        for lane in range(0, width, part):
            last = bottom - lane - pair.origin
            for u in range(0, width, part):
                column = t0 + u + lane - (width - 1) - pair.origin
                base, place = pair.offset + last * pair.stride + column, u * width + lane
                if is_whole(pair, last, column):
                    store_inner(pair, square, place, base, column, last, sums, at + lane)
                else:
                    store_edge(pair, square, place, base, column, last, sums, at + lane)

    return SimpleNamespace(load_square=load_square, store_square=store_square)


@helper
def await_steps(done, strip, steps):
    """Wait until a strip, which some thread is walking, has done so many steps."""
    while read_shared(done, strip) < steps:
        give_way()


@register_jitable
def row_length(columns, lanes):
    """Elements of one carried row: the columns, the steps beyond them, and padding."""
    return columns + 1 + 6 * lanes


@register_jitable
def step_count(columns, lanes):
    """Steps of a strip: columns plus the slant of the front, in whole squares."""
    return -(-(columns + lanes - 1) // lanes) * lanes

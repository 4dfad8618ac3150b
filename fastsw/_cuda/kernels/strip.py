"""Strips of rows and what passes between them: similarities, boundary rows, progress."""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import (
    LANES,
    SIMULATED,
    device,
    from_above,
    from_below,
    from_lane,
    hide,
    load_acquire,
    pause,
    store_release,
    sync,
)
from fastsw._cuda.kernels.pairs import Penalties
from fastsw._cuda.scaled import numbers
from fastsw._types import GLOBAL

#: Steps between two exchanges with other strips; they make a square of cells.
DEPTH = 2 if SIMULATED else 8

#: Rows that the lanes cover at once when they bring a square's cells.
ACROSS = LANES // DEPTH

#: Similarities of a square in shared memory.
TILE = LANES * (DEPTH + 1)

#: Numbers in a record of a boundary row; the last two are flows, without exponents.
WORDS = 4

#: Numbers of a boundary row in shared memory.
EDGE = DEPTH * WORDS

#: Sums over a strip: the flows of four penalties, and the mean score.
SUMS = 5


class Call(NamedTuple):
    """What the strips of a launch share."""

    similarity: Any
    dots: Any  # tangents of the similarities
    penalties: Penalties
    remainder: Any  # what `penalties.unit` leaves out of 1 / (T log 2)
    mode: Any
    want: Any
    rows: Any
    columns: Any


class Rows(NamedTuple):
    """Boundary rows of strips, in memory or in shared memory."""

    f: Any
    k: Any
    d: Any


class Store(NamedTuple):
    """What a launch keeps in memory."""

    edge: Rows  # [pairs, strips, width, WORDS], what goes down
    back: Rows  # the same, what goes up
    kept: Rows  # [pairs, strips, squares, 4, LANES], what enters squares
    ends: Rows  # [pairs, strips, LANES], the numbers of the virtual column
    totals: Any  # [pairs, 3]
    sums: Any  # [pairs, strips, SUMS]


class Square(NamedTuple):
    """What a warp keeps in shared memory (cells of wide numbers: a lane, in its own memory)."""

    tile: Any  # [LANES, DEPTH + 1], similarities, skewed
    cells: Rows  # [DEPTH, 3, LANES], states
    edges: Rows  # three times [DEPTH, WORDS]: the row above, the row below, the row passed on
    spent: Any  # [SUMS, LANES]


class Answers(NamedTuple):
    """What the caller gets; of each pair."""

    score: Any
    slope: Any
    gradient: Any
    penalties: Any  # four pointers


class Strip(NamedTuple):
    """One strip of a pair, and the lane's place in it."""

    b: Any
    s: Any
    lane: Any
    n: Any  # rows and columns of the pair
    m: Any
    first: Any  # first row and column of the grid
    last: Any  # last column, the virtual one included
    i: Any  # the lane's row
    here: Any  # index of the strip among those of all pairs
    count: Any  # strips of the pair
    squares: Any  # of the strip
    tile_at: Any  # of the warp, in shared memory
    cell_at: Any
    come_at: Any
    below_at: Any
    leave_at: Any
    spent_at: Any


@device
def lane_of(thread):
    """Place of a thread in its warp."""
    return np.int32(np.int32(thread) & np.int32(LANES - 1))


@device
def warp_of(thread):
    """Place of a thread's warp in its block."""
    return np.int32(np.uint32(thread) // np.uint32(LANES))


@device
def virtual_column(mode, strip):
    """Column beyond the last, through which alignments end; none in global mode."""
    return np.int32(strip.m + 1) if mode != GLOBAL else np.int32(-(2**30))


@device
def row_of(call, strip):
    """Place of a strip's boundary row, computed where it is needed."""
    return hide(np.int32(strip)) * (call.columns + 2)


@device
def squares_of(call):
    """Squares of a strip of a whole matrix."""
    return (call.columns + 2 + LANES - 1 + DEPTH - 1) // DEPTH


@device
def first_element(call, strip, c):
    """Row and column of the first element of a square that the lane brings, and where it is.

    The next ones lie `ACROSS` rows down and as many columns to the left.
    """
    r, u = strip.lane // np.int32(DEPTH), strip.lane % np.int32(DEPTH)
    i = np.int32(strip.first + strip.s * LANES + r)
    j = np.int32(strip.first + c * DEPTH + u - r)
    place = (strip.b * call.rows + hide(i) - 1) * call.columns + j - 1
    spot = np.int32(strip.tile_at + r * (DEPTH + 1) + u)
    return i, j, place, hide(call.columns - 1) * ACROSS, spot


@device
def store_tile(call, strip, tile, gradient, c):
    """Write what stands in a square's tile to the gradient."""
    i, j, place, stride, spot = first_element(call, strip, c)
    for _ in range(DEPTH):
        if i >= 1 and i <= strip.n and j >= 1 and j <= strip.m:
            gradient[place] = tile[np.uint32(spot)]
        i, j = np.int32(i + ACROSS), np.int32(j - ACROSS)
        place += stride
        spot = np.int32(spot + ACROSS * (DEPTH + 1))


@device
def wait(flags, index, needed, lane):
    """Wait until another strip has come as far as needed."""
    if lane == 0:
        while load_acquire(flags, index) < needed:
            pause()
    sync()


@device
def tell(flags, index, done, lane):
    """Publish how far this strip has come."""
    sync()
    if lane == 0:
        store_release(flags, index, np.int32(done))


@device
def lane_sum(value, lane):
    """Sum over the lanes, in an order that does not depend on the lane."""
    step = 1
    while step < LANES:
        value += from_lane(value, lane, lane ^ step)
        step *= 2
    return value


@device
def lane_or(value, lane):
    """Bits set in any lane."""
    step = 1
    while step < LANES:
        value |= from_lane(value, lane, lane ^ step)
        step *= 2
    return value


class Transfers(NamedTuple):
    """Device functions that bring in and out what a square needs, in one kind of numbers."""

    load_tile: Any
    load_edge: Any
    keep_edge: Any
    get: Any
    put: Any
    lane_before: Any
    lane_after: Any


@functools.cache
def transfers(name: str, *, second: bool) -> Transfers:
    """Give the functions for a kind of numbers, with or without tangents."""
    kind = numbers(name)
    real, nothing = kind.real, kind.nothing
    zero = real(0)
    none = real(1), nothing, zero

    @device
    def load_tile(call, strip, tile, c):
        """Bring the similarities of a square into shared memory; -inf outside.

        Gives the largest number seen by the lane, and whether it saw NaN or +inf.
        """
        top, bad = real(-math.inf), False
        i, j, place, stride, spot = first_element(call, strip, c)
        for _ in range(DEPTH):
            value = real(-math.inf)
            if i >= 1 and i <= strip.n and j >= 1 and j <= strip.m:
                value = real(call.similarity[place])
                if not value < math.inf:
                    bad, value = True, real(-math.inf)
                top = max(top, value)
            tile[np.uint32(spot)] = value
            i, j = np.int32(i + ACROSS), np.int32(j - ACROSS)
            place += stride
            spot = np.int32(spot + ACROSS * (DEPTH + 1))
        return top, bad

    @device
    def get(rows, p):
        """A number from memory."""
        d = zero
        if second:
            d = rows.d[p]
        return rows.f[p], rows.k[p], d

    @device
    def put(rows, p, a):
        """Write a number to memory."""
        rows.f[p], rows.k[p] = a[0], a[1]
        if second:
            rows.d[p] = a[2]

    @device
    def load_edge(rows, row, j, there, base, lane, to, flows):
        """Bring one record of a boundary row into shared memory; nothing where there is none."""
        record, p = (row + j) * WORDS, np.uint32(base + WORDS * lane)
        a, b = none, none
        if there:
            a, b = get(rows, record), get(rows, record + 1)
        put(to, p, a)
        put(to, np.uint32(p + np.uint32(1)), b)
        if flows:
            c, d = zero, zero
            if there:
                c, d = rows.f[record + 2], rows.f[record + 3]
            to.f[np.uint32(p + np.uint32(2))], to.f[np.uint32(p + np.uint32(3))] = c, d

    @device
    def keep_edge(rows, row, j, base, lane, leave, flows):
        """Write one record of a boundary row to memory."""
        record, p = (row + j) * WORDS, np.uint32(base + WORDS * lane)
        put(rows, record, get(leave, p))
        put(rows, record + 1, get(leave, np.uint32(p + np.uint32(1))))
        if flows:
            rows.f[record + 2] = leave.f[np.uint32(p + np.uint32(2))]
            rows.f[record + 3] = leave.f[np.uint32(p + np.uint32(3))]

    @device
    def lane_before(a, lane):
        """A number of the lane before."""
        d = a[2]
        if second:
            d = from_above(d, lane)
        return from_above(a[0], lane), from_above(a[1], lane), d

    @device
    def lane_after(a, lane):
        """A number of the lane after."""
        d = a[2]
        if second:
            d = from_below(d, lane)
        return from_below(a[0], lane), from_below(a[1], lane), d

    return Transfers(load_tile, load_edge, keep_edge, get, put, lane_before, lane_after)

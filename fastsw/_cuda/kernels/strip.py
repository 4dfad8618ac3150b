"""Strips of rows and what passes between them: similarities, boundary rows, progress.

A strip has a row for each lane of a warp, and lane r stands one column behind lane r - 1. So a
tile, which is `STEPS` steps of a strip, is skewed: its cells lie on as many anti-diagonals.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import (
    LANES,
    SIMULATED,
    back_off,
    device,
    fetch_add,
    from_above,
    from_below,
    from_lane,
    load_acquire,
    load_relaxed,
    opaque,
    store_release,
    sync,
)
from fastsw._cuda.scaled import numbers
from fastsw._types import GLOBAL

#: Steps of a tile, between two exchanges with other strips.
STEPS = 2 if SIMULATED else 8

#: Rows that the lanes cover at once when they load a tile.
ROWS_AT_ONCE = LANES // STEPS

#: Similarities of a tile in shared memory.
TILE = LANES * (STEPS + 1)

#: Numbers in a record of a boundary row; the last two are gap counts, without exponents.
RECORD = 4

#: Numbers of a boundary row in shared memory.
BOUNDARY = STEPS * RECORD

#: Sums over a strip: the counts of four penalties, and the mean score.
SUMS = 5


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
    return opaque(np.int32(strip)) * (call.columns + 2)


@device
def tiles_of(call):
    """Tiles of a strip of a whole matrix."""
    return (call.columns + 2 + LANES - 1 + STEPS - 1) // STEPS


@device
def first_element(call, strip, c):
    """Row and column of the first element of a tile that the lane loads, and where it is.

    The next ones lie `ROWS_AT_ONCE` rows down and as many columns to the left.
    """
    r, u = strip.lane // np.int32(STEPS), strip.lane % np.int32(STEPS)
    i = np.int32(strip.first + strip.s * LANES + r)
    j = np.int32(strip.first + c * STEPS + u - r)
    place = (strip.b * call.rows + opaque(i) - 1) * call.columns + j - 1
    spot = np.int32(strip.similarity_at + r * (STEPS + 1) + u)
    return i, j, place, opaque(call.columns - 1) * ROWS_AT_ONCE, spot


@device
def store_tile(call, strip, tile, gradient, c):
    """Write what stands in place of a tile's similarities to the gradient."""
    i, j, place, stride, spot = first_element(call, strip, c)
    for _ in range(STEPS):
        if i >= 1 and i <= strip.n and j >= 1 and j <= strip.m:
            gradient[place] = tile[np.uint32(spot)]
        i, j = np.int32(i + ROWS_AT_ONCE), np.int32(j - ROWS_AT_ONCE)
        place += stride
        spot = np.int32(spot + ROWS_AT_ONCE * (STEPS + 1))


@device
def next_item(control, counter, lane):
    """Take the next item of a work counter, the same for all lanes."""
    item = np.int32(0)
    if lane == 0:
        item = np.int32(fetch_add(control, counter, np.int32(1)))
    return from_lane(item, lane, np.int32(0))


@device
def wait(flags, index, needed, lane):
    """Wait until another strip has come as far as needed.

    Only the last look invalidates the multiprocessor's cache, which other warps use.
    """
    if lane == 0:
        while load_relaxed(flags, index) < needed:
            back_off()
        load_acquire(flags, index)
    sync()


@device
def publish(flags, index, done, lane):
    """Let others know how far this strip has come."""
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
    """Device functions that load and store what a tile needs, in one kind of numbers."""

    load_tile: Any
    load_boundary: Any
    store_boundary: Any
    get: Any
    put: Any
    lane_before: Any
    lane_after: Any


@functools.cache
def transfers(name: str, *, with_tangents: bool) -> Transfers:
    """Give the functions for a kind of numbers, with or without tangents."""
    kind = numbers(name)
    real, nothing = kind.real, kind.nothing
    zero = real(0)
    none = real(1), nothing, zero

    @device
    def load_tile(call, strip, tile, c):
        """Bring the similarities of a tile into shared memory; -inf outside.

        Gives the largest number seen by the lane, and whether it saw NaN or +inf.
        """
        top, bad = real(-math.inf), False
        i, j, place, stride, spot = first_element(call, strip, c)
        for _ in range(STEPS):
            value = real(-math.inf)
            if i >= 1 and i <= strip.n and j >= 1 and j <= strip.m:
                value = real(call.similarity[place])
                if not value < math.inf:
                    bad, value = True, real(-math.inf)
                top = max(top, value)
            tile[np.uint32(spot)] = value
            i, j = np.int32(i + ROWS_AT_ONCE), np.int32(j - ROWS_AT_ONCE)
            place += stride
            spot = np.int32(spot + ROWS_AT_ONCE * (STEPS + 1))
        return top, bad

    @device
    def get(rows, p):
        """A number from memory."""
        d = zero
        if with_tangents:
            d = rows.d[p]
        return rows.f[p], rows.k[p], d

    @device
    def put(rows, p, a):
        """Write a number to memory."""
        rows.f[p], rows.k[p] = a[0], a[1]
        if with_tangents:
            rows.d[p] = a[2]

    @device
    def load_boundary(rows, row, j, there, base, lane, to, with_counts):
        """Bring one record of a boundary row into shared memory; nothing where there is none."""
        record, p = (row + j) * RECORD, np.uint32(base + RECORD * lane)
        a, b = none, none
        if there:
            a, b = get(rows, record), get(rows, record + 1)
        put(to, p, a)
        put(to, np.uint32(p + np.uint32(1)), b)
        if with_counts:
            c, d = zero, zero
            if there:
                c, d = rows.f[record + 2], rows.f[record + 3]
            to.f[np.uint32(p + np.uint32(2))], to.f[np.uint32(p + np.uint32(3))] = c, d

    @device
    def store_boundary(rows, row, j, base, lane, outgoing, with_counts):
        """Write one record of a boundary row to memory."""
        record, p = (row + j) * RECORD, np.uint32(base + RECORD * lane)
        put(rows, record, get(outgoing, p))
        put(rows, record + 1, get(outgoing, np.uint32(p + np.uint32(1))))
        if with_counts:
            rows.f[record + 2] = outgoing.f[np.uint32(p + np.uint32(2))]
            rows.f[record + 3] = outgoing.f[np.uint32(p + np.uint32(3))]

    @device
    def lane_before(a, lane):
        """A number of the lane before."""
        d = a[2]
        if with_tangents:
            d = from_above(d, lane)
        return from_above(a[0], lane), from_above(a[1], lane), d

    @device
    def lane_after(a, lane):
        """A number of the lane after."""
        d = a[2]
        if with_tangents:
            d = from_below(d, lane)
        return from_below(a[0], lane), from_below(a[1], lane), d

    return Transfers(load_tile, load_boundary, store_boundary, get, put, lane_before, lane_after)

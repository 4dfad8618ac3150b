"""Walks over a row of a group of pairs, whose lanes are the pairs; `inter_pair` walks the rows.

G columns of a row share an exponent, lane by lane: the largest of all that can enter them from the
left, from the row above and from the start. M is entered from the row above alone, so within the G
columns a state grows by one match and some sums, which is less than `block_exponent` allows for.
Its bounds on what is lost hold as well: the exponent came from a mass in the same row at most 2 * G
columns to the left, or in the row above at most G columns to the right or 2 * G to the left. By
gaps alone this mass can follow the alignments of a lost state from where they have caught up with
its column; so it misses at most G matches and pays at most two opened gaps and 2 * G extended ones
more. Backwards the same holds with left and right, above and below exchanged.

What comes from the left is at most 9 times the largest M of the last G columns, or X of their
first, from which the exponent is found: these are known long before X of the last column, on which
everything else would have to wait.

The factor of an extended gap is rounded, which is made up for once in G columns, as in
`block_exponent`, and likewise once in G rows.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from fastsw._cpu.kernels.block_exponent import BLOCK, HEAD
from fastsw._cpu.runtime.compile import Variant
from fastsw._cpu.runtime.parts import callable_in_kernels
from fastsw._cpu.runtime.pointers import address
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import arithmetic, scalars
from fastsw._cpu.simd.vectors import fma, vmax, vmin

# Fields of a cell in the tables, beside its weight; of a cell that is carried from row to row,
# forwards (`strip` says what h and v are) and backwards; of a carried group of columns.
M, X, Y, STATES = range(4)
H, V, CARRIED = range(3)
BACK_Y, ONTO = range(2)
SCALE, TOP, SCALES = range(3)

# Parameters and sums that each lane has of its own.
(
    OPEN_X,
    EXTEND_X,
    OPEN_Y,
    EXTEND_Y,
    FIX_X,
    FIX_Y,
    FLOOR,
    PER_TOTAL,
    ENDED,
    PAID_OPEN_X,
    PAID_EXTEND_X,
    PAID_OPEN_Y,
    PAID_EXTEND_Y,
    LANE_FLOATS,
) = range(14)
ENDED_K, TOTAL_K, LANE_INTEGERS = range(3)


class Work(NamedTuple):
    """Scratch arrays, flat, or with a row for each seat; a column counts W elements."""

    weights: np.ndarray  # of a group's cells, or of a row if only scores are wanted; W columns more
    tables: np.ndarray  # STATES x the cells of a strip
    scales: np.ndarray  # exponents of a strip's groups of columns
    boundary: np.ndarray  # rows between strips, and one in use: CARRIED x columns
    boundary_k: np.ndarray  # their exponents: SCALES x groups of columns
    back: np.ndarray  # backward row: CARRIED x columns
    back_k: np.ndarray  # its exponents
    posterior: np.ndarray  # a row, and W columns more
    lane: np.ndarray  # LANE_FLOATS x W
    lane_k: np.ndarray  # LANE_INTEGERS x W
    means: np.ndarray  # W x W: parts of each pair's sum of posterior x similarity
    pairs: np.ndarray  # int64, x W: addresses of similarities and gradients, rows, columns


@callable_in_kernels
def own_work(work, thread):
    """The arrays of one seat."""
    return Work(
        work.weights[thread],
        work.tables[thread],
        work.scales[thread],
        work.boundary[thread],
        work.boundary_k[thread],
        work.back[thread],
        work.back_k[thread],
        work.posterior[thread],
        work.lane[thread],
        work.lane_k[thread],
        work.means[thread],
        work.pairs[thread],
    )


SOURCE, TARGET, N, M_, PAIR_INTEGERS = range(5)  # rows of `Work.pairs`


class Pointers(NamedTuple):
    """Addresses of the arrays of `Work`."""

    weights: int
    tables: int
    scales: int
    boundary: int
    boundary_k: int
    back: int
    back_k: int
    posterior: int
    lane: int
    lane_k: int
    means: int
    pairs: int


@callable_in_kernels
def pointers_to(work):
    """Where the arrays lie."""
    return Pointers(
        address(work.weights, 0),
        address(work.tables, 0),
        address(work.scales, 0),
        address(work.boundary, 0),
        address(work.boundary_k, 0),
        address(work.back, 0),
        address(work.back_k, 0),
        address(work.posterior, 0),
        address(work.lane, 0),
        address(work.lane_k, 0),
        address(work.means, 0),
        address(work.pairs, 0),
    )


class Tile(NamedTuple):
    """Size of a group of pairs; rows and columns count from the origin, see `strip`."""

    rows: int
    columns: int  # a multiple of GROUP
    stride: int
    origin: int
    least_n: int  # the shortest pair's rows
    least_m: int


@functools.cache
def passes(bits, lanes):
    """The walks over one row: weights, forwards with and without tables, backwards, release."""
    simd, kind, vectors = lanes_of(bits, lanes), scalars(bits), arithmetic(bits, lanes)
    variant = Variant(bits, lanes)
    load_f, load_i, store = simd.load_f, simd.load_i, simd.store
    splat_f, splat_i, exponent = simd.splat_f, simd.splat_i, simd.exponent
    load_rows, load_whole_rows = simd.load_rows, simd.load_whole_rows
    store_rows, store_whole_rows = simd.store_rows, simd.store_whole_rows
    capped_float, capped_power = vectors.capped_float, vectors.capped_power
    scaled_sum, plain_weight = vectors.scaled_sum, vectors.plain_weight
    zero, one, nothing, none = kind.real(0), kind.real(1), kind.nothing, kind.whole(0)
    bias, normal = kind.whole(simd.bias), kind.whole(simd.bias + HEAD[bits])
    most = bias + normal
    width, size = lanes, bits // 8

    @variant.helper
    def weigh(pointers, tile, i, slot, unit):
        """Weights of row i of the grid, into the table from `slot` columns on."""
        weights, origin = pointers.weights + slot * width * size, tile.origin
        row, sizes = i - origin, pointers.pairs + N * width * 8
        first = row * tile.stride - origin
        whole = 0 <= row < tile.least_n
        for c in range(0, tile.columns, width):
            at, to = first + c, weights + c * width * size
            if whole and origin <= c <= tile.least_m + origin - width:
                load_whole_rows(pointers.pairs, at, sizes, row, c - origin, to)
            else:
                load_rows(pointers.pairs, at, sizes, row, c - origin, to)
        per_unit, floor = splat_f(unit), load_f(pointers.lane, FLOOR * width)
        for c in range(tile.columns):
            store(weights, c * width, plain_weight(load_f(weights, c * width), per_unit, floor))
        if origin == 1 and i == 0:  # the start
            store(weights, 0, splat_f(one))

    @variant.inlined
    def rescaled(e, ahead):
        """The factor to the unit of a group, whose exponent is the larger of two.

        That of the group before is `ahead` of the one; the other comes from a state of that group
        with the biased exponent e. Few operations wait for e, which all else has to wait for.
        """
        return capped_float(vmin(splat_i(most) - e, ahead + splat_i(most)))

    def forward_walk(tables):
        variant = Variant(bits, lanes, "tables" if tables else "scores")

        @variant.helper
        def forward(pointers, tile, i, weights, slot, above, below):
            """Walk row i, from a carried row to another, or in place.

            What ends in it is added to the total. With `tables` its states are kept, from `slot`
            columns on.
            """
            lane, lane_k, states, scales = (
                pointers.lane,
                pointers.lane_k,
                pointers.tables,
                pointers.scales,
            )
            weights = pointers.weights + weights * width * size
            columns = tile.columns
            row, row_k = columns * CARRIED * width, columns // BLOCK * SCALES * width
            incoming_at, incoming_k = (
                pointers.boundary + above * row * size,
                pointers.boundary_k + above * row_k * size,
            )
            leave, leave_k = (
                pointers.boundary + below * row * size,
                pointers.boundary_k + below * row_k * size,
            )
            states = states + slot * STATES * width * size
            scales = scales + slot // BLOCK * width * size
            zeros = splat_f(zero)
            start_k = splat_i(none if tile.origin == 0 or i == 0 else nothing)
            fix_y = load_f(lane, FIX_Y * width) if i % BLOCK == 0 else splat_f(one)
            m, x, up, k = zeros, zeros, zeros, splat_i(nothing)
            left, odd, even = zeros, zeros, zeros  # of the group before: its first column, its M
            ended, ended_k = zeros, splat_i(nothing)
            for _ in range(0, columns, BLOCK):
                open_x, extend_x = load_f(lane, OPEN_X * width), load_f(lane, EXTEND_X * width)
                open_y, extend_y = load_f(lane, OPEN_Y * width), load_f(lane, EXTEND_Y * width)
                above_k, above_top = (
                    load_i(incoming_k, SCALE * width),
                    load_i(incoming_k, TOP * width),
                )
                top = vmax(start_k + splat_i(bias), above_top)
                own = exponent(vmax(vmax(odd, even), vmax(left, up)))
                change, k = rescaled(own, k - top), vmax(k + own, top) - splat_i(normal)
                rescale = capped_power(above_k - k)
                started, rescale_y = capped_power(start_k - k), rescale * fix_y
                m, x = m * change, x * (change * load_f(lane, FIX_X * width))
                before, peak, sum_m = fma(up, change, started), zeros, zeros
                odd, even = zeros, zeros
                for u in range(BLOCK):
                    up = load_f(incoming_at, (CARRIED * u + H) * width) * rescale
                    y = load_f(incoming_at, (CARRIED * u + V) * width) * rescale_y
                    old_m = m
                    m = load_f(weights, u * width) * before
                    x = fma(extend_x, x, open_x * old_m)
                    before, outer = up + started, m + x
                    if u == 0:
                        left = outer
                    elif u % 2 == 1:
                        odd = vmax(odd, m)
                    else:
                        even = vmax(even, m)
                    h, v = outer + y, fma(extend_y, y, open_y * outer)
                    peak, sum_m = vmax(peak, h), sum_m + m
                    store(leave, (CARRIED * u + H) * width, h)
                    store(leave, (CARRIED * u + V) * width, v)
                    if tables:
                        store(states, (STATES * u + M) * width, m)
                        store(states, (STATES * u + X) * width, x)
                        store(states, (STATES * u + Y) * width, y)
                store(leave_k, SCALE * width, k)
                store(leave_k, TOP * width, k + exponent(peak))
                if tables:
                    store(scales, 0, k)
                    states += BLOCK * STATES * width * size
                    scales += width * size
                ended, ended_k = scaled_sum(ended, ended_k, sum_m, k)
                if tile.origin == 1:
                    start_k = splat_i(nothing)
                weights += BLOCK * width * size
                incoming_at += BLOCK * CARRIED * width * size
                leave += BLOCK * CARRIED * width * size
                incoming_k += SCALES * width * size
                leave_k += SCALES * width * size
            if tile.origin == 0:
                total, total_k = load_f(lane, ENDED * width), load_i(lane_k, ENDED_K * width)
                total, total_k = scaled_sum(total, total_k, ended, ended_k)
                store(lane, ENDED * width, total)
                store(lane_k, ENDED_K * width, total_k)

        return forward

    @variant.inlined
    def add(sums, at, share, amount):
        """Add a product to sums that are kept in memory."""
        store(sums, at, fma(share, amount, load_f(sums, at)))

    @variant.helper
    def backward(pointers, tile, i, weights, slot):
        """Walk row i from right to left; its posterior is left in `Work.posterior`."""
        lane, lane_k, columns = pointers.lane, pointers.lane_k, tile.columns
        end, end_k = columns - BLOCK, columns // BLOCK - 1
        weights = pointers.weights + (weights + end) * width * size
        states = pointers.tables + (slot + end) * STATES * width * size
        scales = pointers.scales + (slot // BLOCK + end_k) * width * size
        back = pointers.back + end * CARRIED * width * size
        back_k = pointers.back_k + end_k * SCALES * width * size
        posterior = pointers.posterior + end * width * size
        zeros = splat_f(zero)
        ends_k = splat_i(none if tile.origin == 0 else nothing)
        fix_y = load_f(lane, FIX_Y * width) if (i + 1) % BLOCK == 0 else splat_f(one)
        x, diagonal, k = zeros, zeros, splat_i(nothing)
        right, odd, even = zeros, zeros, zeros  # of the group before: its first column, the others
        for _ in range(0, columns, BLOCK):
            open_x, extend_x = load_f(lane, OPEN_X * width), load_f(lane, EXTEND_X * width)
            open_y, extend_y = load_f(lane, OPEN_Y * width), load_f(lane, EXTEND_Y * width)
            per_total, total_k = load_f(lane, PER_TOTAL * width), load_i(lane_k, TOTAL_K * width)
            below_k, below_top = load_i(back_k, SCALE * width), load_i(back_k, TOP * width)
            here_k = load_i(scales, 0)
            top = vmax(vmax(ends_k + splat_i(bias), below_top), total_k - here_k + splat_i(normal))
            own = exponent(vmax(vmax(odd, even), vmax(right, diagonal)))
            change, k = rescaled(own, k - top), vmax(k + own, top) - splat_i(normal)
            rescale = capped_power(below_k - k)
            ended, rescale_y = capped_power(ends_k - k), rescale * fix_y
            share = per_total * capped_power(here_k + k - total_k)
            x, diagonal = x * (change * load_f(lane, FIX_X * width)), diagonal * change
            of_open_x, of_extend_x, of_open_y, of_extend_y = zeros, zeros, zeros, zeros
            peak, odd, even = zeros, zeros, zeros
            for u in range(BLOCK - 1, -1, -1):
                down = load_f(back, (CARRIED * u + BACK_Y) * width) * rescale_y
                next_diagonal = load_f(back, (CARRIED * u + ONTO) * width) * rescale
                here_m = load_f(states, (STATES * u + M) * width)
                here_x = load_f(states, (STATES * u + X) * width)
                here_y = load_f(states, (STATES * u + Y) * width)
                onward = fma(open_y, down, diagonal)
                new_m = fma(open_x, x, onward + ended)
                store(posterior, u * width, here_m * new_m * share)
                of_open_x, of_extend_x = fma(here_m, x, of_open_x), fma(here_x, x, of_extend_x)
                of_open_y = fma(here_m + here_x, down, of_open_y)
                of_extend_y = fma(here_y, down, of_extend_y)
                onto = load_f(weights, u * width) * new_m
                x, y = fma(extend_x, x, onward), fma(extend_y, down, diagonal)
                if u == BLOCK - 1:
                    right = x
                elif u % 2 == 1:
                    odd = vmax(odd, onward)
                else:
                    even = vmax(even, onward)
                diagonal, peak = next_diagonal, vmax(peak, vmax(y, onto))
                store(back, (CARRIED * u + BACK_Y) * width, y)
                store(back, (CARRIED * u + ONTO) * width, onto)
            store(back_k, SCALE * width, k)
            store(back_k, TOP * width, k + exponent(peak))
            add(lane, PAID_OPEN_X * width, share, open_x * of_open_x)
            add(lane, PAID_EXTEND_X * width, share, extend_x * of_extend_x)
            add(lane, PAID_OPEN_Y * width, share, open_y * of_open_y)
            add(lane, PAID_EXTEND_Y * width, share, extend_y * of_extend_y)
            weights -= BLOCK * width * size
            states -= BLOCK * STATES * width * size
            scales -= width * size
            back -= BLOCK * CARRIED * width * size
            back_k -= SCALES * width * size
            posterior -= BLOCK * width * size

    @variant.helper
    def release(pointers, tile, i):
        """Write row i's posterior to the pairs' gradients, and count it into their means."""
        pairs, means, origin = pointers.pairs, pointers.means, tile.origin
        row, sizes, targets = i - origin, pairs + N * width * 8, pairs + TARGET * width * 8
        first = row * tile.stride - origin
        whole = 0 <= row < tile.least_n
        for c in range(0, tile.columns, width):
            at, source = first + c, pointers.posterior + c * width * size
            if whole and origin <= c <= tile.least_m + origin - width:
                store_whole_rows(source, targets, pairs, at, sizes, row, c - origin, means)
            else:
                store_rows(source, targets, pairs, at, sizes, row, c - origin, means)

    return SimpleNamespace(
        weigh=weigh,
        forward=forward_walk(False),
        forward_kept=forward_walk(True),
        backward=backward,
        release=release,
    )

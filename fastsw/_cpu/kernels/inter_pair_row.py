"""Passes over a row of a group of pairs, one in each lane; `inter_pair` goes from row to row.

A block of G columns of a row shares an exponent, lane by lane: the largest of all that can enter it
from the left, from the row above and from the start. What comes from the left is at most 9 times
the largest M of the last G columns, or X of their first, from which the exponent is found: these
are known long before X of the last column, on which everything else would have to wait.

Why nothing that matters underflows: theorem 3 of docs/range.md. The rounding of the factor of an
extended gap is made up for once in G columns, as in `block_exponent`, and likewise once in G rows.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from fastsw._cpu.kernels import cell
from fastsw._cpu.kernels.block_exponent import BLOCK, HEAD
from fastsw._cpu.runtime.compile import Variant
from fastsw._cpu.simd.dual import derivative, mul_add, numbers, primal
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import arithmetic, scalars
from fastsw._cpu.simd.vectors import fma, vmax, vmin

# Numbers of a cell in the tables, beside its weight; of a boundary cell, forwards and backwards.
# Their tangents follow them.
M, X, Y, STATES = range(4)
H, V, BOUNDARY = range(3)
BACK_Y, ONTO = range(2)

# Exponents of a block of boundary columns.
SCALE, TOP, SCALES = range(3)

# Parameters and sums that each lane has of its own. The tangents of the factors lie FACTORS fields
# further; GROWTH is the tangent of the log of the total; the last are gap counts.
OPEN_X, EXTEND_X, OPEN_Y, EXTEND_Y, FACTORS = range(5)
(
    FIX_X,
    FIX_Y,
    FLOOR,
    PER_TOTAL,
    ENDED,
    ENDED_TANGENT,
    GROWTH,
    OPENED_X,
    EXTENDED_X,
    OPENED_Y,
    EXTENDED_Y,
    LANE_FLOATS,
) = range(2 * FACTORS, 2 * FACTORS + 12)
ENDED_K, TOTAL_K, LANE_INTEGERS = range(3)


class Work(NamedTuple):
    """Scratch arrays, flat, or with a row for each thread; a column counts W elements."""

    weights: np.ndarray  # of a group's cells, or of a row if only scores are wanted; W columns more
    tables: np.ndarray  # STATES x the cells of a strip
    scales: np.ndarray  # exponents of a strip's blocks of columns
    boundary: np.ndarray  # rows between strips, and one in use: BOUNDARY x columns
    boundary_k: np.ndarray  # their exponents: SCALES x blocks of columns
    back: np.ndarray  # backward row: BOUNDARY x columns
    back_k: np.ndarray  # its exponents
    posterior: np.ndarray  # a row, and W columns more
    lane: np.ndarray  # LANE_FLOATS x W
    lane_k: np.ndarray  # LANE_INTEGERS x W
    means: np.ndarray  # W x W: parts of each pair's sum of posterior x similarity
    pairs: np.ndarray  # int64, PAIR_INTEGERS x W: see below


# Rows of `Work.pairs`: addresses of similarities, their tangents and gradients; rows, columns.
SOURCE, DIRECTION, TARGET, N, M_, PAIR_INTEGERS = range(6)


class Tile(NamedTuple):
    """Size of a group of pairs; rows and columns count from the origin, see `strip`."""

    rows: int
    columns: int  # a multiple of BLOCK
    stride: int
    origin: int
    least_n: int  # the shortest pair's rows
    least_m: int


@functools.cache
def passes(bits, lanes, with_tangents):
    """Passes over one row: weights, forward with and without tables, backward, release."""
    simd, kind, vectors = lanes_of(bits, lanes), scalars(bits), arithmetic(bits, lanes)
    number, form = numbers(bits, lanes, with_tangents), "tangents" if with_tangents else "values"
    variant, relative = Variant(bits, lanes, form), number.relative
    load, store, constant, weighed = number.load, number.store, number.constant, number.weighed
    load_f, load_i, store_f = simd.load_f, simd.load_i, simd.store
    splat_f, splat_i, exponent = simd.splat_f, simd.splat_i, simd.exponent
    load_rows, load_whole_rows = simd.load_rows, simd.load_whole_rows
    store_rows, store_whole_rows = simd.store_rows, simd.store_whole_rows
    capped_float, capped_power = vectors.capped_float, vectors.capped_power
    scaled_sum, plain_weight = vectors.scaled_sum, vectors.plain_weight
    zero, one, nothing, none = kind.real(0), kind.real(1), kind.nothing, kind.whole(0)
    bias, normal = kind.whole(simd.bias), kind.whole(simd.bias + HEAD[bits])
    most = bias + normal
    width, size, parts = lanes, bits // 8, 2 if with_tangents else 1
    # Elements of a cell, and how far a number's tangent is.
    state, edge = parts * STATES * width, parts * BOUNDARY * width
    of_state, of_edge, of_factor = STATES * width, BOUNDARY * width, FACTORS * width

    @variant.helper
    def load_cells(pointers, tile, i, source, to):
        """Row i of the grid from matrices, of which `source` says where they begin."""
        row, origin, sizes = i - tile.origin, tile.origin, pointers.pairs + N * width * 8
        first = row * tile.stride - origin
        whole = 0 <= row < tile.least_n
        for c in range(0, tile.columns, width):
            at, out = first + c, to + c * width * size
            if whole and origin <= c <= tile.least_m + origin - width:
                load_whole_rows(source, at, sizes, row, c - origin, out)
            else:
                load_rows(source, at, sizes, row, c - origin, out)

    @variant.helper
    def weigh(pointers, tile, i, slot, scale):
        """Weights of row i of the grid, into the table from `slot` columns on."""
        weights, of_weight = pointers.weights + slot * parts * width * size, tile.columns * width
        load_cells(pointers, tile, i, pointers.pairs + SOURCE * width * 8, weights)
        if with_tangents:
            tangents = weights + of_weight * size
            load_cells(pointers, tile, i, pointers.pairs + DIRECTION * width * 8, tangents)
        unit, per_temperature = splat_f(scale[0]), splat_f(scale[1])
        floor = load_f(pointers.lane, FLOOR * width)
        for at in range(0, tile.columns * width, width):
            weight = plain_weight(load_f(weights, at), unit, floor)
            weight = weighed(weight, weights, at, of_weight, per_temperature)
            store(weights, at, of_weight, weight)
        if tile.origin == 1 and i == 0:  # the start
            store(weights, 0, of_weight, constant(splat_f(one)))

    @variant.inlined
    def factors(lane):
        """Gap factors of the pairs."""
        return (
            load(lane, OPEN_X * width, of_factor),
            load(lane, EXTEND_X * width, of_factor),
            load(lane, OPEN_Y * width, of_factor),
            load(lane, EXTEND_Y * width, of_factor),
        )

    @variant.inlined
    def rescaled(e, ahead):
        """The factor to the unit of a block, whose exponent is the larger of two.

        That of the block before is `ahead` of the one; the other comes from a state of that block
        with the biased exponent e. Few operations wait for e, which all else has to wait for.
        """
        return capped_float(vmin(splat_i(most) - e, ahead + splat_i(most)))

    def forward_pass(tables):
        variant = Variant(bits, lanes, form, "tables" if tables else "scores")

        @variant.helper
        def forward(pointers, tile, i, weights, slot, above, below):
            """Forward pass over row i, from a boundary row to another, or in place.

            What ends in it is added to the total. With `tables` its states are kept, from `slot`
            columns on.
            """
            lane, lane_k, columns = pointers.lane, pointers.lane_k, tile.columns
            row, row_k = columns * edge * size, columns // BLOCK * SCALES * width * size
            incoming, leaving = pointers.boundary + above * row, pointers.boundary + below * row
            incoming_k = pointers.boundary_k + above * row_k
            leaving_k = pointers.boundary_k + below * row_k
            weights = pointers.weights + weights * parts * width * size
            states = pointers.tables + slot * state * size
            scales = pointers.scales + slot // BLOCK * width * size
            of_weight, nil, zeros = columns * width, splat_f(zero), constant(splat_f(zero))
            start_k = splat_i(none if tile.origin == 0 or i == 0 else nothing)
            fix_y = load_f(lane, FIX_Y * width) if i % BLOCK == 0 else splat_f(one)
            m, x, up, k = zeros, zeros, zeros, splat_i(nothing)
            left, odd, even = nil, nil, nil  # of the block before: its first column, its M
            ended, ended_k = zeros, splat_i(nothing)
            for _ in range(0, columns, BLOCK):
                open_x, extend_x, open_y, extend_y = factors(lane)
                above_k, above_top = (
                    load_i(incoming_k, SCALE * width),
                    load_i(incoming_k, TOP * width),
                )
                top = vmax(start_k + splat_i(bias), above_top)
                own = exponent(vmax(vmax(odd, even), vmax(left, primal(up))))
                change, k = rescaled(own, k - top), vmax(k + own, top) - splat_i(normal)
                rescale = capped_power(above_k - k)
                started, rescale_y = capped_power(start_k - k), rescale * fix_y
                m, x = m * change, x * (change * load_f(lane, FIX_X * width))
                before, peak, sum_m = mul_add(up, change, started), nil, zeros
                odd, even = nil, nil
                for u in range(BLOCK):
                    up = load(incoming, u * edge + H * width, of_edge) * rescale
                    y = load(incoming, u * edge + V * width, of_edge) * rescale_y
                    weight = load(weights, u * width, of_weight)
                    m, x = cell.enter(weight, before, m, x, open_x, extend_x)
                    h, v = cell.leave(m, x, y, open_y, extend_y)
                    before = up + started
                    if u == 0:
                        left = primal(m) + primal(x)
                    elif u % 2 == 1:
                        odd = vmax(odd, primal(m))
                    else:
                        even = vmax(even, primal(m))
                    peak, sum_m = vmax(peak, primal(h)), sum_m + m
                    store(leaving, u * edge + H * width, of_edge, h)
                    store(leaving, u * edge + V * width, of_edge, v)
                    if tables:
                        store(states, u * state + M * width, of_state, m)
                        store(states, u * state + X * width, of_state, x)
                        store(states, u * state + Y * width, of_state, y)
                store_f(leaving_k, SCALE * width, k)
                store_f(leaving_k, TOP * width, k + exponent(peak))
                if tables:
                    store_f(scales, 0, k)
                    states += BLOCK * state * size
                    scales += width * size
                ended, ended_k = scaled_sum(ended, ended_k, sum_m, k)
                if tile.origin == 1:
                    start_k = splat_i(nothing)
                weights += BLOCK * width * size
                incoming += BLOCK * edge * size
                leaving += BLOCK * edge * size
                incoming_k += SCALES * width * size
                leaving_k += SCALES * width * size
            if tile.origin == 0:
                total, total_k = load(lane, ENDED * width, width), load_i(lane_k, ENDED_K * width)
                total, total_k = scaled_sum(total, total_k, ended, ended_k)
                store(lane, ENDED * width, width, total)
                store_f(lane_k, ENDED_K * width, total_k)

        return forward

    @variant.inlined
    def add(sums, at, share, amount):
        """Add a product to sums that are kept in memory."""
        store_f(sums, at, fma(share, derivative(amount), load_f(sums, at)))

    @variant.helper
    def backward(pointers, tile, i, weights, slot):
        """Backward pass over row i; its posterior is left in `Work.posterior`."""
        lane, lane_k, columns = pointers.lane, pointers.lane_k, tile.columns
        end, end_k = columns - BLOCK, columns // BLOCK - 1
        weights = pointers.weights + (weights * parts + end) * width * size
        states = pointers.tables + (slot + end) * state * size
        scales = pointers.scales + (slot // BLOCK + end_k) * width * size
        back = pointers.back + end * edge * size
        back_k = pointers.back_k + end_k * SCALES * width * size
        posterior = pointers.posterior + end * width * size
        of_weight, nil, zeros = columns * width, splat_f(zero), constant(splat_f(zero))
        ends_k = splat_i(none if tile.origin == 0 else nothing)
        fix_y = load_f(lane, FIX_Y * width) if (i + 1) % BLOCK == 0 else splat_f(one)
        x, diagonal, k = zeros, zeros, splat_i(nothing)
        first, odd, even = nil, nil, nil  # of the block before: its first column, the others
        for _ in range(0, columns, BLOCK):
            open_x, extend_x, open_y, extend_y = factors(lane)
            growth = load_f(lane, GROWTH * width)
            per_total, total_k = load_f(lane, PER_TOTAL * width), load_i(lane_k, TOTAL_K * width)
            below_k, below_top = load_i(back_k, SCALE * width), load_i(back_k, TOP * width)
            here_k = load_i(scales, 0)
            top = vmax(vmax(ends_k + splat_i(bias), below_top), total_k - here_k + splat_i(normal))
            own = exponent(vmax(vmax(odd, even), vmax(first, primal(diagonal))))
            change, k = rescaled(own, k - top), vmax(k + own, top) - splat_i(normal)
            rescale = capped_power(below_k - k)
            ended, rescale_y = capped_power(ends_k - k), rescale * fix_y
            share = per_total * capped_power(here_k + k - total_k)
            x, diagonal = x * (change * load_f(lane, FIX_X * width)), diagonal * change
            sum_open_x, sum_extend_x, sum_open_y, sum_extend_y = zeros, zeros, zeros, zeros
            peak, odd, even = nil, nil, nil
            for u in range(BLOCK - 1, -1, -1):
                down = load(back, u * edge + BACK_Y * width, of_edge) * rescale_y
                next_diagonal = load(back, u * edge + ONTO * width, of_edge) * rescale
                here_m = relative(load(states, u * state + M * width, of_state), growth)
                here_x = relative(load(states, u * state + X * width, of_state), growth)
                here_y = relative(load(states, u * state + Y * width, of_state), growth)
                right = x
                onward, y = cell.backward_rows(diagonal, down, open_y, extend_y)
                m, x = cell.backward_columns(onward, right, ended, open_x, extend_x)
                store_f(posterior, u * width, derivative(here_m * m) * share)
                sum_open_x, sum_extend_x = cell.count_columns(
                    here_m, here_x, right, sum_open_x, sum_extend_x
                )
                sum_open_y, sum_extend_y = cell.count_rows(
                    here_m, here_x, here_y, down, sum_open_y, sum_extend_y
                )
                onto = load(weights, u * width, of_weight) * m
                if u == BLOCK - 1:
                    first = primal(x)
                elif u % 2 == 1:
                    odd = vmax(odd, primal(onward))
                else:
                    even = vmax(even, primal(onward))
                diagonal, peak = next_diagonal, vmax(peak, vmax(primal(y), primal(onto)))
                store(back, u * edge + BACK_Y * width, of_edge, y)
                store(back, u * edge + ONTO * width, of_edge, onto)
            store_f(back_k, SCALE * width, k)
            store_f(back_k, TOP * width, k + exponent(peak))
            add(lane, OPENED_X * width, share, open_x * sum_open_x)
            add(lane, EXTENDED_X * width, share, extend_x * sum_extend_x)
            add(lane, OPENED_Y * width, share, open_y * sum_open_y)
            add(lane, EXTENDED_Y * width, share, extend_y * sum_extend_y)
            weights -= BLOCK * width * size
            states -= BLOCK * state * size
            scales -= width * size
            back -= BLOCK * edge * size
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
        forward=forward_pass(False),
        forward_kept=forward_pass(True),
        backward=backward,
        release=release,
    )

"""Fast traversal: linear space with a shared exponent per cell, explicit SIMD, rows as lanes.

With w = exp(s / T) and gap factors g = exp(-penalty / T) the recurrence of `_recurrence` is made of
sums and products (every smax becomes a sum). The three states of a cell are floats in [0, 2) that
share an integer power of two, so nothing overflows; the cell functions of `_recurrence` cannot be
used literally, and the same parametrised tests hold both.

A strip of W rows is walked along a skewed front: at step t, lane r stands on row ``bottom - r`` and
column ``t - (W - 1) + r``. Left neighbours are the registers of the step before, upper ones those
of the next lane; the last lane takes them from the row carried over from the strip above, and lane
0 leaves the row for the strip below. Similarity is read, and gradients are written, in squares of
W x W that are transposed in registers.

The forward pass keeps one carried row a strip. The backward pass walks the strips in reverse and
recomputes each strip's table, unless the tables of the whole pair are small enough to be kept.

Rows and columns count from the origin of the mode: in global and fitting mode row and column 0 lie
before the first pair; in local mode they are the first pair's.

A state below 2**-126 (float32) of its cell's largest is lost; `_plan` admits only problems in
which such a state cannot matter.
"""

from __future__ import annotations

import functools
import math
import threading
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import register_jitable

from fastsw._cpu._compile import Variant, helper
from fastsw._cpu._simd import (
    fma,
    lanes_of,
    native_lanes,
    nearest,
    read_shared,
    take_ticket,
    to_integers,
    vmax,
    vmin,
    where_greater,
    write_shared,
)
from fastsw._reference import FITTING, GLOBAL, LOCAL

LOG2E = 1.0 / math.log(2.0)

#: Lets other threads run; a C function of every POSIX system.
give_way = types.ExternalFunction("sched_yield", types.int32())

# Fields of one step in the table of floats and in the table of integers.
# A walk with tangents uses the fields from SLOPE on as well.
WEIGHT, M, X, Y, SLOPE, M_DOT, X_DOT, Y_DOT = range(8)
SHIFT, SCALE, INTEGERS = 0, 1, 2

# Parameters that each lane has of its own.
START, END, OPEN_X, EXTEND_X, OPEN_Y, EXTEND_Y, OPEN_BELOW, EXTEND_BELOW = range(8)
LANE_FLOATS = 16  # the same again, DOT further on, for tangents
DOT = 8

# Sums that each lane leaves.
PAID_OPEN_X, PAID_EXTEND_X, PAID_OPEN_Y, PAID_EXTEND_Y, MEAN, LANE_SUMS = range(6)

# What one call of a kernel does: all, or a part of what several threads do for one pair.
ALL, SET_UP, DOWN, UP, FINISH = range(5)

# Rows of the column array: gap factors and their tangents.
OPEN, EXTEND, OPEN_DOT, EXTEND_DOT, COLUMN_ROWS = range(5)


def fields(second):
    """Floats of a step, of a carried cell forwards and of one backwards."""
    return (8, 6, 4) if second else (4, 3, 2)


class Work(NamedTuple):
    """Scratch arrays of one thread, all flat."""

    floats: np.ndarray  # tables: fields x W a step
    integers: np.ndarray  # tables: INTEGERS x W a step
    lane: np.ndarray  # LANE_FLOATS x W
    lane_k: np.ndarray  # exponents of START and END, x W
    square: np.ndarray  # W x W posteriors


class Shared(NamedTuple):
    """Arrays of one pair, which all threads that work on it share; flat but for rows and ends."""

    carry: np.ndarray  # forward rows: m, x, y and their tangents
    carry_k: np.ndarray  # their exponents
    back: np.ndarray  # backward row: y, then w * m, then their tangents
    back_k: np.ndarray  # exponents of the first two
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


def form(by_column, second):
    """Names of a kernel's form."""
    return "columns" if by_column else "uniform", "second" if second else "first"


def exp2_polynomial(degree):
    """Coefficients, highest first, of the Chebyshev interpolant of 2**f on [-1/2, 1/2]."""
    series = np.polynomial.Chebyshev.interpolate(np.exp2, degree, domain=[-0.5, 0.5])
    return series.convert(kind=np.polynomial.Polynomial).coef[::-1]


@functools.cache
def scalars(bits):
    """Scalar types and constants of one precision."""
    real, whole = (np.float32, np.int32) if bits == 32 else (np.float64, np.int64)
    return SimpleNamespace(
        real=real,
        whole=whole,
        nothing=whole(-(2**29)) if bits == 32 else whole(-(2**60)),  # exponent of the impossible
        polynomial=tuple(real(c) for c in exp2_polynomial(6 if bits == 32 else 12)),
    )


@functools.cache
def arithmetic(bits, lanes):
    """Vector functions of one precision and width."""
    simd, kind, variant = lanes_of(bits, lanes), scalars(bits), Variant(bits, lanes)
    splat_f, splat_i = simd.splat_f, simd.splat_i
    exponent, from_exponent = simd.exponent, simd.from_exponent
    whole, zero, polynomial = kind.whole, kind.real(0), kind.polynomial
    leading, degree = polynomial[0], len(polynomial) - 1
    # Shares of the total that matter stay below 2**80 (2**900), by `_plan`; what lies beyond the
    # last column may not, and must not overflow before it is multiplied by 0.
    bias, most = whole(simd.bias), whole(simd.bias + (100 if bits == 32 else 950))

    @variant.inlined
    def power(k):
        """2**k for k <= bias; 0 where that is too small."""
        return from_exponent(vmax(k + splat_i(bias), splat_i(whole(0))))

    @variant.inlined
    def capped_power(k):
        """2**k, at most 2**(most - bias)."""
        return from_exponent(vmin(vmax(k + splat_i(bias), splat_i(whole(0))), splat_i(most)))

    @variant.inlined
    def weight(s, high, low, floor):
        """exp(s / T) as mantissa and exponent, exactly 0 for s <= floor.

        high + low = log2(e) / T.
        """
        clamped = vmax(s, floor)
        whole_part = nearest(clamped * high)
        f = fma(clamped, low, fma(clamped, high, splat_f(zero) - whole_part))
        p = splat_f(leading)
        for d in range(degree):
            p = fma(p, f, splat_f(polynomial[d + 1]))
        return where_greater(clamped, floor, p, splat_f(zero)), to_integers(whole_part)

    @variant.inlined
    def scaled_sum(a, ka, b, kb):
        """a * 2**ka + b * 2**kb and its exponent."""
        k = vmax(ka, kb)
        return fma(a, power(ka - k), b * power(kb - k)), k

    @variant.inlined
    def common(m, km, x, kx, y, ky):
        """The three states brought to a common exponent, the largest in [1, 2)."""
        k = vmax(vmax(km + exponent(m), kx + exponent(x)), ky + exponent(y)) - splat_i(bias)
        return m * power(km - k), x * power(kx - k), y * power(ky - k), k

    return SimpleNamespace(
        power=power,
        capped_power=capped_power,
        weight=weight,
        scaled_sum=scaled_sum,
        common=common,
    )


@functools.cache
def walks(bits, lanes, by_column, second):
    """Forward and backward walk of one strip.

    ``by_column`` says whether penalties of skipped columns differ from column to column;
    ``second`` whether tangents are carried and the tangent of the gradient is written.
    """
    simd, kind, vectors = lanes_of(bits, lanes), scalars(bits), arithmetic(bits, lanes)
    variant = Variant(bits, lanes, *form(by_column, second))
    load_f, load_i, store = simd.load_f, simd.load_i, simd.store
    splat_f, splat_i = simd.splat_f, simd.splat_i
    from_above, from_below = simd.from_above, simd.from_below
    store_first, store_last, shift_up = simd.store_first, simd.store_last, simd.shift_up
    load_skewed, store_skewed, exponent = simd.load_skewed, simd.store_skewed, simd.exponent
    from_exponent = simd.from_exponent
    power, capped_power, weight = vectors.power, vectors.capped_power, vectors.weight
    scaled_sum, common = vectors.scaled_sum, vectors.common
    zero, one, nothing, none = kind.real(0), kind.real(1), kind.nothing, kind.whole(0)
    bias, inverse = kind.whole(simd.bias), kind.whole(2 * simd.bias)
    width, pad = lanes, 2 * lanes
    per_step, carried, _ = fields(second)
    float_step, integer_step = per_step * lanes, INTEGERS * lanes

    @variant.helper
    def load_square(pair, source, work, field, slot, t0, bottom):
        """Cells of the steps t0 .. t0 + W - 1 into a field of the strip's tables."""
        last = bottom - pair.origin
        column = t0 - (width - 1) - pair.origin
        load_skewed(
            source,
            pair.offset + last * pair.stride + column,
            pair.stride,
            column,
            last,
            pair.n,
            pair.m,
            work.floats,
            slot * float_step + field * width,
            float_step,
        )

    @variant.helper
    def weigh(pair, work, slot, t0, bottom, scale):
        """Weights of the steps t0 .. t0 + W - 1, into the strip's tables from `slot` on."""
        floats, integers = work.floats, work.integers
        at, at_k = slot * float_step, slot * integer_step
        load_square(pair, pair.source, work, WEIGHT, slot, t0, bottom)
        if second:
            load_square(pair, pair.direction, work, SLOPE, slot, t0, bottom)
        per_temperature, zeros = splat_f(scale[3]), splat_f(zero)
        high, low, floor = splat_f(scale[0]), splat_f(scale[1]), splat_f(scale[2])
        for _ in range(width):
            f, k = weight(load_f(floats, at + WEIGHT * width), high, low, floor)
            store(floats, at + WEIGHT * width, f)
            store(integers, at_k + SHIFT * width, k)
            if second:
                slope = per_temperature * load_f(floats, at + SLOPE * width)
                store(floats, at + SLOPE * width, where_greater(f, zeros, slope, zeros))
            at += float_step
            at_k += integer_step
        if pair.origin == 1 and bottom == width - 1:
            # Row 0 lies in the last lane: M may start there, at every column or at the first.
            for u in range(width):
                if t0 + u == 0 or pair.mode == FITTING:
                    floats[(slot + u) * float_step + WEIGHT * width + width - 1] = one
                    integers[(slot + u) * integer_step + SHIFT * width + width - 1] = none

    @variant.helper
    def forward(pair, work, shared, s, slot, keep, row_in, row_out, steps, length, scale):
        """Walk strip s, from the carried row `row_in` to `row_out`, behind the strip above.

        Tables are kept from `slot` on, or, without `keep`, only for the last W steps.
        """
        floats, integers, carry, carry_k = work.floats, work.integers, shared.carry, shared.carry_k
        lane, lane_k, columns = work.lane, work.lane_k, shared.columns
        bottom = (s + 1) * width - 1
        start, start_k = load_f(lane, START * width), load_i(lane_k, START * width)
        open_x, extend_x = load_f(lane, OPEN_X * width), load_f(lane, EXTEND_X * width)
        open_y, extend_y = load_f(lane, OPEN_Y * width), load_f(lane, EXTEND_Y * width)
        zeros, impossible = splat_f(zero), splat_i(nothing)
        m, x, y, k = zeros, zeros, zeros, impossible
        diagonal, diagonal_k = zeros, impossible
        ended, ended_k = zeros, impossible
        m_dot, x_dot, y_dot, diagonal_dot, ended_dot = zeros, zeros, zeros, zeros, zeros
        open_x_dot = load_f(lane, (DOT + OPEN_X) * width)
        extend_x_dot = load_f(lane, (DOT + EXTEND_X) * width)
        open_y_dot = load_f(lane, (DOT + OPEN_Y) * width)
        extend_y_dot = load_f(lane, (DOT + EXTEND_Y) * width)
        above, above_k = row_in * carried * length + pad, row_in * length + pad
        below = row_out * carried * length + pad - (width - 1)
        below_k = row_out * length + pad - (width - 1)
        for t0 in range(0, steps, width):
            if s > 0:
                await_steps(shared.done, s - 1, min(steps, t0 + 2 * width))
            block = slot + t0 if keep else slot
            weigh(pair, work, block, t0, bottom, scale)
            at, at_k = block * float_step, block * integer_step
            for t in range(t0, t0 + width):
                up_m = from_above(m, carry, above + t)
                up_x = from_above(x, carry, above + length + t)
                up_y = from_above(y, carry, above + 2 * length + t)
                up_k = from_above(k, carry_k, above_k + t)
                if by_column:
                    into_x = load_f(lane, OPEN_X * width)
                    open_x = into_x * load_f(columns, pad + t - (width - 1))
                    extend_x = load_f(columns, length + pad + t - (width - 1))
                weight_m = load_f(floats, at + WEIGHT * width)
                before, before_k = scaled_sum(diagonal, diagonal_k, start, start_k)
                new_m = weight_m * before
                new_m_k = before_k + load_i(integers, at_k + SHIFT * width)
                new_x = fma(extend_x, x, open_x * m)
                upper = up_m + up_x
                new_y = fma(extend_y, up_y, open_y * upper)
                if second:
                    up_m_dot = from_above(m_dot, carry, above + 3 * length + t)
                    up_x_dot = from_above(x_dot, carry, above + 4 * length + t)
                    up_y_dot = from_above(y_dot, carry, above + 5 * length + t)
                    if by_column:
                        base = pad + t - (width - 1)
                        open_x_dot = into_x * load_f(columns, OPEN_DOT * length + base)
                        extend_x_dot = load_f(columns, EXTEND_DOT * length + base)
                    slope = load_f(floats, at + SLOPE * width)
                    into_m = weight_m * diagonal_dot * power(diagonal_k - before_k)
                    new_m_dot = fma(new_m, slope, into_m)
                    new_x_dot = fma(extend_x, x_dot, open_x * m_dot)
                    new_x_dot = new_x_dot + fma(extend_x_dot, x, open_x_dot * m)
                    upper_dot = up_m_dot + up_x_dot
                    new_y_dot = fma(extend_y, up_y_dot, open_y * upper_dot)
                    new_y_dot = new_y_dot + fma(extend_y_dot, up_y, open_y_dot * upper)
                    diagonal_dot = upper_dot + up_y_dot
                    old_k = k
                diagonal, diagonal_k = upper + up_y, up_k
                m, x, y, k = common(new_m, new_m_k, new_x, k, new_y, up_k)
                if second:
                    m_dot = new_m_dot * power(new_m_k - k)
                    x_dot, y_dot = new_x_dot * power(old_k - k), new_y_dot * power(up_k - k)
                    store(floats, at + M_DOT * width, m_dot)
                    store(floats, at + X_DOT * width, x_dot)
                    store(floats, at + Y_DOT * width, y_dot)
                    store_first(carry, below + 3 * length + t, m_dot)
                    store_first(carry, below + 4 * length + t, x_dot)
                    store_first(carry, below + 5 * length + t, y_dot)
                store(floats, at + M * width, m)
                store(floats, at + X * width, x)
                store(floats, at + Y * width, y)
                store(integers, at_k + SCALE * width, k)
                store_first(carry, below + t, m)
                store_first(carry, below + length + t, x)
                store_first(carry, below + 2 * length + t, y)
                store_first(carry_k, below_k + t, k)
                if second:
                    ended_dot, _ = scaled_sum(ended_dot, ended_k, m_dot, k)
                ended, ended_k = scaled_sum(ended, ended_k, m, k)
                at += float_step
                at_k += integer_step
            if read_shared(shared.done, s) < t0 + width < steps:  # not when walked again
                write_shared(shared.done, s, t0 + width)
        # What later steps of the next strip read beyond the last column.
        for field in range(carried):
            store(carry, below + field * length + steps, zeros)
        store(carry_k, below_k + steps, impossible)
        write_shared(shared.done, s, steps)
        return ended, ended_k, ended_dot

    @variant.helper
    def backward(pair, work, shared, s, strips, slot, steps, length, total, total_k, total_dot):
        """Walk strip s in reverse, from the row in `back` to the same, behind the strip below.

        Writes the posterior, and leaves what is paid in the strip's lane sums (for columns, with
        `by_column`, in `paid`), with the mean similarity. With tangents it writes
        the tangents of all these instead; `total_dot` is that of the log of the total.
        """
        floats, integers, back, back_k = work.floats, work.integers, shared.back, shared.back_k
        lane, columns, square = work.lane, shared.columns, work.square
        sums, paid = shared.sums, shared.paid
        bottom, first_sum = (s + 1) * width - 1, s * LANE_SUMS * width
        paid_opened, paid_extended = 2 * s * length + pad, (2 * s + 1) * length + pad
        end, end_k = load_f(lane, END * width), load_i(work.lane_k, END * width)
        open_x, extend_x = load_f(lane, OPEN_X * width), load_f(lane, EXTEND_X * width)
        open_y, extend_y = load_f(lane, OPEN_BELOW * width), load_f(lane, EXTEND_BELOW * width)
        per_total, per_total_k = splat_f(one / total), splat_i(total_k)
        zeros, impossible = splat_f(zero), splat_i(nothing)
        x, y, k, onto, onto_k = zeros, zeros, impossible, zeros, impossible
        diagonal, diagonal_k = zeros, impossible
        paid_open_x, paid_extend_x, paid_open_y, paid_extend_y = zeros, zeros, zeros, zeros
        mean = zeros
        x_dot, y_dot, onto_dot, diagonal_dot = zeros, zeros, zeros, zeros
        end_dot = load_f(lane, (DOT + END) * width)
        open_x_dot = load_f(lane, (DOT + OPEN_X) * width)
        extend_x_dot = load_f(lane, (DOT + EXTEND_X) * width)
        open_y_dot = load_f(lane, (DOT + OPEN_BELOW) * width)
        extend_y_dot = load_f(lane, (DOT + EXTEND_BELOW) * width)
        growth = splat_f(total_dot)
        last = bottom - pair.origin
        at = (slot + steps - 1) * float_step
        at_k = (slot + steps - 1) * integer_step
        for t0 in range(steps - width, -1, -width):
            if s + 1 < strips:
                await_steps(shared.done, strips + s + 1, min(steps, steps - t0 + width))
            for t in range(t0 + width - 1, t0 - 1, -1):
                row = pad + t - (width - 1)
                down = from_below(y, back, row)
                down_k = from_below(k, back_k, row)
                next_diagonal = from_below(onto, back, length + row)
                next_diagonal_k = from_below(onto_k, back_k, length + row)
                if by_column:
                    into_x = load_f(lane, OPEN_X * width)
                    open_x = into_x * load_f(columns, pad + t + 1 - (width - 1))
                    extend_x = load_f(columns, length + pad + t + 1 - (width - 1))
                common_k = vmax(vmax(diagonal_k, k), vmax(down_k, end_k))
                d = diagonal * power(diagonal_k - common_k)
                right = x * power(k - common_k)
                down = down * power(down_k - common_k)
                opened_x, extended_x = open_x * right, extend_x * right
                opened_y, extended_y = open_y * down, extend_y * down
                onward = d + opened_y
                ending = power(end_k - common_k)
                new_m = fma(end, ending, opened_x + onward)
                new_x, new_y = extended_x + onward, d + extended_y

                here_m, here_x = load_f(floats, at + M * width), load_f(floats, at + X * width)
                here_k = load_i(integers, at_k + SCALE * width)
                share = per_total * capped_power(here_k + common_k - per_total_k)
                share_m, share_x = here_m * share, here_x * share
                share_y = load_f(floats, at + Y * width) * share
                posterior = share_m * new_m
                if by_column:
                    paid_open_x = shift_up(paid_open_x, zeros)
                    paid_extend_x = shift_up(paid_extend_x, zeros)
                if second:
                    down_dot = from_below(y_dot, back, 2 * length + row)
                    next_diagonal_dot = from_below(onto_dot, back, 3 * length + row)
                    if by_column:
                        base = pad + t + 1 - (width - 1)
                        open_x_dot = into_x * load_f(columns, OPEN_DOT * length + base)
                        extend_x_dot = load_f(columns, EXTEND_DOT * length + base)
                    d_dot = diagonal_dot * power(diagonal_k - common_k)
                    right_dot = x_dot * power(k - common_k)
                    down_dot = down_dot * power(down_k - common_k)
                    opened_x_dot = fma(open_x, right_dot, open_x_dot * right)
                    extended_x_dot = fma(extend_x, right_dot, extend_x_dot * right)
                    opened_y_dot = fma(open_y, down_dot, open_y_dot * down)
                    extended_y_dot = fma(extend_y, down_dot, extend_y_dot * down)
                    onward_dot = d_dot + opened_y_dot
                    new_m_dot = fma(end_dot, ending, opened_x_dot + onward_dot)
                    new_x_dot, new_y_dot = extended_x_dot + onward_dot, d_dot + extended_y_dot
                    # Tangents of the shares, that of the total taken off.
                    share_m_dot = load_f(floats, at + M_DOT * width) * share - share_m * growth
                    share_x_dot = load_f(floats, at + X_DOT * width) * share - share_x * growth
                    share_y_dot = load_f(floats, at + Y_DOT * width) * share - share_y * growth
                    posterior = fma(share_m, new_m_dot, share_m_dot * new_m)
                    part = fma(share_m, opened_x_dot, share_m_dot * opened_x)
                    paid_open_x = paid_open_x + part
                    part = fma(share_x, extended_x_dot, share_x_dot * extended_x)
                    paid_extend_x = paid_extend_x + part
                    part = (share_m_dot + share_x_dot) * opened_y
                    paid_open_y = paid_open_y + fma(share_m + share_x, opened_y_dot, part)
                    part = fma(share_y, extended_y_dot, share_y_dot * extended_y)
                    paid_extend_y = paid_extend_y + part
                else:
                    paid_open_x = fma(share_m, opened_x, paid_open_x)
                    paid_extend_x = fma(share_x, extended_x, paid_extend_x)
                    paid_open_y = fma(share_m + share_x, opened_y, paid_open_y)
                    paid_extend_y = fma(share_y, extended_y, paid_extend_y)
                store(square, (t - t0) * width, posterior)
                if by_column:
                    store_last(paid, paid_opened + t + 1, paid_open_x)
                    store_last(paid, paid_extended + t + 1, paid_extend_x)

                e = exponent(vmax(new_m, vmax(new_x, new_y)))
                scale = from_exponent(splat_i(inverse) - e)
                k = common_k + e - splat_i(bias)
                x, y = new_x * scale, new_y * scale
                diagonal, diagonal_k = next_diagonal, next_diagonal_k
                onto = load_f(floats, at + WEIGHT * width) * (new_m * scale)
                if second:
                    x_dot, y_dot = new_x_dot * scale, new_y_dot * scale
                    diagonal_dot = next_diagonal_dot
                    slope = load_f(floats, at + SLOPE * width)
                    weight_m = load_f(floats, at + WEIGHT * width)
                    onto_dot = fma(onto, slope, weight_m * (new_m_dot * scale))
                    store_last(back, 2 * length + pad + t, y_dot)
                    store_last(back, 3 * length + pad + t, onto_dot)
                onto_k = k + load_i(integers, at_k + SHIFT * width)
                store_last(back, pad + t, y)
                store_last(back_k, pad + t, k)
                store_last(back, length + pad + t, onto)
                store_last(back_k, length + pad + t, onto_k)
                at -= float_step
                at_k -= integer_step
            column = t0 - (width - 1) - pair.origin
            mean = mean + store_skewed(
                square,
                0,
                width,
                pair.target,
                pair.source,
                pair.offset + last * pair.stride + column,
                pair.stride,
                column,
                last,
                pair.n,
                pair.m,
            )
            write_shared(shared.done, strips + s, steps - t0)
        store(sums, first_sum + PAID_OPEN_X * width, paid_open_x)
        store(sums, first_sum + PAID_EXTEND_X * width, paid_extend_x)
        store(sums, first_sum + PAID_OPEN_Y * width, paid_open_y)
        store(sums, first_sum + PAID_EXTEND_Y * width, paid_extend_y)
        store(sums, first_sum + MEAN * width, mean)

    return forward, backward


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


@register_jitable
def at(penalty, b, i, j):
    """Entry of row i and column j of pair b in an array whose axes may have length 1."""
    return penalty[
        min(b, penalty.shape[0] - 1), min(i, penalty.shape[1] - 1), min(j, penalty.shape[2] - 1)
    ]


@register_jitable
def pay(gradient, b, i, j, amount):
    """Count a penalty as paid."""
    gradient[b, min(i, gradient.shape[1] - 1), min(j, gradient.shape[2] - 1)] -= amount


@register_jitable
def set_rows(pair, b, rows, penalties, dots, unit, second):
    """Gap factors of the grid's rows and their tangents; 1 after the last row.

    Where they do not differ from row to row only the first is computed.
    """
    n = pair.n
    for field in range(2):
        penalty = penalties[2 + field]
        factor, dot = 1.0, 0.0
        for i in range(n + 1):
            if i == 0 or (i > 1 and penalty.shape[1] > 1):
                row = max(i, 1) - 1
                factor = 2.0 ** (-unit * at(penalty, b, row, 0))
                if second:
                    dot = -unit / LOG2E * factor * at(dots[2 + field], b, row, 0)
            rows[field, i], rows[2 + field, i] = factor, dot
        rows[field, n + 1 :] = 1.0
        rows[2 + field, n + 1 :] = 0.0


@register_jitable
def set_row_ends(pair, b, rows, penalties, dots, unit, second):
    """log2 weight of ending after grid row i (rows 4), and the tangent of its log (rows 5).

    0 in local mode; in fitting mode the rows after it are skipped at the last column.
    """
    rows[4:6] = 0.0
    if pair.mode != FITTING:
        return
    extended, extended_dot = 0.0, 0.0
    for i in range(pair.n - 1, -1, -1):
        rows[4, i] = -unit * at(penalties[2], b, i, 0) - extended
        extended += unit * at(penalties[3], b, i, 0)
        if second:
            rows[5, i] = -unit / LOG2E * at(dots[2], b, i, 0) - extended_dot
            extended_dot += unit / LOG2E * at(dots[3], b, i, 0)


@register_jitable
def total_of_rows(pair, rows, ends, ends_k):
    """Sum over the rows of what ended there, as mantissa and exponent; rows 4 weighs the rows."""
    top = -(2**62)
    first = 0 if pair.mode == FITTING else 1
    for i in range(first, pair.n + 1):
        if ends[0, i] > 0.0:
            top = max(top, ends_k[i] + math.floor(rows[4, i]))
    total = 0.0
    for i in range(first, pair.n + 1):
        if ends[0, i] > 0.0:
            below = math.floor(rows[4, i])
            weight = 2.0 ** (rows[4, i] - below) if pair.mode == FITTING else 1.0
            total += math.ldexp(ends[0, i] * weight, max(ends_k[i] + below - top, -2000))
    mantissa, shift = math.frexp(total)
    return mantissa, top + shift


@functools.cache
def kernels(bits: int, lanes: int, by_column: bool, second: bool):
    """The compiled entry point of one precision, width, form of penalties and order."""
    forward, backward = walks(bits, lanes, by_column, second)
    kind, variant = scalars(bits), Variant(bits, lanes, *form(by_column, second))
    real, whole, nothing = kind.real, kind.whole, kind.nothing
    width, pad = lanes, 2 * lanes
    per_step, carried, returned = fields(second)
    store = lanes_of(bits, lanes).store

    @variant.helper
    def set_lanes(pair, work, rows, bottom, factors):
        """Parameters of the rows of a strip; rows after the last pass everything downwards."""
        lane, lane_k = work.lane, work.lane_k
        local = pair.mode == LOCAL
        for r in range(width):
            i = bottom - r + 1 - pair.origin  # row of the grid
            starts = local or i == 0
            lane[START * width + r] = 1.0 if starts else 0.0
            lane_k[START * width + r] = 0 if starts else nothing
            end, end_dot, end_k = (1.0 if local else 0.0), 0.0, (0 if local else nothing)
            if pair.mode == FITTING and 1 <= i <= pair.n:
                whole_part = math.floor(rows[4, i])
                end, end_k = 2.0 ** (rows[4, i] - whole_part), whole(whole_part)
                end_dot = end * rows[5, i]
            lane[END * width + r] = end
            lane[(DOT + END) * width + r] = end_dot
            lane_k[END * width + r] = end_k
            skips = 0.0 if i == 0 and pair.mode == FITTING else 1.0
            lane[OPEN_X * width + r] = skips * factors[0]
            lane[EXTEND_X * width + r] = factors[1]
            lane[(DOT + OPEN_X) * width + r] = skips * factors[2]
            lane[(DOT + EXTEND_X) * width + r] = factors[3]
            here, below = min(i, pair.n + 1), min(i + 1, pair.n + 1)
            for field in range(2):
                lane[(OPEN_Y + field) * width + r] = rows[field, here]
                lane[(OPEN_BELOW + field) * width + r] = rows[field, below]
                lane[(DOT + OPEN_Y + field) * width + r] = rows[2 + field, here]
                lane[(DOT + OPEN_BELOW + field) * width + r] = rows[2 + field, below]

    @variant.helper
    def column_factors(penalties, dots, b, j, unit):
        """Gap factors of a skipped column and their tangents."""
        opened = 2.0 ** (-unit * at(penalties[0], b, 0, j))
        extended = 2.0 ** (-unit * at(penalties[1], b, 0, j))
        if not second:
            return opened, extended, 0.0, 0.0
        open_dot = -unit / LOG2E * opened * at(dots[0], b, 0, j)
        return opened, extended, open_dot, -unit / LOG2E * extended * at(dots[1], b, 0, j)

    @variant.helper
    def set_up(pair, b, shared, penalties, dots, unit, length, strips):
        """Everything that must be there before the first strip."""
        set_rows(pair, b, shared.rows, penalties, dots, unit, second)
        set_row_ends(pair, b, shared.rows, penalties, dots, unit, second)
        shared.ends[0, 0], shared.ends[1, 0], shared.ends_k[0] = 1.0, 0.0, 0
        shared.carry[: carried * length] = 0.0
        shared.carry_k[:length] = nothing
        shared.back[: returned * length] = 0.0
        shared.back_k[: 2 * length] = nothing
        if pair.mode == GLOBAL:
            shared.back[pad + pair.m] = 1.0
            shared.back_k[pad + pair.m] = 0
        shared.done[: 2 * strips] = 0
        shared.tickets[:] = 0
        if by_column:
            shared.columns[: COLUMN_ROWS * length] = 0.0
            for c in range(pair.m + pair.origin):
                factors = column_factors(penalties, dots, b, max(c - pair.origin, 0), unit)
                for field in range(COLUMN_ROWS):
                    shared.columns[field * length + pad + c] = factors[field]

    @variant.helper
    def walk_down(pair, work, shared, strips, steps, length, scale, factors, keep_all, graded):
        """Forward pass over the strips that this thread gets hold of."""
        ended, ended_k = np.empty(2 * width, real), np.empty(width, whole)
        s = take_ticket(shared.tickets, 0)
        while s < strips:
            bottom = (s + 1) * width - 1
            set_lanes(pair, work, shared.rows, bottom, factors)
            row_in, row_out = (s, s + 1) if graded else (0, 0)
            slot = s * steps if keep_all else 0
            value, k, dot = forward(
                pair, work, shared, s, slot, keep_all, row_in, row_out, steps, length, scale
            )
            store(ended, 0, value)
            store(ended, width, dot)
            store(ended_k, 0, k)
            for r in range(width):
                i = bottom - r + 1 - pair.origin
                if 1 <= i <= pair.n:
                    shared.ends[0, i] = ended[r]
                    shared.ends[1, i] = ended[width + r]
                    shared.ends_k[i] = ended_k[r]
            s = take_ticket(shared.tickets, 0)

    @variant.helper
    def total_of_corner(pair, shared, row, length):
        """What arrives at the last row and column in global mode, and the tangent of its log."""
        first = row * carried * length + pad + pair.m
        value, dot = 0.0, 0.0
        for field in range(3):
            value += shared.carry[first + field * length]
            if second:
                dot += shared.carry[first + (3 + field) * length]
        mantissa, shift = math.frexp(value)
        k = np.int64(shared.carry_k[row * length + pad + pair.m]) + shift
        return mantissa, k, dot / value if value > 0.0 else 0.0

    @variant.helper
    def find_total(pair, shared, strips, length, graded):
        """Sum over all alignments as mantissa and exponent, and the tangent of its log."""
        if pair.mode == GLOBAL:
            return total_of_corner(pair, shared, strips if graded else 0, length)
        rows, ends, ends_k = shared.rows, shared.ends, shared.ends_k
        total, total_k = total_of_rows(pair, rows, ends, ends_k)
        growth = 0.0
        if second and total > 0.0:
            log2_total = total_k + math.log2(total)
            for i in range(0 if pair.mode == FITTING else 1, pair.n + 1):
                part = 2.0 ** (ends_k[i] + rows[4, i] - log2_total)
                growth += part * (ends[1, i] + ends[0, i] * rows[5, i])
        return total, total_k, growth

    @variant.helper
    def walk_up(pair, work, shared, strips, steps, length, scale, factors, keep_all, total):
        """Backward pass over the strips that this thread gets hold of."""
        s = strips - 1 - take_ticket(shared.tickets, 1)
        while s >= 0:
            set_lanes(pair, work, shared.rows, (s + 1) * width - 1, factors)
            slot = s * steps if keep_all else 0
            if not keep_all:
                forward(pair, work, shared, s, 0, not keep_all, s, s + 1, steps, length, scale)
            backward(
                pair,
                work,
                shared,
                s,
                strips,
                slot,
                steps,
                length,
                real(total[0]),
                whole(total[1]),
                real(total[2]),
            )
            s = strips - 1 - take_ticket(shared.tickets, 1)

    @variant.helper
    def spread_sums(pair, b, shared, penalties, strips, length, unit, out):
        """Add what the strips left to the gradients; the mean score in units of T / log2(e)."""
        mean = 0.0
        for s in range(strips):
            sums = shared.sums[s * LANE_SUMS * width : (s + 1) * LANE_SUMS * width]
            for r in range(width):
                mean += unit * sums[MEAN * width + r]
                i = (s + 1) * width - r - pair.origin
                if i > pair.n:
                    continue
                if not by_column:
                    opened = np.float64(sums[PAID_OPEN_X * width + r])
                    extended = np.float64(sums[PAID_EXTEND_X * width + r])
                    pay(out[1], b, 0, 0, opened)
                    pay(out[2], b, 0, 0, extended)
                    mean -= unit * opened * at(penalties[0], b, 0, 0)
                    mean -= unit * extended * at(penalties[1], b, 0, 0)
                if i < pair.n:
                    opened = np.float64(sums[PAID_OPEN_Y * width + r])
                    extended = np.float64(sums[PAID_EXTEND_Y * width + r])
                    pay(out[3], b, i, 0, opened)
                    pay(out[4], b, i, 0, extended)
                    mean -= unit * opened * at(penalties[2], b, i, 0)
                    mean -= unit * extended * at(penalties[3], b, i, 0)
            if by_column:
                paid = shared.paid[2 * s * length : 2 * (s + 1) * length]
                for c in range(1, pair.m + pair.origin):
                    j = c - pair.origin
                    opened = np.float64(paid[pad + c])
                    extended = np.float64(paid[length + pad + c])
                    pay(out[1], b, 0, j, opened)
                    pay(out[2], b, 0, j, extended)
                    mean -= unit * opened * at(penalties[0], b, 0, j)
                    mean -= unit * extended * at(penalties[1], b, 0, j)
        return mean

    @variant.helper
    def pay_trailing_rows(pair, b, shared, penalties, log2_total, growth, unit, out):
        """Fitting mode: gradients of the rows skipped after the last pair; their mean score."""
        rows, ends, ends_k = shared.rows, shared.ends, shared.ends_k
        mean, earlier = 0.0, 0.0
        for i in range(pair.n):
            gone = ends[0, i] * 2.0 ** (ends_k[i] + rows[4, i] - log2_total)
            if second and gone > 0.0:
                gone *= ends[1, i] / ends[0, i] + rows[5, i] - growth
            pay(out[3], b, i, pair.m - 1, gone)
            pay(out[4], b, i, pair.m - 1, earlier)
            mean -= unit * gone * at(penalties[2], b, i, 0)
            mean -= unit * earlier * at(penalties[3], b, i, 0)
            earlier += gone
        return mean

    @variant.kernel
    def linear(
        similarity,
        penalties,
        temperature,
        mode,
        lengths,
        order,
        floors,
        dots,
        work,
        shared,
        out,
        result,
        graded,
        phase,
    ):
        unit = LOG2E / temperature
        high = real(unit)
        low = real(unit - np.float64(high))
        stride = similarity.shape[2]
        for position in range(order.size):
            b = order[position]
            n, m = lengths[b, 0], lengths[b, 1]
            origin = 0 if mode == LOCAL else 1
            pair = Pair(
                similarity.reshape(-1),
                out[0].reshape(-1),
                dots[0].reshape(-1),
                b * similarity.shape[1] * stride,
                stride,
                n,
                m,
                origin,
                mode,
            )
            steps, length = step_count(m + origin, width), row_length(m + origin, width)
            strips = (n + origin + width - 1) // width
            keep_all = phase == ALL and graded
            keep_all = keep_all and work.floats.size >= strips * steps * per_step * width
            scale = high, low, real(floors[b]), real(1.0 / temperature)
            factors = 1.0, 1.0, 1.0, 1.0
            if not by_column:
                factors = column_factors(penalties, dots[1], b, 0, unit)
            if phase in (ALL, SET_UP):
                set_up(pair, b, shared, penalties, dots[1], unit, length, strips)
            if phase in (ALL, DOWN):
                walk_down(
                    pair, work, shared, strips, steps, length, scale, factors, keep_all, graded
                )
            if phase in (SET_UP, DOWN):
                continue
            total = find_total(pair, shared, strips, length, graded)
            if total[0] == 0.0:
                result[b, 0] = -np.inf
                if graded:
                    out[0][b, :n, :m] = 0.0
                continue
            log2_total = total[1] + math.log2(total[0])
            result[b, 0] = temperature * total[2] if second else log2_total / unit
            if not graded:
                continue
            if phase in (ALL, UP):
                walk_up(pair, work, shared, strips, steps, length, scale, factors, keep_all, total)
            if phase == UP:
                continue
            mean = spread_sums(pair, b, shared, penalties, strips, length, unit, out)
            if mode == FITTING:
                mean += pay_trailing_rows(
                    pair, b, shared, penalties, log2_total, total[2], unit, out
                )
            result[b, 1] = (-mean if second else log2_total - mean) / LOG2E

    return linear


def strip_height(bits, rows):
    """Lanes of a strip: two registers' worth, unless that wastes rows.

    The front is bound by latency, which two independent registers hide from each other.
    """
    native = native_lanes(bits)
    return native if rows <= native else 2 * native


#: Tables of a pair up to this size are kept from the forward to the backward pass.
KEPT_BYTES = 2**23

_local = threading.local()


def scratch(make, *key_and_sizes):
    """This thread's scratch arrays of a kind, made anew when pairs outgrow them."""
    *key, rows, columns = key_and_sizes
    have = _local.__dict__.setdefault("arrays", {})
    found = have.get((make, *key))
    if found is None or rows > found[0] or columns > found[1]:
        if found is not None:
            rows, columns = max(rows, found[0]), max(columns, found[1])
        found = rows, columns, make(*key, rows, columns)
        have[make, *key] = found
    return found[2]


def thread_arrays(bits, lanes, graded, second, rows, columns):
    """Scratch arrays of a thread for pairs of up to `rows` x `columns`."""
    kind = scalars(bits)
    per_step = fields(second)[0]
    steps, strips = step_count(columns + 1, lanes), -(-(rows + 1) // lanes)
    slots = lanes
    if graded:
        step_bytes = (per_step + INTEGERS) * lanes * bits // 8
        slots = steps * max(1, min(strips, KEPT_BYTES // (steps * step_bytes)))
    return Work(
        floats=aligned(slots * per_step * lanes, kind.real),
        integers=aligned(slots * INTEGERS * lanes, kind.whole),
        lane=aligned(LANE_FLOATS * lanes, kind.real),
        lane_k=aligned(2 * lanes, kind.whole),
        square=aligned(lanes * lanes, kind.real),
    )


def pair_arrays(bits, lanes, by_column, graded, second, rows, columns):
    """Scratch arrays of a pair of up to `rows` x `columns`."""
    kind = scalars(bits)
    _, carried, returned = fields(second)
    length, strips = row_length(columns + 1, lanes), -(-(rows + 1) // lanes)
    kept_rows = strips + 1 if graded else 1
    return Shared(
        carry=aligned(kept_rows * carried * length, kind.real),
        carry_k=aligned(kept_rows * length, kind.whole),
        back=aligned(returned * length, kind.real),
        back_k=aligned(2 * length, kind.whole),
        columns=aligned(COLUMN_ROWS * length, kind.real),
        rows=np.empty((6, rows + 2)),
        ends=np.empty((2, rows + 1)),
        ends_k=np.empty(rows + 1, np.int64),
        sums=aligned(strips * LANE_SUMS * lanes, kind.real),
        paid=aligned(2 * strips * length if by_column and graded else 0, kind.real),
        done=np.empty(2 * strips, np.int64),
        tickets=np.empty(2, np.int64),
    )


def aligned(size, dtype):
    """Uninitialised array that starts a cache line, so that no vector straddles two."""
    line = 64
    raw = np.empty(size * np.dtype(dtype).itemsize + line, np.uint8)
    start = -raw.ctypes.data % line
    return raw[start : start + size * np.dtype(dtype).itemsize].view(dtype)

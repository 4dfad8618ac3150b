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
from numba.extending import register_jitable

from fastsw._cpu._compile import helper, inlined, kernel_variant
from fastsw._cpu._simd import (
    fma,
    lanes_of,
    nearest,
    to_integers,
    vmax,
    vmin,
    where_greater,
)
from fastsw._reference import FITTING, GLOBAL, LOCAL

LOG2E = 1.0 / math.log(2.0)

# Fields of one step in the table of floats and in the table of integers.
SCORE, WEIGHT, M, X, Y, FLOATS = 0, 1, 2, 3, 4, 5
SHIFT, SCALE, INTEGERS = 0, 1, 2

# Parameters that each lane has of its own.
START, END, OPEN_X, EXTEND_X, OPEN_Y, EXTEND_Y, OPEN_BELOW, EXTEND_BELOW, LANE_FLOATS = range(9)

# Sums that each lane leaves.
ENDED, PAID_OPEN_X, PAID_EXTEND_X, PAID_OPEN_Y, PAID_EXTEND_Y, MEAN, LANE_SUMS = range(7)


class Work(NamedTuple):
    """Scratch arrays of one thread, all flat; see `workspace`."""

    floats: np.ndarray  # tables: FLOATS x W a step
    integers: np.ndarray  # tables: INTEGERS x W a step
    carry: np.ndarray  # forward rows: m, x, y
    carry_k: np.ndarray  # their exponents
    back: np.ndarray  # backward row: y, then w * m
    back_k: np.ndarray  # their exponents
    lane: np.ndarray  # LANE_FLOATS x W
    lane_k: np.ndarray  # exponents of START and END, then of ENDED
    sums: np.ndarray  # LANE_SUMS x W
    columns: np.ndarray  # gap factors of columns: open, extend; then what was paid there
    square: np.ndarray  # W x W posteriors


class Pair(NamedTuple):
    """One pair in the flat arrays."""

    source: np.ndarray  # similarity
    target: np.ndarray  # its gradient
    offset: int
    stride: int
    n: int
    m: int
    origin: int  # 0: the first row is the first pair's; 1: it lies before
    mode: int


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
    simd, kind = lanes_of(bits, lanes), scalars(bits)
    splat_f, splat_i = simd.splat_f, simd.splat_i
    exponent, from_exponent = simd.exponent, simd.from_exponent
    whole, zero, polynomial = kind.whole, kind.real(0), kind.polynomial
    leading, degree = polynomial[0], len(polynomial) - 1
    bias, most = whole(simd.bias), whole(2 * simd.bias)

    @inlined
    def power(k):
        """2**k for k <= bias; 0 where that is too small."""
        return from_exponent(vmax(k + splat_i(bias), splat_i(whole(0))))

    @inlined
    def capped_power(k):
        """2**k, at most 2**bias."""
        return from_exponent(vmin(vmax(k + splat_i(bias), splat_i(whole(0))), splat_i(most)))

    @inlined
    def weight(s, high, low, floor):
        """Scaled s, and exp(s / T) as mantissa and exponent, exactly 0 for s <= floor.

        high + low = log2(e) / T.
        """
        clamped = vmax(s, floor)
        scaled = clamped * high
        whole_part = nearest(scaled)
        f = fma(clamped, low, fma(clamped, high, splat_f(zero) - whole_part))
        p = splat_f(leading)
        for d in range(degree):
            p = fma(p, f, splat_f(polynomial[d + 1]))
        return scaled, where_greater(clamped, floor, p, splat_f(zero)), to_integers(whole_part)

    @inlined
    def scaled_sum(a, ka, b, kb):
        """a * 2**ka + b * 2**kb and its exponent."""
        k = vmax(ka, kb)
        return fma(a, power(ka - k), b * power(kb - k)), k

    @inlined
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
def walks(bits, lanes, by_column):
    """Forward and backward walk of one strip.

    ``by_column`` says whether penalties of skipped columns differ from column to column.
    """
    simd, kind, vectors = lanes_of(bits, lanes), scalars(bits), arithmetic(bits, lanes)
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
    float_step, integer_step = FLOATS * lanes, INTEGERS * lanes

    @helper
    def weigh(pair, work, slot, t0, bottom, scale):
        """Weights of the steps t0 .. t0 + W - 1, into the strip's tables from `slot` on."""
        floats, integers = work.floats, work.integers
        last = bottom - pair.origin
        column = t0 - (width - 1) - pair.origin
        at, at_k = slot * float_step, slot * integer_step
        load_skewed(
            pair.source,
            pair.offset + last * pair.stride + column,
            pair.stride,
            column,
            last,
            pair.n,
            pair.m,
            floats,
            at,
            float_step,
        )
        high, low, floor = splat_f(scale[0]), splat_f(scale[1]), splat_f(scale[2])
        for u in range(width):
            scaled, f, k = weight(load_f(floats, at), high, low, floor)
            store(floats, at + SCORE * width, scaled)
            store(floats, at + WEIGHT * width, f)
            store(integers, at_k + SHIFT * width, k)
            at += float_step
            at_k += integer_step
        if pair.origin == 1 and bottom == width - 1:
            # Row 0 lies in the last lane: M may start there, at every column or at the first.
            for u in range(width):
                if t0 + u == 0 or pair.mode == FITTING:
                    floats[(slot + u) * float_step + SCORE * width + width - 1] = zero
                    floats[(slot + u) * float_step + WEIGHT * width + width - 1] = one
                    integers[(slot + u) * integer_step + SHIFT * width + width - 1] = none

    @helper
    def forward(pair, work, slot, keep, row_in, row_out, bottom, steps, length, scale):
        """Walk a strip, from the carried row `row_in` to `row_out`; ends add to the lane sums.

        Tables are kept from `slot` on, or, without `keep`, only for the last W steps.
        """
        floats, integers, carry, carry_k = work.floats, work.integers, work.carry, work.carry_k
        lane, lane_k, columns = work.lane, work.lane_k, work.columns
        start, start_k = load_f(lane, START * width), load_i(lane_k, START * width)
        open_x, extend_x = load_f(lane, OPEN_X * width), load_f(lane, EXTEND_X * width)
        open_y, extend_y = load_f(lane, OPEN_Y * width), load_f(lane, EXTEND_Y * width)
        zeros, impossible = splat_f(zero), splat_i(nothing)
        m, x, y, k = zeros, zeros, zeros, impossible
        diagonal, diagonal_k = zeros, impossible
        ended, ended_k = zeros, impossible
        above, above_k = row_in * 3 * length + pad, row_in * length + pad
        below = row_out * 3 * length + pad - (width - 1)
        below_k = row_out * length + pad - (width - 1)
        for t0 in range(0, steps, width):
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
                before, before_k = scaled_sum(diagonal, diagonal_k, start, start_k)
                new_m = load_f(floats, at + WEIGHT * width) * before
                new_m_k = before_k + load_i(integers, at_k + SHIFT * width)
                new_x = fma(extend_x, x, open_x * m)
                upper = up_m + up_x
                new_y = fma(extend_y, up_y, open_y * upper)
                diagonal, diagonal_k = upper + up_y, up_k
                m, x, y, k = common(new_m, new_m_k, new_x, k, new_y, up_k)
                store(floats, at + M * width, m)
                store(floats, at + X * width, x)
                store(floats, at + Y * width, y)
                store(integers, at_k + SCALE * width, k)
                store_first(carry, below + t, m)
                store_first(carry, below + length + t, x)
                store_first(carry, below + 2 * length + t, y)
                store_first(carry_k, below_k + t, k)
                ended, ended_k = scaled_sum(ended, ended_k, m, k)
                at += float_step
                at_k += integer_step
        for field in range(3):  # what later steps of the next strip read beyond the last column
            store(carry, below + field * length + steps, zeros)
        store(carry_k, below_k + steps, impossible)
        store(work.sums, ENDED * width, ended)
        store(lane_k, 2 * width, ended_k)

    @helper
    def backward(pair, work, slot, bottom, steps, length, total, total_k):
        """Walk a strip in reverse, from the row in `back` to the same; writes the posterior.

        What is paid, and the mean of the scaled similarity, are left in the lane sums (for
        columns, with `by_column`, in the rows 2 and 3 of `columns`).
        """
        floats, integers, back, back_k = work.floats, work.integers, work.back, work.back_k
        lane, columns, square = work.lane, work.columns, work.square
        end, end_k = load_f(lane, END * width), load_i(work.lane_k, END * width)
        open_x, extend_x = load_f(lane, OPEN_X * width), load_f(lane, EXTEND_X * width)
        open_y, extend_y = load_f(lane, OPEN_BELOW * width), load_f(lane, EXTEND_BELOW * width)
        per_total, per_total_k = splat_f(one / total), splat_i(total_k)
        zeros, impossible = splat_f(zero), splat_i(nothing)
        x, y, k, onto, onto_k = zeros, zeros, impossible, zeros, impossible
        diagonal, diagonal_k = zeros, impossible
        paid_open_x, paid_extend_x, paid_open_y, paid_extend_y = zeros, zeros, zeros, zeros
        mean = zeros
        last = bottom - pair.origin
        at = (slot + steps - 1) * float_step
        at_k = (slot + steps - 1) * integer_step
        for t0 in range(steps - width, -1, -width):
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
                new_m = fma(end, power(end_k - common_k), opened_x + onward)
                new_x, new_y = extended_x + onward, d + extended_y

                here_m, here_x = load_f(floats, at + M * width), load_f(floats, at + X * width)
                here_k = load_i(integers, at_k + SCALE * width)
                share = per_total * capped_power(here_k + common_k - per_total_k)
                share_m, share_x = here_m * share, here_x * share
                posterior = share_m * new_m
                store(square, (t - t0) * width, posterior)
                mean = fma(posterior, load_f(floats, at + SCORE * width), mean)
                if by_column:
                    paid_open_x = shift_up(paid_open_x, zeros)
                    paid_extend_x = shift_up(paid_extend_x, zeros)
                paid_open_x = fma(share_m, opened_x, paid_open_x)
                paid_extend_x = fma(share_x, extended_x, paid_extend_x)
                if by_column:
                    store_last(columns, 2 * length + pad + t + 1, paid_open_x)
                    store_last(columns, 3 * length + pad + t + 1, paid_extend_x)
                paid_open_y = fma(share_m + share_x, opened_y, paid_open_y)
                share_y = load_f(floats, at + Y * width) * share
                paid_extend_y = fma(share_y, extended_y, paid_extend_y)

                e = exponent(vmax(new_m, vmax(new_x, new_y)))
                scale = from_exponent(splat_i(inverse) - e)
                k = common_k + e - splat_i(bias)
                x, y = new_x * scale, new_y * scale
                diagonal, diagonal_k = next_diagonal, next_diagonal_k
                onto = load_f(floats, at + WEIGHT * width) * (new_m * scale)
                onto_k = k + load_i(integers, at_k + SHIFT * width)
                store_last(back, pad + t, y)
                store_last(back_k, pad + t, k)
                store_last(back, length + pad + t, onto)
                store_last(back_k, length + pad + t, onto_k)
                at -= float_step
                at_k -= integer_step
            column = t0 - (width - 1) - pair.origin
            store_skewed(
                square,
                0,
                width,
                pair.target,
                pair.offset + last * pair.stride + column,
                pair.stride,
                column,
                last,
                pair.n,
                pair.m,
            )
        sums = work.sums
        store(sums, PAID_OPEN_X * width, paid_open_x)
        store(sums, PAID_EXTEND_X * width, paid_extend_x)
        store(sums, PAID_OPEN_Y * width, paid_open_y)
        store(sums, PAID_EXTEND_Y * width, paid_extend_y)
        store(sums, MEAN * width, mean)

    return forward, backward


@register_jitable
def row_length(columns, lanes):
    """Elements of one carried row: the columns, the steps beyond them, and padding."""
    return columns + 1 + 6 * lanes


@register_jitable
def step_count(columns, lanes):
    """Steps of a strip: columns plus the slant of the front, in whole squares."""
    return -(-(columns + lanes - 1) // lanes) * lanes


@functools.cache
def kernels(bits: int, lanes: int, by_column: bool):
    """The compiled entry point of one precision, width and form of penalties."""
    forward, backward = walks(bits, lanes, by_column)
    kind = scalars(bits)
    real, whole, nothing = kind.real, kind.whole, kind.nothing
    width, pad = lanes, 2 * lanes

    @helper
    def at(penalty, b, i, j):
        """Penalty of row i and column j, whose axes may have length 1."""
        return penalty[
            min(b, penalty.shape[0] - 1), min(i, penalty.shape[1] - 1), min(j, penalty.shape[2] - 1)
        ]

    @helper
    def set_lanes(pair, work, penalties, b, bottom, unit, row_ends):
        """Parameters of the rows of a strip; rows after the last pass everything downwards."""
        lane, lane_k = work.lane, work.lane_k
        local = pair.mode == LOCAL
        for r in range(width):
            i = bottom - r + 1 - pair.origin  # row of the grid
            starts = local or i == 0
            lane[START * width + r] = 1.0 if starts else 0.0
            lane_k[START * width + r] = 0 if starts else nothing
            ends = local or (pair.mode == FITTING and 1 <= i <= pair.n)
            log_end = row_ends[i] if ends and not local else 0.0
            end_k = math.floor(log_end)
            lane[END * width + r] = 2.0 ** (log_end - end_k) if ends else 0.0
            lane_k[END * width + r] = whole(end_k) if ends else nothing
            skips = 0.0 if i == 0 and pair.mode == FITTING else 1.0
            into = 1.0 if by_column else 2.0 ** (-unit * at(penalties[0], b, 0, 0))
            lane[OPEN_X * width + r] = skips * into
            lane[EXTEND_X * width + r] = 2.0 ** (-unit * at(penalties[1], b, 0, 0))
            for step, field in ((0, OPEN_Y), (1, OPEN_BELOW)):
                row = max(i + step, 1)
                opened, extended = 1.0, 1.0
                if row <= pair.n:
                    opened = 2.0 ** (-unit * at(penalties[2], b, row - 1, 0))
                    extended = 2.0 ** (-unit * at(penalties[3], b, row - 1, 0))
                lane[field * width + r] = opened
                lane[(field + 1) * width + r] = extended

    @helper
    def set_columns(pair, work, penalties, b, columns, length, unit):
        """Gap factors of the columns."""
        work.columns[: 4 * length] = 0.0
        for c in range(columns):
            j = max(c - pair.origin, 0)
            work.columns[pad + c] = 2.0 ** (-unit * at(penalties[0], b, 0, j))
            work.columns[length + pad + c] = 2.0 ** (-unit * at(penalties[1], b, 0, j))

    @helper
    def log_row_ends(pair, penalties, b, unit):
        """log2 weight of skipping the rows after grid row i = 0..n, at the last column."""
        ends = np.zeros(pair.n + 1)
        extended = 0.0
        for i in range(pair.n - 1, -1, -1):
            ends[i] = -unit * at(penalties[2], b, i, 0) - extended
            extended += unit * at(penalties[3], b, i, 0)
        return ends

    @helper
    def add(total, total_k, value, value_k):
        """Sum of two floats with exponents, the mantissa in [1, 2)."""
        if value == 0.0:
            return total, total_k
        mantissa, e = math.frexp(value)
        value, value_k = mantissa * 2.0, value_k + e - 1
        if total == 0.0:
            return value, value_k
        k = max(total_k, value_k)
        total = math.ldexp(total, max(total_k - k, -2000)) + math.ldexp(
            value, max(value_k - k, -2000)
        )
        mantissa, e = math.frexp(total)
        return mantissa * 2.0, k + e - 1

    def linear(
        similarity, penalties, temperature, mode, lengths, order, floors, work, out, result, want
    ):
        unit = LOG2E / temperature
        high = real(unit)
        low = real(unit - np.float64(high))
        source, target = similarity.reshape(-1), out[0].reshape(-1)
        stride = similarity.shape[2]
        for position in range(order.size):
            b = order[position]
            n, m = lengths[b, 0], lengths[b, 1]
            origin = 0 if mode == LOCAL else 1
            pair = Pair(
                source, target, b * similarity.shape[1] * stride, stride, n, m, origin, mode
            )
            rows, columns = n + origin, m + origin
            steps = step_count(columns, width)
            length = row_length(columns, width)
            strips = (rows + width - 1) // width
            tables = work.floats.size // (FLOATS * width * steps)
            keep_all = want > 0 and tables >= strips
            scale = high, low, real(floors[b])
            row_ends = np.zeros(1)
            if mode == FITTING:
                row_ends = log_row_ends(pair, penalties, b, unit)
            if by_column:
                set_columns(pair, work, penalties, b, columns, length, unit)
            work.carry[: 3 * length] = 0.0
            work.carry_k[:length] = nothing
            ended = np.zeros(n + 1)
            ended_k = np.zeros(n + 1, np.int64)
            total, total_k = 0.0, 0
            if mode == FITTING:
                total_k = math.floor(row_ends[0])
                total = 2.0 ** (row_ends[0] - total_k)
            for s in range(strips):
                bottom = (s + 1) * width - 1
                set_lanes(pair, work, penalties, b, bottom, unit, row_ends)
                row_in, row_out = (s, s + 1) if want > 0 else (0, 0)
                slot = s * steps if keep_all else 0
                forward(pair, work, slot, keep_all, row_in, row_out, bottom, steps, length, scale)
                if mode == GLOBAL:
                    continue
                for r in range(width):
                    i = bottom - r + 1 - origin
                    value = np.float64(work.sums[ENDED * width + r])
                    value_k = np.int64(work.lane_k[2 * width + r])
                    if i < 1 or i > n or value == 0.0:
                        continue
                    if mode == FITTING:
                        ended[i], ended_k[i] = value, value_k
                        end_k = math.floor(row_ends[i])
                        value *= 2.0 ** (row_ends[i] - end_k)
                        value_k += end_k
                    total, total_k = add(total, total_k, value, value_k)
            if mode == GLOBAL:
                last = (strips if want > 0 else 0) * length + pad + m
                first = (strips if want > 0 else 0) * 3 * length + pad + m
                value = np.float64(work.carry[first]) + work.carry[first + length]
                value += work.carry[first + 2 * length]
                total, total_k = add(0.0, 0, value, np.int64(work.carry_k[last]))
            if total == 0.0:
                result[b, 0] = -np.inf
                if want > 0:
                    out[0][b, :n, :m] = 0.0
                continue
            log2_total = total_k + math.log2(total)
            result[b, 0] = log2_total / unit
            if want == 0:
                continue

            mean = 0.0
            work.back[: 2 * length] = 0.0
            work.back_k[: 2 * length] = nothing
            if mode == GLOBAL:
                work.back[pad + m] = 1.0
                work.back_k[pad + m] = 0
            for s in range(strips - 1, -1, -1):
                bottom = (s + 1) * width - 1
                set_lanes(pair, work, penalties, b, bottom, unit, row_ends)
                slot = s * steps if keep_all else 0
                if not keep_all:
                    forward(pair, work, 0, want > 0, s, s + 1, bottom, steps, length, scale)
                backward(pair, work, slot, bottom, steps, length, real(total), whole(total_k))
                mean += spread_sums(pair, work, penalties, b, bottom, columns, length, unit, out)
            if mode == FITTING:
                gone = 2.0 ** (row_ends[0] - log2_total)
                earlier = 0.0
                for i in range(n):
                    pay(out[3], b, i, m - 1, gone)
                    pay(out[4], b, i, m - 1, earlier)
                    mean -= unit * gone * at(penalties[2], b, i, 0)
                    mean -= unit * earlier * at(penalties[3], b, i, 0)
                    earlier += gone
                    gone = ended[i + 1] * 2.0 ** (ended_k[i + 1] + row_ends[i + 1] - log2_total)
            result[b, 1] = (log2_total - mean) / LOG2E

    @helper
    def pay(gradient, b, i, j, amount):
        """Count a penalty as paid."""
        gradient[b, min(i, gradient.shape[1] - 1), min(j, gradient.shape[2] - 1)] -= amount

    @helper
    def spread_sums(pair, work, penalties, b, bottom, columns, length, unit, out):
        """Add what a strip left to the gradients; its mean score in units of T / log2(e)."""
        sums = work.sums
        mean = 0.0
        for r in range(width):
            i = bottom - r + 1 - pair.origin
            if i > pair.n:
                continue
            mean += sums[MEAN * width + r]
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
            for c in range(1, columns):
                j = c - pair.origin
                opened = np.float64(work.columns[2 * length + pad + c])
                extended = np.float64(work.columns[3 * length + pad + c])
                pay(out[1], b, 0, j, opened)
                pay(out[2], b, 0, j, extended)
                mean -= unit * opened * at(penalties[0], b, 0, j)
                mean -= unit * extended * at(penalties[1], b, 0, j)
        return mean

    return kernel_variant(linear, bits, lanes, "columns" if by_column else "uniform")


#: Tables of a pair up to this size are kept from the forward to the backward pass.
KEPT_BYTES = 2**21

_local = threading.local()


def scratch(bits, lanes, rows, columns, want):
    """This thread's scratch arrays, made anew when pairs outgrow them."""
    have = _local.__dict__.setdefault("work", {})
    key = bits, lanes, want > 0
    if key not in have or rows > have[key][0] or columns > have[key][1]:
        have[key] = rows, columns, workspace(bits, lanes, rows, columns, want, KEPT_BYTES)
    return have[key][2]


def workspace(bits, lanes, rows, columns, want, kept_bytes):
    """Scratch arrays for pairs of up to `rows` x `columns`."""
    kind = scalars(bits)
    rows, columns = rows + 1, columns + 1
    steps, length = step_count(columns, lanes), row_length(columns, lanes)
    strips = -(-rows // lanes)
    slots = lanes
    if want:
        step_bytes = (FLOATS + INTEGERS) * lanes * bits // 8
        kept = strips if strips * steps * step_bytes <= kept_bytes else 1
        slots = kept * steps
    carried = strips + 1 if want else 1
    return Work(
        floats=aligned(slots * FLOATS * lanes, kind.real),
        integers=aligned(slots * INTEGERS * lanes, kind.whole),
        carry=aligned(carried * 3 * length, kind.real),
        carry_k=aligned(carried * length, kind.whole),
        back=aligned(2 * length, kind.real),
        back_k=aligned(2 * length, kind.whole),
        lane=aligned(LANE_FLOATS * lanes, kind.real),
        lane_k=aligned(3 * lanes, kind.whole),
        sums=aligned(LANE_SUMS * lanes, kind.real),
        columns=aligned(4 * length, kind.real),
        square=aligned(lanes * lanes, kind.real),
    )


def aligned(size, dtype):
    """Uninitialised array that starts a cache line, so that no vector straddles two."""
    line = 64
    raw = np.empty(size * np.dtype(dtype).itemsize + line, np.uint8)
    start = -raw.ctypes.data % line
    return raw[start : start + size * np.dtype(dtype).itemsize].view(dtype)

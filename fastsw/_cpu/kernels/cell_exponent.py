"""Walks over a strip in which every cell has an exponent of its own: the wide range.

The three states of a cell are floats in [0, 2) that share an integer power of two, so nothing
overflows. A state below 2**-126 (float32) of its cell's largest is lost; `routing` admits only
problems in which such a state cannot matter.

Rounding of the factors of extended gaps is made up for as in `block_exponent`, for columns after
each W steps.
"""

from __future__ import annotations

import functools

from fastsw._cpu.kernels.strip import (
    BACK_Y_DOT,
    DOT,
    END,
    EXTEND_DOT,
    EXTEND_X,
    EXTEND_Y,
    FIX_X,
    H_DOT,
    INTEGERS,
    LANE_SUMS,
    M_DOT,
    MEAN,
    ONTO,
    ONTO_DOT,
    OPEN_DOT,
    OPEN_X,
    OPEN_Y,
    PAID_EXTEND_X,
    PAID_EXTEND_Y,
    PAID_OPEN_X,
    PAID_OPEN_Y,
    SCALE,
    SHIFT,
    SLOPE,
    START,
    V_DOT,
    WEIGHT,
    X_DOT,
    Y_DOT,
    M,
    V,
    X,
    Y,
    await_steps,
    fields,
    form,
    squares,
)
from fastsw._cpu.runtime.compile import Variant
from fastsw._cpu.runtime.handoff import read_shared, write_shared
from fastsw._cpu.runtime.pointers import put
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import arithmetic, scalars
from fastsw._cpu.simd.vectors import fma, vmax, where_greater
from fastsw._types import FITTING


def fixed_steps(width):
    """See `block_exponent.fixed_steps`."""
    return width


@functools.cache
def passes(bits, lanes, by_column, with_tangents):
    """Forward and backward walk of one strip.

    ``by_column`` says whether penalties of skipped columns differ from column to column;
    ``with_tangents`` whether tangents are carried and the tangent of the gradient is written.
    """
    simd, kind, vectors = lanes_of(bits, lanes), scalars(bits), arithmetic(bits, lanes)
    variant = Variant(bits, lanes, *form(by_column, with_tangents))
    load_f, load_i, store = simd.load_f, simd.load_i, simd.store
    splat_f, splat_i = simd.splat_f, simd.splat_i
    from_above, from_below = simd.from_above, simd.from_below
    store_first, store_last, shift_up = simd.store_first, simd.store_last, simd.shift_up(1)
    exponent, from_exponent = simd.exponent, simd.from_exponent
    load_square = squares(bits, lanes).load_square
    stage, release = squares(bits, lanes).stage, squares(bits, lanes).release
    power, capped_power, weight = vectors.power, vectors.capped_power, vectors.weight
    scaled_sum, common = vectors.scaled_sum, vectors.common
    zero, one, nothing, none = kind.real(0), kind.real(1), kind.nothing, kind.whole(0)
    bias, inverse = kind.whole(simd.bias), kind.whole(2 * simd.bias)
    width, pad = lanes, 2 * lanes
    per_step, carried = fields(with_tangents)
    float_step, integer_step, size = per_step * lanes, INTEGERS * lanes, bits // 8

    @variant.helper
    def weigh(pair, pointers, slot, t0, bottom, scale):
        """Weights of the steps t0 .. t0 + W - 1, into the strip's tables from `slot` on."""
        floats, integers = pointers.floats, pointers.integers
        at, at_k = slot * float_step, slot * integer_step
        weights, slopes = (
            floats + (at + WEIGHT * width) * size,
            floats + (at + SLOPE * width) * size,
        )
        load_square(pair.source, pair.tile, weights, float_step, t0, bottom)
        if with_tangents:
            load_square(pair.direction, pair.tile, slopes, float_step, t0, bottom)
        per_temperature, zeros = splat_f(scale[2]), splat_f(zero)
        unit, floor = splat_f(scale[0]), splat_f(scale[1])
        for _ in range(width):
            f, k = weight(load_f(floats, at + WEIGHT * width), unit, floor)
            store(floats, at + WEIGHT * width, f)
            store(integers, at_k + SHIFT * width, k)
            if with_tangents:
                slope = per_temperature * load_f(floats, at + SLOPE * width)
                store(floats, at + SLOPE * width, where_greater(f, zeros, slope, zeros))
            at += float_step
            at_k += integer_step
        if pair.tile.origin == 1 and bottom == width - 1:
            # Row 0 lies in the last lane: M may start there, at every column or at the first.
            for u in range(width):
                if t0 + u == 0 or pair.mode == FITTING:
                    put(floats, (slot + u) * float_step + WEIGHT * width + width - 1, one)
                    put(integers, (slot + u) * integer_step + SHIFT * width + width - 1, none)

    def forward_walk(tables):
        variant = Variant(
            bits, lanes, *form(by_column, with_tangents), "tables" if tables else "scores"
        )

        @variant.helper
        def forward(pair, pointers, s, slot, row_in, row_out, steps, length, scale):
            """Walk strip s, from the carried row `row_in` to `row_out`, behind the strip above.

            Tables are kept from `slot` on, or, without `tables`, only for the last W steps. What
            ended in each row is left in `Work.ended`.
            """
            floats, integers, boundary, boundary_k = (
                pointers.floats,
                pointers.integers,
                pointers.boundary,
                pointers.boundary_k,
            )
            lane, lane_k, columns = pointers.lane, pointers.lane_k, pointers.columns
            bottom = (s + 1) * width - 1
            start, start_k = load_f(lane, START * width), load_i(lane_k, START * width)
            open_x, extend_x = load_f(lane, OPEN_X * width), load_f(lane, EXTEND_X * width)
            open_y, extend_y = load_f(lane, OPEN_Y * width), load_f(lane, EXTEND_Y * width)
            zeros, impossible = splat_f(zero), splat_i(nothing)
            m, x, h, v, k = zeros, zeros, zeros, zeros, impossible
            diagonal, diagonal_k = zeros, impossible
            ended, ended_k = zeros, impossible
            m_dot, x_dot, h_dot, v_dot = zeros, zeros, zeros, zeros
            diagonal_dot, ended_dot = zeros, zeros
            open_x_dot = load_f(lane, (DOT + OPEN_X) * width)
            extend_x_dot = load_f(lane, (DOT + EXTEND_X) * width)
            open_y_dot = load_f(lane, (DOT + OPEN_Y) * width)
            extend_y_dot = load_f(lane, (DOT + EXTEND_Y) * width)
            above, above_k = row_in * carried * length + pad, row_in * length + pad
            below = row_out * carried * length + pad - (width - 1)
            below_k = row_out * length + pad - (width - 1)
            for t0 in range(0, steps, width):
                if s > 0:
                    await_steps(pointers.done, s - 1, min(steps, t0 + 2 * width))
                block = slot + t0 if tables else slot
                weigh(pair, pointers, block, t0, bottom, scale)
                fix_x = load_f(lane, FIX_X * width)
                x, x_dot = x * fix_x, x_dot * fix_x
                at, at_k = block * float_step, block * integer_step
                for t in range(t0, t0 + width):
                    up_h = from_above(h, boundary, above + t)
                    new_y = from_above(v, boundary, above + V * length + t)
                    up_k = from_above(k, boundary_k, above_k + t)
                    if by_column:
                        into_x = load_f(lane, OPEN_X * width)
                        open_x = into_x * load_f(columns, pad + t - (width - 1))
                        extend_x = load_f(columns, length + pad + t - (width - 1))
                    weight_m = load_f(floats, at + WEIGHT * width)
                    before, before_k = scaled_sum(diagonal, diagonal_k, start, start_k)
                    new_m = weight_m * before
                    new_m_k = before_k + load_i(integers, at_k + SHIFT * width)
                    new_x = fma(extend_x, x, open_x * m)
                    if with_tangents:
                        up_h_dot = from_above(h_dot, boundary, above + H_DOT * length + t)
                        new_y_dot = from_above(v_dot, boundary, above + V_DOT * length + t)
                        if by_column:
                            base = pad + t - (width - 1)
                            open_x_dot = into_x * load_f(columns, OPEN_DOT * length + base)
                            extend_x_dot = load_f(columns, EXTEND_DOT * length + base)
                        slope = load_f(floats, at + SLOPE * width)
                        into_m = weight_m * diagonal_dot * power(diagonal_k - before_k)
                        new_m_dot = fma(new_m, slope, into_m)
                        new_x_dot = fma(extend_x, x_dot, open_x * m_dot)
                        new_x_dot = new_x_dot + fma(extend_x_dot, x, open_x_dot * m)
                        diagonal_dot, old_k = up_h_dot, k
                    diagonal, diagonal_k = up_h, up_k
                    m, x, y, k = common(new_m, new_m_k, new_x, k, new_y, up_k)
                    outer = m + x
                    h, v = outer + y, fma(extend_y, y, open_y * outer)
                    if with_tangents:
                        m_dot = new_m_dot * power(new_m_k - k)
                        x_dot, y_dot = new_x_dot * power(old_k - k), new_y_dot * power(up_k - k)
                        store(floats, at + M_DOT * width, m_dot)
                        store(floats, at + X_DOT * width, x_dot)
                        store(floats, at + Y_DOT * width, y_dot)
                        outer_dot = m_dot + x_dot
                        h_dot = outer_dot + y_dot
                        v_dot = fma(extend_y, y_dot, open_y * outer_dot)
                        v_dot = v_dot + fma(extend_y_dot, y, open_y_dot * outer)
                        store_first(boundary, below + H_DOT * length + t, h_dot)
                        store_first(boundary, below + V_DOT * length + t, v_dot)
                    store(floats, at + M * width, m)
                    store(floats, at + X * width, x)
                    store(floats, at + Y * width, y)
                    store(integers, at_k + SCALE * width, k)
                    store_first(boundary, below + t, h)
                    store_first(boundary, below + V * length + t, v)
                    store_first(boundary_k, below_k + t, k)
                    if with_tangents:
                        ended_dot, _ = scaled_sum(ended_dot, ended_k, m_dot, k)
                    ended, ended_k = scaled_sum(ended, ended_k, m, k)
                    at += float_step
                    at_k += integer_step
                if read_shared(pointers.done, s) < t0 + width < steps:  # not when walked again
                    write_shared(pointers.done, s, t0 + width)
            # What later steps of the next strip read beyond the last column.
            for field in range(carried):
                store(boundary, below + field * length + steps, zeros)
            store(boundary_k, below_k + steps, impossible)
            write_shared(pointers.done, s, steps)
            store(pointers.ended, 0, ended)
            store(pointers.ended, width, ended_dot)
            store(pointers.ended_k, 0, ended_k)

        return forward

    @variant.helper
    def backward(pair, pointers, s, strips, slot, steps, length, total, total_k, total_dot):
        """Walk strip s in reverse, from the row in `back` to the same, behind the strip below.

        Writes the posterior, and leaves what is paid in the strip's lane sums (for columns, with
        `by_column`, in `paid`), with the mean similarity. With tangents it writes
        the tangents of all these instead; `total_dot` is that of the log of the total.
        """
        floats, integers, back, back_k = (
            pointers.floats,
            pointers.integers,
            pointers.back,
            pointers.back_k,
        )
        lane, columns, square = pointers.lane, pointers.columns, pointers.square
        sums, paid = pointers.sums, pointers.paid
        bottom, first_sum = (s + 1) * width - 1, s * LANE_SUMS * width
        paid_opened, paid_extended = 2 * s * length + pad, (2 * s + 1) * length + pad
        ends, ends_k = load_f(lane, END * width), load_i(pointers.lane_k, END * width)
        open_x, extend_x = load_f(lane, OPEN_X * width), load_f(lane, EXTEND_X * width)
        open_y, extend_y = load_f(lane, OPEN_Y * width), load_f(lane, EXTEND_Y * width)
        per_total, per_total_k = splat_f(one / total), splat_i(total_k)
        zeros, impossible = splat_f(zero), splat_i(nothing)
        x, y, k, onto, onto_k = zeros, zeros, impossible, zeros, impossible
        diagonal, diagonal_k = zeros, impossible
        paid_open_x, paid_extend_x, paid_open_y, paid_extend_y = zeros, zeros, zeros, zeros
        x_dot, y_dot, onto_dot, diagonal_dot = zeros, zeros, zeros, zeros
        ends_dot = load_f(lane, (DOT + END) * width)
        open_x_dot = load_f(lane, (DOT + OPEN_X) * width)
        extend_x_dot = load_f(lane, (DOT + EXTEND_X) * width)
        open_y_dot = load_f(lane, (DOT + OPEN_Y) * width)
        extend_y_dot = load_f(lane, (DOT + EXTEND_Y) * width)
        growth = splat_f(total_dot)
        store(sums, first_sum + MEAN * width, zeros)
        staged = pointers.staged
        at = (slot + steps - 1) * float_step
        at_k = (slot + steps - 1) * integer_step
        for t0 in range(steps - width, -1, -width):
            if s + 1 < strips:
                await_steps(pointers.done, strips + s + 1, min(steps, steps - t0 + width))
            fix_x = load_f(lane, FIX_X * width)
            x, x_dot = x * fix_x, x_dot * fix_x
            for t in range(t0 + width - 1, t0 - 1, -1):
                row = pad + t - (width - 1)
                down = from_below(y, back, row)
                down_k = from_below(k, back_k, row)
                next_diagonal = from_below(onto, back, ONTO * length + row)
                next_diagonal_k = from_below(onto_k, back_k, length + row)
                if by_column:
                    into_x = load_f(lane, OPEN_X * width)
                    open_x = into_x * load_f(columns, pad + t + 1 - (width - 1))
                    extend_x = load_f(columns, length + pad + t + 1 - (width - 1))
                common_k = vmax(vmax(diagonal_k, k), vmax(down_k, ends_k))
                d = diagonal * power(diagonal_k - common_k)
                right = x * power(k - common_k)
                down = down * power(down_k - common_k)
                opened_x, extended_x = open_x * right, extend_x * right
                opened_y, extended_y = open_y * down, extend_y * down
                onward = d + opened_y
                ending = power(ends_k - common_k)
                new_m = fma(ends, ending, opened_x + onward)
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
                if with_tangents:
                    down_dot = from_below(y_dot, back, BACK_Y_DOT * length + row)
                    next_diagonal_dot = from_below(onto_dot, back, ONTO_DOT * length + row)
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
                    new_m_dot = fma(ends_dot, ending, opened_x_dot + onward_dot)
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
                if with_tangents:
                    x_dot, y_dot = new_x_dot * scale, new_y_dot * scale
                    diagonal_dot = next_diagonal_dot
                    slope = load_f(floats, at + SLOPE * width)
                    weight_m = load_f(floats, at + WEIGHT * width)
                    onto_dot = fma(onto, slope, weight_m * (new_m_dot * scale))
                    store_last(back, BACK_Y_DOT * length + pad + t, y_dot)
                    store_last(back, ONTO_DOT * length + pad + t, onto_dot)
                onto_k = k + load_i(integers, at_k + SHIFT * width)
                store_last(back, pad + t, y)
                store_last(back_k, pad + t, k)
                store_last(back, ONTO * length + pad + t, onto)
                store_last(back_k, length + pad + t, onto_k)
                at -= float_step
                at_k -= integer_step
            stage(square, staged, pair.tile.origin, steps, t0)
            write_shared(pointers.done, strips + s, steps - t0)
        store(sums, first_sum + PAID_OPEN_X * width, paid_open_x)
        store(sums, first_sum + PAID_EXTEND_X * width, paid_extend_x)
        store(sums, first_sum + PAID_OPEN_Y * width, paid_open_y)
        store(sums, first_sum + PAID_EXTEND_Y * width, paid_extend_y)
        added = release(staged, pair.target, pair.source, pair.tile, steps, bottom, pair.streaming)
        store(sums, first_sum + MEAN * width, added)

    return forward_walk(False), forward_walk(True), backward

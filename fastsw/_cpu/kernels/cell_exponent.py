"""Passes over a strip in which every cell has an exponent of its own: the wide range.

The three states of a cell are floats in [0, 2) that share an integer power of two, so nothing
overflows. Why nothing that matters underflows: theorem 1 of docs/range.md; `range_check` sees to it
that the theorem holds.

Rounding of the factors of extended gaps is made up for as in `block_exponent`, for columns after
each W steps.
"""

from __future__ import annotations

import functools

from fastsw._cpu.kernels import cell
from fastsw._cpu.kernels.strip import (
    BACK_Y,
    END,
    EXTENDED_X,
    EXTENDED_Y,
    FIX_X,
    INTEGERS,
    LANE_NUMBERS,
    LANE_SUMS,
    MEAN,
    ONTO,
    OPENED_X,
    OPENED_Y,
    ROW_NUMBERS,
    SCALE,
    SHIFT,
    START,
    STEP_NUMBERS,
    WEIGHT,
    H,
    M,
    V,
    X,
    Y,
    await_steps,
    fields,
    form,
    readers,
    squares,
)
from fastsw._cpu.runtime.compile import Variant
from fastsw._cpu.runtime.handoff import read_shared, write_shared
from fastsw._cpu.simd.dual import derivative, numbers, primal
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import arithmetic, scalars
from fastsw._cpu.simd.vectors import vmax


def fixed_steps(width):
    """See `block_exponent.fixed_steps`."""
    return width


@functools.cache
def passes(bits, lanes, by_column, with_tangents):
    """Forward and backward pass over one strip.

    ``by_column`` says whether penalties of skipped columns differ from column to column;
    ``with_tangents`` whether tangents are edges and the tangent of the gradient is written.
    """
    simd, kind, vectors = lanes_of(bits, lanes), scalars(bits), arithmetic(bits, lanes)
    number, square = numbers(bits, lanes, with_tangents), squares(bits, lanes)
    reader = readers(bits, lanes, by_column, with_tangents)
    variant = Variant(bits, lanes, *form(by_column, with_tangents))
    load, store, constant = number.load, number.store, number.constant
    from_above, from_below = number.from_above, number.from_below
    store_first, store_last = number.store_first, number.store_last
    load_f, load_i, store_f = simd.load_f, simd.load_i, simd.store
    splat_f, splat_i = simd.splat_f, simd.splat_i
    k_from_above, k_from_below = simd.from_above, simd.from_below
    first_of, last_of, shift_up = simd.store_first, simd.store_last, simd.shift_up(1)
    exponent, from_exponent = simd.exponent, simd.from_exponent
    load_cells, weighed, states = reader.load_cells, number.weighed, reader.states
    column_factors, row_factors = reader.column_factors, reader.row_factors
    stage, release = square.stage, square.release
    power, capped_power, weight_of = vectors.power, vectors.capped_power, vectors.weight
    scaled_sum, common = vectors.scaled_sum, vectors.common
    zero, one, nothing = kind.real(0), kind.real(1), kind.nothing
    bias, inverse = kind.whole(simd.bias), kind.whole(2 * simd.bias)
    width, pad = lanes, 2 * lanes
    per_step, edges = fields(with_tangents)
    step, step_k = per_step * lanes, INTEGERS * lanes
    of_table, of_lane = STEP_NUMBERS * width, LANE_NUMBERS * width

    @variant.helper
    def weigh(pair, pointers, slot, t0, bottom, scale):
        """Weights of the steps t0 .. t0 + W - 1, into the strip's tables from `slot` on."""
        floats, integers = pointers.floats, pointers.integers
        load_cells(pair, floats, slot, t0, bottom)
        unit, floor, per_temperature = splat_f(scale[0]), splat_f(scale[1]), splat_f(scale[2])
        at, at_k = slot * step + WEIGHT * width, slot * step_k + SHIFT * width
        for _ in range(width):
            weight, k = weight_of(load_f(floats, at), unit, floor)
            store(floats, at, of_table, weighed(weight, floats, at, of_table, per_temperature))
            store_f(integers, at_k, k)
            at += step
            at_k += step_k

    def forward_pass(tables):
        variant = Variant(
            bits, lanes, *form(by_column, with_tangents), "tables" if tables else "scores"
        )

        @variant.helper
        def forward(pair, pointers, s, slot, row_in, row_out, steps, length, scale):
            """Forward pass over strip s, from the boundary row `row_in` to `row_out`.

            It stays behind the strip above. Tables are kept from `slot` on, or, without `tables`,
            only for the last W steps. What ended in each row is left in `Work.ended`.
            """
            floats, integers, columns = pointers.floats, pointers.integers, pointers.columns
            boundary, boundary_k, lane = pointers.boundary, pointers.boundary_k, pointers.lane
            bottom, of_row = (s + 1) * width - 1, ROW_NUMBERS * length
            start, start_k = load_f(lane, START * width), load_i(pointers.lane_k, START * width)
            open_x, extend_x = column_factors(lane, columns, pad, length)
            open_y, extend_y = row_factors(lane)
            zeros, impossible = constant(splat_f(zero)), splat_i(nothing)
            m, x, h, v, k = zeros, zeros, zeros, zeros, impossible
            diagonal, diagonal_k, ended, ended_k = zeros, impossible, zeros, impossible
            above, above_k = row_in * edges * length + pad, row_in * length + pad
            below = row_out * edges * length + pad - (width - 1)
            below_k = row_out * length + pad - (width - 1)
            for t0 in range(0, steps, width):
                if s > 0:
                    await_steps(pointers.done, s - 1, min(steps, t0 + 2 * width))
                first_slot = slot + t0 if tables else slot
                weigh(pair, pointers, first_slot, t0, bottom, scale)
                x = x * load_f(lane, FIX_X * width)
                at, at_k = first_slot * step, first_slot * step_k
                for t in range(t0, t0 + width):
                    up = from_above(h, boundary, above + H * length + t, of_row)
                    y = from_above(v, boundary, above + V * length + t, of_row)
                    up_k = k_from_above(k, boundary_k, above_k + t)
                    if by_column:
                        column = pad + t - (width - 1)
                        open_x, extend_x = column_factors(lane, columns, column, length)
                    weight = load(floats, at + WEIGHT * width, of_table)
                    before, before_k = scaled_sum(diagonal, diagonal_k, start, start_k)
                    m, x = cell.enter(weight, before, m, x, open_x, extend_x)
                    m_k = before_k + load_i(integers, at_k + SHIFT * width)
                    m, x, y, k = common(m, m_k, x, k, y, up_k)
                    h, v = cell.leave(m, x, y, open_y, extend_y)
                    diagonal, diagonal_k = up, up_k
                    ended, ended_k = scaled_sum(ended, ended_k, m, k)
                    store(floats, at + M * width, of_table, m)
                    store(floats, at + X * width, of_table, x)
                    store(floats, at + Y * width, of_table, y)
                    store_f(integers, at_k + SCALE * width, k)
                    store_first(boundary, below + H * length + t, of_row, h)
                    store_first(boundary, below + V * length + t, of_row, v)
                    first_of(boundary_k, below_k + t, k)
                    at += step
                    at_k += step_k
                if read_shared(pointers.done, s) < t0 + width < steps:  # not when recomputed
                    write_shared(pointers.done, s, t0 + width)
            # What later steps of the next strip read beyond the last column.
            for field in range(edges):
                store_f(boundary, below + field * length + steps, splat_f(zero))
            store_f(boundary_k, below_k + steps, impossible)
            write_shared(pointers.done, s, steps)
            store(pointers.ended, 0, width, ended)
            store_f(pointers.ended_k, 0, ended_k)

        return forward

    @variant.helper
    def backward(
        pair, pointers, s, first_strip, strips, slot, steps, length, total, total_k, total_dot
    ):
        """Backward pass over strip s, from the row in `back` to the same, behind the strip below.

        Writes the posterior, and leaves the gap counts in the strip's lane sums (those of columns,
        with `by_column`, in `counts`, those of `first_strip` first), with the mean similarity. With
        tangents it writes the tangents of all these instead; `total_dot` is that of the log of the
        total.
        """
        floats, integers, columns = pointers.floats, pointers.integers, pointers.columns
        back, back_k, lane = pointers.back, pointers.back_k, pointers.lane
        sums, counts = pointers.sums, pointers.counts
        bottom, first_sum, of_row = (s + 1) * width - 1, s * LANE_SUMS * width, ROW_NUMBERS * length
        opened_at = 2 * (s - first_strip) * length + pad
        extended_at = opened_at + length
        ends, ends_k = load(lane, END * width, of_lane), load_i(pointers.lane_k, END * width)
        open_x, extend_x = column_factors(lane, columns, pad, length)
        open_y, extend_y = row_factors(lane)
        per_total, per_total_k = splat_f(one / total), splat_i(total_k)
        growth, nil, impossible = splat_f(total_dot), splat_f(zero), splat_i(nothing)
        zeros = constant(nil)
        x, y, k, onto, onto_k = zeros, zeros, impossible, zeros, impossible
        diagonal, diagonal_k = zeros, impossible
        opened_x, extended_x = nil, nil
        sum_open_x, sum_extend_x, sum_open_y, sum_extend_y = zeros, zeros, zeros, zeros
        store_f(sums, first_sum + MEAN * width, nil)  # `release` may have fewer lanes
        at, at_k = (slot + steps - 1) * step, (slot + steps - 1) * step_k
        for t0 in range(steps - width, -1, -width):
            if s + 1 < strips:
                await_steps(pointers.done, strips + s + 1, min(steps, steps - t0 + width))
            x = x * load_f(lane, FIX_X * width)
            for t in range(t0 + width - 1, t0 - 1, -1):
                row = pad + t - (width - 1)
                down = from_below(y, back, BACK_Y * length + row, of_row)
                down_k = k_from_below(k, back_k, row)
                next_diagonal = from_below(onto, back, ONTO * length + row, of_row)
                next_diagonal_k = k_from_below(onto_k, back_k, length + row)
                if by_column:
                    open_x, extend_x = column_factors(lane, columns, row + 1, length)
                common_k = vmax(vmax(diagonal_k, k), vmax(down_k, ends_k))
                right, down = x * power(k - common_k), down * power(down_k - common_k)
                diagonal = diagonal * power(diagonal_k - common_k)
                ended = ends * power(ends_k - common_k)
                m, x, y = cell.backward(
                    diagonal, right, down, ended, open_x, extend_x, open_y, extend_y
                )
                here_k = load_i(integers, at_k + SCALE * width)
                share = per_total * capped_power(here_k + common_k - per_total_k)
                here_m, here_x, here_y = states(floats, at, growth)
                here_m, here_x, here_y = here_m * share, here_x * share, here_y * share
                store_f(pointers.square, (t - t0) * width, derivative(here_m * m))
                if by_column:
                    opened, extended = cell.count_columns(here_m, here_x, right, zeros, zeros)
                    opened, extended = open_x * opened, extend_x * extended
                    opened_x = shift_up(opened_x, nil) + derivative(opened)
                    extended_x = shift_up(extended_x, nil) + derivative(extended)
                    last_of(counts, opened_at + t + 1, opened_x)
                    last_of(counts, extended_at + t + 1, extended_x)
                else:
                    sum_open_x, sum_extend_x = cell.count_columns(
                        here_m, here_x, right, sum_open_x, sum_extend_x
                    )
                sum_open_y, sum_extend_y = cell.count_rows(
                    here_m, here_x, here_y, down, sum_open_y, sum_extend_y
                )
                e = exponent(vmax(primal(m), vmax(primal(x), primal(y))))
                rescale = from_exponent(splat_i(inverse) - e)
                k = common_k + e - splat_i(bias)
                x, y = x * rescale, y * rescale
                onto = load(floats, at + WEIGHT * width, of_table) * (m * rescale)
                onto_k = k + load_i(integers, at_k + SHIFT * width)
                diagonal, diagonal_k = next_diagonal, next_diagonal_k
                store_last(back, BACK_Y * length + pad + t, of_row, y)
                store_last(back, ONTO * length + pad + t, of_row, onto)
                last_of(back_k, pad + t, k)
                last_of(back_k, length + pad + t, onto_k)
                at -= step
                at_k -= step_k
            stage(pointers.square, pointers.staged, pair.tile.origin, steps, t0)
            write_shared(pointers.done, strips + s, steps - t0)
        store_f(sums, first_sum + OPENED_X * width, derivative(open_x * sum_open_x))
        store_f(sums, first_sum + EXTENDED_X * width, derivative(extend_x * sum_extend_x))
        store_f(sums, first_sum + OPENED_Y * width, derivative(open_y * sum_open_y))
        store_f(sums, first_sum + EXTENDED_Y * width, derivative(extend_y * sum_extend_y))
        added = release(
            pointers.staged, pair.target, pair.source, pair.tile, steps, bottom, pair.streaming
        )
        store_f(sums, first_sum + MEAN * width, added)

    return forward_pass(False), forward_pass(True), backward

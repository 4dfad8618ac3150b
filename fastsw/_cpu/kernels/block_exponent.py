"""Passes over a strip in which a lane keeps its exponent for a block of steps: the usual range.

This is block floating point. At the start of a block each lane takes as its exponent the largest of
its own states and of all that can reach it within the block: those of the lanes behind it on the
wavefront, and those in the boundary row of the neighbouring strip. Within the block a step is a
handful of sums and products of plain floats; what comes from the neighbouring lane is brought to a
lane's exponent by a constant factor. In the backward pass a lane's exponent is in addition at least
such that the product of a forward and a backward state is at most the total.

Why nothing that matters underflows: theorem 2 of docs/range.md, and there also how the rounding of
gap factors is made up for. `range_check` sees to it that the theorem holds.
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
    LANE_NUMBERS,
    LANE_SUMS,
    MEAN,
    ONTO,
    OPENED_X,
    OPENED_Y,
    ROW_NUMBERS,
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
from fastsw._cpu.simd.dual import derivative, mul_add, numbers, primal
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import arithmetic, scalars
from fastsw._cpu.simd.vectors import fma, vmax
from fastsw._types import GLOBAL

# Rows of `Work.incoming` after the boundary cells and their tangents: factors of what comes from
# the next lane, in the first step of a block and in the others, and what the backward steps of a
# block share; ENDED is a number, whose tangent is in the row after it.
FIRST_ONWARD, ONWARD, ENDED, _, SHARE, PER_TOTAL = range(4, 10)

#: Steps of a block; fewer where a vector has fewer lanes.
BLOCK = 8

#: Exponent of a block's largest incoming state, by precision.
HEAD = {32: 24, 64: 200}


def fixed_steps(width):
    """Steps after which a pass makes up for what rounding a column gap's factor costs."""
    return min(BLOCK, width)


@functools.cache
def windows(bits, lanes, block):
    """Largest of each lane and of the `block` lanes before it, which may lie in another vector."""
    simd = lanes_of(bits, lanes)

    def largest(shift):
        def reach(distance):
            move, variant = shift(distance), Variant(bits, lanes, shift is simd.shift_up, distance)
            if distance == 1:

                @variant.inlined
                def doubled(k, incoming):
                    return vmax(k, move(k, incoming)), vmax(incoming, move(incoming, incoming))

                return doubled
            shorter = reach(distance // 2)

            @variant.inlined
            def longer(k, incoming):
                near, incoming_near = shorter(k, incoming)
                far = move(near, incoming_near)
                return vmax(near, far), vmax(incoming_near, move(incoming_near, incoming_near))

            return longer

        wide, step = reach(block // 2), shift(1)
        variant = Variant(bits, lanes, shift is simd.shift_up)

        @variant.inlined
        def window(k, incoming):
            far, incoming_far = wide(k, incoming)
            return vmax(k, step(far, incoming_far))

        return window

    return largest(simd.shift_down), largest(simd.shift_up)


@functools.cache
def passes(bits, lanes, by_column, with_tangents):
    """Forward and backward pass over one strip; see `cell_exponent.passes`."""
    simd, kind, vectors = lanes_of(bits, lanes), scalars(bits), arithmetic(bits, lanes)
    number, square = numbers(bits, lanes, with_tangents), squares(bits, lanes)
    reader = readers(bits, lanes, by_column, with_tangents)
    variant = Variant(bits, lanes, *form(by_column, with_tangents))
    load, store, constant = number.load, number.store, number.constant
    from_above, from_below = number.from_above, number.from_below
    store_first, store_last = number.store_first, number.store_last
    load_f, load_i, store_f = simd.load_f, simd.load_i, simd.store
    splat_f, splat_i, exponent = simd.splat_f, simd.splat_i, simd.exponent
    neighbour_above, neighbour_below = simd.neighbour_above, simd.neighbour_below
    first_everywhere, last_everywhere = simd.first_everywhere, simd.last_everywhere
    last_of, shift_up = simd.store_last, simd.shift_up(1)
    load_cells, weighed, states = reader.load_cells, number.weighed, reader.states
    column_factors, row_factors = reader.column_factors, reader.row_factors
    stage, release = square.stage, square.release
    power, capped_power, plain_weight = vectors.power, vectors.capped_power, vectors.plain_weight
    zero, one, nothing = kind.real(0), kind.real(1), kind.nothing
    bias, normal = kind.whole(simd.bias), kind.whole(simd.bias + HEAD[bits])
    width, pad, block = lanes, 2 * lanes, min(BLOCK, lanes)
    fill_first, fill_last = simd.fill_first(block), simd.fill_last(block)
    window_above, window_below = windows(bits, lanes, block)
    per_step, edges = fields(with_tangents)
    step = per_step * lanes
    of_table, of_lane = STEP_NUMBERS * width, LANE_NUMBERS * width
    of_incoming = ROW_NUMBERS * width

    @variant.inlined
    def weigh(floats, at, unit, floor, per_temperature):
        """The weight of a similarity."""
        weight = plain_weight(load_f(floats, at), unit, floor)
        return weighed(weight, floats, at, of_table, per_temperature)

    def forward_pass(tables):
        variant = Variant(
            bits, lanes, *form(by_column, with_tangents), "tables" if tables else "scores"
        )

        @variant.helper
        def forward(pair, pointers, s, slot, row_in, row_out, steps, length, scale):
            """See `cell_exponent.passes`."""
            floats, scales, columns = pointers.floats, pointers.integers, pointers.columns
            lane, lane_k, incoming = pointers.lane, pointers.lane_k, pointers.incoming
            boundary, boundary_k = pointers.boundary, pointers.boundary_k
            bottom, of_row = (s + 1) * width - 1, ROW_NUMBERS * length
            zeros = constant(splat_f(zero))
            m, x, h, v, up, k = zeros, zeros, zeros, zeros, zeros, splat_i(nothing)
            above, above_k = row_in * edges * length + pad, row_in * length + pad
            below = row_out * edges * length + pad - (width - 1)
            below_k = row_out * length + pad - (width - 1)
            unit, floor, per_temperature = splat_f(scale[0]), splat_f(scale[1]), splat_f(scale[2])
            store_f(incoming, ONWARD * width, splat_f(zero))
            store(pointers.ended, 0, width, zeros)
            store_f(pointers.ended_k, 0, splat_i(nothing))
            for t0 in range(0, steps, width):
                if s > 0:
                    await_steps(pointers.done, s - 1, min(steps, t0 + 2 * width))
                first_slot = slot + t0 if tables else slot
                load_cells(pair, floats, first_slot, t0, bottom)
                if tables:  # ahead of the steps, whose stores would hold up the weights'
                    at = first_slot * step + WEIGHT * width
                    for _ in range(width):
                        weight = weigh(floats, at, unit, floor, per_temperature)
                        store(floats, at, of_table, weight)
                        at += step
                at, at_k = first_slot * step, first_slot // block * width
                for first in range(t0, t0 + width, block):
                    incoming_k = load_i(boundary_k, above_k + first)
                    incoming_h = load(boundary, above + H * length + first, of_row)
                    incoming_v = load(boundary, above + V * length + first, of_row)
                    # What differs by lane is read anew here and in each step, which takes less time
                    # than moving states out of registers.
                    start, start_k = load_f(lane, START * width), load_i(lane_k, START * width)
                    diagonal = up * load_f(incoming, ONWARD * width)
                    own = k + exponent(vmax(primal(h), primal(diagonal)))
                    own = vmax(own, start_k + splat_i(bias))
                    top = window_above(own, incoming_k + exponent(primal(incoming_h)))
                    old_k, k = k, top - splat_i(normal)
                    change = capped_power(old_k - k)
                    m, x = m * change, x * (change * load_f(lane, FIX_X * width))
                    h, v = h * change, v * change
                    # What a lane takes from the next is in that one's units.
                    store_f(incoming, ONWARD * width, capped_power(neighbour_above(k, k) - k))
                    rescale = capped_power(incoming_k - last_everywhere(k, k))
                    store(incoming, H * width, of_incoming, incoming_h * rescale)
                    store(incoming, V * width, of_incoming, incoming_v * rescale)
                    started = start * capped_power(start_k - k)
                    before = mul_add(diagonal, change, started)
                    store_f(scales, at_k, k)
                    fill_first(boundary_k, below_k + first, k)
                    sum_m = zeros
                    for t in range(first, first + block):
                        if tables:
                            weight = load(floats, at + WEIGHT * width, of_table)
                        else:
                            weight = weigh(
                                floats, at + WEIGHT * width, unit, floor, per_temperature
                            )
                        column = pad + t - (width - 1)
                        open_x, extend_x = column_factors(lane, columns, column, length)
                        open_y, extend_y = row_factors(lane)
                        onward, entry = load_f(incoming, ONWARD * width), t - first
                        up = from_above(h, incoming, H * width + entry, of_incoming)
                        y = from_above(v, incoming, V * width + entry, of_incoming) * onward
                        m, x = cell.enter(weight, before, m, x, open_x, extend_x)
                        h, v = cell.leave(m, x, y, open_y, extend_y)
                        before, sum_m = mul_add(up, onward, started), sum_m + m
                        if tables:
                            store(floats, at + M * width, of_table, m)
                            store(floats, at + X * width, of_table, x)
                            store(floats, at + Y * width, of_table, y)
                        store_first(boundary, below + H * length + t, of_row, h)
                        store_first(boundary, below + V * length + t, of_row, v)
                        at += step
                    ended_k = load_i(pointers.ended_k, 0)
                    top = vmax(ended_k, k)
                    ended = load(pointers.ended, 0, width)
                    ended = mul_add(ended, power(ended_k - top), sum_m * power(k - top))
                    store(pointers.ended, 0, width, ended)
                    store_f(pointers.ended_k, 0, top)
                    if pair.mode == GLOBAL:  # alignments start before the first column only
                        store_f(lane_k, START * width, splat_i(nothing))
                    at_k += width
                if read_shared(pointers.done, s) < t0 + width < steps:  # not when recomputed
                    write_shared(pointers.done, s, t0 + width)
            # What later steps of the next strip read beyond the last column.
            for field in range(edges):
                store_f(boundary, below + field * length + steps, splat_f(zero))
            store_f(boundary_k, below_k + steps, splat_i(nothing))
            write_shared(pointers.done, s, steps)

        return forward

    @variant.inlined
    def add(sums, at, share, amount):
        """Add a product to sums that are kept in memory."""
        store_f(sums, at, fma(share, derivative(amount), load_f(sums, at)))

    @variant.helper
    def backward(
        pair, pointers, s, first_strip, strips, slot, steps, length, total, total_k, total_dot
    ):
        """See `cell_exponent.passes`."""
        floats, scales, columns = pointers.floats, pointers.integers, pointers.columns
        lane, lane_k, incoming = pointers.lane, pointers.lane_k, pointers.incoming
        back, back_k, sums, counts = pointers.back, pointers.back_k, pointers.sums, pointers.counts
        bottom, first_sum, of_row = (s + 1) * width - 1, s * LANE_SUMS * width, ROW_NUMBERS * length
        opened_at = 2 * (s - first_strip) * length + pad
        extended_at = opened_at + length
        growth, nil = splat_f(total_dot), splat_f(zero)
        store_f(incoming, PER_TOTAL * width, splat_f(one / total))
        zeros = constant(nil)
        x, y, onto, diagonal, k = zeros, zeros, zeros, zeros, splat_i(nothing)
        opened_x, extended_x = nil, nil
        for field in range(LANE_SUMS):
            store_f(sums, first_sum + field * width, nil)
        at, at_k = (slot + steps - 1) * step, (slot + steps - block) // block * width
        for t0 in range(steps - width, -1, -width):
            if s + 1 < strips:
                await_steps(pointers.done, strips + s + 1, min(steps, steps - t0 + width))
            for first in range(t0 + width - block, t0 - 1, -block):
                # The last lanes of what is read: the columns that lane 0 is about to visit.
                incoming_at = pad + first + block - 1 - 2 * (width - 1)
                incoming_k = load_i(back_k, incoming_at)
                incoming_y = load(back, BACK_Y * length + incoming_at, of_row)
                incoming_onto = load(back, ONTO * length + incoming_at, of_row)
                # What differs by lane is read anew here and in each step; see `forward`.
                ends, ends_k = load(lane, END * width, of_lane), load_i(lane_k, END * width)
                per_total, per_total_k = load_f(incoming, PER_TOTAL * width), splat_i(total_k)
                own = vmax(vmax(primal(x), primal(y)), vmax(primal(onto), primal(diagonal)))
                own = vmax(k + exponent(own), ends_k + splat_i(bias))
                top = vmax(primal(incoming_y), primal(incoming_onto))
                top = window_below(own, incoming_k + exponent(top))
                here_k = load_i(scales, at_k)
                old_k, k = k, vmax(top - splat_i(normal), per_total_k - here_k)
                change = capped_power(old_k - k)
                x, diagonal = x * (change * load_f(lane, FIX_X * width)), diagonal * change
                # What a lane takes from the next is in that one's units, first the old ones: the
                # new ones may hold nothing of it, where the lane has left the grid.
                onward = capped_power(neighbour_below(old_k, k) - k)
                store_f(incoming, FIRST_ONWARD * width, onward)
                store_f(incoming, ONWARD * width, capped_power(neighbour_below(k, k) - k))
                rescale = capped_power(incoming_k - first_everywhere(k, k))
                store(incoming, BACK_Y * width, of_incoming, incoming_y * rescale)
                store(incoming, ONTO * width, of_incoming, incoming_onto * rescale)
                store(incoming, ENDED * width, width, ends * capped_power(ends_k - k))
                store_f(incoming, SHARE * width, per_total * capped_power(here_k + k - per_total_k))
                onward_at = FIRST_ONWARD * width
                fill_last(back_k, pad + first, k)
                sum_open_x, sum_extend_x, sum_open_y, sum_extend_y = zeros, zeros, zeros, zeros
                for t in range(first + block - 1, first - 1, -1):
                    entry = width - block + t - first
                    onward = load_f(incoming, onward_at)
                    onward_at = ONWARD * width
                    ended = load(incoming, ENDED * width, width)
                    column = pad + t + 1 - (width - 1)
                    open_x, extend_x = column_factors(lane, columns, column, length)
                    open_y, extend_y = row_factors(lane)
                    down = from_below(y, incoming, BACK_Y * width + entry, of_incoming) * onward
                    next_diagonal = from_below(onto, incoming, ONTO * width + entry, of_incoming)
                    next_diagonal = next_diagonal * onward
                    weight = load(floats, at + WEIGHT * width, of_table)
                    here_m, here_x, here_y = states(floats, at, growth)
                    right = x
                    m, x, y = cell.backward(
                        diagonal, right, down, ended, open_x, extend_x, open_y, extend_y
                    )
                    share = load_f(incoming, SHARE * width)
                    if by_column:
                        opened, extended = cell.count_columns(here_m, here_x, right, zeros, zeros)
                        opened, extended = open_x * opened, extend_x * extended
                        opened_x, extended_x = (
                            fma(share, derivative(opened), shift_up(opened_x, nil)),
                            fma(share, derivative(extended), shift_up(extended_x, nil)),
                        )
                        last_of(counts, opened_at + t + 1, opened_x)
                        last_of(counts, extended_at + t + 1, extended_x)
                    else:
                        sum_open_x, sum_extend_x = cell.count_columns(
                            here_m, here_x, right, sum_open_x, sum_extend_x
                        )
                    sum_open_y, sum_extend_y = cell.count_rows(
                        here_m, here_x, here_y, down, sum_open_y, sum_extend_y
                    )
                    store_f(pointers.square, (t - t0) * width, derivative(here_m * m) * share)
                    onto, diagonal = weight * m, next_diagonal
                    store_last(back, BACK_Y * length + pad + t, of_row, y)
                    store_last(back, ONTO * length + pad + t, of_row, onto)
                    at -= step
                share = load_f(incoming, SHARE * width)
                open_y, extend_y = row_factors(lane)
                if not by_column:
                    open_x, extend_x = column_factors(lane, columns, pad, length)
                    add(sums, first_sum + OPENED_X * width, share, open_x * sum_open_x)
                    add(sums, first_sum + EXTENDED_X * width, share, extend_x * sum_extend_x)
                add(sums, first_sum + OPENED_Y * width, share, open_y * sum_open_y)
                add(sums, first_sum + EXTENDED_Y * width, share, extend_y * sum_extend_y)
                at_k -= width
            stage(pointers.square, pointers.staged, pair.tile.origin, steps, t0)
            write_shared(pointers.done, strips + s, steps - t0)
        added = release(
            pointers.staged, pair.target, pair.source, pair.tile, steps, bottom, pair.streaming
        )
        store_f(sums, first_sum + MEAN * width, added)

    return forward_pass(False), forward_pass(True), backward

"""Walks over a strip in which a lane keeps its exponent for a group of steps: the usual range.

At the start of a group each lane takes as its exponent the largest of its own states and of all
that can reach it within the group: those of the lanes behind it on the front, and those carried
over from the neighbouring strip. Within the group a step is a handful of sums and products of plain
floats; what comes from the neighbouring lane is brought to a lane's exponent by a constant factor.

Let G be the steps of a group and, in bits (log2(e) / T per unit of score), r the largest similarity
or 0, o and e the largest penalties. Forwards, within a group:

- A state grows by at most 2**((G / 2 + 1) * r) from matches, which take two steps each, times 3
  per step from sums. States start a group at most at 2**HEAD.
- A state is lost once it is below 2**-126 (float32). The exponent came from a mass at most G rows
  above and G columns to the right, or in the lane itself. By gaps alone this mass can follow the
  alignments of the lost state, from where they have caught up with its column: it misses at most G
  matches and pays at most two opened gaps and 2 * G extended ones more, besides what changing
  between the states costs, which `routing` calls the spread.
- The factor between two lanes' units may have to be larger than the largest that is used, 2**100
  (2**950). Then a mass that much larger is near, and what is multiplied is lost likewise.

Backwards the same holds, and a lane's exponent is in addition at least such that the product of a
forward and a backward state is at most the total: so no product overflows, and a state that is lost
for this reason carries less than 2**(HEAD + growth - 126) of the total.

`routing` admits what these bounds prove to lose less than 2**-46 of the total.

The factor of an extended gap is rounded, which long gaps would add up. Factors that differ from row
to row or column to column are rounded to make up for one another; where all columns have the same,
what is in a gap at the start of a group is multiplied by what the steps of a group fall short by.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace

from fastsw._cpu.kernels.strip import (
    BACK_Y,
    BACK_Y_DOT,
    DOT,
    END,
    EXTEND,
    EXTEND_DOT,
    EXTEND_X,
    EXTEND_Y,
    FIX_X,
    H_DOT,
    LANE_SUMS,
    M_DOT,
    MEAN,
    ONTO,
    ONTO_DOT,
    OPEN,
    OPEN_DOT,
    OPEN_X,
    OPEN_Y,
    PAID_EXTEND_X,
    PAID_EXTEND_Y,
    PAID_OPEN_X,
    PAID_OPEN_Y,
    SLOPE,
    START,
    V_DOT,
    WEIGHT,
    X_DOT,
    Y_DOT,
    H,
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
from fastsw._cpu.simd.scaled import arithmetic, scalars
from fastsw._cpu.simd.vectors import fma, lanes_of, put, vmax, where_greater
from fastsw._types import FITTING, GLOBAL

# Rows of scratch after the entering cells: factors of what comes from the next lane, in the first
# step of a group and in the others, and what the backward steps of a group share.
FIRST_ONWARD, ONWARD, ENDED, ENDED_DOT, SHARE, PER_TOTAL = range(4, 10)

#: Steps of a group; fewer where a vector has fewer lanes.
BLOCK = 8

#: Exponent of a group's largest incoming state, by precision.
HEAD = {32: 24, 64: 200}


def fixed_steps(width):
    """Steps after which a walk makes up for what rounding a column gap's factor costs."""
    return min(BLOCK, width)


@functools.cache
def windows(bits, lanes, group):
    """Largest of each lane and of the `group` lanes before it, which may lie in another vector."""
    simd = lanes_of(bits, lanes)

    def largest(shift):
        def reach(distance):
            move, variant = shift(distance), Variant(bits, lanes, shift is simd.shift_up, distance)
            if distance == 1:

                @variant.inlined
                def doubled(k, entering):
                    return vmax(k, move(k, entering)), vmax(entering, move(entering, entering))

                return doubled
            shorter = reach(distance // 2)

            @variant.inlined
            def longer(k, entering):
                near, entering_near = shorter(k, entering)
                far = move(near, entering_near)
                return vmax(near, far), vmax(entering_near, move(entering_near, entering_near))

            return longer

        wide, step = reach(group // 2), shift(1)
        variant = Variant(bits, lanes, shift is simd.shift_up)

        @variant.inlined
        def window(k, entering):
            far, entering_far = wide(k, entering)
            return vmax(k, step(far, entering_far))

        return window

    return SimpleNamespace(above=largest(simd.shift_down), below=largest(simd.shift_up))


@functools.cache
def passes(bits, lanes, by_column, with_tangents):
    """Forward and backward walk of one strip; see `cell_exponent.passes`."""
    simd, kind, vectors = lanes_of(bits, lanes), scalars(bits), arithmetic(bits, lanes)
    variant = Variant(bits, lanes, *form(by_column, with_tangents))
    width, pad, group = lanes, 2 * lanes, min(BLOCK, lanes)
    load_f, load_i, store = simd.load_f, simd.load_i, simd.store
    splat_f, splat_i, exponent = simd.splat_f, simd.splat_i, simd.exponent
    from_above, from_below = simd.from_above, simd.from_below
    neighbour_above, neighbour_below = simd.neighbour_above, simd.neighbour_below
    first_everywhere, last_everywhere = simd.first_everywhere, simd.last_everywhere
    store_first, store_last = simd.store_first, simd.store_last
    fill_first, fill_last = simd.fill_first(group), simd.fill_last(group)
    shift_up = simd.shift_up(1)
    load_square = squares(bits, lanes).load_square
    stage, release = squares(bits, lanes).stage, squares(bits, lanes).release
    window_above, window_below = (
        windows(bits, lanes, group).above,
        windows(bits, lanes, group).below,
    )
    capped_power, scaled_sum, plain_weight = (
        vectors.capped_power,
        vectors.scaled_sum,
        vectors.plain_weight,
    )
    zero, one, nothing = kind.real(0), kind.real(1), kind.nothing
    bias, normal = kind.whole(simd.bias), kind.whole(simd.bias + HEAD[bits])
    per_step, carried = fields(with_tangents)
    float_step, size = per_step * lanes, bits // 8

    @variant.helper
    def load(pair, floats, slot, t0, bottom):
        """Similarities of the steps t0 .. t0 + W - 1, into the tables from `slot` on."""
        at = slot * float_step
        weights = floats + (at + WEIGHT * width) * size
        load_square(pair.source, pair.tile, weights, float_step, t0, bottom)
        if with_tangents:
            slopes = floats + (at + SLOPE * width) * size
            load_square(pair.direction, pair.tile, slopes, float_step, t0, bottom)
        if pair.tile.origin == 1 and bottom == width - 1:
            # Row 0 lies in the last lane: M may start there, at every column or at the first.
            for u in range(width):
                if t0 + u == 0 or pair.mode == FITTING:
                    put(floats, at + u * float_step + WEIGHT * width + width - 1, zero)
                    if with_tangents:
                        put(floats, at + u * float_step + SLOPE * width + width - 1, zero)

    def forward_walk(tables):
        variant = Variant(
            bits, lanes, *form(by_column, with_tangents), "tables" if tables else "scores"
        )

        @variant.helper
        def forward(pair, pointers, s, slot, row_in, row_out, steps, length, scale):
            """See `cell_exponent.passes`."""
            floats, scales, lane, lane_k = (
                pointers.floats,
                pointers.integers,
                pointers.lane,
                pointers.lane_k,
            )
            boundary, boundary_k, columns, entering = (
                pointers.boundary,
                pointers.boundary_k,
                pointers.columns,
                pointers.entering,
            )
            bottom = (s + 1) * width - 1
            all_ended, all_ended_k = pointers.ended, pointers.ended_k
            open_x_dot = load_f(lane, (DOT + OPEN_X) * width)
            extend_x_dot = load_f(lane, (DOT + EXTEND_X) * width)
            open_y_dot = load_f(lane, (DOT + OPEN_Y) * width)
            extend_y_dot = load_f(lane, (DOT + EXTEND_Y) * width)
            zeros = splat_f(zero)
            m, x, h, v, up, k = zeros, zeros, zeros, zeros, zeros, splat_i(nothing)
            m_dot, x_dot, h_dot, v_dot, diagonal_dot = zeros, zeros, zeros, zeros, zeros
            above, above_k = row_in * carried * length + pad, row_in * length + pad
            below = row_out * carried * length + pad - (width - 1)
            below_k = row_out * length + pad - (width - 1)
            unit, floor, per_temperature = splat_f(scale[0]), splat_f(scale[1]), splat_f(scale[2])
            store(entering, ONWARD * width, zeros)
            store(all_ended, 0, zeros)
            store(all_ended, width, zeros)
            store(all_ended_k, 0, splat_i(nothing))
            for t0 in range(0, steps, width):
                if s > 0:
                    await_steps(pointers.done, s - 1, min(steps, t0 + 2 * width))
                block = slot + t0 if tables else slot
                load(pair, floats, block, t0, bottom)
                if tables:  # ahead of the steps, whose stores would hold up the weights'
                    at = block * float_step
                    for _ in range(width):
                        w = plain_weight(load_f(floats, at + WEIGHT * width), unit, floor)
                        store(floats, at + WEIGHT * width, w)
                        at += float_step
                at, at_k = block * float_step, block // group * width
                for first in range(t0, t0 + width, group):
                    incoming_k = load_i(boundary_k, above_k + first)
                    incoming_h = load_f(boundary, above + H * length + first)
                    # What differs by lane is read anew here and in each step, which takes less time
                    # than moving states out of registers.
                    start, start_k = load_f(lane, START * width), load_i(lane_k, START * width)
                    fix_x = load_f(lane, FIX_X * width)
                    diagonal = up * load_f(entering, ONWARD * width)
                    own = vmax(k + exponent(vmax(h, diagonal)), start_k + splat_i(bias))
                    old_k, k = (
                        k,
                        window_above(own, incoming_k + exponent(incoming_h)) - splat_i(normal),
                    )
                    change = capped_power(old_k - k)
                    m, x = m * change, x * (change * fix_x)
                    h, v = h * change, v * change
                    # What a lane takes from the next is in that one's units.
                    step_up = capped_power(neighbour_above(k, k) - k)
                    store(entering, ONWARD * width, step_up)
                    rescale = capped_power(incoming_k - last_everywhere(k, k))
                    store(entering, H * width, incoming_h * rescale)
                    store(
                        entering, V * width, load_f(boundary, above + V * length + first) * rescale
                    )
                    if with_tangents:
                        m_dot, x_dot = m_dot * change, x_dot * (change * fix_x)
                        h_dot, v_dot = h_dot * change, v_dot * change
                        diagonal_dot = diagonal_dot * change
                        for field in range(H_DOT, V_DOT + 1):
                            incoming_at = load_f(boundary, above + field * length + first)
                            store(entering, field * width, incoming_at * rescale)
                    started = start * capped_power(start_k - k)
                    before = fma(diagonal, change, started)
                    store(scales, at_k, k)
                    fill_first(boundary_k, below_k + first, k)
                    sum_m, sum_m_dot = zeros, zeros
                    for u in range(group):
                        t = first + u
                        w = load_f(floats, at + WEIGHT * width)
                        if not tables:
                            w = plain_weight(w, unit, floor)
                        open_y, extend_y = (
                            load_f(lane, OPEN_Y * width),
                            load_f(lane, EXTEND_Y * width),
                        )
                        open_x, extend_x = (
                            load_f(lane, OPEN_X * width),
                            load_f(lane, EXTEND_X * width),
                        )
                        step_up = load_f(entering, ONWARD * width)
                        up = from_above(h, entering, H * width + u)
                        y = from_above(v, entering, V * width + u) * step_up
                        if by_column:
                            base = pad + t - (width - 1)
                            into_x = open_x
                            open_x = into_x * load_f(columns, OPEN * length + base)
                            extend_x = load_f(columns, EXTEND * length + base)
                        old_m, old_x = m, x
                        m, before = w * before, fma(up, step_up, started)
                        x = fma(extend_x, old_x, open_x * old_m)
                        outer = m + x
                        h, v = outer + y, fma(extend_y, y, open_y * outer)
                        sum_m = sum_m + m
                        if with_tangents:
                            up_h_dot = from_above(h_dot, entering, H_DOT * width + u) * step_up
                            y_dot = from_above(v_dot, entering, V_DOT * width + u) * step_up
                            if by_column:
                                open_x_dot = into_x * load_f(columns, OPEN_DOT * length + base)
                                extend_x_dot = load_f(columns, EXTEND_DOT * length + base)
                            into_x_dot = fma(extend_x_dot, old_x, open_x_dot * old_m)
                            x_dot = fma(extend_x, x_dot, fma(open_x, m_dot, into_x_dot))
                            slope = per_temperature * load_f(floats, at + SLOPE * width)
                            slope = where_greater(w, zeros, slope, zeros)
                            m_dot = fma(m, slope, w * diagonal_dot)
                            outer_dot = m_dot + x_dot
                            h_dot = outer_dot + y_dot
                            v_dot = fma(extend_y_dot, y, open_y_dot * outer)
                            v_dot = fma(extend_y, y_dot, fma(open_y, outer_dot, v_dot))
                            diagonal_dot = up_h_dot
                            sum_m_dot = sum_m_dot + m_dot
                            if tables:
                                store(floats, at + SLOPE * width, slope)
                                store(floats, at + M_DOT * width, m_dot)
                                store(floats, at + X_DOT * width, x_dot)
                                store(floats, at + Y_DOT * width, y_dot)
                            store_first(boundary, below + H_DOT * length + t, h_dot)
                            store_first(boundary, below + V_DOT * length + t, v_dot)
                        if tables:
                            store(floats, at + M * width, m)
                            store(floats, at + X * width, x)
                            store(floats, at + Y * width, y)
                        store_first(boundary, below + H * length + t, h)
                        store_first(boundary, below + V * length + t, v)
                        at += float_step
                    ended_k = load_i(all_ended_k, 0)
                    if with_tangents:
                        ended_dot = load_f(all_ended, width)
                        ended_dot, _ = scaled_sum(ended_dot, ended_k, sum_m_dot, k)
                        store(all_ended, width, ended_dot)
                    ended, ended_k = scaled_sum(load_f(all_ended, 0), ended_k, sum_m, k)
                    store(all_ended, 0, ended)
                    store(all_ended_k, 0, ended_k)
                    if pair.mode == GLOBAL:  # alignments start before the first column only
                        store(lane_k, START * width, splat_i(nothing))
                    at_k += width
                if read_shared(pointers.done, s) < t0 + width < steps:  # not when walked again
                    write_shared(pointers.done, s, t0 + width)
            # What later steps of the next strip read beyond the last column.
            for field in range(carried):
                store(boundary, below + field * length + steps, zeros)
            store(boundary_k, below_k + steps, splat_i(nothing))
            write_shared(pointers.done, s, steps)

        return forward

    @variant.inlined
    def add(sums, at, share, amount):
        """Add a product to sums that are kept in memory."""
        store(sums, at, fma(share, amount, load_f(sums, at)))

    @variant.helper
    def backward(pair, pointers, s, strips, slot, steps, length, total, total_k, total_dot):
        """See `cell_exponent.passes`."""
        floats, scales, lane, lane_k = (
            pointers.floats,
            pointers.integers,
            pointers.lane,
            pointers.lane_k,
        )
        back, back_k, columns, square = (
            pointers.back,
            pointers.back_k,
            pointers.columns,
            pointers.square,
        )
        sums, paid, entering = pointers.sums, pointers.paid, pointers.entering
        bottom, first_sum = (s + 1) * width - 1, s * LANE_SUMS * width
        staged = pointers.staged
        paid_opened, paid_extended = 2 * s * length + pad, (2 * s + 1) * length + pad
        open_x_dot = load_f(lane, (DOT + OPEN_X) * width)
        extend_x_dot = load_f(lane, (DOT + EXTEND_X) * width)
        open_y_dot = load_f(lane, (DOT + OPEN_Y) * width)
        extend_y_dot = load_f(lane, (DOT + EXTEND_Y) * width)
        growth = splat_f(total_dot)
        store(entering, PER_TOTAL * width, splat_f(one / total))
        zeros = splat_f(zero)
        x, y, onto, diagonal, k = zeros, zeros, zeros, zeros, splat_i(nothing)
        x_dot, y_dot, onto_dot, diagonal_dot = zeros, zeros, zeros, zeros
        paid_open_x, paid_extend_x = zeros, zeros
        for field in range(LANE_SUMS):
            store(sums, first_sum + field * width, zeros)
        at, at_k = (slot + steps - 1) * float_step, (slot + steps - group) // group * width
        for t0 in range(steps - width, -1, -width):
            if s + 1 < strips:
                await_steps(pointers.done, strips + s + 1, min(steps, steps - t0 + width))
            for first in range(t0 + width - group, t0 - 1, -group):
                # The last lanes of what is read: the columns that lane 0 is about to visit.
                incoming_at = pad + first + group - 1 - 2 * (width - 1)
                incoming_k = load_i(back_k, incoming_at)
                incoming_y, incoming_onto = (
                    load_f(back, BACK_Y * length + incoming_at),
                    load_f(back, ONTO * length + incoming_at),
                )
                # What differs by lane is read anew here and in each step; see `forward`.
                ends, ends_k = load_f(lane, END * width), load_i(lane_k, END * width)
                fix_x = load_f(lane, FIX_X * width)
                per_total, per_total_k = load_f(entering, PER_TOTAL * width), splat_i(total_k)
                own = k + exponent(vmax(vmax(x, y), vmax(onto, diagonal)))
                own = vmax(own, ends_k + splat_i(bias))
                top = window_below(own, incoming_k + exponent(vmax(incoming_y, incoming_onto)))
                here_k = load_i(scales, at_k)
                old_k, k = k, vmax(top - splat_i(normal), per_total_k - here_k)
                change = capped_power(old_k - k)
                x, diagonal = x * (change * fix_x), diagonal * change
                # What a lane takes from the next is in that one's units, first the old ones: the
                # new ones may hold nothing of it, where the lane has left the grid.
                step_down = capped_power(neighbour_below(old_k, k) - k)
                store(entering, FIRST_ONWARD * width, step_down)
                step_down = capped_power(neighbour_below(k, k) - k)
                store(entering, ONWARD * width, step_down)
                rescale = capped_power(incoming_k - first_everywhere(k, k))
                store(entering, BACK_Y * width, incoming_y * rescale)
                store(entering, ONTO * width, incoming_onto * rescale)
                if with_tangents:
                    x_dot, diagonal_dot = x_dot * (change * fix_x), diagonal_dot * change
                    for field in range(BACK_Y_DOT, ONTO_DOT + 1):
                        rescaled_in = load_f(back, field * length + incoming_at) * rescale
                        store(entering, field * width, rescaled_in)
                ending = capped_power(ends_k - k)
                store(entering, ENDED * width, ends * ending)
                if with_tangents:
                    ends_dot = load_f(lane, (DOT + END) * width)
                    store(entering, ENDED_DOT * width, ends_dot * ending)
                store(entering, SHARE * width, per_total * capped_power(here_k + k - per_total_k))
                step_at = FIRST_ONWARD * width
                fill_last(back_k, pad + first, k)
                of_open_x, of_extend_x, of_open_y, of_extend_y = zeros, zeros, zeros, zeros
                dot_open_x, dot_extend_x, dot_open_y, dot_extend_y = zeros, zeros, zeros, zeros
                for u in range(group - 1, -1, -1):
                    t = first + u
                    entry = width - group + u
                    step_down = load_f(entering, step_at)
                    step_at = ONWARD * width
                    ended = load_f(entering, ENDED * width)
                    open_y, extend_y = load_f(lane, OPEN_Y * width), load_f(lane, EXTEND_Y * width)
                    share, open_x = load_f(entering, SHARE * width), load_f(lane, OPEN_X * width)
                    extend_x = load_f(lane, EXTEND_X * width)
                    down = from_below(y, entering, BACK_Y * width + entry) * step_down
                    next_diagonal = from_below(onto, entering, ONTO * width + entry) * step_down
                    if by_column:
                        base = pad + t + 1 - (width - 1)
                        into_x = open_x
                        open_x = into_x * load_f(columns, OPEN * length + base)
                        extend_x = load_f(columns, EXTEND * length + base)
                        paid_open_x = shift_up(paid_open_x, zeros)
                        paid_extend_x = shift_up(paid_extend_x, zeros)
                    w = load_f(floats, at + WEIGHT * width)
                    here_m, here_x = load_f(floats, at + M * width), load_f(floats, at + X * width)
                    here_y, here_outer = load_f(floats, at + Y * width), here_m + here_x
                    onward = fma(open_y, down, diagonal)
                    new_m = fma(open_x, x, onward + ended)
                    posterior = here_m * new_m
                    if with_tangents:
                        down_dot = from_below(y_dot, entering, BACK_Y_DOT * width + entry)
                        down_dot = down_dot * step_down
                        next_dot = from_below(onto_dot, entering, ONTO_DOT * width + entry)
                        next_dot = next_dot * step_down
                        if by_column:
                            open_x_dot = into_x * load_f(columns, OPEN_DOT * length + base)
                            extend_x_dot = load_f(columns, EXTEND_DOT * length + base)
                        ended_dot = load_f(entering, ENDED_DOT * width)
                        onward_dot = fma(open_y, down_dot, fma(open_y_dot, down, diagonal_dot))
                        new_m_dot = fma(open_x, x_dot, fma(open_x_dot, x, onward_dot + ended_dot))
                        here_m_dot = load_f(floats, at + M_DOT * width)
                        here_x_dot = load_f(floats, at + X_DOT * width)
                        here_y_dot = load_f(floats, at + Y_DOT * width)
                        # Tangents of the shares, that of the total taken off.
                        here_m_dot = here_m_dot - growth * here_m
                        here_x_dot = here_x_dot - growth * here_x
                        here_y_dot = here_y_dot - growth * here_y
                        posterior = fma(here_m, new_m_dot, here_m_dot * new_m)
                        moved_m = fma(here_m, x_dot, here_m_dot * x)
                        moved_x = fma(here_x, x_dot, here_x_dot * x)
                        here_outer_dot = here_m_dot + here_x_dot
                        dot_open_y = fma(
                            here_outer_dot, down, fma(here_outer, down_dot, dot_open_y)
                        )
                        dot_extend_y = fma(here_y_dot, down, fma(here_y, down_dot, dot_extend_y))
                        if by_column:
                            part = fma(open_x, moved_m, open_x_dot * (here_m * x))
                            paid_open_x = fma(share, part, paid_open_x)
                            part = fma(extend_x, moved_x, extend_x_dot * (here_x * x))
                            paid_extend_x = fma(share, part, paid_extend_x)
                        else:
                            dot_open_x, dot_extend_x = dot_open_x + moved_m, dot_extend_x + moved_x
                    elif by_column:
                        paid_open_x = fma(share, open_x * (here_m * x), paid_open_x)
                        paid_extend_x = fma(share, extend_x * (here_x * x), paid_extend_x)
                    if with_tangents or not by_column:
                        of_open_x = fma(here_m, x, of_open_x)
                        of_extend_x = fma(here_x, x, of_extend_x)
                    of_open_y = fma(here_outer, down, of_open_y)
                    of_extend_y = fma(here_y, down, of_extend_y)
                    store(square, (t - t0) * width, posterior * share)
                    if by_column:
                        store_last(paid, paid_opened + t + 1, paid_open_x)
                        store_last(paid, paid_extended + t + 1, paid_extend_x)
                    onto = w * new_m
                    if with_tangents:
                        slope = load_f(floats, at + SLOPE * width)
                        onto_dot = fma(onto, slope, w * new_m_dot)
                        x_dot = fma(extend_x, x_dot, fma(extend_x_dot, x, onward_dot))
                        y_dot = fma(extend_y, down_dot, fma(extend_y_dot, down, diagonal_dot))
                        diagonal_dot = next_dot
                        store_last(back, BACK_Y_DOT * length + pad + t, y_dot)
                        store_last(back, ONTO_DOT * length + pad + t, onto_dot)
                    x, y = fma(extend_x, x, onward), fma(extend_y, down, diagonal)
                    diagonal = next_diagonal
                    store_last(back, BACK_Y * length + pad + t, y)
                    store_last(back, ONTO * length + pad + t, onto)
                    at -= float_step
                share = load_f(entering, SHARE * width)
                open_y, extend_y = load_f(lane, OPEN_Y * width), load_f(lane, EXTEND_Y * width)
                open_x, extend_x = load_f(lane, OPEN_X * width), load_f(lane, EXTEND_X * width)
                if with_tangents:
                    of_open_y = fma(open_y, dot_open_y, open_y_dot * of_open_y)
                    of_extend_y = fma(extend_y, dot_extend_y, extend_y_dot * of_extend_y)
                else:
                    of_open_y, of_extend_y = open_y * of_open_y, extend_y * of_extend_y
                if not by_column:
                    if with_tangents:
                        of_open_x = fma(open_x, dot_open_x, open_x_dot * of_open_x)
                        of_extend_x = fma(extend_x, dot_extend_x, extend_x_dot * of_extend_x)
                    else:
                        of_open_x, of_extend_x = open_x * of_open_x, extend_x * of_extend_x
                    add(sums, first_sum + PAID_OPEN_X * width, share, of_open_x)
                    add(sums, first_sum + PAID_EXTEND_X * width, share, of_extend_x)
                add(sums, first_sum + PAID_OPEN_Y * width, share, of_open_y)
                add(sums, first_sum + PAID_EXTEND_Y * width, share, of_extend_y)
                at_k -= width
            stage(square, staged, pair.tile.origin, steps, t0)
            write_shared(pointers.done, strips + s, steps - t0)
        added = release(staged, pair.target, pair.source, pair.tile, steps, bottom, pair.streaming)
        store(sums, first_sum + MEAN * width, added)

    return forward_walk(False), forward_walk(True), backward

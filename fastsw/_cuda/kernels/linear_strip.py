"""Forward and backward pass in linear space, through a block and along a strip; see `linear`."""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import (
    LANES,
    bits_of_float,
    device,
    fetch_add,
    float_of_bits,
    fma_double,
    fma_float,
    from_above,
    from_below,
    from_lane,
    increment_release,
    larger,
    larger_or_nan,
    store_four,
    store_release,
)
from fastsw._cuda.kernels.cell import linear_cell
from fastsw._cuda.kernels.linear_memory import (
    CHUNK,
    HEIGHT,
    MARKS,
    RECORD,
    SPACING,
    SUMS,
    blocks_of,
    clipped,
    entry,
    entry_place,
    read_record,
    row_place,
    similarities,
    write_record,
    write_row,
)
from fastsw._cuda.kernels.linear_numbers import (
    HEADROOM,
    ONE,
    ROWS,
    ZERO,
    exponent_of,
    from_above_four,
    from_below_four,
    power,
    power_double,
    scaled_four,
    small,
    sum_of_four,
    top_of_four,
    top_or_nan,
    undrifted,
    undrifted_four,
    weights_of,
)
from fastsw._cuda.kernels.penalties import (
    LN2,
)
from fastsw._cuda.kernels.records import (
    ANSWERED,
    LINEAR_FINISHED,
    LINEAR_LEFT,
    UNANSWERED,
)
from fastsw._cuda.kernels.strip import (
    lane_sum,
    publish,
    wait,
)
from fastsw._types import (
    SCORE,
)

#: Bits of the best similarity of a pair, at least.
FAINTEST = -16.0


class Block(NamedTuple):
    """Functions of a block of cells."""

    forward: Any
    backward: Any


@functools.cache
def block() -> Block:
    """Give the functions of a block: `ROWS` rows, `COLUMNS` columns."""
    enter, across, leave, after_rows, after_columns = linear_cell()

    @device
    def forward_row(weights, x, corner, start, skipped, above, costs):
        """States of a row's cells, and what it hands to the right and down.

        ``x`` is X of the first cell, ``corner`` h of the cell before it in the row above,
        ``skipped`` Y of the row's cells, and ``above`` h of the row above.
        """
        open_x, extend_x, open_y, extend_y = costs
        m_0 = enter(weights[0], start, corner)
        x_1 = across(m_0, x, open_x, extend_x)
        h_0, y_0 = leave(m_0, x, skipped[0], open_y, extend_y)
        m_1 = enter(weights[1], start, above[0])
        x_2 = across(m_1, x_1, open_x, extend_x)
        h_1, y_1 = leave(m_1, x_1, skipped[1], open_y, extend_y)
        m_2 = enter(weights[2], start, above[1])
        x_3 = across(m_2, x_2, open_x, extend_x)
        h_2, y_2 = leave(m_2, x_2, skipped[2], open_y, extend_y)
        m_3 = enter(weights[3], start, above[2])
        x_4 = across(m_3, x_3, open_x, extend_x)
        h_3, y_3 = leave(m_3, x_3, skipped[3], open_y, extend_y)
        states = (m_0, m_1, m_2, m_3), (x, x_1, x_2, x_3), skipped
        return states, x_4, (y_0, y_1, y_2, y_3), (h_0, h_1, h_2, h_3)

    @device
    def forward(weights, xs, corners, start, skipped, above, costs):
        """States of a block's cells by row, X to the right of each row, and Y and h below."""
        first, x_0, skipped, inner = forward_row(
            weights[0], xs[0], corners[0], start, skipped, above, costs
        )
        second, x_1, skipped, outer = forward_row(
            weights[1], xs[1], corners[1], start, skipped, inner, costs
        )
        return (first, second), (x_0, x_1), inner[3], skipped, outer

    @device
    def backward_cell(state, weight, bits, diagonal, right, below, ended, costs, sums):
        """Backward states of a cell, its share of the total, and the sums with its own.

        Sums are of what passes through the four kinds of gaps, but for their factors, and of
        shares times bits.
        """
        m, x, y = state
        onward, after_y = after_rows(diagonal, below, costs[2], costs[3])
        after_m, after_x = after_columns(onward, right, ended, costs[0], costs[1])
        share = m * after_m
        sums = (
            fma_float(m, right, sums[0]),
            fma_float(x, right, sums[1]),
            fma_float(m + x, below, sums[2]),
            fma_float(y, below, sums[3]),
            fma_float(share, bits, sums[4]),
        )
        return weight * after_m, after_x, after_y, share, sums

    @device
    def backward_row(states, weights, values, corner, right, below, ahead, ended, costs, sums):
        """Backward pass through a row from its last column.

        ``right`` is X beyond the row's last cell, ``corner`` weighted M of the cell below that,
        ``below`` Y of the row below, and ``ahead`` its weighted M.
        """
        m, x, y = states
        p_3, right, y_3, s_3, sums = backward_cell(
            (m[3], x[3], y[3]), weights[3], values[3], corner, right, below[3], ended, costs, sums
        )
        p_2, right, y_2, s_2, sums = backward_cell(
            (m[2], x[2], y[2]), weights[2], values[2], ahead[3], right, below[2], ended, costs, sums
        )
        p_1, right, y_1, s_1, sums = backward_cell(
            (m[1], x[1], y[1]), weights[1], values[1], ahead[2], right, below[1], ended, costs, sums
        )
        p_0, right, y_0, s_0, sums = backward_cell(
            (m[0], x[0], y[0]), weights[0], values[0], ahead[1], right, below[0], ended, costs, sums
        )
        return (p_0, p_1, p_2, p_3), right, (y_0, y_1, y_2, y_3), (s_0, s_1, s_2, s_3), sums

    @device
    def backward(states, weights, values, corners, rights, below, ahead, ended, costs):
        """Backward pass through a block: weighted M and Y above it, X on its left, shares, sums."""
        nothing = np.float32(0)
        sums = nothing, nothing, nothing, nothing, nothing
        inner, right_1, below, shares_1, sums = backward_row(
            states[1],
            weights[1],
            values[1],
            corners[1],
            rights[1],
            below,
            ahead,
            ended,
            costs,
            sums,
        )
        outer, right_0, below, shares_0, sums = backward_row(
            states[0],
            weights[0],
            values[0],
            corners[0],
            rights[0],
            below,
            inner,
            ended,
            costs,
            sums,
        )
        return outer, inner[0], (right_0, right_1), below, (shares_0, shares_1), sums

    return Block(forward, backward)


forward_block, backward_block = block()


@device
def place_of(call, s, strips):
    """The lane's first row, the strip's number among all pairs', its lanes, whether it is last."""
    above = small(small(s) * small(HEIGHT))
    left = small(call.n - above)
    lanes = min(small(small(left + small(ROWS - 1)) // small(ROWS)), small(LANES))
    index = small(small(call.b * strips) + small(s))
    return small(above + small(call.lane * small(ROWS))), index, lanes, left <= small(HEIGHT)


@device
def decide(call, total, exponent, best, counters, answers):
    """Score of a pair, or that it is left to other kernels."""
    b, most = call.b, best * call.unit
    answered = most <= call.steepest and most >= FAINTEST and total > 0.0 and total < math.inf
    if answered:
        answers.score[b] = (exponent + math.log2(total)) / call.unit
        answers.slope[b] = 0.0
    pass_on(counters, b, answered)


@device
def pass_on(counters, b, answered):
    """Say what became of a pair."""
    counters.status[b] = ANSWERED if answered else UNANSWERED
    if not answered:
        fetch_add(counters.control, LINEAR_LEFT, np.int32(1))
    increment_release(counters.control, LINEAR_FINISHED)


@device
def conclude_strip(call, index, s, is_last, total, unit, top, memory, counters, answers):
    """Add the lanes' totals, and those of the strips above; the last strip's are the pair's."""
    lane, step = call.lane, 1
    highest = unit
    while step < LANES:
        highest = max(highest, from_lane(highest, lane, lane ^ step))
        top = larger_or_nan(top, from_lane(top, lane, lane ^ step))
        step *= 2
    total = lane_sum(total * power_double(unit - highest), lane)
    if lane == 0:
        marks, exponent, best = memory.marks, np.float64(highest), np.float64(top)
        p = index * MARKS
        if s > 0:
            other, other_unit = marks[p - 3], marks[p - 2]
            change = np.int32(other_unit - exponent)
            total = total * power_double(min(-change, 0)) + other * power_double(min(change, 0))
            exponent = max(exponent, other_unit)
            seen = marks[p - 1]
            best = max(best, seen) if seen == seen else seen
        marks[p], marks[p + 1], marks[p + 2] = total, exponent, best
        if is_last:
            decide(call, total, exponent, best, counters, answers)


class Passes(NamedTuple):
    """Functions of a strip."""

    forward: Any
    backward: Any


@functools.cache
def passes(*, alone: bool) -> Passes:
    """Give the passes along strips that are the only ones of their pairs, or along any."""

    @device
    def forward_strip(call, s, strips, want, memory, counters, answers):
        """Forward pass along a strip: leaves in `marks` what it and the strips above found."""
        lane, blocks, zero = call.lane, call.blocks, np.float32(0)
        row, index, lanes, is_last = place_of(call, s, strips)
        begin = row_place(call, row)
        there_0, there_1 = row < call.n, small(row + ONE) < call.n
        none = zero, zero, zero, zero
        xs, corner, corners = (zero, zero), zero, zero
        sent_y, sent_h, unit = none, none, small(-HEADROOM)
        given_y, given_h, given_unit = none, none, small(-HEADROOM)
        total, total_unit, top, slot = 0.0, small(-HEADROOM), call.floor, ZERO
        k = small(-lane)
        next_0 = similarities(call, there_0, begin, k)
        next_1 = similarities(call, there_1, begin + call.columns, k)
        records = np.int64(index) * blocks_of(call)
        if not alone and s > 0:
            wait(memory.forward_done, (index - 1) * SPACING, min(small(CHUNK), blocks), lane)
            if lane == ZERO:
                place = (records - blocks_of(call)) * RECORD
                given_y, given_h, given_unit = read_record(memory.forward_rows, place)
        for t in range(small(blocks + lanes - ONE)):
            k = small(small(t) - lane)
            inside = there_0 and k >= ZERO and k < blocks
            values_0, values_1 = clipped(call, k, next_0), clipped(call, k, next_1)
            next_0 = similarities(call, there_0, begin, small(k + ONE))
            next_1 = similarities(call, there_1, begin + call.columns, small(k + ONE))
            skipped, above = from_above_four(sent_y, lane), from_above_four(sent_h, lane)
            above_unit = from_above(unit, lane)
            if lane == ZERO:
                if alone:
                    skipped, above, above_unit = none, none, small(-HEADROOM)
                else:
                    skipped, above, above_unit = given_y, given_h, given_unit
            if not alone and s > 0:
                ahead = small(small(t) + ONE)
                if ahead < blocks:
                    if small(ahead % small(CHUNK)) == ZERO:
                        needed = min(small(ahead + small(CHUNK)), blocks)
                        wait(memory.forward_done, (index - 1) * SPACING, needed, lane)
                    if lane == ZERO:
                        place = (records - blocks_of(call) + ahead) * RECORD
                        given_y, given_h, given_unit = read_record(memory.forward_rows, place)
            own = larger(larger(xs[0], xs[1]), larger(corner, corners))
            entering = larger(top_of_four(skipped), top_of_four(above))
            highest = max(max(exponent_of(own, unit), exponent_of(entering, above_unit)), ZERO)
            new_unit = small(highest - HEADROOM)
            factor, above_factor = power(unit - new_unit), power(above_unit - new_unit)
            start = power(-new_unit)
            xs = undrifted(xs[0], factor, call.drift[0]), undrifted(xs[1], factor, call.drift[0])
            corner, corners = corner * factor, corners * factor
            skipped = undrifted_four(skipped, above_factor, call.drift[1])
            above = scaled_four(above, above_factor)
            unit = new_unit
            if want != SCORE and inside:
                place = entry_place(records, slot, lane)
                store_four(memory.entries, place, (xs[0], xs[1], corner, corners))
                store_four(memory.entries, place + 4 * LANES, skipped)
                last = above[0], above[1], above[2], float_of_bits(unit)
                store_four(memory.entries, place + 8 * LANES, last)
            slot = small(slot + ONE)
            if slot == blocks:
                slot = ZERO
            weights = weights_of(call, values_0), weights_of(call, values_1)
            top = larger_or_nan(top, larger_or_nan(top_or_nan(values_0), top_or_nan(values_1)))
            states, xs, corners, sent_y, sent_h = forward_block(
                weights, xs, (corner, corners), start, skipped, above, call.costs
            )
            corner = above[3]
            ending = np.float64(sum_of_four(states[0][0]) + sum_of_four(states[1][0]))
            change = small(unit - total_unit)
            falls, rises = power_double(min(change, ZERO)), power_double(min(small(-change), ZERO))
            total = fma_double(total, rises, ending * falls)
            total_unit = max(total_unit, unit)
            if not alone and not is_last and lane == small(LANES - 1) and inside:
                write_record(memory.forward_rows, (records + k) * RECORD, sent_y, sent_h, unit)
                done = small(k + ONE)
                if small(done % small(CHUNK)) == ZERO and done < blocks:
                    store_release(memory.forward_done, index * SPACING, done)
        conclude_strip(call, index, s, is_last, total, total_unit, top, memory, counters, answers)
        publish(memory.forward_done, index * SPACING, blocks, lane)

    @device
    def backward_strip(call, s, strips, total, total_unit, memory, answers):
        """Backward pass along a strip: gradients, and its sums with those of the strips below."""
        lane, blocks, zero = call.lane, call.blocks, np.float32(0)
        row, index, lanes, is_last = place_of(call, s, strips)
        begin = row_place(call, row)
        there_0, there_1 = row < call.n, small(row + ONE) < call.n
        none = zero, zero, zero, zero
        rights, corner, corners = (zero, zero), zero, zero
        sent_y, sent_p, unit = none, none, small(-HEADROOM)
        given_y, given_p, given_unit = none, none, small(-HEADROOM)
        per_total = np.float32(1.0 / total)
        sum_0, sum_1, sum_2, sum_3, mean = 0.0, 0.0, 0.0, 0.0, 0.0
        records = np.int64(index) * blocks_of(call)
        behind = records + blocks_of(call) + blocks
        if not alone and not is_last:
            wait(memory.backward_done, (index + 1) * SPACING, min(small(CHUNK), blocks), lane)
            if lane == small(LANES - 1):
                place = (behind - 1) * RECORD
                given_y, given_p, given_unit = read_record(memory.backward_rows, place)
        k = small(small(blocks + lanes) - small(lane + small(2)))
        inside = there_0 and k < blocks
        next_0 = similarities(call, there_0, begin, k)
        next_1 = similarities(call, there_1, begin + call.columns, k)
        slot = small(small(small(blocks + lanes) - small(2)) % blocks)
        next_entry = entry(call, memory, records, inside, slot)
        for t in range(small(blocks + lanes - ONE)):
            k = small(small(blocks + lanes) - small(small(small(t) + lane) + small(2)))
            inside = there_0 and k >= ZERO and k < blocks
            values_0, values_1 = clipped(call, k, next_0), clipped(call, k, next_1)
            first, skipped, above = next_entry
            soon = small(k - ONE)
            next_0 = similarities(call, there_0, begin, soon)
            next_1 = similarities(call, there_1, begin + call.columns, soon)
            slot = small(slot - ONE) if slot > ZERO else small(blocks - ONE)
            soon_inside = there_0 and soon >= ZERO and soon < blocks
            next_entry = entry(call, memory, records, soon_inside, slot)
            below, ahead = from_below_four(sent_y, lane), from_below_four(sent_p, lane)
            below_unit = from_below(unit, lane)
            if lane == small(lanes - ONE):
                if alone:
                    below, ahead, below_unit = none, none, small(-HEADROOM)
                else:
                    below, ahead, below_unit = given_y, given_p, given_unit
            if not alone and not is_last:
                done = small(small(t) + ONE)
                if done < blocks:
                    if small(done % small(CHUNK)) == ZERO:
                        needed = min(small(done + small(CHUNK)), blocks)
                        wait(memory.backward_done, (index + 1) * SPACING, needed, lane)
                    if lane == small(LANES - 1):
                        place = (behind - 1 - done) * RECORD
                        given_y, given_p, given_unit = read_record(memory.backward_rows, place)
            own = larger(larger(rights[0], rights[1]), larger(corner, corners))
            entering = larger(top_of_four(below), top_of_four(ahead))
            highest = max(max(exponent_of(own, unit), exponent_of(entering, below_unit)), ZERO)
            new_unit = small(highest - HEADROOM)
            factor, below_factor = power(unit - new_unit), power(below_unit - new_unit)
            ended = power(-new_unit)
            rights = (
                undrifted(rights[0], factor, call.drift[0]),
                undrifted(rights[1], factor, call.drift[0]),
            )
            corner, corners = corner * factor, corners * factor
            below = undrifted_four(below, below_factor, call.drift[1])
            ahead = scaled_four(ahead, below_factor)
            unit = new_unit
            # A forward and a backward state over the total: half of the exponents go to the one.
            forward_unit = bits_of_float(above[3])
            exponent = small(small(forward_unit + unit) - total_unit)
            half = small(exponent >> ONE)
            halved = power(half)
            per_share = power(exponent - half) * per_total
            weights = weights_of(call, values_0), weights_of(call, values_1)
            first, skipped = scaled_four(first, halved), scaled_four(skipped, halved)
            above = above[0] * halved, above[1] * halved, above[2] * halved, zero
            start = power(half - forward_unit)
            states, _, _, _, _ = forward_block(
                weights,
                (first[0], first[1]),
                (first[2], first[3]),
                start,
                skipped,
                above,
                call.costs,
            )
            last = ahead[0]
            sent_p, corner_1, rights, sent_y, shares, sums = backward_block(
                states,
                weights,
                (scaled_four(values_0, call.high), scaled_four(values_1, call.high)),
                (corner, corners),
                rights,
                below,
                ahead,
                ended,
                call.costs,
            )
            corner, corners = corner_1, last
            if inside:
                write_row(call, answers.gradient, begin, k, scaled_four(shares[0], per_share))
                if there_1:
                    place = begin + call.columns
                    write_row(call, answers.gradient, place, k, scaled_four(shares[1], per_share))
            each = np.float64(per_share)
            sum_0, sum_1 = fma_double(sums[0], each, sum_0), fma_double(sums[1], each, sum_1)
            sum_2, sum_3 = fma_double(sums[2], each, sum_2), fma_double(sums[3], each, sum_3)
            mean = fma_double(sums[4], each, mean)
            if not alone and s > 0 and lane == ZERO and inside:
                write_record(memory.backward_rows, (records + k) * RECORD, sent_y, sent_p, unit)
                done = small(blocks - k)
                if small(done % small(CHUNK)) == ZERO and k > ZERO:
                    store_release(memory.backward_done, index * SPACING, done)
        costs = call.costs
        sum_0 = lane_sum(sum_0 * np.float64(costs[0]), lane)
        sum_1 = lane_sum(sum_1 * np.float64(costs[1]), lane)
        sum_2 = lane_sum(sum_2 * np.float64(costs[2]), lane)
        sum_3 = lane_sum(sum_3 * np.float64(costs[3]), lane)
        mean = lane_sum(mean, lane)
        if lane == 0:
            p, sums = index * SUMS, memory.sums
            if not alone and not is_last:
                sum_0, sum_1 = sum_0 + sums[p + SUMS], sum_1 + sums[p + SUMS + 1]
                sum_2, sum_3 = sum_2 + sums[p + SUMS + 2], sum_3 + sums[p + SUMS + 3]
                mean += sums[p + SUMS + 4]
            sums[p], sums[p + 1], sums[p + 2], sums[p + 3] = sum_0, sum_1, sum_2, sum_3
            sums[p + 4] = mean
            if s == 0:
                b, unit = call.b, call.unit
                out_0, out_1, out_2, out_3 = answers.penalties
                out_0[b], out_1[b], out_2[b], out_3[b] = -sum_0, -sum_1, -sum_2, -sum_3
                gaps = sum_0 * call.penalties[0] + sum_1 * call.penalties[1]
                gaps += sum_2 * call.penalties[2] + sum_3 * call.penalties[3]
                log_total = np.float64(total_unit) + math.log2(total)
                answers.slope[b] = LN2 * (log_total - mean + unit * gaps)
            store_release(memory.backward_done, index * SPACING, blocks)

    return Passes(forward_strip, backward_strip)

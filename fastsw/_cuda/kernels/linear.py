"""Local alignment on a GPU in linear space: float32 states, one exponent for a block of cells.

A lane has `ROWS` rows of a pair and goes along them in blocks of `COLUMNS` columns, a block behind
the lane before, so that what enters a block from above is known when it begins: there is one
exchange between lanes for a block, and none within it. A warp has a strip of `LANES * ROWS` rows;
longer pairs are several strips, each a few blocks behind the one above, which leaves its last row
in memory. The forward pass keeps what enters a block; the backward pass makes the block's states
from it again, and needs no other lane for that.

The states of a block share an exponent, chosen such that the largest that enters lies at 2**HEAD.
Theorem 5 of docs/range.md says when that suffices, and `fits` and `in_range` ask for it; pairs for
which it does not hold, and those that have no answer in numbers, are left to the kernel of
`intra_pair`, in the same launch. Penalties are those of local alignment that a pair has one of.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import (
    LANES,
    SIMULATED,
    bits_of_double,
    bits_of_float,
    device,
    double_of_bits,
    exp2_double,
    exp2_float,
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
    load_acquire,
    load_four,
    opaque,
    store_four,
    store_release,
)
from fastsw._cuda.kernels.cell import linear_cell
from fastsw._cuda.kernels.penalties import (
    FORM_BITS,
    LN2,
    LOG2E,
    LOG2E_REST,
    penalty,
    sides,
    temperature_of,
)
from fastsw._cuda.kernels.records import (
    ANSWERED,
    LINEAR_FINISHED,
    LINEAR_LEFT,
    NEXT_LINEAR,
    UNANSWERED,
)
from fastsw._cuda.kernels.strip import lane_sum, next_item, publish, wait
from fastsw._types import SCORE

#: Rows of a lane, and columns of a block.
ROWS, COLUMNS = 2, 4

#: Rows of a strip.
HEIGHT = LANES * ROWS

#: Words that enter a block: X and the corner of each row, Y and three h from above, the exponent.
ENTRY = 12

#: Words of a block of a boundary row: Y and h, or Y and weighted M, and the exponent.
RECORD = 12

#: Blocks of a strip between two words to the strip that waits for it.
CHUNK = 2 if SIMULATED else 8

#: Flags of strips are so far apart, in words, that each has a sector of its own.
SPACING = 8

#: What a strip leaves: mantissa and exponent of the total so far, the largest similarity so far;
#: and its sums with those of the strips below.
MARKS, SUMS = 3, 5

#: Bits: where the largest state that enters a block lies, what its states may grow to, and how far
#: below that one a state may be that the rest of an alignment makes up for. See docs/range.md.
HEAD, ROOM, EXPONENT_GAP = 40, 120.0, 116.0

#: Bits that a gap may cost at most, lest forbidding a cell below 2**-126 be noticed.
DEAREST = 76.0

#: Bits of the best similarity of a pair, at least.
FAINTEST = -16.0

#: Similarities below as many bits have no weight.
LOWEST = -200.0


class Call(NamedTuple):
    """What a pair's strips share."""

    similarity: Any
    high: Any  # 1 / (T log 2), and what float32 leaves out of it
    rest: Any
    floor: Any  # in place of a similarity without weight
    costs: Any  # factors of opening and extending a gap along columns, and along rows
    penalties: Any  # the same as they were given
    unit: Any  # 1 / (T log 2) in float64
    steepest: Any  # bits of a similarity, at most
    drift: Any  # what the factors of a block's gaps fall short by, along columns and rows
    b: Any
    n: Any
    m: Any
    rows: Any
    columns: Any
    blocks: Any  # of a row of the pair
    together: Any  # whether four similarities can be read at once
    lane: Any


class Memory(NamedTuple):
    """What a launch keeps in memory."""

    forward_done: Any  # [pairs, strips, SPACING], blocks that a strip's last lane has finished
    backward_done: Any
    marks: Any  # [pairs, strips, MARKS]
    sums: Any  # [pairs, strips, SUMS]
    forward_rows: Any  # [pairs, strips, blocks, RECORD]
    backward_rows: Any
    entries: Any  # [pairs, strips, blocks, ENTRY / 4, LANES, 4]; see `entry_place`


def strips_of(rows: int) -> int:
    """Strips of a whole matrix."""
    return max(-(-rows // HEIGHT), 1)


def blocks_of_row(columns: int) -> int:
    """Blocks of a row of a whole matrix."""
    return -(-columns // COLUMNS)


#: Integers of 32 bits, whose type would be that of 64 as literals.
small = np.int32
ZERO, ONE, LOW, HIGH, BIAS, DEPTH = (
    small(0),
    small(1),
    small(-127),
    small(126),
    small(127),
    small(23),
)
NO_UNIT, HEADROOM, FOUR = small(-(2**30)), small(HEAD), small(COLUMNS)
LOW_DOUBLE, BIAS_DOUBLE = small(-1023), small(1023)


@device
def power(k):
    """2**k in float32, 0 below its range and 2**126 above."""
    return float_of_bits(small(small(min(max(small(k), LOW), HIGH) + BIAS) << DEPTH))


@device
def power_double(k):
    """2**k in float64 for k <= 0, 0 below its range."""
    return double_of_bits(np.int64(small(max(small(k), LOW_DOUBLE) + BIAS_DOUBLE)) << np.int64(52))


@device
def kept(a):
    """The float32, which the compiler keeps, and does not compute again where it is needed."""
    return float_of_bits(opaque(bits_of_float(a)))


@device
def exponent_of(a, unit):
    """Exponent of a positive number in units of 2**unit; that of 0 is below all others."""
    bits = bits_of_float(a)
    found = small(small(small(bits >> DEPTH) + unit) - BIAS)
    return found if bits > ZERO else NO_UNIT


@device
def top_of_four(a):
    """The largest of four numbers."""
    return larger(larger(a[0], a[1]), larger(a[2], a[3]))


@device
def scaled_four(a, factor):
    """Four numbers in another unit."""
    return a[0] * factor, a[1] * factor, a[2] * factor, a[3] * factor


@device
def from_above_four(a, lane):
    """Four numbers of the lane before."""
    return (
        from_above(a[0], lane),
        from_above(a[1], lane),
        from_above(a[2], lane),
        from_above(a[3], lane),
    )


@device
def from_below_four(a, lane):
    """Four numbers of the lane after."""
    return (
        from_below(a[0], lane),
        from_below(a[1], lane),
        from_below(a[2], lane),
        from_below(a[3], lane),
    )


@device
def undrifted(a, factor, drift):
    """What is in a gap, in another unit, less what the factors of the last block's gaps erred."""
    changed = a * factor
    return fma_float(changed, drift, changed)


@device
def row_place(call, row):
    """Where a row of the pair begins."""
    return (np.int64(call.b) * call.rows + row) * call.columns


@device
def undrifted_four(a, factor, drift):
    """The same of four."""
    return (
        undrifted(a[0], factor, drift),
        undrifted(a[1], factor, drift),
        undrifted(a[2], factor, drift),
        undrifted(a[3], factor, drift),
    )


@device
def similarities(call, there, begin, k):
    """A block's similarities in a row as they are in memory, anything where there are none.

    Nothing is done with them, so that a warp need not wait for them yet.
    """
    floor = call.floor
    a, b, c, d = floor, floor, floor, floor
    column = small(FOUR * k)
    count = small(call.m - column)
    if there and k >= ZERO and count > ZERO:
        place = begin + column
        if call.together:
            a, b, c, d = load_four(call.similarity, place)
        else:
            a = call.similarity[place]
            if count > ONE:
                b = call.similarity[place + 1]
            if count > small(2):
                c = call.similarity[place + 2]
            if count > small(3):
                d = call.similarity[place + 3]
    return a, b, c, d


@device
def clipped(call, k, values):
    """A block's similarities, the floor in place of what lies beyond the pair or is lower."""
    floor, count = call.floor, small(call.m - small(FOUR * k))
    a, b, c, d = values
    if count < FOUR:
        b = b if count > ONE else floor
        c = c if count > small(2) else floor
        d = floor
    return (
        larger_or_nan(a, floor),
        larger_or_nan(b, floor),
        larger_or_nan(c, floor),
        larger_or_nan(d, floor),
    )


@device
def entry_place(records, slot, lane):
    """Where the lane keeps what enters its block; the lanes' places for one step lie together.

    The lane's block k is in slot (k + lane) modulo the blocks of a row, which is the same for all
    lanes at any time.
    """
    return ((records + slot) * (ENTRY // 4) * LANES + lane) * 4


@device
def entry(call, memory, records, inside, slot):
    """What entered a block: its exponent and eleven numbers, as they are in memory."""
    zero = np.float32(0)
    none = zero, zero, zero, zero
    first, skipped, above = none, none, (zero, zero, zero, float_of_bits(small(-HEADROOM)))
    if inside:
        place = entry_place(records, slot, call.lane)
        first = load_four(memory.entries, place)
        skipped = load_four(memory.entries, place + 4 * LANES)
        above = load_four(memory.entries, place + 8 * LANES)
    return first, skipped, above


@device
def write_row(call, gradient, begin, k, values):
    """Write a block's gradients in a row."""
    column = small(FOUR * k)
    count = small(call.m - column)
    place = begin + column
    if call.together and count >= FOUR:
        store_four(gradient, place, values)
    else:
        gradient[place] = values[0]
        if count > ONE:
            gradient[place + 1] = values[1]
        if count > small(2):
            gradient[place + 2] = values[2]
        if count > small(3):
            gradient[place + 3] = values[3]


@device
def weight_of(call, value):
    """2**(value / (T log 2)) with the error of the exponent made up for."""
    bits = value * call.high
    lost = fma_float(value, call.rest, fma_float(value, call.high, -bits))
    weight = exp2_float(bits)
    return fma_float(weight, lost * np.float32(LN2), weight)


@device
def weights_of(call, values):
    """Weights of four similarities."""
    return (
        weight_of(call, values[0]),
        weight_of(call, values[1]),
        weight_of(call, values[2]),
        weight_of(call, values[3]),
    )


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


@device
def read_record(rows, place):
    """Eight numbers and the exponent of a block of a boundary row."""
    last = load_four(rows, place + 8)
    return load_four(rows, place), load_four(rows, place + 4), bits_of_float(last[0])


@device
def write_record(rows, place, first, second, unit):
    """Write a block of a boundary row."""
    exponent = float_of_bits(unit)
    store_four(rows, place, first)
    store_four(rows, place + 4, second)
    store_four(rows, place + 8, (exponent, exponent, exponent, exponent))


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
def blocks_of(call):
    """Blocks of a row of the whole matrix."""
    return (call.columns + COLUMNS - 1) // COLUMNS


@device
def top_or_nan(values):
    """The largest of four numbers, NaN if one is."""
    return larger_or_nan(larger_or_nan(values[0], values[1]), larger_or_nan(values[2], values[3]))


@device
def sum_of_four(a):
    """Sum of four numbers."""
    return (a[0] + a[1]) + (a[2] + a[3])


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


forward_alone, backward_alone = passes(alone=True)
forward_among, backward_among = passes(alone=False)


@device
def prepared(request, b, lane):
    """What the strips of a pair share, and whether its shape and penalties suit this kernel."""
    rows, columns, forms = np.int32(request.rows), np.int32(request.columns), request.forms
    n, m, fit = sides(forms >> (FORM_BITS * 4), request.lengths, b, rows, columns)
    temperature = temperature_of(opaque(forms), request.temperatures, request.numbers[4])
    fit = fit and n > 0 and m > 0 and temperature > 0.0 and temperature < math.inf
    if not fit:
        temperature = 1.0
    unit = LOG2E / temperature
    left_out = (fma_double(-unit, temperature, LOG2E) + LOG2E_REST) / temperature
    pointers, given = request.penalties, request.numbers
    open_x = penalty(pointers[0], given[0], forms, 0, b, 0, 0, rows, columns)
    extend_x = penalty(pointers[1], given[1], forms, 1, b, 0, 0, rows, columns)
    open_y = penalty(pointers[2], given[2], forms, 2, b, 0, 0, rows, columns)
    extend_y = penalty(pointers[3], given[3], forms, 3, b, 0, 0, rows, columns)
    opened, extended = max(open_x, open_y), max(extend_x, extend_y)
    spread = 2.0 * (abs(open_x - extend_x) + abs(open_y - extend_y))
    detour = unit * (2.0 * opened + 2.0 * (COLUMNS + ROWS) * extended + spread)
    fit = fit and open_x >= 0.0 and extend_x >= 0.0 and open_y >= 0.0 and extend_y >= 0.0
    fit = fit and detour <= EXPONENT_GAP and unit > 1e-30 and unit < 1e30
    fit = fit and 2.0 * unit * max(opened, extended) <= DEAREST
    if not fit:
        open_x, extend_x, open_y, extend_y, unit = 0.0, 0.0, 0.0, 0.0, 1.0
    high = np.float32(unit)
    factors = (
        exp2_double(-unit * open_x),
        exp2_double(-unit * extend_x),
        exp2_double(-unit * open_y),
        exp2_double(-unit * extend_y),
    )
    costs = (
        kept(np.float32(factors[0])),
        kept(np.float32(factors[1])),
        kept(np.float32(factors[2])),
        kept(np.float32(factors[3])),
    )
    drift = (
        kept(np.float32(COLUMNS * (factors[1] - np.float64(costs[1])) / factors[1])),
        kept(np.float32(ROWS * (factors[3] - np.float64(costs[3])) / factors[3])),
    )
    call = Call(
        request.similarity,
        kept(high),
        kept(np.float32(unit - np.float64(high) + left_out)),
        kept(np.float32(LOWEST / unit)),
        costs,
        (open_x, extend_x, open_y, extend_y),
        unit,
        min((ROOM - HEAD - 12.0) / ROWS, (EXPONENT_GAP - detour) / max(COLUMNS, ROWS)),
        drift,
        np.int32(b),
        np.int32(n),
        np.int32(m),
        rows,
        columns,
        np.int32((np.int32(m) + np.int32(COLUMNS - 1)) // np.int32(COLUMNS)),
        request.together != 0,
        lane,
    )
    return call, fit


@device
def clear_beyond(call, s, gradient):
    """Write zeros beyond a pair's lengths in the rows of a strip."""
    for row in range(s * HEIGHT, min(np.int32((s + 1) * HEIGHT), call.rows)):
        begin = call.m if row < call.n else np.int32(0)
        place = (np.int64(call.b) * call.rows + row) * call.columns
        for j in range(begin + call.lane, call.columns, LANES):
            gradient[place + j] = 0.0


@device
def forward_item(call, fit, s, strips, want, memory, counters, answers):
    """Forward pass along a strip, where the pair has it."""
    if not fit:
        if s == 0 and call.lane == 0:
            pass_on(counters, call.b, False)
    elif strips == 1:
        forward_alone(call, s, strips, want, memory, counters, answers)
    elif s * HEIGHT < call.n:
        forward_among(call, s, strips, want, memory, counters, answers)


@device
def backward_item(call, s, strips, memory, counters, answers):
    """Backward pass along a strip, once the last one has passed forward."""
    if call.n < call.rows or call.m < call.columns:
        clear_beyond(call, s, answers.gradient)
    last = np.int32(call.b * strips + (call.n + HEIGHT - 1) // HEIGHT - 1)
    if s * HEIGHT < call.n:
        wait(memory.forward_done, last * SPACING, call.blocks, call.lane)
        if counters.status[call.b] == ANSWERED:
            p, marks = last * MARKS, memory.marks
            total, exponent = normal_double(marks[p]), np.int32(marks[p + 1])
            exponent = small(exponent + total[1])
            if strips == 1:
                backward_alone(call, s, strips, total[0], exponent, memory, answers)
            else:
                backward_among(call, s, strips, total[0], exponent, memory, answers)


@device
def normal_double(a):
    """A positive number as one in [1, 2) and a power of two."""
    bits = bits_of_double(a)
    k = np.int64(bits >> np.int64(52)) - np.int64(1023)
    return double_of_bits(bits - (k << np.int64(52))), np.int32(k)


@device
def take_linear(request, memory, counters, answers, lane):
    """Take strips, and pass along them; what this kernel does not answer is counted as left."""
    while True:
        pairs, want = np.int32(request.pairs), request.want
        strips = np.int32((np.int32(opaque(request.rows)) + HEIGHT - 1) // HEIGHT)
        items = np.int32(pairs * strips)
        both = strips == 1 and want != SCORE
        directions = 1 if both or want == SCORE else 2
        item = next_item(counters.control, NEXT_LINEAR, lane)
        if item >= items * directions:
            break
        in_reverse = item >= items
        order = np.int32(item - items) if in_reverse else item
        s = np.int32(np.uint32(order) // np.uint32(pairs))
        b = np.int32(order - np.int32(s * pairs))
        if in_reverse:
            s = np.int32(strips - 1 - s)
        call, fit = prepared(request, b, lane)
        if not in_reverse:
            forward_item(call, fit, s, strips, want, memory, counters, answers)
        if fit and (in_reverse or both):
            backward_item(call, s, strips, memory, counters, answers)


@device
def answer_linearly(request, memory, counters, answers, lane):
    """Answer what this kernel can; whether that was everything."""
    if request.linear == 0:
        return False
    take_linear(request, memory, counters, answers, lane)
    wait(counters.control, LINEAR_FINISHED, np.int32(request.pairs), lane)
    return load_acquire(counters.control, LINEAR_LEFT) == 0

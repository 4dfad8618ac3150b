"""Forward and backward pass along a strip of rows.

A warp takes a strip of `LANES` rows along an anti-diagonal wavefront, lane r one column behind lane
r - 1: what stands left of a cell is in the lane's registers, what stands above comes from the lane
before, and the row above the strip was written to memory by the warp of the strip above. The
forward pass keeps what enters a tile, and the backward pass recomputes the tile before it goes
through it in reverse, so that the memory is some bytes a cell, whatever the table holds.

Rows and columns are those of the grid in `_reference`, where row and column 0 lie before the first
pair; local mode, where nothing passes through them, leaves them out. Beyond the last column stands
a virtual one, through which alignments end: its m is the sum of the row's m, its y goes down at no
cost (local) or at that of skipped rows (fitting). The total is then m + x + y of the last cell in
each of the modes.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import (
    LANES,
    bits_of_float,
    device,
    float_of_bits,
    from_below,
    opaque,
    sync,
)
from fastsw._cuda.kernels.cell import affine_cell
from fastsw._cuda.kernels.penalties import (
    BY_COLUMN,
    BY_ROW,
    FORM_BITS,
    LN2,
    at,
    costs_are_finite,
    gain_of,
    nudge_at,
    own_pair,
    weighing,
)
from fastsw._cuda.kernels.strip import (
    RECORD,
    STEPS,
    SUMS,
    lane_or,
    lane_sum,
    publish,
    row_of,
    store_tile,
    tiles_of,
    transfers,
    virtual_column,
    wait,
)
from fastsw._cuda.scaled import GAIN, arithmetic, near_one, numbers
from fastsw._types import FITTING, GLOBAL, LOCAL, SCORE, TANGENT

#: What a forward pass found, in bits: NaN or infinity, more than narrow numbers hold, a finite
#: cell.
NON_FINITE, LARGE, SOME = 1, 2, 4


class Passes(NamedTuple):
    """Device functions of one kind of numbers."""

    forward: Any
    backward: Any


@functools.cache
def passes(name: str, *, general: bool, with_tangents: bool) -> Passes:
    """Give the passes for a kind of numbers.

    Parameters
    ----------
    name : {"narrow", "wide", "double"}
        Kind of the numbers.
    general : bool
        Whether penalties of columns may differ by row or column, and those of rows by column.
    with_tangents : bool
        Whether tangents are carried.
    """
    kind = numbers(name)
    real, whole, scale, mass = kind.real, kind.whole, kind.scale, kind.mass
    nothing = kind.nothing
    add, _, times, normalised, _ = arithmetic(name, with_tangents=with_tangents)
    forward_cell, backward_cell, pair_share, gap_shares = affine_cell(
        name, with_tangents=with_tangents
    )
    costs_at, left_out, weigh = weighing(name, with_tangents=with_tangents)
    load_tile, load_boundary, store_boundary, get, put, lane_before, lane_after = transfers(
        name, with_tangents=with_tangents
    )
    zero, origin = real(0), whole(0)
    none, certain = (real(1), nothing, zero), (real(1), origin, zero)
    lowest_bits, free = mass(kind.underflow), (real(1), origin, zero, mass(0))
    lanes, steps = LANES, STEPS
    narrow, wide = name == "narrow", name == "wide"
    small = np.int32

    @device
    def factor(call):
        """What makes a similarity bits: a number, and what it leaves out."""
        high = scale(call.penalties.unit)
        if narrow:
            # One register, rather than two and a conversion wherever it is used.
            high = float_of_bits(opaque(bits_of_float(high)))
        return high, real(call.penalties.unit - np.float64(high) + call.remainder)

    @device
    def spot_of(strip, u):
        """Place in shared memory of the similarity of the lane's cell of step u."""
        return np.uint32(strip.similarity_at + strip.lane * (steps + 1) + u)

    @device
    def weight_of(call, strip, value, high, rest, j):
        """Weight of the similarity of column j in the lane's row."""
        place = 0
        if with_tangents:
            place = (strip.b * call.rows + strip.i - 1) * call.columns + j - 1
        return weigh(value, high, rest, call.penalties.inverse, call.tangents, place)

    @device
    def made_up(x, left, i, c):
        """Gap states as a strip enters tile c, rid of what the rounded weights of a tile left out.

        Along a row all weights of extending a gap are one number, which is rounded in one way.
        """
        return x[0] * near_one(real(steps) * left, nudge_at(i, c)), x[1], x[2]

    @device
    def step(call, strip, shared, scaling, state, diagonal, top, costs, ended, j, u):
        """States of the next cell of the lane's row, and the diagonal of the one after."""
        opened, skipped = lane_before(top[0], strip.lane), lane_before(top[1], strip.lane)
        if strip.lane == 0:
            p, rows = np.uint32(strip.above_at + RECORD * u), shared.boundaries
            opened, skipped = get(rows, p), get(rows, np.uint32(p + np.uint32(1)))
        i, mode, virtual = strip.i, call.mode, virtual_column(call.mode, strip)
        value = shared.similarity[spot_of(strip, u)]
        weight = weight_of(call, strip, value, scaling[0], scaling[1], j)
        start = origin if mode == LOCAL else nothing
        m, x, y = forward_cell(
            weight, start, diagonal, state, (opened, skipped), costs, j == virtual and mode == LOCAL
        )
        if j == virtual:
            m, x = ended, none
        if i == 0 and j >= 0 and (mode == FITTING or (mode == GLOBAL and j == 0)):
            m, x, y = certain, none, none
        return (m, x, y), add(opened, skipped)

    @device
    def forward(call, strip, store, shared, progress, base):
        """Forward pass; what was found, in bits."""
        b, s, lane, n, m, i = strip.b, strip.s, strip.lane, strip.n, strip.m, strip.i
        first, last, index = strip.first, strip.last, strip.number
        virtual = virtual_column(call.mode, strip)
        scaling = factor(call)
        costs = costs_at(call.penalties, b, i, small(1), n, m)
        state, top, diagonal, run = (none, none, none), (none, none), none, none
        largest, bad, gain, left = real(-math.inf), False, mass(0), zero
        if not general:
            bad = not costs_are_finite(costs)
            gain = max(gain, gain_of(costs))
            left = left_out(call.penalties, b, i, small(1), n, m)
        for c in range(strip.tiles):
            if s > 0:
                ahead = (steps * c + steps - 1 + lanes - 1) // steps + 1
                wait(progress, index - 1, base + min(ahead, strip.tiles), lane)
            seen, wrong = load_tile(call, strip, shared.similarity, c)
            largest, bad = max(largest, seen), bad or wrong
            j = first + c * steps + lane
            if lane < steps:
                there = s > 0 and j <= last
                load_boundary(
                    store.forward_rows,
                    row_of(call, index - 1),
                    j,
                    there,
                    strip.above_at,
                    lane,
                    shared.boundaries,
                    False,
                )
            if not general:
                state = state[0], made_up(state[1], left, i, c), state[2]
            if call.want != SCORE:
                p = ((index * tiles_of(call) + c) * 4) * lanes + lane
                put(store.entries, p, state[0])
                put(store.entries, p + lanes, state[1])
                put(store.entries, p + 2 * lanes, state[2])
                put(store.entries, p + 3 * lanes, diagonal)
            sync()
            added = none
            column = small(first + c * steps - lane)
            for u in range(small(steps)):
                j = small(column + small(u))
                if general:
                    costs = costs_at(call.penalties, b, i, j, n, m)
                    if i <= n and j >= first and j <= last:
                        bad = bad or not costs_are_finite(costs)
                        gain = max(gain, gain_of(costs))
                ended = none
                if j == virtual:
                    ended = normalised(add(run, added))
                    if i == 0:
                        ended = certain
                    if call.want != SCORE and i <= n:
                        put(store.ends, index * lanes + lane, ended)
                state, diagonal = step(
                    call, strip, shared, scaling, state, diagonal, top, costs, ended, j, u
                )
                top = add(state[0], state[1]), state[2]
                added = add(added, state[0])
                if lane == lanes - 1:
                    p = np.uint32(strip.outgoing_at + RECORD * u)
                    put(shared.boundaries, p, top[0])
                    put(shared.boundaries, np.uint32(p + np.uint32(1)), top[1])
                if i == n and j == last:
                    total = normalised(add(top[0], top[1]))
                    store.totals[3 * b] = np.float64(total[0])
                    store.totals[3 * b + 1] = np.float64(total[1])
                    store.totals[3 * b + 2] = np.float64(total[2])
            run = normalised(add(run, added))
            sync()
            j = first + c * steps + lane - (lanes - 1)
            if lane < steps and j >= first and j <= last:
                row, rows = row_of(call, index), store.forward_rows
                store_boundary(rows, row, j, strip.outgoing_at, lane, shared.boundaries, False)
            if c < strip.tiles - 1:
                publish(progress, index, base + c + 1, lane)
        found = np.int32(NON_FINITE) if bad else np.int32(0)
        if largest > -math.inf:
            found |= np.int32(SOME)
        if narrow:
            most = np.float64(max(largest, zero)) * call.penalties.unit + np.float64(gain)
            if not most * np.float64(n + m + 4) <= GAIN:
                found |= np.int32(LARGE)
        return lane_or(found, lane)

    @device
    def count_gap(out, forms, which, b, r, c, rows, columns, value):
        """Add to the gradient of a penalty that differs across the sums of its direction."""
        across = BY_ROW if which < 2 else BY_COLUMN
        if (forms >> (FORM_BITS * which)) & across:
            each = own_pair(forms)
            out[at(each, which, b, r, c, rows, columns)] -= value

    @device
    def write_by_column(out, forms, which, b, c, columns, value):
        """Write the gradient of a penalty that differs by column alone."""
        form = (forms >> (FORM_BITS * which)) & (BY_ROW | BY_COLUMN)
        if form == BY_COLUMN:
            out[b * columns + c] = -value

    @device
    def write_by_row(out, forms, which, b, r, rows, value):
        """Write the gradient of a penalty that differs by row alone."""
        form = (forms >> (FORM_BITS * which)) & (BY_ROW | BY_COLUMN)
        if form == BY_ROW:
            out[b * rows + r] = -value

    @device
    def write_by_pair(out, forms, which, b, value):
        """Write the gradient of a penalty that is the same all over a pair."""
        if (forms >> (FORM_BITS * which)) & (BY_ROW | BY_COLUMN) == 0:
            out[b] = -value

    @device
    def recompute(call, strip, store, shared, states, states_at, pitch, scaling, costs, ended, c):
        """Forward pass through a tile once more, which keeps the states of its cells."""
        p = ((strip.number * tiles_of(call) + c) * 4) * lanes + strip.lane
        state = (
            get(store.entries, p),
            get(store.entries, p + lanes),
            get(store.entries, p + 2 * lanes),
        )
        diagonal = get(store.entries, p + 3 * lanes)
        sync()
        column = small(strip.first + c * steps - strip.lane)
        for u in range(small(steps)):
            j = small(column + small(u))
            if general:
                costs = costs_at(call.penalties, strip.b, strip.i, j, strip.n, strip.m)
            top = add(state[0], state[1]), state[2]
            state, diagonal = step(
                call, strip, shared, scaling, state, diagonal, top, costs, ended, j, u
            )
            q = states_at + u * 3 * pitch
            put(states, np.uint32(q), state[0])
            put(states, np.uint32(q + pitch), state[1])
            put(states, np.uint32(q + 2 * pitch), state[2])

    @device
    def finish_sums(call, strip, store, sums_of_tiles, sums_at, answers):
        """Add a strip's sums to those of the strips below; the first one's are the pair's."""
        b, s, lane, n, i, index = (
            opaque(strip.b),
            strip.s,
            strip.lane,
            strip.n,
            strip.i,
            strip.number,
        )
        forms = call.penalties.forms
        out_0, out_1, out_2, out_3 = answers.penalties
        sum_0 = sums_of_tiles[np.uint32(sums_at)]
        sum_1 = sums_of_tiles[np.uint32(sums_at + lanes)]
        sum_2 = sums_of_tiles[np.uint32(sums_at + 2 * lanes)]
        sum_3 = sums_of_tiles[np.uint32(sums_at + 3 * lanes)]
        mean = sums_of_tiles[np.uint32(sums_at + 4 * lanes)]
        if not general:
            cost = costs_at(call.penalties, b, small(i + 1), small(1), n, strip.m)
            mean += sum_0 * np.float64(cost[0][3]) + sum_1 * np.float64(cost[1][3])
            mean += sum_2 * np.float64(cost[2][3]) + sum_3 * np.float64(cost[3][3])
        if i < n:
            write_by_row(out_2, forms, 2, b, i, call.rows, sum_2)
            write_by_row(out_3, forms, 3, b, i, call.rows, sum_3)
        sum_0, sum_1 = lane_sum(sum_0, lane), lane_sum(sum_1, lane)
        sum_2, sum_3 = lane_sum(sum_2, lane), lane_sum(sum_3, lane)
        mean = lane_sum(mean, lane)
        if lane == 0:
            sums = store.sums
            if s < strip.strips - 1:
                p = (index + 1) * SUMS
                sum_0, sum_1 = sum_0 + sums[p], sum_1 + sums[p + 1]
                sum_2, sum_3 = sum_2 + sums[p + 2], sum_3 + sums[p + 3]
                mean += sums[p + 4]
            p = index * SUMS
            sums[p], sums[p + 1], sums[p + 2], sums[p + 3] = sum_0, sum_1, sum_2, sum_3
            sums[p + 4] = mean
            if s == 0:
                write_by_pair(out_0, forms, 0, b, sum_0)
                write_by_pair(out_1, forms, 1, b, sum_1)
                write_by_pair(out_2, forms, 2, b, sum_2)
                write_by_pair(out_3, forms, 3, b, sum_3)
                if call.want == TANGENT:
                    answers.slope[b] = -LN2 * mean
                else:
                    log_total = store.totals[3 * b + 1] + math.log2(store.totals[3 * b])
                    answers.slope[b] = LN2 * (log_total - mean)

    @device
    def backward(call, strip, store, shared, answers, progress, base):
        """Backward pass: gradients, or their tangents."""
        b, s, lane, n, m, i = strip.b, strip.s, strip.lane, strip.n, strip.m, strip.i
        mode, first, last = call.mode, strip.first, strip.last
        index = strip.number
        forms, rows, columns = call.penalties.forms, call.rows, call.columns
        out_0, out_1, out_2, out_3 = answers.penalties
        virtual = virtual_column(mode, strip)
        scaling = factor(call)
        # Wide ones would not fit into shared memory; each lane has its own.
        states, states_at, pitch = shared.states, strip.states_at + lane, lanes
        if wide:
            states_at, pitch = small(0), 1
        per_total = real(1.0 / store.totals[3 * b])
        total_k, total_d = whole(-store.totals[3 * b + 1]), real(store.totals[3 * b + 2])
        # Sums of all tiles, in shared memory: they are needed once a tile.
        sums, sums_at = shared.sums, strip.sums_at + lane
        for q in range(SUMS):
            sums[np.uint32(sums_at + q * lanes)] = 0.0
        end = none
        right = none  # x of (i, j + 1)
        pair = none  # weight times m of (i, j), which the lane before asks for
        skip = none  # y of (i, j), likewise
        diagonal = none  # weight times m of (i + 1, j + 1)
        count_0, count_1 = zero, zero  # gaps into this column, from this row down
        costs = costs_at(call.penalties, b, i, small(1), n, m)
        costs_below = costs_at(call.penalties, b, small(i + 1), small(1), n, m)
        left = zero
        if not general:
            left = left_out(call.penalties, b, i, small(1), n, m)
        for c in range(strip.tiles - 1, -1, -1):
            if s < strip.strips - 1:
                behind = steps * c - (lanes - 1)
                done = strip.tiles - max(behind, 0) // steps
                wait(progress, index + 1, base + min(done, strip.tiles), lane)
            load_tile(call, strip, shared.similarity, c)
            if lane < steps:
                j = first + c * steps + lane
                there = s > 0 and j <= last
                load_boundary(
                    store.forward_rows,
                    row_of(call, index - 1),
                    j,
                    there,
                    strip.above_at,
                    lane,
                    shared.boundaries,
                    False,
                )
                j = first + c * steps + lane - (lanes - 1)
                there = s < strip.strips - 1 and j >= first and j <= last
                load_boundary(
                    store.backward_rows,
                    row_of(call, index + 1),
                    j,
                    there,
                    strip.below_at,
                    lane,
                    shared.boundaries,
                    general,
                )
            ended = none
            if mode != GLOBAL and i <= n:
                ended = get(store.ends, index * lanes + lane)
            recompute(
                call, strip, store, shared, states, states_at, pitch, scaling, costs, ended, c
            )
            column = small(first + c * steps - lane)
            part_0, part_1, part_2, part_3 = mass(0), mass(0), mass(0), mass(0)
            part = mass(0)
            for v in range(small(steps)):
                u = small(small(steps - 1) - small(v))
                j = small(column + u)
                active = i <= n and j >= first and j <= last
                below, next_diagonal = lane_after(skip, lane), lane_after(pair, lane)
                below_0, below_1 = zero, zero
                if general:
                    below_0, below_1 = from_below(count_0, lane), from_below(count_1, lane)
                if lane == lanes - 1:
                    p = np.uint32(strip.below_at + RECORD * u)
                    below = get(shared.boundaries, p)
                    next_diagonal = get(shared.boundaries, np.uint32(p + np.uint32(1)))
                    if general:
                        below_0 = shared.boundaries.f[np.uint32(p + np.uint32(2))]
                        below_1 = shared.boundaries.f[np.uint32(p + np.uint32(3))]
                beside = costs
                if general:
                    beside = costs_at(call.penalties, b, i, small(j + 1), n, m)
                    costs_below = costs_at(call.penalties, b, small(i + 1), j, n, m)
                open_y, extend_y = costs_below[2], costs_below[3]
                ending = j == virtual and mode == LOCAL
                if ending:
                    open_y, extend_y = free, free
                (fm, fx, fy), gaps = backward_cell(
                    end, diagonal, right, below, beside, (open_y, extend_y)
                )
                if i == n and j == last:
                    fm, fx, fy = certain, certain, certain
                if j == virtual or (i == 0 and mode == FITTING):
                    fx = none
                if j == virtual and i > 0:
                    end = fm
                q = states_at + u * 3 * pitch
                state = (
                    get(states, np.uint32(q)),
                    get(states, np.uint32(q + pitch)),
                    get(states, np.uint32(q + 2 * pitch)),
                )
                own = per_total if active else zero
                spot = spot_of(strip, u)
                value = shared.similarity[spot]
                visited = pair_share(state, fm, own, total_k, total_d)
                if not value > -math.inf:
                    visited = zero
                part += mass(visited) * max(mass(value * scaling[0]), lowest_bits)
                shared.similarity[spot] = visited
                own_below = zero if ending else own
                into_0, into_1, into_2, into_3 = gap_shares(
                    state, gaps, own, own_below, total_k, total_d
                )
                if general:
                    part += into_0 * beside[0][3] + into_1 * beside[1][3]
                    part += into_2 * open_y[3] + into_3 * extend_y[3]
                    count_0, count_1 = below_0 + into_0, below_1 + into_1
                    if active:
                        r, q = max(i, 1) - 1, max(min(j, m), 1) - 1
                        if j < m:
                            count_gap(out_0, forms, 0, b, r, j, rows, columns, into_0)
                            count_gap(out_1, forms, 1, b, r, j, rows, columns, into_1)
                            if i == first:
                                write_by_column(out_0, forms, 0, b, j, columns, count_0)
                                write_by_column(out_1, forms, 1, b, j, columns, count_1)
                        if i < n:
                            count_gap(out_2, forms, 2, b, i, q, rows, columns, into_2)
                            count_gap(out_3, forms, 3, b, i, q, rows, columns, into_3)
                    sync()
                part_0, part_1 = part_0 + mass(into_0), part_1 + mass(into_1)
                part_2, part_3 = part_2 + mass(into_2), part_3 + mass(into_3)
                diagonal, right, skip = next_diagonal, fx, fy
                weight = weight_of(call, strip, value, scaling[0], scaling[1], j)
                pair = normalised(times(fm, weight))
                if lane == 0:
                    p = np.uint32(strip.outgoing_at + RECORD * u)
                    put(shared.boundaries, p, fy)
                    put(shared.boundaries, np.uint32(p + np.uint32(1)), pair)
                    if general:
                        shared.boundaries.f[np.uint32(p + np.uint32(2))] = count_0
                        shared.boundaries.f[np.uint32(p + np.uint32(3))] = count_1
            sums[np.uint32(sums_at)] += np.float64(part_0)
            sums[np.uint32(sums_at + lanes)] += np.float64(part_1)
            sums[np.uint32(sums_at + 2 * lanes)] += np.float64(part_2)
            sums[np.uint32(sums_at + 3 * lanes)] += np.float64(part_3)
            sums[np.uint32(sums_at + 4 * lanes)] += np.float64(part)
            sync()
            store_tile(call, strip, shared.similarity, answers.gradient, c)
            j = first + c * steps + lane
            if lane < steps and j <= last:
                row, outgoing = row_of(call, index), shared.boundaries
                store_boundary(
                    store.backward_rows, row, j, strip.outgoing_at, lane, outgoing, general
                )
            if not general:
                right = made_up(right, left, i, c)
            if c > 0:
                publish(progress, index, base + strip.tiles - c, lane)
        finish_sums(call, strip, store, sums, sums_at, answers)

    return Passes(forward, backward)

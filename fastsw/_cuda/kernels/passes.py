"""The two walks along a strip of rows: down, for prefix values, and up, for suffix values.

A warp marches along a strip of `LANES` rows, lane r one column behind lane r - 1: what stands left
of a cell is in the lane's registers, what stands above comes from the lane before, and the row
above the strip was written to memory by the warp of the strip above. Strips are walked in squares
of `DEPTH` steps. The walk down keeps what enters a square, and the walk up goes through the square
again before it walks it in reverse, so that the memory is some bytes a cell, whatever the table
holds.

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
    hide,
    sync,
)
from fastsw._cuda.kernels.cell import costs_are_sound, gain_of, states
from fastsw._cuda.kernels.pairs import (
    BY_COLUMN,
    BY_ROW,
    FORM_BITS,
    LN2,
    SCORE,
    TANGENT,
    at,
    own_pair,
)
from fastsw._cuda.kernels.strip import (
    DEPTH,
    SUMS,
    WORDS,
    lane_or,
    lane_sum,
    row_of,
    squares_of,
    store_tile,
    tell,
    transfers,
    virtual_column,
    wait,
)
from fastsw._cuda.scaled import GAIN, numbers
from fastsw._types import FITTING, GLOBAL, LOCAL

#: What a walk down found, in bits: NaN or infinity, more than narrow numbers hold, a finite cell.
BAD, LARGE, SOME = 1, 2, 4


class Walks(NamedTuple):
    """Device functions of one kind of numbers."""

    down: Any
    up: Any


@functools.cache
def walks(name: str, *, general: bool, second: bool) -> Walks:
    """Give the walks for a kind of numbers.

    Parameters
    ----------
    name : {"narrow", "wide", "double"}
        Kind of the numbers.
    general : bool
        Whether penalties of columns may differ by row or column, and those of rows by column.
    second : bool
        Whether tangents are carried.
    """
    kind = numbers(name)
    real, whole, scale, mass = kind.real, kind.whole, kind.scale, kind.mass
    nothing = kind.nothing
    add, times, settled, weigh, advance, flow, costs_at = states(name, second=second)
    load_tile, load_edge, keep_edge, get, put, lane_before, lane_after = transfers(
        name, second=second
    )
    zero, origin = real(0), whole(0)
    none, certain = (real(1), nothing, zero), (real(1), origin, zero)
    void_bits, free = mass(kind.void), (real(1), origin, zero, mass(0))
    lanes, depth = LANES, DEPTH
    narrow, wide = name == "narrow", name == "wide"
    small = np.int32

    @device
    def factor(call):
        """What makes a similarity bits: a number, and what it leaves out."""
        high = scale(call.penalties.unit)
        if narrow:
            # One register, rather than two and a conversion wherever it is used.
            high = float_of_bits(hide(bits_of_float(high)))
        return high, real(call.penalties.unit - np.float64(high) + call.remainder)

    @device
    def spot_of(strip, u):
        """Place in the tile of the lane's cell of step u."""
        return np.uint32(strip.tile_at + strip.lane * (depth + 1) + u)

    @device
    def weighed(call, strip, value, high, rest, j):
        """Weight of the similarity of column j in the lane's row."""
        place = 0
        if second:
            place = (strip.b * call.rows + strip.i - 1) * call.columns + j - 1
        return weigh(value, high, rest, call.penalties.inverse, call.dots, place)

    @device
    def step(call, strip, square, scaling, state, diagonal, top, costs, ended, j, u):
        """States of the next cell of the lane's row, and the diagonal of the one after."""
        opened, skipped = lane_before(top[0], strip.lane), lane_before(top[1], strip.lane)
        if strip.lane == 0:
            p = np.uint32(strip.come_at + WORDS * u)
            opened, skipped = get(square.edges, p), get(square.edges, np.uint32(p + np.uint32(1)))
        value = square.tile[spot_of(strip, u)]
        cell = weighed(call, strip, value, scaling[0], scaling[1], j)
        start = origin if call.mode == LOCAL else nothing
        virtual = virtual_column(call.mode, strip)
        return advance(
            call.mode,
            strip.i,
            j,
            virtual,
            start,
            state,
            diagonal,
            (opened, skipped),
            cell,
            costs,
            ended,
        )

    @device
    def down(call, strip, store, square, progress, base):
        """Walk down; what was found, in bits."""
        b, s, lane, n, m, i = strip.b, strip.s, strip.lane, strip.n, strip.m, strip.i
        first, last, here = strip.first, strip.last, strip.here
        virtual = virtual_column(call.mode, strip)
        scaling = factor(call)
        costs = costs_at(call.penalties, b, i, small(1), n, m)
        state, top, diagonal, run = (none, none, none), (none, none), none, none
        largest, bad, gain = real(-math.inf), False, mass(0)
        if not general:
            bad = not costs_are_sound(costs)
            gain = max(gain, gain_of(costs))
        for c in range(strip.squares):
            if s > 0:
                ahead = (depth * c + depth - 1 + lanes - 1) // depth + 1
                wait(progress, here - 1, base + min(ahead, strip.squares), lane)
            seen, wrong = load_tile(call, strip, square.tile, c)
            largest, bad = max(largest, seen), bad or wrong
            j = first + c * depth + lane
            if lane < depth:
                there = s > 0 and j <= last
                load_edge(
                    store.edge,
                    row_of(call, here - 1),
                    j,
                    there,
                    strip.come_at,
                    lane,
                    square.edges,
                    False,
                )
            if call.want != SCORE:
                p = ((here * squares_of(call) + c) * 4) * lanes + lane
                put(store.kept, p, state[0])
                put(store.kept, p + lanes, state[1])
                put(store.kept, p + 2 * lanes, state[2])
                put(store.kept, p + 3 * lanes, diagonal)
            sync()
            added = none
            column = small(first + c * depth - lane)
            for u in range(small(depth)):
                j = small(column + small(u))
                if general:
                    costs = costs_at(call.penalties, b, i, j, n, m)
                    if i <= n and j >= first and j <= last:
                        bad = bad or not costs_are_sound(costs)
                        gain = max(gain, gain_of(costs))
                ended = none
                if j == virtual:
                    ended = settled(add(run, added))
                    if i == 0:
                        ended = certain
                    if call.want != SCORE and i <= n:
                        put(store.ends, here * lanes + lane, ended)
                state, diagonal = step(
                    call, strip, square, scaling, state, diagonal, top, costs, ended, j, u
                )
                top = add(state[0], state[1]), state[2]
                added = add(added, state[0])
                if lane == lanes - 1:
                    p = np.uint32(strip.leave_at + WORDS * u)
                    put(square.edges, p, top[0])
                    put(square.edges, np.uint32(p + np.uint32(1)), top[1])
                if i == n and j == last:
                    total = settled(add(top[0], top[1]))
                    store.totals[3 * b] = np.float64(total[0])
                    store.totals[3 * b + 1] = np.float64(total[1])
                    store.totals[3 * b + 2] = np.float64(total[2])
            run = settled(add(run, added))
            sync()
            j = first + c * depth + lane - (lanes - 1)
            if lane < depth and j >= first and j <= last:
                keep_edge(
                    store.edge, row_of(call, here), j, strip.leave_at, lane, square.edges, False
                )
            if c < strip.squares - 1:
                tell(progress, here, base + c + 1, lane)
        flags = np.int32(BAD) if bad else np.int32(0)
        if largest > -math.inf:
            flags |= np.int32(SOME)
        if narrow:
            most = np.float64(max(largest, zero)) * call.penalties.unit + np.float64(gain)
            if not most * np.float64(n + m + 4) <= GAIN:
                flags |= np.int32(LARGE)
        return lane_or(flags, lane)

    @device
    def spend(out, forms, which, b, r, c, rows, columns, value):
        """Add to the gradient of a penalty that differs across the sums of its direction."""
        across = BY_ROW if which < 2 else BY_COLUMN
        if (forms >> (FORM_BITS * which)) & across:
            each = own_pair(forms)
            out[at(each, which, b, r, c, rows, columns)] -= value

    @device
    def settle(out, forms, which, b, c, columns, value):
        """Write the gradient of a penalty that differs by column alone."""
        form = (forms >> (FORM_BITS * which)) & (BY_ROW | BY_COLUMN)
        if form == BY_COLUMN:
            out[b * columns + c] = -value

    @device
    def by_row(out, forms, which, b, r, rows, value):
        """Write the gradient of a penalty that differs by row alone."""
        form = (forms >> (FORM_BITS * which)) & (BY_ROW | BY_COLUMN)
        if form == BY_ROW:
            out[b * rows + r] = -value

    @device
    def by_pair(out, forms, which, b, value):
        """Write the gradient of a penalty that is the same all over a pair."""
        if (forms >> (FORM_BITS * which)) & (BY_ROW | BY_COLUMN) == 0:
            out[b] = -value

    @device
    def again(call, strip, store, square, cells, cell_at, pitch, scaling, costs, ended, c):
        """Go down through a square once more, and keep the states of its cells."""
        p = ((strip.here * squares_of(call) + c) * 4) * lanes + strip.lane
        state = (
            get(store.kept, p),
            get(store.kept, p + lanes),
            get(store.kept, p + 2 * lanes),
        )
        diagonal = get(store.kept, p + 3 * lanes)
        sync()
        column = small(strip.first + c * depth - strip.lane)
        for u in range(small(depth)):
            j = small(column + small(u))
            if general:
                costs = costs_at(call.penalties, strip.b, strip.i, j, strip.n, strip.m)
            top = add(state[0], state[1]), state[2]
            state, diagonal = step(
                call, strip, square, scaling, state, diagonal, top, costs, ended, j, u
            )
            q = cell_at + u * 3 * pitch
            put(cells, np.uint32(q), state[0])
            put(cells, np.uint32(q + pitch), state[1])
            put(cells, np.uint32(q + 2 * pitch), state[2])

    @device
    def settle_sums(call, strip, store, spent, spent_at, answers):
        """Add a strip's sums to those of the strips below; the first one's are the pair's."""
        b, s, lane, n, i, here = hide(strip.b), strip.s, strip.lane, strip.n, strip.i, strip.here
        forms = call.penalties.forms
        out_0, out_1, out_2, out_3 = answers.penalties
        sum_0, sum_1 = spent[np.uint32(spent_at)], spent[np.uint32(spent_at + lanes)]
        sum_2 = spent[np.uint32(spent_at + 2 * lanes)]
        sum_3 = spent[np.uint32(spent_at + 3 * lanes)]
        mean = spent[np.uint32(spent_at + 4 * lanes)]
        if not general:
            paid = costs_at(call.penalties, b, small(i + 1), small(1), n, strip.m)
            mean += sum_0 * np.float64(paid[0][3]) + sum_1 * np.float64(paid[1][3])
            mean += sum_2 * np.float64(paid[2][3]) + sum_3 * np.float64(paid[3][3])
        if i < n:
            by_row(out_2, forms, 2, b, i, call.rows, sum_2)
            by_row(out_3, forms, 3, b, i, call.rows, sum_3)
        sum_0, sum_1 = lane_sum(sum_0, lane), lane_sum(sum_1, lane)
        sum_2, sum_3 = lane_sum(sum_2, lane), lane_sum(sum_3, lane)
        mean = lane_sum(mean, lane)
        if lane == 0:
            sums = store.sums
            if s < strip.count - 1:
                p = (here + 1) * SUMS
                sum_0, sum_1 = sum_0 + sums[p], sum_1 + sums[p + 1]
                sum_2, sum_3 = sum_2 + sums[p + 2], sum_3 + sums[p + 3]
                mean += sums[p + 4]
            p = here * SUMS
            sums[p], sums[p + 1], sums[p + 2], sums[p + 3] = sum_0, sum_1, sum_2, sum_3
            sums[p + 4] = mean
            if s == 0:
                by_pair(out_0, forms, 0, b, sum_0)
                by_pair(out_1, forms, 1, b, sum_1)
                by_pair(out_2, forms, 2, b, sum_2)
                by_pair(out_3, forms, 3, b, sum_3)
                if call.want == TANGENT:
                    answers.slope[b] = -LN2 * mean
                else:
                    log_total = store.totals[3 * b + 1] + math.log2(store.totals[3 * b])
                    answers.slope[b] = LN2 * (log_total - mean)

    @device
    def up(call, strip, store, square, answers, progress, base):
        """Walk up: gradients, or their tangents."""
        b, s, lane, n, m, i = strip.b, strip.s, strip.lane, strip.n, strip.m, strip.i
        mode, first, last = call.mode, strip.first, strip.last
        here = strip.here
        forms, rows, columns = call.penalties.forms, call.rows, call.columns
        out_0, out_1, out_2, out_3 = answers.penalties
        virtual = virtual_column(mode, strip)
        scaling = factor(call)
        # Wide ones would not fit into shared memory; each lane has its own.
        cells, cell_at, pitch = square.cells, strip.cell_at + lane, lanes
        if wide:
            cell_at, pitch = small(0), 1
        per_total = real(1.0 / store.totals[3 * b])
        total_k, total_d = whole(-store.totals[3 * b + 1]), real(store.totals[3 * b + 2])
        # Sums of all squares, in shared memory: they are needed once a square.
        spent, spent_at = square.spent, strip.spent_at + lane
        for q in range(SUMS):
            spent[np.uint32(spent_at + q * lanes)] = 0.0
        end = none
        right = none  # x_suffix of (i, j + 1)
        onto = none  # s + m_suffix of (i, j), which the lane before asks for
        drop = none  # y_suffix of (i, j), likewise
        slanting = none  # s + m_suffix of (i + 1, j + 1)
        flow_0, flow_1 = zero, zero  # flows into this column, from this row down
        costs = costs_at(call.penalties, b, i, small(1), n, m)
        costs_below = costs_at(call.penalties, b, small(i + 1), small(1), n, m)
        for c in range(strip.squares - 1, -1, -1):
            if s < strip.count - 1:
                behind = depth * c - (lanes - 1)
                done = strip.squares - max(behind, 0) // depth
                wait(progress, here + 1, base + min(done, strip.squares), lane)
            load_tile(call, strip, square.tile, c)
            if lane < depth:
                j = first + c * depth + lane
                there = s > 0 and j <= last
                load_edge(
                    store.edge,
                    row_of(call, here - 1),
                    j,
                    there,
                    strip.come_at,
                    lane,
                    square.edges,
                    False,
                )
                j = first + c * depth + lane - (lanes - 1)
                there = s < strip.count - 1 and j >= first and j <= last
                load_edge(
                    store.back,
                    row_of(call, here + 1),
                    j,
                    there,
                    strip.below_at,
                    lane,
                    square.edges,
                    general,
                )
            ended = none
            if mode != GLOBAL and i <= n:
                ended = get(store.ends, here * lanes + lane)
            again(call, strip, store, square, cells, cell_at, pitch, scaling, costs, ended, c)
            column = small(first + c * depth - lane)
            part_0, part_1, part_2, part_3 = mass(0), mass(0), mass(0), mass(0)
            part = mass(0)
            for v in range(small(depth)):
                u = small(small(depth - 1) - small(v))
                j = small(column + u)
                active = i <= n and j >= first and j <= last
                dropped, next_slanting = lane_after(drop, lane), lane_after(onto, lane)
                below_0, below_1 = zero, zero
                if general:
                    below_0, below_1 = from_below(flow_0, lane), from_below(flow_1, lane)
                if lane == lanes - 1:
                    p = np.uint32(strip.below_at + WORDS * u)
                    dropped = get(square.edges, p)
                    next_slanting = get(square.edges, np.uint32(p + np.uint32(1)))
                    if general:
                        below_0 = square.edges.f[np.uint32(p + np.uint32(2))]
                        below_1 = square.edges.f[np.uint32(p + np.uint32(3))]
                beside = costs
                if general:
                    beside = costs_at(call.penalties, b, i, small(j + 1), n, m)
                    costs_below = costs_at(call.penalties, b, small(i + 1), j, n, m)
                open_right, more_right = times(right, beside[0]), times(right, beside[1])
                open_y, extend_y = costs_below[2], costs_below[3]
                ending = j == virtual and mode == LOCAL
                if ending:
                    open_y, extend_y = free, free
                open_down, more_down = times(dropped, open_y), times(dropped, extend_y)
                fm = settled(add(add(slanting, end), add(open_right, open_down)))
                fx = settled(add(add(slanting, open_down), more_right))
                fy = settled(add(slanting, more_down))
                if i == n and j == last:
                    fm, fx, fy = certain, certain, certain
                if j == virtual or (i == 0 and mode == FITTING):
                    fx = none
                if j == virtual and i > 0:
                    end = fm
                q = cell_at + u * 3 * pitch
                pm, px = get(cells, np.uint32(q)), get(cells, np.uint32(q + pitch))
                py = get(cells, np.uint32(q + 2 * pitch))
                share = per_total if active else zero
                spot = spot_of(strip, u)
                value = square.tile[spot]
                pair = flow(pm, fm, share, total_k, total_d)
                if not value > -math.inf:
                    pair = zero
                part += mass(pair) * max(mass(value * scaling[0]), void_bits)
                square.tile[spot] = pair
                into_0 = flow(pm, open_right, share, total_k, total_d)
                into_1 = flow(px, more_right, share, total_k, total_d)
                if ending:
                    share = zero
                into_2 = flow(add(pm, px), open_down, share, total_k, total_d)
                into_3 = flow(py, more_down, share, total_k, total_d)
                if general:
                    part += into_0 * beside[0][3] + into_1 * beside[1][3]
                    part += into_2 * open_y[3] + into_3 * extend_y[3]
                    flow_0, flow_1 = below_0 + into_0, below_1 + into_1
                    if active:
                        r, q = max(i, 1) - 1, max(min(j, m), 1) - 1
                        if j < m:
                            spend(out_0, forms, 0, b, r, j, rows, columns, into_0)
                            spend(out_1, forms, 1, b, r, j, rows, columns, into_1)
                            if i == first:
                                settle(out_0, forms, 0, b, j, columns, flow_0)
                                settle(out_1, forms, 1, b, j, columns, flow_1)
                        if i < n:
                            spend(out_2, forms, 2, b, i, q, rows, columns, into_2)
                            spend(out_3, forms, 3, b, i, q, rows, columns, into_3)
                    sync()
                part_0, part_1 = part_0 + mass(into_0), part_1 + mass(into_1)
                part_2, part_3 = part_2 + mass(into_2), part_3 + mass(into_3)
                slanting, right, drop = next_slanting, fx, fy
                onto = settled(times(fm, weighed(call, strip, value, scaling[0], scaling[1], j)))
                if lane == 0:
                    p = np.uint32(strip.leave_at + WORDS * u)
                    put(square.edges, p, fy)
                    put(square.edges, np.uint32(p + np.uint32(1)), onto)
                    if general:
                        square.edges.f[np.uint32(p + np.uint32(2))] = flow_0
                        square.edges.f[np.uint32(p + np.uint32(3))] = flow_1
            spent[np.uint32(spent_at)] += np.float64(part_0)
            spent[np.uint32(spent_at + lanes)] += np.float64(part_1)
            spent[np.uint32(spent_at + 2 * lanes)] += np.float64(part_2)
            spent[np.uint32(spent_at + 3 * lanes)] += np.float64(part_3)
            spent[np.uint32(spent_at + 4 * lanes)] += np.float64(part)
            sync()
            store_tile(call, strip, square.tile, answers.gradient, c)
            j = first + c * depth + lane
            if lane < depth and j <= last:
                keep_edge(
                    store.back, row_of(call, here), j, strip.leave_at, lane, square.edges, general
                )
            if c > 0:
                tell(progress, here, base + strip.squares - c, lane)
        settle_sums(call, strip, store, spent, spent_at, answers)

    return Walks(down, up)

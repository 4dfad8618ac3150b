"""Soft alignment on a GPU: scores, gradients and their tangents in one launch.

A warp marches along a strip of `LANES` rows, lane r one column behind lane r - 1: what stands left
of a cell is in the lane's registers, what stands above comes from the lane before, and the row
above the strip was written to memory by the warp of the strip above. Warps draw strips from one
counter, the first strips of all pairs, then the second ones, and so on, and a strip waits for the
one above where that has not come far enough. Since a warp finishes what it drew and everything that
a strip waits for was drawn before it, none waits for ever, whatever the size of the grid; pairs of
any length share the machine, and a single long pair is spread over all of it.

Strips are walked in squares of `depth` steps. The forward pass keeps what enters a square, and the
backward pass recomputes it into shared memory before it walks the square in reverse, so that the
memory is some bytes a cell, whatever the table holds.

Rows and columns are those of the grid in `_reference`, where row and column 0 lie before the first
pair; local mode, where nothing passes through them, leaves them out. Beyond the last column stands
a virtual one, through which alignments end: its m is the sum of the row's m, its y goes down at no
cost (local) or at that of skipped rows (fitting). The total is then m + x + y of the last cell in
each of the modes.

States are `_numbers`, a mantissa and an exponent each, with the recurrences of `_recurrence`, where
a smooth maximum is a sum. Tangents are those of the states' logarithms.
"""

import functools
import math

import numpy as np
from numba import cuda

from fastsw._cuda._device import (
    LANES,
    SIMULATED,
    device,
    fetch_add,
    fma_double,
    from_above,
    from_below,
    from_lane,
    load_acquire,
    pause,
    store_release,
    sync,
)
from fastsw._cuda._numbers import DIGITS, SUM, numbers
from fastsw._cuda._pairs import (
    BY_COLUMN,
    BY_ROW,
    FORM_BITS,
    LN2,
    LOG2E,
    LOG2E_REST,
    NUMBER,
    POISONED,
    SCORE,
    SOUND,
    TANGENT,
    UNSAFE,
    at,
    fill,
    own_pair,
    penalty,
    poison_penalty,
    sides,
    void_pair,
)
from fastsw._reference import FITTING, GLOBAL, LOCAL

#: Steps between two exchanges with other strips.
DEPTH = 3 if SIMULATED else 8

#: Sums over a strip: the flows of four penalties, and the mean score.
SUMS = 5

#: Numbers in a record of a boundary row; the last two are flows, without exponents.
WORDS = 4


def warps(bits: int) -> int:
    """Warps of a block, by what fits into 48 KiB of shared memory."""
    if SIMULATED:
        return 1
    return 4 if bits == 32 else 2


@functools.cache
def align_kernel(bits: int, *, general: bool, second: bool):
    """Give the kernel function of one variant.

    Parameters
    ----------
    bits : {32, 64}
        Precision of the mantissas.
    general : bool
        Whether penalties of columns may differ by row or column, and those of rows by column.
    second : bool
        Whether tangents are carried.
    """
    kind = numbers(bits)
    real, whole, nothing, void = kind.real, kind.whole, kind.nothing, kind.void
    power, normal, weight, split = kind.power, kind.normal, kind.weight, kind.split
    zero, one, origin = real(0), real(1), whole(0)
    free = one, origin, zero, zero
    lanes, depth, blocked = LANES, DEPTH, warps(bits)
    tile_size, cell_size = LANES * (DEPTH + 1), DEPTH * 3 * LANES
    single = bits == 32
    small = np.int32
    void_bits = real(void)
    tiles, cells, edges = blocked * tile_size, blocked * cell_size, blocked * DEPTH * WORDS
    spendings = blocked * SUMS * LANES
    dot_cells, dot_edges = (cells, edges) if second else (1, 1)

    @device
    def add(a, b):
        """Sum of two numbers, its mantissa not normalised, and its tangent."""
        k = max(a[1], b[1])
        fa, fb = a[0] * power(whole(a[1] - k)), b[0] * power(whole(b[1] - k))
        f, d = fa + fb, a[2]
        if second:
            d = (fa * a[2] + fb * b[2]) / f
        return f, k, d

    @device
    def times(a, b):
        """Product of two numbers."""
        return a[0] * b[0], whole(a[1] + b[1]), a[2] + b[2]

    @device
    def costs_at(penalties, b, i, j, n, m):
        """Weights of the four penalties of grid cell (i, j), their tangents and their bits."""
        pointers, given, forms, dots, unit, inverse, rows, columns = penalties
        r, c = max(min(i, n), 1) - 1, max(min(j, m), 1) - 1
        t0 = -unit * penalty(pointers[0], given[0], forms, 0, b, r, c, rows, columns)
        t1 = -unit * penalty(pointers[1], given[1], forms, 1, b, r, c, rows, columns)
        t2 = -unit * penalty(pointers[2], given[2], forms, 2, b, r, c, rows, columns)
        t3 = -unit * penalty(pointers[3], given[3], forms, 3, b, r, c, rows, columns)
        f0, k0 = split(t0)
        f1, k1 = split(t1)
        f2, k2 = split(t2)
        f3, k3 = split(t3)
        d0, d1, d2, d3 = zero, zero, zero, zero
        if second:
            each = own_pair(forms)
            d0 = real(-inverse * dots[0][at(each, 0, b, r, c, rows, columns)])
            d1 = real(-inverse * dots[1][at(each, 1, b, r, c, rows, columns)])
            d2 = real(-inverse * dots[2][at(each, 2, b, r, c, rows, columns)])
            d3 = real(-inverse * dots[3][at(each, 3, b, r, c, rows, columns)])
        return (
            (f0, k0, d0, real(t0)),
            (f1, k1, d1, real(t1)),
            (f2, k2, d2, real(t2)),
            (f3, k3, d3, real(t3)),
        )

    @device
    def sound_costs(costs):
        """Whether none of the penalties is NaN or infinite."""
        total = abs(costs[0][3]) + abs(costs[1][3]) + abs(costs[2][3]) + abs(costs[3][3])
        return total < math.inf

    @device
    def reach_of(costs):
        """Largest magnitude of the penalties, in bits."""
        return max(max(abs(costs[0][3]), abs(costs[1][3])), max(abs(costs[2][3]), abs(costs[3][3])))

    @device
    def load_tile(similarity, tile, base, b, s, c, shape, first, lane):
        """Bring the similarities of a square into shared memory, skewed; -inf outside.

        Gives the largest finite magnitude seen by the lane, and whether it saw NaN or +inf.
        """
        n, m, rows, columns = shape
        top, bad = zero, False
        for e in range(depth):
            element = e * lanes + lane
            r, u = element // depth, element % depth
            i, j = first + s * lanes + r, first + c * depth + u - r
            value = real(-math.inf)
            if i >= 1 and i <= n and j >= 1 and j <= m:
                value = real(similarity[(b * rows + i - 1) * columns + j - 1])
                if not value < math.inf:
                    bad, value = True, real(-math.inf)
                if value > -math.inf:
                    top = max(top, abs(value))
            tile[np.uint32(base + r * (depth + 1) + u)] = value
        return top, bad

    @device
    def advance(mode, i, j, virtual, start, state, diagonal, up, cell, costs, ended):
        """States of a cell from those of its neighbours, and the diagonal of the next."""
        left_m, left_x = state[0:3], state[3:6]
        opened, skipped = up[0:3], up[3:6]  # m + x, and y
        last = j == virtual
        # m: every state of the cell before, and the start.
        k = max(diagonal[1], start)
        before = diagonal[0] * power(whole(diagonal[1] - k))
        fm = before + power(whole(start - k))
        dm = zero
        if second:
            dm = cell[2] + before * diagonal[2] / fm
        fm, km = normal(cell[0] * fm, whole(k + cell[1]))
        # x
        fx, kx, dx = add(times(left_m, costs[0]), times(left_x, costs[1]))
        fx, kx = normal(fx, kx)
        # y; down the virtual column of local mode at no cost
        open_y, extend_y = costs[2], costs[3]
        if last and mode == LOCAL:
            open_y, extend_y = free, free
        fy, ky, dy = add(times(opened, open_y), times(skipped, extend_y))
        fy, ky = normal(fy, ky)
        if last:
            fm, km, dm = ended
            fx, kx, dx = one, nothing, zero
        if i == 0 and j >= 0 and (mode == FITTING or (mode == GLOBAL and j == 0)):
            fm, km, dm = one, origin, zero
            fx, kx, dx = one, nothing, zero
            fy, ky, dy = one, nothing, zero
        return (fm, km, dm, fx, kx, dx, fy, ky, dy), add(opened, skipped)

    @device
    def neighbours_above(top, entered_f, entered_k, entered_d, base, u, lane):
        """(m + x, y) of the cell above, from the lane before or the strip above."""
        fa, ka, da, fy, ky, dy = top
        fa, ka = from_above(fa, lane), from_above(ka, lane)
        fy, ky = from_above(fy, lane), from_above(ky, lane)
        if second:
            da, dy = from_above(da, lane), from_above(dy, lane)
        if lane == 0:
            p = np.uint32(base + WORDS * u)
            q = np.uint32(base + WORDS * u + 1)
            fa, ka, fy, ky = entered_f[p], entered_k[p], entered_f[q], entered_k[q]
            if second:
                da, dy = entered_d[p], entered_d[q]
        return fa, ka, da, fy, ky, dy

    @device
    def load_edge(edge_f, edge_k, edge_d, row, j, there, base, lane, f, k, d, flows):
        """Bring one record of a boundary row into shared memory; nothing where there is none."""
        for w in range(2):
            p = np.uint32(base + WORDS * lane + w)
            f[p], k[p] = one, nothing
            if second:
                d[p] = zero
            if there:
                record = (row + j) * WORDS + w
                f[p], k[p] = edge_f[record], edge_k[record]
                if second:
                    d[p] = edge_d[record]
        if flows:
            for w in range(2, WORDS):
                f[np.uint32(base + WORDS * lane + w)] = (
                    edge_f[(row + j) * WORDS + w] if there else zero
                )

    @device
    def keep_edge(edge_f, edge_k, edge_d, row, j, base, lane, f, k, d, flows):
        """Write one record of a boundary row to memory."""
        for w in range(2):
            p, record = np.uint32(base + WORDS * lane + w), (row + j) * WORDS + w
            edge_f[record], edge_k[record] = f[p], k[p]
            if second:
                edge_d[record] = d[p]
        if flows:
            for w in range(2, WORDS):
                edge_f[(row + j) * WORDS + w] = f[np.uint32(base + WORDS * lane + w)]

    @device
    def wait(flags, index, needed, lane):
        """Wait until another strip has come as far as needed."""
        if lane == 0:
            while load_acquire(flags, index) < needed:
                pause()
        sync()

    @device
    def tell(flags, index, done, lane):
        """Publish how far this strip has come."""
        sync()
        if lane == 0:
            store_release(flags, index, np.int32(done))

    @device
    def lane_sum(value, lane):
        """Sum over the lanes, in an order that does not depend on the lane."""
        step = 1
        while step < lanes:
            value += from_lane(value, lane, lane ^ step)
            step *= 2
        return value

    @device
    def lane_or(value, lane):
        """Bits set in any lane."""
        step = 1
        while step < lanes:
            value |= from_lane(value, lane, lane ^ step)
            step *= 2
        return value

    @device
    def flow(a, b, scale, total_k, total_d):
        """Share of the total that passes through prefix a and suffix b, or its tangent."""
        p = a[0] * b[0] * scale * power(min(whole(whole(a[1] + b[1]) + total_k), whole(2)))
        if second:
            p *= a[2] + b[2] - total_d
        return p

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

    def align(
        similarity,
        open_x,
        extend_x,
        open_y,
        extend_y,
        number_0,
        number_1,
        number_2,
        number_3,
        number_4,
        forms,
        temperatures,
        lengths,
        pairs,
        rows,
        columns,
        mode,
        want,
        dot_similarity,
        dot_0,
        dot_1,
        dot_2,
        dot_3,
        follows,
        earlier,
        control,
        status,
        down_done,
        up_done,
        totals,
        sums,
        edge_f,
        edge_k,
        edge_d,
        back_f,
        back_k,
        back_d,
        kept_f,
        kept_k,
        kept_d,
        ends_f,
        ends_k,
        ends_d,
        score,
        slope,
        gradient,
        out_0,
        out_1,
        out_2,
        out_3,
    ):
        tile_ = cuda.shared.array(tiles, real)
        cell_f = cuda.shared.array(cells, real)
        cell_k = cuda.shared.array(cells, whole)
        cell_d = cuda.shared.array(dot_cells, real)
        in_f = cuda.shared.array(edges, real)
        in_k = cuda.shared.array(edges, whole)
        in_d = cuda.shared.array(dot_edges, real)
        below_f = cuda.shared.array(edges, real)
        below_k = cuda.shared.array(edges, whole)
        below_d = cuda.shared.array(dot_edges, real)
        leave_f = cuda.shared.array(edges, real)
        leave_k = cuda.shared.array(edges, whole)
        leave_d = cuda.shared.array(dot_edges, real)
        spent_ = cuda.shared.array(spendings, np.float64)
        lane = np.int32(cuda.threadIdx.x) % np.int32(lanes)
        warp = np.int32(cuda.threadIdx.x) // np.int32(lanes)
        tile_at, cell_at, edge_at = warp * tile_size, warp * cell_size, warp * (depth * WORDS)

        temperature = number_4
        if (forms >> (FORM_BITS * 4)) & NUMBER == 0:
            temperature = temperatures[0]
        if temperature == 0.0:
            return
        if follows != 0 and earlier[0] == 0:
            return
        valid = temperature > 0.0 and temperature < math.inf
        if not valid:
            temperature = 1.0
        inverse = 1.0 / temperature
        unit = LOG2E / temperature
        remainder = (fma_double(-unit, temperature, LOG2E) + LOG2E_REST) / temperature
        high = real(unit)
        rest = real(unit - np.float64(high) + remainder)
        offset = 0 if mode != LOCAL else 1
        strips = max((rows + 1 - offset + lanes - 1) // lanes, 1)
        tickets = pairs * strips
        width = columns + 2
        squares_max = (columns + 2 + lanes - 1 + depth - 1) // depth
        start = origin if mode == LOCAL else nothing
        penalties = (
            (open_x, extend_x, open_y, extend_y),
            (number_0, number_1, number_2, number_3),
            forms,
            (dot_0, dot_1, dot_2, dot_3),
            unit,
            inverse,
            rows,
            columns,
        )
        phases = 1 if want == SCORE else 2

        while True:
            ticket = np.int32(0)
            if lane == 0:
                ticket = np.int32(fetch_add(control, 0, np.int32(1)))
            ticket = from_lane(ticket, lane, np.int32(0))
            if ticket >= tickets * phases:
                break
            upward = ticket >= tickets
            order = ticket - tickets if upward else ticket
            s = order // pairs
            b = order - s * pairs
            if upward:
                s = strips - 1 - s
            if follows != 0 and earlier[1 + b] != UNSAFE:
                continue
            n, m, fit = sides(forms >> (FORM_BITS * 4), lengths, b, rows, columns)
            fit = fit and valid
            first = offset
            shape = n, m, rows, columns
            empty = n == 0 or m == 0
            strip_count = (n + 1 - first + lanes - 1) // lanes
            if empty:
                if upward:
                    fill(gradient, 0.0, b, s, shape, first, lane, True)
                if s == 0 and lane == 0 and upward == (phases == 2):
                    if fit:
                        outputs = out_0, out_1, out_2, out_3
                        void_pair(mode, penalties, b, n, m, want, score, slope, outputs)
                    else:
                        score[b], slope[b] = math.nan, math.nan
                if upward and not fit:
                    poison_penalty(out_0, forms, 0, b, s, strips, lane, rows, columns)
                    poison_penalty(out_1, forms, 1, b, s, strips, lane, rows, columns)
                    poison_penalty(out_2, forms, 2, b, s, strips, lane, rows, columns)
                    poison_penalty(out_3, forms, 3, b, s, strips, lane, rows, columns)
                continue
            if s >= strip_count:
                if upward:
                    fill(gradient, 0.0, b, s, shape, first, lane, False)
                continue

            # Counters of the inner loops are 32 bits wide, as registers are.
            n, m, first = small(n), small(m), small(first)
            virtual = small(m + 1) if mode != GLOBAL else small(-(2**30))
            last = m if mode == GLOBAL else small(m + 1)
            i = small(first + s * lanes + lane)
            squares = (last - first + 1 + lanes - 1 + depth - 1) // depth
            here = b * strips + s
            row_in, row_out = (here - 1) * width, here * width
            kept_at = here * squares_max
            end_at = here * lanes + lane
            costs = costs_at(penalties, b, i, small(1), n, m)
            none = one, nothing, zero
            state = one, nothing, zero, one, nothing, zero, one, nothing, zero
            top = one, nothing, zero, one, nothing, zero
            diagonal = none

            if not upward:
                largest, bad = zero, not fit
                reach = zero
                if not general:
                    bad = bad or not sound_costs(costs)
                    reach = reach_of(costs)
                run_f, run_k, run_d = none
                for c in range(squares):
                    if s > 0:
                        ahead = (depth * c + depth - 1 + lanes - 1) // depth + 1
                        wait(down_done, here - 1, min(ahead, squares), lane)
                    seen, wrong = load_tile(similarity, tile_, tile_at, b, s, c, shape, first, lane)
                    largest, bad = max(largest, seen), bad or wrong
                    j = first + c * depth + lane
                    if lane < depth:
                        there = s > 0 and j <= last
                        load_edge(
                            edge_f,
                            edge_k,
                            edge_d,
                            row_in,
                            j,
                            there,
                            edge_at,
                            lane,
                            in_f,
                            in_k,
                            in_d,
                            False,
                        )
                    if want != SCORE:
                        p = ((kept_at + c) * 4) * lanes + lane
                        kept_f[p], kept_k[p] = state[0], state[1]
                        kept_f[p + lanes], kept_k[p + lanes] = state[3], state[4]
                        kept_f[p + 2 * lanes], kept_k[p + 2 * lanes] = state[6], state[7]
                        kept_f[p + 3 * lanes], kept_k[p + 3 * lanes] = diagonal[0], diagonal[1]
                        if second:
                            kept_d[p], kept_d[p + lanes] = state[2], state[5]
                            kept_d[p + 2 * lanes], kept_d[p + 3 * lanes] = state[8], diagonal[2]
                    sync()
                    sum_f, sum_k, sum_d = none
                    column = small(first + c * depth - lane)
                    for u in range(depth):
                        j = small(column + small(u))
                        up = neighbours_above(top, in_f, in_k, in_d, edge_at, u, lane)
                        value = tile_[np.uint32(tile_at + lane * (depth + 1) + u)]
                        fw, kw = weight(value, high, rest)
                        dw = zero
                        if second and value > -math.inf:
                            p = (b * rows + i - 1) * columns + j - 1
                            dw = real(inverse * dot_similarity[p])
                        if general:
                            costs = costs_at(penalties, b, i, j, n, m)
                            if i <= n and j >= first and j <= last:
                                bad = bad or not sound_costs(costs)
                                reach = max(reach, reach_of(costs))
                        ended = none
                        if j == virtual:
                            ef, ek, ed = add((run_f, run_k, run_d), (sum_f, sum_k, sum_d))
                            ef, ek = normal(ef, ek)
                            if i == 0:
                                ef, ek, ed = one, origin, zero
                            ended = ef, ek, ed
                            if want != SCORE and i <= n:
                                ends_f[end_at], ends_k[end_at] = ef, ek
                                if second:
                                    ends_d[end_at] = ed
                        state, diagonal = advance(
                            mode,
                            i,
                            j,
                            virtual,
                            start,
                            state,
                            diagonal,
                            up,
                            (fw, kw, dw),
                            costs,
                            ended,
                        )
                        fm, km, dm, fx, kx, dx, fy, ky, dy = state
                        fa, ka, da = add((fm, km, dm), (fx, kx, dx))
                        top = fa, ka, da, fy, ky, dy
                        sum_f, sum_k, sum_d = add((sum_f, sum_k, sum_d), (fm, km, dm))
                        if lane == lanes - 1:
                            p = np.uint32(edge_at + WORDS * u)
                            q = np.uint32(edge_at + WORDS * u + 1)
                            leave_f[p], leave_k[p] = fa, ka
                            leave_f[q], leave_k[q] = fy, ky
                            if second:
                                leave_d[p], leave_d[q] = da, dy
                        if i == n and j == last:
                            tf, tk, td = add((fa, ka, da), (fy, ky, dy))
                            tf, tk = normal(tf, tk)
                            totals[3 * b] = np.float64(tf)
                            totals[3 * b + 1] = np.float64(tk)
                            totals[3 * b + 2] = np.float64(td)
                    run_f, run_k, run_d = add((run_f, run_k, run_d), (sum_f, sum_k, sum_d))
                    run_f, run_k = normal(run_f, run_k)
                    sync()
                    j = first + c * depth + lane - (lanes - 1)
                    if lane < depth and j >= first and j <= last:
                        keep_edge(
                            edge_f, edge_k, edge_d, row_out, j, edge_at, lane, leave_f, leave_k,
                            leave_d, False,
                        )  # fmt: skip
                    if c < squares - 1:
                        tell(down_done, here, c + 1, lane)
                flags = np.int32(1) if bad else np.int32(0)
                if single:
                    bits_ = np.float64(largest) * unit
                    bound = (bits_ + np.float64(reach)) * np.float64(n + m + 4)
                    if not (bits_ <= DIGITS and bound <= SUM):
                        flags |= np.int32(2)
                flags = lane_or(flags, lane)
                if lane == 0:
                    if s > 0:
                        flags |= status[pairs + here]
                    status[1 + pairs + here] = flags
                    if s == strip_count - 1:
                        found = SOUND
                        if flags & 1:
                            found = POISONED
                        elif flags & 2:
                            found = UNSAFE
                            fetch_add(status, 0, np.int32(1))
                        status[1 + b] = found
                        tf, tk, td = totals[3 * b], totals[3 * b + 1], totals[3 * b + 2]
                        if found == POISONED:
                            score[b] = math.nan
                        elif want == TANGENT:
                            score[b] = temperature * td if tk > void else 0.0
                        elif tk > void:
                            score[b] = temperature * LN2 * (tk + math.log2(tf))
                        else:
                            score[b] = -math.inf
                        slope[b] = 0.0
                tell(down_done, here, squares, lane)
                continue

            wait(down_done, b * strips + strip_count - 1, squares, lane)
            found = status[1 + b]
            if found != SOUND:
                if found == POISONED:
                    fill(gradient, math.nan, b, s, shape, first, lane, True)
                    poison_penalty(out_0, forms, 0, b, s, strip_count, lane, rows, columns)
                    poison_penalty(out_1, forms, 1, b, s, strip_count, lane, rows, columns)
                    poison_penalty(out_2, forms, 2, b, s, strip_count, lane, rows, columns)
                    poison_penalty(out_3, forms, 3, b, s, strip_count, lane, rows, columns)
                    if s == 0 and lane == 0:
                        slope[b] = math.nan
                continue
            impossible = totals[3 * b + 1] <= void
            fill(gradient, 0.0, b, s, shape, first, lane, impossible)
            if impossible:
                continue
            per_total = real(1.0 / totals[3 * b])
            total_k, total_d = whole(totals[3 * b + 1]), real(totals[3 * b + 2])
            total_k = whole(-total_k)
            row_below = (here + 1) * width
            end_f, end_k, end_d = none
            # Sums of all squares, in shared memory: they are needed once a square.
            spent_at = warp * (SUMS * lanes) + lane
            for q in range(SUMS):
                spent_[np.uint32(spent_at + q * lanes)] = 0.0
            right = none  # x_suffix of (i, j + 1)
            onto = none  # s + m_suffix of (i, j), which the lane before asks for
            drop = none  # y_suffix of (i, j), likewise
            slanting = none  # s + m_suffix of (i + 1, j + 1)
            flow_0, flow_1 = zero, zero  # flows into this column, from this row down
            ended = none
            if mode != GLOBAL and i <= n:
                ended = ends_f[end_at], ends_k[end_at], zero
                if second:
                    ended = ends_f[end_at], ends_k[end_at], ends_d[end_at]
            costs_below = costs_at(penalties, b, small(i + 1), small(1), n, m)
            for c in range(squares - 1, -1, -1):
                if s < strip_count - 1:
                    behind = depth * c - (lanes - 1)
                    done = squares - max(behind, 0) // depth
                    wait(up_done, here + 1, min(done, squares), lane)
                load_tile(similarity, tile_, tile_at, b, s, c, shape, first, lane)
                if lane < depth:
                    j = first + c * depth + lane
                    there = s > 0 and j <= last
                    load_edge(
                        edge_f,
                        edge_k,
                        edge_d,
                        row_in,
                        j,
                        there,
                        edge_at,
                        lane,
                        in_f,
                        in_k,
                        in_d,
                        False,
                    )
                    j = first + c * depth + lane - (lanes - 1)
                    there = s < strip_count - 1 and j >= first and j <= last
                    load_edge(
                        back_f, back_k, back_d, row_below, j, there, edge_at, lane, below_f,
                        below_k, below_d, general,
                    )  # fmt: skip
                p = ((kept_at + c) * 4) * lanes + lane
                dm, dx, dy, dp = zero, zero, zero, zero
                if second:
                    dm, dx = kept_d[p], kept_d[p + lanes]
                    dy, dp = kept_d[p + 2 * lanes], kept_d[p + 3 * lanes]
                fm, km, fx, kx = kept_f[p], kept_k[p], kept_f[p + lanes], kept_k[p + lanes]
                fy, ky = kept_f[p + 2 * lanes], kept_k[p + 2 * lanes]
                state = fm, km, dm, fx, kx, dx, fy, ky, dy
                diagonal = kept_f[p + 3 * lanes], kept_k[p + 3 * lanes], dp
                sync()
                column = small(first + c * depth - lane)
                for u in range(depth):
                    j = small(column + small(u))
                    fa, ka, da = add(state, (state[3], state[4], state[5]))
                    top = fa, ka, da, state[6], state[7], state[8]
                    up = neighbours_above(top, in_f, in_k, in_d, edge_at, u, lane)
                    value = tile_[np.uint32(tile_at + lane * (depth + 1) + u)]
                    fw, kw = weight(value, high, rest)
                    dw = zero
                    if second and value > -math.inf:
                        p = (b * rows + i - 1) * columns + j - 1
                        dw = real(inverse * dot_similarity[p])
                    if general:
                        costs = costs_at(penalties, b, i, j, n, m)
                    state, diagonal = advance(
                        mode, i, j, virtual, start, state, diagonal, up, (fw, kw, dw), costs, ended
                    )
                    p = np.uint32(cell_at + u * 3 * lanes + lane)
                    x_at, y_at = (
                        np.uint32(p + np.uint32(lanes)),
                        np.uint32(p + np.uint32(2 * lanes)),
                    )
                    cell_f[p], cell_k[p] = state[0], state[1]
                    (
                        cell_f[x_at],
                        cell_k[x_at],
                    ) = state[3], state[4]
                    (
                        cell_f[y_at],
                        cell_k[y_at],
                    ) = state[6], state[7]
                    if second:
                        cell_d[p], cell_d[x_at] = state[2], state[5]
                        cell_d[y_at] = state[8]
                part_0, part_1, part_2, part_3, part = zero, zero, zero, zero, zero
                for v in range(depth):
                    u = small(small(depth - 1) - small(v))
                    j = small(column + u)
                    active = i <= n and j >= first and j <= last
                    gf, gk, gd = onto
                    hf, hk, hd = drop
                    down_f, down_k = from_below(hf, lane), from_below(hk, lane)
                    next_f, next_k = from_below(gf, lane), from_below(gk, lane)
                    down_d, next_d = zero, zero
                    if second:
                        down_d, next_d = from_below(hd, lane), from_below(gd, lane)
                    below_0, below_1 = zero, zero
                    if general:
                        below_0, below_1 = from_below(flow_0, lane), from_below(flow_1, lane)
                    if lane == lanes - 1:
                        p = np.uint32(edge_at + WORDS * u)
                        q = np.uint32(edge_at + WORDS * u + 1)
                        down_f, down_k = below_f[p], below_k[p]
                        next_f, next_k = below_f[q], below_k[q]
                        if second:
                            down_d, next_d = below_d[p], below_d[q]
                        if general:
                            below_0 = below_f[np.uint32(edge_at + WORDS * u + 2)]
                            below_1 = below_f[np.uint32(edge_at + WORDS * u + 3)]
                    beside = costs
                    if general:
                        beside = costs_at(penalties, b, i, small(j + 1), n, m)
                        costs_below = costs_at(penalties, b, small(i + 1), j, n, m)
                    open_right = times(right, beside[0])
                    more_right = times(right, beside[1])
                    oy, ey = costs_below[2], costs_below[3]
                    ending = j == virtual and mode == LOCAL
                    if ending:
                        oy, ey = free, free
                    open_down = times((down_f, down_k, down_d), oy)
                    more_down = times((down_f, down_k, down_d), ey)
                    mf, mk, md = add(
                        add(slanting, (end_f, end_k, end_d)), add(open_right, open_down)
                    )
                    xf, xk, xd = add(add(slanting, open_down), more_right)
                    yf, yk, yd = add(slanting, more_down)
                    mf, mk = normal(mf, mk)
                    xf, xk = normal(xf, xk)
                    yf, yk = normal(yf, yk)
                    if i == n and j == last:
                        mf, mk, md = one, origin, zero
                        xf, xk, xd = one, origin, zero
                        yf, yk, yd = one, origin, zero
                    if j == virtual or (i == 0 and mode == FITTING):
                        xf, xk, xd = none
                    if j == virtual and i > 0:
                        end_f, end_k, end_d = mf, mk, md
                    p = np.uint32(cell_at + u * 3 * lanes + lane)
                    x_at, y_at = (
                        np.uint32(p + np.uint32(lanes)),
                        np.uint32(p + np.uint32(2 * lanes)),
                    )
                    fm, km, fx, kx = (
                        cell_f[p],
                        cell_k[p],
                        cell_f[x_at],
                        cell_k[x_at],
                    )
                    fy, ky = (
                        cell_f[y_at],
                        cell_k[y_at],
                    )
                    dm, dx, dy = zero, zero, zero
                    if second:
                        dm, dx, dy = (
                            cell_d[p],
                            cell_d[x_at],
                            cell_d[y_at],
                        )
                    scale = per_total if active else zero
                    spot = np.uint32(tile_at + lane * (depth + 1) + u)
                    value = tile_[spot]
                    fw, kw = weight(value, high, rest)
                    dw = zero
                    if second and value > -math.inf:
                        q = (b * rows + i - 1) * columns + j - 1
                        dw = real(inverse * dot_similarity[q])
                    pair = flow((fm, km, dm), (mf, mk, md), scale, total_k, total_d)
                    if not value > -math.inf:
                        pair = zero
                    bits_ = max(value * high, void_bits)
                    part += pair * bits_
                    tile_[spot] = pair
                    into_0 = flow((fm, km, dm), open_right, scale, total_k, total_d)  # fmt: skip
                    into_1 = flow((fx, kx, dx), more_right, scale, total_k, total_d)  # fmt: skip
                    if ending:
                        scale = zero
                    fa, ka, da = add((fm, km, dm), (fx, kx, dx))
                    into_2 = flow((fa, ka, da), open_down, scale, total_k, total_d)
                    into_3 = flow((fy, ky, dy), more_down, scale, total_k, total_d)  # fmt: skip
                    if general:
                        part += into_0 * beside[0][3] + into_1 * beside[1][3]
                        part += into_2 * oy[3] + into_3 * ey[3]
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
                    part_0, part_1 = part_0 + into_0, part_1 + into_1
                    part_2, part_3 = part_2 + into_2, part_3 + into_3
                    slanting = next_f, next_k, next_d
                    right, drop = (xf, xk, xd), (yf, yk, yd)
                    gf, gk, gd = times((mf, mk, md), (fw, kw, dw))
                    gf, gk = normal(gf, gk)
                    onto = gf, gk, gd
                    if lane == 0:
                        p = np.uint32(edge_at + WORDS * u)
                        q = np.uint32(edge_at + WORDS * u + 1)
                        leave_f[p], leave_k[p] = yf, yk
                        leave_f[q], leave_k[q] = gf, gk
                        if second:
                            leave_d[p], leave_d[q] = yd, gd
                        if general:
                            leave_f[np.uint32(edge_at + WORDS * u + 2)] = flow_0
                            leave_f[np.uint32(edge_at + WORDS * u + 3)] = flow_1
                spent_[np.uint32(spent_at)] += np.float64(part_0)
                spent_[np.uint32(spent_at + lanes)] += np.float64(part_1)
                spent_[np.uint32(spent_at + 2 * lanes)] += np.float64(part_2)
                spent_[np.uint32(spent_at + 3 * lanes)] += np.float64(part_3)
                spent_[np.uint32(spent_at + 4 * lanes)] += np.float64(part)
                sync()
                for e in range(depth):
                    element = e * lanes + lane
                    r, u = element // depth, element % depth
                    k, j = first + s * lanes + r, first + c * depth + u - r
                    if k >= 1 and k <= n and j >= 1 and j <= m:
                        p = np.uint32(tile_at + r * (depth + 1) + u)
                        gradient[(b * rows + k - 1) * columns + j - 1] = tile_[p]
                j = first + c * depth + lane
                if lane < depth and j <= last:
                    keep_edge(
                        back_f, back_k, back_d, here * width, j, edge_at, lane, leave_f, leave_k,
                        leave_d, general,
                    )  # fmt: skip
                if c > 0:
                    tell(up_done, here, squares - c, lane)
            sum_0, sum_1 = spent_[np.uint32(spent_at)], spent_[np.uint32(spent_at + lanes)]
            sum_2 = spent_[np.uint32(spent_at + 2 * lanes)]
            sum_3 = spent_[np.uint32(spent_at + 3 * lanes)]
            mean = spent_[np.uint32(spent_at + 4 * lanes)]
            if not general:
                spent = costs_at(penalties, b, small(i + 1), small(1), n, m)
                mean += sum_0 * np.float64(spent[0][3]) + sum_1 * np.float64(spent[1][3])
                mean += sum_2 * np.float64(spent[2][3]) + sum_3 * np.float64(spent[3][3])
            if i < n:
                by_row(out_2, forms, 2, b, i, rows, sum_2)
                by_row(out_3, forms, 3, b, i, rows, sum_3)
            sum_0, sum_1 = lane_sum(sum_0, lane), lane_sum(sum_1, lane)
            sum_2, sum_3 = lane_sum(sum_2, lane), lane_sum(sum_3, lane)
            mean = lane_sum(mean, lane)
            if lane == 0:
                if s < strip_count - 1:
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
                    if want == TANGENT:
                        slope[b] = -LN2 * mean
                    else:
                        log_total = totals[3 * b + 1] + math.log2(totals[3 * b])
                        slope[b] = LN2 * (log_total - mean)
            tell(up_done, here, squares, lane)

    return align

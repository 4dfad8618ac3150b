"""Alignment at temperature 0 on a GPU: best scores, and one best path by traceback.

One warp takes one pair, strip by strip, lane r one column behind lane r - 1, with the equations of
`_recurrence` in double precision; the first lane then traces a best path back. Ties are those of
the CPU: among equal ends the first in row-major order, among equal origins the first of start, M,
X, Y.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from fastsw import _recurrence
from fastsw._cuda.device import (
    LANES,
    SIMULATED,
    device,
    from_above,
    from_lane,
    sync,
)
from fastsw._cuda.kernels.answers import empty_pair, fill, fill_penalties
from fastsw._cuda.kernels.penalties import (
    FORM_BITS,
    Penalties,
    at,
    own_pair,
    penalties_at,
    sides,
    temperature_of,
)
from fastsw._cuda.kernels.strip import lane_of, lane_or, next_item
from fastsw._types import FITTING, GLOBAL, LOCAL, SCORE

START, M, X, Y = 0, 1, 2, 3

#: Warps of a block.
WARPS = 1 if SIMULATED else 4

NOWHERE = -math.inf

best_forward = _recurrence.hard_forward.py_func if SIMULATED else _recurrence.hard_forward


class Viterbi(NamedTuple):
    """What the passes need of a launch."""

    similarity: Any
    penalties: Penalties
    mode: Any
    want: Any
    rows: Any
    columns: Any
    boundary: Any  # [pairs, columns + 1, 3], the row between two strips
    trailing: Any  # [pairs, rows + 1], what the rows behind a row's last pair add
    origins: Any  # [pairs, rows + 1, columns + 1]


@device
def count_gap(out, forms, which, b, r, c, rows, columns):
    """Count a penalty once."""
    out[at(own_pair(forms), which, b, r, c, rows, columns)] -= 1.0


@device
def follow_origins(origins, penalties, mode, b, n, m, end, pairs, outputs):
    """Trace a path back from an end; how many pairs it has, the last rows of `pairs`."""
    forms, rows, columns = penalties.forms, penalties.rows, penalties.columns
    gradient, out_0, out_1, out_2, out_3 = outputs
    i, j, state = end
    if mode == FITTING:
        for r in range(i, n):
            if r == i:
                count_gap(out_2, forms, 2, b, r, m - 1, rows, columns)
            else:
                count_gap(out_3, forms, 3, b, r, m - 1, rows, columns)
    count, size = 0, min(rows, columns)
    while state != START and not (i == 0 and (mode == FITTING or j == 0)):
        r, c = max(i, 1) - 1, max(j, 1) - 1
        origin = origins[(b * (rows + 1) + i) * (columns + 1) + j]
        if state == M:
            count += 1
            place = 2 * (b * size + size - count)
            pairs[place], pairs[place + 1] = i - 1, j - 1
            gradient[(b * rows + i - 1) * columns + j - 1] = 1.0
            state = origin & 3
            i, j = i - 1, j - 1
        elif state == X:
            state = (origin >> 2) & 3
            if state == M:
                count_gap(out_0, forms, 0, b, r, c, rows, columns)
            else:
                count_gap(out_1, forms, 1, b, r, c, rows, columns)
            j -= 1
        else:
            state = (origin >> 4) & 3
            if state == Y:
                count_gap(out_3, forms, 3, b, r, c, rows, columns)
            else:
                count_gap(out_2, forms, 2, b, r, c, rows, columns)
            i -= 1
    return count


@device
def set_trailing(call, b, n, m, empty):
    """Write what rows behind the last pair add: gaps in fitting mode, nothing in the others."""
    ends, ends_at = call.trailing, b * (call.rows + 1)
    if call.mode != FITTING or empty:
        for i in range(n + 1):
            ends[ends_at + i] = 0.0
    else:
        extended = 0.0
        ends[ends_at + n] = 0.0
        for r in range(n):
            i = n - 1 - r
            cost = penalties_at(call.penalties, b, i + 1, m, n, m)
            ends[ends_at + i] = -cost[2] - extended
            extended += cost[3]


@device
def forward(call, b, n, m, lane):
    """Forward pass: whether all values are sound, and the best end in the lane's rows."""
    mode, want, rows, columns = call.mode, call.want, call.rows, call.columns
    above, ends, ends_at = call.boundary, call.trailing, b * (rows + 1)
    width = columns + 1
    sound = True
    best, best_i, best_j, best_state = NOWHERE, 0, 0, START
    for s in range((n + LANES) // LANES):
        i = s * LANES + lane
        left_m, left_x, left_y = NOWHERE, NOWHERE, NOWHERE
        diagonal_m, diagonal_x, diagonal_y = NOWHERE, NOWHERE, NOWHERE
        for t in range(m + LANES):
            j = t - lane
            up_m, up_x = from_above(left_m, lane), from_above(left_x, lane)
            up_y = from_above(left_y, lane)
            if lane == 0:
                up_m, up_x, up_y = NOWHERE, NOWHERE, NOWHERE
                if s > 0 and j <= m:
                    p = (b * width + j) * 3
                    up_m, up_x, up_y = above[p], above[p + 1], above[p + 2]
            sync()
            if i <= n and j >= 0 and j <= m:
                begins = i == 0 and (mode == FITTING or (mode == GLOBAL and j == 0))
                inner = i > 0 and j > 0
                cell = NOWHERE
                if inner:
                    cell = np.float64(call.similarity[(b * rows + i - 1) * columns + j - 1])
                    if not cell < math.inf:
                        sound, cell = False, NOWHERE
                cost = penalties_at(call.penalties, b, i, j, n, m)
                sound = sound and abs(cost[0]) + abs(cost[1]) < math.inf
                sound = sound and abs(cost[2]) + abs(cost[3]) < math.inf
                state, origin = best_forward(
                    cell,
                    0.0 if mode == LOCAL else NOWHERE,
                    (diagonal_m, diagonal_x, diagonal_y),
                    (left_m, left_x, left_y),
                    (up_m, up_x, up_y),
                    cost,
                )
                left_m, left_x, left_y = state
                if begins:
                    left_m, left_x, left_y = 0.0, NOWHERE, NOWHERE
                if want != SCORE:
                    call.origins[(b * (rows + 1) + i) * width + j] = (
                        origin[0] | (origin[1] << 2) | (origin[2] << 4)
                    )
                if inner and mode != GLOBAL:
                    ended = left_m + ends[ends_at + i]
                    if ended > best:
                        best, best_i, best_j, best_state = ended, i, j, M
                if mode == GLOBAL and i == n and j == m:
                    best, best_i, best_j, best_state = left_m, i, j, M
                    if left_x > best:
                        best, best_state = left_x, X
                    if left_y > best:
                        best, best_state = left_y, Y
                if lane == LANES - 1:
                    p = (b * width + j) * 3
                    above[p], above[p + 1], above[p + 2] = left_m, left_x, left_y
            diagonal_m, diagonal_x, diagonal_y = up_m, up_x, up_y
        sync()
    return sound, best, (best_i, best_j, best_state)


@device
def best_of_lanes(best, end, lane):
    """The best end of all lanes, the first in row-major order among equals."""
    best_i, best_j, best_state = end
    step = 1
    while step < LANES:
        other = from_lane(best, lane, lane ^ step)
        other_i = from_lane(np.int32(best_i), lane, lane ^ step)
        other_j = from_lane(np.int32(best_j), lane, lane ^ step)
        other_state = from_lane(np.int32(best_state), lane, lane ^ step)
        before = other_i < best_i or (other_i == best_i and other_j < best_j)
        if other > best or (other == best and before and other_state != START):
            best, best_i, best_j, best_state = other, other_i, other_j, other_state
        step *= 2
    return best, (best_i, best_j, best_state)


@functools.cache
def viterbi_kernel():
    """Give the kernel function; similarities may be float32 or float64."""
    lanes = LANES

    def viterbi(
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
        control,
        boundary,
        trailing,
        origins,
        score,
        slope,
        gradient,
        out_0,
        out_1,
        out_2,
        out_3,
        exact,
        path,
        counts,
    ):
        lane = lane_of(cuda.threadIdx.x)
        if temperature_of(forms, temperatures, number_4) != 0.0:
            return
        pointers = open_x, extend_x, open_y, extend_y
        numbers = number_0, number_1, number_2, number_3
        outputs = out_0, out_1, out_2, out_3
        penalties = Penalties(pointers, numbers, forms, pointers, 1.0, 1.0, rows, columns)
        call = Viterbi(
            similarity, penalties, mode, want, rows, columns, boundary, trailing, origins
        )
        strips = (rows + lanes) // lanes
        while True:
            b = next_item(control, 0, lane)
            if b >= pairs:
                break
            n, m, fit = sides(forms >> (FORM_BITS * 4), lengths, b, rows, columns)
            empty = n == 0 or m == 0
            if want != SCORE:
                for s in range(strips):
                    fill(gradient, 0.0, b, s, (n, m, rows, columns), 0, lane, True)
                zero = 0.0 if fit or not empty else math.nan
                fill_penalties(outputs, forms, b, zero, lane, lanes, (rows, columns, rows, columns))
                sync()
            if lane == 0:
                counts[b] = 0
                slope[b] = 0.0
                if empty and fit:
                    empty_pair(mode, penalties, b, n, m, want, exact, slope, outputs)
                    score[b] = exact[b]
                set_trailing(call, b, n, m, empty)
            sync()
            sound, best, end = fit, NOWHERE, (0, 0, START)
            if not empty:
                found, best, end = forward(call, b, n, m, lane)
                sound = sound and found
            bad = lane_or(np.int32(0) if sound else np.int32(1), lane)
            best, end = best_of_lanes(best, end, lane)
            if bad != 0:
                if lane == 0:
                    score[b], exact[b], slope[b] = math.nan, math.nan, math.nan
                if want != SCORE:
                    for s in range(strips):
                        fill(gradient, math.nan, b, s, (n, m, rows, columns), 0, lane, True)
                    shape = n, m, rows, columns
                    fill_penalties(outputs, forms, b, math.nan, lane, lanes, shape)
            elif not empty and lane == 0:
                ends_at = b * (rows + 1)
                if mode == FITTING and trailing[ends_at] > best:
                    best, end = trailing[ends_at], (0, m, START)
                score[b], exact[b] = best, best
                if want != SCORE and best > NOWHERE:
                    counts[b] = follow_origins(
                        origins, penalties, mode, b, n, m, end, path, (gradient, *outputs)
                    )
            sync()

    return viterbi

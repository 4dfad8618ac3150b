"""Robust traversal: float64, log space, any penalty, any range; slower than `_linear`.

A pair is walked in strips of rows. The forward pass keeps the row above each strip; the backward
pass recomputes a strip from that row before walking it in reverse, so memory grows with
(N / strip) * M and not with N * M. Rows and columns are those of the grid: row and column 0 lie
before the first pair.
"""

import math

import numpy as np

from fastsw._cpu._compile import helper, kernel
from fastsw._cpu._team import claim
from fastsw._recurrence import (
    NEG_INF,
    arrival_shares,
    backward,
    forward,
    share,
    smax2,
    suffix_shares,
)
from fastsw._reference import FITTING, GLOBAL, LOCAL, trailing_rows

IMPOSSIBLE = (NEG_INF, NEG_INF, NEG_INF)
ZEROS = (0.0, 0.0, 0.0)
NO_COST = (0.0, 0.0, 0.0, 0.0)


@helper
def entry(penalty, b, r, c):
    """Index of cell (r, c) of pair b in an array whose axes may have length 1."""
    return min(b, penalty.shape[0] - 1), min(r, penalty.shape[1] - 1), min(c, penalty.shape[2] - 1)


@helper
def penalties_at(penalties, b, i, j, inverse_temperature):
    """Scaled penalties of grid cell (i, j); a leading gap reads the first row or column."""
    r, c = max(i, 1) - 1, max(j, 1) - 1
    return (
        penalties[0][entry(penalties[0], b, r, c)] * inverse_temperature,
        penalties[1][entry(penalties[1], b, r, c)] * inverse_temperature,
        penalties[2][entry(penalties[2], b, r, c)] * inverse_temperature,
        penalties[3][entry(penalties[3], b, r, c)] * inverse_temperature,
    )


@helper
def mix(shares, tangents):
    """Weighted sum of three tangents."""
    return shares[0] * tangents[0] + shares[1] * tangents[1] + shares[2] * tangents[2]


@helper
def dot_penalties(dots, b, i, j, inverse_temperature, second):
    """Tangents of the scaled penalties, zero when only first derivatives are asked for."""
    if second:
        return penalties_at(dots, b, i, j, inverse_temperature)
    return 0.0, 0.0, 0.0, 0.0


@helper
def triple(table, i, j):
    """The three values of a cell."""
    return table[i, j, 0], table[i, j, 1], table[i, j, 2]


@helper
def forward_strip(problem, dots, b, shape, rows, above, above_dot, table, table_dot, total, second):
    """Prefix values of grid rows rows[0]..rows[1]-1 into table[1:], given row rows[0]-1.

    Row 0 of the table receives the row above. Returns the log of the sum over ends so far and its
    tangent; `second` says whether tangents are carried.
    """
    similarity, penalties, inverse_temperature, mode, trailing, trailing_dot = problem
    m = shape[1]
    log_sum, log_sum_dot = total
    table[0] = above
    if second:
        table_dot[0] = above_dot
    for i in range(rows[0], rows[1]):
        r = i - rows[0] + 1
        for j in range(m + 1):
            if i == 0 and (mode == FITTING or (mode == GLOBAL and j == 0)):
                table[r, j, 0], table[r, j, 1], table[r, j, 2] = 0.0, NEG_INF, NEG_INF
                if second:
                    table_dot[r, j, 0], table_dot[r, j, 1], table_dot[r, j, 2] = ZEROS
                continue
            inner = i > 0 and j > 0
            cell = similarity[b, i - 1, j - 1] * inverse_temperature if inner else NEG_INF
            start = 0.0 if mode == LOCAL else NEG_INF
            diagonal = triple(table, r - 1, j - 1) if inner else IMPOSSIBLE
            left = triple(table, r, j - 1) if j > 0 else IMPOSSIBLE
            up = triple(table, r - 1, j)
            cost = penalties_at(penalties, b, i, j, inverse_temperature)
            state = forward(cell, start, diagonal, left, up, cost)
            table[r, j, 0], table[r, j, 1], table[r, j, 2] = state
            m_dot = 0.0
            if second:
                into_m, into_x, into_y = arrival_shares(cell, state, diagonal, left, up, cost)
                cost_dot = penalties_at(dots[1], b, i, j, inverse_temperature)
                if inner and cell > NEG_INF:
                    m_dot = dots[0][b, i - 1, j - 1] * inverse_temperature
                    m_dot += mix(into_m, triple(table_dot, r - 1, j - 1))
                left_dot = triple(table_dot, r, j - 1) if j > 0 else ZEROS
                up_dot = triple(table_dot, r - 1, j)
                table_dot[r, j, 0] = m_dot
                table_dot[r, j, 1] = into_x[0] * (left_dot[0] - cost_dot[0])
                table_dot[r, j, 1] += into_x[1] * (left_dot[1] - cost_dot[1])
                table_dot[r, j, 2] = into_y[0] * (up_dot[0] - cost_dot[2])
                table_dot[r, j, 2] += into_y[1] * (up_dot[1] - cost_dot[2])
                table_dot[r, j, 2] += into_y[2] * (up_dot[2] - cost_dot[3])
            if inner and mode != GLOBAL:
                ended = state[0] + trailing[i]
                grown = smax2(log_sum, ended)
                if second:
                    part = share(ended, grown)
                    log_sum_dot = (1.0 - part) * log_sum_dot + part * (m_dot + trailing_dot[i])
                log_sum = grown
    return log_sum, log_sum_dot


@helper
def flow(log_part, log_part_dot, total, total_dot, second):
    """A probability from its log relative to the total, or its tangent."""
    p = share(log_part, total)
    if second:
        return p * (log_part_dot - total_dot) if p > 0.0 else 0.0
    return p


@helper
def backward_strip(
    problem, dots, b, shape, rows, below, below_dot, table, table_dot, total, out, second
):
    """Gradients of grid rows rows[0]..rows[1]-1 from their prefix table and the row below.

    `below` holds the suffix values of grid row rows[1] and is overwritten by those of rows[0].
    Returns the sum of gradient (or its tangent) times value over the strip.
    """
    similarity, penalties, inverse_temperature, mode, trailing, trailing_dot = problem
    n, m = shape
    gradient, open_x, extend_x, open_y, extend_y = out
    log_sum, log_sum_dot = total
    mean = 0.0
    for i in range(rows[1] - 1, rows[0] - 1, -1):
        r = i - rows[0] + 1
        right, right_dot = NEG_INF, 0.0  # x_suffix of (i, j + 1)
        diagonal, diagonal_dot = NEG_INF, 0.0  # s + m_suffix of (i + 1, j + 1)
        beside, beside_dot = NO_COST, NO_COST
        for j in range(m, -1, -1):
            inner = i > 0 and j > 0
            end = trailing[i] if inner and mode != GLOBAL else NEG_INF
            end_dot = trailing_dot[i] if second else 0.0
            if mode == GLOBAL and i == n and j == m:
                end, end_dot = 0.0, 0.0
            down, down_dot = NEG_INF, 0.0
            under, under_dot = NO_COST, NO_COST
            if i < n:
                down, down_dot = below[j, 2], below_dot[j, 2]
                under = penalties_at(penalties, b, i + 1, j, inverse_temperature)
                under_dot = dot_penalties(dots[1], b, i + 1, j, inverse_temperature, second)
            if i == 0 and mode == FITTING:
                right = NEG_INF
            entered = beside[0], beside[1], under[2], under[3]
            state = backward(end, diagonal, right, down, entered)
            if mode == GLOBAL and i == n and j == m:
                state = ZEROS
            here, state_dot = triple(table, r, j), ZEROS
            here_dot = triple(table_dot, r, j) if second else ZEROS
            if second and not (mode == GLOBAL and i == n and j == m):
                from_m, from_x, from_y = suffix_shares(state, diagonal, right, down, entered)
                to_end = share(end, state[0])
                m_dot = from_m[0] * diagonal_dot + from_m[1] * (right_dot - beside_dot[0])
                m_dot += from_m[2] * (down_dot - under_dot[2]) + to_end * end_dot
                x_dot = from_x[0] * diagonal_dot + from_x[1] * (right_dot - beside_dot[1])
                x_dot += from_x[2] * (down_dot - under_dot[2])
                y_dot = from_y[0] * diagonal_dot + from_y[1] * (down_dot - under_dot[3])
                state_dot = m_dot, x_dot, y_dot
            if inner:
                cell = similarity[b, i - 1, j - 1] * inverse_temperature
                p = flow(
                    here[0] + state[0], here_dot[0] + state_dot[0], log_sum, log_sum_dot, second
                )
                gradient[b, i - 1, j - 1] = p
                if p != 0.0:
                    mean += p * cell
            if j < m and not (i == 0 and mode == FITTING):
                row, column = max(i, 1) - 1, j
                part = flow(
                    here[0] - beside[0] + right,
                    here_dot[0] - beside_dot[0] + right_dot,
                    log_sum,
                    log_sum_dot,
                    second,
                )
                open_x[entry(open_x, b, row, column)] -= part
                mean -= part * beside[0]
                part = flow(
                    here[1] - beside[1] + right,
                    here_dot[1] - beside_dot[1] + right_dot,
                    log_sum,
                    log_sum_dot,
                    second,
                )
                extend_x[entry(extend_x, b, row, column)] -= part
                mean -= part * beside[1]
            if i < n:
                row, column = i, max(j, 1) - 1
                for k in range(2):
                    part = flow(
                        here[k] - under[2] + down,
                        here_dot[k] - under_dot[2] + down_dot,
                        log_sum,
                        log_sum_dot,
                        second,
                    )
                    open_y[entry(open_y, b, row, column)] -= part
                    mean -= part * under[2]
                part = flow(
                    here[2] - under[3] + down,
                    here_dot[2] - under_dot[3] + down_dot,
                    log_sum,
                    log_sum_dot,
                    second,
                )
                extend_y[entry(extend_y, b, row, column)] -= part
                mean -= part * under[3]
            # What the next cells to the left need, before row i + 1 is overwritten by row i.
            diagonal, diagonal_dot = NEG_INF, 0.0
            if i < n and j > 0:
                diagonal = similarity[b, i, j - 1] * inverse_temperature + below[j, 0]
                if second and diagonal > NEG_INF:
                    diagonal_dot = dots[0][b, i, j - 1] * inverse_temperature + below_dot[j, 0]
            right, right_dot = state[1], state_dot[1]
            beside = penalties_at(penalties, b, i, j, inverse_temperature)
            beside_dot = dot_penalties(dots[1], b, i, j, inverse_temperature, second)
            below[j, 0], below[j, 1], below[j, 2] = state
            below_dot[j, 0], below_dot[j, 1], below_dot[j, 2] = state_dot
    return mean


@helper
def row_ends(penalties, b, n, m, inverse_temperature, mode):
    """Log weight of ending after grid row i: 0 in local mode, the trailing gap in fitting mode."""
    if mode != FITTING:
        return np.zeros(n + 1)
    open_y, extend_y = np.empty(n), np.empty(n)
    for i in range(n):
        cost = penalties_at(penalties, b, i + 1, m, inverse_temperature)
        open_y[i], extend_y[i] = cost[2], cost[3]
    return trailing_rows(open_y, extend_y)


@helper
def walk_pair(
    similarity, penalties, inverse_temperature, mode, b, n, m, dots, out, gradients, second
):
    """Score, its tangent, and the mean alignment score of one pair, all in units of T."""
    strip = max(16, int(math.sqrt(n + 1))) if gradients else 8
    strips = (n + strip) // strip
    trailing = row_ends(penalties, b, n, m, inverse_temperature, mode)
    trailing_dot = np.zeros(n + 1)
    if second:
        trailing_dot = row_ends(dots[1], b, n, m, inverse_temperature, mode)
    problem = similarity, penalties, inverse_temperature, mode, trailing, trailing_dot
    table = np.empty((strip + 1, m + 1, 3))
    table_dot = np.zeros((strip + 1, m + 1, 3) if second else (1, 1, 3))
    kept = strips if gradients else 1
    carries = np.empty((kept, m + 1, 3))
    carries_dot = np.zeros((kept, m + 1, 3))
    above, above_dot = np.full((m + 1, 3), NEG_INF), np.zeros((m + 1, 3))
    total = NEG_INF, 0.0
    if mode == FITTING:
        total = trailing[0], trailing_dot[0]
    for k in range(strips):
        rows = k * strip, min(n + 1, (k + 1) * strip)
        if gradients:
            carries[k], carries_dot[k] = above, above_dot
        total = forward_strip(
            problem, dots, b, (n, m), rows, above, above_dot, table, table_dot, total, second
        )
        last = rows[1] - rows[0]
        above[:] = table[last]
        if second:
            above_dot[:] = table_dot[last]
    if mode == GLOBAL:
        log_sum = smax2(smax2(above[m, 0], above[m, 1]), above[m, 2])
        log_sum_dot = 0.0
        for k in range(3):
            log_sum_dot += share(above[m, k], log_sum) * above_dot[m, k]
        total = log_sum, log_sum_dot
    if not gradients:
        return total[0], total[1], 0.0

    mean = 0.0
    below, below_dot = np.full((m + 1, 3), NEG_INF), np.zeros((m + 1, 3))
    ended = np.zeros(n + 1)  # fitting: probability (or its tangent) of ending after row i
    for k in range(strips - 1, -1, -1):
        rows = k * strip, min(n + 1, (k + 1) * strip)
        above[:], above_dot[:] = carries[k], carries_dot[k]
        if k < strips - 1:
            forward_strip(
                problem,
                dots,
                b,
                (n, m),
                rows,
                above,
                above_dot,
                table,
                table_dot,
                (NEG_INF, 0.0),
                second,
            )
        if mode == FITTING:
            for i in range(max(rows[0], 1), rows[1]):
                r = i - rows[0] + 1
                for j in range(1, m + 1):
                    ended[i] += flow(
                        table[r, j, 0] + trailing[i],
                        table_dot[r, j, 0] + trailing_dot[i] if second else 0.0,
                        total[0],
                        total[1],
                        second,
                    )
        mean += backward_strip(
            problem,
            dots,
            b,
            (n, m),
            rows,
            below,
            below_dot,
            table,
            table_dot,
            total,
            out,
            second,
        )
    if mode == FITTING:
        gone = flow(trailing[0], trailing_dot[0], total[0], total[1], second)
        so_far = 0.0
        for i in range(n):
            cost = penalties_at(penalties, b, i + 1, m, inverse_temperature)
            out[3][entry(out[3], b, i, m - 1)] -= gone
            out[4][entry(out[4], b, i, m - 1)] -= so_far
            mean -= gone * cost[2] + so_far * cost[3]
            so_far += gone
            gone = ended[i + 1]
    return total[0], total[1], mean


@kernel
def align(seat, queue, similarity, penalties, temperature, mode, lengths, dots, out, result, want):
    """Scores, gradients (`want` = 1) or their tangents (`want` = 2) of the pairs in a queue.

    `out` is (similarity, open_x, extend_x, open_y, extend_y) gradients, the penalties' accumulated
    into; `result` is [B, 3]: score, temperature gradient, score tangent.
    """
    for _ in range(queue.size):
        b = claim(queue)
        if b < 0:
            break
        log_sum, log_sum_dot, mean = walk_pair(
            similarity,
            penalties,
            1.0 / temperature,
            mode,
            b,
            lengths[b, 0],
            lengths[b, 1],
            dots,
            out,
            want > 0,
            want == 2,
        )
        result[b, 0] = temperature * log_sum
        if log_sum > NEG_INF:
            result[b, 1] = -mean if want == 2 else log_sum - mean
        result[b, 2] = temperature * log_sum_dot

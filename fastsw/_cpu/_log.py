"""Robust traversal: any penalties, temperature and finite similarity; slower than `_linear`.

A state's value is the smooth maximum of its prefix scores, in units of the score, as two doubles;
every smooth maximum is split into the shares of its terms (`_smax`). These are the equations of
`_recurrence`, whose cell functions work on plain doubles; the same parametrised tests hold both.

The forward pass carries values and, where asked for, the entropies of prefixes and the derivatives
of both along a direction. The backward pass multiplies and sums shares only: from the ends on, the
probability of a state is handed to the states before it.

A pair is walked in strips of rows. The forward pass keeps the row above each strip; the backward
pass recomputes a strip from that row before walking it in reverse, so memory grows with
(N / strip) * M and not with N * M. Rows and columns are those of the grid: row and column 0 lie
before the first pair.
"""

import math

import numpy as np

from fastsw._cpu._compile import helper, kernel
from fastsw._cpu._smax import (
    NOTHING,
    add,
    add_value,
    derivatives_of,
    entropy_of,
    exp,
    log_share,
    smax2,
    smax3,
    smax4,
    with_inverse,
)
from fastsw._cpu._team import claim
from fastsw._recurrence import NEG_INF
from fastsw._reference import FITTING, GLOBAL, LOCAL

IMPOSSIBLE = (NEG_INF, NEG_INF, NEG_INF)

# What a forward pass carries: values alone; entropies as well; and the derivatives of both.
VALUES, ENTROPIES, DERIVATIVES = 0, 1, 2

# A cell of the table of states: two doubles for each of M, X and Y; their entropies; the
# derivatives of their values; those of their entropies.
ENTROPY, DOT, ENTROPY_DOT = 6, 9, 12
FIELDS = (6, 9, 15)

# A cell of the table of shares: of M from m, x and y (what is missing is the start), of X from m
# and x, of Y from m, x and y; then the derivatives of all these.
INTO_M, INTO_X, INTO_Y, SHARES = 0, 3, 5, 8

# The sum over ends: two doubles, entropy, and derivatives; whether it is over all; scratch.
TOTAL_ENTROPY, TOTAL_DOT, TOTAL_ENTROPY_DOT, COMPLETE, SCRATCH, TOTAL_FIELDS = 2, 3, 4, 5, 6, 10


@helper
def entry(penalty, b, r, c):
    """Index of cell (r, c) of pair b in an array whose axes may have length 1."""
    return min(b, penalty.shape[0] - 1), min(r, penalty.shape[1] - 1), min(c, penalty.shape[2] - 1)


@helper
def penalties_at(penalties, b, i, j, scale):
    """Scaled penalties of grid cell (i, j); a leading gap reads the first row or column."""
    r, c = max(i, 1) - 1, max(j, 1) - 1
    return (
        penalties[0][entry(penalties[0], b, r, c)] * scale,
        penalties[1][entry(penalties[1], b, r, c)] * scale,
        penalties[2][entry(penalties[2], b, r, c)] * scale,
        penalties[3][entry(penalties[3], b, r, c)] * scale,
    )


@helper
def row_ends(penalties, b, n, m, scale, mode):
    """Score of ending after grid row i, as two doubles: 0, in fitting mode the trailing gap's."""
    ends = np.zeros((n + 1, 2))
    if mode != FITTING:
        return ends
    extended = 0.0, 0.0
    for i in range(n - 1, -1, -1):
        cost = penalties_at(penalties, b, i + 1, m, scale)
        ends[i] = add(extended, -cost[2])
        extended = add(extended, -cost[3])
    return ends


@helper
def value_at(table, i, j, state):
    """Value of a state of a cell."""
    return table[i, j, 2 * state], table[i, j, 2 * state + 1]


@helper
def three(table, i, j, field):
    """A field of the three states of a cell."""
    return table[i, j, field], table[i, j, field + 1], table[i, j, field + 2]


@helper
def set_cell(table, i, j, m, x, y):
    """Write the values of the three states of a cell."""
    table[i, j, 0], table[i, j, 1] = m
    table[i, j, 2], table[i, j, 3] = x
    table[i, j, 4], table[i, j, 5] = y


@helper
def set_shares(shares, i, j, into_m, into_x, into_y):
    """Write the shares of the arrows into a cell."""
    for k in range(3):
        shares[i, j, INTO_M + k] = into_m[k]
        shares[i, j, INTO_Y + k] = into_y[k]
    shares[i, j, INTO_X], shares[i, j, INTO_X + 1] = into_x


@helper
def forward_strip(problem, b, columns, rows, table, shares, total, carried):
    """States of grid rows rows[0]..rows[1]-1 into table[1:], given row rows[0]-1 as table[0].

    Shares go to the same rows of their table, less one. `total` receives the sum over ends so far,
    unless it holds that over all.
    """
    similarity, penalties, scale, temperature, mode, trailing, direction = problem
    dot_similarity, dot_penalties, temperature_dot, trailing_dot = direction
    nothing = NOTHING, NOTHING, NOTHING
    unused = np.empty(2)
    for i in range(rows[0], rows[1]):
        r = i - rows[0] + 1
        for j in range(columns + 1):
            if i == 0 and (mode == FITTING or (mode == GLOBAL and j == 0)):
                table[r, j] = 0.0
                set_cell(table, r, j, (0.0, 0.0), NOTHING, NOTHING)
                if carried > VALUES:
                    shares[r - 1, j] = 0.0
                continue
            inner = i > 0 and j > 0
            start = (0.0, 0.0) if mode == LOCAL else NOTHING
            diagonal, left, up = nothing, nothing, nothing
            if inner:
                diagonal = (
                    value_at(table, r - 1, j - 1, 0),
                    value_at(table, r - 1, j - 1, 1),
                    value_at(table, r - 1, j - 1, 2),
                )
            if j > 0:
                left = value_at(table, r, j - 1, 0), value_at(table, r, j - 1, 1), NOTHING
            if i > 0:
                up = (
                    value_at(table, r - 1, j, 0),
                    value_at(table, r - 1, j, 1),
                    value_at(table, r - 1, j, 2),
                )
            cell = similarity[b, i - 1, j - 1] * scale if inner else NEG_INF
            open_x, extend_x, open_y, extend_y = penalties_at(penalties, b, i, j, scale)
            before, share_m, log_m = smax4(
                diagonal[0], diagonal[1], diagonal[2], start, temperature
            )
            m = add(before, cell)
            x, share_x, log_x = smax2(add(left[0], -open_x), add(left[1], -extend_x), temperature)
            y, share_y, log_y = smax3(
                add(up[0], -open_y), add(up[1], -open_y), add(up[2], -extend_y), temperature
            )
            set_cell(table, r, j, m, x, y)
            if carried > VALUES:
                set_shares(shares, r - 1, j, share_m, share_x, share_y)
                zeros = 0.0, 0.0, 0.0
                h_diagonal = three(table, r - 1, j - 1, ENTROPY) if inner else zeros
                h_left = three(table, r, j - 1, ENTROPY) if j > 0 else zeros
                h_up = three(table, r - 1, j, ENTROPY) if i > 0 else zeros
                from_m = h_diagonal[0], h_diagonal[1], h_diagonal[2], 0.0
                from_x = h_left[0], h_left[1]
                table[r, j, ENTROPY] = entropy_of(share_m, log_m, from_m)
                table[r, j, ENTROPY + 1] = entropy_of(share_x, log_x, from_x)
                table[r, j, ENTROPY + 2] = entropy_of(share_y, log_y, h_up)
                if carried == DERIVATIVES:
                    d_diagonal = three(table, r - 1, j - 1, DOT) if inner else zeros
                    d_left = three(table, r, j - 1, DOT) if j > 0 else zeros
                    d_up = three(table, r - 1, j, DOT) if i > 0 else zeros
                    e_diagonal = three(table, r - 1, j - 1, ENTROPY_DOT) if inner else zeros
                    e_left = three(table, r, j - 1, ENTROPY_DOT) if j > 0 else zeros
                    e_up = three(table, r - 1, j, ENTROPY_DOT) if i > 0 else zeros
                    here = shares[r - 1, j, SHARES:]
                    paid = penalties_at(dot_penalties, b, i, j, scale)
                    dot, entropy_dot = derivatives_of(
                        share_m,
                        log_m,
                        from_m,
                        (d_diagonal[0], d_diagonal[1], d_diagonal[2], 0.0),
                        (e_diagonal[0], e_diagonal[1], e_diagonal[2], 0.0),
                        temperature,
                        temperature_dot,
                        total[SCRATCH:],
                    )
                    here[:3] = total[SCRATCH : SCRATCH + 3]
                    if cell > NEG_INF:
                        dot += dot_similarity[b, i - 1, j - 1] * scale
                    table[r, j, DOT], table[r, j, ENTROPY_DOT] = dot, entropy_dot
                    table[r, j, DOT + 1], table[r, j, ENTROPY_DOT + 1] = derivatives_of(
                        share_x,
                        log_x,
                        from_x,
                        (d_left[0] - paid[0], d_left[1] - paid[1]),
                        (e_left[0], e_left[1]),
                        temperature,
                        temperature_dot,
                        here[INTO_X:],
                    )
                    table[r, j, DOT + 2], table[r, j, ENTROPY_DOT + 2] = derivatives_of(
                        share_y,
                        log_y,
                        h_up,
                        (d_up[0] - paid[2], d_up[1] - paid[2], d_up[2] - paid[3]),
                        e_up,
                        temperature,
                        temperature_dot,
                        here[INTO_Y:],
                    )
            if inner and mode != GLOBAL and not total[COMPLETE]:
                end = add_value(m, (trailing[i, 0], trailing[i, 1]))
                add_end(total, end, table, r, j, trailing_dot[i], problem, unused, carried)


@helper
def add_end(total, end, table, r, j, trailing_dot, problem, unused, carried):
    """Count alignments that end in M of a cell into the sum over ends."""
    temperature, temperature_dot = problem[3], problem[6][2]
    whole, shares, logs = smax2((total[0], total[1]), end, temperature)
    if shares[1] == 0.0:
        return
    if carried == DERIVATIVES:
        total[TOTAL_DOT], total[TOTAL_ENTROPY_DOT] = derivatives_of(
            shares,
            logs,
            (total[TOTAL_ENTROPY], table[r, j, ENTROPY]),
            (total[TOTAL_DOT], table[r, j, DOT] + trailing_dot),
            (total[TOTAL_ENTROPY_DOT], table[r, j, ENTROPY_DOT]),
            temperature,
            temperature_dot,
            unused,
        )
    if carried > VALUES:
        total[TOTAL_ENTROPY] = entropy_of(
            shares, logs, (total[TOTAL_ENTROPY], table[r, j, ENTROPY])
        )
    total[0], total[1] = whole


@helper
def end_in_corner(total, table, r, columns, problem, adjoint, carried):
    """Global mode: the sum over the three states of the last cell, and the shares of these."""
    temperature, temperature_dot = problem[3], problem[6][2]
    whole, shares, logs = smax3(
        value_at(table, r, columns, 0),
        value_at(table, r, columns, 1),
        value_at(table, r, columns, 2),
        temperature,
    )
    total[0], total[1] = whole
    if carried == VALUES:
        return
    entropies = three(table, r, columns, ENTROPY)
    total[TOTAL_ENTROPY] = entropy_of(shares, logs, entropies)
    adjoint[columns, 0], adjoint[columns, 1], adjoint[columns, 2] = shares
    if carried == DERIVATIVES:
        total[TOTAL_DOT], total[TOTAL_ENTROPY_DOT] = derivatives_of(
            shares,
            logs,
            entropies,
            three(table, r, columns, DOT),
            three(table, r, columns, ENTROPY_DOT),
            temperature,
            temperature_dot,
            adjoint[columns, 3:],
        )


@helper
def end_share(total, end, dot, problem):
    """Probability of an end, and its derivative along the direction."""
    temperature, temperature_dot = problem[3], problem[6][2]
    log = log_share(end, (total[0], total[1]), temperature)
    share = exp(log)
    if share == 0.0:
        return 0.0, 0.0
    return share, share * (dot - total[TOTAL_DOT] - temperature_dot * log) * temperature[1]


@helper
def backward_strip(problem, b, columns, rows, table, shares, total, adjoints, ended, out, carried):
    """Gradients of grid rows rows[0]..rows[1]-1, last row first, from their shares.

    Row i of the grid finds what the rows below handed to it in adjoints[i % 2]: probabilities of
    its states, and their derivatives. Where derivatives are carried they are the gradients.
    `ended` receives, row by row, the probability of ending there.
    """
    mode, trailing, trailing_dot = problem[4], problem[5], problem[6][3]
    gradient, open_x, extend_x, open_y, extend_y = out
    second = carried == DERIVATIVES
    for i in range(rows[1] - 1, rows[0] - 1, -1):
        r = i - rows[0] + 1
        here, above = adjoints[i % 2], adjoints[(i + 1) % 2]
        above[:] = 0.0
        for j in range(columns, -1, -1):
            m, x, y = here[j, 0], here[j, 1], here[j, 2]
            m_dot, x_dot, y_dot = here[j, 3], here[j, 4], here[j, 5]
            inner = i > 0 and j > 0
            if inner and mode != GLOBAL:
                end = add_value(value_at(table, r, j, 0), (trailing[i, 0], trailing[i, 1]))
                dot = table[r, j, DOT] + trailing_dot[i] if second else 0.0
                share, share_dot = end_share(total, end, dot, problem)
                m, m_dot = m + share, m_dot + share_dot
                ended[i, 0] += share
                ended[i, 1] += share_dot
            if inner:
                gradient[b, i - 1, j - 1] = m_dot if second else m
            if inner and (m != 0.0 or m_dot != 0.0):
                for k in range(3):
                    above[j - 1, k] += m * shares[r - 1, j, k]
                    if second:
                        above[j - 1, 3 + k] += (
                            m_dot * shares[r - 1, j, k] + m * shares[r - 1, j, SHARES + k]
                        )
            if j > 0 and (x != 0.0 or x_dot != 0.0):
                row = max(i, 1) - 1
                opened, extended = x * shares[r - 1, j, INTO_X], x * shares[r - 1, j, INTO_X + 1]
                here[j - 1, 0] += opened
                here[j - 1, 1] += extended
                if second:
                    opened = (
                        x_dot * shares[r - 1, j, INTO_X] + x * shares[r - 1, j, SHARES + INTO_X]
                    )
                    extended = (
                        x_dot * shares[r - 1, j, INTO_X + 1]
                        + x * shares[r - 1, j, SHARES + INTO_X + 1]
                    )
                    here[j - 1, 3] += opened
                    here[j - 1, 4] += extended
                open_x[entry(open_x, b, row, j - 1)] -= opened
                extend_x[entry(extend_x, b, row, j - 1)] -= extended
            if i > 0 and (y != 0.0 or y_dot != 0.0):
                column = max(j, 1) - 1
                for k in range(3):
                    part = y * shares[r - 1, j, INTO_Y + k]
                    above[j, k] += part
                    if second:
                        part = (
                            y_dot * shares[r - 1, j, INTO_Y + k]
                            + y * shares[r - 1, j, SHARES + INTO_Y + k]
                        )
                        above[j, 3 + k] += part
                    if k < 2:
                        open_y[entry(open_y, b, i - 1, column)] -= part
                    else:
                        extend_y[entry(extend_y, b, i - 1, column)] -= part


@helper
def pay_trailing_rows(b, n, columns, total, ended, problem, out, carried):
    """Fitting mode: gradients of the rows that are skipped after the last pair."""
    trailing, trailing_dot = problem[5], problem[6][3]
    empty = end_share(total, (trailing[0, 0], trailing[0, 1]), trailing_dot[0], problem)
    ended[0, 0], ended[0, 1] = empty
    earlier, field = 0.0, 1 if carried == DERIVATIVES else 0
    for i in range(n):
        out[3][entry(out[3], b, i, columns - 1)] -= ended[i, field]
        out[4][entry(out[4], b, i, columns - 1)] -= earlier
        earlier += ended[i, field]


@helper
def walk_pair(problem, b, n, columns, out, carried, graded, total):
    """The sum over alignments of one pair, and its gradients or their derivatives."""
    mode, trailing, trailing_dot = problem[4], problem[5], problem[6][3]
    strip = max(16, int(math.sqrt(n + 1))) if graded else 8
    strips = (n + strip) // strip
    fields, arrows = FIELDS[carried], SHARES if carried < DERIVATIVES else 2 * SHARES
    table = np.empty((strip + 1, columns + 1, fields))
    shares = np.empty((strip if carried > VALUES else 1, columns + 1, arrows))
    carries = np.empty((strips if graded else 1, columns + 1, fields))
    adjoints = np.zeros((2, columns + 1, 6))
    table[0] = 0.0
    for j in range(columns + 1):
        set_cell(table, 0, j, NOTHING, NOTHING, NOTHING)
    total[:] = 0.0
    total[0] = NEG_INF
    if mode == FITTING:
        total[0], total[1] = trailing[0, 0], trailing[0, 1]
        total[TOTAL_DOT] = trailing_dot[0]
    for k in range(strips):
        rows = k * strip, min(n + 1, (k + 1) * strip)
        if k > 0:
            table[0] = table[strip]
        if graded:
            carries[k] = table[0]
        forward_strip(problem, b, columns, rows, table, shares, total, carried)
    if mode == GLOBAL:
        last = n - (strips - 1) * strip + 1
        end_in_corner(total, table, last, columns, problem, adjoints[n % 2], carried)
    if not graded:
        return
    if total[0] == NEG_INF:
        out[0][b, :n, :columns] = 0.0
        return
    total[COMPLETE] = 1.0
    ended = np.zeros((n + 1, 2))
    for k in range(strips - 1, -1, -1):
        rows = k * strip, min(n + 1, (k + 1) * strip)
        if k < strips - 1:
            table[0] = carries[k]
            forward_strip(problem, b, columns, rows, table, shares, total, carried)
        backward_strip(
            problem, b, columns, rows, table, shares, total, adjoints, ended, out, carried
        )
    if mode == FITTING:
        pay_trailing_rows(b, n, columns, total, ended, problem, out, carried)


@kernel
def align(
    seat,
    queue,
    similarity,
    penalties,
    scale,
    temperature,
    mode,
    lengths,
    dots,
    out,
    result,
    carried,
    graded,
):
    """Scores and what else is asked for of the pairs in a queue.

    `scale` multiplies similarities, penalties and temperature, so that sums of any finite values
    stay finite. `dots` is a direction: (similarity, penalties, temperature [B]). `out` is
    (similarity, open_x, extend_x, open_y, extend_y) gradients, the penalties' accumulated into;
    `result` is [B, 3]: score (or, with DERIVATIVES, its derivative), entropy, derivative of the
    entropy.
    """
    for _ in range(queue.size):
        b = claim(queue)
        if b < 0:
            break
        n, m = lengths[b, 0], lengths[b, 1]
        dot = dots[2][b] * scale if carried == DERIVATIVES else 0.0
        trailing = row_ends(penalties, b, n, m, scale, mode)
        trailing_dot = np.zeros(n + 1)
        if carried == DERIVATIVES:
            trailing_dot = row_ends(dots[1], b, n, m, scale, mode)[:, 0].copy()
        direction = dots[0], dots[1], dot, trailing_dot
        scaled = with_inverse(temperature * scale)
        problem = similarity, penalties, scale, scaled, mode, trailing, direction
        total = np.empty(TOTAL_FIELDS)
        walk_pair(problem, b, n, m, out, carried, graded, total)
        result[b, 0] = (total[TOTAL_DOT] if carried == DERIVATIVES else total[0]) / scale
        result[b, 1], result[b, 2] = total[TOTAL_ENTROPY], total[TOTAL_ENTROPY_DOT]
        if total[0] == NEG_INF and carried == DERIVATIVES:
            result[b, 0] = 0.0

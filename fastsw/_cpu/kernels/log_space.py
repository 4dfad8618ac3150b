"""Robust traversal: any penalties, temperature and finite similarity; slower than `intra_pair`.

A state's value is the smooth maximum of its prefix scores, in units of the score; every smooth
maximum is split into the shares of its terms (`log_numbers`). These are the equations of
`_recurrence`, whose cell functions work on plain doubles; the same parametrised tests hold both.

The forward pass carries values and, where asked for, the entropies of prefixes and the derivatives
of both along a direction. The backward pass multiplies and sums shares only: from the ends on, the
probability of a state is handed to the states before it.

Ends are summed one after the other, each smooth maximum of two giving the share of an end in the
sum so far. Backwards, what an end leaves is what the earlier ones have.

A pair is walked in strips of rows. The forward pass keeps the row above each strip; the backward
pass recomputes a strip from that row before walking it in reverse, so memory grows with
(N / strip) * M and not with N * M. Rows and columns are those of the grid: row and column 0 lie
before the first pair.
"""

import math
from typing import NamedTuple

import numpy as np

from fastsw._cpu.kernels.log_numbers import (
    EMPTY,
    NOTHING,
    add,
    add_value,
    derivatives_of,
    entropy_of,
    number,
    smax2,
    smax3,
    smax4,
    with_inverse,
)
from fastsw._cpu.runtime.compile import helper, kernel
from fastsw._cpu.runtime.handoff import next_item
from fastsw._recurrence import NEG_INF
from fastsw._types import FITTING, GLOBAL, LOCAL

IMPOSSIBLE = (NEG_INF, NEG_INF, NEG_INF)

# What a forward pass carries: values alone; entropies as well; and the derivatives of both.
VALUES, ENTROPIES, DERIVATIVES = 0, 1, 2

# A cell of the table of states: the values of M, X and Y, three doubles each; their entropies; the
# derivatives of their values; those of their entropies.
ENTROPY, DOT, ENTROPY_DOT = 9, 12, 15
FIELDS = (9, 12, 18)

# A cell of the table of shares: of M from m, x and y (what is missing is the start), of X from m
# and x, of Y from m, x and y; of the earlier ends and of its own in the sum over ends so far; then
# the derivatives of all these.
INTO_M, INTO_X, INTO_Y, EARLIER, END, SHARES = 0, 3, 5, 8, 9, 10

# The sum over ends: its value, entropy, and the derivatives of both; then scratch.
TOTAL_ENTROPY, TOTAL_DOT, TOTAL_ENTROPY_DOT, SCRATCH, TOTAL_FIELDS = 3, 4, 5, 6, 10


class Problem(NamedTuple):
    """A request, and what is known of its present pair."""

    similarity: np.ndarray  # [B, N, M]
    penalties: tuple
    scale: float  # multiplies similarities, penalties and temperature
    temperature: tuple  # T and 1 / T, scaled
    mode: int
    trailing: np.ndarray  # [N + 1, 2], see `row_ends`
    dot_similarity: np.ndarray  # the direction, from here on
    dot_penalties: tuple
    dot_temperature: float
    dot_trailing: np.ndarray  # [N + 1]


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
    extended = EMPTY
    for i in range(n - 1, -1, -1):
        cost = penalties_at(penalties, b, i + 1, m, scale)
        end = add(extended, -cost[2])
        ends[i, 0], ends[i, 1] = end[0], end[1]
        extended = add(extended, -cost[3])
    return ends


@helper
def value_at(table, i, j, state):
    """Value of a state of a cell."""
    k = 3 * state
    return table[i, j, k], table[i, j, k + 1], table[i, j, k + 2]


@helper
def three(table, i, j, field):
    """A field of the three states of a cell."""
    return table[i, j, field], table[i, j, field + 1], table[i, j, field + 2]


@helper
def set_cell(table, i, j, m, x, y):
    """Write the values of the three states of a cell."""
    for k in range(3):
        table[i, j, k], table[i, j, 3 + k], table[i, j, 6 + k] = m[k], x[k], y[k]


@helper
def set_shares(shares, i, j, into_m, into_x, into_y):
    """Write the shares of the arrows into a cell; no alignment ends there yet."""
    for k in range(3):
        shares[i, j, INTO_M + k] = into_m[k]
        shares[i, j, INTO_Y + k] = into_y[k]
    shares[i, j, INTO_X], shares[i, j, INTO_X + 1] = into_x
    shares[i, j, EARLIER], shares[i, j, END] = 1.0, 0.0


@helper
def begin(table, total, columns, problem):
    """The row above the grid, and what ends before it: in fitting mode the empty alignment."""
    table[0] = 0.0
    for j in range(columns + 1):
        set_cell(table, 0, j, NOTHING, NOTHING, NOTHING)
    total[:] = 0.0
    total[0] = NEG_INF
    if problem.mode == FITTING:
        total[0], total[1] = problem.trailing[0, 0], problem.trailing[0, 1]
        total[TOTAL_DOT] = problem.dot_trailing[0]


@helper
def forward_strip(problem, b, columns, rows, table, shares, total, carried):
    """States of grid rows rows[0]..rows[1]-1 into table[1:], given row rows[0]-1 as table[0].

    Shares go to the same rows of their table, less one. `total` receives the sum over ends so far.
    """
    mode, temperature = problem.mode, problem.temperature
    nothing = NOTHING, NOTHING, NOTHING
    for i in range(rows[0], rows[1]):
        r = i - rows[0] + 1
        for j in range(columns + 1):
            if i == 0 and (mode == FITTING or (mode == GLOBAL and j == 0)):
                table[r, j] = 0.0
                set_cell(table, r, j, EMPTY, NOTHING, NOTHING)
                if carried > VALUES:
                    shares[r - 1, j] = 0.0
                    shares[r - 1, j, EARLIER] = 1.0
                continue
            inner = i > 0 and j > 0
            start = EMPTY if mode == LOCAL else NOTHING
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
            cell = problem.similarity[b, i - 1, j - 1] * problem.scale if inner else NEG_INF
            open_x, extend_x, open_y, extend_y = penalties_at(
                problem.penalties, b, i, j, problem.scale
            )
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
                    dots = shares[r - 1, j, SHARES:]
                    dots[EARLIER:] = 0.0
                    paid = penalties_at(problem.dot_penalties, b, i, j, problem.scale)
                    dot, entropy_dot = derivatives_of(
                        share_m,
                        log_m,
                        from_m,
                        (d_diagonal[0], d_diagonal[1], d_diagonal[2], 0.0),
                        (e_diagonal[0], e_diagonal[1], e_diagonal[2], 0.0),
                        temperature,
                        problem.dot_temperature,
                        total[SCRATCH:],
                    )
                    for k in range(3):
                        dots[k] = total[SCRATCH + k]
                    if cell > NEG_INF:
                        dot += problem.dot_similarity[b, i - 1, j - 1] * problem.scale
                    table[r, j, DOT], table[r, j, ENTROPY_DOT] = dot, entropy_dot
                    table[r, j, DOT + 1], table[r, j, ENTROPY_DOT + 1] = derivatives_of(
                        share_x,
                        log_x,
                        from_x,
                        (d_left[0] - paid[0], d_left[1] - paid[1]),
                        (e_left[0], e_left[1]),
                        temperature,
                        problem.dot_temperature,
                        dots[INTO_X:],
                    )
                    table[r, j, DOT + 2], table[r, j, ENTROPY_DOT + 2] = derivatives_of(
                        share_y,
                        log_y,
                        h_up,
                        (d_up[0] - paid[2], d_up[1] - paid[2], d_up[2] - paid[3]),
                        e_up,
                        temperature,
                        problem.dot_temperature,
                        dots[INTO_Y:],
                    )
            if inner and mode != GLOBAL:
                end = add_value(m, (problem.trailing[i, 0], problem.trailing[i, 1]))
                add_end(problem, total, end, table, shares, i, r, j, carried)


@helper
def add_end(problem, total, end, table, shares, i, r, j, carried):
    """Count alignments that end in M of a cell into the sum over ends."""
    temperature = problem.temperature
    whole, parts, logs = smax2((total[0], total[1], total[2]), end, temperature)
    if parts[1] == 0.0:
        return
    if carried > VALUES:
        shares[r - 1, j, EARLIER], shares[r - 1, j, END] = parts
        entropies = total[TOTAL_ENTROPY], table[r, j, ENTROPY]
        if carried == DERIVATIVES:
            total[TOTAL_DOT], total[TOTAL_ENTROPY_DOT] = derivatives_of(
                parts,
                logs,
                entropies,
                (total[TOTAL_DOT], table[r, j, DOT] + problem.dot_trailing[i]),
                (total[TOTAL_ENTROPY_DOT], table[r, j, ENTROPY_DOT]),
                temperature,
                problem.dot_temperature,
                shares[r - 1, j, SHARES + EARLIER :],
            )
        total[TOTAL_ENTROPY] = entropy_of(parts, logs, entropies)
    total[0], total[1], total[2] = whole


@helper
def end_in_corner(problem, total, table, r, columns, adjoint, carried):
    """Global mode: the sum over the three states of the last cell, and the shares of these."""
    temperature = problem.temperature
    whole, parts, logs = smax3(
        value_at(table, r, columns, 0),
        value_at(table, r, columns, 1),
        value_at(table, r, columns, 2),
        temperature,
    )
    total[0], total[1], total[2] = whole
    if carried == VALUES:
        return
    entropies = three(table, r, columns, ENTROPY)
    total[TOTAL_ENTROPY] = entropy_of(parts, logs, entropies)
    adjoint[columns, 0], adjoint[columns, 1], adjoint[columns, 2] = parts
    if carried == DERIVATIVES:
        total[TOTAL_DOT], total[TOTAL_ENTROPY_DOT] = derivatives_of(
            parts,
            logs,
            entropies,
            three(table, r, columns, DOT),
            three(table, r, columns, ENTROPY_DOT),
            temperature,
            problem.dot_temperature,
            adjoint[columns, 3:],
        )


@helper
def pass_on(probability, dot, shares, r, j, arrow, with_tangents):
    """What an arrow into a cell takes of a state's probability, and the derivative of that."""
    share = shares[r, j, arrow]
    if not with_tangents:
        return probability * share, 0.0
    return probability * share, dot * share + probability * shares[r, j, SHARES + arrow]


@helper
def backward_strip(mode, b, columns, rows, shares, adjoints, rest, ended, out, with_tangents):
    """Gradients of grid rows rows[0]..rows[1]-1, last row first, from their shares.

    Row i of the grid finds what the rows below handed to it in adjoints[i % 2]: probabilities of
    its states, and their derivatives. `rest` is what the ends so far have left, and its derivative;
    `ended` receives, row by row, the probability of ending there. With `with_tangents` the
    derivatives are the gradients.
    """
    gradient, open_x, extend_x, open_y, extend_y = out
    for i in range(rows[1] - 1, rows[0] - 1, -1):
        r = i - rows[0]
        here, above = adjoints[i % 2], adjoints[(i + 1) % 2]
        above[:] = 0.0
        for j in range(columns, -1, -1):
            m, x, y = here[j, 0], here[j, 1], here[j, 2]
            m_dot, x_dot, y_dot = here[j, 3], here[j, 4], here[j, 5]
            inner = i > 0 and j > 0
            if inner and mode != GLOBAL:
                end, end_dot = pass_on(rest[0], rest[1], shares, r, j, END, with_tangents)
                rest[0], rest[1] = pass_on(rest[0], rest[1], shares, r, j, EARLIER, with_tangents)
                m, m_dot = m + end, m_dot + end_dot
                ended[i, 0] += end
                ended[i, 1] += end_dot
            if inner:
                gradient[b, i - 1, j - 1] = m_dot if with_tangents else m
            if inner and (m != 0.0 or m_dot != 0.0):
                for k in range(3):
                    part, dot = pass_on(m, m_dot, shares, r, j, INTO_M + k, with_tangents)
                    above[j - 1, k] += part
                    above[j - 1, 3 + k] += dot
            if j > 0 and (x != 0.0 or x_dot != 0.0):
                row = max(i, 1) - 1
                for k in range(2):
                    part, dot = pass_on(x, x_dot, shares, r, j, INTO_X + k, with_tangents)
                    here[j - 1, k] += part
                    here[j - 1, 3 + k] += dot
                    paid = dot if with_tangents else part
                    if k == 0:
                        open_x[entry(open_x, b, row, j - 1)] -= paid
                    else:
                        extend_x[entry(extend_x, b, row, j - 1)] -= paid
            if i > 0 and (y != 0.0 or y_dot != 0.0):
                column = max(j, 1) - 1
                for k in range(3):
                    part, dot = pass_on(y, y_dot, shares, r, j, INTO_Y + k, with_tangents)
                    above[j, k] += part
                    above[j, 3 + k] += dot
                    paid = dot if with_tangents else part
                    if k < 2:
                        open_y[entry(open_y, b, i - 1, column)] -= paid
                    else:
                        extend_y[entry(extend_y, b, i - 1, column)] -= paid


@helper
def pay_trailing_rows(b, n, columns, ended, out, field):
    """Fitting mode: gradients of the rows that are skipped after the last pair."""
    earlier = 0.0
    for i in range(n):
        out[3][entry(out[3], b, i, columns - 1)] -= ended[i, field]
        out[4][entry(out[4], b, i, columns - 1)] -= earlier
        earlier += ended[i, field]


@helper
def copy(source, target):
    """Copy a row of cells; assigning to a slice compiles Numba's formatting of its errors."""
    for j in range(source.shape[0]):
        for field in range(source.shape[1]):
            target[j, field] = source[j, field]


@helper
def align_pair(problem, b, n, columns, out, carried, with_gradients, total):
    """The sum over alignments of one pair, and its gradients or their derivatives."""
    mode, with_tangents = problem.mode, carried == DERIVATIVES
    strip = max(16, int(math.sqrt(n + 1))) if with_gradients else 8
    strips = (n + strip) // strip
    table = np.empty((strip + 1, columns + 1, FIELDS[carried]))
    shares = np.empty(
        (strip if carried > VALUES else 1, columns + 1, 2 * SHARES if with_tangents else SHARES)
    )
    kept = strips if with_gradients else 1
    carries, totals = np.empty((kept, columns + 1, FIELDS[carried])), np.empty((kept, TOTAL_FIELDS))
    adjoints = np.zeros((2, columns + 1, 6))
    begin(table, total, columns, problem)
    for k in range(strips):
        rows = k * strip, min(n + 1, (k + 1) * strip)
        if k > 0:
            copy(table[strip], table[0])
        if with_gradients:
            copy(table[0], carries[k])
            for field in range(TOTAL_FIELDS):
                totals[k, field] = total[field]
        forward_strip(problem, b, columns, rows, table, shares, total, carried)
    if mode == GLOBAL:
        last = n - (strips - 1) * strip + 1
        end_in_corner(problem, total, table, last, columns, adjoints[n % 2], carried)
    if not with_gradients:
        return
    if total[0] == NEG_INF:
        out[0][b, :n, :columns] = 0.0
        return
    ended, rest = np.zeros((n + 1, 2)), np.zeros(2)
    rest[0] = 1.0
    for k in range(strips - 1, -1, -1):
        rows = k * strip, min(n + 1, (k + 1) * strip)
        if k < strips - 1:
            copy(carries[k], table[0])
            forward_strip(problem, b, columns, rows, table, shares, totals[k], carried)
        backward_strip(mode, b, columns, rows, shares, adjoints, rest, ended, out, with_tangents)
    if mode == FITTING:
        ended[0, 0], ended[0, 1] = rest[0], rest[1]
        pay_trailing_rows(b, n, columns, ended, out, 1 if with_tangents else 0)


@kernel
def align(
    thread,
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
    with_gradients,
):
    """Scores and what else is asked for of the pairs in a queue.

    `scale` multiplies similarities, penalties and temperature, so that sums of any finite values
    stay finite, and differences of any size. `dots` is a direction: (similarity, penalties,
    temperature [B]). `out` is (similarity, open_x, extend_x, open_y, extend_y) gradients, the
    penalties' accumulated into; `result` is [B, 3]: score (or, with DERIVATIVES, its derivative),
    entropy, derivative of the entropy.
    """
    for _ in range(queue.size):
        b = next_item(queue)
        if b < 0:
            break
        n, m = lengths[b, 0], lengths[b, 1]
        trailing = row_ends(penalties, b, n, m, scale, mode)
        dot_temperature, dot_trailing = 0.0, np.zeros(n + 1)
        if carried == DERIVATIVES:
            dot_temperature = dots[2][b] * scale
            dot_trailing = row_ends(dots[1], b, n, m, scale, mode)[:, 0].copy()
        problem = Problem(
            similarity,
            penalties,
            scale,
            with_inverse(temperature * scale),
            mode,
            trailing,
            dots[0],
            dots[1],
            dot_temperature,
            dot_trailing,
        )
        total = np.empty(TOTAL_FIELDS)
        align_pair(problem, b, n, m, out, carried, with_gradients, total)
        value = number((total[0], total[1], total[2]), problem.temperature)
        if carried == DERIVATIVES:
            value = total[TOTAL_DOT] if total[0] > NEG_INF else 0.0
        result[b, 0] = value / scale
        result[b, 1], result[b, 2] = total[TOTAL_ENTROPY], total[TOTAL_ENTROPY_DOT]

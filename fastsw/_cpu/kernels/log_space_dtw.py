"""Robust soft dynamic time warping and its second derivatives, in the ways of `log_space`.

A cell has one state, the smooth maximum over all paths to it of minus their cost,

    r[i,j] = smax(r[i-1,j-1], r[i-1,j], r[i,j-1]) - cost[i,j]

Cells that the band leaves out, or whose cost is infinite, are impossible.
"""

import math

import numpy as np

from fastsw._cpu.kernels.log_numbers import (
    EMPTY,
    add,
    derivatives_of,
    entropy_of,
    number,
    smax3,
    with_inverse,
)
from fastsw._cpu.kernels.log_space import DERIVATIVES, VALUES, copy
from fastsw._cpu.runtime.compile import helper, kernel
from fastsw._cpu.runtime.handoff import next_item
from fastsw._recurrence import NEG_INF

# A cell of the table of states: three doubles of its value, entropy, derivatives of both.
ENTROPY, DOT, ENTROPY_DOT = 3, 4, 5
FIELDS = (3, 4, 6)

#: Shares of the diagonal, the upper and the left neighbour; then their derivatives.
SHARES = 3


@helper
def value_at(table, i, j):
    """Value of a cell."""
    return table[i, j, 0], table[i, j, 1], table[i, j, 2]


@helper
def set_value(table, i, j, value):
    """Write the value of a cell."""
    table[i, j, 0], table[i, j, 1], table[i, j, 2] = value


@helper
def forward_strip(problem, b, columns, rows, table, shares, carried):
    """States of rows rows[0]..rows[1]-1 into table[1:], given row rows[0]-1 as table[0].

    Column j of the pair is column j + 1 of the table, whose first is impossible.
    """
    cost, scale, temperature, bandwidth, dot_cost, temperature_dot = problem
    for i in range(rows[0], rows[1]):
        r = i - rows[0] + 1
        table[r] = 0.0
        table[r, :, 0] = NEG_INF
        if carried > VALUES:
            shares[r - 1] = 0.0
        first, last = 0, columns
        if bandwidth >= 0:
            first, last = max(0, i - bandwidth), min(columns, i + bandwidth + 1)
        for j in range(first, last):
            c = j + 1
            if cost[b, i, j] == np.inf:
                continue
            if i == 0 and j == 0:
                set_value(table, r, c, add(EMPTY, -cost[b, 0, 0] * scale))
                if carried == DERIVATIVES:
                    table[r, c, DOT] = -dot_cost[b, 0, 0] * scale
                continue
            before, share, log = smax3(
                value_at(table, r - 1, c - 1),
                value_at(table, r - 1, c),
                value_at(table, r, c - 1),
                temperature,
            )
            set_value(table, r, c, add(before, -cost[b, i, j] * scale))
            if carried == VALUES:
                continue
            shares[r - 1, c, 0], shares[r - 1, c, 1], shares[r - 1, c, 2] = share
            entropies = (
                table[r - 1, c - 1, ENTROPY],
                table[r - 1, c, ENTROPY],
                table[r, c - 1, ENTROPY],
            )
            table[r, c, ENTROPY] = entropy_of(share, log, entropies)
            if carried == DERIVATIVES:
                dot, entropy_dot = derivatives_of(
                    share,
                    log,
                    entropies,
                    (table[r - 1, c - 1, DOT], table[r - 1, c, DOT], table[r, c - 1, DOT]),
                    (
                        table[r - 1, c - 1, ENTROPY_DOT],
                        table[r - 1, c, ENTROPY_DOT],
                        table[r, c - 1, ENTROPY_DOT],
                    ),
                    temperature,
                    temperature_dot,
                    shares[r - 1, c, SHARES:],
                )
                table[r, c, DOT] = dot - dot_cost[b, i, j] * scale
                table[r, c, ENTROPY_DOT] = entropy_dot


@helper
def backward_strip(b, columns, rows, shares, adjoints, out, with_tangents):
    """Probabilities of the cells of rows rows[0]..rows[1]-1, last row first, or their derivatives.

    Row i finds what the row below handed to it in adjoints[i % 2].
    """
    for i in range(rows[1] - 1, rows[0] - 1, -1):
        r = i - rows[0]
        here, above = adjoints[i % 2], adjoints[(i + 1) % 2]
        above[:] = 0.0
        for c in range(columns, 0, -1):
            visited, visited_dot = here[c, 0], here[c, 1]
            out[b, i, c - 1] = visited_dot if with_tangents else visited
            if visited == 0.0 and visited_dot == 0.0:
                continue
            above[c - 1, 0] += visited * shares[r, c, 0]
            above[c, 0] += visited * shares[r, c, 1]
            here[c - 1, 0] += visited * shares[r, c, 2]
            if with_tangents:
                above[c - 1, 1] += visited_dot * shares[r, c, 0] + visited * shares[r, c, SHARES]
                above[c, 1] += visited_dot * shares[r, c, 1] + visited * shares[r, c, SHARES + 1]
                here[c - 1, 1] += visited_dot * shares[r, c, 2] + visited * shares[r, c, SHARES + 2]


@helper
def align_pair(problem, b, n, columns, out, carried, with_gradients):
    """Walk one pair: fields of its last cell; its gradient, or the derivative of that, to `out`."""
    strip = max(16, int(math.sqrt(n))) if with_gradients else 8
    strips = (n + strip - 1) // strip
    table = np.empty((strip + 1, columns + 1, FIELDS[carried]))
    arrows = 2 * SHARES if carried == DERIVATIVES else SHARES
    shares = np.empty((strip if carried > VALUES else 1, columns + 1, arrows))
    carries = np.empty((strips if with_gradients else 1, columns + 1, FIELDS[carried]))
    table[0] = 0.0
    table[0, :, 0] = NEG_INF
    for k in range(strips):
        rows = k * strip, min(n, (k + 1) * strip)
        if k > 0:
            copy(table[strip], table[0])
        if with_gradients:
            copy(table[0], carries[k])
        forward_strip(problem, b, columns, rows, table, shares, carried)
    last = table[n - (strips - 1) * strip, columns].copy()
    if not with_gradients or last[0] == NEG_INF:
        return last
    adjoints = np.zeros((2, columns + 1, 2))
    adjoints[(n - 1) % 2, columns, 0] = 1.0
    for k in range(strips - 1, -1, -1):
        rows = k * strip, min(n, (k + 1) * strip)
        if k < strips - 1:
            copy(carries[k], table[0])
            forward_strip(problem, b, columns, rows, table, shares, carried)
        backward_strip(b, columns, rows, shares, adjoints, out, carried == DERIVATIVES)
    return last


@kernel
def warp(
    thread,
    queue,
    cost,
    scale,
    temperature,
    lengths,
    bandwidth,
    dot_cost,
    dot_temperature,
    out,
    result,
    carried,
    with_gradients,
):
    """Minus the costs of the pairs in a queue, and what else is asked for; see `log_space.align`.

    `bandwidth` is -1 for none. `result` is [B, 3]: minus the value (or, with DERIVATIVES, minus its
    derivative), entropy, derivative of the entropy. `out` must hold zeros.
    """
    for _ in range(queue.size):
        b = next_item(queue)
        if b < 0:
            break
        scaled = with_inverse(temperature * scale)
        dot = dot_temperature[b] * scale if carried == DERIVATIVES else 0.0
        problem = cost, scale, scaled, bandwidth, dot_cost, dot
        last = align_pair(problem, b, lengths[b, 0], lengths[b, 1], out, carried, with_gradients)
        if carried == DERIVATIVES:
            possible = last[0] > NEG_INF
            result[b, 0] = last[DOT] / scale if possible else 0.0
            result[b, 2] = last[ENTROPY_DOT] if possible else 0.0
        else:
            result[b, 0] = number((last[0], last[1], last[2]), scaled) / scale
        if carried > VALUES:
            result[b, 1] = last[ENTROPY]

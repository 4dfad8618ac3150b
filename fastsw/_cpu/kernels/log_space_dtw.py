"""Robust soft dynamic time warping and its second derivatives, in the ways of `log_space`.

Cells that the band leaves out, or whose cost is infinite, are impossible.
"""

import math

import numpy as np

from fastsw._cpu.kernels import cell
from fastsw._cpu.kernels.log_numbers import (
    answer,
    double,
    load,
    nothing,
    one,
    shares,
    size_of,
    store,
    tangent_at,
)
from fastsw._cpu.kernels.log_space import is_zero, read, write
from fastsw._cpu.runtime.compile import helper, inlined, kernel
from fastsw._cpu.runtime.handoff import next_item
from fastsw._cpu.simd.dual import derivative
from fastsw._recurrence import NEG_INF


@helper
def copy_row(like, source, source_at, target, target_at, count):
    """Copy so many numbers."""
    for j in range(count):
        at = j * size_of(like)
        store(target, target_at + at, load(like, source, source_at + at))


@helper
def clear_row(like, table, count):
    """Make the numbers of the first row of a table impossible."""
    for j in range(count):
        store(table, j * size_of(like), nothing(like))


@inlined
def before(like, table, row, above, c):
    """Numbers of the cells on the left, above and on the diagonal; rows are places in a table."""
    at = c * size_of(like)
    left = load(like, table, row + at - size_of(like))
    return left, load(like, table, above + at), load(like, table, above + at - size_of(like))


@helper
def forward_strip(problem, b, columns, rows, table):
    """Numbers of rows rows[0]..rows[1]-1 into the table from its row 1 on, given row 0.

    Column j of the pair is column j + 1 of the table, whose first is impossible.
    """
    cost, tangent, scale, bandwidth, like = problem
    length = (columns + 1) * size_of(like)
    for i in range(rows[0], rows[1]):
        row = (i - rows[0] + 1) * length
        for j in range(-1, columns):
            value = nothing(like)
            within = j >= 0 and (bandwidth < 0 or abs(i - j) <= bandwidth)
            if within and cost[b, i, j] < np.inf:
                into = like
                if i > 0 or j > 0:
                    into = cell.warp(*before(like, table, row, row - length, j + 1))
                value = double(like, -cost[b, i, j] * scale, -tangent[b, i, j] * scale) * into
            store(table, row + (j + 1) * size_of(like), value)


@helper
def backward_strip(problem, b, columns, rows, table, adjoints, out):
    """Probabilities of the cells of rows rows[0]..rows[1]-1, last row first, or their tangents.

    Row i finds what the row below handed to it in adjoints[i % 2].
    """
    like = problem[4]
    none, length = double(like, 0.0, 0.0), (columns + 1) * size_of(like)
    for i in range(rows[1] - 1, rows[0] - 1, -1):
        row = (i - rows[0] + 1) * length
        here, above = adjoints[i % 2], adjoints[(i + 1) % 2]
        from_right, from_diagonal = none, none
        for c in range(columns, 0, -1):
            visited = read(like, here, c) + from_right
            out[b, i, c - 1] = derivative(visited)
            of_left, of_up, of_diagonal = none, none, none
            if not is_zero(visited):
                # The chain rule on `cell.warp`.
                of = shares(*before(like, table, row, row - length, c))
                of_left, of_up = visited * of[0], visited * of[1]
                of_diagonal = visited * of[2]
            write(above, c, of_up + from_diagonal)
            from_right, from_diagonal = of_left, of_diagonal


@helper
def align_pair(problem, b, n, columns, out, with_gradients):
    """The number of the last cell of a pair; its gradient, or the tangent of that, to `out`."""
    like = problem[4]
    length = (columns + 1) * size_of(like)
    strip = max(16, int(math.sqrt(n))) if with_gradients else 8
    strips = (n + strip - 1) // strip
    table = np.empty((strip + 1) * length)
    boundary = np.empty((strips if with_gradients else 1) * length)
    clear_row(like, table, columns + 1)
    for k in range(strips):
        rows = k * strip, min(n, (k + 1) * strip)
        if k > 0:
            copy_row(like, table, strip * length, table, 0, columns + 1)
        if with_gradients:
            copy_row(like, table, 0, boundary, k * length, columns + 1)
        forward_strip(problem, b, columns, rows, table)
    last = (n - (strips - 1) * strip + 1) * length - size_of(like)
    total = load(like, table, last)
    if not with_gradients or total.high == NEG_INF:
        return total
    adjoints = np.zeros((2, columns + 1, 2))
    write(adjoints[(n - 1) % 2], columns, double(like, 1.0, 0.0))
    for k in range(strips - 1, -1, -1):
        rows = k * strip, min(n, (k + 1) * strip)
        if k < strips - 1:
            copy_row(like, boundary, k * length, table, 0, columns + 1)
            forward_strip(problem, b, columns, rows, table)
        backward_strip(problem, b, columns, rows, table, adjoints, out)
    return total


@kernel
def warp(
    thread,
    queue,
    cost,
    scale,
    temperature,
    lengths,
    bandwidth,
    tangents,
    out,
    result,
    with_gradients,
):
    """Minus the costs of the pairs in a queue, and what else is asked for; see `log_space.align`.

    `bandwidth` is -1 for none. `tangents` is a direction of (cost, temperature [B]). `out` must
    hold zeros.
    """
    for _ in range(queue.size):
        b = next_item(queue)
        if b < 0:
            break
        scaled = temperature * scale
        like = one(1.0 / max(scaled, 1e-300), tangent_at(tangents[1], b, scale))
        problem = cost, tangents[0], scale, bandwidth, like
        total = align_pair(problem, b, lengths[b, 0], lengths[b, 1], out, with_gradients)
        value, result[b, 1] = answer(total, scaled)
        result[b, 0] = value / scale

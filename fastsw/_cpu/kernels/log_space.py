"""Robust passes: any penalties, temperature and finite similarity; slower than `intra_pair`.

The forward pass is `cell` on the numbers of `log_numbers`, and carries entropies and, where asked
for, derivatives along a direction. The backward pass multiplies and sums shares only: from the ends
on, the probability of a state is handed to the states before it (`backward`).

Ends are summed one after the other, each sum of two giving the share of an end in the sum so far.
Backwards, what an end leaves is what the earlier ones have.

A pair is passed over in strips of rows. The forward pass keeps the boundary row above each strip;
the backward pass recomputes a strip from that row before passing over it in reverse, so memory
grows with (N / strip) * M and not with N * M. Rows and columns are those of the grid: row and
column 0 lie before the first pair. A table has a row more, the one above the first.
"""

import math
from typing import NamedTuple

import numpy as np

from fastsw._cpu.kernels import cell
from fastsw._cpu.kernels.log_numbers import (
    add,
    answer,
    double,
    load,
    nothing,
    one,
    size_of,
    split,
    store,
    tangent_at,
)
from fastsw._cpu.runtime.compile import helper, inlined, kernel
from fastsw._cpu.runtime.handoff import next_item
from fastsw._cpu.simd.dual import derivative, primal
from fastsw._recurrence import NEG_INF
from fastsw._types import FITTING, GLOBAL, LOCAL

# Numbers of a cell of a table: what the row below follows, as far as `BOUNDARY`; the sum over the
# ends before the cell's; and its states. Y is V of the cell above.
H, V, ENDED, M, X, NUMBERS = range(6)
BOUNDARY = 2


class Problem(NamedTuple):
    """A request, and what is known of its present pair."""

    rows: int
    columns: int
    similarity: np.ndarray  # [B, N, M]
    penalties: tuple
    scale: float  # multiplies similarities, penalties and temperature
    mode: int
    trailing: np.ndarray  # [N + 1, 2], see `row_ends`
    tangents: tuple  # the direction: similarity and penalties
    trailing_tangents: np.ndarray  # [N + 1, 2]
    one: object  # the number of the empty alignment


@inlined
def entry(penalty, b, r, c):
    """Index of cell (r, c) of pair b in an array whose axes may have length 1."""
    return min(b, penalty.shape[0] - 1), min(r, penalty.shape[1] - 1), min(c, penalty.shape[2] - 1)


@inlined
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
    high, low = 0.0, 0.0
    for i in range(n - 1, -1, -1):
        cost = penalties_at(penalties, b, i + 1, m, scale)
        ends[i, 0], ends[i, 1] = add(high, low, -cost[2])
        high, low = add(high, low, -cost[3])
    return ends


@inlined
def column_factors(problem, b, i, j):
    """Factors of opening and extending a column gap on entering a grid cell."""
    row, column = max(i, 1) - 1, min(max(j, 1), problem.columns) - 1
    return factor_at(problem, b, 0, row, column), factor_at(problem, b, 1, row, column)


@inlined
def row_factors(problem, b, i, j):
    """Factors of opening and extending a row gap on entering a grid cell."""
    row, column = min(i, problem.rows) - 1, max(j, 1) - 1
    return factor_at(problem, b, 2, row, column), factor_at(problem, b, 3, row, column)


@inlined
def factor_at(problem, b, kind, r, c):
    """The gap factor of a penalty."""
    penalty, tangent = problem.penalties[kind], problem.tangents[1][kind]
    return double(
        problem.one,
        -penalty[entry(penalty, b, r, c)] * problem.scale,
        -tangent[entry(tangent, b, r, c)] * problem.scale,
    )


@inlined
def weight_at(problem, b, i, j):
    """The weight of a grid cell: none in row and column 0."""
    if i == 0 or j == 0:
        return double(problem.one, NEG_INF, 0.0)
    cell_, tangent = problem.similarity[b, i - 1, j - 1], problem.tangents[0][b, i - 1, j - 1]
    return double(problem.one, cell_ * problem.scale, tangent * problem.scale)


@inlined
def ended_in(problem, m, i):
    """What ends in M of a cell of row i."""
    if problem.mode != FITTING:
        return m
    high, low = problem.trailing[i, 0], problem.trailing[i, 1]
    tangent = problem.trailing_tangents[i, 0]
    return double(problem.one, high, tangent) * (double(problem.one, low, 0.0) * m)


@inlined
def place(problem, r, j, state):
    """Where a number of a cell lies in a table."""
    return ((r * (problem.columns + 1) + j) * NUMBERS + state) * size_of(problem.one)


@helper
def begin(problem, table):
    """Fill the row above the grid; the sum over the ends before it: the empty alignment's."""
    impossible = nothing(problem.one)
    for j in range(problem.columns + 1):
        for state in range(NUMBERS):
            store(table, place(problem, 0, j, state), impossible)
    if problem.mode == FITTING:
        return ended_in(problem, problem.one, 0)
    return impossible


@helper
def forward_strip(problem, b, rows, table, total):
    """Numbers of grid rows rows[0]..rows[1]-1 into the table, from row 1 on; the sum over ends."""
    mode, impossible, start = problem.mode, nothing(problem.one), nothing(problem.one)
    if mode == LOCAL:
        start = problem.one
    for i in range(rows[0], rows[1]):
        r = i - rows[0] + 1
        m, x, diagonal = impossible, impossible, impossible
        for j in range(problem.columns + 1):
            if i == 0 and (mode == FITTING or (mode == GLOBAL and j == 0)):
                m, x = problem.one, impossible
            else:
                open_x, extend_x = column_factors(problem, b, i, j)
                weight = weight_at(problem, b, i, j)
                m, x = cell.enter(weight, diagonal + start, m, x, open_x, extend_x)
            open_y, extend_y = row_factors(problem, b, i + 1, j)
            y = load(problem.one, table, place(problem, r - 1, j, V))
            h, v = cell.leave(m, x, y, open_y, extend_y)
            diagonal = load(problem.one, table, place(problem, r - 1, j, H))
            store(table, place(problem, r, j, H), h)
            store(table, place(problem, r, j, V), v)
            store(table, place(problem, r, j, M), m)
            store(table, place(problem, r, j, X), x)
            if i > 0 and j > 0 and mode != GLOBAL:
                store(table, place(problem, r, j, ENDED), total)
                total = total + ended_in(problem, m, i)
    return total


@inlined
def backward(m, x, y, diagonal, right, down, factors):
    """Probabilities of M, X and Y of a cell, and of the gaps to the right and down from it.

    The states lead on to M of the diagonal successor, X on the right and Y below, of which
    `diagonal`, `right` and `down` are the probabilities. This is the chain rule on `cell.enter` and
    `cell.leave`, a sum at a time. `cell.backward` computes suffixes instead, whose product with
    prefixes over the total is a probability only while the logarithms of all three are exact; see
    `log_numbers`.
    """
    open_x, extend_x, open_y, extend_y = factors
    outer = m + x
    opened_down, extended_down = split(down, open_y * outer, extend_y * y)
    outer_followed, y_followed = split(diagonal, outer, y)
    of_m, of_x = split(opened_down + outer_followed, m, x)
    opened_right, extended_right = split(right, open_x * m, extend_x * x)
    gaps = opened_right, extended_right, opened_down, extended_down
    return of_m + opened_right, of_x + extended_right, y_followed + extended_down, gaps


@inlined
def states_at(problem, table, r, j):
    """States M, X and Y of a cell of a table."""
    return (
        load(problem.one, table, place(problem, r, j, M)),
        load(problem.one, table, place(problem, r, j, X)),
        load(problem.one, table, place(problem, r - 1, j, V)),
    )


@inlined
def is_zero(a):
    """Whether a probability and its tangent are 0."""
    return primal(a) == 0.0 and derivative(a) == 0.0


@inlined
def read(like, row, j):
    """A probability from a row of them."""
    return double(like, row[j, 0], row[j, 1])


@inlined
def write(row, j, a):
    """Write a probability into a row of them."""
    row[j, 0], row[j, 1] = primal(a), derivative(a)


@inlined
def pay(gradient, b, r, c, gap):
    """Count a gap into the gradient of its penalty."""
    gradient[entry(gradient, b, r, c)] -= derivative(gap)


@helper
def backward_strip(problem, b, rows, table, adjoints, rest, ended, out):
    """Gradients of grid rows rows[0]..rows[1]-1, last row first, or the tangents of these.

    `adjoints` are rows of probabilities: of M of the row below, less what starts there, and of Y of
    the row below. `rest` is the probability of the ends so far; that of the earlier ones is the
    result. `ended` receives, row by row, what ends there.
    """
    onto, below = adjoints
    none, columns = double(problem.one, 0.0, 0.0), problem.columns
    for i in range(rows[1] - 1, rows[0] - 1, -1):
        r, row = i - rows[0] + 1, max(i, 1) - 1
        right, diagonal = none, read(problem.one, onto, columns + 1)
        write(onto, columns + 1, none)
        for j in range(columns, -1, -1):
            column, inner = max(j, 1) - 1, i > 0 and j > 0
            down, next_diagonal = read(problem.one, below, j), read(problem.one, onto, j)
            m, x, y = states_at(problem, table, r, j)
            of_m, of_x, of_y = none, none, none
            if not (is_zero(diagonal) and is_zero(right) and is_zero(down)):
                open_x, extend_x = column_factors(problem, b, i, j + 1)
                open_y, extend_y = row_factors(problem, b, i + 1, j)
                factors = open_x, extend_x, open_y, extend_y
                of_m, of_x, of_y, gaps = backward(m, x, y, diagonal, right, down, factors)
                if j < columns:
                    pay(out[1], b, row, j, gaps[0])
                    pay(out[2], b, row, j, gaps[1])
                if i < problem.rows:
                    pay(out[3], b, i, column, gaps[2])
                    pay(out[4], b, i, column, gaps[3])
            if inner and problem.mode != GLOBAL:
                earlier = load(problem.one, table, place(problem, r, j, ENDED))
                rest, end = split(rest, earlier, ended_in(problem, m, i))
                of_m = of_m + end
                ended[i] += derivative(end)
            if inner:
                out[0][b, i - 1, j - 1] = derivative(of_m)
                if problem.mode == LOCAL:
                    before = load(problem.one, table, place(problem, r - 1, j - 1, H))
                    of_m, _ = split(of_m, before, problem.one)
                write(onto, j, of_m)
            write(below, j, of_y)
            right, diagonal = of_x, next_diagonal
    return rest


@helper
def pay_trailing_rows(b, n, columns, ended, out):
    """Fitting mode: gradients of the rows that are skipped after the last pair."""
    earlier = 0.0
    for i in range(n):
        out[3][entry(out[3], b, i, columns - 1)] -= ended[i]
        out[4][entry(out[4], b, i, columns - 1)] -= earlier
        earlier += ended[i]


@helper
def copy_boundary(problem, source, target):
    """Copy what follows a row; `source` and `target` are an array, a row and numbers per cell."""
    columns, size = problem.columns + 1, size_of(problem.one)
    for j in range(columns):
        for state in range(BOUNDARY):
            read_at = (source[1] * columns + j) * source[2] + state
            write_at = (target[1] * columns + j) * target[2] + state
            store(target[0], write_at * size, load(problem.one, source[0], read_at * size))


@helper
def align_pair(problem, b, out, with_gradients):
    """The sum over alignments of one pair; its gradients, or the tangents of these, go to `out`."""
    n, columns, size = problem.rows, problem.columns, size_of(problem.one)
    strip = max(16, int(math.sqrt(n + 1))) if with_gradients else 8
    strips = (n + strip) // strip
    table = np.empty((strip + 1) * (columns + 1) * NUMBERS * size)
    kept = strips if with_gradients else 1
    boundary, totals = np.empty(kept * (columns + 1) * BOUNDARY * size), np.empty(kept * size)
    total = begin(problem, table)
    for k in range(strips):
        rows = k * strip, min(n + 1, (k + 1) * strip)
        if k > 0:
            copy_boundary(problem, (table, strip, NUMBERS), (table, 0, NUMBERS))
        if with_gradients:
            copy_boundary(problem, (table, 0, NUMBERS), (boundary, k, BOUNDARY))
            store(totals, k * size, total)
        total = forward_strip(problem, b, rows, table, total)
    if problem.mode == GLOBAL:
        last = n - (strips - 1) * strip + 1
        total = load(problem.one, table, place(problem, last, columns, H))
    if not with_gradients:
        return total
    if total.high == NEG_INF:
        out[0][b, :n, :columns] = 0.0
        return total
    adjoints = np.zeros((columns + 2, 2)), np.zeros((columns + 1, 2))
    certain = double(problem.one, 1.0, 0.0)
    if problem.mode == GLOBAL:
        write(adjoints[0], columns + 1, certain)
    ended, rest = np.zeros(n + 1), certain
    for k in range(strips - 1, -1, -1):
        rows = k * strip, min(n + 1, (k + 1) * strip)
        if k < strips - 1:
            copy_boundary(problem, (boundary, k, BOUNDARY), (table, 0, NUMBERS))
            forward_strip(problem, b, rows, table, load(problem.one, totals, k * size))
        rest = backward_strip(problem, b, rows, table, adjoints, rest, ended, out)
    if problem.mode == FITTING:
        ended[0] = derivative(rest)
        pay_trailing_rows(b, n, columns, ended, out)
    return total


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
    tangents,
    out,
    result,
    with_gradients,
):
    """Scores and what else is asked for of the pairs in a queue.

    `scale` multiplies similarities, penalties and temperature, so that sums of any finite values
    stay finite, and differences of any size. `tangents` is a direction: (similarity, penalties,
    temperature [B]); with None for the temperature there is none, and what is before it is not
    read. `out` is (similarity, open_x, extend_x, open_y, extend_y) gradients, the penalties'
    accumulated into; `result` is [B, 2]: score and entropy. Along a direction, their tangents.
    """
    for _ in range(queue.size):
        b = next_item(queue)
        if b < 0:
            break
        n, m = lengths[b, 0], lengths[b, 1]
        problem = Problem(
            n,
            m,
            similarity,
            penalties,
            scale,
            mode,
            row_ends(penalties, b, n, m, scale, mode),
            (tangents[0], tangents[1]),
            row_ends(tangents[1], b, n, m, scale, mode),
            one(1.0 / max(temperature * scale, 1e-300), tangent_at(tangents[2], b, scale)),
        )
        total = align_pair(problem, b, out, with_gradients)
        value, result[b, 1] = answer(total, temperature * scale)
        result[b, 0] = value / scale

"""Exact sampling of alignments: back from an end, at random by the shares of `log_space`."""

import numpy as np

from fastsw._cpu.kernels.log_numbers import load, one, size_of, split
from fastsw._cpu.kernels.log_space import (
    ENDED,
    NUMBERS,
    H,
    Problem,
    backward,
    begin,
    column_factors,
    ended_in,
    forward_strip,
    penalties_at,
    place,
    row_ends,
    row_factors,
    states_at,
)
from fastsw._cpu.kernels.viterbi import START, M, X, Y, turn_round
from fastsw._cpu.runtime.compile import helper, serial_kernel
from fastsw._types import FITTING, GLOBAL, LOCAL


@helper
def choose(draw, shares, otherwise):
    """Index of the first share whose running sum exceeds the draw.

    If none does: `otherwise`, or where that is negative, since all sum to 1 but for rounding, the
    last share above 0.
    """
    last = 0
    for k in range(len(shares)):
        draw -= shares[k]
        if draw < 0.0:
            return k
        if shares[k] > 0.0:
            last = k
    return last if otherwise < 0 else otherwise


@helper
def states_before(problem, table, b, i, j, arrival):
    """Probabilities of the states of a grid cell, given those of what follows it.

    `arrival` says how likely the next state is M of the diagonal successor, X on the right and Y
    below.
    """
    m, x, y = states_at(problem, table, i + 1, j)
    factors = *column_factors(problem, b, i, j + 1), *row_factors(problem, b, i + 1, j)
    of_m, of_x, of_y, _ = backward(m, x, y, *arrival, factors)
    return of_m, of_x, of_y


@helper
def find_ends(problem, table, ends, row_sums):
    """Probability of ending in M of each cell of the grid and of each row; at 0 before it."""
    rest = 1.0
    for i in range(problem.rows, 0, -1):
        for j in range(problem.columns, 0, -1):
            earlier = load(problem.one, table, place(problem, i + 1, j, ENDED))
            m, _, _ = states_at(problem, table, i + 1, j)
            rest, ends[i, j] = split(rest, earlier, ended_in(problem, m, i))
            row_sums[i] += ends[i, j]
    ends[0, 0] = rest


@helper
def draw_end(problem, table, b, ends, row_sums, draw):
    """Grid cell and state at which a sampled alignment ends."""
    n, m = problem.rows, problem.columns
    if problem.mode == GLOBAL:
        last = states_before(problem, table, b, n, m, (1.0, 0.0, 0.0))
        return n, m, M + choose(draw, last, -1)
    draw -= ends[0, 0]
    if problem.mode == FITTING and draw < 0.0:
        return 0, m, START
    end = 0, m, START
    for i in range(1, n + 1):
        if draw >= row_sums[i]:
            draw -= row_sums[i]
            continue
        for j in range(1, m + 1):
            draw -= ends[i, j]
            if ends[i, j] > 0.0:
                end = i, j, M
            if draw < 0.0:
                return end
    return end


@helper
def draw_path(problem, table, b, end, draws, pairs):
    """Follow random arrows from an end to the start; the number of pairs met, and their score.

    The score does not include a trailing gap of fitting mode.
    """
    similarity, penalties, mode = problem.similarity, problem.penalties, problem.mode
    i, j, state = end
    count, step, score = 0, 0, 0.0
    while state != START and not (i == 0 and (mode == FITTING or j == 0)):
        open_x, extend_x, open_y, extend_y = penalties_at(penalties, b, i, j, 1.0)
        arrived, followed, start = state, 1.0, -1
        if arrived == M:
            pairs[count, 0], pairs[count, 1] = i - 1, j - 1
            count += 1
            score += similarity[b, i - 1, j - 1]
            i, j = i - 1, j - 1
            if mode == LOCAL:
                h = load(problem.one, table, place(problem, i + 1, j, H))
                followed, start = split(1.0, h, problem.one)[0], 3
            arrival = followed, 0.0, 0.0
        elif arrived == X:
            j, arrival = j - 1, (0.0, 1.0, 0.0)
        else:
            i, arrival = i - 1, (0.0, 0.0, 1.0)
        k = choose(draws[step], states_before(problem, table, b, i, j, arrival), start)
        step += 1
        state = START if k == 3 else M + k
        if arrived == X:
            score -= open_x if state == M else extend_x
        elif arrived == Y:
            score -= extend_y if state == Y else open_y
    return count, score


@serial_kernel
def draw_alignments(
    similarity, penalties, temperature, mode, b, shape, draws, pairs, counts, scores
):
    """Sample draws.shape[0] alignments of pair b into pairs [size, K, 2], ascending."""
    n, m = shape
    trailing = row_ends(penalties, b, n, m, 1.0, mode)
    problem = Problem(
        n,
        m,
        similarity,
        penalties,
        1.0,
        mode,
        trailing,
        (similarity, penalties),
        trailing,
        one(1.0 / max(temperature, 1e-300), None),
    )
    table = np.empty((n + 2) * (m + 1) * NUMBERS * size_of(problem.one))
    ends, row_sums = np.zeros((n + 1, m + 1)), np.zeros(n + 1)
    forward_strip(problem, b, (0, n + 1), table, begin(problem, table))
    if mode != GLOBAL:
        find_ends(problem, table, ends, row_sums)
    for s in range(draws.shape[0]):
        end = draw_end(problem, table, b, ends, row_sums, draws[s, 0])
        counts[s], scores[s] = draw_path(problem, table, b, end, draws[s, 1:], pairs[s])
        if mode == FITTING:
            scores[s] += trailing[end[0], 0]
        turn_round(pairs[s], counts[s])

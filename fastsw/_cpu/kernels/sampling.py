"""Exact sampling of alignments: a random walk back along the shares of the forward pass."""

import numpy as np

from fastsw._cpu.kernels.log_numbers import with_inverse
from fastsw._cpu.kernels.log_space import (
    EARLIER,
    END,
    ENTROPIES,
    FIELDS,
    INTO_M,
    INTO_X,
    INTO_Y,
    SHARES,
    TOTAL_FIELDS,
    Problem,
    begin,
    end_in_corner,
    forward_strip,
    penalties_at,
    row_ends,
    three,
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
def spread_ends(shares, ends, row_sums):
    """Probability of ending in M of each cell of the grid and of each row; at 0 before it."""
    rest = 1.0
    for i in range(ends.shape[0] - 1, 0, -1):
        for j in range(ends.shape[1] - 1, 0, -1):
            ends[i, j] = rest * shares[i, j, END]
            row_sums[i] += ends[i, j]
            rest *= shares[i, j, EARLIER]
    ends[0, 0] = rest


@helper
def draw_end(mode, ends, row_sums, corner, draw):
    """Grid cell and state at which a sampled alignment ends."""
    n, m = ends.shape[0] - 1, ends.shape[1] - 1
    if mode == GLOBAL:
        return n, m, M + choose(draw, three(corner, 0, m, 0), -1)
    draw -= ends[0, 0]
    if mode == FITTING and draw < 0.0:
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
def walk_back(problem, b, end, shares, draws, pairs):
    """Follow random arrows from an end to the start; the number of pairs met, and their score.

    The score does not include a trailing gap of fitting mode.
    """
    similarity, penalties, mode = problem.similarity, problem.penalties, problem.mode
    i, j, state = end
    count, step, score = 0, 0, 0.0
    start = 3 if mode == LOCAL else -1
    while state != START and not (i == 0 and (mode == FITTING or j == 0)):
        open_x, extend_x, open_y, extend_y = penalties_at(penalties, b, i, j, 1.0)
        draw = draws[step]
        step += 1
        if state == M:
            pairs[count, 0], pairs[count, 1] = i - 1, j - 1
            count += 1
            score += similarity[b, i - 1, j - 1]
            k = choose(draw, three(shares, i, j, INTO_M), start)
            state = START if k == 3 else M + k
            i, j = i - 1, j - 1
        elif state == X:
            k = choose(draw, (shares[i, j, INTO_X], shares[i, j, INTO_X + 1]), -1)
            state = M + k
            score -= open_x if state == M else extend_x
            j -= 1
        else:
            k = choose(draw, three(shares, i, j, INTO_Y), -1)
            state = M + k
            score -= extend_y if state == Y else open_y
            i -= 1
    return count, score


@serial_kernel
def draw_alignments(
    similarity, penalties, temperature, mode, b, shape, draws, pairs, counts, scores
):
    """Sample draws.shape[0] alignments of pair b into pairs [size, K, 2], ascending."""
    n, m = shape
    trailing = row_ends(penalties, b, n, m, 1.0, mode)
    unmoved = similarity, penalties, 0.0, np.zeros(n + 1)
    problem = Problem(
        similarity, penalties, 1.0, with_inverse(temperature), mode, trailing, *unmoved
    )
    table = np.empty((n + 2, m + 1, FIELDS[ENTROPIES]))
    shares, corner = np.empty((n + 1, m + 1, SHARES)), np.zeros((1, m + 1, 6))
    total, ends, row_sums = np.empty(TOTAL_FIELDS), np.zeros((n + 1, m + 1)), np.zeros(n + 1)
    begin(table, total, m, problem)
    forward_strip(problem, b, m, (0, n + 1), table, shares, total, ENTROPIES)
    if mode == GLOBAL:
        end_in_corner(problem, total, table, n + 1, m, corner[0], ENTROPIES)
    else:
        spread_ends(shares, ends, row_sums)
    for s in range(draws.shape[0]):
        end = draw_end(mode, ends, row_sums, corner, draws[s, 0])
        counts[s], scores[s] = walk_back(problem, b, end, shares, draws[s, 1:], pairs[s])
        if mode == FITTING:
            scores[s] += trailing[end[0], 0]
        turn_round(pairs[s], counts[s])

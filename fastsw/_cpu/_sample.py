"""Exact sampling of alignments: a random walk back through the prefix table."""

import numpy as np

from fastsw._cpu._compile import helper, serial_kernel
from fastsw._cpu._hard import START, M, X, Y
from fastsw._cpu._log import IMPOSSIBLE, forward_strip, penalties_at, row_ends, triple
from fastsw._recurrence import NEG_INF, arrival_shares, share
from fastsw._reference import FITTING, GLOBAL


@helper
def choose(draw, shares):
    """Index of the first share whose running sum exceeds the draw; len(shares) if none does."""
    for k in range(len(shares)):
        draw -= shares[k]
        if draw < 0.0:
            return k
    return len(shares)


@helper
def draw_end(table, row_sums, trailing, mode, n, m, total, draw):
    """Grid cell and state at which a sampled alignment ends."""
    if mode == GLOBAL:
        state = M
        for k in range(3):
            draw -= share(table[n + 1, m, k], total)
            if table[n + 1, m, k] > NEG_INF:
                state = M + k
            if draw < 0.0:
                break
        return n, m, state
    if mode == FITTING:
        draw -= share(trailing[0], total)
        if draw < 0.0:
            return 0, m, START
    end = 0, m, START
    for i in range(1, n + 1):
        if draw >= row_sums[i]:
            draw -= row_sums[i]
            continue
        for j in range(1, m + 1):
            part = share(table[i + 1, j, 0] + trailing[i], total)
            draw -= part
            if part > 0.0:
                end = i, j, M
            if draw < 0.0:
                return end
    return end


@helper
def walk_back(similarity, penalties, inverse_temperature, mode, b, end, table, draws, pairs):
    """Follow random arrows from an end to the start; the number of pairs met, and their score / T.

    The score does not include a trailing gap of fitting mode.
    """
    i, j, state = end
    count, step, score = 0, 0, 0.0
    while state != START and not (i == 0 and (mode == FITTING or j == 0)):
        inner = i > 0 and j > 0
        cell = similarity[b, i - 1, j - 1] * inverse_temperature if inner else NEG_INF
        diagonal = triple(table, i, j - 1) if inner else IMPOSSIBLE
        left = triple(table, i + 1, j - 1) if j > 0 else IMPOSSIBLE
        up = triple(table, i, j)
        cost = penalties_at(penalties, b, i, j, inverse_temperature)
        here = triple(table, i + 1, j)
        into_m, into_x, into_y = arrival_shares(cell, here, diagonal, left, up, cost)
        draw = draws[step]
        step += 1
        if state == M:
            pairs[count, 0], pairs[count, 1] = i - 1, j - 1
            count += 1
            score += cell
            k = choose(draw, into_m)
            state = START if k == 3 else M + k
            i, j = i - 1, j - 1
        elif state == X:
            state = M if draw < into_x[0] else X
            score -= cost[0] if state == M else cost[1]
            j -= 1
        else:
            k = choose(draw, into_y)
            state = M + min(k, 2)
            score -= cost[3] if state == Y else cost[2]
            i -= 1
    return count, score


@serial_kernel
def draw_alignments(
    similarity, penalties, temperature, mode, b, shape, draws, pairs, counts, scores
):
    """Sample draws.shape[0] alignments of pair b into pairs [size, K, 2], ascending."""
    n, m = shape
    inverse_temperature = 1.0 / temperature
    trailing = row_ends(penalties, b, n, m, inverse_temperature, mode)
    problem = similarity, penalties, inverse_temperature, mode, trailing, trailing
    above, none = np.full((m + 1, 3), NEG_INF), np.zeros((m + 1, 3))
    table, unused = np.empty((n + 2, m + 1, 3)), np.zeros((1, 1, 3))
    total = NEG_INF, 0.0
    if mode == FITTING:
        total = trailing[0], 0.0
    dots = similarity, penalties
    log_sum = forward_strip(
        problem, dots, b, shape, (0, n + 1), above, none, table, unused, total, False
    )[0]
    if mode == GLOBAL:
        log_sum = NEG_INF
        for k in range(3):
            log_sum = np.logaddexp(log_sum, table[n + 1, m, k])
    row_sums = np.zeros(n + 1)
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            row_sums[i] += share(table[i + 1, j, 0] + trailing[i], log_sum)
    for s in range(draws.shape[0]):
        end = draw_end(table, row_sums, trailing, mode, n, m, log_sum, draws[s, 0])
        counts[s], scores[s] = walk_back(
            similarity, penalties, inverse_temperature, mode, b, end, table, draws[s, 1:], pairs[s]
        )
        if mode == FITTING:
            scores[s] += trailing[end[0]]
        scores[s] *= temperature
        pairs[s, : counts[s]] = pairs[s, : counts[s]][::-1].copy()

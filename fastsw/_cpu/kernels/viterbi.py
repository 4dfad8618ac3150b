"""Alignment at temperature 0: the best score, and one best path by traceback.

Ties: among equal ends the first in row-major order wins; among equal origins of a state the first
of start, M, X, Y. An end inside the table wins over the empty alignment of fitting mode.
"""

import numpy as np

from fastsw._cpu.kernels import cell
from fastsw._cpu.kernels.log_space import entry, penalties_at, row_ends
from fastsw._cpu.runtime.compile import helper, kernel
from fastsw._cpu.runtime.handoff import next_item
from fastsw._cpu.simd.max_plus_numbers import later, max_plus, score_of
from fastsw._recurrence import NEG_INF
from fastsw._types import FITTING, GLOBAL, LOCAL

START, M, X, Y = 0, 1, 2, 3

# Bits of a cell's origins: whether x extends a gap; whether, of what leads on from the cell, x is
# better than m, y than both, an extended row gap than an opened one, and anything than a start.
EXTENDS_X, X_OVER_M, Y_OVER_OUTER, EXTENDS_Y, OVER_START = 1, 2, 4, 8, 16


@helper
def best_end(similarity, penalties, scale, mode, b, n, m, trailing, origins):
    """Score, grid cell and state of the best end; fills the table of origins unless it is empty."""
    impossible, one = max_plus(NEG_INF), max_plus(0.0)
    start = one if mode == LOCAL else impossible
    rows = np.full((2, m + 1), NEG_INF)  # h and v of the row above, then of this one
    best, end = NEG_INF, (0, 0, START)
    h = impossible
    for i in range(n + 1):
        left_m, left_x, diagonal = impossible, impossible, impossible
        for j in range(m + 1):
            cost = penalties_at(penalties, b, i, j, scale)
            open_x, extend_x = max_plus(-cost[0]), max_plus(-cost[1])
            below = penalties_at(penalties, b, min(i + 1, n), j, scale)
            open_y, extend_y = max_plus(-below[2]), max_plus(-below[3])
            above, y = max_plus(rows[0, j]), max_plus(rows[1, j])
            if i == 0 and (mode == FITTING or (mode == GLOBAL and j == 0)):
                new_m, new_x = one, impossible
            else:
                inner = i > 0 and j > 0
                weight = max_plus(similarity[b, i - 1, j - 1] * scale if inner else NEG_INF)
                new_m, new_x = cell.enter(
                    weight, diagonal + start, left_m, left_x, open_x, extend_x
                )
            h, v = cell.leave(new_m, new_x, y, open_y, extend_y)
            if origins.size > 0:
                outer = new_m + new_x
                origins[i, j] = (
                    EXTENDS_X * later(open_x * left_m, extend_x * left_x)
                    | X_OVER_M * later(new_m, new_x)
                    | Y_OVER_OUTER * later(outer, y)
                    | EXTENDS_Y * later(open_y * outer, extend_y * y)
                    | OVER_START * later(start, h)
                )
            if i > 0 and j > 0 and mode != GLOBAL and score_of(new_m) + trailing[i] > best:
                best, end = score_of(new_m) + trailing[i], (i, j, M)
            rows[0, j], rows[1, j] = score_of(h), score_of(v)
            left_m, left_x, diagonal = new_m, new_x, above
    if mode == GLOBAL and score_of(h) > NEG_INF:
        best, end = score_of(h), (n, m, M)
    elif mode == FITTING and trailing[0] > best:
        best, end = trailing[0], (0, m, START)
    return best, end


@helper
def followed(origin):
    """The state that M of the diagonal successor follows, given a cell's origins."""
    if origin & Y_OVER_OUTER:
        return Y
    return X if origin & X_OVER_M else M


@helper
def trace(origins, mode, b, n, m, end, pairs, gradients):
    """Follow the origins back; returns the number of pairs, written in order from the last row up.

    The gradients of the penalties are minus the number of times each is paid.
    """
    open_x, extend_x, open_y, extend_y = gradients
    i, j, state = end
    if mode == GLOBAL:
        state = followed(origins[i, j])
    if mode == FITTING:
        for r in range(i, n):
            if r == i:
                open_y[entry(open_y, b, r, m - 1)] -= 1.0
            else:
                extend_y[entry(extend_y, b, r, m - 1)] -= 1.0
    count = 0
    while state != START and not (i == 0 and (mode == FITTING or j == 0)):
        r, c = max(i, 1) - 1, max(j, 1) - 1
        if state == M:
            pairs[count, 0], pairs[count, 1] = i - 1, j - 1
            count += 1
            i, j = i - 1, j - 1
            if mode == LOCAL and not origins[i, j] & OVER_START:
                state = START
            else:
                state = followed(origins[i, j])
        elif state == X:
            if origins[i, j] & EXTENDS_X:
                extend_x[entry(extend_x, b, r, c)] -= 1.0
            else:
                open_x[entry(open_x, b, r, c)] -= 1.0
                state = M
            j -= 1
        else:
            i -= 1
            if origins[i, j] & EXTENDS_Y:
                extend_y[entry(extend_y, b, r, c)] -= 1.0
            else:
                open_y[entry(open_y, b, r, c)] -= 1.0
                state = X if origins[i, j] & X_OVER_M else M
    return count


@helper
def turn_round(pairs, count):
    """Bring the first so many rows of an array into the reverse order."""
    for p in range(count // 2):
        q = count - 1 - p
        for k in range(2):
            pairs[p, k], pairs[q, k] = pairs[q, k], pairs[p, k]


@kernel
def viterbi_paths(
    thread, queue, similarity, penalties, scale, mode, lengths, out, scores, pairs, counts, want
):
    """Best scores of the pairs in a queue; with `want` = 1 also one best path.

    `scale` multiplies similarities and penalties; see `log_space.align`.

    The path goes into `pairs` [B, K, 2] in ascending order, its length into `counts`, its
    indicator into out[0] and minus the penalties paid into out[1:].
    """
    for _ in range(queue.size):
        b = next_item(queue)
        if b < 0:
            break
        n, m = lengths[b, 0], lengths[b, 1]
        trailing = row_ends(penalties, b, n, m, scale, mode)[:, 0].copy()
        origins = np.empty((n + 1, m + 1) if want else (0, 0), np.uint8)
        best, end = best_end(similarity, penalties, scale, mode, b, n, m, trailing, origins)
        scores[b] = best / scale
        if want and best > NEG_INF:
            gradients = out[1], out[2], out[3], out[4]
            counts[b] = trace(origins, mode, b, n, m, end, pairs[b], gradients)
            turn_round(pairs[b], counts[b])
            for p in range(counts[b]):
                out[0][b, pairs[b, p, 0], pairs[b, p, 1]] = 1.0

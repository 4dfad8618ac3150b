"""Alignment at temperature 0: the best score, and one best path by traceback.

Ties: among equal ends the first in row-major order wins; among equal origins of a state the first
of start, M, X, Y. An end inside the table wins over the empty alignment of fitting mode.
"""

import numpy as np

from fastsw._cpu.kernels.log_space import IMPOSSIBLE, entry, penalties_at, row_ends, three
from fastsw._cpu.runtime.compile import helper, kernel
from fastsw._cpu.runtime.handoff import next_item
from fastsw._recurrence import NEG_INF, hard_forward
from fastsw._types import FITTING, GLOBAL, LOCAL

START, M, X, Y = 0, 1, 2, 3


@helper
def best_end(similarity, penalties, scale, mode, b, n, m, trailing, origins):
    """Score, grid cell and state of the best end; fills the table of origins unless it is empty."""
    above, row = np.full((1, m + 1, 3), NEG_INF), np.full((1, m + 1, 3), NEG_INF)
    best, end = NEG_INF, (0, 0, START)
    for i in range(n + 1):
        for j in range(m + 1):
            if i == 0 and (mode == FITTING or (mode == GLOBAL and j == 0)):
                row[0, j, 0], row[0, j, 1], row[0, j, 2] = 0.0, NEG_INF, NEG_INF
                continue
            inner = i > 0 and j > 0
            cell = similarity[b, i - 1, j - 1] * scale if inner else NEG_INF
            start = 0.0 if mode == LOCAL else NEG_INF
            diagonal = three(above, 0, j - 1, 0) if inner else IMPOSSIBLE
            left = three(row, 0, j - 1, 0) if j > 0 else IMPOSSIBLE
            up = three(above, 0, j, 0) if i > 0 else IMPOSSIBLE
            cost = penalties_at(penalties, b, i, j, scale)
            state, origin = hard_forward(cell, start, diagonal, left, up, cost)
            row[0, j, 0], row[0, j, 1], row[0, j, 2] = state
            if origins.size > 0:
                origins[i, j] = origin[0] | (origin[1] << 2) | (origin[2] << 4)
            if inner and mode != GLOBAL and state[0] + trailing[i] > best:
                best, end = state[0] + trailing[i], (i, j, M)
        above, row = row, above
    if mode == GLOBAL:
        for k in range(3):
            if above[0, m, k] > best:
                best, end = above[0, m, k], (n, m, M + k)
    elif mode == FITTING and trailing[0] > best:
        best, end = trailing[0], (0, m, START)
    return best, end


@helper
def trace(origins, mode, b, n, m, end, pairs, gradients):
    """Walk back from an end; returns the number of pairs, written in order from the last row up.

    The gradients of the penalties are minus the number of times each is paid.
    """
    open_x, extend_x, open_y, extend_y = gradients
    i, j, state = end
    if mode == FITTING:
        for r in range(i, n):
            if r == i:
                open_y[entry(open_y, b, r, m - 1)] -= 1.0
            else:
                extend_y[entry(extend_y, b, r, m - 1)] -= 1.0
    count = 0
    while state != START and not (i == 0 and (mode == FITTING or j == 0)):
        r, c = max(i, 1) - 1, max(j, 1) - 1
        origin = origins[i, j]
        if state == M:
            pairs[count, 0], pairs[count, 1] = i - 1, j - 1
            count += 1
            state = origin & 3
            i, j = i - 1, j - 1
        elif state == X:
            state = (origin >> 2) & 3
            if state == M:
                open_x[entry(open_x, b, r, c)] -= 1.0
            else:
                extend_x[entry(extend_x, b, r, c)] -= 1.0
            j -= 1
        else:
            state = (origin >> 4) & 3
            if state == Y:
                extend_y[entry(extend_y, b, r, c)] -= 1.0
            else:
                open_y[entry(open_y, b, r, c)] -= 1.0
            i -= 1
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

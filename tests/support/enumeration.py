"""Brute force: every alignment of a tiny pair, written from the definition, not the recurrence."""

from itertools import combinations, pairwise

import numpy as np
from scipy.special import logsumexp


def alignments(rows, columns):
    """All sets of pairs, strictly increasing in both coordinates, the empty one included."""
    for k in range(min(rows, columns) + 1):
        for chosen_rows in combinations(range(rows), k):
            for chosen_columns in combinations(range(columns), k):
                yield tuple(zip(chosen_rows, chosen_columns, strict=True))


def gap_cells(pairs, rows, columns, mode):
    """Cells entered by gaps as (kind, row, column), kind 0..3 = open_x, extend_x, open_y, extend_y.

    Columns are skipped first, along the row of the pair before; then rows, down the column before
    the next pair. A leading gap reads the first row or column.
    """
    ends = [(-1, -1), *pairs, (rows, columns)]
    for number, ((i, j), (i2, j2)) in enumerate(pairwise(ends)):
        outer = number == 0 or number == len(ends) - 2
        if outer and mode == "local":
            continue
        if not (outer and mode == "fitting"):
            for c in range(j + 1, j2):
                yield (0 if c == j + 1 else 1), max(i, 0), c
        for r in range(i + 1, i2):
            yield (2 if r == i + 1 else 3), r, max(j2 - 1, 0)


def enumerate_soft(similarity, penalties, *, temperature, mode):
    """Score, posterior, penalty gradients (4, N, M) and entropy by enumeration."""
    rows, columns = similarity.shape
    found, scores, counts = [], [], []
    for pairs in alignments(rows, columns):
        if mode == "local" and not pairs:
            continue
        count = np.zeros((4, rows, columns))
        for kind, r, c in gap_cells(pairs, rows, columns, mode):
            count[kind, r, c] += 1
        found.append(pairs)
        counts.append(count)
        scores.append(
            sum(similarity[p] for p in pairs) - float(np.sum(count * np.stack(penalties)))
        )
    scores = np.array(scores)
    total = logsumexp(scores / temperature)
    weights = np.exp(scores / temperature - total)
    posterior = np.zeros((rows, columns))
    for pairs, weight in zip(found, weights, strict=True):
        for pair in pairs:
            posterior[pair] += weight
    gradient = -np.tensordot(weights, np.array(counts), axes=1)
    positive = weights > 0
    entropy = -np.sum(weights[positive] * np.log(weights[positive]))
    return temperature * total, posterior, gradient, entropy


def enumerate_hard(similarity, penalties, *, mode):
    """Best score by enumeration."""
    rows, columns = similarity.shape
    return max(
        sum(similarity[p] for p in pairs)
        - sum(penalties[k][r, c] for k, r, c in gap_cells(pairs, rows, columns, mode))
        for pairs in alignments(rows, columns)
        if pairs or mode != "local"
    )

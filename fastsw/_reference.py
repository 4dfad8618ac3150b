"""The float64 reference: full tables, one pair, one loop a pass; slow and plain.

Every backend is tested against this module, and this module against enumeration.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fastsw._recurrence import NEG_INF, backward, forward, share, smax2
from fastsw._types import FITTING, GLOBAL, LOCAL, MODES


class Reference(NamedTuple):
    """Score, gradients, entropy and prefix table of one pair."""

    score: float
    posterior: np.ndarray  # [N, M]
    open_x: np.ndarray  # [N, M], d score / d penalty, as are the next three
    extend_x: np.ndarray
    open_y: np.ndarray
    extend_y: np.ndarray
    entropy: float
    match_table: np.ndarray  # [N, M], the prefix values of M, times the temperature


def soft_align(similarity, penalties, *, temperature, mode):
    """Align one pair in float64.

    Parameters
    ----------
    similarity : (N, M) array
    penalties : four (N, M) arrays: open_x, extend_x, open_y, extend_y
    temperature : float > 0
    mode : {"local", "global", "fitting"}
    """
    s = np.asarray(similarity, dtype=np.float64) / temperature
    scaled = tuple(
        np.ascontiguousarray(np.broadcast_to(p, s.shape), dtype=np.float64) / temperature
        for p in penalties
    )
    total, posterior, gradients, prefix = _tables(s, scaled, MODES[mode])
    mean = _weighted(posterior, s) + sum(
        _weighted(g, p) for g, p in zip(gradients, scaled, strict=True)
    )
    open_x, extend_x, open_y, extend_y = gradients
    return Reference(
        total * temperature,
        posterior,
        open_x,
        extend_x,
        open_y,
        extend_y,
        entropy=total - mean,
        match_table=prefix[1:, 1:] * temperature,
    )


def _weighted(weight, value):
    """Sum of weight * value, where a weight of 0 silences an infinite value."""
    return float(np.sum(np.where(weight == 0, 0.0, weight * np.where(weight == 0, 0.0, value))))


@njit(nogil=True, error_model="numpy")
def _at(penalties, i, j):
    """Penalties of cell (i, j) of the grid; a leading gap reads the first row or column."""
    r, c = max(i, 1) - 1, max(j, 1) - 1
    return penalties[0][r, c], penalties[1][r, c], penalties[2][r, c], penalties[3][r, c]


@njit(nogil=True, error_model="numpy")
def _tables(s, penalties, mode):
    """Prefix and suffix tables over the grid of N + 1 rows and M + 1 columns, then gradients."""
    n, m = s.shape
    ninf = (NEG_INF, NEG_INF, NEG_INF)
    prefix = np.full((n + 1, m + 1, 3), NEG_INF)
    suffix = np.full((n + 1, m + 1, 3), NEG_INF)
    trailing = trailing_rows(penalties[2][:, m - 1], penalties[3][:, m - 1])
    for i in range(n + 1):
        for j in range(m + 1):
            if i == 0 and (mode == FITTING or (mode == GLOBAL and j == 0)):
                prefix[i, j, 0] = 0.0
                continue
            cell = s[i - 1, j - 1] if i > 0 and j > 0 else NEG_INF
            start = 0.0 if mode == LOCAL else NEG_INF
            diagonal, left, up = ninf, ninf, ninf
            if i > 0 and j > 0:
                diagonal = prefix[i - 1, j - 1, 0], prefix[i - 1, j - 1, 1], prefix[i - 1, j - 1, 2]
            if j > 0:
                left = prefix[i, j - 1, 0], prefix[i, j - 1, 1], prefix[i, j - 1, 2]
            if i > 0:
                up = prefix[i - 1, j, 0], prefix[i - 1, j, 1], prefix[i - 1, j, 2]
            value = forward(cell, start, diagonal, left, up, _at(penalties, i, j))
            prefix[i, j, 0], prefix[i, j, 1], prefix[i, j, 2] = value

    total = NEG_INF
    if mode == GLOBAL:
        total = smax2(smax2(prefix[n, m, 0], prefix[n, m, 1]), prefix[n, m, 2])
    else:
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                end = 0.0 if mode == LOCAL else trailing[i]
                total = smax2(total, prefix[i, j, 0] + end)
    if mode == FITTING:
        total = smax2(total, trailing[0])

    posterior = np.zeros((n, m))
    gradients = np.zeros((4, n, m))
    for i in range(n, -1, -1):
        for j in range(m, -1, -1):
            end = NEG_INF
            if i > 0 and j > 0 and mode != GLOBAL:
                end = 0.0 if mode == LOCAL else trailing[i]
            diagonal_, right, down = NEG_INF, NEG_INF, NEG_INF
            below, beside = (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)
            if i < n and j < m:
                diagonal_ = s[i, j] + suffix[i + 1, j + 1, 0]
            if j < m and not (i == 0 and mode == FITTING):
                right = suffix[i, j + 1, 1]
                beside = _at(penalties, i, j + 1)
            if i < n:
                down = suffix[i + 1, j, 2]
                below = _at(penalties, i + 1, j)
            if mode == GLOBAL and i == n and j == m:
                value = 0.0, 0.0, 0.0
            else:
                entered = beside[0], beside[1], below[2], below[3]
                value = backward(end, diagonal_, right, down, entered)
            suffix[i, j, 0], suffix[i, j, 1], suffix[i, j, 2] = value
            if i > 0 and j > 0:
                posterior[i - 1, j - 1] = share(prefix[i, j, 0] + suffix[i, j, 0], total)
            here = prefix[i, j, 0], prefix[i, j, 1], prefix[i, j, 2]
            if j < m:
                r, c = max(i, 1) - 1, j
                gradients[0, r, c] -= share(here[0] - beside[0] + right, total)
                gradients[1, r, c] -= share(here[1] - beside[1] + right, total)
            if i < n:
                r, c = i, max(j, 1) - 1
                gradients[2, r, c] -= share(here[0] - below[2] + down, total)
                gradients[2, r, c] -= share(here[1] - below[2] + down, total)
                gradients[3, r, c] -= share(here[2] - below[3] + down, total)
    if mode == FITTING:
        # Leading rows are charged inside the tables; trailing rows, and the empty alignment,
        # through `trailing`, at the last column.
        gone = share(trailing[0], total)
        for i in range(n):
            gradients[2, i, m - 1] -= gone
            for k in range(i + 1, n):
                gradients[3, k, m - 1] -= gone
            gone = 0.0
            for j in range(1, m + 1):
                gone += share(prefix[i + 1, j, 0] + trailing[i + 1], total)
    return (
        total,
        posterior,
        (gradients[0], gradients[1], gradients[2], gradients[3]),
        prefix[:, :, 0],
    )


@njit(nogil=True, error_model="numpy")
def trailing_rows(open_y, extend_y):
    """Minus the cost of skipping the rows after row i = 0..N (0: the empty alignment)."""
    n = open_y.size
    trailing = np.zeros(n + 1)
    extended = 0.0
    for i in range(n - 1, -1, -1):
        trailing[i] = -open_y[i] - extended
        extended += extend_y[i]
    return trailing


def hard_score(similarity, penalties, *, mode):
    """Best score at temperature 0, by the same recurrence with a maximum; one pair, float64."""
    s = np.asarray(similarity, dtype=np.float64)
    n, m = s.shape
    tables = tuple(np.broadcast_to(np.asarray(p, dtype=np.float64), s.shape) for p in penalties)
    value = np.full((n + 1, m + 1, 3), -math.inf)
    trailing = trailing_rows(tables[2][:, m - 1].copy(), tables[3][:, m - 1].copy())
    best = trailing[0] if mode == "fitting" else -math.inf
    for i in range(n + 1):
        for j in range(m + 1):
            if i == 0 and (mode == "fitting" or (mode == "global" and j == 0)):
                value[0, j, 0] = 0.0
                continue
            open_x, extend_x, open_y, extend_y = (t[max(i, 1) - 1, max(j, 1) - 1] for t in tables)
            if i and j:
                before = max(value[i - 1, j - 1].max(), 0.0 if mode == "local" else -math.inf)
                value[i, j, 0] = s[i - 1, j - 1] + before
                if mode != "global":
                    best = max(best, value[i, j, 0] + (trailing[i] if mode == "fitting" else 0.0))
            if j and not (i == 0 and mode == "fitting"):
                value[i, j, 1] = max(value[i, j - 1, 0] - open_x, value[i, j - 1, 1] - extend_x)
            if i:
                value[i, j, 2] = max(
                    value[i - 1, j, :2].max() - open_y, value[i - 1, j, 2] - extend_y
                )
    return float(value[n, m].max()) if mode == "global" else float(best)


def soft_dtw(cost, *, temperature, bandwidth=None):
    """Soft-DTW of one pair in float64: value, gradient (N, M), d value / d T."""
    c = np.asarray(cost, dtype=np.float64) / temperature
    n, m = c.shape
    band = max(n, m) if bandwidth is None else bandwidth
    prefix, suffix = np.full((n + 1, m + 1), -np.inf), np.full((n + 1, m + 1), -np.inf)
    prefix[0, 0] = suffix[n, m] = 0.0
    inside = np.abs(np.subtract.outer(np.arange(n), np.arange(m))) <= band
    c = np.where(inside, c, np.inf)
    for i in range(n):
        for j in range(m):
            before = np.logaddexp(prefix[i, j], np.logaddexp(prefix[i, j + 1], prefix[i + 1, j]))
            prefix[i + 1, j + 1] = before - c[i, j]
    for i in range(n - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            after = np.logaddexp(
                suffix[i + 1, j + 1], np.logaddexp(suffix[i, j + 1], suffix[i + 1, j])
            )
            suffix[i, j] = after - c[i, j]
    total = prefix[n, m]
    with np.errstate(invalid="ignore"):
        visited = np.exp(prefix[1:, 1:] + suffix[:n, :m] + c - total)
    visited = np.where(np.isfinite(c), visited, 0.0)
    entropy = total + float(np.sum(visited * np.where(visited > 0, c, 0.0)))
    return -temperature * total, visited, -entropy

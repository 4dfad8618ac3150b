"""An oracle for accuracy: batches of small pairs in numbers of some 128 bits, by another algorithm.

Prefix and suffix tables, whose sum less the total gives every probability, as in a textbook; each
number is the unevaluated sum of two of x87's extended doubles, so that what cancels leaves enough.
Entropy is the mean of minus the log of the shares of all arrows. Nothing is shared with the
package, whose robust kernels multiply shares forwards and backwards.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

REAL = np.longdouble
if np.finfo(REAL).nmant < 63:
    raise ImportError("the oracle needs extended doubles (x86)")


class Wide(NamedTuple):
    """Unevaluated sums high + low; -inf for what is impossible."""

    high: np.ndarray
    low: np.ndarray

    def __getitem__(self, key):  # of both arrays
        return Wide(self.high[key], self.low[key])

    def __setitem__(self, key, value):
        self.high[key], self.low[key] = value.high, value.low

    def plus(self, other):
        """The sum with numbers, or with other sums."""
        if isinstance(other, Wide):
            return self.plus(other.low).plus(other.high)
        with np.errstate(invalid="ignore"):
            total = self.high + other
            back = total - self.high
            rest = (self.high - (total - back)) + (other - back) + self.low
            high = total + rest
            low = rest - (high - total)
        sound = np.isfinite(total)
        return Wide(np.where(sound, high, total), np.where(sound, low, 0))

    def minus(self, other):
        """The difference, rounded; -inf where self is impossible."""
        with np.errstate(invalid="ignore"):
            found = (self.high - other.high) + (self.low - other.low)
        return np.where(self.high == -np.inf, -np.inf, found)

    def broadcast(self, shape):
        """The same in a larger shape."""
        return Wide(np.broadcast_to(self.high, shape), np.broadcast_to(self.low, shape))


def full(shape, value=-np.inf):
    """An array of the same number."""
    return Wide(np.full(shape, value, REAL), np.zeros(shape, REAL))


def smax(terms, temperature):
    """T log sum exp(term / T)."""
    top = terms[0]
    for term in terms[1:]:
        larger = (term.high > top.high) | ((term.high == top.high) & (term.low > top.low))
        top = Wide(np.where(larger, term.high, top.high), np.where(larger, term.low, top.low))
    if not np.isfinite(top.high).any():
        return top
    total = np.zeros(top.high.shape, REAL)
    for term in terms:
        total += np.exp(np.where(term.high == -np.inf, -np.inf, term.minus(top)) / temperature)
    with np.errstate(divide="ignore", invalid="ignore"):
        return top.plus(np.where(top.high == -np.inf, 0, temperature * np.log(total)))


class Exact(NamedTuple):
    """What alignments of a batch amount to."""

    score: np.ndarray  # [B]
    posterior: np.ndarray  # [B, N, M]
    paid: np.ndarray  # [4, B, N, M], expected numbers of paid penalties
    entropy: np.ndarray  # [B]
    size: np.ndarray  # [B], mean sum of the magnitudes of an alignment's terms


def align(similarity, penalties, temperature, mode) -> Exact:
    """Align pairs of the same size; penalties are four arrays [B, N, M]."""
    pairs, rows, columns = similarity.shape
    t = REAL(temperature)
    grid = np.ix_(np.arange(pairs), *(np.maximum(np.arange(k + 1), 1) - 1 for k in (rows, columns)))
    costs = [np.asarray(p, REAL)[grid] for p in penalties]
    cells = np.full((pairs, rows + 1, columns + 1), -np.inf, REAL)
    cells[:, 1:, 1:] = similarity
    ends = _ends(costs, pairs, rows, columns, mode)
    prefix = [full(cells.shape) for _ in range(3)]
    suffix = [full(cells.shape) for _ in range(3)]
    if mode == "fitting":
        prefix[0][:, 0] = full((pairs, columns + 1), 0.0)
    elif mode == "global":
        prefix[0][:, 0, 0] = full(pairs, 0.0)
    for front in range(rows + columns + 1):
        i = np.arange(max(0, front - columns), min(rows, front) + 1)
        if mode == "fitting":
            i = i[i > 0]
        if i.size and not (mode == "global" and front == 0):
            _arrive(prefix, cells, costs, i, front - i, t, mode)
    if mode == "global":
        total = smax([p[:, rows, columns] for p in prefix], t)
    else:
        stops = prefix[0].plus(ends)
        terms = [stops[:, i, j] for i in range(1, rows + 1) for j in range(1, columns + 1)]
        empty = [ends[:, 0, 0]] if mode == "fitting" else []
        total = smax(terms + empty, t)
    for front in range(rows + columns, -1, -1):
        i = np.arange(max(0, front - columns), min(rows, front) + 1)
        _leave(suffix, cells, costs, ends, i, front - i, t, mode)
    return _answers(similarity, penalties, prefix, suffix, cells, costs, ends, total, t, mode)


def _ends(costs, pairs, rows, columns, mode):
    """What ending after each row of the grid adds to the score."""
    ends = full((pairs, rows + 1, columns + 1), 0.0)
    extended = full(pairs, 0.0)
    for i in range(rows - 1, -1, -1) if mode == "fitting" else ():
        ends[:, i] = extended.plus(-costs[2][:, i + 1, columns])[:, None].broadcast(
            (pairs, columns + 1)
        )
        extended = extended.plus(-costs[3][:, i + 1, columns])
    return ends


def _at(table, i, j):
    """Cells of a front; impossible outside of the grid."""
    inside = (i >= 0) & (j >= 0) & (i < table.high.shape[1]) & (j < table.high.shape[2])
    found = table[:, np.where(inside, i, 0), np.where(inside, j, 0)]
    return Wide(np.where(inside, found.high, -np.inf), np.where(inside, found.low, 0))


def _arrive(prefix, cells, costs, i, j, t, mode):
    """Prefixes of a front."""
    before = [_at(p, i - 1, j - 1) for p in prefix]
    if mode == "local":
        before.append(full(before[0].high.shape, 0.0))
    left, up = [_at(p, i, j - 1) for p in prefix], [_at(p, i - 1, j) for p in prefix]
    open_x, extend_x, open_y, extend_y = (c[:, i, j] for c in costs)
    prefix[0][:, i, j] = smax(before, t).plus(cells[:, i, j])
    prefix[1][:, i, j] = smax([left[0].plus(-open_x), left[1].plus(-extend_x)], t)
    prefix[2][:, i, j] = smax([up[0].plus(-open_y), up[1].plus(-open_y), up[2].plus(-extend_y)], t)


def _leave(suffix, cells, costs, ends, i, j, t, mode):
    """Suffixes of a front: the sum over all ways to go on from a state."""
    rows, columns = cells.shape[1] - 1, cells.shape[2] - 1
    down, beside = np.minimum(i + 1, rows), np.minimum(j + 1, columns)
    onward = _at(suffix[0], i + 1, j + 1).plus(cells[:, down, beside])
    right, below = _at(suffix[1], i, j + 1), _at(suffix[2], i + 1, j)
    if mode == "fitting":
        right = Wide(np.where(i == 0, -np.inf, right.high), right.low)
    end = full(onward.high.shape)
    if mode != "global":
        inner = (i > 0) & (j > 0)
        end = Wide(np.where(inner, ends[:, i, j].high, -np.inf), ends[:, i, j].low)
    elif i[0] == rows and j[0] == columns:
        for state in suffix:
            state[:, i, j] = full(onward.high.shape, 0.0)
        return
    opened_y, extended_y = below.plus(-costs[2][:, down, j]), below.plus(-costs[3][:, down, j])
    opened_x, extended_x = right.plus(-costs[0][:, i, beside]), right.plus(-costs[1][:, i, beside])
    suffix[0][:, i, j] = smax([end, onward, opened_x, opened_y], t)
    suffix[1][:, i, j] = smax([onward, extended_x, opened_y], t)
    suffix[2][:, i, j] = smax([onward, extended_y], t)


def _flow(source, target, onward, total, t):
    """Probability of arrows, and minus the log of their shares of what arrives at their targets.

    `source` includes the arrow's own score.
    """
    with np.errstate(invalid="ignore"):
        log = np.where(
            (source.high == -np.inf) | (onward.high == -np.inf),
            -np.inf,
            source.plus(onward).minus(total.broadcast(source.high.shape)) / t,
        )
        surprise = np.where(log == -np.inf, 0, target.minus(source) / t)
    return np.exp(log), surprise


def _answers(similarity, penalties, prefix, suffix, cells, costs, ends, total, t, mode):
    """Probabilities from prefixes and suffixes."""
    pairs, rows, columns = similarity.shape
    whole = total[:, None, None]
    entropy = np.zeros(pairs, REAL)
    paid = np.zeros((4, *cells.shape), REAL)
    inner = np.s_[:, 1:, 1:]
    for state in range(3):
        source = prefix[state][:, :-1, :-1].plus(cells[inner])
        p, surprise = _flow(source, prefix[0][inner], suffix[0][inner], whole, t)
        entropy += (p * surprise).sum((1, 2))
    if mode == "local":
        start = full(cells[inner].shape, 0.0).plus(cells[inner])
        p, surprise = _flow(start, prefix[0][inner], suffix[0][inner], whole, t)
        entropy += (p * surprise).sum((1, 2))
    first = 1 if mode == "fitting" else 0
    for state, kind in ((0, 0), (1, 1)):
        source = prefix[state][:, first:, :-1].plus(-costs[kind][:, first:, 1:])
        into = np.s_[:, first:, 1:]
        p, surprise = _flow(source, prefix[1][into], suffix[1][into], whole, t)
        entropy += (p * surprise).sum((1, 2))
        paid[kind][into] += p
    for state, kind in ((0, 2), (1, 2), (2, 3)):
        source = prefix[state][:, :-1].plus(-costs[kind][:, 1:])
        p, surprise = _flow(source, prefix[2][:, 1:], suffix[2][:, 1:], whole, t)
        entropy += (p * surprise).sum((1, 2))
        paid[kind][:, 1:] += p
    if mode == "global":
        for state in prefix:
            p, surprise = _flow(state[:, rows, columns], total, full(pairs, 0.0), total, t)
            entropy += p * surprise
    else:
        stops = prefix[0][inner].plus(ends[inner])
        p, surprise = _flow(
            stops, whole.broadcast(stops.high.shape), full(stops.high.shape, 0.0), whole, t
        )
        entropy += (p * surprise).sum((1, 2))
        if mode == "fitting":
            gone, surprise = _flow(ends[:, 0, 0], total, full(pairs, 0.0), total, t)
            entropy += gone * surprise
            stopped = np.concatenate([gone[:, None], p.sum(2)], 1)  # after each row of the grid
            paid[2][:, 1:, columns] += stopped[:, :-1]
            paid[3][:, 2:, columns] += np.cumsum(stopped, 1)[:, :-2]
    onto = prefix[0][inner].plus(suffix[0][inner])
    posterior = np.exp(onto.minus(whole.broadcast(onto.high.shape)) / t)
    posterior = np.where(total.high[:, None, None] == -np.inf, 0, posterior)
    counts = np.zeros((4, *similarity.shape), REAL)
    for i in range(rows + 1):  # a leading gap reads the first row or column
        for j in range(columns + 1):
            counts[:, :, max(i, 1) - 1, max(j, 1) - 1] += paid[:, :, i, j]
    magnitude = np.where(posterior > 0, np.abs(similarity), 0)
    size = (posterior * magnitude).sum((1, 2))
    for count, penalty in zip(counts, penalties, strict=True):
        size += (count * np.abs(penalty)).sum((1, 2))
    return Exact(total.high + total.low, posterior, counts, entropy, size)


def warp(cost, temperature):
    """Soft-DTW of pairs of the same size: value, probabilities, entropy and size, as `Exact`."""
    pairs, rows, columns = cost.shape
    t = REAL(temperature)
    cells = np.where(cost == np.inf, -np.inf, -np.asarray(cost, REAL))
    prefix, suffix = full(cost.shape), full(cost.shape)
    fronts = [
        (i, front - i)
        for front in range(rows + columns - 1)
        for i in [np.arange(max(0, front - columns + 1), min(rows - 1, front) + 1)]
    ]
    for table, order, step in ((prefix, fronts, 1), (suffix, fronts[::-1], -1)):
        for i, j in order:
            near = [_at(table, i - a * step, j - b * step) for a, b in ((1, 1), (1, 0), (0, 1))]
            if (i[0], j[0]) == ((0, 0) if step == 1 else (rows - 1, columns - 1)):
                near.append(full(near[0].high.shape, 0.0))
            table[:, i, j] = smax(near, t).plus(cells[:, i, j])
    total = prefix[:, -1, -1]
    whole = total[:, None, None]
    with np.errstate(invalid="ignore"):
        onto = prefix.plus(suffix).plus(np.where(cells == -np.inf, 0, -cells))
        visited = np.exp(onto.minus(whole.broadcast(cost.shape)) / t)
    visited = np.where((cells == -np.inf) | (total.high == -np.inf)[:, None, None], 0, visited)
    entropy = np.zeros(pairs, REAL)
    for here, before in (
        (np.s_[:, 1:, 1:], np.s_[:, :-1, :-1]),
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[:, :, 1:], np.s_[:, :, :-1]),
    ):
        source = prefix[before].plus(cells[here])
        onward = suffix[here].plus(np.where(cells[here] == -np.inf, 0, -cells[here]))
        p, surprise = _flow(source, prefix[here], onward, whole, t)
        entropy += (p * surprise).sum((1, 2))
    magnitude = np.where(visited > 0, np.abs(cost), 0)
    size = (visited * magnitude).sum((1, 2))
    return Exact(-(total.high + total.low), visited, np.zeros(0), entropy, size)

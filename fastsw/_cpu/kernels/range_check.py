"""Which kernel suits a pair: one pass over its values, and the inequalities of docs/range.md.

`route` evaluates theorem 2 (block exponents; theorem 3 asks for no more), then theorem 1 (cell
exponents), each for float32 and float64, and theorem 4 for the floor at or below which a cell
counts as forbidden. What they leave out is less than 2**-46 (float64: 2**-122) of the total. A pair
for which none holds goes to log space.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from fastsw._cpu.kernels.block_exponent import BLOCK, HEAD
from fastsw._cpu.runtime.compile import Variant, helper, serial_kernel
from fastsw._cpu.runtime.handoff import add_shared, next_item
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import LOG2E
from fastsw._cpu.simd.vectors import vmax, vmin, where_greater, where_nan
from fastsw._types import LOCAL

EMPTY, NON_FINITE, VITERBI, BLOCK32, BLOCK64, CELL32, CELL64, LOG, ROUTES = range(9)


class Precision(NamedTuple):
    """Kernels of a precision and their limits, in bits unless said otherwise."""

    bits: int
    block: int
    cell: int
    head: float  # `block_exponent.HEAD`
    range: float  # a weight below 2**-range counts as 0
    room: float  # what a state may grow to within a block
    exponent_gap: (
        float  # how far below an underflown state may be, at most `scaled`'s largest factor
    )
    gap_spread: float  # by how much what gaps cost may differ
    joined: float  # what a forward and a backward state may exceed the total by
    unit: float
    nats: float  # how far below the total a forbidden cell is
    reach: float
    total: float


#: Bits a unit of score may be worth, by precision: more leaves its range.
UNIT32, UNIT64 = 2.0**120, 2.0**1000

SINGLE = Precision(
    bits=32,
    block=BLOCK32,
    cell=CELL32,
    head=HEAD[32],
    range=100.0,
    room=80.0,
    exponent_gap=100.0,
    gap_spread=80.0,
    joined=96.0,
    unit=UNIT32,
    nats=100.0,
    reach=2.0**22,
    total=2.0**27,
)
DOUBLE = Precision(
    bits=64,
    block=BLOCK64,
    cell=CELL64,
    head=HEAD[64],
    range=1000.0,
    room=900.0,
    exponent_gap=900.0,
    gap_spread=900.0,
    joined=946.0,
    unit=UNIT64,
    nats=700.0,
    reach=2.0**50,
    total=2.0**58,
)

#: Error of an entropy as a share of the terms it is the difference of, and what is admitted of it,
#: as a share of 1 or of the entropy, if that is larger; by precision.
ROUNDING32, TOLERANCE32 = 2.0**-22, 1e-4
ROUNDING64, TOLERANCE64 = 2.0**-50, 1e-9

#: Bound on the steps that a pass takes beyond the last column, where gaps go on earning.
BEYOND = 128


@helper
def span(penalty, b, rows, columns):
    """Smallest and largest penalty of a pair; (inf, -inf) for none."""
    low, top = np.inf, -np.inf
    p = penalty[min(b, penalty.shape[0] - 1)]
    for i in range(min(rows, p.shape[0])):
        for j in range(min(columns, p.shape[1])):
            low, top = min(low, p[i, j]), max(top, p[i, j])
    return low, top


@helper
def dearest_of(spans):
    """The largest magnitude of the penalties of a pair."""
    largest = 0.0
    for k in range(4):
        largest = max(largest, abs(spans[k][0]), abs(spans[k][1]))
    return largest


@helper
def gain_of(spans):
    """What a skipped row or column of a pair can earn at most."""
    gain = 0.0
    for k in range(4):
        gain = max(gain, -spans[k][0])
    return gain


@helper
def route(top, low, spans, temperature, mode, n, m, single):
    """The kernel for a sound pair whose penalties do not vary from cell to cell, and the floor."""
    unit = LOG2E / temperature
    largest, gain, gap_spread = dearest_of(spans), gain_of(spans), 0.0
    for k in (0, 2):
        opened, extended = spans[k], spans[k + 1]
        gap_spread += 2.0 * max(opened[1] - extended[0], extended[1] - opened[0])
    if gain == 0.0 and (mode != LOCAL or unit * top >= -16.0):
        # What a block of steps can grow by, and how far below an underflown state is; in bits.
        opened, extended = max(spans[0][1], spans[2][1]), max(spans[1][1], spans[3][1])
        rise = unit * max(top, 0.0)
        growth = (BLOCK / 2 + 1) * rise + 1.6 * BLOCK + 2.0
        exponent_gap = BLOCK * rise + unit * (2.0 * opened + 2.0 * BLOCK * extended + gap_spread)
        dearest = 2.0 * unit * max(opened, extended)
    else:
        growth, exponent_gap, dearest = np.inf, np.inf, np.inf
    gaps = largest * (n + m)
    gap_spread += gain * (n + m + BEYOND)
    worst = top if mode == LOCAL else -gaps
    best_rest = min(n, m) * max(top, 0.0) + gain * (n + m)
    for precision in (SINGLE, DOUBLE):
        if (precision.bits == 32 and not single) or unit >= precision.unit:
            continue
        fits = precision.head + growth <= precision.room
        fits = fits and exponent_gap <= precision.exponent_gap
        if fits and dearest <= precision.range - 46.0:
            return precision.block, -precision.range / unit
        floor = worst - best_rest - precision.nats * temperature
        reach = unit * max(abs(top) if top > -np.inf else 0.0, abs(max(low, floor)))
        if low == np.inf:
            reach = 0.0
        total = reach * (n + m) + unit * gaps
        fits = unit * gap_spread <= precision.gap_spread
        fits = fits and unit * (largest + gap_spread) <= precision.joined
        fits = fits and reach < precision.reach and unit * abs(floor) < precision.total
        if fits and total < precision.total:
            return precision.cell, floor
    return LOG, 0.0


@helper
def sound_route(top, low, penalties, temperature, mode, b, n, m, single):
    """The kernel for a pair without NaN or +inf, by its largest and its smallest finite similarity.

    Besides the floor below which a cell counts as forbidden, and two bounds: of twice the sum of an
    alignment's gains, and of the sum of the magnitudes of its similarities and costs.
    """
    if mode == LOCAL and top == -np.inf:
        return EMPTY, 0.0, 0.0, 0.0
    spans = (
        span(penalties[0], b, n, m),
        span(penalties[1], b, n, m),
        span(penalties[2], b, n, m),
        span(penalties[3], b, n, m),
    )
    way, floor = LOG, -np.inf
    by_cell = penalties[0].shape[1] > 1 or penalties[1].shape[1] > 1
    if temperature == 0.0:
        way = VITERBI
    elif not by_cell and penalties[2].shape[2] == 1 and penalties[3].shape[2] == 1:
        way, floor = route(top, low, spans, temperature, mode, n, m, single)
    gains = 2.0 * (min(n, m) * max(top, 0.0) + gain_of(spans) * (n + m))
    largest = 0.0 if top == -np.inf else max(abs(top), abs(max(low, floor)))
    return way, floor, gains, largest * min(n, m) + dearest_of(spans) * (n + m)


@serial_kernel
def route_by_extremes(top, low, penalties, temperature, mode, n, m, single):
    """The same, for a pair whose similarities are not held all at once."""
    return sound_route(top, low, penalties, temperature, mode, 0, n, m, single)


@serial_kernel
def survey(lengths, rows, columns):
    """Whether lengths fit the matrices; all cells, most rows and columns, whether all are alike."""
    fit, alike, cells, most_rows, most_columns = True, True, 0, 0, 0
    for b in range(lengths.shape[0]):
        n, m = lengths[b, 0], lengths[b, 1]
        fit &= 0 <= n <= rows and 0 <= m <= columns
        alike &= n == lengths[0, 0] and m == lengths[0, 1]
        cells += n * m
        most_rows, most_columns = max(n, most_rows), max(m, most_columns)
    return fit, cells, most_rows, most_columns, alike


@serial_kernel
def add_up(gradients, penalties, slopes):
    """Add to the first pair's gradient those of all, where pairs share the penalty; sum slopes."""
    for field in range(4):
        gradient = gradients[field]
        for b in range(1, gradient.shape[0] if penalties[field].shape[0] == 1 else 1):
            for i in range(gradient.shape[1]):
                for j in range(gradient.shape[2]):
                    gradient[0, i, j] += gradient[b, i, j]
    total = 0.0
    for slope in slopes:
        total += slope
    return total


@serial_kernel
def doubt(routes, bounds, scores, entropies, temperature):
    """Mark pairs whose entropy the linear kernels may miss by more than TOLERANCE; their number.

    They subtract the mean score from the total, so that the entropy errs by ROUNDING times the mean
    sum of the magnitudes of an alignment's terms. What counts against an alignment is what counts
    for it less its score, whose mean is the total less T times the entropy: this bounds the sum.
    A marked pair's bound of its gains becomes infinite.
    """
    count = 0
    for b in range(len(routes)):
        if not BLOCK32 <= routes[b] < LOG or scores[b] == -np.inf:
            continue
        in_single = routes[b] == BLOCK32 or routes[b] == CELL32
        slack = (ROUNDING32 / TOLERANCE32) if in_single else (ROUNDING64 / TOLERANCE64)
        size = (bounds[0, b] - scores[b]) / temperature + abs(entropies[b])
        if not slack * size <= max(1.0, entropies[b]):
            bounds[0, b] = np.inf
            count += 1
    return count


@functools.cache
def planner(bits: int, lanes: int):
    """The kernel that chooses a kernel for every pair of a queue."""
    simd, variant = lanes_of(bits, lanes), Variant(bits, lanes)
    load, store, splat = simd.load_f, simd.store, simd.splat_f
    real = np.float32 if bits == 32 else np.float64
    infinity, zero, one = real(np.inf), real(0), real(1)
    width = lanes

    @variant.helper
    def extremes(flat, lane, offset, stride, n, m, finite):
        """Largest value, smallest (finite, if asked for) value, and whether one is NaN or +inf."""
        least, most, zeros, ones = splat(-infinity), splat(infinity), splat(zero), splat(one)
        top, other_top, low, other_low, nan = least, least, most, most, zeros
        scalar_top, scalar_low, sound = -np.inf, np.inf, True
        for i in range(n):
            first = offset + i * stride
            body = first + m - m % (2 * width)
            for at in range(first, body, 2 * width):
                s, other = load(flat, at), load(flat, at + width)
                top, other_top = vmax(s, top), vmax(other, other_top)
                nan = where_nan(s, other, ones, nan)
                if finite:
                    s = where_greater(s, least, s, most)
                    other = where_greater(other, least, other, most)
                low, other_low = vmin(s, low), vmin(other, other_low)
            for at in range(body, first + m):
                s = np.float64(flat[at])
                if not s < np.inf:
                    sound = False
                scalar_top = max(scalar_top, s)
                if not finite or s > -np.inf:
                    scalar_low = min(scalar_low, s)
        store(lane, 0, vmax(top, other_top))
        store(lane, width, vmin(low, other_low))
        store(lane, 2 * width, nan)
        for r in range(width):
            scalar_top = max(scalar_top, np.float64(lane[r]))
            scalar_low = min(scalar_low, np.float64(lane[width + r]))
            if lane[2 * width + r] != zero:
                sound = False
        return scalar_top, scalar_low, sound and scalar_top < np.inf

    @variant.helper
    def route_of(similarity, shape, penalties, temperature, mode, b, n, m, lane):
        """A pair's kernel, floor and bounds, see `sound_route`."""
        if n == 0 or m == 0:
            return EMPTY, 0.0, 0.0, 0.0
        offset = b * shape[1] * shape[2]
        top, low, sound = extremes(similarity, lane, offset, shape[2], n, m, False)
        if low == -np.inf:
            _, low, _ = extremes(similarity, lane, offset, shape[2], n, m, True)
        if not sound:
            return NON_FINITE, 0.0, 0.0, 0.0
        return sound_route(top, low, penalties, temperature, mode, b, n, m, bits == 32)

    @variant.kernel
    def plan(
        thread,
        queue,
        similarity,
        shape,
        penalties,
        temperature,
        mode,
        lengths,
        lanes,
        routes,
        floors,
        bounds,
        counts,
    ):
        """Choose for each pair of the queue; count the pairs of each route."""
        for _ in range(queue.size):
            b = next_item(queue)
            if b < 0:
                break
            n, m = lengths[b, 0], lengths[b, 1]
            routes[b], floors[b], bounds[0, b], bounds[1, b] = route_of(
                similarity, shape, penalties, temperature, mode, b, n, m, lanes[thread]
            )
            add_shared(counts, routes[b], 1)

    return plan

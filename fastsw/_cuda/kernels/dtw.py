"""Soft dynamic time warping on a GPU, in double precision with an exponent per cell.

One warp takes one pair, strip by strip, lane r one column behind lane r - 1:

    r[i,j] = exp(-cost[i,j] / T) * (r[i-1,j-1] + r[i-1,j] + r[i,j-1])

With gradients the values of all cells are kept, 16 bytes each, for the backward pass. At
temperature 0 the values are the least costs themselves, and one lane traces a best path back, a
diagonal step preferred to a step down, and that to a step right.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from fastsw._cuda.device import (
    LANES,
    SIMULATED,
    device,
    fma_double,
    from_above,
    from_below,
    from_lane,
    sync,
)
from fastsw._cuda.kernels.answers import fill
from fastsw._cuda.kernels.cell import warping_cell
from fastsw._cuda.kernels.penalties import LN2, LOG2E, LOG2E_REST, NUMBER, sides
from fastsw._cuda.kernels.strip import lane_of, lane_or, lane_sum, next_item
from fastsw._cuda.scaled import numbers

#: Warps of a block.
WARPS = 1 if SIMULATED else 4

KIND = numbers("double")
NOTHING, UNDERFLOW = KIND.nothing, KIND.underflow
power, weight = KIND.power, KIND.weight
through, through_cold = warping_cell()


class Warping(NamedTuple):
    """What the passes need of a launch."""

    cost: Any
    rows: Any
    columns: Any
    band: Any
    cold: Any  # whether the temperature is 0
    with_gradients: Any
    unit: Any  # 1 / (T log 2)
    remainder: Any  # what `unit` leaves out
    boundary: Any  # [pairs, columns, 2], the row between two strips
    cells: Any  # [pairs, rows, columns, 2]


@device
def cost_of(call, b, i, j):
    """Cost of a cell, and whether it lies beyond the band."""
    value = np.float64(call.cost[(b * call.rows + i) * call.columns + j])
    apart = j - i if j > i else i - j
    return value, call.band >= 0 and apart > call.band


@device
def forward(call, b, n, m, lane):
    """Forward pass: whether all costs are sound, the total, and at temperature 0 the least cost."""
    rows, columns, cold = call.rows, call.columns, call.cold
    boundary, cells = call.boundary, call.cells
    sound, least = True, math.inf
    total_f, total_k = 1.0, NOTHING
    for s in range((n + LANES - 1) // LANES):
        i = s * LANES + lane
        own, diagonal = (1.0, NOTHING), (1.0, NOTHING)
        low, low_diagonal = math.inf, math.inf
        for t in range(m + LANES - 1):
            j = t - lane
            up = from_above(own[0], lane), from_above(own[1], lane)
            low_up = from_above(low, lane)
            if lane == 0:
                up, low_up = (1.0, NOTHING), math.inf
                if s > 0 and j < m:
                    p = 2 * (b * columns + j)
                    up, low_up = (boundary[p], boundary[p + 1]), boundary[p]
                    if cold:
                        up = 1.0, NOTHING
            sync()
            if i < n and j >= 0 and j < m:
                value, beyond = cost_of(call, b, i, j)
                if not value > -math.inf:
                    sound, value = False, math.inf
                if beyond:
                    value = math.inf
                first = i == 0 and j == 0
                if cold:
                    _, low = through_cold(value, low_diagonal, low, low_up, first)
                else:
                    cell = weight(-value, call.unit, call.remainder)
                    _, own = through(cell, diagonal, own, up, first)
                if call.with_gradients != 0:
                    p = 2 * ((b * rows + i) * columns + j)
                    cells[p], cells[p + 1] = own
                    if cold:
                        cells[p] = low
                if lane == LANES - 1:
                    p = 2 * (b * columns + j)
                    boundary[p], boundary[p + 1] = own
                    if cold:
                        boundary[p] = low
                if i == n - 1 and j == m - 1:
                    total_f, total_k = own
                    least = low
            diagonal, low_diagonal = up, low_up
        sync()
    last = np.int32((n - 1) % LANES if n > 0 else 0)
    total_f, total_k = from_lane(total_f, lane, last), from_lane(total_k, lane, last)
    return sound, (total_f, total_k), from_lane(least, lane, last)


@device
def backward(call, b, n, m, lane, total, scale, gradient):
    """Backward pass: gradients of the costs; minus the mean cost over T."""
    rows, columns, boundary, cells = call.rows, call.columns, call.boundary, call.cells
    strips = (n + LANES - 1) // LANES
    mean = 0.0
    for q in range(strips):
        s = strips - 1 - q
        i = s * LANES + lane
        own, diagonal = (1.0, NOTHING), (1.0, NOTHING)
        for v in range(m + LANES - 1):
            t = m + LANES - 2 - v
            j = t - lane
            down = from_below(own[0], lane), from_below(own[1], lane)
            if lane == LANES - 1:
                down = 1.0, NOTHING
                if q > 0 and j >= 0 and j < m:
                    p = 2 * (b * columns + j)
                    down = boundary[p], boundary[p + 1]
            sync()
            if i < n and j >= 0 and j < m:
                value, beyond = cost_of(call, b, i, j)
                if beyond:
                    value = math.inf
                last = i == n - 1 and j == m - 1
                cell = weight(-value, call.unit, call.remainder)
                (f, k), own = through(cell, diagonal, own, down, last)
                p = 2 * ((b * rows + i) * columns + j)
                exponent = min(cells[p + 1] + k - total[1], 2.0)
                visited = cells[p] * f / total[0] * power(exponent)
                if not value < math.inf:
                    visited = 0.0
                else:
                    mean -= visited * value / scale
                gradient[(b * rows + i) * columns + j] = visited
                if lane == 0:
                    p = 2 * (b * columns + j)
                    boundary[p], boundary[p + 1] = own
            diagonal = down
        sync()
    return lane_sum(mean, lane)


@device
def best_path(cells, gradient, b, n, m, rows, columns):
    """Write the indicator of one best path, traced back from the last cell."""
    i, j = n - 1, m - 1
    while True:
        gradient[(b * rows + i) * columns + j] = 1.0
        if i == 0 and j == 0:
            break
        diagonal, up, left = math.inf, math.inf, math.inf
        if i > 0 and j > 0:
            diagonal = cells[2 * ((b * rows + i - 1) * columns + j - 1)]
        if i > 0:
            up = cells[2 * ((b * rows + i - 1) * columns + j)]
        if j > 0:
            left = cells[2 * ((b * rows + i) * columns + j - 1)]
        if diagonal <= up and diagonal <= left:
            i, j = i - 1, j - 1
        elif up <= left:
            i -= 1
        else:
            j -= 1


@functools.cache
def dtw_kernel():
    """Give the kernel function; costs may be float32 or float64."""

    def dtw(
        cost,
        temperatures,
        temperature,
        given,
        lengths,
        pairs,
        rows,
        columns,
        band,
        with_gradients,
        control,
        boundary,
        cells,
        score,
        slope,
        gradient,
    ):
        lane = lane_of(cuda.threadIdx.x)
        if given & NUMBER == 0:
            temperature = temperatures[0]
        valid = temperature >= 0.0 and temperature < math.inf
        cold = temperature == 0.0
        scale = temperature if valid and not cold else 1.0
        unit = LOG2E / scale
        remainder = (fma_double(-unit, scale, LOG2E) + LOG2E_REST) / scale
        call = Warping(
            cost, rows, columns, band, cold, with_gradients, unit, remainder, boundary, cells
        )
        while True:
            b = next_item(control, 0, lane)
            if b >= pairs:
                break
            n, m, fit = sides(given, lengths, b, rows, columns)
            empty = n == 0 or m == 0
            sound, total, least = forward(call, b, 0 if empty else n, m, lane)
            bad = lane_or(np.int32(0) if sound and fit and valid else np.int32(1), lane)
            reachable = least < math.inf if cold else total[1] > UNDERFLOW
            if empty:
                reachable = False
            if lane == 0:
                slope[b] = 0.0
                score[b] = math.inf
                if bad != 0:
                    score[b], slope[b] = math.nan, math.nan
                elif reachable:
                    score[b] = -scale * LN2 * (total[1] + math.log2(total[0]))
                    if cold:
                        score[b] = least
            if with_gradients == 0:
                continue
            outside = math.nan if bad != 0 else 0.0
            clear = bad != 0 or cold or not reachable
            for s in range((rows + LANES - 1) // LANES):
                fill(gradient, outside, b, s, (n, m, rows, columns), 1, lane, clear)
            sync()
            if bad != 0 or not reachable:
                continue
            if cold:
                if lane == 0:
                    best_path(cells, gradient, b, n, m, rows, columns)
                sync()
                continue
            mean = backward(call, b, n, m, lane, total, scale, gradient)
            if lane == 0:
                slope[b] = -(LN2 * (total[1] + math.log2(total[0])) - mean)

    return dtw

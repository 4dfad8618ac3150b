"""Soft dynamic time warping on a GPU, in double precision with an exponent per cell.

One warp walks one pair, strip by strip, lane r one column behind lane r - 1:

    r[i,j] = exp(-cost[i,j] / T) * (r[i-1,j-1] + r[i-1,j] + r[i,j-1])

With gradients the values of all cells are kept, 16 bytes each; the walk in reverse needs them. At
temperature 0 the values are the least costs themselves, and one lane walks a best path back, a
diagonal step preferred to a step down, and that to a step right.
"""

import functools
import math

import numpy as np
from numba import cuda

from fastsw._cuda.device import (
    LANES,
    SIMULATED,
    device,
    fetch_add,
    fma_double,
    from_above,
    from_below,
    from_lane,
    sync,
)
from fastsw._cuda.kernels.pairs import LN2, LOG2E, LOG2E_REST, NUMBER, fill, sides
from fastsw._cuda.scaled import numbers

#: Warps of a block.
WARPS = 1 if SIMULATED else 4

KIND = numbers("double")
NOTHING, VOID = KIND.nothing, KIND.void
power, normal, weight = KIND.power, KIND.normal, KIND.weight


@device
def sum_of_three(a, b, c):
    """Sum of three numbers, its mantissa not normalised."""
    k = max(a[1], max(b[1], c[1]))
    return a[0] * power(a[1] - k) + b[0] * power(b[1] - k) + c[0] * power(c[1] - k), k


@functools.cache
def dtw_kernel():
    """Give the kernel function; costs may be float32 or float64."""
    lanes = LANES

    @device
    def best_path(cells, gradient, b, n, m, rows, columns):
        """Write the indicator of one best path, walking back from the last cell."""
        i, j = n - 1, m - 1
        while True:
            gradient[(b * rows + i) * columns + j] = 1.0
            if i == 0 and j == 0:
                break
            slant, up, left = math.inf, math.inf, math.inf
            if i > 0 and j > 0:
                slant = cells[2 * ((b * rows + i - 1) * columns + j - 1)]
            if i > 0:
                up = cells[2 * ((b * rows + i - 1) * columns + j)]
            if j > 0:
                left = cells[2 * ((b * rows + i) * columns + j - 1)]
            if slant <= up and slant <= left:
                i, j = i - 1, j - 1
            elif up <= left:
                i -= 1
            else:
                j -= 1

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
        graded,
        control,
        edge,
        cells,
        score,
        slope,
        gradient,
    ):
        lane = np.int32(cuda.threadIdx.x) % np.int32(lanes)
        if given & NUMBER == 0:
            temperature = temperatures[0]
        valid = temperature >= 0.0 and temperature < math.inf
        hard = temperature == 0.0
        scale = temperature if valid and not hard else 1.0
        unit = LOG2E / scale
        remainder = (fma_double(-unit, scale, LOG2E) + LOG2E_REST) / scale
        strips = (rows + lanes - 1) // lanes
        while True:
            b = np.int32(0)
            if lane == 0:
                b = np.int32(fetch_add(control, 0, np.int32(1)))
            b = from_lane(b, lane, np.int32(0))
            if b >= pairs:
                break
            n, m, fit = sides(given, lengths, b, rows, columns)
            fit = fit and valid
            shape = n, m, rows, columns
            sound = fit
            total_f, total_k = 1.0, NOTHING
            least = math.inf
            empty = n == 0 or m == 0
            walked = 0 if empty else (n + lanes - 1) // lanes
            for s in range(walked):
                i = s * lanes + lane
                own, slant = (1.0, NOTHING), (1.0, NOTHING)
                low, low_slant = math.inf, math.inf
                for t in range(m + lanes - 1):
                    j = t - lane
                    up = from_above(own[0], lane), from_above(own[1], lane)
                    low_up = from_above(low, lane)
                    if lane == 0:
                        up, low_up = (1.0, NOTHING), math.inf
                        if s > 0 and j < m:
                            p = 2 * (b * columns + j)
                            up, low_up = (edge[p], edge[p + 1]), edge[p]
                            if hard:
                                up = 1.0, NOTHING
                    sync()
                    if i < n and j >= 0 and j < m:
                        value = np.float64(cost[(b * rows + i) * columns + j])
                        if not value > -math.inf:
                            sound, value = False, math.inf
                        apart = j - i if j > i else i - j
                        if band >= 0 and apart > band:
                            value = math.inf
                        first = i == 0 and j == 0
                        if hard:
                            before = 0.0 if first else min(low_slant, min(low, low_up))
                            low = value + before
                        else:
                            fw, kw = weight(-value, unit, remainder)
                            f, k = sum_of_three(own, up, slant)
                            if first:
                                f, k = 1.0, 0.0
                            own = normal(f * fw, k + kw)
                        if graded != 0:
                            p = 2 * ((b * rows + i) * columns + j)
                            cells[p], cells[p + 1] = own
                            if hard:
                                cells[p] = low
                        if lane == lanes - 1:
                            p = 2 * (b * columns + j)
                            edge[p], edge[p + 1] = own
                            if hard:
                                edge[p] = low
                        if i == n - 1 and j == m - 1:
                            total_f, total_k = own
                            least = low
                    slant, low_slant = up, low_up
                sync()
            bad = np.int32(0) if sound else np.int32(1)
            step = 1
            while step < lanes:
                bad |= from_lane(bad, lane, lane ^ step)
                step *= 2
            last = np.int32((n - 1) % lanes if n > 0 else 0)
            total_f, total_k = from_lane(total_f, lane, last), from_lane(total_k, lane, last)
            least = from_lane(least, lane, last)
            reachable = least < math.inf if hard else total_k > VOID
            if empty:
                reachable = False
            if lane == 0:
                slope[b] = 0.0
                score[b] = math.inf
                if bad != 0:
                    score[b], slope[b] = math.nan, math.nan
                elif reachable:
                    score[b] = -scale * LN2 * (total_k + math.log2(total_f))
                    if hard:
                        score[b] = least
            if graded == 0:
                continue
            outside = math.nan if bad != 0 else 0.0
            clear = bad != 0 or hard or not reachable
            for s in range(strips):
                fill(gradient, outside, b, s, shape, 1, lane, clear)
            sync()
            if bad != 0 or not reachable:
                continue
            if hard:
                if lane == 0:
                    best_path(cells, gradient, b, n, m, rows, columns)
                sync()
                continue
            mean = 0.0
            for q in range(walked):
                s = walked - 1 - q
                i = s * lanes + lane
                own, slant = (1.0, NOTHING), (1.0, NOTHING)
                for v in range(m + lanes - 1):
                    t = m + lanes - 2 - v
                    j = t - lane
                    down = from_below(own[0], lane), from_below(own[1], lane)
                    if lane == lanes - 1:
                        down = 1.0, NOTHING
                        if q > 0 and j >= 0 and j < m:
                            p = 2 * (b * columns + j)
                            down = edge[p], edge[p + 1]
                    sync()
                    if i < n and j >= 0 and j < m:
                        value = np.float64(cost[(b * rows + i) * columns + j])
                        apart = j - i if j > i else i - j
                        if band >= 0 and apart > band:
                            value = math.inf
                        fw, kw = weight(-value, unit, remainder)
                        f, k = sum_of_three(own, down, slant)
                        if i == n - 1 and j == m - 1:
                            f, k = 1.0, 0.0
                        p = 2 * ((b * rows + i) * columns + j)
                        exponent = min(cells[p + 1] + k - total_k, 2.0)
                        visited = cells[p] * f / total_f * power(exponent)
                        if not value < math.inf:
                            visited = 0.0
                        else:
                            mean -= visited * value / scale
                        gradient[(b * rows + i) * columns + j] = visited
                        own = normal(f * fw, k + kw)
                        if lane == 0:
                            p = 2 * (b * columns + j)
                            edge[p], edge[p + 1] = own
                    slant = down
                sync()
            step = 1
            while step < lanes:
                mean += from_lane(mean, lane, lane ^ step)
                step *= 2
            if lane == 0:
                slope[b] = -(LN2 * (total_k + math.log2(total_f)) - mean)

    return dtw

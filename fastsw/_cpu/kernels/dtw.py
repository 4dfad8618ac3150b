"""Soft dynamic time warping: linear space with an exponent per cell, explicit SIMD.

A warping path goes from the first to the last cell by steps right, down or diagonally; with
w = exp(-cost / T), the total over all paths is the last cell of

    r[i,j] = w[i,j] * (r[i-1,j-1] + r[i-1,j] + r[i,j-1])

Every cell has an exponent of its own, so nothing is ever lost. The front is skewed as in
`intra_pair`: lane r of a strip stands on row ``bottom - r`` and column ``t - (W - 1) + r``. Cells
further than `bandwidth` from the diagonal have no weight, and squares without any other are not
visited.

References
----------
Cuturi and Blondel, "Soft-DTW: a Differentiable Loss Function for Time-Series", ICML 2017;
Sakoe and Chiba (1978), the band.
"""

import functools
import math

import numpy as np

from fastsw._cpu.kernels.strip import row_length, step_count
from fastsw._cpu.runtime.compile import Variant, kernel
from fastsw._cpu.runtime.handoff import next_item
from fastsw._cpu.runtime.pointers import address
from fastsw._cpu.runtime.workspace import aligned
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import arithmetic, scalars
from fastsw._cpu.simd.vectors import vmax, where_greater

WEIGHT, VALUE, FLOATS = 0, 1, 2
SHIFT, SCALE, INTEGERS = 0, 1, 2


@functools.cache
def kernels(bits: int, lanes: int):
    """The compiled entry point of one precision and width."""
    simd, kind, vectors = lanes_of(bits, lanes), scalars(bits), arithmetic(bits, lanes)
    variant = Variant(bits, lanes)
    load_f, load_i, store = simd.load_f, simd.load_i, simd.store
    splat_f, splat_i = simd.splat_f, simd.splat_i
    from_above, from_below = simd.from_above, simd.from_below
    store_first, store_last = simd.store_first, simd.store_last
    load_skewed, store_skewed = simd.load_skewed, simd.store_skewed
    exponent, from_exponent, lane_total = simd.exponent, simd.from_exponent, simd.total
    power, capped_power, weight = vectors.power, vectors.capped_power, vectors.weight
    real, whole, nothing = kind.real, kind.whole, kind.nothing
    zero, one = real(0), real(1)
    bias, inverse = whole(simd.bias), whole(2 * simd.bias)
    width, pad = lanes, 2 * lanes
    float_step, integer_step = FLOATS * lanes, INTEGERS * lanes

    @variant.helper
    def weigh(flat, offset, stride, n, m, work, slot, t0, bottom, scale, bandwidth):
        """Weights of the steps t0 .. t0 + W - 1, into the tables from `slot` on."""
        floats, integers, lane_k = work[0], work[1], work[7]
        column = t0 - (width - 1)
        at, at_k = slot * float_step, slot * integer_step
        load_skewed(
            address(flat, offset + bottom * stride + column),
            stride,
            column,
            bottom,
            n,
            m,
            address(floats, at + WEIGHT * width),
            float_step,
        )
        unit, floor = splat_f(scale[0]), splat_f(scale[1])
        zeros, reach = splat_f(zero), splat_i(whole(bandwidth))
        for u in range(width):
            f, k = weight(load_f(floats, at + WEIGHT * width), unit, floor)
            if bandwidth >= 0:
                beside = load_i(lane_k, 0) + splat_i(whole(column + u - bottom))
                f = where_greater(vmax(beside, splat_i(whole(0)) - beside), reach, zeros, f)
            store(floats, at + WEIGHT * width, f)
            store(integers, at_k + SHIFT * width, k)
            at += float_step
            at_k += integer_step

    @variant.helper
    def sum_of_three(a, ka, b, kb, c, kc):
        """a * 2**ka + b * 2**kb + c * 2**kc and its exponent."""
        k = vmax(ka, vmax(kb, kc))
        return a * power(ka - k) + (b * power(kb - k) + c * power(kc - k)), k

    @variant.helper
    def normal(value, k):
        """The same number with its mantissa in [1, 2), or 0 with the least exponent."""
        e = exponent(value)
        k = where_greater(value, splat_f(zero), k + e - splat_i(bias), splat_i(nothing))
        return value * from_exponent(splat_i(inverse) - e), k

    @variant.helper
    def forward(flat, offset, stride, n, m, work, keep, rows, bottom, span, length, scale, band):
        """Walk the steps from span[0] to span[1] of a strip; gives the last cell if met."""
        floats, integers, boundary, boundary_k = work[0], work[1], work[2], work[3]
        value, k = splat_f(zero), splat_i(nothing)
        diagonal, diagonal_k = value, k
        if bottom == width - 1:
            diagonal, diagonal_k = load_f(work[6], 0), load_i(work[7], width)
        above, below = rows[0] * length + pad, rows[1] * length + pad - (width - 1)
        last_lane = bottom - (n - 1)
        last_step = m - 1 + width - 1 - last_lane
        total, total_k = zero, nothing
        for t0 in range(span[0], span[1], width):
            slot = t0 if keep else 0
            weigh(flat, offset, stride, n, m, work, slot, t0, bottom, scale, band)
            at, at_k = slot * float_step, slot * integer_step
            for t in range(t0, t0 + width):
                up, up_k = (
                    from_above(value, boundary, above + t),
                    from_above(k, boundary_k, above + t),
                )
                before, before_k = sum_of_three(value, k, up, up_k, diagonal, diagonal_k)
                new = load_f(floats, at + WEIGHT * width) * before
                diagonal, diagonal_k = up, up_k
                value, k = normal(new, before_k + load_i(integers, at_k + SHIFT * width))
                store(floats, at + VALUE * width, value)
                store(integers, at_k + SCALE * width, k)
                store_first(boundary, below + t, value)
                store_first(boundary_k, below + t, k)
                at += float_step
                at_k += integer_step
            if 0 <= last_lane < width and t0 <= last_step < t0 + width:
                found = slot + last_step - t0
                total = floats[found * float_step + VALUE * width + last_lane]
                total_k = integers[found * integer_step + SCALE * width + last_lane]
        return total, total_k

    @variant.helper
    def backward(flat, target, offset, stride, n, m, work, bottom, span, total, total_k):
        """Walk a strip in reverse, write its cells' probabilities; their mean score."""
        mean = splat_f(zero)
        floats, integers, back, back_k, square = work[0], work[1], work[4], work[5], work[8]
        onto, k = splat_f(zero), splat_i(nothing)
        diagonal, diagonal_k = onto, k
        per_total, per_total_k = splat_f(one / total), splat_i(total_k)
        last_lane = bottom - (n - 1)
        last_step = m - 1 + width - 1 - last_lane if 0 <= last_lane < width else -1
        at, at_k = (span[1] - 1) * float_step, (span[1] - 1) * integer_step
        for t0 in range(span[1] - width, span[0] - width, -width):
            for t in range(t0 + width - 1, t0 - 1, -1):
                row = pad + t - (width - 1)
                down, down_k = from_below(onto, back, row), from_below(k, back_k, row)
                after, after_k = sum_of_three(onto, k, down, down_k, diagonal, diagonal_k)
                if t == last_step:
                    after, after_k = load_f(work[6], width), load_i(work[7], 2 * width)
                here_k = load_i(integers, at_k + SCALE * width)
                share = per_total * capped_power(here_k + after_k - per_total_k)
                visited = load_f(floats, at + VALUE * width) * after * share
                store(square, (t - t0) * width, visited)
                diagonal, diagonal_k = down, down_k
                onto = load_f(floats, at + WEIGHT * width) * after
                onto, k = normal(onto, after_k + load_i(integers, at_k + SHIFT * width))
                store_last(back, pad + t, onto)
                store_last(back_k, pad + t, k)
                at -= float_step
                at_k -= integer_step
            column = t0 - (width - 1)
            mean = mean + store_skewed(
                address(square, 0),
                width,
                address(target, offset + bottom * stride + column),
                address(flat, offset + bottom * stride + column),
                stride,
                column,
                bottom,
                n,
                m,
            )
        return lane_total(mean)

    @variant.kernel
    def dtw(
        thread,
        queue,
        flat,
        shape,
        temperature,
        lengths,
        floor,
        bandwidth,
        rooms,
        target,
        result,
        with_gradients,
    ):
        # The temperature whose unit is a number of this precision, 2**-24 of itself off at most.
        unit = np.float64(real(1.0 / (math.log(2.0) * temperature)))
        scale = real(unit), real(floor)
        stride = shape[2]
        work = (
            rooms[0][thread],
            rooms[1][thread],
            rooms[2][thread],
            rooms[3][thread],
            rooms[4][thread],
            rooms[5][thread],
            rooms[6][thread],
            rooms[7][thread],
            rooms[8][thread],
        )
        for r in range(width):
            work[7][r] = 2 * r
            work[6][r] = 1.0 if r == width - 1 else 0.0
            work[7][width + r] = 0 if r == width - 1 else nothing
        for _ in range(queue.size):
            b = next_item(queue)
            if b < 0:
                break
            n, m = lengths[b, 0], lengths[b, 1]
            offset = b * shape[1] * stride
            steps, length = step_count(m, width), row_length(m, width)
            strips = (n + width - 1) // width
            boundary, boundary_k = work[2], work[3]
            kept_rows = strips + 1 if with_gradients else 2
            boundary[: kept_rows * length] = 0.0
            boundary_k[: kept_rows * length] = nothing
            total, total_k = zero, nothing
            for s in range(strips):
                bottom = (s + 1) * width - 1
                rows = (s, s + 1) if with_gradients else (s % 2, (s + 1) % 2)
                if not with_gradients and s > 0 and bandwidth >= 0:
                    boundary[rows[1] * length : (rows[1] + 1) * length] = 0.0
                    boundary_k[rows[1] * length : (rows[1] + 1) * length] = nothing
                total, total_k = forward(
                    flat,
                    offset,
                    stride,
                    n,
                    m,
                    work,
                    False,
                    rows,
                    bottom,
                    visited_steps(bottom, steps, bandwidth),
                    length,
                    scale,
                    bandwidth,
                )
            if total == zero:
                result[b, 0], result[b, 1] = -np.inf, 0.0
                continue
            log2_total = np.float64(total_k) + math.log2(np.float64(total))
            result[b, 0] = log2_total / unit
            if not with_gradients:
                continue
            mean = 0.0
            work[4][:length] = 0.0
            work[5][:length] = nothing
            for s in range(strips - 1, -1, -1):
                bottom = (s + 1) * width - 1
                span = visited_steps(bottom, steps, bandwidth)
                for r in range(width):
                    last = bottom - r == n - 1
                    work[6][width + r] = 1.0 if last else 0.0
                    work[7][2 * width + r] = 0 if last else nothing
                forward(
                    flat,
                    offset,
                    stride,
                    n,
                    m,
                    work,
                    with_gradients,
                    (s, s + 1),
                    bottom,
                    span,
                    length,
                    scale,
                    bandwidth,
                )
                mean += backward(
                    flat, target, offset, stride, n, m, work, bottom, span, total, total_k
                )
            result[b, 1] = log2_total * math.log(2.0) - mean / temperature

    @variant.helper
    def visited_steps(bottom, steps, bandwidth):
        """First and one-past-last step of the squares that touch the band."""
        if bandwidth < 0:
            return 0, steps
        # One step more at either end, where a border cell's diagonal neighbour is met.
        first = max(0, bottom - bandwidth - width) // width * width
        last = min(steps, (bottom + bandwidth + 2 * width) // width * width)
        return min(first, last), last

    return dtw


def workspace(bits, lanes, threads, rows, columns, *, with_gradients):
    """Scratch arrays by seat for pairs of up to `rows` x `columns`, as kernels take them."""
    kind = scalars(bits)
    steps, length = step_count(columns, lanes), row_length(columns, lanes)
    slots = steps if with_gradients else lanes
    kept = -(-rows // lanes) + 1 if with_gradients else 2
    return (
        aligned(threads, slots * FLOATS * lanes, kind.real),
        aligned(threads, slots * INTEGERS * lanes, kind.whole),
        aligned(threads, kept * length, kind.real),
        aligned(threads, kept * length, kind.whole),
        aligned(threads, length, kind.real),
        aligned(threads, length, kind.whole),
        aligned(threads, 2 * lanes, kind.real),
        aligned(threads, 3 * lanes, kind.whole),
        aligned(threads, lanes * lanes, kind.real),
    )


@kernel
def viterbi_dtw(thread, queue, cost, lengths, bandwidth, out, result, with_gradients):
    """Dynamic time warping at temperature 0; out receives the indicator of one best path.

    Ties go to the diagonal step, then to the step down, then to the step right.
    """
    for _ in range(queue.size):
        b = next_item(queue)
        if b < 0:
            break
        n, m = lengths[b, 0], lengths[b, 1]
        value = np.full((n + 1, m + 1), np.inf)
        value[0, 0] = 0.0
        for i in range(n):
            for j in range(m):
                if bandwidth >= 0 and abs(i - j) > bandwidth:
                    continue
                best = min(value[i, j], min(value[i, j + 1], value[i + 1, j]))
                value[i + 1, j + 1] = cost[b, i, j] + best
        result[b, 0], result[b, 1] = value[n, m], 0.0
        if not with_gradients or value[n, m] == np.inf:
            continue
        i, j = n, m
        while i > 0 and j > 0:
            out[b, i - 1, j - 1] = 1.0
            best = min(value[i - 1, j - 1], min(value[i - 1, j], value[i, j - 1]))
            if value[i - 1, j - 1] == best:
                i, j = i - 1, j - 1
            elif value[i - 1, j] == best:
                i -= 1
            else:
                j -= 1

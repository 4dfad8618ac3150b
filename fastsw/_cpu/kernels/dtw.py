"""Soft dynamic time warping: linear space with an exponent per cell, explicit SIMD.

A warping path goes from the first to the last cell by steps right, down or diagonally; with
w = exp(-cost / T), the total over all paths is the last cell of

    r[i,j] = w[i,j] * (r[i-1,j-1] + r[i-1,j] + r[i,j-1])

Every cell has an exponent of its own, so nothing ever underflows. The anti-diagonal wavefront is
that of `intra_pair`: lane r of a strip stands on row ``bottom - r`` and column ``t - (W - 1) + r``.
Cells further than `bandwidth` from the diagonal have no weight, and squares without any other are
not visited.

References
----------
Cuturi and Blondel, "Soft-DTW: a Differentiable Loss Function for Time-Series", ICML 2017;
Sakoe and Chiba (1978), the band.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from fastsw._cpu.kernels import cell
from fastsw._cpu.kernels.strip import row_length, step_count
from fastsw._cpu.runtime.compile import Variant, inlined, kernel
from fastsw._cpu.runtime.handoff import next_item
from fastsw._cpu.runtime.pointers import address
from fastsw._cpu.runtime.workspace import aligned
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.max_plus_numbers import max_plus, score_of
from fastsw._cpu.simd.scaled import arithmetic, scalars
from fastsw._cpu.simd.scaled_numbers import scaled, scaled_numbers
from fastsw._cpu.simd.vectors import vmax, where_greater
from fastsw._recurrence import NEG_INF

# Numbers of a step in a table, and those that differ by lane: what goes before the first cell and
# what comes after the last, then, as whole numbers, twice the lane.
WEIGHT, VALUE, NUMBERS = range(3)
START, END, TWICE, LANE_NUMBERS = range(4)


class Work(NamedTuple):
    """Scratch arrays of a thread, all flat; as they are made, one row for each thread.

    All but the square are two: mantissas and exponents.
    """

    table: tuple[np.ndarray, np.ndarray]
    boundary: tuple[np.ndarray, np.ndarray]  # the last row of each strip
    back: tuple[np.ndarray, np.ndarray]  # the first row of the strip below, backwards
    lane: tuple[np.ndarray, np.ndarray]
    square: np.ndarray  # W x W probabilities


@functools.cache
def kernels(bits: int, lanes: int):
    """The compiled entry point of one precision and width."""
    simd, kind, vectors = lanes_of(bits, lanes), scalars(bits), arithmetic(bits, lanes)
    variant = Variant(bits, lanes)
    number, splat_f, splat_i = scaled_numbers(bits, lanes), simd.splat_f, simd.splat_i
    load, store, zeros = number.load, number.store, number.zeros
    from_above, from_below = number.from_above, number.from_below
    store_first, store_last = number.store_first, number.store_last
    load_f, load_i, store_f, lane_total = simd.load_f, simd.load_i, simd.store, simd.total
    load_skewed, store_skewed = simd.load_skewed, simd.store_skewed
    capped_power, weight_of = vectors.capped_power, vectors.weight
    real, whole, nothing = kind.real, kind.whole, kind.nothing
    zero, one = real(0), real(1)
    width, pad, step = lanes, 2 * lanes, NUMBERS * lanes

    @variant.helper
    def weigh(flat, offset, stride, n, m, work, slot, t0, bottom, scale, bandwidth):
        """Weights of the steps t0 .. t0 + W - 1, into the tables from `slot` on."""
        floats, column, at = work.table[0], t0 - (width - 1), slot * step + WEIGHT * width
        load_skewed(
            address(flat, offset + bottom * stride + column),
            stride,
            column,
            bottom,
            n,
            m,
            address(floats, at),
            step,
        )
        unit, floor, none = splat_f(scale[0]), splat_f(scale[1]), splat_f(zero)
        for u in range(width):
            f, k = weight_of(load_f(floats, at), unit, floor)
            if bandwidth >= 0:
                beside = load_i(work.lane[1], TWICE * width) + splat_i(whole(column + u - bottom))
                beside = vmax(beside, splat_i(whole(0)) - beside)
                f = where_greater(beside, splat_i(whole(bandwidth)), none, f)
            store(work.table, at, scaled(f, k))
            at += step

    @variant.helper
    def forward(flat, offset, stride, n, m, work, keep, rows, bottom, span, length, scale, band):
        """Pass over the steps from span[0] to span[1] of a strip; gives the last cell if met."""
        value, diagonal = zeros(), zeros()
        if bottom == width - 1:
            diagonal = load(work.lane, START * width)
        above, below = rows[0] * length + pad, rows[1] * length + pad - (width - 1)
        last_lane = bottom - (n - 1)
        last_step = m - 1 + width - 1 - last_lane
        total, total_k = zero, nothing
        for t0 in range(span[0], span[1], width):
            slot = t0 if keep else 0
            weigh(flat, offset, stride, n, m, work, slot, t0, bottom, scale, band)
            at = slot * step
            for t in range(t0, t0 + width):
                up = from_above(value, work.boundary, above + t)
                before = cell.warp(value, up, diagonal)
                value, diagonal = load(work.table, at + WEIGHT * width) * before, up
                store(work.table, at + VALUE * width, value)
                store_first(work.boundary, below + t, value)
                at += step
            if 0 <= last_lane < width and t0 <= last_step < t0 + width:
                found = (slot + last_step - t0) * step + VALUE * width + last_lane
                total, total_k = work.table[0][found], work.table[1][found]
        return total, total_k

    @variant.helper
    def backward(flat, target, offset, stride, n, m, work, bottom, span, total, total_k):
        """Pass over a strip in reverse, write its cells' probabilities; their mean score."""
        mean, onto, diagonal = splat_f(zero), zeros(), zeros()
        per_total, per_total_k = splat_f(one / total), splat_i(total_k)
        last_lane = bottom - (n - 1)
        last_step = m - 1 + width - 1 - last_lane if 0 <= last_lane < width else -1
        at = (span[1] - 1) * step
        for t0 in range(span[1] - width, span[0] - width, -width):
            for t in range(t0 + width - 1, t0 - 1, -1):
                down = from_below(onto, work.back, pad + t - (width - 1))
                after = cell.warp(onto, down, diagonal)
                if t == last_step:
                    after = load(work.lane, END * width)
                here = load(work.table, at + VALUE * width)
                share = per_total * capped_power(here.exponent + after.exponent - per_total_k)
                visited = here.mantissa * after.mantissa * share
                store_f(work.square, (t - t0) * width, visited)
                onto, diagonal = load(work.table, at + WEIGHT * width) * after, down
                store_last(work.back, pad + t, onto)
                at -= step
            column = t0 - (width - 1)
            mean = mean + store_skewed(
                address(work.square, 0),
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

    @variant.inlined
    def set_lane(lane, number, r, there):
        """Make a lane's number 1 or 0."""
        lane[0][number * width + r] = one if there else zero
        lane[1][number * width + r] = whole(0) if there else nothing

    @variant.inlined
    def clear(row, start, end):
        """Make numbers 0."""
        row[0][start:end] = zero
        row[1][start:end] = nothing

    @variant.inlined
    def of_thread(arrays, thread):
        """A thread's mantissas and exponents."""
        return arrays[0][thread], arrays[1][thread]

    @variant.scaled_kernel
    def dtw(
        thread,
        queue,
        flat,
        shape,
        temperature,
        lengths,
        floor,
        bandwidth,
        all_work,
        target,
        result,
        with_gradients,
    ):
        # The temperature whose unit is a number of this precision, 2**-24 of itself off at most.
        unit = np.float64(real(1.0 / (math.log(2.0) * temperature)))
        scale = real(unit), real(floor)
        stride = shape[2]
        work = Work(
            of_thread(all_work.table, thread),
            of_thread(all_work.boundary, thread),
            of_thread(all_work.back, thread),
            of_thread(all_work.lane, thread),
            all_work.square[thread],
        )
        for r in range(width):
            set_lane(work.lane, START, r, r == width - 1)
            work.lane[1][TWICE * width + r] = 2 * r
        for _ in range(queue.size):
            b = next_item(queue)
            if b < 0:
                break
            n, m = lengths[b, 0], lengths[b, 1]
            offset = b * shape[1] * stride
            steps, length = step_count(m, width), row_length(m, width)
            strips = (n + width - 1) // width
            clear(work.boundary, 0, (strips + 1 if with_gradients else 2) * length)
            total, total_k = zero, nothing
            for s in range(strips):
                bottom = (s + 1) * width - 1
                rows = (s, s + 1) if with_gradients else (s % 2, (s + 1) % 2)
                if not with_gradients and s > 0 and bandwidth >= 0:
                    clear(work.boundary, rows[1] * length, (rows[1] + 1) * length)
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
            clear(work.back, 0, length)
            for s in range(strips - 1, -1, -1):
                bottom = (s + 1) * width - 1
                span = visited_steps(bottom, steps, bandwidth)
                for r in range(width):
                    set_lane(work.lane, END, r, bottom - r == n - 1)
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
    """Scratch arrays of threads for pairs of up to `rows` x `columns`."""
    kind = scalars(bits)
    steps, length = step_count(columns, lanes), row_length(columns, lanes)
    kept = -(-rows // lanes) + 1 if with_gradients else 2

    def both(size):
        return aligned(threads, size, kind.real), aligned(threads, size, kind.whole)

    return Work(
        table=both((steps if with_gradients else lanes) * NUMBERS * lanes),
        boundary=both(kept * length),
        back=both(length),
        lane=both(LANE_NUMBERS * lanes),
        square=aligned(threads, lanes * lanes, kind.real),
    )


@inlined
def best_before(value, i, j):
    """The best of the cells before one, of minus the costs of paths to them."""
    left, up = max_plus(value[i, j - 1]), max_plus(value[i - 1, j])
    return cell.warp(left, up, max_plus(value[i - 1, j - 1]))


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
        value = np.full((n + 1, m + 1), NEG_INF)
        value[0, 0] = 0.0
        for i in range(n):
            for j in range(m):
                if bandwidth >= 0 and abs(i - j) > bandwidth:
                    continue
                best = max_plus(-np.float64(cost[b, i, j])) * best_before(value, i + 1, j + 1)
                value[i + 1, j + 1] = score_of(best)
        result[b, 0], result[b, 1] = 0.0 - value[n, m], 0.0  # not -0.0
        if not with_gradients or value[n, m] == NEG_INF:
            continue
        i, j = n, m
        while i > 0 and j > 0:
            out[b, i - 1, j - 1] = 1.0
            best = score_of(best_before(value, i, j))
            if value[i - 1, j - 1] == best:
                i, j = i - 1, j - 1
            elif value[i - 1, j] == best:
                i -= 1
            else:
                j -= 1

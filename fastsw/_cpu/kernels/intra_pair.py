"""The fast kernel for one pair: linear space, intra-pair SIMD along an anti-diagonal wavefront.

A pair is computed strip by strip, see `strip`. How the cells of a strip are computed, and how many
of them share an exponent, is the business of `block_exponent` and `cell_exponent`.

The forward pass keeps one boundary row a strip. The backward pass takes the strips in reverse and
recomputes each strip's table, unless the tables of the whole pair are small enough to be kept.

A call may be about a `Window` of the strips, of which alone similarities are at hand; see `panels`.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from fastsw._cpu.kernels import block_exponent, cell_exponent
from fastsw._cpu.kernels.strip import (
    END,
    EXTEND,
    EXTEND_X,
    EXTENDED_X,
    EXTENDED_Y,
    FIX_X,
    LANE_NUMBERS,
    LANE_SUMS,
    MEAN,
    OPEN_X,
    OPEN_Y,
    OPENED_X,
    OPENED_Y,
    ROW_NUMBERS,
    START,
    H,
    Pair,
    Tile,
    fields,
    form,
    row_length,
    step_count,
)
from fastsw._cpu.runtime.compile import Variant
from fastsw._cpu.runtime.handoff import fence, next_item, take_next
from fastsw._cpu.runtime.parts import callable_in_kernels
from fastsw._cpu.runtime.pointers import address, addresses_of, of_thread
from fastsw._cpu.runtime.workspace import STREAMED_BYTES
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import LOG2E, scalars
from fastsw._types import FITTING, GLOBAL, LOCAL

# What one call of a kernel does: all, or a part of what several threads, or calls, do for one pair.
ALL, SET_UP, FORWARD, BACKWARD, GATHER, FINISH = range(6)


class Window(NamedTuple):
    """The strips that a call is about, and the first row that matrices hold."""

    first: int
    last: int  # one past the last
    row: int


#: All strips of a pair, and all rows.
WHOLE = Window(0, 2**62, 0)

#: How many cells share an exponent: a block of a lane's steps, or those of one cell.
EXPONENTS = {"block": block_exponent, "cell": cell_exponent}


@callable_in_kernels
def at(penalty, b, i, j):
    """Entry of row i and column j of pair b in an array whose axes may have length 1."""
    return penalty[
        min(b, penalty.shape[0] - 1), min(i, penalty.shape[1] - 1), min(j, penalty.shape[2] - 1)
    ]


@callable_in_kernels
def subtract(gradient, b, i, j, amount):
    """Take a gap count off the gradient of the score in a penalty."""
    gradient[b, min(i, gradient.shape[1] - 1), min(j, gradient.shape[2] - 1)] -= amount


@callable_in_kernels
def set_rows(pair, b, rows, penalties, dots, unit, with_tangents):
    """Gap factors of the grid's rows and their tangents; 1 after the last row.

    Where they do not differ from row to row only the first is computed.
    """
    n = pair.tile.n
    for field in range(2):
        penalty = penalties[2 + field]
        factor, dot = 1.0, 0.0
        for i in range(n + 1):
            if i == 0 or (i > 1 and penalty.shape[1] > 1):
                row = max(i, 1) - 1
                factor = 2.0 ** (-unit * at(penalty, b, row, 0))
                if with_tangents:
                    dot = -unit / LOG2E * factor * at(dots[2 + field], b, row, 0)
            rows[field, i], rows[2 + field, i] = factor, dot
        rows[field, n + 1 :] = 1.0
        rows[2 + field, n + 1 :] = 0.0


@callable_in_kernels
def set_row_ends(pair, b, rows, penalties, dots, unit, with_tangents):
    """log2 weight of ending after grid row i (rows 4), and the tangent of its log (rows 5).

    0 in local mode; in fitting mode the rows after it are skipped at the last column.
    """
    rows[4:6] = 0.0
    if pair.mode != FITTING:
        return
    extended, extended_dot = 0.0, 0.0
    for i in range(pair.tile.n - 1, -1, -1):
        rows[4, i] = -unit * at(penalties[2], b, i, 0) - extended
        extended += unit * at(penalties[3], b, i, 0)
        if with_tangents:
            rows[5, i] = -unit / LOG2E * at(dots[2], b, i, 0) - extended_dot
            extended_dot += unit / LOG2E * at(dots[3], b, i, 0)


@callable_in_kernels
def total_of_rows(pair, rows, ends, ends_k):
    """Sum over the rows of what ended there, as mantissa and exponent; rows 4 weighs the rows."""
    top = -(2**62)
    first = 0 if pair.mode == FITTING else 1
    for i in range(first, pair.tile.n + 1):
        if ends[0, i] > 0.0:
            top = max(top, ends_k[i] + math.floor(rows[4, i]))
    total = 0.0
    for i in range(first, pair.tile.n + 1):
        if ends[0, i] > 0.0:
            below = math.floor(rows[4, i])
            weight = 2.0 ** (rows[4, i] - below) if pair.mode == FITTING else 1.0
            total += math.ldexp(ends[0, i] * weight, max(ends_k[i] + below - top, -2000))
    mantissa, shift = math.frexp(total)
    return mantissa, top + shift


@functools.cache
def kernels(bits: int, lanes: int, by_column: bool, with_tangents: bool, exponents: str):
    """The compiled entry point of one precision, width, form of penalties, order and EXPONENTS."""
    module, kind = EXPONENTS[exponents], scalars(bits)
    score_strip, forward, backward = module.passes(bits, lanes, by_column, with_tangents)
    variant = Variant(bits, lanes, *form(by_column, with_tangents), exponents)
    real, whole, nothing = kind.real, kind.whole, kind.nothing
    width, pad = lanes, 2 * lanes
    per_step, edges = fields(with_tangents)
    simd = lanes_of(bits, lanes)
    store, splat, splat_k = simd.store, simd.splat_f, simd.splat_i
    doublings = module.fixed_steps(width).bit_length() - 1

    @variant.helper
    def rounded_off(factor):
        """By what a factor's rounding falls short until a pass makes up for it, as a factor."""
        kept = np.float64(real(factor))
        short = factor / kept if kept > 0.0 else 1.0
        for _ in range(doublings):
            short *= short
        return short

    @variant.helper
    def fill(lane, field, value):
        """Give all lanes the same parameter."""
        store(lane, field * width, splat(real(value)))

    @variant.helper
    def set_lanes(pair, lane, lane_k, rows, bottom, factors):
        """Parameters of the rows of a strip; rows after the last pass everything downwards."""
        n = pair.tile.n
        local = pair.mode == LOCAL
        fill(lane, START, 1.0 if local else 0.0)
        fill(lane, END, 1.0 if local else 0.0)
        fill(lane, LANE_NUMBERS + END, 0.0)
        store(lane_k, START * width, splat_k(0 if local else nothing))
        store(lane_k, END * width, splat_k(0 if local else nothing))
        fill(lane, OPEN_X, factors[0])
        fill(lane, EXTEND_X, factors[1])
        fill(lane, LANE_NUMBERS + OPEN_X, factors[2])
        fill(lane, LANE_NUMBERS + EXTEND_X, factors[3])
        fill(lane, FIX_X, rounded_off(factors[1]))
        last = bottom + 1 - pair.tile.origin  # row of the grid of lane 0
        for r in range(width):
            below = min(last - r + 1, n + 1)
            for field in range(2):
                lane[(OPEN_Y + field) * width + r] = rows[field, below]
                lane[(LANE_NUMBERS + OPEN_Y + field) * width + r] = rows[2 + field, below]
        if last == width - 1:  # row 0 lies in the last lane
            lane[START * width + width - 1] = 1.0
            lane_k[START * width + width - 1] = 0
            if pair.mode == FITTING:
                lane[OPEN_X * width + width - 1] = 0.0
                lane[(LANE_NUMBERS + OPEN_X) * width + width - 1] = 0.0
        if pair.mode == FITTING:
            for i in range(max(last - width + 1, 1), min(last, n) + 1):
                whole_part = math.floor(rows[4, i])
                end = 2.0 ** (rows[4, i] - whole_part)
                lane[END * width + last - i] = end
                lane[(LANE_NUMBERS + END) * width + last - i] = end * rows[5, i]
                lane_k[END * width + last - i] = whole(whole_part)

    @variant.helper
    def column_factors(penalties, dots, b, j, unit):
        """Gap factors of a skipped column and their tangents."""
        opened = 2.0 ** (-unit * at(penalties[0], b, 0, j))
        extended = 2.0 ** (-unit * at(penalties[1], b, 0, j))
        if not with_tangents:
            return opened, extended, 0.0, 0.0
        open_dot = -unit / LOG2E * opened * at(dots[0], b, 0, j)
        return opened, extended, open_dot, -unit / LOG2E * extended * at(dots[1], b, 0, j)

    @variant.helper
    def round_factors(factors):
        """Round factors that long gaps multiply, each up or down so that products do not drift."""
        short = 1.0
        for i in range(len(factors)):
            wanted = factors[i] * short
            kept = np.float64(real(wanted))
            factors[i] = kept
            if kept > 0.0:
                short = wanted / kept

    @variant.inlined
    def set_up(pair, b, shared, penalties, dots, unit, length, strips):
        """Everything that must be there before the first strip."""
        set_rows(pair, b, shared.rows, penalties, dots, unit, with_tangents)
        round_factors(shared.rows[1, 1 : pair.tile.n + 1])
        set_row_ends(pair, b, shared.rows, penalties, dots, unit, with_tangents)
        shared.ends[0, 0], shared.ends[1, 0], shared.ends_k[0] = 1.0, 0.0, 0
        shared.boundary[: edges * length] = 0.0
        shared.boundary_k[:length] = nothing
        shared.back[: edges * length] = 0.0
        shared.back_k[: 2 * length] = nothing
        if pair.mode == GLOBAL:
            shared.back[pad + pair.tile.m] = 1.0
            shared.back_k[pad + pair.tile.m] = 0
        shared.done[: 2 * strips] = 0
        shared.counters[:] = 0
        if by_column:
            shared.columns[: 2 * ROW_NUMBERS * length] = 0.0
            short = 1.0  # see `round_factors`
            for c in range(pair.tile.m + pair.tile.origin):
                factors = column_factors(penalties, dots, b, max(c - pair.tile.origin, 0), unit)
                for field in range(2 * ROW_NUMBERS):
                    shared.columns[field * length + pad + c] = factors[field]
                kept = np.float64(real(factors[EXTEND] * short))
                shared.columns[EXTEND * length + pad + c] = kept
                if kept > 0.0:
                    short *= factors[EXTEND] / kept

    @variant.helper
    def keep_corner(pair, shared, row, length):
        """What arrives at the last row and column in global mode, and the tangent of its log.

        It goes where what ends in row 0 has its place, which nothing does in this mode.
        """
        first = (row * edges + H) * length + pad + pair.tile.m
        value = np.float64(shared.boundary[first])
        dot = np.float64(shared.boundary[first + ROW_NUMBERS * length]) if with_tangents else 0.0
        mantissa, shift = math.frexp(value)
        shared.ends[0, 0], shared.ends[1, 0] = mantissa, dot / value if value > 0.0 else 0.0
        shared.ends_k[0] = np.int64(shared.boundary_k[row * length + pad + pair.tile.m]) + shift

    @variant.inlined
    def forward_pass(
        pair, work, shared, window, strips, steps, length, scale, factors, keep_all, with_gradients
    ):
        """Forward pass over the strips that this thread gets hold of."""
        ended, ended_k, pointers = work.ended, work.ended_k, addresses_of(work, shared)
        s = take_next(shared.counters, 0)
        while s < min(strips, window.last):
            bottom = (s + 1) * width - 1
            set_lanes(pair, work.lane, work.lane_k, shared.rows, bottom, factors)
            row_in, row_out = 0, 0
            if with_gradients:
                row_in, row_out = s - window.first, s - window.first + 1
            if keep_all:
                slot = s * steps
                forward(pair, pointers, s, slot, row_in, row_out, steps, length, scale)
            else:
                score_strip(pair, pointers, s, 0, row_in, row_out, steps, length, scale)
            for r in range(width):
                i = bottom - r + 1 - pair.tile.origin
                if 1 <= i <= pair.tile.n:
                    shared.ends[0, i] = ended[r]
                    shared.ends[1, i] = ended[width + r]
                    shared.ends_k[i] = ended_k[r]
            if pair.mode == GLOBAL and s == strips - 1:
                keep_corner(pair, shared, row_out, length)
            s = take_next(shared.counters, 0)

    @variant.helper
    def find_total(pair, shared):
        """Sum over all alignments as mantissa and exponent, and the tangent of its log."""
        rows, ends, ends_k = shared.rows, shared.ends, shared.ends_k
        if pair.mode == GLOBAL:
            return ends[0, 0], ends_k[0], ends[1, 0]
        total, total_k = total_of_rows(pair, rows, ends, ends_k)
        growth = 0.0
        if with_tangents and total > 0.0:
            for i in range(0 if pair.mode == FITTING else 1, pair.tile.n + 1):
                part = 2.0 ** (ends_k[i] - total_k + rows[4, i]) / total
                growth += part * (ends[1, i] + ends[0, i] * rows[5, i])
        return total, total_k, growth

    @variant.inlined
    def backward_pass(
        pair, work, shared, window, strips, steps, length, scale, factors, keep_all, total
    ):
        """Backward pass over the strips that this thread gets hold of."""
        pointers = addresses_of(work, shared)
        s = strips - 1 - take_next(shared.counters, 1)
        while s >= window.first:
            set_lanes(pair, work.lane, work.lane_k, shared.rows, (s + 1) * width - 1, factors)
            slot = s * steps if keep_all else 0
            if not keep_all:
                row = s - window.first
                forward(pair, pointers, s, slot, row, row + 1, steps, length, scale)
            backward(
                pair,
                pointers,
                s,
                window.first,
                strips,
                slot,
                steps,
                length,
                real(total[0]),
                whole(total[1]),
                real(total[2]),
            )
            s = strips - 1 - take_next(shared.counters, 1)

    @variant.helper
    def add_gradients(pair, b, shared, penalties, window, strips, length, unit, out):
        """Add what strips left to the gradients; their mean score in units of T / log2(e)."""
        mean = 0.0
        for s in range(window.first, min(strips, window.last)):
            sums = shared.sums[s * LANE_SUMS * width : (s + 1) * LANE_SUMS * width]
            for r in range(width):
                mean += unit * sums[MEAN * width + r]
                i = (s + 1) * width - r - pair.tile.origin
                if i > pair.tile.n:
                    continue
                if not by_column:
                    opened = np.float64(sums[OPENED_X * width + r])
                    extended = np.float64(sums[EXTENDED_X * width + r])
                    subtract(out[1], b, 0, 0, opened)
                    subtract(out[2], b, 0, 0, extended)
                    mean -= unit * opened * at(penalties[0], b, 0, 0)
                    mean -= unit * extended * at(penalties[1], b, 0, 0)
                if i < pair.tile.n:
                    opened = np.float64(sums[OPENED_Y * width + r])
                    extended = np.float64(sums[EXTENDED_Y * width + r])
                    subtract(out[3], b, i, 0, opened)
                    subtract(out[4], b, i, 0, extended)
                    mean -= unit * opened * at(penalties[2], b, i, 0)
                    mean -= unit * extended * at(penalties[3], b, i, 0)
            if by_column:
                kept = 2 * (s - window.first) * length
                counts = shared.counts[kept : kept + 2 * length]
                for c in range(1, pair.tile.m + pair.tile.origin):
                    j = c - pair.tile.origin
                    opened = np.float64(counts[pad + c])
                    extended = np.float64(counts[length + pad + c])
                    subtract(out[1], b, 0, j, opened)
                    subtract(out[2], b, 0, j, extended)
                    mean -= unit * opened * at(penalties[0], b, 0, j)
                    mean -= unit * extended * at(penalties[1], b, 0, j)
        return mean

    @variant.helper
    def add_trailing_rows(pair, b, shared, penalties, total, unit, out):
        """Fitting mode: gradients of the rows skipped after the last pair; their mean score."""
        rows, ends, ends_k = shared.rows, shared.ends, shared.ends_k
        whole, total_k, growth = total
        mean, earlier = 0.0, 0.0
        for i in range(pair.tile.n):
            # Exponents are subtracted first: the log of the total may be too large for a fraction.
            gone = ends[0, i] / whole * 2.0 ** (ends_k[i] - total_k + rows[4, i])
            if with_tangents and gone > 0.0:
                gone *= ends[1, i] / ends[0, i] + rows[5, i] - growth
            subtract(out[3], b, i, pair.tile.m - 1, gone)
            subtract(out[4], b, i, pair.tile.m - 1, earlier)
            mean -= unit * gone * at(penalties[2], b, i, 0)
            mean -= unit * earlier * at(penalties[3], b, i, 0)
            earlier += gone
        return mean

    @variant.scaled_kernel
    def intra_pair(
        thread,
        queue,
        similarity,
        shape,
        penalties,
        temperature,
        mode,
        lengths,
        floors,
        dots,
        all_work,
        all_shared,
        out,
        scores,
        slopes,
        with_gradients,
        phase,
        window,
    ):
        # The temperature whose unit is a number of this precision, 2**-24 of itself off at most.
        unit = np.float64(real(LOG2E / temperature))
        work = of_thread(all_work, thread)
        shared = of_thread(all_shared, thread if phase == ALL else 0)
        for _ in range(queue.size):
            b = next_item(queue)
            if b < 0:
                break
            n, m = lengths[b, 0], lengths[b, 1]
            origin = 0 if mode == LOCAL else 1
            offset = (b * shape[1] - window.row) * shape[2]
            tile = Tile(offset, shape[2], n, m, origin)
            pair = Pair(
                address(similarity, 0),
                address(out[0], 0),
                address(dots[0], 0),
                tile,
                mode,
                out[0].size * out[0].itemsize > STREAMED_BYTES,
            )
            steps, length = step_count(m + origin, width), row_length(m + origin, width)
            strips = (n + origin + width - 1) // width
            keep_all = phase == ALL and with_gradients
            keep_all = keep_all and work.floats.size >= strips * steps * per_step * width
            scale = real(unit), real(floors[b]), real(1.0 / temperature)
            factors = 1.0, 1.0, 1.0, 1.0
            if not by_column:
                factors = column_factors(penalties, dots[1], b, 0, unit)
            if phase in (ALL, SET_UP):
                set_up(pair, b, shared, penalties, dots[1], unit, length, strips)
            if phase in (ALL, FORWARD):
                forward_pass(
                    pair,
                    work,
                    shared,
                    window,
                    strips,
                    steps,
                    length,
                    scale,
                    factors,
                    keep_all,
                    with_gradients,
                )
            if phase in (SET_UP, FORWARD):
                continue
            total = find_total(pair, shared)
            if total[0] == 0.0:
                scores[b] = -np.inf
                if with_gradients:
                    for i in range(n):
                        first = tile.offset + i * tile.stride
                        out[0][first : first + m] = 0.0
                continue
            log2_total = total[1] + math.log2(total[0])
            scores[b] = temperature * total[2] if with_tangents else log2_total / unit
            if not with_gradients:
                continue
            if phase in (ALL, BACKWARD):
                backward_pass(
                    pair,
                    work,
                    shared,
                    window,
                    strips,
                    steps,
                    length,
                    scale,
                    factors,
                    keep_all,
                    total,
                )
                fence()
            if phase in (ALL, GATHER):  # of all windows together
                slopes[b] += add_gradients(
                    pair, b, shared, penalties, window, strips, length, unit, out
                )
            if phase in (ALL, FINISH):
                mean = slopes[b]
                if mode == FITTING:
                    mean += add_trailing_rows(pair, b, shared, penalties, total, unit, out)
                slopes[b] = (-mean if with_tangents else log2_total - mean) / LOG2E

    return intra_pair

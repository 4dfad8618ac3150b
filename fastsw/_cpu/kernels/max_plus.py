"""Scores at temperature 0, many cells at a time: intra-pair SIMD, the equations of `cell`.

A strip is passed over as `strip` describes, but each lane stands on two rows, a and b below it, of
the same column: what goes from a to b need not change lanes, and the anti-diagonal wavefront is
half as slanted. Numbers are of doubles whatever the similarities are; a sum in single precision
would lose a little at every step. Penalties may depend on the column, for skipped columns, and on
the row, for skipped rows; `viterbi` takes those of single cells, and what could overflow. Where
both can be used, scores are the same to the last bit.

Row 0 of the grid, before the first pair, is the first strip's boundary row; column 0 is one of
those that are passed over.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from fastsw._cpu.kernels import cell
from fastsw._cpu.kernels.intra_pair import at
from fastsw._cpu.kernels.log_numbers import add
from fastsw._cpu.kernels.strip import Tile, row_length, squares, step_count
from fastsw._cpu.runtime.compile import Variant
from fastsw._cpu.runtime.handoff import next_item
from fastsw._cpu.runtime.pointers import address, addresses_of, of_thread
from fastsw._cpu.runtime.workspace import LINE, aligned
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.max_plus_numbers import max_plus as number
from fastsw._cpu.simd.max_plus_numbers import score_of
from fastsw._cpu.simd.vectors import widened
from fastsw._recurrence import NEG_INF
from fastsw._types import FITTING, GLOBAL, LOCAL

# Rows of `Work.columns` and of `Work.boundary`, and fields of `Work.lane`: gap factors of row b and
# of the row below it, the largest M of both rows, and what `read_ahead` saw.
OPEN_X, EXTEND_X, COLUMN_ROWS = range(3)
H, V, BOUNDARY_ROWS = range(3)
OPEN_B, EXTEND_B, OPEN_BELOW, EXTEND_BELOW, BEST_A, BEST_B, SEEN, LANE_FLOATS = range(8)


class Work(NamedTuple):
    """Scratch arrays of a thread, all flat; as they are made, one row for each thread."""

    square: np.ndarray  # 2 x W x W similarities
    columns: np.ndarray  # COLUMN_ROWS rows: gap factors of columns, which are minus the penalties
    boundary: np.ndarray  # BOUNDARY_ROWS rows: what the strip above has left, and then this one
    lane: np.ndarray  # LANE_FLOATS x W
    ends: np.ndarray  # the largest M of each row


@functools.cache
def kernels(bits: int, lanes: int):
    """The entry point for similarities of one precision; lanes are those of doubles."""
    simd, source, variant = lanes_of(64, lanes), lanes_of(bits, lanes), Variant(bits, lanes)
    load_vector, load_source, store, splat = simd.load_f, source.load_f, simd.store, simd.splat_f
    vector_from_above, store_first = simd.from_above, simd.store_first
    load_square, width, pad = squares(bits, lanes).load_square, lanes, 2 * lanes

    @variant.inlined
    def load(pointer, at):
        return number(load_vector(pointer, at))

    @variant.inlined
    def from_above(a, boundary, at):
        return number(vector_from_above(score_of(a), boundary, at))

    @variant.helper
    def forward(cells, tiles, pointers, bottom, steps, length, start):
        """Pass over a strip; the largest M of each row is left in `Work.lane`."""
        lane, boundary = pointers.lane, pointers.boundary + pad * 8
        columns, square_b = pointers.columns + pad * 8, pointers.square + width * width * bits // 8
        starts, nothing = number(splat(start)), number(splat(NEG_INF))
        open_b, extend_b = load(lane, OPEN_B * width), load(lane, EXTEND_B * width)
        open_below, extend_below = load(lane, OPEN_BELOW * width), load(lane, EXTEND_BELOW * width)
        m_a, x_a, h_a, best_a, diagonal = nothing, nothing, nothing, nothing, nothing
        m_b, x_b, h_b, best_b, v_b = nothing, nothing, nothing, nothing, nothing
        for t0 in range(0, steps, width):
            row = bottom + tiles[0].origin
            load_square(cells, tiles[0], pointers.square, width, t0, row)
            load_square(cells, tiles[1], square_b, width, t0, row)
            for u in range(width):
                t = t0 + u
                open_x = load(columns, OPEN_X * length + t - (width - 1))
                extend_x = load(columns, EXTEND_X * length + t - (width - 1))
                weight_a = number(widened(load_source(pointers.square, u * width)))
                weight_b = number(widened(load_source(square_b, u * width)))
                into_b = h_a + starts
                m_a, x_a = cell.enter(weight_a, diagonal + starts, m_a, x_a, open_x, extend_x)
                m_b, x_b = cell.enter(weight_b, into_b, m_b, x_b, open_x, extend_x)
                best_a, best_b = m_a + best_a, m_b + best_b
                diagonal = from_above(h_b, boundary, H * length + t)
                y = from_above(v_b, boundary, V * length + t)
                h_a, y = cell.leave(m_a, x_a, y, open_b, extend_b)
                h_b, v_b = cell.leave(m_b, x_b, y, open_below, extend_below)
                store_first(boundary, H * length + t - (width - 1), score_of(h_b))
                store_first(boundary, V * length + t - (width - 1), score_of(v_b))
        store(lane, BEST_A * width, score_of(best_a))
        store(lane, BEST_B * width, score_of(best_b))

    @variant.helper
    def read_ahead(lane, similarity, offset, stride, first, n, m):
        """Read the similarities of a strip as they lie in memory, one of each cache line.

        The pass jumps from row to row, and would wait for memory at every one. What was read is
        kept, or else the compiler would leave it out.
        """
        top = similarity[offset]
        for row in range(first, min(first + 2 * width, n)):
            start = offset + row * stride
            for place in range(start, start + m, LINE * 8 // bits):
                top = max(top, similarity[place])
        lane[SEEN * width] = top

    @variant.helper
    def set_columns(work, penalties, b, columns, origin, length):
        """Gap factors of columns, 0 beyond the last."""
        for field in range(COLUMN_ROWS):
            for c in range(-pad, length - pad):
                cost = at(penalties[field], b, 0, max(c - origin, 0)) if 0 <= c < columns else 0.0
                work.columns[field * length + pad + c] = -cost

    @variant.helper
    def set_boundary(work, penalties, b, mode, columns, length):
        """Row 0 of the grid; in local mode, where nothing lies before the first pair, none."""
        for k in range(BOUNDARY_ROWS * length):
            work.boundary[k] = NEG_INF
        if mode == LOCAL:
            return
        nothing = number(NEG_INF)
        m, x, open_y = nothing, nothing, number(-at(penalties[2], b, 0, 0))
        for c in range(columns):
            open_x = number(work.columns[OPEN_X * length + pad + c])
            extend_x = number(work.columns[EXTEND_X * length + pad + c])
            _, x = cell.enter(nothing, nothing, m, x, open_x, extend_x)
            m = number(0.0 if c == 0 or mode == FITTING else NEG_INF)
            if mode == FITTING:
                x = nothing
            h, v = cell.leave(m, x, nothing, open_y, open_y)
            work.boundary[H * length + pad + c] = score_of(h)
            work.boundary[V * length + pad + c] = score_of(v)

    @variant.helper
    def set_lanes(lane, penalties, b, n, bottom):
        """Gap factors of row b of each lane and of the row below, 0 after the last."""
        for r in range(width):
            for field in range(4):
                row = 2 * (bottom - r) + 1 + field // 2
                cost = at(penalties[2 + field % 2], b, row, 0) if row < n else 0.0
                lane[field * width + r] = -cost

    @variant.helper
    def best_end(ends, penalties, b, n, mode):
        """The best of what ends in the rows; in fitting mode the rows below are skipped."""
        best, trailing, extended = NEG_INF, 0.0, (0.0, 0.0)
        for row in range(n - 1, -1, -1):
            best = max(best, ends[row] + trailing)
            if mode == FITTING:
                trailing = add(*extended, -at(penalties[2], b, row, 0))[0]
                extended = add(*extended, -at(penalties[3], b, row, 0))
        return max(best, trailing) if mode == FITTING else best

    @variant.kernel
    def max_plus(thread, queue, similarity, shape, penalties, mode, lengths, all_work, scores):
        work = of_thread(all_work, thread)
        pointers = addresses_of(work)
        cells, origin = address(similarity, 0), 0 if mode == LOCAL else 1
        start = 0.0 if mode == LOCAL else NEG_INF
        for _ in range(queue.size):
            b = next_item(queue)
            if b < 0:
                break
            n, m = lengths[b, 0], lengths[b, 1]
            offset, stride = b * shape[1] * shape[2], shape[2]
            tiles = (
                Tile(offset, 2 * stride, (n + 1) // 2, m, origin),
                Tile(offset + stride, 2 * stride, n // 2, m, origin),
            )
            columns = m + origin
            steps, length = step_count(columns, width), row_length(columns, width)
            set_columns(work, penalties, b, columns, origin, length)
            set_boundary(work, penalties, b, mode, columns, length)
            read_ahead(work.lane, similarity, offset, stride, 0, n, m)
            for bottom in range(width - 1, (n + 1) // 2 + width - 1, width):
                read_ahead(work.lane, similarity, offset, stride, 2 * (bottom + 1), n, m)
                set_lanes(work.lane, penalties, b, n, bottom)
                forward(cells, tiles, pointers, bottom, steps, length, start)
                for r in range(width):
                    row = 2 * (bottom - r)
                    work.ends[row] = work.lane[BEST_A * width + r]
                    work.ends[row + 1] = work.lane[BEST_B * width + r]
            if mode == GLOBAL:
                scores[b] = work.boundary[H * length + pad + m]
            else:
                scores[b] = best_end(work.ends, penalties, b, n, mode)

    return max_plus


def arrays(bits, lanes, threads, rows, columns):
    """Scratch arrays of threads for pairs of up to `rows` x `columns`."""
    length = row_length(columns + 1, lanes)
    return Work(
        square=aligned(threads, 2 * lanes * lanes, np.float32 if bits == 32 else np.float64),
        columns=aligned(threads, COLUMN_ROWS * length, np.float64),
        boundary=aligned(threads, BOUNDARY_ROWS * length, np.float64),
        lane=aligned(threads, LANE_FLOATS * lanes, np.float64),
        ends=aligned(threads, rows + 2 * lanes, np.float64),
    )

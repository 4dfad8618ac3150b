"""Scores at temperature 0, many cells at a time: explicit SIMD, rows as lanes of a skewed front.

A strip is walked as `strip` describes, but each lane stands on two rows, a and b below it, of the
same column: what goes from a to b need not change lanes, and the front is half as slanted. States
are doubles whatever the similarities are; a sum in single precision would lose a little at every
step. The equations are those of `_recurrence.hard_forward` without the origins, on vectors, with
the operations in the same order: scores are those of `viterbi` to the last bit, and the same
parametrised tests hold both. Penalties may depend on the column, for skipped columns, and on the
row, for skipped rows; `viterbi` takes those of single cells, and what could overflow.

What goes to the row below is h, the largest of a cell's states, which M follows on the diagonal,
and the y of the row below. Row 0 of the grid, before the first pair, is the row that the first
strip takes over; column 0 is walked.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from fastsw._cpu.kernels.intra_pair import at
from fastsw._cpu.kernels.log_numbers import EMPTY, add
from fastsw._cpu.kernels.strip import Tile, row_length, squares, step_count
from fastsw._cpu.runtime.compile import Variant
from fastsw._cpu.runtime.handoff import next_item
from fastsw._cpu.runtime.pointers import address
from fastsw._cpu.runtime.workspace import LINE, aligned
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.vectors import vmax, widened
from fastsw._recurrence import NEG_INF
from fastsw._types import FITTING, GLOBAL, LOCAL

# Rows of `Work.columns` and of `Work.boundary`, and fields of `Work.lane`: penalties of row b and
# of the row below it, the largest M of both rows, and what `read_ahead` saw.
OPEN_X, EXTEND_X, COLUMN_ROWS = range(3)
H, Y, CARRIED = range(3)
OPEN_B, EXTEND_B, OPEN_BELOW, EXTEND_BELOW, BEST_A, BEST_B, SEEN, LANE_FLOATS = range(8)


class Work(NamedTuple):
    """Scratch arrays of a thread, all flat; as they are made, one row for each seat."""

    square: np.ndarray  # 2 x W x W similarities
    columns: np.ndarray  # COLUMN_ROWS rows: what skipping a column costs
    boundary: (
        np.ndarray
    )  # CARRIED rows: what a strip takes over from the one above, and then leaves
    lane: np.ndarray  # LANE_FLOATS x W
    ends: np.ndarray  # the largest M of each row


class Pointers(NamedTuple):
    """Addresses of the arrays of `Work`."""

    square: int
    columns: int
    boundary: int
    lane: int


@functools.cache
def kernels(bits: int, lanes: int):
    """The entry point for similarities of one precision; lanes are those of doubles."""
    simd, source, variant = lanes_of(64, lanes), lanes_of(bits, lanes), Variant(bits, lanes)
    load, load_source, store, splat = simd.load_f, source.load_f, simd.store, simd.splat_f
    from_above, store_first = simd.from_above, simd.store_first
    load_square, width, pad = squares(bits, lanes).load_square, lanes, 2 * lanes

    @variant.helper
    def walk(place, tiles, pointers, bottom, steps, length, start):
        """Walk a strip; the largest M of each row is left in `Work.lane`.

        Each lane stands on two rows, a and b below it, of the same column.
        """
        columns, boundary, lane = (
            pointers.columns + pad * 8,
            pointers.boundary + pad * 8,
            pointers.lane,
        )
        origin, square_b = tiles[0].origin, pointers.square + width * width * (bits // 8)
        starts = splat(start)
        open_b, extend_b = load(lane, OPEN_B * width), load(lane, EXTEND_B * width)
        open_below, extend_below = load(lane, OPEN_BELOW * width), load(lane, EXTEND_BELOW * width)
        m_a = splat(NEG_INF)
        x_a, h_a, best_a, diagonal = m_a, m_a, m_a, m_a
        m_b, x_b, h_b, best_b, y_below = m_a, m_a, m_a, m_a, m_a
        for t0 in range(0, steps, width):
            load_square(place, tiles[0], pointers.square, width, t0, bottom + origin)
            load_square(place, tiles[1], square_b, width, t0, bottom + origin)
            for u in range(width):
                t = t0 + u
                open_x = load(columns, OPEN_X * length + t - (width - 1))
                extend_x = load(columns, EXTEND_X * length + t - (width - 1))
                x_a = vmax(m_a - open_x, x_a - extend_x)
                x_b = vmax(m_b - open_x, x_b - extend_x)
                m_a = vmax(diagonal, starts) + widened(load_source(pointers.square, u * width))
                m_b = vmax(h_a, starts) + widened(load_source(square_b, u * width))
                best_a, best_b = vmax(m_a, best_a), vmax(m_b, best_b)
                diagonal = from_above(h_b, boundary, H * length + t)
                y = from_above(y_below, boundary, Y * length + t)
                outer = vmax(m_a, x_a)
                h_a, y = vmax(outer, y), vmax(outer - open_b, y - extend_b)
                outer = vmax(m_b, x_b)
                h_b, y_below = vmax(outer, y), vmax(outer - open_below, y - extend_below)
                store_first(boundary, H * length + t - (width - 1), h_b)
                store_first(boundary, Y * length + t - (width - 1), y_below)
        store(lane, BEST_A * width, best_a)
        store(lane, BEST_B * width, best_b)

    @variant.helper
    def read_ahead(lane, similarity, offset, stride, first, n, m):
        """Read the similarities of a strip as they lie in memory, one of each cache line.

        The walk jumps from row to row, and would wait for memory at every one. What was read is
        kept, or else the compiler would leave it out.
        """
        top = similarity[offset]
        for row in range(first, min(first + 2 * width, n)):
            start = offset + row * stride
            for cell in range(start, start + m, LINE * 8 // bits):
                top = max(top, similarity[cell])
        lane[SEEN * width] = top

    @variant.helper
    def set_columns(work, penalties, b, columns, origin, length):
        """What skipping a column costs, with nothing to pay beyond the last."""
        for field in range(COLUMN_ROWS):
            for c in range(-pad, length - pad):
                cost = at(penalties[field], b, 0, max(c - origin, 0)) if 0 <= c < columns else 0.0
                work.columns[field * length + pad + c] = cost

    @variant.helper
    def set_boundary(work, penalties, b, mode, columns, length):
        """Row 0 of the grid; in local mode, where nothing lies before the first pair, none."""
        for k in range(CARRIED * length):
            work.boundary[k] = NEG_INF
        if mode == LOCAL:
            return
        opened = at(penalties[2], b, 0, 0)
        outer, x = 0.0, NEG_INF
        for c in range(columns):
            if c > 0 and mode == GLOBAL:
                m = 0.0 if c == 1 else NEG_INF
                cost = work.columns[OPEN_X * length + pad + c]
                x = max(m - cost, x - work.columns[EXTEND_X * length + pad + c])
                outer = x
            work.boundary[H * length + pad + c] = outer
            work.boundary[Y * length + pad + c] = outer - opened

    @variant.helper
    def set_lanes(lane, penalties, b, n, bottom):
        """What skipping row b of each lane and the row below costs; nothing after the last."""
        for r in range(width):
            for field in range(4):
                row = 2 * (bottom - r) + 1 + field // 2
                cost = at(penalties[2 + field % 2], b, row, 0) if row < n else 0.0
                lane[field * width + r] = cost

    @variant.helper
    def best_end(ends, penalties, b, n, mode):
        """The best of what ends in the rows; in fitting mode the rows below are skipped."""
        best, trailing, extended = NEG_INF, 0.0, EMPTY
        for row in range(n - 1, -1, -1):
            best = max(best, ends[row] + trailing)
            if mode == FITTING:
                trailing = add(extended, -at(penalties[2], b, row, 0))[0]
                extended = add(extended, -at(penalties[3], b, row, 0))
        return max(best, trailing) if mode == FITTING else best

    @variant.kernel
    def max_plus(thread, queue, similarity, shape, penalties, mode, lengths, all_work, scores):
        work = Work(
            all_work.square[thread],
            all_work.columns[thread],
            all_work.boundary[thread],
            all_work.lane[thread],
            all_work.ends[thread],
        )
        pointers = Pointers(
            address(work.square, 0),
            address(work.columns, 0),
            address(work.boundary, 0),
            address(work.lane, 0),
        )
        place, origin = address(similarity, 0), 0 if mode == LOCAL else 1
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
                walk(place, tiles, pointers, bottom, steps, length, start)
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
        boundary=aligned(threads, CARRIED * length, np.float64),
        lane=aligned(threads, LANE_FLOATS * lanes, np.float64),
        ends=aligned(threads, rows + 2 * lanes, np.float64),
    )

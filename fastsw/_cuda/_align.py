"""Soft alignment on a GPU: scores, gradients and their tangents in one launch.

In single precision a launch has two rounds (`_rounds`). The first takes narrow numbers; pairs
beyond their range, of which there are hardly ever any, are left to the second, which takes wide
ones, in a function of its own so that it costs the first no registers.
"""

import functools

import numpy as np
from numba import cuda

from fastsw._cuda._device import LANES, SIMULATED, apart, load_acquire
from fastsw._cuda._numbers import numbers
from fastsw._cuda._rounds import FINISHED, LEFT, Counters, Request, round_of, temperature_of
from fastsw._cuda._strips import DEPTH, SUMS, TILE, WORDS, Answers, Rows, Square, Store, wait


def warps(bits: int) -> int:
    """Warps of a block, by what fits into 48 KiB of shared memory."""
    if SIMULATED:
        return 1
    return 4 if bits == 32 else 2


@functools.cache
def align_kernel(bits: int, *, general: bool, second: bool):
    """Give the kernel function of one variant.

    Parameters
    ----------
    bits : {32, 64}
        Precision of the mantissas.
    general : bool
        Whether penalties of columns may differ by row or column, and those of rows by column.
    second : bool
        Whether tangents are carried.
    """
    single = bits == 32
    name = "narrow" if single else "double"
    kind = numbers(name)
    real, whole = kind.real, kind.whole
    first_round = round_of(name, general=general, second=second)
    second_round = first_round
    if single:
        second_round = apart(round_of("wide", general=general, second=second))
    lanes, blocked = LANES, warps(bits)
    tiles, cells = blocked * TILE, blocked * DEPTH * 3 * LANES
    edges, spendings = blocked * DEPTH * WORDS, blocked * SUMS * LANES
    wide_cells, wide_edges = (DEPTH * 3, edges) if single else (1, 1)
    dot_cells, dot_edges = (cells, edges) if second else (1, 1)
    small = np.int32

    def align(
        similarity,
        open_x,
        extend_x,
        open_y,
        extend_y,
        number_0,
        number_1,
        number_2,
        number_3,
        number_4,
        forms,
        temperatures,
        lengths,
        pairs,
        rows,
        columns,
        mode,
        want,
        dot_similarity,
        dot_0,
        dot_1,
        dot_2,
        dot_3,
        control,
        down_done,
        up_done,
        status,
        marks,
        totals,
        sums,
        edge_f,
        edge_k,
        edge_d,
        edge_w,
        back_f,
        back_k,
        back_d,
        back_w,
        kept_f,
        kept_k,
        kept_d,
        kept_w,
        ends_f,
        ends_k,
        ends_d,
        ends_w,
        score,
        slope,
        gradient,
        out_0,
        out_1,
        out_2,
        out_3,
    ):
        tile = cuda.shared.array(tiles, real)
        cell_f = cuda.shared.array(cells, real)
        cell_k = cuda.shared.array(cells, whole)
        cell_d = cuda.shared.array(dot_cells, real)
        come_f = cuda.shared.array(edges, real)
        come_k = cuda.shared.array(edges, whole)
        come_d = cuda.shared.array(dot_edges, real)
        come_w = cuda.shared.array(wide_edges, np.float64)
        below_f = cuda.shared.array(edges, real)
        below_k = cuda.shared.array(edges, whole)
        below_d = cuda.shared.array(dot_edges, real)
        below_w = cuda.shared.array(wide_edges, np.float64)
        leave_f = cuda.shared.array(edges, real)
        leave_k = cuda.shared.array(edges, whole)
        leave_d = cuda.shared.array(dot_edges, real)
        leave_w = cuda.shared.array(wide_edges, np.float64)
        spent = cuda.shared.array(spendings, np.float64)
        own_f = cuda.local.array(wide_cells, np.float32)
        own_w = cuda.local.array(wide_cells, np.float64)
        lane = small(small(cuda.threadIdx.x) % small(lanes))
        warp = small(small(cuda.threadIdx.x) // small(lanes))
        request = Request(
            similarity,
            dot_similarity,
            (open_x, extend_x, open_y, extend_y),
            (dot_0, dot_1, dot_2, dot_3),
            (number_0, number_1, number_2, number_3, number_4),
            temperatures,
            forms,
            lengths,
            pairs,
            rows,
            columns,
            mode,
            want,
        )
        if temperature_of(request) == 0.0:
            return
        store = Store(
            Rows(edge_f, edge_k, edge_d),
            Rows(back_f, back_k, back_d),
            Rows(kept_f, kept_k, kept_d),
            Rows(ends_f, ends_k, ends_d),
            totals,
            sums,
        )
        square = Square(
            tile,
            Rows(cell_f, cell_k, cell_d),
            Rows(come_f, come_k, come_d),
            Rows(below_f, below_k, below_d),
            Rows(leave_f, leave_k, leave_d),
            spent,
        )
        counters = Counters(control, down_done, up_done, status, marks)
        answers = Answers(score, slope, gradient, (out_0, out_1, out_2, out_3))
        first_round(request, store, square, counters, answers, lane, warp)
        if single:
            wait(control, FINISHED, small(pairs), lane)
            if load_acquire(control, LEFT) == 0:
                return
            wide_store = Store(
                Rows(edge_f, edge_w, edge_d),
                Rows(back_f, back_w, back_d),
                Rows(kept_f, kept_w, kept_d),
                Rows(ends_f, ends_w, ends_d),
                totals,
                sums,
            )
            wide_square = Square(
                tile,
                Rows(own_f, own_w, cell_d),
                Rows(come_f, come_w, come_d),
                Rows(below_f, below_w, below_d),
                Rows(leave_f, leave_w, leave_d),
                spent,
            )
            second_round(request, wide_store, wide_square, counters, answers, lane, warp)

    return align

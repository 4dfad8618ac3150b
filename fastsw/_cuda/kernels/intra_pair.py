"""Soft alignment on a GPU: scores, gradients and their tangents in one launch.

In single precision a launch has two rounds (`rounds`). The first takes narrow numbers; pairs
beyond their range, of which there are hardly ever any, are left to the second, which takes wide
ones, in a function of its own so that it costs the first no registers.
"""

import functools

import numpy as np
from numba import cuda

from fastsw._cuda.device import LANES, SIMULATED, apart, leave, load_acquire
from fastsw._cuda.kernels.pairs import temperature_of
from fastsw._cuda.kernels.rounds import FINISHED, LEFT, Counters, Request, round_of
from fastsw._cuda.kernels.strip import (
    DEPTH,
    EDGE,
    SUMS,
    TILE,
    Answers,
    Rows,
    Square,
    Store,
    lane_of,
    wait,
    warp_of,
)
from fastsw._cuda.scaled import numbers


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
    wide_round = round_of("wide", general=general, second=second) if single else first_round
    blocked = warps(bits)
    tiles, cells = blocked * TILE, blocked * DEPTH * 3 * LANES
    edges, spendings = blocked * 3 * EDGE, blocked * SUMS * LANES
    wide_cells, wide_edges = (DEPTH * 3, edges) if single else (1, 1)
    dot_cells, dot_edges = (cells, edges) if second else (1, 1)

    @apart
    def second_round(request, store, square, rows_w, row_w, counters, answers):
        """Take what the first round left, with exponents of 64 bits, and end the kernel."""
        edge_w, back_w, kept_w, ends_w = rows_w
        cell_f = cuda.local.array(wide_cells, np.float32)
        cell_w = cuda.local.array(wide_cells, np.float64)
        wide_round(
            request,
            Store(
                Rows(store.edge.f, edge_w, store.edge.d),
                Rows(store.back.f, back_w, store.back.d),
                Rows(store.kept.f, kept_w, store.kept.d),
                Rows(store.ends.f, ends_w, store.ends.d),
                store.totals,
                store.sums,
            ),
            Square(
                square.tile,
                Rows(cell_f, cell_w, square.cells.d),
                Rows(square.edges.f, row_w, square.edges.d),
                square.spent,
            ),
            counters,
            answers,
            lane_of(cuda.threadIdx.x),
            warp_of(cuda.threadIdx.x),
        )
        leave()

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
        row_f = cuda.shared.array(edges, real)
        row_k = cuda.shared.array(edges, whole)
        row_d = cuda.shared.array(dot_edges, real)
        row_w = cuda.shared.array(wide_edges, np.float64)
        spent = cuda.shared.array(spendings, np.float64)
        lane, warp = lane_of(cuda.threadIdx.x), warp_of(cuda.threadIdx.x)
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
        if temperature_of(forms, temperatures, number_4) == 0.0:
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
            Rows(row_f, row_k, row_d),
            spent,
        )
        counters = Counters(control, down_done, up_done, status, marks)
        answers = Answers(score, slope, gradient, (out_0, out_1, out_2, out_3))
        first_round(request, store, square, counters, answers, lane, warp)
        if single:
            wait(control, FINISHED, np.int32(pairs), lane)
            if load_acquire(control, LEFT) == 0:
                return
            rows_w = edge_w, back_w, kept_w, ends_w
            second_round(request, store, square, rows_w, row_w, counters, answers)

    return align

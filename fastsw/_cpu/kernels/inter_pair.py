"""The fast kernel for batches: linear space, inter-pair SIMD, a pair in each lane.

A cell costs the same however short the pairs are; `intra_pair`, whose lanes are rows of one pair,
spends steps on the slant of its wavefront.

A group of pairs is computed row by row, see `inter_pair_row`. Unless a group's states are few
enough to be kept, the forward pass keeps the weights of all cells and one boundary row in STRIP;
the backward pass recomputes the states of as many rows, which are a few products and sums a cell,
so that what it reads comes from the nearer caches.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from fastsw._cpu.kernels.block_exponent import BLOCK
from fastsw._cpu.kernels.inter_pair_row import (
    BOUNDARY,
    ENDED,
    ENDED_K,
    ENDED_TANGENT,
    FACTORS,
    FIX_X,
    FLOOR,
    GROWTH,
    LANE_FLOATS,
    LANE_INTEGERS,
    M_,
    ONTO,
    OPEN_X,
    OPENED_X,
    PAIR_INTEGERS,
    PER_TOTAL,
    SCALE,
    SCALES,
    SOURCE,
    STATES,
    TARGET,
    TOP,
    TOTAL_K,
    H,
    N,
    Tile,
    Work,
    passes,
)
from fastsw._cpu.kernels.intra_pair import at
from fastsw._cpu.kernels.strip import step_count
from fastsw._cpu.runtime.compile import Variant, serial_kernel
from fastsw._cpu.runtime.handoff import next_item
from fastsw._cpu.runtime.pointers import address, addresses_of, of_thread
from fastsw._cpu.runtime.workspace import aligned
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import LOG2E, scalars
from fastsw._types import LOCAL

#: Rows whose states are recomputed at a time.
STRIP = 4

#: States of a group up to this size are kept from the forward to the backward pass.
KEPT_BYTES = 2**20

#: For scores, gradients and their tangents: the time of a cell beside that of a cell of
#: `intra_pair`, and the most bytes of a group's weights, which the backward pass reads again.
COSTS, MOST_BYTES = (0.75, 0.9, 0.7), (2**62, 2**21, 2**24)

#: For up to so many pairs of the same size the choice is remembered.
FEW = 1024


@functools.cache
def kernels(bits: int, lanes: int, with_tangents: bool):
    """The compiled entry point of one precision and width, for derivatives or their tangents."""
    simd, kind, row = lanes_of(bits, lanes), scalars(bits), passes(bits, lanes, with_tangents)
    weigh, forward, forward_kept = row.weigh, row.forward, row.forward_kept
    backward, release = row.backward, row.release
    variant = Variant(bits, lanes, "tangents" if with_tangents else "values")
    real, whole, nothing = kind.real, kind.whole, kind.nothing
    store, splat_f, splat_i = simd.store, simd.splat_f, simd.splat_i
    zero, bias = real(0), whole(simd.bias)
    width, size, parts = lanes, bits // 8, 2 if with_tangents else 1
    edge, states = parts * BOUNDARY, parts * STATES

    @variant.helper
    def set_factors(lane, penalties, b, r, unit, before):
        """Gap factors of pair b in lane r; those of lane r - 1 where its pair pays the same.

        Extended gaps have what makes up for the rounding of their factor over BLOCK steps as well.
        """
        for field in range(4):
            penalty = at(penalties[field], b, 0, 0)
            if r > 0 and penalty == at(penalties[field], before, 0, 0):
                lane[(OPEN_X + field) * width + r] = lane[(OPEN_X + field) * width + r - 1]
                if field % 2 == 1:
                    fix = FIX_X + field // 2
                    lane[fix * width + r] = lane[fix * width + r - 1]
                continue
            factor = 2.0 ** (-unit * penalty)
            lane[(OPEN_X + field) * width + r] = factor
            if field % 2 == 1:
                kept = np.float64(real(factor))
                short = factor / kept if kept > 0.0 else 1.0
                lane[(FIX_X + field // 2) * width + r] = short**BLOCK

    @variant.helper
    def set_factor_tangents(lane, dots, b, r, unit):
        """Tangents of the gap factors of pair b in lane r."""
        for field in range(4):
            factor = lane[(OPEN_X + field) * width + r]
            dot = -unit / LOG2E * factor * at(dots[field], b, 0, 0)
            lane[(FACTORS + OPEN_X + field) * width + r] = dot

    @variant.helper
    def set_up(members, addresses, shape, penalties, dots, lengths, floors, mode, unit, work):
        """Parameters of a group of pairs; a lane without a pair has no rows and no columns."""
        pairs, lane = work.pairs, work.lane
        most_n, most_m, least_n, least_m, before = 0, 0, 2**62, 2**62, members[0]
        for r in range(width):
            b = members[r]
            n, m = (lengths[b, 0], lengths[b, 1]) if b >= 0 else (0, 0)
            b = max(b, 0)
            offset = b * shape[1] * shape[2] * size
            for field in range(SOURCE, TARGET + 1):
                pairs[field * width + r] = addresses[field] + offset
            pairs[N * width + r], pairs[M_ * width + r] = n, m
            most_n, most_m = max(most_n, n), max(most_m, m)
            least_n, least_m = min(least_n, n), min(least_m, m)
            set_factors(lane, penalties, b, r, unit, before)
            if with_tangents:
                set_factor_tangents(lane, dots, b, r, unit)
            lane[FLOOR * width + r] = floors[b]
            before = b
        floats = address(lane, 0)
        for field in range(PER_TOTAL, LANE_FLOATS):
            store(floats, field * width, splat_f(zero))
        store(address(work.lane_k, 0), ENDED_K * width, splat_i(nothing))
        for r in range(width):
            store(address(work.means, 0), r * width, splat_f(zero))
        origin = 0 if mode == LOCAL else 1
        columns = most_m + 2 * origin  # the last is where alignments end in global mode
        columns = (columns + BLOCK - 1) // BLOCK * BLOCK
        return Tile(most_n + origin, columns, shape[2], origin, least_n, least_m)

    @variant.helper
    def clear(row, row_k, columns):
        """Make a boundary row one in which nothing is possible."""
        for c in range(columns * edge):
            store(row, c * width, splat_f(zero))
        for g in range(columns // BLOCK * SCALES):
            store(row_k, g * width, splat_i(nothing))

    @variant.inlined
    def kept_in(i, strip, strips):
        """Which boundary row is the one before row i."""
        return i // strip if i % strip == 0 else strips

    @variant.helper
    def forward_pass(pointers, work, tile, strip, strips, scale, with_gradients):
        """Forward pass: totals, and what the backward pass needs."""
        columns = tile.columns
        clear(pointers.boundary, pointers.boundary_k, columns)
        for i in range(tile.rows):
            weights = i * columns if with_gradients else 0
            weigh(pointers, tile, i, weights, scale)
            above, below = kept_in(i, strip, strips), kept_in(i + 1, strip, strips)
            if with_gradients and strips == 1:
                forward_kept(pointers, tile, i, weights, weights, above, below)
            else:
                forward(pointers, tile, i, weights, 0, above, below)
            if tile.origin == 1:
                for r in range(width):
                    if work.pairs[N * width + r] == i:
                        c = work.pairs[M_ * width + r]
                        cell, block = below * columns + c, below * columns // BLOCK + c // BLOCK
                        place = (edge * cell + H) * width + r
                        work.lane[ENDED * width + r] = work.boundary[place]
                        if with_tangents:
                            tangent = work.boundary[place + BOUNDARY * width]
                            work.lane[ENDED_TANGENT * width + r] = tangent
                        ended_k = work.boundary_k[(SCALES * block + SCALE) * width + r]
                        work.lane_k[ENDED_K * width + r] = ended_k

    @variant.helper
    def backward_pass(pointers, work, tile, strip, strips):
        """Backward pass: posteriors and gap counts."""
        columns, origin = tile.columns, tile.origin
        clear(pointers.back, pointers.back_k, columns)
        for s in range(strips - 1, -1, -1):
            first, last = s * strip, min((s + 1) * strip, tile.rows)
            for i in range(first, last if strips > 1 else first):
                above = s if i == first else strips
                slot = (i - first) * columns
                forward_kept(pointers, tile, i, i * columns, slot, above, strips)
            for i in range(last - 1, first - 1, -1):
                if origin == 1:
                    for r in range(width):
                        if work.pairs[N * width + r] == i:
                            c = work.pairs[M_ * width + r] + 1
                            work.back[(edge * c + ONTO) * width + r] = 1.0
                            work.back_k[(SCALES * (c // BLOCK) + SCALE) * width + r] = 0
                            work.back_k[(SCALES * (c // BLOCK) + TOP) * width + r] = bias
                backward(pointers, tile, i, i * columns, (i - first) * columns)
                if i >= origin:
                    release(pointers, tile, i)

    @variant.helper
    def find_totals(members, work, unit, score):
        """Scores, or their tangents; what the backward pass needs of the totals."""
        lane, lane_k = work.lane, work.lane_k
        for r in range(width):
            mantissa, shift = math.frexp(np.float64(lane[ENDED * width + r]))
            if mantissa == 0.0:
                lane_k[TOTAL_K * width + r] = 0
                if members[r] >= 0:
                    score[members[r]] = -np.inf
                continue
            total_k = lane_k[ENDED_K * width + r] + whole(shift)
            lane_k[TOTAL_K * width + r] = total_k
            lane[PER_TOTAL * width + r] = 1.0 / mantissa
            found = (total_k + math.log2(mantissa)) / unit
            if with_tangents:
                growth = lane[ENDED_TANGENT * width + r] / lane[ENDED * width + r]
                lane[GROWTH * width + r] = growth
                found = growth * LOG2E / unit
            if members[r] >= 0:
                score[members[r]] = found

    @variant.helper
    def add_gradients(members, work, penalties, unit, out, score, slope):
        """Gradients of the penalties and the temperature."""
        for r in range(width):
            b = members[r]
            if b < 0 or score[b] == -np.inf:
                continue
            mean = 0.0
            for u in range(width):
                mean += np.float64(work.means[r * width + u])
            for field in range(4):
                count = np.float64(work.lane[(OPENED_X + field) * width + r])
                out[field][b, 0, 0] -= count
                mean -= count * at(penalties[field], b, 0, 0)
            slope[b] = unit * ((0.0 if with_tangents else score[b]) - mean) / LOG2E

    @variant.scaled_kernel
    def inter_pair(
        thread,
        queue,
        similarity,
        shape,
        penalties,
        temperature,
        mode,
        lengths,
        groups,
        floors,
        dots,
        all_work,
        out,
        score,
        slope,
        with_gradients,
    ):
        unit = np.float64(real(LOG2E / temperature))  # see `intra_pair`
        work = of_thread(all_work, thread)
        addresses = address(similarity, 0), address(dots[0], 0), address(out[0], 0)
        pointers, scale = addresses_of(work), (real(unit), real(1.0 / temperature))
        for _ in range(queue.size):
            g = next_item(queue)
            if g < 0:
                break
            members = groups[g]
            tile = set_up(
                members, addresses, shape, penalties, dots[1], lengths, floors, mode, unit, work
            )
            strip, kept = tile.rows, tile.rows * tile.columns * states * width
            if with_gradients and kept > work.tables.size:
                strip = STRIP
            strips = (tile.rows + strip - 1) // strip
            forward_pass(pointers, work, tile, strip, strips, scale, with_gradients)
            find_totals(members, work, unit, score)
            if with_gradients:
                backward_pass(pointers, work, tile, strip, strips)
                add_gradients(members, work, penalties, unit, out[1:], score, slope)

    return inter_pair


@serial_kernel
def cut(order, lengths, lanes, most_cells, cost_of_cell, threads, groups, rest):
    """Cut the pairs in `order` into groups, as far as that is worth while; see `choose`.

    Gives how many groups and how many other pairs there are, and the most rows and columns of all
    pairs in groups.
    """
    taken, left, most_n, most_m = 0, 0, 0, 0
    together, alone = 0.0, 0.0
    for first in range(0, len(order), lanes):
        members = order[first : first + lanes]
        n, m, cost = 0, 0, 0.0
        for b in members:
            n, m = max(n, lengths[b, 0]), max(m, lengths[b, 1])
            height = lanes if lengths[b, 0] <= lanes else 2 * lanes
            strips = (lengths[b, 0] + height - 1) // height
            cost += strips * height * step_count(lengths[b, 1], height)
        own = cost_of_cell * lanes * n * ((m + BLOCK - 1) // BLOCK * BLOCK)
        if own > cost or n * m > most_cells:
            for b in members:
                rest[left] = b
                left += 1
            continue
        most_n, most_m = max(most_n, n), max(most_m, m)
        together, alone = together + own, alone + cost
        for r in range(lanes):
            groups[taken, r] = members[r] if r < len(members) else -1
        taken += 1
    rounds = (taken + threads - 1) // threads
    if rounds * threads * together > taken * alone:  # too few for so many threads
        for g in range(taken // threads * threads, taken):
            for b in groups[g]:
                if b >= 0:
                    rest[left] = b
                    left += 1
        taken = taken // threads * threads
    return taken, left, most_n, most_m


class Choice(NamedTuple):
    """What `choose` found."""

    groups: np.ndarray  # [K, W], pairs; -1 stands for none
    rest: np.ndarray  # the pairs that `intra_pair` suits better
    rows: int  # the most of all pairs in groups
    columns: int


def choose(order, lengths, alike, bits, lanes, want, threads) -> Choice:
    """Cut pairs into groups of like size, the largest first.

    A group is worth its while where its cells, those of the longest pair for every lane, take less
    time than those of `intra_pair` would, steps beyond the matrix included; and where no thread is
    idle for long. Derivatives of the order `want` are asked for.
    """
    if alike and len(order) == len(lengths) <= FEW:
        rows, columns = lengths[0].tolist()
        return _choose_alike(len(order), rows, columns, bits, lanes, want, threads)
    n, m = lengths[order].T  # bands of like rows, each by columns
    by_rows = np.argsort(-n, kind="stable")
    band = np.arange(len(order)) // (lanes * round((-(-len(order) // lanes)) ** 0.5))
    order = order[by_rows[np.lexsort((-m[by_rows], band))]]
    return _choose(order, lengths, bits, lanes, want, threads)


@functools.lru_cache(64)
def _choose_alike(count, rows, columns, bits, lanes, want, threads):
    """The choice among so many pairs of the same size; not to be written to."""
    lengths = np.full((count, 2), (rows, columns))
    lengths.flags.writeable = False
    return _choose(np.arange(count), lengths, bits, lanes, want, threads)


def _choose(order, lengths, bits, lanes, want, threads):
    """The choice among pairs in their order."""
    count = -(-len(order) // lanes)
    groups, rest = np.empty((count, lanes), np.int64), np.empty(len(order), np.int64)
    cells = MOST_BYTES[want] // (max(want, 1) * lanes * bits // 8)
    found = cut(order, lengths, lanes, cells, COSTS[want], threads, groups, rest)
    taken, left, rows, columns = found
    return Choice(groups[:taken], rest[:left], rows, columns)


def group_arrays(bits, lanes, with_gradients, with_tangents, threads, rows, columns):
    """Scratch arrays of threads for groups of pairs of up to `rows` x `columns`."""
    kind = scalars(bits)
    rows, columns = rows + 1, -(-(columns + 2) // BLOCK) * BLOCK
    strips = -(-rows // STRIP) if with_gradients else 1
    blocks, parts = columns // BLOCK, 2 if with_tangents else 1
    edge, states = parts * BOUNDARY, parts * STATES
    kept = rows if rows * columns * states * lanes * bits // 8 <= KEPT_BYTES else STRIP
    if not with_gradients:
        kept = 0
    return Work(
        weights=aligned(
            threads, ((rows if with_gradients else 1) * parts * columns + lanes) * lanes, kind.real
        ),
        tables=aligned(threads, kept * columns * states * lanes, kind.real),
        scales=aligned(threads, kept * blocks * lanes, kind.whole),
        boundary=aligned(threads, (strips + 1) * columns * edge * lanes, kind.real),
        boundary_k=aligned(threads, (strips + 1) * blocks * SCALES * lanes, kind.whole),
        back=aligned(threads, columns * edge * lanes if with_gradients else 0, kind.real),
        back_k=aligned(threads, blocks * SCALES * lanes if with_gradients else 0, kind.whole),
        posterior=aligned(threads, (columns + lanes) * lanes if with_gradients else 0, kind.real),
        lane=aligned(threads, LANE_FLOATS * lanes, kind.real),
        lane_k=aligned(threads, LANE_INTEGERS * lanes, kind.whole),
        means=aligned(threads, lanes * lanes, kind.real),
        pairs=aligned(threads, PAIR_INTEGERS * lanes, np.int64),
    )

"""The operations on vectors of one precision and size, for kernels to close over."""

from __future__ import annotations

import functools
from types import SimpleNamespace

from numba.core import types

from fastsw._cpu.simd import memory, moves
from fastsw._cpu.simd.vectors import Vector, exponents


@functools.cache
def lanes_of(bits: int, lanes: int) -> SimpleNamespace:
    """Constants and operations of vectors of `lanes` floats or integers of `bits` bits."""
    floats, integers = Vector("f", bits, lanes), Vector("i", bits, lanes)
    exponent, from_exponent, grown = exponents(floats, integers)
    above, below = functools.partial(moves.above, lanes), functools.partial(moves.below, lanes)
    shuffler, last = moves.shuffler, lanes - 1
    return SimpleNamespace(
        lanes=lanes,
        mantissa=floats.mantissa,
        bias=127 if bits == 32 else 1023,
        magic=1.5 * 2.0**floats.mantissa,  # the sum with a whole number has it in its last bits
        exponent=exponent,
        from_exponent=from_exponent,
        grown=grown,
        splat_f=moves.splatter(floats, types.float32 if bits == 32 else types.float64),
        splat_i=moves.splatter(integers, types.int32 if bits == 32 else types.int64),
        # Each lane takes the one above (r + 1), the last lane an array element.
        from_above=moves.enterer(above(1)),
        # Each lane takes the one below (r - 1), the first lane an array element.
        from_below=moves.enterer(below(1)),
        # The same from the first lanes, or the last, of another vector, any number of lanes on.
        shift_down=lambda distance: shuffler(above(distance)),
        shift_up=lambda distance: shuffler(below(distance)),
        # Each lane takes its neighbour; that without one takes its own of another vector.
        neighbour_above=shuffler([*range(1, lanes), lanes + last]),
        neighbour_below=shuffler([lanes, *range(last)]),
        first_everywhere=shuffler([0] * lanes),
        last_everywhere=shuffler([last] * lanes),
        store_first=moves.leaver(0),
        store_last=moves.leaver(last),
        fill_first=lambda count: moves.leaver(0, count),
        fill_last=lambda count: moves.leaver(last, count),
        total=moves.total,
        load_f=memory.loader(floats),
        load_i=memory.loader(integers),
        store=memory.store,
        stream=memory.stream,
        store_transposed=memory.transposed_storer(floats),
        copy_first=memory.copier(floats),
        load_skewed=memory.skewed_loader(floats, False),
        load_whole=memory.skewed_loader(floats, True),
        store_skewed=memory.skewed_storer(floats),
        load_rows=memory.rows_loader(floats, False),
        load_whole_rows=memory.rows_loader(floats, True),
        store_rows=memory.rows_storer(floats, False),
        store_whole_rows=memory.rows_storer(floats, True),
    )

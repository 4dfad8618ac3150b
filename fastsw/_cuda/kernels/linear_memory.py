"""What linear space reads and leaves in memory: similarities, what enters blocks, boundary rows."""

from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import (
    LANES,
    SIMULATED,
    bits_of_float,
    device,
    float_of_bits,
    larger_or_nan,
    load_four,
    store_four,
)
from fastsw._cuda.kernels.linear_numbers import (
    COLUMNS,
    FOUR,
    HEADROOM,
    ONE,
    ROWS,
    ZERO,
    small,
)

#: Rows of a strip.
HEIGHT = LANES * ROWS

#: Words that enter a block: X and the corner of each row, Y and three h from above, the exponent.
ENTRY = 12

#: Words of a block of a boundary row: Y and h, or Y and weighted M, and the exponent.
RECORD = 12

#: Blocks of a strip between two words to the strip that waits for it.
CHUNK = 2 if SIMULATED else 8

#: Flags of strips are so far apart, in words, that each has a sector of its own.
SPACING = 8

#: What a strip leaves: mantissa and exponent of the total so far, the largest similarity so far;
#: and its sums with those of the strips below.
MARKS, SUMS = 3, 5


class Call(NamedTuple):
    """What a pair's strips share."""

    similarity: Any
    high: Any  # 1 / (T log 2), and what float32 leaves out of it
    rest: Any
    floor: Any  # in place of a similarity without weight
    costs: Any  # factors of opening and extending a gap along columns, and along rows
    penalties: Any  # the same as they were given
    unit: Any  # 1 / (T log 2) in float64
    steepest: Any  # bits of a similarity, at most
    drift: Any  # what the factors of a block's gaps fall short by, along columns and rows
    b: Any
    n: Any
    m: Any
    rows: Any
    columns: Any
    blocks: Any  # of a row of the pair
    together: Any  # whether four similarities can be read at once
    lane: Any


class Memory(NamedTuple):
    """What a launch keeps in memory."""

    forward_done: Any  # [pairs, strips, SPACING], blocks that a strip's last lane has finished
    backward_done: Any
    marks: Any  # [pairs, strips, MARKS]
    sums: Any  # [pairs, strips, SUMS]
    forward_rows: Any  # [pairs, strips, blocks, RECORD]
    backward_rows: Any
    entries: Any  # [pairs, strips, blocks, ENTRY / 4, LANES, 4]; see `entry_place`


def strips_of(rows: int) -> int:
    """Strips of a whole matrix."""
    return max(-(-rows // HEIGHT), 1)


def blocks_of_row(columns: int) -> int:
    """Blocks of a row of a whole matrix."""
    return -(-columns // COLUMNS)


@device
def blocks_of(call):
    """Blocks of a row of the whole matrix."""
    return (call.columns + COLUMNS - 1) // COLUMNS


@device
def row_place(call, row):
    """Where a row of the pair begins."""
    return (np.int64(call.b) * call.rows + row) * call.columns


@device
def similarities(call, there, begin, k):
    """A block's similarities in a row as they are in memory, anything where there are none.

    Nothing is done with them, so that a warp need not wait for them yet.
    """
    floor = call.floor
    a, b, c, d = floor, floor, floor, floor
    column = small(FOUR * k)
    count = small(call.m - column)
    if there and k >= ZERO and count > ZERO:
        place = begin + column
        if call.together:
            a, b, c, d = load_four(call.similarity, place)
        else:
            a = call.similarity[place]
            if count > ONE:
                b = call.similarity[place + 1]
            if count > small(2):
                c = call.similarity[place + 2]
            if count > small(3):
                d = call.similarity[place + 3]
    return a, b, c, d


@device
def clipped(call, k, values):
    """A block's similarities, the floor in place of what lies beyond the pair or is lower."""
    floor, count = call.floor, small(call.m - small(FOUR * k))
    a, b, c, d = values
    if count < FOUR:
        b = b if count > ONE else floor
        c = c if count > small(2) else floor
        d = floor
    return (
        larger_or_nan(a, floor),
        larger_or_nan(b, floor),
        larger_or_nan(c, floor),
        larger_or_nan(d, floor),
    )


@device
def entry_place(records, slot, lane):
    """Where the lane keeps what enters its block; the lanes' places for one step lie together.

    The lane's block k is in slot (k + lane) modulo the blocks of a row, which is the same for all
    lanes at any time.
    """
    return ((records + slot) * (ENTRY // 4) * LANES + lane) * 4


@device
def entry(call, memory, records, inside, slot):
    """What entered a block: its exponent and eleven numbers, as they are in memory."""
    zero = np.float32(0)
    none = zero, zero, zero, zero
    first, skipped, above = none, none, (zero, zero, zero, float_of_bits(small(-HEADROOM)))
    if inside:
        place = entry_place(records, slot, call.lane)
        first = load_four(memory.entries, place)
        skipped = load_four(memory.entries, place + 4 * LANES)
        above = load_four(memory.entries, place + 8 * LANES)
    return first, skipped, above


@device
def write_row(call, gradient, begin, k, values):
    """Write a block's gradients in a row."""
    column = small(FOUR * k)
    count = small(call.m - column)
    place = begin + column
    if call.together and count >= FOUR:
        store_four(gradient, place, values)
    else:
        gradient[place] = values[0]
        if count > ONE:
            gradient[place + 1] = values[1]
        if count > small(2):
            gradient[place + 2] = values[2]
        if count > small(3):
            gradient[place + 3] = values[3]


@device
def read_record(rows, place):
    """Eight numbers and the exponent of a block of a boundary row."""
    last = load_four(rows, place + 8)
    return load_four(rows, place), load_four(rows, place + 4), bits_of_float(last[0])


@device
def write_record(rows, place, first, second, unit):
    """Write a block of a boundary row."""
    exponent = float_of_bits(unit)
    store_four(rows, place, first)
    store_four(rows, place + 4, second)
    store_four(rows, place + 8, (exponent, exponent, exponent, exponent))

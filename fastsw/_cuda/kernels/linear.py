"""Local alignment on a GPU in linear space: float32 states, one exponent for a block of cells.

A lane has `ROWS` rows of a pair and goes along them in blocks of `COLUMNS` columns, a block behind
the lane before, so that what enters a block from above is known when it begins: there is one
exchange between lanes for a block, and none within it. A warp has a strip of `LANES * ROWS` rows;
longer pairs are several strips, each a few blocks behind the one above, which leaves its last row
in memory. The forward pass keeps what enters a block; the backward pass makes the block's states
from it again, and needs no other lane for that.

The states of a block share an exponent, chosen such that the largest that enters lies at 2**HEAD.
Theorem 5 of docs/range.md says when that suffices, and `prepared` and `decide` ask for it; pairs
for which it does not hold, and those that have no answer in numbers, are left to the kernel of
`intra_pair`, in the same launch. Penalties are those of local alignment that a pair has one of.

Here is what a warp takes up; `linear_strip` has the passes through a block and along a strip,
`linear_memory` what they read and leave, and `linear_numbers` the shared exponent.
"""

import math

import numpy as np

from fastsw._cuda.device import (
    LANES,
    device,
    exp2_double,
    fma_double,
    load_acquire,
    opaque,
)
from fastsw._cuda.kernels.linear_memory import (
    HEIGHT,
    MARKS,
    SPACING,
    Call,
    row_place,
)
from fastsw._cuda.kernels.linear_numbers import (
    COLUMNS,
    EXPONENT_GAP,
    HEAD,
    ROOM,
    ROWS,
    kept,
    normal_double,
    small,
)
from fastsw._cuda.kernels.linear_strip import (
    pass_on,
    passes,
)
from fastsw._cuda.kernels.penalties import (
    FORM_BITS,
    LOG2E,
    LOG2E_REST,
    penalty,
    sides,
    temperature_of,
)
from fastsw._cuda.kernels.records import (
    ANSWERED,
    LINEAR_FINISHED,
    LINEAR_LEFT,
    NEXT_LINEAR,
)
from fastsw._cuda.kernels.strip import (
    next_item,
    wait,
)
from fastsw._types import (
    SCORE,
)

#: Similarities below as many bits have no weight.
LOWEST = -200.0

forward_alone, backward_alone = passes(alone=True)
forward_among, backward_among = passes(alone=False)


@device
def prepared(request, b, lane):
    """What the strips of a pair share, and whether its shape and penalties suit this kernel."""
    rows, columns, forms = np.int32(request.rows), np.int32(request.columns), request.forms
    n, m, fit = sides(forms >> (FORM_BITS * 4), request.lengths, b, rows, columns)
    temperature = temperature_of(opaque(forms), request.temperatures, request.numbers[4])
    fit = fit and n > 0 and m > 0 and temperature > 0.0 and temperature < math.inf
    if not fit:
        temperature = 1.0
    unit = LOG2E / temperature
    left_out = (fma_double(-unit, temperature, LOG2E) + LOG2E_REST) / temperature
    pointers, given = request.penalties, request.numbers
    open_x = penalty(pointers[0], given[0], forms, 0, b, 0, 0, rows, columns)
    extend_x = penalty(pointers[1], given[1], forms, 1, b, 0, 0, rows, columns)
    open_y = penalty(pointers[2], given[2], forms, 2, b, 0, 0, rows, columns)
    extend_y = penalty(pointers[3], given[3], forms, 3, b, 0, 0, rows, columns)
    opened, extended = max(open_x, open_y), max(extend_x, extend_y)
    spread = 2.0 * (abs(open_x - extend_x) + abs(open_y - extend_y))
    detour = unit * (2.0 * opened + 2.0 * (COLUMNS + ROWS) * extended + spread)
    fit = fit and open_x >= 0.0 and extend_x >= 0.0 and open_y >= 0.0 and extend_y >= 0.0
    fit = fit and detour <= EXPONENT_GAP and unit > 1e-30 and unit < 1e30
    if not fit:
        open_x, extend_x, open_y, extend_y, unit = 0.0, 0.0, 0.0, 0.0, 1.0
    high = np.float32(unit)
    factors = (
        exp2_double(-unit * open_x),
        exp2_double(-unit * extend_x),
        exp2_double(-unit * open_y),
        exp2_double(-unit * extend_y),
    )
    costs = (
        kept(np.float32(factors[0])),
        kept(np.float32(factors[1])),
        kept(np.float32(factors[2])),
        kept(np.float32(factors[3])),
    )
    drift = (
        kept(np.float32(COLUMNS * (factors[1] - np.float64(costs[1])) / factors[1])),
        kept(np.float32(ROWS * (factors[3] - np.float64(costs[3])) / factors[3])),
    )
    call = Call(
        request.similarity,
        kept(high),
        kept(np.float32(unit - np.float64(high) + left_out)),
        kept(np.float32(LOWEST / unit)),
        costs,
        (open_x, extend_x, open_y, extend_y),
        unit,
        min((ROOM - HEAD - 12.0) / ROWS, (EXPONENT_GAP - detour) / max(COLUMNS, ROWS)),
        drift,
        np.int32(b),
        np.int32(n),
        np.int32(m),
        rows,
        columns,
        np.int32((np.int32(m) + np.int32(COLUMNS - 1)) // np.int32(COLUMNS)),
        request.together != 0,
        lane,
    )
    return call, fit


@device
def clear_beyond(call, s, gradient):
    """Write zeros beyond a pair's lengths in the rows of a strip."""
    for row in range(s * HEIGHT, min(np.int32((s + 1) * HEIGHT), call.rows)):
        begin = call.m if row < call.n else np.int32(0)
        place = row_place(call, row)
        for j in range(begin + call.lane, call.columns, LANES):
            gradient[place + j] = 0.0


@device
def forward_item(call, fit, s, strips, want, memory, counters, answers):
    """Forward pass along a strip, where the pair has it."""
    if not fit:
        if s == 0 and call.lane == 0:
            pass_on(counters, call.b, False)
    elif strips == 1:
        forward_alone(call, s, strips, want, memory, counters, answers)
    elif s * HEIGHT < call.n:
        forward_among(call, s, strips, want, memory, counters, answers)


@device
def backward_item(call, s, strips, memory, counters, answers):
    """Backward pass along a strip, once the last one has passed forward."""
    if call.n < call.rows or call.m < call.columns:
        clear_beyond(call, s, answers.gradient)
    last = np.int32(call.b * strips + (call.n + HEIGHT - 1) // HEIGHT - 1)
    if s * HEIGHT < call.n:
        wait(memory.forward_done, last * SPACING, call.blocks, call.lane)
        if counters.status[call.b] == ANSWERED:
            p, marks = last * MARKS, memory.marks
            total, exponent = normal_double(marks[p]), np.int32(marks[p + 1])
            exponent = small(exponent + total[1])
            if strips == 1:
                backward_alone(call, s, strips, total[0], exponent, memory, answers)
            else:
                backward_among(call, s, strips, total[0], exponent, memory, answers)


@device
def take_linear(request, memory, counters, answers, lane):
    """Take strips, and pass along them; what this kernel does not answer is counted as left."""
    while True:
        pairs, want = np.int32(request.pairs), request.want
        strips = np.int32((np.int32(opaque(request.rows)) + HEIGHT - 1) // HEIGHT)
        items = np.int32(pairs * strips)
        both = strips == 1 and want != SCORE
        directions = 1 if both or want == SCORE else 2
        item = next_item(counters.control, NEXT_LINEAR, lane)
        if item >= items * directions:
            break
        in_reverse = item >= items
        order = np.int32(item - items) if in_reverse else item
        s = np.int32(np.uint32(order) // np.uint32(pairs))
        b = np.int32(order - np.int32(s * pairs))
        if in_reverse:
            s = np.int32(strips - 1 - s)
        call, fit = prepared(request, b, lane)
        if not in_reverse:
            forward_item(call, fit, s, strips, want, memory, counters, answers)
        if fit and (in_reverse or both):
            backward_item(call, s, strips, memory, counters, answers)


@device
def answer_linearly(request, memory, counters, answers, lane):
    """Answer what this kernel can; whether that was everything."""
    if request.linear == 0:
        return False
    take_linear(request, memory, counters, answers, lane)
    wait(counters.control, LINEAR_FINISHED, np.int32(request.pairs), lane)
    return load_acquire(counters.control, LINEAR_LEFT) == 0

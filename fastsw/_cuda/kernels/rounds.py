"""Which warp walks which strip of which pair, and when.

Warps draw strips of `LANES` rows from one counter, the first strips of all pairs, then the second
ones, and so on, and then the same upwards; `passes` says how one is walked. A strip waits for the
one above (below) where that has not come far enough. Since a warp finishes what it drew and
everything that a strip waits for was drawn before it, none waits for ever, whatever the size of the
grid; pairs of any length share the machine, and a single long pair is spread over all of it.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import (
    LANES,
    announce,
    device,
    fetch_add,
    fma_double,
    from_lane,
    hide,
    sync,
)
from fastsw._cuda.kernels.pairs import (
    FORM_BITS,
    LOG2E,
    LOG2E_REST,
    POISONED,
    SCORE,
    SOUND,
    TANGENT,
    UNSAFE,
    Penalties,
    fill,
    fill_penalties,
    sides,
    temperature_of,
    void_pair,
)
from fastsw._cuda.kernels.passes import BAD, LARGE, SOME, walks
from fastsw._cuda.kernels.strip import (
    DEPTH,
    EDGE,
    SUMS,
    TILE,
    Call,
    Strip,
    tell,
    wait,
)
from fastsw._cuda.scaled import numbers
from fastsw._types import GLOBAL, LOCAL

#: Counters of a launch: strips drawn in either round, pairs that went down in the first, and those
#: of them that are left to the second.
DRAWN, DRAWN_AGAIN, FINISHED, LEFT, COUNTERS = 0, 1, 2, 3, 4

#: Progress in the second round is counted from here.
AGAIN = 1 << 24


class Request(NamedTuple):
    """What was asked for, as the kernel's arguments give it."""

    similarity: Any
    dots: Any  # tangents of the similarities
    values: Any  # four pointers
    value_dots: Any  # their tangents
    numbers: Any  # what stands for those of the four, and the temperature, that are numbers
    temperatures: Any
    forms: Any
    lengths: Any
    pairs: Any
    rows: Any
    columns: Any
    mode: Any
    want: Any


class Counters(NamedTuple):
    """Where the warps of a launch meet; the first three are zero at first."""

    control: Any  # [COUNTERS]
    down_done: Any  # [pairs, strips], squares that a strip went down
    up_done: Any
    status: Any  # [pairs]
    marks: Any  # [pairs, strips], what strips found on the way down


@device
def call_of(request):
    """What strips need to know of a request, and whether its temperature is one.

    It is computed again for every strip, so that no registers hold it while others are walked.
    """
    temperature = temperature_of(hide(request.forms), request.temperatures, request.numbers[4])
    valid = temperature > 0.0 and temperature < math.inf
    if not valid:
        temperature = 1.0
    unit = LOG2E / temperature
    rest = fma_double(-unit, temperature, LOG2E) + LOG2E_REST
    rows, columns = request.rows, request.columns
    inverse = 1.0 / temperature
    call = Call(
        request.similarity,
        request.dots,
        Penalties(
            request.values,
            request.numbers[:4],
            request.forms,
            request.value_dots,
            unit,
            inverse,
            rows,
            columns,
        ),
        rest * inverse,
        np.int32(request.mode),
        np.int32(request.want),
        rows,
        columns,
    )
    return call, valid


@functools.cache
def round_of(name: str, *, general: bool, second: bool):
    """Give the device function in which a warp draws strips until there are none.

    Parameters
    ----------
    name : {"narrow", "wide", "double"}
        Kind of the numbers; wide ones take the pairs that narrow ones left.
    general, second : bool
        See `align_kernel`.
    """
    void = np.float64(numbers(name).void)
    down, up = walks(name, general=general, second=second)
    lanes, depth = LANES, DEPTH
    first_round, again = name == "narrow", name == "wide"
    drawn, base = (DRAWN_AGAIN, AGAIN) if again else (DRAWN, 0)
    small = np.int32

    @device
    def conclude(call, strip, flags, counters, totals, answers):
        """Score of a pair whose last strip went down."""
        b = hide(strip.b)
        tf, tk, td = totals[3 * b], totals[3 * b + 1], totals[3 * b + 2]
        found = SOUND
        if flags & BAD:
            found = POISONED
        elif first_round:
            impossible = call.mode == LOCAL and flags & SOME == 0
            if flags & LARGE or not (tk > void or impossible):
                found = UNSAFE
        value = -math.inf
        if tk > void:
            value = (tk + math.log2(tf)) / call.penalties.unit
        if call.want == TANGENT:
            value = td / call.penalties.inverse if tk > void else 0.0
        if found == POISONED:
            value = math.nan
        answers.score[b] = value
        answers.slope[b] = math.nan if found == POISONED else 0.0
        if not again:
            counters.status[b] = found
            if found == UNSAFE:
                fetch_add(counters.control, LEFT, np.int32(1))
            announce(counters.control, FINISHED)

    @device
    def answer_empty(call, b, n, m, fit, s, upward, first, lane, counters, answers):
        """Answer a pair with an empty side; whether it was one."""
        if n > 0 and m > 0:
            return False
        if upward:
            shape = n, m, call.rows, call.columns
            fill(answers.gradient, 0.0, b, s, shape, first, lane, True)
        elif s == 0:
            if call.want != SCORE:
                zero, forms = 0.0 if fit else math.nan, call.penalties.forms
                shape = call.rows, call.columns, call.rows, call.columns
                fill_penalties(answers.penalties, forms, b, zero, lane, lanes, shape)
            sync()
            if lane == 0:
                score, slope = answers.score, answers.slope
                score[b], slope[b] = math.nan, math.nan
                if fit:
                    void_pair(
                        call.mode,
                        call.penalties,
                        b,
                        n,
                        m,
                        call.want,
                        score,
                        slope,
                        answers.penalties,
                    )
                counters.status[b] = SOUND
                announce(counters.control, FINISHED)
        return True

    @device
    def fill_share(call, strip, value, answers):
        """Write a strip's share of the gradients of a pair's penalties."""
        share, shares = strip.s * lanes + strip.lane, strip.count * lanes
        shape, forms = (strip.n, strip.m, call.rows, call.columns), call.penalties.forms
        fill_penalties(answers.penalties, forms, strip.b, value, share, shares, shape)

    @device
    def clear_share(call, strip, answers):
        """Make the gradients of the penalties zero, a strip's share of them."""
        if call.want != SCORE:
            fill_share(call, strip, 0.0, answers)

    @device
    def go_down(call, strip, fit, store, square, counters, answers):
        """Walk one strip down."""
        s, lane, here = strip.s, strip.lane, strip.here
        if not again:
            clear_share(call, strip, answers)
        flags = down(call, strip, store, square, counters.down_done, base)
        if not fit:
            flags |= np.int32(BAD)
        if lane == 0:
            marks = counters.marks
            if s > 0:
                flags |= marks[here - 1]
            marks[here] = flags
            if s == strip.count - 1:
                conclude(call, strip, flags, counters, store.totals, answers)
        tell(counters.down_done, here, base + strip.squares, lane)

    @device
    def go_up(call, strip, strips, store, square, counters, answers):
        """Walk one strip up, once the last one went down."""
        b, s, lane = strip.b, strip.s, strip.lane
        wait(counters.down_done, b * strips + strip.count - 1, base + strip.squares, lane)
        shape, gradient = (strip.n, strip.m, call.rows, call.columns), answers.gradient
        if not again:
            found = counters.status[b]
            if found == POISONED:
                fill(gradient, math.nan, b, s, shape, strip.first, lane, True)
                fill_share(call, strip, math.nan, answers)
            if found != SOUND:
                return
        impossible = store.totals[3 * b + 1] <= void
        fill(gradient, 0.0, b, s, shape, strip.first, lane, impossible)
        if impossible:
            return
        up(call, strip, store, square, answers, counters.up_done, base)
        tell(counters.up_done, strip.here, base + strip.squares, lane)

    @device
    def draw_all(request, store, square, counters, answers, lane, warp):
        """Draw strips, and walk them."""
        while True:
            pairs, rows, columns = request.pairs, hide(request.rows), request.columns
            first = small(1) if request.mode == LOCAL else small(0)
            strips = max(small((small(rows) + 1 - first + lanes - 1) // lanes), small(1))
            tickets = small(small(pairs) * strips)
            phases = small(1) if request.want == SCORE else small(2)
            ticket = small(0)
            if lane == 0:
                ticket = small(fetch_add(counters.control, drawn, small(1)))
            ticket = from_lane(ticket, lane, small(0))
            if ticket >= small(tickets * phases):
                break
            upward = ticket >= tickets
            order = small(ticket - tickets) if upward else ticket
            s = small(np.uint32(order) // np.uint32(pairs))
            b = small(order - small(s * small(pairs)))
            if upward:
                s = small(strips - 1 - s)
            call, valid = call_of(request)
            forms = request.forms >> (FORM_BITS * 4)
            n, m, fit = sides(forms, request.lengths, b, rows, columns)
            fit = fit and valid
            answered = False
            if again:
                answered = counters.status[b] != UNSAFE
            else:
                answered = answer_empty(
                    call, b, n, m, fit, s, upward, first, lane, counters, answers
                )
            if answered:
                continue
            count = small((n + 1 - first + lanes - 1) // lanes)
            if s >= count:
                if upward:
                    shape = n, m, rows, columns
                    fill(answers.gradient, 0.0, b, s, shape, first, lane, False)
                continue
            last = small(m) if request.mode == GLOBAL else small(m + 1)
            strip = Strip(
                b,
                s,
                lane,
                small(n),
                small(m),
                first,
                last,
                small(first + s * lanes + lane),
                small(small(b * strips) + s),
                count,
                small((last - first + 1 + lanes - 1 + depth - 1) // depth),
                small(warp * TILE),
                small(warp * (depth * 3 * lanes)),
                small(warp * (3 * EDGE)),
                small(warp * (3 * EDGE) + EDGE),
                small(warp * (3 * EDGE) + 2 * EDGE),
                small(warp * (SUMS * lanes)),
            )
            if upward:
                go_up(call, strip, strips, store, square, counters, answers)
            else:
                go_down(call, strip, fit, store, square, counters, answers)

    return draw_all

"""Soft alignment on a GPU: scores, gradients and their tangents in one launch.

The threads of a warp share a pair: a work item is the forward or the backward pass along one strip
of `LANES` rows. Warps take items from one counter, the first strips of all pairs, then the second
ones, and so on, and then the same backwards; `passes` has the passes. A strip waits for the one
above (below) where that has not come far enough. Since a warp finishes what it took and everything
that a strip waits for was taken before it, none waits for ever, whatever the size of the grid;
pairs of any length share the machine, and a single long pair is spread over all of it.

In single precision a launch first tries `linear`, which is several times faster, where mode and
penalties suit that. What it leaves is computed with narrow numbers, and pairs beyond their range,
of which there are hardly ever any, again with wide ones, in functions of their own so that they
cost the attempts before no registers.
"""

import functools
import math

import numpy as np
from numba import cuda

from fastsw._cuda.device import (
    LANES,
    SIMULATED,
    device,
    exit_kernel,
    fetch_add,
    fma_double,
    increment_release,
    load_acquire,
    noinline,
    opaque,
)
from fastsw._cuda.kernels.answers import answer_empty, fill, fill_share
from fastsw._cuda.kernels.linear import answer_linearly
from fastsw._cuda.kernels.linear_memory import Memory
from fastsw._cuda.kernels.passes import LARGE, NON_FINITE, SOME, passes
from fastsw._cuda.kernels.penalties import (
    FORM_BITS,
    LOG2E,
    LOG2E_REST,
    Penalties,
    sides,
    temperature_of,
)
from fastsw._cuda.kernels.records import (
    ANSWERED,
    ANSWERED_NAN,
    FINISHED,
    LEFT,
    NEXT_ITEM,
    NEXT_RETRIED,
    OUT_OF_RANGE,
    RETRIED,
    SOUND,
    Answers,
    Call,
    Counters,
    Fields,
    Request,
    Shared,
    Store,
    Strip,
)
from fastsw._cuda.kernels.strip import (
    BOUNDARY,
    STEPS,
    SUMS,
    TILE,
    lane_of,
    next_item,
    publish,
    wait,
    warp_of,
)
from fastsw._cuda.scaled import numbers
from fastsw._types import GLOBAL, LOCAL, SCORE, TANGENT


@device
def call_of(request):
    """What strips need to know of a request, and whether its temperature is one.

    It is computed again for every item, so that no registers hold it during others.
    """
    temperature = temperature_of(opaque(request.forms), request.temperatures, request.numbers[4])
    valid = temperature > 0.0 and temperature < math.inf
    if not valid:
        temperature = 1.0
    unit = LOG2E / temperature
    rest = fma_double(-unit, temperature, LOG2E) + LOG2E_REST
    rows, columns = request.rows, request.columns
    inverse = 1.0 / temperature
    call = Call(
        request.similarity,
        request.tangents,
        Penalties(
            request.penalties,
            request.numbers[:4],
            request.forms,
            request.penalty_tangents,
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
def attempt(name: str, *, general: bool, with_tangents: bool):
    """Give the device function in which a warp takes items until there are none.

    Parameters
    ----------
    name : {"narrow", "wide", "double"}
        Kind of the numbers; wide ones take the pairs that narrow ones left.
    general, with_tangents : bool
        See `align_kernel`.
    """
    underflow = np.float64(numbers(name).underflow)
    forward, backward = passes(name, general=general, with_tangents=with_tangents)
    lanes, steps = LANES, STEPS
    first_of_two, retried = name == "narrow", name == "wide"
    after_linear = first_of_two and not general
    counter, base = (NEXT_RETRIED, RETRIED) if retried else (NEXT_ITEM, 0)
    small = np.int32

    @device
    def conclude(call, strip, found, counters, totals, answers):
        """Score of a pair whose last strip has passed forward."""
        b = opaque(strip.b)
        tf, tk, td = totals[3 * b], totals[3 * b + 1], totals[3 * b + 2]
        status = SOUND
        if found & NON_FINITE:
            status = ANSWERED_NAN
        elif first_of_two:
            infeasible = call.mode == LOCAL and found & SOME == 0
            if found & LARGE or not (tk > underflow or infeasible):
                status = OUT_OF_RANGE
        value = -math.inf
        if tk > underflow:
            value = (tk + math.log2(tf)) / call.penalties.unit
        if call.want == TANGENT:
            value = td / call.penalties.inverse if tk > underflow else 0.0
        if status == ANSWERED_NAN:
            value = math.nan
        answers.score[b] = value
        answers.slope[b] = math.nan if status == ANSWERED_NAN else 0.0
        if not retried:
            counters.status[b] = status
            if status == OUT_OF_RANGE:
                fetch_add(counters.control, LEFT, np.int32(1))
            increment_release(counters.control, FINISHED)

    @device
    def forward_item(call, strip, fit, store, shared, counters, answers):
        """Forward pass along one strip."""
        s, lane, index = strip.s, strip.lane, strip.number
        if not retried and call.want != SCORE:
            fill_share(call, strip, 0.0, answers)
        found = forward(call, strip, store, shared, counters.forward_done, base)
        if not fit:
            found |= np.int32(NON_FINITE)
        if lane == 0:
            findings = counters.findings
            if s > 0:
                found |= findings[index - 1]
            findings[index] = found
            if s == strip.strips - 1:
                conclude(call, strip, found, counters, store.totals, answers)
        publish(counters.forward_done, index, base + strip.tiles, lane)

    @device
    def backward_item(call, strip, strips, store, shared, counters, answers):
        """Backward pass along one strip, once the last one has passed forward."""
        b, s, lane = strip.b, strip.s, strip.lane
        wait(counters.forward_done, b * strips + strip.strips - 1, base + strip.tiles, lane)
        shape, gradient = (strip.n, strip.m, call.rows, call.columns), answers.gradient
        if not retried:
            status = counters.status[b]
            if status == ANSWERED_NAN:
                fill(gradient, math.nan, b, s, shape, strip.first, lane, True)
                fill_share(call, strip, math.nan, answers)
            if status != SOUND:
                return
        infeasible = store.totals[3 * b + 1] <= underflow
        fill(gradient, 0.0, b, s, shape, strip.first, lane, infeasible)
        if infeasible:
            return
        backward(call, strip, store, shared, answers, counters.backward_done, base)
        publish(counters.backward_done, strip.number, base + strip.tiles, lane)

    @device
    def take_items(request, store, shared, counters, answers, lane, warp):
        """Take items, and pass along their strips."""
        while True:
            pairs, rows, columns = request.pairs, opaque(request.rows), request.columns
            first = small(1) if request.mode == LOCAL else small(0)
            strips = max(small((small(rows) + 1 - first + lanes - 1) // lanes), small(1))
            items = small(small(pairs) * strips)
            directions = small(1) if request.want == SCORE else small(2)
            item = next_item(counters.control, counter, lane)
            if item >= small(items * directions):
                break
            in_reverse = item >= items
            order = small(item - items) if in_reverse else item
            s = small(np.uint32(order) // np.uint32(pairs))
            b = small(order - small(s * small(pairs)))
            if in_reverse:
                s = small(strips - 1 - s)
            call, valid = call_of(request)
            forms = request.forms >> (FORM_BITS * 4)
            n, m, fit = sides(forms, request.lengths, b, rows, columns)
            fit = fit and valid
            answered = False
            if retried:
                answered = counters.status[b] != OUT_OF_RANGE
            elif after_linear and request.linear and counters.status[b] == ANSWERED:
                answered = True
                if s == 0 and not in_reverse and lane == 0:
                    increment_release(counters.control, FINISHED)
            else:
                answered = answer_empty(
                    call, b, n, m, fit, s, in_reverse, first, lane, counters, answers
                )
            if answered:
                continue
            count = small((n + 1 - first + lanes - 1) // lanes)
            if s >= count:
                if in_reverse:
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
                small((last - first + 1 + lanes - 1 + steps - 1) // steps),
                small(warp * TILE),
                small(warp * (steps * 3 * lanes)),
                small(warp * (3 * BOUNDARY)),
                small(warp * (3 * BOUNDARY) + BOUNDARY),
                small(warp * (3 * BOUNDARY) + 2 * BOUNDARY),
                small(warp * (SUMS * lanes)),
            )
            if in_reverse:
                backward_item(call, strip, strips, store, shared, counters, answers)
            else:
                forward_item(call, strip, fit, store, shared, counters, answers)

    return take_items


def warps(bits: int) -> int:
    """Warps of a block, by what fits into 48 KiB of shared memory."""
    if SIMULATED:
        return 1
    return 4 if bits == 32 else 2


@functools.cache
def align_kernel(bits: int, *, general: bool, with_tangents: bool):
    """Give the kernel function of one variant.

    Parameters
    ----------
    bits : {32, 64}
        Precision of the mantissas.
    general : bool
        Whether penalties of columns may differ by row or column, and those of rows by column.
    with_tangents : bool
        Whether tangents are carried.
    """
    single = bits == 32
    with_linear = single and not general
    name = "narrow" if single else "double"
    kind = numbers(name)
    real, whole = kind.real, kind.whole
    first_attempt = attempt(name, general=general, with_tangents=with_tangents)
    wide_attempt = (
        attempt("wide", general=general, with_tangents=with_tangents) if single else first_attempt
    )
    blocked = warps(bits)
    tiles_size, states = blocked * TILE, blocked * STEPS * 3 * LANES
    boundaries, sums_size = blocked * 3 * BOUNDARY, blocked * SUMS * LANES
    wide_states, wide_boundaries = (STEPS * 3, boundaries) if single else (1, 1)
    tangent_states, tangent_boundaries = (states, boundaries) if with_tangents else (1, 1)

    @noinline
    def retry(request, store, shared, rows_w, row_w, counters, answers):
        """Take what the first attempt left, with exponents of 64 bits, and end the kernel."""
        ahead_w, back_w, entry_w, end_w = rows_w
        state_f = cuda.local.array(wide_states, np.float32)
        state_w = cuda.local.array(wide_states, np.float64)
        wide_attempt(
            request,
            Store(
                Fields(store.forward_rows.f, ahead_w, store.forward_rows.d),
                Fields(store.backward_rows.f, back_w, store.backward_rows.d),
                Fields(store.entries.f, entry_w, store.entries.d),
                Fields(store.ends.f, end_w, store.ends.d),
                store.totals,
                store.sums,
            ),
            Shared(
                shared.similarity,
                Fields(state_f, state_w, shared.states.d),
                Fields(shared.boundaries.f, row_w, shared.boundaries.d),
                shared.sums,
            ),
            counters,
            answers,
            lane_of(cuda.threadIdx.x),
            warp_of(cuda.threadIdx.x),
        )
        exit_kernel()

    @device
    def scaled(request, store, shared, rows_w, row_w, counters, answers, lane):
        """Answer with numbers that have exponents of their own what linear space has not."""
        warp = warp_of(cuda.threadIdx.x)
        first_attempt(request, store, shared, counters, answers, lane, warp)
        if single:
            wait(counters.control, FINISHED, np.int32(request.pairs), lane)
            if load_acquire(counters.control, LEFT) != 0:
                retry(request, store, shared, rows_w, row_w, counters, answers)

    @noinline
    def scaled_apart(request, store, shared, rows_w, row_w, counters, answers):
        """Do so in a function of its own, and end the kernel."""
        lane = lane_of(cuda.threadIdx.x)
        scaled(request, store, shared, rows_w, row_w, counters, answers, lane)
        exit_kernel()

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
        linear,
        together,
        tangent_similarity,
        tangent_0,
        tangent_1,
        tangent_2,
        tangent_3,
        control,
        forward_done,
        backward_done,
        status,
        findings,
        totals,
        sums,
        ahead_f,
        ahead_k,
        ahead_d,
        ahead_w,
        back_f,
        back_k,
        back_d,
        back_w,
        entry_f,
        entry_k,
        entry_d,
        entry_w,
        end_f,
        end_k,
        end_d,
        end_w,
        linear_forward,
        linear_backward,
        marks,
        linear_sums,
        linear_forward_rows,
        linear_backward_rows,
        linear_entries,
        score,
        slope,
        gradient,
        out_0,
        out_1,
        out_2,
        out_3,
    ):
        similarities = cuda.shared.array(tiles_size, real)
        state_f = cuda.shared.array(states, real)
        state_k = cuda.shared.array(states, whole)
        state_d = cuda.shared.array(tangent_states, real)
        row_f = cuda.shared.array(boundaries, real)
        row_k = cuda.shared.array(boundaries, whole)
        row_d = cuda.shared.array(tangent_boundaries, real)
        row_w = cuda.shared.array(wide_boundaries, np.float64)
        strip_sums = cuda.shared.array(sums_size, np.float64)
        lane = lane_of(cuda.threadIdx.x)
        request = Request(
            similarity,
            tangent_similarity,
            (open_x, extend_x, open_y, extend_y),
            (tangent_0, tangent_1, tangent_2, tangent_3),
            (number_0, number_1, number_2, number_3, number_4),
            temperatures,
            forms,
            lengths,
            pairs,
            rows,
            columns,
            mode,
            want,
            linear,
            together,
        )
        if temperature_of(forms, temperatures, number_4) == 0.0:
            return
        store = Store(
            Fields(ahead_f, ahead_k, ahead_d),
            Fields(back_f, back_k, back_d),
            Fields(entry_f, entry_k, entry_d),
            Fields(end_f, end_k, end_d),
            totals,
            sums,
        )
        shared = Shared(
            similarities,
            Fields(state_f, state_k, state_d),
            Fields(row_f, row_k, row_d),
            strip_sums,
        )
        counters = Counters(control, forward_done, backward_done, status, findings)
        answers = Answers(score, slope, gradient, (out_0, out_1, out_2, out_3))
        if with_linear:
            kept = Memory(
                linear_forward,
                linear_backward,
                marks,
                linear_sums,
                linear_forward_rows,
                linear_backward_rows,
                linear_entries,
            )
            if answer_linearly(request, kept, counters, answers, lane):
                return
        rows_w = ahead_w, back_w, entry_w, end_w
        if with_linear:
            scaled_apart(request, store, shared, rows_w, row_w, counters, answers)
        else:
            scaled(request, store, shared, rows_w, row_w, counters, answers, lane)

    return align

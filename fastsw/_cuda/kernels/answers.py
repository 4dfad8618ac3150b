"""Answers that need no pass over cells: of pairs with an empty side, and beyond the lengths."""

import math

from fastsw._cuda.device import LANES, device, increment_release, noinline, sync
from fastsw._cuda.kernels.penalties import BY_COLUMN, BY_ROW, FORM_BITS, at, own_pair, penalty
from fastsw._cuda.kernels.records import FINISHED, SOUND
from fastsw._types import GLOBAL, GRADIENT, LOCAL, SCORE, TANGENT


@noinline
def empty_pair(mode, penalties, b, n, m, want, score, slope, outputs):
    """A pair with an empty side: infeasible in local mode, one alignment of gaps otherwise."""
    pointers, given, forms = penalties.values, penalties.numbers, penalties.forms
    tangents, rows, columns = penalties.tangents, penalties.rows, penalties.columns
    o0, o1, o2, o3 = outputs
    slope[b] = 0.0
    if mode == LOCAL:
        score[b] = 0.0 if want == TANGENT else -math.inf
        return
    each = own_pair(forms)
    total = 0.0
    across = m if mode == GLOBAL else 0
    for j in range(across):
        which = 0 if j == 0 else 1
        pointer, number = pointers[0], given[0]
        if which == 1:
            pointer, number = pointers[1], given[1]
        index = at(each, which, b, 0, j, rows, columns)
        if want == TANGENT:
            total -= tangents[0][index] if which == 0 else tangents[1][index]
        else:
            total -= penalty(pointer, number, forms, which, b, 0, j, rows, columns)
            if want == GRADIENT:
                if which == 0:
                    o0[index] -= 1.0
                else:
                    o1[index] -= 1.0
    for i in range(n):
        which = 2 if i == 0 else 3
        pointer, number = pointers[2], given[2]
        if which == 3:
            pointer, number = pointers[3], given[3]
        c = max(m, 1) - 1
        index = at(each, which, b, i, c, rows, columns)
        if want == TANGENT:
            total -= tangents[2][index] if which == 2 else tangents[3][index]
        else:
            total -= penalty(pointer, number, forms, which, b, i, c, rows, columns)
            if want == GRADIENT:
                if which == 2:
                    o2[index] -= 1.0
                else:
                    o3[index] -= 1.0
    score[b] = total


@device
def fill(gradient, value, b, s, shape, first, lane, inside):
    """Write zeros beyond the lengths, and a value inside where asked to."""
    n, m, rows, columns = shape
    for r in range(LANES):
        i = first + s * LANES + r
        if i >= 1 and i <= rows:
            begin = m if i <= n else 0
            offset = (b * rows + i - 1) * columns
            for j in range(begin + lane, columns, LANES):
                gradient[offset + j] = 0.0
            if inside:
                for j in range(lane, begin, LANES):
                    gradient[offset + j] = value


@noinline
def fill_penalties(outputs, forms, b, value, share, shares, shape):
    """Write a share of the gradients of a pair's penalties: a value, 0 beyond the lengths."""
    n, m, rows, columns = shape
    for which in range(4):
        form = forms >> (FORM_BITS * which)
        width = columns if form & BY_COLUMN else 1
        size = (rows if form & BY_ROW else 1) * width
        last_row, last_column = n if form & BY_ROW else 1, m if form & BY_COLUMN else 1
        out = outputs[0]
        if which == 1:
            out = outputs[1]
        elif which == 2:
            out = outputs[2]
        elif which == 3:
            out = outputs[3]
        for p in range(share, size, shares):
            inside = p // width < last_row and p % width < last_column
            out[b * size + p] = value if inside else 0.0


@device
def fill_share(call, strip, value, answers):
    """Write a strip's share of the gradients of a pair's penalties."""
    share, shares = strip.s * LANES + strip.lane, strip.strips * LANES
    shape, forms = (strip.n, strip.m, call.rows, call.columns), call.penalties.forms
    fill_penalties(answers.penalties, forms, strip.b, value, share, shares, shape)


@device
def answer_empty(call, b, n, m, fit, s, in_reverse, first, lane, counters, answers):
    """Answer a pair with an empty side; whether it was one."""
    if n > 0 and m > 0:
        return False
    if in_reverse:
        shape = n, m, call.rows, call.columns
        fill(answers.gradient, 0.0, b, s, shape, first, lane, True)
    elif s == 0:
        if call.want != SCORE:
            zero, forms = 0.0 if fit else math.nan, call.penalties.forms
            shape = call.rows, call.columns, call.rows, call.columns
            fill_penalties(answers.penalties, forms, b, zero, lane, LANES, shape)
        sync()
        if lane == 0:
            score, slope = answers.score, answers.slope
            score[b], slope[b] = math.nan, math.nan
            if fit:
                empty_pair(
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
            increment_release(counters.control, FINISHED)
    return True

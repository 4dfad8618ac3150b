"""What every kernel does with a pair: read its penalties, answer it where a side is empty, fill."""

import math
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import LANES, apart, device
from fastsw._types import GLOBAL, LOCAL

#: What is asked for.
SCORE, GRADIENT, TANGENT = 0, 1, 2

#: Natural logarithm of 2; 1 / log(2), and what float64 leaves out of it.
LN2, LOG2E, LOG2E_REST = math.log(2.0), 1.0 / math.log(2.0), 2.0355273740931033e-17

#: What became of a pair: a sound answer, NaN, or values beyond the range of single precision.
SOUND, POISONED, UNSAFE = 0, 1, 2

#: Bits in `forms` of one penalty: it is a number, and differs by pair, by row, by column. Those of
#: the temperature, fifth: it is a number, and all pairs are whole matrices.
NUMBER, BY_PAIR, BY_ROW, BY_COLUMN, FORM_BITS = 1, 2, 4, 8, 4
WHOLE = 2


class Penalties(NamedTuple):
    """Penalties, their tangents, and what makes them bits."""

    values: Any  # four pointers
    numbers: Any  # four float64, for those of the four that are numbers
    forms: Any
    dots: Any  # four pointers
    unit: Any  # 1 / (T log 2)
    inverse: Any  # 1 / T
    rows: Any
    columns: Any


@device
def own_pair(forms):
    """Forms of gradients and tangents, which each pair has its own of."""
    return (forms & ~0x1111) | 0x2222


@device
def temperature_of(forms, temperatures, number):
    """The temperature, which is a number or on the device."""
    if (forms >> (FORM_BITS * 4)) & NUMBER == 0:
        return temperatures[0]
    return number


@device
def sides(forms, lengths, b, rows, columns):
    """Rows and columns of a pair, within the matrix, and whether they were."""
    n, m = rows, columns
    if forms & WHOLE == 0:
        n, m = lengths[2 * b], lengths[2 * b + 1]
    fit = n >= 0 and n <= rows and m >= 0 and m <= columns
    return min(max(n, 0), rows), min(max(m, 0), columns), fit


@device
def at(forms, which, b, r, c, rows, columns):
    """Index of a penalty of cell (r, c) of pair b."""
    form = forms >> (FORM_BITS * which)
    across = columns if form & BY_COLUMN else 1
    down = rows if form & BY_ROW else 1
    index = np.int64(0)
    if form & BY_PAIR:
        index += b * down * across
    if form & BY_ROW:
        index += r * across
    if form & BY_COLUMN:
        index += c
    return index


@device
def penalty(values, number, forms, which, b, r, c, rows, columns):
    """A penalty of cell (r, c) of pair b."""
    if (forms >> (FORM_BITS * which)) & NUMBER:
        return number
    return values[at(forms, which, b, r, c, rows, columns)]


@apart
def void_pair(mode, penalties, b, n, m, want, score, slope, outputs):
    """A pair with an empty side: impossible in local mode, one alignment of gaps otherwise."""
    pointers, given, forms = penalties.values, penalties.numbers, penalties.forms
    dots, rows, columns = penalties.dots, penalties.rows, penalties.columns
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
            total -= dots[0][index] if which == 0 else dots[1][index]
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
            total -= dots[2][index] if which == 2 else dots[3][index]
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


@apart
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

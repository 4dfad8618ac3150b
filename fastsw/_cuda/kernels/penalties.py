"""Penalties: where a kernel finds that of a cell, and what it costs there."""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import device
from fastsw._cuda.scaled import numbers

#: Natural logarithm of 2; 1 / log(2), and what float64 leaves out of it.
LN2, LOG2E, LOG2E_REST = math.log(2.0), 1.0 / math.log(2.0), 2.0355273740931033e-17

#: Bits in `forms` of one penalty: it is a number, and differs by pair, by row, by column. Those of
#: the temperature, fifth: it is a number, and all pairs are whole matrices.
NUMBER, BY_PAIR, BY_ROW, BY_COLUMN, FORM_BITS = 1, 2, 4, 8, 4
WHOLE = 2

#: Steps down and across of a sequence that fills an interval evenly along rows, columns and
#: diagonals: 2**32 over the plastic number, and over its square.
DOWN, ACROSS = 3242174889, 2447445414


class Penalties(NamedTuple):
    """Penalties, their tangents, and what makes them bits."""

    values: Any  # four pointers
    numbers: Any  # four float64, for those of the four that are numbers
    forms: Any
    tangents: Any  # four pointers
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


@device
def cell_of(i, j, n, m):
    """The cell of the matrix whose penalties those of grid cell (i, j) are."""
    return max(min(i, n), 1) - 1, max(min(j, m), 1) - 1


@device
def nudge_at(r, c):
    """How the weights of a cell's penalties are rounded: -1/2 to 1/2, differently in each cell."""
    bits = (np.int64(r) * DOWN + np.int64(c) * ACROSS) & 0xFFFFFFFF
    return np.float32(np.int32(bits - 2**31)) * np.float32(2.0**-32)


@device
def penalties_at(penalties, b, i, j, n, m):
    """The four penalties of grid cell (i, j)."""
    pointers, given, forms = penalties.values, penalties.numbers, penalties.forms
    rows, columns = penalties.rows, penalties.columns
    r, c = cell_of(i, j, n, m)
    return (
        penalty(pointers[0], given[0], forms, 0, b, r, c, rows, columns),
        penalty(pointers[1], given[1], forms, 1, b, r, c, rows, columns),
        penalty(pointers[2], given[2], forms, 2, b, r, c, rows, columns),
        penalty(pointers[3], given[3], forms, 3, b, r, c, rows, columns),
    )


class Weighing(NamedTuple):
    """Device functions that weigh penalties and similarities in one kind of numbers."""

    costs_at: Any
    left_out: Any
    weigh: Any


@functools.cache
def weighing(name: str, *, with_tangents: bool) -> Weighing:
    """Give the functions for a kind of numbers, with or without tangents."""
    kind = numbers(name)
    real, mass, weight, split = kind.real, kind.mass, kind.weight, kind.split
    zero = real(0)

    @device
    def bits_at(penalties, which, b, r, c):
        """Logarithm in bits of the weight of one penalty."""
        forms, rows, columns = penalties.forms, penalties.rows, penalties.columns
        pointer, number = penalties.values[which], penalties.numbers[which]
        return -penalties.unit * penalty(pointer, number, forms, which, b, r, c, rows, columns)

    @device
    def cost_at(penalties, which, b, r, c, nudge):
        """Weight of one penalty, and its logarithm in bits."""
        forms, rows, columns = penalties.forms, penalties.rows, penalties.columns
        t = bits_at(penalties, which, b, r, c)
        f, k, _ = split(t, nudge)
        d = zero
        if with_tangents:
            each = own_pair(forms)
            index = at(each, which, b, r, c, rows, columns)
            d = real(-penalties.inverse * penalties.tangents[which][index])
        return f, k, d, mass(t)

    @device
    def costs_at(penalties, b, i, j, n, m):
        """Weights of the four penalties of grid cell (i, j)."""
        r, c = cell_of(i, j, n, m)
        nudge = nudge_at(r, c)
        return (
            cost_at(penalties, 0, b, r, c, nudge),
            cost_at(penalties, 1, b, r, c, nudge),
            cost_at(penalties, 2, b, r, c, nudge),
            cost_at(penalties, 3, b, r, c, nudge),
        )

    @device
    def left_out(penalties, b, i, j, n, m):
        """What rounding left out of the weight of extending a column gap, relative to it."""
        r, c = cell_of(i, j, n, m)
        return split(bits_at(penalties, 1, b, r, c), nudge_at(r, c))[2]

    @device
    def weigh(value, high, rest, inverse, tangents, place):
        """Weight of a similarity; `place` is that of its tangent."""
        f, k = weight(value, high, rest)
        d = zero
        if with_tangents and value > -math.inf:
            d = real(inverse * tangents[place])
        return f, k, d

    return Weighing(costs_at, left_out, weigh)


@device
def costs_are_finite(costs):
    """Tell whether none of the penalties is NaN or infinite."""
    total = abs(costs[0][3]) + abs(costs[1][3]) + abs(costs[2][3]) + abs(costs[3][3])
    return total < math.inf


@device
def gain_of(costs):
    """Most bits that a penalty adds to an alignment; only negative ones do."""
    return max(max(costs[0][3], costs[1][3]), max(costs[2][3], costs[3][3]))

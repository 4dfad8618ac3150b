"""States of cells as `scaled` numbers, with the recurrences of `_recurrence`.

A smooth maximum is a sum here. Numbers are tuples (mantissa, exponent, tangent); tangents are those
of logarithms, and zero where none are carried.
"""

import functools
import math
from typing import Any, NamedTuple

from fastsw._cuda.device import device
from fastsw._cuda.kernels.pairs import at, own_pair, penalty
from fastsw._cuda.scaled import numbers
from fastsw._types import FITTING, GLOBAL, LOCAL


class States(NamedTuple):
    """Device functions of one kind of numbers."""

    add: Any
    times: Any
    settled: Any
    weigh: Any
    advance: Any
    flow: Any
    costs_at: Any


@functools.cache
def states(name: str, *, second: bool) -> States:
    """Give the functions for a kind of numbers, with or without tangents."""
    kind = numbers(name)
    real, whole, nothing = kind.real, kind.whole, kind.nothing
    mass, power, normal, weight, split = kind.mass, kind.power, kind.normal, kind.weight, kind.split
    zero, one, origin = real(0), real(1), whole(0)
    free, none = (one, origin, zero, mass(0)), (one, nothing, zero)

    @device
    def add(a, b):
        """Sum of two numbers, its mantissa not normalised."""
        k = max(a[1], b[1])
        fa, fb = a[0] * power(whole(a[1] - k)), b[0] * power(whole(b[1] - k))
        f, d = fa + fb, a[2]
        if second:
            d = (fa * a[2] + fb * b[2]) / f
        return f, k, d

    @device
    def times(a, b):
        """Product of two numbers."""
        return a[0] * b[0], whole(a[1] + b[1]), a[2] + b[2]

    @device
    def weigh(value, high, rest, inverse, dots, place):
        """Weight of a similarity; `place` is that of its tangent."""
        f, k = weight(value, high, rest)
        d = zero
        if second and value > -math.inf:
            d = real(inverse * dots[place])
        return f, k, d

    @device
    def cost_at(penalties, which, b, r, c):
        """Weight of one penalty, and its logarithm in bits."""
        forms, rows, columns = penalties.forms, penalties.rows, penalties.columns
        pointer, number = penalties.values[which], penalties.numbers[which]
        t = -penalties.unit * penalty(pointer, number, forms, which, b, r, c, rows, columns)
        f, k = split(t)
        d = zero
        if second:
            each = own_pair(forms)
            index = at(each, which, b, r, c, rows, columns)
            d = real(-penalties.inverse * penalties.dots[which][index])
        return f, k, d, mass(t)

    @device
    def costs_at(penalties, b, i, j, n, m):
        """Weights of the four penalties of grid cell (i, j)."""
        r, c = max(min(i, n), 1) - 1, max(min(j, m), 1) - 1
        return (
            cost_at(penalties, 0, b, r, c),
            cost_at(penalties, 1, b, r, c),
            cost_at(penalties, 2, b, r, c),
            cost_at(penalties, 3, b, r, c),
        )

    @device
    def settled(a):
        """The number with its mantissa in [1, 2)."""
        f, k = normal(a[0], a[1])
        return f, k, a[2]

    @device
    def advance(mode, i, j, virtual, start, state, diagonal, up, cell, costs, ended):
        """States (m, x, y) of a cell from its neighbours', and the diagonal of the next.

        `up` has m + x, and y, of the cell above.
        """
        opened, skipped = up
        last = j == virtual
        # m: every state of the cell before, and the start.
        k = max(diagonal[1], start)
        before = diagonal[0] * power(whole(diagonal[1] - k))
        f = before + power(whole(start - k))
        d = zero
        if second:
            d = cell[2] + before * diagonal[2] / f
        m = settled((cell[0] * f, whole(k + cell[1]), d))
        x = settled(add(times(state[0], costs[0]), times(state[1], costs[1])))
        # y; down the virtual column of local mode at no cost
        open_y, extend_y = costs[2], costs[3]
        if last and mode == LOCAL:
            open_y, extend_y = free, free
        y = settled(add(times(opened, open_y), times(skipped, extend_y)))
        if last:
            m, x = ended, none
        if i == 0 and j >= 0 and (mode == FITTING or (mode == GLOBAL and j == 0)):
            m, x, y = (one, origin, zero), none, none
        return (m, x, y), add(opened, skipped)

    @device
    def flow(a, b, scale, total_k, total_d):
        """Share of the total that passes through prefix a and suffix b, or its tangent."""
        p = a[0] * b[0] * scale * power(min(whole(whole(a[1] + b[1]) + total_k), whole(2)))
        if second:
            p *= a[2] + b[2] - total_d
        return p

    return States(add, times, settled, weigh, advance, flow, costs_at)


@device
def costs_are_sound(costs):
    """Tell whether none of the penalties is NaN or infinite."""
    total = abs(costs[0][3]) + abs(costs[1][3]) + abs(costs[2][3]) + abs(costs[3][3])
    return total < math.inf


@device
def gain_of(costs):
    """Most bits that a penalty adds to an alignment; only negative ones do."""
    return max(max(costs[0][3], costs[1][3]), max(costs[2][3], costs[3][3]))

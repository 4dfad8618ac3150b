"""The equations of a cell, each written once, over scaled numbers.

They are those of `_recurrence` in terms of weights, exp(s / T) and exp(-penalty / T), by which
every smooth maximum becomes a sum. At temperature 0 `viterbi` takes `_recurrence` as it is. The
equations of the CPU's cells cannot be shared: there numbers have `+` and `*`, which Numba gives to
types of the CPU alone, and account for exponents outside of the equations.
"""

import functools
from typing import Any, NamedTuple

from fastsw._cuda.device import device
from fastsw._cuda.scaled import arithmetic


class Cell(NamedTuple):
    """Equations of one kind of numbers."""

    forward: Any
    backward: Any
    shares: Any


@functools.cache
def affine_cell(name: str, *, with_tangents: bool) -> Cell:
    """Give the equations of alignment with affine gaps, with or without tangents."""
    add, add_power, times, normalised, share = arithmetic(name, with_tangents=with_tangents)

    @device
    def forward(weight, start, diagonal, left, above, column_costs, row_costs):
        """Sums (m, x, y) of all ways to a cell.

        ``start`` is the exponent of the way that starts here, ``diagonal`` m + x + y of the cell
        before in both, ``left`` (m, x), and ``above`` (m + x, y). Costs are (open, extend).
        """
        m = normalised(times(add_power(diagonal, start), weight))
        x = normalised(add(times(left[0], column_costs[0]), times(left[1], column_costs[1])))
        y = normalised(add(times(above[0], row_costs[0]), times(above[1], row_costs[1])))
        return m, x, y

    @device
    def backward(end, diagonal, right, below, column_costs, row_costs):
        """Sums (m, x, y) of all ways on from a cell, and its four gaps with what follows them.

        ``end`` is the way that ends here, ``diagonal`` weight times m of the cell after in both,
        ``right`` x and ``below`` y; costs are those of the cells that are entered.
        """
        open_x, extend_x = times(right, column_costs[0]), times(right, column_costs[1])
        open_y, extend_y = times(below, row_costs[0]), times(below, row_costs[1])
        m = normalised(add(add(diagonal, end), add(open_x, open_y)))
        x = normalised(add(add(diagonal, open_y), extend_x))
        y = normalised(add(diagonal, extend_y))
        return (m, x, y), (open_x, extend_x, open_y, extend_y)

    @device
    def shares(before, m_after, gaps, per_total, per_total_below, total_k, total_d):
        """Shares of the alignments that pair a cell, and that pass through each of its gaps.

        ``before`` are the forward sums; of the gaps below the shares are over a total of their own.
        """
        m, x, y = before
        return (
            share(m, m_after, per_total, total_k, total_d),
            share(m, gaps[0], per_total, total_k, total_d),
            share(x, gaps[1], per_total, total_k, total_d),
            share(add(m, x), gaps[2], per_total_below, total_k, total_d),
            share(y, gaps[3], per_total_below, total_k, total_d),
        )

    return Cell(forward, backward, shares)


@functools.cache
def warping_cell(total, product, one):
    """Give the equation of time warping, which has one state, forwards and backwards.

    ``total`` of three numbers, ``product`` of two, and its neutral element: sums and products of
    scaled numbers, or, at temperature 0, minima and sums of costs.
    """

    @device
    def through(weight, diagonal, side, other, first):
        """All ways to a cell, and all ways through it."""
        to = total(side, other, diagonal)
        if first:
            to = one
        return to, product(to, weight)

    return through

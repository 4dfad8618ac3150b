"""The equations of a cell, each written once, over scaled numbers.

They are those of `_recurrence` in terms of weights, exp(s / T) and exp(-penalty / T), by which
every smooth maximum becomes a sum. At temperature 0 `viterbi` takes `_recurrence` as it is. The
equations of the CPU's cells cannot be shared: there numbers have `+` and `*`, which Numba gives to
types of the CPU alone, and account for exponents outside of the equations.
"""

import functools
from typing import Any, NamedTuple

from fastsw._cuda.device import device
from fastsw._cuda.scaled import arithmetic, numbers, sums_of_three


class Cell(NamedTuple):
    """Equations of one kind of numbers."""

    forward: Any
    backward: Any
    pair_share: Any
    gap_shares: Any


@functools.cache
def affine_cell(name: str, *, with_tangents: bool) -> Cell:
    """Give the equations of alignment with affine gaps, with or without tangents."""
    add, add_power, times, normalised, share = arithmetic(name, with_tangents=with_tangents)
    kind = numbers(name)
    free = kind.real(1), kind.whole(0), kind.real(0), kind.mass(0)

    @device
    def forward(weight, start, diagonal, left, above, costs, rows_are_free):
        """Sums (m, x, y) of all ways to a cell.

        ``start`` is the exponent of the way that starts here, ``diagonal`` m + x + y of the cell
        before in both, ``left`` (m, x), and ``above`` (m + x, y). Costs are those of opening and
        extending column gaps and row gaps; at the grid's edge rows may be free to skip.
        """
        m = normalised(times(add_power(diagonal, start), weight))
        x = normalised(add(times(left[0], costs[0]), times(left[1], costs[1])))
        # Chosen here, and not by the caller: the kernel of any penalties would spill registers.
        open_cost, extend_cost = costs[2], costs[3]
        if rows_are_free:
            open_cost, extend_cost = free, free
        y = normalised(add(times(above[0], open_cost), times(above[1], extend_cost)))
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
    def pair_share(before, m_after, per_total, total_k, total_d):
        """Share of the alignments that pair a cell, given its forward sums and m backwards."""
        return share(before[0], m_after, per_total, total_k, total_d)

    @device
    def gap_shares(before, gaps, per_total, per_total_below, total_k, total_d):
        """Shares of the alignments that pass through each of the gaps that follow a cell.

        Those of the gaps below are over a total of their own.
        """
        m, x, y = before
        return (
            share(m, gaps[0], per_total, total_k, total_d),
            share(x, gaps[1], per_total, total_k, total_d),
            share(add(m, x), gaps[2], per_total_below, total_k, total_d),
            share(y, gaps[3], per_total_below, total_k, total_d),
        )

    return Cell(forward, backward, pair_share, gap_shares)


class LinearCell(NamedTuple):
    """Equations over numbers that are floats, in pieces that keep what passes between cells."""

    enter: Any
    across: Any
    leave: Any
    after_rows: Any
    after_columns: Any


def linear_cell() -> LinearCell:
    """Give the equations of `affine_cell` over floats that share an exponent."""

    @device
    def enter(weight, start, corner):
        """M of a cell; ``corner`` is m + x + y of the cell before in both."""
        return weight * (start + corner)

    @device
    def across(m, x, open_x, extend_x):
        """X of the cell on the right."""
        return open_x * m + extend_x * x

    @device
    def leave(m, x, y, open_y, extend_y):
        """What the row below makes of a cell: m + x + y, and Y of the cell below."""
        outer = m + x
        return outer + y, open_y * outer + extend_y * y

    @device
    def after_rows(diagonal, below, open_y, extend_y):
        """What follows in the row below, after M or X, and after Y: its backward state."""
        return diagonal + open_y * below, diagonal + extend_y * below

    @device
    def after_columns(onward, right, ended, open_x, extend_x):
        """Backward states M and X, from what follows below and X on the right."""
        return onward + ended + open_x * right, onward + extend_x * right

    return LinearCell(enter, across, leave, after_rows, after_columns)


def warping_cell():
    """Give the equation of time warping over scaled numbers, and at temperature 0 over costs."""

    @device
    def least(a, b, c):
        return min(c, min(a, b))

    @device
    def plus(a, b):
        return a + b

    total, product = sums_of_three("double")
    return _one_state(total, product, (1.0, 0.0)), _one_state(least, plus, 0.0)


def _one_state(total, product, one):
    """Give the equation of a cell with one state, which is the same forwards and backwards.

    ``total`` of three numbers, ``product`` of two, and its neutral element.
    """

    @device
    def through(weight, diagonal, side, other, first):
        """All ways to a cell, and all ways through it."""
        to = total(side, other, diagonal)
        if first:
            to = one
        return to, product(to, weight)

    return through

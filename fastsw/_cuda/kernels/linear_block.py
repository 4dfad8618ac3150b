"""Forward and backward pass through a block of cells in linear space, which a lane makes alone."""

import functools
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import device, fma_float
from fastsw._cuda.kernels.cell import linear_cell


class Block(NamedTuple):
    """Functions of a block of cells."""

    forward: Any
    backward: Any


@functools.cache
def block() -> Block:
    """Give the functions of a block: `ROWS` rows, `COLUMNS` columns."""
    enter, across, leave, after_rows, after_columns = linear_cell()

    @device
    def forward_row(weights, x, corner, start, skipped, above, costs):
        """States of a row's cells, and what it hands to the right and down.

        ``x`` is X of the first cell, ``corner`` h of the cell before it in the row above,
        ``skipped`` Y of the row's cells, and ``above`` h of the row above.
        """
        open_x, extend_x, open_y, extend_y = costs
        m_0 = enter(weights[0], start, corner)
        x_1 = across(m_0, x, open_x, extend_x)
        h_0, y_0 = leave(m_0, x, skipped[0], open_y, extend_y)
        m_1 = enter(weights[1], start, above[0])
        x_2 = across(m_1, x_1, open_x, extend_x)
        h_1, y_1 = leave(m_1, x_1, skipped[1], open_y, extend_y)
        m_2 = enter(weights[2], start, above[1])
        x_3 = across(m_2, x_2, open_x, extend_x)
        h_2, y_2 = leave(m_2, x_2, skipped[2], open_y, extend_y)
        m_3 = enter(weights[3], start, above[2])
        x_4 = across(m_3, x_3, open_x, extend_x)
        h_3, y_3 = leave(m_3, x_3, skipped[3], open_y, extend_y)
        states = (m_0, m_1, m_2, m_3), (x, x_1, x_2, x_3), skipped
        return states, x_4, (y_0, y_1, y_2, y_3), (h_0, h_1, h_2, h_3)

    @device
    def forward(weights, xs, corners, start, skipped, above, costs):
        """States of a block's cells by row, X to the right of each row, and Y and h below."""
        first, x_0, skipped, inner = forward_row(
            weights[0], xs[0], corners[0], start, skipped, above, costs
        )
        second, x_1, skipped, outer = forward_row(
            weights[1], xs[1], corners[1], start, skipped, inner, costs
        )
        return (first, second), (x_0, x_1), inner[3], skipped, outer

    @device
    def backward_cell(state, weight, bits, diagonal, right, below, ended, costs, sums):
        """Backward states of a cell, its share of the total, and the sums with its own.

        Sums are of what passes through the four kinds of gaps, but for their factors, and of
        shares times bits.
        """
        m, x, y = state
        onward, after_y = after_rows(diagonal, below, costs[2], costs[3])
        after_m, after_x = after_columns(onward, right, ended, costs[0], costs[1])
        share = m * after_m
        sums = (
            fma_float(m, right, sums[0]),
            fma_float(x, right, sums[1]),
            fma_float(m + x, below, sums[2]),
            fma_float(y, below, sums[3]),
            fma_float(share, bits, sums[4]),
        )
        return weight * after_m, after_x, after_y, share, sums

    @device
    def backward_row(states, weights, values, corner, right, below, ahead, ended, costs, sums):
        """Backward pass through a row from its last column.

        ``right`` is X beyond the row's last cell, ``corner`` weighted M of the cell below that,
        ``below`` Y of the row below, and ``ahead`` its weighted M.
        """
        m, x, y = states
        p_3, right, y_3, s_3, sums = backward_cell(
            (m[3], x[3], y[3]), weights[3], values[3], corner, right, below[3], ended, costs, sums
        )
        p_2, right, y_2, s_2, sums = backward_cell(
            (m[2], x[2], y[2]), weights[2], values[2], ahead[3], right, below[2], ended, costs, sums
        )
        p_1, right, y_1, s_1, sums = backward_cell(
            (m[1], x[1], y[1]), weights[1], values[1], ahead[2], right, below[1], ended, costs, sums
        )
        p_0, right, y_0, s_0, sums = backward_cell(
            (m[0], x[0], y[0]), weights[0], values[0], ahead[1], right, below[0], ended, costs, sums
        )
        return (p_0, p_1, p_2, p_3), right, (y_0, y_1, y_2, y_3), (s_0, s_1, s_2, s_3), sums

    @device
    def backward(states, weights, values, corners, rights, below, ahead, ended, costs):
        """Backward pass through a block: weighted M and Y above it, X on its left, shares, sums."""
        nothing = np.float32(0)
        sums = nothing, nothing, nothing, nothing, nothing
        inner, right_1, below, shares_1, sums = backward_row(
            states[1],
            weights[1],
            values[1],
            corners[1],
            rights[1],
            below,
            ahead,
            ended,
            costs,
            sums,
        )
        outer, right_0, below, shares_0, sums = backward_row(
            states[0],
            weights[0],
            values[0],
            corners[0],
            rights[0],
            below,
            inner,
            ended,
            costs,
            sums,
        )
        return outer, inner[0], (right_0, right_1), below, (shares_0, shares_1), sums

    return Block(forward, backward)

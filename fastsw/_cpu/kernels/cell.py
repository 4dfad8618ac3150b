"""The equations of a cell, for all kernels: sums and products of whatever numbers a kernel uses.

These are the equations of `_recurrence` in terms of weights, w = exp(s / T), and gap factors,
g = exp(-penalty / T), by which every smooth maximum becomes a sum:

    m = w * before                         before = start + h of the diagonal neighbour
    x = open_x * left m + extend_x * left x
    h = m + x + y                          what M of the diagonal successor follows
    v = open_y * (m + x) + extend_y * y    Y of the cell below

A gap factor belongs to the cell that is entered: column factors are those of this cell in the
forward pass and of the cell on the right in the backward pass, row factors those of the row below.
The backward states of a cell sum up all ways to go on from a state; the product of a forward and a
backward state, over the total, is the share of the alignments that pass through it.

Numbers are whatever has `+`, `*` and `mul_add`: vectors and dual numbers, as they are or in units
of powers of two, of which the kernels keep account.
"""

from fastsw._cpu.runtime.compile import inlined
from fastsw._cpu.simd.dual import mul_add, sum_of_three


@inlined
def enter(weight, before, left_m, left_x, open_x, extend_x):
    """States M and X of a cell, from its neighbours in the row above and on the left."""
    return weight * before, mul_add(extend_x, left_x, open_x * left_m)


@inlined
def leave(m, x, y, open_y, extend_y):
    """What the row below makes of a cell: h and v."""
    outer = m + x
    return outer + y, mul_add(extend_y, y, open_y * outer)


@inlined
def backward_rows(diagonal, down, open_y, extend_y):
    """What follows a cell in the row below, after M or X, and after Y: its backward state.

    ``diagonal`` is weight times M of the diagonal successor, ``down`` Y of the cell below.
    """
    return mul_add(open_y, down, diagonal), mul_add(extend_y, down, diagonal)


@inlined
def backward_columns(onward, right, ended, open_x, extend_x):
    """Backward states M and X of a cell, from what follows in the row below and X on the right.

    Alignments that end in the cell count as ``ended``.
    """
    return mul_add(open_x, right, onward + ended), mul_add(extend_x, right, onward)


@inlined
def backward(diagonal, right, down, ended, open_x, extend_x, open_y, extend_y):
    """Backward states M, X and Y of a cell; see `backward_rows` and `backward_columns`."""
    onward, y = backward_rows(diagonal, down, open_y, extend_y)
    m, x = backward_columns(onward, right, ended, open_x, extend_x)
    return m, x, y


@inlined
def count_columns(m, x, right, opened, extended):
    """Add the column gaps that are opened and extended on the right, but for their factors."""
    return mul_add(m, right, opened), mul_add(x, right, extended)


@inlined
def count_rows(m, x, y, down, opened, extended):
    """Add the row gaps that are opened and extended below, but for their factors."""
    return mul_add(m + x, down, opened), mul_add(y, down, extended)


@inlined
def warp(left, up, diagonal):
    """What a cell of soft-DTW is its weight times; backwards the cells after it take the places."""
    return sum_of_three(left, up, diagonal)

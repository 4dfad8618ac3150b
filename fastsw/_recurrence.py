"""The equations of affine-gap local, global and fitting alignment, one cell at a time.

Scalars in, scalars out. All values are in units of the temperature T (a score divided by T), so
that the smooth maximum is a plain log-sum-exp; the hard maximum (T = 0) keeps the values as they
are. With states M (a pair), X (columns skipped) and Y (rows skipped) and penalties read at the
cell that is entered [1]_::

    m[i,j] = s[i,j] + smax(start, m[i-1,j-1], x[i-1,j-1], y[i-1,j-1])
    x[i,j] = smax(m[i,j-1] - open_x[i,j], x[i,j-1] - extend_x[i,j])
    y[i,j] = smax(m[i-1,j] - open_y[i,j], x[i-1,j] - open_y[i,j], y[i-1,j] - extend_y[i,j])

Columns are skipped before rows (X may turn into Y, never Y into X), so every alignment is counted
exactly once. Reversing every arrow gives the suffix values (``*_suffix``): the smooth maximum over
all ways to go on from a state. The log-posterior of a pair is ``m + m_suffix - score``.

References
----------
.. [1] Oei, Gomaa, Feit, Belo, "Self-Supervised Contrastive Learning for Videos using
   Differentiable Local Alignment", arXiv 2409.04607, equations of D, Ix and Iy.
"""

import math

from numba import njit

__all__ = [
    "backward",
    "forward",
    "hard_forward",
    "smax2",
    "smax3",
    "smax4",
]

NEG_INF = -math.inf


@njit(nogil=True, error_model="numpy")
def smax2(a, b):
    """log(exp(a) + exp(b)), exact for -inf."""
    top = max(a, b)
    if top == NEG_INF:
        return top
    return top + math.log1p(math.exp(min(a, b) - top))


@njit(nogil=True, error_model="numpy")
def smax3(a, b, c):
    """log(exp(a) + exp(b) + exp(c)), exact for -inf."""
    top = max(a, max(b, c))
    if top == NEG_INF:
        return top
    return top + math.log(math.exp(a - top) + math.exp(b - top) + math.exp(c - top))


@njit(nogil=True, error_model="numpy")
def smax4(a, b, c, d):
    """log(exp(a) + exp(b) + exp(c) + exp(d)), exact for -inf."""
    top = max(max(a, b), max(c, d))
    if top == NEG_INF:
        return top
    return top + math.log(
        math.exp(a - top) + math.exp(b - top) + math.exp(c - top) + math.exp(d - top)
    )


@njit(nogil=True, error_model="numpy")
def forward(s, start, diagonal, left, up, penalties):
    """Prefix values (m, x, y) of a cell from its neighbours' (m, x, y).

    ``penalties`` is the cell's own (open_x, extend_x, open_y, extend_y).
    """
    open_x, extend_x, open_y, extend_y = penalties
    m = s + smax4(start, diagonal[0], diagonal[1], diagonal[2])
    x = smax2(left[0] - open_x, left[1] - extend_x)
    y = smax3(up[0] - open_y, up[1] - open_y, up[2] - extend_y)
    return m, x, y


@njit(nogil=True, error_model="numpy")
def backward(end, diagonal, right, down, penalties):
    """Suffix values (m, x, y) of a cell.

    ``diagonal`` is s + m_suffix of the next pair, ``right`` the x_suffix to the right, ``down``
    the y_suffix below, and ``penalties`` (open_x, extend_x of the cell to the right; open_y,
    extend_y of the cell below), the cells that are entered.
    """
    open_x, extend_x, open_y, extend_y = penalties
    m = smax4(end, diagonal, right - open_x, down - open_y)
    x = smax3(diagonal, right - extend_x, down - open_y)
    y = smax2(diagonal, down - extend_y)
    return m, x, y


@njit(nogil=True, error_model="numpy")
def share(part, whole):
    """exp(part - whole), the share of one term in a smooth maximum; 0 for an impossible whole."""
    if whole == NEG_INF:
        return 0.0
    return math.exp(part - whole)


@njit(nogil=True, error_model="numpy")
def hard_forward(s, start, diagonal, left, up, penalties):
    """Prefix values at temperature 0 and where each came from.

    Ties go to the first of: start, m, x, y. Origins are 0 (start), 1 (m), 2 (x), 3 (y).
    """
    open_x, extend_x, open_y, extend_y = penalties
    m, from_m = start, 0
    if diagonal[0] > m:
        m, from_m = diagonal[0], 1
    if diagonal[1] > m:
        m, from_m = diagonal[1], 2
    if diagonal[2] > m:
        m, from_m = diagonal[2], 3
    x, from_x = left[0] - open_x, 1
    if left[1] - extend_x > x:
        x, from_x = left[1] - extend_x, 2
    y, from_y = up[0] - open_y, 1
    if up[1] - open_y > y:
        y, from_y = up[1] - open_y, 2
    if up[2] - extend_y > y:
        y, from_y = up[2] - extend_y, 3
    return (m + s, x, y), (from_m, from_x, from_y)

"""The equations of a cell in the kernels' numbers are those of the plain definition."""

import numpy as np
import pytest
from numba import njit

from fastsw import _recurrence
from fastsw._cpu.kernels import cell, log_space
from fastsw._cpu.kernels.log_numbers import answer, double, one
from fastsw._cpu.runtime.parts import KERNEL
from fastsw._cpu.simd.max_plus_numbers import max_plus, score_of

in_kernel = njit(error_model="numpy", **KERNEL)


@in_kernel
def log_weight(x):
    """A logarithm as a number."""
    like = one(1.0, None)
    return double(like, x, 0.0) * like


@in_kernel
def in_log_space(s, start, diagonal, left, up, penalties):
    """Forward values of a cell in log space."""
    dm, dx, dy = log_weight(diagonal[0]), log_weight(diagonal[1]), log_weight(diagonal[2])
    um, ux, uy = log_weight(up[0]), log_weight(up[1]), log_weight(up[2])
    h, _ = cell.leave(dm, dx, dy, 0.0, 0.0)
    _, y = cell.leave(um, ux, uy, -penalties[2], -penalties[3])
    m, x = log_weight(left[0]), log_weight(left[1])
    m, x = cell.enter(s, h + log_weight(start), m, x, -penalties[0], -penalties[1])
    return answer(m, 1.0)[0], answer(x, 1.0)[0], answer(y, 1.0)[0]


@in_kernel
def at_zero(s, start, diagonal, left, up, penalties):
    """Forward values of a cell at temperature 0."""
    dm, dx, dy = max_plus(diagonal[0]), max_plus(diagonal[1]), max_plus(diagonal[2])
    um, ux, uy = max_plus(up[0]), max_plus(up[1]), max_plus(up[2])
    h, _ = cell.leave(dm, dx, dy, max_plus(0.0), max_plus(0.0))
    _, y = cell.leave(um, ux, uy, max_plus(-penalties[2]), max_plus(-penalties[3]))
    before, open_x, extend_x = h + max_plus(start), max_plus(-penalties[0]), max_plus(-penalties[1])
    m, x = cell.enter(max_plus(s), before, max_plus(left[0]), max_plus(left[1]), open_x, extend_x)
    return score_of(m), score_of(x), score_of(y)


@in_kernel
def by_shares(states, following, penalties):
    """Probabilities of a cell's states, given those of what follows it, and those of its gaps."""
    m, x, y = log_weight(states[0]), log_weight(states[1]), log_weight(states[2])
    factors = -penalties[0], -penalties[1], -penalties[2], -penalties[3]
    diagonal, right, down = following
    return log_space.backward(m, x, y, diagonal, right, down, factors)


def values(rng, count):
    """Random values, some of them impossible."""
    return tuple(np.where(rng.random(count) < 0.2, -np.inf, rng.normal(0, 3, count)).tolist())


@pytest.mark.parametrize("seed", range(30))
def test_forward_values_are_those_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    s, start = values(rng, 2)
    neighbours, penalties = [values(rng, 3) for _ in range(3)], tuple(rng.normal(0, 1, 4).tolist())
    wanted = _recurrence.forward(s, start, *neighbours, penalties)
    np.testing.assert_allclose(
        in_log_space(s, start, *neighbours, penalties), wanted, rtol=1e-13, atol=1e-13
    )
    best, _ = _recurrence.hard_forward(s, start, *neighbours, penalties)
    assert at_zero(s, start, *neighbours, penalties) == best


@pytest.mark.parametrize("seed", range(30))
def test_probabilities_are_those_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    (m, x, y), penalties = values(rng, 3), tuple(rng.normal(0, 1, 4).tolist())
    diagonal, right, down = rng.normal(0, 3, 3).tolist()
    open_x, extend_x, open_y, extend_y = penalties
    suffix = _recurrence.backward(-np.inf, diagonal, right, down, penalties)
    total = _recurrence.smax3(*np.add((m, x, y), suffix).tolist())

    def share(part):
        return _recurrence.share(part, total)

    followed = share(_recurrence.smax3(m, x, y) + diagonal)
    gaps = (
        share(m - open_x + right),
        share(x - extend_x + right),
        share(_recurrence.smax2(m, x) - open_y + down),
        share(y - extend_y + down),
    )
    found = by_shares((m, x, y), (followed, gaps[0] + gaps[1], gaps[2] + gaps[3]), penalties)
    wanted = tuple(share(a + b) for a, b in zip((m, x, y), suffix, strict=True))
    np.testing.assert_allclose(found[:3], wanted, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(found[3], gaps, rtol=1e-13, atol=1e-14)

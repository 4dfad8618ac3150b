"""The equations of a cell on a GPU against those of `_recurrence`, one cell at a time.

Runs in the simulator, where device functions are Python's.
"""

import math

import numpy as np
import pytest

from fastsw import _recurrence
from tests.support.simulated import SIMULATED

if not SIMULATED:
    pytest.skip("calls device functions from the host", allow_module_level=True)

from fastsw._cuda.kernels import dtw
from fastsw._cuda.kernels.cell import affine_cell, linear_cell
from fastsw._cuda.kernels.penalties import LN2
from fastsw._cuda.scaled import numbers

pytestmark = pytest.mark.simulator

#: Kinds of numbers, and a bound of a logarithm's error: some roundings of the mantissa.
KINDS = {"narrow": 1e-6, "wide": 1e-6, "double": 1e-14}

IMPOSSIBLE = -math.inf


def scaled(name, value, tangent=0.0):
    """A number by its natural logarithm."""
    kind = numbers(name)
    if value == IMPOSSIBLE:
        return kind.real(1), kind.nothing, kind.real(0)
    f, k, _ = kind.split(value / LN2, kind.real(0))
    return *kind.normal(f, k), kind.real(tangent)


def logarithm(name, number):
    """The natural logarithm of a number."""
    f, k, _ = number
    if k < numbers(name).underflow:
        return IMPOSSIBLE
    return LN2 * (float(k) + math.log2(f))


def values(rng, count):
    """Logarithms of very different sizes, some of what is impossible."""
    found = rng.normal(0.0, 10.0, count)
    return np.where(rng.random(count) < 0.2, IMPOSSIBLE, found)


def close(name, found, wanted):
    """Hold numbers to logarithms."""
    for one, other in zip(found, wanted, strict=True):
        value = logarithm(name, one)
        assert value == other or abs(value - other) <= KINDS[name] * (1.0 + abs(other))


def drawn_cell(seed):
    """A cell's similarity, start, neighbours and penalties."""
    rng = np.random.default_rng(seed)
    start = 0.0 if rng.random() < 0.5 else IMPOSSIBLE
    return rng.normal(), start, values(rng, 3), values(rng, 3), values(rng, 3), rng.normal(2, 1, 4)


def forward_on(name, cell, tangents=None):
    """Forward states by the equation of the GPU's kernels."""
    s, start, diagonal, left, above, penalties = cell
    equations = affine_cell(name, with_tangents=tangents is not None)
    d = np.zeros(8) if tangents is None else tangents
    kind = numbers(name)
    costs = [scaled(name, -p, -dot) for p, dot in zip(penalties, d[4:], strict=True)]
    return equations.forward(
        scaled(name, s, d[0]),
        kind.whole(0) if start == 0.0 else kind.nothing,
        scaled(name, _recurrence.smax3(*diagonal), d[1]),
        [scaled(name, v, d[2]) for v in left[:2]],
        (scaled(name, _recurrence.smax2(*above[:2]), d[3]), scaled(name, above[2])),
        costs,
        False,
    )


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", KINDS)
def test_the_forward_equation_is_that_of_the_recurrence(name, seed):
    cell = drawn_cell(seed)
    close(name, forward_on(name, cell), _recurrence.forward(*map(tuple_of, cell)))


def tuple_of(value):
    """An array as the tuple that the recurrence takes."""
    return tuple(map(float, value)) if isinstance(value, np.ndarray) else float(value)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", KINDS)
def test_the_backward_equation_and_shares_are_those_of_the_recurrence(name, seed):
    rng = np.random.default_rng(seed)
    end, diagonal, right, below = values(rng, 4)
    penalties, before = rng.normal(2, 1, 4), values(rng, 3)
    equations = affine_cell(name, with_tangents=False)
    costs = [scaled(name, -p) for p in penalties]
    found, gaps = equations.backward(
        *(scaled(name, v) for v in (end, diagonal, right, below)), costs[:2], costs[2:]
    )
    wanted = _recurrence.backward(end, diagonal, right, below, tuple_of(penalties))
    close(name, found, wanted)
    onward = [v - p for v, p in zip((right, right, below, below), penalties, strict=True)]
    entered = before[0], before[0], before[1], _recurrence.smax2(*before[:2]), before[2]
    parts = [a + b for a, b in zip(entered, (wanted[0], *onward), strict=True)]
    total = max(*parts, 0.0) + 1.0  # nothing passes more often than once
    kind = numbers(name)
    per_total, exponent, _ = scaled(name, -total)
    of_gaps = equations.gap_shares(
        [scaled(name, v) for v in before], gaps, per_total, per_total, exponent, 0.0
    )
    of_pair = equations.pair_share(
        [scaled(name, v) for v in before], found[0], per_total, exponent, 0.0
    )
    exact = [math.exp(part - total) for part in parts]
    np.testing.assert_allclose(
        np.array([of_pair, *of_gaps], float),
        exact,
        rtol=40 * KINDS[name],
        atol=float(np.finfo(kind.real).tiny),
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_equations_over_floats_are_those_of_the_recurrence(seed):
    s, start, diagonal, left, above, penalties = drawn_cell(seed)
    open_x, extend_x, open_y, extend_y = np.exp(-penalties)
    equations = linear_cell()
    corner, _ = equations.leave(*np.exp(diagonal), open_y, extend_y)
    m = equations.enter(math.exp(s), math.exp(start), corner)
    x = equations.across(*np.exp(left[:2]), open_x, extend_x)
    _, y = equations.leave(*np.exp(above), open_y, extend_y)
    wanted = _recurrence.forward(*map(tuple_of, (s, start, diagonal, left, above, penalties)))
    np.testing.assert_allclose((m, x, y), np.exp(wanted), rtol=1e-13)

    end, onward, right, below = values(np.random.default_rng([seed, 1]), 4)
    after, after_y = equations.after_rows(np.exp(onward), np.exp(below), open_y, extend_y)
    after_m, after_x = equations.after_columns(after, np.exp(right), np.exp(end), open_x, extend_x)
    wanted = _recurrence.backward(end, onward, right, below, tuple_of(penalties))
    np.testing.assert_allclose((after_m, after_x, after_y), np.exp(wanted), rtol=1e-13)


@pytest.mark.parametrize("seed", range(20))
def test_tangents_of_the_forward_equation_equal_differences(seed):
    rng = np.random.default_rng(seed)
    s, start, *neighbours, penalties = drawn_cell(seed)
    diagonal, left, above = (np.where(np.isfinite(v), v, -3.0) for v in neighbours)
    dots = rng.normal(size=8)

    def moved(step):
        return (
            s + step * dots[0],
            start,
            tuple_of(diagonal + step * dots[1]),
            tuple_of(left + step * dots[2]),
            tuple_of(above + step * dots[3] * np.array([1.0, 1.0, 0.0])),
            tuple_of(penalties + step * dots[4:]),
        )

    found = forward_on("double", (s, start, diagonal, left, above, penalties), dots)
    step = 1e-5
    ahead, behind = (np.array(_recurrence.forward(*moved(d))) for d in (step, -step))
    np.testing.assert_allclose([n[2] for n in found], (ahead - behind) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("seed", range(20))
def test_warping_has_one_equation_at_any_temperature(seed):
    rng = np.random.default_rng(seed)
    weight, *neighbours = rng.normal(0.0, 5.0, 4)
    numbered = [scaled("double", v)[:2] for v in (weight, *neighbours)]
    for first in (False, True):
        to, through = dtw.through(*numbered, first)
        wanted = 0.0 if first else _recurrence.smax3(*neighbours)
        close("double", [(*to, 0.0), (*through, 0.0)], [wanted, wanted + weight])
        low, low_through = dtw.through_cold(weight, *neighbours, first)
        assert low == (0.0 if first else min(neighbours)) and low_through == low + weight

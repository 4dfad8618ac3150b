"""Soft-DTW: enumeration, the float64 reference, the kernels; lengths, bands, derivatives."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

import fastsw
from fastsw import _reference
from tests.support.oracle import within

torch = pytest.importorskip("torch")
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402

from tests.support.recorder import Recorder  # noqa: E402

TEMPERATURES = [0.001, 0.01, 0.1, 1.0, 100.0]
DTYPES = [np.float64, np.float32]


@cache
def warping_paths(rows, columns):
    """All paths from the first to the last cell by steps right, down or diagonally."""
    if rows == 0 or columns == 0:
        return ()
    if rows == columns == 1:
        return (((0, 0),),)
    last = rows - 1, columns - 1
    before = ((rows - 1, columns - 1), (rows - 1, columns), (rows, columns - 1))
    return tuple((*path, last) for n, m in before for path in warping_paths(n, m))


def enumerate_dtw(cost, temperature, bandwidth=None):
    """Value, probability that a path visits each cell, and minus the entropy of the paths."""
    band = max(cost.shape) if bandwidth is None else bandwidth
    paths = [p for p in warping_paths(*cost.shape) if all(abs(i - j) <= band for i, j in p)]
    totals = np.array([sum(cost[cell] for cell in path) for path in paths])
    share = softmax(-totals / temperature)
    visited = np.zeros(cost.shape)
    for path, weight in zip(paths, share, strict=True):
        for cell in path:
            visited[cell] += weight
    positive = share > 0
    slope = np.sum(share[positive] * np.log(share[positive]))
    return -temperature * logsumexp(-totals / temperature), visited, slope


@pytest.mark.parametrize("bandwidth", [None, 1, 2])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 2), (3, 4), (4, 4)], ids=str)
@pytest.mark.parametrize("temperature", [0.2, 1.0, 7.0])
def test_reference_equals_enumeration(shape, temperature, bandwidth):
    cost = np.random.default_rng(0).uniform(-1, 3, shape)
    found = _reference.soft_dtw(cost, temperature=temperature, bandwidth=bandwidth)
    for one, other in zip(found, enumerate_dtw(cost, temperature, bandwidth), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def expected(cost, temperature, *, lengths=None, bandwidth=None):
    """Values [B], gradients [B, N, M] and slopes in T [B] of a batch."""
    values, gradient, slopes = [], np.zeros(cost.shape), []
    lengths = [cost.shape[1:]] * len(cost) if lengths is None else lengths
    for b, (n, m) in enumerate(lengths):
        with np.errstate(all="ignore"):
            value, visited, slope = _reference.soft_dtw(
                cost[b, :n, :m], temperature=temperature, bandwidth=bandwidth
            )
        finite = np.isfinite(value)
        values.append(value)
        slopes.append(slope if finite else 0.0)
        gradient[b, :n, :m] = visited if finite else 0.0
    return np.array(values), gradient, np.array(slopes)


def differentiated(cost, temperature, **options):
    """Values, gradient in the cost and slope in T, through torch."""
    given_cost = torch.tensor(cost, requires_grad=True)
    given_temperature = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    value = fastsw.soft_dtw(given_cost, temperature=given_temperature, **options)
    value[torch.isfinite(value)].sum().backward()
    return value.detach().numpy(), given_cost.grad.numpy(), float(given_temperature.grad)


def check(cost, temperature, **options):
    """Hold value, gradient and slope to the reference.

    float64: every exponent is a sum of terms of size |cost| / T rounded to 1e-16 each. float32: the
    bounds of `fastsw.score`, 2e-6 relative for values and 2e-5 absolute for probabilities.
    """
    wanted, gradient, slopes = expected(cost.astype(np.float64), temperature, **options)
    value, found, slope = differentiated(cost, temperature, **options)
    assert value.dtype == found.dtype == cost.dtype
    finite = np.isfinite(wanted)
    cells = np.where(gradient > 0, np.abs(cost), 0.0)
    size = np.sum(gradient * cells, axis=(1, 2)) / temperature
    if cost.dtype == np.float64:
        of_value, of_visits = 1e-12, (1e-12 + 5e-14 * size)[:, None, None]
    else:
        of_value, of_visits = 2e-6, 2e-5
    within(value, wanted, of_value * np.maximum(temperature, np.abs(np.where(finite, wanted, 0))))
    within(found, gradient, of_visits)
    np.testing.assert_allclose(fastsw.soft_dtw(cost, temperature=temperature, **options), value)
    if cost.dtype == np.float64:
        rounding = np.sum(1e-12 + 1e-15 * size**2)
    else:
        rounding = np.sum(2e-5 * np.maximum(1, np.abs(slopes)) + 2e-6 * size)
    within(slope, slopes.sum(), rounding)


SHAPES = [(1, 1), (1, 9), (9, 1), (7, 8), (15, 17), (16, 16), (17, 33), (33, 31)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_derivatives_equal_the_reference(shape, batch, temperature, dtype):
    cost = np.random.default_rng(1).uniform(-0.5, 3, (batch, *shape)).astype(dtype)
    check(cost, temperature)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [0.001, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("bandwidth", [None, 4, 8])
def test_uneven_lengths_equal_the_reference(bandwidth, temperature, dtype):
    rng = np.random.default_rng(2)
    shape = 9, 34, 37
    cost = np.full(shape, np.nan, dtype)  # cells outside of the lengths are never read
    rows = rng.integers(1, 35, 9)
    lengths = np.stack([rows, np.clip(rows + rng.integers(-4, 5, 9), 1, 37)], axis=1)
    lengths[:3] = (34, 37), (1, 1), (1, 4)
    for b, (n, m) in enumerate(lengths):
        cost[b, :n, :m] = rng.uniform(0, 2, (n, m))
    check(cost, temperature, lengths=lengths, bandwidth=bandwidth)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(8, 8), (16, 16), (17, 16), (31, 33), (33, 33), (40, 33)], ids=str
)
def test_bands_of_any_width_equal_the_reference(shape, dtype):
    """Tight bands, and edges on both sides of the squares that kernels skip."""
    cost = np.random.default_rng(3).uniform(0, 2, (2, *shape)).astype(dtype)
    least = abs(shape[0] - shape[1])
    for bandwidth in sorted({least + k for k in (0, 1, 2)} | {7, 8, 9, 15, 16, 17, 31, 100}):
        if bandwidth >= least:
            check(cost, 0.3, bandwidth=bandwidth)
    wide = fastsw.soft_dtw(cost, bandwidth=max(shape))
    np.testing.assert_array_equal(wide, fastsw.soft_dtw(cost))


def test_a_band_of_zero_is_the_diagonal():
    cost = np.random.default_rng(4).uniform(0, 2, (3, 19, 19))
    wanted = cost[:, np.arange(19), np.arange(19)].sum(axis=1)
    np.testing.assert_allclose(fastsw.soft_dtw(cost, bandwidth=0), wanted, rtol=1e-13)


RANGES = {
    "ten thousand": lambda rng, shape: rng.uniform(-1e4, 1e4, shape),
    "cliff": lambda rng, shape: np.where(rng.random(shape) < 0.1, -1e3, 50.0),
    "masked by 1e9": lambda rng, shape: np.where(rng.random(shape) < 0.2, 1e9, rng.random(shape)),
    "forbidden cells": lambda rng, shape: np.where(
        rng.random(shape) < 0.2, np.inf, rng.random(shape)
    ),
    "cheap dead end": lambda rng, shape: (
        np.where(
            np.add(*np.indices(shape[1:])[::-1] * [[[-1]], [[1]]]) > shape[1] // 3, -200.0, 3.0
        )
        + np.zeros(shape)
    ),
    "constant": lambda rng, shape: np.full(shape, 1.5),
    "zero": lambda rng, shape: np.zeros(shape),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [0.001, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("kind", RANGES)
def test_costs_of_any_range_equal_the_reference(kind, temperature, dtype):
    cost = RANGES[kind](np.random.default_rng(5), (2, 26, 30)).astype(dtype)
    check(cost, temperature)


@settings(max_examples=60)
@given(st.data())
def test_any_call_equals_the_reference(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 22), st.integers(1, 22)))
    cost = rng.choice([0.1, 1.0, 30.0, 1e3]) * rng.standard_normal(shape)
    if data.draw(st.booleans()):
        cost[rng.random(shape) < 0.2] = np.inf
    lengths = np.stack([rng.integers(1, k + 1, shape[0]) for k in shape[1:]], axis=1)
    least = int(np.abs(lengths[:, 0] - lengths[:, 1]).max())
    check(
        cost.astype(data.draw(st.sampled_from(DTYPES))),
        data.draw(st.sampled_from([0.01, 0.5, 1.0, 50.0])),
        lengths=lengths,
        bandwidth=data.draw(st.none() | st.integers(least, least + 20)),
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bandwidth", [None, 2])
def test_temperature_zero_is_dynamic_time_warping(bandwidth, dtype):
    rng = np.random.default_rng(6)
    cost = rng.integers(0, 4, (40, 4, 5)).astype(dtype)  # small integers: many ties
    value, gradient, slope = differentiated(cost, 0.0, bandwidth=bandwidth)
    paths = [
        path
        for path in warping_paths(4, 5)
        if bandwidth is None or all(abs(i - j) <= bandwidth for i, j in path)
    ]
    best = [min(sum(cost[b][cell] for cell in path) for path in paths) for b in range(40)]
    np.testing.assert_array_equal(value, best)
    assert slope == 0
    for b in range(40):
        visited = tuple(map(tuple, np.argwhere(gradient[b]).tolist()))
        assert visited in paths and set(np.unique(gradient[b])) == {0.0, 1.0}
        assert sum(cost[b][cell] for cell in visited) == best[b]
    _, even, _ = differentiated(np.zeros((1, 5, 5), dtype), 0.0)
    np.testing.assert_array_equal(even[0], np.eye(5))  # a diagonal step before any other


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_pairs_without_a_path_cost_infinity(temperature):
    cost = np.ones((4, 5, 6))
    cost[1, :, 2] = np.inf
    lengths = np.array([[5, 6], [5, 6], [0, 6], [3, 0]])
    value, gradient, slope = differentiated(cost, temperature, lengths=lengths)
    assert np.isfinite(value[0]) and (value[1:] == np.inf).all()
    assert (gradient[1:] == 0).all() and np.isfinite(slope)
    for shape in ((0, 5, 6), (2, 0, 6), (2, 5, 0)):
        found = fastsw.soft_dtw(np.zeros(shape, np.float32), temperature=temperature)
        assert found.shape == shape[:1] and (found == np.inf).all()


@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("bad", [np.nan, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_minus_infinity_poison_their_own_pair_alone(dtype, bad, temperature):
    rng = np.random.default_rng(7)
    cost = rng.uniform(0, 1, (9, 13, 11)).astype(dtype)
    clean, clean_gradient, _ = differentiated(cost, temperature)
    cost[4, 12, 10] = bad
    given_cost = torch.tensor(cost, requires_grad=True)
    value = fastsw.soft_dtw(given_cost, temperature=temperature)
    value.sum().backward()
    others = np.arange(9) != 4
    assert torch.isnan(value[4]) and torch.isnan(given_cost.grad[4]).all()
    np.testing.assert_array_equal(value.detach().numpy()[others], clean[others])
    np.testing.assert_array_equal(given_cost.grad.numpy()[others], clean_gradient[others])
    assert np.isnan(fastsw.soft_dtw(cost, temperature=temperature)).tolist() == (~others).tolist()


@pytest.mark.parametrize("bandwidth", [None, 1])
def test_first_derivatives_are_exact(bandwidth):
    cost = torch.rand(2, 4, 3, dtype=torch.float64, requires_grad=True)
    temperature = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([[4, 3], [2, 3]])

    def value(c, t):
        return fastsw.soft_dtw(c, temperature=t, lengths=lengths, bandwidth=bandwidth)

    assert gradcheck(value, (cost, temperature))
    weights = torch.tensor([2.0, -3.0], dtype=torch.float64)
    (weighted,) = torch.autograd.grad((value(cost, temperature) * weights).sum(), cost)
    (plain,) = torch.autograd.grad(value(cost, temperature).sum(), cost)
    torch.testing.assert_close(weighted, plain * weights[:, None, None])


@pytest.mark.parametrize("bandwidth", [None, 1])
def test_second_derivatives_are_exact(bandwidth):
    cost = torch.rand(2, 4, 3, dtype=torch.float64, requires_grad=True)
    temperature = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([[4, 3], [2, 3]])

    def value(c, t):
        return fastsw.soft_dtw(c, temperature=t, lengths=lengths, bandwidth=bandwidth)

    assert gradgradcheck(value, (cost, temperature))


@pytest.mark.filterwarnings("ignore")  # torch may warn that it loops over the batch
def test_vmap_equals_the_batch():
    cost = torch.rand(3, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    mapped = torch.func.vmap(fastsw.soft_dtw)(cost)
    one_by_one = torch.stack([fastsw.soft_dtw(part) for part in cost])
    torch.testing.assert_close(mapped, one_by_one)
    found = torch.autograd.grad(mapped.sum(), cost)
    torch.testing.assert_close(found, torch.autograd.grad(one_by_one.sum(), cost))


def test_the_compiled_function_answers_the_same():
    cost = torch.rand(3, 6, 5, dtype=torch.float64, requires_grad=True)

    def loss(c):
        return fastsw.soft_dtw(c * 2, temperature=0.3, bandwidth=3).sum()

    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(cost), loss(cost))
    found, wanted = (torch.autograd.grad(f(cost), cost) for f in (compiled, loss))
    torch.testing.assert_close(found, wanted)


@pytest.mark.smoke(1)
@pytest.mark.parametrize("bandwidth", [None, 2])
def test_operators_pass_opcheck(bandwidth):
    cost = torch.rand(2, 6, 5, dtype=torch.float64, requires_grad=True)
    temperature = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    with Recorder() as recorder:
        value = fastsw.soft_dtw(cost, temperature=temperature, bandwidth=bandwidth)
        (gradient,) = torch.autograd.grad(value.sum(), cost, create_graph=True)
        gradient.square().sum().backward()
        with torch.no_grad():
            fastsw.soft_dtw(cost, temperature=temperature, bandwidth=bandwidth)
    operators = recorder.operators()
    assert len(operators) == 3
    for operator, arguments in operators.items():
        opened = [
            a.detach().requires_grad_(a.is_floating_point() and "tangent" not in operator.name())
            if isinstance(a, torch.Tensor)
            else a
            for a in arguments
        ]
        torch.library.opcheck(operator, opened)


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_half_precision_computes_in_float32(low):
    cost = torch.rand(2, 30, 31).to(low).requires_grad_()
    full = cost.detach().float().requires_grad_()
    value = fastsw.soft_dtw(cost)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, fastsw.soft_dtw(full), rtol=0, atol=0)
    value.sum().backward()
    fastsw.soft_dtw(full).sum().backward()
    assert cost.grad.dtype == low
    torch.testing.assert_close(cost.grad, full.grad.to(low))


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_upstream_gradients_of_half_precision_are_applied_in_float32(low):
    cost = torch.rand(2, 6, 5).to(low)
    cost[:, 1, 2:] = torch.inf
    cost.requires_grad_()
    lengths = torch.tensor([[6, 5], [4, 4]])
    full = cost.detach().float().requires_grad_()
    for leaf in (cost, full):
        (65536.0 * fastsw.soft_dtw(leaf, lengths=lengths)).sum().backward()
    wanted = full.grad.to(low)
    torch.testing.assert_close(cost.grad, wanted, rtol=torch.finfo(low).eps, atol=0)
    assert not cost.grad[:, 1, 2:].any() and not cost.grad[1, 4:].any()
    assert 0 < cost.grad[0, 1, 0].float() < 65504  # it fits, and is there


@pytest.mark.slow
def test_values_equal_tslearn():
    metrics = pytest.importorskip("tslearn.metrics")
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((40, 3)), rng.standard_normal((40, 3))
    short = y[:33]
    cost = np.square(x[:, None] - y).sum(axis=-1)
    for temperature in (0.1, 1.0, 5.0):
        found = fastsw.soft_dtw(cost[:, :33], temperature=temperature)
        assert found == pytest.approx(metrics.soft_dtw(x, short, gamma=temperature), rel=1e-6)
    hard = fastsw.soft_dtw(cost, temperature=0.0, bandwidth=5)
    banded = metrics.dtw(x, y, global_constraint="sakoe_chiba", sakoe_chiba_radius=5)
    assert np.sqrt(hard) == pytest.approx(banded, rel=1e-9)


LAYOUTS = {
    "fortran": np.asfortranarray,
    "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_and_rank_change_nothing(layout):
    cost = np.random.default_rng(9).uniform(0, 2, (9, 12, 7))
    wanted = fastsw.soft_dtw(cost)
    np.testing.assert_array_equal(fastsw.soft_dtw(LAYOUTS[layout](cost)), wanted)
    alone = fastsw.soft_dtw(cost[3])
    assert np.shape(alone) == () and alone == pytest.approx(wanted[3], rel=1e-14)
    shorter = fastsw.soft_dtw(cost[3], lengths=(5, 4))
    assert shorter == pytest.approx(fastsw.soft_dtw(cost[3, :5, :4]), rel=1e-14)


def test_jax_arrays_give_jax_arrays():
    jax = pytest.importorskip("jax")
    cost = np.random.default_rng(10).uniform(0, 2, (2, 6, 5)).astype(np.float32)
    for given_cost in (cost, cost[0]):
        found = fastsw.soft_dtw(jax.numpy.asarray(given_cost), bandwidth=3)
        assert isinstance(found, jax.Array) and found.shape == given_cost.shape[:-2]
        np.testing.assert_array_equal(found, fastsw.soft_dtw(given_cost, bandwidth=3))


BAD = {
    "rank": (ValueError, "cost", "(3,)", dict(cost=np.zeros(3))),
    "booleans": (TypeError, "cost", "bool", dict(cost=np.zeros((3, 4), bool))),
    "temperature": (ValueError, "temperature", "-1", dict(temperature=-1.0)),
    "lengths": (ValueError, "lengths", "6", dict(lengths=(6, 4))),
    "negative band": (ValueError, "bandwidth", "-1", dict(bandwidth=-1)),
    "band of a fraction": (TypeError, "bandwidth", "1.5", dict(bandwidth=1.5)),
    "band of a truth": (TypeError, "bandwidth", "True", dict(bandwidth=True)),
    "narrow band": (ValueError, "bandwidth", "1", dict(bandwidth=1, lengths=(5, 2))),
}


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
@pytest.mark.parametrize(("error", "name", "value", "bad"), BAD.values(), ids=BAD)
def test_bad_input_is_named(error, name, value, bad, kind):
    options = dict(cost=np.zeros((5, 4))) | bad
    cost = kind(options.pop("cost"))
    with pytest.raises(error, match=f"`{name}") as caught:
        fastsw.soft_dtw(cost, **options)
    assert value in str(caught.value)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_a_band_may_be_any_integer_type(kind):
    cost = np.random.default_rng(11).uniform(0, 2, (5, 4))
    wanted = fastsw.soft_dtw(cost, bandwidth=2)
    found = fastsw.soft_dtw(kind(cost), bandwidth=np.int64(2))
    assert float(found) == pytest.approx(float(wanted), rel=1e-15)

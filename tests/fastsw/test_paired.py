"""Batches whose pairs are lanes of a vector: every answer, and which pairs are computed so."""

import numpy as np
import pytest

import fastsw
from fastsw import _cpu
from fastsw._cpu.kernels import inter_pair
from fastsw._cpu.simd.vectors import native_lanes
from fastsw._frontends.numpy_arrays import call
from tests.support.oracle import assert_close, expected, expected_tangents, within, within_entropy

MODES = ["local", "global"]
DTYPES = [np.float32, np.float64]


@pytest.fixture
def seen(monkeypatch):
    """Let every pair that may go to the kernel do so; the pairs that went there."""
    pairs = []

    def all_of(order, lengths, alike, bits, lanes, want, threads):
        groups = np.full((-(-len(order) // lanes), lanes), -1)
        groups.reshape(-1)[: len(order)] = order
        pairs.extend(order.tolist())
        return inter_pair.Choice(groups, order[:0], *lengths[order].max(axis=0).tolist())

    monkeypatch.setattr(inter_pair, "choose", all_of)
    return pairs


def batch(count, shape, dtype, *, seed=0, ragged=True):
    """Similarity, lengths from 1 to full (or all full), and a penalty of its own for each pair."""
    rng = np.random.default_rng([seed, count, *shape])
    similarity = rng.standard_normal((count, *shape)).astype(dtype)
    lengths = np.full((count, 2), shape)
    if ragged:
        lengths[1:] = rng.integers(1, np.add(shape, 1), (count - 1, 2))
        lengths[1:3] = [1, shape[1]], [shape[0], 1]
    gap_open, gap_extend = rng.uniform(0.1, 2.0, count), rng.uniform(0.0, 0.4, count)
    return similarity, dict(gap_open=gap_open, gap_extend=gap_extend, lengths=lengths)


def spoil_outside(similarity, lengths):
    """NaN in every cell outside of the lengths."""
    spoilt = similarity.copy()
    for b, (n, m) in enumerate(lengths):
        spoilt[b, n:] = spoilt[b, :, m:] = np.nan
    return spoilt


def check(similarity, options):
    """Compare all functions with the reference."""
    temperature = options["temperature"]
    found = fastsw.value_and_grad(spoil_outside(similarity, options["lengths"]), **options)
    wanted = expected(similarity, **options)
    assert_close(found, wanted, similarity=similarity, temperature=temperature)
    score, entropy = fastsw.score(similarity, **options), fastsw.entropy(similarity, **options)
    np.testing.assert_allclose(score, found[0], rtol=4e-6)
    within_entropy(entropy, wanted, temperature, similarity.dtype)
    for b, (n, m) in enumerate(options["lengths"]):
        assert not found[1].similarity[b, n:].any() and not found[1].similarity[b, :, m:].any()


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("shape", [(8, 8), (7, 33), (33, 7), (37, 29), (64, 65)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_lanes_of_pairs_equal_the_reference(mode, dtype, shape, ragged, seen):
    similarity, options = batch(37, shape, dtype, ragged=ragged)
    for temperature in (0.5, 1.0, 100.0):
        check(similarity, options | dict(mode=mode, temperature=temperature))
    assert len(set(seen)) == 37


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_forbidden_cells_rows_and_columns_weigh_nothing(mode, dtype, seen):
    similarity, options = batch(32, (21, 18), dtype)
    rng = np.random.default_rng(1)
    similarity[rng.random(similarity.shape) < 0.3] = -np.inf
    similarity[3:9, 7:10] = -np.inf
    similarity[6:12, :, 2:11] = -np.inf
    similarity[20] = np.where(np.arange(18) == 0, 1.0, -np.inf)
    check(similarity, options | dict(mode=mode, temperature=0.7))
    assert 20 in seen


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_pairs_at_the_edge_of_the_range_stay_exact(mode, dtype, seen):
    """Dead ends, ridges and walls, at temperatures down to where the next kernel takes over."""
    rng = np.random.default_rng(2)
    shape = 30, 34
    tables = rng.standard_normal((36, *shape))
    for b, table in enumerate(tables):
        i, j = rng.integers(2, 28, 2)
        if b % 4 == 1:
            table[:i, :j] = 4.0
            table[i : i + 2] = -np.inf
        elif b % 4 == 2:
            table[:] = -5.0
            np.fill_diagonal(table, 5.0)
            table[10:13] = -np.inf
        elif b % 4 == 3:
            table[:] = np.where(rng.random(shape) < 0.5, 6.0, -60.0)
    similarity = tables.astype(dtype)
    options = dict(gap_open=rng.uniform(0, 2, 36), gap_extend=rng.uniform(0, 0.3, 36), mode=mode)
    went = []
    for temperature in np.geomspace(0.03, 3.0, 10).tolist():
        del seen[:]
        score, gradients = fastsw.value_and_grad(similarity, **options, temperature=temperature)
        wanted = expected(similarity, **options, temperature=temperature)
        # float64: exponents of up to 60 / 0.03 are rounded to 2e-13, more than once.
        of_score, of_posterior = (1e-12, 1e-11) if dtype == np.float64 else (2e-6, 2e-5)
        within(score, wanted.score, of_score * np.maximum(temperature, np.abs(wanted.score)))
        within(gradients.similarity, wanted.similarity, of_posterior)
        within(gradients.gap_open, wanted.gap_open, of_posterior * (1 - wanted.gap_open))
        went.append(len(seen))
    assert went[0] < went[-1] == 36


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("shape", [(8, 8), (7, 33), (33, 7), (29, 31)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_tangents_of_lanes_of_pairs_equal_the_reference(mode, dtype, shape, ragged, seen):
    similarity, options = batch(19, shape, dtype, ragged=ragged)
    rng = np.random.default_rng(4)
    similarity[rng.random(similarity.shape) < 0.1] = -np.inf
    similarity[:, 0, 0] = 1.0
    for temperature in (0.5, 1.0, 100.0):
        inputs = call(similarity, **options, mode=mode, temperature=temperature).inputs
        dots = _cpu.Derivatives(
            np.zeros(19),
            rng.standard_normal(similarity.shape).astype(dtype),
            tuple(rng.standard_normal((19, 1, 1)) for _ in range(4)),
            np.zeros(19),
        )
        found = _cpu.tangents(inputs, dots, slope=False)
        direction = dots.similarity, *dots.penalties, dots.temperature
        _, posterior, *gradients, _ = expected_tangents(
            similarity.astype(np.float64),
            inputs.penalties,
            temperature,
            inputs.lengths,
            mode,
            direction,
        )
        # Differences of the reference are right to 1e-10 / T; float32 as in `test_torch`.
        share = 1e-8 if dtype == np.float64 else 2e-4
        share /= min(temperature, 1.0)
        within(found.similarity, posterior, share * np.abs(posterior).max())
        for ours, theirs in zip(found.penalties, gradients, strict=True):
            within(ours, theirs, share * np.abs(theirs).max())
    assert len(set(seen)) == 19


@pytest.mark.parametrize("mode", MODES)
def test_second_derivatives_of_lanes_of_pairs_are_exact(mode, seen):
    torch = pytest.importorskip("torch")
    from torch.autograd import gradgradcheck

    from tests.support.torch_calls import Call

    pairs = native_lanes(64) + 1
    problem = Call((pairs, 3, 4), ("pair", "pair"), mode=mode)
    leaves = problem.leaves[:-1]  # derivatives in T may send pairs elsewhere
    with torch.no_grad():
        for leaf in leaves[1:]:
            leaf.abs_()
    score = problem.of_leaves(fastsw.score)
    assert gradgradcheck(lambda *given: score(*given, problem.leaves[-1].detach()), leaves)
    assert len(set(seen)) == pairs


@pytest.mark.parametrize("mode", MODES)
def test_long_gaps_do_not_add_up_the_rounding_of_their_factor(mode, seen):
    """A gap of 180 rows or columns: 180 roundings of 2**-24 would be 1e-5 of the posterior."""
    similarity = np.full((32, 200, 200), -np.inf, np.float32)
    similarity[:, 0, 0] = similarity[:, 1, 185] = similarity[:, 185, 1] = 5.0
    similarity[:, 199, 199] = 5.0
    penalty = np.linspace(0.005, 0.02, 32)
    options = dict(gap_open=1.0, gap_extend=penalty, mode=mode)
    score, gradients = fastsw.value_and_grad(similarity, **options)
    wanted = expected(similarity, **options)
    assert len(set(seen)) == 32
    np.testing.assert_allclose(score, wanted.score, rtol=1e-6)
    np.testing.assert_allclose(gradients.similarity, wanted.similarity, atol=3e-6)


def test_each_pair_is_in_one_group_or_left_over():
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 300, (100, 2))
    order = np.arange(5, 100)
    for lanes in (2, 4, 8, 16):
        for threads in (1, 2, 7):
            choice = inter_pair.choose(order, lengths, False, 32, lanes, True, threads)
            members = choice.groups[choice.groups >= 0]
            assert sorted([*members, *choice.rest]) == order.tolist()
            if len(members):
                most = lengths[members].max(axis=0).tolist()
                assert most == [choice.rows, choice.columns]


def test_pairs_are_lanes_where_that_is_worth_while():
    lanes = native_lanes(32)

    def groups(count, size, threads, with_gradients=True):
        lengths, order = np.full((count, 2), size), np.arange(count)
        return len(
            inter_pair.choose(order, lengths, True, 32, lanes, with_gradients, threads).groups
        )

    assert groups(4 * lanes, 64, 1) == 4
    assert groups(4 * lanes, 64, 2) == 4
    assert groups(lanes, 64, 8) == 0  # seven threads would be idle
    assert groups(1, 64, 1) == 0
    assert groups(2 * lanes, 1000, 1) == 0  # the tables of a group would leave the caches
    assert groups(2 * lanes, 1000, 1, with_gradients=False) == 2

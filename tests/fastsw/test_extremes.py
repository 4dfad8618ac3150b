"""Values far beyond what a model gives: right answers, or their nearest, at any finite input."""

import numpy as np
import pytest

import fastsw
from benchmarks import exact, fuzz_accuracy
from fastsw import _cpu
from fastsw._frontends.numpy_arrays import call
from tests.support.oracle import MODES, within


def heat_derivatives(similarity, **options):
    """Derivatives of posteriors and entropies in T, and d2 score / dT2, by tangents."""
    inputs = call(similarity, lengths=None, **options).inputs
    pairs = len(inputs.lengths)
    dots = _cpu.Derivatives(
        np.zeros(pairs),
        np.zeros_like(inputs.similarity),
        tuple(np.zeros((pairs, *p.shape[1:])) for p in inputs.penalties),
        np.ones(pairs),
    )
    return _cpu.tangents(inputs, dots)


def exactly(similarity, gap_open, gap_extend, temperature, mode):
    """The oracle's answer for penalties of one value."""
    penalties = [np.full(similarity.shape, p) for p in (gap_open, gap_extend) * 2]
    return exact.align(np.asarray(similarity, np.float64), penalties, temperature, mode)


# Soft-DTW


def test_soft_dtw_of_a_huge_cost_beside_small_ones():
    cost = np.array([[1.0, 1e30], [1.0, 1.0]])
    assert fastsw.soft_dtw(cost, temperature=1e-3) == 2.0


def test_soft_dtw_at_a_tiny_temperature_is_dynamic_time_warping():
    assert fastsw.soft_dtw(np.full((3, 3), 1e4), temperature=1e-15) == 3e4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mask", [1e6, 1e9, 1e13, 1e19, 1e30, 1e38])
def test_soft_dtw_with_any_number_as_mask_is_that_with_infinity(mask, dtype):
    rng = np.random.default_rng(0)
    cost = rng.random((9, 6, 7)).astype(dtype)
    masked = rng.random(cost.shape) < 0.3
    masked[:, np.arange(6), np.arange(6)] = masked[:, 5:] = False
    lengths = np.full((9, 2), cost.shape[1:])
    found = _cpu.soft_dtw(
        np.where(masked, dtype(mask), cost), 1.0, lengths, None, with_gradients=True
    )
    wanted = _cpu.soft_dtw(np.where(masked, np.inf, cost), 1.0, lengths, None, with_gradients=True)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    within(found.score, wanted.score, tolerance * 10)
    within(found.cost, wanted.cost, tolerance)
    assert (found.cost[masked] == 0).all()


@pytest.mark.parametrize("size", [1e12, 1e15, 1e18, 1e25, 1e300])
def test_gradients_of_soft_dtw_are_probabilities_at_any_cost(size):
    """Paths that tie at costs of any size share what they cost, as they do at a cost of 1."""
    steps = np.round(np.random.default_rng(1).random((5, 7, 6)) * 3)
    lengths = np.full((5, 2), steps.shape[1:])
    found = _cpu.soft_dtw(
        steps * 2.0 ** np.round(np.log2(size)), 1.0, lengths, None, with_gradients=True
    )
    best = _cpu.soft_dtw(steps * 1e4, 1.0, lengths, None, with_gradients=True)  # only ties are left
    within(found.cost, best.cost, 1e-12)
    assert found.cost.max() <= 1.0 + 1e-12


def test_a_poisoned_pair_keeps_its_nan_where_another_needs_double_precision():
    cost = np.ones((3, 4, 5), np.float32)
    cost[0, 0, 0] = np.nan
    cost[1] *= 1e7
    lengths = np.array([[4, 3], [4, 5], [4, 5]])
    found = _cpu.soft_dtw(cost, 1.0, lengths, None, with_gradients=True)
    assert np.isnan(found.score).tolist() == [True, False, False]
    assert np.isnan(found.cost[0, :, :3]).all() and (found.cost[0, :, 3:] == 0).all()
    assert np.isnan(found.temperature[0]) and np.isfinite(found.cost[1:]).all()


def test_soft_dtw_of_the_largest_numbers_warns_of_nothing():
    largest = np.finfo(float).max
    with np.errstate(all="raise"):
        assert fastsw.soft_dtw(np.array([[0.0, largest], [largest, 0.0]])) == 0.0


# Alignments


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [1e-36, 1e-39, 1e-300, 1e-310])
def test_any_temperature_above_zero_is_one(temperature, dtype):
    """Of two by two zeros without gap costs there are five alignments, and three warping paths."""
    zeros, options = np.zeros((2, 2), dtype), dict(gap_open=0.0, gap_extend=0.0)
    options["temperature"] = temperature
    small = float(np.finfo(dtype).smallest_subnormal)
    wanted = pytest.approx(temperature * np.log(5), rel=1e-6, abs=small)
    assert float(fastsw.score(zeros, **options)) == wanted
    assert float(fastsw.entropy(zeros, **options)) == pytest.approx(np.log(5))
    within(fastsw.posterior(zeros, **options), [[0.4, 0.2], [0.2, 0.4]], 1e-6)
    wanted = pytest.approx(-temperature * np.log(3), rel=1e-6, abs=small)
    assert float(fastsw.soft_dtw(zeros, temperature=temperature)) == wanted


@pytest.mark.smoke(1)
@pytest.mark.parametrize("mode", MODES)
def test_gaps_of_hundreds_of_nats_keep_their_posteriors(mode):
    """A pair between dear gaps: the product of what meets there exceeded the largest factor."""
    similarity = np.array(
        [[-1625, -3935, -2131], [-2255, -1145, -2595], [-1254, -3873, -1288], [-1668, -3288, -1112]]
    )
    rng = np.random.default_rng(0)
    for scale in np.geomspace(0.02, 2.0, 80):
        for dtype in (np.float32, np.float64):
            table = (similarity * scale + rng.random((4, 3))).astype(dtype)[None]
            gap_open, gap_extend = 301.0 * scale, 440.0 * scale
            wanted = exactly(table, gap_open, gap_extend, 1.0, mode)
            options = dict(gap_open=gap_open, gap_extend=gap_extend, mode=mode)
            _, gradients = fastsw.value_and_grad(table, **options)
            bound = 2e-5 if dtype == np.float32 else 1e-11
            within(gradients.similarity, wanted.posterior, bound)
            within(gradients.gap_open, -wanted.paid[[0, 2]].sum(), 4 * bound)
            within(gradients.temperature, wanted.entropy.sum(), 1e-4 if bound > 1e-6 else 1e-8)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1e20, 1e25, 1e30])
def test_ties_are_shared_at_any_size(size, mode):
    """Where only the best alignments are left, they share as they do at a smaller size."""

    def posterior(size):
        options = dict(gap_open=0.3 * size, gap_extend=0.1 * size, temperature=1e-3, mode=mode)
        return fastsw.posterior(np.full((4, 6), size / 3.0), **options)

    found = posterior(size)
    within(found, posterior(1e3), 1e-11)
    assert max(found.sum(0).max(), found.sum(1).max()) <= 1.0 + 1e-14


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1e10, 1e13, 1e16, 1e30, 1e300, 1e308])
def test_posteriors_are_probabilities_at_any_similarity(size, mode):
    similarity = np.random.default_rng(0).normal(size=(6, 7)) / 4.0 * size
    found = fastsw.posterior(similarity, gap_open=1.0, gap_extend=0.5, mode=mode)
    assert found.min() >= 0.0
    assert max(found.sum(0).max(), found.sum(1).max()) <= 1.0 + 1e-14
    best = fastsw.traceback(similarity, gap_open=1.0, gap_extend=0.5, mode=mode)
    assert np.argwhere(found > 0.5).tolist() == best.pairs.tolist()


def test_dear_gaps_leave_alignments_of_the_same_cost_their_shares():
    """One column of four is skipped, each as likely: three cells of a row, or of the corner."""
    found = fastsw.posterior(
        np.zeros((3, 4)), gap_open=1e12, gap_extend=1e12, temperature=0.01, mode="global"
    )
    wanted = [[0.75, 0.25, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.25, 0.75]]
    within(found, wanted, 1e-14)


def test_a_sure_alignment_has_no_entropy():
    similarity = np.full((20, 20), 1e5, np.float32)
    assert abs(fastsw.entropy(similarity, gap_open=1.0, gap_extend=0.5)) < 1e-4
    _, gradients = fastsw.value_and_grad(similarity, gap_open=1.0, gap_extend=0.5)
    assert abs(gradients.temperature) < 1e-4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gap", [1e3, 1e6, 1e9, 1e12])
def test_entropy_where_dear_gaps_are_paid(gap, dtype):
    similarity = np.random.default_rng(0).normal(size=(3, 6, 8)).astype(dtype)
    wanted = exactly(similarity, gap, gap, 1.0, "global").entropy
    assert wanted.min() > 0.5
    found = fastsw.entropy(similarity, gap_open=gap, gap_extend=gap, mode="global")
    within(found, wanted.astype(float), (1e-4 if dtype == np.float32 else 1e-9) * wanted.max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_second_derivative_in_temperature_of_a_sure_alignment(dtype):
    """Var(score) / T^3: here some 1e-24, where the difference of large terms gave -0.446."""
    rng = np.random.default_rng(0)
    similarity = (20.0 + rng.standard_normal((2, 17, 17))).astype(dtype)
    found = heat_derivatives(
        similarity, gap_open=1.0, gap_extend=0.5, temperature=0.3, mode="local"
    )
    assert (np.abs(found.temperature) < 1e-6).all()
    assert (np.abs(found.similarity) < 1e-6).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1.0, 1e3, 1e8])
def test_second_derivatives_in_temperature_equal_the_oracle(size, mode):
    rng = np.random.default_rng(1)
    similarity = np.round(rng.standard_normal((4, 9, 8)) * 2) * size + rng.random((4, 9, 8))
    step = 1e-6
    more, less = (exactly(similarity, 1.0, 0.5, 1.0 + h, mode) for h in (step, -step))
    found = heat_derivatives(similarity, gap_open=1.0, gap_extend=0.5, temperature=1.0, mode=mode)
    # Central differences: their truncation is of the order of step^2 times third derivatives.
    within(found.temperature, (more.entropy - less.entropy) / (2 * step), 1e-6)
    within(found.similarity, (more.posterior - less.posterior) / (2 * step), 1e-6)


@pytest.mark.parametrize("mode", ["global", "fitting"])
@pytest.mark.parametrize("form", ["value", "vectors"])
@pytest.mark.parametrize("turned", [False, True])
def test_long_gaps_are_as_dear_before_as_after_a_pair(turned, form, mode):
    """Products of thousands of rounded gap factors must not drift (posterior was 0.500048)."""
    similarity = np.full((4096, 1), -30.0, np.float32)
    similarity[0] = similarity[-1] = 20.0
    similarity = similarity.T if turned else similarity
    gap = 0.689
    if form == "vectors":
        rows, columns = similarity.shape
        gap = np.full(columns, gap, np.float32), np.full(rows, gap, np.float32)
    found = fastsw.posterior(similarity, gap_open=gap, gap_extend=gap, mode=mode).ravel()
    within(found[[0, -1]], [0.5, 0.5], 2e-5)


@pytest.mark.parametrize("mode", MODES)
def test_scores_are_right_to_2e_6_of_what_cancels_in_them(mode):
    """A sum is rounded relative to its terms: gains and costs of thousands may cancel to 0."""
    rng = np.random.default_rng(2)
    for shape, temperature in (((1, 900, 70), 0.3), ((1, 500, 500), 1.0), ((9, 80, 90), 0.1)):
        similarity = rng.standard_normal(shape).astype(np.float32)
        options = dict(gap_open=1.0, gap_extend=0.5, temperature=temperature, mode=mode)
        exactly64, gradients = fastsw.value_and_grad(similarity.astype(np.float64), **options)
        paid = -float(gradients.gap_open) - 0.5 * float(gradients.gap_extend)
        size = np.sum(gradients.similarity * np.abs(similarity)) + paid
        found = fastsw.score(similarity, **options)
        within(found, exactly64, 2e-6 * np.maximum(temperature, size / len(similarity)))


def test_a_poisoned_pair_has_zero_gradients_beyond_its_lengths():
    similarity = np.zeros((2, 5, 6))
    similarity[1, 0, 0] = np.nan
    gap = np.ones((2, 6)), np.ones((2, 5))
    lengths = np.array([[5, 6], [3, 2]])
    _, gradients = fastsw.value_and_grad(similarity, gap_open=gap, gap_extend=gap, lengths=lengths)
    for columns, rows in (gradients.gap_open, gradients.gap_extend):
        assert np.isnan(columns[1, :2]).all() and (columns[1, 2:] == 0).all()
        assert np.isnan(rows[1, :3]).all() and (rows[1, 3:] == 0).all()
        assert np.isfinite(columns[0]).all() and np.isfinite(rows[0]).all()
    cells = np.ones((2, 5, 6))
    _, gradients = fastsw.value_and_grad(
        similarity, gap_open=cells, gap_extend=cells, lengths=lengths
    )
    assert np.isnan(gradients.gap_open[1, :3, :2]).all()
    assert (gradients.gap_open[1, 3:] == 0).all() and (gradients.gap_open[1, :, 2:] == 0).all()


def test_answers_do_not_depend_on_where_memory_is_free(monkeypatch):
    """From 8 MiB on gradients are written past the caches, in whole lines of the cache."""
    similarity = np.random.default_rng(3).standard_normal((3, 900, 801)).astype(np.float32)
    plain, found = np.empty, []
    for offset in (0, 4, 16, 36):

        def displaced(shape, dtype=float, offset=offset, **options):
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            if size < 2**23:
                return plain(shape, dtype, **options)
            raw = plain(size + 128, np.uint8)
            start = -raw.ctypes.data % 64 + offset
            return raw[start : start + size].view(dtype).reshape(shape)

        monkeypatch.setattr(np, "empty", displaced)
        found.append(fastsw.value_and_grad(similarity, gap_open=1.0, gap_extend=0.1))
    monkeypatch.setattr(np, "empty", plain)
    for score, gradients in found[1:]:
        np.testing.assert_array_equal(score, found[0][0])
        for one, other in zip(gradients, found[0][1], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_random_pairs_of_any_range_are_within_the_stated_bounds():
    """A small run of what docs/results/accuracy.md was measured by."""
    worst = fuzz_accuracy.fuzz(pairs=600, seed=20, batch=20)
    assert worst.beyond() == []

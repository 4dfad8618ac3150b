import time

import numpy as np
import pytest

from fastsw._reference import hard_score, soft_align, soft_dtw
from tests.support.enumeration import enumerate_hard, enumerate_soft
from tests.support.oracle import (
    best_path,
    best_warping,
    expected,
    expected_at_zero,
    expected_tangents,
    path_score,
    within,
)

SHAPES = [(1, 1), (1, 4), (4, 1), (2, 3), (3, 2), (4, 4)]


def problem(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape), tuple(rng.uniform(-0.3, 1.5, shape) for _ in range(4))


@pytest.mark.parametrize("mode", ["local", "global", "fitting"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_reference_equals_enumeration(shape, mode, temperature):
    similarity, penalties = problem(shape)
    score, posterior, gradient, entropy = enumerate_soft(
        similarity, penalties, temperature=temperature, mode=mode
    )
    reference = soft_align(similarity, penalties, temperature=temperature, mode=mode)
    np.testing.assert_allclose(reference.score, score, rtol=1e-13)
    np.testing.assert_allclose(reference.posterior, posterior, atol=1e-14)
    np.testing.assert_allclose(np.stack(reference[2:6]), gradient, atol=1e-14)
    np.testing.assert_allclose(reference.entropy, entropy, atol=1e-13)


@pytest.mark.parametrize("mode", ["local", "global", "fitting"])
@pytest.mark.parametrize("shape", SHAPES)
def test_hard_reference_equals_enumeration(shape, mode):
    similarity, penalties = problem(shape, seed=1)
    assert hard_score(similarity, penalties, mode=mode) == pytest.approx(
        enumerate_hard(similarity, penalties, mode=mode), rel=1e-13
    )


@pytest.mark.parametrize("mode", ["local", "global", "fitting"])
@pytest.mark.parametrize("shape", SHAPES)
def test_best_path_of_the_oracle_equals_enumeration(shape, mode):
    similarity, penalties = problem(shape, seed=2)
    tables = np.stack(penalties)
    score, pairs = best_path(similarity, tables, mode)
    assert score == pytest.approx(enumerate_hard(similarity, penalties, mode=mode), rel=1e-13)
    assert score == pytest.approx(path_score(pairs, similarity, tables, mode), rel=1e-13)


@pytest.mark.parametrize("mode", ["local", "global", "fitting"])
def test_the_oracle_at_zero_is_the_limit_of_low_temperatures(mode):
    similarity = np.random.default_rng(3).standard_normal((4, 6, 5))
    options = dict(gap_open=(0.7, 0.5), gap_extend=0.2, mode=mode)
    options["lengths"] = np.array([[6, 5], [0, 3], [2, 0], [4, 3]])
    cold = expected(similarity, **options, temperature=1e-4)
    zero = expected_at_zero(similarity, **options)
    within(zero.score, cold.score, 1e-9)
    within(zero.similarity, cold.similarity, 1e-9)
    within(zero.gap_open, cold.gap_open, 1e-9)
    within(zero.gap_extend, cold.gap_extend, 1e-9)


@pytest.mark.parametrize("bandwidth", [None, 2])
def test_the_best_warping_is_the_limit_of_low_temperatures(bandwidth):
    cost = np.random.default_rng(4).random((6, 5))
    value, path = best_warping(cost, bandwidth)
    soft, visited, _ = soft_dtw(cost, temperature=1e-4, bandwidth=bandwidth)
    assert value == pytest.approx(soft, abs=1e-9)
    within(path, visited, 1e-9)


@pytest.mark.parametrize("mode", ["local", "global", "fitting"])
def test_tangents_of_the_oracle_know_that_the_score_is_homogeneous(mode):
    """Along (S, penalties, T) itself the score grows by its value and its gradients do not."""
    rng = np.random.default_rng(5)
    similarity = rng.standard_normal((2, 5, 4))
    penalties = [rng.uniform(0.0, 1.0, shape) for shape in ((2, 5, 4), (2, 1, 1))] * 2
    lengths = np.array([[5, 4], [3, 2]])
    dots = similarity, *penalties, np.full(2, 0.6)
    score, posterior, *others = expected_tangents(similarity, penalties, 0.6, lengths, mode, dots)
    for b, (n, m) in enumerate(lengths):
        tables = [np.broadcast_to(p, (2, 5, 4))[b, :n, :m] for p in penalties]
        found = soft_align(similarity[b, :n, :m], tables, temperature=0.6, mode=mode)
        assert score[b] == pytest.approx(found.score, abs=1e-9)
    for change in (posterior, *others):
        within(change, np.zeros_like(change), 1e-9)


@pytest.mark.slow
def test_the_oracle_takes_time_linear_in_the_batch():
    """20,000 pairs took 175 s of processor time, half of them 45; now some 5 and 3."""
    similarity = np.random.default_rng(6).standard_normal((10_000, 3, 2))
    begun = time.process_time()
    expected(similarity, gap_open=1.0, gap_extend=0.5)
    assert time.process_time() - begun < 20

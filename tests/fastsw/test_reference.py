import numpy as np
import pytest
from enumeration import enumerate_hard, enumerate_soft

from fastsw._reference import hard_score, soft_align

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

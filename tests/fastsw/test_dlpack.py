"""Arrays of other libraries come in and go out through DLPack; JAX stands for them."""

import numpy as np
import pytest

import fastsw
from tests.support.oracle import draw_penalty

jax = pytest.importorskip("jax")
jax.config.update("jax_platforms", "cpu")


def answers(value):
    """The arrays in an answer, in order."""
    if isinstance(value, tuple):
        return [array for part in value for array in answers(part)]
    return [value]


@pytest.mark.parametrize("single", [False, True], ids=["batch", "single"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "function", [fastsw.score, fastsw.posterior, fastsw.entropy, fastsw.value_and_grad]
)
def test_jax_arrays_give_jax_arrays(function, dtype, single):
    rng = np.random.default_rng(0)
    shape = 3, 7, 5
    with jax.enable_x64(dtype == "float64"):
        similarity = jax.numpy.asarray(rng.standard_normal(shape), dtype)
        gap_open = tuple(
            jax.numpy.asarray(side, dtype) for side in draw_penalty(rng, "sides-vector", shape)
        )
        lengths = jax.numpy.asarray([[7, 5], [3, 4], [1, 1]])
        if single:
            similarity, lengths = similarity[0], lengths[0]
            gap_open = tuple(side[0] for side in gap_open)
        found = function(similarity, gap_open=gap_open, gap_extend=0.3, lengths=lengths)
        computed = "float64" if dtype == "float64" else "float32"
        wanted = function(
            np.asarray(similarity, computed),
            gap_open=tuple(np.asarray(side, computed) for side in gap_open),
            gap_extend=0.3,
            lengths=np.asarray(lengths),
        )
        found, wanted = answers(found), answers(wanted)
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert isinstance(one, jax.Array)
            assert one.devices() == similarity.devices()
            assert one.shape == np.shape(other)
            half = dtype in ("float16", "bfloat16") and one.dtype == dtype
            # Gradients in the dtype of the input are rounded to it once.
            bound = float(jax.numpy.finfo(dtype).eps) if half else 0
            np.testing.assert_allclose(np.asarray(one, computed), other, rtol=bound, atol=bound / 8)
        if function in (fastsw.score, fastsw.entropy):
            assert found[0].dtype == computed
        if function is fastsw.posterior:
            assert found[0].dtype == dtype


def test_paths_and_samples_of_jax_arrays_are_plain_alignments():
    rng = np.random.default_rng(1)
    table = rng.standard_normal((2, 6, 7)).astype(np.float32)
    options = dict(gap_open=0.5, gap_extend=0.25)
    found = fastsw.traceback(jax.numpy.asarray(table), **options)
    wanted = fastsw.traceback(table, **options)
    assert [a.pairs.tolist() for a in found] == [a.pairs.tolist() for a in wanted]
    drawn = fastsw.sample(jax.numpy.asarray(table), **options, size=3, seed=1)
    again = fastsw.sample(table, **options, size=3, seed=1)
    assert [a.pairs.tolist() for d in drawn for a in d] == [
        a.pairs.tolist() for d in again for a in d
    ]


def test_kinds_may_be_mixed():
    table = np.zeros((2, 3, 4), np.float32)
    wanted = fastsw.score(table, gap_open=1.0, gap_extend=0.5)
    one = jax.numpy.asarray(1.0)
    np.testing.assert_array_equal(fastsw.score(table, gap_open=one, gap_extend=0.5), wanted)
    found = fastsw.score(jax.numpy.asarray(table), gap_open=np.float64(1), gap_extend=0.5)
    np.testing.assert_array_equal(np.asarray(found), wanted)
    assert isinstance(found, jax.Array)


def test_the_input_is_not_written_to():
    similarity = jax.numpy.zeros((2, 3, 4))
    before = np.array(similarity)
    fastsw.value_and_grad(similarity, gap_open=1.0, gap_extend=0.5)
    np.testing.assert_array_equal(np.asarray(similarity), before)


def test_jax_integers_become_its_default_floats():
    whole = np.random.default_rng(0).integers(-2, 5, (2, 4, 3))
    options = dict(gap_open=1.0, gap_extend=0.5)
    found = fastsw.posterior(jax.numpy.asarray(whole), **options)
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, fastsw.posterior(whole.astype(np.float32), **options))

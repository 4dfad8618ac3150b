"""Scores at temperature 0 without paths are, to the last bit, those of the best paths."""

import threading

import numpy as np
import pytest

import fastsw
from tests.support.oracle import draw_penalty

MODES = ["local", "global", "fitting"]
FORMS = ["scalar", "pair", "sides-scalar", "sides-pair", "sides-vector"]  # not by cell
SHAPES = [(2, 1, 1), (2, 1, 40), (2, 40, 1), (3, 15, 17), (3, 16, 16), (3, 17, 15), (2, 33, 70)]


def draw(shape, form, dtype, seed=0):
    """Similarities with forbidden pairs, NaN beyond uneven lengths, and some gaps that pay."""
    rng = np.random.default_rng(seed)
    pairs, *sides = shape
    similarity = rng.standard_normal(shape).astype(dtype)
    similarity[rng.random(shape) < 0.1] = -np.inf
    lengths = rng.integers(1, np.array(sides) + 1, (pairs, 2))
    lengths[0] = sides
    for cells, (n, m) in zip(similarity, lengths, strict=True):
        cells[n:], cells[:, m:] = np.nan, np.nan
    gap_open, gap_extend = draw_penalty(rng, form, shape), draw_penalty(rng, form, shape)
    return similarity, dict(gap_open=gap_open, gap_extend=gap_extend, lengths=lengths)


def scores_of_paths(similarity, **options):
    return fastsw.value_and_grad(similarity, temperature=0.0, **options)[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_scores_are_those_of_the_best_paths(mode, form, dtype):
    for shape in SHAPES:
        similarity, options = draw(shape, form, dtype)
        found = fastsw.score(similarity, temperature=0.0, mode=mode, **options)
        np.testing.assert_array_equal(found, scores_of_paths(similarity, mode=mode, **options))


@pytest.mark.parametrize("mode", MODES)
def test_pairs_without_a_score_keep_to_themselves(mode):
    similarity, options = draw((6, 20, 18), "pair", np.float64)
    options["lengths"][:] = 20, 18
    similarity[:] = np.nan_to_num(similarity, nan=0.0, neginf=-np.inf)
    similarity[1, 3, 4], similarity[2, 3, 4], similarity[3] = np.nan, np.inf, -np.inf
    options["lengths"][4, 1] = 0
    found = fastsw.score(similarity, temperature=0.0, mode=mode, **options)
    np.testing.assert_array_equal(found, scores_of_paths(similarity, mode=mode, **options))
    assert np.isnan(found[1:3]).all() and np.isfinite(found[[0, 5]]).all()
    paths = fastsw.traceback(similarity, mode=mode, **options)
    np.testing.assert_array_equal([path.score for path in paths], found)


@pytest.mark.parametrize("mode", MODES)
def test_the_largest_numbers_do_not_overflow_on_the_way(mode):
    similarity = np.full((1, 40, 40), 1e307)
    similarity[0, 20:] *= -1
    options = dict(gap_open=3e307, gap_extend=1e306, mode=mode)
    found = fastsw.score(similarity, temperature=0.0, **options)
    np.testing.assert_array_equal(found, scores_of_paths(similarity, **options))


def test_scratch_memory_is_written_before_it_is_read(monkeypatch):
    similarity, options = draw((3, 17, 33), "sides-vector", np.float32)
    wanted = [scores_of_paths(similarity, mode=mode, **options) for mode in MODES]
    plain = np.empty

    def poisoned(*arguments, **options):
        array = plain(*arguments, **options)
        array.fill(np.nan if array.dtype.kind == "f" else 255)  # bytes of 255 are NaN as well
        return array

    monkeypatch.setattr(np, "empty", poisoned)
    found = []

    def score():  # a thread has no scratch memory of its own yet
        for mode in MODES:
            found.append(fastsw.score(similarity, temperature=0.0, mode=mode, **options))

    thread = threading.Thread(target=score)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(found, wanted)

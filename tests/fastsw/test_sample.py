"""Sampled alignments follow exp(score / T), exactly."""

from collections import Counter

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import chisquare

import fastsw
from tests.support.enumeration import alignments
from tests.support.oracle import FORMS, MODES, cell_tables, draw_penalty, path_score


def as_key(alignment):
    return tuple(map(tuple, alignment.pairs.tolist()))


@pytest.mark.parametrize("temperature", [0.4, 2.0])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 1)], ids=str)
@pytest.mark.parametrize("form", ["scalar", "sides-pair-cell"])
@pytest.mark.parametrize("mode", MODES)
def test_frequencies_are_the_enumerated_probabilities(mode, form, shape, temperature):
    rng = np.random.default_rng(5)
    similarity = rng.standard_normal((1, *shape))
    options = dict(
        gap_open=draw_penalty(rng, form, similarity.shape, high=1.0),
        gap_extend=draw_penalty(rng, form, similarity.shape, high=1.0),
        mode=mode,
    )
    tables = cell_tables(options["gap_open"], options["gap_extend"], similarity.shape)[:, 0]
    known = [pairs for pairs in alignments(*shape) if pairs or mode != "local"]
    scores = [path_score(pairs, similarity[0], tables, mode) for pairs in known]
    probability = softmax(np.array(scores) / temperature)
    size = 20_000
    (drawn,) = fastsw.sample(similarity, **options, temperature=temperature, size=size, seed=11)
    counts = Counter(map(as_key, drawn))
    assert set(counts) <= set(known)
    observed = np.array([counts[pairs] for pairs in known])
    # Cells of fewer than five expected draws are pooled, as the test's approximation asks.
    rare = probability * size < 5
    observed = np.append(observed[~rare], observed[rare].sum())
    wanted = np.append(probability[~rare], probability[rare].sum()) * size
    kept = wanted > 0
    # One of 36 fixed draws: a correct sampler fails below 1e-4 with probability 0.4 %, and the
    # seeds are fixed.
    assert chisquare(observed[kept], wanted[kept]).pvalue > 1e-4
    for alignment in drawn[:50]:
        assert alignment.score == pytest.approx(scores[known.index(as_key(alignment))], rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_samples_match_posterior_and_score_their_own_path(mode, form, dtype):
    shape = 3, 18, 22
    rng = np.random.default_rng(3)
    similarity = rng.standard_normal(shape).astype(dtype)
    similarity[rng.random(shape) < 0.1] = -np.inf
    lengths = np.array([[18, 22], [9, 20], [17, 6]])
    options = dict(
        gap_open=draw_penalty(rng, form, shape, dtype=dtype),
        gap_extend=draw_penalty(rng, form, shape, dtype=dtype),
        mode=mode,
        lengths=lengths,
        temperature=0.7,
    )
    posterior = fastsw.posterior(similarity, **options)
    tables = cell_tables(options["gap_open"], options["gap_extend"], shape)
    size = 2_000
    for b, drawn in enumerate(fastsw.sample(similarity, **options, size=size, seed=2)):
        n, m = lengths[b]
        frequency = np.zeros(shape[1:])
        for alignment in drawn:
            assert (np.diff(alignment.pairs, axis=0) > 0).all()
            frequency[tuple(alignment.pairs.T)] += 1 / size
        # Six standard deviations of a binomial share, for some 400 cells.
        spread = 6 * np.sqrt(posterior[b] * (1 - posterior[b]).clip(0) / size) + 6 / size
        assert (np.abs(frequency - posterior[b]) <= spread).all()
        for alignment in drawn[:20]:
            own = path_score(alignment.pairs, similarity[b, :n, :m], tables[:, b, :n, :m], mode)
            assert alignment.score == pytest.approx(own, rel=1e-9, abs=1e-9)


def test_seeds_reproduce_and_pairs_draw_on_their_own():
    similarity = np.zeros((3, 6, 7), np.float32)
    options = dict(gap_open=0.5, gap_extend=0.1, size=30)

    def draw(seed):
        return [list(map(as_key, d)) for d in fastsw.sample(similarity, **options, seed=seed)]

    assert draw(4) == draw(4)
    assert draw(4) != draw(5)
    assert draw(4)[0] != draw(4)[1] != draw(4)[2]
    longer = fastsw.sample(similarity, **(options | {"size": 40}), seed=4)
    assert len(longer[0]) == 40
    assert [len(d) for d in fastsw.sample(similarity, **(options | {"size": 0}), seed=4)] == [0] * 3
    (alone,) = fastsw.sample(similarity[0], gap_open=0.5, gap_extend=0.1, size=1, seed=4)
    assert isinstance(alone, fastsw.Alignment)


@pytest.mark.parametrize("mode", MODES)
def test_cold_samples_are_the_best_path(mode):
    rng = np.random.default_rng(8)
    similarity = rng.standard_normal((2, 12, 9))
    options = dict(gap_open=0.8, gap_extend=0.3, mode=mode)
    best = fastsw.traceback(similarity, **options)
    for temperature in (0.0, 1e-4):
        drawn = fastsw.sample(similarity, **options, temperature=temperature, size=3, seed=0)
        for path, samples in zip(best, drawn, strict=True):
            assert [as_key(s) for s in samples] == [as_key(path)] * 3
            assert samples[0].score == pytest.approx(path.score, rel=1e-12)

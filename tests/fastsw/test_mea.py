"""The alignment of maximum expected accuracy against all alignments."""

import numpy as np
import pytest

import fastsw
from tests.support.enumeration import alignments


def draw(seed, shape=(3, 4)):
    """A posterior of some unsure pair."""
    similarity = np.random.default_rng(seed).standard_normal(shape)
    return fastsw.posterior(similarity, gap_open=0.3, gap_extend=0.1, temperature=0.6)


@pytest.mark.parametrize("min_paired", [0.0, 0.6])
@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 1.0])
def test_no_alignment_is_expected_to_be_more_accurate(threshold, min_paired):
    for seed in range(5):
        posterior = draw(seed)
        likely = (posterior.sum(1) > min_paired)[:, None] & (posterior.sum(0) > min_paired)
        gain = np.where(likely, posterior - threshold, -np.inf)
        found = fastsw.mea(posterior, threshold=threshold, min_paired=min_paired)
        cells = tuple(found.pairs.T)
        best = max(sum(gain[pair] for pair in pairs) for pairs in alignments(*posterior.shape))
        assert gain[cells].sum() == pytest.approx(best, abs=1e-12)
        assert (gain[cells] > 0).all()
        assert found.score == pytest.approx(posterior[cells].sum(), abs=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_batch_is_its_pairs_within_their_lengths(dtype):
    lengths = np.array([[3, 4], [2, 2], [0, 3], [3, 1]])
    posterior = np.full((4, 3, 4), np.nan, dtype)
    for b, (n, m) in enumerate(lengths):
        posterior[b, :n, :m] = draw(b, (n, m))
    found = fastsw.mea(posterior, threshold=0.1, lengths=lengths)
    for b, (n, m) in enumerate(lengths):
        assert repr(found[b]) == repr(fastsw.mea(posterior[b, :n, :m], threshold=0.1))
    assert repr(found[2]) == "Alignment(score=0, empty)"


def test_tensors_give_the_same_alignments():
    torch = pytest.importorskip("torch")
    posterior = np.stack([draw(seed) for seed in range(3)]).astype(np.float32)
    lengths = [[3, 4], [2, 4], [3, 3]]
    tensor = torch.tensor(posterior, requires_grad=True)
    found = fastsw.mea(tensor, lengths=torch.tensor(lengths))
    wanted = fastsw.mea(posterior, lengths=lengths)
    assert list(map(str, found)) == list(map(str, wanted))
    assert fastsw.mea(tensor.bfloat16())[0].pairs.tolist() == wanted[0].pairs.tolist()


def test_a_hard_posterior_is_its_own_best_path():
    similarity = np.random.default_rng(0).standard_normal((12, 15))
    options = dict(gap_open=0.3, gap_extend=0.1)
    path = fastsw.traceback(similarity, **options)
    found = fastsw.mea(fastsw.posterior(similarity, **options, temperature=0.0))
    assert found.pairs.tolist() == path.pairs.tolist() and found.score == len(path)


def test_a_poisoned_posterior_stays_so():
    posterior = draw(0)
    posterior[1, 1] = np.nan
    found = fastsw.mea(posterior, threshold=0.1, min_paired=0.1)
    assert np.isnan(found.score) and not len(found)


@pytest.mark.parametrize(
    ("error", "text", "bad"),
    [
        (TypeError, "`threshold` must be a number, got '1'", dict(threshold="1")),
        (ValueError, "`min_paired` must lie between 0 and 1, got 1.5", dict(min_paired=1.5)),
        (ValueError, "`threshold` must lie between 0 and 1, got nan", dict(threshold=np.nan)),
        (ValueError, "`lengths` must lie between 0 and the 4 columns", dict(lengths=[3, 5])),
        (
            ValueError,
            "`posterior` must lie between 0 and 1, got 2.0",
            dict(posterior=2 * np.eye(3)),
        ),
        (ValueError, "`posterior` must have shape", dict(posterior=np.ones(3))),
    ],
)
def test_bad_input_is_named(error, text, bad):
    with pytest.raises(error, match=text):
        fastsw.mea(**{"posterior": draw(0), **bad})

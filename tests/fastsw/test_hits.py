"""The best local alignments that have no cell in common, against all alignments."""

import numpy as np
import pytest

import fastsw
from tests.support.enumeration import alignments, gap_cells

GAPS = {"gap_open": 0.4, "gap_extend": 0.15}


def score_of(pairs, similarity):
    costs = [GAPS["gap_open"], GAPS["gap_extend"]] * 2
    gaps = gap_cells(pairs, *similarity.shape, "local")
    return sum(similarity[pair] for pair in pairs) - sum(costs[kind] for kind, _, _ in gaps)


def near(pair, other, margin):
    (i, j), (r, c) = pair, other
    return (i == r and abs(j - c) <= margin) or (j == c and abs(i - r) <= margin)


@pytest.mark.parametrize("margin", [0, 1, 9])
def test_each_is_the_best_of_what_those_before_leave(margin):
    for seed in range(4):
        similarity = np.random.default_rng(seed).standard_normal((4, 5))
        found = fastsw.hits(similarity, 6, margin=margin, **GAPS)
        left = [pairs for pairs in alignments(4, 5) if pairs]
        scores = []
        for hit in found:
            best = max(score_of(pairs, similarity) for pairs in left)
            taken = [tuple(pair) for pair in hit.pairs]
            assert hit.score == pytest.approx(best)
            assert score_of(taken, similarity) == pytest.approx(best)
            scores.append(hit.score)
            left = [
                pairs
                for pairs in left
                if not any(near(pair, other, margin) for pair in pairs for other in taken)
            ]
        assert scores == sorted(scores, reverse=True)
        if len(found) < 6:
            assert not left or max(score_of(pairs, similarity) for pairs in left) <= 0


def test_repeated_passages_are_found_where_they_are():
    rng = np.random.default_rng(0)
    passage, long = rng.standard_normal((12, 16)), rng.standard_normal((90, 16))
    begins = 60, 5, 33
    for begin in begins:
        long[begin : begin + 12] = passage + 0.1 * rng.standard_normal((12, 16))
    similarity = passage @ long.T / 4 - 1
    found = fastsw.hits(similarity, 5, gap_open=2.0, gap_extend=1.0, min_score=10.0, margin=3)
    assert sorted(hit.columns.start for hit in found) == sorted(begins)
    assert [hit.columns.stop - hit.columns.start for hit in found] == [12] * 3


def test_a_batch_is_its_pairs_whatever_kind_they_are():
    similarity = np.random.default_rng(1).standard_normal((3, 6, 7)).astype(np.float32)
    similarity[2, 5, 6] = np.nan
    lengths = np.array([[6, 7], [4, 3], [6, 7]])
    before = similarity.copy()
    found = fastsw.hits(similarity, 3, lengths=lengths, **GAPS)
    np.testing.assert_array_equal(similarity, before)
    assert [len(found[2]), found[2][0].score, len(found[2][0].pairs)] == [1, pytest.approx(
        np.nan, nan_ok=True), 0]  # fmt: skip
    cut = [similarity[b, :n, :m] for b, (n, m) in enumerate(lengths)]
    wanted = [list(map(str, hits)) for hits in found]
    assert [list(map(str, fastsw.hits(matrix, 3, **GAPS))) for matrix in cut] == wanted
    assert [list(map(str, hits)) for hits in fastsw.hits(cut, 3, **GAPS)] == wanted
    torch = pytest.importorskip("torch")
    tensors = torch.tensor(similarity, requires_grad=True), torch.tensor(lengths)
    found = fastsw.hits(tensors[0], 3, lengths=tensors[1], **GAPS)
    assert [list(map(str, hits)) for hits in found] == wanted


def test_the_first_is_the_best_path_and_penalties_may_vary():
    rng = np.random.default_rng(2)
    similarity = rng.standard_normal((9, 8))
    gaps = {"gap_open": (rng.random(8) + 0.1, rng.random(9) + 0.1), "gap_extend": 0.2}
    first = fastsw.hits(similarity, 2, **gaps)[0]
    assert str(first) == str(fastsw.traceback(similarity, **gaps))
    assert fastsw.hits(similarity - 9.0, 2, **gaps) == []
    (least,) = fastsw.hits(np.full((1, 1), -2.0), 5, min_score=-np.inf, **gaps | {"gap_open": 1.0})
    assert (least.score, least.pairs.tolist()) == (-2.0, [[0, 0]])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"k": 0}, ValueError, "`k` must be at least 1, got 0"),
        ({"k": 1.5}, TypeError, r"`k` must be an integer, got 1\.5"),
        ({"margin": -1}, ValueError, "`margin` must be at least 0, got -1"),
        ({"min_score": "1"}, TypeError, "`min_score` must be a number, got '1'"),
        ({"min_score": float("nan")}, ValueError, "`min_score` must not be NaN"),
        ({"similarity": np.zeros(3)}, ValueError, r"`similarity` must have shape \(N, M\)"),
    ],
)
def test_what_is_wrong_is_named(changes, error, message):
    with pytest.raises(error, match=message):
        fastsw.hits(**{"similarity": np.zeros((2, 2)), "k": 1, **GAPS, **changes})

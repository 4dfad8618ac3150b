"""Hard paths against an independent aligner, on proteins whose structures tell the truth."""

from pathlib import Path

import numpy as np
import pytest

import fastsw
from tests.support.oracle import path_score

PAIRS = Path(__file__).parents[2] / "../shared/data/protein_tmalign/pairs.tsv"


@pytest.fixture(scope="module")
def blosum62():
    return pytest.importorskip("Bio.Align").substitution_matrices.load("BLOSUM62")


@pytest.fixture(scope="module")
def proteins():
    """Sequences of each pair, and the residue pairs that TM-align superposes."""
    if not PAIRS.exists():
        pytest.skip("the TM-align protein pairs, ../shared/data/protein_tmalign, are not here")
    found = []
    for line in PAIRS.read_text().splitlines():
        if line.startswith("#"):
            continue
        first, second, columns = line.split("\t")[5:8]
        i = j = 0
        truth = np.zeros((len(first), len(second)), bool)
        for column in columns:
            if column in ":.":
                truth[i, j] = True
            i += column != "2"
            j += column != "1"
        assert (i, j) == truth.shape
        found.append((first, second, truth))
    return found


@pytest.fixture(scope="module")
def batch(proteins, blosum62):
    """BLOSUM62 similarities of all pairs, padded with NaN, and their lengths."""
    table = np.array(blosum62)
    code = {letter: k for k, letter in enumerate(blosum62.alphabet)}
    lengths = np.array([truth.shape for *_, truth in proteins])
    similarity = np.full((len(proteins), *lengths.max(axis=0)), np.nan, np.float32)
    for b, (first, second, _) in enumerate(proteins):
        cells = table[np.ix_([code[c] for c in first], [code[c] for c in second])]
        similarity[b, : len(first), : len(second)] = cells
    return similarity, lengths


@pytest.mark.parametrize(
    ("gap_open", "gap_extend"), [(11.0, 1.0), (7.0, 2.0), (2.0, 2.0), (4.0, 0.5)]
)
@pytest.mark.parametrize("mode", ["local", "global"])
def test_scores_equal_biopython(proteins, batch, blosum62, mode, gap_open, gap_extend):
    """A gap on both sides between two pairs is charged for both, by both programs."""
    aligner = pytest.importorskip("Bio.Align").PairwiseAligner()
    aligner.substitution_matrix = blosum62
    aligner.mode = mode
    aligner.open_gap_score, aligner.extend_gap_score = -gap_open, -gap_extend
    similarity, lengths = batch
    options = dict(gap_open=gap_open, gap_extend=gap_extend, mode=mode)
    scores = fastsw.score(similarity, **options, temperature=0.0, lengths=lengths)
    paths = fastsw.traceback(similarity, **options, lengths=lengths)
    for b, (first, second, truth) in enumerate(proteins):
        # Sums of multiples of a half: exact in float32.
        assert scores[b] == paths[b].score == aligner.score(first, second)
        if b % 10 == 0:
            n, m = truth.shape
            tables = np.empty((4, n, m))
            tables[::2], tables[1::2] = gap_open, gap_extend
            own = path_score(paths[b].pairs, similarity[b, :n, :m], tables, mode)
            assert own == scores[b]


def likeliest(probabilities, count):
    """The `count` cells of highest probability, as a mask."""
    mask = np.zeros(probabilities.size, bool)
    mask[np.argsort(-probabilities, axis=None, kind="stable")[:count]] = True
    return mask.reshape(probabilities.shape)


#: By half of the pairs (even, odd), what recovers most of that half's truth. Searched over open in
#: (7, 9, 11, 13, 16), extend in (0.5, 1, 2) for the path; open in (11, 13, 16, 20), the same extend
#: and T in (1, 1.5, 2, 2.5, 3) for the posterior's likeliest pairs.
TUNED = {
    "local": {
        0: dict(path=(7.0, 2.0), posterior=(16.0, 0.5, 3.0)),
        1: dict(path=(7.0, 2.0), posterior=(13.0, 1.0, 3.0)),
    },
    "global": {
        0: dict(path=(13.0, 1.0), posterior=(16.0, 1.0, 2.5)),
        1: dict(path=(13.0, 1.0), posterior=(20.0, 1.0, 3.0)),
    },
}

#: Share of all true pairs recovered by the path, by the likeliest pairs and by the path of highest
#: expected accuracy, as measured; equal numbers of pairs, each half with the other half's settings.
MEASURED = {"local": (0.381, 0.405, 0.407), "global": (0.469, 0.479, 0.471)}


@pytest.mark.parametrize("mode", ["local", "global"])
def test_likely_pairs_recover_more_truth_than_the_path(proteins, batch, mode):
    similarity, lengths = batch
    recovered, total = np.zeros(3), 0
    for half, settings in TUNED[mode].items():
        other = np.arange(len(proteins)) % 2 != half
        cells, given = similarity[other], lengths[other]
        truths = [truth for *_, truth in np.array(proteins, dtype=object)[other]]
        gap_open, gap_extend = settings["path"]
        paths = fastsw.traceback(
            cells, gap_open=gap_open, gap_extend=gap_extend, mode=mode, lengths=given
        )
        gap_open, gap_extend, temperature = settings["posterior"]
        posterior = fastsw.posterior(
            cells,
            gap_open=gap_open,
            gap_extend=gap_extend,
            temperature=temperature,
            mode=mode,
            lengths=given,
        )
        # The path of highest expected accuracy maximises the sum of its posteriors.
        accurate = fastsw.traceback(
            posterior, gap_open=0.0, gap_extend=0.0, mode="global", lengths=given
        )
        for b, truth in enumerate(truths):
            here = posterior[b, : truth.shape[0], : truth.shape[1]]
            count = len(paths[b].pairs)
            on_path = np.zeros_like(here)
            on_path[tuple(accurate[b].pairs.T)] = here[tuple(accurate[b].pairs.T)]
            recovered += (
                truth[tuple(paths[b].pairs.T)].sum(),
                truth[likeliest(here, count)].sum(),
                truth[likeliest(on_path, count)].sum(),
            )
            total += truth.sum()
    share = recovered / total
    assert share[1] > share[0]
    assert mode == "global" or share[2] > share[0]
    np.testing.assert_allclose(share, MEASURED[mode], atol=0.005)


def alignment(pairs, score=1.5):
    return fastsw.Alignment(score, np.array(pairs, np.int64).reshape(-1, 2))


def test_an_alignment_prints_its_runs():
    text = str(alignment([[2, 0], [3, 1], [5, 2], [6, 7]]))
    assert text.splitlines() == [
        "Alignment(score=1.5, 4 pairs, rows 2:7, columns 0:8)",
        "  rows 2:4 = columns 0:2",
        "  rows 5:6 = columns 2:3",
        "  rows 6:7 = columns 7:8",
    ]
    assert str(alignment([])) == "Alignment(score=1.5, empty)"


def test_a_list_of_alignments_is_readable():
    found = [alignment([[2, 0], [3, 1]]), alignment([])]
    assert repr(found) == (
        "[Alignment(score=1.5, 2 pairs, rows 2:4, columns 0:2), Alignment(score=1.5, empty)]"
    )


def test_an_alignment_slices_both_sides():
    found = alignment([[2, 0], [3, 1], [6, 7]])
    assert (found.rows, found.columns, len(found)) == (slice(2, 7), slice(0, 8), 3)
    nothing = alignment([])
    assert (nothing.rows, nothing.columns, len(nothing)) == (slice(0, 0), slice(0, 0), 0)


def test_an_alignment_warps_positions_both_ways():
    found = alignment([[2, 0], [3, 1], [6, 7]])
    np.testing.assert_allclose(found.warp([1, 2, 2.5, 4, 6, 6.1]), [np.nan, 0, 0.5, 3, 7, np.nan])
    np.testing.assert_allclose(found.warp([[0, 1], [4, 7]], axis="columns"), [[2, 3], [4.5, 6]])
    assert found.warp(3) == 1
    assert np.isnan(alignment([]).warp([0.0, 1.0])).all()


@pytest.mark.parametrize("mode", ["local", "global", "fitting"])
def test_the_path_of_a_known_alignment_is_found(mode):
    """Identical stretches with an insertion on one side and a deletion on the other."""
    rows = np.array(list("ABCDEFGHIJ"))
    columns = np.array(list("xxABCDyyyGHIJz"))
    similarity = np.where(rows[:, None] == columns, 2.0, -4.0)
    found = fastsw.traceback(similarity, gap_open=1.0, gap_extend=0.25, mode=mode)
    # A to D on 2 to 5; E and F skipped against three y's; G to J on 9 to 12.
    assert found.pairs.tolist() == [[k, k + 2] for k in range(4)] + [
        [k, k + 3] for k in range(6, 10)
    ]
    between = -1.25 - 1.5
    outside = -1.25 - 1.0 if mode == "global" else 0.0
    assert found.score == 16.0 + between + outside


def test_paths_of_a_batch_stay_within_lengths():
    rng = np.random.default_rng(0)
    similarity = rng.standard_normal((6, 12, 15))
    lengths = np.array([[12, 15], [0, 3], [5, 0], [1, 1], [7, 4], [3, 15]])
    for mode in ("local", "global", "fitting"):
        paths = fastsw.traceback(
            similarity, gap_open=0.5, gap_extend=0.1, mode=mode, lengths=lengths
        )
        for path, (n, m) in zip(paths, lengths, strict=True):
            assert path.pairs.dtype == np.int64 and path.pairs.shape[1:] == (2,)
            assert (path.pairs < (n, m)).all() and (path.pairs >= 0).all()
        empty = [len(path) for path, size in zip(paths, lengths, strict=True) if 0 in size]
        assert empty == [0, 0]
        assert (paths[1].score == -np.inf) == (mode == "local")

"""The losses: the authors' values, hand-worked values, and what must not change them."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fastsw._reference import soft_align
from lac.losses import LacLoss, official_lac_loss
from lac.losses._alignment import Scoring, correspondence, fenchel_young
from lac.losses._contrastive import contrastive_loss
from lac.losses.official import _match_tables
from tests.support.drawn_views import two_views

ALIGNMENTS = ["none", "score", "fenchel_young", "posterior_kl"]
REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "lac_official.npz"


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs the authors' values in ../shared")
@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize(("alignment", "value"), [("score", "total"), ("none", "contrastive_only")])
def test_the_authors_loss_values_are_reproduced(case, alignment, value):
    with np.load(REFERENCE) as stored:
        reference = {
            key.removeprefix(f"loss{case}_"): stored[key]
            for key in stored
            if key.startswith(f"loss{case}_")
        }
    loss = official_lac_loss(
        torch.from_numpy(reference["embeddings"]),
        torch.from_numpy(reference["steps"]),
        temperature=float(reference["temperature"]),
        sigma2=float(reference["sigma2"]),
        alignment=alignment,
    )
    # Both in float32 with about 100 summands: 1e-6 is a few units in the last place.
    assert float(loss) == pytest.approx(float(reference[value]), rel=1e-6)


@pytest.mark.parametrize(
    ("shape", "temperature"), [((2, 5, 7), 1.0), ((1, 1, 1), 0.1), ((1, 9, 4), 0.1)]
)
def test_the_authors_table_holds_the_scores_of_alignments_that_end_in_a_pair(shape, temperature):
    similarity = 4 * torch.rand(shape, generator=torch.Generator().manual_seed(0))
    for table, one in zip(_match_tables(similarity, temperature), similarity, strict=True):
        penalties = (1.0, 1.0, 1.0, 1.0)
        expected = soft_align(one.numpy(), penalties, temperature=temperature, mode="local")
        np.testing.assert_allclose(table, expected.match_table, rtol=1e-12)


def test_contrastive_term_is_the_mean_divergence_over_frames_of_both_views():
    embeddings, times, mask = two_views(clips=1, frames=3)
    z, t = embeddings[0].detach().numpy(), times[0].numpy()
    divergences = []
    for here, there in ((0, 1), (1, 0)):
        for i in range(3):
            p = np.exp(-((t[here, i] - t[there]) ** 2) / (2 * 1.5**2))
            q = np.exp(z[there] @ z[here, i] / 0.2)
            p, q = p / p.sum(), q / q.sum()
            divergences.append((p * np.log(p / q)).sum())
    loss = contrastive_loss(embeddings, times, mask, temperature=0.2, sigma=1.5)
    assert loss.item() == pytest.approx(np.mean(divergences), rel=1e-12)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_padding_changes_nothing(alignment):
    embeddings, times, mask = two_views()
    mask[0, 0, 4:] = mask[1, 1, 3:] = False
    loss = LacLoss(alignment=alignment, sigma=1.0).double()
    value = loss(embeddings, times, mask)["loss"]
    (gradient,) = torch.autograd.grad(value, embeddings)
    assert torch.isfinite(value)
    assert (gradient[~mask] == 0).all()

    other = embeddings.detach().clone()
    other[~mask] = 7.0
    wider = torch.nn.functional.pad(other, (0, 0, 0, 3), value=5.0)
    late = torch.nn.functional.pad(times.masked_fill(~mask, -1e3), (0, 3), value=1e3)
    more = torch.nn.functional.pad(mask, (0, 3))
    # The order of summation differs: 1e-12 in float64.
    torch.testing.assert_close(loss(wider, late, more)["loss"], value, rtol=1e-12, atol=1e-12)


# The divergence of the posterior is a mean over frames with a partner, not over clips.
@pytest.mark.parametrize("alignment", ["none", "score", "fenchel_young"])
def test_a_batch_is_the_mean_of_its_clips(alignment):
    embeddings, times, mask = two_views(clips=3)
    loss = LacLoss(alignment=alignment, sigma=3.0).double()
    single = [
        loss(embeddings[b : b + 1], times[b : b + 1], mask[b : b + 1])["loss"] for b in range(3)
    ]
    torch.testing.assert_close(
        loss(embeddings, times, mask)["loss"], torch.stack(single).mean(), rtol=1e-12, atol=1e-12
    )


def test_correspondence_pairs_mutual_nearest_frames_and_counts_gaps():
    times = torch.tensor([[[0.0, 1.0, 2.0, 5.0, 9.0], [0.1, 4.9, 6.0, 7.0, 20.0]]])
    mask = torch.ones(1, 2, 5, dtype=torch.bool)
    mask[0, 0, 4] = False
    found = correspondence(times, mask, tolerance=1.0)
    assert found.pairs[0].nonzero().tolist() == [[0, 0], [3, 1]]
    # Frames 1 and 2 of the first view are skipped, in the column before that of the next pair.
    assert [cells.nonzero().tolist() for cells in found.opened] == [[], [[0, 1, 0]]]
    assert [cells.nonzero().tolist() for cells in found.extended] == [[], [[0, 2, 0]]]


def alignments(n, m):
    """All non-empty sets of pairs that increase in both coordinates."""
    for k in range(1, min(n, m) + 1):
        for rows in itertools.combinations(range(n), k):
            for columns in itertools.combinations(range(m), k):
                yield list(zip(rows, columns, strict=True))


def test_fenchel_young_is_minus_the_log_probability_of_the_known_alignment():
    n, temperature, gap_open, gap_extend = 4, 0.7, 0.9, 0.3
    similarity = torch.randn(
        1, n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    times = torch.tensor([[[0.0, 1.0, 2.0, 3.0], [0.0, 2.1, 3.1, 9.0]]], dtype=torch.float64)
    target = correspondence(times, torch.ones(1, 2, n, dtype=torch.bool), tolerance=0.5)
    known = [tuple(pair) for pair in target.pairs[0].nonzero().tolist()]

    def value(pairs):
        total = sum(similarity[0, i, j].item() for i, j in pairs)
        for (i, j), (i_next, j_next) in itertools.pairwise(pairs):
            for skipped in (i_next - i - 1, j_next - j - 1):
                if skipped:
                    total -= gap_open + (skipped - 1) * gap_extend
        return total

    weights = [math.exp(value(pairs) / temperature) for pairs in alignments(n, n)]
    expected = -temperature * math.log(math.exp(value(known) / temperature) / sum(weights))
    scoring = Scoring(
        torch.tensor(gap_open, dtype=torch.float64),
        torch.tensor(gap_extend, dtype=torch.float64),
        temperature,
    )
    loss = fenchel_young(similarity, torch.tensor([[n, n]]), target, scoring)
    assert loss.item() * len(known) == pytest.approx(expected, rel=1e-12)


def test_fenchel_young_vanishes_as_the_posterior_becomes_the_known_alignment():
    times = torch.arange(5.0).expand(1, 2, 5)
    target = correspondence(times, torch.ones(1, 2, 5, dtype=torch.bool), tolerance=0.5)
    scoring = Scoring(torch.tensor(1.0), torch.tensor(0.1), 1.0)
    losses = [
        fenchel_young(
            scale * (2 * torch.eye(5) - 1)[None], torch.tensor([[5, 5]]), target, scoring
        ).item()
        for scale in (0.0, 1.0, 10.0)
    ]
    assert losses[0] > losses[1] > losses[2]
    assert 0 <= losses[2] < 1e-4


def test_gap_terms_of_the_known_alignment_are_the_score_of_it_alone():
    """Where every other pair is forbidden, the soft score is that of the known alignment."""
    times = torch.tensor([[[0.0, 4.0, 5.0, 6.0, 7.0], [0.1, 1.0, 2.0, 3.0, 7.1]]]).double()
    mask = torch.ones(1, 2, 5, dtype=torch.bool)
    target = correspondence(times, mask, tolerance=0.5)
    assert target.pairs[0].nonzero().tolist() == [[0, 0], [4, 4]]
    rng = torch.Generator().manual_seed(0)
    similarity = 9 + torch.rand(1, 5, 5, dtype=torch.float64, generator=rng)
    similarity = similarity.masked_fill(~target.pairs, -torch.inf)

    def table():
        return torch.rand(5, 5, dtype=torch.float64, generator=rng)

    def vectors():
        return tuple(torch.rand(1, 5, dtype=torch.float64, generator=rng) for _ in range(2))

    for draw in (table, vectors):
        # At a low temperature the alignments of one pair alone have no part in the soft score.
        loss = fenchel_young(
            similarity, torch.tensor([[5, 5]]), target, Scoring(draw(), draw(), 0.05)
        )
        assert loss.item() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("penalties", ["table", "embedding"])
@pytest.mark.parametrize("alignment", ["score", "fenchel_young", "posterior_kl"])
def test_other_penalties_start_as_scalars_and_learn(penalties, alignment):
    embeddings, times, mask = two_views()
    times = torch.cat([times, times[..., -1:] + torch.arange(1.0, 4.0)], -1)[..., :6]
    mask[0, 0, 4:] = False
    settings = {"alignment": alignment, "sigma": 2.0, "gap_open": 0.7}
    scalar = LacLoss(**settings).double()
    loss = LacLoss(**settings, penalties=penalties, frames=8, dimension=4).double()
    value = loss(embeddings, times, mask)
    torch.testing.assert_close(value, scalar(embeddings, times, mask), rtol=1e-9, atol=1e-9)
    value["loss"].backward()
    learned = loss.raw_gap_open if penalties == "table" else loss.predict.weight
    assert learned.grad.abs().sum() > 0


def test_only_fixed_penalties_withstand_the_score():
    embeddings, times, mask = two_views()
    for penalties, cheaper in (("scalar", True), ("fixed", False)):
        loss = LacLoss(alignment="score", penalties=penalties).double()
        loss(embeddings, times, mask)["loss"].backward()
        assert any(p.requires_grad for p in loss.parameters()) is cheaper
        if cheaper:  # descent lowers both
            assert loss.raw_gap_open.grad > 0
            assert loss.raw_gap_extend.grad >= 0


def test_penalties_of_another_size_than_the_views_are_refused_by_name():
    embeddings, times, mask = two_views()
    with pytest.raises(ValueError, match="`dimension` must be that of embeddings"):
        LacLoss(penalties="embedding")(embeddings.float(), times.float(), mask)
    with pytest.raises(ValueError, match="`frames` of the table must be at least"):
        LacLoss(penalties="table", frames=5)(embeddings.float(), times.float(), mask)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_views_that_never_meet_give_a_finite_loss(alignment):
    embeddings, times, mask = two_views(clips=1)
    times = times + torch.tensor([0.0, 1e3]).reshape(1, 2, 1)
    loss = LacLoss(alignment=alignment).double()(embeddings, times, mask)["loss"]
    (gradient,) = torch.autograd.grad(loss, embeddings)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


@pytest.mark.slow
def test_minimising_each_term_recovers_the_correspondence():
    for alignment in ("score", "fenchel_young", "posterior_kl"):
        torch.manual_seed(0)
        times = torch.arange(8.0).expand(1, 2, 8)
        mask = torch.ones(1, 2, 8, dtype=torch.bool)
        raw = torch.randn(1, 2, 8, 8, requires_grad=True)
        loss = LacLoss(alignment=alignment, sigma=0.7, weight=0.3)
        optimizer = torch.optim.Adam([raw, *loss.parameters()], lr=0.1)
        for _ in range(150):
            z = torch.nn.functional.normalize(raw, dim=-1)
            value = loss(z, times, mask)["loss"]
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        nearest = (z[0, 0] @ z[0, 1].T).argmax(1)
        assert nearest.tolist() == list(range(8)), alignment
        assert loss.gap_open > 0, alignment
        assert loss.gap_extend > 0, alignment


def test_penalties_start_as_asked_and_are_saved_and_restored():
    loss = LacLoss(gap_open=2.5, gap_extend=0.01)
    assert loss.gap_open.item() == pytest.approx(2.5, rel=1e-6)
    assert loss.gap_extend.item() == pytest.approx(0.01, rel=1e-5)
    restored = LacLoss()
    restored.load_state_dict(loss.state_dict())
    assert restored.gap_open.item() == loss.gap_open.item()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "`temperature` must be > 0"),
        ({"sigma": -1.0}, "`sigma` must be > 0"),
        ({"weight": math.nan}, "`weight` must be >= 0"),
        ({"alignment": "dtw"}, "`alignment` must be one of"),
        ({"penalties": "row"}, "`penalties` must be one of"),
        ({"gap_extend": 0.0}, "`gap_extend` must be > 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        LacLoss(**settings)


def test_official_loss_refuses_wrong_shapes_by_name():
    with pytest.raises(ValueError, match="`embeddings` must be"):
        official_lac_loss(torch.zeros(2, 3, 4), torch.zeros(2, 3), temperature=1.0, sigma2=1.0)
    with pytest.raises(ValueError, match="`steps` must be"):
        official_lac_loss(torch.zeros(1, 2, 3, 4), torch.zeros(2, 3), temperature=1.0, sigma2=1.0)

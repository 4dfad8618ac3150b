"""The loss across clips: a plain loop over pairs of clips, and what must not change it."""

import lightning
import pytest
import torch

from lac._matching import match
from lac._module import EmbeddingModule
from lac.data import ClipDataModule, Rendered
from lac.encoder import Encoder
from lac.losses import AcrossLoss, LacLoss, SclLoss
from lac.losses._contrastive import contrastive_loss
from tests.support import plain_torch
from tests.support.drawn_views import two_views

TEACHERS = ["local", "global", "fitting", "dual_softmax"]
# Untrained embeddings of few features are far from alike: little of them lies above 3.
SETTINGS = {"temperature": 0.2, "sigma": 1.5, "shift": 0.5, "across_weight": 0.7, "gap_open": 0.8}


def ragged(clips=3):
    """Views of which some end early."""
    embeddings, times, mask = two_views(clips=clips, frames=5)
    mask[0, 0, 3:] = mask[1, 1, 4:] = False
    return embeddings, times, mask


def score(similarity, mode):
    """The soft score of one pair of clips, by plain torch."""
    penalties = {"gap_open": torch.tensor(0.8), "gap_extend": torch.tensor(0.1)}
    return plain_torch.score(similarity[None], **penalties, temperature=1.0, mode=mode)[0]


def teach(similarity, teacher):
    """What one pair of clips learns from, by plain torch."""
    if teacher == "dual_softmax":
        return similarity.softmax(1) * similarity.softmax(0)
    shifted = (similarity.detach() - SETTINGS["shift"]).requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(score(shifted, teacher), shifted)[0]


def by_hand(embeddings, times, mask, teacher, *, sharpening=1.0, smoothing=0.0, actions=None):
    """The term across clips, pair by pair and frame by frame."""
    actions = [0] * len(embeddings) if actions is None else actions
    total = {"rows": 0.0, "columns": 0.0}
    mass = {"rows": 0.0, "columns": 0.0}
    for a in range(len(embeddings)):
        for b in range(len(embeddings)):
            if a == b or actions[a] != actions[b]:
                continue
            x, y = embeddings[a, 0, mask[a, 0]], embeddings[b, 1, mask[b, 1]]
            similarity = x @ y.T / SETTINGS["temperature"]
            posterior = teach(similarity.detach(), teacher)
            for side, s, p, t in (
                ("rows", similarity, posterior, times[b, 1, mask[b, 1]]),
                ("columns", similarity.T, posterior.T, times[a, 0, mask[a, 0]]),
            ):
                for i in range(len(s)):
                    surely = p[i].sum()
                    target = p[i] ** sharpening / (p[i] ** sharpening).sum()
                    if smoothing:
                        near = torch.exp(-((t[:, None] - t) ** 2) / (2 * smoothing**2))
                        target = target @ (near / near.sum(1, keepdim=True))
                    total[side] += surely * -(target * s[i].log_softmax(0)).sum()
                    mass[side] += surely
    return sum(total[side] / mass[side] for side in total) / 2


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize(
    "settings", [{}, {"sharpening": 2.5}, {"smoothing": 1.2}, {"sharpening": 0.5, "smoothing": 2.0}]
)
def test_all_pairs_at_once_are_a_plain_loop_over_pairs(teacher, settings):
    embeddings, times, mask = ragged()
    terms = AcrossLoss(**SETTINGS, teacher=teacher, **settings)(embeddings, times, mask)
    wanted = by_hand(embeddings, times, mask, teacher, **settings)
    # Both in float64; the posterior of fastsw is good to 4e-9 in it (docs/results/accuracy.md).
    torch.testing.assert_close(terms["across"], wanted.detach(), rtol=1e-8, atol=0)
    contrast = contrastive_loss(embeddings, times, mask, temperature=0.2, sigma=1.5)
    gradients = [
        torch.autograd.grad(value, embeddings)[0]
        for value in (terms["loss"], contrast + 0.7 * wanted)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-7, atol=1e-9)


def test_a_teacher_is_no_part_of_the_gradient(monkeypatch):
    """Finite differences agree once the teacher is held where it was."""
    embeddings, times, mask = ragged(clips=2)
    loss = AcrossLoss(**SETTINGS, sharpening=1.5, smoothing=1.0)
    taught = []
    learn = loss._teach
    monkeypatch.setattr(loss, "_teach", lambda pairs: taught.append(learn(pairs)) or taught[0])
    assert torch.autograd.gradcheck(lambda z: loss(z, times, mask)["loss"], embeddings)


@pytest.mark.parametrize("teacher", TEACHERS)
def test_forwards_scores_above_backwards(teacher):
    embeddings, times, mask = ragged(clips=2)
    loss = AcrossLoss(**SETTINGS | {"across_weight": 0.0}, teacher=teacher, order_weight=0.4)
    terms = loss(embeddings, times, mask)
    mode = "local" if teacher == "dual_softmax" else teacher
    values = []
    for a, b in ((0, 1), (1, 0)):
        x, y = embeddings[a, 0, mask[a, 0]], embeddings[b, 1, mask[b, 1]]
        forwards, backwards = (score(x @ other.T / 0.2 - 0.5, mode) for other in (y, y.flip(0)))
        values.append(torch.log1p(torch.exp((backwards - forwards) / min(len(x), len(y)))))
    # As above, of scores.
    assert terms["order"].item() == pytest.approx(torch.stack(values).mean().item(), rel=1e-8)
    assert torch.autograd.gradcheck(lambda z: loss(z, times, mask)["loss"], embeddings)


@pytest.mark.parametrize("teacher", TEACHERS)
def test_padding_changes_nothing(teacher):
    embeddings, times, mask = ragged()
    loss = AcrossLoss(**SETTINGS, teacher=teacher, smoothing=1.0, order_weight=0.2)
    terms = loss(embeddings, times, mask)
    (gradient,) = torch.autograd.grad(terms["loss"], embeddings)
    assert (gradient[~mask] == 0).all()
    other = embeddings.detach().clone()
    other[~mask] = 7.0
    wider = torch.nn.functional.pad(other, (0, 0, 0, 3), value=5.0).requires_grad_()
    late = torch.nn.functional.pad(times.masked_fill(~mask, -1e3), (0, 3), value=1e3)
    again = loss(wider, late, torch.nn.functional.pad(mask, (0, 3)))
    # Sums in another order, no more.
    torch.testing.assert_close(again, terms, rtol=1e-9, atol=0)
    (same,) = torch.autograd.grad(again["loss"], wider)
    torch.testing.assert_close(same[:, :, :5][mask], gradient[mask], rtol=1e-7, atol=1e-10)
    assert (same[:, :, 5:] == 0).all()


@pytest.mark.parametrize("teacher", TEACHERS)
def test_the_order_of_clips_changes_nothing(teacher):
    embeddings, times, mask = ragged()
    loss = AcrossLoss(**SETTINGS, teacher=teacher, order_weight=0.2)
    turned = [2, 0, 1]
    torch.testing.assert_close(
        loss(embeddings[turned], times[turned], mask[turned]),
        loss(embeddings, times, mask),
        rtol=1e-9,
        atol=0,
    )


def test_contrast_alone_is_left_of_one_clip_without_weight_or_before_the_ramp():
    embeddings, times, mask = ragged()
    contrast = contrastive_loss(embeddings, times, mask, temperature=0.2, sigma=1.5)
    unweighted = AcrossLoss(**SETTINGS | {"across_weight": 0.0})
    assert unweighted(embeddings, times, mask)["loss"] == contrast
    early = AcrossLoss(**SETTINGS, order_weight=1.0)
    early.prepare(progress=0.3, actions=None)
    terms = early(embeddings, times, mask)
    assert terms["loss"] == contrast
    assert terms["across"] == terms["matched"] == terms["order"] == 0
    alone = AcrossLoss(**SETTINGS)(embeddings[:1], times[:1], mask[:1])
    assert alone["loss"] == alone["contrastive"]
    alone["loss"].backward()


def test_the_term_rises_with_the_progress_of_training():
    embeddings, times, mask = ragged()
    loss = AcrossLoss(**SETTINGS, ramp=(0.2, 0.6))
    values = []
    for progress in (0.2, 0.3, 0.4, 0.6, 1.0):
        loss.prepare(progress=progress, actions=None)
        terms = loss(embeddings, times, mask)
        values.append((terms["loss"] - terms["contrastive"]).item())
    full = values[-1]
    assert values == pytest.approx([0, 0.25 * full, 0.5 * full, full, full])
    at_once = AcrossLoss(**SETTINGS, ramp=(0.0, 0.0))
    at_once.prepare(progress=0.0, actions=None)
    assert at_once(embeddings, times, mask)["loss"].item() == pytest.approx(
        full + terms["contrastive"].item()
    )


def test_clips_of_another_action_are_no_partners():
    embeddings, times, mask = ragged(clips=4)
    actions = torch.tensor([1, 0, 1, 0])
    loss = AcrossLoss(**SETTINGS)
    loss.prepare(progress=1.0, actions=actions)
    own = loss(embeddings, times, mask)["across"]
    wanted = by_hand(embeddings, times, mask, "local", actions=actions.tolist())
    assert own.item() == pytest.approx(wanted.item(), rel=1e-8)
    everyone = AcrossLoss(**SETTINGS, partners="all")
    everyone.prepare(progress=1.0, actions=actions)
    assert everyone(embeddings, times, mask)["across"].item() == pytest.approx(
        by_hand(embeddings, times, mask, "local").item(), rel=1e-8
    )
    loss.prepare(progress=1.0, actions=torch.arange(4))
    assert loss(embeddings, times, mask)["across"] == 0
    loss.prepare(progress=1.0, actions=torch.arange(3))
    with pytest.raises(ValueError, match="`actions` must be one a clip, 4, got 3"):
        loss(embeddings, times, mask)


@pytest.mark.slow
def test_training_tells_how_far_it_is_and_which_actions_there_are(tmp_path):
    told = []

    class Listening(SclLoss):
        def prepare(self, *, progress, actions):
            told.append((progress, actions))

    module = EmbeddingModule(encoder=Encoder(), loss=Listening())
    data = ClipDataModule(
        rendered=Rendered(train=4, val=0, size=16), image_size=16, batch_size=2, cache=tmp_path
    )
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    assert told == [(0.0, None), (0.25, None), (0.5, None), (0.75, None)]


def test_nothing_in_common_teaches_nothing():
    embeddings, times, mask = ragged()
    terms = AcrossLoss(**SETTINGS | {"shift": 400.0}, teacher="global")(embeddings, times, mask)
    assert terms["loss"].isfinite() and terms["matched"] < 1e-6
    (gradient,) = torch.autograd.grad(terms["loss"], embeddings)
    assert gradient.isfinite().all()


def test_single_precision_is_near_double():
    embeddings, times, mask = ragged()
    loss = AcrossLoss(**SETTINGS, order_weight=0.2)
    wanted = loss(embeddings, times, mask)["loss"].item()
    found = loss(embeddings.float(), times.float(), mask)["loss"]
    assert found.dtype == torch.float32
    # Some hundred summands of about 1, each rounded to 6e-8.
    assert found.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"teacher": "soft"}, "`teacher` must be one of"),
        ({"partners": "some"}, "`partners` must be one of"),
        ({"across_weight": -0.1}, "`across_weight` must be >= 0"),
        ({"ramp": (0.6, 0.3)}, "`ramp` must be two shares in order"),
        ({"ramp": (0.6, 1.3)}, "`ramp` must be two shares in order"),
        ({"shift": float("nan")}, "`shift` must be finite"),
        ({"sharpening": 0.0}, "`sharpening` must be > 0"),
        ({"gap_open": -1.0}, "`gap_open` must be > 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        AcrossLoss(**settings)


@pytest.mark.parametrize("kind", [AcrossLoss, LacLoss])
def test_clips_are_matched_by_the_settings_of_the_loss(kind):
    """`lac align` and the figures compare and align as the loss did."""
    settings = {"temperature": 0.3, "gap_open": 0.7, "gap_extend": 0.2}
    x, y = torch.nn.functional.normalize(torch.randn(2, 9, 4), dim=-1).numpy()
    found = match(x, y, loss=kind(**settings, alignment_temperature=0.5))
    similarity = x @ y.T / 0.3
    torch.testing.assert_close(found.similarity, similarity - similarity.mean())
    expected = [settings["gap_open"], settings["gap_extend"], 0.5]
    assert list(found.scoring) == pytest.approx(expected)
    assert list(match(x, y, loss=SclLoss()).scoring) == [1.0, 0.1, 1.0]

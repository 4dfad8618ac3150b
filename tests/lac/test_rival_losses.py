"""The losses of other papers: values worked out in plain loops, padding, gradients, settings."""

import math

import numpy as np
import pytest
import torch

from lac.losses import GtaLoss, LavLoss, SclLoss, TccLoss, TcnLoss
from lac.losses.gta import smooth_dtw
from tests.support.drawn_views import two_views

LOSSES = {
    "scl": lambda: SclLoss(),
    "tcc regression": lambda: TccLoss(),
    "tcc classification": lambda: TccLoss(cycle="classification"),
    "tcn": lambda: TcnLoss(),
    "lav": lambda: LavLoss(),
    "gta": lambda: GtaLoss(),
}


def as_arrays(embeddings, times):
    return embeddings.detach().numpy(), times.numpy()


def softmax(x):
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def square(x):
    return float((x**2).sum())


def test_scl_is_the_cross_entropy_of_carl_less_the_entropy_of_its_gaussian():
    embeddings, times, mask = two_views(clips=1)
    z, t = as_arrays(embeddings[0], times[0])
    values = []
    for here, there in ((0, 1), (1, 0)):
        for i in range(6):
            weights = softmax(-((t[here, i] - t[there]) ** 2) / (2 * 10))
            log_q = np.log(softmax(z[there] @ z[here, i] / 0.1))
            values.append(-(weights * log_q).sum() + (weights * np.log(weights)).sum())
    value = SclLoss()(embeddings, times, mask)["loss"].item()
    assert value == pytest.approx(np.mean(values), rel=1e-12)


@pytest.mark.parametrize("cycle", ["regression", "classification"])
def test_tcc_goes_forth_and_back_frame_by_frame(cycle):
    embeddings, times, mask = two_views()
    z, t = as_arrays(embeddings, times)
    values = []
    for clip, other in ((0, 1), (1, 0)):  # first views of clips, second views of the next
        pair = (z[clip, 0], t[clip, 0]), (z[other, 1], t[other, 1])
        for (u, time), (v, _) in (pair, pair[::-1]):
            for i in range(6):
                alpha = softmax(np.array([-square(u[i] - x) / 0.3 for x in v]))
                neighbour = sum(a * x for a, x in zip(alpha, v, strict=True))
                beta = softmax(np.array([-square(neighbour - x) / 0.3 for x in u]))
                mean = beta @ time
                variance = beta @ (time - mean) ** 2 + 1e-6
                values.append(
                    -math.log(beta[i])
                    if cycle == "classification"
                    else (time[i] - mean) ** 2 / variance + 0.01 * math.log(math.sqrt(variance))
                )
    loss = TccLoss(cycle=cycle, temperature=0.3, variance_weight=0.01)
    assert loss(embeddings, times, mask)["loss"].item() == pytest.approx(np.mean(values), rel=1e-9)


def test_tcn_contrasts_the_nearest_frame_with_those_beyond_the_window():
    embeddings, _, mask = two_views(clips=1)
    times = torch.tensor([[[0.0, 2.0, 4.0, 6.0, 8.0, 50.0], [0.5, 3.0, 5.0, 9.0, 20.0, 30.0]]])
    z, t = as_arrays(embeddings[0], times[0])
    values = []
    for here, there in ((0, 1), (1, 0)):
        for i in range(6):
            apart = abs(t[there] - t[here, i])
            if apart.min() <= 3:
                inner = z[there] @ z[here, i] / 0.2
                above = inner[apart > 3] - inner[apart.argmin()]
                values.append(math.log(1 + np.exp(above).sum()))
    assert len(values) == 9  # the frames at 50, at 20 and at 30 have no positive
    loss = TcnLoss(temperature=0.2, window=3.0)
    assert loss(embeddings, times.double(), mask)["loss"].item() == pytest.approx(np.mean(values))


def soft_dtw(cost, temperature):
    """Every path, one by one."""
    n, m = cost.shape

    def paths(i, j):
        if (i, j) == (n - 1, m - 1):
            yield cost[i, j]
        for a, b in ((i + 1, j), (i, j + 1), (i + 1, j + 1)):
            if a < n and b < m:
                yield from (cost[i, j] + rest for rest in paths(a, b))

    return -temperature * math.log(sum(math.exp(-c / temperature) for c in paths(0, 0)))


def test_lav_is_soft_dtw_of_the_pair_and_contrast_within_each():
    embeddings, times, mask = two_views(frames=4)
    z, t = as_arrays(embeddings, times)
    total = 0.0
    for clip, other in ((0, 1), (1, 0)):
        sides = (z[clip, 0], t[clip, 0]), (z[other, 1], t[other, 1])
        (x, _), (y, _) = sides
        total += soft_dtw(np.array([[square(a - b) for b in y] for a in x]), 0.5) / 4
        for u, time in sides:
            for i in range(4):
                for j in range(4):
                    distance, apart = square(u[i] - u[j]), abs(time[i] - time[j])
                    weight = 1 + (apart / (time[3] - time[0])) ** 2
                    far = apart > 2.0
                    cell = weight * max(0.0, 1.5 - distance) if far else distance
                    total += 3.0 * cell / 16
    loss = LavLoss(smoothness=0.5, contrast_weight=3.0, margin=1.5, window=2.0)
    assert loss(embeddings, times, mask)["loss"].item() == pytest.approx(total / 2, rel=1e-9)


def smooth_table(cost, gamma):
    """R of GTA, cell by cell."""
    n, m = cost.shape
    table = np.full((n + 1, m + 1), 1e9)
    table[0, 0] = 0.0
    for i in range(n):
        for j in range(m):
            before = np.array([table[i, j], table[i, j + 1], table[i + 1, j]])
            table[i + 1, j + 1] = cost[i, j] + softmax(-before / gamma) @ before
    return table[1:, 1:]


def test_smooth_dtw_is_its_recurrence():
    cost = np.random.default_rng(0).uniform(0, 3, (2, 5, 7))
    expected = np.stack([smooth_table(c, 0.4) for c in cost])
    np.testing.assert_allclose(smooth_dtw(torch.from_numpy(cost), 0.4), expected, rtol=1e-12)


def test_smooth_dtw_has_the_right_gradient():
    cost = torch.rand(1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c: smooth_dtw(c, 0.5), cost)


def test_gta_is_its_two_alignments_and_the_cycle():
    embeddings, times, mask = two_views(frames=4)
    z, _ = as_arrays(embeddings, times)
    values = []
    for clip, other in ((0, 1), (1, 0)):
        x, y = z[clip, 0], z[other, 1]
        leads, total = [], 0.0
        for u, v in ((x, y), (y, x)):
            similarity = u @ v.T / 0.5
            cost = -np.log(np.stack([softmax(column) for column in similarity.T], 1))
            table = smooth_table(cost, 0.2)
            total += 1.5 * table[-1, -1] / 4
            leads.append(np.stack([softmax(-column) for column in table.T], 1))
        returned = leads[0] @ leads[1]
        for k in range(4):  # from frame k, there and back
            log_p = np.log(softmax(returned[:, k]))
            total -= (0.9 * log_p[k] + 0.1 * log_p.mean()) / 4
        values.append(total)
    loss = GtaLoss(temperature=0.5, smoothness=0.2, alignment_weight=1.5)
    assert loss(embeddings, times, mask)["loss"].item() == pytest.approx(np.mean(values), rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_padding_changes_nothing(name):
    embeddings, times, mask = two_views(clips=3)
    mask[0, 0, 4:] = mask[1, 1, 3:] = False
    loss = LOSSES[name]()
    value = loss(embeddings, times, mask)["loss"]
    (gradient,) = torch.autograd.grad(value, embeddings)
    assert torch.isfinite(value)
    assert (gradient[~mask] == 0).all()
    assert (gradient[mask] != 0).any()

    other = embeddings.detach().clone()
    other[~mask] = 7.0
    wider = torch.nn.functional.pad(other, (0, 0, 0, 3), value=5.0)
    late = torch.nn.functional.pad(times.masked_fill(~mask, -1e3), (0, 3), value=1e3)
    more = torch.nn.functional.pad(mask, (0, 3))
    # The order of summation differs: 1e-12 in float64.
    torch.testing.assert_close(loss(wider, late, more)["loss"], value, rtol=1e-12, atol=1e-12)


@pytest.mark.smoke(2)
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_right_and_one_clip_is_enough(name):
    embeddings, times, mask = two_views(clips=1, frames=4)
    loss = LOSSES[name]()
    assert torch.autograd.gradcheck(lambda z: loss(z, times, mask)["loss"], embeddings)


@pytest.mark.smoke(1)
@pytest.mark.parametrize("name", LOSSES)
def test_minimising_tells_the_frames_of_a_clip_apart_in_order(name):
    torch.manual_seed(0)
    times = torch.arange(8.0).mul(4).expand(1, 2, 8)
    mask = torch.ones(1, 2, 8, dtype=torch.bool)
    # A common beginning, as two views of a clip have before training.
    raw = (torch.randn(1, 1, 8, 8) + 0.3 * torch.randn(1, 2, 8, 8)).requires_grad_()
    optimizer = torch.optim.Adam([raw], lr=0.03)
    loss = LOSSES[name]()
    for _ in range(150):
        z = torch.nn.functional.normalize(raw, dim=-1)
        optimizer.zero_grad()
        loss(z, times, mask)["loss"].backward()
        optimizer.step()
    assert (z[0, 0] @ z[0, 1].T).argmax(1).tolist() == list(range(8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SclLoss(variance=0.0), "`variance` must be > 0"),
        (lambda: TccLoss(cycle="both"), "`cycle` must be one of"),
        (lambda: TccLoss(variance_weight=-1.0), "`variance_weight` must be >= 0"),
        (lambda: TcnLoss(window=math.inf), "`window` must be > 0 and finite"),
        (lambda: LavLoss(pairs="all"), "`pairs` must be one of"),
        (lambda: GtaLoss(label_smoothing=1.0), "`label_smoothing` must be in"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()

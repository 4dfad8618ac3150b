"""The linear kernel of the GPU: which pairs it answers, and that these are right up to its bounds.

On a GPU only the answers are checked; in the simulator also which kernel gave them.
"""

import math

import numpy as np
import pytest

import fastsw
from tests.support.oracle import expected, within
from tests.support.simulated import SIMULATED

torch = pytest.importorskip("torch")
from fastsw._cuda.kernels import linear, linear_strip  # noqa: E402
from fastsw._cuda.kernels.linear_memory import HEIGHT  # noqa: E402
from fastsw._cuda.kernels.linear_numbers import (  # noqa: E402
    COLUMNS,
    EXPONENT_GAP,
    HEAD,
    ROOM,
    ROWS,
)

pytestmark = pytest.mark.simulator if SIMULATED else pytest.mark.gpu

#: Rows of a pair of several strips.
TALL = 2 * HEIGHT + 3
BITS = math.log(2.0)


@pytest.fixture
def answered(monkeypatch):
    """What became of each pair, where the kernel is Python's: whether linear space answered it."""
    found = {}
    if SIMULATED:
        pass_on = linear_strip.pass_on

        def watched(counters, b, answer):
            assert found.setdefault(int(b), bool(answer)) == answer
            pass_on(counters, b, answer)

        for module in (linear, linear_strip):
            monkeypatch.setattr(module, "pass_on", watched)
    return found


def hold(similarity, device, *, lengths=None, temperature=1.0, **options):
    """Hold scores and gradients of a local alignment to the reference."""
    options = dict(gap_open=1.0, gap_extend=0.25) | options
    wanted = expected(similarity, temperature=temperature, mode="local", lengths=lengths, **options)
    tensor = torch.from_numpy(similarity).to(device)
    given = None if lengths is None else torch.from_numpy(lengths)
    calls = dict(temperature=temperature, lengths=given, **options)
    score, gradients = fastsw.value_and_grad(tensor, **calls)
    alone = fastsw.score(tensor, **calls)
    bound = 2e-6 * np.maximum(temperature, np.abs(wanted.score))
    within(score.cpu().numpy(), wanted.score, bound)
    assert torch.equal(torch.nan_to_num(alone), torch.nan_to_num(score))
    within(gradients.similarity.cpu().numpy(), wanted.similarity, 2e-5)
    for found, reference in (
        (gradients.gap_open, wanted.gap_open),
        (gradients.gap_extend, wanted.gap_extend),
    ):
        within(found.cpu().numpy(), reference, 2e-5 * np.maximum(1.0, np.abs(reference)))


def draw(*shape, seed=0):
    """Random similarities."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


@pytest.mark.smoke(3)
@pytest.mark.parametrize("columns", [1, 3, 4, 6, 12, 33])
@pytest.mark.parametrize("rows", [1, 2, HEIGHT - 1, HEIGHT, HEIGHT + 1, TALL])
def test_any_shape_is_answered(rows, columns, device, answered):
    hold(draw(2, rows, columns), device)
    assert not SIMULATED or list(answered.values()) == [True, True]


def test_pairs_of_any_lengths_are_answered_together(device, answered):
    lengths = np.array([[TALL, 9], [1, 1], [HEIGHT, 8], [HEIGHT + 1, 2], [3, 9], [0, 4], [5, 0]])
    similarity = draw(len(lengths), TALL, 9)
    hold(similarity, device, lengths=lengths)
    assert not SIMULATED or [answered[b] for b in range(7)] == [True] * 5 + [False] * 2


def test_rows_need_not_begin_at_multiples_of_16_bytes(device):
    flat = torch.from_numpy(draw(1 + 2 * TALL * 8)).to(device)
    similarity = flat[1:].reshape(2, TALL, 8)
    wanted = fastsw.value_and_grad(similarity.clone(), gap_open=1.0, gap_extend=0.25)
    found = fastsw.value_and_grad(similarity, gap_open=1.0, gap_extend=0.25)
    assert similarity.data_ptr() % 16 != 0
    assert torch.equal(found[0], wanted[0])
    assert torch.equal(found[1].similarity, wanted[1].similarity)


def test_each_pair_has_penalties_of_its_own(device, answered):
    options = dict(gap_open=np.array([0.3, 2.0, 1.0]), gap_extend=np.array([0.1, 0.7, 1.0]))
    similarity = draw(3, HEIGHT + 2, 10)
    tensors = {name: torch.from_numpy(value).to(device) for name, value in options.items()}
    score, gradients = fastsw.value_and_grad(torch.from_numpy(similarity).to(device), **tensors)
    for b in range(3):
        alone = {name: float(value[b]) for name, value in options.items()}
        wanted = expected(similarity[b : b + 1], temperature=1.0, mode="local", **alone)
        within(score[b].item(), wanted.score[0], 2e-6 * max(1.0, abs(wanted.score[0])))
        within(gradients.gap_open[b].item(), wanted.gap_open, 2e-5)
        within(gradients.gap_extend[b].item(), wanted.gap_extend, 2e-5)
    assert not SIMULATED or all(answered.values())


def beside(inequality, step):
    """Similarities and options a factor from one of the bounds of theorem 5, in bits."""
    similarity = np.full((1, HEIGHT + 2, 13), -3.0, np.float32)
    diagonal = np.arange(min(similarity.shape[1:]))
    similarity[0, diagonal, diagonal] = 1.0
    similarity[0, 5:8, 2:11] = -np.inf
    opened, extended, top = 1.0, 0.25, 4.0
    if inequality == "growth":
        opened, extended, top = 0.1, 0.05, (ROOM - HEAD - 12.0) / ROWS * step
        top = min(top, (EXPONENT_GAP - 1.2) / COLUMNS * step)
    if inequality == "exponent gap":
        top = 8.0
        spare = EXPONENT_GAP - max(ROWS, COLUMNS) * top
        opened = extended = spare / (2.0 + 2.0 * (ROWS + COLUMNS)) * step
    if inequality == "faintest":
        similarity[similarity > -np.inf] = 1.0
        top = linear_strip.FAINTEST * step
    similarity[similarity == 1.0] = top
    return (similarity * BITS).astype(np.float32), opened * BITS, extended * BITS


@pytest.mark.parametrize("inequality", ["growth", "exponent gap", "faintest"])
@pytest.mark.parametrize("inside", [True, False])
def test_pairs_beside_a_bound_are_right(inequality, inside, device, answered):
    similarity, opened, extended = beside(inequality, 0.99 if inside else 1.01)
    hold(similarity, device, gap_open=opened, gap_extend=extended)
    assert not SIMULATED or answered == {0: inside}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_what_numbers_do_not_hold_is_left_to_other_kernels(value, device, answered):
    similarity = draw(3, HEIGHT + 1, 9)
    clean = similarity.copy()
    similarity[1] = value
    options = dict(gap_open=1.0, gap_extend=0.25)
    score, gradients = fastsw.value_and_grad(torch.from_numpy(similarity).to(device), **options)
    assert not SIMULATED or answered == {0: True, 1: False, 2: True}
    answered.clear()
    wanted, others = fastsw.value_and_grad(torch.from_numpy(clean).to(device), **options)
    for b in (0, 2):
        assert torch.equal(score[b], wanted[b])
        assert torch.equal(gradients.similarity[b], others.similarity[b])
    if value == -np.inf:
        assert score[1] == -math.inf and not gradients.similarity[1].any()
    elif np.isfinite(value):
        assert score[1].isfinite() and gradients.similarity[1].isfinite().all()
    else:
        assert score[1].isnan() and gradients.similarity[1].isnan().all()


def test_forbidden_cells_have_no_share(device, answered):
    similarity = draw(2, HEIGHT + 3, 14)
    similarity[0, ::3, 1::2] = -np.inf
    similarity[1, 2:5] = -1e9
    hold(similarity, device)
    assert not SIMULATED or all(answered.values())


def test_a_gap_over_hundreds_of_columns_keeps_its_cost(device):
    similarity = np.full((1, 6, 500), -20.0, np.float32)
    similarity[0, [0, 1, 2], [0, 1, 2]] = similarity[0, [3, 4, 5], [497, 498, 499]] = 9.0
    hold(similarity, device, gap_open=2.0, gap_extend=0.02)


@pytest.mark.parametrize("seed", range(12))
def test_pairs_of_any_kind_are_right(seed, device):
    rng = np.random.default_rng(seed)
    shape = 1, *rng.integers(3, TALL, 2)
    top = rng.uniform(0.0, 24.0)
    similarity = rng.standard_normal(shape) * top
    kind = seed % 3
    if kind == 0:
        similarity = np.where(rng.random(shape) < 0.3, top, -rng.uniform(0.0, 60.0, shape))
    if kind == 1:
        similarity[rng.random(shape) < 0.6] = -np.inf
    similarity = np.minimum(similarity, top)
    similarity[0, 0, 0] = top
    spare = (EXPONENT_GAP - COLUMNS * top) * rng.random()
    options = dict(gap_open=BITS * spare / 12.0, gap_extend=BITS * spare / 24.0)
    hold((similarity * BITS).astype(np.float32), device, **options)

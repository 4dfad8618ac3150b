"""Answers of the CUDA kernels, on a GPU or in the simulator, against the float64 reference.

Nothing here calls the kernels of the CPU, which take minutes to compile on a new machine.
"""

import itertools

import numpy as np
import pytest

import fastsw
from fastsw import _reference
from tests.support.oracle import (
    FORMS,
    MODES,
    best_path,
    best_warping,
    cell_tables,
    draw_penalty,
    expected,
    expected_at_zero,
    expected_tangents,
    path_score,
    within,
)
from tests.support.oracle import within_entropy as entropy_within
from tests.support.simulated import SIMULATED

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.simulator if SIMULATED else pytest.mark.gpu

#: Sides of small pairs: the simulator's strips have 4 rows and its tiles 2 steps.
SIDES = (9, 7) if SIMULATED else (70, 45)
DTYPES = [np.float64, np.float32]

LOG2E = 1 / np.log(2.0)


def put(value, device):
    """A value, array or tuple of them as tensors on the device."""
    if isinstance(value, tuple):
        return tuple(put(v, device) for v in value)
    return torch.from_numpy(value).to(device) if isinstance(value, np.ndarray) else value


def host(value):
    """Tensors as NumPy arrays."""
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(host(v) for v in value)
    return value.detach().cpu().numpy()


def uneven(shape):
    """Lengths of a batch, both sides' extremes among them."""
    pairs, rows, columns = shape
    lengths = np.random.default_rng(0).integers(1, min(rows, columns) + 1, (pairs, 2))
    lengths[0] = rows, columns
    if pairs > 1:
        lengths[1] = 1, columns
    return lengths


def make(shape, forms, dtype, seed=0):
    """A random similarity and its penalties."""
    rng = np.random.default_rng([seed, *shape])
    similarity = rng.standard_normal(shape).astype(dtype)
    gap_open = draw_penalty(rng, forms[0], shape, dtype=dtype)
    return similarity, gap_open, draw_penalty(rng, forms[1], shape, high=0.8, dtype=dtype)


def check(
    similarity,
    device,
    *,
    gap_open,
    gap_extend,
    temperature,
    mode,
    lengths=None,
    where=None,
    wanted=None,
):
    """Hold score and gradients of a call to the reference, or to what is wanted."""
    options = dict(temperature=temperature, mode=mode)
    if wanted is None:
        wanted = expected(
            similarity, gap_open=gap_open, gap_extend=gap_extend, lengths=lengths, **options
        )
    if where == "device":
        options["temperature"] = torch.full((), temperature, dtype=torch.float64, device=device)
    score, gradients = fastsw.value_and_grad(
        put(similarity, device),
        gap_open=put(gap_open, device),
        gap_extend=put(gap_extend, device),
        lengths=put(lengths, device) if where == "device" else lengths,
        **options,
    )
    finite = np.abs(similarity[np.isfinite(similarity)]).max(initial=0.0)
    scale = max(1.0, (finite + 2.0) / temperature)
    double = similarity.dtype == np.float64
    of_score, of_posterior = (1e-12, 1e-13 * scale + 1e-12) if double else (2e-6, 2e-5)
    within(host(score), wanted.score, of_score * np.maximum(temperature, np.abs(wanted.score)))
    within(host(gradients.similarity), wanted.similarity, of_posterior)
    if lengths is not None:
        for posterior, (n, m) in zip(host(gradients.similarity), lengths, strict=True):
            assert not posterior[n:].any() and not posterior[:, m:].any()  # exactly zero
    for found, reference in (
        (gradients.gap_open, wanted.gap_open),
        (gradients.gap_extend, wanted.gap_extend),
    ):
        pairs = (found, reference) if isinstance(reference, tuple) else ((found,), (reference,))
        for one, other in zip(*pairs, strict=True):
            within(host(one), other, of_posterior * np.maximum(1.0, np.abs(other)))
    entropy_within(host(gradients.temperature), wanted, temperature, similarity.dtype, total=True)


#: Every form of penalties with every mode; the other options take turns.
CASES = [
    (mode, (opened, extended), dtype, temperature, lengths, where)
    for (mode, (opened, extended)), (dtype, temperature), (lengths, where) in zip(
        itertools.product(
            MODES,
            [(f, f) for f in FORMS]
            + [("scalar", "sides-vector"), ("pair-cell", "scalar"), ("sides-mixed", "cell")],
        ),
        itertools.cycle(
            [(d, t) for t in (1.0, 0.01, 100.0, 0.1, 0.001) for d in (np.float32, np.float64)]
        ),
        itertools.cycle([("full", "host"), ("uneven", "host"), ("uneven", "device")]),
        strict=False,
    )
]


@pytest.mark.smoke(3)
@pytest.mark.parametrize(("mode", "forms", "dtype", "temperature", "lengths", "where"), CASES)
def test_gradients_equal_the_reference(mode, forms, dtype, temperature, lengths, where, device):
    shape = 2, *SIDES
    similarity, gap_open, gap_extend = make(shape, forms, dtype)
    check(
        similarity,
        device,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=temperature,
        mode=mode,
        lengths=uneven(shape) if lengths == "uneven" else None,
        where=where,
    )


@pytest.mark.parametrize("mode", MODES)
def test_numbers_on_the_device_are_read_there(mode, device, monkeypatch):
    from fastsw._cuda import inputs

    monkeypatch.setattr(
        inputs, "known", lambda name, value: value.to(device, torch.float64).contiguous()
    )
    monkeypatch.setattr(
        inputs, "sides_of", lambda lengths, shape, place, name="": lengths.to(place)
    )
    similarity, gap_open, gap_extend = make((2, *SIDES), ("scalar", "sides-scalar"), np.float32)
    check(
        similarity,
        device,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=0.4,
        mode=mode,
        lengths=uneven(similarity.shape),
    )


SHAPES = [(1, 1, 1), (3, 1, 7), (3, 7, 1), (1, 3, 5), (1, 4, 4), (1, 5, 2), (5, 8, 3), (1, 13, 11)]
#: More strips than the 24 warps that each multiprocessor is given at once.
SHAPES += [(70, 2, 2) if SIMULATED else (5000, 3, 2)]
if not SIMULATED:
    SHAPES += [(1, 31, 33), (2, 32, 32), (3, 33, 31), (9, 64, 64), (1, 65, 300), (300, 17, 40)]


@pytest.mark.smoke(2)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_equals_the_reference(shape, dtype, device):
    for mode, temperature in zip(MODES, (1.0, 0.3, 0.05), strict=True):
        similarity, gap_open, gap_extend = make(shape, ("pair", "scalar"), dtype)
        check(
            similarity,
            device,
            gap_open=gap_open,
            gap_extend=gap_extend,
            temperature=temperature,
            mode=mode,
        )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["pair", "sides-vector"])
def test_pairs_with_an_empty_side_pay_for_their_gap_alone(form, mode, device):
    shape = 5, 6, 4
    similarity, gap_open, gap_extend = make(shape, (form, form), np.float32)
    check(
        similarity,
        device,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=0.7,
        mode=mode,
        lengths=np.array([[0, 4], [6, 0], [0, 0], [6, 4], [1, 1]]),
    )


def masked(rng, shape):
    table = rng.standard_normal(shape)
    table[rng.random(shape) < 0.3] = -np.inf
    return table


def trap(rng, shape):
    """A strong block in a corner that nothing can follow, and a better alignment elsewhere."""
    rows, columns = shape
    table = rng.normal(-2.0, 1.0, shape)
    table[:2, -2:] = 30.0
    for k in range(min(rows, columns) - 2):
        table[2 + k, k] = 90.0 / (min(rows, columns) - 2) + 1
    return table


EXTREMES = {
    "masked": masked,
    "trap": trap,
    "trap turned": lambda rng, shape: trap(rng, shape)[::-1, ::-1],
    "ten thousand": lambda rng, shape: rng.uniform(-1e4, 1e4, shape),
    "hopeless": lambda rng, shape: rng.uniform(-1e4, -9e3, shape),
    "masked by 1e9": lambda rng, shape: np.where(
        rng.random(shape) < 0.3, -1e9, rng.standard_normal(shape)
    ),
    "all below": lambda rng, shape: rng.normal(-1e9, 1e4, shape),
    "constant": lambda rng, shape: np.zeros(shape),
}


@pytest.mark.smoke(3)
@pytest.mark.parametrize(
    "temperature", [0.001, 1.0] if SIMULATED else [0.001, 0.01, 0.1, 1.0, 100.0]
)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", EXTREMES)
def test_any_range_is_exact(kind, mode, temperature, device):
    rng = np.random.default_rng(1)
    similarity = np.stack([EXTREMES[kind](rng, SIDES) for _ in range(2)]).astype(np.float32)
    check(similarity, device, gap_open=1.0, gap_extend=0.5, temperature=temperature, mode=mode)


@pytest.mark.smoke(2)
@pytest.mark.parametrize(
    "penalties", [(1e9, 1e9), (1e4, 1e3), (500.0, 0.0), (-1.0, -0.25), (-20.0, 30.0)]
)
@pytest.mark.parametrize("mode", MODES)
def test_penalties_of_any_range_are_exact(mode, penalties, device):
    rng = np.random.default_rng(2)
    similarity = trap(rng, SIDES)[None].astype(np.float32)
    gap_open, gap_extend = penalties
    for temperature in (0.01, 1.0):
        options = dict(temperature=temperature, mode=mode)
        wanted = forbidding(similarity, gap_open, **options) if gap_open == 1e9 else None
        check(
            similarity, device, gap_open=gap_open, gap_extend=gap_extend, **options, wanted=wanted
        )


def forbidding(similarity, gap, **options):
    """The reference's answer where all gaps cost the same, and no alignment has one too many.

    At 1e9 a skipped row or column, float64 has no digits left for what tells the alignments apart.
    At 1e4 they have the same probabilities, and each pays for as many gaps.
    """
    wanted = expected(similarity, gap_open=1e4, gap_extend=1e4, **options)
    gaps = np.rint(-wanted.gap_open - wanted.gap_extend)
    return wanted._replace(score=wanted.score - gaps * (gap - 1e4), size=wanted.size + gaps * gap)


@pytest.mark.smoke(2)
@pytest.mark.parametrize("form", ["scalar", "cell"])
@pytest.mark.parametrize("shape", [(1, 2, 120), (1, 120, 2)], ids=str)
def test_long_gaps_do_not_drift(shape, form, device):
    """One alignment, of 122 weights halfway between two float32 numbers, as far off as can be."""
    similarity = np.full(shape, -1e4, np.float32)
    halfway = -np.log1p(-30000.5 * 2.0**-24)
    gap = halfway if form == "scalar" else np.full(shape[1:], halfway)
    options = dict(gap_open=gap, gap_extend=gap, temperature=1.0, mode="global")
    check(similarity, device, **options)


@pytest.fixture
def workspaces(monkeypatch):
    """What kernels worked on, each launch's in turn."""
    from fastsw._cuda.runtime.memory import TorchMemory

    found, allocated = [], TorchMemory.allocated

    def kept(memory, workspace):
        found.append(allocated(memory, workspace))
        return found[-1]

    monkeypatch.setattr(TorchMemory, "allocated", kept)
    return found


def words(workspace, begin, count):
    """int32 words of a workspace."""
    return workspace[4 * begin : 4 * (begin + count)].view(torch.int32).tolist()


@pytest.mark.smoke(2)
@pytest.mark.parametrize(
    ("kind", "temperature", "left"),
    [
        ("masked by 1e9", 0.001, 0),
        ("masked by 1e9", 1.0, 0),
        ("masked by 1e9", 100.0, 0),
        ("hopeless", 1.0, 0),
        ("ten thousand", 1.0, 0),
        ("ten thousand", 0.001, 1),
        ("all below", 1.0, 1),
    ],
)
def test_only_pairs_beyond_the_range_are_computed_again(
    kind, temperature, left, workspaces, device
):
    from fastsw._cuda.kernels.records import LEFT

    rng = np.random.default_rng(1)
    similarity = np.stack([make((1, *SIDES), ("scalar",) * 2, np.float32, b)[0][0] for b in (0, 1)])
    similarity = np.stack([similarity[0], EXTREMES[kind](rng, SIDES), similarity[1]])
    check(
        similarity.astype(np.float32),
        device,
        gap_open=1.0,
        gap_extend=0.5,
        temperature=temperature,
        mode="local",
        lengths=np.array([SIDES, SIDES, (3, 2)]),
    )
    assert words(workspaces[-1], LEFT, 1) == [left]


def test_a_short_pair_costs_its_own_tiles_alone(workspaces, device):
    from fastsw._cuda.kernels.records import COUNTERS
    from fastsw._cuda.kernels.strip import LANES, STEPS

    pairs, side = 3, 3 * LANES
    lengths = np.array([[side, side], [2, 1], [LANES + 1, 5]])
    fastsw.posterior(
        torch.zeros((pairs, side, side), device=device),
        gap_open=(1.0, torch.ones((pairs, side), device=device)),  # by row: not in linear space
        gap_extend=0.5,
        lengths=lengths,
    )
    done = np.reshape(words(workspaces[-1], COUNTERS, pairs * 3), (pairs, 3))
    for b, (n, m) in enumerate(lengths):
        strips, tiles = -(-n // LANES), -(-(m + LANES) // STEPS)
        assert done[b].tolist() == [tiles] * strips + [0] * (3 - strips)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_plus_infinity_spoil_their_own_pair_alone(bad, temperature, dtype, device):
    similarity, gap_open, _ = make((3, *SIDES), ("pair", "scalar"), dtype)
    lengths = uneven(similarity.shape)
    lengths[1] = 3, 4
    options = dict(gap_extend=0.25, temperature=temperature, lengths=lengths)
    options["gap_open"] = put(gap_open, device)
    clean_score, clean = fastsw.value_and_grad(put(similarity, device), **options)
    hurt = similarity.copy()
    hurt[1, 2, 3] = bad
    hurt[1, 3, 0] = bad  # outside of the lengths: never read
    score, gradients = fastsw.value_and_grad(put(hurt, device), **options)
    others = [0, 2]
    assert torch.equal(score[others], clean_score[others])
    assert torch.equal(gradients.similarity[others], clean.similarity[others])
    assert torch.equal(gradients.gap_open[others], clean.gap_open[others])
    assert score[1].isnan() and gradients.gap_open[1].isnan() and gradients.gap_extend.isnan()
    assert gradients.similarity[1, :3, :4].isnan().all()
    assert (gradients.similarity[1, 3:] == 0).all() and (gradients.similarity[1, :, 4:] == 0).all()
    assert fastsw.score(put(hurt, device), **options).isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_non_finite_pair_has_zero_gradients_beyond_its_lengths(temperature, device):
    similarity = np.zeros((2, 5, 6))
    similarity[1, 0, 0] = np.nan
    lengths = np.array([[5, 6], [3, 2]])
    gaps = (np.ones((2, 6)), np.ones((2, 5))), np.ones((2, 5, 6))
    for gap in gaps:
        _, gradients = fastsw.value_and_grad(
            put(similarity, device),
            gap_open=put(gap, device),
            gap_extend=put(gap, device),
            lengths=lengths,
            temperature=temperature,
        )
        for gradient in (gradients.gap_open, gradients.gap_extend):
            if isinstance(gradient, tuple):
                columns, rows = (g[1] for g in gradient)
                assert columns[:2].isnan().all() and (columns[2:] == 0).all()
                assert rows[:3].isnan().all() and (rows[3:] == 0).all()
            else:
                assert gradient[1, :3, :2].isnan().all()
                assert (gradient[1, 3:] == 0).all() and (gradient[1, :, 2:] == 0).all()


@pytest.mark.parametrize("form", ["scalar", "sides-vector"])
def test_values_out_of_range_that_only_the_device_knows_give_nan(form, device):
    if SIMULATED:
        pytest.skip("the simulator's device is the host, which checks")
    similarity, gap_open, gap_extend = make((3, *SIDES), (form, form), np.float32)
    options = dict(gap_open=put(gap_open, device), gap_extend=put(gap_extend, device))
    lengths = torch.tensor([[SIDES[0], 3], [SIDES[0] + 1, 2], [-1, 2]], device=device)
    score, gradients = fastsw.value_and_grad(put(similarity, device), **options, lengths=lengths)
    assert score.isnan().tolist() == [False, True, True]
    assert gradients.similarity[0].isfinite().all()
    for temperature in (-1.0, np.nan, np.inf):
        cold = torch.full((), temperature, device=device)
        assert fastsw.score(put(similarity, device), **options, temperature=cold).isnan().all()


@pytest.mark.parametrize("where", ["host", "device"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_temperature_zero_gives_one_best_path(mode, form, dtype, where, device):
    if SIMULATED and (where == "device") != (form == "sides-mixed"):
        pytest.skip("one form on the device, in the simulator")
    shape = 2, *SIDES
    similarity, gap_open, gap_extend = make(shape, (form, form), dtype)
    lengths = uneven(shape)
    temperature = torch.zeros((), device=device) if where == "device" else 0.0
    score, gradients = fastsw.value_and_grad(
        put(similarity, device),
        gap_open=put(gap_open, device),
        gap_extend=put(gap_extend, device),
        temperature=temperature,
        mode=mode,
        lengths=lengths,
    )
    tables = cell_tables(gap_open, gap_extend, shape)
    wanted = expected_at_zero(
        similarity, gap_open=gap_open, gap_extend=gap_extend, mode=mode, lengths=lengths
    )
    within(host(score), wanted.score, (1e-13 if dtype == np.float64 else 2e-7) * 100)
    np.testing.assert_array_equal(host(gradients.similarity), wanted.similarity)
    for one, other in (
        (gradients.gap_open, wanted.gap_open),
        (gradients.gap_extend, wanted.gap_extend),
    ):
        for a, b in zip(
            *((v if isinstance(v, tuple) else (v,)) for v in (one, other)), strict=True
        ):
            np.testing.assert_array_equal(host(a), b)
    for b, (n, m) in enumerate(lengths):
        pairs = np.argwhere(host(gradients.similarity[b]))
        best = path_score(pairs, similarity[b, :n, :m], tables[:, b, :n, :m], mode)
        assert host(score)[b] == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_ties_are_broken_as_documented(mode, device):
    from fastsw import _cuda
    from fastsw._frontends import torch_tensors

    similarity, *_ = make((4, *SIDES), ("scalar", "scalar"), np.float32)
    similarity = np.round(similarity * 2)  # ties
    lengths = np.array([list(SIDES), [0, 3], [2, 0], [5, 4]])
    options = dict(gap_open=1.0, gap_extend=0.5, mode=mode, lengths=lengths)
    tables = cell_tables(1.0, 0.5, similarity.shape)
    wanted = [
        best_path(similarity[b, :n, :m], tables[:, b], mode) for b, (n, m) in enumerate(lengths)
    ]
    _, operands = torch_tensors._operands(put(similarity, device), temperature=0.0, **options)
    found = _cuda.traceback(*operands)
    assert [(a.score, a.pairs.tolist()) for a in found] == wanted


@pytest.mark.parametrize(
    "forms", [("scalar", "scalar"), ("sides-vector", "pair"), ("cell", "sides-mixed")], ids="+".join
)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_hessian_products_equal_differences_of_the_reference(mode, dtype, forms, device):
    from fastsw._frontends import torch_tensors

    shape = 2, *SIDES
    similarity, gap_open, gap_extend = make(shape, forms, dtype)
    similarity[0, 1, 2] = -np.inf
    _, operands = torch_tensors._operands(
        torch.from_numpy(similarity),
        gap_open=put(gap_open, "cpu"),
        gap_extend=put(gap_extend, "cpu"),
        temperature=0.6,
        mode=mode,
        lengths=uneven(shape),
    )
    generator = torch.Generator().manual_seed(0)
    *tensors, _ = operands
    shapes = [shape, *((2, *p.shape[1:]) for p in tensors[1:5]), (2,)]
    dots = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    dots[0] = dots[0].to(tensors[0].dtype)
    _, *wanted = expected_tangents(
        similarity.astype(np.float64),
        [p.double().numpy() for p in tensors[1:5]],
        0.6,
        tensors[6].numpy(),
        mode,
        [d.double().numpy() for d in dots],
    )
    moved = [t if t.numel() == 1 and t.ndim != 2 else t.to(device) for t in tensors]
    found = torch.ops.fastsw.align_tangent(*moved, mode, True, *(d.to(device) for d in dots))
    for one, other in zip(found, wanted, strict=True):
        # The reference's entropies are rounded to about 1e-13 here, and divided by a step of 1e-3.
        bound = 1e-8 if dtype == np.float64 else 2e-4
        within(host(one), other, bound * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize("bandwidth", [None, 3])
@pytest.mark.parametrize("temperature", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_soft_dtw_equals_the_reference(dtype, temperature, bandwidth, device):
    rng = np.random.default_rng(3)
    shape = 3, *SIDES
    cost = (3 * rng.random(shape)).astype(dtype)
    cost[0, 2, 3] = np.inf
    lengths = np.array([[SIDES[1] + 1, SIDES[1]], [5, 4], [0, 3]])
    if bandwidth is None:
        lengths[0] = SIDES
    value = put(cost, device).requires_grad_()
    heat = torch.full((), temperature, dtype=torch.float64, requires_grad=True)
    arguments = value, heat.to(device), torch.from_numpy(lengths), bandwidth
    if SIMULATED:
        lengths[2] = 2, 3
    found = torch.ops.fastsw.soft_dtw(*arguments)
    _, gradient, slope = torch.ops.fastsw.soft_dtw_gradient(
        *(a.detach() if isinstance(a, torch.Tensor) else a for a in arguments), True
    )
    for b, (n, m) in enumerate(lengths):
        if n == 0:
            assert host(found)[b] == np.inf
            continue
        cells = cost[b, :n, :m].astype(np.float64)
        if temperature > 0:
            wanted = _reference.soft_dtw(cells, temperature=temperature, bandwidth=bandwidth)
        else:
            wanted = *best_warping(cells, bandwidth), 0.0
        bound = 1e-11 if dtype == np.float64 else 2e-6
        within(host(found)[b], wanted[0], bound * max(1.0, abs(wanted[0])))
        within(host(gradient)[b, :n, :m], wanted[1], 1e-8 if dtype == np.float64 else 2e-5)
        # Terms of the size of the cost over T cancel.
        within(
            host(slope)[b],
            wanted[2],
            (1e-10 if dtype == np.float64 else 2e-5) / max(temperature, 0.01),
        )
    assert (host(gradient)[1, 5:] == 0).all() and (host(gradient)[1, :, 4:] == 0).all()


def test_soft_dtw_of_costs_that_are_huge_beside_the_temperature(device):
    cost = put(np.array([[[1.0, 1e30], [1.0, 1.0]]]), device)
    assert host(fastsw.soft_dtw(cost, temperature=1e-3)) == 2.0
    cost = put(np.full((3, 3), 1e4), device)
    within(host(fastsw.soft_dtw(cost, temperature=1e-15)), 3e4, 1e-10)


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_soft_dtw_of_a_non_finite_pair_is_nan(bad, device):
    cost = np.ones((2, 5, 4))
    cost[1, 4, 3] = bad
    value = fastsw.soft_dtw(put(cost, device), temperature=0.5)
    assert value.isnan().tolist() == [False, True]


def test_an_empty_batch_is_answered(device):
    empty = torch.zeros((0, 3, 4), device=device)
    assert fastsw.score(empty, gap_open=1.0, gap_extend=0.5).shape == (0,)
    assert fastsw.posterior(empty, gap_open=1.0, gap_extend=0.5).shape == (0, 3, 4)


@pytest.mark.smoke(1)
@pytest.mark.parametrize("low", [torch.float16, torch.bfloat16])
def test_half_precision_computes_in_float32(low, device):
    similarity = torch.randn((2, *SIDES), generator=torch.Generator().manual_seed(0)).to(low)
    options = dict(gap_open=1.0, gap_extend=0.5)
    score, gradients = fastsw.value_and_grad(similarity.to(device), **options)
    full_score, full = fastsw.value_and_grad(similarity.float().to(device), **options)
    assert score.dtype == torch.float32 and gradients.similarity.dtype == low
    assert torch.equal(score, full_score)
    assert torch.equal(gradients.similarity, full.similarity.to(low))


@pytest.mark.skipif(not SIMULATED, reason="calls device functions from the host")
@pytest.mark.parametrize("direction", [(0, 1), (1, 0), (1, 1)], ids=["row", "column", "diagonal"])
@pytest.mark.parametrize("name", ["narrow", "wide"])
def test_weights_of_a_penalty_make_up_for_one_another(name, direction):
    from fastsw._cuda.kernels.penalties import nudge_at
    from fastsw._cuda.scaled import numbers

    split = numbers(name).split
    rng = np.random.default_rng(5)
    for t in [0.0, *-(10.0 ** rng.uniform(-7, 3, 20)), *(10.0 ** rng.uniform(-7, 3, 5))]:
        total = 0.0
        for count in range(1, 301):
            f, k, left = split(t, nudge_at(*(count * d for d in direction)))
            assert f.dtype == np.float32
            alone = np.log2(np.float64(f)) + np.float64(k)
            assert abs(alone + np.log1p(np.float64(left)) * LOG2E - t) <= 2e-7 * abs(t)
            total += alone
            # Rounded to nearest, the last could be off by 150 ulps.
            assert abs(total - count * t) <= 6 * 2.0**-23 * (t != 0) + 2e-7 * count * abs(t)


@pytest.mark.skipif(not SIMULATED, reason="calls device functions from the host")
@pytest.mark.parametrize("temperature", [0.001, 0.3, 1.0, 100.0])
def test_weights_of_narrow_numbers_keep_their_fraction_at_any_size(temperature):
    from fastsw._cuda.scaled import numbers

    unit = LOG2E / temperature
    high = np.float32(unit)
    rest = np.float32(unit - np.float64(high))
    rng = np.random.default_rng(4)
    values = (temperature * -(10.0 ** rng.uniform(-3, 8.2, 300))).astype(np.float32)
    for value in [*values, *-values[values > -1e7 * temperature], np.float32(-1e9)]:
        exact = np.float64(value) * unit
        mantissa, exponent = numbers("narrow").weight(value, high, rest)
        assert exponent.dtype == np.int32 and mantissa.dtype == np.float32
        if exact < -(2.0**28):
            assert (mantissa, exponent) == (1.0, -(2**28))
        else:
            # The fraction is at most 24, with 24 bits; exponents of the reference have 53.
            fraction = np.log2(np.float64(mantissa)) + (np.float64(exponent) - exact)
            assert abs(fraction) <= 2.0**-19 + 2.0**-52 * abs(exact)

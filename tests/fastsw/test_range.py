"""Ranges that break scaled arithmetic: dead ends, masks, cliffs, walls, ties, long pairs.

The bounds are the product's promise for float32 (posterior 2e-5 absolute, score 2e-6 relative to
max(T, |score|)); the reference runs in float64 on the same float32 inputs.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastsw
from tests.support.oracle import MODES, expected, within

TEMPERATURES = [0.001, 0.01, 0.1, 0.3, 1.0, 10.0, 100.0]
ORIENTATIONS = ["", "rows", "columns", "rows columns"]


def oriented(table, orientation):
    """A (N, M) table turned over along the named axes."""
    axes = [{"rows": -2, "columns": -1}[axis] for axis in orientation.split()]
    return np.flip(table, axes)


def trap(shape, rng, orientation, strength=30.0, depth=4):
    """A strong block in a corner that nothing can follow, and a better alignment elsewhere.

    With top right as the corner: the block is worth depth * strength, every later row of the best
    alignment starts from far below it.
    """
    rows, columns = shape
    table = rng.normal(-2.0, 1.0, shape)
    for k in range(depth):
        table[k, columns - depth + k] = strength
    for k in range(min(rows - depth, columns - depth - 1)):
        table[depth + k, k] = 1.5 * depth * strength / min(rows - depth, columns - depth - 1)
    return oriented(table, orientation)


def ridges(shape, rng):
    """Two far apart alignments of the same score, log(3) in favour of one at T = 1."""
    rows, columns = shape
    table = np.full(shape, -50.0)
    half = min(rows, columns) // 2 - 2
    for k in range(half):
        table[k, columns - half + k] = 40.0
        table[rows - half + k, k] = 40.0
    table[0, columns - half] += np.log(3.0)
    return table


def masked(shape, rng, value):
    """Random cells, a band and whole rows and columns forbidden."""
    table = rng.standard_normal(shape)
    table[rng.random(shape) < 0.2] = value
    rows, columns = np.indices(shape)
    table[np.abs(rows * shape[1] / shape[0] - columns) > 0.4 * shape[1]] = value
    table[shape[0] // 3] = value
    table[:, shape[1] // 2] = value
    return table


def islands(shape, rng):
    """Blocks of ten thousand in a sea of minus ten thousand."""
    blocks = rng.choice([-1e4, 1e4], (1 + shape[0] // 8, 1 + shape[1] // 8), p=[0.8, 0.2])
    table = np.kron(blocks, np.ones((8, 8)))[: shape[0], : shape[1]]
    return table + rng.standard_normal(shape)


SIMILARITIES = {
    **{
        f"trap {orientation or 'upright'}": lambda shape, rng, o=orientation: trap(shape, rng, o)
        for orientation in ORIENTATIONS
    },
    "deep trap": lambda shape, rng: trap(shape, rng, "", strength=2500.0),
    "trap of one cell": lambda shape, rng: trap(shape, rng, "columns", strength=90.0, depth=1),
    "ridges": ridges,
    "ten thousand": lambda shape, rng: rng.uniform(-1e4, 1e4, shape),
    "hopeless": lambda shape, rng: rng.uniform(-1e4, -9e3, shape),
    "islands": islands,
    "rising": lambda shape, rng: np.linspace(-100, 100, shape[1]) + rng.standard_normal(shape),
    "falling": lambda shape, rng: (
        np.linspace(100, -100, shape[0])[:, None] + rng.standard_normal(shape)
    ),
    "forbidden cells": lambda shape, rng: masked(shape, rng, -np.inf),
    "masked by 1e9": lambda shape, rng: masked(shape, rng, -1e9),
    "one cell allowed": lambda shape, rng: np.where(
        np.arange(shape[0] * shape[1]).reshape(shape) == shape[1] * 2 + 3, 5.0, -np.inf
    ),
    "constant": lambda shape, rng: np.zeros(shape),
}

PENALTIES = {
    "usual": lambda shape, rng: (1.0, 0.1),
    "dear": lambda shape, rng: (1e4, 1e3),
    "dear to open": lambda shape, rng: (500.0, 0.0),
    "paid to skip": lambda shape, rng: (-1.0, -0.25),
    "dearer to extend": lambda shape, rng: (-20.0, 30.0),
    "free on one side": lambda shape, rng: ((50.0, 0.0), (50.0, 0.0)),
    "spread over cells": lambda shape, rng: (
        rng.uniform(-50, 50, shape),
        rng.uniform(-50, 50, shape),
    ),
    "walls": lambda shape, rng: (
        np.where(rng.random(shape) < 0.1, 1e4, 1.0),
        (np.where(rng.random(shape) < 0.1, 1e4, 0.2), 0.1),
    ),
    "spread over columns and rows": lambda shape, rng: (
        (rng.uniform(-30, 30, shape[::2]), rng.uniform(-30, 30, shape[:2])),
        (rng.uniform(-3, 30, shape[::2]), rng.uniform(-3, 30, shape[:2])),
    ),
}


def rounded(value):
    """The value as float32 arrays and numbers."""
    if isinstance(value, tuple):
        return tuple(map(rounded, value))
    return np.asarray(value, np.float32) if np.ndim(value) else float(np.float32(value))


def make(shape, similarity, penalties, seed=0):
    """A float32 batch of a kind of similarity and a kind of penalties."""
    rng = np.random.default_rng([seed, *shape])
    table = np.stack([SIMILARITIES[similarity](shape[1:], rng) for _ in range(shape[0])])
    gap_open, gap_extend = rounded(PENALTIES[penalties](shape, rng))
    return table.astype(np.float32), dict(gap_open=gap_open, gap_extend=gap_extend)


def check(similarity, options, precise=True):
    """Hold both dtypes to the reference."""
    wanted = expected(similarity, **options)
    temperature = options["temperature"]
    assert not np.isnan(wanted.score).any()
    reference_size = np.maximum(temperature, np.abs(wanted.score))
    score, gradients = fastsw.value_and_grad(similarity, **options)
    within(gradients.similarity, wanted.similarity, 2e-5)
    within(score, wanted.score, 2e-6 * reference_size)
    within(fastsw.score(similarity, **options), wanted.score, 2e-6 * reference_size)
    for gradient, reference in (
        (gradients.gap_open, wanted.gap_open),
        (gradients.gap_extend, wanted.gap_extend),
    ):
        sides = (
            (gradient, reference) if isinstance(reference, tuple) else ((gradient,), (reference,))
        )
        for one, other in zip(*sides, strict=True):
            within(one, other, 2e-5 * np.maximum(1.0, np.abs(other)))
    assert not np.isnan(gradients.temperature)
    if precise:
        size = wanted.size / temperature  # exponents are sums of terms of this size
        double_score, double = fastsw.value_and_grad(similarity.astype(np.float64), **options)
        within(double_score, wanted.score, 1e-12 * np.maximum(reference_size, wanted.size))
        within(double.similarity, wanted.similarity, (1e-11 + 1e-14 * size)[:, None, None])


@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", SIMILARITIES)
def test_similarities_of_any_range_are_exact(kind, mode, temperature, batch):
    similarity, options = make((batch, 52, 47), kind, "usual")
    check(similarity, dict(options, mode=mode, temperature=temperature))


@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("similarity", ["constant", "trap upright", "trap rows columns"])
@pytest.mark.parametrize("kind", PENALTIES)
def test_penalties_of_any_range_are_exact(kind, similarity, mode, temperature, batch):
    table, options = make((batch, 34, 49), similarity, kind)
    check(table, dict(options, mode=mode, temperature=temperature))


def cliffs(shape, rng):
    """Half of the cells good, half hopeless, some columns forbidden."""
    table = np.where(rng.random(shape) < 0.5, 6.0, -60.0)
    table[..., shape[-1] // 2 : shape[-1] // 2 + shape[-1] // 12] = -np.inf
    return table


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("penalties", [(0.0, 0.0), (0.3, 0.01), (1.0, 0.5), (5.0, 5.0)], ids=str)
@pytest.mark.parametrize("shape", [(1, 2, 109), (1, 103, 3), (1, 67, 60)], ids=str)
@pytest.mark.parametrize("kind", ["cliffs", "normal"])
def test_kernels_are_exact_up_to_the_edge_of_their_range(kind, shape, penalties, mode):
    """Cooled in small steps, a problem passes from each kernel to the next."""
    rng = np.random.default_rng([3, *shape])
    similarity = cliffs(shape, rng) if kind == "cliffs" else rng.standard_normal(shape)
    gap_open, gap_extend = rounded(penalties)
    options = dict(gap_open=gap_open, gap_extend=gap_extend, mode=mode)
    for temperature in np.geomspace(0.03, 10.0, 48):
        check(similarity.astype(np.float32), dict(options, temperature=float(temperature)))


@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize("temperature", [0.003, 0.005, 0.02, 0.05, 0.1, 1.0])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "penalties", [(0.5, -0.2), (-0.3, 0.1), (-1.0, -1.0), ((1, -1), (-0.5, 1))]
)
@pytest.mark.parametrize("shape", [(40, 1), (1, 70), (66, 4), (5, 80), (40, 40)], ids=str)
def test_gaps_that_pay_lead_to_no_better_end(shape, penalties, mode, temperature, batch):
    """Such a gap outgrows the pair it starts from, which alone can end the alignment."""
    rng = np.random.default_rng(4)
    similarity = rng.uniform(-1, 1, (batch, *shape)).astype(np.float32)
    similarity[:, shape[0] // 2, shape[1] // 2] = 3.0
    options = dict(gap_open=penalties[0], gap_extend=penalties[1])
    check(similarity, dict(options, mode=mode, temperature=temperature))


MAGNITUDES = np.array([0.0, 0.1, 1.0, 10.0, 30.0, 60.0, 85.0, 120.0, 200.0, 1e3, 1e4])


@st.composite
def rough(draw):
    """A batch whose values, in units of T, mix few or many magnitudes, cell by cell."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.sampled_from([1, 2, 8, 9]), st.integers(1, 40), st.integers(1, 40)))
    kinds = draw(st.integers(1, 4))
    temperature = draw(st.sampled_from([0.001, 0.3, 1.0, 100.0]))

    def mixed(size, most, signs):
        chosen = rng.choice(MAGNITUDES[: draw(st.integers(1, most))], kinds)
        share = rng.dirichlet(np.full(kinds, 0.5))
        values = rng.choice(chosen, size, p=share) * rng.choice(signs, size)
        return temperature * (values + draw(st.booleans()) * rng.uniform(0, 1, size))

    similarity = mixed(shape, len(MAGNITUDES), [-1.0, -1.0, 1.0])
    if draw(st.booleans()):
        similarity[rng.random(shape) < 0.3] = -np.inf
    signs = [1.0] if draw(st.booleans()) else [-1.0, 1.0]

    def penalty():
        form = draw(st.sampled_from([0, 1, 2, 3]))
        if form < 2:
            return float(mixed((), 9, signs))
        if form == 2:
            return mixed(shape[::2], 9, signs), mixed(shape[:2], 9, signs)
        return mixed(shape, 9, signs)

    options = dict(
        gap_open=rounded(penalty()),
        gap_extend=rounded(penalty()),
        mode=draw(st.sampled_from(MODES)),
        temperature=temperature,
    )
    if draw(st.booleans()):
        options["lengths"] = np.stack([rng.integers(1, k + 1, shape[0]) for k in shape[1:]], 1)
    return similarity.astype(np.float32), options


@pytest.mark.slow
@settings(max_examples=400)
@given(rough())
def test_any_mix_of_magnitudes_is_exact(call):
    check(*call)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("temperature", [0.01, 1.0])
def test_a_batch_of_mixed_ranges_is_exact(temperature, mode):
    """Pairs that need different kernels share one call, with uneven lengths."""
    shape = 40, 45
    rng = np.random.default_rng(7)
    similarity = np.stack([f(shape, rng) for f in SIMILARITIES.values()]).astype(np.float32)
    lengths = np.stack([rng.integers(1, k + 1, len(similarity)) for k in shape], axis=1)
    for some in (None, lengths):
        check(
            similarity,
            dict(gap_open=2.0, gap_extend=0.5, temperature=temperature, mode=mode, lengths=some),
        )


@pytest.mark.smoke(2)
@pytest.mark.parametrize(
    ("shape", "kind", "penalties", "mode", "temperature"),
    [
        ((1, 4096, 300), "trap upright", "usual", "local", 0.1),
        ((1, 300, 4096), "trap rows columns", "usual", "global", 1.0),
        ((1, 4096, 128), "constant", "usual", "fitting", 0.01),
        ((8, 1024, 100), "masked by 1e9", "spread over columns and rows", "local", 0.5),
        ((2, 1500, 1400), "ten thousand", "usual", "local", 10.0),
        ((1, 1024, 1024), "forbidden cells", "usual", "fitting", 0.3),
        ((1, 4096, 4096), "rising", "usual", "local", 1.0),
    ],
)
def test_long_pairs_are_exact(shape, kind, penalties, mode, temperature):
    similarity, options = make(shape, kind, penalties)
    check(similarity, dict(options, mode=mode, temperature=temperature), precise=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("batch", [3, 12])
def test_nan_and_plus_infinity_poison_their_own_pair_alone(batch, bad, temperature, dtype):
    rng = np.random.default_rng(0)
    similarity = rng.standard_normal((batch, 14, 17)).astype(dtype)
    lengths = rng.integers(3, 13, (batch, 2))
    options = dict(
        gap_open=rng.uniform(0, 1, batch),
        gap_extend=0.25,
        temperature=temperature,
        lengths=lengths,
    )
    clean_score, clean = fastsw.value_and_grad(similarity, **options)
    hurt = similarity.copy()
    n, m = lengths[1]
    hurt[1, n - 1, m - 1] = bad
    hurt[0, lengths[0, 0], 0] = bad  # outside of the lengths: never read
    score, gradients = fastsw.value_and_grad(hurt, **options)
    others = np.arange(batch) != 1
    np.testing.assert_array_equal(score[others], clean_score[others])
    np.testing.assert_array_equal(gradients.similarity[others], clean.similarity[others])
    np.testing.assert_array_equal(gradients.gap_open[others], clean.gap_open[others])
    assert np.isnan(score[1]) and np.isnan(gradients.gap_open[1])
    assert np.isnan(gradients.gap_extend) and np.isnan(gradients.temperature)
    assert np.isnan(gradients.similarity[1, :n, :m]).all()
    assert (gradients.similarity[1, n:] == 0).all() and (gradients.similarity[1, :, m:] == 0).all()
    assert np.isnan(fastsw.score(hurt, **options)).tolist() == (~others).tolist()
    assert np.isnan(fastsw.entropy(hurt, **options)).tolist() == (~others).tolist()
    drawn = fastsw.sample(hurt, **options, size=2, seed=0)
    assert [np.isnan(alignments[0].score) for alignments in drawn] == (~others).tolist()
    del options["temperature"]
    paths = fastsw.traceback(hurt, **options)
    assert [np.isnan(path.score) for path in paths] == (~others).tolist()
    assert len(paths[1].pairs) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("mode", MODES)
def test_a_pair_that_is_all_forbidden_has_no_pairs(mode, temperature, dtype):
    similarity = np.zeros((9, 5, 6), dtype)
    similarity[4] = -np.inf
    options = dict(gap_open=1.0, gap_extend=0.5, temperature=temperature, mode=mode)
    score, gradients = fastsw.value_and_grad(similarity, **options)
    only_gaps = {"local": -np.inf, "global": -3.0 - 3.5, "fitting": -3.0}[mode]
    assert score[4] == pytest.approx(only_gaps)
    assert (gradients.similarity[4] == 0).all()
    assert np.isfinite(gradients.gap_open) and np.isfinite(gradients.temperature)
    assert fastsw.entropy(similarity, **options)[4] == pytest.approx(0.0, abs=1e-6)
    assert fastsw.sample(similarity, **options, size=1, seed=0)[4][0].score == pytest.approx(
        only_gaps
    )

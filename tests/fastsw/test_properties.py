"""What must hold for any input, whatever kernel answers."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastsw
from fastsw._reference import hard_score
from tests.support.oracle import FORMS, MODES, cell_tables, draw_penalty, within

TEMPERATURES = st.sampled_from([0.01, 0.1, 0.5, 1.0, 3.0, 100.0])


@st.composite
def calls(draw, forms=FORMS, modes=MODES, dtypes=(np.float64,), temperatures=TEMPERATURES, most=20):
    """A random batch with uneven lengths: similarity and options."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 10), st.integers(1, most), st.integers(1, most)))
    dtype = draw(st.sampled_from(dtypes))
    scale = draw(st.sampled_from([0.1, 1.0, 10.0]))
    similarity = (scale * rng.standard_normal(shape)).astype(dtype)
    if draw(st.booleans()):
        similarity[rng.random(shape) < 0.2] = -np.inf
    options = dict(
        gap_open=draw_penalty(rng, draw(st.sampled_from(forms)), shape, dtype=dtype),
        gap_extend=draw_penalty(rng, draw(st.sampled_from(forms)), shape, dtype=dtype),
        temperature=draw(temperatures),
        mode=draw(st.sampled_from(modes)),
        lengths=np.stack([rng.integers(1, k + 1, shape[0]) for k in shape[1:]], axis=1),
    )
    return similarity, options


def tolerance(similarity, temperature):
    """Posterior bound: exponents of size |S| / T are rounded, most of all in float32."""
    if similarity.dtype == np.float32:
        return 4e-5  # 2e-5 on each side of the comparison
    finite = np.abs(similarity[np.isfinite(similarity)]).max(initial=1.0)
    return 1e-11 + 1e-13 * finite / temperature


@given(
    calls(forms=("scalar", "pair", "sides-scalar", "sides-pair", "sides-vector"), modes=MODES[:2])
)
def test_transposing_exchanges_columns_and_rows(call):
    """Not for penalties per cell: columns are skipped before rows, so cells are read off-centre."""
    similarity, options = call

    def swapped(penalty):
        return penalty[::-1] if isinstance(penalty, tuple) else penalty

    turned = dict(
        options,
        gap_open=swapped(options["gap_open"]),
        gap_extend=swapped(options["gap_extend"]),
        lengths=options["lengths"][:, ::-1],
    )
    score, gradients = fastsw.value_and_grad(similarity, **options)
    turned_score, turned_gradients = fastsw.value_and_grad(similarity.swapaxes(1, 2), **turned)
    bound = tolerance(similarity, options["temperature"])
    within(turned_score, score, 1e-11 * np.maximum(1, np.abs(score)))
    within(turned_gradients.similarity.swapaxes(1, 2), gradients.similarity, bound)
    for name in ("gap_open", "gap_extend"):
        wanted = swapped(getattr(gradients, name))
        found = getattr(turned_gradients, name)
        if not isinstance(wanted, tuple):
            wanted, found = (wanted,), (found,)
        for one, other in zip(found, wanted, strict=True):
            within(one, other, 100 * bound)


@given(calls(dtypes=(np.float32, np.float64), temperatures=TEMPERATURES | st.just(0.0)))
def test_padding_changes_nothing(call):
    """Cells outside of the lengths hold NaN, added penalties 1e30: neither is ever read."""
    similarity, options = call
    pairs, rows, columns = similarity.shape
    padded = np.full((pairs, rows + 3, columns + 5), np.nan, similarity.dtype)
    for b, (n, m) in enumerate(options["lengths"]):
        padded[b, :n, :m] = similarity[b, :n, :m]

    def widened(penalty, side=None):
        if isinstance(penalty, tuple):
            return widened(penalty[0], "columns"), widened(penalty[1], "rows")
        widths = [(0, 3), (0, 5)]
        if side is not None and np.ndim(penalty) == 2:
            widths = [(0, 0), (0, 5 if side == "columns" else 3)]
        widths = [(0, 0)] * (np.ndim(penalty) - 2) + widths[: np.ndim(penalty)]
        return np.pad(penalty, widths, constant_values=1e30) if np.ndim(penalty) > 1 else penalty

    wide = dict(
        options, gap_open=widened(options["gap_open"]), gap_extend=widened(options["gap_extend"])
    )
    score, gradients = fastsw.value_and_grad(similarity, **options)
    wide_score, wide_gradients = fastsw.value_and_grad(padded, **wide)
    of_score = 4e-6 if similarity.dtype == np.float32 else 1e-11
    bound = tolerance(similarity, options["temperature"] or 1.0)
    within(wide_score, score, of_score * np.maximum(1 + options["temperature"], np.abs(score)))
    within(wide_gradients.similarity[:, :rows, :columns], gradients.similarity, bound)
    for b, (n, m) in enumerate(options["lengths"]):
        assert not wide_gradients.similarity[b, n:].any()
        assert not wide_gradients.similarity[b, :, m:].any()
    for gradient in (wide_gradients.gap_open, wide_gradients.gap_extend):
        for side in gradient if isinstance(gradient, tuple) else (gradient,):
            assert np.isfinite(side).all()


@given(calls(dtypes=(np.float32, np.float64)))
def test_a_batch_equals_its_loop(call):
    """Pair by pair, cut to its lengths, with the penalties spelt out for every cell."""
    similarity, options = call
    score, gradients = fastsw.value_and_grad(similarity, **options)
    open_x, extend_x, open_y, extend_y = cell_tables(
        options["gap_open"], options["gap_extend"], similarity.shape
    )
    for b, (n, m) in enumerate(options["lengths"]):
        cut = b, slice(n), slice(m)
        alone_score, alone = fastsw.value_and_grad(
            similarity[cut],
            gap_open=(open_x[cut], open_y[cut]),
            gap_extend=(extend_x[cut], extend_y[cut]),
            temperature=options["temperature"],
            mode=options["mode"],
        )
        size = max(1 + options["temperature"], abs(score[b]))
        of_score = 4e-6 if similarity.dtype == np.float32 else 1e-11
        within(alone_score, score[b], of_score * size)
        bound = tolerance(similarity, options["temperature"])
        within(alone.similarity, gradients.similarity[cut], bound)


@given(calls(temperatures=st.just(0.0)))
def test_scores_fall_towards_the_hard_score_with_the_temperature(call):
    similarity, options = call
    tables = cell_tables(options["gap_open"], options["gap_extend"], similarity.shape)
    hard = fastsw.score(similarity, **options)
    warm = [fastsw.score(similarity, **dict(options, temperature=t)) for t in (1e-5, 0.01, 1.0)]
    rounding = 1e-11 * np.maximum(1, np.where(np.isfinite(hard), np.abs(hard), 0))
    for cool, warmer in zip([hard, *warm], warm, strict=False):
        # Where T times the entropy is below the rounding of the score
        assert (cool <= warmer + rounding).all()
    for b, (n, m) in enumerate(options["lengths"]):
        best = hard_score(similarity[b, :n, :m], tables[:, b, :n, :m], mode=options["mode"])
        within(hard[b], best, 1e-12 * max(1.0, abs(best)))
        # At most 2**(N + M) alignments, so F(T) <= F(0) + T (N + M) log 2.
        within(warm[0][b], best, 1e-5 * (n + m) * np.log(2.0) + rounding[b])


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([0.01, 1.0, 100.0]),
    st.sampled_from([np.float32, np.float64]),
)
def test_zeros_count_alignments(rows, columns, temperature, dtype):
    """Row sets and column sets of equal size: sum of C(N, k) C(M, k) = C(N + M, N) of them."""
    for mode in MODES:
        number = comb(rows + columns, rows) - (mode == "local")
        score = fastsw.score(
            np.zeros((2, rows, columns), dtype),
            gap_open=0.0,
            gap_extend=0.0,
            temperature=temperature,
            mode=mode,
        )
        wanted = temperature * np.log(float(number))
        within(
            score, [wanted] * 2, (2e-6 if dtype == np.float32 else 1e-12) * (temperature + wanted)
        )


@given(calls(dtypes=(np.float32, np.float64), temperatures=TEMPERATURES | st.just(0.0)))
def test_posteriors_are_probabilities(call):
    similarity, options = call
    posterior = fastsw.posterior(similarity, **options)
    # Rounding: twice the product's own bound for one posterior, for sums of up to 20 of them.
    over = 1e-9 if similarity.dtype == np.float64 else 4e-5
    assert (posterior >= 0).all() and (posterior <= 1 + over).all()
    assert (posterior.sum(axis=1) <= 1 + over).all()
    assert (posterior.sum(axis=2) <= 1 + over).all()
    assert (posterior[~np.isfinite(similarity)] == 0).all()


@given(calls(temperatures=st.sampled_from([0.5, 1.0, 3.0]), most=7), st.integers(0, 2**32 - 1))
def test_gradients_are_finite_differences(call, seed):
    similarity, options = call
    similarity = np.where(np.isfinite(similarity), similarity, -3.0)
    rng = np.random.default_rng(seed)
    _, gradients = fastsw.value_and_grad(similarity, **options)
    step = 1e-5

    def moved(value, direction, sign):
        if isinstance(value, tuple):
            return tuple(moved(v, d, sign) for v, d in zip(value, direction, strict=True))
        return value + sign * step * direction

    def direction_of(value):
        if isinstance(value, tuple):
            return tuple(map(direction_of, value))
        return rng.standard_normal(np.shape(value))

    def dot(direction, gradient):
        if isinstance(direction, tuple):
            return sum(map(dot, direction, gradient))
        return float(np.sum(direction * gradient))

    arguments = dict(options, similarity=similarity)
    for name in ("similarity", "gap_open", "gap_extend", "temperature"):
        direction = direction_of(arguments[name])
        ahead, behind = (
            fastsw.score(**{**arguments, name: moved(arguments[name], direction, sign)}).sum()
            for sign in (1, -1)
        )
        # Truncation grows with the third derivative (|direction| / T)**3 step**2, rounding with
        # 1e-16 |score| / step.
        wanted = dot(direction, getattr(gradients, name))
        assert abs((ahead - behind) / (2 * step) - wanted) <= 2e-5 * (1 + abs(ahead) + abs(wanted))


@given(calls(modes=("global", "fitting"), forms=("sides-vector",)), st.integers(0, 2**32 - 1))
def test_a_row_that_must_be_paid_for_shifts_the_score_by_its_bonus(call, seed):
    """Each row is paired once or skipped once (columns too in global mode).

    So adding r[i] to its similarities and taking it off its penalties moves every alignment alike.
    """
    similarity, options = call
    rng = np.random.default_rng(seed)
    pairs, rows, columns = similarity.shape
    of_rows = rng.standard_normal((pairs, rows))
    of_columns = rng.standard_normal((pairs, columns)) * (options["mode"] == "global")
    moved = dict(options)
    for name in ("gap_open", "gap_extend"):
        moved[name] = options[name][0] - of_columns, options[name][1] - of_rows
    shift = np.array(
        [
            of_rows[b, :n].sum() + of_columns[b, :m].sum()
            for b, (n, m) in enumerate(options["lengths"])
        ]
    )
    lifted = similarity + of_rows[:, :, None] + of_columns[:, None, :]
    score, gradients = fastsw.value_and_grad(similarity, **options)
    lifted_score, lifted_gradients = fastsw.value_and_grad(lifted, **moved)
    within(lifted_score, score + shift, 1e-11 * (100 + np.abs(score)))
    bound = 10 * tolerance(similarity, options["temperature"])
    within(lifted_gradients.similarity, gradients.similarity, bound)


@given(
    calls(dtypes=(np.float32, np.float64), temperatures=TEMPERATURES | st.just(0.0)),
    st.sampled_from([2.0**-9, 0.25, 8.0, 2.0**9]),
)
def test_score_is_homogeneous(call, factor):
    """F(c S, c p, c T) = c F(S, p, T), and the posterior stays; powers of two scale exactly."""
    similarity, options = call

    def scaled(value):
        return tuple(map(scaled, value)) if isinstance(value, tuple) else factor * value

    larger = {name: options[name] for name in ("mode", "lengths")}
    larger |= {name: scaled(options[name]) for name in ("gap_open", "gap_extend", "temperature")}
    dtype = similarity.dtype
    score, gradients = fastsw.value_and_grad(similarity, **options)
    other_score, other = fastsw.value_and_grad(scaled(similarity).astype(dtype), **larger)
    of_score = 4e-6 if dtype == np.float32 else 1e-11
    bound = tolerance(similarity, options["temperature"] or 1.0)
    within(
        other_score / factor,
        score,
        of_score * np.maximum(1 + options["temperature"], np.abs(score)),
    )
    within(other.similarity, gradients.similarity, bound)


@pytest.mark.parametrize("mode", MODES)
def test_forbidding_a_pair_is_the_limit_of_a_bad_similarity(mode):
    rng = np.random.default_rng(0)
    similarity = rng.standard_normal((9, 12, 13))
    cells = rng.random(similarity.shape) < 0.4
    options = dict(gap_open=1.0, gap_extend=0.2, mode=mode)
    for dtype in (np.float32, np.float64):
        forbidden = np.where(cells, -np.inf, similarity).astype(dtype)
        bad = np.where(cells, -1e9, similarity).astype(dtype)
        score, gradients = fastsw.value_and_grad(forbidden, **options)
        bad_score, bad_gradients = fastsw.value_and_grad(bad, **options)
        np.testing.assert_allclose(score, bad_score, rtol=4e-6)
        within(bad_gradients.similarity, gradients.similarity, tolerance(similarity, 1.0) * 4)
        assert (gradients.similarity[cells] == 0).all()

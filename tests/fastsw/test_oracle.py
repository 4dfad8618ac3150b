"""Score and every gradient against the float64 reference, on the kernels that each call selects."""

import numpy as np
import pytest

import fastsw
from fastsw._reference import hard_score
from tests.support.oracle import (
    FORMS,
    MODES,
    assert_close,
    cell_tables,
    draw_penalty,
    expected,
    in_form,
    path_counts,
    path_score,
    within_entropy,
)

DTYPES = [np.float64, np.float32]
TEMPERATURES = [0.001, 0.01, 0.1, 1.0, 100.0]
MIXED = [("scalar", "sides-vector"), ("pair-cell", "scalar"), ("sides-mixed", "cell")]
SHAPES = [
    (1, 1),
    (1, 7),
    (7, 1),
    (1, 33),
    (65, 1),
    (5, 3),
    (15, 17),
    (16, 16),
    (17, 15),
    (31, 33),
    (32, 32),
    (33, 31),
    (63, 65),
    (64, 64),
    (65, 63),
    (128, 9),
    (9, 129),
]


def call(shape, *, forms=("scalar", "scalar"), dtype=np.float64, seed=0, **options):
    """Similarity and options of a random call."""
    rng = np.random.default_rng([seed, *shape])
    similarity = rng.standard_normal(shape).astype(dtype)
    gap_open = draw_penalty(rng, forms[0], shape, dtype=dtype)
    gap_extend = draw_penalty(rng, forms[1], shape, high=0.8, dtype=dtype)
    return similarity, dict(gap_open=gap_open, gap_extend=gap_extend, **options)


def uneven(shape, seed=0):
    """Lengths from 1 to full, both ends included as far as there are pairs."""
    pairs, rows, columns = shape
    rng = np.random.default_rng(seed)
    lengths = np.stack([rng.integers(1, rows + 1, pairs), rng.integers(1, columns + 1, pairs)], 1)
    lengths[0] = rows, columns
    if pairs > 2:
        lengths[1] = 1, columns
        lengths[2] = rows, 1
    return lengths


def check(similarity, options):
    found = fastsw.value_and_grad(similarity, **options)
    wanted = expected(similarity, **options)
    assert_close(found, wanted, similarity=similarity, temperature=options["temperature"])
    return found, wanted


@pytest.mark.parametrize("batch", [2, 11])
@pytest.mark.parametrize("lengths", ["full", "uneven"])
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("forms", [(f, f) for f in FORMS] + MIXED, ids="+".join)
@pytest.mark.parametrize("mode", MODES)
def test_gradients_equal_the_reference(mode, forms, dtype, temperature, lengths, batch):
    shape = batch, 13, 10
    similarity, options = call(
        shape,
        forms=forms,
        dtype=dtype,
        temperature=temperature,
        mode=mode,
        lengths=uneven(shape) if lengths == "uneven" else None,
    )
    (score, gradients), wanted = check(similarity, options)
    outside = wanted.similarity * 0 + 1
    for b, (n, m) in enumerate(uneven(shape) if lengths == "uneven" else [shape[1:]] * batch):
        outside[b, :n, :m] = 0
    assert (gradients.similarity[outside == 1] == 0).all()
    # The other functions answer the same as the call that gives everything at once.
    np.testing.assert_allclose(fastsw.score(similarity, **options), score, rtol=4e-6)
    np.testing.assert_array_equal(fastsw.posterior(similarity, **options), gradients.similarity)
    within_entropy(fastsw.entropy(similarity, **options), wanted, temperature, dtype)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 3, 9, 17])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_equals_the_reference(shape, batch, dtype, mode):
    for temperature, forms, lengths in (
        (1.0, ("scalar", "scalar"), None),
        (0.05, ("sides-vector", "scalar"), uneven((batch, *shape))),
    ):
        check(
            *call(
                (batch, *shape),
                forms=forms,
                dtype=dtype,
                temperature=temperature,
                mode=mode,
                lengths=lengths,
            )
        )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ["scalar", "pair", "sides-vector"])
def test_pairs_with_an_empty_side_pay_for_their_gap_alone(form, dtype, mode):
    shape = 5, 6, 4
    lengths = np.array([[0, 4], [6, 0], [0, 0], [6, 4], [1, 1]])
    check(
        *call(shape, forms=(form, form), dtype=dtype, temperature=0.7, mode=mode, lengths=lengths)
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 0, 0)], ids=str)
def test_empty_arrays_are_answered_in_shape(shape, temperature, mode):
    similarity = np.zeros(shape, np.float32)
    options = dict(gap_open=1.0, gap_extend=0.25, temperature=temperature, mode=mode)
    score, gradients = fastsw.value_and_grad(similarity, **options)
    gap = max(shape[1:])
    cost = {"local": np.inf, "global": 0.75 + 0.25 * gap, "fitting": 1.0 + 0.25 * (shape[1] - 1)}
    if mode == "fitting" and shape[1] == 0:
        cost["fitting"] = 0.0
    assert score.shape == shape[:1]
    np.testing.assert_allclose(score, -cost[mode])
    assert gradients.similarity.shape == shape
    assert fastsw.entropy(similarity, **options).tolist() == [0.0] * shape[0]
    assert len(fastsw.traceback(similarity, gap_open=1.0, gap_extend=0.25, mode=mode)) == shape[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [0.0, 0.3])
def test_one_matrix_is_a_batch_of_one_without_the_batch_axis(temperature, dtype):
    similarity, options = call((1, 6, 9), forms=("sides-vector", "pair-cell"), dtype=dtype)
    options |= dict(temperature=temperature, mode="global")
    single = dict(
        options,
        gap_open=tuple(p[0] for p in options["gap_open"]),
        gap_extend=options["gap_extend"][0],
    )
    score, gradients = fastsw.value_and_grad(similarity[0], **single)
    batch_score, batch_gradients = fastsw.value_and_grad(similarity, **options)
    assert np.shape(score) == () and score == batch_score[0]
    np.testing.assert_array_equal(gradients.similarity, batch_gradients.similarity[0])
    for one, batch in zip(gradients.gap_open, batch_gradients.gap_open, strict=True):
        np.testing.assert_array_equal(one, batch[0])
    np.testing.assert_array_equal(gradients.gap_extend, batch_gradients.gap_extend[0])
    assert np.shape(fastsw.entropy(similarity[0], **single)) == ()
    lengths = fastsw.score(similarity[0], **dict(single, lengths=(4, 5)))
    assert lengths == fastsw.score(similarity, **dict(options, lengths=[[4, 5]]))[0]


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "transposed": lambda a: np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_changes_nothing(layout, dtype):
    shape = 9, 12, 7
    similarity, options = call(shape, forms=("pair-cell", "sides-vector"), dtype=dtype)
    options |= dict(temperature=0.4, lengths=uneven(shape))
    moved = dict(
        options,
        gap_open=LAYOUTS[layout](options["gap_open"]),
        gap_extend=tuple(map(LAYOUTS[layout], options["gap_extend"])),
        lengths=LAYOUTS[layout](options["lengths"]),
    )
    before = LAYOUTS[layout](similarity)
    kept = before.copy()
    score, gradients = fastsw.value_and_grad(before, **moved)
    wanted_score, wanted = fastsw.value_and_grad(similarity, **options)
    np.testing.assert_array_equal(score, wanted_score)
    np.testing.assert_array_equal(gradients.similarity, wanted.similarity)
    np.testing.assert_array_equal(gradients.gap_open, wanted.gap_open)
    np.testing.assert_array_equal(before, kept)


@pytest.mark.parametrize("lengths", [np.int8, np.uint16, np.int32, tuple, list])
def test_lengths_come_in_any_integer_form(lengths):
    shape = 4, 6, 5
    similarity, options = call(shape, temperature=0.5)
    given = uneven(shape)
    wanted = fastsw.score(similarity, **options, lengths=given)
    form = {tuple: lambda a: (a[:, 0], a[:, 1]), list: np.ndarray.tolist}.get(
        lengths, lambda a: a.astype(lengths)
    )
    np.testing.assert_array_equal(fastsw.score(similarity, **options, lengths=form(given)), wanted)


def test_outputs_are_written_whole(monkeypatch):
    """Memory that NumPy hands out uninitialised is poisoned; a cell left unwritten would show."""
    shape = 9, 20, 18
    calls = [
        call(shape, forms=("pair-cell", "pair-cell"), dtype=dtype, temperature=t, mode=mode)
        for dtype in DTYPES
        for t in (0.0, 0.01, 1.0)
        for mode in MODES
    ]
    for _, options in calls:
        options["lengths"] = uneven(shape)
    clean = [fastsw.value_and_grad(s, **o) for s, o in calls]
    plain = np.empty

    def poisoned(*arguments, **options):
        array = plain(*arguments, **options)
        array.fill(np.nan if array.dtype.kind == "f" else 77)
        return array

    monkeypatch.setattr(np, "empty", poisoned)
    monkeypatch.setattr(np, "empty_like", lambda a, **o: poisoned(a.shape, o.get("dtype", a.dtype)))
    for (similarity, options), (score, gradients) in zip(calls, clean, strict=True):
        again, again_gradients = fastsw.value_and_grad(similarity, **options)
        np.testing.assert_array_equal(again, score)
        for one, other in zip(again_gradients, gradients, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("lengths", ["full", "uneven"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_temperature_zero_gives_one_best_path(mode, form, dtype, lengths):
    shape = 3, 9, 11
    similarity, options = call(shape, forms=(form, form), dtype=dtype, mode=mode)
    given = uneven(shape) if lengths == "uneven" else np.full((3, 2), shape[1:])
    options["lengths"] = given
    score, gradients = fastsw.value_and_grad(similarity, temperature=0.0, **options)
    tables = cell_tables(options["gap_open"], options["gap_extend"], shape)
    counts = np.zeros(tables.shape)
    for b, (n, m) in enumerate(given):
        cells, cell_costs = similarity[b, :n, :m].astype(np.float64), tables[:, b, :n, :m]
        best = hard_score(cells, tuple(cell_costs), mode=mode)
        # 1e-6: the best float64 sum, rounded once to float32.
        assert score[b] == pytest.approx(best, rel=1e-12 if dtype == np.float64 else 1e-6)
        pairs = np.argwhere(gradients.similarity[b])
        assert set(np.unique(gradients.similarity[b])) <= {0.0, 1.0}
        assert path_score(pairs, cells, cell_costs, mode) == pytest.approx(best, rel=1e-12)
        counts[:, b, :n, :m] = path_counts(pairs, (n, m), mode)
        assert (np.diff(pairs, axis=0) > 0).all()
    for found, of_columns, of_rows, value in (
        (gradients.gap_open, -counts[0], -counts[2], options["gap_open"]),
        (gradients.gap_extend, -counts[1], -counts[3], options["gap_extend"]),
    ):
        wanted = in_form(of_columns, of_rows, value)
        if not isinstance(value, tuple):
            found, wanted = (found,), (wanted,)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    assert gradients.temperature == 0
    np.testing.assert_array_equal(fastsw.score(similarity, temperature=0.0, **options), score)
    np.testing.assert_array_equal(
        fastsw.posterior(similarity, temperature=0.0, **options), gradients.similarity
    )


def test_ties_are_broken_as_documented():
    """First end in row-major order; walking back: start, pair, skipped columns, skipped rows."""

    def path(similarity, **options):
        found = fastsw.traceback(np.array(similarity), gap_open=0.0, gap_extend=0.0, **options)
        indicator = fastsw.posterior(
            np.array(similarity), gap_open=0.0, gap_extend=0.0, temperature=0.0, **options
        )
        np.testing.assert_array_equal(np.argwhere(indicator), found.pairs)
        return found.pairs.tolist()

    assert path([[0.0, 1.0], [1.0, 0.0]]) == [[0, 1]]  # two equal ends
    assert path([[0.0, 0.0], [0.0, 1.0]]) == [[1, 1]]  # a start before a pair worth nothing
    # (0, 0) and (1, 1) can both precede (2, 2); the pair directly before it wins.
    assert path([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) == [[0, 0], [1, 1], [2, 2]]
    # Skipping a column, (1, 0) before (2, 2), is preferred to skipping a row, (0, 1).
    assert path([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) == [[1, 0], [2, 2]]
    # An end inside the table wins over the empty alignment of fitting mode.
    assert path([[0.0]], mode="fitting") == [[0, 0]]

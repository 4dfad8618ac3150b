"""Alignment of embeddings in strips, against the same similarities as a matrix."""

import numpy as np
import pytest

import fastsw

KINDS = {
    "dot": (1.5, -0.5),
    "cosine": (3.0, -1.0),
    "neg_sqeuclidean": (0.5, 1.5),
    "inverse_sqeuclidean": (4.0, -1.2),
}
OPTIONS = {"gap_open": 1.2, "gap_extend": 0.3, "temperature": 0.8}
STRIPS = (None, 1, 16, 33, 64, 1000)


def similarity(x, y, kind, scale, offset):
    """Of arrays or tensors, as the definition says."""
    if kind == "cosine":
        x, y = (v / (v * v).sum(-1)[..., None] ** 0.5 for v in (x, y))
    if kind in ("dot", "cosine"):
        return scale * (x @ y.swapaxes(-1, -2)) + offset
    squares = ((x[..., :, None, :] - y[..., None, :, :]) ** 2).sum(-1)
    return offset + scale * (-squares if kind == "neg_sqeuclidean" else 1 / (1 + squares))


def embeddings(*shape, dtype=np.float64, seed=0):
    return (0.7 * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


def dense(found, shape):
    matrix = np.zeros(shape)
    matrix[found.rows, found.columns] = found.values
    return matrix


@pytest.mark.parametrize("mode", ["local", "global", "fitting"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_strips_give_what_a_matrix_gives(kind, mode, dtype, tolerance):
    x, y = embeddings(70, 5, dtype=dtype), embeddings(53, 5, dtype=dtype, seed=1)
    scale, offset = KINDS[kind]
    how = {"kind": kind, "scale": scale, "offset": offset, "mode": mode, **OPTIONS}
    cells = similarity(x.astype(np.float64), y.astype(np.float64), kind, scale, offset)
    score, expected = fastsw.value_and_grad(cells, mode=mode, **OPTIONS)
    outputs = "score", "gradients", "matches", "posterior"
    mass = expected.similarity.sum(1)
    column = expected.similarity @ np.arange(53) / mass
    for strip_rows in STRIPS:
        found, gradients, matches, posterior = fastsw.align_embeddings(
            x, y, outputs=outputs, threshold=1e-14, strip_rows=strip_rows, **how
        )
        assert found.dtype == matches.mass.dtype == posterior.values.dtype == dtype
        for got, wanted in (
            (found, score),
            (dense(posterior, cells.shape), expected.similarity),
            (matches.mass, mass),
            (matches.column / 53, column / 53),
            (gradients.gap_open, expected.gap_open),
            (gradients.gap_extend, expected.gap_extend),
            (gradients.temperature, expected.temperature),
            (gradients.offset, expected.similarity.sum()),
        ):
            assert got == pytest.approx(wanted, rel=tolerance, abs=tolerance)
        alone = fastsw.align_embeddings(x, y, strip_rows=strip_rows, **how)
        assert alone == found


@pytest.mark.parametrize("strip_rows", [None, 8, 32])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_autograd_through_the_matrix(kind, strip_rows):
    torch = pytest.importorskip("torch")
    scale, offset = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in KINDS[kind])
    x, y = (torch.tensor(embeddings(2, t, 4, seed=t)).requires_grad_() for t in (41, 37))
    gaps = torch.rand(2, 37, dtype=torch.float64) + 0.5, torch.rand(2, 41, dtype=torch.float64)
    leaves = [x, y, scale, offset, *(gap.requires_grad_() for gap in gaps)]
    temperature = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    leaves.append(temperature)
    lengths = np.array([[41, 30], [25, 37]])
    options = {
        "gap_open": gaps,
        "gap_extend": 0.3,
        "temperature": temperature,
        "lengths": lengths,
    }
    weights = torch.tensor([1.0, -0.5], dtype=torch.float64)
    cells = similarity(x, y, kind, scale, offset)
    expected = fastsw.score(cells, **options)
    found = fastsw.align_embeddings(
        x, y, kind=kind, scale=scale, offset=offset, strip_rows=strip_rows, **options
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for got, wanted in zip(
        torch.autograd.grad(found @ weights, leaves),
        torch.autograd.grad(expected @ weights, leaves),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck_through_embeddings(kind):
    torch = pytest.importorskip("torch")
    x, y = (torch.tensor(embeddings(t, 3, seed=t)).requires_grad_() for t in (18, 9))
    scale, offset = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in KINDS[kind])

    def score(x, y, scale, offset):
        return fastsw.align_embeddings(
            x, y, kind=kind, scale=scale, offset=offset, strip_rows=8, **OPTIONS
        )

    assert torch.autograd.gradcheck(score, (x, y, scale, offset))
    value = score(x, y, scale, offset)
    (gradient,) = torch.autograd.grad(value, x, create_graph=True)  # alone it is no mistake
    with pytest.raises(NotImplementedError, match="has first derivatives only"):
        gradient.sum().backward()


def test_a_function_may_tell_the_similarities():
    torch = pytest.importorskip("torch")
    x, y = (torch.tensor(embeddings(t, 4, seed=t)).requires_grad_() for t in (50, 40))
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    seen = []

    def tanh(strip, columns):
        seen.append(strip.shape)
        return torch.tanh(strip @ columns.T)

    expected = fastsw.score(scale * torch.tanh(x @ y.T) - 0.2, **OPTIONS)
    found = fastsw.align_embeddings(
        x, y, kind=tanh, scale=scale, offset=-0.2, strip_rows=16, **OPTIONS
    )
    assert max(rows for rows, _ in seen) == 16
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for got, wanted in zip(
        torch.autograd.grad(found, (x, y, scale)),
        torch.autograd.grad(expected, (x, y, scale)),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-10)
    with pytest.raises(ValueError, match="`kind` must depend on nothing that learns"):
        fastsw.align_embeddings(x, y, kind=lambda a, b: scale * (a @ b.T), **OPTIONS)
    with pytest.raises(ValueError, match=r"`kind` must give a tensor of shape \(50, 40\)"):
        fastsw.align_embeddings(x, y, kind=lambda a, b: a, **OPTIONS)


@pytest.mark.parametrize(
    "temperature", [1.0, 0.05, 1e-3, 1e-9], ids=["block", "cell", "double", "log space"]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_range_has_its_kernel(temperature, dtype):
    x, y = embeddings(60, 4, dtype=dtype), embeddings(45, 4, dtype=dtype, seed=1)
    options = {"gap_open": 1.2, "gap_extend": 0.3, "temperature": temperature}
    cells = similarity(x, y, "dot", 2.0, -0.5).astype(dtype)
    score, expected = fastsw.value_and_grad(cells, **options)
    found, gradients, posterior = fastsw.align_embeddings(
        x,
        y,
        scale=2.0,
        offset=-0.5,
        strip_rows=16,
        threshold=1e-9,
        outputs=("score", "gradients", "posterior"),
        **options,
    )
    # Where T is small a rounding of the similarities decides between paths.
    loose = 1e-5 if dtype == np.float32 else 1e-9
    assert found == pytest.approx(score, rel=loose)
    if temperature >= 0.05:
        slack = {"rel": 100 * loose, "abs": 100 * loose}
        assert dense(posterior, cells.shape) == pytest.approx(expected.similarity, **slack)
        assert gradients.temperature == pytest.approx(expected.temperature, **slack)


def test_a_batch_is_its_pairs_and_reads_nothing_beyond_the_lengths():
    x, y = embeddings(3, 40, 4), embeddings(3, 30, 4, seed=1)
    lengths = np.array([[40, 30], [17, 22], [0, 5]])
    x[1, 17:], y[1, 22:], x[2] = np.nan, np.inf, np.nan
    outputs = "score", "gradients", "matches", "posterior"
    for strip_rows in (None, 16):
        how = {"offset": -0.3, "outputs": outputs, "strip_rows": strip_rows, **OPTIONS}
        score, gradients, matches, posterior = fastsw.align_embeddings(x, y, lengths=lengths, **how)
        assert score[2] == -np.inf and len(posterior[2].rows) == 0
        assert (gradients.x[1, 17:] == 0).all() and (gradients.y[2] == 0).all()
        assert np.isnan(matches.column[1, 17:]).all() and (matches.mass[2] == 0).all()
        for b, (n, m) in enumerate(lengths[:2]):
            alone = fastsw.align_embeddings(x[b, :n], y[b, :m], **how)
            assert score[b] == pytest.approx(alone[0], rel=1e-12)
            assert gradients.x[b, :n] == pytest.approx(alone[1].x, abs=1e-12)
            assert matches.mass[b, :n] == pytest.approx(alone[2].mass, abs=1e-12)
            assert posterior[b].values == pytest.approx(alone[3].values, abs=1e-12)


@pytest.mark.parametrize("strip_rows", [None, 16])
def test_what_is_not_finite_spoils_its_own_pair(strip_rows):
    x, y = embeddings(2, 40, 4, dtype=np.float32), embeddings(2, 30, 4, dtype=np.float32)
    x[0, 7, 2] = np.nan
    score, gradients = fastsw.align_embeddings(
        x, y, outputs=("score", "gradients"), strip_rows=strip_rows, gap_open=(1.0, 2.0),
        gap_extend=0.5,
    )  # fmt: skip
    assert np.isnan(score[0]) and np.isfinite(score[1])
    assert np.isnan(gradients.x[0]).all() and np.isfinite(gradients.x[1]).all()


def test_tensors_get_tensors_and_half_precision_computes_in_single():
    torch = pytest.importorskip("torch")
    x, y = (torch.tensor(embeddings(t, 4, seed=t)).bfloat16() for t in (20, 15))
    x.requires_grad_()
    score, matches, posterior = fastsw.align_embeddings(
        x, y, outputs=("score", "matches", "posterior"), gap_open=1.0, gap_extend=0.5
    )
    score.backward()
    assert (score.dtype, x.grad.dtype, matches.mass.dtype) == (
        torch.float32,
        torch.bfloat16,
        torch.float32,
    )
    assert posterior.rows.dtype == torch.int64
    single = fastsw.align_embeddings(x.detach().float(), y.float(), gap_open=1.0, gap_extend=0.5)
    assert score.item() == pytest.approx(single.item())


def test_threads_share_a_long_pair():
    from fastsw._cpu.runtime.thread_pool import SHARED_CELLS

    x, y = embeddings(900, 4, dtype=np.float32), embeddings(800, 4, dtype=np.float32, seed=1)
    assert len(x) * len(y) > SHARED_CELLS
    how = {"outputs": ("score", "gradients"), "strip_rows": 128, "offset": -0.5, **OPTIONS}
    first = fastsw.align_embeddings(x, y, **how)
    expected = fastsw.value_and_grad(x @ y.T - np.float32(0.5), **OPTIONS)
    assert first[0] == pytest.approx(expected[0], rel=1e-6)
    assert first[1].gap_open == pytest.approx(expected[1].gap_open, rel=1e-4)
    again = fastsw.align_embeddings(x, y, **how)
    assert first[0] == again[0] and (first[1].x == again[1].x).all()


BAD = {
    "dimensions": (
        {"y": np.zeros((5, 3))},
        r"`x` and `y` must be of as many pairs, of one number of features .*\(4, 2\) .*\(5, 3\)",
    ),
    "dtypes": ({"y": np.zeros((5, 2), np.float32)}, "of one dtype, got"),
    "axes": ({"x": np.zeros(4)}, r"`x` must have shape \(B, T, D\) or \(T, D\), got 1 axes"),
    "kind": ({"kind": "l1"}, "`kind` must be one of 'dot'"),
    "scale": ({"scale": np.inf}, "`scale` must be finite, got inf"),
    "temperature": ({"temperature": 0.0}, "`temperature` must be above 0, got 0.0"),
    "by cell": ({"gap_open": np.ones((4, 5))}, "`gap_open` must not vary from cell to cell"),
    "lengths": ({"lengths": np.array([5, 5])}, "`lengths` must lie between 0 and the 4 rows"),
    "outputs": ({"outputs": "path"}, r"`outputs` must be of 'score', .* got 'path'"),
    "none": ({"outputs": ()}, "`outputs` must name at least one output"),
    "threshold": ({"threshold": 0.0}, r"`threshold` must be a number in \(0, 1\], got 0.0"),
    "strips": ({"strip_rows": 0}, "`strip_rows` must be at least 1, got 0"),
    "inverse": (
        {"kind": "inverse_sqeuclidean", "scale": 0.0, "outputs": "gradients"},
        "`scale` must not be 0 for gradients",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named(changes, message):
    good = {"x": np.zeros((4, 2)), "y": np.zeros((5, 2)), "gap_open": 1.0, "gap_extend": 0.5}
    with pytest.raises(ValueError, match=message):
        fastsw.align_embeddings(**{**good, **changes})


def test_what_is_of_a_wrong_type_is_named():
    x, gaps = np.zeros((4, 2)), {"gap_open": 1.0, "gap_extend": 0.5}
    with pytest.raises(TypeError, match="`x` must be a NumPy array, a torch tensor or another"):
        fastsw.align_embeddings("x", x, **gaps)
    with pytest.raises(TypeError, match="`x` must have a floating dtype or integers, got bool"):
        fastsw.align_embeddings(x > 0, x, **gaps)
    with pytest.raises(TypeError, match="`kind` must be a name for NumPy arrays"):
        fastsw.align_embeddings(x, x, kind=np.dot, **gaps)
    with pytest.raises(TypeError, match=r"`strip_rows` must be None or an integer, got 1\.5"):
        fastsw.align_embeddings(x, x, strip_rows=1.5, **gaps)
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="`y` must be a tensor as `x` is, got ndarray"):
        fastsw.align_embeddings(torch.zeros(4, 2), x, **gaps)
    with pytest.raises(ValueError, match="`outputs` must not name 'gradients' for tensors"):
        fastsw.align_embeddings(torch.zeros(4, 2), torch.zeros(4, 2), outputs="gradients", **gaps)

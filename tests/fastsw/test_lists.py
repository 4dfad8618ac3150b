"""Lists of matrices of different sizes are what a loop over them is; what is shown of answers."""

import re

import numpy as np
import pytest

import fastsw

SHAPES = [(3, 4), (5, 2), (1, 1), (4, 7), (5, 4)]
PLAIN = dict(gap_open=1.0, gap_extend=0.5)


def draw(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in SHAPES]


def penalty(form):
    """A penalty for the list, and those for each of its matrices."""
    rng = np.random.default_rng(1)
    if form == "number":
        return 0.7, [0.7] * len(SHAPES)
    if form == "pair":
        each = rng.random(len(SHAPES))
        return each, list(each)
    if form == "sides":
        each = rng.random(len(SHAPES))
        return (0.3, each), [(0.3, one) for one in each]
    if form == "cell":
        each = [rng.random(shape) for shape in SHAPES]
        return each, each
    columns = [rng.random(m) for _, m in SHAPES]
    rows = [rng.random(shape if form == "sides-cell" else shape[0]) for shape in SHAPES]
    return (columns, rows), list(zip(columns, rows, strict=True))


def arrays(answer):
    """The arrays in an answer, in order."""
    if isinstance(answer, tuple | list):
        return [array for part in answer for array in arrays(part)]
    return [np.asarray(answer)]


def same(one, other):
    for a, b in zip(arrays(one), arrays(other), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)  # other kernels, other rounding


@pytest.mark.parametrize("form", ["number", "pair", "sides", "cell", "sides-vector", "sides-cell"])
@pytest.mark.parametrize("mode", ["local", "global"])
def test_a_list_is_a_loop(mode, form):
    matrices = draw()
    gap_open, opens = penalty(form)
    options = dict(gap_extend=0.2, mode=mode)
    value, gradients = fastsw.value_and_grad(matrices, gap_open=gap_open, **options)
    singles = [
        fastsw.value_and_grad(matrix, gap_open=one, **options)
        for matrix, one in zip(matrices, opens, strict=True)
    ]
    same(value, np.array([score for score, _ in singles]))
    same(gradients.similarity, [single.similarity for _, single in singles])
    same(gradients.gap_extend, sum(single.gap_extend for _, single in singles))
    same(gradients.temperature, sum(single.temperature for _, single in singles))
    of_open = [single.gap_open for _, single in singles]
    if form == "number":
        of_open = sum(of_open)
    elif form == "pair":
        of_open = np.array(of_open)
    elif form == "sides":
        of_open = sum(one for one, _ in of_open), np.array([one for _, one in of_open])
    elif form != "cell":
        of_open = tuple(map(list, zip(*of_open, strict=True)))
    same(gradients.gap_open, of_open)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax.numpy"])
def test_every_function_takes_lists_of_every_library(library):
    space = pytest.importorskip(library)
    given = [space.asarray(matrix.astype(np.float32)) for matrix in draw()]
    kind = type(given[0])  # of answers as well
    posteriors = fastsw.posterior(given, **PLAIN)
    for matrix, posterior in zip(given, posteriors, strict=True):
        assert isinstance(posterior, kind)
        assert posterior.shape == matrix.shape and posterior.dtype == matrix.dtype
        np.testing.assert_allclose(posterior, fastsw.posterior(matrix, **PLAIN), atol=1e-5)
    for function in (fastsw.score, fastsw.entropy):
        found = function(given, **PLAIN)
        assert isinstance(found, kind)
        loop = np.array([float(function(matrix, **PLAIN)) for matrix in given])
        np.testing.assert_allclose(found, loop, rtol=1e-4)
    found = fastsw.soft_dtw(tuple(given))
    np.testing.assert_allclose(found, [float(fastsw.soft_dtw(one)) for one in given], rtol=1e-5)
    paths = fastsw.traceback(given, **PLAIN)
    assert list(map(str, paths)) == [str(fastsw.traceback(one, **PLAIN)) for one in given]
    drawn = fastsw.sample(given, **PLAIN, size=2, seed=0)
    assert [len(one) for one in drawn] == [2] * len(given)
    accurate = fastsw.mea(posteriors)
    assert list(map(str, accurate)) == [str(fastsw.mea(one)) for one in posteriors]


def test_gradients_pass_through_the_padding():
    torch = pytest.importorskip("torch")
    leaves = [torch.tensor(matrix, requires_grad=True) for matrix in draw()]
    opens = [torch.rand(m, dtype=torch.float64, requires_grad=True) for _, m in SHAPES]

    def weighted(*values):
        similarity, opens = values[: len(SHAPES)], values[len(SHAPES) :]
        options = dict(gap_open=(list(opens), 0.4), gap_extend=0.2)
        weights = torch.arange(1.0, len(SHAPES) + 1)
        score = (fastsw.score(similarity, **options) * weights).sum()
        posterior = fastsw.posterior(similarity, **options)
        return score + sum((one**2).sum() for one in posterior)

    assert torch.autograd.gradcheck(weighted, (*leaves, *opens))


def test_lists_are_compiled_whole():
    torch = pytest.importorskip("torch")
    leaves = [torch.tensor(matrix) for matrix in draw()]
    compiled = torch.compile(
        lambda matrices: fastsw.score(matrices, **PLAIN), fullgraph=True, backend="eager"
    )
    same(compiled(leaves), fastsw.score(leaves, **PLAIN))


def test_penalties_of_lists_may_change_within_compiled_code():
    torch = pytest.importorskip("torch")
    leaves = [torch.tensor(matrix) for matrix in draw()]
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda cost: fastsw.score(leaves, gap_open=cost, gap_extend=(cost, 0.5)),
        fullgraph=True,
        backend="eager",
    )
    for cost in (1.0, 2.0, 3.0):  # the second one makes a symbol of it
        same(compiled(cost), fastsw.score(leaves, gap_open=cost, gap_extend=(cost, 0.5)))


def refuse(error, text, matrices, **options):
    with pytest.raises(error, match=re.escape(text)):
        fastsw.score(matrices, **(PLAIN | options))


def test_what_a_list_cannot_be_is_said():
    matrices = draw()
    refuse(ValueError, "`similarity` must hold at least one matrix, got an empty list", [])
    refuse(TypeError, "`similarity[0]` must be a NumPy array", [[1.0, 2.0]])
    refuse(ValueError, "`similarity[1]` must have shape (N, M)", [np.eye(2), np.ones((1, 2, 2))])
    refuse(
        TypeError, "`similarity[1]` must be like `similarity[0]`", [np.eye(2), np.eye(2, dtype="f")]
    )
    refuse(ValueError, "`lengths` must be absent", matrices, lengths=np.array(SHAPES))
    refuse(ValueError, "got shape (5, 7)", matrices, gap_open=np.ones((5, 7)))
    refuse(ValueError, "`gap_extend[1]`", matrices, gap_extend=(1.0, [np.ones(3)] * 5))
    refuse(ValueError, "each of the 5 matrices, got 2", matrices, gap_open=matrices[:2])


def test_a_list_of_torch_and_numpy_is_refused():
    torch = pytest.importorskip("torch")
    for mixed in ([np.eye(2), torch.eye(2)], [torch.eye(2), np.eye(2)]):
        refuse(TypeError, "`similarity[1]` must be like `similarity[0]`", mixed)


def test_gradients_are_shown_in_short():
    _, gradients = fastsw.value_and_grad(
        np.zeros((1, 3)), gap_open=(1.0, np.ones(1)), gap_extend=0.5
    )
    assert repr(gradients) == (
        "Gradients(similarity=float64 (1, 3), gap_open=(0, float64 (1,)), gap_extend=0, "
        "temperature=1.09861)"
    )


def test_only_public_names_are_listed():
    names = dir(fastsw)
    assert set(fastsw.__all__) | {"nn", "plot", "__version__"} == set(names)

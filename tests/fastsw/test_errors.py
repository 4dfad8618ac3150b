"""Bad input gets one clear error that names the parameter, the rule and the value."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastsw

PLAIN = dict(gap_open=1.0, gap_extend=0.5)
FUNCTIONS = [
    fastsw.score,
    fastsw.posterior,
    fastsw.value_and_grad,
    fastsw.entropy,
    fastsw.traceback,
    lambda similarity, **options: fastsw.sample(similarity, **options, size=1, seed=0),
]
NAMES = ["score", "posterior", "value_and_grad", "entropy", "traceback", "sample"]


def numpy_batch(shape=(2, 3, 4)):
    return np.zeros(shape)


def torch_batch(shape=(2, 3, 4)):
    torch = pytest.importorskip("torch")
    return torch.zeros(shape, dtype=torch.float64)


BATCHES = pytest.mark.parametrize("batch", [numpy_batch, torch_batch], ids=["numpy", "torch"])

CALLS = {
    "mode-unknown": (ValueError, "mode", "'semi'", dict(mode="semi")),
    "mode-none": (ValueError, "mode", "None", dict(mode=None)),
    "mode-list": (ValueError, "mode", "['local']", dict(mode=["local"])),
    "temperature-negative": (ValueError, "temperature", "-1.0", dict(temperature=-1)),
    "temperature-nan": (ValueError, "temperature", "nan", dict(temperature=np.nan)),
    "temperature-infinite": (ValueError, "temperature", "inf", dict(temperature=np.inf)),
    "temperature-vector": (ValueError, "temperature", "(2,)", dict(temperature=np.ones(2))),
    "temperature-list": ((TypeError, ValueError), "temperature", "", dict(temperature=[1.0, 2.0])),
    "temperature-text": (TypeError, "temperature", "warm", dict(temperature="warm")),
    "temperature-none": (TypeError, "temperature", "None", dict(temperature=None)),
    "temperature-complex": (TypeError, "temperature", "1j", dict(temperature=1j)),
    "gap-none": (TypeError, "gap_open", "", dict(gap_open=None)),
    "gap-text": (TypeError, "gap_extend", "", dict(gap_extend="cheap")),
    "gap-complex": (TypeError, "gap_open", "complex", dict(gap_open=1j)),
    "gap-objects": (TypeError, "gap_open", "", dict(gap_open=(None, 1.0))),
    "gap-ragged": ((TypeError, ValueError), "gap_open", "", dict(gap_open=[[1.0, 2.0], [3.0]])),
    "gap-nan": (ValueError, "gap_open", "nan", dict(gap_open=np.nan)),
    "gap-infinite": (ValueError, "gap_extend", "inf", dict(gap_extend=(1.0, np.inf))),
    "gap-nan-in-array": (ValueError, "gap_open", "nan", dict(gap_open=np.array([1.0, np.nan]))),
    "gap-shape": (ValueError, "gap_open", "(3,)", dict(gap_open=np.zeros(3))),
    "gap-vector-alone": (ValueError, "gap_open", "(2, 4)", dict(gap_open=np.zeros((2, 4)))),
    "gap-sides-exchanged": (
        ValueError,
        "gap_open[0]",
        "(2, 3)",
        dict(gap_open=(np.zeros((2, 3)), np.zeros((2, 4)))),
    ),
    "gap-three-sides": (ValueError, "gap_extend", "3", dict(gap_extend=(1.0, 2.0, 3.0))),
    "lengths-too-long": (ValueError, "lengths", "4", dict(lengths=[[4, 4], [1, 1]])),
    "lengths-too-wide": (ValueError, "lengths", "5", dict(lengths=[[3, 4], [1, 5]])),
    "lengths-negative": (ValueError, "lengths", "-1", dict(lengths=[[-1, 4], [1, 1]])),
    "lengths-float": (TypeError, "lengths", "float", dict(lengths=[[1.0, 4.0], [1.0, 1.0]])),
    "lengths-bool": (TypeError, "lengths", "bool", dict(lengths=np.ones((2, 2), bool))),
    "lengths-shape": (ValueError, "lengths", "(3,)", dict(lengths=[1, 2, 3])),
    "lengths-one-side": (ValueError, "lengths", "1", dict(lengths=([1, 2],))),
    "lengths-sides-shape": (ValueError, "lengths", "(3,)", dict(lengths=([1, 2, 3], [1, 2, 3]))),
    "lengths-text": (TypeError, "lengths", "", dict(lengths="ab")),
    "lengths-ragged": ((TypeError, ValueError), "lengths", "", dict(lengths=[[1], [2, 3]])),
}


def refuse(error, name, value, function, *arguments, **options):
    """The call raises an error whose text has the parameter in backticks, and the value."""
    with pytest.raises(error, match=re.escape(f"`{name}")) as caught:
        function(*arguments, **options)
    assert value in str(caught.value)


@BATCHES
@pytest.mark.parametrize(("error", "name", "value", "bad"), CALLS.values(), ids=CALLS)
def test_bad_options_are_named(error, name, value, bad, batch):
    refuse(error, name, value, fastsw.score, batch(), **(PLAIN | bad))


@pytest.mark.parametrize("function", FUNCTIONS, ids=NAMES)
@pytest.mark.parametrize("case", ["mode-unknown", "gap-nan", "gap-shape", "lengths-too-long"])
@BATCHES
def test_every_function_checks_its_input(batch, case, function):
    error, name, value, bad = CALLS[case]
    refuse(error, name, value, function, batch(), **(PLAIN | bad))


@BATCHES
@pytest.mark.parametrize("shape", [(3,), (1, 2, 3, 4), ()], ids=str)
def test_a_similarity_of_wrong_rank_is_refused(shape, batch):
    refuse(ValueError, "similarity", str(shape), fastsw.score, batch(shape), **PLAIN)


@pytest.mark.parametrize("dtype", ["bool", "complex64", "object", "U1", "M8[s]"])
def test_a_similarity_of_wrong_dtype_is_refused(dtype):
    similarity = np.zeros((2, 3), dtype)
    for function in FUNCTIONS:
        refuse(TypeError, "similarity", similarity.dtype.name, function, similarity, **PLAIN)


@pytest.mark.parametrize("dtype", ["bool", "complex64"])
def test_a_tensor_of_wrong_dtype_is_refused(dtype):
    similarity = torch_batch().to(getattr(pytest.importorskip("torch"), dtype))
    for function in FUNCTIONS:
        refuse(TypeError, "similarity", dtype, function, similarity, **PLAIN)


@pytest.mark.parametrize(
    "thing",
    [
        None,
        1.0,
        "text",
        [[1.0, 2.0]],
        np.ma.masked_less(np.eye(3), 1.0),
        np.asmatrix(np.eye(3)),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_a_similarity_of_another_type_is_refused(thing):
    refuse(TypeError, "similarity", type(thing).__name__, fastsw.score, thing, **PLAIN)


@BATCHES
@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8"])
def test_integers_count_as_the_numbers_they_are(dtype, batch):
    whole = batch((2, 3, 4))
    numbers = np.random.default_rng(0).integers(0, 9, whole.shape)
    if isinstance(whole, np.ndarray):
        whole, default = numbers.astype(dtype), np.float64
        real = whole.astype(default)
    else:
        torch = pytest.importorskip("torch")
        whole, default = torch.tensor(numbers, dtype=getattr(torch, dtype)), torch.float32
        real = whole.to(default)
    assert fastsw.posterior(whole, **PLAIN).dtype == default
    for function in FUNCTIONS[:-2]:
        answers = (parts(function(x, **PLAIN)) for x in (whole, real))
        for one, other in zip(*answers, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert fastsw.soft_dtw(whole).dtype == default
    assert list(map(repr, fastsw.traceback(whole, **PLAIN))) == list(
        map(repr, fastsw.traceback(real, **PLAIN))
    )


def parts(answer):
    """The arrays in an answer, in order."""
    if isinstance(answer, tuple):
        return [array for part in answer for array in parts(part)]
    return [answer]


def test_a_sparse_tensor_is_refused():
    sparse = torch_batch((3, 4)).to_sparse()
    refuse((TypeError, ValueError), "similarity", "", fastsw.score, sparse, **PLAIN)


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64"])
@pytest.mark.parametrize("name", ["gap_open", "gap_extend", "temperature"])
def test_tensors_of_penalties_and_temperature_must_be_floating(name, dtype):
    torch = pytest.importorskip("torch")
    bad = {name: torch.ones((), dtype=getattr(torch, dtype))}
    refuse(TypeError, name, dtype, fastsw.score, torch_batch(), **(PLAIN | bad))


def test_tensors_of_other_devices_are_refused():
    torch = pytest.importorskip("torch")
    elsewhere = dict(
        gap_open=torch.ones(2, device="meta"),
        gap_extend=torch.ones((), device="meta"),
        temperature=torch.ones((), device="meta"),
        lengths=torch.ones(2, 2, device="meta", dtype=torch.int64),
    )
    for name, tensor in elsewhere.items():
        refuse(ValueError, name, "meta", fastsw.score, torch_batch(), **(PLAIN | {name: tensor}))


@pytest.mark.parametrize("name", ["gap_open", "temperature"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_tensor_values_are_checked(value, name):
    torch = pytest.importorskip("torch")
    bad = {name: torch.tensor(value, requires_grad=True)}
    refuse(ValueError, name, str(value), fastsw.score, torch_batch(), **(PLAIN | bad))


@pytest.mark.parametrize(
    ("error", "name", "value", "bad"),
    [
        (ValueError, "size", "-1", dict(size=-1, seed=0)),
        (TypeError, "size", "1.5", dict(size=1.5, seed=0)),
        (TypeError, "size", "True", dict(size=True, seed=0)),
        (TypeError, "seed", "None", dict(size=1, seed=None)),
        (ValueError, "seed", "-2", dict(size=1, seed=-2)),
    ],
)
def test_sampling_checks_size_and_seed(error, name, value, bad):
    refuse(error, name, value, fastsw.sample, numpy_batch(), **PLAIN, **bad)


@pytest.mark.parametrize("missing", ["gap_open", "gap_extend"])
def test_penalties_have_no_default(missing):
    options = {name: value for name, value in PLAIN.items() if name != missing}
    with pytest.raises(TypeError, match=missing):
        fastsw.score(numpy_batch(), **options)


def test_options_are_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        fastsw.score(numpy_batch(), 1.0, 0.5)


def test_one_matrix_takes_penalties_without_a_batch_axis():
    refuse(
        ValueError,
        "gap_open",
        "(1,)",
        fastsw.score,
        numpy_batch((3, 4)),
        **PLAIN | {"gap_open": [1.0]},
    )


def test_warp_checks_its_axis():
    alignment = fastsw.traceback(np.eye(3), **PLAIN)
    refuse(ValueError, "axis", "'time'", alignment.warp, [0.0], axis="time")


NEGATIVE = {
    "numbers": dict(gap_open=-11, gap_extend=-1),
    "sides": dict(gap_open=(-11.0, -3.0), gap_extend=-1),
    "by-pair": dict(gap_open=-11, gap_extend=np.array([-1.0, -2.0])),
}


@BATCHES
@pytest.mark.parametrize("negative", NEGATIVE.values(), ids=NEGATIVE)
def test_gap_scores_in_place_of_costs_are_told_once_a_call(negative, batch):
    for function in FUNCTIONS:
        with pytest.warns(fastsw.GapSignWarning, match="-11.*11 and 1 here") as told:
            function(batch(), **negative)
        assert [Path(warning.filename).name for warning in told] == [Path(__file__).name]


@BATCHES
@pytest.mark.parametrize(
    "options",
    [
        PLAIN,
        dict(gap_open=-1.0, gap_extend=0.5),
        dict(gap_open=1.0, gap_extend=-0.5),
        dict(gap_open=(-1.0, 1.0), gap_extend=-0.5),
        dict(gap_open=0.0, gap_extend=0.0),
        dict(gap_open=np.array([-1.0, 1.0]), gap_extend=-1.0),
    ],
)
def test_other_signs_pass_in_silence(options, batch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastsw.score(batch(), **options)


def test_a_module_of_gap_scores_warns_where_it_is_called():
    pytest.importorskip("torch")
    module = fastsw.nn.SmithWaterman(gap_open=-11.0, gap_extend=-1.0)
    with pytest.warns(fastsw.GapSignWarning) as told:
        module(torch_batch())
    assert [Path(warning.filename).name for warning in told] == [Path(__file__).name]


def test_what_is_told_of_penalties_that_are_learnt_is_one_warning():
    torch = pytest.importorskip("torch")
    extend = torch.tensor(-1.0, requires_grad=True)
    with pytest.warns(UserWarning) as told:
        fastsw.score(torch_batch(), gap_open=-11.0, gap_extend=extend)
    assert [warning.category for warning in told] == [fastsw.GapSignWarning]


@BATCHES
def test_a_batch_of_no_pairs_has_no_penalties_to_warn_of(batch):
    found = fastsw.score(batch((0, 3, 4)), gap_open=batch((0,)), gap_extend=-1.0)
    assert found.shape == (0,)

"""Arrays that pass for a GPU's, of libraries that stand for CuPy and others; needs no GPU."""

import sys
from types import ModuleType

import numpy as np
import pytest

import fastsw
from fastsw import _api
from fastsw._frontends import cuda_arrays

torch = pytest.importorskip("torch")

OPTIONS = dict(gap_open=1.0, gap_extend=0.25)


def array_type(module):
    """A class of arrays that DLPack alone can read."""

    class ndarray:
        def __init__(self, tensor):
            self.tensor = tensor

        def __dlpack__(self, **options):
            return self.tensor.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.tensor.__dlpack_device__()

    ndarray.__module__ = module
    return ndarray


@pytest.fixture(params=["fakecupy", "fakecupy._core.core"])
def cupy(request, monkeypatch):
    """A library whose arrays have no `__array_namespace__`, as those of CuPy 14."""
    package = ModuleType("fakecupy")
    package.ndarray = array_type(request.param)
    package.from_dlpack = lambda value: package.ndarray(torch.from_dlpack(value))
    monkeypatch.setitem(sys.modules, "fakecupy", package)
    claim_the_device(monkeypatch, package.ndarray)
    return package


def claim_the_device(monkeypatch, kind):
    """Let arrays of a class pass for arrays on a GPU."""
    for module in (_api, cuda_arrays):
        monkeypatch.setattr(module, "on_cuda", lambda value: isinstance(value, kind))


def test_arrays_that_do_not_name_their_namespace_get_their_own_kind_back(cupy):
    table = np.random.default_rng(0).standard_normal((2, 9, 7)).astype(np.float32)
    array = cupy.ndarray(torch.from_numpy(table))
    score, gradients = fastsw.value_and_grad(array, **OPTIONS)
    wanted, of_array = fastsw.value_and_grad(table, **OPTIONS)
    assert isinstance(score, cupy.ndarray) and isinstance(gradients.similarity, cupy.ndarray)
    np.testing.assert_array_equal(score.tensor.numpy(), wanted)
    np.testing.assert_array_equal(gradients.similarity.tensor.numpy(), of_array.similarity)
    (posterior,) = fastsw.posterior([cupy.ndarray(array.tensor[0])], **OPTIONS)
    assert isinstance(posterior, cupy.ndarray)


def test_arrays_of_a_library_that_cannot_take_answers_are_refused(monkeypatch):
    kind = array_type("fakecupy")
    monkeypatch.setitem(sys.modules, "fakecupy", ModuleType("fakecupy"))
    claim_the_device(monkeypatch, kind)
    with pytest.raises(TypeError, match=r"`similarity` must be .*, got fakecupy\..*ndarray"):
        fastsw.score(kind(torch.zeros((2, 3, 4))), **OPTIONS)

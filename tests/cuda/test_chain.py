"""The files that a call on CUDA tensors passes on its way to the arithmetic of a cell.

Calls run the operators' CUDA functions on CPU tensors; launches are only recorded.
"""

import pytest

import fastsw
from tests.support.simulated import SIMULATED

pytest.importorskip("numba_cuda")
torch = pytest.importorskip("torch")
if SIMULATED:
    pytest.skip("device functions of the simulator are Python's", allow_module_level=True)

from fastsw._cuda import backend, warping  # noqa: E402
from fastsw._cuda.kernels import cell  # noqa: E402
from fastsw._cuda.runtime import compile as compilation  # noqa: E402
from fastsw._frontends import torch_operators  # noqa: E402
from tests.support import layers, offline  # noqa: E402

#: Files from a public function to the arithmetic of a cell, both included.
MOST = 8

OPTIONS = {"gap_open": 1.0, "gap_extend": 0.5}
OPERATORS = "score", "align", "align_tangent", "soft_dtw", "soft_dtw_gradient"


def launch(self, memory, blocks, arguments, workspace):
    """Launch nothing."""


@pytest.fixture
def chains(monkeypatch):
    """The chains of a call."""
    for module in (backend, warping):
        monkeypatch.setattr(module, "memory_of", lambda device: offline.Host())
    monkeypatch.setattr(compilation.Kernel, "launch", launch)
    for name in OPERATORS:
        functions = getattr(torch_operators, name)._backend_fns
        monkeypatch.setitem(functions, "cpu", functions["cuda"])
    return lambda call: layers.chains(call, "fastsw._cuda.kernels", launch, "function")


def leaf(dtype=torch.float32):
    """Similarities of two pairs."""
    return torch.zeros((2, 6, 7), dtype=dtype, requires_grad=True)


CALLS = {
    "score": lambda: fastsw.score(leaf().detach(), **OPTIONS),
    "value_and_grad": lambda: fastsw.value_and_grad(leaf().detach(), **OPTIONS),
    "penalties by cell": lambda: fastsw.posterior(leaf(), gap_open=torch.ones(6, 7), gap_extend=1),
    "float64": lambda: fastsw.posterior(leaf(torch.float64), **OPTIONS),
    "backward": lambda: fastsw.score(leaf(), **OPTIONS).sum().backward(),
    "second derivatives": lambda: fastsw.posterior(leaf(), **OPTIONS).square().sum().backward(),
    "temperature 0": lambda: fastsw.value_and_grad(leaf().detach(), temperature=0.0, **OPTIONS),
    "soft-DTW": lambda: fastsw.soft_dtw(leaf()).sum().backward(),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_on_the_device_reaches_the_arithmetic_in_few_files(name, chains):
    found = chains(CALLS[name])
    assert found
    for chain in found:
        print(len(chain), " > ".join(module.removeprefix("fastsw.") for module in chain))
        assert len(chain) <= MOST
        assert len(set(chain)) == len(chain)  # down, and never back


def reached(function, seen):
    """Modules of the functions that a kernel's function leads to."""
    if function not in seen:
        seen.add(function)
        for called in layers.called_by(function):
            reached(called, seen)
    return {f.__module__ for f in seen}


@pytest.mark.parametrize("general", [False, True])
def test_kernels_of_the_soft_alignment_have_their_equations_from_one_module(general):
    for bits, with_tangents in ((32, False), (64, False), (64, True)):
        kernel = backend.soft_kernel(bits, general=general, with_tangents=with_tangents)
        assert cell.__name__ in reached(kernel.function, set())

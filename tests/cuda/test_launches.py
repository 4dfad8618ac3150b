"""What a call launches, counted on the host: nothing runs, and answers stay unset."""

import numpy as np
import pytest

import fastsw
from tests.support.simulated import SIMULATED

pytest.importorskip("numba_cuda")
torch = pytest.importorskip("torch")
if SIMULATED:
    pytest.skip("the simulator runs what is only counted here", allow_module_level=True)

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from fastsw._cuda import backend, inputs, layouts  # noqa: E402
from fastsw._cuda.runtime import compile as compilation  # noqa: E402
from fastsw._frontends import torch_operators  # noqa: E402
from fastsw._types import GRADIENT  # noqa: E402
from tests.support import offline  # noqa: E402

OPTIONS = dict(gap_open=1.0, gap_extend=0.1)
OPERATORS = "score", "align", "align_tangent"


class Elementwise(TorchDispatchMode):
    """Records the operations of torch that compute arrays; sums over all pairs are left out."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        found = function(*arguments, **options or {})
        name = function.name()
        made = isinstance(found, torch.Tensor) and found.is_floating_point() and found.numel() > 1
        if made and not function.is_view and "empty" not in name and "fastsw" not in name:
            self.names.append(name)
        return found


@pytest.fixture
def launched(monkeypatch):
    """Names of the kernels launched, and the bytes cleared, by calls on CPU tensors."""
    found = []
    memory = offline.Host()

    def launch(kernel, memory, blocks, arguments, workspace):
        assert len(compilation.launched(arguments, workspace.data_ptr())) == len(arguments)
        found.append((kernel.name, blocks))

    monkeypatch.setattr(memory, "_clear", lambda address, size: found.append(("clear", size)))
    monkeypatch.setattr(backend, "memory_of", lambda device: memory)
    monkeypatch.setattr(compilation.Kernel, "launch", launch)
    for name in OPERATORS:
        monkeypatch.setitem(
            getattr(torch_operators, name)._backend_fns, "cpu", getattr(backend, name)
        )
    return found


def names(launched):
    """Names of the kernels launched since the last call."""
    found = [name for name, _ in launched]
    launched.clear()
    return found


def test_a_tiny_problem_takes_one_launch_forward_and_one_backward(launched):
    leaf = torch.randn((2, 64, 64), requires_grad=True)
    with Elementwise() as forward:
        score = fastsw.score(leaf, **OPTIONS)
    assert names(launched) == ["clear", "align_32_uniform"]
    assert forward.names == []
    upstream = torch.ones(2)
    with Elementwise() as backward:
        score.backward(upstream)
    assert names(launched) == []
    assert backward.names == ["aten::mul.Tensor"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_score_and_gradient_take_one_launch(launched, dtype):
    similarity = torch.randn((2, 64, 64), dtype=getattr(torch, dtype))
    kernel = "align_32_uniform" if dtype == "float32" else "align_64_general"
    for function in (fastsw.score, fastsw.posterior, fastsw.value_and_grad):
        with Elementwise() as others:
            function(similarity, **OPTIONS)
        assert names(launched) == ["clear", kernel]
        assert others.names == []


def test_the_kernel_of_any_penalties_is_taken_where_it_is_needed(launched):
    similarity = torch.randn((2, 5, 7))
    for gap_open, kernel in (
        ((1.0, torch.ones(2, 5)), "align_32_uniform"),
        ((torch.ones(2, 7), 1.0), "align_32_general"),
        (torch.ones(5, 7), "align_32_general"),
        (torch.ones(2), "align_32_uniform"),
    ):
        fastsw.value_and_grad(similarity, gap_open=gap_open, gap_extend=0.5)
        assert names(launched) == ["clear", kernel]


def test_a_temperature_on_the_device_may_be_zero(launched, monkeypatch):
    known = inputs.known
    monkeypatch.setattr(
        inputs, "known", lambda name, v: v if name == "temperature" else known(name, v)
    )
    fastsw.value_and_grad(torch.randn((2, 5, 7)), **OPTIONS)
    assert names(launched) == ["clear", "viterbi", "clear", "align_32_uniform"]


def test_no_more_blocks_are_launched_than_there_is_work_or_room_for(launched):
    small, large = torch.randn((1, 3, 4)), torch.randn((30_000, 2, 2))
    fastsw.posterior(small, **OPTIONS)
    assert launched[-1] == ("align_32_uniform", 1)
    fastsw.posterior(large, **OPTIONS)
    assert launched[-1] == ("align_32_uniform", 132 * 24 // 4)


def plan(shape):
    """Memory of a gradient in float32, in local mode."""
    return layouts.soft(shape, np.dtype(np.float32), 1, GRADIENT, 32, with_linear=True)


def test_memory_of_a_gradient_is_some_bytes_a_cell():
    shape = 2, 3000, 3000
    workspace = plan(shape).workspace
    assert workspace.size < 20 * np.prod(shape)
    assert workspace.cleared < 0.01 * workspace.size


def test_parts_of_a_workspace_do_not_overlap():
    parts = sorted(plan((3, 65, 40)).parts)
    ends = [p.offset + p.length * p.dtype.itemsize for p in parts]
    assert all(end <= part.offset for end, part in zip(ends, parts[1:], strict=False))
    assert all(part.offset % part.dtype.itemsize == 0 for part in parts)

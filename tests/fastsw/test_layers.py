"""Calls go down only, and are short: the order of the modules, and those that a call passes."""

from graphlib import TopologicalSorter

import numpy as np
import pytest

import fastsw
from tests.support.layers import chains, imports, modules

#: Rooms of the package, the lowest first; each imports from those before it, and within itself.
ROOMS = (
    ("fastsw._types", "fastsw._recurrence", "fastsw._palette", "fastsw._alignment"),
    ("fastsw._cache", "fastsw._reference", "fastsw._validation"),
    ("fastsw._cpu.runtime", "fastsw._cuda.device", "fastsw._cuda.runtime"),
    ("fastsw._cpu.simd", "fastsw._cuda.scaled"),
    ("fastsw._cpu.kernels", "fastsw._cuda.kernels"),
    ("fastsw._cpu", "fastsw._cuda"),
    ("fastsw._frontends",),
    ("fastsw._api", "fastsw._collections", "fastsw._embeddings"),
    ("fastsw._warmup", "fastsw.nn", "fastsw.plot"),
    ("fastsw", "fastsw.__main__"),
)

#: Files from a public function to the arithmetic of a cell, both included.
MOST = 8

OPTIONS = {"gap_open": 1.0, "gap_extend": 0.5}


def room_of(module):
    """The number of a module's room, that of the longest name that it begins with."""
    names = {name: number for number, room in enumerate(ROOMS) for name in room}
    while module not in names:
        module = module.rpartition(".")[0]
    return names[module]


def all_imports():
    """The imports of all modules."""
    found = modules()
    return {name: imports(path, set(found)) for name, path in found.items()}


def test_no_module_imports_from_a_higher_room():
    wrong = [
        f"{module} imports {other}"
        for module, others in all_imports().items()
        for other in others
        if room_of(other) > room_of(module)
    ]
    assert not wrong


def test_no_module_imports_itself_by_way_of_others():
    list(TopologicalSorter(all_imports()).static_order())  # raises CycleError


def test_backends_import_nothing_of_each_other():
    for module, others in all_imports().items():
        for one, another in (("fastsw._cpu", "fastsw._cuda"), ("fastsw._cuda", "fastsw._cpu")):
            assert not (module.startswith(one) and any(o.startswith(another) for o in others))


def test_the_product_does_not_use_its_oracle():
    users = {module for module, others in all_imports().items() if "fastsw._reference" in others}
    assert users == {"fastsw.__main__"}  # whose self-test compares with it


def arrays(pairs):
    """Similarities of so many pairs."""
    return np.random.default_rng(0).standard_normal((pairs, 6, 7)).astype(np.float32)


def numpy_score():
    fastsw.score(arrays(2), **OPTIONS)


def numpy_gradients():
    fastsw.value_and_grad(arrays(2), **OPTIONS)


def numpy_gradients_of_many():
    fastsw.value_and_grad(arrays(40), **OPTIONS)


def numpy_gradients_at_low_temperature():
    fastsw.value_and_grad(arrays(2), temperature=1e-3, **OPTIONS)


def numpy_soft_dtw():
    fastsw.soft_dtw(arrays(2))


def torch_forward():
    torch = pytest.importorskip("torch")
    fastsw.score(torch.from_numpy(arrays(2)).requires_grad_(), **OPTIONS)


def torch_backward():
    torch = pytest.importorskip("torch")
    leaf = torch.from_numpy(arrays(2)).requires_grad_()
    fastsw.score(leaf, **OPTIONS).sum().backward()


def torch_second_derivatives():
    torch = pytest.importorskip("torch")
    leaf = torch.from_numpy(arrays(2)).requires_grad_()
    fastsw.posterior(leaf, **OPTIONS).square().sum().backward()


@pytest.mark.parametrize(
    "call",
    [
        numpy_score,
        numpy_gradients,
        numpy_gradients_of_many,
        numpy_gradients_at_low_temperature,
        numpy_soft_dtw,
        torch_forward,
        torch_backward,
        torch_second_derivatives,
    ],
)
def test_a_call_reaches_the_arithmetic_in_few_files(call):
    call()  # imports and loads what it needs
    found = sorted(chains(call), key=len, reverse=True)
    assert found
    for chain in found:
        print(len(chain), " > ".join(name.removeprefix("fastsw.") for name in chain))
    assert len(found[0]) <= MOST

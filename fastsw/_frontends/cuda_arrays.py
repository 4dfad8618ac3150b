"""The public functions on CUDA arrays of other libraries (CuPy, JAX, Numba), by way of torch.

Nothing is copied: torch reads the arrays through DLPack or the CUDA array interface, and the
answers go back to the array's own library in the same way.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

from fastsw._frontends import ragged_lists
from fastsw._frontends.kinds import is_torch, namespace_of, on_cuda
from fastsw._types import Gradients


def _modules() -> tuple[Any, Any]:
    """torch, and its implementation of the functions."""
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError(
            "arrays on a CUDA device need torch and numba-cuda: pip install 'fastsw[torch,cuda]'"
        )
    import torch

    from fastsw._frontends import torch_tensors

    return torch, torch_tensors


def _tensor(value: Any) -> Any:
    """Tensor of a CUDA array, or of a tuple or list of them; anything else as it is."""
    if isinstance(value, tuple | list):
        return type(value)(_tensor(v) for v in value)
    if is_torch(value) or not on_cuda(value):
        return value
    torch, _ = _modules()
    if hasattr(value, "__dlpack__"):
        return torch.from_dlpack(value)
    return torch.as_tensor(value, device="cuda")


def _back(value: Any, like: Any) -> Any:
    """Tensors of an answer as the kind of array that the question came in."""
    if isinstance(value, Gradients):
        return Gradients(*(_back(v, like) for v in value))
    if isinstance(value, tuple):
        return tuple(_back(v, like) for v in value)
    if isinstance(value, list):
        return [_back(v, like) for v in value]
    if not is_torch(value):
        return value
    if hasattr(like, "__dlpack__"):
        return _library(like).from_dlpack(value.detach())
    from numba import cuda

    return cuda.as_cuda_array(value.detach())


def _library(array: Any) -> Any:
    """Where arrays of the same kind are made; CuPy's do not name it, as the array API asks for."""
    package = sys.modules.get(type(array).__module__.partition(".")[0])
    if not hasattr(array, "__array_namespace__") and hasattr(package, "from_dlpack"):
        return package
    return namespace_of("similarity", array)


def _through_torch(name: str) -> Callable[..., Any]:
    """One public function."""

    def call(array: Any, **options: Any) -> Any:
        _, functions = _modules()
        given = {key: _tensor(value) for key, value in options.items()}
        if isinstance(array, tuple | list):
            return _back(getattr(ragged_lists, name)(_tensor(array), **given), array[0])
        return _back(getattr(functions, name)(_tensor(array), **given), array)

    call.__doc__ = f"See `fastsw.{name}`."
    return call


score = _through_torch("score")
posterior = _through_torch("posterior")
value_and_grad = _through_torch("value_and_grad")
entropy = _through_torch("entropy")
traceback = _through_torch("traceback")
hits = _through_torch("hits")
sample = _through_torch("sample")
soft_dtw = _through_torch("soft_dtw")
mea = _through_torch("mea")

"""Compilation ahead of the first call."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from fastsw import _api
from fastsw._arrays import is_torch

#: Pairs of few and of many rows, and many pairs: kernels of the CPU differ by the height of their
#: strips, and by whether rows or pairs are lanes.
_SHAPES = [(2, 3, 4), (2, 40, 41), (9, 40, 41)]


def warmup(device: Any = "cpu", *, dtypes: tuple[str, ...] = ("float32", "float64")) -> None:
    """Compile the kernels of a device, or load them from the disk, by small calls of every kind.

    Without it, kernels are compiled when they are first needed, and kept on the disk. A CUDA graph
    can capture calls only after their kernels have been loaded.

    Parameters
    ----------
    device : str or torch.device
        "cpu", or a CUDA device as torch names it, such as "cuda" or "cuda:1".
    dtypes : tuple of {"float32", "float64"}
        Dtypes of the similarities to come; half precision computes in float32.

    Raises
    ------
    ValueError
        If the device is neither the CPU nor a CUDA device, or a dtype is not one of the two.
    ModuleNotFoundError
        If a CUDA device is named and torch or numba-cuda is not installed.
    """
    for dtype in dtypes:
        if dtype not in ("float32", "float64"):
            raise ValueError(f"`dtypes` must be of 'float32' and 'float64', got {dtype!r}")
    kind = str(device).split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"`device` must be 'cpu' or a CUDA device, got {str(device)!r}")
    has_torch = importlib.util.find_spec("torch") is not None
    if kind == "cuda" and not has_torch:
        raise ModuleNotFoundError("CUDA devices need torch: pip install 'fastsw[torch,cuda]'")
    for dtype in dtypes:
        for shape in _SHAPES:
            if kind == "cpu":
                _call_all(np.zeros(shape, dtype), lambda array: array)
            if has_torch:
                import torch

                _call_all(
                    torch.zeros(shape, dtype=getattr(torch, dtype), device=device), _put(device)
                )


def _put(device):
    """Converter of NumPy arrays to tensors of a device."""
    import torch

    return lambda array: torch.from_numpy(array).to(device)


def _call_all(similarity, put) -> None:
    """Call every function with every kind of penalty."""
    pairs, rows, columns = similarity.shape
    vectors = put(np.ones((pairs, columns))), put(np.ones((pairs, rows)))
    for gap_open in (1.0, vectors, put(np.ones((rows, columns)))):
        options: dict[str, Any] = {"gap_open": gap_open, "gap_extend": 0.5}
        for temperature in (0.0, 1.0, 1e-4):
            _api.score(similarity, temperature=temperature, **options)
            _api.value_and_grad(similarity, temperature=temperature, **options)
        if is_torch(similarity):
            leaf = similarity.clone().requires_grad_()
            _api.posterior(leaf, **options).square().sum().backward()
    _api.traceback(similarity, gap_open=1.0, gap_extend=0.5)
    _api.sample(similarity, gap_open=1.0, gap_extend=0.5, size=1, seed=0)
    for temperature in (0.0, 1.0):
        _api.soft_dtw(similarity, temperature=temperature)
        if is_torch(similarity):
            leaf = similarity.clone().requires_grad_()
            _api.soft_dtw(leaf, temperature=temperature).sum().backward()

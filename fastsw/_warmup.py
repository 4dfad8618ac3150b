"""Compilation ahead of the first call."""

from __future__ import annotations

import importlib.util
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import product
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from fastsw import _api

DTYPES = ("float32", "float64")

#: Kernels of the CPU differ by the height of their strips, and by whether rows or pairs are lanes.
_SHAPES = {"long": (2, 40, 41), "many": (9, 40, 41), "short": (2, 3, 4)}

_OPTIONS: dict[str, Any] = {"gap_open": 1.0, "gap_extend": 0.5}

#: What makes each of the linear kernels take zeros: in groups of steps or cell by cell, in single
#: or, for lack of range, in double precision. Larger similarities need them at higher ones.
_TEMPERATURES = 1.0, 0.1, 0.03, 0.01


class Step(NamedTuple):
    """Small calls for the sake of their kernels, and what they are called."""

    name: str
    call: Callable[[], None]


def warmup(device: Any = "cpu", *, dtypes: Sequence[str] = DTYPES) -> None:
    """Compile the kernels of a device, or load them from the disk, by small calls of every kind.

    Without it, kernels are compiled when they are first needed, and kept on the disk. A CUDA graph
    can capture calls only after their kernels have been loaded. ``python -m fastsw warmup --all``
    does the same for the CPU in several processes.

    Parameters
    ----------
    device : str or torch.device
        "cpu", or a CUDA device as torch names it, such as "cuda" or "cuda:1".
    dtypes : sequence of {"float32", "float64"}
        Dtypes of the similarities to come; half precision computes in float32.

    Raises
    ------
    ValueError
        If the device is neither the CPU nor a CUDA device, or a dtype is not one of the two.
    ModuleNotFoundError
        If a CUDA device is named and torch or numba-cuda is not installed.
    """
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise ValueError(f"`dtypes` must be of 'float32' and 'float64', got {dtype!r}")
    kind = str(device).split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"`device` must be 'cpu' or a CUDA device, got {str(device)!r}")
    if kind == "cuda" and not _has_torch():
        raise ModuleNotFoundError("CUDA devices need torch: pip install 'fastsw[torch,cuda]'")
    for step in steps(dtypes, second=_has_torch(), device=device):
        step.call()


def warmup_in_processes(
    dtypes: Sequence[str], *, second: bool, jobs: int
) -> Iterator[tuple[str, int, int]]:
    """Compile the kernels of the CPU in so many processes.

    Yields the name of each step when it is done, and how many are, of how many.
    """
    names = [step.name for step in steps(dtypes, second=second)]
    context = get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(min(jobs, len(names)), context, _say_nothing) as pool:
        futures = {
            pool.submit(_take, tuple(dtypes), second, number): name
            for number, name in enumerate(names)
        }
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                yield futures[future], done, len(names)
        finally:  # an interrupt, or a step that failed
            pool.shutdown(cancel_futures=True)


def _say_nothing() -> None:
    """Leave it to the parent to tell what is compiled, and end at once when interrupted."""
    logging.getLogger("fastsw").setLevel(logging.ERROR)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _take(dtypes: Sequence[str], second: bool, number: int) -> None:
    """Take one step."""
    steps(dtypes, second=second)[number].call()


def steps(dtypes: Sequence[str], *, second: bool, device: Any = "cpu") -> list[Step]:
    """All there is to compile, what is used most first; `second` derivatives need torch."""
    kinds: list[tuple[str, Callable[..., Any]]] = [
        ("scores and gradients", _first),
        ("best paths and their scores", _best_paths),
        ("soft-DTW", _warped),
        ("penalties by column and row", _by_column),
        ("low temperatures, penalties by cell", _robust),
        ("samples", _samples),
    ]
    if second:
        kinds += [("second derivatives", _second), ("their like of soft-DTW", _warped_twice)]
    found = [
        Step(f"{name}: {size}, {dtype}", partial(_on_zeros, of_kind, shape, dtype, str(device)))
        for name, of_kind in kinds
        for size, shape in _SHAPES.items()
        for dtype in dtypes
    ]
    return [*found, Step("threads", _on_threads)] if str(device) == "cpu" else found


def _has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _on_zeros(call: Callable[..., Any], shape: tuple[int, ...], dtype: str, device: str) -> None:
    """Call on similarities of zeros: tensors for a GPU and for second derivatives, else arrays."""
    if device == "cpu" and call not in (_second, _warped_twice):
        call(np.zeros(shape, dtype), np.ones)
        return
    import torch

    similarity = torch.zeros(shape, dtype=getattr(torch, dtype), device=device)
    call(similarity, partial(torch.ones, dtype=torch.float64, device=device))


def _on_threads() -> None:
    """Compile what workers run, which large calls wake."""
    from fastsw._cpu.runtime import thread_pool

    thread_pool.compile_worker()


def _first(similarity: Any, ones: Callable[..., Any]) -> None:
    for temperature in _TEMPERATURES:
        _api.score(similarity, temperature=temperature, **_OPTIONS)
        _api.value_and_grad(similarity, temperature=temperature, **_OPTIONS)


def _by_column(similarity: Any, ones: Callable[..., Any]) -> None:
    pairs, rows, columns = similarity.shape
    gap_open = ones((pairs, columns)), ones((pairs, rows))
    by_column: dict[str, Any] = {"gap_open": gap_open, "gap_extend": 0.5}
    for temperature in _TEMPERATURES:
        _api.score(similarity, temperature=temperature, **by_column)
        _api.value_and_grad(similarity, temperature=temperature, **by_column)


def _robust(similarity: Any, ones: Callable[..., Any]) -> None:
    by_cell: dict[str, Any] = {"gap_open": ones(similarity.shape[1:]), "gap_extend": 0.5}
    for temperature in (0.0, 1.0, 1e-4):
        _api.score(similarity, temperature=temperature, **by_cell)
        _api.value_and_grad(similarity, temperature=temperature, **by_cell)
        _api.value_and_grad(similarity, temperature=temperature, **_OPTIONS)


def _best_paths(similarity: Any, ones: Callable[..., Any]) -> None:
    _api.traceback(similarity, **_OPTIONS)
    _api.score(similarity, temperature=0.0, **_OPTIONS)


def _samples(similarity: Any, ones: Callable[..., Any]) -> None:
    _api.sample(similarity, size=1, seed=0, **_OPTIONS)


def _warped(similarity: Any, ones: Callable[..., Any]) -> None:
    for temperature in (0.0, 1.0, 1e-7, 1e-17):  # in single and double precision, and robustly
        _api.soft_dtw(similarity + 1.0, temperature=temperature)


def _second(similarity: Any, ones: Callable[..., Any]) -> None:
    pairs, rows, columns = similarity.shape
    for gap_open in (1.0, (ones((pairs, columns)), ones((pairs, rows))), ones((rows, columns))):
        for temperature, function in product(_TEMPERATURES, (_api.posterior, _api.entropy)):
            leaf = similarity.clone().requires_grad_()
            options = {"gap_open": gap_open, "gap_extend": 0.5, "temperature": temperature}
            function(leaf, **options).square().sum().backward()


def _warped_twice(similarity: Any, ones: Callable[..., Any]) -> None:
    import torch

    leaf = similarity.clone().requires_grad_()
    value = _api.soft_dtw(leaf, temperature=1.0).sum()
    if similarity.device.type != "cpu":  # where there are first derivatives alone
        value.backward()
        return
    (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
    gradient.square().sum().backward()

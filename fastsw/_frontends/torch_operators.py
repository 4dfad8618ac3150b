"""The custom operators on torch tensors, below all differentiation.

Three of a kind, for alignment and for soft-DTW: each pair's value; the value and its first
derivatives; and the tangents of these derivatives along a direction, a Hessian-vector product.
Derivatives are pair by pair, also where the pairs share a penalty or the temperature, and at least
float32: who differentiates weights and sums them, and only then rounds to the argument's dtype.
"""

from __future__ import annotations

import abc
import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastsw import _cpu
from fastsw._types import Derivatives


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype that values, and derivatives in an argument of this dtype, are computed in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def as_numpy(tensor: Tensor) -> np.ndarray:
    """View through DLPack, from a GPU a copy; bfloat16 and float16 become float32."""
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    return np.from_dlpack(tensor.detach().cpu())


@functools.cache
def gpu() -> Any:
    """The module that runs the operators on a GPU."""
    if importlib.util.find_spec("numba_cuda") is None:
        raise ModuleNotFoundError(
            "CUDA tensors need the package numba-cuda: pip install 'fastsw[cuda]'"
        )
    from fastsw import _cuda

    return _cuda


def _inputs(
    similarity: Tensor,
    penalties: tuple[Tensor, ...],
    temperature: Tensor,
    lengths: Tensor,
    mode: str,
) -> _cpu.Inputs:
    """The backend's inputs."""
    return _cpu.prepare(
        as_numpy(similarity),
        tuple(as_numpy(p) for p in penalties),
        as_numpy(temperature),
        mode,
        as_numpy(lengths),
    )


def _tensor(array: np.ndarray, like: Tensor) -> Tensor:
    """A backend's array as a tensor of the dtype that belongs to an argument."""
    return torch.from_numpy(array).to(compute_dtype(like.dtype))


def _derivatives(
    found: Derivatives[np.ndarray],
    similarity: Tensor,
    penalties: tuple[Tensor, ...],
    temperature: Tensor,
) -> Any:
    """Backend arrays as tensors."""
    return (
        _tensor(found.similarity, similarity),
        *(_tensor(g, p) for g, p in zip(found.penalties, penalties, strict=True)),
        _tensor(found.temperature, temperature),
    )


def _fake_value(matrices: Tensor) -> Tensor:
    return matrices.new_empty(matrices.shape[:1], dtype=compute_dtype(matrices.dtype))


def _fake_derivatives(*arguments: Tensor) -> tuple[Tensor, ...]:
    matrices = arguments[0]
    return tuple(
        matrices.new_empty((matrices.shape[0], *a.shape[1:]), dtype=compute_dtype(a.dtype))
        for a in arguments
    )


@torch.library.custom_op("fastsw::score", mutates_args=(), device_types="cpu")
def score(
    similarity: Tensor,
    open_x: Tensor,
    extend_x: Tensor,
    open_y: Tensor,
    extend_y: Tensor,
    temperature: Tensor,
    lengths: Tensor,
    mode: str,
) -> Tensor:
    inputs = _inputs(similarity, (open_x, extend_x, open_y, extend_y), temperature, lengths, mode)
    return _tensor(_cpu.score(inputs), similarity)


@score.register_kernel("cuda")
def _(*operands: Any) -> Any:
    return gpu().score(*operands)


@score.register_fake
def _(similarity: Tensor, *others: Any) -> Tensor:
    return _fake_value(similarity)


@torch.library.custom_op("fastsw::align", mutates_args=(), device_types="cpu")
def align(
    similarity: Tensor,
    open_x: Tensor,
    extend_x: Tensor,
    open_y: Tensor,
    extend_y: Tensor,
    temperature: Tensor,
    lengths: Tensor,
    mode: str,
    slope: bool,  # whether the derivative in the temperature is wanted exactly
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    penalties = open_x, extend_x, open_y, extend_y
    inputs = _inputs(similarity, penalties, temperature, lengths, mode)
    found = _cpu.gradients(inputs, slope=slope)
    return (
        _tensor(found.score, similarity),
        *_derivatives(found, similarity, penalties, temperature),
    )


@align.register_kernel("cuda")
def _(*operands: Any) -> Any:
    return gpu().align(*operands)


@align.register_fake
def _(*operands: Any) -> tuple[Tensor, ...]:
    primals = operands[:6]
    return _fake_value(primals[0]), *_fake_derivatives(*primals)


@torch.library.custom_op("fastsw::align_tangent", mutates_args=(), device_types="cpu")
def align_tangent(
    similarity: Tensor,
    open_x: Tensor,
    extend_x: Tensor,
    open_y: Tensor,
    extend_y: Tensor,
    temperature: Tensor,
    lengths: Tensor,
    mode: str,
    slope: bool,  # whether that of the derivative in the temperature is wanted exactly
    dot_similarity: Tensor,
    dot_open_x: Tensor,
    dot_extend_x: Tensor,
    dot_open_y: Tensor,
    dot_extend_y: Tensor,
    dot_temperature: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    penalties = open_x, extend_x, open_y, extend_y
    inputs = _inputs(similarity, penalties, temperature, lengths, mode)
    dots = _cpu.Derivatives(
        np.zeros(similarity.shape[0]),
        as_numpy(dot_similarity),
        tuple(as_numpy(d) for d in (dot_open_x, dot_extend_x, dot_open_y, dot_extend_y)),
        as_numpy(dot_temperature),
    )
    found = _cpu.tangents(inputs, dots, slope=slope)
    return _derivatives(found, similarity, penalties, temperature)


@align_tangent.register_kernel("cuda")
def _(*operands: Any) -> Any:
    return gpu().align_tangent(*operands)


@align_tangent.register_fake
def _(*operands: Any) -> tuple[Tensor, ...]:
    return _fake_derivatives(*operands[:6])


@torch.library.custom_op("fastsw::soft_dtw", mutates_args=(), device_types="cpu")
def soft_dtw(cost: Tensor, temperature: Tensor, lengths: Tensor, bandwidth: int | None) -> Tensor:
    found = _cpu.soft_dtw(
        as_numpy(cost), as_numpy(temperature), as_numpy(lengths), bandwidth, with_gradients=False
    )
    return _tensor(found.score, cost)


@soft_dtw.register_kernel("cuda")
def _(*operands: Any) -> Any:
    return gpu().soft_dtw(*operands)


@soft_dtw.register_fake
def _(cost: Tensor, *others: Any) -> Tensor:
    return _fake_value(cost)


@torch.library.custom_op("fastsw::soft_dtw_gradient", mutates_args=(), device_types="cpu")
def soft_dtw_gradient(
    cost: Tensor,
    temperature: Tensor,
    lengths: Tensor,
    bandwidth: int | None,
    slope: bool,  # as that of `align`
) -> tuple[Tensor, Tensor, Tensor]:
    found = _cpu.soft_dtw(
        as_numpy(cost),
        as_numpy(temperature),
        as_numpy(lengths),
        bandwidth,
        with_gradients=True,
        slope=slope,
    )
    return (
        _tensor(found.score, cost),
        _tensor(found.cost, cost),
        _tensor(found.temperature, temperature),
    )


@soft_dtw_gradient.register_kernel("cuda")
def _(*operands: Any) -> Any:
    return gpu().soft_dtw_gradient(*operands)


@soft_dtw_gradient.register_fake
def _(cost: Tensor, temperature: Tensor, *others: Any) -> tuple[Tensor, ...]:
    return _fake_value(cost), *_fake_derivatives(cost, temperature)


@torch.library.custom_op("fastsw::soft_dtw_tangent", mutates_args=(), device_types="cpu")
def soft_dtw_tangent(
    cost: Tensor,
    temperature: Tensor,
    lengths: Tensor,
    bandwidth: int | None,
    dot_cost: Tensor,
    dot_temperature: Tensor,
) -> tuple[Tensor, Tensor]:
    found = _cpu.soft_dtw_tangents(
        as_numpy(cost),
        as_numpy(temperature),
        as_numpy(lengths),
        bandwidth,
        as_numpy(dot_cost),
        as_numpy(dot_temperature).astype(np.float64),
    )
    return _tensor(found.cost, cost), _tensor(found.temperature, temperature)


@soft_dtw_tangent.register_kernel("cuda")
def _(*operands: Any) -> Any:
    raise NotImplementedError("`soft_dtw` has no second derivatives on CUDA tensors")


@soft_dtw_tangent.register_fake
def _(cost: Tensor, temperature: Tensor, *others: Any) -> tuple[Tensor, ...]:
    return _fake_derivatives(cost, temperature)


class Operators(abc.ABC):
    """The operators of one kind of value, with the options that are no tensors."""

    @abc.abstractmethod
    def value(self, *tensors: Tensor) -> Tensor:
        """[B] values, of primals and lengths."""

    @abc.abstractmethod
    def gradient(self, slope: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Values, and a first derivative for each primal, pair by pair.

        ``slope`` tells whether that in the temperature, the last, must be exact.
        """

    @abc.abstractmethod
    def tangent(
        self, slope: bool, tensors: Sequence[Tensor], dots: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Tangents of the first derivatives along a direction of each pair; `slope` as above."""


@dataclass(frozen=True)
class Alignment(Operators):
    """Scores of soft alignments."""

    mode: str

    def value(self, *tensors: Tensor) -> Tensor:
        return torch.ops.fastsw.score(*tensors, self.mode)

    def gradient(self, slope: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        return torch.ops.fastsw.align(*tensors, self.mode, slope)

    def tangent(
        self, slope: bool, tensors: Sequence[Tensor], dots: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        return torch.ops.fastsw.align_tangent(*tensors, self.mode, slope, *dots)


@dataclass(frozen=True)
class Warping(Operators):
    """Soft-DTW; tangents are always exact."""

    bandwidth: int | None

    def value(self, *tensors: Tensor) -> Tensor:
        return torch.ops.fastsw.soft_dtw(*tensors, self.bandwidth)

    def gradient(self, slope: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        return torch.ops.fastsw.soft_dtw_gradient(*tensors, self.bandwidth, slope)

    def tangent(
        self, slope: bool, tensors: Sequence[Tensor], dots: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        return torch.ops.fastsw.soft_dtw_tangent(*tensors, self.bandwidth, *dots)


def value(kind: Operators, *tensors: Tensor) -> Tensor:
    """Values of each pair, differentiable in reverse mode."""
    *primals, temperature, _ = tensors
    if torch.is_grad_enabled() and any(t.requires_grad for t in (*primals, temperature)):
        # One pass for value and first derivatives, which the backward pass only weights.
        return kind.gradient(temperature.requires_grad, *tensors)[0]
    return kind.value(*tensors)


def gradient(kind: Operators, slope: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Values and first derivatives of each pair, differentiable in reverse mode."""
    return kind.gradient(slope, *tensors)

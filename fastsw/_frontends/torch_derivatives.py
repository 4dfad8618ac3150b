"""Derivatives of the custom operators, in reverse and forward mode, and their rules for vmap.

A value F of each pair has arguments (primals) x, first derivatives F'(x), and a Hessian that is
known by its products with a direction: `Value` gives F, `Gradient` F and F', `Tangent` F''(x) d.
Each differentiates into the next, in both modes, and `Tangent` is linear in d: by the symmetry of
the Hessian its derivative in d is itself. Its derivative in x would be a third one of F.

Custom operators know the reverse mode alone. They serve plain calls and compiled ones; calls
below a transform of `torch.func`, or with tangents of `torch.autograd.forward_ad`, go through the
three autograd Functions, which run the same operators.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

from fastsw._frontends import torch_operators as operators
from fastsw._frontends.torch_operators import Alignment, Operators, Warping, compute_dtype


def operators_suffice(tensors: Sequence[Tensor]) -> bool:
    """Whether no derivative is asked for but by plain reverse mode."""
    transformed = torch._C._are_functorch_transforms_active()
    forward_mode = forward_ad._current_level >= 0
    if torch.compiler.is_compiling():
        # Dynamo traces no Function that has a `jvp`, and an operator would drop the tangent.
        if forward_mode:
            raise NotImplementedError(
                "forward-mode derivatives cannot be compiled: call torch.func.jvp, jacfwd or dual "
                "tensors outside of torch.compile"
            )
        if transformed and not any(torch._C._functorch.is_batchedtensor(t) for t in tensors):
            raise NotImplementedError(
                "torch.func.grad, vjp and jacrev cannot be compiled: call them outside of "
                "torch.compile, or take torch.autograd.grad of the compiled function"
            )
        return True
    if transformed:
        return False
    return not forward_mode or all(forward_ad.unpack_dual(t).tangent is None for t in tensors)


def value(kind: Operators, *tensors: Tensor) -> Tensor:
    """Values of each pair, differentiable in both modes."""
    return Value.apply(kind, *tensors)


def gradient(kind: Operators, slope: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Values and first derivatives of each pair, differentiable in both modes."""
    return Gradient.apply(kind, slope, *tensors)


class Value(Function):
    """Values of each pair; their derivative is `Gradient`."""

    @staticmethod
    def forward(kind: Operators, *tensors: Tensor) -> Any:
        return kind.value(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.kind, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, of_value: Any) -> Any:
        return None, *_value_backward(ctx, of_value, ctx.needs_input_grad[1:]), None

    @staticmethod
    def jvp(ctx: Any, _kind: Any, *tangents: Any) -> Any:
        *dots, _ = tangents
        with _outer_tangents():
            tensors = _without_tangents(ctx.saved_tensors)
            found, *firsts = Gradient.apply(ctx.kind, dots[-1] is not None, *tensors)
            return _along(dots, firsts).to(found.dtype)

    @staticmethod
    def vmap(info: Any, dims: Any, *operands: Any) -> Any:
        return _joined(Value.apply, info, dims, *operands)


class Gradient(Function):
    """Values and first derivatives of each pair; their derivative is `Tangent`."""

    @staticmethod
    def forward(kind: Operators, slope: bool, *tensors: Tensor) -> Any:
        return kind.gradient(slope, *tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.kind, _, *tensors = inputs
        ctx.save_for_backward(*tensors, *output[1:])
        ctx.save_for_forward(*tensors, *output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *of_outputs: Any) -> Any:
        return None, None, *_gradient_backward(ctx, of_outputs, ctx.needs_input_grad[2:]), None

    @staticmethod
    def jvp(ctx: Any, _kind: Any, _slope: Any, *tangents: Any) -> Any:
        *dots, _ = tangents
        with _outer_tangents():
            primals, lengths, firsts = _parted(_without_tangents(ctx.saved_tensors))
            along = _along(dots, firsts).to(compute_dtype(primals[0].dtype))
            direction = [
                None if d is None else d.to(f.device, f.dtype).expand(f.shape)
                for d, f in zip(dots, firsts, strict=True)
            ]
            return along, *_tangent(ctx.kind, True, primals, lengths, direction)

    @staticmethod
    def vmap(info: Any, dims: Any, *operands: Any) -> Any:
        return _joined(Gradient.apply, info, dims, *operands)


class Tangent(Function):
    """Tangents of the first derivatives along a direction of each pair, in which it is linear."""

    @staticmethod
    def forward(kind: Operators, slope: bool, *operands: Any) -> Any:
        primals, lengths, dots = _parted(operands)
        return kind.tangent(slope, (*primals, lengths), dots)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.kind, _, *operands = inputs
        primals, lengths, _ = _parted(operands)
        ctx.save_for_backward(*primals, lengths)
        ctx.save_for_forward(*primals, lengths)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *of_seconds: Any) -> Any:
        *primals, lengths = ctx.saved_tensors
        # Only `Once` ever sees these zeros, and refuses them.
        refused = [torch.zeros_like(p) for p in primals]
        return None, None, *refused, None, *_tangent(ctx.kind, True, primals, lengths, of_seconds)

    @staticmethod
    def jvp(ctx: Any, _kind: Any, _slope: Any, *tangents: Any) -> Any:
        with _outer_tangents():
            *primals, lengths = _without_tangents(ctx.saved_tensors)
            return _tangent(ctx.kind, True, primals, lengths, tangents[len(primals) + 1 :])

    @staticmethod
    def vmap(info: Any, dims: Any, *operands: Any) -> Any:
        return _joined(Tangent.apply, info, dims, *operands)


class Once(Function):
    """The primals of a `Tangent`, whose derivatives in them are never silently absent.

    Autograd cannot say which of a Function's gradients will be used; this node is run only where
    those of the primals are.
    """

    @staticmethod
    def forward(*primals: Tensor) -> Any:
        return tuple(p.view_as(p) for p in primals)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *of_primals: Any) -> Any:
        raise NotImplementedError("third derivatives do not exist")

    @staticmethod
    def jvp(ctx: Any, *dots: Any) -> Any:
        raise NotImplementedError("third derivatives do not exist")

    @staticmethod
    def vmap(info: Any, dims: Any, *primals: Sequence[Tensor]) -> Any:
        return Once.apply(*primals), dims


def _outer_tangents() -> Any:
    """A scope for `jvp`, in which tangents of the levels around its own live on.

    Torch switches forward mode off for all levels there, and a jvp of a jvp would be 0.
    """
    return forward_ad._set_fwd_grad_enabled(True)


def _without_tangents(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Saved tensors without their tangents of the present level, which `jvp` is given apart."""
    return [forward_ad.unpack_dual(t).primal if t.is_floating_point() else t for t in tensors]


def _tangent(
    kind: Operators, slope: bool, primals: Sequence[Tensor], lengths: Tensor, dots: Any
) -> tuple[Tensor, ...]:
    """`Tangent` along a direction whose absent components are 0."""
    matrices = primals[0]
    full = [
        matrices.new_zeros((len(matrices), *p.shape[1:]), dtype=compute_dtype(p.dtype))
        if d is None
        else d
        for p, d in zip(primals, dots, strict=True)
    ]
    return Tangent.apply(kind, slope, *Once.apply(*primals), lengths, *full)


def _parted(tensors: Sequence[Any]) -> Any:
    """Primals, lengths, and as many tensors after them."""
    count = len(tensors) // 2
    return tensors[:count], tensors[count], tensors[count + 1 :]


def _along(dots: Any, firsts: Sequence[Tensor]) -> Tensor:
    """Derivative of the values along the tangents of primals."""
    parts = []
    for d, f in zip(dots, firsts, strict=True):
        if d is None:
            continue
        # A cell that no alignment visits, in the padding for example, may hold any tangent.
        part = f * torch.where(f == 0, 0, d.to(f.device))
        parts.append(part.sum(dim=tuple(range(1, part.ndim))) if part.ndim > 1 else part)
    return sum(parts[1:], start=parts[0])


def _value_backward(ctx: Any, of_value: Any, needed: Sequence[bool]) -> Any:
    """Gradients in the primals of weighted values, for where their derivatives are not at hand."""
    *primals, lengths = ctx.saved_tensors
    slope = needed[len(primals) - 1]
    tensors = *primals, lengths
    differentiable = operators.gradient if operators_suffice(tensors) else gradient
    _, *firsts = differentiable(ctx.kind, slope, *tensors)
    return _summed(_weighted(of_value, firsts, needed), primals)


def _gradient_backward(ctx: Any, of_outputs: Any, needed: Sequence[bool]) -> Any:
    """Gradients in the primals of weighted values and first derivatives."""
    of_value, *of_firsts = of_outputs
    primals, lengths, firsts = _parted(ctx.saved_tensors)
    sums = _weighted(of_value, firsts, needed)
    if any(g is not None for g in of_firsts):
        seconds = _tangent(ctx.kind, needed[len(primals) - 1], primals, lengths, of_firsts)
        sums = [
            second if total is None else total + second
            for total, second in zip(sums, seconds, strict=True)
        ]
    return _summed(
        [total if need else None for total, need in zip(sums, needed, strict=False)], primals
    )


def _weighted(
    of_value: Any, firsts: Sequence[Tensor], needed: Sequence[bool]
) -> list[Tensor | None]:
    """First derivatives of each pair times its weight, where they are needed."""
    return [
        of_value.reshape(-1, *(1,) * (f.ndim - 1)) * f if need and of_value is not None else None
        for f, need in zip(firsts, needed, strict=False)
    ]


def _summed(totals: Any, primals: Sequence[Tensor]) -> list[Tensor | None]:
    """Per-pair gradients, summed where pairs share the primal, and then in its dtype."""
    return [
        None
        if total is None
        else (
            total if total.shape == p.shape else total.sum(dim=0, keepdim=True).reshape(p.shape)
        ).to(p.dtype)
        for total, p in zip(totals, primals, strict=True)
    ]


def _joined(call: Callable[..., Any], info: Any, dims: Any, *operands: Any) -> Any:
    """Map a call by joining the mapped axis to the batch.

    A mapped temperature takes one call a value, since kernels take one temperature a call.
    """
    at = [k for k, o in enumerate(operands) if isinstance(o, Tensor)]
    tensors, axes = [operands[k] for k in at], [dims[k] for k in at]
    size = info.batch_size

    def called(given: Sequence[Tensor]) -> Any:
        every: list[Any] = list(operands)
        for k, tensor in zip(at, given, strict=True):
            every[k] = tensor
        return call(*every)

    lengths = next(k for k, t in enumerate(tensors) if not t.is_floating_point())
    if axes[lengths - 1] is not None:
        found = [
            called([t if a is None else t.select(a, v) for t, a in zip(tensors, axes, strict=True)])
            for v in range(size)
        ]
        if isinstance(found[0], Tensor):
            return torch.stack(found), 0
        return tuple(torch.stack(f) for f in zip(*found, strict=True)), (0,) * len(found[0])
    pairs = tensors[0].shape[0] if axes[0] is None else tensors[0].select(axes[0], 0).shape[0]
    joined = [
        t
        if k == lengths - 1 or (0 < k < lengths and axes[k] is None and t.shape[0] == 1)
        else _joined_axes(t, axes[k], size, pairs)
        for k, t in enumerate(tensors)
    ]
    found = called(joined)
    if isinstance(found, Tensor):
        return found.reshape(size, pairs), 0
    split = tuple(f.reshape(size, pairs, *f.shape[1:]) for f in found)
    return split, (0,) * len(split)


def _joined_axes(tensor: Tensor, axis: int | None, size: int, pairs: int) -> Tensor:
    """A mapped [V, B|1, ...] or unmapped [B|1, ...] tensor as one of V * B pairs."""
    mapped = tensor[None] if axis is None else tensor.movedim(axis, 0)
    mapped = mapped.expand(size, pairs, *mapped.shape[2:])
    return mapped.reshape(size * pairs, *mapped.shape[2:])


def _register(
    value: Any, gradient: Any, tangent: Any, kind: type[Alignment] | type[Warping], option: int
) -> None:
    """Rules of a kind's operators; ``option`` is the first argument that is no tensor."""

    def save_value(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.kind, ctx.rest = kind(inputs[option]), len(inputs) - option
        ctx.save_for_backward(*inputs[:option])
        ctx.set_materialize_grads(False)

    def save_gradient(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.kind, ctx.rest = kind(inputs[option]), len(inputs) - option
        ctx.save_for_backward(*inputs[:option], *output[1:])
        ctx.set_materialize_grads(False)

    def value_backward(ctx: Any, of_value: Any) -> Any:
        return *_value_backward(ctx, of_value, ctx.needs_input_grad), None, *(None,) * ctx.rest

    def gradient_backward(ctx: Any, *of_outputs: Any) -> Any:
        found = _gradient_backward(ctx, of_outputs, ctx.needs_input_grad)
        return *found, None, *(None,) * ctx.rest

    def tangent_backward(ctx: Any, *of_seconds: Any) -> Any:
        raise NotImplementedError("third derivatives do not exist")

    value.register_autograd(value_backward, setup_context=save_value)
    gradient.register_autograd(gradient_backward, setup_context=save_gradient)
    tangent.register_autograd(tangent_backward)
    for operator in (value, gradient, tangent):
        operator.register_vmap(functools.partial(_joined, operator))


_register(operators.score, operators.align, operators.align_tangent, Alignment, 7)
_register(operators.soft_dtw, operators.soft_dtw_gradient, operators.soft_dtw_tangent, Warping, 3)

"""Embeddings in torch tensors: differentiable scores, and similarities by functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastsw._embeddings import numpy_arrays
from fastsw._embeddings.numpy_arrays import Call, Source
from fastsw._embeddings.torch_function import Function
from fastsw._frontends.torch_operators import as_numpy, compute_dtype

#: Arguments that a score is differentiable in.
LEARNED = "scale", "offset", "gap_open", "gap_extend", "temperature"


def align(x: Any, y: Any, wanted: Sequence[str], **options: Any) -> dict[str, Any]:
    """See `fastsw.align_embeddings`; the answers by name."""
    for name, value in (("x", x), ("y", y)):
        _check(name, value, x)
    if "gradients" in wanted:
        raise ValueError(
            "`outputs` must not name 'gradients' for tensors, whose score is differentiable"
        )
    if isinstance(options["lengths"], Tensor):
        options["lengths"] = as_numpy(options["lengths"])
    answers: dict[str, Any] = {}
    if "score" in wanted:
        answers["score"] = _score(x, y, options)
    others = [name for name in wanted if name != "score"]
    if others:
        plain = {name: _plain(value) for name, value in options.items()}
        found, _ = numpy_arrays.align_pairs(*_prepared(x, y, plain, others), others)
        answers |= {name: _as_tensors(found[name]) for name in others}
    return answers


def _check(name: str, value: Any, like: Tensor) -> None:
    """Refuse what is no dense floating tensor of the CPU."""
    if not isinstance(value, Tensor):
        raise TypeError(f"`{name}` must be a tensor as `x` is, got {type(value).__name__}")
    if value.device.type != "cpu":
        raise NotImplementedError(
            f"`{name}` must be on the CPU: strips are not aligned on a GPU yet, got {value.device}"
        )
    if not value.dtype.is_floating_point or value.dtype != like.dtype:
        raise TypeError(f"`{name}` must have a floating dtype, that of `x`, got {value.dtype}")


def _plain(value: Any) -> Any:
    """Options as NumPy arrays and numbers."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return as_numpy(value) if isinstance(value, Tensor) else value


def _as_tensors(found: Any) -> Any:
    """Answers with tensors for arrays."""
    if isinstance(found, list):
        return [_as_tensors(one) for one in found]
    return type(found)(*(torch.from_numpy(np.asarray(array)) for array in found))


def _prepared(
    x: Tensor, y: Tensor, options: dict[str, Any], wanted: Sequence[str]
) -> tuple[Call, Source]:
    """The checked call, and where its similarities come from."""
    rest = dict(options)
    kind = rest.pop("kind")
    scale, offset = (numpy_arrays.number(name, rest.pop(name)) for name in ("scale", "offset"))
    call = numpy_arrays.check(as_numpy(x), as_numpy(y), **rest)
    if not callable(kind):
        return call, numpy_arrays.products(call, kind, scale, offset, wanted)
    x, y = (tensor.detach().reshape(own.shape) for tensor, own in ((x, call.x), (y, call.y)))
    return call, Function(kind, x, y, call.problem.lengths, float(scale), float(offset))


def _score(x: Tensor, y: Tensor, options: dict[str, Any]) -> Tensor:
    """Scores, differentiable in all that learns."""
    leaves: list[Tensor] = []
    for name in LEARNED:
        value = options[name]
        leaves += [v for v in (value if isinstance(value, tuple) else (value,)) if _learns(v)]
    found: Tensor = _Scored.apply(options, x, y, *leaves)
    return found


def _learns(value: Any) -> bool:
    return isinstance(value, Tensor)


class _Scored(torch.autograd.Function):
    """The score, computed with the gradients that its backward pass weighs."""

    @staticmethod
    def forward(ctx: Any, options: dict[str, Any], x: Tensor, y: Tensor, *leaves: Tensor) -> Tensor:
        plain = {name: _plain(value) for name, value in options.items()}
        wanted = ["score", "gradients"] if any(ctx.needs_input_grad) else ["score"]
        call, source = _prepared(x, y, plain, wanted)
        answers, ctx.own = numpy_arrays.align_pairs(call, source, wanted)
        ctx.call, ctx.options = call, options
        ctx.save_for_backward(x, y, *leaves)
        ctx.forms = [(leaf.shape, leaf.dtype) for leaf in (x, y, *leaves)]
        return torch.from_numpy(np.asarray(answers["score"])).to(compute_dtype(x.dtype))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Any, ...]:
        """Weigh each pair's gradients, and bring them into the form of their arguments."""
        own = ctx.own.weighted(as_numpy(upstream).reshape(-1))
        found = ctx.call.gradients(own, ctx.call.x.dtype)
        gradients = [found.x, found.y]
        for name in LEARNED:
            value, gradient = ctx.options[name], getattr(found, name)
            parts = (
                zip(value, gradient, strict=True)
                if isinstance(value, tuple)
                else [(value, gradient)]
            )
            gradients += [one for argument, one in parts if _learns(argument)]
        tensors = [
            torch.from_numpy(np.asarray(gradient)).reshape(shape).to(dtype)
            for gradient, (shape, dtype) in zip(gradients, ctx.forms, strict=True)
        ]
        if torch.is_grad_enabled():  # a graph of the gradients is wanted
            tensors = [_Constant.apply(own, upstream, *ctx.saved_tensors) for own in tensors]
        return None, *tensors


class _Constant(torch.autograd.Function):
    """A gradient that depends on arguments, in which it cannot be differentiated."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *arguments: Tensor) -> Tensor:
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Any, ...]:
        raise NotImplementedError(
            "`align_embeddings` has first derivatives only; `fastsw.score` of the similarities is "
            "differentiable twice"
        )

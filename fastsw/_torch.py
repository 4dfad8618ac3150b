"""The public functions on torch tensors: custom operators and their derivatives.

One operator, ``fastsw::align``, gives each pair's score and all first derivatives. Its backward is
the score's upstream gradient times these outputs, plus ``fastsw::align_tangent`` (a
Hessian-vector product) for upstream gradients of the derivatives. Saved outputs stay part of the
graph, so the second derivative of `score` and the first of `posterior` are the same rule.
``fastsw::score`` computes the score alone, for calls that record no gradient.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastsw import _cpu, _numpy, _problem
from fastsw._numpy import Gradients


class TorchKind:
    """Torch tensors, as validation sees them."""

    def is_array(self, value: Any) -> bool:
        """Tell whether the value is a tensor."""
        return isinstance(value, Tensor)

    def dtype_name(self, array: Tensor) -> str:
        """Name of the dtype, as NumPy spells it."""
        return str(array.dtype).removeprefix("torch.")

    def convert(self, name: str, value: Any, like: Tensor) -> Tensor:
        """Floating tensor of a number, list, array or tensor."""
        if isinstance(value, Tensor):
            if value.device.type == "cpu" and value.ndim == 0:
                value = value.to(like.device)
            if value.device != like.device:
                raise ValueError(
                    f"`{name}` must be on the device of `similarity`, {like.device}, got "
                    f"{value.device}"
                )
            if not value.dtype.is_floating_point:
                raise TypeError(
                    f"`{name}` must be a number or a floating tensor, got {value.dtype}"
                )
            return value
        if isinstance(value, (int, float)):  # Dynamo traces no union
            return torch.full((), value, dtype=torch.float64)  # kernels take numbers from the host
        return torch.as_tensor(_numpy.KIND.convert(name, value, value), device=like.device)

    def integers(self, name: str, value: Any, like: Tensor) -> Tensor:
        """int64 tensor of integers, where they are: on the host they can still be checked."""
        if isinstance(value, Tensor):
            if value.device.type not in ("cpu", like.device.type):
                raise ValueError(
                    f"`{name}` must be on the device of `similarity`, {like.device}, or on the "
                    f"CPU, got {value.device}"
                )
            tensor = value
        else:
            tensor = torch.as_tensor(_numpy.KIND.integers(name, value, value))
        if tensor.dtype.is_floating_point or tensor.dtype == torch.bool:
            raise TypeError(f"`{name}` must be integers, got {tensor.dtype}")
        return tensor.to(torch.int64)

    def full_lengths(self, pairs: int, rows: int, columns: int, like: Tensor) -> Tensor:
        """(B, 2) lengths of whole matrices, on the host."""
        one = torch.tensor([[rows, columns]])
        # Nothing reads them where they are those of a GPU's matrices: a view will do.
        return one.expand(pairs, 2) if like.is_cuda else one.repeat(pairs, 1)

    def stack(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, 2) tensor of two (B,) tensors, on a GPU if one of them is."""
        if first.device != second.device:
            device = second.device if first.device.type == "cpu" else first.device
            first, second = first.to(device), second.to(device)
        return torch.stack([first, second], dim=1)


KIND = TorchKind()


def _compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype that scores are computed and returned in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _as_numpy(tensor: Tensor) -> np.ndarray:
    """View through DLPack, from a GPU a copy; bfloat16 and float16 become float32."""
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    return np.from_dlpack(tensor.detach().cpu())


@functools.cache
def _gpu():
    """The module that runs the operators on a GPU."""
    if importlib.util.find_spec("numba_cuda") is None:
        raise ModuleNotFoundError(
            "CUDA tensors need the package numba-cuda: pip install 'fastsw[cuda]'"
        )
    from fastsw._cuda import _operators

    return _operators


def _inputs(similarity, penalties, temperature, lengths, mode):
    """The backend's inputs."""
    return _cpu.prepare(
        _as_numpy(similarity),
        tuple(_as_numpy(p) for p in penalties),
        _as_numpy(temperature),
        mode,
        _as_numpy(lengths),
    )


def _per_pair(batch: int, penalty: Tensor) -> tuple[int, ...]:
    """Shape of a penalty's gradient, pair by pair."""
    return (batch, *penalty.shape[1:])


@torch.library.custom_op("fastsw::score", mutates_args=(), device_types="cpu")
def _score(
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
    found = torch.from_numpy(_cpu.score(inputs))
    return found.to(_compute_dtype(similarity.dtype))


@_score.register_kernel("cuda")
def _(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode):
    return _gpu().score(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode)


@_score.register_fake
def _(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode):
    return similarity.new_empty(similarity.shape[:1], dtype=_compute_dtype(similarity.dtype))


def _outputs(found, similarity, penalties, temperature):
    """Backend arrays as tensors, each in the dtype of what it differentiates."""
    return (
        torch.from_numpy(found.score).to(_compute_dtype(similarity.dtype)),
        torch.from_numpy(found.similarity).to(similarity.dtype),
        *(torch.from_numpy(g).to(p.dtype) for g, p in zip(found.penalties, penalties, strict=True)),
        torch.from_numpy(found.temperature).to(temperature.dtype),
    )


def _fake_outputs(similarity, penalties, temperature):
    batch = similarity.shape[0]
    return (
        similarity.new_empty((batch,), dtype=_compute_dtype(similarity.dtype)),
        similarity.new_empty(similarity.shape),
        *(similarity.new_empty(_per_pair(batch, p), dtype=p.dtype) for p in penalties),
        similarity.new_empty((batch,), dtype=temperature.dtype),
    )


@torch.library.custom_op("fastsw::align", mutates_args=(), device_types="cpu")
def _align(
    similarity: Tensor,
    open_x: Tensor,
    extend_x: Tensor,
    open_y: Tensor,
    extend_y: Tensor,
    temperature: Tensor,
    lengths: Tensor,
    mode: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    penalties = open_x, extend_x, open_y, extend_y
    found = _cpu.gradients(_inputs(similarity, penalties, temperature, lengths, mode))
    return _outputs(found, similarity, penalties, temperature)


@_align.register_kernel("cuda")
def _(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode):
    return _gpu().align(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode)


@_align.register_fake
def _(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode):
    return _fake_outputs(similarity, (open_x, extend_x, open_y, extend_y), temperature)


@torch.library.custom_op("fastsw::align_tangent", mutates_args=(), device_types="cpu")
def _align_tangent(
    similarity: Tensor,
    open_x: Tensor,
    extend_x: Tensor,
    open_y: Tensor,
    extend_y: Tensor,
    temperature: Tensor,
    lengths: Tensor,
    mode: str,
    dot_similarity: Tensor,
    dot_open_x: Tensor,
    dot_extend_x: Tensor,
    dot_open_y: Tensor,
    dot_extend_y: Tensor,
    dot_temperature: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    penalties = open_x, extend_x, open_y, extend_y
    inputs = _inputs(similarity, penalties, temperature, lengths, mode)
    dots = _cpu.Derivatives(
        np.zeros(similarity.shape[0]),
        _as_numpy(dot_similarity),
        tuple(_as_numpy(d) for d in (dot_open_x, dot_extend_x, dot_open_y, dot_extend_y)),
        _as_numpy(dot_temperature),
    )
    return _outputs(_cpu.tangents(inputs, dots), similarity, penalties, temperature)


@_align_tangent.register_kernel("cuda")
def _(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode, *dots):
    penalties = open_x, extend_x, open_y, extend_y
    return _gpu().align_tangent(similarity, *penalties, temperature, lengths, mode, *dots)


@_align_tangent.register_fake
def _(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode, *dots):
    return _fake_outputs(similarity, (open_x, extend_x, open_y, extend_y), temperature)


def _save(ctx, inputs, output):
    """Keep inputs and first derivatives for the backward pass."""
    *tensors, mode = inputs
    ctx.mode = mode
    ctx.save_for_backward(*tensors, *output[1:])
    ctx.set_materialize_grads(False)


def _align_backward(ctx, of_score, *of_gradients):
    """Gradient of a weighted sum of the score and its first derivatives."""
    similarity, *rest = ctx.saved_tensors
    penalties, temperature, lengths = rest[:4], rest[4], rest[5]
    firsts = rest[6:]
    sums: list[Any] = [None] * 6
    if of_score is not None:
        sums = _weighted(ctx, of_score, firsts)
    if any(g is not None for g in of_gradients):
        dots = [
            torch.zeros_like(first) if g is None else g
            for g, first in zip(of_gradients, firsts, strict=True)
        ]
        _, *seconds = torch.ops.fastsw.align_tangent(
            similarity, *penalties, temperature, lengths, ctx.mode, *dots
        )
        sums = [
            None if not needed else second if total is None else total + second
            for total, second, needed in zip(sums, seconds, ctx.needs_input_grad[:6], strict=True)
        ]
    inputs = similarity, *penalties, temperature
    return (*_reduced(sums, inputs), None, None)


def _weighted(ctx, of_score, firsts):
    """First derivatives of each pair times its weight, where they are needed."""
    return [
        of_score.to(g.dtype).reshape(-1, *(1,) * (g.ndim - 1)) * g if needed else None
        for g, needed in zip(firsts, ctx.needs_input_grad[:6], strict=True)
    ]


def _reduced(sums, inputs):
    """Per-pair gradients, summed where the input is shared by all pairs."""
    return [
        total
        if total is None or total.shape == i.shape
        else total.sum(dim=0, keepdim=True).reshape(i.shape)
        for total, i in zip(sums, inputs, strict=True)
    ]


_align.register_autograd(_align_backward, setup_context=_save)


def _score_backward(ctx, of_score):
    """Gradient of the score by `fastsw::align`, for where autograd was hidden at the call."""
    tensors = ctx.saved_tensors
    firsts = torch.ops.fastsw.align(*tensors, ctx.mode)[1:]
    sums = _weighted(ctx, of_score, firsts)
    return (*_reduced(sums, tensors[:6]), None, None)


def _save_inputs(ctx, inputs, output):
    *tensors, ctx.mode = inputs
    ctx.save_for_backward(*tensors)


_score.register_autograd(_score_backward, setup_context=_save_inputs)


def _folded(tensor, dim, size, batch):
    """A mapped [V, B|1, ...] or shared [B|1, ...] tensor as one of V * B pairs, or of 1."""
    if dim is None:
        if tensor.shape[0] == 1 and batch != 1:
            return tensor
        tensor = tensor.expand(size, *tensor.shape)
    else:
        tensor = tensor.movedim(dim, 0)
    tensor = tensor.expand(size, batch, *tensor.shape[2:])
    return tensor.reshape(size * batch, *tensor.shape[2:])


def _map(operator):
    """Rule for torch.vmap: the mapped axis joins the batch."""

    def rule(info, dims, *operands):
        similarity, *penalties, temperature, lengths, mode = operands[:8]
        if dims[5] is not None:
            raise NotImplementedError("vmap over `temperature` is not supported; call in a loop")
        batch = (similarity if dims[0] is None else similarity.select(dims[0], 0)).shape[0]
        fold = [
            _folded(t, d, info.batch_size, batch)
            for t, d in zip((similarity, *penalties), dims[:5], strict=True)
        ]
        pair_lengths = _folded(lengths, dims[6], info.batch_size, batch)
        dots = [
            _folded(t, d, info.batch_size, batch)
            for t, d in zip(operands[8:], dims[8:], strict=True)
        ]
        found = operator(*fold, temperature, pair_lengths, mode, *dots)
        if isinstance(found, Tensor):
            return found.reshape(info.batch_size, batch), 0
        split = tuple(f.reshape(info.batch_size, batch, *f.shape[1:]) for f in found)
        return split, (0,) * len(split)

    return rule


for _operator in (_score, _align, _align_tangent):
    _operator.register_vmap(_map(_operator))


def _operands(similarity, *, gap_open, gap_extend, temperature, mode, lengths):
    """Validate a call; the problem and the operators' arguments."""
    if similarity.layout != torch.strided:
        raise TypeError(f"`similarity` must be a dense tensor, got {similarity.layout}")
    problem = _problem.build(
        KIND,
        similarity,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=temperature,
        mode=mode,
        lengths=lengths,
    )
    return problem, (
        problem.similarity,
        *problem.penalties,
        problem.temperature,
        problem.lengths,
        problem.mode,
    )


def _aligned(similarity, **options):
    problem, operands = _operands(similarity, **options)
    return problem, torch.ops.fastsw.align(*operands)


def score(similarity, **options):
    """See `fastsw.score`."""
    problem, operands = _operands(similarity, **options)
    recorded = torch.is_grad_enabled() and any(
        isinstance(o, Tensor) and o.requires_grad for o in operands
    )
    if recorded:
        return problem.unbatched(torch.ops.fastsw.align(*operands)[0])
    return problem.unbatched(torch.ops.fastsw.score(*operands))


def posterior(similarity, **options):
    """See `fastsw.posterior`."""
    problem, found = _aligned(similarity, **options)
    return problem.unbatched(found[1])


def entropy(similarity, **options):
    """See `fastsw.entropy`."""
    problem, found = _aligned(similarity, **options)
    return problem.unbatched(found[6]).to(_compute_dtype(similarity.dtype))


def value_and_grad(similarity, **options):
    """See `fastsw.value_and_grad`."""
    problem, found = _aligned(similarity, **options)
    value, of_similarity, open_x, extend_x, open_y, extend_y, of_temperature = found
    gaps = []
    for x, y, penalties, paired, shape in (
        (open_x, open_y, problem.penalties[0::2], problem.paired[0], problem.shapes[0]),
        (extend_x, extend_y, problem.penalties[1::2], problem.paired[1], problem.shapes[1]),
    ):
        x, y = (
            g.sum(dim=0, keepdim=True) if len(p) == 1 else g
            for g, p in zip((x, y), penalties, strict=True)
        )
        if paired:
            gaps.append((x.reshape(shape[0]), y.reshape(shape[1])))
        else:
            gaps.append((x + y).reshape(shape))
    return problem.unbatched(value), Gradients(
        problem.unbatched(of_similarity), gaps[0], gaps[1], of_temperature.sum()
    )


@torch.library.custom_op("fastsw::soft_dtw", mutates_args=(), device_types="cpu")
def _soft_dtw(cost: Tensor, temperature: Tensor, lengths: Tensor, bandwidth: int | None) -> Tensor:
    found = _cpu.soft_dtw(
        _as_numpy(cost), _as_numpy(temperature), _as_numpy(lengths), bandwidth, graded=False
    )
    return torch.from_numpy(found.score).to(_compute_dtype(cost.dtype))


@_soft_dtw.register_kernel("cuda")
def _(cost, temperature, lengths, bandwidth):
    return _gpu().soft_dtw(cost, temperature, lengths, bandwidth)


@_soft_dtw.register_fake
def _(cost, temperature, lengths, bandwidth):
    return cost.new_empty(cost.shape[:1], dtype=_compute_dtype(cost.dtype))


@torch.library.custom_op("fastsw::soft_dtw_gradient", mutates_args=(), device_types="cpu")
def _soft_dtw_gradient(
    cost: Tensor, temperature: Tensor, lengths: Tensor, bandwidth: int | None
) -> tuple[Tensor, Tensor]:
    found = _cpu.soft_dtw(
        _as_numpy(cost), _as_numpy(temperature), _as_numpy(lengths), bandwidth, graded=True
    )
    return (
        torch.from_numpy(found.cost).to(cost.dtype),
        torch.from_numpy(found.temperature).to(temperature.dtype),
    )


@_soft_dtw_gradient.register_kernel("cuda")
def _(cost, temperature, lengths, bandwidth):
    return _gpu().soft_dtw_gradient(cost, temperature, lengths, bandwidth)


@_soft_dtw_gradient.register_fake
def _(cost, temperature, lengths, bandwidth):
    return cost.new_empty(cost.shape), cost.new_empty(cost.shape[:1], dtype=temperature.dtype)


def _save_dtw(ctx, inputs, output):
    *tensors, ctx.bandwidth = inputs
    ctx.save_for_backward(*tensors)


def _dtw_backward(ctx, of_score):
    """Gradient of soft-DTW, which is not differentiated again."""
    cost, temperature = torch.ops.fastsw.soft_dtw_gradient(*ctx.saved_tensors, ctx.bandwidth)
    return (
        of_score.to(cost.dtype)[:, None, None] * cost,
        (of_score.to(temperature.dtype) * temperature).sum(),
        None,
        None,
    )


def _refuse_second_dtw(ctx, *of_gradients):
    raise NotImplementedError("`soft_dtw` has no second derivatives")


_soft_dtw.register_autograd(_dtw_backward, setup_context=_save_dtw)
_soft_dtw_gradient.register_autograd(_refuse_second_dtw)


def _map_dtw(operator):
    """Rule for torch.vmap: the mapped axis joins the batch."""

    def rule(info, dims, cost, temperature, lengths, bandwidth):
        if dims[1] is not None:
            raise NotImplementedError("vmap over `temperature` is not supported; call in a loop")
        batch = (cost if dims[0] is None else cost.select(dims[0], 0)).shape[0]
        many = _folded(cost, dims[0], info.batch_size, batch)
        sides = _folded(lengths, dims[2], info.batch_size, batch)
        found = operator(many, temperature, sides, bandwidth)
        if isinstance(found, Tensor):
            return found.reshape(info.batch_size, batch), 0
        return tuple(f.reshape(info.batch_size, batch, *f.shape[1:]) for f in found), (0, 0)

    return rule


for _operator in (_soft_dtw, _soft_dtw_gradient):
    _operator.register_vmap(_map_dtw(_operator))


def soft_dtw(cost, *, temperature, lengths, bandwidth):
    """See `fastsw.soft_dtw`."""
    batch, single = _problem.as_batch(KIND, "cost", cost)
    value = torch.ops.fastsw.soft_dtw(
        batch,
        _problem.build_temperature(KIND, temperature, batch),
        _problem.build_lengths(KIND, lengths, batch, single),
        _problem.as_bandwidth(bandwidth),
    )
    return value[0] if single else value


def _detached(similarity, options):
    """The call on NumPy views, for functions that are not differentiated and run on the host."""
    plain = {
        name: (
            tuple(_as_numpy(v) if isinstance(v, Tensor) else v for v in value)
            if isinstance(value, tuple)
            else _as_numpy(value)
            if isinstance(value, Tensor)
            else value
        )
        for name, value in options.items()
    }
    return _as_numpy(similarity), plain


def traceback(similarity, **options):
    """See `fastsw.traceback`."""
    if similarity.is_cuda:
        _, operands = _operands(similarity.detach(), temperature=0.0, **options)
        alignments = _gpu().traceback(*operands)
        return alignments[0] if similarity.ndim == 2 else alignments
    matrix, plain = _detached(similarity, options)
    return _numpy.traceback(matrix, **plain)


def sample(similarity, **options):
    """See `fastsw.sample`."""
    matrix, plain = _detached(similarity, options)
    return _numpy.sample(matrix, **plain)

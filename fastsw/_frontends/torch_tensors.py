"""The public functions on torch tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastsw import _validation
from fastsw._alignment import Alignment as Path
from fastsw._frontends import numpy_arrays, torch_derivatives, torch_operators
from fastsw._frontends.torch_operators import Alignment, Warping, as_numpy, compute_dtype, gpu
from fastsw._types import Gradients


class TorchKind:
    """Torch tensors, as validation sees them."""

    def is_array(self, value: Any) -> bool:
        """Tell whether the value is a tensor."""
        return isinstance(value, Tensor)

    def dtype_name(self, array: Tensor) -> str:
        """Name of the dtype, as NumPy spells it."""
        return str(array.dtype).removeprefix("torch.")

    def floating(self, array: Tensor) -> Tensor:
        """Tensor of integers in torch's default dtype."""
        return array.to(torch.get_default_dtype())

    def negative(self, array: Tensor) -> bool:
        """Tell whether all values are negative; False on a GPU, while tracing and in vmap."""
        if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
            return False
        if type(array) not in (Tensor, torch.nn.Parameter) or not array.is_cpu:
            return False
        if array.numel() == 1:
            return array.item() < 0
        return array.numel() > 0 and bool((array.detach() < 0).all())

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
            # Kernels take numbers from the host.
            return torch.full((), value, dtype=torch.float64, device="cpu")
        return torch.as_tensor(numpy_arrays.KIND.convert(name, value, value), device=like.device)

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
            tensor = torch.as_tensor(numpy_arrays.KIND.integers(name, value, value), device="cpu")
        if tensor.dtype.is_floating_point or tensor.dtype == torch.bool:
            raise TypeError(f"`{name}` must be integers, got {tensor.dtype}")
        return tensor.to(torch.int64)

    def full_lengths(self, pairs: int, rows: int, columns: int, like: Tensor) -> Tensor:
        """(B, 2) lengths of whole matrices, on the host."""
        one = torch.tensor([[rows, columns]], device="cpu")
        # Nothing reads them where they are those of a GPU's matrices: a view will do.
        return one.expand(pairs, 2) if like.is_cuda else one.repeat(pairs, 1)

    def stack(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, 2) tensor of two (B,) tensors, on a GPU if one of them is."""
        if first.device != second.device:
            device = second.device if first.device.type == "cpu" else first.device
            first, second = first.to(device), second.to(device)
        return torch.stack([first, second], dim=1)


KIND = TorchKind()


def _operands(
    similarity: Tensor, *, gap_open: Any, gap_extend: Any, temperature: Any, mode: Any, lengths: Any
) -> tuple[_validation.Problem, tuple[Any, ...]]:
    """Validate a call; the problem and the operators' arguments."""
    if similarity.layout != torch.strided:
        raise TypeError(f"`similarity` must be a dense tensor, got {similarity.layout}")
    problem = _validation.build(
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


def score(similarity: Tensor, **options: Any) -> Tensor:
    """See `fastsw.score`."""
    problem, (*tensors, mode) = _operands(similarity, **options)
    found = _differentiable(tensors).value(Alignment(mode), *tensors)
    return problem.unbatched(found)


def _differentiable(tensors: Sequence[Tensor]) -> Any:
    """The module that gives values with all the derivatives that are asked for."""
    return torch_operators if torch_derivatives.operators_suffice(tensors) else torch_derivatives


def _differentiated(
    similarity: Tensor, *, slope: bool, **options: Any
) -> tuple[_validation.Problem, tuple[Tensor, ...]]:
    """The problem, and scores and first derivatives of each pair.

    ``slope`` tells whether the derivative in the temperature is wanted.
    """
    problem, (*tensors, mode) = _operands(similarity, **options)
    return problem, _differentiable(tensors).gradient(Alignment(mode), slope, *tensors)


def posterior(similarity: Tensor, **options: Any) -> Tensor:
    """See `fastsw.posterior`."""
    problem, found = _differentiated(similarity, slope=False, **options)
    return problem.unbatched(found[1]).to(problem.similarity.dtype)


def entropy(similarity: Tensor, **options: Any) -> Tensor:
    """See `fastsw.entropy`."""
    problem, found = _differentiated(similarity, slope=True, **options)
    return problem.unbatched(found[6]).to(compute_dtype(problem.similarity.dtype))


def value_and_grad(similarity: Tensor, **options: Any) -> tuple[Tensor, Gradients[Tensor, Tensor]]:
    """See `fastsw.value_and_grad`."""
    problem, found = _differentiated(similarity, slope=True, **options)
    value, of_similarity, open_x, extend_x, open_y, extend_y, of_temperature = found
    gaps: list[Any] = []
    for x, y, penalties, by_direction, shape in (
        (open_x, open_y, problem.penalties[0::2], problem.by_direction[0], problem.shapes[0]),
        (extend_x, extend_y, problem.penalties[1::2], problem.by_direction[1], problem.shapes[1]),
    ):
        x, y = (
            g.sum(dim=0, keepdim=True) if len(p) == 1 else g
            for g, p in zip((x, y), penalties, strict=True)
        )
        if by_direction:
            sides = zip((x, y), shape, penalties, strict=True)
            gaps.append(tuple(g.reshape(s).to(p.dtype) for g, s, p in sides))
        else:
            gaps.append((x + y).reshape(shape).to(penalties[0].dtype))
    return problem.unbatched(value), Gradients(
        problem.unbatched(of_similarity).to(problem.similarity.dtype),
        gaps[0],
        gaps[1],
        of_temperature.sum().to(problem.temperature.dtype),
    )


def soft_dtw(cost: Tensor, *, temperature: Any, lengths: Any, bandwidth: Any) -> Tensor:
    """See `fastsw.soft_dtw`."""
    batch, single = _validation.as_batch(KIND, "cost", cost)
    warping = Warping(_validation.as_bandwidth(bandwidth))
    tensors = (
        batch,
        _validation.build_temperature(KIND, temperature, batch),
        _validation.build_lengths(KIND, lengths, batch, single),
    )
    value = _differentiable(tensors).value(warping, *tensors)
    return value[0] if single else value


def _detached(similarity: Tensor, options: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """The call on NumPy views, for functions that are not differentiated and run on the host."""
    if torch._C._are_functorch_transforms_active():
        raise NotImplementedError(
            "`traceback`, `hits`, `sample` and `mea` give no tensors: call them outside of "
            "torch.func and vmap"
        )
    plain = {
        name: (
            tuple(as_numpy(v) if isinstance(v, Tensor) else v for v in value)
            if isinstance(value, tuple)
            else as_numpy(value)
            if isinstance(value, Tensor)
            else value
        )
        for name, value in options.items()
    }
    return as_numpy(similarity), plain


def traceback(similarity: Tensor, **options: Any) -> list[Path] | Path:
    """See `fastsw.traceback`."""
    if similarity.is_cuda:
        _, operands = _operands(similarity.detach(), temperature=0.0, **options)
        alignments = gpu().traceback(*operands)
        return alignments[0] if similarity.ndim == 2 else alignments
    matrix, plain = _detached(similarity, options)
    return numpy_arrays.traceback(matrix, **plain)


def hits(similarity: Tensor, **options: Any) -> list[list[Path]] | list[Path]:
    """See `fastsw.hits`."""
    matrix, plain = _detached(similarity, options)
    return numpy_arrays.hits(matrix, **plain)


def sample(similarity: Tensor, **options: Any) -> list[list[Path]] | list[Path]:
    """See `fastsw.sample`."""
    matrix, plain = _detached(similarity, options)
    return numpy_arrays.sample(matrix, **plain)


def mea(posterior: Tensor, **options: Any) -> list[Path] | Path:
    """See `fastsw.mea`."""
    matrix, plain = _detached(posterior, options)
    return numpy_arrays.mea(matrix, **plain)

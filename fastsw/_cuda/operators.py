"""The custom operators on CUDA tensors.

Numbers and lengths that the host knows are checked there, as on the CPU; those on the device are
not read back, and make the answers of their pairs NaN where they are out of range.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastsw import _validation
from fastsw._alignment import Alignment
from fastsw._cuda import backend
from fastsw._cuda.runtime.memory import memory_of


def _compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype that scores are computed and returned in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _known(name: str, value: Tensor) -> float | Tensor:
    """A number from the host, or a float64 tensor on the device."""
    if value.is_cpu and value.numel() == 1:
        number = value.item()
        if not math.isfinite(number):
            raise ValueError(f"`{name}` must be finite, got {number}")
        return number
    return value.to(torch.float64).contiguous()


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors share their memory, as one penalty for both directions does."""
    return (
        one.data_ptr() == other.data_ptr()
        and one.shape == other.shape
        and one.stride() == other.stride()
        and one.dtype == other.dtype
    )


def _matrices(matrices: Tensor) -> Tensor:
    """Matrices as kernels take them."""
    return matrices.to(_compute_dtype(matrices.dtype)).contiguous()


def _sides(lengths: Tensor, shape, device, name="similarity") -> Tensor | None:
    """Lengths on the device; None where the host knows that all matrices are whole."""
    if not lengths.is_cpu:
        return lengths.to(torch.int64).contiguous()
    known = lengths.numpy()
    if (known == shape[1:]).all():
        return None
    _validation.check_lengths(known, shape, name)
    return lengths.to(device)


def _inputs(similarity, penalties, temperature, lengths, mode) -> backend.Inputs:
    """The backend's inputs."""
    open_x, extend_x, open_y, extend_y = penalties
    known_open, known_extend = _known("gap_open", open_x), _known("gap_extend", extend_x)
    known = (
        known_open,
        known_extend,
        known_open if _same(open_x, open_y) else _known("gap_open", open_y),
        known_extend if _same(extend_x, extend_y) else _known("gap_extend", extend_y),
    )
    shape = tuple(similarity.shape)
    if mode != "local" and 0 in shape[1:] and shape[0] and any(0 in p.shape for p in penalties):
        raise ValueError(
            "`gap_open` and `gap_extend` given per cell, row or column hold no value for a "
            f"pair with an empty side; `similarity` has shape {shape}"
        )
    value = _known("temperature", temperature)
    if isinstance(value, float):
        _validation.check_temperature(value)
    sides = _sides(lengths, shape, similarity.device)
    return backend.Inputs(_matrices(similarity), known, value, mode, sides)


def _derivatives(found, similarity, penalties, temperature):
    """Backend arrays, in the dtypes that derivatives in these arguments have."""
    return (
        found.similarity.to(_compute_dtype(similarity.dtype)),
        *(g.to(_compute_dtype(p.dtype)) for g, p in zip(found.penalties, penalties, strict=True)),
        found.temperature.to(_compute_dtype(temperature.dtype)),
    )


def score(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode):
    """``fastsw::score``."""
    penalties = open_x, extend_x, open_y, extend_y
    memory = memory_of(similarity.device)
    with memory.current():
        inputs = _inputs(similarity, penalties, temperature, lengths, mode)
        return backend.score(inputs, memory)


def align(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode, slope):
    """``fastsw::align``; the slope in T costs nothing here, so it is always refined."""
    penalties = open_x, extend_x, open_y, extend_y
    memory = memory_of(similarity.device)
    with memory.current():
        inputs = _inputs(similarity, penalties, temperature, lengths, mode)
        found = backend.gradients(inputs, memory)
        return found.score, *_derivatives(found, similarity, penalties, temperature)


def align_tangent(
    similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode, slope, *dots
):
    """``fastsw::align_tangent``; a direction in T is traded for one in S and the penalties.

    The score is homogeneous of degree 1 in all of them, so its Hessian annihilates their vector.
    """
    penalties = open_x, extend_x, open_y, extend_y
    memory = memory_of(similarity.device)
    with memory.current():
        inputs = _inputs(similarity, penalties, temperature, lengths, mode)
        dot_similarity, *dot_penalties, dot_temperature = dots
        warmth = inputs.temperature
        if isinstance(warmth, float):
            warmth = warmth or 1.0
        else:
            warmth = torch.where(warmth == 0, 1.0, warmth)
        shrink = (dot_temperature.to(torch.float64) / warmth)[:, None, None]
        finite = inputs.similarity.masked_fill(~inputs.similarity.isfinite(), 0)
        direction = backend.Derivatives(
            None,
            _matrices(dot_similarity) - shrink.to(finite.dtype) * finite,
            tuple(
                (d.to(torch.float64) - shrink * p).contiguous()
                for d, p in zip(dot_penalties, inputs.penalties, strict=True)
            ),
            None,
        )
        found = backend.tangents(inputs, direction, memory)
        return _derivatives(found, similarity, penalties, temperature)


def traceback(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode):
    """Give one best path a pair, found on the device."""
    penalties = open_x, extend_x, open_y, extend_y
    memory = memory_of(similarity.device)
    with memory.current():
        inputs = _inputs(similarity, penalties, temperature, lengths, mode)
        found = backend.paths(inputs, memory)
        scores, pairs, counts = (a.cpu().numpy() for a in found)
    return [
        Alignment(float(scores[b]), pairs[b, pairs.shape[1] - counts[b] :].copy())
        for b in range(len(scores))
    ]


def _warp(cost, temperature, lengths, bandwidth, *, graded):
    """Run soft-DTW."""
    memory = memory_of(cost.device)
    with memory.current():
        value = _known("temperature", temperature)
        if isinstance(value, float):
            _validation.check_temperature(value)
        sides = _sides(lengths, tuple(cost.shape), cost.device, "cost")
        if lengths.device.type == "cpu":
            _validation.check_bandwidth(bandwidth, lengths.numpy())
        return backend.soft_dtw(_matrices(cost), value, sides, bandwidth, memory, graded=graded)


def soft_dtw(cost, temperature, lengths, bandwidth):
    """``fastsw::soft_dtw``."""
    found = _warp(cost, temperature, lengths, bandwidth, graded=False)
    return found.score.to(_compute_dtype(cost.dtype))


def soft_dtw_gradient(cost, temperature, lengths, bandwidth, slope):
    """``fastsw::soft_dtw_gradient``."""
    found = _warp(cost, temperature, lengths, bandwidth, graded=True)
    return (
        found.score.to(_compute_dtype(cost.dtype)),
        found.cost.to(_compute_dtype(cost.dtype)),
        found.temperature.to(_compute_dtype(temperature.dtype)),
    )

"""Checked input of the CUDA backend: tensors, and what the host knows of them.

Numbers and lengths that the host knows are checked there, as on the CPU; those on the device are
not read back, and make the answers of their pairs NaN where they are out of range.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastsw import _validation
from fastsw._cuda.kernels.penalties import (
    BY_COLUMN,
    BY_PAIR,
    BY_ROW,
    FORM_BITS,
    NUMBER,
    WHOLE,
)


class Inputs(NamedTuple):
    """Arrays on one device, C-contiguous; penalties and temperature are float64 or numbers."""

    similarity: Any  # [B, N, M], float32 or float64
    penalties: tuple  # 4 x [B|1, N|1, M|1] arrays, or floats
    temperature: Any  # () array, or a float
    mode: str
    lengths: Any  # [B, 2], int64, or None for whole matrices


def prepare(similarity, penalties, temperature, lengths, mode) -> Inputs:
    """Check what the host knows, and bring tensors into the kernels' form."""
    open_x, extend_x, open_y, extend_y = penalties
    known_open, known_extend = known("gap_open", open_x), known("gap_extend", extend_x)
    values = (
        known_open,
        known_extend,
        known_open if _same(open_x, open_y) else known("gap_open", open_y),
        known_extend if _same(extend_x, extend_y) else known("gap_extend", extend_y),
    )
    shape = tuple(similarity.shape)
    if mode != "local" and 0 in shape[1:] and shape[0] and any(0 in p.shape for p in penalties):
        raise ValueError(
            "`gap_open` and `gap_extend` given per cell, row or column hold no value for a "
            f"pair with an empty side; `similarity` has shape {shape}"
        )
    value = known_temperature(temperature)
    sides = sides_of(lengths, shape, similarity.device)
    return Inputs(matrices(similarity), values, value, mode, sides)


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype that scores are computed and returned in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def known(name: str, value: Tensor) -> float | Tensor:
    """A number from the host, or a float64 tensor on the device."""
    if value.is_cpu and value.numel() == 1:
        number = value.item()
        if not math.isfinite(number):
            raise ValueError(f"`{name}` must be finite, got {number}")
        return number
    return value.to(torch.float64).contiguous()


def known_temperature(value: Tensor) -> float | Tensor:
    """The temperature as a number from the host, or on the device."""
    temperature = known("temperature", value)
    if isinstance(temperature, float):
        _validation.check_temperature(temperature)
    return temperature


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors share their memory, as one penalty for both directions does."""
    return (
        one.data_ptr() == other.data_ptr()
        and one.shape == other.shape
        and one.stride() == other.stride()
        and one.dtype == other.dtype
    )


def matrices(tensor: Tensor) -> Tensor:
    """Matrices as kernels take them."""
    return tensor.to(compute_dtype(tensor.dtype)).contiguous()


def sides_of(lengths: Tensor, shape, device, name="similarity") -> Tensor | None:
    """Lengths on the device; None where the host knows that all matrices are whole."""
    if not lengths.is_cpu:
        return lengths.to(torch.int64).contiguous()
    values = lengths.numpy()
    if (values == shape[1:]).all():
        return None
    _validation.check_lengths(values, shape, name)
    return lengths.to(device)


class Arguments(NamedTuple):
    """Penalties, temperature and lengths as kernels take them."""

    values: tuple  # addresses, numbers, and which of them count
    general: bool  # whether some penalty differs in more ways than the fast kernel takes


def arguments_of(inputs: Inputs, blank) -> Arguments:
    """Sort out what came as numbers and what as arrays; `blank` is an address for the former."""
    _, penalties, temperature, _, lengths = inputs
    is_number = type(temperature) is float
    forms = (NUMBER * is_number | WHOLE * (lengths is None)) << 4 * FORM_BITS
    addresses, values, general = [], [], False
    for which, penalty in enumerate(penalties):
        form = NUMBER
        if type(penalty) is float:
            addresses.append(blank)
            values.append(penalty)
        else:
            pairs, rows, columns = penalty.shape
            form = BY_PAIR * (pairs > 1) | BY_ROW * (rows > 1) | BY_COLUMN * (columns > 1)
            general = general or columns > 1 or (which < 2 and rows > 1)
            addresses.append(penalty)
            values.append(0.0)
        forms |= form << which * FORM_BITS
    return Arguments(
        (
            *addresses,
            *values,
            temperature if is_number else 0.0,
            forms,
            blank if is_number else temperature,
            blank.of(np.int64) if lengths is None else lengths,
        ),
        general,
    )

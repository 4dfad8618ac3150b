"""NumPy arrays, and arrays of other libraries that are read and returned through DLPack."""

from __future__ import annotations

import functools
import operator
import sys
from typing import Any

import numpy as np

_dtype_name = functools.cache(operator.attrgetter("name"))  # which NumPy spells anew each time


class NumpyKind:
    """NumPy arrays, as validation sees them."""

    def is_array(self, value: Any) -> bool:
        """Tell whether the value is a NumPy array."""
        return isinstance(value, np.ndarray)

    def dtype_name(self, array: np.ndarray) -> str:
        """Name of the dtype."""
        name: str = _dtype_name(array.dtype)
        return name

    def floating(self, array: np.ndarray) -> np.ndarray:
        """float64 array of integers."""
        return array.astype(np.float64)

    def negative(self, array: np.ndarray) -> bool:
        """Tell whether all values are negative."""
        if array.size == 1:
            return bool(array.item() < 0)
        return array.size > 0 and array.flat[0] < 0 and bool((array < 0).all())

    def convert(self, name: str, value: Any, like: np.ndarray) -> np.ndarray:
        """Floating array of a number, a list or an array; integers become floats."""
        if type(value) is float:
            return np.array(value)
        array = _as_array(name, value)
        if array.dtype.kind in "iu":
            array = array.astype(np.float64)
        if array.dtype.kind != "f":
            raise TypeError(
                f"`{name}` must be a number or a floating array, got {_shown(value, array)}"
            )
        return array

    def integers(self, name: str, value: Any, like: np.ndarray) -> np.ndarray:
        """int64 array of integers."""
        array = _as_array(name, value)
        if array.dtype.kind not in "iu":
            raise TypeError(f"`{name}` must be integers, got {_shown(value, array)}")
        return array.astype(np.int64)

    def full_lengths(self, pairs: int, rows: int, columns: int, like: np.ndarray) -> np.ndarray:
        """(B, 2) lengths of whole matrices."""
        lengths = np.empty((pairs, 2), np.int64)
        lengths[:] = rows, columns
        return lengths

    def stack(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(B, 2) array of two (B,) arrays."""
        return np.stack([first, second], axis=1)


#: NumPy's classes whose operators mean something else.
_SPECIAL = np.ma.MaskedArray, np.matrix


def _as_array(name: str, value: Any) -> np.ndarray:
    """NumPy array of a number, a nested list or an array."""
    refuse_special(name, value)
    try:
        return np.asarray(foreign_to_numpy(name, value))
    except ValueError as error:
        raise TypeError(f"`{name}` must be a number or an array, got {value!r}") from error


def _shown(value: Any, array: np.ndarray) -> str:
    """A received scalar and its dtype, or the dtype alone."""
    return f"{value!r} ({array.dtype})" if array.ndim == 0 else str(array.dtype)


def refuse_special(name: str, value: Any) -> None:
    """Refuse NumPy classes whose meaning would be lost."""
    if isinstance(value, _SPECIAL):
        raise TypeError(
            f"`{name}` must be a plain array, got {type(value).__name__}; use `lengths`, or -inf "
            "in `similarity`, to leave cells out"
        )


def is_torch(value: Any) -> bool:
    """Tell whether the value is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


#: Devices of CUDA in DLPack: its own memory, and memory shared with the host.
_DLPACK_CUDA = 2, 13


def on_cuda(value: Any) -> bool:
    """Tell whether the value is an array of another library on a CUDA device."""
    if isinstance(value, np.ndarray | np.generic):
        return False
    if hasattr(value, "__dlpack_device__"):
        return value.__dlpack_device__()[0] in _DLPACK_CUDA
    return hasattr(value, "__cuda_array_interface__")


def foreign_to_numpy(name: str, value: Any) -> Any:
    """NumPy view of an array of another library; anything else as it is.

    NumPy has no bfloat16, so that such an array is converted to float32 by its own library.
    """
    if isinstance(value, np.ndarray | np.generic) or not hasattr(value, "__dlpack__"):
        return value
    if is_torch(value):
        value = value.detach()
        return np.from_dlpack(value.float() if str(value.dtype) == "torch.bfloat16" else value)
    if str(value.dtype).endswith("bfloat16"):
        namespace = namespace_of(name, value)
        value = namespace.astype(value, namespace.float32)
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"`{name}` cannot be read by NumPy through DLPack: {error}") from error


def namespace_of(name: str, value: Any) -> Any:
    """Array namespace that makes arrays of the same kind as the value."""
    if hasattr(value, "__array_namespace__"):
        return value.__array_namespace__()
    raise TypeError(
        f"`{name}` must be a NumPy array, a torch tensor or an array with `__dlpack__` and "
        f"`__array_namespace__`, got {type(value).__module__}.{type(value).__qualname__}"
    )

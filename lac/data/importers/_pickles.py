"""Reading pickles of data sets without running anything that they name."""

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct, scalar


class UnsafePickleError(ValueError):
    """A pickle that names something else than plain data; the message says what."""


def read_plain_pickle(path: Path) -> Any:
    """Read containers, numbers, strings, NumPy arrays and tensors; tensors become arrays.

    Nothing else that a pickle can name is imported or called. Tensors are admitted because the
    published files hold their labels as tensors, whose contents are pickles again: those are
    read by torch's own loader for untrusted files.

    Raises
    ------
    UnsafePickleError
        If the file names a global that is not plain data: it may be an attack.
    ValueError
        If the file is no pickle.
    """
    try:
        with path.open("rb") as stream:
            content = _PlainUnpickler(stream).load()
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{path}: {error}") from None
    except OSError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise ValueError(f"{path} is not a pickle that can be read: {error}") from error
    return _with_arrays(content)


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that knows a fixed table of globals, and imports none."""

    def find_class(self, module: str, name: str) -> Any:
        known = _GLOBALS.get((module.replace("numpy.core", "numpy._core"), name))
        if known is None:
            raise UnsafePickleError(
                f"the pickle must hold plain data alone, got the global {module}.{name};"
                " do not load it elsewhere unless you trust where it comes from"
            )
        return known


def _with_arrays(value: Any) -> Any:
    """Return a value with its tensors as arrays."""
    torch = sys.modules.get("torch")  # imported if there is a tensor
    if torch is not None and isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, dict):
        return {key: _with_arrays(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with_arrays(entry) for entry in value)
    return value


# A pickle may set attributes of what it names. So functions written in Python are named by
# stand-ins of this module, and no library's function is within its reach.


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode`, by which old protocols write bytes."""
    if encoding != "latin1":
        raise UnsafePickleError(f"bytes must be written as latin1, got {encoding!r}")
    return text.encode("latin1")


def _array_of_buffer(*arguments: Any) -> np.ndarray:
    """Stand in for NumPy's constructor of arrays in protocol 5."""
    buffer, dtype, shape, order = arguments
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


def _storage(content: bytes) -> Any:
    """Stand in for torch's loader of a tensor's numbers, which would trust them."""
    import torch

    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _tensor(*arguments: Any) -> Any:
    """Stand in for torch's constructor of tensors."""
    from torch._utils import _rebuild_tensor_v2

    return _rebuild_tensor_v2(*arguments)


_GLOBALS: Mapping[tuple[str, str], Callable[..., Any]] = MappingProxyType(
    {
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _encode,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "scalar"): scalar,
        ("numpy._core.numeric", "_frombuffer"): _array_of_buffer,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch.storage", "_load_from_bytes"): _storage,
    }
)

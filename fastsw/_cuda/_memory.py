"""Where the GPU backend allocates: torch, on the device of the similarity, on its current stream.

In Numba's simulator that device is the CPU.
"""

from __future__ import annotations

import contextlib
import functools

import numpy as np

from fastsw._cuda._device import SIMULATED


class TorchMemory:
    """Tensors on one CUDA device, work on its current stream.

    Parameters
    ----------
    device : torch.device
        A CUDA device; in the simulator the CPU.
    """

    def __init__(self, device):
        import torch

        self._torch = torch
        self.device = device
        if SIMULATED:
            self.index, self.capability, self.processors = 0, (0, 0), 2
        else:
            self.index = torch.cuda.current_device() if device.index is None else device.index
            self.capability, self.processors = _properties(self.index)
        self._dtypes = _dtypes()

    def empty(self, shape, dtype):
        """Uninitialised tensor; the simulator's is poisoned, so that what stays unwritten shows."""
        tensor = self._allocated(self._torch.empty, shape, dtype)
        if SIMULATED:
            tensor.fill_(float("nan") if tensor.is_floating_point() else 77)
        return tensor

    def zeros(self, shape, dtype):
        """Tensor of zeros."""
        return self._allocated(self._torch.zeros, shape, dtype)

    def current(self):
        """Context in which the device is the current one."""
        if SIMULATED:
            return contextlib.nullcontext()
        return self._torch.cuda.device(self.device)

    def _allocated(self, allocate, shape, dtype):
        """Allocate; say how much was needed where there is not enough."""
        try:
            return allocate(shape, dtype=self._dtypes[np.dtype(dtype)], device=self.device)
        except self._torch.OutOfMemoryError as error:
            size = float(np.prod(np.asarray(shape, np.float64))) * np.dtype(dtype).itemsize
            raise self._torch.OutOfMemoryError(
                f"the alignment needs {size / 2**20:.0f} MiB of GPU memory for an array of shape "
                f"{tuple(np.atleast_1d(shape))}; align fewer pairs at once: {error}"
            ) from error

    def dtype(self, tensor) -> np.dtype:
        """NumPy dtype of a tensor."""
        return _numpy_dtypes()[tensor.dtype]

    def stream(self):
        """The current stream of the device, as launches take it."""
        return _stream(self._torch.cuda.current_stream(self.device).cuda_stream)


@functools.cache
def _properties(index: int):
    """Compute capability and number of multiprocessors."""
    import torch

    found = torch.cuda.get_device_properties(index)
    return (found.major, found.minor), found.multi_processor_count


@functools.cache
def _dtypes():
    import torch

    return {
        np.dtype(np.float32): torch.float32,
        np.dtype(np.float64): torch.float64,
        np.dtype(np.int32): torch.int32,
        np.dtype(np.int64): torch.int64,
        np.dtype(np.uint8): torch.uint8,
    }


@functools.cache
def _numpy_dtypes():
    return {there: here for here, there in _dtypes().items()}


@functools.lru_cache(maxsize=64)
def _stream(handle: int):
    """Stream object of a handle, where 0 is the legacy default stream."""
    from cuda.core import LEGACY_DEFAULT_STREAM, Stream

    return Stream.from_handle(handle) if handle else LEGACY_DEFAULT_STREAM

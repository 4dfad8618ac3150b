"""Where the GPU backend allocates: torch, on the device of the similarity, on its current stream.

In Numba's simulator that device is the CPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
from typing import NamedTuple

import numpy as np

from fastsw._cuda.device import SIMULATED


class Part(NamedTuple):
    """A typed stretch of a workspace, which launches take as they take tensors."""

    offset: int  # bytes
    length: int
    dtype: np.dtype

    def of(self, dtype) -> Part:
        """The same place as an element of another type."""
        return Part(self.offset, 1, np.dtype(dtype))

    def numpy(self, workspace):
        """The stretch as a NumPy array, where the workspace is on the host."""
        end = self.offset + self.length * self.dtype.itemsize
        return workspace.numpy()[self.offset : end].view(self.dtype)


class Workspace:
    """Layout of many arrays in one allocation, which costs the host as much as one of them.

    What is reserved before `clear_so_far` is zero when a kernel starts.
    """

    def __init__(self):
        self.size = 0
        self.cleared = 0

    def part(self, count: int, dtype) -> Part:
        """Reserve an array."""
        kind = np.dtype(dtype)
        part = Part(self.size, count, kind)
        self.size += -(-count * kind.itemsize // 16) * 16
        return part

    def clear_so_far(self) -> None:
        """Clear what was reserved up to here."""
        self.cleared = self.size


@functools.cache
def memory_of(device) -> TorchMemory:
    """The memory of a device that has an index."""
    return TorchMemory(device)


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
        self._dtypes, self._numpy_dtypes = _dtypes()
        self.index, self.capability, self.processors = self._machine()

    def _machine(self) -> tuple:
        """Index, compute capability and number of multiprocessors of the device."""
        if SIMULATED:
            return 0, (0, 0), 2
        device = self.device
        index = self._torch.cuda.current_device() if device.index is None else device.index
        found = self._torch.cuda.get_device_properties(index)
        return index, (found.major, found.minor), found.multi_processor_count

    def empty(self, shape, dtype):
        """Uninitialised tensor; the simulator's is all NaN, so that what stays unwritten shows."""
        try:
            tensor = self._torch.empty(shape, dtype=self._dtypes[dtype], device=self.device)
        except self._torch.OutOfMemoryError as error:
            size = math.prod(shape) * np.dtype(dtype).itemsize
            raise self._torch.OutOfMemoryError(
                f"the alignment needs {size / 2**20:.0f} MiB of GPU memory for an array of shape "
                f"{tuple(shape)}; align fewer pairs at once: {error}"
            ) from error
        if SIMULATED:
            tensor.fill_(float("nan") if tensor.is_floating_point() else 255)  # bytes of a NaN
        return tensor

    def begins_at_multiple(self, tensor, size: int) -> bool:
        """Whether a tensor's address is a multiple of so many bytes."""
        return tensor.data_ptr() % size == 0

    def zeros(self, shape, dtype):
        """Tensor of zeros."""
        return self.empty(shape, dtype).zero_()

    def allocated(self, workspace: Workspace):
        """A workspace, and zeros where it asks for them; one fill, and no kernel."""
        tensor = self.empty((workspace.size,), np.uint8)
        if workspace.cleared:
            self._clear(tensor.data_ptr(), workspace.cleared)
        return tensor

    def _clear(self, address: int, size: int) -> None:
        """Write zeros on the current stream."""
        if SIMULATED:
            ctypes.memset(address, 0, size)
            return
        from cuda.bindings import driver

        _checked(driver.cuMemsetD8Async(address, 0, size, int(self.stream().handle)))

    def current(self):
        """Context in which the device is the current one, for torch and for the driver."""
        if SIMULATED:
            return contextlib.nullcontext()
        if self.index != self._torch.cuda.current_device():
            return self._torch.cuda.device(self.device)
        self._enter_driver_context()
        return contextlib.nullcontext()

    def _enter_driver_context(self) -> None:
        """Make the device's primary context current in a thread that has none.

        Torch sets it in a thread at the first call that needs it there, and memory that torch has
        at hand needs no call. A backward pass, which runs in a thread of its own, may come first.
        """
        from cuda.bindings import driver

        if not int(_checked(driver.cuCtxGetCurrent())):
            _checked(driver.cuCtxSetCurrent(self._primary_context))

    @functools.cached_property
    def _primary_context(self):
        """The context of the device that torch uses too; kept for good."""
        from cuda.bindings import driver

        return _checked(driver.cuDevicePrimaryCtxRetain(_checked(driver.cuDeviceGet(self.index))))

    def dtype(self, array) -> np.dtype:
        """NumPy dtype of a tensor or a part of a workspace."""
        return array.dtype if isinstance(array, Part) else self._numpy_dtypes[array.dtype]

    def stream(self):
        """The current stream of the device, as launches take it."""
        return _stream(self._torch.cuda.current_stream(self.device).cuda_stream)


def _checked(answer: tuple):
    """What a call of the driver gives, if it gives anything, and succeeded."""
    status, *values = answer
    if status.value != 0:
        raise RuntimeError(f"the GPU driver reports {status.name}")
    return values[0] if values else None


@functools.cache
def _dtypes():
    """Torch's dtypes by NumPy's, and the other way round."""
    import torch

    names = "float32", "float64", "int32", "int64", "uint8"
    back = {getattr(torch, name): np.dtype(name) for name in names}
    there = {kind: dtype for dtype, kind in back.items()}
    types = {kind.type: dtype for kind, dtype in there.items()}
    return types | {kind.name: dtype for kind, dtype in there.items()} | there, back


@functools.lru_cache(maxsize=64)
def _stream(handle: int):
    """Stream object of a handle, where 0 is the legacy default stream."""
    from cuda.core import LEGACY_DEFAULT_STREAM, Stream

    return Stream.from_handle(handle) if handle else LEGACY_DEFAULT_STREAM

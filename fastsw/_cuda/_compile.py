"""Compilation of GPU kernels on first use, a disk cache of machine code, and launches.

Numba compiles a kernel to PTX, the CUDA linker makes it machine code of the device, and that is
kept in the folder of the CPU kernels, named by everything that it depends on: the sources of all
kernels, the versions of the compilers, the architecture and the argument types. So an edit of any
file is noticed, and files are read as bytes: nothing in them is unpickled.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import sys
import threading
from importlib import metadata
from pathlib import Path

import numba
import numpy as np
from numba import cuda
from numba.cuda.types import CPointer, float32, float64, int32, int64, uint8

from fastsw._cpu._compile import cache_folder, keep, stamp_of
from fastsw._cuda._device import LANES, SIMULATED
from fastsw._cuda._memory import Part

logger = logging.getLogger("fastsw")

#: Modules of this folder that only launch kernels.
_NO_KERNELS = {"__init__", "_compile", "_dispatch", "_memory", "_operators"}

_POINTERS = {
    np.dtype(np.float32): CPointer(float32),
    np.dtype(np.float64): CPointer(float64),
    np.dtype(np.int32): CPointer(int32),
    np.dtype(np.int64): CPointer(int64),
    np.dtype(np.uint8): CPointer(uint8),
}


class Kernel:
    """A kernel function, compiled once for each device and dtype of its first argument.

    The types of all other arguments follow from that dtype and the variant.

    Parameters
    ----------
    function : callable
        Takes pointers (flat arrays in the simulator), integers and floats.
    name : str
        Of the variant; tells cached files apart.
    warps : int
        Warps of a block.
    resident : int
        Blocks that a multiprocessor should hold at once, which bounds the registers of a thread.
    """

    def __init__(self, function, name: str, warps: int, resident: int = 1):
        self.function = function
        self.name = name
        self.warps = warps
        self.resident = resident
        self._loaded: dict = {}
        self._lock = threading.Lock()

    def launch(self, memory, blocks: int, arguments, slab) -> None:
        """Run `blocks` blocks on the memory's device and stream; parts are those of the slab."""
        if SIMULATED:
            cuda.jit(self.function)[blocks, LANES * self.warps](
                *(_simulated(argument, slab) for argument in arguments)
            )
            return
        from cuda.core import launch

        loaded = self._load(memory, arguments)
        config = _config(blocks, LANES * self.warps)
        launch(memory.stream(), config, loaded, *launched(arguments, slab.data_ptr()))

    def _load(self, memory, arguments):
        """The kernel on the memory's device."""
        key = memory.index, arguments[0].dtype
        if key not in self._loaded:
            with self._lock:
                if key not in self._loaded:
                    kinds = kinds_of(memory, arguments)
                    self._loaded[key] = _load(self, kinds, memory.capability)
        return self._loaded[key]

    def ptx(self, kinds, capability) -> str:
        """PTX of the kernel for argument types and a compute capability (major, minor)."""
        bounds = LANES * self.warps, self.resident
        return cuda.compile_ptx(self.function, kinds, cc=capability, launch_bounds=bounds)[0]


def kinds_of(memory, arguments) -> tuple:
    """Numba's types of a kernel's arguments."""
    return tuple(
        float64
        if isinstance(a, float)
        else int64
        if isinstance(a, int)
        else _POINTERS[memory.dtype(a)]
        for a in arguments
    )


def launched(arguments, base: int) -> list:
    """Arguments as launches take them: integers and addresses are 64 bits wide."""
    return [
        base + a.offset
        if type(a) is Part
        else a
        if type(a) is int
        else ctypes.c_double(a)
        if type(a) is float
        else a.data_ptr()
        for a in arguments
    ]


def _simulated(argument, slab):
    """An argument as the simulator takes it."""
    if isinstance(argument, int | float):
        return argument
    return argument.numpy(slab) if isinstance(argument, Part) else argument.numpy().reshape(-1)


@functools.lru_cache(maxsize=256)
def _config(blocks: int, threads: int):
    """Shape of a launch."""
    from cuda.core import LaunchConfig

    return LaunchConfig(grid=blocks, block=threads)


def entry_name(ptx: str) -> str:
    """Name of the entry point in the PTX of a kernel."""
    return ptx.split(".visible .entry ", 1)[1].split("(", 1)[0].strip()


def _load(kernel, kinds, capability):
    """The kernel's machine code from the disk, or compiled; loaded into the current context."""
    from cuda.core import ObjectCode

    path = _path(kernel.name, kinds, capability)
    try:
        name, code = path.read_bytes().split(b"\n", 1)
    except (FileNotFoundError, ValueError):
        name, code = _compiled(kernel, kinds, capability)
        keep(path, name + b"\n" + code)
    try:
        return ObjectCode.from_cubin(code).get_kernel(name.decode())
    except Exception as error:
        raise _explained(error) from error


def _compiled(kernel, kinds, capability):
    """Entry name and machine code of a kernel."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    logger.warning("compiling the GPU kernel %s; it is kept in %s", kernel.name, cache_folder())
    try:
        ptx = kernel.ptx(kinds, capability)
        options = LinkerOptions(arch=f"sm_{capability[0]}{capability[1]}")
        code = Linker(ObjectCode.from_ptx(ptx.encode()), options=options).link("cubin").code
    except Exception as error:
        raise _explained(error) from error
    return entry_name(ptx).encode(), bytes(code)


def _explained(error: Exception) -> Exception:
    """The error of a compiler or driver, with what to do about it."""
    text = str(error)
    if "UNSUPPORTED_PTX_VERSION" in text or "no kernel image" in text.lower():
        return RuntimeError(
            "the CUDA driver is older than the compiler of the kernels: install an older compiler "
            "(pip install 'numba-cuda[cu12]' for drivers of CUDA 12), or a newer driver; "
            f"the driver said: {text}"
        )
    if "libnvvm" in text.lower() or "nvrtc" in text.lower() or "libdevice" in text.lower():
        return RuntimeError(
            "the CUDA compiler is missing: pip install 'fastsw[cuda]' (numba-cuda with its "
            f"compiler, for CUDA 13), or 'numba-cuda[cu12]' for drivers of CUDA 12; found: {text}"
        )
    return RuntimeError(f"a GPU kernel could not be compiled or loaded: {text}")


def _path(name, kinds, capability) -> Path:
    """File of a compiled kernel."""
    key = repr((source_stamp(), capability, [str(k) for k in kinds]))
    return cache_folder() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.cubin"


@functools.cache
def source_stamp() -> str:
    """Digest of the sources of all GPU kernels and of the versions that compile them."""
    versions = numba.__version__, metadata.version("numba-cuda"), _compiler_version(), sys.version
    return stamp_of("_cuda", _NO_KERNELS, versions)


def _compiler_version() -> tuple:
    """Version of NVIDIA's compiler library."""
    if SIMULATED:
        return ()
    from cuda.bindings import nvvm

    return tuple(nvvm.version())

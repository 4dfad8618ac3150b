"""Compilation of GPU kernels on first use, a disk cache of machine code, and launches.

Numba compiles a kernel to PTX, the CUDA linker makes it machine code of the device, and that is
kept in the folder of the CPU kernels. Its name says all that it depends on, in two parts: what was
compiled (the modules of all kernels, the bounds of a launch, the architecture and the argument
types), and by which builds of which compilers. So an edit of any file and any other compiler is
noticed, while a machine without a compiler runs what another one compiled from the same modules.
Files are read as bytes: nothing in them is unpickled.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import sys
import threading
from importlib import metadata

import llvmlite
import numba
import numpy as np
from numba import cuda
from numba.cuda.core import config
from numba.cuda.types import CPointer, float32, float64, int32, int64, uint8

from fastsw._cache import (
    CODE_SETTINGS,
    cache_folder,
    digest_of,
    keep,
    kept,
    modules_stamp,
    settings,
)
from fastsw._cuda.device import LANES, SIMULATED
from fastsw._cuda.runtime.memory import Part

logger = logging.getLogger("fastsw")

#: Modules of this folder that only launch kernels.
_NO_KERNELS = {"backend", "inputs", "layouts", "warping", "runtime.compile", "runtime.memory"}

#: Settings of numba-cuda that change the code of a kernel, beside those that it took from Numba.
GPU_CODE_SETTINGS = (
    "CUDA_DEBUGINFO_DEFAULT",
    "CUDA_DEBUG_POLY",
    "CUDA_DEBUG_POLY_USE_TYPED_CONST",
    "CUDA_ENABLE_NRT",
)

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

    def launch(self, memory, blocks: int, arguments, workspace) -> None:
        """Run `blocks` blocks on the memory's device and stream; parts lie in the workspace."""
        if SIMULATED:
            cuda.jit(self.function)[blocks, LANES * self.warps](
                *(_simulated(argument, workspace) for argument in arguments)
            )
            return
        from cuda.core import launch

        loaded = self._load(memory, arguments)
        config = _config(blocks, LANES * self.warps)
        launch(memory.stream(), config, loaded, *launched(arguments, workspace.data_ptr()))

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


def blocks_of(memory, items: int, block_warps: int) -> int:
    """Blocks that keep the device busy, no more than there is work for."""
    return max(1, min(-(-items // block_warps), memory.processors * 24 // block_warps))


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


def _simulated(argument, workspace):
    """An argument as the simulator takes it."""
    if isinstance(argument, int | float):
        return argument
    return argument.numpy(workspace) if isinstance(argument, Part) else argument.numpy().reshape(-1)


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

    try:
        name, code = machine_code(kernel, kinds, capability).split(b"\n", 1)
        return ObjectCode.from_cubin(code).get_kernel(name.decode())
    except Exception as error:
        raise _explained(error) from error


def machine_code(kernel, kinds, capability) -> bytes:
    """A kernel's entry name, a line break, and its machine code for a compute capability."""
    stem = stem_of(kernel, kinds, capability)
    try:
        file = f"{stem}-{toolchain(capability)}.cubin"
        found = kept(file)
        if found is None:
            found = _compiled(kernel, kinds, capability)
            keep(file, found)
        return found
    except Exception as error:
        if not _lacks_compiler(error) or not (found := _of_another_toolchain(stem)):
            raise
        return found


def _of_another_toolchain(stem: str) -> bytes | None:
    """Machine code that any compiler made of the same modules."""
    folder = cache_folder()
    files = sorted(folder.glob(f"{stem}-*.cubin")) if folder else []
    return next(filter(None, (kept(path.name) for path in files)), None)


def _compiled(kernel, kinds, capability) -> bytes:
    """Entry name and machine code of a kernel."""
    folder = cache_folder()
    fate = f"it is kept in {folder}" if folder else "it is not kept"
    logger.warning("compiling the GPU kernel %s; %s", kernel.name, fate)
    ptx = kernel.ptx(kinds, capability)
    return entry_name(ptx).encode() + b"\n" + _linked(ptx, capability)


def _linked(ptx: str, capability) -> bytes:
    """Machine code of PTX."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    options = LinkerOptions(arch=f"sm_{capability[0]}{capability[1]}")
    return bytes(Linker(ObjectCode.from_ptx(ptx.encode()), options=options).link("cubin").code)


def _lacks_compiler(error: Exception) -> bool:
    """Whether an error says that a library of the compiler is missing."""
    text = str(error).lower()
    return any(library in text for library in ("libnvvm", "nvrtc", "libdevice", "nvjitlink"))


def _explained(error: Exception) -> Exception:
    """The error of a compiler or driver, with what to do about it."""
    text = str(error)
    if "UNSUPPORTED_PTX_VERSION" in text or "no kernel image" in text.lower():
        return RuntimeError(
            "the CUDA driver is older than the compiler of the kernels: install an older compiler "
            "(pip install 'numba-cuda[cu12]' for drivers of CUDA 12), or a newer driver; "
            f"the driver said: {text}"
        )
    if _lacks_compiler(error):
        return RuntimeError(
            "a GPU kernel has to be compiled, and the CUDA compiler is missing: pip install "
            "'fastsw[cuda]' (numba-cuda with its compiler, for CUDA 13), or 'numba-cuda[cu12]' for "
            f"drivers of CUDA 12; found: {text}"
        )
    return RuntimeError(f"a GPU kernel could not be compiled or loaded: {text}")


def stem_of(kernel, kinds, capability) -> str:
    """Name of what is compiled; a file's begins with it, whoever compiled."""
    bounds = kernel.warps, kernel.resident
    parts = source_stamp(), bounds, capability, [str(k) for k in kinds]
    return f"{kernel.name}-{digest_of(*parts)}"


@functools.cache
def source_stamp() -> str:
    """Digest of the modules of all GPU kernels."""
    return modules_stamp("_cuda", _NO_KERNELS)


def toolchain(capability) -> str:
    """Digest of the versions and settings of all that compile a kernel."""
    versions = (
        numba.__version__,
        metadata.version("numba-cuda"),
        llvmlite.__version__,
        sys.version,
    )
    options = settings(config, CODE_SETTINGS + GPU_CODE_SETTINGS)
    return digest_of(versions, options, _builds(capability))


@functools.cache
def _builds(capability) -> tuple:
    """What NVIDIA's compiler and linker make of nothing, which tells their builds.

    Their libraries answer with the version of their interface only.
    """
    from numba.cuda.cudadrv import nvvm

    compiler = nvvm.NVVM()
    version = ", ".join(f"i32 {number}" for number in compiler.get_ir_version())
    nothing = nvvm.CompilationUnit({})
    nothing.add_module(
        f'target triple = "nvptx64-nvidia-cuda"\ntarget datalayout = "{compiler.data_layout}"\n'
        f"!nvvmir.version = !{{!0}}\n!0 = !{{{version}}}\n".encode()
    )
    ptx = nothing.compile().decode().rstrip("\0")
    return ptx, _linked(f"{ptx}\n.visible .entry nothing() {{ ret; }}\n", capability)

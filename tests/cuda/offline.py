"""A host that passes for a GPU, and compilation to PTX without GPU, driver or runtime compiler.

numba-cuda asks the driver for the compute capability when one kernel function calls another, and
NVIDIA's runtime compiler for the list of architectures; both are answered here.
"""

import contextlib
import re
import shutil
import subprocess
from unittest import mock

import pytest
import torch
from numba.cuda import compiler, cuda_paths, dispatcher
from numba.cuda.cudadrv import nvrtc, nvvm

from fastsw._cuda._compile import entry_name
from fastsw._cuda._memory import TorchMemory


class Host(TorchMemory):
    """Memory of the host that passes for a GPU's, for calls whose launches are recorded."""

    def __init__(self, device=None):
        super().__init__(torch.device("cpu"))

    def _machine(self):
        return 0, (9, 0), 132

    def stream(self):
        """No stream."""

    def current(self):
        """Nothing to switch."""
        return contextlib.nullcontext()

    def _clear(self, address, size):
        """Nothing reads what would be cleared."""


CAPABILITIES = [(8, 0), (9, 0)]


def need_compiler():
    """Skip where NVIDIA's compiler library is not installed."""
    try:
        nvvm.NVVM()
        with _answers((9, 0)):
            nvvm.LibDevice()
    except Exception as error:
        pytest.skip(f"NVIDIA's compiler library libnvvm is not here: {type(error).__name__}")


@contextlib.contextmanager
def _answers(capability):
    device = mock.Mock(compute_capability=capability)
    with (
        mock.patch.object(dispatcher, "get_current_device", lambda: device),
        mock.patch.object(nvrtc, "get_supported_ccs", lambda: tuple(CAPABILITIES)),
        mock.patch.object(cuda_paths, "_get_nvrtc_path", lambda: None),
    ):
        yield


def ptx(kernel, kinds):
    """PTX of a kernel by compute capability; Numba's part of the work, most of it, is done once."""
    bounds = 32 * kernel.warps, kernel.resident
    options = {"device": False, "abi": "numba", "launch_bounds": bounds}
    with _answers(CAPABILITIES[-1]):
        library, _ = compiler._compile_pyfunc_with_fixup(
            kernel.function, kinds, cc=CAPABILITIES[-1], **options
        )
        return {capability: library.get_asm_strs(cc=capability)[0] for capability in CAPABILITIES}


def resources(text, capability, folder):
    """Registers, spilled bytes and shared memory that ptxas reports; None where it is missing.

    Spills are those of the kernel itself, and the most of a function that it calls.
    """
    if shutil.which("ptxas") is None:
        return None
    source = folder / "kernel.ptx"
    source.write_text(text)
    arch = f"sm_{capability[0]}{capability[1]}"
    run = subprocess.run(
        ["ptxas", "-v", f"-arch={arch}", str(source), "-o", str(folder / "kernel.cubin")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    functions = {
        name: (int(stored), int(loaded))
        for name, stored, loaded in re.findall(
            r"properties for (\S+)\s.*?(\d+) bytes spill stores, (\d+) bytes spill loads",
            run.stderr,
        )
    }
    own = functions.pop(entry_name(text))
    return {
        "registers": int(re.search(r"Used (\d+) registers", run.stderr)[1]),
        "spills": sum(own),
        "spills of functions": max(map(sum, functions.values()), default=0),
        "shared": max(map(int, re.findall(r"(\d+) bytes smem", run.stderr)), default=0),
    }

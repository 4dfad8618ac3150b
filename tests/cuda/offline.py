"""Compilation to PTX on a machine without a GPU, driver or runtime compiler.

numba-cuda asks the driver for the compute capability when one kernel function calls another, and
NVIDIA's runtime compiler for the list of architectures; both are answered here.
"""

import contextlib
import re
import shutil
import subprocess
from unittest import mock

import pytest
from numba.cuda import cuda_paths, dispatcher
from numba.cuda.cudadrv import nvrtc, nvvm

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


def ptx(kernel, kinds, capability):
    """PTX of a kernel."""
    with _answers(capability):
        return kernel.ptx(kinds, capability)


def resources(text, capability, folder):
    """Registers, spilled bytes and shared memory that ptxas reports; None where it is missing."""
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
    found = {
        "registers": r"Used (\d+) registers",
        "stack": r"(\d+) bytes stack frame",
        "spills": r"(\d+) bytes spill stores",
        "shared": r"(\d+) bytes smem",
    }
    return {
        name: max(map(int, re.findall(pattern, run.stderr)), default=0)
        for name, pattern in found.items()
    }

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
from numba.cuda import compiler, cuda_paths, dispatcher
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

    With nvdisasm also the local-memory accesses in the loops over cells.
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
    found = {
        "registers": r"Used (\d+) registers",
        "stack": r"(\d+) bytes stack frame",
        "spills": r"(\d+) bytes spill stores",
        "shared": r"(\d+) bytes smem",
    }
    used = {
        name: max(map(int, re.findall(pattern, run.stderr)), default=0)
        for name, pattern in found.items()
    }
    used["spills in loops"] = None
    if shutil.which("nvdisasm") is not None:
        used["spills in loops"] = _spills_in_loops(folder / "kernel.cubin")
    return used


def _spills_in_loops(cubin):
    """Local-memory accesses in the three shortest loops that exchange values, or None."""
    run = subprocess.run(["nvdisasm", "-c", str(cubin)], capture_output=True, text=True, check=True)
    code, labels = [], {}
    for line in run.stdout.splitlines():
        label = re.match(r"(\.L_x_\d+):", line.strip())
        if label:
            labels[label[1]] = len(code)
        instruction = re.search(r"/\*[0-9a-f]{4,}\*/\s+(.*?);", line)
        if instruction:
            code.append(instruction[1])
    loops = []
    for end, instruction in enumerate(code):
        target = re.search(r"BRA.*`\((\.L_x_\d+)\)", instruction)
        if target and labels.get(target[1], end + 1) <= end:
            loops.append((labels[target[1]], end))
    # The walk over a square's steps: down, down again, and up. Longer loops hold these.
    walks = [
        (begin, end)
        for begin, end in sorted(loops, key=lambda loop: loop[1] - loop[0])
        if all(
            any(word in line for line in code[begin : end + 1]) for word in ("SHFL", "LDS", "STS")
        )
    ][:3]
    if len(walks) < 3:
        return None
    return sum(
        bool(re.search(r"\b(LDL|STL)\b", line))
        for begin, end in walks
        for line in code[begin : end + 1]
    )

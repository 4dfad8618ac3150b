"""A host that passes for a GPU, and compilation to PTX without GPU, driver or runtime compiler.

numba-cuda asks the driver for the compute capability when one kernel function calls another, and
NVIDIA's runtime compiler for the list of architectures; both are answered here.
"""

import contextlib
import re
import shutil
import subprocess
from importlib import metadata
from unittest import mock

import numpy as np
import pytest
import torch
from numba.cuda import compiler, cuda_paths, dispatcher
from numba.cuda.cudadrv import nvrtc, nvvm

from fastsw._cuda import backend, warping
from fastsw._cuda.inputs import Inputs
from fastsw._cuda.runtime import compile as compilation
from fastsw._cuda.runtime.compile import entry_name
from fastsw._cuda.runtime.memory import TorchMemory
from fastsw._types import GRADIENT, TANGENT


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


def launches():
    """Every kernel that a call can launch, with the types of its arguments, by name and dtype."""
    found = {}

    def record(kernel, memory, blocks, arguments, workspace):
        kinds = compilation.kinds_of(memory, arguments)
        found[kernel.name, memory.dtype(arguments[0]).name] = kernel, kinds

    memory = Host()
    with mock.patch.object(compilation.Kernel, "launch", record):
        for dtype in (np.float32, np.float64):
            similarity = memory.zeros((2, 3, 4), dtype)
            for penalties in ((1.0,) * 4, (memory.empty((2, 3, 4), np.float64),) * 4):
                warm = memory.empty((), np.float64)
                for temperature in (1.0, warm):
                    inputs = Inputs(similarity, penalties, temperature, "local", None)
                    out = backend.run(inputs, memory, GRADIENT)
                    backend.run(inputs, memory, TANGENT, out)
            warping.run(similarity, 1.0, None, None, memory, with_gradients=True)
    return found


def need_compiler():
    """Skip where NVIDIA's compiler library is not installed."""
    try:
        nvvm.NVVM()
        with answers((9, 0)):
            nvvm.LibDevice()
    except Exception as error:
        pytest.skip(f"NVIDIA's compiler library libnvvm is not here: {type(error).__name__}")


@contextlib.contextmanager
def answers(capability):
    """What the driver and the runtime compiler would say."""
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
    with answers(CAPABILITIES[-1]):
        library, _ = compiler._compile_pyfunc_with_fixup(
            kernel.function, kinds, cc=CAPABILITIES[-1], **options
        )
        return {capability: library.get_asm_strs(cc=capability)[0] for capability in CAPABILITIES}


def assembled(text, capability, folder):
    """Machine code of PTX by ptxas, and its report."""
    source, target = folder / "kernel.ptx", folder / "kernel.cubin"
    source.write_text(text)
    arch = f"sm_{capability[0]}{capability[1]}"
    run = subprocess.run(
        ["ptxas", "-v", f"-arch={arch}", str(source), "-o", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return target.read_bytes(), run.stderr


def disassembler():
    """NVIDIA's disassembler, as its package has it; None where that is missing."""
    try:
        files = metadata.files("nvidia-cuda-nvdisasm") or ()
    except metadata.PackageNotFoundError:
        return None
    return next((file.locate() for file in files if file.name == "nvdisasm"), None)


def loops(code, folder):
    """The instructions of every loop of machine code, inner loops within outer ones; or None."""
    program = disassembler()
    if program is None:
        return None
    target = folder / "disassembled.cubin"
    target.write_bytes(code)
    text = subprocess.run([program, "-c", target], capture_output=True, text=True, check=True)
    found, labels, instructions = [], {}, []
    for line in text.stdout.splitlines():
        if line.startswith(".text."):
            labels, instructions = {}, []
        elif label := re.match(r"(\.L_x_\d+):", line):
            labels[label[1]] = len(instructions)
        elif instruction := re.match(r"\s+/\*[0-9a-f]+\*/\s+(.*?)\s*;", line):
            instructions.append(instruction[1])
            target_label = re.search(r"\bBRA\b.*`\((\.L_x_\d+)\)", instruction[1])
            if target_label and target_label[1] in labels:
                found.append(instructions[labels[target_label[1]] :])
    return found


def resources(text, capability, folder):
    """Registers, spilled bytes and shared memory that ptxas reports; None where it is missing.

    Spills are the bytes that the kernel itself reads back, and the most that a function that it
    calls stores and reads; what is stored before a call that never returns is not read.
    """
    if shutil.which("ptxas") is None:
        return None
    _, report = assembled(text, capability, folder)
    functions = {
        name: (int(stored), int(loaded))
        for name, stored, loaded in re.findall(
            r"properties for (\S+)\s.*?(\d+) bytes spill stores, (\d+) bytes spill loads",
            report,
        )
    }
    own = functions.pop(entry_name(text))
    return {
        "registers": int(re.search(r"Used (\d+) registers", report)[1]),
        "spills": own[1],
        "spills of functions": max(map(sum, functions.values()), default=0),
        "shared": max(map(int, re.findall(r"(\d+) bytes smem", report)), default=0),
    }

"""Machine code of every GPU kernel, made on one machine and used on another.

``python -m tests.support.cubins build FOLDER`` compiles into a folder. It needs NVIDIA's libnvvm
and ptxas, and no GPU. ``python -m tests.support.cubins adopt FOLDER`` puts what fits the modules of
this checkout into the kernel cache of a machine with a GPU, whatever its compilers are, and says
which kernels are still to be compiled there.
"""

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import torch

from fastsw._cache import cache_folder
from fastsw._cuda.runtime import compile as compilation
from tests.support import offline


def _assembled(ptx, capability):
    """Machine code by ptxas, where the linker would ask the driver first."""
    with tempfile.TemporaryDirectory() as folder:
        return offline.assembled(ptx, capability, Path(folder))[0]


def _capability_here():
    """Compute capability of the GPU, asked in a process of its own; 9.0 without a GPU.

    A process that knows a GPU cannot fork workers that compile.
    """
    code = "import torch; print(*torch.cuda.get_device_capability())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return (9, 0) if run.returncode else tuple(map(int, run.stdout.split()))


def _build(task):
    """Compile one kernel into the cache folder; its name."""
    which, capability = task
    kernel, kinds = offline.launches()[which]
    with offline.answers(capability), mock.patch.object(compilation, "_linked", _assembled):
        compilation.machine_code(kernel, kinds, capability)
    return kernel.name


def build(folder, capabilities, jobs):
    """Compile every kernel for the compute capabilities, in so many processes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["FASTSW_CACHE_DIR"] = str(folder)
    tasks = [(which, capability) for which in offline.launches() for capability in capabilities]
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for done in pool.imap_unordered(_build, tasks):
            print(done, flush=True)


def adopt(folder):
    """Copy kernels into the cache, under the names that this machine looks for."""
    capability = torch.cuda.get_device_capability()
    try:
        here = compilation.toolchain(capability)
    except Exception as error:  # whatever was compiled elsewhere is then used as it is
        print(f"no compiler here: {error}")
        here = None
    missing = []
    for kernel, kinds in offline.launches().values():
        stem = compilation.stem_of(kernel, kinds, capability)
        carried = next(iter(sorted(folder.glob(f"{stem}-*.cubin"))), None)
        if carried is None:
            missing.append(kernel.name)
        else:
            name = carried.name if here is None else f"{stem}-{here}.cubin"
            shutil.copyfile(carried, cache_folder() / name)
    print(f"to be compiled here: {', '.join(missing) or 'none'}")
    return bool(missing)


def main():
    """Build or adopt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["build", "adopt"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--capability", action="append", help="as 9.0; of the GPU here, if any")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    if arguments.what == "adopt":
        sys.exit(adopt(arguments.folder))
    capabilities = [tuple(map(int, name.split("."))) for name in arguments.capability or ()]
    build(arguments.folder, capabilities or [_capability_here()], arguments.jobs)


if __name__ == "__main__":
    main()

"""Commands: ``python -m fastsw info`` tests an installation, ``... warmup`` compiles kernels.

``... search`` finds the best of a file of embeddings for those of another.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import llvmlite
import llvmlite.binding
import numba
import numpy as np

import fastsw
from fastsw import _cache
from fastsw._collections import command
from fastsw._cpu.runtime import thread_pool
from fastsw._cpu.simd import vectors
from fastsw._warmup import DTYPES, warmup_in_processes

_MODES = ("local", "global", "fitting")
_OPTIONS: dict[str, Any] = {"gap_open": (1.1, 0.9), "gap_extend": 0.3, "temperature": 0.7}
_LENGTHS = np.array([[13, 21], [9, 17], [13, 1]])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fastsw", description=fastsw.__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("info", help="print versions, devices and settings, and test each backend")
    ahead = commands.add_parser("warmup", help="compile kernels ahead of the first call")
    ahead.add_argument(
        "--all", action="store_true", help="second derivatives too, which need torch"
    )
    ahead.add_argument(
        "--jobs", type=_count, default=os.cpu_count(), help="processes (default: %(default)s)"
    )
    ahead.add_argument(
        "--dtypes", nargs="+", choices=DTYPES, default=DTYPES, help="of similarities to come"
    )
    command.add_parser(commands)
    given = parser.parse_args(arguments)
    if given.command == "search":
        return command.run(given)
    if given.command == "warmup":
        return _warm_up(given.dtypes, second=given.all, jobs=given.jobs)
    return _inform()


def _count(text: str) -> int:
    """Number of processes, from the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer >= 1, got {text!r}")
    return int(text)


def _warm_up(dtypes: Sequence[str], *, second: bool, jobs: int) -> int:
    """Compile kernels, and tell how far it is and what is kept where; the exit code."""
    folder = _cache.cache_folder()
    if folder is None:
        print("error: no folder can hold compiled kernels; set FASTSW_CACHE_DIR", file=sys.stderr)
        return 1
    if second and importlib.util.find_spec("torch") is None:
        print("error: `--all` needs torch: pip install 'fastsw[torch]'", file=sys.stderr)
        return 1
    print(f"compiling kernels for this machine in {jobs} processes", flush=True)
    start = time.monotonic()
    try:
        for name, done, count in warmup_in_processes(dtypes, second=second, jobs=jobs):
            passed = time.monotonic() - start
            left = passed / done * (count - done)
            print(f"  {done:>2} of {count}  {name:<55} about {left:3.0f} s left", flush=True)
    except KeyboardInterrupt:
        print(f"interrupted; what has been compiled is in {folder}", file=sys.stderr)
        return 130
    files = list(folder.glob("*.bin"))
    size = sum(file.stat().st_size for file in files) / 2**20
    print(f"{len(files)} kernels, {size:.1f} MiB, are in {folder} ({passed:.0f} s)")
    return 0


def _inform() -> int:
    """Print facts, and the findings of a self-test; the exit code."""
    print(*_facts(), sep="\n", flush=True)
    print("\nself-test (the first one of an installation compiles for some seconds)", flush=True)
    wrong = 0
    for backend, align in _backends():
        for dtype in (np.float64, np.float32):
            found = _check(align, np.dtype(dtype))
            wrong += found is not None
            name = f"{backend}, {np.dtype(dtype).name}"
            print(f"  {name:<22} {'ok' if found is None else f'WRONG: {found}'}", flush=True)
    return 1 if wrong else 0


def _facts() -> Iterator[str]:
    """Versions, settings and devices, one a line."""
    torch = _torch()
    layer = numba.config.THREADING_LAYER
    yield f"fastsw {fastsw.__version__}"
    for name, value in (
        ("python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("numpy", np.__version__),
        ("numba", numba.__version__),
        ("llvmlite", llvmlite.__version__),
        ("torch", "not installed" if torch is None else torch.__version__),
        ("threads", f"{thread_pool.thread_count()} (Numba's thread count)"),
        ("threading layer", f"{layer} (Numba's; fastsw has its own pool)"),
        ("vector width", " and ".join(f"{vectors.native_lanes(b)} x float{b}" for b in (32, 64))),
        ("kernel cache", f"{_cache.cache_folder() or 'none'}"),
        ("CPU", llvmlite.binding.get_host_cpu_name()),
        ("CUDA by torch", _cuda_of_torch(torch)),
        ("CUDA by numba", _cuda_of_numba()),
    ):
        yield f"  {name:<16} {value}"


def _torch() -> Any:
    """The torch module, or None where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch


def _cuda_of_torch(torch: Any) -> str:
    """Names of the GPUs that torch sees."""
    if torch is None:
        return "torch is not installed"
    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return ", ".join(names) or "no device"


def _cuda_of_numba() -> str:
    """Names of the GPUs that numba-cuda sees."""
    if importlib.util.find_spec("numba_cuda") is None:
        return "numba-cuda is not installed"
    from numba import cuda

    if not cuda.is_available():
        return "no device"
    return ", ".join(device.name.decode() for device in cuda.gpus)


def _backends() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Name of each backend, and its score and gradients of NumPy arguments as NumPy arrays."""

    def on_numpy(similarity: np.ndarray, mode: Any) -> tuple[Any, ...]:
        score, gradients = fastsw.value_and_grad(
            similarity, mode=mode, lengths=_LENGTHS, **_OPTIONS
        )
        return score, gradients.similarity, *gradients.gap_open, gradients.gap_extend

    yield "CPU, numpy", on_numpy
    torch = _torch()
    if torch is None:
        return

    def on_torch(similarity: np.ndarray, mode: Any, device: str = "cpu") -> tuple[Any, ...]:
        leaves = [torch.from_numpy(similarity).to(device)]
        values = *_OPTIONS["gap_open"], _OPTIONS["gap_extend"]
        leaves += [torch.tensor(v, dtype=leaves[0].dtype, device=device) for v in values]
        for leaf in leaves:
            leaf.requires_grad_()
        score = fastsw.score(
            leaves[0],
            gap_open=(leaves[1], leaves[2]),
            gap_extend=leaves[3],
            temperature=_OPTIONS["temperature"],
            mode=mode,
            lengths=torch.from_numpy(_LENGTHS),
        )
        score.sum().backward()
        return score.detach().cpu().numpy(), *(leaf.grad.cpu().numpy() for leaf in leaves)

    yield "CPU, torch", on_torch
    for k in range(torch.cuda.device_count()):
        yield f"CUDA {k}, torch", functools.partial(on_torch, device=f"cuda:{k}")


def _check(align: Callable[..., Any], dtype: np.dtype) -> str | None:
    """What is wrong with a backend's answers, or None."""
    similarity = np.random.default_rng(0).standard_normal((3, 13, 21)).astype(dtype)
    # float32: posteriors hold 2e-5, and the counts of penalties sum them; float64: rounding only.
    allowed = 1e-10 if dtype == np.float64 else 1e-4
    names = "score", "posterior", "gap_open[0]", "gap_open[1]", "gap_extend"
    for mode in _MODES:
        try:
            found = align(similarity.copy(), mode)
        except Exception as error:  # whatever it is, it is the finding
            return f"{type(error).__name__} in mode {mode!r}: {error}"
        for name, one, other in zip(names, found, _expected(similarity, mode), strict=True):
            off = np.abs(np.asarray(one, np.float64) - other).max()
            if not off <= allowed:
                return f"{name} in mode {mode!r} is off by {off:.1e}, allowed are {allowed:.0e}"
    return None


def _expected(similarity: np.ndarray, mode: str) -> list[np.ndarray]:
    """Score, posterior and gradients in the penalties, of the reference."""
    from fastsw._reference import soft_align

    (open_x, open_y), extend = _OPTIONS["gap_open"], _OPTIONS["gap_extend"]
    score, posterior = np.zeros(len(similarity)), np.zeros(similarity.shape)
    of_open, of_extend = np.zeros(2), np.zeros(())
    for b, (n, m) in enumerate(_LENGTHS):
        found = soft_align(
            similarity[b, :n, :m],
            (open_x, extend, open_y, extend),
            temperature=_OPTIONS["temperature"],
            mode=mode,
        )
        score[b] = found.score
        posterior[b, :n, :m] = found.posterior
        of_open += found.open_x.sum(), found.open_y.sum()
        of_extend += found.extend_x.sum() + found.extend_y.sum()
    return [score, posterior, *of_open, of_extend]


if __name__ == "__main__":
    sys.exit(main())

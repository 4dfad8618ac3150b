"""First calls of a new installation: ``python -m benchmarks.cold_start [CHECKOUT ...] [-o FILE]``.

A process makes one call after the other with an empty cache of kernels, then another one with the
cache that the first has left: seconds of processor time, of this checkout or of several in turns.
Writes a table as Markdown.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import llvmlite.binding
import numba

CALLS = """
import time
begun = time.process_time()
import numpy as np, fastsw
from fastsw import score, soft_dtw, sample, traceback, value_and_grad
pair = np.random.default_rng(0).standard_normal((2, 60, 80)).astype("{dtype}")
columns, rows, cells = np.ones((2, 80)), np.ones((2, 60)), np.ones((2, 60, 80))
plain = dict(gap_open=1.0, gap_extend=0.5)
print("import", time.process_time() - begun)
for name, call in {{
    "score": lambda: score(pair, **plain),
    "value_and_grad": lambda: value_and_grad(pair, **plain),
    "traceback": lambda: traceback(pair, **plain),
    "sample": lambda: sample(pair, size=1, seed=0, **plain),
    "penalties by column and row": lambda: value_and_grad(
        pair, gap_open=(columns, rows), gap_extend=0.5
    ),
    "penalties by cell": lambda: value_and_grad(pair, gap_open=cells, gap_extend=0.5),
    "soft_dtw": lambda: soft_dtw(pair),
}}.items():
    start = time.process_time()
    call()
    print(name, time.process_time() - start, sep=": ")
print("all", time.process_time() - begun)
"""


def seconds(checkout: Path, dtype: str, cache: str) -> dict[str, float]:
    """Processor time of each call in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", CALLS.format(dtype=dtype)],
        env=os.environ | {"PYTHONPATH": str(checkout), "FASTSW_CACHE_DIR": cache},
        capture_output=True,
        text=True,
        check=True,
        cwd=cache,
    )
    pairs = (line.replace(": ", " ").rsplit(" ", 1) for line in run.stdout.splitlines())
    return {name: float(value) for name, value in pairs}


def revision(checkout: Path) -> str:
    """Short name of the commit."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("checkouts", type=Path, nargs="*", default=[here])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", "-o", type=Path)
    options = parser.parse_args()
    checkouts = [path.resolve() for path in options.checkouts]
    lines = [
        f"{llvmlite.binding.get_host_cpu_name()}, Python {sys.version.split()[0]}, numba"
        f" {numba.__version__}; processor seconds, median of {options.rounds} (least to most).",
    ]
    for dtype in ("float32", "float64"):
        found: dict[tuple[str, str], list[dict[str, float]]] = {}
        for _ in range(options.rounds):
            for checkout in checkouts:
                with tempfile.TemporaryDirectory() as cache:
                    for state in ("cold", "warm"):
                        key = revision(checkout), state
                        found.setdefault(key, []).append(seconds(checkout, dtype, cache))
        lines += ["", f"| {dtype} | {' | '.join(' '.join(key) for key in found)} |"]
        lines.append("|---" * (len(found) + 1) + "|")
        for name in next(iter(found.values()))[0]:
            cells = []
            for runs in found.values():
                values = sorted(run[name] for run in runs)
                cells.append(f"{median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})")
            lines.append(f"| {name} | {' | '.join(cells)} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.output is not None:
        options.output.write_text(text)


if __name__ == "__main__":
    main()

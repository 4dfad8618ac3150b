"""Time fastsw beside installed peers: ``python -m benchmarks.compare_peers``.

All contenders take turns in one process, so that noise hits all of them; forward and gradient of
the same shapes. Prints Markdown and writes it to benchmarks/results/.
"""

import argparse
import platform
import shlex
import statistics
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numba
import numpy as np

import fastsw

from .common import OPTIONS, SHAPES, need_torch, similarity, size, use_threads
from .peers import CONTENDERS

FOLDER = Path(__file__).parent
SHORTEST = 0.01  # seconds that one measurement lasts at least
PAUSE = 0.01  # seconds in which the threads of the contender before, done, stop looking for work


class Timing:
    """Seconds per call, one entry a turn."""

    def __init__(self, call):
        self.call = call
        self.seconds = []
        call()  # compiles
        self.count = max(1, round(SHORTEST / self.run(1)))

    def run(self, count):
        """Seconds a call, over so many."""
        started = time.perf_counter()
        for _ in range(count):
            self.call()
        return (time.perf_counter() - started) / count

    def turn(self):
        time.sleep(PAUSE)
        self.run(self.count)  # wakes processors, and brings what it works on into the caches
        self.seconds.append(self.run(self.count))

    @property
    def median(self):
        return statistics.median(self.seconds)

    @property
    def best(self):
        return min(self.seconds)


def take_turns(timings, *, turns, seconds):
    """Let each contender run once a round, `turns` rounds or as many (3 at least) as fit."""
    started = time.perf_counter()
    for done in range(turns):
        if done >= 3 and time.perf_counter() - started > seconds:
            break
        for timing in timings:
            timing.turn()


def milliseconds(timing):
    """Median and best, for the eye."""
    return f"{1e3 * timing.median:.4g} ({1e3 * timing.best:.4g})"


def compare(threads, shapes, limits):
    """Rows of a table: our time and speed, and each peer's time and its ratio to ours."""
    use_threads(threads)
    skipped = {}
    for shape in shapes:
        timings = {}
        for name, contender in CONTENDERS.items():
            try:
                timings[name] = Timing(contender(shape, threads))
            except NotImplementedError as reason:
                skipped[name] = str(reason)
            except Exception as error:  # a peer that cannot do this size says so in its own way
                skipped[f"{name} at {shape}"] = f"{type(error).__name__}: {error}"
        take_turns(timings.values(), **limits)
        ours = timings["fastsw"]
        row = [shape, milliseconds(ours), f"{np.prod(size(shape)) / ours.median / 1e6:.0f}"]
        for name in list(CONTENDERS)[1:]:
            theirs = timings.get(name)
            row.append("-" if theirs is None else milliseconds(theirs))
            row.append("-" if theirs is None else f"{theirs.median / ours.median:.1f}")
        yield row
    for name, reason in skipped.items():
        print(f"not measured: {name}: {reason}", file=sys.stderr)


def torch_rows(shapes, limits):
    """Rows of a table: first gradient and Hessian-vector product through torch, one thread."""
    torch = need_torch()
    use_threads(1)
    for shape in shapes:
        matrix = torch.from_numpy(similarity(shape)).requires_grad_()
        direction = torch.from_numpy(similarity(shape)[:, ::-1].copy())

        def first(matrix=matrix):
            matrix.grad = None
            fastsw.score(matrix, **OPTIONS).sum().backward()

        score = fastsw.score(matrix, **OPTIONS).sum()
        (gradient,) = torch.autograd.grad(score, matrix, create_graph=True)

        def second(gradient=gradient, matrix=matrix, direction=direction):
            torch.autograd.grad(gradient, matrix, direction, retain_graph=True)

        first()
        second()
        timings = Timing(first), Timing(second)
        take_turns(timings, **limits)
        ratio = timings[1].median / timings[0].median
        yield [shape, *(milliseconds(timing) for timing in timings), f"{ratio:.2f}"]


def copy_bandwidth(threads, limits):
    """GB read and written a second when threads copy arrays of 128 MB, best of all turns."""
    arrays = [(np.ones(2**25, np.float32), np.ones(2**25, np.float32)) for _ in range(threads)]

    def call():
        workers = [threading.Thread(target=np.copyto, args=pair) for pair in arrays]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    timing = Timing(call)
    take_turns([timing], **limits)
    return 2 * threads * arrays[0][0].nbytes / timing.best / 1e9


def markdown(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def circumstances():
    """Lines that say where, when and on what the figures were taken."""
    return [
        f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}",
        f"- command: `{shlex.join(['python', '-m', 'benchmarks.compare_peers', *sys.argv[1:]])}`",
        f"- {processor()}, {numba.config.NUMBA_NUM_THREADS} threads at hand, {platform.system()}",
        "- " + ", ".join(f"{name} {found(name)}" for name in ["python", "numpy", "numba", "torch"]),
        "- " + ", ".join(f"{name} {found(name)}" for name in list(CONTENDERS)[1:]),
    ]


def commit():
    """The checkout's commit, and whether it was changed."""
    git = ["git", "-C", str(FOLDER)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True)
    except FileNotFoundError:
        return "unknown"
    name = head.stdout.decode().strip() or "unknown"
    return name + (" with changes" if changed.stdout.strip() else "")


def processor():
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def found(name):
    """Version of a package."""
    if name == "python":
        return platform.python_version()
    try:
        return version(name)
    except PackageNotFoundError:
        return "(absent)"


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_peers")
    parser.add_argument("--shapes", nargs="+", default=SHAPES, metavar="BxNxM")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=20.0, help="a table row lasts about this")
    parser.add_argument("--output", type=Path, default=FOLDER / "results" / "compare_peers.md")
    arguments = parser.parse_args()
    limits = {"turns": arguments.turns, "seconds": arguments.seconds}

    header = ["B x N x M", "fastsw, ms", "Mcells/s"]
    for name in list(CONTENDERS)[1:]:
        header += [f"{name}, ms", "ratio"]
    parts = ["# fastsw beside its peers", "\n".join(circumstances())]
    parts.append(
        "Forward and gradient; ms: median (best) of turns taken alternately; ratio: the peer's "
        "median over ours. fastsw: soft Smith-Waterman with affine gaps through the public NumPy "
        "call, float32. tslearn (float64), ddtw and pysdtw (float32): soft-DTW on costs computed "
        "beforehand. nwgrad (float32): soft Smith-Waterman of letters."
    )
    for threads in arguments.threads:
        parts.append(f"## {threads} thread{'s' if threads > 1 else ''}")
        parts.append(markdown(header, compare(threads, arguments.shapes, limits)))
    parts.append("## Through torch, one thread")
    parts.append(
        markdown(
            ["B x N x M", "forward + backward, ms", "Hessian-vector product, ms", "ratio"],
            torch_rows(arguments.shapes, limits),
        )
    )
    parts.append("## Memory")
    bandwidths = [
        f"{threads} thread{'s' if threads > 1 else ''}: {copy_bandwidth(threads, limits):.1f} GB/s"
        for threads in arguments.threads
    ]
    parts.append("Copying, bytes read and written: " + ", ".join(bandwidths) + ".")
    report = "\n\n".join(parts) + "\n"
    print(report)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(report)


if __name__ == "__main__":
    main()

"""Two checkouts in turns: ``python -m benchmarks.compare_commits BEFORE [AFTER] [-o FILE]``.

Each checkout has a process of its own, which stays. For every case they take turns, so that what
else the machine does hits both; a round's ratio is the second's time over the first's. One thread.
Answers are compared, too. Writes a table as Markdown.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numba

from .cold_start import revision
from .common import SHAPES
from .compare_peers import markdown, processor

#: Runs in each process: reads a case a line, and answers with seconds a call and a digest.
WORKER = """
import hashlib, json, sys, time
import numba, numpy as np, torch
import fastsw
numba.set_num_threads(1)
torch.set_num_threads(1)
OPTIONS = {"gap_open": 1.0, "gap_extend": 0.1}
calls = {}

def made(case):
    function, shape, dtype = case
    size = tuple(int(side) for side in shape.split("x"))
    normal = np.random.default_rng(0).standard_normal(size).astype(dtype)
    columns, rows = np.ones((size[0], size[2])), np.ones((size[0], size[1]))
    tensor = torch.from_numpy(normal).requires_grad_()
    direction = torch.from_numpy(normal[:, ::-1].copy())
    if function == "score":
        return lambda: fastsw.score(normal, **OPTIONS)
    if function == "score at T = 0":
        return lambda: fastsw.score(normal, temperature=0.0, **OPTIONS)
    if function == "gradient":
        return lambda: np.asarray(fastsw.value_and_grad(normal, **OPTIONS)[1].similarity)
    if function == "gradient, penalties by column and row":
        options = {"gap_open": (columns, rows), "gap_extend": 0.1}
        return lambda: np.asarray(fastsw.value_and_grad(normal, **options)[1].similarity)
    if function == "gradient, T = 0.1":
        found = dict(OPTIONS, temperature=0.1)
        return lambda: np.asarray(fastsw.value_and_grad(normal, **found)[1].similarity)
    if function == "Hessian-vector":
        score = fastsw.score(tensor, **OPTIONS).sum()
        (gradient,) = torch.autograd.grad(score, tensor, create_graph=True)
        return lambda: torch.autograd.grad(gradient, tensor, direction, retain_graph=True)[0]
    cost = torch.from_numpy(normal * normal).requires_grad_()
    if function == "soft_dtw":
        return lambda: torch.autograd.grad(fastsw.soft_dtw(cost).sum(), cost)[0]
    return lambda: fastsw.traceback(normal, **OPTIONS)[0].pairs

def digest(answer):
    array = answer.detach().numpy() if isinstance(answer, torch.Tensor) else np.asarray(answer)
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()

for line in sys.stdin:
    case, count = json.loads(line)
    call = calls.get(tuple(case))
    if call is None:
        calls.clear()
        call = calls[tuple(case)] = made(case)
        call()
    if not count:
        started = time.perf_counter()
        answer = call()
        print(json.dumps([time.perf_counter() - started, digest(answer)]), flush=True)
        continue
    started = time.perf_counter()
    for _ in range(count):
        call()
    print(json.dumps([(time.perf_counter() - started) / count, ""]), flush=True)
"""

FUNCTIONS = (
    "gradient",
    "score",
    "Hessian-vector",
    "soft_dtw",
    "score at T = 0",
    "traceback",
    "gradient, penalties by column and row",
    "gradient, T = 0.1",
)
TURN = 0.03  # seconds that a turn lasts about


class Checkout:
    """A process that runs cases on one checkout."""

    def __init__(self, path: Path):
        self.name = revision(path)
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env=os.environ | {"PYTHONPATH": str(path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=path,
        )

    def ask(self, case, count):
        """Seconds a call, over so many; for none, of a first one, and a digest of its answer."""
        self.process.stdin.write(json.dumps([case, count]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def compared(case, checkouts, rounds):
    """Milliseconds of both (medians), ratios of rounds, and whether answers are the same."""
    firsts = [checkout.ask(case, 0) for checkout in checkouts]
    count = max(1, round(TURN / max(seconds for seconds, _ in firsts)))
    times = [[], []]
    for turn in range(rounds):
        for k in (0, 1) if turn % 2 == 0 else (1, 0):
            times[k].append(checkouts[k].ask(case, count)[0])
    ratios = [after / before for before, after in zip(*times, strict=True)]
    return times, ratios, firsts[0][1] == firsts[1][1]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_commits")
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="?", default=here)
    parser.add_argument("--shapes", nargs="+", default=SHAPES, metavar="BxNxM")
    parser.add_argument("--functions", nargs="+", default=FUNCTIONS)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--output", "-o", type=Path)
    options = parser.parse_args()
    checkouts = [Checkout(options.before.resolve()), Checkout(options.after.resolve())]
    names = [checkout.name for checkout in checkouts]
    lines = [
        f"{processor()}, Python {sys.version.split()[0]}, numba {numba.__version__}; one thread; "
        f"medians of {options.rounds} rounds; ratio: {names[1]} over {names[0]}, median (quartiles)"
        " of rounds, and of the shortest times of both."
    ]
    for dtype in options.dtypes:
        rows = []
        for function in options.functions:
            for shape in options.shapes:
                case = function, shape, dtype
                times, ratios, same = compared(case, checkouts, options.rounds)
                low, middle, high = statistics.quantiles(ratios, n=4)
                row = [function, shape, *(f"{1e3 * statistics.median(t):.4g}" for t in times)]
                row += [f"{middle:.3f} ({low:.3f} to {high:.3f})"]
                row += [f"{min(times[1]) / min(times[0]):.3f}", "yes" if same else "no"]
                print(dtype, *row, sep=" | ", flush=True)
                rows.append(row)
        header = [
            "",
            "B x N x M",
            *(f"{n}, ms" for n in names),
            "ratio",
            "of the best",
            "same bits",
        ]
        lines += ["", f"## {dtype}", "", markdown(header, rows)]
    if options.output is not None:
        options.output.write_text("\n".join(["# Two commits side by side", "", *lines]) + "\n")


if __name__ == "__main__":
    main()

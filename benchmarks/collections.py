"""All pairs of sequences of embeddings: ``python -m benchmarks.collections``.

Million cells a second of `fastsw.all_pairs`, of the work that it cannot do without (products and
scores of one large batch of pairs of one length, in memory that was there before), and of what
users would write today. A round of `all_pairs` is a sample of a collection's pairs: some sequences
that are neighbours in length beside others that are. All take turns in one process, so that noise
hits all of them; ratios are of neighbours in a round, by the clock and by processor time, which
other processes disturb less. Prints Markdown and writes it to benchmarks/results/.
"""

import argparse
import math
import os
import time
from pathlib import Path

import numba
import numpy as np
from threadpoolctl import threadpool_limits

import fastsw

from .common import OPTIONS, use_threads
from .compare_peers import commit, found, markdown, processor
from .peers import imported

FOLDER = Path(__file__).parent
FEATURES, SHORTEST, LONGEST = 64, 50, 400

#: Sequences of a round on either side, pairs of the large batch, and pairs of a round of those who
#: take one after another.
SIDE, BATCH, FEW = 64, 400, 1500


class Data:
    """Sequences of embeddings, and some of their pairs."""

    def __init__(self, count):
        rng = np.random.default_rng(0)
        self.lengths = rng.integers(SHORTEST, LONGEST + 1, count)
        width = np.float32(FEATURES**-0.25)  # similarities of variance 1
        self.arrays = [
            width * rng.standard_normal((n, FEATURES), dtype=np.float32) for n in self.lengths
        ]
        self.pairs = rng.integers(0, count, (FEW, 2))
        self.order = np.argsort(self.lengths)

    def cells(self, pairs):
        return int(self.lengths[pairs].prod(axis=1).sum())


def all_pairs(data, threads):
    """fastsw.all_pairs"""
    rng = np.random.default_rng(1)

    def call():
        begins = rng.integers(0, len(data.order) - SIDE + 1, 2)
        rows, columns = (data.order[begin : begin + SIDE] for begin in begins)
        fastsw.all_pairs(*([data.arrays[k] for k in side] for side in (rows, columns)), **OPTIONS)
        return int(data.lengths[rows].sum() * data.lengths[columns].sum())

    return call


def dense(data, threads):
    """dense: products and `score` of one batch"""
    length = round(data.lengths.mean())
    side = math.isqrt(BATCH)
    x, y = np.random.default_rng(0).standard_normal((2, side, length, FEATURES), np.float32)
    x = np.float32(FEATURES**-0.5) * x.reshape(1, side * length, FEATURES)
    batch = np.empty((BATCH, length, length), np.float32)
    products = batch.reshape(side, side * length, length)

    def call():
        for _ in range(5):
            np.matmul(x, y.swapaxes(1, 2), out=products)
            fastsw.score(batch, **OPTIONS)
        return 5 * batch.size

    return call


def joblib_loop(data, threads):
    """joblib over `score`, a pair a task"""
    joblib = imported("joblib")

    def one(i, j):
        return fastsw.score(data.arrays[i] @ data.arrays[j].T, **OPTIONS)

    def call():
        with joblib.Parallel(threads, prefer="threads") as run:
            run(joblib.delayed(one)(i, j) for i, j in data.pairs)
        return data.cells(data.pairs)

    return call


def parasail(data, threads):
    """parasail: hard scores of letters, a profile a row"""
    package, joblib = imported("parasail"), imported("joblib")
    rng = np.random.default_rng(0)
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    strings = ["".join(rng.choice(letters, n)) for n in data.lengths]
    profiles = [package.profile_create_16(s, package.blosum62) for s in strings]

    def one(i, j):
        return package.sw_striped_profile_16(profiles[i], strings[j], 11, 1).score

    def call():
        with joblib.Parallel(threads, prefer="threads") as run:
            run(joblib.delayed(one)(i, j) for i, j in data.pairs)
        return data.cells(data.pairs)

    return call


def tslearn(data, threads):
    """tslearn: cdist_soft_dtw"""
    metrics = imported("tslearn.metrics")

    def call():
        metrics.cdist_soft_dtw(data.arrays[:8], data.arrays[8:16], gamma=1.0)
        return int(data.lengths[:8].sum() * data.lengths[8:16].sum())

    return call


CONTENDERS = [all_pairs, dense, joblib_loop, parasail, tslearn]


def measure(data, counts, rounds):
    """Million cells a second by threads and contender: [rounds, clock and processor]."""
    calls = {}
    for threads in counts:
        for contender in CONTENDERS:
            try:
                calls[threads, contender.__doc__] = contender(data, threads)
            except NotImplementedError as reason:
                print(f"not measured: {contender.__doc__}: {reason}")
    speeds = {of: [] for of in calls}
    for _ in range(1 + rounds):
        for (threads, name), call in calls.items():
            use_threads(threads)
            with threadpool_limits(threads, "blas"):
                began = time.perf_counter(), time.process_time()
                cells = call()
                ended = time.perf_counter(), time.process_time()
            speeds[threads, name].append(cells / np.subtract(ended, began) / 1e6)
    return {of: np.array(one[1:]) for of, one in speeds.items()}  # the first compiles


def spread(values, form):
    """Median and quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def rows_of(speeds):
    """Rows of a table."""
    for (threads, name), theirs in speeds.items():
        ratios = speeds[threads, all_pairs.__doc__] / theirs
        columns = spread(theirs[:, 0], ".0f"), *(spread(ratio, ".2f") for ratio in ratios.T)
        yield [str(threads), name, *columns]


def gains(speeds):
    """How much faster each contender is on more threads than on the fewest, by the clock."""
    fewest = min(threads for threads, _ in speeds)
    for (threads, name), many in speeds.items():
        if threads > fewest:
            gain = spread(many[:, 0] / speeds[fewest, name][:, 0], ".2f")
            yield [f"{threads} over {fewest}", name, gain]


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collections")
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--output", type=Path, default=FOLDER / "results" / "collections.md")
    arguments = parser.parse_args()
    speeds = measure(Data(arguments.sequences), arguments.threads, arguments.rounds)
    versions = ["python", "numpy", "numba", "joblib", "parasail", "tslearn"]
    text = "\n".join(
        [
            "# All pairs of a collection",
            "",
            f"{processor()}, {numba.config.NUMBA_NUM_THREADS} threads at hand; "
            + ", ".join(f"{name} {found(name)}" for name in versions)
            + f"; commit {commit()}.",
            f"{arguments.sequences} sequences of {SHORTEST} to {LONGEST} embeddings of {FEATURES} "
            f"float32 features. `python -m benchmarks.collections`: medians (quartiles) of "
            f"{arguments.rounds} rounds in which all take turns, `all_pairs` on {SIDE} neighbours "
            f"in length beside {SIDE} others; the ratio is `all_pairs` over the other in the same "
            f"round. Processes running on the machine at the end: {os.getloadavg()[0]:.1f}.",
            "",
            markdown(
                [
                    "threads",
                    "contender",
                    "million cells/s",
                    "all_pairs over it",
                    "by processor time",
                ],
                rows_of(speeds),
            ),
            "",
            markdown(["threads", "contender", "million cells/s, ratio"], gains(speeds)),
            "",
        ]
    )
    print(text)
    arguments.output.write_text(text)


if __name__ == "__main__":
    main()

"""All pairs of sequences of embeddings: ``python -m benchmarks.collections``.

Million cells a second of `fastsw.all_pairs`, of the work that it cannot do without (products and
scores of one large batch of pairs of one length, in memory that was there before), and of what
users would write today. All take turns in one process, so that noise hits all of them; ratios are
of neighbours in a round. Prints Markdown and writes it to benchmarks/results/.
"""

import argparse
import statistics
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

#: Pairs of the large batch, and of a round of those who take one pair after another.
BATCH, FEW = 400, 1500


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

    def cells(self, pairs):
        return int(self.lengths[pairs].prod(axis=1).sum())


def all_pairs(data, threads):
    """fastsw.all_pairs"""
    n = data.lengths
    return int(n.sum() ** 2 + (n**2).sum()) // 2, lambda: fastsw.all_pairs(data.arrays, **OPTIONS)


def dense(data, threads):
    """dense: products and `score` of one batch"""
    length = round(data.lengths.mean())
    x, y = np.random.default_rng(0).standard_normal((2, BATCH, length, FEATURES), np.float32)
    x *= np.float32(FEATURES**-0.5)
    batch = np.empty((BATCH, length, length), np.float32)

    def call():
        for _ in range(5):
            np.matmul(x, y.swapaxes(1, 2), out=batch)
            fastsw.score(batch, **OPTIONS)

    return 5 * batch.size, call


def joblib_loop(data, threads):
    """joblib over `score`, a pair a task"""
    joblib = imported("joblib")

    def one(i, j):
        return fastsw.score(data.arrays[i] @ data.arrays[j].T, **OPTIONS)

    def call():
        with joblib.Parallel(threads, prefer="threads") as run:
            run(joblib.delayed(one)(i, j) for i, j in data.pairs)

    return data.cells(data.pairs), call


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

    return data.cells(data.pairs), call


def tslearn(data, threads):
    """tslearn: cdist_soft_dtw"""
    metrics = imported("tslearn.metrics")
    x, y = data.arrays[:8], data.arrays[8:16]
    cells = int(data.lengths[:8].sum() * data.lengths[8:16].sum())
    return cells, lambda: metrics.cdist_soft_dtw(x, y, gamma=1.0)


CONTENDERS = [all_pairs, dense, joblib_loop, parasail, tslearn]


def measure(data, threads, rounds):
    """Million cells a second of each contender that is installed, one entry a round."""
    use_threads(threads)
    with threadpool_limits(threads, "blas"):
        calls = {}
        for contender in CONTENDERS:
            try:
                calls[contender.__doc__] = contender(data, threads)
            except NotImplementedError as reason:
                print(f"not measured: {contender.__doc__}: {reason}")
        for _, call in calls.values():
            call()  # compiles
        speeds = {name: [] for name in calls}
        for _ in range(rounds):
            for name, (cells, call) in calls.items():
                started = time.perf_counter()
                call()
                speeds[name].append(cells / (time.perf_counter() - started) / 1e6)
    return speeds


def spread(values, form):
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def rows_of(threads, speeds):
    """Rows of a table."""
    ours = speeds[all_pairs.__doc__]
    for name, theirs in speeds.items():
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        yield [str(threads), name, spread(theirs, ".1f"), spread(ratios, ".2f")]


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collections")
    parser.add_argument("--sequences", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--output", type=Path, default=FOLDER / "results" / "collections.md")
    arguments = parser.parse_args()
    data, rows = Data(arguments.sequences), []
    for threads in arguments.threads:
        rows += rows_of(threads, measure(data, threads, arguments.rounds))
    versions = ["python", "numpy", "numba", "joblib", "parasail", "tslearn"]
    text = "\n".join(
        [
            "# All pairs of a collection",
            "",
            f"{processor()}, {numba.config.NUMBA_NUM_THREADS} threads at hand; "
            + ", ".join(f"{name} {found(name)}" for name in versions)
            + f"; commit {commit()}.",
            f"{arguments.sequences} sequences of {SHORTEST} to {LONGEST} embeddings of {FEATURES} "
            f"float32 features, every unordered pair; `python -m benchmarks.collections`. Medians "
            f"(quartiles) of {arguments.rounds} rounds in which all take turns; the ratio is "
            "`all_pairs` over the other in the same round.",
            "",
            markdown(["threads", "contender", "million cells/s", "all_pairs over it"], rows),
            "",
        ]
    )
    print(text)
    arguments.output.write_text(text)


if __name__ == "__main__":
    main()

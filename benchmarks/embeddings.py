"""Long pairs of embeddings in strips: ``python -m benchmarks.embeddings``.

Million cells a second of `fastsw.align_embeddings`, score alone and with all gradients, and of what
it replaces: one matrix product, `fastsw.score` or `fastsw.value_and_grad` of the matrix, and the
two products that bring its gradient to the embeddings. Those of 4096 x 4096 take turns in one
process; ratios are of neighbours in a round. The long pair runs in a process of its own, whose peak
of memory is measured above that of its inputs. Prints Markdown, also into benchmarks/results/.
"""

import argparse
import multiprocessing
import os
import resource
import time
from pathlib import Path

import numba
import numpy as np
from threadpoolctl import threadpool_limits

import fastsw

from .common import OPTIONS, use_threads
from .compare_peers import commit, found, markdown, processor

FEATURES, SIDE, LONG = 64, 4096, 50_000


def embeddings(length, seed):
    """Of which similarities have variance 1."""
    rng = np.random.default_rng(seed)
    return np.float32(FEATURES**-0.25) * rng.standard_normal((length, FEATURES), np.float32)


def strips(x, y):
    """align_embeddings: score and all gradients"""
    fastsw.align_embeddings(x, y, outputs=("score", "gradients"), **OPTIONS)


def dense(x, y):
    """the matrix: product, `value_and_grad`, two products"""
    _, gradients = fastsw.value_and_grad(x @ y.T, **OPTIONS)
    gradients.similarity @ y, gradients.similarity.T @ x


def strips_alone(x, y):
    """align_embeddings: score alone"""
    fastsw.align_embeddings(x, y, **OPTIONS)


def dense_alone(x, y):
    """the matrix: product, `score`"""
    fastsw.score(x @ y.T, **OPTIONS)


CONTENDERS = strips, dense, strips_alone, dense_alone


def rounds_of(threads, rounds):
    """Million cells a second of each contender, [2, rounds, contenders]: by clock, by processor."""
    x, y = embeddings(SIDE, 0), embeddings(SIDE, 1)
    use_threads(threads)
    rates = np.empty((2, rounds, len(CONTENDERS)))
    with threadpool_limits(threads):
        for contender in CONTENDERS:
            contender(x, y)
        for k in range(rounds):
            for c, contender in enumerate(CONTENDERS):
                started = np.array([time.perf_counter(), time.process_time()])
                contender(x, y)
                spent = np.array([time.perf_counter(), time.process_time()]) - started
                rates[:, k, c] = SIDE * SIDE / spent / 1e6
    return rates


def of_long_pair(length, threads, answers):
    """Seconds of the clock and of processors, and bytes at the peak above the inputs."""
    use_threads(threads)
    with threadpool_limits(threads):
        strips(embeddings(300, 0), embeddings(300, 1))  # loads kernels
        x, y = embeddings(length, 0), embeddings(length, 1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        clock, processors = time.perf_counter(), time.process_time()
        strips(x, y)
        spent = time.perf_counter() - clock, time.process_time() - processors
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers.put((*spent, (after - before) * 1024))


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=LONG, help="of the long pair")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    threads = numba.config.NUMBA_NUM_THREADS
    counts = [1, threads] if threads > 1 else [1]
    rows = []
    for count in counts:
        rates = rounds_of(count, options.rounds)
        for c, contender in enumerate(CONTENDERS):
            ratios = rates[:, :, c] / rates[:, :, c // 2 * 2 + 1]
            figures = spread(rates[0, :, c], 0), *(spread(ratio, 2) for ratio in ratios)
            rows.append([str(count), contender.__doc__, *figures])
    context = multiprocessing.get_context("spawn")
    long_rows = []
    for count in counts:
        answers = context.Queue()
        run = context.Process(target=of_long_pair, args=(options.length, count, answers))
        run.start()
        clock, processors, memory = answers.get()
        run.join()
        cells = options.length**2 / 1e6
        whole = 4 * options.length**2
        long_rows.append(
            [
                str(count),
                f"{clock:.0f} ({processors:.0f})",
                f"{cells / clock:.0f} ({cells / processors:.0f})",
                f"{memory / 1e9:.2f}",
                f"{whole / 1e9:.1f}",
            ]
        )
    text = f"""# Long pairs of embeddings

{processor()}, {threads} threads at hand; python {found("python")}, numpy {found("numpy")}, numba {
        found("numba")
    }; commit {commit()}.
{FEATURES} float32 features. `python -m benchmarks.embeddings`: medians (quartiles) of
{options.rounds} rounds in which all take turns, {SIDE} x {SIDE}; the ratio is to the matrix in the
same round. Processes running on the machine at the end: {os.getloadavg()[0]:.1f}.

{
        markdown(
            ["threads", "contender", "million cells/s", "over the matrix", "by processor time"],
            rows,
        )
    }

{options.length} x {options.length}, score and all gradients, once:

{
        markdown(
            [
                "threads",
                "seconds (of processors)",
                "million cells/s (by processor time)",
                "peak above inputs, GB",
                "the matrix would be, GB",
            ],
            long_rows,
        )
    }
"""
    print(text)
    (options.output / "embeddings.md").write_text(text)


def spread(values, digits):
    """Median and quartiles."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()

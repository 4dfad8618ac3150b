"""Measure accuracy by fuzzing: random pairs of any range against an oracle of some 128 bits.

    python -m benchmarks.fuzz_accuracy [--pairs 120000] [--seed 0] [--out docs/results/accuracy.md]

Temperatures lie between 1e-3 and 100, similarities and costs up to 1e30; similarities are ordinary,
huge, tied, constant or masked, penalties of all forms, some negative, some huge. For each dtype and
route (`kernels.range_check`) the largest errors are kept. Ends with 1 where one is above its bound.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

import fastsw
from benchmarks import exact
from fastsw import _cpu
from fastsw._cpu import routing
from fastsw._cpu.inputs import prepare_costs
from fastsw._cpu.kernels import range_check
from fastsw._frontends.numpy_arrays import call

MODES = "local", "global", "fitting"
SHAPES = [(1, 1), (1, 9), (9, 1), (3, 4), (8, 8), (12, 10), (7, 17), (19, 6), (17, 33), (70, 2)]
#: Stands for the robust route where sums of terms of different magnitudes, which are exact to 1e-32
#: of themselves, do not tell near ties apart to 1e-11: differences count in units of T.
HUGE = 100
ROUTES = {
    range_check.BLOCK32: "linear, float32, exponents by blocks",
    range_check.CELL32: "linear, float32, exponents by cells",
    range_check.BLOCK64: "linear, float64, exponents by blocks",
    range_check.CELL64: "linear, float64, exponents by cells",
    range_check.LOG: "shares, double-double",
    HUGE: "shares, size above 1e20 T",
}
DTW_ROUTES = {
    range_check.CELL32: "soft-DTW, linear, float32",
    range_check.CELL64: "soft-DTW, linear, float64",
    range_check.LOG: "soft-DTW, shares, double-double",
    HUGE: "soft-DTW, shares, size above 1e20 T",
}
#: What is measured: heading, and the bounds for float32 and float64.
ERRORS = {
    "score": ("score / max(T, size)", 2e-6, 1e-13),
    "excess": ("row or column of the posterior above 1", 2e-5, 1e-12),
    "posterior": ("posterior", 2e-5, 1e-11),
    "paid": ("expected gaps / max(1, gaps)", 2e-5, 1e-11),
    "entropy": ("entropy / max(1, entropy)", 2e-4, 1e-8),
    "heat": ("T d entropy / dT, relative to max(1, itself)", 2e-4, 1e-6),
    "heated": ("T d posterior / dT", 2e-4, 1e-6),
}


#: Share of the batches whose derivatives in T are looked at.
THIRD = 1 / 3


def powers(rng, low, high, size):
    """Random powers of ten."""
    return 10.0 ** rng.uniform(low, high, size)


def draw_table(rng, shape):
    """Similarities, or minus costs, a kind for each pair."""
    pairs = shape[0]
    normal = rng.standard_normal(shape)
    kind = rng.choice(6, pairs, p=[0.4, 0.15, 0.15, 0.1, 0.1, 0.1])[:, None, None]
    scale = powers(rng, -1, 1, pairs)[:, None, None]
    huge = powers(rng, 0, 30, pairs)[:, None, None]
    mask = -rng.choice([1e4, 1e9, 1e30, np.inf], pairs)[:, None, None]
    return np.select(
        [kind == k for k in range(6)],
        [
            normal * scale,
            normal * huge,
            np.round(normal * 2) * huge,
            np.where(rng.random(shape) < 0.5, 1.0, -1.0)[:, :1, :1] * huge * np.ones(shape),
            np.where(rng.random(shape) < 0.3, mask, normal * scale),
            np.where(rng.random((pairs, 1, shape[2])) < 0.2, mask, normal * scale),
        ],
    )


def draw_penalty(rng, shape):
    """One penalty as an array [B|1, N|1, M|1] for each direction, and as an argument."""
    pairs, rows, columns = shape
    scale = powers(rng, 1, 12, 1)[0] if rng.random() < 0.1 else powers(rng, -1, 1, 1)[0]
    low = -0.3 if rng.random() < 0.2 else 0.05

    def draw(*size):
        return rng.uniform(low, 1.5, size) * scale

    form = rng.choice(["scalar", "pair", "vectors", "cells"], p=[0.4, 0.2, 0.2, 0.2])
    if form == "scalar":
        value = draw(1)
        return [value.reshape(1, 1, 1)] * 2, float(value[0])
    if form == "pair":
        value = draw(pairs)
        return [value.reshape(-1, 1, 1)] * 2, value
    if form == "vectors":
        x, y = draw(pairs, columns), draw(pairs, rows)
        return [x[:, None], y[:, :, None]], (x, y)
    value = draw(*shape)
    return [value] * 2, value


def relative(found, wanted, scale=None):
    """Largest |found - wanted| / scale of each pair; 0 where both are the same infinity."""
    with np.errstate(invalid="ignore"):
        error = np.where(found == wanted, 0, np.abs(found - wanted))
    error = error if scale is None else error / scale
    error = np.where(np.isnan(error), np.inf, error)
    return np.asarray(error, np.float64).reshape(len(error), -1).max(1, initial=0.0)


def routes_of(routes, robust, sizes, temperature):
    """Routes, with the robust one's pairs of huge magnitude apart."""
    return np.where((routes == robust) & (sizes > 1e20 * temperature), HUGE, routes)


def excess(posterior):
    """How far the sums of rows and columns of posteriors exceed 1, and how negative one is."""
    wide = posterior.astype(np.float64)
    sums = np.maximum(wide.sum(1).max(1, initial=0), wide.sum(2).max(1, initial=0)) - 1
    return np.maximum(np.maximum(sums, -wide.min((1, 2), initial=0)), 0)


class Worst:
    """The largest errors by dtype and route."""

    def __init__(self):
        self.pairs = defaultdict(int)
        self.errors = defaultdict(lambda: defaultdict(float))

    def add(self, dtype, names, routes, **errors):
        """Count pairs, given each one's route and errors."""
        for route, name in names.items():
            here = routes == route
            if not here.any():
                continue
            key = dtype.name, name
            self.pairs[key] += int(here.sum())
            for kind, values in errors.items():
                self.errors[key][kind] = max(self.errors[key][kind], float(values[here].max()))

    def beyond(self):
        """Bounds that do not hold."""
        return [
            f"{key[0]}, {key[1]}: {kind} {error:.2g} > {bound:.2g}"
            for key, errors in self.errors.items()
            for kind, error in errors.items()
            if "size above" not in key[1] or kind in ("score", "excess")
            for bound in [ERRORS[kind][1 if key[0] == "float32" else 2]]
            if not error <= bound
        ]

    def table(self):
        """The figures as Markdown."""
        lines = [
            "| dtype | route | pairs | " + " | ".join(e[0] for e in ERRORS.values()) + " |",
            "| --- | --- |" + " ---: |" * (1 + len(ERRORS)),
        ]
        for key in sorted(self.pairs):
            found = self.errors[key]
            cells = [f"{found[kind]:.1e}" if kind in found else "" for kind in ERRORS]
            lines.append(f"| {key[0]} | {key[1]} | {self.pairs[key]} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def gaps_of(found, counts, value):
    """Expected gaps in the form of the penalty: those found, and those wanted from cells."""

    def reduced(count, given):
        axes = tuple(k for k in range(3) if k > 0 and given.shape[k] == 1)
        return count.sum(axis=axes, keepdims=True)

    return [(f, reduced(-count, f)) for f, count, _ in zip(found, counts, value, strict=True)]


def align_once(rng, worst, pairs):
    """One batch of alignments."""
    shape = pairs, *SHAPES[rng.integers(len(SHAPES))]
    dtype = np.dtype(rng.choice(["float32", "float64"]))
    mode, temperature = str(rng.choice(MODES)), float(powers(rng, -3, 2, 1)[0])
    table = draw_table(rng, shape).astype(dtype)
    open_xy, gap_open = draw_penalty(rng, shape)
    extend_xy, gap_extend = draw_penalty(rng, shape)
    penalties = open_xy[0], extend_xy[0], open_xy[1], extend_xy[1]
    spread = [np.broadcast_to(p, shape) for p in penalties]
    wanted = exact.align(table.astype(np.float64), spread, temperature, mode)
    heated = rng.random() < THIRD
    if heated:
        of_posterior, of_entropy = slopes(
            lambda t: exact.align(table.astype(np.float64), spread, t, mode), temperature
        )

    def some(value, part):
        if isinstance(value, tuple):
            return tuple(some(v, part) for v in value)
        return value[part] if np.ndim(value) else value

    few = 2 if rng.random() < 0.3 else pairs
    for first in range(0, pairs if few == pairs else min(pairs, 60), few):
        part = slice(first, first + few)
        asked = call(
            table[part],
            gap_open=some(gap_open, part),
            gap_extend=some(gap_extend, part),
            temperature=temperature,
            mode=mode,
            lengths=None,
        )
        plan = routing.plan_alignment(asked.inputs)
        found = _cpu.gradients(asked.inputs)
        errors = {}
        if heated:
            dots = _heat(asked.inputs)
            flat, bend = _cpu.tangents(asked.inputs, dots), of_entropy[part]
            errors = {
                "heat": relative(flat.temperature, bend, np.maximum(1, np.abs(bend))),
                "heated": relative(flat.similarity, of_posterior[part]),
            }
        entropy = np.where(np.isfinite(wanted.score[part]), wanted.entropy[part], 0)
        paid = [
            relative(f, w, np.maximum(1, np.abs(w)))
            for f, w in gaps_of(found.penalties, wanted.paid[:, part], penalties)
        ]
        worst.add(
            dtype,
            ROUTES,
            routes_of(plan.routes, range_check.LOG, wanted.size[part], temperature),
            excess=excess(found.similarity),
            score=relative(
                found.score, wanted.score[part], np.maximum(temperature, wanted.size[part])
            ),
            posterior=relative(found.similarity, wanted.posterior[part]),
            paid=np.max(paid, axis=0),
            entropy=relative(found.temperature, entropy, np.maximum(1, entropy)),
            **errors,
        )


def _heat(inputs):
    """The direction of T, as long as T."""
    count = len(inputs.lengths)
    return _cpu.Derivatives(
        np.zeros(count),
        np.zeros_like(inputs.similarity),
        tuple(np.zeros((count, *p.shape[1:])) for p in inputs.penalties),
        np.full(count, inputs.temperature),
    )


def slopes(oracle, temperature):
    """T times the derivatives of probabilities and entropies in T, by central differences."""
    more, less = oracle(temperature * (1 + 1e-7)), oracle(temperature * (1 - 1e-7))
    return (more.posterior - less.posterior) / 2e-7, (more.entropy - less.entropy) / 2e-7


def warp_once(rng, worst, pairs):
    """One batch of soft-DTW."""
    shape = pairs, *SHAPES[rng.integers(len(SHAPES))]
    dtype = np.dtype(rng.choice(["float32", "float64"]))
    temperature = float(powers(rng, -3, 2, 1)[0])
    cost = np.where(
        rng.random(pairs)[:, None, None] < 0.8, np.abs(table := -draw_table(rng, shape)), table
    )
    cost = cost.astype(dtype)
    wanted = exact.warp(cost.astype(np.float64), temperature)
    lengths = np.full((pairs, 2), shape[1:])
    found = _cpu.soft_dtw(cost, temperature, lengths, None, with_gradients=True)
    errors = {}
    if rng.random() < THIRD:
        flat = _cpu.soft_dtw_tangents(
            cost, temperature, lengths, None, np.zeros_like(cost), np.full(pairs, temperature)
        )
        visits, bend = slopes(lambda t: exact.warp(cost.astype(np.float64), t), temperature)
        errors = {
            "heat": relative(-flat.temperature, bend, np.maximum(1, np.abs(bend))),
            "heated": relative(flat.cost, visits),
        }
    routes = routing.plan_warping(prepare_costs(cost, temperature, lengths, None)).routes
    entropy = np.where(np.isfinite(wanted.score), wanted.entropy, 0)
    worst.add(
        dtype,
        DTW_ROUTES,
        routes_of(routes, range_check.LOG, wanted.size, temperature),
        score=relative(found.score, wanted.score, np.maximum(temperature, wanted.size)),
        posterior=relative(found.cost, wanted.posterior),
        entropy=relative(-found.temperature, entropy, np.maximum(1, entropy)),
        **errors,
    )


def fuzz(pairs, seed, batch=400):
    """The largest errors over so many pairs."""
    rng, worst = np.random.default_rng(seed), Worst()
    while sum(worst.pairs.values()) < pairs:
        (warp_once if rng.random() < 0.25 else align_once)(rng, worst, batch)
    return worst


PAGE = """# Accuracy

The largest errors of {pairs} random pairs against an oracle of some 128 bits
(`benchmarks/exact.py`), written with fastsw {version} by

    python -m benchmarks.fuzz_accuracy --pairs {asked} --seed {seed}

Temperatures lie between 1e-3 and 100; similarities and costs go up to 1e30; all modes and forms of
penalties take part.

*Size* is the mean, over alignments, of the sum of the magnitudes of an alignment's similarities and
costs: what a score is rounded to, where gains and costs cancel.

{table}

The route is chosen pair by pair, by a proof that its range suffices. Sums of terms of different
magnitudes are exact to 1e-32 of themselves, so that near ties are told apart to 1e-32 of the size
over T: where that is above 1e-12 no bound is set but for scores and for sums of posteriors, which
are probabilities all the same (from 1e24 T on the oracle's 128 bits do not suffice either).
Entropies that the linear routes cannot give to 1e-4 (float32) or 1e-9 (float64) of max(1, entropy)
are computed on the next more exact route, and so are derivatives in T of posteriors and entropies.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=120_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/results/accuracy.md"))
    options = parser.parse_args()
    worst = fuzz(options.pairs, options.seed)
    print(worst.table())
    options.out.write_text(
        PAGE.format(
            pairs=sum(worst.pairs.values()),
            asked=options.pairs,
            seed=options.seed,
            version=fastsw.__version__,
            table=worst.table(),
        )
    )
    beyond = worst.beyond()
    print(*beyond, sep="\n")
    sys.exit(1 if beyond else 0)


if __name__ == "__main__":
    main()

"""Calibrate and measure `Matching.trust`: ``python docs/measure_trust.py DATA ENCODER``.

DATA holds `pose2sim_multiview/SinglePerson`, `grid` and `unlabelled_videos`; 24 clips of lac's own
are drawn beside them. Random crops of two videos of one procedure are pairs that match; the same
with the second played backwards, videos of different sets and different signs do not. A logistic
regression on the logarithm of `Trust.reversed` is fitted to all, kinds of pairs weighted by the
root of their number and both answers alike. What is called held out comes from a regression
without the sets that a pair is of. Prints tables as Markdown.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from measure_alignment import Representation, crops, of_run
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from lac._matching import match
from lac._trust import Trust
from lac.data import Rendered, read_video, render

DRAWN = Rendered(train=24, val=0, size=128, seed=7)
CROPS = 80  # pairs of crops of each set
ACROSS = 25  # pairs of each two sets


class Pair(NamedTuple):
    """Two videos, of which sets, and whether they show one procedure."""

    kind: str
    sets: tuple[str, ...]
    matches: bool
    trust: Trust
    names: tuple[str, ...] = ()


def read_sets(data: Path, drawn: Path, size: int) -> dict[str, dict[str, np.ndarray]]:
    """Return frames by set and name; of GRID, the clips that nothing shipped was trained on."""
    render(drawn, DRAWN)
    held_out = json.loads((data / "grid" / "labels.json").read_text())["split"]["val"]
    files = {
        "views": sorted((data / "pose2sim_multiview" / "SinglePerson").glob("*.mp4")),
        "grid": [data / "grid" / "clips" / f"{name}.mp4" for name in held_out],
        "drawn": sorted((drawn / "clips").iterdir()),
        "signs": sorted((data / "unlabelled_videos").glob("*.mkv")),
    }
    return {
        name: {file.stem: read_video(file, size=size).frames for file in paths}
        for name, paths in files.items()
    }


def compare(
    sets: dict[str, dict[str, np.ndarray]], representation: Representation, seed: int
) -> Iterator[Pair]:
    """Align pairs of each kind."""
    rng = np.random.default_rng(seed)
    prepared = {
        name: {clip: representation.prepare(frames) for clip, frames in clips.items()}
        for name, clips in sets.items()
    }

    def trust(x: np.ndarray, y: np.ndarray) -> Trust:
        embedded = representation.embed(x), representation.embed(y)
        return match(*embedded, loss=representation.loss).trust

    def drawn(name: str) -> np.ndarray:
        return prepared[name][rng.choice(sorted(prepared[name]))]

    def crop(x: np.ndarray) -> np.ndarray:
        return x[next(crops(len(x), 1, rng))[0]]

    for name in ("views", "grid", "drawn"):
        for _ in range(CROPS):
            a, b = rng.choice(sorted(prepared[name]), 2, replace=False)
            x, y = crop(prepared[name][a]), crop(prepared[name][b])
            yield Pair(f"{name}, two videos", (name,), True, trust(x, y))
            yield Pair(f"{name}, one backwards", (name,), False, trust(x, y[::-1].copy()))
    for a, b in combinations(sorted(prepared["signs"]), 2):
        x, y = prepared["signs"][a], prepared["signs"][b]
        yield Pair("signs, different", ("signs",), False, trust(x, y), (a, b))
    for x in prepared["signs"].values():
        yield Pair("signs, two crops of one", ("signs",), True, trust(crop(x), crop(x)))
    for a, b in combinations(prepared, 2):
        for _ in range(ACROSS):
            yield Pair("of two sets", (a, b), False, trust(drawn(a), drawn(b)))


def predictors(pairs: list[Pair]) -> np.ndarray:
    """Return what the regression sees of pairs, (K, 1)."""
    return np.array([[np.log(pair.trust.reversed)] for pair in pairs])


def weights(pairs: list[Pair]) -> np.ndarray:
    """Return weights of pairs, their sums equal for those that match and those that do not."""
    kinds = [(pair.kind, pair.sets) for pair in pairs]
    matches = np.array([pair.matches for pair in pairs])
    weight = np.array([kinds.count(kind) ** -0.5 for kind in kinds])
    for answer in (True, False):
        weight[matches == answer] *= len(pairs) / 2 / weight[matches == answer].sum()
    return weight


def fit(pairs: list[Pair]) -> LogisticRegression:
    """Fit the regression to pairs."""
    matches = [pair.matches for pair in pairs]
    return LogisticRegression().fit(predictors(pairs), matches, weights(pairs))


def print_kinds(pairs: list[Pair], held_out: np.ndarray) -> None:
    """Print what is said of each kind of pairs."""
    print("| pairs | number | match | unsure | no match | median | match, held out |")
    print("|---|---|---|---|---|---|---|")
    for kind in dict.fromkeys(pair.kind for pair in pairs):
        chosen = np.array([pair.kind == kind for pair in pairs])
        trusts = [pair.trust for pair in pairs if pair.kind == kind]
        verdicts = [trust.verdict for trust in trusts]
        counts = " | ".join(str(verdicts.count(v)) for v in ("match", "unsure", "no match"))
        median = np.median([trust.probability for trust in trusts])
        sure = (held_out[chosen] >= 0.8).sum()
        print(f"| {kind} | {len(trusts)} | {counts} | {median:.2f} | {sure} |")


def print_reliability(pairs: list[Pair], held_out: np.ndarray) -> None:
    """Print how often pairs match whose sets had no part in the fit, by what was said."""
    weight, matches = weights(pairs), np.array([pair.matches for pair in pairs])
    print("\n| said, held out | number | mean | truly |")
    print("|---|---|---|---|")
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        chosen = (held_out >= low) & (held_out < low + 0.2)
        if chosen.any():
            said, truly = (
                np.average(v[chosen], weights=weight[chosen]) for v in (held_out, matches)
            )
            print(f"| {low:.1f} to {low + 0.2:.1f} | {chosen.sum()} | {said:.2f} | {truly:.2f} |")
    area = roc_auc_score(matches, held_out, sample_weight=weight)
    print(f"\nHeld out, area under the ROC curve {area:.2f}.")


def print_signs(pairs: list[Pair]) -> None:
    """Name the different signs that are said to match, or not to."""
    for verdict in ("match", "no match"):
        said = sorted(
            (pair for pair in pairs if pair.names and pair.trust.verdict == verdict),
            key=lambda pair: -pair.trust.probability,
        )
        listed = (f"{' and '.join(p.names)} ({p.trust.probability:.2f})" for p in said)
        print(f"\nDifferent signs, {verdict}: {', '.join(listed) or 'none'}.")


def main() -> None:
    """Measure one encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder", help="name of a frozen encoder, or a run")
    parser.add_argument("--drawn", type=Path, default=Path("drawn"), help="folder to draw into")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    representation = of_run(options.encoder)
    sets = read_sets(options.data, options.drawn, representation.size)
    pairs = list(compare(sets, representation, options.seed))
    every = fit(pairs)
    print(f"intercept {every.intercept_[0]:.3f}, slope {every.coef_[0, 0]:.3f}\n")
    held_out = np.empty(len(pairs))
    for involved in {pair.sets for pair in pairs}:
        without = fit([pair for pair in pairs if not {*pair.sets} & {*involved}])
        places = [k for k, pair in enumerate(pairs) if pair.sets == involved]
        chosen = predictors([pairs[k] for k in places])
        held_out[places] = without.predict_proba(chosen)[:, 1]
    print_kinds(pairs, held_out)
    print_reliability(pairs, held_out)
    print_signs(pairs)


if __name__ == "__main__":
    main()

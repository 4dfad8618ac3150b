"""Measure `lac.align` on synchronised views: ``python docs/measure_alignment.py VIDEOS RUN...``.

VIDEOS is a folder of videos of one performance, recorded in step: frame i of one is frame i of
each other. Of every two videos random crops are aligned, so that neither begins where the other
does, and the frame found is held against the true one. Prints a table as Markdown.
"""

import argparse
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

import lac
from lac.align import match, settings_of
from lac.data import read_video, resize
from lac.encoder import Lite0Extractor
from lac.losses import LacLoss

LEAST = 0.5  # shortest crop as a share of the video


class Representation(NamedTuple):
    """What is computed once of every frame, and the unit vectors (T, D) of a crop of that."""

    prepare: Callable[[np.ndarray], np.ndarray]
    embed: Callable[[np.ndarray], np.ndarray]
    settings: LacLoss | None = None


class Errors(NamedTuple):
    """Absolute errors in frames, of frames whose partner is in the other crop."""

    matched: np.ndarray  # where the alignment gives a partner
    all: np.ndarray  # with the ends of the alignment carried on at equal pace


def crops(length: int, count: int, rng: np.random.Generator) -> Iterator[tuple[slice, slice]]:
    """Draw pairs of crops of two videos of equal length."""
    for _ in range(count):
        sizes = rng.integers(int(np.ceil(LEAST * length)), length, 2, endpoint=True)
        starts = rng.integers(0, length - sizes, endpoint=True)
        first, second = (slice(a, a + n) for a, n in zip(starts, sizes, strict=True))
        yield first, second


def errors(warped: np.ndarray, first: slice, second: slice) -> Errors:
    """Compare the places found in the second crop with the true ones."""
    rows = np.arange(first.stop - first.start)
    truth = rows + first.start - second.start
    known = np.flatnonzero(np.isfinite(warped))
    carried = warped.copy()
    if len(known):
        low, high = known[0], known[-1]
        carried[:low] = warped[low] - (low - rows[:low])
        carried[high + 1 :] = warped[high] + (rows[high + 1 :] - high)
    partnered = (truth >= 0) & (truth < second.stop - second.start)
    difference = np.abs(carried - truth)[partnered]
    return Errors(np.abs(warped - truth)[partnered & np.isfinite(warped)], difference)


def of_run(path: Path) -> Representation:
    """Embed with a run, and align with the penalties that it learned."""
    embedder = lac.load(path)
    size = embedder.image_size
    if size is None:
        raise ValueError(f"`runs` must be on videos, got {path}")
    return Representation(
        lambda frames: resize(frames, size=size),
        lambda frames: embedder(frames).numpy(),
        settings_of(embedder),
    )


def raw() -> dict[str, Representation]:
    """Return pixels and frozen features without training, less their mean over the crop."""
    extractor = Lite0Extractor()

    def pooled(maps: np.ndarray, side: int) -> np.ndarray:
        return F.adaptive_avg_pool2d(torch.from_numpy(maps).float(), side).flatten(1).numpy()

    def centred(x: np.ndarray) -> np.ndarray:
        return F.normalize(torch.from_numpy(x - x.mean(0)), dim=1).numpy()

    def pixels(frames: np.ndarray) -> np.ndarray:
        return pooled(resize(frames, size=64), 8)

    def lite0(frames: np.ndarray) -> np.ndarray:
        return pooled(extractor(resize(frames, size=extractor.image_size)), 2)

    return {
        "raw pixels": Representation(pixels, centred),
        "raw lite0": Representation(lite0, centred),
    }


def main() -> None:
    """Measure runs and baselines on the same crops."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--only", nargs="+", help="names of the videos, all by default")
    parser.add_argument("--crops", type=int, default=20, help="of each two videos")
    parser.add_argument("--every", type=int, default=1, help="take every so many frames")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = [
        f for f in sorted(options.videos.iterdir()) if not options.only or f.stem in options.only
    ]
    videos = [read_video(file, size=256).frames[:: options.every] for file in files]
    representations = {run.name: of_run(run) for run in options.runs} | raw()
    found: dict[str, list[Errors]] = {name: [] for name in (*representations, "time only")}
    prepared = {
        name: [representation.prepare(video) for video in videos]
        for name, representation in representations.items()
    }
    rng = np.random.default_rng(0)
    for a, b in combinations(range(len(videos)), 2):
        for first, second in crops(len(videos[a]), options.crops, rng):
            rows, columns = first.stop - first.start, second.stop - second.start
            for name, (_, embed, settings) in representations.items():
                x, y = embed(prepared[name][a][first]), embed(prepared[name][b][second])
                warped = match(x, y, settings=settings).alignment.warp(np.arange(rows))
                found[name].append(errors(warped, first, second))
            found["time only"].append(errors(np.linspace(0, columns - 1, rows), first, second))
    print("| | median error, matched frames | share matched | median error, all frames |")
    print("|---|---|---|---|")
    for name, measured in found.items():
        matched, every = (np.concatenate(part) for part in zip(*measured, strict=True))
        print(
            f"| {name} | {np.median(matched) * options.every:.1f}"
            f" | {len(matched) / len(every):.2f}"
            f" | {np.median(np.nan_to_num(every, nan=np.inf)) * options.every:.1f} |"
        )


if __name__ == "__main__":
    main()

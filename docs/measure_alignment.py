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

LEAST = 0.5  # shortest crop as a share of the video

Representation = Callable[[np.ndarray], np.ndarray]  # uint8 (T, 3, H, W) to unit vectors (T, D)


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


def pooled(maps: torch.Tensor, side: int) -> np.ndarray:
    """Average maps to side x side, take their mean over the crop off, and make unit vectors."""
    x = F.adaptive_avg_pool2d(maps, side).flatten(1)
    return F.normalize(x - x.mean(0), dim=1).numpy()


def main() -> None:
    """Measure runs and baselines on the same crops."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--only", nargs="+", help="names of the videos, all by default")
    parser.add_argument("--crops", type=int, default=20, help="of each two videos")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = [
        f for f in sorted(options.videos.iterdir()) if not options.only or f.stem in options.only
    ]
    videos = [read_video(file, size=256).frames for file in files]
    extractor = Lite0Extractor()
    learned = {str(run): lac.load(run) for run in options.runs}
    representations: dict[str, tuple[Representation, lac.Embedder | None]] = {
        name: (lambda frames, embed=embed: embed(frames).numpy(), embed)
        for name, embed in learned.items()
    }
    representations["raw pixels, centred"] = (
        lambda frames: pooled(torch.from_numpy(resize(frames, size=64)).float(), 8),
        None,
    )
    representations["raw lite0, centred"] = (
        lambda frames: pooled(
            torch.from_numpy(extractor(resize(frames, size=extractor.image_size))).float(), 2
        ),
        None,
    )
    found: dict[str, list[Errors]] = {name: [] for name in (*representations, "time only")}
    rng = np.random.default_rng(0)
    for a, b in combinations(range(len(videos)), 2):
        for first, second in crops(len(videos[a]), options.crops, rng):
            rows, columns = first.stop - first.start, second.stop - second.start
            for name, (embed, run) in representations.items():
                x, y = embed(videos[a][first]), embed(videos[b][second])
                matching = match(x, y, settings=settings_of(run) if run else None)
                warped = matching.alignment.warp(np.arange(rows))
                found[name].append(errors(warped, first, second))
            found["time only"].append(errors(np.linspace(0, columns - 1, rows), first, second))
    print("| | median error, matched frames | share matched | median error, all frames |")
    print("|---|---|---|---|")
    for name, measured in found.items():
        matched, every = (np.concatenate(part) for part in zip(*measured, strict=True))
        print(
            f"| {name} | {np.median(matched):.1f} | {len(matched) / len(every):.2f}"
            f" | {np.median(np.nan_to_num(every, nan=np.inf)):.1f} |"
        )


if __name__ == "__main__":
    main()

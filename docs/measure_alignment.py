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
from lac._matching import match
from lac.data import read_video, resize
from lac.encoder import Lite0Extractor
from lac.losses import Loss

LEAST = 0.5  # shortest crop as a share of the video


class Representation(NamedTuple):
    """What is computed once of every frame, and the unit vectors (T, D) of a crop of that."""

    prepare: Callable[[np.ndarray], np.ndarray]
    embed: Callable[[np.ndarray], np.ndarray]
    loss: Loss | None = None


class Errors(NamedTuple):
    """What an alignment gave for each frame of the first crop."""

    matched: np.ndarray  # absolute errors in frames, of frames with a partner that were matched
    all: np.ndarray  # of all frames with a partner, the ends carried on at equal pace
    alone: np.ndarray  # whether a frame was matched, of those whose partner is in no crop


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
    matched = np.isfinite(warped)
    return Errors(
        np.abs(warped - truth)[partnered & matched], difference, matched[~partnered].astype(float)
    )


def of_run(run: str) -> Representation:
    """Embed with a run or a frozen encoder, and align as it is aligned."""
    embedder = lac.load(run)
    size, extractor = embedder.image_size, embedder.encoder.extractor
    if size is None:
        raise ValueError(f"`runs` must be on videos, got {run}")
    if extractor is None:
        return Representation(
            lambda frames: resize(frames, size=size),
            lambda frames: embedder(frames).numpy(),
            embedder.loss,
        )

    @torch.inference_mode()
    def embed(maps: np.ndarray) -> np.ndarray:
        times, mask = torch.arange(len(maps)), torch.ones(1, len(maps), dtype=torch.bool)
        content = torch.tensor(maps).float()[None]
        return embedder.encoder(content, times.float()[None], mask)[0].numpy()

    return Representation(lambda frames: extractor(resize(frames, size=size)), embed, embedder.loss)


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
    parser.add_argument("runs", nargs="*", help="run directories, and names of frozen encoders")
    parser.add_argument("--only", nargs="+", help="names of the videos, all by default")
    parser.add_argument("--crops", type=int, default=20, help="of each two videos")
    parser.add_argument("--every", type=int, default=1, help="take every so many frames")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = [
        f for f in sorted(options.videos.iterdir()) if not options.only or f.stem in options.only
    ]
    videos = [read_video(file, size=256).frames[:: options.every] for file in files]
    representations = {Path(run).name: of_run(run) for run in options.runs} | raw()
    found: dict[str, list[Errors]] = {name: [] for name in (*representations, "time only")}
    prepared = {
        name: [representation.prepare(video) for video in videos]
        for name, representation in representations.items()
    }
    rng = np.random.default_rng(0)
    for a, b in combinations(range(len(videos)), 2):
        for first, second in crops(len(videos[a]), options.crops, rng):
            rows, columns = first.stop - first.start, second.stop - second.start
            for name, (_, embed, loss) in representations.items():
                x, y = embed(prepared[name][a][first]), embed(prepared[name][b][second])
                warped = match(x, y, loss=loss).alignment.warp(np.arange(rows))
                found[name].append(errors(warped, first, second))
            found["time only"].append(errors(np.linspace(0, columns - 1, rows), first, second))
    print("| | matched: median error, frames | share matched | of those without partner | all |")
    print("|---|---|---|---|---|")
    for name, measured in found.items():
        matched, every, alone = (np.concatenate(part) for part in zip(*measured, strict=True))
        print(
            f"| {name} | {np.median(matched) * options.every:.1f}"
            f" | {len(matched) / len(every):.2f} | {alone.mean():.2f}"
            f" | {np.median(np.nan_to_num(every, nan=np.inf)) * options.every:.1f} |"
        )


if __name__ == "__main__":
    main()

"""Measure `lac.align`: ``python docs/measure_alignment.py VIDEOS RUN...``.

VIDEOS is a folder of videos of one performance, recorded in step: frame i of one is frame i of
each other. Of every two videos random crops are aligned, so that neither begins where the other
does, and the frame found is held against the true one. Or, with `labels.json` beside the folder,
of videos whose frames have a phase: random crops of random pairs of its validation clips are
aligned, and phases are compared. A RUN may be the name of a frozen encoder. Prints a table as
Markdown: means over seeds of crops, and from where to where they lie.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

import lac
from lac._matching import match
from lac.data import read_video
from lac.encoder import Lite0Extractor
from lac.losses import Loss

LEAST = 0.5  # shortest crop as a share of the video


class Representation(NamedTuple):
    """What is computed once of every frame, and the unit vectors (T, D) of a crop of that."""

    size: int  # of the frames that are read
    prepare: Callable[[np.ndarray], np.ndarray]
    embed: Callable[[np.ndarray], np.ndarray]
    loss: Loss | None = None


class Errors(NamedTuple):
    """What an alignment gave for each frame of the first crop."""

    matched: np.ndarray  # absolute errors in frames, of frames with a partner that were matched
    all: np.ndarray  # of all frames with a partner, the ends carried on at equal pace
    alone: np.ndarray  # whether a frame was matched, of those whose partner is in no crop


Prepared = dict[str, list[np.ndarray]]  # by representation, of each video


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
            size, lambda frames: frames, lambda frames: embedder(frames).numpy(), embedder.loss
        )

    @torch.inference_mode()
    def embed(maps: np.ndarray) -> np.ndarray:
        times, mask = torch.arange(len(maps)), torch.ones(1, len(maps), dtype=torch.bool)
        content = torch.tensor(maps).float()[None]
        return embedder.encoder(content, times.float()[None], mask)[0].numpy()

    return Representation(size, extractor, embed, embedder.loss)


def raw() -> dict[str, Representation]:
    """Return pixels and frozen features without training, less their mean over the crop."""
    extractor = Lite0Extractor()

    def pooled(maps: np.ndarray, side: int) -> np.ndarray:
        return F.adaptive_avg_pool2d(torch.from_numpy(maps).float(), side).flatten(1).numpy()

    def centred(x: np.ndarray) -> np.ndarray:
        return F.normalize(torch.from_numpy(x - x.mean(0)), dim=1).numpy()

    def pixels(frames: np.ndarray) -> np.ndarray:
        return pooled(frames, 8)

    def lite0(frames: np.ndarray) -> np.ndarray:
        return pooled(extractor(frames), 2)

    return {
        "raw pixels": Representation(64, pixels, centred),
        "raw lite0": Representation(extractor.image_size, lite0, centred),
    }


def measure_views(
    prepared: Prepared,
    representations: dict[str, Representation],
    options: argparse.Namespace,
) -> dict[str, list[list[float]]]:
    """Return, by name and seed, what is measured of videos in step."""
    rows: dict[str, list[list[float]]] = {name: [] for name in (*representations, "time only")}
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        found: dict[str, list[Errors]] = {name: [] for name in rows}
        videos = next(iter(prepared.values()))
        for a, b in combinations(range(len(videos)), 2):
            for first, second in crops(len(videos[a]), options.crops, rng):
                length, columns = first.stop - first.start, second.stop - second.start
                for name, (_, _, embed, loss) in representations.items():
                    x, y = embed(prepared[name][a][first]), embed(prepared[name][b][second])
                    warped = match(x, y, loss=loss).alignment.warp(np.arange(length))
                    found[name].append(errors(warped, first, second))
                straight = np.linspace(0, columns - 1, length)
                found["time only"].append(errors(straight, first, second))
        for name, measured in found.items():
            matched, every, alone = (np.concatenate(part) for part in zip(*measured, strict=True))
            rows[name].append(
                [
                    np.median(matched) * options.every,
                    len(matched) / len(every),
                    alone.mean(),
                    np.median(np.nan_to_num(every, nan=np.inf)) * options.every,
                ]
            )
    return rows


def measure_phases(
    prepared: Prepared,
    phases: list[np.ndarray],
    representations: dict[str, Representation],
    options: argparse.Namespace,
) -> dict[str, list[list[float]]]:
    """Return, by name and seed, how often matched frames are of one phase, and how many are."""
    rows: dict[str, list[list[float]]] = {name: [] for name in (*representations, "time only")}
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        found: dict[str, list[np.ndarray]] = {name: [] for name in rows}
        for _ in range(4 * options.crops):
            a, b = rng.choice(len(phases), 2, replace=False)
            first, second = (next(crops(len(phases[k]), 1, rng))[0] for k in (a, b))
            x, y = phases[a][first], phases[b][second]
            straight = np.linspace(0, len(y) - 1, len(x))
            timed = y[np.rint(straight).astype(int)] == x
            for name, (_, _, embed, loss) in representations.items():
                z, w = embed(prepared[name][a][first]), embed(prepared[name][b][second])
                warped = match(z, w, loss=loss).alignment.warp(np.arange(len(x)))
                matched = np.isfinite(warped)
                right = matched.copy()
                right[matched] = y[np.rint(warped[matched]).astype(int)] == x[matched]
                found[name].append(np.stack([matched, right, matched & timed]))
            found["time only"].append(np.stack([np.ones_like(timed), timed, timed]))
        for name, measured in found.items():
            matched, right, timed = np.concatenate(measured, axis=1).mean(1)
            rows[name].append([right / matched, timed / matched, matched, right])
    return rows


def main() -> None:
    """Measure runs and baselines on the same crops."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("runs", nargs="*", help="run directories, and names of frozen encoders")
    parser.add_argument("--only", nargs="+", help="names of the videos, all by default")
    parser.add_argument("--crops", type=int, default=20, help="of each two videos")
    parser.add_argument("--every", type=int, default=1, help="take every so many frames")
    parser.add_argument("--seeds", type=int, default=1, help="of crops")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = [
        f for f in sorted(options.videos.iterdir()) if not options.only or f.stem in options.only
    ]
    labels = options.videos.parent / "labels.json"
    representations = {Path(run).name: of_run(run) for run in options.runs} | raw()
    if labels.exists():
        content = json.loads(labels.read_text())
        chosen = content["split"]["val"] or content["split"]["train"]
        files = [file for file in files if file.stem in chosen]
        phases = [np.array(content["clips"][f.stem]["phase"])[:: options.every] for f in files]
    prepared = {
        name: [
            representation.prepare(read_video(file, size=representation.size).frames)[
                :: options.every
            ]
            for file in files
        ]
        for name, representation in representations.items()
    }
    if labels.exists():
        rows = measure_phases(prepared, phases, representations, options)
        print("| | of one phase | by time alone, same frames | share matched | matched and right |")
    else:
        rows = measure_views(prepared, representations, options)
        print(
            "| | matched: median error, frames | share matched | of those without partner | all |"
        )
    print("|---|---|---|---|---|")
    for name, seeds in rows.items():
        print(f"| {name} | " + " | ".join(map(spread, np.array(seeds).T)) + " |")


def spread(values: np.ndarray) -> str:
    """Write a mean, and where values of several seeds lie."""
    digits = 1 if values.max() > 1 else 2
    text = f"{values.mean():.{digits}f}"
    if len(values) > 1:
        text += f" ({values.min():.{digits}f} to {values.max():.{digits}f})"
    return text


if __name__ == "__main__":
    main()

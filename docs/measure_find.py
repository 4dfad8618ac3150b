"""Measure what the app finds: ``python docs/measure_find.py VIDEOS ENCODER...``.

VIDEOS is a folder of videos of one performance, recorded in step: frame i of one is frame i of
each other. Moments of each are looked for in each other, of which the first fifth is cut off, and
the frame found is held against the true one. Prints a table as Markdown: absolute errors in frames.
"""

import argparse
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np

import lac
from lac._embedding import embed_file
from lac._finding import find
from lac.losses import Loss

EVERY = 5  # frames between moments that are looked for


def errors(
    source: np.ndarray, video: np.ndarray, cut: int, loss: Loss
) -> Iterator[tuple[int, int, int]]:
    """Yield errors of what is found, of the most similar frame, and of the middle of the video."""
    for frame in range(cut + EVERY, len(source), EVERY):
        true = frame - cut
        found = find(source, video, frame, frame, loss=loss).nearest
        similar = int((video @ source[frame]).argmax())
        yield abs(found - true), abs(similar - true), abs(len(video) // 2 - true)


def main() -> None:
    """Find, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("videos", type=Path, metavar="VIDEOS")
    parser.add_argument("encoders", nargs="+", metavar="ENCODER")
    options = parser.parse_args()
    files = sorted(options.videos.glob("*.mp4"))
    for encoder in options.encoders:
        embedder = lac.load(encoder)
        embedded = [embed_file(embedder, file).embeddings for file in files]
        found = [
            one
            for source, video in permutations(embedded, 2)
            for one in errors(source, video[len(video) // 5 :], len(video) // 5, embedder.loss)
        ]
        means, medians = np.mean(found, 0), np.median(found, 0)
        cells = [f"{a:.1f} ({b:.0f})" for a, b in zip(means, medians, strict=True)]
        print(f"| {encoder} | {len(found)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

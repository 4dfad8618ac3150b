"""Measure labels that are carried over: ``python docs/measure_label.py DATA ENCODER...``.

DATA has clips, and `labels.json` with phases and a split. Every pair of some training clips labels
each validation clip, as it is and cropped: 50 % to 100 % of its length, at any place. Prints tables
as Markdown: the share of frames that are labelled right, the mean and, in brackets, the worst and
the best pair; beside it what a clock says, the frames of both clips that have come as far, and what
the most similar frame of both says, wherever it is; and for how many pairs both are worse. Then how
often labels of what confidence are right.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

import lac
from lac._embedding import embed_file
from lac._labelling import Carried, Labelled, carry
from lac.data import read_folder
from lac.losses import Loss

REFERENCES = 12  # training clips, of which each pair is taken
AROUND = 0.03  # of a clip's length: how near frames vote where only time counts
BINS = 0.0, 0.25, 0.5, 0.75, 1.01  # of confidence


def crop(video: Labelled, draw: np.random.Generator) -> Labelled:
    """Return a part of a video."""
    length = draw.integers(len(video.labels) // 2, len(video.labels) + 1)
    begin = draw.integers(0, len(video.labels) - length + 1)
    return Labelled(*(content[begin : begin + length] for content in video))


def by_time(references: list[np.ndarray], length: int) -> np.ndarray:
    """Label frames by the labels of references where those have come as far."""
    phases = np.arange(1 + max(int(labels.max()) for labels in references))
    votes = np.zeros((length, len(phases)))
    for labels in references:
        apart = abs(_shares(length)[:, None] - _shares(len(labels)))
        votes += (apart < AROUND) @ (labels[:, None] == phases)
    return votes.argmax(1)


def _shares(length: int) -> np.ndarray:
    """Return how far each frame has come in a clip."""
    return (np.arange(length) + 0.5) / length


def by_likeness(references: list[Labelled], video: np.ndarray) -> np.ndarray:
    """Label each frame as the most similar one of the references, wherever it is."""
    embeddings, labels = (np.concatenate(parts) for parts in zip(*references, strict=True))
    return labels[(video @ embeddings.T).argmax(1)]


def shares(
    references: list[Labelled], videos: list[Labelled], loss: Loss
) -> Iterator[tuple[tuple[float, ...], Carried, np.ndarray]]:
    """Yield, of each video, shares of frames labelled right, what was carried, and what is true."""
    for video, true in videos:
        carried = carry(references, video, loss=loss)
        clock = by_time([labels for _, labels in references], len(true))
        others = clock, by_likeness(references, video)
        yield tuple(float((one == true).mean()) for one in (carried.labels, *others)), carried, true


def main() -> None:
    """Embed, carry, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("encoders", nargs="+", metavar="ENCODER")
    options = parser.parse_args()
    collection = read_folder(options.data)
    training = collection.select("train")
    marked = training[:: max(1, len(training) // REFERENCES)][:REFERENCES]
    sure: dict[str, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    for encoder in options.encoders:
        embedder = lac.load(encoder)
        references, whole = (
            [
                Labelled(embed_file(embedder, clip.path).embeddings, np.asarray(clip.phase))
                for clip in clips
            ]
            for clips in (marked, collection.select("val"))
        )
        draw = np.random.default_rng(0)
        for kind, videos in (("whole", whole), ("cropped", [crop(one, draw) for one in whole])):
            right = []  # by pair
            for pair in combinations(references, 2):
                found = list(shares(list(pair), videos, embedder.loss))
                right.append(np.mean([one for one, _, _ in found], 0))
                if kind == "whole":
                    sure[encoder] += [
                        (carried.confidence, carried.labels == true) for _, carried, true in found
                    ]
            won = sum(carried > max(others) for carried, *others in right)
            cells = [
                f"{np.mean(column):.3f} ({min(column):.3f} to {max(column):.3f})"
                for column in np.transpose(right)
            ]
            cells.append(f"{won} of {len(right)}")
            print(f"| {encoder} | {kind} | {' | '.join(cells)} |", flush=True)
            clock = [
                by_time([np.asarray(clip.phase) for clip in training], len(true)) == true
                for _, true in videos
            ]
            print(
                f"a clock that knows all {len(training)}: {np.mean([c.mean() for c in clock]):.3f}"
            )
    for encoder, found in sure.items():
        confidence, right = (np.concatenate(parts) for parts in zip(*found, strict=True))
        within = [(low <= confidence) & (confidence < high) for low, high in pairwise(BINS)]
        cells = [f"{right[one].mean():.2f} ({one.mean():.0%})" for one in within]
        print(f"| {encoder} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

"""Write data sets as folders for source `features`: ``feature_folders.py SET DATA OUT``.

SET is `sound`: DATA holds `logmel40_100hz.npz`, 40 log-mel bands at 100 Hz of GRID's clips by
name, and `labels.json` of its videos at 25 a second. Or SET is `gestures`: DATA holds the files
`*_raw.csv` of UCI's Gesture Phase Segmentation, recordings of six joints of people who tell a
story; each is cut into gestures, from the middle of one rest to the middle of the next, and the
last story of each person is for validation. OUT must be new.
"""

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

_PHASES = ("Rest", "Preparation", "Stroke", "Hold", "Retraction")
_SPELT = {"Preparação": "Preparation"}
_LONGEST_REST = 30  # frames at either end of a gesture, about a second
_SHORTEST = 20  # frames of a gesture, below which it is left out
_HEAD, _SPINE = 2, 3  # places among the joints: hands, head, spine, wrists


class Sequence(NamedTuple):
    """What is written of one clip."""

    name: str
    split: str
    features: np.ndarray  # (T, D) float32
    phase: list[int]


def sound(data: Path) -> tuple[list[str], Iterator[Sequence]]:
    """Return the phases, and log-mel bands of clips, labelled as the video frame of that time."""
    labels = json.loads((data / "labels.json").read_text())
    split = {name: part for part, names in labels["split"].items() for name in names}

    def read() -> Iterator[Sequence]:
        with np.load(data / "logmel40_100hz.npz") as bands:
            for name in sorted(split):
                phase = labels["clips"][name]["phase"]
                own = bands[name].astype(np.float32)
                places = np.minimum(np.arange(len(own)) // 4, len(phase) - 1)
                yield Sequence(name, split[name], own, [phase[place] for place in places])

    return labels["phase_names"], read()


def gestures(data: Path) -> tuple[list[str], Iterator[Sequence]]:
    """Return the phases, and gestures cut out of recordings."""

    def read() -> Iterator[Sequence]:
        files = sorted(data.glob("*_raw.csv"))
        last = {file.name[0]: file for file in files}  # by person
        for file in files:
            joints, phase = _recording(file)
            split = "val" if file in last.values() else "train"
            for number, cut in enumerate(_gestures(phase)):
                name = f"{file.name.removesuffix('_raw.csv')}-{number:03d}"
                yield Sequence(name, split, joints[cut], phase[cut])

    return list(_PHASES), read()


def _recording(file: Path) -> tuple[np.ndarray, list[int]]:
    """Return joints (T, 15) about the spine in units of the distance to the head, and phases."""
    with file.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.reader(stream))[1:]
    places = np.array([row[:18] for row in rows], np.float64).reshape(len(rows), 6, 3)
    spine = places[:, _SPINE]
    unit = np.median(np.linalg.norm(places[:, _HEAD] - spine, axis=1))
    others = np.delete(places - spine[:, None], _SPINE, axis=1) / unit
    phase = [_PHASES.index(_SPELT.get(row[-1].strip(), row[-1].strip())) for row in rows]
    return others.reshape(len(rows), -1).astype(np.float32), phase


def _gestures(phase: list[int]) -> Iterator[slice]:
    """Cut at rests, in whose middle one gesture ends and the next begins."""
    at, runs = 0, []
    for label, run in groupby(phase):
        length = len(list(run))
        runs.append((label, at, at + length))
        at += length
    rests = [(start, stop) for label, start, stop in runs if label == 0]
    for (before, begin), (end, after) in pairwise(rests):
        start = max((before + begin) // 2, begin - _LONGEST_REST)
        stop = min((end + after) // 2, end + _LONGEST_REST)
        if stop - start >= _SHORTEST:
            yield slice(start, stop)


SETS: dict[str, Callable[[Path], tuple[list[str], Iterator[Sequence]]]] = {
    "sound": sound,
    "gestures": gestures,
}


def main() -> None:
    """Read one set and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    names, sequences = SETS[options.set](options.data)
    (options.out / "features").mkdir(parents=True)
    split: dict[str, list[str]] = {"train": [], "val": []}
    clips = {}
    for sequence in sequences:
        np.save(options.out / "features" / f"{sequence.name}.npy", sequence.features)
        split[sequence.split].append(sequence.name)
        clips[sequence.name] = {"phase": sequence.phase}
    labels = {"phase_names": names, "split": split, "clips": clips}
    (options.out / "labels.json").write_text(json.dumps(labels))
    lengths = [len(entry["phase"]) for entry in clips.values()]
    print(
        f"{len(split['train'])} sequences for training, {len(split['val'])} for validation, of"
        f" {min(lengths)} to {max(lengths)} frames, {np.median(lengths):.0f} in the middle"
    )


if __name__ == "__main__":
    main()

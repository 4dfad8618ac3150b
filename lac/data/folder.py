"""The folder source: `clips/` with video files, and an optional `labels.json` beside it.

`labels.json` is an object; every key is optional::

    {"phase_names": ["reach", "lift"],
     "split": {"train": ["a"], "val": ["b"]},
     "clips": {"a": {"phase": [0, 0, 1]}, "b": {"phase": ["reach", "lift", "lift"]}}}

Clips go by their file name without suffix. A phase is an index into `phase_names` or a name.
"""

import json
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lac.data._clips import SPLITS, Clip, Collection
from lac.data._video import SUFFIXES

HELD_OUT = 5  # without a split, one clip in five is held out, from five clips on


def read_folder(root: str | PathLike) -> Collection:
    """Read the clips and labels of a folder, without decoding any video.

    Parameters
    ----------
    root : str or path
        Folder with `clips/` and optionally `labels.json`. Without a split in the labels one clip
        in five is `"val"`, chosen by a fixed seed, if there are at least five.

    Returns
    -------
    Collection
        Clips in the order of their names.

    Raises
    ------
    FileNotFoundError
        If `root` or its `clips/` is missing.
    ValueError
        If there is no clip, or `labels.json` does not fit the clips; the file and the rule are
        named.
    """
    root = Path(root)
    files = _video_files(root)
    labels_file = root / "labels.json"
    labels = json.loads(labels_file.read_text()) if labels_file.exists() else {}
    names = tuple(labels["phase_names"]) if "phase_names" in labels else None
    split = _splits(labels, files)
    clips = []
    for name, path in files.items():
        phase = labels.get("clips", {}).get(name, {}).get("phase")
        clips.append(
            Clip(name, path, split[name], None if phase is None else np.array(phase, np.int64))
        )
    return Collection(tuple(clips), names)


def _video_files(root: Path) -> dict[str, Path]:
    """Map clip names to their files."""
    folder = root / "clips"
    if not folder.is_dir():
        raise FileNotFoundError(f"`root` must be a folder that holds clips/, got {root}")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES}


def _splits(labels: dict[str, Any], files: dict[str, Path]) -> dict[str, str]:
    """Map clip names to their split."""
    if "split" in labels:
        return {name: split for split in SPLITS for name in labels["split"].get(split, ())}
    order = np.random.default_rng(0).permutation(len(files))
    held_out = set(order[: len(files) // HELD_OUT].tolist())
    return {name: "val" if i in held_out else "train" for i, name in enumerate(files)}

"""The layout in which CARL and LAC distribute Pouring and Penn Action.

A folder with `train.pkl`, `val.pkl` and `videos/*.mp4`. A pickle is a list of entries, or, where
there are several actions, a pair of that list and a list that gives for each action the places of
its entries. An entry is a dict with `name`, `video_file` (relative to the folder), `seq_len` and
`frame_label`, one whole number a frame.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lac.data.clip import Clip, Collection
from lac.data.importers._pickles import read_plain_pickle

SPLITS = ("train", "val")


def holds_actions(file: Path) -> bool:
    """Say whether a pickle is of several actions, as Penn Action's, or a plain list."""
    content = read_plain_pickle(file)
    return not (isinstance(content, list) and all(isinstance(entry, dict) for entry in content))


def read_entries(file: Path) -> Any:
    """Return the content of a pickle of the folder, which must be there."""
    if not file.exists():
        raise FileNotFoundError(
            f"`root` must hold train.pkl, val.pkl and videos/, got {file.parent}"
            f" without {file.name}"
        )
    return read_plain_pickle(file)


def clip_of(root: Path, file: Path, entry: Any, split: str, *, action: str | None = None) -> Clip:
    """Return one entry as a clip, with the phases as the file counts them."""
    if not isinstance(entry, dict) or not {"name", "seq_len", "frame_label"} <= entry.keys():
        raise ValueError(
            f"{file}: an entry must be a dict with name, seq_len and frame_label,"
            f" got {kind_of(entry)}"
        )
    name, length = entry["name"], entry["seq_len"]
    where = f"{file}: entry {name!r}"
    video = Path(entry.get("video_file", f"videos/{name}.mp4"))
    if video.is_absolute() or ".." in video.parts:
        raise ValueError(f"{where}: `video_file` must lie in the folder, got {video}")
    labels = entry["frame_label"]
    if labels is None or np.size(labels) == 0:
        return Clip(str(name), root / video, split, None, action)
    phase = np.asarray(labels)
    if phase.ndim != 1 or phase.dtype.kind not in "iu" or phase.min() < 0:
        raise ValueError(
            f"{where}: `frame_label` must be whole numbers >= 0, one a frame,"
            f" got {phase.dtype} {phase.shape}, smallest {phase.min()}"
        )
    if len(phase) != length:
        raise ValueError(
            f"{where}: `seq_len` must be the number of labels, got {length} for {len(phase)}"
        )
    return Clip(str(name), root / video, split, phase.astype(np.int64), action)


def count_phases(clips: Iterable[Clip]) -> int:
    """Return how many phases there are, where they are numbered from 0."""
    return max((int(clip.phase.max()) + 1 for clip in clips if clip.phase is not None), default=0)


def collection_of(root: Path, clips: list[Clip], phase_names: list[str]) -> Collection:
    """Return the clips in order; refuse none at all, and two of one name."""
    if not clips:
        raise ValueError(f"`root` must hold clips in its pickles, got none in {root}")
    clips = sorted(clips, key=lambda clip: clip.name)
    for clip, after in pairwise(clips):
        if clip.name == after.name:
            raise ValueError(
                f"{root}: names of clips must differ, got {clip.name!r} in {clip.split}.pkl and"
                f" {after.split}.pkl"
            )
    return Collection(tuple(clips), tuple(phase_names) or None)


def kind_of(value: Any) -> str:
    """Say what a value is, in a few words."""
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(str, value))}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of length {len(value)}"
    return f"a {type(value).__name__}"

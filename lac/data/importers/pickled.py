"""Pouring and Penn Action in the layout that CARL and LAC distribute.

A folder with `train.pkl`, `val.pkl` and `videos/*.mp4`. A pickle is a list of entries, or, where
there are several actions, a pair of that list and a list that gives for each action the places of
its entries. An entry is a dict with `name`, `video_file` (relative to the folder), `seq_len` and
`frame_label`, one whole number a frame.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lac.data.clip import Clip, Collection
from lac.data.importers._pickles import read_plain_pickle

# Penn Action's, in the order in which the pickle's second list counts them.
ACTIONS = (
    *("baseball_pitch", "baseball_swing", "bench_press", "bowl", "clean_and_jerk", "golf_swing"),
    *("jumping_jacks", "pushup", "pullup", "situp", "squat", "tennis_forehand", "tennis_serve"),
)
_SPLITS = ("train", "val")


def read_pouring(root: str | PathLike) -> Collection:
    """Read the entries of the Pouring data set, without decoding any video.

    Parameters
    ----------
    root : str or path
        Folder in the layout above.

    Returns
    -------
    Collection
        Phases are named `phase 0`, `phase 1` and so on, as the files have numbers alone.

    Raises
    ------
    FileNotFoundError
        If a pickle is missing.
    ValueError
        If a pickle names anything but plain data, or is not of this form.
    """
    root = Path(root)
    clips = []
    for split in _SPLITS:
        file = root / f"{split}.pkl"
        content = _read(file)
        if not isinstance(content, list):
            raise ValueError(f"{file}: the pickle must hold a list, got {_kind(content)}")
        clips += [_clip(root, file, entry, split) for entry in content]
    count = max((int(c.phase.max()) + 1 for c in clips if c.phase is not None), default=0)
    return _collection(root, clips, [f"phase {number}" for number in range(count)])


def read_penn_action(root: str | PathLike, *, action: str | None = None) -> Collection:
    """Read the entries of the Penn Action data set, without decoding any video.

    Parameters
    ----------
    root : str or path
        Folder in the layout above.
    action : str, optional
        The action whose clips are read, one of `ACTIONS`. All of them if absent: phases of
        different actions are then different phases.

    Returns
    -------
    Collection
        Phases are named `squat 0`, `squat 1` and so on.

    Raises
    ------
    FileNotFoundError
        If a pickle is missing.
    ValueError
        If a pickle names anything but plain data or is not of this form, or if `action` is none
        of the actions.
    """
    check_action(action, ACTIONS)
    root = Path(root)
    clips = []
    for split in _SPLITS:
        file = root / f"{split}.pkl"
        content = _read(file)
        if not (
            isinstance(content, list | tuple)
            and len(content) == 2
            and all(isinstance(part, list | tuple) for part in content)
            and len(content[1]) == len(ACTIONS)
        ):
            raise ValueError(
                f"{file}: the pickle must hold a list of clips and, for {len(ACTIONS)} actions,"
                f" the places of theirs, got {_kind(content)}"
            )
        entries, places = content
        for name, entry in _by_action(file, entries, places):
            if action in (None, name):
                clips.append(_clip(root, file, entry, split, action=name))
    names: list[str] = []
    shifted = []
    for name in ACTIONS:
        own = [clip for clip in clips if clip.action == name]
        count = max((int(c.phase.max()) + 1 for c in own if c.phase is not None), default=0)
        for c in own:
            phase = None if c.phase is None else c.phase + len(names)
            shifted.append(Clip(c.name, c.path, c.split, phase, name))
        names += [f"{name} {number}" for number in range(count)]
    return _collection(root, shifted, names)


def holds_actions(file: Path) -> bool:
    """Say whether a pickle is of several actions, as Penn Action's, or a plain list."""
    content = read_plain_pickle(file)
    return not (isinstance(content, list) and all(isinstance(entry, dict) for entry in content))


def check_action(action: str | None, actions: Sequence[str]) -> None:
    """Refuse an action that is none of those there are."""
    if action is not None and action not in actions:
        raise ValueError(f"`action` must be one of {', '.join(actions)}, got {action!r}")


def _read(file: Path) -> Any:
    if not file.exists():
        raise FileNotFoundError(
            f"`root` must hold train.pkl, val.pkl and videos/, got {file.parent}"
            f" without {file.name}"
        )
    return read_plain_pickle(file)


def _by_action(file: Path, entries: Sequence, places: Sequence) -> Iterator[tuple[str, Any]]:
    """Yield the name of its action with every entry that has one."""
    for name, own in zip(ACTIONS, places, strict=True):
        for place in own:
            if not (isinstance(place, int) and 0 <= place < len(entries)):
                raise ValueError(
                    f"{file}: the place of a clip of {name} must be a whole number from 0 to"
                    f" {len(entries) - 1}, got {place!r}"
                )
            yield name, entries[place]


def _clip(root: Path, file: Path, entry: Any, split: str, *, action: str | None = None) -> Clip:
    """Return one entry as a clip, with the phases as the file counts them."""
    if not isinstance(entry, dict) or not {"name", "seq_len", "frame_label"} <= entry.keys():
        raise ValueError(
            f"{file}: an entry must be a dict with name, seq_len and frame_label,"
            f" got {_kind(entry)}"
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


def _collection(root: Path, clips: list[Clip], phase_names: list[str]) -> Collection:
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


def _kind(value: Any) -> str:
    """Say what a value is, in a few words."""
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(str, value))}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of length {len(value)}"
    return f"a {type(value).__name__}"

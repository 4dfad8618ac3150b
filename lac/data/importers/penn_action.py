"""Penn Action as CARL and LAC distribute it: several actions, phases labelled for each."""

from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from lac.data.clip import Collection
from lac.data.importers._actions import ACTIONS, check_action
from lac.data.importers._entries import (
    SPLITS,
    clip_of,
    collection_of,
    count_phases,
    kind_of,
    read_entries,
)


def read_penn_action(root: str | PathLike[str], *, action: str | None = None) -> Collection:
    """Read the entries of the Penn Action data set, without decoding any video.

    Parameters
    ----------
    root : str or path
        Folder in the layout that `lac.data.importers._entries` describes.
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
    for split in SPLITS:
        file = root / f"{split}.pkl"
        clips += [
            clip_of(root, file, entry, split, action=name)
            for name, entry in _by_action(file)
            if action in (None, name)
        ]
    names: list[str] = []
    shifted = []
    for name in ACTIONS:
        own = [clip for clip in clips if clip.action == name]
        for clip in own:
            phase = None if clip.phase is None else clip.phase + len(names)
            shifted.append(replace(clip, phase=phase))
        names += [f"{name} {number}" for number in range(count_phases(own))]
    return collection_of(root, shifted, names)


def _by_action(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield the name of its action with every entry of a pickle that has one."""
    content = read_entries(file)
    if not (
        isinstance(content, list | tuple)
        and len(content) == 2
        and all(isinstance(part, list | tuple) for part in content)
        and len(content[1]) == len(ACTIONS)
    ):
        raise ValueError(
            f"{file}: the pickle must hold a list of clips and, for {len(ACTIONS)} actions,"
            f" the places of theirs, got {kind_of(content)}"
        )
    entries, places = content
    for name, own in zip(ACTIONS, places, strict=True):
        for place in own:
            if not (isinstance(place, int) and 0 <= place < len(entries)):
                raise ValueError(
                    f"{file}: the place of a clip of {name} must be a whole number from 0 to"
                    f" {len(entries) - 1}, got {place!r}"
                )
            yield name, entries[place]

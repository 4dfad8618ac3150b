"""The Pouring data set as CARL and LAC distribute it: one action, phases without names."""

from os import PathLike
from pathlib import Path

from lac.data.clip import Collection
from lac.data.importers._entries import (
    SPLITS,
    clip_of,
    collection_of,
    count_phases,
    kind_of,
    read_entries,
)


def read_pouring(root: str | PathLike[str]) -> Collection:
    """Read the entries of the Pouring data set, without decoding any video.

    Parameters
    ----------
    root : str or path
        Folder in the layout that `lac.data.importers._entries` describes.

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
    for split in SPLITS:
        file = root / f"{split}.pkl"
        content = read_entries(file)
        if not isinstance(content, list):
            raise ValueError(f"{file}: the pickle must hold a list, got {kind_of(content)}")
        clips += [clip_of(root, file, entry, split) for entry in content]
    return collection_of(root, clips, [f"phase {number}" for number in range(count_phases(clips))])

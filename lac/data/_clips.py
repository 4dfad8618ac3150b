"""The record of a clip and of a collection of clips, whatever their source."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Clip:
    """One video file and what is known about it.

    Attributes
    ----------
    name : str
        Unique in its collection.
    path : Path
        The video file.
    split : str
        `"train"`, `"val"` or `"test"`.
    phase : ndarray of int64, shape (T,), or None
        Index into the collection's `phase_names` of every frame, if labelled.
    """

    name: str
    path: Path
    split: str
    phase: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Collection:
    """Clips of one action.

    Attributes
    ----------
    clips : tuple of Clip
        In the order of their names.
    phase_names : tuple of str or None
        Names of the phases, if any clip is labelled.
    """

    clips: tuple[Clip, ...]
    phase_names: tuple[str, ...] | None = None

    def select(self, split: str) -> tuple[Clip, ...]:
        """Return the clips of a split, in order.

        Raises
        ------
        ValueError
            If `split` is not one of `"train"`, `"val"`, `"test"`.
        """
        if split not in SPLITS:
            raise ValueError(f"`split` must be one of {', '.join(SPLITS)}, got {split!r}")
        return tuple(clip for clip in self.clips if clip.split == split)

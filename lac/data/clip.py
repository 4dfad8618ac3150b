"""The record of a clip and of a collection of clips, whatever their source."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

SPLITS = ("train", "val", "test")
HELD_OUT = 5  # without a split, one clip in five is held out, from five clips on
Content = Literal["frames", "features"]


@dataclass(frozen=True, eq=False)
class Clip:
    """One sequence and what is known about it.

    Attributes
    ----------
    name : str
        Unique in its collection.
    path : Path
        A video file, a folder of pictures, or a file of features.
    split : str
        `"train"`, `"val"` or `"test"`.
    phase : ndarray of int64, shape (T,), or None
        Index into the collection's `phase_names` of every frame, if labelled.
    action : str or None
        What is done in it, where the source has several actions.
    progress : ndarray of float64, shape (T,), or None
        How far each frame has come in its phase, in [0, 1] and never falling within a stretch of
        one phase, where that is known better than by time.
    """

    name: str
    path: Path
    split: str
    phase: np.ndarray | None = None
    action: str | None = None
    progress: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Collection:
    """Clips of one source.

    Attributes
    ----------
    clips : tuple of Clip
        In the order of their names.
    phase_names : tuple of str or None
        Names of the phases, if any clip is labelled.
    content : {"frames", "features"}
        What the files of the clips hold.
    """

    clips: tuple[Clip, ...]
    phase_names: tuple[str, ...] | None = None
    content: Content = "frames"

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

    def comparable(self, split: str) -> dict[str | None, tuple[Clip, ...]]:
        """Return the clips of a split by action, for actions with at least two: what is evaluated.

        Clips of another action show other phases; a collection of one procedure has one action,
        `None` where the source names none.
        """
        clips = self.select(split)
        actions = sorted({clip.action for clip in clips}, key=str)
        own = {action: tuple(c for c in clips if c.action == action) for action in actions}
        return {action: group for action, group in own.items() if len(group) >= 2}


def hold_out(names: list[str]) -> dict[str, str]:
    """Give every fifth clip, chosen by a fixed seed, to `"val"` and the others to `"train"`."""
    order = np.random.default_rng(0).permutation(len(names))
    held_out = set(order[: len(names) // HELD_OUT].tolist())
    return {name: "val" if i in held_out else "train" for i, name in enumerate(names)}

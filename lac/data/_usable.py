"""Which clips can be used: whether they are long enough, and their labels fit them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from lac._progress import progress
from lac.data.clip import Clip, Collection
from lac.data.decoded import read_frames
from lac.data.features import SUFFIXES, read_features

_SMALLEST = 16  # pixels: enough to count frames


def count_frames(clip: Clip) -> int:
    """Return the number of frames of a clip by reading it, and check it.

    Raises
    ------
    ValueError
        If the clip cannot be read, is too short, or is labelled for another length.
    """
    if clip.path.suffix.lower() in SUFFIXES:
        length = len(read_features(clip.path))
    else:
        length = len(read_frames(clip.path, size=_SMALLEST))
    check_length(clip, length)
    return length


def check_length(clip: Clip, length: int, *, every: int = 1) -> None:
    """Refuse a clip that is too short or labelled for another length, given every so many frames.

    With `every` the labels are all still there, one for each frame of the file.
    """
    if length < 2:
        kept = "" if every == 1 else f" of which one in {every} is kept"
        raise ValueError(f"{clip.path}: a clip must have at least 2 frames{kept}, got {length}")
    if clip.phase is not None and len(clip.phase[::every]) != length:
        raise ValueError(
            f"{clip.path}: `phase` must have one label per decoded frame,"
            f" got {len(clip.phase)} labels for {length} frames"
        )


def usable(
    collection: Collection,
    count: Callable[[Clip], int],
    *,
    every: int,
    on_error: Literal["refuse", "skip"],
) -> tuple[Collection, dict[str, str]]:
    """Return the clips that can be used, and why others are left out, by file.

    Parameters
    ----------
    collection : Collection
        The clips, with one label for each frame of their files.
    count : callable
        Returns how many frames are there, every so many taken.
    every : int
        Keep the labels of every so many frames.
    on_error : {"refuse", "skip"}
        Whether a clip that cannot be used raises or is left out.
    """
    good, left_out = [], {}
    for clip in progress(collection.clips, "Reading clips"):
        try:
            check_length(clip, count(clip), every=every)
        except (ValueError, OSError) as error:
            if on_error == "refuse":
                raise
            reason = str(error)
            named = str(clip.path) in reason
            left_out[str(clip.path)] = reason if named else f"{clip.path}: {reason}"
        else:
            phase = None if clip.phase is None else clip.phase[::every]
            progressed = None if clip.progress is None else clip.progress[::every]
            good.append(replace(clip, phase=phase, progress=progressed))
    return replace(collection, clips=tuple(good)), left_out

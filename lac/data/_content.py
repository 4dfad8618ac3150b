"""From a clip of any source to its frames, and the check that its labels fit them."""

from pathlib import Path

import numpy as np

from lac.data.clip import Clip
from lac.data.features import SUFFIXES, read_features
from lac.data.video.files import VideoError
from lac.data.video.pictures import read_pictures
from lac.data.video.reading import read_video

_SMALLEST = 16  # pixels: enough to count frames


def read_frames(path: Path, *, size: int, every: int = 1) -> np.ndarray:
    """Return every so many frames of a video or of pictures, uint8 (T, 3, size, size)."""
    if not path.exists():
        raise VideoError(f"{path}: no such file")
    if path.is_dir():
        return read_pictures(path, size=size)[::every]
    return read_video(path, size=size, every=every).frames


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

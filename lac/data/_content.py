"""From a clip of any source to its frames, and the check that its labels fit them."""

from pathlib import Path

import numpy as np

from lac.data._clips import Clip
from lac.data._pictures import read_pictures
from lac.data._video import VideoError, read_video
from lac.data.features import SUFFIXES, read_features

_SMALLEST = 16  # pixels: enough to count frames


def read_frames(path: Path, *, size: int) -> np.ndarray:
    """Return the frames of a video or of a folder of pictures, uint8 (T, 3, size, size)."""
    if not path.exists():
        raise VideoError(f"{path}: no such file")
    return read_pictures(path, size=size) if path.is_dir() else read_video(path, size=size).frames


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


def check_length(clip: Clip, length: int) -> None:
    """Refuse a clip that is too short or labelled for another length."""
    if length < 2:
        raise ValueError(f"{clip.path}: a clip must have at least 2 frames, got {length}")
    if clip.phase is not None and len(clip.phase) != length:
        raise ValueError(
            f"{clip.path}: `phase` must have one label per decoded frame,"
            f" got {len(clip.phase)} labels for {length} frames"
        )

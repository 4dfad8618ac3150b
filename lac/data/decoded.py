"""The frames of clips, whatever holds them, decoded once."""

from pathlib import Path

import numpy as np

from lac.data.cache import ArrayCache
from lac.data.clip import Clip
from lac.data.video.files import VideoError
from lac.data.video.frames import decoding
from lac.data.video.pictures import read_pictures
from lac.data.video.reading import read_video


def read_frames(path: Path, *, size: int, every: int = 1) -> np.ndarray:
    """Return every so many frames of a video or of pictures, uint8 (T, 3, size, size)."""
    if not path.exists():
        raise VideoError(f"{path}: no such file")
    if path.is_dir():
        return read_pictures(path, size=size)[::every]
    return read_video(path, size=size, every=every).frames


class DecodedFrames:
    """Frames of clips, kept in a cache.

    Parameters
    ----------
    cache : ArrayCache
        Keeps them.
    every : int
        Take every so many frames, >= 1.
    """

    def __init__(self, cache: ArrayCache, *, every: int = 1):
        """Keep the settings."""
        self.cache, self.every = cache, every

    @property
    def taken(self) -> str:
        """Say which frames are taken, for the keys of caches."""
        return "" if self.every == 1 else f" every {self.every}"

    def __call__(self, clip: Clip, *, size: int) -> np.ndarray:
        """Return the frames of a clip, uint8 (T, 3, size, size), read-only.

        Raises
        ------
        VideoError
            If the clip is not there, or cannot be decoded.
        """
        if not clip.path.exists():  # before its content is asked for as a key
            raise VideoError(f"{clip.path}: no such file")
        return self.cache.get(
            clip.path,
            f"frames {decoding()} {size}{self.taken}",
            lambda: read_frames(clip.path, size=size, every=self.every),
        )

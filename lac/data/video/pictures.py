"""Clips that are folders of pictures, one a frame, in the order of the numbers in their names."""

from pathlib import Path

import av
import numpy as np

from lac.data._names import by_number, visible
from lac.data.video._orientation import OrientationError
from lac.data.video.files import VideoError, open_file
from lac.data.video.frames import upright_rgb

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def picture_files(folder: Path) -> list[Path]:
    """Return the pictures of a folder in order; none if it is not there."""
    if not folder.is_dir():
        return []
    files = (path for path in visible(folder.iterdir()) if path.suffix.lower() in _SUFFIXES)
    return sorted(files, key=by_number)


def read_pictures(folder: Path, *, size: int | None = None) -> np.ndarray:
    """Return the pictures of a folder as frames, uint8 (T, 3, H, W), resized as `read_video` does.

    Raises
    ------
    VideoError
        If there is no picture, or one cannot be decoded; the message names it.
    """
    frames: list[np.ndarray] = []
    for path in picture_files(folder):
        try:
            with open_file(path) as container:
                frame = next(container.decode(video=0))
            first = frames[0] if frames else None
            frames.append(upright_rgb(frame, aspect=1, size=size, first=first))
        except (av.FFmpegError, StopIteration) as error:
            raise VideoError(f"{path}: not a picture that can be decoded: {error}") from error
        except OrientationError as error:
            raise VideoError(f"{path}: {error}") from None
    if not frames:
        raise VideoError(f"{folder}: no picture ({', '.join(_SUFFIXES)}) in this folder")
    return np.stack(frames)

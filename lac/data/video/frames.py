"""From a decoded picture to a frame: RGB, the right way up, of the size that is wanted."""

import av
import numpy as np

from lac.data.video._orientation import orientation_of

PREPROCESSING = 2  # raise with any change of the frames that are made of what FFmpeg decodes


def decoding() -> str:
    """Name all that decoded frames depend on beside their file: part of the key of caches."""
    libraries = (
        f"{name} {'.'.join(map(str, version))}"
        for name, version in sorted(av.library_versions.items())
    )
    return f"{PREPROCESSING}, PyAV {av.__version__}, {', '.join(libraries)}"


def upright_rgb(
    frame: av.VideoFrame, *, aspect: float, size: int | None, first: np.ndarray | None
) -> np.ndarray:
    """Return one frame as (3, H, W), its pixels made square, resized, the right way up, cropped."""
    orientation = orientation_of(frame)
    height, width = frame.height, max(1, round(frame.width * aspect))
    if size is not None:
        scale = size / min(height, width)
        height, width = max(size, round(height * scale)), max(size, round(width * scale))
    elif first is not None:
        height, width = first.shape[:0:-1] if orientation.transpose else first.shape[1:]
    # One thread: with more, the converter hangs where a forked worker of a DataLoader frees it.
    plain = frame.reformat(
        width=width, height=height, format="rgb24", interpolation="AREA", threads=1
    )
    picture = orientation.apply(plain.to_ndarray())
    if size is not None:
        top, left = ((side - size) // 2 for side in picture.shape[:2])
        picture = picture[top : top + size, left : left + size]
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def resize(frames: np.ndarray, *, size: int) -> np.ndarray:
    """Bring frames to the size of training, as `read_video` does while it decodes.

    Parameters
    ----------
    frames : ndarray of uint8, shape (T, 3, H, W)
        RGB.
    size : int
        Side in pixels (>= 2) of the square frames returned.

    Returns
    -------
    ndarray of uint8, shape (T, 3, size, size)
        `frames` itself if they are of that size.

    Raises
    ------
    ValueError
        If `size` is too small.
    """
    if size < 2:
        raise ValueError(f"`size` must be >= 2 pixels, got {size}")
    if frames.shape[2:] == (size, size):
        return frames
    pictures = np.ascontiguousarray(frames.transpose(0, 2, 3, 1))
    return np.stack(
        [
            upright_rgb(
                av.VideoFrame.from_ndarray(picture, format="rgb24"), aspect=1, size=size, first=None
            )
            for picture in pictures
        ]
    )

"""Writing pictures as H.264, one after the other."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from lac._atomic import written_whole
from lac._progress import part

# A constant quantiser: with rate control x264 does not give small pictures the same bytes twice.
ENCODING = {"qp": "18", "preset": "veryfast"}
_TICK = Fraction(1, 90_000)  # seconds; what pictures without a constant rate are stamped with


def write_video(path: str | PathLike[str], frames: np.ndarray, *, fps: int = 25) -> None:
    """Write frames as H.264 in the container that the file's suffix names.

    The same frames give the same bytes with the same build of FFmpeg.

    Parameters
    ----------
    path : str or path
        File to write, `.mp4` for example.
    frames : ndarray of uint8, shape (T, 3, H, W)
        RGB frames; T >= 1, H and W even.
    fps : int
        Frames per second, > 0.

    Raises
    ------
    TypeError
        If `frames` is not uint8.
    ValueError
        If `frames` has another shape.
    """
    if frames.dtype != np.uint8:
        raise TypeError(f"`frames` must be uint8, got {frames.dtype}")
    if (
        frames.ndim != 4
        or frames.shape[1] != 3
        or 0 in frames.shape
        or any(side % 2 for side in frames.shape[2:])
    ):
        raise ValueError(f"`frames` must be (T, 3, H, W), H and W even, got {frames.shape}")
    encode(Path(path), (image.transpose(1, 2, 0) for image in part(frames, "encoding")), rate=fps)


def encode(
    file: Path | BinaryIO,
    pictures: Iterable[np.ndarray],
    *,
    rate: int | Fraction,
    times: Sequence[float] | np.ndarray | None = None,
    options: Mapping[str, str] = ENCODING,
) -> None:
    """Write RGB pictures (H, W, 3), of even sides, as H.264 one by one.

    `times` in seconds, where pictures have no constant `rate`, begin with 0. What is no path is
    written to as MP4. A file is there when it is whole, and not before.
    """
    if not isinstance(file, Path):
        _encode(file, pictures, rate, times, options, format="mp4")
        return
    with written_whole(file) as unfinished:
        _encode(unfinished, pictures, rate, times, options, format=None)


def _encode(
    target: Path | BinaryIO,
    pictures: Iterable[np.ndarray],
    rate: int | Fraction,
    times: Sequence[float] | np.ndarray | None,
    options: Mapping[str, str],
    *,
    format: str | None,
) -> None:
    """Write a container of a format, or of that of a path's suffix."""
    with av.open(target, "w", format=format) as container:
        stream = container.add_stream("libx264", rate=rate, options=dict(options))
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # x264's output depends on its number of threads
        if times is not None:
            stream.codec_context.time_base = _TICK
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            # One thread, as in `upright_rgb`: the encoder would convert with many.
            frame = frame.reformat(format="yuv420p", threads=1)
            if times is not None:
                frame.pts, frame.time_base = round(times[number] / _TICK), _TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
